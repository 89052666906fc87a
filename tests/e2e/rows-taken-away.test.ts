/** Rows that functions and triggers delete, by a choice of their own: followers are told which, or the same ones must be gone there. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { assertWritersEqual, becomePlain, refusal, startScene, until } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };
let client: pg.Client;

const some = (table: string, many: number): string =>
  `ctid = ANY (ARRAY(SELECT ctid FROM ${table} ORDER BY random() LIMIT ${many}))`;

before(async () => {
  client = await proxy.connect();
  await client.query(`
    CREATE TABLE job (id int PRIMARY KEY, n int);
    CREATE TABLE pair (a text, b timestamptz, n numeric, PRIMARY KEY (b, a));
    CREATE TABLE keyless (n int, x text);
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE);
    CREATE TABLE part (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (50);
    CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (50) TO (1000);
    CREATE TABLE numbered (k int PRIMARY KEY, id int GENERATED ALWAYS AS IDENTITY, n int);
    INSERT INTO numbered (k) SELECT generate_series(1, 20);
    CREATE TABLE placed (id int PRIMARY KEY, place int UNIQUE DEFERRABLE INITIALLY IMMEDIATE, also int UNIQUE DEFAULT random() * 1000000000);
    INSERT INTO placed SELECT g, g FROM generate_series(1, 20) g;
    CREATE TABLE fired (id int PRIMARY KEY, n int);
    CREATE FUNCTION drop_jobs(many int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      DELETE FROM job WHERE id IN (SELECT id FROM job ORDER BY random() LIMIT many); END $$;
    CREATE FUNCTION drop_first() RETURNS void LANGUAGE sql AS 'DELETE FROM job WHERE id = (SELECT min(id) FROM job)';
    CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM drop_jobs(2); RETURN NEW; END';
    CREATE TRIGGER fire BEFORE UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION fire();
    INSERT INTO fired SELECT g, g FROM generate_series(1, 9) g`);
});

async function refill(): Promise<void> {
  await client.query(`DELETE FROM job; DELETE FROM pair; DELETE FROM keyless; DELETE FROM child; DELETE FROM parent; DELETE FROM part;
    INSERT INTO job SELECT g, g FROM generate_series(1, 100) g;
    INSERT INTO pair SELECT 'it''s \\ "' || g || 'é', timestamptz '2026-01-01 00:00:00.123456+02' + g * interval '1 hour', g FROM generate_series(1, 40) g;
    INSERT INTO keyless SELECT g % 7, 'x' FROM generate_series(1, 40) g;
    INSERT INTO parent SELECT generate_series(1, 20);
    INSERT INTO child SELECT g, g % 20 + 1 FROM generate_series(1, 60) g;
    INSERT INTO part SELECT g, g FROM generate_series(1, 99) g`);
}

describe('followers are told which rows are gone', () => {
  const statements: Readonly<Record<string, number | undefined>> = {
    'SELECT drop_jobs(7)': 93,
    "DO 'BEGIN PERFORM drop_jobs(3); INSERT INTO job VALUES (1000, 1), (1001, 2); END'": 99,
    'UPDATE fired SET n = n + 1 WHERE id = 3': 98,
    'UPDATE fired SET n = n + 1': 82,
    'INSERT INTO job VALUES (200, 1); UPDATE job SET n = n + 1 WHERE id < 9; SELECT drop_jobs(50)': 51,
    'BEGIN; INSERT INTO job VALUES (200, 1), (201, 1); SAVEPOINT s; SELECT drop_jobs(99); COMMIT': 3,
    'BEGIN; SAVEPOINT s; SELECT drop_jobs(50); ROLLBACK TO s; SELECT drop_jobs(10); RELEASE s; SELECT drop_jobs(10); COMMIT': 80,
    'BEGIN; SELECT drop_jobs(60); SELECT drop_jobs(30); INSERT INTO job SELECT g, 1 FROM generate_series(1, 100) g ON CONFLICT DO NOTHING; COMMIT': 100,
    'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT drop_jobs(10); SELECT drop_jobs(5); COMMIT': 85,
    'BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; SELECT drop_jobs(10); COMMIT': 90,
    [`DO $$ BEGIN DELETE FROM pair WHERE ${some('pair', 9)}; UPDATE pair SET n = -n WHERE ${some('pair', 9)}; END $$`]:
      undefined,
    [`DO $$ BEGIN UPDATE pair SET a = 'other ' || a WHERE ${some('pair', 9)}; END $$`]: undefined,
    'DO $$ BEGIN UPDATE numbered SET id = DEFAULT WHERE k < 9; END $$': undefined,
    'DO $$ BEGIN UPDATE placed SET place = (SELECT count(*) FROM placed) + 1 - place; DELETE FROM placed WHERE random() < 0.3; END $$':
      undefined,
    'DO $$ BEGIN UPDATE placed SET place = 1 - place WHERE place = 1; UPDATE placed SET place = 1 WHERE place = 2; UPDATE placed SET place = 2 WHERE place = 0; END $$':
      undefined,
    'UPDATE numbered SET id = DEFAULT WHERE k = 3': undefined,
    'UPDATE numbered SET id = DEFAULT, n = 7 WHERE k > 3; UPDATE numbered SET n = n + 1 WHERE k = 5': undefined,
    [`DO $$ BEGIN DELETE FROM parent WHERE ${some('parent', 3)}; END $$`]: undefined,
    [`DO $$ BEGIN DELETE FROM part WHERE id IN (SELECT id FROM part ORDER BY random() LIMIT 30); UPDATE part SET id = id + 100 WHERE id IN (SELECT id FROM part ORDER BY random() LIMIT 30); END $$`]:
      undefined,
    'DO $$ BEGIN DELETE FROM job WHERE id = 5; INSERT INTO job VALUES (5, (random() * 1000)::int); END $$': 100,
    "DO $$ BEGIN PERFORM drop_jobs(5); BEGIN PERFORM drop_jobs(20); RAISE EXCEPTION 'no'; EXCEPTION WHEN raise_exception THEN PERFORM drop_jobs(1); END; END $$": 94,
  };
  for (const [text, left] of Object.entries(statements)) {
    test(text, HANGS, async () => {
      await refill();
      await client.query(text);
      await assertWritersEqual(cluster);
      const [row] = await sql(w2, 'SELECT count(*)::int AS n FROM job');
      assert.equal(row?.['n'], left ?? 100);
    });
  }

  test('of an older state, behind a savepoint, while others go on', HANGS, async () => {
    await refill();
    const unproven = () => proxy.lines.filter(({ event }) => event === 'effects that cannot be compared').length;
    const known = unproven();
    const others = await Promise.all([proxy.connect(), proxy.connect()]);
    for (const begin of ['SAVEPOINT s; SELECT count(*) FROM job', 'SELECT count(*) FROM job; SAVEPOINT s']) {
      const under = others[0]?.query(
        'BEGIN; INSERT INTO job VALUES (700, 1); SELECT FROM job WHERE id = 700 FOR UPDATE',
      );
      await under;
      await client.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; ${begin}`);
      await others[0]?.query('COMMIT');
      await others[1]?.query(`INSERT INTO job VALUES (600, 1); UPDATE job SET n = 5 WHERE id = 3;
        BEGIN; SELECT FROM job WHERE id = 600 FOR UPDATE; COMMIT; DELETE FROM job WHERE id = 4`);
      await client.query(
        'DO $$ BEGIN DELETE FROM job WHERE id IN (SELECT id FROM job WHERE id > 4 ORDER BY random() LIMIT 20); END $$',
      );
      await client.query('SAVEPOINT t; SELECT drop_jobs(0); RELEASE t; UPDATE job SET n = 8 WHERE id = 5; COMMIT');
      await assertWritersEqual(cluster);
      await client.query('DELETE FROM job WHERE id IN (600, 700)');
    }
    assert.equal(unproven(), known);
    await Promise.all(others.map((one) => one.end()));
  });

  test('to a client of another encoding, and with other styles of values', HANGS, async () => {
    await refill();
    const other = await proxy.connect();
    await other.query("SET client_encoding = 'LATIN1'; SET DateStyle = 'ISO, DMY'; SET TimeZone = 'Asia/Kolkata'");
    await other.query(`DO $$ BEGIN DELETE FROM pair WHERE ${some('pair', 9)}; END $$`);
    await assertWritersEqual(cluster);
    await other.end();
  });

  test('to a role that may not turn triggers off, where none would fire', HANGS, async () => {
    await refill();
    await becomePlain(cluster, client);
    await client.query('SELECT drop_jobs(7)');
    await client.query('RESET ROLE');
    await assertWritersEqual(cluster);
  });

  test('by many at once, while others change the same rows', HANGS, async () => {
    await refill();
    const work = Array.from({ length: 8 }, async (_, one) => {
      const own = await proxy.connect();
      for (let round = 0; round < 6; round++) {
        await own.query(one % 2 === 0 ? 'SELECT drop_jobs(1)' : `UPDATE fired SET n = n + 1 WHERE id = ${one}`);
        await own.query(`UPDATE job SET n = n + 1 WHERE id = ${one * 10 + round}`);
        await own.query(`INSERT INTO job VALUES (${1000 + one * 10 + round}, 1)`);
      }
      await own.end();
    });
    await Promise.all(work);
    await assertWritersEqual(cluster);
  });

  test('nothing of it is left where the transaction is rolled back, and no connection is', HANGS, async () => {
    await refill();
    await client.query('BEGIN; SELECT drop_jobs(50); ROLLBACK');
    const [row] = await sql(w2, 'SELECT count(*)::int AS n FROM job');
    assert.equal(row?.['n'], 100);
    for (const server of cluster.writers) {
      const [open] = await sql(
        server,
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'pprox: looking on' AND state <> 'idle'",
      );
      assert.equal(open?.['n'], 0);
    }
    await assertWritersEqual(cluster);
  });

  test('by a connection that may be lost', HANGS, async () => {
    await refill();
    const end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pprox: looking on'";
    assert.ok((await sql(w1, end)).length > 0);
    for (let round = 0; round < 3; round++) await client.query('SELECT drop_jobs(5)');
    await assertWritersEqual(cluster);
    const [row] = await sql(w2, 'SELECT count(*)::int AS n FROM job');
    assert.equal(row?.['n'], 85);
  });
});

describe('where they are not told, the same ones must be gone', () => {
  /** A role for which followers' triggers fire. */
  async function plain(run: (own: pg.Client) => Promise<void>): Promise<void> {
    await refill();
    const own = await proxy.connect();
    await becomePlain(cluster, own);
    await run(own);
    await own.end();
    await assertWritersEqual(cluster);
  }

  test('others are a difference, and everything is rolled back', HANGS, () =>
    plain(async (own) => {
      const error = await refusal(own.query('UPDATE fired SET n = n + 1'));
      assert.equal(error.code, '40002', error.message);
      assert.match(
        error.detail ?? '',
        /rows of public\.job: 18 of hash \w+ gone or changed, where on the lead: 18 of hash/,
      );
    }),
  );

  test('in a table without a key too', HANGS, async () => {
    await refill();
    await client.query("DO 'BEGIN DELETE FROM keyless WHERE n = 3; END'");
    await assertWritersEqual(cluster);
    const error = await refusal(client.query(`DO $$ BEGIN DELETE FROM keyless WHERE ${some('keyless', 20)}; END $$`));
    assert.equal(error.code, '40002', error.message);
    await assertWritersEqual(cluster);
  });

  test('the same ones are none, and nothing is called unproven', HANGS, async () => {
    const unproven = () => proxy.lines.filter(({ event }) => event === 'effects that cannot be compared').length;
    const known = unproven();
    await plain(async (own) => {
      await own.query('SELECT drop_first()');
      await own.query("DO 'BEGIN PERFORM drop_first(); DELETE FROM keyless WHERE n = 2; END'");
    });
    assert.equal(unproven(), known);
  });
});

