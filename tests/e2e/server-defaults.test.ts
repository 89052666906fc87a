/** What a server's sessions begin with changes while clients stay connected: followers' begin as the lead's in hand has. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import type { Server } from '../../src/embedded/server.ts';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, outcome, refusal, startScene, until, value } from './scene.ts';

/** Often enough for a test to wait for it. */
const HEALTH_MS = 100;

const scene = await startScene({ healthIntervalMs: HEALTH_MS }, { reader: false });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;
const { lead, followers } = proxy.proxy.cluster;

for (const writer of [w1, w2]) await sql(writer, 'CREATE SCHEMA other');

afterEach(async () => {
  for (const writer of [w1, w2]) {
    await sql(writer, 'ALTER ROLE postgres RESET ALL');
    await sql(writer, 'ALTER DATABASE postgres RESET ALL');
    await end(writer);
  }
});

/** The sessions' connections end, as they do when they have been idle for long. */
async function end(server: Server): Promise<void> {
  await sql(
    server,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND application_name NOT LIKE 'pprox:%'`,
  );
  const [follower] = followers;
  const { pool } = server === w1 ? lead : (follower ?? lead);
  await until('the proxy knows', () => pool.size === 0);
}

async function run(client: pg.Client, ...texts: readonly string[]): Promise<void> {
  for (const text of texts) await client.query(text);
}

async function assertEqual(text: string): Promise<void> {
  assert.deepEqual(await sql(w1, text), await sql(w2, text));
}

const VALUES = `CREATE TABLE v (id int PRIMARY KEY, at timestamptz, i interval, f float8, b bytea, t text);
  INSERT INTO v VALUES (1, '2024-02-03 12:00+00', '1 day 02:00', 0.1::float8 + 0.2, '\\x00ff')`;
const SHOWN = "UPDATE v SET t = coalesce(t, '') || at::text || i::text || f::text || b::text WHERE id = 1";

const changes: Readonly<Record<string, string>> = {
  TimeZone: "'Asia/Tokyo'",
  DateStyle: "'SQL, DMY'",
  IntervalStyle: "'iso_8601'",
  extra_float_digits: '0',
  bytea_output: "'escape'",
};

for (const level of ['DATABASE', 'ROLE']) {
  describe(`ALTER ${level} … SET while a client stays connected`, () => {
    for (const [name, text] of Object.entries(changes)) {
      test(`${name}: its next connection to the lead has it, and to followers as well`, async () => {
        const [client, other] = [await proxy.connect(), await proxy.connect()];
        await run(client, `DROP TABLE IF EXISTS v; ${VALUES}`, SHOWN);
        await run(other, `ALTER ${level} postgres SET ${name} = ${text}`);
        await end(w1);
        await run(client, SHOWN, "INSERT INTO v (id, at) VALUES (2, '03/02/2024')");
        await assertEqual('SELECT id, extract(epoch FROM at) AS at, t FROM v ORDER BY id');
        const [row] = await sql(w2, 'SELECT t FROM v WHERE id = 1');
        assert.ok(typeof row?.['t'] === 'string');
        const half = row['t'].length / 2;
        assert.notEqual(row['t'].slice(0, half), row['t'].slice(half), 'it is in force');
      });
    }
  });
}

test('a connection to the lead that is made beside older ones has its own', async () => {
  const [client, other, third] = [await proxy.connect(), await proxy.connect(), await proxy.connect()];
  await run(client, `DROP TABLE IF EXISTS v; ${VALUES}`, SHOWN);
  await run(other, "ALTER DATABASE postgres SET TimeZone = 'Asia/Tokyo'");
  const old = lead.pool.idleCount;
  assert.equal(old, 1);
  await run(other, 'BEGIN', '/* pprox: lead */ SELECT FROM pg_class FOR SHARE LIMIT 0');
  for (let round = 0; round < 2; round++) for (const one of [client, third]) await run(one, SHOWN);
  await run(other, SHOWN, 'COMMIT');
  for (const one of [client, third, other]) await run(one, SHOWN);
  await assertEqual('SELECT t FROM v');
});

test('names mean what they mean on the connection in hand, whatever was planned before', async () => {
  const [client, other] = [await proxy.connect(), await proxy.connect()];
  await run(
    client,
    'CREATE TABLE public.t (id int PRIMARY KEY, r float8 DEFAULT random(), v text)',
    'CREATE TABLE other.t (v text, id int PRIMARY KEY, r float8 DEFAULT random())',
    "INSERT INTO t (id, v) VALUES (1, 'public')",
  );
  // Past the proxy, which goes on with what it knows of the catalog.
  for (const writer of [w1, w2]) await sql(writer, 'ALTER DATABASE postgres SET search_path = other, public');
  await end(w1);
  await run(client, "INSERT INTO t (id, v) VALUES (1, 'other')", "INSERT INTO t (id, v) VALUES (2, 'other')");
  await assertEqual('SELECT * FROM public.t ORDER BY id');
  await assertEqual('SELECT * FROM other.t ORDER BY id');
  assert.deepEqual(await sql(w2, 'SELECT v FROM other.t'), [{ v: 'other' }, { v: 'other' }]);
  await run(other, 'DROP TABLE public.t, other.t');
});

test('a statement is planned by the names of the connection in hand, though nothing has to be asked for another', async () => {
  const [client, other] = [await proxy.connect(), await proxy.connect()];
  await run(
    client,
    'CREATE TABLE public.t (id int PRIMARY KEY, r float8)',
    'CREATE TABLE other.t (id int PRIMARY KEY, r float8 DEFAULT random())',
    'INSERT INTO t (id) VALUES (1)',
  );
  for (const writer of [w1, w2]) await sql(writer, 'ALTER DATABASE postgres SET search_path = other, public');
  // The other one has the connection from before, and has just asked what is defined.
  await run(other, 'BEGIN', 'INSERT INTO t (id) VALUES (2)');
  await run(client, 'INSERT INTO t (id) VALUES (3)');
  await run(other, 'COMMIT');
  await assertEqual('SELECT * FROM other.t');
  assert.equal((await sql(w2, 'SELECT FROM other.t')).length, 1);
  await run(other, 'DROP TABLE public.t, other.t');
});

describe("an application's own setting by ALTER ROLE … SET", () => {
  const INSERTS = ['INSERT INTO own DEFAULT VALUES', "INSERT INTO own (v) VALUES (current_setting('my.x', true))"];
  const OWN =
    "CREATE TABLE own (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), v text DEFAULT current_setting('my.x', true))";

  for (const [which, servers] of Object.entries({ 'a follower': [w2], 'the lead': [w1], both: [w1, w2] })) {
    test(`is everywhere or nowhere where the connections to ${which} are new`, async () => {
      const [client, other] = [await proxy.connect(), await proxy.connect()];
      await run(client, `DROP TABLE IF EXISTS own; ${OWN}`, ...INSERTS);
      for (const texts of [["ALTER ROLE postgres SET my.x = 'hello'"], ['ALTER ROLE postgres RESET my.x']]) {
        for (const writer of [w1, w2]) for (const text of texts) await sql(writer, text);
        for (const server of servers) await end(server);
        for (const one of [client, other]) await run(one, ...INSERTS);
        await assertEqual('SELECT * FROM own ORDER BY id');
      }
    });
  }

  test('that a follower alone has is an error, until it has not', async () => {
    const client = await proxy.connect();
    await run(client, `DROP TABLE IF EXISTS own; ${OWN}`);
    await sql(w2, "ALTER ROLE postgres SET my.x = 'hello'");
    await end(w2);
    const error = await refusal(client.query(INSERTS[0] ?? ''));
    assert.equal(error.code, '58000');
    assert.match(error.message, /^the session began with another "my\.x" on follower .* than on lead /);
    await sql(w2, 'ALTER ROLE postgres RESET my.x');
    await end(w2);
    await run(client, ...INSERTS);
    await assertWritersEqual(cluster);
  });

  test('that a session kept for its currval() lacks ends what it was kept for', async () => {
    const client = await proxy.connect();
    await run(client, `DROP TABLE IF EXISTS own; ${OWN.replace('uuid', 'int').replace('gen_random_uuid()', '1')}`);
    await run(client, 'CREATE SEQUENCE s', "SELECT nextval('s')");
    for (const writer of [w1, w2]) await sql(writer, "ALTER ROLE postgres SET my.x = 'hello'");
    await end(w2);
    await run(client, ...INSERTS.slice(0, 1));
    await assertEqual('SELECT * FROM own');
    assert.equal((await refusal(client.query("SELECT currval('s')"))).code, '55000');
    await run(client, 'DROP SEQUENCE s');
  });

  test('that a session kept from before cannot have is an error', async () => {
    const client = await proxy.connect();
    await run(client, `DROP TABLE IF EXISTS own; ${OWN}`, 'SELECT pg_advisory_lock(1)');
    for (const writer of [w1, w2]) await sql(writer, "ALTER ROLE postgres SET my.x = 'hello'");
    await end(w2);
    const error = await refusal(client.query(INSERTS[0] ?? ''));
    assert.equal(error.code, '58000', error.message);
    await client.end();
    const next = await proxy.connect();
    await run(next, ...INSERTS);
    await assertEqual('SELECT * FROM own ORDER BY id');
  });
});

describe('ALTER SYSTEM and a reload while clients stay connected', () => {
  const LOADED = 'SELECT extract(epoch FROM pg_conf_load_time())::text AS at';

  /** The connections that are there follow it when they are used next. */
  async function reload(...texts: readonly string[]): Promise<void> {
    for (const writer of [w1, w2]) {
      const [before] = await sql(writer, LOADED);
      for (const text of texts) await sql(writer, text);
      await sql(writer, 'SELECT pg_reload_conf()');
      await until('the server has read it', async () => (await sql(writer, LOADED))[0]?.['at'] !== before?.['at']);
    }
  }

  afterEach(async () => {
    await reload('ALTER SYSTEM RESET ALL');
    for (const writer of [w1, w2]) await end(writer);
  });

  for (const [name, text] of Object.entries(changes)) {
    test(`${name}: a transaction that the lead has run by it is run by it everywhere, or to be tried again`, async () => {
      const client = await proxy.connect();
      await run(client, `DROP TABLE IF EXISTS v; ${VALUES}`, SHOWN);
      await reload(`ALTER SYSTEM SET ${name} = ${text}`);
      const [first, second] = [await outcome(client.query(SHOWN)), await outcome(client.query(SHOWN))];
      assert.ok(first === 'ok' || first === '40001', first);
      assert.equal(second, 'ok');
      await assertEqual('SELECT t FROM v');
    });
  }

  test('in the middle of a transaction', async () => {
    const client = await proxy.connect();
    await run(client, `DROP TABLE IF EXISTS v; ${VALUES}`, 'BEGIN', SHOWN);
    await reload("ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'");
    await run(client, SHOWN);
    assert.equal((await refusal(client.query('COMMIT'))).code, '40001');
    await run(client, 'BEGIN', SHOWN);
    await reload('ALTER SYSTEM SET log_min_messages = error');
    await run(client, SHOWN, 'COMMIT');
    await assertEqual('SELECT t FROM v');
  });

  test('is noticed by who looks after the lead, before anybody runs anything', async () => {
    const client = await proxy.connect();
    await run(client, `DROP TABLE IF EXISTS v; ${VALUES}`, SHOWN);
    await reload('ALTER SYSTEM SET search_path = other, public');
    await sleep(3 * HEALTH_MS);
    await run(client, SHOWN, 'CREATE TABLE found (id int)');
    for (const writer of [w1, w2])
      assert.deepEqual(await sql(writer, "SELECT schemaname FROM pg_tables WHERE tablename = 'found'"), [
        { schemaname: 'other' },
      ]);
    await run(client, 'DROP TABLE found');
    await assertEqual('SELECT t FROM v');
  });

  test('is an error for a session that has made its own on the followers', async () => {
    const client = await proxy.connect();
    await run(
      client,
      `DROP TABLE IF EXISTS v; ${VALUES}`,
      "DO $$ BEGIN PERFORM set_config('my.' || 'y', 'z', false); END $$",
      SHOWN,
    );
    await reload("ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'");
    const outcomes = [await outcome(client.query(SHOWN)), await outcome(client.query(SHOWN))];
    assert.ok(
      outcomes.every((one) => one === '40001' || one === '58000'),
      outcomes.join(),
    );
    await assertEqual('SELECT t FROM v');
  });

  test('what the client has set itself goes on', async () => {
    const client = await proxy.connect();
    await run(client, `DROP TABLE IF EXISTS v; ${VALUES}`, "SET TimeZone = 'America/Lima'", SHOWN);
    await reload("ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'");
    const first = await outcome(client.query(SHOWN));
    assert.ok(first === 'ok' || first === '40001', first);
    await run(client, SHOWN);
    assert.equal(await value(client, '/* pprox: lead */ SHOW TimeZone'), 'America/Lima');
    await run(client, 'RESET TimeZone', SHOWN);
    assert.equal(await value(client, '/* pprox: lead */ SHOW TimeZone'), 'Asia/Tokyo');
    await assertEqual('SELECT t FROM v');
  });
});
