/** A session's transaction as the detector of deadlocks sees it. */
import type { OpenTransaction } from '../deadlock/detector.ts';
import { errorFrame } from './reply.ts';
import type { SessionState } from './state.ts';

/** Undefined where it has locks on the lead at most: then the lead's own detector sees all of it. */
export function openTransaction(session: SessionState): OpenTransaction | undefined {
  const { block, cluster } = session;
  if (block.kind !== 'writers') return undefined;
  const { legs } = block;
  const { begun } = legs;
  if (begun.length === 0) return undefined;
  const followers = begun.map(({ node, lease }) => [cluster.followers.indexOf(node) + 1, lease.backend] as const);
  const backends = new Map([[0, legs.lead.lease.backend] as const, ...followers]);
  return {
    backends,
    stage: block.stage,
    giveWay: (writer, error) => {
      const backend = backends.get(writer);
      const now = session.block;
      // A commit or rollback is not to be hit, and what is idle has got what it waited for.
      if (now.kind !== 'writers' || now.legs !== legs || now.stage === 'ending' || backend?.idle !== false) return;
      session.fail(error);
      session.cancels.request(backend, errorFrame(error));
    },
  };
}
