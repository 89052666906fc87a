/** Reading PostgreSQL's parse tree as libpg_query writes it: JSON in which a default value is simply absent. */

import type { Node, RangeVar } from 'libpg-query';
import { identifierType } from './keyword-nodes.ts';
import type { QualifiedName } from './statement.ts';

/** A node without its tag: whatever fields it has. */
export type Fields = Readonly<Record<string, unknown>>;

export interface Tagged {
  readonly tag: string;
  readonly fields: Fields;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `{ "A_Const": { … } }` taken apart; undefined for a list, a scalar, or fields whose type their place tells. */
export function tagged(value: unknown): Tagged | undefined {
  if (!isFields(value)) return undefined;
  let only: string | undefined;
  for (const key in value) {
    if (only !== undefined) return undefined;
    only = key;
  }
  if (only === undefined) return undefined;
  const first = only.charCodeAt(0);
  const fields = value[only];
  return first >= 0x41 && first <= 0x5a && isFields(fields) ? { tag: only, fields } : undefined;
}

/** Fields of `value` where it is a node of this kind. */
export function nodeOf(value: unknown, tag: string): Fields | undefined {
  const node = tagged(value);
  return node?.tag === tag ? node.fields : undefined;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A list of String nodes as text; other members (`*`) are left out. */
export function stringsOf(value: unknown): string[] {
  const strings: string[] = [];
  for (const item of listOf(value)) {
    const text = stringOf(item);
    if (text !== undefined) strings.push(text);
  }
  return strings;
}

export function stringOf(value: unknown): string | undefined {
  const fields = nodeOf(value, 'String');
  if (fields === undefined) return undefined;
  return typeof fields['sval'] === 'string' ? fields['sval'] : '';
}

/** `[catalog.][schema.]name` */
export function nameOf(parts: readonly string[]): QualifiedName {
  return { schema: parts.length > 1 ? parts[parts.length - 2] : undefined, name: parts[parts.length - 1] ?? '' };
}

export function relationName(relation: Pick<RangeVar, 'schemaname' | 'relname'> | undefined): QualifiedName {
  return { schema: relation?.schemaname, name: relation?.relname ?? '' };
}

/** The text of a string constant, a cast of one (`'s'::regclass`) included; undefined for anything else. */
export function constantText(value: unknown): string | undefined {
  let inner = value;
  for (let cast = nodeOf(inner, 'TypeCast'); cast !== undefined; cast = nodeOf(inner, 'TypeCast')) inner = cast['arg'];
  const text = nodeOf(inner, 'A_Const')?.['sval'];
  if (!isFields(text)) return undefined;
  return typeof text['sval'] === 'string' ? text['sval'] : '';
}

/** Types of a cast by which a name stays one. */
const nameTypes: ReadonlySet<string> = new Set(['text', 'varchar', 'regclass']);

/** The number of a parameter, casts to text and regclass included (`$1::text::regclass`); undefined for anything else. */
export function nameParameter(value: unknown): number | undefined {
  let inner = value;
  for (let cast = nodeOf(inner, 'TypeCast'); cast !== undefined; cast = nodeOf(inner, 'TypeCast')) {
    const type = castType(cast);
    if (type === undefined || !nameTypes.has(type)) return undefined;
    inner = cast['arg'];
  }
  const parameter = nodeOf(inner, 'ParamRef')?.['number'];
  return typeof parameter === 'number' ? parameter : undefined;
}

/** The built-in type of a cast, without its schema; undefined where it is an array or a user's. */
export function castType(cast: Fields): string | undefined {
  const type = cast['typeName'];
  if (!isFields(type) || type['arrayBounds'] !== undefined || type['setof'] === true) return undefined;
  const { schema, name } = nameOf(stringsOf(type['names']));
  return schema === undefined || schema === 'pg_catalog' ? name : undefined;
}

/** Whether PostgreSQL takes a text for an object's number, or for no object, instead of its name (regclassin and its kin). */
export function isObjectNumber(text: string): boolean {
  return /^\s*([-+]?\d*|-)\s*$/.test(text);
}

/** An option's value (`DefElem.arg`) as the server's defGetBoolean takes it; undefined where it would refuse it. */
export function booleanOption(value: unknown): boolean | undefined {
  if (value === undefined) return true;
  const node = tagged(value);
  if (node === undefined) return undefined;
  if (node.tag === 'Boolean') return node.fields['boolval'] === true;
  if (node.tag === 'Integer') return integerBoolean(node.fields['ival']);
  // An unquoted word may have been taken for a type's name.
  const text = (stringOf(value) ?? stringsOf(node.fields['names']).join('.')).toLowerCase();
  if (text === 'true' || text === 'on') return true;
  return text === 'false' || text === 'off' ? false : undefined;
}

/** The last option (DefElem) of this name, as the server reads options. */
export function optionOf(options: readonly Node[] | undefined, name: string): { readonly value: unknown } | undefined {
  let found: { readonly value: unknown } | undefined;
  for (const option of options ?? []) {
    const element = nodeOf(option, 'DefElem');
    if (element?.['defname'] === name) found = { value: element['arg'] };
  }
  return found;
}

function integerBoolean(value: unknown): boolean | undefined {
  if (value === undefined || value === 0) return false;
  return value === 1 ? true : undefined;
}

/** A setting's value as parse_bool reads it: unique prefixes of true, false, yes, no, on and off, and 1 and 0. */
export function booleanSetting(value: Node | undefined): boolean | undefined {
  const constant = nodeOf(value, 'A_Const');
  if (constant === undefined) return undefined;
  const integer = constant['ival'];
  if (isFields(integer)) return integerBoolean(integer['ival']);
  const literal = constant['boolval'];
  if (isFields(literal)) return literal['boolval'] === true;
  const text = (constantText(value) ?? '').toLowerCase();
  if (text === '') return undefined;
  if (text === '1' || text === 'on') return true;
  if (text === '0' || text === 'of' || text === 'off') return false;
  if ('true'.startsWith(text) || 'yes'.startsWith(text)) return true;
  return 'false'.startsWith(text) || 'no'.startsWith(text) ? false : undefined;
}

const temporarySchema = /^pg_temp(_\d+)?$/;

/** Whether a schema is the session's own for temporary objects. */
/** Why a statement that names temporary objects as such is the lead's. */
export const TEMPORARY = 'temporary object';

export function isTemporarySchema(schema: string | undefined): boolean {
  return schema !== undefined && temporarySchema.test(schema);
}

const readsFrom = ['relname', 'RangeFunction', 'RangeTableFunc', 'JsonTable', 'CurrentOfExpr'];

/** Whether anything below stands in a FROM, or is a cursor's row. */
export function readsRelation(value: unknown): boolean {
  const waiting = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    const parent = next;
    if (readsFrom.some((key) => key in parent)) return true;
    for (const child of Object.values(parent)) if (child !== undefined) waiting.push(child);
  }
  return false;
}

/** Whether an assignment of SET gives its column the keyword DEFAULT: `a = DEFAULT`, `(a, b) = (DEFAULT, 5)`. */
export function givesDefault(target: unknown): boolean {
  const value = nodeOf(target, 'ResTarget')?.['val'];
  const several = nodeOf(value, 'MultiAssignRef');
  const given =
    several === undefined
      ? value
      : listOf(nodeOf(several['source'], 'RowExpr')?.['args'])[Number(several['colno']) - 1];
  return nodeOf(given, 'SetToDefault') !== undefined;
}

/** PostgreSQL's own of values that may hold an enum, which is hashed by its label's OID. */
const HASHES = /^hash(enum|_array|_record|_range|_multirange)(_?extended)?$/;

/** Whether an expression may depend on an object's OID: names it as one (`::regclass`), or its row's table. */
export function hasObjectNumbers(expression: unknown): boolean {
  const waiting = [expression];
  while (waiting.length > 0) {
    const value = waiting.pop();
    if (Array.isArray(value)) waiting.push(...(value as unknown[]));
    if (!isFields(value)) continue;
    const column = stringOf(listOf(nodeOf(value, 'ColumnRef')?.['fields']).at(-1));
    const cast = nodeOf(value, 'TypeCast');
    const called = nameOf(stringsOf(nodeOf(value, 'FuncCall')?.['funcname'])).name;
    if (HASHES.test(called)) return true;
    if (column === 'tableoid' || (cast !== undefined && identifierType.test(castType(cast) ?? ''))) return true;
    waiting.push(...Object.values(value));
  }
  return false;
}
