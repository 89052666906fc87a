/**
 * Data larger than the proxy should hold, in both directions: it passes whole, and the slowest end brakes the other.
 * `PPROX_TEST_LONG` makes the result 1 GB.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Server } from '../../src/embedded/server.ts';
import { freeze, sql, thaw } from '../support/cluster.ts';
import { copyData, copyDone, query } from '../support/frontend-messages.ts';
import { ByteClient, growthDuring } from './byte-client.ts';
import { assertWritersEqual, startScene, until, value } from './scene.ts';

const { cluster, proxy } = await startScene({ followerTimeoutMs: 120_000, followerLockTimeoutMs: 1000 });
const { w1, w2, replica } = cluster;

const MEBIBYTE = 1024 * 1024;
/** What may be on its way at once, and what the collector has not come to yet: far below what passes. */
const BOUND_BYTES = 160 * MEBIBYTE;
const RESULT_MEBIBYTES = process.env['PPROX_TEST_LONG'] === undefined ? 256 : 1024;

async function waits(server: Server, event: string): Promise<void> {
  await until(`${server.name} waits: ${event}`, async () => {
    const rows = await sql(
      server,
      `SELECT FROM pg_stat_activity WHERE wait_event = '${event}' AND backend_type = 'client backend'`,
    );
    return rows.length > 0;
  });
}

/** Resolves when `measure` has not changed for a while: whoever moves it is braked. */
async function settles(what: string, measure: () => number): Promise<number> {
  let last = -1;
  let same = 0;
  await until(what, () => {
    const now = measure();
    same = now === last ? same + 1 : 0;
    last = now;
    return same >= 15;
  });
  return last;
}

for (const where of ['reader', 'lead'] as const) {
  test(`a large result from the ${where} waits for a client that is slow, and arrives whole`, async () => {
    const client = await ByteClient.start(proxy);
    const growth = await growthDuring(async () => {
      const hint = where === 'lead' ? '/* pprox: lead */ ' : '';
      client.query(
        `${hint}SELECT repeat(chr(32 + n % 90), 10240) FROM generate_series(0, ${RESULT_MEBIBYTES * 102} - 1) n`,
      );
      await until('it has begun', () => client.valueBytes > 0);
      client.socket.pause();
      await waits(where === 'lead' ? w1 : replica, 'ClientWrite');
      const stood = client.valueBytes;
      assert.ok(stood < (RESULT_MEBIBYTES * MEBIBYTE) / 2, `${stood} bytes had come`);
      // By fits and starts from here on.
      const hold = setInterval(() => {
        client.socket.pause();
        setImmediate(() => client.socket.resume());
      }, 1);
      client.socket.resume();
      await client.ready(2);
      clearInterval(hold);
    });
    assert.equal(client.counts['D'], RESULT_MEBIBYTES * 102);
    assert.equal(client.valueBytes, RESULT_MEBIBYTES * 102 * 10240);
    assert.ok(growth < BOUND_BYTES, `grew by ${Math.round(growth / MEBIBYTE)} MiB`);
    client.socket.destroy();
  });
}

test('a row of 300 MB passes, whole and without being held', async () => {
  const client = await ByteClient.start(proxy);
  const text = "repeat('0123456789abcdef', 300 * 1000 * 1000 / 16)";
  const growth = await growthDuring(async () => {
    client.query(`SELECT ${text}`);
    await client.ready(2);
  });
  assert.deepEqual([client.counts['D'], client.counts['E']], [1, undefined]);
  assert.equal(client.valueBytes, 300_000_000);
  const [expected] = await sql(w1, `SELECT md5(${text}) AS md5`);
  assert.equal(client.digest(), expected?.['md5']);
  assert.ok(growth < BOUND_BYTES, `grew by ${Math.round(growth / MEBIBYTE)} MiB`);
  client.socket.destroy();
});

test('other clients are served while one stands still', async () => {
  const still = await ByteClient.start(proxy);
  still.query("SELECT repeat('x', 10240) FROM generate_series(1, 30000)");
  await until('it has begun', () => still.valueBytes > 0);
  still.socket.pause();
  await waits(replica, 'ClientWrite');
  const other = await proxy.connect();
  for (let count = 0; count < 20; count++) assert.equal(await value(other, `SELECT ${count}`), count);
  await other.query('CREATE TABLE aside (id int)');
  still.socket.destroy();
  await until('the server has stopped sending', async () => {
    const rows = await sql(
      replica,
      "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%10240%' AND pid <> pg_backend_pid()",
    );
    return rows.length === 0;
  });
});

test('a large COPY waits for a follower that is slow, and is on both writers in the end', async () => {
  const setup = await proxy.connect();
  await setup.query('CREATE TABLE load (id int, x text)');
  const client = await ByteClient.start(proxy);
  client.query('COPY load FROM STDIN');
  await until('it is asked for data', () => client.counts['G'] === 1);
  const line = 'y'.repeat(10_000);
  const LINES = 10_000;
  let sent = 0;
  const growth = await growthDuring(async () => {
    const feed = (async () => {
      for (; sent < LINES; sent++) {
        if (!client.socket.write(copyData(`${sent}\t${line}\n`))) await once(client.socket, 'drain');
        else if (sent % 16 === 0) await turn();
      }
      client.socket.write(copyDone());
    })();
    await until('it flows', () => sent > 200);
    freeze(w2);
    const stood = await settles('the client is braked', () => sent);
    assert.ok(stood < LINES / 2, `${stood} of ${LINES} lines were taken`);
    thaw(w2);
    await feed;
    await client.ready(2);
  });
  assert.equal(client.counts['E'], undefined);
  assert.ok(growth < BOUND_BYTES, `grew by ${Math.round(growth / MEBIBYTE)} MiB`);
  for (const writer of [w1, w2]) {
    const [found] = await sql(writer, 'SELECT count(*)::int AS n, sum(length(x))::int AS length FROM load');
    assert.deepEqual(found, { n: LINES, length: LINES * 10_000 });
  }
  client.socket.destroy();
});

test('rows that are replayed on a slow follower hold the lead back', async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE drawn (id bigserial PRIMARY KEY, x text)');
  await client.query("INSERT INTO drawn (x) VALUES ('first')");
  const growth = await growthDuring(async () => {
    freeze(w2);
    const inserted = client.query("INSERT INTO drawn (x) SELECT repeat('z', 10000) FROM generate_series(1, 7500)");
    await waits(w1, 'ClientWrite');
    thaw(w2);
    assert.equal((await inserted).rowCount, 7500);
  });
  assert.ok(growth < BOUND_BYTES, `grew by ${Math.round(growth / MEBIBYTE)} MiB`);
  await client.query('DROP TABLE load');
  await assertWritersEqual(cluster);
});

test('a statement of 32 MB reaches every writer', async () => {
  const setup = await proxy.connect();
  await setup.query('CREATE TABLE long (x text)');
  const client = await ByteClient.start(proxy);
  const literal = `it''s ${'0123456789abcdef'.repeat(2 * MEBIBYTE)}`;
  client.socket.write(query(`INSERT INTO long VALUES ('${literal}') -- ends here`));
  await client.ready(2);
  assert.equal(client.counts['E'], undefined);
  const [lead, follower] = await Promise.all(
    [w1, w2].map((writer) => sql(writer, 'SELECT length(x) AS n, md5(x) AS md5 FROM long')),
  );
  assert.equal(lead?.[0]?.['n'], 32 * MEBIBYTE + 5);
  assert.deepEqual(follower, lead);
  client.socket.destroy();
});
