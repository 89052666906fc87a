/** Where reads go, and what they show. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { copyData, copyDone, query } from '../support/frontend-messages.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { connectRaw, errorIn, loggedTimes, refusal, replayed, startScene, until, value } from './scene.ts';

const scene = await startScene({}, { settings: { log_statement: 'all' } });
const { cluster, proxy } = scene;
const { w1, w2, replica } = cluster;

let marks = 0;

/** Runs a read and tells which servers have run it, by their own logs. */
async function placeOf(client: pg.Client, text = 'SELECT 1'): Promise<string> {
  const mark = `read ${++marks} of the tests`;
  await client.query(`${text} /* ${mark} */`);
  const ran = Object.entries({ w1, w2, reader: replica }).filter(([, server]) => loggedTimes(server, mark) > 0);
  return ran.map(([name]) => name).join(' and ');
}

async function paused(work: () => Promise<void>): Promise<void> {
  await replayed(cluster);
  await sql(replica, 'SELECT pg_wal_replay_pause()');
  await until('replay is paused', async () => {
    const [row] = await sql(replica, 'SELECT pg_get_wal_replay_pause_state() AS state');
    return row?.['state'] === 'paused';
  });
  try {
    await work();
  } finally {
    await sql(replica, 'SELECT pg_wal_replay_resume()');
  }
}

describe('a session reads what it has written, though the reader does not have it yet,', () => {
  const writes: Readonly<Record<string, (client: pg.Client, id: number) => Promise<unknown>>> = {
    'by a statement of its own': (client, id) => client.query(`INSERT INTO own VALUES (${id})`),
    'in a transaction': (client, id) => client.query(`BEGIN; INSERT INTO own VALUES (${id}); COMMIT`),
    'in several statements of one text': (client, id) => client.query(`SELECT 1; INSERT INTO own VALUES (${id})`),
    'before a transaction that was rolled back': async (client, id) => {
      await client.query(`INSERT INTO own VALUES (${id})`);
      await client.query('BEGIN; DELETE FROM own; ROLLBACK');
    },
    'before COMMIT AND CHAIN': async (client, id) => {
      await client.query('BEGIN');
      await client.query(`INSERT INTO own VALUES (${id})`);
      await client.query('COMMIT AND CHAIN');
      await client.query('ROLLBACK');
    },
    'in a serializable transaction': (client, id) =>
      client.query(`BEGIN ISOLATION LEVEL SERIALIZABLE; INSERT INTO own VALUES (${id}); COMMIT`),
    'by a function': (client, id) => client.query(`SELECT put_own(${id})`),
    'by a DO block': (client, id) => client.query(`DO $$ BEGIN INSERT INTO own VALUES (${id}); END $$`),
    'by a prepared statement': async (client, id) => {
      await client.query('PREPARE put AS INSERT INTO own VALUES ($1)');
      await client.query(`EXECUTE put (${id})`);
      await client.query('DEALLOCATE put');
    },
    'behind a savepoint that failed': async (client, id) => {
      await client.query('BEGIN');
      await client.query(`INSERT INTO own VALUES (${id})`);
      await client.query('SAVEPOINT s');
      await refusal(client.query(`INSERT INTO own VALUES (${id})`));
      await client.query('ROLLBACK TO s');
      await client.query('COMMIT');
    },
    'and is at once asked from a READ ONLY transaction': async (client, id) => {
      await client.query(`INSERT INTO own VALUES (${id})`);
      await client.query('BEGIN READ ONLY');
      assert.equal(await value(client, `SELECT count(*)::int FROM own WHERE id = ${id}`), 1);
      await client.query('COMMIT');
    },
  };
  test('however it has written', async () => {
    const setup = await proxy.connect();
    await setup.query('CREATE TABLE own (id int PRIMARY KEY)');
    await setup.query("CREATE FUNCTION put_own(int) RETURNS void LANGUAGE sql AS 'INSERT INTO own VALUES ($1)'");
    await paused(async () => {
      for (const [index, [how, write]] of Object.entries(writes).entries()) {
        const client = await proxy.connect();
        await write(client, index);
        assert.equal(await value(client, `SELECT count(*)::int FROM own WHERE id = ${index}`), 1, how);
        await client.end();
      }
    });
  });

  test('by COPY', async () => {
    const setup = await proxy.connect();
    await setup.query('CREATE TABLE copied (id int)');
    await paused(async () => {
      const client = await connectRaw(scene);
      client.send(query('COPY copied FROM STDIN'));
      await client.waitFor(['CopyInResponse'], 0);
      client.send(copyData('1\n'), copyDone());
      await client.waitReady(2);
      const rows = (await client.query('SELECT id FROM copied')).filter(({ type }) => type === 'DataRow');
      assert.equal(rows.length, 1);
      client.destroy();
    });
  });

  test('also a new table, a new database and a new column', async () => {
    await paused(async () => {
      const client = await proxy.connect();
      await client.query('CREATE TABLE novel (id int)');
      assert.deepEqual((await client.query('SELECT * FROM novel')).rows, []);
      await client.query('ALTER TABLE novel ADD COLUMN more int');
      assert.deepEqual((await client.query('SELECT more FROM novel')).rows, []);
      await client.query('CREATE DATABASE novelty');
      assert.equal(await value(client, "SELECT count(*)::int FROM pg_database WHERE datname = 'novelty'"), 1);
      await client.query('DROP DATABASE novelty');
      assert.equal(await value(client, "SELECT count(*)::int FROM pg_database WHERE datname = 'novelty'"), 0);
    });
  });

  test('and goes to the reader again once it has', async () => {
    const [writer, other] = [await proxy.connect(), await proxy.connect()];
    await writer.query('CREATE TABLE back (id int)');
    await paused(async () => {
      await writer.query('INSERT INTO back VALUES (1)');
      assert.equal(await placeOf(writer, 'SELECT * FROM back'), 'w1');
      assert.equal(await placeOf(other, 'SELECT * FROM back'), 'reader', 'a session that has written nothing');
      assert.equal(await value(other, 'SELECT count(*)::int FROM back'), 0);
    });
    await until('the reader serves it', async () => (await placeOf(writer, 'SELECT * FROM back')) === 'reader');
    assert.equal(await value(writer, 'SELECT count(*)::int FROM back'), 1);
  });
});

