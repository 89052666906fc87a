/** Statements whose text alone would store something else on each writer: the effect is the same, or nothing is stored. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type pg from 'pg';
import { dump, sql } from '../support/cluster.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { becomePlain, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const connect = proxy.connect;
// Writers that were set up by different hands.
await sql(cluster.w2, "ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'");
await sql(cluster.w2, "ALTER SYSTEM SET DateStyle = 'SQL, DMY'");
await sql(cluster.w2, 'SELECT pg_reload_conf()');

async function assertEqual(): Promise<void> {
  const [first, second] = await Promise.all(
    cluster.writers.map((server) => dump(server, 'postgres', { sequences: 'left out' })),
  );
  assert.equal(second, first);
}

/** The statement is refused with this SQLSTATE, and no writer has changed. */
async function assertRefused(client: pg.Client, text: string, code: string): Promise<void> {
  const earlier = await Promise.all(cluster.writers.map((server) => dump(server)));
  await assert.rejects(client.query(text), { code });
  assert.deepEqual(await Promise.all(cluster.writers.map((server) => dump(server))), earlier);
}

test('dates are read as the lead reads them, whatever the follower is configured to', async () => {
  const client = await connect();
  await client.query('CREATE TABLE dates (id int PRIMARY KEY, at timestamptz, day date)');
  await client.query("INSERT INTO dates VALUES (1, '2026-01-02 03:04:05', '01/02/2026')");
  await client.query("UPDATE dates SET at = '2026-02-03 04:05:06' WHERE id = 1");
  await assertEqual();
  const [row] = await sql(
    cluster.w2,
    "SELECT extract(epoch FROM at)::int AS at, to_char(day, 'MM') AS month FROM dates",
  );
  assert.equal(row?.['month'], '01');
});

test('names and values are those of the lead, whatever the follower has set for the role or the database', async () => {
  await sql(cluster.w2, 'CREATE SCHEMA aside');
  await sql(cluster.w2, 'CREATE TABLE aside.named (id int PRIMARY KEY, v text)');
  await sql(cluster.w1, 'CREATE SCHEMA aside');
  await sql(cluster.w1, 'CREATE TABLE aside.named (id int PRIMARY KEY, v text)');
  await sql(cluster.w2, 'ALTER ROLE postgres SET search_path = aside, public');
  await sql(cluster.w2, 'ALTER DATABASE postgres SET extra_float_digits = -10');
  await sql(cluster.w2, 'ALTER ROLE postgres SET bytea_output = escape');
  await sql(cluster.w1, "ALTER ROLE postgres SET app.tenant = 'all'");
  await sql(cluster.w1, "ALTER ROLE postgres IN DATABASE postgres SET app.tenant = 'it''s mine'");
  const fresh = await startTestProxy({ writers: cluster.writers.map(clusterDsn) });
  const client = await fresh.connect();
  await client.query('CREATE TABLE named (id int PRIMARY KEY, v text)');
  await client.query("INSERT INTO named VALUES (1, 1.0::float8 / 3 || ' ' || '\\x00ff'::bytea::text)");
  await client.query("INSERT INTO named VALUES (2, current_setting('app.tenant'))");
  await client.query('UPDATE named SET v = v || 0.1::float8 WHERE id = 1');
  const [row] = await sql(cluster.w2, 'SELECT v FROM public.named WHERE id = 2');
  for (const writer of cluster.writers) {
    await sql(writer, 'ALTER ROLE postgres RESET ALL');
    await sql(writer, 'ALTER ROLE postgres IN DATABASE postgres RESET ALL');
    await sql(writer, 'ALTER DATABASE postgres RESET ALL');
  }
  assert.equal(row?.['v'], "it's mine");
  await assertEqual();
});

test('a setting made by SET or set_config holds on every writer', async () => {
  const client = await connect();
  await client.query('CREATE TABLE moments (id int PRIMARY KEY, at timestamptz)');
  await client.query("SET TimeZone = 'America/New_York'");
  await client.query("INSERT INTO moments VALUES (1, '2026-06-01 12:00')");
  await client.query("SELECT set_config('TimeZone', 'Europe/Berlin', false)");
  await client.query("INSERT INTO moments VALUES (2, '2026-06-01 12:00')");
  await client.query('BEGIN');
  await client.query("SET LOCAL TimeZone = 'UTC'");
  await client.query("INSERT INTO moments VALUES (3, '2026-06-01 12:00')");
  await client.query('COMMIT');
  await client.query("INSERT INTO moments VALUES (4, '2026-06-01 12:00')");
  await assertEqual();
  const rows = await sql(cluster.w2, "SELECT to_char(at AT TIME ZONE 'UTC', 'HH24:MI') AS at FROM moments ORDER BY id");
  assert.deepEqual(
    rows.map(({ at }) => at),
    ['16:00', '10:00', '12:00', '10:00'],
  );
});

