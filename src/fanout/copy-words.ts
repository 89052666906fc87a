/**
 * Watches the data of a COPY for words that a server reads as a moment of its own (`now`, `today`, …), in any letter case, also where
 * messages break them apart, and where escapes and quotes stand within them. A word inside of another one counts as well, and so does what a
 * number in an escape may hide: whoever is told looks closer.
 */

const HEADER_BYTES = 5;
const WORDS = ['now', 'today', 'tomorrow', 'yesterday'];
/** What may have come of a word, the empty one first. */
const BEGUN = [...new Set(['', ...WORDS.flatMap((word) => Array.from(word, (_, end) => word.slice(0, end + 1)))])];
const LETTERS = [...new Set(WORDS.join(''))];

/** Kinds of bytes; those behind are letters, by their place in LETTERS. */
const Kind = { other: 0, skipped: 1, backslash: 2, letters: 3 } as const;
const KINDS = kindsOfBytes();
/** By what has come of a word, and the letter that follows: what has come then. */
const NEXT = BEGUN.map((begun) => LETTERS.map((letter) => longestOf(begun + letter)));
const WHOLE = BEGUN.map((begun) => WORDS.includes(begun));

/** A backslash stands for what follows it, in an array once more; a quote of CSV may stand anywhere in a field. */
function kindsOfBytes(): Uint8Array {
  const kinds = new Uint8Array(256);
  for (let byte = 0x21; byte < 0x7f; byte++) {
    const sign = String.fromCharCode(byte);
    const letter = LETTERS.indexOf(sign.toLowerCase());
    if (letter !== -1) kinds[byte] = Kind.letters + letter;
    else if (!/[A-Za-z0-9,]/.test(sign)) kinds[byte] = sign === '\\' ? Kind.backslash : Kind.skipped;
  }
  return kinds;
}

/** Of what ends in it: in `nonow` a word has begun at its second `n`. */
function longestOf(text: string): number {
  for (let start = 0; ; start++) {
    const place = BEGUN.indexOf(text.slice(start));
    if (place !== -1) return place;
  }
}

export class CopyWords {
  #found: 'nothing' | 'a word';
  #begun = 0;
  #last: number = Kind.other;
  /** Bytes of a message's header that have come, and of its data that have not. */
  #header: Buffer = Buffer.alloc(0);
  #left = 0;

  /** `quotes`: whether words can be told at all. */
  constructor(quotes: 'the usual ones' | 'its own') {
    this.#found = quotes === 'its own' ? 'a word' : 'nothing';
  }

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
      const end = Math.min(chunk.length, at + this.#left);
      this.#look(chunk, at, end);
      this.#left -= end - at;
      at = end;
    }
  }

  #look(data: Buffer, start: number, end: number): void {
    let begun = this.#begun;
    let last = this.#last;
    for (let at = start; at < end; at++) {
      const byte = data[at] ?? 0;
      const kind = KINDS[byte] ?? Kind.other;
      if (last === Kind.backslash && isNumeric(byte)) {
        this.#found = 'a word';
        return;
      }
      last = kind;
      if (kind >= Kind.letters) {
        begun = NEXT[begun]?.[kind - Kind.letters] ?? 0;
        if (WHOLE[begun] === true) {
          this.#found = 'a word';
          return;
        }
      } else if (kind === Kind.other) begun = 0;
    }
    this.#begun = begun;
    this.#last = last;
  }
}

/** What makes a byte of its number: an octal digit, or x. */
function isNumeric(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x37) || byte === 0x78;
}