describe('where it is not known which rows are gone', () => {
  const told = () =>
    proxy.lines
      .filter(({ event }) => event === 'effects that cannot be compared')
      .map(({ fields }) => fields['effects']);

  test('a table that the transaction keeps everybody from', HANGS, async () => {
    await refill();
    const known = told().length;
    await client.query('BEGIN; LOCK TABLE job; SELECT drop_first(); COMMIT');
    assert.deepEqual(told().slice(known), ['rows deleted from public.job']);
    await assertWritersEqual(cluster);
  });
});

test('in an older state, behind a savepoint, rows that may be newer are no certain loss', HANGS, async () => {
  await refill();
  const other = await proxy.connect();
  await other.query('BEGIN; SAVEPOINT s; INSERT INTO job VALUES (500, 1); SELECT FROM job WHERE id = 500 FOR UPDATE');
  // Something that has begun later is over before.
  await client.query('INSERT INTO parent VALUES (5000)');
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM job; SAVEPOINT s');
  await other.query('COMMIT');
  const error = await refusal(client.query('SELECT drop_first()'));
  assert.equal(error.code, '40001');
  assert.match(error.message, /which rows of public\.job are gone/);
  await client.query('ROLLBACK');
  await client.query(
    'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM job; SAVEPOINT s; SELECT drop_first(); COMMIT',
  );
  await assertWritersEqual(cluster);
  await other.end();
});

