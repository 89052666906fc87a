/** What an UPDATE or DELETE says about the rows that it changes: which it means, what it gives them, what else it reads. */

import type { Modification, ModifyCommand, NestedWrite } from './statement.ts';
import {
  givesDefault,
  isFields,
  listOf,
  nodeOf,
  readsRelation,
  stringOf,
  stringsOf,
  tagged,
  type Fields,
} from './tree.ts';

export function modificationOf(fields: Fields): Modification {
  const { relation, whereClause, targetList, ...others } = fields;
  const target = isFields(relation) ? relation : {};
  const own = { whereClause, targetList, returning: others['returningClause'] };
  const more = ['fromClause', 'usingClause', 'withClause'].some((key) => others[key] !== undefined);
  return {
    only: target['inh'] !== true,
    defaulted: listOf(targetList).flatMap((item) => (givesDefault(item) ? (assignedColumn(item) ?? []) : [])),
    assigned: [...new Set(listOf(targetList).flatMap((item) => assignedColumn(item) ?? []))],
    equated: equatedColumns(whereClause, namesInStatement(target)),
    reads: more || readsRelation(own) ? 'other rows' : 'own row',
    selects: namesColumn(own),
  };
}

export function mergedBy(fields: Fields): NonNullable<ModifyCommand['merged']> {
  const clauses = listOf(fields['mergeWhenClauses']).map((clause) => nodeOf(clause, 'MergeWhenClause'));
  const updates = clauses.filter((clause) => clause?.['commandType'] === 'CMD_UPDATE');
  return {
    assigned: updates.flatMap((clause) => listOf(clause?.['targetList']).flatMap((item) => assignedColumn(item) ?? [])),
    deletes: clauses.some((clause) => clause?.['commandType'] === 'CMD_DELETE') ? 'some' : 'none',
  };
}

/** Whether anything below is the value of a column, other than by being assigned to. */
function namesColumn(value: unknown): boolean {
  const waiting = [value];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    if ('ColumnRef' in next) return true;
    for (const child of Object.values(next)) if (child !== undefined) waiting.push(child);
  }
  return false;
}

/** What one that stands below WITH does. */
export function nestedWrite(tag: string, fields: Fields): Omit<NestedWrite, 'target'> {
  const conflict = fields['onConflictClause'];
  const updates = isFields(conflict) && conflict['action'] === 'ONCONFLICT_UPDATE';
  const stores = tag === 'DeleteStmt' ? 'nothing' : tag === 'InsertStmt' && !updates ? 'new rows' : 'other versions';
  return { what: nestedEffect(tag, fields), stores, onConflict: isFields(conflict) ? 'other' : 'error' };
}

function nestedEffect(tag: string, fields: Fields): NestedWrite['what'] {
  if (tag === 'UpdateStmt' || tag === 'DeleteStmt') return modificationOf(fields);
  const select = nodeOf(fields['selectStmt'], 'SelectStmt');
  const rows = select === undefined || select['valuesLists'] !== undefined;
  const conflict = isFields(fields['onConflictClause']) && listOf(select?.['valuesLists']).length > 1;
  const { relation: _, ...others } = fields;
  return tag === 'InsertStmt' && rows && !conflict && !readsRelation(others) ? 'rows' : 'other';
}

function assignedColumn(item: unknown): string | undefined {
  const name = nodeOf(item, 'ResTarget')?.['name'];
  return typeof name === 'string' ? name : undefined;
}

/** What may stand in front of its columns; where it has an alias, that alone. */
function namesInStatement({ alias, schemaname, relname }: Fields): readonly (readonly unknown[])[] {
  if (isFields(alias)) return [[], [alias['aliasname']]];
  return schemaname === undefined ? [[], [relname]] : [[], [relname], [schemaname, relname]];
}

/** Columns that a condition under AND has equal to a value that the statement brings along: `id = 5 AND …`. */
function equatedColumns(condition: unknown, table: ReturnType<typeof namesInStatement>): readonly string[] {
  const found = new Set<string>();
  const waiting = [condition];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const node = tagged(next);
    if (node?.tag === 'BoolExpr' && node.fields['boolop'] === 'AND_EXPR') waiting.push(...listOf(node.fields['args']));
    if (node?.tag !== 'A_Expr' || node.fields['kind'] !== 'AEXPR_OP') continue;
    const { lexpr, rexpr, name } = node.fields;
    const operator = stringsOf(name);
    if (operator.length !== 1 || operator[0] !== '=') continue;
    const column = isValue(rexpr) ? columnOf(lexpr, table) : isValue(lexpr) ? columnOf(rexpr, table) : undefined;
    if (column !== undefined) found.add(column);
  }
  return [...found];
}

function columnOf(value: unknown, table: ReturnType<typeof namesInStatement>): string | undefined {
  const parts = listOf(nodeOf(value, 'ColumnRef')?.['fields']).map((part) => stringOf(part));
  const before = parts.slice(0, -1);
  const named = table.some((names) => names.length === before.length && names.every((name, at) => name === before[at]));
  return named ? parts.at(-1) : undefined;
}

/** A constant or parameter, whatever it is cast to. */
function isValue(value: unknown): boolean {
  let inner = value;
  for (let cast = nodeOf(inner, 'TypeCast'); cast !== undefined; cast = nodeOf(inner, 'TypeCast')) inner = cast['arg'];
  return nodeOf(inner, 'A_Const') !== undefined || nodeOf(inner, 'ParamRef') !== undefined;
}