describe('a READ ONLY transaction', () => {
  test('is on the reader from its first statement to its last, in one snapshot', async () => {
    const [client, writer] = [await proxy.connect(), await proxy.connect()];
    await writer.query('CREATE TABLE still (id int)');
    await replayed(cluster);
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    assert.equal(await placeOf(client, 'SELECT * FROM still'), 'reader');
    await writer.query('INSERT INTO still VALUES (1)');
    await replayed(cluster);
    assert.equal(await value(client, 'SELECT count(*)::int FROM still'), 0);
    assert.equal(await placeOf(client, 'SELECT * FROM still'), 'reader');
    await client.query('COMMIT');
    assert.equal(await value(client, 'SELECT count(*)::int FROM still'), 1);
  });

  test('refuses to write as PostgreSQL does, and can be ended', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE kept (id int)');
    await replayed(cluster);
    for (const first of ['SELECT 1', undefined]) {
      await client.query('START TRANSACTION READ ONLY');
      if (first !== undefined) await client.query(first);
      assert.equal((await refusal(client.query('INSERT INTO kept VALUES (1)'))).code, '25006');
      assert.equal((await refusal(client.query('SELECT 1'))).code, '25P02');
      assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
    }
    assert.deepEqual(await sql(w2, 'SELECT * FROM kept'), []);
    await client.query('BEGIN READ ONLY; COMMIT');
    await client.query('BEGIN READ ONLY');
    await client.query('SAVEPOINT s');
    await refusal(client.query('SELECT 1 / 0'));
    await client.query('ROLLBACK TO s');
    assert.equal(await value(client, 'SELECT 2'), 2);
    await client.query('COMMIT');
  });
});

test('a hint sends a read to the lead or to the reader, and never a write to the reader', async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE hinted (id int)');
  await replayed(cluster);
  assert.equal(await placeOf(client, 'SELECT 1'), 'reader');
  assert.equal(await placeOf(client, '/* pprox: lead */ SELECT 1'), 'w1');
  assert.equal(await placeOf(client, 'SELECT pg_postmaster_start_time()'), 'w1');
  assert.equal(await placeOf(client, '/* pprox: reader */ SELECT pg_postmaster_start_time()'), 'reader');
  assert.equal(await placeOf(client, '/* pprox: reader */ INSERT INTO hinted VALUES (1)'), 'w1 and w2');
  await client.query('BEGIN');
  assert.equal(await placeOf(client, '/* pprox: reader */ SELECT * FROM hinted'), 'w1', 'a block stays where it is');
  await client.query('COMMIT');
});

