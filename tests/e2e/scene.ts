/** A proxy in front of real servers for one test file, and what the tests of this folder wait for and look at. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Settings } from '../../src/config/config.ts';
import type { ClusterOptions } from '../../src/embedded/cluster.ts';
import type { Server } from '../../src/embedded/server.ts';
import type { BackendMessage } from '../support/backend-messages.ts';
import { dump, sql, startTestCluster, type TestCluster } from '../support/cluster.ts';
import { RawClient } from '../support/raw-client.ts';
import { clusterDsn, startTestProxy, type TestProxy } from '../support/proxy.ts';

export interface Scene {
  readonly cluster: TestCluster;
  readonly proxy: TestProxy;
}

/** Transactions in flight at the end of a test file belong to tests that failed: they need no long drain. */
const DRAIN_MS = 500;

/** A cluster and a proxy that knows all of it. The proxy stops before its servers. */
export async function startScene(
  settings: Partial<Settings> = {},
  servers: Partial<ClusterOptions> = {},
): Promise<Scene> {
  const started: { stop(): Promise<void> }[] = [];
  after(async () => {
    for (const part of started.toReversed()) await part.stop();
  });
  const cluster = await startTestCluster(servers);
  started.push({ stop: () => cluster.stop('immediate') });
  const proxy = await startTestProxy({
    writers: cluster.writers.map(clusterDsn),
    reader: cluster.reader && clusterDsn(cluster.reader),
    settings: { drainMs: DRAIN_MS, ...settings },
  });
  started.push(proxy);
  return { cluster, proxy };
}

/** Far above anything that these tests wait for: reaching it means that it will not come. */
const PATIENCE_MS = 30_000;

/** Polls until `condition` holds; fails with `what` where it never does. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `waited in vain: ${what}`);
    await sleep(20);
  }
}

/** The error that `work` must end with. */
export async function refusal(work: Promise<unknown>): Promise<pg.DatabaseError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: 'the statement was to be refused, and was not' });
}

/** `ok`, or the SQLSTATE. */
export async function outcome(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'ok';
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error.code ?? '';
    throw error;
  }
}

/**
 * Makes the client one who may read and write everything, and may not turn triggers off: what a managed database's role is.
 * Followers' triggers fire for it.
 */
export async function becomePlain({ writers }: TestCluster, client: pg.Client): Promise<void> {
  for (const writer of writers) {
    const [known] = await sql(writer, "SELECT FROM pg_roles WHERE rolname = 'reads_and_writes'");
    if (known === undefined)
      await sql(writer, 'CREATE ROLE reads_and_writes IN ROLE pg_read_all_data, pg_write_all_data');
  }
  await client.query('SET ROLE reads_and_writes');
}

/** The one value of a one-row result. */
export async function value(client: pg.Client, text: string): Promise<unknown> {
  const { rows } = await client.query<unknown[]>({ text, rowMode: 'array' });
  assert.equal(rows.length, 1, text);
  return rows[0]?.[0];
}

/** A client that sends bytes of the test's own making, dropped after the tests of the file or enclosing block. */
export async function connectRaw({ proxy }: Scene, database = 'postgres'): Promise<RawClient> {
  const client = await RawClient.start({ host: proxy.host, port: proxy.port, user: 'postgres', database });
  after(() => client.destroy());
  return client;
}

/** The fields of the one ErrorResponse among `messages`, by their letters. */
export function errorIn(messages: readonly BackendMessage[]): Readonly<Record<string, string>> {
  const errors = messages.flatMap((message) => (message.type === 'ErrorResponse' ? [message.fields] : []));
  assert.equal(errors.length, 1, `one error is expected among ${messages.map(({ type }) => type).join(', ')}`);
  return Object.fromEntries(errors[0] ?? []);
}

/** The replica has replayed all that w1 has written. */
export async function replayed({ w1, replica }: TestCluster): Promise<void> {
  await until('the replica has caught up', async () => (await dump(w1)) === (await dump(replica)));
}

/** Every writer holds the same data, row for row. */
export async function assertWritersEqual({ writers }: TestCluster, database?: string): Promise<void> {
  const [first, ...others] = await Promise.all(writers.map((w) => dump(w, database, { sequences: 'left out' })));
  assert.ok(first !== undefined && others.length > 0, 'there is something to compare');
  for (const [index, other] of others.entries()) {
    const [lead, follower] = [new Set(first.split('\n')), new Set(other.split('\n'))];
    const only = (own: Set<string>, than: Set<string>): string[] =>
      [...own].filter((line) => !than.has(line)).slice(0, 5);
    const difference = { w1: only(lead, follower), [`w${index + 2}`]: only(follower, lead) };
    assert.ok(other === first, `the writers differ: ${JSON.stringify(difference)}`);
  }
}

/** How often the server's own log has `text` (with log_statement = all: how often it was run there). */
export function loggedTimes(server: Server, text: string): number {
  return readFileSync(server.logFile, 'utf8').split(text).length - 1;
}
