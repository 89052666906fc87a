/** Where the parts of PREPARE and EXECUTE stand in a text, of which the tree tells only what they are. */
import { byteOf, continuesWord, isSpace } from './bytes.ts';
import { endOfBlockComment, endOfDollarString, endOfLine, endOfQuotedName, endOfString } from './literals.ts';
import type { Span } from './statement.ts';

/** `PREPARE name (types) AS query`: the query, up to the end of the statement. */
export function queryOfPrepare(text: Buffer, statement: Span): Span {
  let depth = 0;
  for (const { start, end } of tokens(text, statement)) {
    const byte = text[start];
    if (byte === byteOf.open) depth++;
    else if (byte === byteOf.close) depth--;
    else if (depth === 0 && end - start === 2 && text.toString('latin1', start, end).toLowerCase() === 'as')
      return { start: end, end: statement.end };
  }
  return { start: statement.end, end: statement.end };
}

/** `EXECUTE name (arguments)`: from the parenthesis to the end of the statement; undefined where it has none. */
export function argumentsOfExecute(text: Buffer, statement: Span): Span | undefined {
  for (const { start } of tokens(text, statement)) {
    if (text[start] === byteOf.open) return { start, end: statement.end };
  }
  return undefined;
}

/** Words, quoted names and constants whole; everything else byte by byte. Space and comments are none. */
function* tokens(text: Buffer, { start, end }: Span): Generator<Span> {
  let at = start;
  while (at < end) {
    const from = at;
    at = endOfToken(text, at);
    if (at <= from || at > end) return;
    if (!isSpace(text[from] ?? 0) && !isComment(text, from)) yield { start: from, end: at };
  }
}

function endOfToken(text: Buffer, at: number): number {
  const byte = text[at] ?? 0;
  const next = text[at + 1];
  if (isSpace(byte)) return at + 1;
  if (byte === byteOf.minus && next === byteOf.minus) return endOfLine(text, at);
  if (byte === byteOf.slash && next === byteOf.star) return endOfBlockComment(text, at);
  if (byte === byteOf.doubleQuote) return endOfQuotedName(text, at);
  if (byte === byteOf.quote) return endOfString(text, at, 'doubling');
  if (byte === byteOf.dollar) return endOfDollarString(text, at) || at + 1;
  let behind = at;
  while (continuesWord[text[behind] ?? 0] === 1) behind++;
  return Math.max(behind, at + 1);
}

function isComment(text: Buffer, at: number): boolean {
  const next = text[at + 1];
  return (text[at] === byteOf.minus && next === byteOf.minus) || (text[at] === byteOf.slash && next === byteOf.star);
}
