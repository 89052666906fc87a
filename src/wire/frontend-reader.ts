/**
 * Takes a client's byte stream apart, one message at a time and only on demand: what a client sends ahead (a pipelined
 * Query, COPY data behind its COPY) stays unread bytes until the session asks for it.
 *
 * Memory: the bytes fed and not yet asked for (the feeder stops at a bound) and one message under assembly, which grows
 * with what has arrived, never with the length that was announced.
 */
import { FrontendTag, HEADER_BYTES } from './tags.ts';

export interface FrontendMessage {
  readonly tag: number;
  /** The fields, without type and length. Owned by the receiver. */
  readonly body: Buffer;
}

/** A part of the COPY stream: whole or partial CopyData frames as they came, headers included. */
export interface CopyRun {
  readonly kind: 'data';
  readonly bytes: Buffer;
}

export type CopyPart = CopyRun | { readonly kind: 'message'; readonly message: FrontendMessage };

/** The stream cannot be followed any further; `message` is PostgreSQL's wording. */
export class FrontendStreamError extends Error {
  override readonly name = 'FrontendStreamError';
  /** `unsaid`: a server notes it in its log and closes, since what it reads is hardly its protocol. */
  readonly said: 'said' | 'unsaid';

  constructor(message: string, said: 'said' | 'unsaid' = 'said') {
    super(message);
    this.said = said;
  }
}

/** PostgreSQL's PQ_SMALL_MESSAGE_LIMIT, for messages that are small by nature. */
const SMALL_MESSAGE_BYTES = 10_000;
/** PostgreSQL's PQ_LARGE_MESSAGE_LIMIT (MaxAllocSize - 1). */
const LARGE_MESSAGE_BYTES = 0x3fff_fffe;

const KNOWN = new Map<number, number>([
  [FrontendTag.Query, LARGE_MESSAGE_BYTES],
  [FrontendTag.Parse, LARGE_MESSAGE_BYTES],
  [FrontendTag.Bind, LARGE_MESSAGE_BYTES],
  [FrontendTag.FunctionCall, LARGE_MESSAGE_BYTES],
  [FrontendTag.CopyData, LARGE_MESSAGE_BYTES],
  [FrontendTag.CopyFail, SMALL_MESSAGE_BYTES],
  [FrontendTag.CopyDone, SMALL_MESSAGE_BYTES],
  [FrontendTag.Close, SMALL_MESSAGE_BYTES],
  [FrontendTag.Describe, SMALL_MESSAGE_BYTES],
  [FrontendTag.Execute, SMALL_MESSAGE_BYTES],
  [FrontendTag.Flush, SMALL_MESSAGE_BYTES],
  [FrontendTag.Sync, SMALL_MESSAGE_BYTES],
  [FrontendTag.Terminate, SMALL_MESSAGE_BYTES],
]);

export class FrontendReader {
  #chunks: Buffer[] = [];
  #buffered = 0;
  /** Bytes of a CopyData frame that were announced and have not been taken yet. */
  #copyRemaining = 0;
  readonly #limitBytes: number;

  /** `limitBytes`: the largest message that is assembled in memory. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes fed and not taken. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Bytes of the CopyData message in hand that have not been taken. */
  get copyRemaining(): number {
    return this.#copyRemaining;
  }

  feed(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
  }

  /** The next message, or undefined until more is fed. Throws FrontendStreamError. */
  next(): FrontendMessage | undefined {
    while (this.#copyRemaining > 0) {
      if (this.#buffered === 0) return undefined;
      // The rest of a CopyData frame whose COPY has ended: dropped, as a server does.
      this.#takeCopy();
    }
    if (this.#buffered < HEADER_BYTES) {
      this.#checkTag();
      return undefined;
    }
    const size = this.#checkedSize();
    if (this.#buffered < size + 1) return undefined;
    const tag = this.#peek(0);
    const frame = this.#take(size + 1);
    return { tag, body: frame.subarray(HEADER_BYTES) };
  }

  /** Everything that was fed and not taken, as it came. */
  takeRest(): Buffer {
    return this.#take(this.#buffered);
  }

  /** Inside COPY: data as it comes, or the message that ends it; undefined until more is fed. */
  nextCopyPart(): CopyPart | undefined {
    if (this.#copyRemaining === 0) {
      if (this.#buffered < HEADER_BYTES) {
        this.#checkTag();
        return undefined;
      }
      if (this.#peek(0) !== FrontendTag.CopyData) {
        const message = this.next();
        return message === undefined ? undefined : { kind: 'message', message };
      }
    }
    return this.#buffered === 0 ? undefined : { kind: 'data', bytes: this.#takeCopy() };
  }

  /** As many bytes of consecutive CopyData frames as stand in the first chunk; at least the header of the first. */
  #takeCopy(): Buffer {
    if (this.#copyRemaining === 0) {
      this.#copyRemaining = this.#checkedSize() + 1;
      // A header that is cut across chunks is joined here; it is the only copy.
      const first = this.#chunks[0];
      if (first !== undefined && first.length < HEADER_BYTES) this.#join(HEADER_BYTES);
    }
    const chunk = this.#chunks[0];
    if (chunk === undefined) return Buffer.alloc(0);
    let end = Math.min(this.#copyRemaining, chunk.length);
    this.#copyRemaining -= end;
    while (this.#copyRemaining === 0 && chunk.length - end >= HEADER_BYTES && chunk[end] === FrontendTag.CopyData) {
      const length = chunk.readInt32BE(end + 1);
      if (length < 4 || length > LARGE_MESSAGE_BYTES) break; // the next call reports it
      const take = Math.min(length + 1, chunk.length - end);
      end += take;
      this.#copyRemaining = length + 1 - take;
    }
    return this.#take(end);
  }

  #announced(): number {
    return this.#join(HEADER_BYTES).readInt32BE(1);
  }

  #checkTag(): void {
    if (this.#buffered > 0) this.#limitOf(this.#peek(0));
  }

  /** The length field, checked against what PostgreSQL allows for the type and against our own limit. */
  #checkedSize(): number {
    const tag = this.#peek(0);
    const limit = this.#limitOf(tag);
    const length = this.#announced();
    if (length < 4 || length > limit) throw new FrontendStreamError('invalid message length', 'unsaid');
    if (tag !== FrontendTag.CopyData && length > this.#limitBytes) {
      throw new FrontendStreamError(`message of ${length} bytes is larger than the ${this.#limitBytes} bytes allowed`);
    }
    return length;
  }

  #limitOf(tag: number): number {
    const limit = KNOWN.get(tag);
    if (limit === undefined) throw new FrontendStreamError(`invalid frontend message type ${tag}`);
    return limit;
  }

  #peek(offset: number): number {
    let left = offset;
    for (const chunk of this.#chunks) {
      if (left < chunk.length) return chunk[left] ?? 0;
      left -= chunk.length;
    }
    return 0;
  }

  /** Makes the first `count` bytes contiguous. */
  #join(count: number): Buffer {
    const first = this.#chunks[0];
    if (first !== undefined && first.length >= count) return first;
    const whole = Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  #take(count: number): Buffer {
    const first = this.#chunks[0];
    this.#buffered -= count;
    if (first !== undefined && first.length >= count) {
      if (first.length === count) this.#chunks.shift();
      else this.#chunks[0] = first.subarray(count);
      return first.subarray(0, count);
    }
    const parts: Buffer[] = [];
    let left = count;
    while (left > 0) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) break;
      const part = chunk.length <= left ? chunk : chunk.subarray(0, left);
      parts.push(part);
      left -= part.length;
      if (part.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.length);
    }
    return Buffer.concat(parts, count);
  }
}
