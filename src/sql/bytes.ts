/** Bytes as PostgreSQL's scanner classes them (src/backend/parser/scan.l), for the normaliser's dispatch. */

export const byteOf = {
  doubleQuote: 0x22,
  dollar: 0x24,
  ampersand: 0x26,
  quote: 0x27,
  open: 0x28,
  close: 0x29,
  star: 0x2a,
  plus: 0x2b,
  comma: 0x2c,
  minus: 0x2d,
  dot: 0x2e,
  slash: 0x2f,
  zero: 0x30,
  one: 0x31,
  colon: 0x3a,
  semicolon: 0x3b,
  backslash: 0x5c,
  openBracket: 0x5b,
  closeBracket: 0x5d,
  underscore: 0x5f,
  space: 0x20,
  newline: 0x0a,
  carriageReturn: 0x0d,
} as const;

/** What a token that begins with this byte may be. */
export const startsWith = {
  operator: 0,
  space: 1,
  word: 2,
  digit: 3,
  quote: 4,
  doubleQuote: 5,
  dollar: 6,
  minus: 7,
  slash: 8,
  open: 9,
  close: 10,
  comma: 11,
  semicolon: 12,
  dot: 13,
} as const;

/** Token class by first byte. */
export const tokenClass = new Uint8Array(256);
/** 1 for what goes on with a word: `ident_cont` of scan.l, with every byte from 0x80 up. */
export const continuesWord = new Uint8Array(256);
/** 1 for what goes on with the tag of a dollar quote: as a word, without the dollar. */
export const continuesTag = new Uint8Array(256);

function fill(table: Uint8Array, first: number, last: number, value: number): void {
  for (let byte = first; byte <= last; byte++) table[byte] = value;
}

for (const table of [continuesWord, continuesTag]) {
  fill(table, 0x41, 0x5a, 1);
  fill(table, 0x61, 0x7a, 1);
  fill(table, 0x30, 0x39, 1);
  fill(table, 0x80, 0xff, 1);
  table[byteOf.underscore] = 1;
}
continuesWord[byteOf.dollar] = 1;

fill(tokenClass, 0x41, 0x5a, startsWith.word);
fill(tokenClass, 0x61, 0x7a, startsWith.word);
fill(tokenClass, 0x80, 0xff, startsWith.word);
tokenClass[byteOf.underscore] = startsWith.word;
fill(tokenClass, 0x30, 0x39, startsWith.digit);
fill(tokenClass, 0x09, 0x0d, startsWith.space);
tokenClass[byteOf.space] = startsWith.space;
tokenClass[byteOf.quote] = startsWith.quote;
tokenClass[byteOf.doubleQuote] = startsWith.doubleQuote;
tokenClass[byteOf.dollar] = startsWith.dollar;
tokenClass[byteOf.minus] = startsWith.minus;
tokenClass[byteOf.slash] = startsWith.slash;
tokenClass[byteOf.open] = startsWith.open;
tokenClass[byteOf.openBracket] = startsWith.open;
tokenClass[byteOf.close] = startsWith.close;
tokenClass[byteOf.closeBracket] = startsWith.close;
tokenClass[byteOf.comma] = startsWith.comma;
tokenClass[byteOf.semicolon] = startsWith.semicolon;
tokenClass[byteOf.dot] = startsWith.dot;

export function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

export function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

/** Value of a hexadecimal digit, or -1. */
export function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Error positions count characters: in UTF-8, every byte but the continuing ones. */
export function characters(text: Buffer, from: number, to: number): number {
  let count = 0;
  for (let at = from; at < to; at++) if (((text[at] ?? 0) & 0xc0) !== 0x80) count++;
  return count;
}
