/** What one transaction asks of the servers, counted and not timed: round trips, and flushes of the write-ahead log. */
import pg from 'pg';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Server } from '../src/embedded/server.ts';
import { startCountingRelay } from './counting-relay.ts';
import type { BenchOptions, SubjectName, Workload } from './options.ts';
import { databaseOf, run, startSubject, type Site } from './subjects.ts';

export interface Counts {
  readonly subject: SubjectName;
  readonly workload: Workload;
  /** Of the lead and of the follower, for each transaction. */
  readonly roundTrips: readonly [number, number];
  readonly syncs: readonly [number, number];
}

/** Enough for two digits. */
const TRANSACTIONS = 500;
/** A pool fills, statements are read for the first time. */
const WARM_UP = 20;

/** One client at a time, through relays, so that nothing is counted twice and nobody shares a flush. */
export async function count(
  program: string,
  site: Site,
  names: readonly SubjectName[],
  workloads: readonly Workload[],
): Promise<readonly Counts[]> {
  const found: Counts[] = [];
  const servers = [site.servers.lead, site.servers.follower] as const;
  const relays = [await startCountingRelay(servers[0]), await startCountingRelay(servers[1])] as const;
  const [lead, follower] = relays;
  try {
    for (const name of names) {
      // A reader would be no part of a write, and has no relay.
      const subject = await startSubject(name, { ...site, lead, follower, reader: undefined, suffix: '-counted' });
      if (subject === undefined) continue;
      try {
        for (const workload of workloads) {
          if (!subject.workloads.includes(workload)) continue;
          const load = (transactions: number) => ({ clients: 1, until: { transactions } });
          await run(program, subject, databaseOf(name), workload, load(WARM_UP));
          const before = [...relays.map(({ roundTrips }) => roundTrips), ...(await syncs(servers))];
          const { transactions } = await run(program, subject, databaseOf(name), workload, load(TRANSACTIONS));
          const after = [...relays.map(({ roundTrips }) => roundTrips), ...(await syncs(servers))];
          const [one = 0, other = 0, flushed = 0, alsoFlushed = 0] = after.map(
            (value, index) => (value - (before[index] ?? 0)) / transactions,
          );
          found.push({ subject: name, workload, roundTrips: [one, other], syncs: [flushed, alsoFlushed] });
        }
      } finally {
        await subject.daemon?.stop();
      }
    }
  } finally {
    for (const relay of relays) relay.close();
  }
  return found;
}

/** Backends tell what they have counted at most once a second, and at once when they are asked a second later. */
const TOLD_MS = 1100;

/** Of sessions, without the checkpointer's and the WAL writer's own (manual, "pg_stat_io"). */
async function syncs(servers: readonly Server[]): Promise<readonly number[]> {
  await sleep(TOLD_MS);
  return Promise.all(
    servers.map(async ({ host, port }) => {
      const client = new pg.Client({ host, port, user: 'postgres', database: 'postgres' });
      await client.connect();
      // A session that is idle tells nothing more: it ends, and tells.
      await client.query(
        `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
         WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
      );
      const { rows } = await client.query<{ n: string | null }>(
        `SELECT sum(fsyncs) AS n FROM pg_stat_io WHERE object = 'wal' AND backend_type = 'client backend'`,
      );
      await client.end();
      return Number(rows[0]?.n ?? 0);
    }),
  );
}

export function countsTable(
  counts: readonly Counts[],
  titles: Readonly<Record<SubjectName, string>>,
  { durability }: BenchOptions,
): string {
  const row = ({ subject, workload, roundTrips, syncs: flushes }: Counts): string => {
    const flushed = durability === 'none' ? ['–', '–'] : flushes.map((value) => value.toFixed(1));
    return `| ${[workload, titles[subject], ...roundTrips.map((value) => value.toFixed(1)), ...flushed].join(' | ')} |`;
  };
  return [
    '| each transaction of one client | | round trips to the lead | to the follower | WAL flushes on the lead | on the follower |',
    '| --- | --- | --- | --- | --- | --- |',
    ...counts.map(row),
    '',
  ].join('\n');
}