test('what has changed nothing on the lead changes nothing on a follower', HANGS, async () => {
  await client.query(
    `CREATE FUNCTION sweep() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM job WHERE n = 77; RETURN 0; END'`,
  );
  await client.query('DELETE FROM job WHERE n = 77');
  await sql(w2, 'INSERT INTO job VALUES (5000, 77)');
  await client.query('SELECT sweep()');
  assert.deepEqual(await sql(w2, 'SELECT id FROM job WHERE n = 77'), [{ id: 5000 }]);
  await sql(w2, 'DELETE FROM job WHERE id = 5000');
  await assertWritersEqual(cluster);
});

test('connections that look on are closed when nobody needs them', HANGS, async () => {
  const brief = await startTestProxy({ writers: cluster.writers.map(clusterDsn), settings: { poolIdleMs: 300 } });
  const count = async (): Promise<unknown> => {
    const [row] = await sql(
      w1,
      "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'pprox: looking on'",
    );
    return row?.['n'];
  };
  const known = await count();
  const own = await brief.connect();
  await own.query('SELECT drop_jobs(1)');
  assert.equal(await count(), Number(known) + 1);
  await until('it is gone', async () => (await count()) === known);
  await own.query('SELECT drop_jobs(1)');
  await own.end();
  await brief.stop();
  await until('it is gone with the proxy', async () => (await count()) === known);
  await assertWritersEqual(cluster);
});

