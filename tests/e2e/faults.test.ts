/** Servers that are not there, die, hang or refuse: clean errors that name them, nothing half done, and service that resumes. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import type pg from 'pg';
import type { Server } from '../../src/embedded/server.ts';
import { freeze, sql, startTestCluster, thaw } from '../support/cluster.ts';
import { query } from '../support/frontend-messages.ts';
import { clusterDsn, startTestProxy, type TestProxy } from '../support/proxy.ts';
import { assertWritersEqual, connectRaw, errorIn, refusal, startScene, until, value } from './scene.ts';

const scene = await startScene({
  connectTimeoutMs: 1500,
  healthIntervalMs: 100,
  followerLockTimeoutMs: 200,
  followerTimeoutMs: 1000,
});
const { cluster, proxy } = scene;
const { w1, w2, replica } = cluster;
const servers = { lead: w1, follower: w2, reader: replica };

await (await proxy.connect()).query('CREATE TABLE kept (id int PRIMARY KEY)');

for (const [writer, seconds] of [
  [w1, 0],
  [w2, 60],
] as const) {
  await sql(writer, `CREATE FUNCTION slow_there() RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(${seconds})'`);
}

let id = 0;

/** Whatever a test has left: every server runs, and the proxy has found out. */
afterEach(async () => {
  for (const server of Object.values(servers)) {
    thaw(server);
    if (server.pid === undefined) await server.start();
  }
  const client = await connected();
  // A follower is asked for with the first write.
  await until('writes work', () =>
    client.query('BEGIN; INSERT INTO kept VALUES (0); ROLLBACK').then(
      () => true,
      () => client.query('ROLLBACK').then(() => false),
    ),
  );
  await client.end();
});

/** For a moment after its start, a server may still be known for what it said while it was starting. */
async function connected(): Promise<pg.Client> {
  let client: pg.Client | undefined;
  await until('the proxy lets clients in', async () => {
    client = await proxy.connect().catch(() => undefined);
    return client !== undefined;
  });
  assert.ok(client !== undefined, 'until has waited for it');
  return client;
}

function fresh(settings: Parameters<typeof startTestProxy>[0]['settings'] = {}): Promise<TestProxy> {
  return startTestProxy({
    writers: cluster.writers.map(clusterDsn),
    reader: clusterDsn(replica),
    settings: { connectTimeoutMs: 1500, drainMs: 500, ...settings },
  });
}

/** Reads and writes work, with everything on both writers. */
async function assertServes(client: pg.Client): Promise<void> {
  await until('writes work', () =>
    client.query(`INSERT INTO kept VALUES (${++id})`).then(
      () => true,
      () => false,
    ),
  );
  assert.equal(await value(client, `SELECT count(*)::int FROM kept WHERE id = ${id}`), 1);
  await assertWritersEqual(cluster);
}

function assertNames(error: { message: string; detail?: string | undefined }, server: Server): void {
  assert.ok(
    `${error.message} ${error.detail}`.includes(`127.0.0.1:${server.port}`),
    `${error.message} ${error.detail}`,
  );
}

async function assertNothingOpen(): Promise<void> {
  await until('no transaction is open', async () => {
    const open = await Promise.all(
      [w1, w2].map((writer) => sql(writer, 'SELECT FROM pg_stat_activity WHERE backend_xid IS NOT NULL')),
    );
    return open.flat().length === 0;
  });
}

describe('a server that is down when the proxy starts', () => {
  for (const [role, server] of Object.entries(servers)) {
    test(`is named in the log if it is the ${role}, and what can be served is`, async () => {
      await server.stop('fast');
      const late = await fresh();
      const warned = late.lines.find(
        ({ level, event }) => level === 'warn' && event === 'server not available at start',
      );
      assert.ok(String(warned?.fields['server']).endsWith(`127.0.0.1:${server.port}`));
      const client = await late.connect();
      assert.equal(await value(client, 'SELECT 1'), 1);
      const write = client.query(`INSERT INTO kept VALUES (${++id})`);
      if (role === 'reader') await write;
      else {
        const error = await refusal(write);
        assert.equal(error.code, '08001');
        assertNames(error, server);
      }
      await server.start();
      await assertServes(client);
    });
  }

  test('and no other either, makes the start-up of a client fail with the reason', async () => {
    const away = await startTestProxy({ writers: ['postgresql://postgres@127.0.0.1:1'], settings: { drainMs: 0 } });
    const error = await refusal(away.connect());
    assert.deepEqual([error.severity, error.code], ['FATAL', '08001']);
    assert.match(error.message, /could not connect to lead 127\.0\.0\.1:1: connect ECONNREFUSED/);
  });
});

