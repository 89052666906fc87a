/** A cancel request reaches the query that it was meant for, wherever it runs, and nothing else. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import type { Server } from '../../src/embedded/server.ts';
import type { BackendMessage } from '../support/backend-messages.ts';
import { sql, withConnection } from '../support/cluster.ts';
import { cancelRequest, query } from '../support/frontend-messages.ts';
import { startTestProxy, clusterDsn } from '../support/proxy.ts';
import { RawClient } from '../support/raw-client.ts';
import { startNetworkRelay } from '../support/network-relay.ts';
import { startPeer } from '../support/tls-relays.ts';
import { assertWritersEqual, connectRaw, errorIn, outcome, startScene, until } from './scene.ts';

const scene = await startScene({ poolSize: 2, followerLockTimeoutMs: 60_000, followerTimeoutMs: 120_000 });
const { cluster, proxy } = scene;
const { w1, w2, replica } = cluster;
const HANGS = { timeout: 60_000 };

async function cancel(client: RawClient, through: Pick<typeof proxy, 'host' | 'port'> = proxy): Promise<void> {
  const key = client.messages.find((message) => message.type === 'BackendKeyData');
  assert.ok(key?.type === 'BackendKeyData');
  const request = await RawClient.open(through);
  request.send(cancelRequest(key.pid, key.secret));
  await request.waitClosed();
}

async function runs(server: Server, mark: string): Promise<void> {
  await until(`${server.name} runs it`, async () => {
    const rows = await sql(
      server,
      `SELECT FROM pg_stat_activity WHERE query LIKE '%${mark}%' AND state = 'active' AND pid <> pg_backend_pid()`,
    );
    return rows.length > 0;
  });
}

/** Sends the query, cancels it once it runs on `server`, and gives the answer. */
async function cancelled(client: RawClient, text: string, server: Server): Promise<readonly BackendMessage[]> {
  const from = client.messages.length;
  const mark = `cancel me ${Math.random()}`;
  client.send(query(`${text} /* ${mark} */`));
  await runs(server, mark);
  const ready = client.readies + 1;
  await cancel(client);
  await client.waitReady(ready);
  return client.messages.slice(from);
}

const CANCELED = { C: '57014', M: 'canceling statement due to user request' };

function assertCanceled(messages: readonly BackendMessage[], status: string): void {
  const { C, M } = errorIn(messages);
  assert.deepEqual({ C, M }, CANCELED);
  assert.deepEqual(messages.at(-1), { type: 'ReadyForQuery', status });
}

function values(messages: readonly BackendMessage[]): readonly (string | undefined)[] {
  return messages.flatMap((message) => (message.type === 'DataRow' ? [message.values[0]?.toString()] : []));
}

