/** Sessions share server sessions, and nothing of one is ever seen by another. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { query } from '../support/frontend-messages.ts';
import { clusterDsn, startTestProxy, type TestProxy } from '../support/proxy.ts';
import { RawClient } from '../support/raw-client.ts';
import { assertWritersEqual, connectRaw, errorIn, refusal, startScene, until, value } from './scene.ts';

const scene = await startScene({ followerLockTimeoutMs: 500 });
const { cluster } = scene;
const { w1, w2, replica } = cluster;

type Settings = NonNullable<Parameters<typeof startTestProxy>[0]['settings']>;

/** A proxy with a pool of its own, so small that its clients meet in it. */
function small(settings: Settings): Promise<TestProxy> {
  return startTestProxy({
    writers: cluster.writers.map(clusterDsn),
    reader: clusterDsn(replica),
    settings: { drainMs: 500, poolWaitMs: 5000, ...settings },
  });
}

const SCHEMA = `CREATE ROLE somebody; CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.mark (id int); CREATE TABLE public.mark (id int);
  CREATE TABLE numbered (id serial, word text NOT NULL UNIQUE DEFAULT random()::text); CREATE TABLE filled (n int);
  INSERT INTO filled VALUES (1); INSERT INTO numbered (word) VALUES ('there');
  CREATE FUNCTION quiet_path() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', 'elsewhere', false); RETURN ''; END $$;
  CREATE FUNCTION quiet_own() RETURNS text STABLE LANGUAGE sql BEGIN ATOMIC SELECT set_config('my.secret', 'x', false); END;
  CREATE FUNCTION quiet_lock() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_lock(77); RETURN ''; END $$;
  CREATE FUNCTION sets() RETURNS text LANGUAGE sql AS $$ SELECT set_config('my.secret', 'x', false) $$;
  CREATE FUNCTION quiet_inside() RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN sets(); END $$`;
for (const writer of [w1, w2]) await sql(writer, SCHEMA);

const LOCKED = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 0 AND objid = 77";

const narrow = await small({ poolSize: 1 });

