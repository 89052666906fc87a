/**
 * String constants that PostgreSQL's date and time input reads as a moment relative to the clock: `'now'`,
 * `'today 10:00'`, `' TOMORROW'` (manual, "Special Date/Time Inputs").
 *
 * The constant's type is not known here, so every constant that such an input could take counts, and prose that only
 * holds the word does not. Where it is not sure, it counts.
 */

import { isTimeToken, isZoneName } from './time-vocabulary.ts';

export const timeWords = ['now', 'today', 'tomorrow', 'yesterday', 'allballs'] as const;
export type TimeWord = (typeof timeWords)[number];

/** The input routine takes no more than 153 bytes of fields, white space and punctuation between them not counted. */
const longestInput = 160;
/** A value longer than this, most of it white space, is not looked at more closely. */
const longestValue = 512;
const codes = timeWords.map((word) => ({ word, bytes: Buffer.from(word) }));

const WHITE_SPACE: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0b, 0x0c, 0x0d]);
/** Of a row, `(a,now)`, an array, `{now}` or `[1:1]={now}`, a range or several, `[now,)`, by its first byte. */
const BEGIN_LIST: ReadonlySet<number> = new Set(Buffer.from('({['));
const BETWEEN_FIELDS: ReadonlySet<number> = new Set(Buffer.from('(){}[],'));

/** Reads a constant's value byte by byte, from `begin` to `end`. */
export class TimeWordReader {
  readonly #run = new Uint8Array(10);
  readonly #value = Buffer.alloc(longestValue);
  #length = 0;
  #runLength = 0;
  #significant = 0;
  /** Whether it begins as a list does: each field of it may be a time, and is looked at by itself. */
  #list: 'unknown' | 'no' | 'yes' = 'unknown';
  /** In the value, or the field, so far. */
  #found: TimeWord | undefined;
  /** Of a field that is over. */
  #word: TimeWord | undefined;
  /** Letters of the field so far: without any it is a number, or a moment that says which. */
  #letters = 0;
  /** What is known of the whole list: all fields of an array or range are times, or none is; of a row, any may be one. */
  #kind: 'array or range' | 'with rows' | 'no times' = 'array or range';

  begin(): void {
    this.#beginField();
    this.#list = 'unknown';
    this.#word = undefined;
    this.#kind = 'array or range';
  }

  #beginField(): void {
    this.#length = 0;
    this.#runLength = 0;
    this.#significant = 0;
    this.#letters = 0;
    this.#found = undefined;
  }

  /** False once nothing that follows can matter. */
  get wants(): boolean {
    if (this.#list !== 'yes') return this.#significant <= longestInput;
    return this.#kind === 'with rows' ? this.#word === undefined : this.#kind !== 'no times';
  }

  byte(byte: number): void {
    // Within a range or a row they say how to read what stands beside them, and are no part of it.
    if (byte === 0x22 || byte === 0x5c) return;
    if (this.#list === 'unknown' && !WHITE_SPACE.has(byte)) this.#list = BEGIN_LIST.has(byte) ? 'yes' : 'no';
    if (this.#list === 'yes' && BETWEEN_FIELDS.has(byte)) {
      this.#endOfList();
      if (byte === 0x28 && this.#kind === 'array or range') this.#kind = 'with rows';
      this.#beginField();
      return;
    }
    if (this.#length < longestValue) this.#value[this.#length] = byte;
    this.#length++;
    const lower = byte | 0x20;
    if (lower >= 0x61 && lower <= 0x7a && byte < 0x80) {
      if (this.#runLength < 10) this.#run[this.#runLength] = lower;
      this.#runLength++;
      this.#letters++;
      this.#significant++;
      return;
    }
    if (byte >= 0x30 && byte <= 0x39) this.#significant++;
    if (this.#runLength > 0) this.#endRun();
  }

  /** The first special word, where the whole value may be a time, or a field of it. */
  end(): TimeWord | undefined {
    if (this.#list === 'yes') {
      this.#endOfList();
      return this.#kind === 'no times' ? undefined : this.#word;
    }
    const word = this.#endField();
    return word === 'strange' ? undefined : word;
  }

  /** Of a field of a list. */
  #endOfList(): void {
    const word = this.#letters === 0 ? undefined : this.#endField();
    if (word !== 'strange') this.#word ??= word;
    else if (this.#kind === 'array or range') this.#kind = 'no times';
  }

  /** `strange`: it is no time. */
  #endField(): TimeWord | 'strange' | undefined {
    if (this.#runLength > 0) this.#endRun();
    if (this.#significant > longestInput) return 'strange';
    if (this.#length > longestValue) return this.#found;
    if (this.#found === undefined && this.#list !== 'yes') return undefined;
    return specialWord(this.#value.toString('latin1', 0, this.#length));
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

/** The special word in `bytes[start..end)`, where the whole could be date or time input. */
export function timeWordIn(bytes: Uint8Array, start: number, end: number): TimeWord | undefined {
  if (end - start < 3) return undefined;
  reader.begin();
  for (let at = start; at < end && reader.wants; at++) reader.byte(bytes[at] ?? 0);
  return reader.end();
}

/**
 * Fields as ParseDateTime (src/backend/utils/adt/datetime.c) takes them, in its order: a time; a date or number with
 * its delimiters; a sign with what it belongs to; a word. All else between fields is skipped.
 */
const nextField =
  /\d+:[\d:.]*|\d+([-/.])(?:\d+(?:\1\d*)*|(?:[A-Za-z0-9]|\1)*)|\d+|[-+]\s*(?:\d[\d:.-]*|[A-Za-z]+)|[A-Za-z]+/g;
/** What makes a word the beginning of a date or of a zone's name, and how that goes on. */
const compound = /[-/.][-+/_.:A-Za-z0-9]*/y;
const zoneWithOffset = /[+0-9][-+/_.:A-Za-z0-9]*/y;

function specialWord(value: string): TimeWord | 'strange' | undefined {
  let found: TimeWord | undefined;
  let strangers = 0;
  nextField.lastIndex = 0;
  for (let match = nextField.exec(value); match !== null; match = nextField.exec(value)) {
    const [field] = match;
    if (!/^[A-Za-z]+$/.test(field)) continue;
    const word = field.toLowerCase();
    const special = timeWords.find((one) => one === word);
    const known = special !== undefined || isTimeToken(word);
    const longer = goesOn(compound, value) || (!known && goesOn(zoneWithOffset, value));
    if (longer) continue;
    if (special !== undefined) found ??= special;
    else if (!known && !isZoneName(word)) {
      // A server may have abbreviations of its own; nobody writes them in small letters.
      const abbreviation = field.length <= 6 && field === field.toUpperCase();
      strangers += abbreviation ? 1 : 2;
    }
  }
  return strangers > 1 ? 'strange' : found;
}

/** Moves on behind what `how` matches at the place that has been reached, if it does. */
function goesOn(how: RegExp, value: string): boolean {
  how.lastIndex = nextField.lastIndex;
  if (!how.test(value)) return false;
  nextField.lastIndex = how.lastIndex;
  return true;
}
