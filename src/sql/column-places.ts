/**
 * Constants and parameters whose type is that of columns: given to a column or compared with one, in an UPDATE or DELETE of one
 * table or an INSERT of rows. What stands elsewhere may be of any type; the catalog knows the columns'.
 *
 *     UPDATE t SET state = 'now', note = coalesce($1, note) WHERE name IN ('today', 'tomorrow') AND NOT data ->> 'a' = $2
 *
 * An expression is followed only as far as its type is certain to be a column's or text: PostgreSQL resolves a constant
 * beside a text to text (manual, "Type Conversion").
 */

import type { ColumnPlace } from './statement.ts';
import { castType, isFields, listOf, nodeOf, stringOf, stringsOf, tagged, type Fields } from './tree.ts';

/** Their other side is of the same type, or text: none of PostgreSQL's own takes a moment beside a text. */
const COMPARISONS: ReadonlySet<string> = new Set(
  '= <> < > <= >= ~~ !~~ ~~* !~~* ~ !~ ~* !~* @> <@ && ? ?| ?&'.split(' '),
);
/** Their result is a text again, or a JSON value. */
const EXPRESSIONS: ReadonlySet<string> = new Set('|| -> ->> #> #>>'.split(' '));
const TEXT_CASTS: ReadonlySet<string> = new Set(['text', 'varchar', 'bpchar']);
const BINARY: ReadonlySet<string> = new Set([
  'AEXPR_OP',
  'AEXPR_LIKE',
  'AEXPR_ILIKE',
  'AEXPR_DISTINCT',
  'AEXPR_NOT_DISTINCT',
]);

/** What one expression is made of. */
class Parts {
  readonly columns = new Set<string>();
  readonly operators = new Set<string>();
  readonly constants: Fields[] = [];
  readonly parameters: Fields[] = [];

  /** A parameter's type may be declared, and a constant beside it is of that type then. */
  get certain(): boolean {
    const numbers = new Set(this.parameters.map(({ number }) => number));
    return numbers.size <= 1 && (numbers.size === 0 || this.constants.length === 0);
  }
}

/** For the nodes (`A_Const`, `ParamRef`) of an INSERT, UPDATE or DELETE that is the statement itself. */
export function columnPlaces(tag: string, fields: Fields): ReadonlyMap<unknown, ColumnPlace> {
  const places = new Places(fields['relation']);
  if (tag === 'InsertStmt') places.rows(fields);
  else if (tag === 'UpdateStmt' && fields['fromClause'] === undefined) {
    places.assignments(fields['targetList']);
    places.condition(fields['whereClause']);
  } else if (tag === 'DeleteStmt' && fields['usingClause'] === undefined) places.condition(fields['whereClause']);
  return places.found;
}

class Places {
  readonly found = new Map<unknown, ColumnPlace>();
  /** What the table is called in the statement. */
  readonly #table: string | undefined;

  constructor(relation: unknown) {
    if (!isFields(relation)) return;
    const { alias, relname } = relation;
    const name = isFields(alias) ? alias['aliasname'] : relname;
    this.#table = typeof name === 'string' ? name : undefined;
  }

  rows(fields: Fields): void {
    const columns = listOf(fields['cols']).map((column) => nodeOf(column, 'ResTarget'));
    const select = nodeOf(fields['selectStmt'], 'SelectStmt');
    for (const row of listOf(select?.['valuesLists'])) {
      for (const [index, value] of listOf(nodeOf(row, 'List')?.['items']).entries())
        this.#assign(columns[index], value);
    }
  }

  assignments(targets: unknown): void {
    for (const item of listOf(targets)) {
      const target = nodeOf(item, 'ResTarget');
      this.#assign(target, target?.['val']);
    }
  }

  #assign(target: Fields | undefined, value: unknown): void {
    const name = target?.['name'];
    if (typeof name !== 'string' || target?.['indirection'] !== undefined) return;
    const parts = new Parts();
    if (!this.#read(value, parts)) return;
    parts.columns.add(name);
    this.#note(parts);
  }

