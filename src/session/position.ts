/** How far a reader must have replayed before it serves the session: nobody reads older than what the session has written. */
import { BackendLostError } from '../backend/receiver.ts';
import { parseLsn } from '../cluster/lsn.ts';
import { PproxError } from '../lib/errors.ts';
import type { SessionState } from './state.ts';

/** After a write that no COMMIT of ours has ended: a reader must have replayed up to here before it serves the session. */
export async function rememberPosition(session: SessionState): Promise<void> {
  const { cluster } = session;
  const { positionSource } = cluster;
  if (positionSource.kind === 'none') return;
  if (positionSource.kind === 'unknown') {
    session.position = 'to be asked';
    return;
  }
  const text = 'SELECT pg_current_wal_insert_lsn()';
  const rows =
    positionSource.kind === 'lead'
      ? await session.askLead(text)
      : (await session.askFollowers(text, 'session'))[positionSource.follower];
  const lsn = rows?.[0]?.[0];
  if (lsn !== null && lsn !== undefined) session.position = cluster.reachable(parseLsn(lsn));
}

/** The same, where the statement has been answered, or cannot be taken back: its failure is the next read's. */
export async function notePosition(session: SessionState): Promise<void> {
  try {
    await rememberPosition(session);
  } catch (error) {
    if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
    session.position = 'to be asked';
  }
}
