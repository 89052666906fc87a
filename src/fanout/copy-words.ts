/**
 * Watches the data of a COPY for words that a server reads as a moment of its own (`now`, `today`, …), in any letter case and also where
 * messages break them apart. A word inside of another one counts as well, and so does what an escape may hide: whoever is told looks closer.
 */

const BACKSLASH = 0x5c;
const HEADER_BYTES = 5;
const WORDS = ['now', 'today', 'tomorrow', 'yesterday'];
const LONGEST = Math.max(...WORDS.map(({ length }) => length));
/** The second letter behind each first one. */
const BEGINNINGS = new Map(WORDS.map((word) => [word.charCodeAt(0), word.charCodeAt(1)]));

export class CopyWords {
  #found: 'nothing' | 'a word' = 'nothing';
  /** The end of the data so far: too short to say. */
  #tail: Buffer = Buffer.alloc(0);
  /** Bytes of a message's header that have come, and of its data that have not. */
  #header: Buffer = Buffer.alloc(0);
  #left = 0;

  get found(): 'nothing' | 'a word' {
    return this.#found;
  }

  /** `chunk`: CopyData messages, broken off anywhere. Nothing of it is kept but a few bytes. */
  feed(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && this.#found === 'nothing') {
      if (this.#left === 0) {
        const more = chunk.subarray(at, at + HEADER_BYTES - this.#header.length);
        at += more.length;
        this.#header = Buffer.concat([this.#header, more]);
        if (this.#header.length < HEADER_BYTES) return;
        this.#left = this.#header.readInt32BE(1) - 4;
        this.#header = Buffer.alloc(0);
        continue;
      }
      const data = chunk.subarray(at, at + this.#left);
      at += data.length;
      this.#left -= data.length;
      this.#look(Buffer.concat([this.#tail, data.subarray(0, LONGEST)]));
      this.#look(data);
      this.#tail = Buffer.concat([this.#tail, data.subarray(-LONGEST)]).subarray(-LONGEST);
    }
  }

  #look(data: Buffer): void {
    for (let at = 0; at < data.length; at++) {
      const byte = data[at] ?? 0;
      const next = data[at + 1] ?? 0;
      if (byte === BACKSLASH) {
        if (!isNumeric(next)) continue;
      } else {
        if (BEGINNINGS.get(byte | 0x20) !== (next | 0x20)) continue;
        const text = data.toString('latin1', at, at + LONGEST).toLowerCase();
        if (!WORDS.some((word) => text.startsWith(word))) continue;
      }
      this.#found = 'a word';
      return;
    }
  }
}

/** What makes a byte of its number: an octal digit, or x. */
function isNumeric(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x37) || byte === 0x78;
}