describe('a client with the only connection finds nothing of the client before', () => {
  const leavings: Readonly<Record<string, readonly string[]>> = {
    'that had set search_path': ['SET search_path = elsewhere'],
    'that had set a setting of its own': ["SET my.secret = 'x'", 'SELECT 1'],
    'that had called set_config': ["SELECT set_config('search_path', 'elsewhere', false)"],
    'that had called a stable function that sets': ['SELECT quiet_path()'],
    'that had called a function of standard SQL that sets': ['SELECT quiet_own()'],
    'that had called an immutable function that locks': ['SELECT quiet_lock()'],
    'that had called a stable function that calls one that sets': ['SELECT quiet_inside()'],
    'that had called a stable function that sets, in a read-only transaction': [
      'BEGIN READ ONLY',
      'SELECT quiet_path()',
      'COMMIT',
    ],
    'that had set its role': ['SET ROLE somebody'],
    'that had set its role in a transaction': ['BEGIN', 'SET LOCAL ROLE somebody', 'SELECT 1'],
    'that had changed its authorization': ['SET SESSION AUTHORIZATION somebody'],
    'that had made its transactions read-only': ['SET default_transaction_read_only = on'],
    'that had changed how results look': [
      "SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET bytea_output = escape",
    ],
    'that had a temporary table': ['CREATE TEMP TABLE mark (id int)', 'INSERT INTO mark VALUES (1)'],
    'that had prepared a statement': ['PREPARE probe AS SELECT 1', 'EXECUTE probe'],
    'that had a cursor that outlives its transaction': ['BEGIN; DECLARE probe CURSOR WITH HOLD FOR SELECT 1; COMMIT'],
    'that had locked': ['SELECT pg_advisory_lock(77)'],
    'whose block had locked, and failed': ["DO $$ BEGIN PERFORM pg_advisory_lock(77); RAISE 'failed'; END $$"],
    'whose block had locked, and failed in a transaction': [
      'BEGIN',
      "DO $$ BEGIN PERFORM pg_advisory_lock(77); RAISE 'failed'; END $$",
      'ROLLBACK',
    ],
    'whose statement had locked, and failed': ['SELECT pg_advisory_lock(77), 1 / (random() * 0)::int'],
    'whose block had prepared, and failed': ["DO $$ BEGIN EXECUTE 'PREPARE probe AS SELECT 1'; RAISE 'failed'; END $$"],
    'whose block had made a setting, and failed': [
      "DO $$ BEGIN PERFORM set_config('my.secret', 'x', false); RAISE 'failed'; END $$",
    ],
    'whose block was refused behind the lead': [
      "DO $$ BEGIN PERFORM pg_advisory_lock(77); EXECUTE format('CREATE TABLE made_%s (id int)', inet_server_port()); END $$",
    ],
    'whose EXECUTE had locked, and failed': [
      'PREPARE probe (int) AS SELECT $1',
      'EXECUTE probe (pg_try_advisory_lock(77)::int / (random() * 0)::int)',
    ],
    'whose EXECUTE had locked, in a read-only transaction': [
      'PREPARE probe (bool) AS SELECT $1',
      'BEGIN READ ONLY',
      'SELECT 1',
      'EXECUTE probe (pg_try_advisory_lock(77))',
      'COMMIT',
    ],
    'whose row was refused': ['INSERT INTO numbered (word) VALUES (NULL)'],
    'whose row was refused in a transaction': ['BEGIN', 'INSERT INTO numbered (word) VALUES (NULL)', 'ROLLBACK'],
    'whose row was there': ["INSERT INTO numbered (word) VALUES ('there') ON CONFLICT DO NOTHING"],
    'that had added a serial column': ['ALTER TABLE filled ADD COLUMN IF NOT EXISTS id serial'],
    'that had drawn, and failed': ["SELECT nextval('numbered_id_seq') / 0"],
    'that had listened': ['LISTEN probe'],
    'that had drawn from a sequence': ['INSERT INTO numbered DEFAULT VALUES'],
    'that had called nextval': ["SELECT nextval('numbered_id_seq')"],
    'that was in a transaction': ['BEGIN', 'INSERT INTO mark VALUES (-1)'],
    'that was in a failed transaction': ['BEGIN', 'SELECT 1 / 0'],
    'that was in a read-only transaction': ['BEGIN READ ONLY', 'SELECT 1'],
    'that had discarded everything': ["SET my.secret = 'x'", 'CREATE TEMP TABLE mark (id int)', 'DISCARD ALL'],
    'that had reset everything': ['SET search_path = elsewhere', 'RESET ALL'],
    'that had rolled its settings back': ['BEGIN', 'SET search_path = elsewhere', 'ROLLBACK'],
    'that had a different application_name': ["SET application_name = 'nosy'"],
    'that had set in a savepoint': ['BEGIN', 'SAVEPOINT s', 'SET search_path = elsewhere', 'RELEASE s', 'COMMIT'],
  };
  let round = 0;
  for (const [what, texts] of Object.entries(leavings)) {
    for (const how of ['has said goodbye', 'has vanished'] as const) {
      test(`${what} and ${how}`, async () => {
        // By the same start-up parameters, so that the second gets the first one's connections.
        const login = { host: narrow.host, port: narrow.port, user: 'postgres', database: 'postgres' };
        const first = await RawClient.start(login, { application_name: 'second', client_encoding: 'UTF8' });
        for (const text of texts) await first.query(text);
        if (how === 'has vanished') first.destroy();
        else first.send(Buffer.from([0x58, 0, 0, 0, 4]));
        const second = await narrow.connect({ application_name: 'second' });
        const notifications: unknown[] = [];
        second.on('notification', (message) => notifications.push(message));
        await assertFresh(second, ++round);
        assert.deepEqual(notifications, []);
        await second.end();
      });
    }
  }

  /** On the lead and on the follower: what the session would do differently had it inherited something. */
  async function assertFresh(client: pg.Client, id: number): Promise<void> {
    const { rows } = await client.query(
      `/* pprox: lead */ SELECT current_user AS user, session_user AS session, current_setting('search_path') AS path, current_setting('my.secret', true) AS secret,
        current_setting('default_transaction_read_only') AS readonly, current_setting('DateStyle') AS style, current_setting('bytea_output') AS bytea,
        current_setting('application_name') AS name, (SELECT count(*)::int FROM pg_prepared_statements) AS prepared,
        (SELECT count(*)::int FROM pg_cursors WHERE name <> '') AS cursors, (SELECT count(*)::int FROM pg_listening_channels()) AS channels,
        (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks`,
    );
    assert.deepEqual(rows, [
      {
        user: 'postgres',
        session: 'postgres',
        path: '"$user", public',
        secret: null,
        readonly: 'off',
        style: 'ISO, MDY',
        bytea: 'hex',
        name: 'second',
        prepared: 0,
        cursors: 0,
        channels: 0,
        locks: 0,
      },
    ]);
    const onReader = `/* pprox: reader */ SELECT pg_is_in_recovery() AS reader, current_setting('search_path') AS path, coalesce(current_setting('my.secret', true), '') AS secret,
      (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory') AS locks`;
    assert.deepEqual((await client.query(onReader)).rows, [
      { reader: true, path: '"$user", public', secret: '', locks: 0 },
    ]);
    // A server session that is not used again may take a moment to end.
    for (const writer of [w1, w2])
      await until('nobody holds the lock', async () => (await sql(writer, LOCKED)).length === 0);
    assert.equal((await refusal(client.query('SELECT lastval()'))).code, '55000');
    assert.equal((await refusal(client.query("SELECT currval('numbered_id_seq')"))).code, '55000');
    await client.query("NOTIFY probe, 'to nobody'");
    await client.query(`INSERT INTO mark VALUES (${id})`);
    for (const writer of [w1, w2]) {
      assert.deepEqual(await sql(writer, `SELECT tableoid::regclass::text AS t FROM mark WHERE id = ${id}`), [
        { t: 'mark' },
      ]);
      assert.deepEqual(await sql(writer, 'SELECT id FROM mark WHERE id < 0'), []);
    }
    await client.query('PREPARE probe AS SELECT 2');
    await client.query('CREATE TEMP TABLE mark (id int, own int)');
    assert.equal(await value(client, 'SELECT pg_try_advisory_lock(77)'), true);
  }
});

