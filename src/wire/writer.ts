/** Builds messages in one growing buffer. Lengths are filled in when a message ends. */
import { HEADER_BYTES } from './tags.ts';

const INITIAL_BYTES = 256;

export class MessageWriter {
  #buffer = Buffer.allocUnsafe(INITIAL_BYTES);
  #size = 0;
  #start = 0;

  begin(tag: number): this {
    this.#reserve(HEADER_BYTES);
    this.#start = this.#size;
    this.#buffer[this.#size] = tag;
    this.#size += HEADER_BYTES;
    return this;
  }

  /** Start-up packets, SSLRequest and CancelRequest carry no type byte. */
  beginUntyped(): this {
    this.#reserve(4);
    this.#start = this.#size - 1;
    this.#size += 4;
    return this;
  }

  end(): this {
    this.#buffer.writeInt32BE(this.#size - this.#start - 1, this.#start + 1);
    return this;
  }

  uint8(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#size++] = value;
    return this;
  }

  int16(value: number): this {
    this.#reserve(2);
    this.#size = this.#buffer.writeInt16BE(value, this.#size);
    return this;
  }

  int32(value: number): this {
    this.#reserve(4);
    this.#size = this.#buffer.writeInt32BE(value, this.#size);
    return this;
  }

  cstring(value: string | Buffer): this {
    if (typeof value === 'string') this.text(value);
    else this.bytes(value);
    return this.uint8(0);
  }

  text(value: string): this {
    const size = Buffer.byteLength(value);
    this.#reserve(size);
    this.#size += this.#buffer.write(value, this.#size);
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#size);
    this.#size += value.length;
    return this;
  }

  /** Hands over what was written; the writer starts anew with a buffer of its own. */
  finish(): Buffer {
    const done = this.#buffer.subarray(0, this.#size);
    this.#buffer = Buffer.allocUnsafe(INITIAL_BYTES);
    this.#size = 0;
    return done;
  }

  #reserve(more: number): void {
    const needed = this.#size + more;
    if (needed <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#size);
    this.#buffer = larger;
  }
}
