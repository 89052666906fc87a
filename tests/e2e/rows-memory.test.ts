/** What rows on their way to a follower cost in memory, while it takes nothing of them: a bound, however many and large they are. */
import assert from 'node:assert/strict';
import { after, type TestContext, test } from 'node:test';
import pg from 'pg';
import { freeze, sql, startTestCluster, thaw } from '../support/cluster.ts';
import { startMeasuredProxy } from '../support/measured-proxy.ts';
import { until } from './scene.ts';

const cluster = await startTestCluster({ reader: false });
const { w1, w2 } = cluster;
const proxy = await startMeasuredProxy(cluster, { PPROX_FOLLOWER_TIMEOUT: '120s' }, 'optimised');
const client = new pg.Client({ host: proxy.host, port: proxy.port, user: 'postgres', database: 'postgres' });
client.on('error', () => undefined); // a query in flight rejects by itself
await client.connect();
after(() => client.end());

const MEBIBYTE = 1024 * 1024;
const LONG = process.env['PPROX_TEST_LONG'] !== undefined;
/** Of 300 bytes. */
const ROWS = LONG ? 1_000_000 : 60_000;
/** Of a mebibyte. */
const LARGE_ROWS = LONG ? 300 : 30;

/** What is kept for a replay, as long as it is all of it. */
const KEPT = 8 * MEBIBYTE;
/** Four batches of 256 KiB in flight, as text and as the follower's message; one under construction, and sockets. */
const BOUND_BYTES = KEPT + 2 * MEBIBYTE + 2 * MEBIBYTE;
/** 4 MiB in flight and the row that exceeds them, twice; one more on its way through. */
const LARGE_BOUND_BYTES = KEPT + 2 * 5 * MEBIBYTE + 3 * MEBIBYTE;

/** The lead sends no row before it has changed them all. */
const PATIENCE_MS = LONG ? 120_000 : 30_000;
/** Looks in a row that find the lead at the same: 300 ms and more. */
const LOOKS = 15;

await client.query('CREATE TABLE item (name text PRIMARY KEY, n int NOT NULL)');
await client.query('CREATE TABLE document (id int PRIMARY KEY, code int UNIQUE, n int NOT NULL, body text)');

test('an INSERT of the rows of a query holds a few batches', async (context) => {
  const text = `INSERT INTO item SELECT lpad(i::text, 300, 'x'), i FROM generate_series(1, ${ROWS}) i`;
  await runStopped(context, text, BOUND_BYTES);
  await assertEqual('item', ROWS);
});

test('so does an UPDATE', async (context) => {
  await runStopped(context, 'UPDATE item SET n = n + 1 WHERE n > 0', BOUND_BYTES);
  await assertEqual('item', ROWS);
});

test('so does a DELETE', async (context) => {
  await runStopped(context, 'DELETE FROM item WHERE n > 2', BOUND_BYTES);
  await assertEqual('item', 1);
});

test('an INSERT of large values holds a few of them', async (context) => {
  const values = `i, i, 1, repeat('x', ${MEBIBYTE})`;
  const text = `INSERT INTO document SELECT ${values} FROM generate_series(1, ${LARGE_ROWS}) i`;
  await runStopped(context, text, LARGE_BOUND_BYTES);
  await assertEqual('document', LARGE_ROWS);
});

test('so does an UPDATE of a unique column beside them, whose rows are sent one by one', async (context) => {
  const text = `UPDATE document SET code = code + ${LARGE_ROWS}, body = body || 'y' WHERE n > 0`;
  assert.match(await planOf(text), /one for each row/);
  await runStopped(context, text, LARGE_BOUND_BYTES);
  await assertEqual('document', LARGE_ROWS);
});

test('an UPDATE of another column leaves them where they are', async () => {
  const text = 'UPDATE document SET n = n + 1 WHERE n > 0';
  assert.doesNotMatch(await planOf(text), /body/);
  const before = await proxy.measure();
  await client.query(text);
  const held = (await proxy.measure()).heapBytes - before.heapBytes;
  assert.ok(held < MEBIBYTE, `${held} bytes are left of it`);
  await assertEqual('document', LARGE_ROWS);
});

/** Stops the follower when the first rows have come there, until the lead stands as well. */
async function runStopped(context: TestContext, text: string, bound: number): Promise<void> {
  assert.match(await planOf(text), /^Plan: rows$/m);
  const before = await proxy.measure();
  const done = client.query(text);
  done.catch(() => undefined); // awaited below, where nothing fails before
  await until('rows come to the follower', async () => (await doing(w2)) !== undefined, PATIENCE_MS);
  freeze(w2);
  let last: unknown;
  let same = 0;
  await until('the lead stands, or has done it', async () => {
    const now = await doing(w1);
    same = now === last && now !== 'active' ? same + 1 : 0;
    last = now;
    return same >= LOOKS;
  });
  const during = await proxy.measure();
  thaw(w2);
  await done;
  const afterwards = await proxy.measure();

  const held = during.heapBytes - before.heapBytes;
  const resident = during.residentBytes - before.residentBytes;
  context.diagnostic(`${held} bytes of heap and buffers are held, the process has grown by ${resident}`);
  assert.ok(held < bound, `${held} bytes are held for it`);
  assert.equal(last, 'active, ClientWrite', 'the lead is not read');
  const left = afterwards.heapBytes - before.heapBytes;
  assert.ok(left < MEBIBYTE, `${left} bytes are left of it`);
}

async function planOf(text: string): Promise<string> {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN (PPROX) ${text}`);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

/** What the server does about a change of rows, and what that waits for; undefined where there is none. */
async function doing(server: typeof w1): Promise<unknown> {
  const [found] = await sql(
    server,
    `SELECT concat_ws(', ', state, wait_event) AS now FROM pg_stat_activity
     WHERE query ~ '^(INSERT|UPDATE|DELETE) ' AND state <> 'idle'`,
  );
  return found?.['now'];
}

async function assertEqual(table: string, rows: number): Promise<void> {
  const text = `SELECT count(*)::int AS n, sum(hashtextextended(r::text, 0))::text AS hash FROM ${table} r`;
  const [[lead], [follower]] = await Promise.all([sql(w1, text), sql(w2, text)]);
  assert.equal(lead?.['n'], rows);
  assert.deepEqual(follower, lead);
}