describe('a server that crashes', () => {
  for (const [role, server] of Object.entries({ lead: w1, follower: w2 })) {
    test(`as the ${role}, in a transaction, takes the transaction with it on every writer`, async () => {
      const client = await proxy.connect();
      await client.query('BEGIN');
      await client.query('INSERT INTO kept VALUES (-1)');
      await server.stop('immediate');
      // A follower's end is told when it has reached the proxy: with one of the next statements.
      const inserts = async (): Promise<void> => {
        for (let n = 2; n < 1000; n++) await client.query(`INSERT INTO kept VALUES (-${n})`);
      };
      const error = await refusal(inserts());
      assert.equal(error.code?.slice(0, 2), '08', error.message);
      assertNames(error, server);
      assert.equal((await client.query('ROLLBACK')).command, 'ROLLBACK');
      const other = role === 'lead' ? w2 : w1;
      await until(
        'the other has let go',
        async () => (await sql(other, 'SELECT FROM pg_stat_activity WHERE backend_xid IS NOT NULL')).length === 0,
      );
      await server.start();
      for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM kept WHERE id < 0'), []);
      await assertServes(client);
    });

    test(`as the ${role}, while it runs a statement, is named in its answer`, async () => {
      const client = await connectRaw(scene);
      const from = client.messages.length;
      const text = role === 'lead' ? 'BEGIN; SELECT pg_sleep(60)' : 'SELECT slow_there()';
      client.send(query(text));
      await until(
        'it runs',
        async () => (await sql(server, "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'")).length > 0,
      );
      await server.stop('immediate');
      await client.waitReady(2);
      const error = errorIn(client.messages.slice(from));
      assert.equal(error['C']?.slice(0, 2), '08', error['M']);
      assertNames({ message: error['M'] ?? '', detail: error['D'] }, server);
      await server.start();
      client.destroy();
      await assertServes(await connected());
    });
  }
});

describe('a server that hangs', () => {
  test('as a follower, in a statement, is given up, and nothing is left anywhere', async () => {
    const client = await proxy.connect();
    await assertServes(client);
    freeze(w2);
    const error = await refusal(client.query('INSERT INTO kept VALUES (-1)'));
    assert.equal(error.code, '08006', error.message);
    assertNames(error, w2);
    const next = await refusal(client.query('INSERT INTO kept VALUES (-1)'));
    assert.equal(next.code, '08001', next.message);
    assertNames(next, w2);
    assert.equal(await value(client, 'SELECT count(*)::int FROM kept WHERE id < 0'), 0, 'reads go on');
    thaw(w2);
    await assertServes(client);
    await assertNothingOpen();
    assert.deepEqual(await sql(w2, 'SELECT id FROM kept WHERE id < 0'), []);
  });

  for (const text of ['SAVEPOINT s', 'CREATE TABLE never (id int)', 'INSERT INTO numbered DEFAULT VALUES']) {
    test(`as a follower, before ${text}, fails the transaction within the deadline`, async () => {
      const client = await proxy.connect();
      await client.query('CREATE TABLE IF NOT EXISTS numbered (id serial)');
      await client.query('BEGIN');
      await client.query('INSERT INTO kept VALUES (-3)');
      freeze(w2);
      const error = await refusal(client.query(text));
      assert.equal(error.code, '08006', error.message);
      assertNames(error, w2);
      assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
      thaw(w2);
      await assertServes(client);
      await assertNothingOpen();
      for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM kept WHERE id < 0'), []);
    });
  }

  test('as a follower, in a statement that the client has the answer of, fails its COMMIT within the deadline', async () => {
    const client = await proxy.connect();
    await client.query('BEGIN');
    await client.query('INSERT INTO kept VALUES (-3)');
    freeze(w2);
    assert.equal((await client.query('UPDATE kept SET id = id WHERE id = -3 RETURNING id')).rowCount, 1);
    assert.equal((await client.query('INSERT INTO kept VALUES (-4)')).rowCount, 1);
    const error = await refusal(client.query('COMMIT'));
    assert.equal(error.code, '08006', error.message);
    assertNames(error, w2);
    assert.deepEqual(await sql(w1, 'SELECT id FROM kept WHERE id < 0'), []);
    thaw(w2);
    await assertServes(client);
    await assertNothingOpen();
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM kept WHERE id < 0'), []);
  });

  test('as a follower, before ROLLBACK, does not keep the client', async () => {
    const client = await proxy.connect();
    await client.query('BEGIN');
    await client.query('INSERT INTO kept VALUES (-3)');
    freeze(w2);
    assert.equal((await client.query('ROLLBACK')).command, 'ROLLBACK');
    thaw(w2);
    await assertServes(client);
    await assertNothingOpen();
  });

  test('as a follower, before COMMIT, has the transaction rolled back everywhere', async () => {
    const client = await proxy.connect();
    await client.query('BEGIN');
    await client.query(`INSERT INTO kept VALUES (${++id})`);
    freeze(w2);
    const error = await refusal(client.query('COMMIT'));
    assert.equal(error.code, '08006', error.message);
    assertNames(error, w2);
    thaw(w2);
    await assertNothingOpen();
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, `SELECT id FROM kept WHERE id = ${id}`), []);
    await assertServes(client);
  });

  test('as a follower, before COMMIT in one phase, leaves an outcome that is said to be unknown, server by server', async () => {
    const onePhase = await fresh({
      ...{ commitMode: 'one-phase', followerPace: 'lockstep', followerLockTimeoutMs: 200, followerTimeoutMs: 1000 },
    });
    const client = await onePhase.connect();
    await client.query('BEGIN');
    await client.query(`INSERT INTO kept VALUES (${++id})`);
    freeze(w2);
    const error = await refusal(client.query('COMMIT'));
    assert.equal(error.code, '08007', error.message);
    const [lead, follower] = (error.detail ?? '').split('\n');
    assert.match(lead ?? '', new RegExp(`^lead 127\\.0\\.0\\.1:${w1.port}.*: rolled back$`));
    assert.match(follower ?? '', new RegExp(`^follower 127\\.0\\.0\\.1:${w2.port}.*: unknown$`));
    thaw(w2);
    await assertNothingOpen();
    assert.deepEqual(await sql(w1, `SELECT id FROM kept WHERE id = ${id}`), []);
    await sql(w2, `DELETE FROM kept WHERE id = ${id}`);
    await assertServes(client);
  });

  test('as the lead, is given up, and the followers let go of everything', async () => {
    const [client, other] = [await proxy.connect(), await proxy.connect()];
    await assertServes(client);
    await other.query('BEGIN');
    await other.query('INSERT INTO kept VALUES (-5)');
    freeze(w1);
    for (const error of await Promise.all([
      refusal(client.query('INSERT INTO kept VALUES (-6)')),
      refusal(other.query('INSERT INTO kept VALUES (-7)')),
    ])) {
      assert.equal(error.code?.slice(0, 2), '08', error.message);
      assertNames(error, w1);
    }
    assert.equal((await other.query('ROLLBACK')).command, 'ROLLBACK');
    assert.equal(await value(client, 'SELECT 1'), 1, 'reads go on');
    await until(
      'the follower holds nothing',
      async () => (await sql(w2, 'SELECT FROM pg_stat_activity WHERE backend_xid IS NOT NULL')).length === 0,
    );
    thaw(w1);
    await assertServes(client);
    await assertNothingOpen();
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM kept WHERE id < 0'), []);
  });

  test('as the reader, is given up, and the lead reads', async () => {
    const client = await proxy.connect();
    assert.equal(await value(client, 'SELECT 1'), 1);
    freeze(replica);
    assert.equal(await value(client, 'SELECT 2'), 2);
    assert.equal(await value(client, 'SELECT 3'), 3);
    await client.query(`INSERT INTO kept VALUES (${++id})`);
    assert.equal(await value(client, `SELECT count(*)::int FROM kept WHERE id = ${id}`), 1);
    thaw(replica);
    await assertServes(client);
  });

  test('while it only takes its time, is waited for', async () => {
    const client = await proxy.connect();
    assert.equal(await value(client, 'SELECT 9 FROM pg_sleep(1.5)'), 9);
    await client.query('BEGIN');
    assert.equal(await value(client, 'SELECT 10 FROM pg_sleep(1.5)'), 10);
    await client.query('COMMIT');
  });
});

