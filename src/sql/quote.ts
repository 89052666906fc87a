/** Names and constants as SQL text that PostgreSQL reads back as the same value, whatever they contain. */

import type { QualifiedName } from './statement.ts';

/** `name` as a quoted identifier: always quoted, so that case and keywords do not matter. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/**
 * `text` as a string constant for a server with standard_conforming_strings on, where a backslash is itself. With
 * it off, and a backslash in `text`, the server would read something else: prefer `E''` there.
 */
export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** `text` as a string constant in ASCII, which means the same whatever client_encoding and standard_conforming_strings are. */
export function quoteEscaped(text: string): string {
  const escaped = text.replace(/['\\]|[^\x20-\x7e]/gu, (one) => {
    const code = one.codePointAt(0) ?? 0;
    if (one === "'" || one === '\\') return one + one;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
  return `E'${escaped}'`;
}

/** `"schema"."name"`, or `"name"` where it has no schema. */
export function qualified(name: QualifiedName): string {
  return name.schema === undefined
    ? quoteIdentifier(name.name)
    : `${quoteIdentifier(name.schema)}.${quoteIdentifier(name.name)}`;
}

/** The other way round, of what is quoted where it has to be; undefined where it is not qualified. */
export function partsOf(text: string): { readonly schema: string; readonly name: string } | undefined {
  const parts = /^(?:"((?:[^"]|"")+)"|([^".]+))\.(?:"((?:[^"]|"")+)"|([^".]+))$/.exec(text);
  const [, quotedSchema, schema, quotedName, name] = parts ?? [];
  const found = {
    schema: quotedSchema?.replaceAll('""', '"') ?? schema,
    name: quotedName?.replaceAll('""', '"') ?? name,
  };
  return found.schema === undefined || found.name === undefined
    ? undefined
    : { schema: found.schema, name: found.name };
}

/** Of a statement of ours: comments, escape string constants, and others. */
const CONSTANTS = /--[^\n]*|\bE'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'/gs;

/** The same statement, without its comments, so that it means the same whatever standard_conforming_strings is. */
export function withEscapes(text: string): string {
  return text.replace(CONSTANTS, (one) => {
    if (one.startsWith('--')) return '';
    return one.startsWith("'") && one.includes('\\') ? `E${one.replaceAll('\\', '\\\\')}` : one;
  });
}
