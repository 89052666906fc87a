/**
 * The n-th read from or write to a server fails, for n = 1, 2, 3 … until the scenario passes untouched: what the client was
 * told is true, and every writer has the transaction or none has.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { sql, startTestCluster } from '../support/cluster.ts';
import { startTestProxy } from '../support/proxy.ts';
import { type Direction, startCuttingRelay } from './cutting-relay.ts';

/** More chunks than any scenario has. */
const LIMIT = 200;
const PATIENCE_MS = 30_000;

const cluster = await startTestCluster({ reader: false });
const { w1, w2 } = cluster;
const relays = { lead: await startCuttingRelay(w1), follower: await startCuttingRelay(w2) };
const proxy = await startTestProxy({
  writers: Object.values(relays).map(({ port }) => `postgresql://postgres@127.0.0.1:${port}`),
  settings: {
    connectTimeoutMs: 1000,
    followerTimeoutMs: 2000,
    commitTimeoutMs: 5000,
    recoveryIntervalMs: 50,
    recoveryGraceMs: 500,
    drainMs: 500,
  },
});
for (const server of [w1, w2]) {
  await sql(
    server,
    'CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)',
  );
}

/** Each leaves one row of that number in `child`, in its last transaction. */
const scenarios: Readonly<Record<string, (id: number) => readonly string[]>> = {
  'a statement alone': (id) => [`INSERT INTO child VALUES (${id}, NULL)`],
  'several statements at once': (id) => [`INSERT INTO parent VALUES (${id}); INSERT INTO child VALUES (${id}, ${id})`],
  'a block with savepoints': (id) => [
    'BEGIN',
    `INSERT INTO parent VALUES (${id})`,
    'SAVEPOINT s',
    `INSERT INTO child VALUES (${id}, NULL)`,
    'ROLLBACK TO s',
    `INSERT INTO child VALUES (${id}, ${id})`,
    'COMMIT',
  ],
  'rows of a query': (id) => [`INSERT INTO child SELECT ${id}, NULL`],
  'a definition': (id) => [
    'BEGIN',
    `CREATE TABLE made_${id} (id serial PRIMARY KEY)`,
    `INSERT INTO made_${id} DEFAULT VALUES`,
    `INSERT INTO child VALUES (${id}, NULL)`,
    'COMMIT',
  ],
};

let next = 0;

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await holds())) {
    assert.ok(performance.now() < deadline, `waited in vain: ${what}`);
    await sleep(10);
  }
}

/** What the client was told of the transaction. */
async function run(texts: readonly string[]): Promise<'committed' | 'rolled back' | 'unknown'> {
  const client = new pg.Client({ host: proxy.host, port: proxy.port, user: 'postgres', database: 'postgres' });
  client.on('error', () => undefined); // a query in flight rejects by itself
  try {
    await client.connect();
  } catch {
    return 'rolled back';
  }
  try {
    let command = '';
    for (const text of texts) {
      const result = await client.query(text);
      ({ command } = Array.isArray(result) ? (result.at(-1) as pg.QueryResult) : result);
    }
    return command === 'ROLLBACK' ? 'rolled back' : 'committed';
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) return 'unknown';
    return error.code === '08007' ? 'unknown' : 'rolled back';
  } finally {
    await client.end();
  }
}

async function nothingLeft(): Promise<boolean> {
  const prepared = await sql(w2, 'SELECT FROM pg_prepared_xacts');
  const open = await Promise.all(
    [w1, w2].map((server) =>
      sql(
        server,
        "SELECT FROM pg_stat_activity WHERE xact_start IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
      ),
    ),
  );
  return prepared.length === 0 && open.flat().length === 0;
}

for (const [what, make] of Object.entries(scenarios)) {
  describe(`${what}, whose n-th chunk is lost with its connection`, () => {
    for (const server of ['lead', 'follower'] as const) {
      for (const direction of ['query', 'reply'] satisfies readonly Direction[]) {
        test(`${direction === 'query' ? 'to' : 'from'} the ${server}, is everywhere or nowhere, and the client knows`, async (t) => {
          for (let n = 1; ; n++) {
            assert.ok(n < LIMIT, 'it passes untouched at last');
            await until(
              'the proxy serves again',
              async () => (await run(['DELETE FROM child WHERE id = -1'])) === 'committed',
            );
            const id = ++next;
            relays[server].cut(direction, n);
            const told = await run(make(id));
            const fate = relays[server].disarm();
            await until('nothing is left prepared or open', nothingLeft);
            const there = await Promise.all(
              [w1, w2].map(async (writer) => (await sql(writer, `SELECT FROM child WHERE id = ${id}`)).length),
            );
            const where = `n = ${n}: told ${told}, rows ${there.join(' and ')}`;
            assert.equal(there[0], there[1], where);
            if (told === 'committed') assert.deepEqual(there, [1, 1], where);
            if (told === 'rolled back') assert.deepEqual(there, [0, 0], where);
            if (fate === 'untouched') {
              assert.equal(told, 'committed');
              t.diagnostic(`${n - 1} chunks`);
              return;
            }
          }
        });
      }
    }
  });
}