test('a writer that is a standby is refused, and nothing is written', async () => {
  const wrong = await startTestProxy({ writers: [clusterDsn(replica), clusterDsn(w2)], settings: { drainMs: 0 } });
  const error = await refusal(wrong.connect());
  assert.equal(error.severity, 'FATAL');
  assert.match(
    error.message,
    new RegExp(`lead 127\\.0\\.0\\.1:${replica.port} is in recovery: a standby cannot be a writer`),
  );
  const follower = await startTestProxy({ writers: [clusterDsn(w1), clusterDsn(replica)], settings: { drainMs: 0 } });
  const client = await follower.connect();
  assert.match((await refusal(client.query('INSERT INTO kept VALUES (-8)'))).message, /is in recovery/);
  assert.deepEqual(await sql(w1, 'SELECT id FROM kept WHERE id < 0'), []);
});

test('another server at the address of a writer is refused', async () => {
  const { w1: first } = await startTestCluster({ writers: 1, reader: false });
  const { w1: second } = await startTestCluster({ writers: 1, reader: false, major: 15 });
  let target = first;
  const net = await import('node:net');
  const relay = net.createServer((socket) => {
    const onward = net.connect(target.port, target.host);
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward]) end.on('error', () => undefined);
    socket.on('close', () => onward.destroy());
    onward.on('close', () => socket.destroy());
  });
  await new Promise<void>((resolve) => relay.listen(0, '127.0.0.1', resolve));
  const bound = relay.address();
  assert.ok(bound !== null && typeof bound === 'object');
  const moved = await startTestProxy({
    writers: [`postgresql://postgres@127.0.0.1:${bound.port}`],
    settings: { drainMs: 0 },
  });
  const client = await moved.connect();
  await client.query('CREATE TABLE t (id int)');
  target = second;
  await first.stop('fast');
  await until('the connection is gone', () =>
    client.query('SELECT 1').then(
      () => false,
      () => true,
    ),
  );
  await until('the change is told', () =>
    refusal(client.query('INSERT INTO t VALUES (1)')).then(({ message }) =>
      /is another server than before/.test(message),
    ),
  );
  await moved.stop();
  relay.close();
});
