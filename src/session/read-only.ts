/** A transaction that has written and is to be read only from there on. */
import { WRITTEN_ANYTHING } from '../commit/decisions.ts';
import { PproxError } from '../lib/errors.ts';
import type { TransactionModes } from '../sql/statement.ts';
import { TransactionStatus } from '../wire/tags.ts';
import type { SessionState } from './state.ts';

/**
 * PostgreSQL does not let it write again, not even the decision to commit: it is refused now, and not at COMMIT. Throws
 * PproxError.
 */
export async function refuseReadOnly(
  { block, followers, services }: SessionState,
  modes: TransactionModes,
): Promise<void> {
  if (modes.access !== 'read only' || block.kind !== 'writers' || block.writes === 'none') return;
  if (services.coordinator.decision === 'none' || followers === 'none') return;
  if (block.status !== TransactionStatus.InBlock) return;
  const { rows } = await block.legs.lead.lease.backend.ask(WRITTEN_ANYTHING);
  if (rows[0]?.[0] === null) return;
  throw new PproxError('unsupported_feature', {
    message: 'a transaction that has written cannot be made read only through pprox',
    detail: 'The decision to commit it on all writers is a row, which the lead would not take any more.',
    hint: 'COMMIT first, make it read only before it writes, or set PPROX_COMMIT_MODE=one-phase.',
  });
}