test(
  'a trigger that deletes rows of its own table is not hidden by the rows that the statement deletes',
  HANGS,
  async () => {
    await client.query(`CREATE TABLE heap_like (id int PRIMARY KEY, n int); INSERT INTO heap_like SELECT g, g FROM generate_series(1, 60) g;
    CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF pg_trigger_depth() = 1 THEN DELETE FROM heap_like WHERE id IN (SELECT id FROM heap_like WHERE n > 5 ORDER BY random() LIMIT 5); END IF; RETURN NULL; END $$;
    CREATE TRIGGER more AFTER INSERT OR DELETE ON heap_like FOR EACH STATEMENT EXECUTE FUNCTION more()`);
    const statements = [
      'DELETE FROM heap_like WHERE id = 1',
      'DELETE FROM heap_like WHERE n IN (2, 3)',
      'INSERT INTO heap_like VALUES (100, 1)',
    ];
    for (const text of statements) {
      await client.query(text);
      await assertWritersEqual(cluster);
    }
    await becomePlain(cluster, client);
    for (const text of [
      'DELETE FROM heap_like WHERE id = 4',
      'DELETE FROM heap_like WHERE n = 5',
      'INSERT INTO heap_like VALUES (101, 1)',
    ]) {
      assert.equal((await refusal(client.query(text))).code, '40002', text);
      await assertWritersEqual(cluster);
    }
    await client.query('RESET ROLE');
  },
);
