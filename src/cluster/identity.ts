/** Which server a connection has reached: asked of every new connection, since an address can change hands. */
import type { Backend } from '../backend/backend.ts';

export interface Identity {
  /** Same for a primary and its physical standbys; undefined where the role may not know. */
  readonly systemIdentifier: string | undefined;
  readonly recovery: 'primary' | 'standby';
  /** Of the last checkpoint. */
  readonly timeline: number | undefined;
  /** server_version_num: 180004. */
  readonly version: number;
  readonly walSegmentBytes: bigint;
}

const BASE = `pg_is_in_recovery(), current_setting('server_version_num'),
  pg_size_bytes(current_setting('wal_segment_size')), current_setting('default_transaction_isolation')`;
const FULL = `SELECT ${BASE}, (SELECT system_identifier FROM pg_control_system()),
  (SELECT timeline_id FROM pg_control_checkpoint())`;
/** pg_control_* can be revoked from the login role. */
const REDUCED = `SELECT ${BASE}, NULL, NULL`;

/** Notes on `backend` the isolation that its transactions begin with. Rejects with BackendLostError. */
export async function identify(backend: Backend): Promise<Identity> {
  let answer = await backend.ask(FULL);
  if (answer.error !== undefined) answer = await backend.ask(REDUCED);
  const [recovery, version, segment, isolation, system, timeline] = answer.rows[0] ?? [];
  backend.isolation = isolation === 'serializable' ? 'serializable' : 'weaker';
  return {
    systemIdentifier: system ?? undefined,
    recovery: recovery === 't' ? 'standby' : 'primary',
    timeline: timeline === null || timeline === undefined ? undefined : Number(timeline),
    version: Number(version ?? 0),
    walSegmentBytes: BigInt(segment ?? 16 * 1024 * 1024),
  };
}

/** How a reader stands to the writers; found out, not configured. */
export type Relation =
  | { readonly kind: 'the lead itself' }
  | { readonly kind: 'standby of the lead' }
  /** `follower` counts from 0. */
  | { readonly kind: 'follower itself'; readonly follower: number }
  | { readonly kind: 'standby of a follower'; readonly follower: number }
  /** A logical subscriber, or a server with other data: reads from it promise nothing. */
  | { readonly kind: 'unrelated' }
  | { readonly kind: 'unknown' };

export function relate(
  reader: Identity | undefined,
  lead: Identity | undefined,
  followers: readonly (Identity | undefined)[],
): Relation {
  if (reader === undefined || lead === undefined) return { kind: 'unknown' };
  const id = reader.systemIdentifier;
  if (id === undefined) return { kind: 'unrelated' };
  const standby = reader.recovery === 'standby';
  if (id === lead.systemIdentifier) return { kind: standby ? 'standby of the lead' : 'the lead itself' };
  const follower = followers.findIndex((candidate) => candidate?.systemIdentifier === id);
  if (follower >= 0) return { kind: standby ? 'standby of a follower' : 'follower itself', follower };
  return { kind: 'unrelated' };
}