  /** Conditions under AND, OR and NOT. */
  condition(value: unknown): void {
    const waiting = [value];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const node = tagged(next);
      if (node?.tag === 'BoolExpr') waiting.push(...listOf(node.fields['args']));
      else if (node?.tag === 'A_Expr') this.#comparison(node.fields);
    }
  }

  #comparison(fields: Fields): void {
    const [operator, ...more] = stringsOf(fields['name']);
    if (operator === undefined || more.length > 0 || !COMPARISONS.has(operator)) return;
    const kind = String(fields['kind']);
    const parts = new Parts();
    parts.operators.add(operator);
    if (!this.#read(fields['lexpr'], parts)) return;
    if (BINARY.has(kind)) {
      if (this.#read(fields['rexpr'], parts) && parts.columns.size > 0) this.#note(parts);
      return;
    }
    // What a list holds is compared with the column, one by one.
    const alone = parts.columns.size > 0 && parts.constants.length === 0 && parts.parameters.length === 0;
    if (!alone) return;
    if (kind === 'AEXPR_OP_ANY' || kind === 'AEXPR_OP_ALL') this.#member(fields['rexpr'], parts);
    else if (kind === 'AEXPR_IN') {
      const items = listOf(nodeOf(fields['rexpr'], 'List')?.['items']);
      if (items.every((item) => isValue(item))) for (const item of items) this.#member(item, parts);
    }
  }

  #member(value: unknown, { columns, operators }: Parts): void {
    const node = tagged(value);
    if (node === undefined || !isValue(value)) return;
    this.found.set(node.fields, { columns: [...columns], operators: [...operators] });
  }

  #note({ certain, columns, operators, constants, parameters }: Parts): void {
    if (!certain) return;
    const place: ColumnPlace = { columns: [...columns], operators: [...operators] };
    for (const node of [...constants, ...parameters]) this.found.set(node, place);
  }

  /** Whether the expression is of a type that its parts decide. */
  #read(value: unknown, parts: Parts): boolean {
    const node = tagged(value);
    if (node === undefined) return false;
    const { tag, fields } = node;
    switch (tag) {
      case 'A_Const':
        if (isFields(fields['sval'])) parts.constants.push(fields);
        return isFields(fields['sval']) || fields['isnull'] === true;
      case 'ParamRef':
        parts.parameters.push(fields);
        return true;
      case 'ColumnRef': {
        const name = this.#ownColumn(fields);
        if (name !== undefined) parts.columns.add(name);
        return name !== undefined;
      }
      case 'TypeCast':
        return TEXT_CASTS.has(castType(fields) ?? '') && this.#read(fields['arg'], parts);
      case 'CoalesceExpr':
        return this.#readAll(listOf(fields['args']), parts);
      case 'CaseExpr': {
        const results = listOf(fields['args']).map((when) => nodeOf(when, 'CaseWhen')?.['result']);
        const otherwise = fields['defresult'];
        return this.#readAll(otherwise === undefined ? results : [...results, otherwise], parts);
      }
      case 'A_Expr': {
        const [operator, ...more] = stringsOf(fields['name']);
        if (fields['kind'] !== 'AEXPR_OP' || operator === undefined || more.length > 0) return false;
        if (!EXPRESSIONS.has(operator)) return false;
        parts.operators.add(operator);
        return this.#readAll([fields['lexpr'], fields['rexpr']], parts);
      }
      default:
        return false;
    }
  }

  #readAll(values: readonly unknown[], parts: Parts): boolean {
    return values.every((value) => this.#read(value, parts));
  }

  /** `name`, or `table.name`. */
  #ownColumn(fields: Fields): string | undefined {
    const parts = listOf(fields['fields']).map((part) => stringOf(part));
    const [first, second] = parts;
    if (parts.length === 1) return first;
    return parts.length === 2 && first === this.#table ? second : undefined;
  }
}

/** A text, NULL or a parameter, and nothing else. */
function isValue(value: unknown): boolean {
  const constant = nodeOf(value, 'A_Const');
  if (constant !== undefined) return isFields(constant['sval']) || constant['isnull'] === true;
  return nodeOf(value, 'ParamRef') !== undefined;
}
