/**
 * String constants that PostgreSQL's date and time input reads as a moment relative to the clock: `'now'`,
 * `'today 10:00'`, `' TOMORROW'` (manual, "Special Date/Time Inputs").
 *
 * The constant's type is not known here, so every constant that such an input would take counts. The input routine
 * (ParseDateTime) skips white space and punctuation and takes no more than 153 bytes and 25 fields of the rest.
 */

export const timeWords = ['now', 'today', 'tomorrow', 'yesterday', 'allballs'] as const;
export type TimeWord = (typeof timeWords)[number];

const longestInput = 160;
const codes = timeWords.map((word) => ({ word, bytes: Buffer.from(word) }));

/** Reads a constant's value byte by byte; `found` is meaningful after `end`. */
export class TimeWordReader {
  #run = new Uint8Array(10);
  #runLength = 0;
  #significant = 0;
  #found: TimeWord | undefined;

  begin(): void {
    this.#runLength = 0;
    this.#significant = 0;
    this.#found = undefined;
  }

  /** False once nothing that follows can matter. */
  get wants(): boolean {
    return this.#significant <= longestInput;
  }

  byte(byte: number): void {
    const lower = byte | 0x20;
    if (lower >= 0x61 && lower <= 0x7a && byte < 0x80) {
      if (this.#runLength < 10) this.#run[this.#runLength] = lower;
      this.#runLength++;
      this.#significant++;
      return;
    }
    if (byte >= 0x30 && byte <= 0x39) this.#significant++;
    if (this.#runLength > 0) this.#endRun();
  }

  end(): TimeWord | undefined {
    if (this.#runLength > 0) this.#endRun();
    return this.wants ? this.#found : undefined;
  }

  #endRun(): void {
    const length = this.#runLength;
    this.#runLength = 0;
    if (length < 3 || length > 9 || this.#found !== undefined) return;
    for (const { word, bytes } of codes) {
      if (bytes.length !== length) continue;
      let at = 0;
      while (at < length && bytes[at] === this.#run[at]) at++;
      if (at === length) this.#found = word;
    }
  }
}

const reader = new TimeWordReader();

/** The first special word in `bytes[start..end)`, where the whole could be date or time input. */
export function timeWordIn(bytes: Uint8Array, start: number, end: number): TimeWord | undefined {
  if (end - start < 3) return undefined;
  reader.begin();
  for (let at = start; at < end && reader.wants; at++) reader.byte(bytes[at] ?? 0);
  return reader.end();
}
