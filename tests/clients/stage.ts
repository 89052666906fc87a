/** What a client program is tried on: two writers, a replica and the proxy; and the lead itself, to compare with. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Major } from '../../src/embedded/binaries.ts';
import type { Server } from '../../src/embedded/server.ts';
import { dump, sql, startTestCluster, type TestCluster } from '../support/cluster.ts';
import { startTestProxy, type TestProxy, type TestProxyOptions } from '../support/proxy.ts';
import { root } from '../support/repository.ts';

/** A server as a client addresses it. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Stage {
  readonly cluster: TestCluster;
  readonly proxy: TestProxy;
  /** The lead itself, past the proxy. */
  readonly lead: Address;
}

export interface StageOptions {
  /** Debian's client tools are of 15, and do not know newer servers. */
  readonly major?: Major;
  readonly settings?: TestProxyOptions['settings'];
}

/** Ended after the tests of the file, or of the enclosing block. */
export async function openStage(options: StageOptions = {}): Promise<Stage> {
  const cluster = await startTestCluster({ major: options.major ?? 15 });
  const proxy = await startTestProxy({
    writers: [cluster.w1, cluster.w2].map(dsnOfAnyUser),
    reader: dsnOfAnyUser(cluster.replica),
    ...(options.settings === undefined ? {} : { settings: options.settings }),
  });
  return { cluster, proxy, lead: { host: cluster.w1.host, port: cluster.w1.port } };
}

/** A DSN that leaves user and database to the client. */
export function dsnOfAnyUser(server: Server): string {
  return `postgresql://${server.host}:${server.port}`;
}

/** Empty databases of these names on every writer; on the lead with schema pprox, which its template1 has. */
export async function createDatabases({ cluster }: Stage, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    for (const writer of cluster.writers) await sql(writer, `CREATE DATABASE "${name}"`);
  }
}

/** Both writers hold the same in `database`, and something at all. `by digest`: rows are compared on the servers, for large tables. */
export async function assertWritersEqual(
  { cluster }: Stage,
  database: string,
  how: 'in full' | 'by digest' = 'in full',
): Promise<void> {
  const read = (writer: Server): Promise<string> =>
    how === 'in full' ? dump(writer, database, { sequences: 'left out' }) : digests(writer, database);
  const [first, second] = await Promise.all([cluster.w1, cluster.w2].map(read));
  assert.ok(first !== undefined && first.includes('\n'), 'there is something to compare');
  assert.equal(second, first);
}

/** Every table of schema public, its columns, its number of rows and the sum of their hashes. */
async function digests(server: Server, database: string): Promise<string> {
  const tables = await sql(
    server,
    `SELECT format('%I', c.relname) AS name, string_agg(format('%I %s', a.attname, a.atttypid::regtype), ', ' ORDER BY a.attnum) AS columns
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
     WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY c.relname ORDER BY c.relname`,
    database,
  );
  const lines: string[] = [];
  for (const { name, columns } of tables) {
    const digest = `SELECT count(*) AS rows, sum(hashtextextended(r::text COLLATE "C", 0)) AS digest FROM ${String(name)} AS r`;
    const [row] = await sql(server, digest, database);
    lines.push(`${String(name)} (${String(columns)}): ${String(row?.['rows'])} rows, ${String(row?.['digest'])}`);
  }
  return lines.join('\n');
}

/** Resolves when the replica shows everything that w1 has done so far. */
export async function caughtUp({ cluster }: Stage): Promise<void> {
  const [row] = await sql(cluster.w1, 'SELECT pg_current_wal_insert_lsn()::text AS lsn');
  // A position just behind a page header is never reported as replayed: one that lies beyond it is.
  await sql(cluster.w1, "SELECT pg_logical_emit_message(true, 'tests', repeat('.', 200))");
  const query = `SELECT pg_last_wal_replay_lsn() > '${String(row?.['lsn'])}' AS done`;
  for (let waitedMs = 0; waitedMs < 30_000; waitedMs += 20) {
    const [answer] = await sql(cluster.replica, query);
    if (answer?.['done'] === true) return;
    await sleep(20);
  }
  throw new Error('the replica does not follow w1');
}

export function fixture(name: string): string {
  return join(root, 'tests', 'clients', 'fixtures', name);
}
