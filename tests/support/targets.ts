/**
 * The two servers that the protocol battery compares: a bare PostgreSQL and the subject. This is the only place
 * that knows what the subject is.
 *
 * `PPROX_TEST_SUBJECT=bare` compares PostgreSQL with itself, which proves the battery and not pprox.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Settings } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type Cluster, startCluster } from '../../src/embedded/cluster.ts';
import type { Server } from '../../src/embedded/server.ts';
import type { Log, LogFields } from '../../src/lib/log.ts';
import { type Proxy, startProxy } from '../../src/proxy.ts';
import { leadSql, sql } from './cluster.ts';
import { testMajor } from './major.ts';
import type { Address } from './raw-client.ts';

export const subjectKind: 'bare' | 'pprox' = process.env['PPROX_TEST_SUBJECT'] === 'bare' ? 'bare' : 'pprox';

export interface Arena {
  readonly kind: 'bare' | 'pprox';
  readonly user: string;
  /** The lead, alone. */
  readonly bare: Address;
  readonly subject: Address;
  /** The servers behind the subject that must hold the same data at the end. */
  readonly writers: readonly Server[];
  /** Makes an empty database of this name for the bare server, in place of an older one. */
  prepareBare(database: string): Promise<void>;
  /** The same for the subject, in place of the bare server's: that one is the lead as well. */
  prepareSubject(database: string): Promise<void>;
  /** Drops the subject's database of this name, whoever is connected to it. */
  drop(database: string): Promise<void>;
  /** What the subject has logged as errors: it has none that a client could cause. */
  complaints(): readonly string[];
  stop(): Promise<void>;
}

async function dropDatabase(server: Server, database: string): Promise<void> {
  await sql(server, `DROP DATABASE IF EXISTS "${database}" WITH (FORCE)`);
}

/** On the lead with schema pprox, which its template1 has. */
async function freshDatabase(server: Server, database: string): Promise<void> {
  await dropDatabase(server, database);
  await sql(server, `CREATE DATABASE "${database}"`);
}

function first(cluster: Cluster): Server {
  const [lead] = cluster.writers;
  if (lead === undefined) throw new Error('a cluster without a writer');
  return lead;
}

function addressOf(server: Server): Address {
  return { host: server.host, port: server.port };
}

/** One server, compared with itself. */
async function bareArena(): Promise<Arena> {
  const cluster = await startCluster({ writers: 1, reader: false, durability: 'none', major: testMajor, leadSql });
  const lead = first(cluster);
  return {
    kind: 'bare',
    user: 'postgres',
    bare: addressOf(lead),
    subject: addressOf(lead),
    writers: [lead],
    prepareBare: (database) => freshDatabase(lead, database),
    prepareSubject: (database) => freshDatabase(lead, database),
    drop: (database) => dropDatabase(lead, database),
    complaints: () => [],
    stop: () => cluster.stop('immediate'),
  };
}

/** pprox in this process, in front of two writers and a replica of the first. */
async function pproxArena(settings: Partial<Settings>): Promise<Arena> {
  const cluster = await startCluster({ writers: 2, reader: true, durability: 'none', major: testMajor, leadSql });
  try {
    const lead = first(cluster);
    const complaints: string[] = [];
    const proxy = await startSubject(cluster, settings, complaints);
    return {
      kind: 'pprox',
      user: 'postgres',
      bare: addressOf(lead),
      subject: boundTo(proxy),
      writers: cluster.writers,
      prepareBare: (database) => freshDatabase(lead, database),
      prepareSubject: async (database) => {
        await Promise.all(cluster.writers.map((writer) => freshDatabase(writer, database)));
        if (cluster.reader !== undefined) await replayed(lead, cluster.reader);
      },
      drop: async (database) => {
        await Promise.all(cluster.writers.map((writer) => dropDatabase(writer, database)));
      },
      complaints: () => complaints,
      stop: async () => {
        await proxy.stop();
        await cluster.stop('immediate');
      },
    };
  } catch (error) {
    await cluster.stop('immediate');
    throw error;
  }
}

function startSubject(cluster: Cluster, settings: Partial<Settings>, complaints: string[]): Promise<Proxy> {
  // Without a user: the servers' is the client's.
  const dsn = (server: Server) => `postgresql://${server.host}:${server.port}`;
  const loaded = loadConfig({
    PG_WRITERS_CSV: cluster.writers.map(dsn).join(','),
    ...(cluster.reader === undefined ? {} : { PG_READER_DSN: dsn(cluster.reader) }),
  });
  if (loaded.kind !== 'config') throw new Error(JSON.stringify(loaded));
  const listen = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
  const config = { ...loaded.config, listen, warnings: [], settings: { ...loaded.config.settings, ...settings } };
  return startProxy(config, complaintsOnly(complaints));
}

function complaintsOnly(complaints: string[]): Log {
  const ignore = (): void => undefined;
  const error = (event: string, fields: LogFields = {}) => complaints.push(`${event} ${JSON.stringify(fields)}`);
  return { debug: ignore, info: ignore, warn: ignore, error };
}

function boundTo(proxy: Proxy): Address {
  const [address] = proxy.addresses;
  if (address?.kind !== 'tcp') throw new Error('the proxy listens on no TCP address');
  return { host: '127.0.0.1', port: address.port };
}

const replayPatienceMs = 30_000;

/** Until the reader has everything that the lead has now. */
async function replayed(lead: Server, reader: Server): Promise<void> {
  const [row] = await sql(lead, 'SELECT pg_current_wal_flush_lsn()::text AS position');
  const caughtUp = `SELECT pg_last_wal_replay_lsn() >= '${String(row?.['position'])}' AS done`;
  const deadline = Date.now() + replayPatienceMs;
  while ((await sql(reader, caughtUp))[0]?.['done'] !== true) {
    if (Date.now() > deadline) throw new Error(`the reader did not catch up within ${replayPatienceMs} ms`);
    await sleep(20);
  }
}

/** `settings` are pprox's, for tests of its limits. */
export function openArena(settings: Partial<Settings> = {}): Promise<Arena> {
  return subjectKind === 'bare' ? bareArena() : pproxArena(settings);
}
