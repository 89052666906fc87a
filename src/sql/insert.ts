/** What an INSERT says about its columns and rows. */

import type { InsertStmt, Node, SelectStmt } from 'libpg-query';
import type { Facts } from './facts.ts';
import type { InsertCommand } from './statement.ts';
import { givesDefault, listOf, nodeOf, readsRelation, relationName } from './tree.ts';

/** `facts`: those of the whole statement, after its walk. */
export function insertCommand(statement: InsertStmt, facts: Facts): InsertCommand {
  const select =
    statement.selectStmt !== undefined && 'SelectStmt' in statement.selectStmt
      ? statement.selectStmt.SelectStmt
      : undefined;
  const rows = select === undefined ? [] : rowsOf(select);
  // A set-returning function is refused in VALUES.
  const severalRows = facts.mayReturnSet && select?.valuesLists === undefined;
  const query = rows === undefined || severalRows || readsRelation(select);
  const conflict = statement.onConflictClause;
  return {
    kind: 'insert',
    target: relationName(statement.relation),
    alias: statement.relation?.alias?.aliasname,
    columns: statement.cols === undefined ? undefined : columnNames(statement.cols),
    source: query ? 'query' : 'rows',
    several: query || (select?.valuesLists?.length ?? 0) > 1,
    defaultPositions: defaultPositions(rows ?? []),
    width: query ? undefined : (rows?.[0]?.length ?? 0),
    onConflict: conflict === undefined ? 'error' : conflict.action === 'ONCONFLICT_UPDATE' ? 'update' : 'nothing',
    conflictColumns: [...new Set(columnNames(conflict?.targetList))],
    reads: query || readsRelation(conflict) || readsRelation(statement.returningClause) ? 'other rows' : 'own row',
    conflictDefaults: defaultedNames(conflict?.targetList),
    overriding: statement.override === 'OVERRIDING_USER_VALUE' ? 'user value' : 'nothing or system value',
    hasReturning: statement.returningClause !== undefined,
    hasWritingWith: facts.writesInWith,
  };
}

function columnNames(targets: readonly Node[] | undefined): string[] {
  const names: string[] = [];
  for (const target of targets ?? []) {
    if ('ResTarget' in target && target.ResTarget.name !== undefined) names.push(target.ResTarget.name);
  }
  return names;
}

/** Those that are given the keyword DEFAULT. */
function defaultedNames(targets: readonly Node[] | undefined): string[] {
  return columnNames(targets?.filter(givesDefault));
}

/** The expressions of each row of VALUES, or of a SELECT that makes exactly one; undefined for any other query. */
function rowsOf(select: SelectStmt): (readonly unknown[])[] | undefined {
  const plain =
    select.fromClause === undefined &&
    select.op === 'SETOP_NONE' &&
    select.limitCount === undefined &&
    select.limitOffset === undefined &&
    select.sortClause === undefined &&
    select.withClause === undefined;
  if (!plain) return undefined;
  if (select.valuesLists !== undefined) {
    return select.valuesLists.map((row) => listOf(nodeOf(row, 'List')?.['items']));
  }
  const single =
    select.whereClause === undefined &&
    select.groupClause === undefined &&
    select.havingClause === undefined &&
    select.distinctClause === undefined;
  return single ? [(select.targetList ?? []).map((target) => nodeOf(target, 'ResTarget')?.['val'])] : undefined;
}

function defaultPositions(rows: readonly (readonly unknown[])[]): number[] {
  const positions = new Set<number>();
  for (const row of rows) {
    for (const [position, value] of row.entries()) {
      if (nodeOf(value, 'SetToDefault') !== undefined) positions.add(position);
    }
  }
  return [...positions].sort((a, b) => a - b);
}