describe('a cancel request ends', () => {
  test('a read on the reader', async () => {
    const client = await connectRaw(scene);
    assertCanceled(await cancelled(client, 'SELECT pg_sleep(60)', replica), 'I');
    assert.deepEqual(values(await client.query('SELECT 5')), ['5']);
  });

  test('a statement on the lead, inside a transaction', async () => {
    const client = await connectRaw(scene);
    await client.query('BEGIN');
    assertCanceled(await cancelled(client, 'SELECT pg_sleep(60)', w1), 'E');
    await client.query('ROLLBACK');
    assert.deepEqual(values(await client.query('SELECT 6')), ['6']);
  });

  test('a wait for a lock on a follower, and everything is rolled back', async () => {
    const client = await connectRaw(scene);
    await client.query('CREATE TABLE guarded (id int PRIMARY KEY, x int)');
    await client.query('INSERT INTO guarded VALUES (1, 0)');
    await withConnection(w2, undefined, async (direct) => {
      await direct.query('BEGIN; UPDATE guarded SET x = 9');
      const messages = await cancelled(client, 'UPDATE guarded SET x = 1 WHERE id = 1', w2);
      const error = errorIn(messages);
      assert.deepEqual([error['C'], error['M']], ['57014', CANCELED.M]);
      assert.match(error['D'] ?? '', /^follower .*57014/m);
      assert.deepEqual(messages.at(-1), { type: 'ReadyForQuery', status: 'I' });
      await direct.query('ROLLBACK');
    });
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT x FROM guarded'), [{ x: 0 }]);
    assert.equal((await client.query('UPDATE guarded SET x = 2')).at(-1)?.type, 'ReadyForQuery');
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT x FROM guarded'), [{ x: 2 }]);
  });

  for (const [what, text] of Object.entries({ 'a savepoint': 'SAVEPOINT s', COMMIT: 'COMMIT' }))
    test(`the wait of ${what} for a follower that has the transaction yet to begin`, HANGS, async () => {
      const client = await connectRaw(scene);
      await withConnection(w2, undefined, async (direct) => {
        await direct.query('BEGIN; UPDATE guarded SET x = 9');
        await client.query('BEGIN');
        await client.query(`UPDATE guarded SET x = 3 WHERE id = 1 /* in front of ${what} */`);
        const from = client.messages.length;
        const ready = client.readies + 1;
        client.send(query(text));
        await runs(w2, `in front of ${what}`);
        await cancel(client);
        await client.waitReady(ready);
        assert.equal(errorIn(client.messages.slice(from))['C'], '57014');
        await direct.query('ROLLBACK');
      });
      await client.query('ROLLBACK');
      for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT x FROM guarded'), [{ x: 2 }]);
    });

  test('a wait for a lock on the lead', async () => {
    const client = await connectRaw(scene);
    await withConnection(w1, undefined, async (direct) => {
      await direct.query('BEGIN; UPDATE guarded SET x = 9');
      assertCanceled(await cancelled(client, 'UPDATE guarded SET x = 1 WHERE id = 1', w1), 'I');
      await direct.query('ROLLBACK');
    });
  });

  test('one query of several in a text, and none of them is kept', async () => {
    const client = await connectRaw(scene);
    assertCanceled(await cancelled(client, 'UPDATE guarded SET x = 7; SELECT pg_sleep(60)', w1), 'I');
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT x FROM guarded'), [{ x: 2 }]);
  });
});

describe('a cancel request leaves alone', () => {
  test('the queries of every other client', async () => {
    const [one, other] = [await connectRaw(scene), await connectRaw(scene)];
    const mark = 'left in peace';
    const from = other.messages.length;
    other.send(query(`SELECT 'done' FROM pg_sleep(1) /* ${mark} */`));
    await runs(replica, mark);
    assertCanceled(await cancelled(one, 'SELECT pg_sleep(60)', replica), 'I');
    await other.waitReady(2);
    assert.deepEqual(values(other.messages.slice(from)), ['done']);
  });

  test('the next query of its own client, and whoever has the connection next', async () => {
    const clients = [await connectRaw(scene), await connectRaw(scene), await connectRaw(scene)];
    const answers = { done: 0, canceled: 0 };
    await Promise.all(
      clients.map(async (client, index) => {
        for (let round = 0; round < 25; round++) {
          const from = client.messages.length;
          const where = (index + round) % 2 === 0 ? '/* pprox: lead */ ' : '';
          client.send(query(`${where}SELECT 'short' FROM pg_sleep(0.00${round % 5})`));
          await cancel(client);
          await client.waitReady(
            client.readies + (client.messages.slice(from).some(({ type }) => type === 'ReadyForQuery') ? 0 : 1),
          );
          const answer = client.messages.slice(from);
          if (values(answer).length === 1) answers.done++;
          else if (errorIn(answer)['C'] === '57014') answers.canceled++;
          // The query that nobody wants to cancel.
          assert.deepEqual(values(await client.query(`${where}SELECT 'kept' FROM pg_sleep(0.002)`)), ['kept']);
        }
      }),
    );
    assert.equal(answers.done + answers.canceled, 75);
  });

  test('a client whose key it does not have', async () => {
    const client = await connectRaw(scene);
    const key = client.messages.find((message) => message.type === 'BackendKeyData');
    assert.ok(key?.type === 'BackendKeyData');
    const from = client.messages.length;
    client.send(query("SELECT 'unharmed' FROM pg_sleep(0.3) /* wrong keys */"));
    await runs(replica, 'wrong keys');
    for (const [pid, secret] of [
      [key.pid, Buffer.alloc(4)],
      [key.pid, Buffer.alloc(0)],
      [key.pid + 1, key.secret],
      [0, Buffer.alloc(32)],
    ] as const) {
      const request = await RawClient.open(proxy);
      request.send(cancelRequest(pid, secret));
      await request.waitClosed();
      assert.deepEqual(request.messages, []);
    }
    await client.waitReady(2);
    assert.deepEqual(values(client.messages.slice(from)), ['unharmed']);
  });
});

