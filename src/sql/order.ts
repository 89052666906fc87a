/** What makes a result depend on the order in which a server happens to find rows: ties are broken by it. */
import { isFields, listOf, nodeOf, type Fields } from './tree.ts';

/** By name, such clauses of one SELECT. */
export function orderedBy(select: Fields): readonly string[] {
  const found: string[] = [];
  if (select['limitCount'] !== undefined || select['limitOffset'] !== undefined) found.push('LIMIT');
  // Plain DISTINCT is a list of one empty node.
  if (listOf(select['distinctClause']).some((item) => isFields(item) && Object.keys(item).length > 0))
    found.push('DISTINCT ON');
  for (const clause of listOf(select['lockingClause'])) {
    const policy = nodeOf(clause, 'LockingClause')?.['waitPolicy'];
    if (policy === 'LockWaitSkip') found.push('SKIP LOCKED');
  }
  return found;
}

const AGGREGATES = /^(array_agg|string_agg|xmlagg|any_value|jsonb?_(object_)?agg(_strict)?(_unique)?(_strict)?)$/;

/** Whether the built-in aggregate of this name gives another value where its rows come in another order. */
export function takesRowsAsTheyCome(name: string): boolean {
  return AGGREGATES.test(name);
}
