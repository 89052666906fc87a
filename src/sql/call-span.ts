/** Where a call ends in a normalised text, of which the tree tells only where it begins. */

import { byteOf, continuesWord } from './bytes.ts';
import { endOfQuotedName } from './literals.ts';
import type { Span } from './statement.ts';

function skipSpace(text: Buffer, at: number): number {
  return text[at] === byteOf.space ? at + 1 : at;
}

/** `now()`, `pg_catalog . "now" ( )`: a possibly qualified name and empty parentheses. */
export function emptyCallSpan(text: Buffer, start: number): Span | undefined {
  let at = start;
  for (;;) {
    const before = at;
    if (text[at] === byteOf.doubleQuote) at = endOfQuotedName(text, at);
    else while (continuesWord[text[at] ?? 0] === 1) at++;
    if (at <= before) return undefined;
    at = skipSpace(text, at);
    if (text[at] !== byteOf.dot) break;
    at = skipSpace(text, at + 1);
  }
  if (text[at] !== byteOf.open) return undefined;
  at = skipSpace(text, at + 1);
  return text[at] === byteOf.close ? { start, end: at + 1 } : undefined;
}

/** `CURRENT_TIMESTAMP`, `LOCALTIME (3)`: the keyword must be there, so that nothing else is ever cut out. */
export function keywordSpan(
  text: Buffer,
  start: number,
  keyword: string,
  precision: 'precision' | 'plain',
): Span | undefined {
  let at = start + keyword.length;
  if (text.toString('latin1', start, at).toUpperCase() !== keyword || continuesWord[text[at] ?? 0] === 1)
    return undefined;
  if (precision === 'plain') return { start, end: at };
  at = skipSpace(text, at);
  if (text[at] !== byteOf.open) return undefined;
  const close = text.indexOf(byteOf.close, at);
  return close < 0 ? undefined : { start, end: close + 1 };
}
