/** Which tables a statement keeps others from writing to, so that what it finds there is the same on every writer. */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import { qualified } from '../sql/quote.ts';
import type { QualifiedName } from '../sql/statement.ts';
import { notReplayable } from './plan.ts';

/** Every table among them. Rejects with `not_replayable` where the session may not lock one. */
export async function locksFor(
  catalog: Catalog,
  asker: CatalogAsker,
  relations: readonly QualifiedName[],
): Promise<readonly QualifiedName[]> {
  const locks: QualifiedName[] = [];
  for (const name of relations) {
    const table = await catalog.table(asker, name);
    // What is new; a materialized view changes by REFRESH alone.
    if (table === undefined || table.kind === 'm') continue;
    if (table.policies === 'of other rows')
      throw notReplayable(
        `policies of ${qualified(name)}, which may read other tables`,
        'Run the change as a statement of its own, with RETURNING or a condition on a column, or name the rows by their key.',
      );
    if (table.persistence === 'temporary')
      throw notReplayable(`${qualified(name)}, a temporary table that the lead alone has`, SPLIT);
    if (name.schema === 'pg_catalog' || name.schema === 'information_schema') continue;
    if (!['r', 'p', 'v'].includes(table.kind)) throw notReplayable(`${qualified(name)}, which cannot be locked`);
    if (!table.lockable) {
      throw notReplayable(
        `${qualified(name)}, which others may write to meanwhile`,
        `Grant UPDATE on ${qualified(name)}: it has to be locked against others' changes.`,
      );
    }
    locks.push(name);
  }
  return locks;
}

export const SPLIT = 'Use a statement for each of the changes, in one transaction.';
