/**
 * Walks the frames of a server's byte stream without decoding them.
 *
 * A chunk yields *runs* (bytes to be passed on as they came, any number of frames, cut anywhere) and *watched* frames.
 * Order is kept: a run always ends where a watched frame begins. A run is a range of the chunk that was fed, valid
 * during the call; who keeps it longer owns the chunk (chunks are never reused for reading).
 */
import { HEADER_BYTES } from './tags.ts';

/** What a scanner does with the frames of one type. */
export const Watch = {
  /** Part of a run, unseen. */
  pass: 0,
  /** Taken out of the run and handed over whole: small by nature, and bounded. */
  take: 1,
  /** Part of a run, and its bytes are shown piece by piece (for digests). */
  tap: 2,
} as const;
export type Watch = (typeof Watch)[keyof typeof Watch];

/** One entry for each type byte. */
export type WatchTable = Uint8Array;

export function watchTable(entries: Readonly<Record<number, Watch>>): WatchTable {
  const table = new Uint8Array(256);
  for (const [tag, watch] of Object.entries(entries)) table[Number(tag)] = watch;
  return table;
}

export interface FrameSink {
  /** Consulted before each frame, so it may change from frame to frame. */
  readonly watch: WatchTable;
  run(chunk: Buffer, start: number, end: number): void;
  /** `chunk[start]` is the type byte; `end` is exclusive. The bytes are valid during the call. */
  take(tag: number, chunk: Buffer, start: number, end: number): void;
  /** A piece of a tapped frame; `last` when it completes the frame. The header belongs to the first piece. */
  tap(tag: number, chunk: Buffer, start: number, end: number, last: boolean): void;
}

/** Thrown for a length that no server sends; the stream cannot be followed any further. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
}

/** A taken frame is held in memory: no server sends a larger error, tag or parameter. */
const TAKEN_LIMIT_BYTES = 64 * 1024 * 1024;

export class FrameScanner {
  /** Bytes of the current frame still to come after what was fed; 0 between frames. */
  #remaining = 0;
  #tag = 0;
  #watch: Watch = Watch.pass;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerFill = 0;
  /** Pieces of a taken frame that came in several chunks. */
  #held: Buffer[] = [];
  #heldBytes = 0;

  /** Whether the stream stands inside a frame: what was forwarded so far cannot be followed by another frame. */
  get insideFrame(): boolean {
    return this.#remaining > 0 || this.#headerFill > 0;
  }

  /** Feeds one chunk; the sink is `sinkOf()`'s answer at each frame, since a frame may end one reply and begin the next. */
  scan(chunk: Buffer, sinkOf: () => FrameSink): void {
    const size = chunk.length;
    let at = 0;
    let runStart = 0;
    let sink = sinkOf();
    while (at < size) {
      if (this.#remaining > 0) {
        const take = Math.min(this.#remaining, size - at);
        this.#remaining -= take;
        at += take;
        if (this.#watch === Watch.take) {
          this.#hold(chunk, at - take, at);
          runStart = at;
          if (this.#remaining === 0) {
            this.#release(sink);
            sink = sinkOf();
          }
        } else if (this.#watch === Watch.tap) {
          sink.tap(this.#tag, chunk, at - take, at, this.#remaining === 0);
        }
        continue;
      }
      if (this.#headerFill > 0 || size - at < HEADER_BYTES) {
        // The header is cut: complete it in a buffer of its own.
        if (at > runStart) sink.run(chunk, runStart, at);
        const take = Math.min(HEADER_BYTES - this.#headerFill, size - at);
        chunk.copy(this.#header, this.#headerFill, at, at + take);
        this.#headerFill += take;
        at += take;
        runStart = at;
        if (this.#headerFill < HEADER_BYTES) return;
        this.#headerFill = 0;
        sink = sinkOf();
        const body = this.#bodyBytes(this.#header, 0);
        this.#tag = this.#header[0] ?? 0;
        this.#watch = (sink.watch[this.#tag] ?? Watch.pass) as Watch;
        this.#remaining = body;
        const header = Buffer.from(this.#header);
        if (this.#watch === Watch.take) {
          this.#hold(header, 0, HEADER_BYTES);
          if (body === 0) this.#release(sink);
        } else {
          if (this.#watch === Watch.tap) sink.tap(this.#tag, header, 0, HEADER_BYTES, body === 0);
          sink.run(header, 0, HEADER_BYTES);
        }
        sink = sinkOf();
        continue;
      }
      const tag = chunk[at] ?? 0;
      const watch = (sink.watch[tag] ?? Watch.pass) as Watch;
      const body = this.#bodyBytes(chunk, at);
      const end = at + HEADER_BYTES + body;
      if (watch === Watch.pass) {
        if (end <= size) {
          at = end;
          continue;
        }
      } else {
        this.#tag = tag;
        if (watch === Watch.take) {
          if (at > runStart) sink.run(chunk, runStart, at);
          if (end <= size) {
            sink.take(tag, chunk, at, end);
            at = end;
            runStart = end;
            sink = sinkOf();
            continue;
          }
          this.#hold(chunk, at, size);
          runStart = size;
        } else {
          sink.tap(tag, chunk, at, Math.min(end, size), end <= size);
          if (end <= size) {
            at = end;
            continue;
          }
        }
      }
      this.#tag = tag;
      this.#watch = watch;
      this.#remaining = end - size;
      at = size;
    }
    if (at > runStart) sink.run(chunk, runStart, at);
  }

  #bodyBytes(chunk: Buffer, at: number): number {
    const length = chunk.readInt32BE(at + 1);
    if (length < 4) throw new FrameError(`message of type 0x${(chunk[at] ?? 0).toString(16)} with length ${length}`);
    return length - 4;
  }

  #hold(chunk: Buffer, start: number, end: number): void {
    this.#heldBytes += end - start;
    if (this.#heldBytes > TAKEN_LIMIT_BYTES) throw new FrameError(`message of more than ${TAKEN_LIMIT_BYTES} bytes`);
    this.#held.push(chunk.subarray(start, end));
  }

  #release(sink: FrameSink): void {
    const whole = this.#held.length === 1 ? this.#held[0] : Buffer.concat(this.#held);
    this.#held = [];
    this.#heldBytes = 0;
    if (whole !== undefined) sink.take(this.#tag, whole, 0, whole.length);
  }
}
