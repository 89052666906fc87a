/** Which server a connection has reached: asked of every new connection, since an address can change hands. */
import type { Backend } from '../backend/backend.ts';
import { type Answer, rowsOf } from '../backend/receiver.ts';
import { QUERY_CANCELED } from '../wire/error-fields.ts';
import { formatLsn, type Lsn, parseLsn } from './lsn.ts';

export interface Identity {
  /** Same for a primary and its physical standbys; undefined where the role may not know. */
  readonly systemIdentifier: string | undefined;
  readonly recovery: 'primary' | 'standby';
  /** That a primary writes; a standby's of its last restart point. */
  readonly timeline: number | undefined;
  /** Log that a primary has on its disk: no restart of it, however hard, loses that. */
  readonly flushed: Lsn | undefined;
  /** When this instance started: a copy of a server, on its timeline still, is told from it by that. */
  readonly startedAt: string | undefined;
  /** server_version_num: 180004. */
  readonly version: number;
  readonly walSegmentBytes: bigint;
}

const BASE = `pg_is_in_recovery(), current_setting('server_version_num'),
  pg_size_bytes(current_setting('wal_segment_size')), current_setting('default_transaction_isolation'), pg_postmaster_start_time(),
  (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`;
/** Whatever the client has asked for: what is not known of a server is not the client's alone. */
const UNHURRIED = 'SET LOCAL statement_timeout = 0';
const FULL = `${UNHURRIED}; SELECT ${BASE}, (SELECT system_identifier FROM pg_control_system()),
  CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id FROM pg_control_checkpoint())
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END,
  CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn() END`;
/** pg_control_* can be revoked from the login role. */
const REDUCED = `${UNHURRIED}; SELECT ${BASE}, NULL, NULL, NULL`;
/** Of a question that somebody cancels. */
const ATTEMPTS = 3;

/**
 * Notes on `backend` its database, and the isolation that its transactions begin with. Rejects with BackendLostError, or PproxError where the
 * server does not say.
 */
export async function identify(backend: Backend): Promise<Identity> {
  const full = await uncancelled(backend, FULL);
  const rows = full.error === undefined ? full.rows : rowsOf(await uncancelled(backend, REDUCED));
  const [recovery, version, segment, isolation, startedAt, database, system, timeline, flushed] = rows[0] ?? [];
  backend.databaseOid = database ?? '';
  backend.isolation = isolation ?? 'unknown';
  return {
    systemIdentifier: system ?? undefined,
    recovery: recovery === 't' ? 'standby' : 'primary',
    timeline: timeline === null || timeline === undefined ? undefined : Number(timeline),
    flushed: flushed === null || flushed === undefined ? undefined : parseLsn(flushed),
    startedAt: startedAt ?? undefined,
    version: Number(version ?? 0),
    walSegmentBytes: BigInt(segment ?? 16 * 1024 * 1024),
  };
}

/** Rejects with PproxError `cancelled` where it is so again and again. */
async function uncancelled(backend: Backend, text: string): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    const answer = await backend.ask(text);
    if (answer.error?.code !== QUERY_CANCELED) return answer;
    if (attempt === ATTEMPTS) rowsOf(answer);
  }
}

/**
 * What makes a server at the same address another one, for whoever has written to it: undefined where nothing does. `before`: as
 * it was known when `now` was asked for. Whatever is not known does not differ.
 */
export function changeOf(before: Identity, now: Identity): Change | undefined {
  const differ = <T>(one: T | undefined, other: T | undefined): boolean =>
    one !== undefined && other !== undefined && one !== other;
  if (differ(before.systemIdentifier, now.systemIdentifier)) {
    return {
      what: 'is another server than before',
      detail: `Its system identifier is ${now.systemIdentifier}, and was ${before.systemIdentifier}.`,
    };
  }
  if (differ(before.timeline, now.timeline)) {
    return {
      what: 'has failed over',
      detail: `It is on timeline ${now.timeline}, and was on ${before.timeline}: what was written last may be missing there.`,
    };
  }
  if (before.flushed !== undefined && now.flushed !== undefined && now.flushed < before.flushed) {
    return {
      what: 'was restored to an older state',
      detail: `Its log ends at ${formatLsn(now.flushed)}, and had been flushed up to ${formatLsn(before.flushed)}.`,
    };
  }
  return undefined;
}

/** What one login may not ask, another has found out. */
export function complete(before: Identity, now: Identity): Identity {
  return {
    ...now,
    systemIdentifier: now.systemIdentifier ?? before.systemIdentifier,
    timeline: now.timeline ?? before.timeline,
    flushed: now.flushed ?? before.flushed,
  };
}

export interface Change {
  readonly what: string;
  readonly detail: string;
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

/**
 * A copy of a server keeps its system identifier: where that alone does not say which writer is meant, or the reader is a
 * primary (a standby that was promoted), the timeline has to be the same as well, and of a primary the instance.
 */
export function relate(
  reader: Identity | undefined,
  lead: Identity | undefined,
  followers: readonly (Identity | undefined)[],
): Relation {
  if (reader === undefined || lead === undefined) return { kind: 'unknown' };
  const id = reader.systemIdentifier;
  if (id === undefined) return { kind: 'unrelated' };
  const standby = reader.recovery === 'standby';
  const same = [lead, ...followers].flatMap((writer, index) =>
    writer?.systemIdentifier === id ? [{ index, timeline: writer.timeline, startedAt: writer.startedAt }] : [],
  );
  const found = standby && same.length === 1 ? same : same.filter(({ timeline }) => timeline === reader.timeline);
  const [writer, other] = found;
  if (writer === undefined || other !== undefined) return { kind: 'unrelated' };
  if (!standby && writer.startedAt !== reader.startedAt) return { kind: 'unrelated' };
  if (writer.index === 0) return { kind: standby ? 'standby of the lead' : 'the lead itself' };
  return { kind: standby ? 'standby of a follower' : 'follower itself', follower: writer.index - 1 };
}
