/** Tables that nobody else may write to until the transaction ends: what their session finds in them is the same on every writer. */
import { type Answer, Collector } from '../backend/receiver.ts';
import { type NotReplayable, notReplayable } from '../fanout/plan.ts';
import { qualified } from '../sql/quote.ts';
import type { QualifiedName } from '../sql/statement.ts';
import { ServerError } from './reply.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';

/**
 * On the lead, which every write passes first: resolves when those that were under way have ended there. The client may cancel
 * the wait. Rejects with ServerError as the lead refuses, a deadlock among its reasons.
 */
export async function lockTables(
  session: SessionState,
  block: WritersBlock,
  names: readonly QualifiedName[],
): Promise<void> {
  // It conflicts with every change of rows, and with itself, so that no two of its holders wait for each other's second one.
  await ask(session, block, `LOCK TABLE ${names.map(qualified).join(', ')} IN SHARE ROW EXCLUSIVE MODE`);
}

/** Why locks are of no use to the transaction: it reads an older state than the followers would. Undefined where it does not. */
export async function readsOlder(session: SessionState, block: WritersBlock): Promise<NotReplayable | undefined> {
  // A SELECT would be the first query of a transaction that may still be told its isolation level.
  const { rows } = await ask(session, block, 'SHOW transaction_isolation');
  const isolation = rows[0]?.[0] ?? 'unknown';
  if (isolation === 'read committed' || isolation === 'read uncommitted') return undefined;
  return notReplayable(
    `what it finds has to be the newest, and its transaction is ${isolation.toUpperCase()}`,
    'Run it in a READ COMMITTED transaction, or give the table a primary key.',
  );
}

/** Rejects with ServerError. */
async function ask(session: SessionState, block: WritersBlock, text: string): Promise<Answer> {
  const { backend } = block.legs.lead.lease;
  const collector = new Collector();
  backend.query(text, collector);
  const answer = await session.cancellable(backend, collector.reply);
  block.status = answer.status;
  if (collector.errorFrame !== undefined) throw new ServerError(collector.errorFrame);
  return answer;
}
