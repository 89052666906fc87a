/** Reads the fields of one message. Every read is bounds-checked: a short message is the sender's fault. */

export class ShortMessage extends Error {
  override readonly name = 'ShortMessage';
}

export class MessageReader {
  readonly #buffer: Buffer;
  #at: number;
  readonly #end: number;

  /** `buffer[start, end)` are the fields, without type and length. Nothing is copied. */
  constructor(buffer: Buffer, start: number, end: number) {
    this.#buffer = buffer;
    this.#at = start;
    this.#end = end;
  }

  get remaining(): number {
    return this.#end - this.#at;
  }

  uint8(): number {
    this.#need(1);
    return this.#buffer.readUInt8(this.#at++);
  }

  int16(): number {
    this.#need(2);
    this.#at += 2;
    return this.#buffer.readInt16BE(this.#at - 2);
  }

  int32(): number {
    this.#need(4);
    this.#at += 4;
    return this.#buffer.readInt32BE(this.#at - 4);
  }

  cstring(): string {
    return this.cstringBytes().toString('utf8');
  }

  /** Without the terminating zero; shares the message's memory. */
  cstringBytes(): Buffer {
    const zero = this.#buffer.indexOf(0, this.#at);
    if (zero < 0 || zero >= this.#end) throw new ShortMessage('string without a terminating zero');
    const bytes = this.#buffer.subarray(this.#at, zero);
    this.#at = zero + 1;
    return bytes;
  }

  /** Shares the message's memory. */
  bytes(count: number): Buffer {
    this.#need(count);
    this.#at += count;
    return this.#buffer.subarray(this.#at - count, this.#at);
  }

  rest(): Buffer {
    return this.bytes(this.remaining);
  }

  #need(count: number): void {
    if (count < 0 || this.remaining < count) throw new ShortMessage(`${count} bytes expected, ${this.remaining} left`);
  }
}