test('what a row that was refused has drawn is not the currval() of another', async () => {
  const proxy = await small({ poolSize: 1 });
  const [one, other] = [await proxy.connect(), await proxy.connect()];
  await one.query('INSERT INTO numbered DEFAULT VALUES');
  await refusal(other.query('INSERT INTO numbered (word) VALUES (NULL)'));
  assert.equal((await refusal(one.query("SELECT currval('numbered_id_seq')"))).code, '55000');
  await one.query('INSERT INTO numbered DEFAULT VALUES');
  await other.query("INSERT INTO numbered (word) VALUES ('there') ON CONFLICT DO NOTHING");
  assert.equal((await refusal(one.query('SELECT lastval()'))).code, '55000');
  for (const client of [one, other]) await client.end();
  await proxy.stop();
});

test('an application_name of the start-up belongs to its client alone', async () => {
  const proxy = await small({ poolSize: 1 });
  for (const name of ['one', 'two', 'one']) {
    const client = await proxy.connect({ application_name: name });
    assert.equal(await value(client, 'SHOW application_name'), name);
    await client.query('SELECT 1');
    await client.end();
  }
});

test('a notification reaches those who listen, from their own transactions and from others, in order', async () => {
  const [listener, sender] = [await scene.proxy.connect(), await scene.proxy.connect()];
  const heard: string[] = [];
  listener.on('notification', ({ channel, payload }) => heard.push(`${channel} ${payload}`));
  await listener.query('LISTEN news');
  await sender.query("NOTIFY news, 'one'");
  await sender.query("BEGIN; SELECT pg_notify('news', 'two'); INSERT INTO mark VALUES (0); COMMIT");
  await sender.query("BEGIN; NOTIFY news, 'never'; ROLLBACK");
  await until('both are heard', () => heard.length >= 2);
  await listener.query("NOTIFY news, 'own'");
  assert.deepEqual(heard, ['news one', 'news two', 'news own']);
  await listener.query('UNLISTEN *');
  await sender.query("NOTIFY news, 'unheard'");
  await listener.query('SELECT 1');
  await assertWritersEqual(cluster);
  assert.equal(heard.length, 3);
});