describe('a reader that dies', () => {
  const endReads = (): Promise<unknown> =>
    sql(
      replica,
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%of a doomed read%' AND pid <> pg_backend_pid()",
    );

  test('before it has answered anything is replaced by the lead, without a word to the client', async () => {
    const client = await proxy.connect();
    const answer = value(client, 'SELECT 7 FROM pg_sleep(0.5) /* of a doomed read, once */');
    await until('the reader runs it', () => loggedTimes(replica, 'of a doomed read, once') > 0);
    await endReads();
    assert.equal(await answer, 7);
    assert.equal(loggedTimes(w1, 'of a doomed read, once'), 1);
    assert.ok(proxy.lines.some(({ level, event }) => level === 'warn' && event === 'read on lead'));
  });

  test('in the middle of its answer ends it with an error, and the session goes on', async () => {
    const client = await connectRaw(scene);
    const from = client.messages.length;
    client.send(
      query("SELECT repeat('x', 1000), pg_sleep(0.001) FROM generate_series(1, 100000) /* of a doomed read, twice */"),
    );
    await client.waitFor(['DataRow'], from);
    await endReads();
    await client.waitReady(2);
    const error = errorIn(client.messages.slice(from));
    assert.equal(error['C'], '08006');
    assert.match(error['M'] ?? '', /the connection to the reader \S+ was lost/);
    assert.deepEqual(client.messages.at(-1), { type: 'ReadyForQuery', status: 'I' });
    assert.equal((await client.query('SELECT 1')).filter(({ type }) => type === 'DataRow').length, 1);
  });

  test('which no server can read fails a READ ONLY transaction that has seen no server yet', async () => {
    const client = await proxy.connect();
    await client.query('BEGIN READ ONLY');
    assert.equal((await refusal(client.query('SELEC'))).code, '42601');
    assert.equal((await refusal(client.query('SELECT 1'))).code, '25P02');
    assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
  });

  test('in a READ ONLY transaction fails the transaction', async () => {
    const client = await proxy.connect();
    await client.query('BEGIN READ ONLY');
    await client.query('SELECT 1 /* of a doomed read, thrice */');
    await endReads();
    const error = await refusal(client.query('SELECT 1'));
    assert.equal(error.code?.slice(0, 2), '08', error.message);
    assert.equal((await refusal(client.query('SELECT 1'))).code, '25P02');
    assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
    assert.equal(await placeOf(client), 'reader');
  });
});

describe('while the reader is down', () => {
  test('the lead reads, or the client is told, as configured; afterwards the reader reads again', async () => {
    const strict = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      reader: clusterDsn(replica),
      settings: { readerFailure: 'error', drainMs: 500 },
    });
    const [mild, refused] = [await proxy.connect(), await strict.connect()];
    assert.deepEqual([await placeOf(mild), await placeOf(refused)], ['reader', 'reader']);
    await replica.stop('fast');
    assert.equal(await placeOf(mild), 'w1');
    const error = await refusal(refused.query('SELECT 1'));
    assert.equal(error.code?.slice(0, 2), '08');
    assert.ok(error.message.includes(`reader 127.0.0.1:${replica.port}`), error.message);
    assert.equal(await placeOf(await proxy.connect()), 'w1', 'new clients come in');
    await refused.query('CREATE TABLE IF NOT EXISTS meanwhile (id int)');
    await replica.start();
    for (const client of [mild, refused]) {
      await until('the reader reads again', () =>
        placeOf(client).then(
          (place) => place === 'reader',
          () => false,
        ),
      );
    }
    for (const { lines } of [proxy, strict]) {
      const told = lines
        .filter(({ fields }) => String(fields['server']).startsWith('reader'))
        .map(({ event }) => event);
      assert.ok(told.includes('server down') && told.includes('server up'), told.join(', '));
    }
  });
});

test('a reader that was not there when the proxy started shows a session its own writes, or does not serve it', async () => {
  await replica.stop('fast');
  const late = await startTestProxy({
    writers: cluster.writers.map(clusterDsn),
    reader: clusterDsn(replica),
    settings: { drainMs: 500 },
  });
  after(late.stop);
  const client = await late.connect();
  await replica.start();
  await sql(replica, 'SELECT pg_wal_replay_pause()');
  try {
    await client.query('CREATE TABLE own_early (id int)');
    await client.query('INSERT INTO own_early VALUES (1)');
    await until('the reader is known', async () => {
      assert.equal(await value(client, 'SELECT count(*)::int FROM own_early'), 1);
      return late.lines.some(({ fields }) => fields['relation'] === 'standby of the lead');
    });
    assert.equal(await value(client, 'SELECT count(*)::int FROM own_early'), 1);
  } finally {
    await sql(replica, 'SELECT pg_wal_replay_resume()');
  }
});

describe('a reader that is no standby of a writer', () => {
  test('serves reads, and is said to promise nothing', async () => {
    const { cluster: others } = await startScene({}, { writers: 1, reader: false, major: 15 });
    await sql(others.w1, 'CREATE TABLE back (id int); INSERT INTO back VALUES (77)');
    const own = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      reader: clusterDsn(others.w1),
      settings: { drainMs: 500 },
    });
    after(own.stop);
    const warning = own.lines.find(({ level, fields }) => level === 'warn' && fields['relation'] === 'unrelated');
    assert.ok(warning !== undefined && String(warning.fields['reader']).includes(String(others.w1.port)));
    const client = await own.connect();
    await client.query('INSERT INTO back VALUES (2)');
    assert.deepEqual((await client.query('SELECT id FROM back')).rows, [{ id: 77 }]);
  });

  test('because it has been promoted is noticed, and shows no session less than it has written', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE split (id int)');
    await replayed(cluster);
    assert.equal(await placeOf(client, 'SELECT * FROM split'), 'reader');
    await sql(replica, 'SELECT pg_promote()');
    await client.query('INSERT INTO split VALUES (1)');
    assert.equal(await value(client, 'SELECT count(*)::int FROM split'), 1);
    await until('the proxy says so', async () => {
      await client.query('SELECT 1');
      return proxy.lines.some(({ level, fields }) => level === 'warn' && fields['relation'] === 'unrelated');
    });
  });
});