test("the lead's transaction time stands in for now() and its kin", async () => {
  const client = await connect();
  await client.query('CREATE TABLE times (id int PRIMARY KEY, a timestamptz, b date, c time, d timestamp(3))');
  await client.query('INSERT INTO times (id) VALUES (1), (2)');
  await client.query('UPDATE times SET a = now(), b = CURRENT_DATE, c = LOCALTIME, d = LOCALTIMESTAMP(3) WHERE id = 1');
  await client.query(
    'UPDATE times SET a = pg_catalog."now" ( ), b = (CURRENT_TIMESTAMP + interval \'1 day\')::date WHERE id = 2; SELECT 1',
  );
  await assertEqual();
  const [row] = await sql(cluster.w2, 'SELECT count(a) + count(d) AS filled FROM times');
  assert.equal(Number(row?.['filled']), 3);
});

test('what varies and cannot be replayed is refused before any server has run it', async () => {
  const client = await connect();
  await client.query('CREATE TABLE varied (id serial PRIMARY KEY, x text, n float8)');
  await client.query("INSERT INTO varied (x) VALUES ('a')");
  await client.query('CREATE VIEW seen AS SELECT id, x FROM varied');
  await client.query("INSERT INTO seen (x) VALUES ('c')");
  await client.query(
    "MERGE INTO varied v USING (VALUES ('d'), ('c')) s (x) ON v.x = s.x WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (x) VALUES (s.x)",
  );
  for (const text of [
    'EXPLAIN ANALYZE UPDATE varied SET n = random()',
    "WITH w AS (INSERT INTO varied (x) VALUES ('b') RETURNING id) SELECT lo_creat(-1) FROM w",
    'CREATE MATERIALIZED VIEW made AS SELECT random() AS n',
    "EXPLAIN ANALYZE INSERT INTO varied (x) VALUES ('e')",
  ]) {
    await assertRefused(client, text, '0A000');
  }
  await assertEqual();
});

test('what varies in an UPDATE or DELETE is what it was on the lead', async () => {
  const client = await connect();
  await client.query('CREATE TABLE drawn (id serial PRIMARY KEY, x text, n float8, rank int)');
  await client.query("INSERT INTO drawn (x) SELECT 'a' FROM generate_series(1, 50)");
  for (const text of [
    'UPDATE drawn SET n = random()',
    "UPDATE drawn SET rank = nextval('drawn_id_seq')",
    'UPDATE drawn SET n = extract(epoch FROM clock_timestamp()) WHERE id % 2 = 0',
    "UPDATE drawn SET x = 'today'::date::text WHERE n < random()",
    'DELETE FROM drawn WHERE id IN (SELECT id FROM drawn ORDER BY random() LIMIT 10)',
    'DELETE FROM drawn WHERE random() < 0.5',
  ]) {
    await client.query(text);
    await assertEqual();
  }
});

test('a trigger that makes the row differ makes it the same on followers where triggers may be turned off, or is found', async () => {
  const client = await connect();
  await client.query(`CREATE TABLE kept (id int PRIMARY KEY, x text, at timestamptz);
    CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.x := upper(new.x); RETURN new; END $$;
    CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.at := clock_timestamp(); RETURN new; END $$;
    CREATE TRIGGER one BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION shout()`);
  assert.deepEqual((await client.query("INSERT INTO kept VALUES (1, 'a') RETURNING x AS loud")).rows, [{ loud: 'A' }]);
  assert.equal((await client.query("UPDATE kept AS k SET x = 'b' WHERE k.id = 1")).rowCount, 1);
  await client.query('CREATE TRIGGER two BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION touch()');
  await client.query("UPDATE kept SET x = 'c' WHERE id = 1");
  await client.query("INSERT INTO kept (id, x) VALUES (3, 'e'), (4, 'f')");
  await client.query("UPDATE kept SET x = 'g' WHERE id > 2");
  await assertEqual();
  await becomePlain(cluster, client);
  await assertRefused(client, "UPDATE kept SET x = 'c' WHERE id = 1", '40002');
  await assertRefused(client, "INSERT INTO kept (id, x) VALUES (2, 'd')", '40002');
  await assertEqual();
});