describe('when all connections are in use', () => {
  test('a session waits, and is told so in the end; one more than the line is long is told at once', async () => {
    const proxy = await small({ poolSize: 2, poolQueue: 2, poolWaitMs: 400 });
    const clients = await Promise.all(Array.from({ length: 5 }, () => proxy.connect()));
    const [a, b, c, d, e] = clients;
    assert.ok(a !== undefined && b !== undefined && c !== undefined && d !== undefined && e !== undefined);
    for (const client of [a, b]) await client.query('BEGIN');
    const waiting = [refusal(c.query('BEGIN')), refusal(d.query('BEGIN'))];
    await until('two wait', () => proxy.proxy.cluster.lead.pool.waiting === 2);
    const atOnce = await refusal(e.query('BEGIN'));
    assert.deepEqual([atOnce.code, atOnce.severity], ['53300', 'ERROR']);
    assert.match(atOnce.message, /^no connection to lead 127\.0\.0\.1:\d+ is free: 2 sessions wait already$/);
    for (const error of await Promise.all(waiting)) {
      assert.equal(error.code, '53300');
      assert.match(error.message, /: waited 400 ms$/);
      assert.match(error.hint ?? '', /PPROX_POOL_SIZE/);
    }
    await a.query('COMMIT');
    assert.equal((await c.query('BEGIN')).command, 'BEGIN', 'the session that was refused goes on');
    await c.query('ROLLBACK');
    await b.query('ROLLBACK');
  });

  test('the operator is told which of them are kept for one session, and why', async () => {
    const proxy = await small({ poolSize: 2, poolWaitMs: 1000 });
    const [a, b, c] = [await proxy.connect(), await proxy.connect(), await proxy.connect()];
    await a.query('SELECT pg_advisory_lock(1); CREATE TEMP TABLE own (id int)');
    await b.query('BEGIN; CREATE TEMP TABLE own (id int); COMMIT; DROP TABLE own');
    await b.query('DECLARE held CURSOR WITH HOLD FOR SELECT 1');
    const { code, detail } = await refusal(c.query('SELECT pg_postmaster_start_time()'));
    assert.equal(code, '53300');
    assert.match(detail ?? '', /\nOf these, 2 belong to sessions that are kept on their server session for: /);
    assert.match(detail ?? '', /advisory lock, temporary object \(1\)/);
    assert.match(detail ?? '', /held cursor \(1\)/);
    await a.query('DROP TABLE own; SELECT pg_advisory_unlock(1)');
    await b.query('CLOSE held');
    await c.query('SELECT pg_postmaster_start_time()');
    const told = proxy.lines.flatMap(({ level, event, fields }) =>
      event.startsWith('session ') ? [`${level} ${event}: ${String(fields['reasons'])}`] : [],
    );
    assert.ok(told.includes('info session pinned: advisory lock, temporary object'), told.join('\n'));
    assert.ok(told.includes('info session pinned: held cursor'), told.join('\n'));
    assert.equal(told.filter((line) => line === 'info session unpinned: ').length, 3, told.join('\n'));
  });

  test('what a transaction made for itself keeps none of them when it is over', async () => {
    const proxy = await small({ poolSize: 1 });
    const [a, b] = [await proxy.connect(), await proxy.connect()];
    for (const text of [
      'BEGIN; CREATE TEMP TABLE own (id int); INSERT INTO own VALUES (1); DROP TABLE own; COMMIT',
      'BEGIN; CREATE TEMP TABLE own (id int) ON COMMIT DROP; COMMIT',
      'BEGIN; CREATE TEMP TABLE own ON COMMIT DROP AS SELECT 1; COMMIT',
      'CREATE TEMP TABLE own (id int) ON COMMIT DROP',
      'BEGIN; CREATE TEMP TABLE own (id int); ROLLBACK',
      'BEGIN; SELECT pg_advisory_lock(5), pg_advisory_unlock(5); COMMIT',
      'BEGIN; SELECT pg_advisory_lock(6); SELECT pg_advisory_unlock(6); ROLLBACK',
      'BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; ROLLBACK',
      'BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT 1; COMMIT; BEGIN; CLOSE c; COMMIT',
    ]) {
      for (const part of text.split('; ')) await a.query(part);
      assert.equal(await value(b, 'SELECT pg_is_in_recovery()'), false, text);
    }
    for (const part of ['BEGIN', 'SELECT pg_advisory_lock(5)', 'ROLLBACK']) await a.query(part);
    assert.equal(
      (await refusal(b.query('SELECT pg_is_in_recovery()'))).code,
      '53300',
      'the lock outlives its transaction',
    );
    await a.query('SELECT pg_advisory_unlock_all()');
    assert.equal(await value(b, 'SELECT pg_is_in_recovery()'), false);
  });

  test('who waits gets the connection that comes free', async () => {
    const proxy = await small({ poolSize: 1 });
    const clients = await Promise.all(Array.from({ length: 12 }, () => proxy.connect()));
    const counts = await Promise.all(
      clients.map(async (client, index) => {
        await client.query('BEGIN');
        await client.query(`INSERT INTO mark VALUES (${1000 + index})`);
        await client.query('COMMIT');
        return value(client, `SELECT count(*)::int FROM mark WHERE id = ${1000 + index}`);
      }),
    );
    assert.deepEqual(
      counts,
      Array.from({ length: 12 }, () => 1),
    );
  });

  test('a session that only keeps the last value of a sequence gives its own up', async () => {
    const proxy = await small({ poolSize: 2 });
    const keepers = [await proxy.connect(), await proxy.connect()];
    for (const client of keepers) await client.query('INSERT INTO numbered DEFAULT VALUES');
    for (const client of keepers) assert.ok(Number(await value(client, 'SELECT lastval()')) > 0);
    const third = await proxy.connect();
    await third.query('INSERT INTO numbered DEFAULT VALUES');
    assert.ok(Number(await value(third, 'SELECT lastval()')) > 0);
    const [first] = keepers;
    assert.ok(first !== undefined);
    assert.equal((await refusal(first.query('SELECT lastval()'))).code, '55000', 'an error, never another’s value');
    await first.query('INSERT INTO numbered DEFAULT VALUES');
    assert.equal(
      Number(await value(first, 'SELECT lastval()')),
      Number(await value(first, "SELECT currval('numbered_id_seq')")),
    );
    await assertWritersEqual(cluster);
  });
});

