/** Real servers for a test file, and a direct view of each of them. */
import { spawnSync } from 'node:child_process';
import { after } from 'node:test';
import pg from 'pg';
import { type Cluster, type ClusterOptions, startCluster } from '../../src/embedded/cluster.ts';
import { grants, SCHEMA } from '../../src/commit/decisions.ts';
import { systemCode } from '../../src/embedded/failure.ts';
import type { Server } from '../../src/embedded/server.ts';
import { testMajor } from './major.ts';

export type Row = Readonly<Record<string, unknown>>;

export interface TestCluster extends Cluster {
  readonly w1: Server;
  readonly w2: Server;
  /** The streaming replica of w1. Throws when the cluster was started without one. */
  readonly replica: Server;
}

/** Of every lead in the tests: schema pprox, for everybody, in whatever database is made there later. */
export const leadSql: readonly string[] = [...SCHEMA, ...grants('PUBLIC')];

/**
 * Starts w1, w2 and a replica of w1 (18 or PPROX_TEST_MAJOR, no fsync, a temporary folder, schema pprox on w1) unless the options say
 * otherwise, and stops them after the tests of the file, or of the enclosing `describe` or `test`. About a second.
 */
export async function startTestCluster(options: Partial<ClusterOptions> = {}): Promise<TestCluster> {
  const cluster = await startCluster({
    writers: 2,
    reader: true,
    durability: 'none',
    major: testMajor,
    leadSql,
    ...options,
  });
  after(async () => {
    for (const server of [...cluster.writers, ...(cluster.reader === undefined ? [] : [cluster.reader])]) thaw(server);
    await cluster.stop('immediate');
  });
  const writer = (index: number): Server => {
    const server = cluster.writers[index];
    if (server === undefined) throw new Error(`this cluster has no w${index + 1}`);
    return server;
  };
  return {
    ...cluster,
    get w1() {
      return writer(0);
    },
    get w2() {
      return writer(1);
    },
    get replica() {
      if (cluster.reader === undefined) throw new Error('this cluster has no reader');
      return cluster.reader;
    },
  };
}

/**
 * Stops every process of the server in its tracks (SIGSTOP): connections stay open and say nothing, new ones are accepted
 * by the kernel and not answered. `thaw` lets it go on; so does the end of the test.
 */
export function freeze(server: Server): void {
  signalAll(server, 'SIGSTOP');
}

export function thaw(server: Server): void {
  signalAll(server, 'SIGCONT');
}

/** The postmaster first, so that it starts no backend that is not seen; backends are process groups of their own. */
function signalAll(server: Server, signal: 'SIGSTOP' | 'SIGCONT'): void {
  if (server.pid === undefined) return;
  server.kill(signal);
  const { stdout } = spawnSync('pgrep', ['-P', String(server.pid)], { encoding: 'utf8' });
  for (const pid of stdout.split('\n').filter((line) => line !== '')) {
    try {
      process.kill(Number(pid), signal);
    } catch (error) {
      if (systemCode(error) !== 'ESRCH') throw error; // a backend that has just ended
    }
  }
}

/** Runs `text` on that server itself, past any proxy, and returns the rows of its last statement. Values as `pg` parses them. */
export function sql(server: Server, text: string, database?: string): Promise<readonly Row[]> {
  return withConnection(server, database, (client) => query(client, text));
}

/** A connection of its own for `use`, as superuser. */
export async function withConnection<T>(
  server: Server,
  database: string | undefined,
  use: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: server.dsn(database), connectionTimeoutMillis: 20_000 });
  client.on('error', () => undefined); // a server that ends idle connections; a query in flight rejects by itself
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function query(client: pg.Client, text: string): Promise<readonly Row[]> {
  const result: pg.QueryResult<Record<string, unknown>> | readonly pg.QueryResult<Record<string, unknown>>[] =
    await client.query(text);
  return Array.isArray(result) ? (result.at(-1)?.rows ?? []) : 'rows' in result ? result.rows : [];
}

/**
 * Everything in a database as canonical text: columns, indexes, constraints and rows of every table (rows in order of their
 * text), every sequence, every large object. Equal for two servers exactly when their data is. Schema `pprox` is left out.
 * `sequences: 'left out'` for comparing writers: followers' sequences run ahead on purpose.
 */
export function dump(
  server: Server,
  database = 'postgres',
  options: { readonly sequences: 'included' | 'left out' } = { sequences: 'included' },
): Promise<string> {
  return withConnection(server, database, async (client) => {
    await query(
      client,
      `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
       SET LOCAL DateStyle = 'ISO'; SET LOCAL IntervalStyle = 'postgres'; SET LOCAL TimeZone = 'UTC';
       SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'; SET LOCAL search_path = pg_catalog`,
    );
    const lines: string[] = [];
    for (const { kind, name } of await query(client, relations)) {
      if (kind === 'S' && options.sequences === 'left out') continue;
      lines.push(`-- ${String(name)}`);
      const source = kind === 'S' ? `SELECT last_value, is_called FROM ${String(name)}` : `TABLE ${String(name)}`;
      if (kind !== 'S') lines.push(...(await texts(client, describe(String(name)))));
      lines.push(...(await texts(client, `SELECT r::text AS line FROM (${source}) r ORDER BY r::text COLLATE "C"`)));
    }
    lines.push('-- large objects', ...(await texts(client, largeObjects)), '');
    return lines.join('\n');
  });
}

async function texts(client: pg.Client, text: string): Promise<string[]> {
  return (await query(client, text)).map((row) => String(row['line']));
}

const relations = `
  SELECT c.relkind AS kind, format('%I.%I', n.nspname, c.relname) AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'S', 'm') AND c.relpersistence <> 't'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'pprox')
  ORDER BY format('%I.%I', n.nspname, c.relname) COLLATE "C"`;

const largeObjects = `
  SELECT format('%s %s', m.oid, md5(lo_get(m.oid))) AS line
  FROM pg_largeobject_metadata m ORDER BY m.oid`;

function describe(name: string): string {
  const oid = `'${name.replaceAll("'", "''")}'::regclass`;
  return `
    SELECT line FROM (
      SELECT 1 AS part, format('column %I %s%s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN ' not null' ELSE '' END) AS line
      FROM pg_attribute WHERE attrelid = ${oid} AND attnum > 0 AND NOT attisdropped
      UNION ALL SELECT 2, pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = ${oid}
      UNION ALL SELECT 3, format('constraint %I %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = ${oid}
    ) d ORDER BY part, line COLLATE "C"`;
}
