/**
 * Where a constant or a comment ends, by the rules of PostgreSQL's scanner (src/backend/parser/scan.l; manual,
 * "Lexical Structure"). Offsets are bytes; every function gets the offset of the token's first byte and answers the
 * offset behind its last, or -1 where the text ends first.
 */

import { byteOf, continuesTag, continuesWord, hexValue, isDigit, isSpace } from './bytes.ts';
import { TimeWordReader, type TimeWord } from './time-word.ts';

const reader = new TimeWordReader();

/** A quote this far away is looked for by memchr. */
const shortScan = 48;

/** Offset of the next `wanted` byte at or behind `from`, or -1. */
function find(text: Buffer, wanted: number, from: number): number {
  const limit = Math.min(text.length, from + shortScan);
  for (let at = from; at < limit; at++) if (text[at] === wanted) return at;
  return limit === text.length ? -1 : text.indexOf(wanted, limit);
}

/**
 * A closed string goes on where only white space with a line break, and `--` comments, stand before the next quote.
 * Answers the offset of that quote, or -1. (libpg_query refuses the comments; PostgreSQL takes them.)
 */
function continuation(text: Buffer, from: number): number {
  let lines = 0;
  for (let at = from; at < text.length; at++) {
    const byte = text[at] ?? 0;
    if (byte === byteOf.quote) return lines > 0 ? at : -1;
    if (byte === byteOf.newline || byte === byteOf.carriageReturn) lines++;
    else if (byte === byteOf.minus && text[at + 1] === byteOf.minus) at = endOfLine(text, at) - 1;
    else if (!isSpace(byte)) return -1;
  }
  return -1;
}

/** Offset of the line break that ends a `--` comment, or of the end of the text. */
export function endOfLine(text: Buffer, start: number): number {
  let at = start;
  while (at < text.length && text[at] !== byteOf.newline && text[at] !== byteOf.carriageReturn) at++;
  return at;
}

/** A block comment: they nest. */
export function endOfBlockComment(text: Buffer, start: number): number {
  let depth = 1;
  let at = start + 2;
  while (at < text.length) {
    const byte = text[at];
    if (byte === byteOf.star && text[at + 1] === byteOf.slash) {
      at += 2;
      if (--depth === 0) return at;
    } else if (byte === byteOf.slash && text[at + 1] === byteOf.star) {
      at += 2;
      depth++;
    } else at++;
  }
  return -1;
}

/** `"…"`, with `""` for a quote. */
export function endOfQuotedName(text: Buffer, start: number): number {
  for (let at = find(text, byteOf.doubleQuote, start + 1); at >= 0; at = find(text, byteOf.doubleQuote, at + 2)) {
    if (text[at + 1] !== byteOf.doubleQuote) return at + 1;
  }
  return -1;
}

/**
 * `'…'` from its quote on, with all its continuations. `doubling`: whether `''` is a quote within it, which it is
 * not in `B''` and `X''`.
 */
export function endOfString(text: Buffer, quote: number, doubling: 'doubling' | 'plain'): number {
  let at = find(text, byteOf.quote, quote + 1);
  while (at >= 0) {
    if (doubling === 'doubling' && text[at + 1] === byteOf.quote) at = find(text, byteOf.quote, at + 2);
    else {
      const next = continuation(text, at + 1);
      if (next < 0) return at + 1;
      at = find(text, byteOf.quote, next + 1);
    }
  }
  return -1;
}

/** The special word in the value of a `'…'` that `endOfString` found to end at `end`. */
export function timeWordInString(text: Buffer, quote: number, end: number): TimeWord | undefined {
  if (end - quote < 5) return undefined;
  reader.begin();
  for (let at = quote + 1; at < end - 1 && reader.wants; at++) {
    const byte = text[at] ?? 0;
    if (byte !== byteOf.quote) reader.byte(byte);
    else if (text[at + 1] === byteOf.quote) reader.byte(text[at++] ?? 0);
    else at = continuation(text, at + 1);
  }
  return reader.end();
}

/** `$tag$…$tag$`; 0 where the dollar at `start` opens no such string. */
export function endOfDollarString(text: Buffer, start: number): number {
  let at = start + 1;
  if (isDigit(text[at] ?? 0)) return 0;
  while (continuesTag[text[at] ?? 0] === 1) at++;
  if (text[at] !== byteOf.dollar) return 0;
  const tag = text.subarray(start, at + 1);
  const close = text.indexOf(tag, at + 1);
  return close < 0 ? -1 : close + tag.length;
}

export interface EscapeString {
  readonly end: number;
  /**
   * Its escapes could be wrong (a code point, a byte beyond ASCII): only the parser can say, so it has to be handed
   * over as it is.
   */
  readonly opaque: boolean;
  readonly word: TimeWord | undefined;
}

const unterminated: EscapeString = { end: -1, opaque: false, word: undefined };

/** From here on the escapes of one string are not looked at: a wrong one is left to the server to refuse. */
const inspected = 4096;