describe('a client that vanishes', () => {
  const idle =
    "SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND datname = 'postgres' AND state <> 'idle' AND pid <> pg_backend_pid()";
  async function atRest(): Promise<void> {
    await until('every server is at rest', async () => {
      const busy = await Promise.all([w1, w2, replica].map((server) => sql(server, idle)));
      return busy.flat().length === 0;
    });
  }

  test('in a transaction leaves no lock on any writer', async () => {
    const client = await connectRaw(scene);
    await client.query('BEGIN');
    await client.query('UPDATE guarded SET x = 50');
    client.destroy();
    await atRest();
    for (const writer of [w1, w2]) {
      assert.deepEqual(await sql(writer, 'SELECT x FROM guarded FOR UPDATE NOWAIT'), [{ x: 2 }]);
    }
  });

  for (const [where, server] of Object.entries({ lead: w1, reader: replica })) {
    test(`in a query on the ${where} leaves nothing behind the end of the query`, async () => {
      const client = await connectRaw(scene);
      const mark = `alone on the ${where}`;
      if (where === 'lead') await client.query('BEGIN; UPDATE guarded SET x = 60');
      client.send(query(`SELECT pg_sleep(0.5) /* ${mark} */`));
      await runs(server, mark);
      client.destroy();
      await atRest();
      assert.deepEqual(await sql(w1, 'SELECT x FROM guarded FOR UPDATE NOWAIT'), [{ x: 2 }]);
    });
  }

  test('right behind its statement stops it, wherever that was', HANGS, async () => {
    for (let after = 0; after < 24; after++) {
      const client = await connectRaw(scene);
      client.send(query('BEGIN; LOCK TABLE guarded; SELECT pg_sleep(120)'));
      await sleep(after * 0.7);
      client.reset();
      await atRest();
    }
  });

  test('while a follower waits for a lock leaves the writers equal', async () => {
    const client = await connectRaw(scene);
    await withConnection(w2, undefined, async (direct) => {
      await direct.query('BEGIN; UPDATE guarded SET x = 9');
      client.send(query('UPDATE guarded SET x = 1 WHERE id = 1 /* waits and vanishes */'));
      await runs(w2, 'waits and vanishes');
      client.destroy();
      await direct.query('ROLLBACK');
    });
    await atRest();
    await assertWritersEqual(cluster);
  });

  test('with much of a result unread lets the server go', async () => {
    const client = await connectRaw(scene);
    const mark = 'read by nobody';
    client.send(query(`SELECT repeat('x', 10000) FROM generate_series(1, 100000) /* ${mark} */`));
    await runs(replica, mark);
    client.destroy();
    await atRest();
  });

  test('is not counted among the clients any more', async () => {
    const before = proxy.proxy.clients;
    const client = await connectRaw(scene);
    assert.equal(proxy.proxy.clients, before + 1);
    client.destroy();
    await until('it is not counted', () => proxy.proxy.clients === before);
  });
});

/** CancelRequest's code (PostgreSQL, "Message Formats"). */
const CANCEL_REQUEST = 80877102;

/** In front of a server: a cancel request takes as long as it likes, and COMMITs that pass by while one is under way are counted. */
async function startSlowCancels(
  server: Server,
  holdMs: number,
): Promise<{ readonly port: number; overtaken: number; passed: number }> {
  const seen = { overtaken: 0, passed: 0 };
  let underWay = 0;
  const { port } = await startPeer((client) => {
    const upstream = connect({ host: server.host, port: server.port });
    upstream.on('error', () => undefined); // told by its close
    upstream.on('close', () => client.destroy());
    client.on('close', () => upstream.destroy());
    upstream.pipe(client);
    client.on('data', (chunk: Buffer) => {
      if (chunk.length >= 8 && chunk.readInt32BE(4) === CANCEL_REQUEST) {
        underWay++;
        setTimeout(() => {
          upstream.write(chunk);
          void once(upstream, 'close').then(() => underWay--);
        }, holdMs);
        return;
      }
      if (chunk.includes('COMMIT')) {
        seen.passed++;
        if (underWay > 0) seen.overtaken++;
      }
      upstream.write(chunk);
    });
  });
  return Object.assign(seen, { port });
}

