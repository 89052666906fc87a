/**
 * Several DSNs in one variable, separated by commas. A comma may also stand in a password, so a comma separates only where a DSN
 * begins after it: `postgres://`, `postgresql://`, or one of libpq's parameters and `=`. Commas inside the quotes of a
 * key=value form never separate. Where a password has a comma before such a beginning, it must be encoded (%2C) or quoted.
 */
import { dsnParameters } from './dsn-parameters.ts';
import { hasScheme } from './dsn-syntax.ts';

/** Commas that are followed by the beginning of a DSN, or by nothing. */
const separator = new RegExp(`,[\\s,]*(?=postgres(?:ql)?://|(?:${Object.keys(dsnParameters).join('|')})\\s*=|$)`, 'g');

/** The DSNs without space around them, '' where there is nothing between two commas. At least one. */
export function splitDsns(text: string): readonly string[] {
  const dsns: string[] = [];
  let rest = text.trim();
  for (;;) {
    const found = findSeparator(rest);
    if (found === undefined) return [...dsns, rest];
    dsns.push(rest.slice(0, found.start).trim());
    for (const _ of rest.slice(found.start + 1, found.end).replaceAll(/[^,]/g, '')) dsns.push('');
    rest = rest.slice(found.end);
  }
}

function findSeparator(text: string): { start: number; end: number } | undefined {
  const quoted = hasScheme(text) ? [] : quotedRanges(text);
  for (const match of text.matchAll(separator)) {
    const start = match.index;
    if (!quoted.some((range) => range.start < start && start < range.end))
      return { start, end: start + match[0].length };
  }
  return undefined;
}

/** The quoted values of a key=value form, from quote to quote; an unterminated one ends with the text. */
function quotedRanges(text: string): readonly { start: number; end: number }[] {
  return [...text.matchAll(/=\s*('(?:[^'\\]|\\[^])*(?:'|$))|=\s*(?:[^\s\\]|\\[^])*/g)]
    .filter((match) => match[1] !== undefined)
    .map((match) => ({
      start: match.index + match[0].length - (match[1]?.length ?? 0),
      end: match.index + match[0].length,
    }));
}
