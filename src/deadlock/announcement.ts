/**
 * How other pprox processes learn which sessions are one transaction: for each that waits, a shared advisory lock on the lead
 * whose 64-bit key holds the process ids. It needs no table and no privilege, is gone with its connection, and pg_locks shows
 * it to everybody (manual, "pg_locks", "Advisory Locks").
 *
 *   63        52 51      50       44 43        22 21            0
 *   ┌──────────┬────────┬───────────┬────────────┬──────────────┐
 *   │  marker  │ ending │ follower  │ lead's pid │ follower's   │
 *   └──────────┴────────┴───────────┴────────────┴──────────────┘
 */
import type { Party } from './wait-graph.ts';

/** Against keys of applications: small numbers and hashes. One that is taken for ours can at worst make a deadlock of waits that are real. */
const MARKER = 0x5b7n;
const MARKER_SHIFT = 52n;
const ENDING_SHIFT = 51n;
const FOLLOWER_SHIFT = 44n;
const FOLLOWER_LIMIT = 1n << (ENDING_SHIFT - FOLLOWER_SHIFT);
/** Linux gives no larger numbers (PID_MAX_LIMIT). What is larger elsewhere is not announced. */
const PROCESS_BITS = 22n;
const PROCESS_LIMIT = 1n << PROCESS_BITS;

/** `announced`: keys of type ShareLock, as decimal numbers. */
export const ANNOUNCED = `SELECT (l.classid::bigint << 32) | l.objid::bigint FROM pg_catalog.pg_locks l
  WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND l.mode = 'ShareLock'
    AND l.classid::bigint >> ${MARKER_SHIFT - 32n} = ${MARKER}`;

export function announceText(keys: readonly string[]): string {
  return eachKey('pg_try_advisory_lock_shared', keys);
}

export function withdrawText(keys: readonly string[]): string {
  return eachKey('pg_advisory_unlock_shared', keys);
}

function eachKey(name: string, keys: readonly string[]): string {
  return `SELECT pg_catalog.${name}(k) FROM pg_catalog.unnest('{${keys.join(',')}}'::bigint[]) k`;
}

/** One key for each of its followers. */
export function keysOf({ sessions, stage }: Party): readonly string[] {
  const lead = BigInt(sessions.get(0) ?? 0);
  if (lead === 0n || lead >= PROCESS_LIMIT) return [];
  return [...sessions].flatMap(([writer, process]) => {
    const [follower, own] = [BigInt(writer) - 1n, BigInt(process)];
    if (follower < 0n || follower >= FOLLOWER_LIMIT || own >= PROCESS_LIMIT) return [];
    const ending = stage === 'ending' ? 1n : 0n;
    const places = (MARKER << MARKER_SHIFT) | (ending << ENDING_SHIFT) | (follower << FOLLOWER_SHIFT);
    return String(places | (lead << PROCESS_BITS) | own);
  });
}

/** What is not a key of ours is left out. */
export function partiesOf(keys: readonly string[]): readonly Party[] {
  const found = new Map<number, { sessions: Map<number, number>; stage: Party['stage'] }>();
  for (const text of keys) {
    const key = BigInt(text);
    if (key >> MARKER_SHIFT !== MARKER) continue;
    const lead = Number((key >> PROCESS_BITS) % PROCESS_LIMIT);
    const writer = Number((key >> FOLLOWER_SHIFT) % FOLLOWER_LIMIT) + 1;
    const party = found.get(lead) ?? { sessions: new Map([[0, lead]]), stage: 'open' };
    party.sessions.set(writer, Number(key % PROCESS_LIMIT));
    if ((key >> ENDING_SHIFT) % 2n === 1n) party.stage = 'ending';
    found.set(lead, party);
  }
  return [...found.values()];
}
