/** Tables that nobody else may write to until the transaction ends: what their session finds in them is the same on every writer. */
import { Collector } from '../backend/receiver.ts';
import { notReplayable } from '../fanout/plan.ts';
import { qualified } from '../sql/quote.ts';
import type { QualifiedName } from '../sql/statement.ts';
import { ServerError } from './reply.ts';
import type { SessionState, WritersBlock } from './state.ts';

/**
 * On the lead, which every write passes first: resolves when those that were under way have ended there. The client may cancel
 * the wait. Rejects with ServerError as the lead refuses, a deadlock among its reasons; with PproxError where the transaction
 * reads an older state than the followers would.
 */
export async function lockTables(
  session: SessionState,
  block: WritersBlock,
  names: readonly QualifiedName[],
): Promise<void> {
  const { backend } = block.legs.lead.lease;
  const collector = new Collector();
  // It conflicts with every change of rows, and with itself, so that no two of its holders wait for each other's second one.
  backend.query(
    `LOCK TABLE ${names.map(qualified).join(', ')} IN SHARE ROW EXCLUSIVE MODE; SHOW transaction_isolation`,
    collector,
  );
  const { rows, status } = await session.cancellable(backend, collector.reply);
  block.status = status;
  if (collector.errorFrame !== undefined) throw new ServerError(collector.errorFrame);
  const isolation = rows[0]?.[0] ?? 'unknown';
  if (isolation === 'read committed' || isolation === 'read uncommitted') return;
  throw notReplayable(
    `what it finds has to be the newest, and its transaction is ${isolation.toUpperCase()}`,
    'Run it in a READ COMMITTED transaction, or give the table a primary key and use statements of one table each.',
  );
}