/** The string of an `E''` from its quote on, with its continuations. */
export function readEscapeString(text: Buffer, quote: number): EscapeString {
  reader.begin();
  let opaque = false;
  let at = quote + 1;
  for (;;) {
    const byte = text[at];
    if (byte === undefined) return unterminated;
    if (byte === byteOf.quote) {
      if (text[at + 1] === byteOf.quote) {
        reader.byte(byteOf.quote);
        at += 2;
        continue;
      }
      const next = continuation(text, at + 1);
      if (next < 0) return { end: at + 1, opaque, word: reader.end() };
      at = next + 1;
    } else if (byte !== byteOf.backslash) {
      reader.byte(byte);
      at++;
      if (at - quote > inspected) {
        if (reader.wants) opaque = true;
        at = skipToQuote(text, at);
      }
    } else {
      const escape = text[at + 1];
      if (escape === undefined) return unterminated;
      if (escape >= 0x30 && escape <= 0x37) {
        let value = 0;
        let digits = 0;
        at++;
        for (; digits < 3; digits++, at++) {
          const digit = text[at] ?? 0;
          if (digit < 0x30 || digit > 0x37) break;
          value = value * 8 + digit - 0x30;
        }
        if (value === 0 || value > 0x7f) opaque = true;
        reader.byte(value & 0xff);
      } else if (escape === 0x78 && hexValue(text[at + 2] ?? 0) >= 0) {
        let value = hexValue(text[at + 2] ?? 0);
        const second = hexValue(text[at + 3] ?? 0);
        if (second >= 0) value = value * 16 + second;
        if (value === 0 || value > 0x7f) opaque = true;
        reader.byte(value);
        at += second >= 0 ? 4 : 3;
      } else {
        if ((escape | 0x20) === 0x75) opaque = true;
        // \b \f \n \r \t are white space or control; any other byte stands for itself.
        reader.byte('bfnrt'.includes(String.fromCharCode(escape)) ? byteOf.space : escape);
        at += 2;
      }
    }
  }
}

/** Offset of the next quote that no backslash escapes, or of the text's end. */
function skipToQuote(text: Buffer, from: number): number {
  for (let at = text.indexOf(byteOf.quote, from); at >= 0; at = text.indexOf(byteOf.quote, at + 1)) {
    let backslashes = 0;
    while (at - backslashes > from && text[at - backslashes - 1] === byteOf.backslash) backslashes++;
    if (backslashes % 2 === 0) return at;
  }
  return text.length;
}

export interface NumberToken {
  readonly end: number;
  /** `small`: fits int4, what the grammar calls ICONST; `other`: FCONST; `junk`: PostgreSQL refuses it. */
  readonly kind: 'small' | 'other' | 'junk';
  /** `new`: other digits than decimal ones, or underscores between them, which PostgreSQL reads from 16 on. */
  readonly spelling: 'old' | 'new';
}

/** One of another spelling, among what may differ between servers. */
export const NEW_NUMBER = 'a number as PostgreSQL reads it from 16 on';

/** A numeric constant at `start`, which is a digit, or a dot before one. */
export function readNumber(text: Buffer, start: number): NumberToken {
  let at = start;
  let spelling: NumberToken['spelling'] = 'old';
  let kind: NumberToken['kind'] = 'small';
  const second = (text[start + 1] ?? 0) | 0x20;
  if (text[start] === byteOf.zero && (second === 0x78 || second === 0x6f || second === 0x62)) {
    spelling = 'new';
    at = digits(text, start + 2, second === 0x78 ? 16 : second === 0x6f ? 8 : 2, 'may begin with _');
    kind = at === start + 2 ? 'junk' : fitsInt4(text, start, at) ? 'small' : 'other';
  } else {
    at = digits(text, start, 10, 'digit first');
    // `1..2` is 1, then `..`
    if (text[at] === byteOf.dot && (at === start || text[at + 1] !== byteOf.dot)) {
      at = digits(text, at + 1, 10, 'digit first');
      kind = 'other';
    } else if (!fitsInt4(text, start, at)) kind = 'other';
    if (((text[at] ?? 0) | 0x20) === 0x65) {
      const sign = text[at + 1] === byteOf.plus || text[at + 1] === byteOf.minus ? 1 : 0;
      const exponent = digits(text, at + 1 + sign, 10, 'digit first');
      kind = exponent === at + 1 + sign ? 'junk' : 'other';
      at = exponent;
    }
  }
  if (continuesWord[text[at] ?? 0] === 1 && text[at] !== byteOf.dollar) {
    kind = 'junk';
    while (continuesWord[text[at] ?? 0] === 1) at++;
  }
  for (let place = start; place < at; place++) if (text[place] === byteOf.underscore) spelling = 'new';
  return { end: at, kind, spelling };
}

/** Digits of `base` with single underscores between them. */
function digits(text: Buffer, start: number, base: number, first: 'digit first' | 'may begin with _'): number {
  let at = start;
  for (;;) {
    const underscore = text[at] === byteOf.underscore && (at > start || first === 'may begin with _') ? 1 : 0;
    const value = hexValue(text[at + underscore] ?? 0);
    if (value < 0 || value >= base) return at;
    at += underscore + 1;
  }
}

function fitsInt4(text: Buffer, start: number, end: number): boolean {
  if (end - start < 10) return true;
  return Number(text.toString('latin1', start, end).replaceAll('_', '')) <= 0x7fffffff;
}