test('a cancel ends the wait for a connection, and the place in line is another one’s', async () => {
  const holders = await Promise.all([connectRaw(scene), connectRaw(scene)]);
  // A start-up asks for a connection too: these two come while there is one.
  const [waiting, next] = [await connectRaw(scene), await connectRaw(scene)];
  for (const holder of holders) await holder.query('BEGIN; SELECT 1 FROM pg_class LIMIT 1 FOR KEY SHARE');
  const from = waiting.messages.length;
  waiting.send(query('CREATE TABLE never (id int)'));
  next.send(query("SELECT 'next', pg_backend_pid() FROM pg_class LIMIT 1 FOR KEY SHARE"));
  const ready = waiting.readies + 1;
  // A request that comes before it waits does nothing.
  await until('it is told', async () => {
    await cancel(waiting);
    return waiting.readies >= ready;
  });
  assertCanceled(waiting.messages.slice(from), 'I');
  for (const holder of holders) await holder.query('ROLLBACK');
  await next.waitReady(2);
  assert.equal(values(next.messages)[0], 'next');
});

test('a cancel ends the wait for a connection that is being made, which serves others once it is', HANGS, async () => {
  const relay = await startNetworkRelay(w1);
  const silent = await startTestProxy({
    writers: [relay.dsn, clusterDsn(w2)],
    settings: { poolSize: 2, connectTimeoutMs: 45_000, healthIntervalMs: 3_600_000 },
  });
  const at = { host: silent.host, port: silent.port, user: 'postgres', database: 'postgres' };
  const [holder, waiting] = [await RawClient.start(at), await RawClient.start(at)];
  await holder.query('BEGIN; SELECT 1 FROM pg_class LIMIT 1 FOR KEY SHARE');
  const { attempts } = relay;
  relay.silence('reply');
  const from = waiting.messages.length;
  waiting.send(query("SELECT 'never' FROM pg_class LIMIT 1 FOR KEY SHARE"));
  await until('it connects', () => relay.attempts > attempts);
  const ready = waiting.readies + 1;
  await cancel(waiting, silent);
  await waiting.waitReady(ready);
  assertCanceled(waiting.messages.slice(from), 'I');
  relay.heal();
  await holder.query('ROLLBACK');
  const made = relay.attempts;
  // Both places are free, and the one that nobody waited for is of use.
  for (const client of [holder, waiting]) await client.query('BEGIN; SELECT 1 FROM pg_class LIMIT 1 FOR KEY SHARE');
  assert.equal(relay.attempts, made);
  holder.destroy();
  waiting.destroy();
  await silent.stop();
});

test('a cancel request that is still under way to a server is waited for before the transaction commits', async () => {
  const lead = await startSlowCancels(w1, 1000);
  const slow = await startTestProxy({ writers: [`postgresql://postgres@127.0.0.1:${lead.port}`, clusterDsn(w2)] });
  const setUp = await slow.connect();
  await setUp.query('CREATE TABLE late (id int PRIMARY KEY, waited text)');
  const client = await RawClient.start({ host: slow.host, port: slow.port, user: 'postgres', database: 'postgres' });
  const mark = 'committed although cancelled';
  client.send(query(`INSERT INTO late SELECT 1, pg_sleep(0.5)::text /* ${mark} */`));
  await runs(w1, mark);
  const from = lead.passed;
  const ready = client.readies + 1;
  const key = client.messages.find((message) => message.type === 'BackendKeyData');
  assert.ok(key?.type === 'BackendKeyData');
  const request = await RawClient.open(slow);
  request.send(cancelRequest(key.pid, key.secret));
  await client.waitReady(ready);
  assert.ok(client.messages.some((message) => message.type === 'CommandComplete' && message.tag === 'INSERT 0 1'));
  assert.deepEqual({ passed: lead.passed - from, overtaken: lead.overtaken }, { passed: 1, overtaken: 0 });
  client.destroy();
  await slow.stop();
  await assertWritersEqual(cluster);
});

