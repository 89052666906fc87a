/** What single expressions of a tree are: names, numbers, texts that are read as something else. */
import type { QualifiedName } from './statement.ts';
import {
  castType,
  constantText,
  isFields,
  listOf,
  nameOf,
  nameParameter,
  nodeOf,
  stringsOf,
  tagged,
  type Fields,
} from './tree.ts';

/** What the server's FigureColname looks at. */
export function* namedBy(value: unknown): Generator<Fields> {
  let node = tagged(value);
  while (node !== undefined) {
    yield node.fields;
    if (node.tag === 'TypeCast' || node.tag === 'CollateClause' || node.tag === 'A_Indirection') {
      node = tagged(node.fields['arg']);
    } else if (node.tag === 'CaseExpr') node = tagged(node.fields['defresult']);
    else if (node.tag === 'SubLink') {
      // A query without a name for its only column hands on that column's.
      const select = nodeOf(node.fields['subselect'], 'SelectStmt');
      node = tagged(nodeOf(listOf(select?.['targetList'])[0], 'ResTarget')?.['val']);
    } else return;
  }
}

/** What a cast reads is told elsewhere, or is no text. */
export const SEEN: ReadonlySet<string> = new Set(['A_Const', 'ParamRef', 'SQLValueFunction']);
export const CLOCKS: ReadonlySet<string> = new Set(
  'now transaction_timestamp statement_timestamp clock_timestamp to_timestamp to_date make_date make_timestamp make_timestamptz date_trunc'.split(
    ' ',
  ),
);

/** Built-in types whose input reads no word of time. */
const PLAIN_TYPES: ReadonlySet<string> = new Set(
  `bool int2 int4 int8 float4 float8 numeric money text varchar bpchar char name json jsonb jsonpath uuid bytea xml interval
  oid inet cidr macaddr macaddr8 bit varbit point line lseg box path polygon circle tsvector tsquery int4range int8range
  numrange int4multirange int8multirange nummultirange pg_lsn regclass regproc regprocedure regoper regoperator regtype
  regnamespace regrole regconfig regdictionary regcollation`
    .trim()
    .split(/\s+/),
);

export function isPlainType(type: unknown): boolean {
  const { schema, name } = nameOf(isFields(type) ? stringsOf(type['names']) : []);
  return (schema === undefined || schema === 'pg_catalog') && PLAIN_TYPES.has(name);
}

/** Of a list of column definitions: `json_to_record(…) AS x (a text)`. */
export function isPlainColumn(definition: unknown): boolean {
  return isPlainType(nodeOf(definition, 'ColumnDef')?.['typeName']);
}

const MOMENT_TYPES = /^(date|time|timetz|timestamp|timestamptz|(date|ts|tstz)(multi)?range)$/;

export function isBuiltInType(type: Fields): boolean {
  return isPlainType(type) || MOMENT_TYPES.test(nameOf(stringsOf(type['names'])).name);
}

/** A function that reads a text into another type: a cast written as one, an input function. */
export function isReading(name: string, args: readonly unknown[]): boolean {
  return name.endsWith('_in') || (args.length === 1 && MOMENT_TYPES.test(name));
}

/** Built-in functions whose arguments or place count. */
export const specialCalls = new Set(['current_setting', 'nextval', 'setval', 'currval', 'lastval', 'set_config']);

/** A sequence that is named by a constant or a parameter. */
export function isNamed(value: unknown): boolean {
  return constantText(value) !== undefined || nameParameter(value) !== undefined;
}

/** A constant that is no text, and what is cast to a type that holds no name. */
/** Whether it is a number or a truth value whatever stands beside it: an operator beside it is no text's. */
export function isOfNumbers(value: unknown): boolean {
  const constant = nodeOf(value, 'A_Const');
  if (constant !== undefined) return 'ival' in constant || 'fval' in constant || 'boolval' in constant;
  const cast = nodeOf(value, 'TypeCast');
  if (cast !== undefined) return OF_NUMBERS.test(castType(cast) ?? '');
  return nodeOf(value, 'BoolExpr') !== undefined;
}

const OF_NUMBERS = /^(int[248]|oid|numeric|float[48]|bool|date|timestamp|timestamptz|uuid)$/;

export function isNumber(value: unknown): boolean {
  const cast = nodeOf(value, 'TypeCast');
  if (cast === undefined) return nodeOf(value, 'A_Const') !== undefined;
  return /^(int[248]|oid|numeric)$/.test(castType(cast) ?? '');
}

/** A constant object identifier other than 0, which would let the server choose one. */
export function isIdentifier(value: unknown): boolean {
  const number = nodeOf(value, 'A_Const')?.['ival'];
  if (isFields(number)) return typeof number['ival'] === 'number' && number['ival'] > 0;
  return /^0*[1-9]\d*$/.test(constantText(value) ?? '');
}

export function asText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

export function nameOfRelation(fields: Fields): QualifiedName {
  return { schema: asText(fields['schemaname']), name: asText(fields['relname']) ?? '' };
}
