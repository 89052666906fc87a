/** Whether the lead still reads and shows values as the followers were told to when they were started. */
import { beginningOf, hasReloaded } from '../cluster/beginnings.ts';
import { PproxError } from '../lib/errors.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';

/**
 * At the end of a transaction, when its statements are over on the lead, and while the followers are at work. The lead has followed a reload of
 * its configuration from one message to the next; what a follower was started with counts there in spite of one. Rejects with PproxError
 * `definition_changed`, and BackendLostError.
 */
export async function sameConfiguration(session: SessionState, { legs }: WritersBlock): Promise<void> {
  const { node, lease } = legs.lead;
  if (legs.leased.length === 0 || (await hasReloaded(node, lease.backend, 'in a transaction')) === 'no') return;
  node.reloaded();
  if (session.logins.follows(await beginningOf(lease.backend))) return;
  throw new PproxError('definition_changed', {
    message: `the configuration of ${node.label} was reloaded, with other defaults, before the transaction was committed`,
    hint: 'Try it again.',
  });
}
