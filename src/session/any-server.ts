/** A server for what is no statement of the client's: a preparation, a description, the arguments of an EXECUTE. */
import type { Backend } from '../backend/backend.ts';
import type { Lease } from '../backend/pool.ts';
import { PproxError } from '../lib/errors.ts';
import { openPending } from './read.ts';
import { failedBlock } from './reply.ts';
import type { SessionState } from './state.ts';

/**
 * Runs `work` on the server that the block in hand has; outside a block on the lead or, while that is down and nothing is
 * bound to it, on the reader, which knows the same. A read-only block that has no server yet gets the lead. Rejects with PproxError where no server is to be had.
 */
export async function withServer<T>(session: SessionState, work: (backend: Backend) => Promise<T>): Promise<T> {
  if (session.block.kind === 'pending') await openPending(session, session.block.begin);
  const { block } = session;
  if (block.kind === 'lost') throw failedBlock();
  if (block.kind === 'writers' || block.kind === 'reader') {
    const { backend } = block.kind === 'writers' ? block.legs.lead.lease : block.lease;
    try {
      return await work(backend);
    } finally {
      block.status = backend.status;
    }
  }
  const spare = await leaseAny(session);
  try {
    return await work(spare.lease.backend);
  } finally {
    await spare.giveBack();
  }
}

/** The lead: what it says of a statement is what the client sees. While it is down, the reader knows the same. */
export async function leaseAny(session: SessionState): Promise<{ lease: Lease; giveBack: () => Promise<void> }> {
  try {
    const legs = await session.leaseLead();
    return { lease: legs.lead.lease, giveBack: () => session.giveBack(legs) };
  } catch (error) {
    const { reader } = session.cluster;
    const down = error instanceof PproxError && error.condition === 'server_unreachable';
    if (!down || reader === undefined || session.pins.size > 0) throw error;
    const lease = await session.lease(reader);
    return {
      lease,
      giveBack: async () => {
        await session.cancels.settled(lease.backend);
        lease.release('reuse');
      },
    };
  }
}