/** Ends the server sessions whose last statement has `mark`; tells how many there were. */
async function terminate(server: typeof w1, mark: string): Promise<number> {
  const ended = await sql(
    server,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%${mark}%' AND pid <> pg_backend_pid() AND backend_type = 'client backend'`,
  );
  return ended.length;
}

describe('a server session that is ended', () => {
  test('while a client is pinned to it ends the client with the reason', async () => {
    const client = await connectRaw(scene);
    await client.query('CREATE TEMP TABLE kept_here (id int)');
    await client.query('SELECT FROM kept_here /* pinned here */');
    assert.equal(await terminate(w1, 'pinned here'), 1);
    await client.waitClosed();
    const last = errorIn(client.messages);
    assert.deepEqual([last['S'], last['C']], ['FATAL', '57P01']);
    assert.match(last['D'] ?? '', /temporary object/);
  });

  test('while no client needs it goes unnoticed', async () => {
    const client = await scene.proxy.connect();
    await client.query('/* pprox: lead */ SELECT 1 /* nobody stays */');
    assert.ok((await terminate(w1, 'nobody stays')) >= 1);
    await until('the pool has noticed', async () => {
      const rows = await sql(
        w1,
        "SELECT FROM pg_stat_activity WHERE query LIKE '%nobody stays%' AND pid <> pg_backend_pid()",
      );
      return rows.length === 0;
    });
    assert.equal(await value(client, '/* pprox: lead */ SELECT 2'), 2);
  });

  for (const [name, server] of Object.entries({ lead: w1, follower: w2 })) {
    test(`in a transaction, on the ${name}, fails the transaction, which leaves nothing anywhere`, async () => {
      const client = await scene.proxy.connect();
      await client.query('BEGIN');
      await client.query(`INSERT INTO mark VALUES (-5) /* doomed on the ${name} */`);
      await until('it has been there', async () => (await terminate(server, `doomed on the ${name}`)) === 1);
      // A SAVEPOINT waits for the followers.
      const error = await refusal(client.query('INSERT INTO mark VALUES (-6)').then(() => client.query('SAVEPOINT r')));
      assert.equal(error.code?.slice(0, 2), '08', error.message);
      assert.ok(
        error.message.includes(String(server.port)) || (error.detail ?? '').includes(String(server.port)),
        `${error.message} ${error.detail}`,
      );
      assert.equal((await refusal(client.query('SELECT 1'))).code, '25P02');
      assert.equal((await refusal(client.query('SAVEPOINT s'))).code, '25P02');
      assert.equal((await client.query('ROLLBACK')).command, 'ROLLBACK');
      for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM mark WHERE id < 0'), []);
      await client.query('BEGIN; INSERT INTO mark VALUES (2000); COMMIT');
    });
  }

  test('in the middle of a result in a transaction is told once', async () => {
    const client = await connectRaw(scene);
    await client.query('BEGIN');
    const from = client.messages.length;
    client.send(
      query("SELECT repeat('x', 1000), pg_sleep(0.001) FROM generate_series(1, 100000) /* long and doomed */"),
    );
    await client.waitFor(['DataRow'], from);
    assert.equal(await terminate(w1, 'long and doomed'), 1);
    await client.waitReady(3);
    assert.equal(errorIn(client.messages.slice(from))['C'], '08006');
    assert.deepEqual(client.messages.at(-1), { type: 'ReadyForQuery', status: 'E' });
    const ended = await client.query('ROLLBACK');
    assert.deepEqual(
      ended.map(({ type }) => type),
      ['CommandComplete', 'ReadyForQuery'],
    );
    assert.deepEqual(ended.at(-1), { type: 'ReadyForQuery', status: 'I' });
  });

  test('on a follower, at COMMIT, leaves the outcome of that follower unsaid or rolls everything back', async () => {
    const client = await scene.proxy.connect();
    await client.query('BEGIN');
    await client.query('INSERT INTO mark VALUES (-9) /* lost at the end */');
    await until('it has been there', async () => (await terminate(w2, 'lost at the end')) === 1);
    const error = await refusal(client.query('COMMIT'));
    assert.equal(error.code?.slice(0, 2), '08', error.message);
    assert.match(error.detail ?? '', new RegExp(`127\\.0\\.0\\.1:${w2.port}`));
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM mark WHERE id < 0'), []);
    assert.equal((await client.query('INSERT INTO mark VALUES (2001)')).rowCount, 1);
  });
});