test('a cancel reaches who looks on beside a transaction, and who waits in line for it', {
  timeout: 60_000,
}, async () => {
  const own = await startTestProxy({ writers: cluster.writers.map(clusterDsn) });
  const client = await own.connect();
  await client.query(`CREATE TABLE job (id int PRIMARY KEY); INSERT INTO job SELECT generate_series(1, 100);
    CREATE FUNCTION drop_jobs(low int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      DELETE FROM job WHERE id IN (SELECT id FROM job WHERE id BETWEEN low AND low + 9 ORDER BY random() LIMIT 5); END $$`);
  await client.query('SELECT drop_jobs(91)');
  const [found] = await sql(w1, "SELECT pid FROM pg_stat_activity WHERE application_name = 'pprox: looking on'");
  const pid = Number(found?.['pid']);
  assert.ok(pid > 0);
  process.kill(pid, 'SIGSTOP');
  try {
    const address = { host: own.host, port: own.port, user: 'postgres', database: 'postgres' };
    const [looks, waits] = [await RawClient.start(address), await RawClient.start(address)];
    for (const [index, one] of [looks, waits].entries()) {
      one.send(query(`SELECT drop_jobs(${10 * index + 1})`));
      await until('it has run on the lead, and is to be looked at', async () => {
        const [row] = await sql(
          w1,
          "SELECT count(*)::int AS n FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE '%to_regclass%'",
        );
        return row?.['n'] === index + 1;
      });
    }
    await cancel(waits, own);
    await waits.waitReady(2);
    assertCanceled(waits.messages.slice(-2), 'I');
    await cancel(looks, own);
    process.kill(pid, 'SIGCONT');
    await looks.waitReady(2);
    assertCanceled(looks.messages.slice(-2), 'I');
    for (const one of [looks, waits]) one.destroy();
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await assertWritersEqual(cluster);
  const [row] = await sql(w1, 'SELECT count(*)::int AS n FROM job');
  assert.equal(row?.['n'], 95, 'both have been rolled back');
  await client.query('SELECT drop_jobs(91)');
  await own.stop();
  await assertWritersEqual(cluster);
});

test('a cancel reaches the questions about definitions, and who waits until one shows on a follower', {
  timeout: 60_000,
}, async () => {
  const writers = cluster.writers.map(clusterDsn);
  const [own, elsewhere] = [await startTestProxy({ writers }), await startTestProxy({ writers })];
  const setUp = await own.connect();
  await setUp.query('CREATE TABLE asked (id int PRIMARY KEY)');
  const maker = await elsewhere.connect();
  const define = "CREATE OR REPLACE FUNCTION asked() RETURNS int LANGUAGE sql AS 'SELECT 1'";
  await until('nothing else is changed', async () => (await outcome(maker.query(define))) === 'ok');
  const client = await RawClient.start({ host: own.host, port: own.port, user: 'postgres', database: 'postgres' });
  const stopped = async (text: string, status: string): Promise<void> => {
    const ready = client.readies + 1;
    client.send(query(text));
    // Nobody but the proxy knows when it waits.
    await until('it is answered', async () => {
      await cancel(client, own);
      return client.readies >= ready;
    });
    assertCanceled(client.messages.slice(-2), status);
  };
  await withConnection(w1, undefined, async (holder) => {
    await holder.query('BEGIN; LOCK TABLE pprox.definition');
    await stopped('INSERT INTO asked VALUES (1)', 'I');
    client.send(query('BEGIN; SAVEPOINT s'));
    await client.waitReady(client.readies + 1);
    await stopped('INSERT INTO asked VALUES (1)', 'E');
    client.send(query('ROLLBACK'));
    await client.waitReady(client.readies + 1);
    await holder.query('ROLLBACK; BEGIN; LOCK TABLE pprox.decision IN SHARE MODE');
    const waiting = maker.query(define);
    await until('it is prepared', async () => (await sql(w2, 'SELECT FROM pg_prepared_xacts')).length > 0);
    await stopped('INSERT INTO asked VALUES (1)', 'I');
    await holder.query('ROLLBACK');
    await waiting;
  });
  client.destroy();
  await Promise.all([own.stop(), elsewhere.stop()]);
  assert.deepEqual(await sql(w1, 'SELECT FROM asked'), []);
  await assertWritersEqual(cluster);
});