test('rows that triggers and functions add to tables with serial columns get the same values everywhere', async () => {
  const client = await connect();
  await client.query(`CREATE TABLE audit (id serial PRIMARY KEY, what text);
    CREATE TABLE audited (id serial PRIMARY KEY, x text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit (what) VALUES (new.x); RETURN new; END $$;
    CREATE TRIGGER noted AFTER INSERT OR UPDATE ON audited FOR EACH ROW EXECUTE FUNCTION note();
    CREATE FUNCTION add(fail boolean) RETURNS void LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO audit (what) VALUES ('added'); IF fail THEN RAISE EXCEPTION 'no'; END IF; END $$`);
  await client.query("INSERT INTO audited (x) VALUES ('a'), ('b')");
  await client.query("INSERT INTO audited (x) SELECT 'c' FROM generate_series(1, 3)");
  await client.query("UPDATE audited SET x = 'd' WHERE id = 2");
  // Uses up a value on the lead alone.
  await assert.rejects(client.query('SELECT add(true)'), { message: 'no' });
  await client.query('SELECT add(false)');
  await client.query("DO $$ BEGIN INSERT INTO audit (what) VALUES ('done'); END $$");
  await assertEqual();
  const [counted] = await sql(cluster.w2, 'SELECT count(*)::int AS rows, max(id) AS last FROM audit');
  assert.deepEqual(counted, { rows: 8, last: 9 });
});

test('a volatile function gives every writer the value that it gave the lead', async () => {
  const client = await connect();
  await client.query(`CREATE TABLE figures (id int PRIMARY KEY, n float8); INSERT INTO figures VALUES (1, 1);
    CREATE FUNCTION dice() RETURNS float8 LANGUAGE sql VOLATILE AS 'SELECT random()';
    CREATE FUNCTION twice(n float8) RETURNS float8 LANGUAGE sql VOLATILE AS 'SELECT n * 2'`);
  await client.query('UPDATE figures SET n = dice()');
  await assertRefused(client, 'CREATE TABLE thrown AS SELECT dice() AS n', '0A000');
  await client.query('UPDATE figures SET n = twice(n)');
  await client.query('INSERT INTO figures VALUES (2, dice())');
  await assertEqual();
});

test('a volatile function writes on every writer, wherever in a query it stands', async () => {
  const client = await connect();
  await client.query(`CREATE TABLE calls (id int PRIMARY KEY, n int); INSERT INTO calls VALUES (1, 0);
    CREATE FUNCTION bump() RETURNS int LANGUAGE sql VOLATILE AS 'UPDATE calls SET n = n + 1 RETURNING n';
    CREATE VIEW bumped AS SELECT bump() AS n`);
  await client.query('SELECT bump()');
  await client.query('SELECT * FROM bumped');
  await client.query('SELECT bump(), id FROM calls FOR UPDATE');
  await client.query('BEGIN');
  await client.query('SELECT bump() FROM calls FOR SHARE');
  await assert.rejects(client.query('DECLARE c CURSOR FOR SELECT bump()'), { code: '0A000' });
  await client.query('ROLLBACK');
  await assertEqual();
  const [row] = await sql(cluster.w2, 'SELECT n FROM calls');
  assert.equal(row?.['n'], 3);
});

test('a text too large for the event loop is read all the same', async () => {
  const client = await connect();
  await client.query('CREATE TABLE wide (id int PRIMARY KEY, x text)');
  const rows = Array.from({ length: 5000 }, (_, id) => `INSERT INTO wide VALUES (${id}, 'row ${id}')`);
  await client.query(rows.join(';'));
  const [counted] = await sql(cluster.w2, 'SELECT count(*)::int AS rows FROM wide');
  assert.equal(counted?.['rows'], 5000);
  await assertEqual();
});

test("what a server's own collation decides is the lead's", async () => {
  const client = await proxy.connect();
  // By one and the same name, as where servers have the libraries of two systems.
  await sql(cluster.w1, "CREATE COLLATION ours (provider = icu, locale = 'en')");
  await sql(cluster.w2, "CREATE COLLATION ours (provider = libc, locale = 'C')");
  await client.query(`CREATE TABLE sorted (id int PRIMARY KEY, x text COLLATE ours, b bool, y text);
    INSERT INTO sorted (id, x) VALUES (1, 'a'), (2, 'É')`);
  for (const text of [
    "UPDATE sorted SET b = x < 'B' WHERE id = 1",
    "UPDATE sorted SET y = CASE WHEN x > 'Z' THEN 'late' ELSE 'early' END WHERE id = 1",
    "UPDATE sorted SET b = x ILIKE 'é', y = greatest(x, 'z') WHERE id = 2",
    "INSERT INTO sorted (id, x, b) VALUES (3, 'b', 'a' COLLATE ours < 'B'), (4, 'c', 'É' COLLATE ours ~* 'é')",
  ])
    await client.query(text);
  await assertEqual();
  assert.deepEqual(await sql(cluster.w2, 'SELECT b FROM sorted WHERE id = 3'), [{ b: true }]);
});

test('a setting of the session that a definition would keep is refused', async () => {
  const client = await proxy.connect();
  for (const text of [
    "CREATE FUNCTION keeping() RETURNS int LANGUAGE sql SET work_mem FROM CURRENT AS 'SELECT 1'",
    'ALTER ROLE postgres SET lock_timeout FROM CURRENT',
    'ALTER DATABASE postgres SET work_mem FROM CURRENT',
  ])
    await assertRefused(client, text, '0A000');
});
