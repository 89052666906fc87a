/** What functions and triggers do that rows alone do not tell: it is done on every writer, once. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, outcome, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };

const client = await proxy.connect();
await client.query(`
  CREATE TABLE t (k int PRIMARY KEY, n int);
  CREATE TABLE fired (id int PRIMARY KEY, n int);
  INSERT INTO t SELECT g, 0 FROM generate_series(1, 60) g;
  INSERT INTO fired VALUES (1, 1);
  CREATE FUNCTION drop_some(many int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM t WHERE k IN (SELECT k FROM t ORDER BY random() LIMIT many); END $$;
  CREATE FUNCTION refill(f int, many int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    TRUNCATE t; INSERT INTO t SELECT g, f FROM generate_series(1, many) g; END $$`);

async function same(text: string, query: string): Promise<void> {
  await client.query(text);
  await assertWritersEqual(cluster);
  const [there, here] = await Promise.all([sql(w1, query), sql(w2, query)]);
  assert.ok(there.length > 0, 'there is something to compare');
  assert.deepEqual(here, there);
}

describe('TRUNCATE, which sets the counts of its transaction back', () => {
  for (const text of [
    'BEGIN; SELECT refill(1, 3); SELECT refill(2, 3); COMMIT',
    'BEGIN; SELECT refill(1, 3); SELECT refill(2, 5); COMMIT',
    'BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, 7), (2, 7), (3, 7); SELECT refill(3, 3); COMMIT',
    'BEGIN; SELECT refill(4, 60); SAVEPOINT s; SELECT refill(5, 60); ROLLBACK TO s; SELECT refill(6, 60); COMMIT',
  ]) {
    test(text, HANGS, () => same(text, 'SELECT n, count(*) FROM t GROUP BY n'));
  }
});

describe('a cache that a trigger empties and fills, in a transaction that has emptied it before', () => {
  const texts = [
    'BEGIN; UPDATE cached SET n = 1 WHERE id = 1; UPDATE cached SET n = 2 WHERE id = 2; COMMIT',
    'BEGIN; UPDATE cached SET n = n + 1 WHERE n < 9; INSERT INTO cached VALUES (7, 7); DELETE FROM cached WHERE id = 1; COMMIT',
    'BEGIN; UPDATE cached SET n = 5 WHERE id = 2; INSERT INTO cache VALUES (99, 99); UPDATE cached SET n = 6 WHERE id = 2; COMMIT',
    'BEGIN; TRUNCATE cache; INSERT INTO cache SELECT g FROM generate_series(1, 50) g; UPDATE cached SET n = 8 WHERE id = 3; COMMIT',
    'BEGIN; SAVEPOINT s; SELECT refresh(); UPDATE cached SET n = 9 WHERE id = 2; RELEASE SAVEPOINT s; COMMIT',
    'BEGIN; DROP TABLE cache; CREATE TABLE cache AS SELECT id, n FROM cached; UPDATE cached SET n = 10 WHERE id = 2; COMMIT',
  ];
  for (const role of ['a superuser', 'a role that may not turn triggers off'] as const)
    test(`for ${role}`, HANGS, async () => {
      await client.query(`DROP TABLE IF EXISTS cached, cache; CREATE TABLE cached (id int PRIMARY KEY, n int);
        CREATE TABLE cache (id int, n int); INSERT INTO cached SELECT g, 0 FROM generate_series(1, 4) g;
        CREATE OR REPLACE FUNCTION refresh() RETURNS void LANGUAGE sql AS 'TRUNCATE cache; INSERT INTO cache SELECT id, n FROM cached';
        CREATE OR REPLACE FUNCTION refreshed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM refresh(); RETURN NULL; END';
        CREATE TRIGGER refreshed AFTER INSERT OR UPDATE OR DELETE ON cached FOR EACH STATEMENT EXECUTE FUNCTION refreshed()`);
      if (role !== 'a superuser')
        await client.query(`CREATE ROLE keeper; GRANT ALL ON SCHEMA public TO keeper; ALTER TABLE cached OWNER TO keeper;
          ALTER TABLE cache OWNER TO keeper; SET ROLE keeper`);
      for (const text of texts) {
        await same(text, 'SELECT * FROM cache ORDER BY id');
        await same('SELECT 1', 'SELECT * FROM cached ORDER BY id');
      }
      await client.query('RESET ROLE');
    });

  test('with values that vary, by a trigger', HANGS, async () => {
    await client.query(`CREATE TABLE dealt (id int PRIMARY KEY, n int); CREATE TABLE cards (v float8); INSERT INTO dealt VALUES (1, 0), (2, 0);
      CREATE FUNCTION deal() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN TRUNCATE cards; INSERT INTO cards SELECT random() FROM dealt; RETURN NULL; END';
      CREATE TRIGGER deal AFTER UPDATE ON dealt FOR EACH STATEMENT EXECUTE FUNCTION deal()`);
    for (const update of [
      'UPDATE dealt SET n = 1 WHERE id = 1',
      'WITH u AS (UPDATE dealt SET n = 1 WHERE id = 1 RETURNING 1) SELECT * FROM u',
    ]) {
      assert.equal(
        await outcome(client.query(`BEGIN; TRUNCATE cards; INSERT INTO cards VALUES (1), (2); ${update}; COMMIT`)),
        '40002',
        update,
      );
      await client.query('ROLLBACK');
      await assertWritersEqual(cluster);
    }
  });

  for (const [how, made] of Object.entries({
    'a text with what looks like a comment': `CREATE FUNCTION deals() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN RAISE DEBUG '-- refresh'; TRUNCATE hand; INSERT INTO hand VALUES (9, clock_timestamp()::text); RETURN NULL; END $$`,
    'a text that is put together': `CREATE FUNCTION deals() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN EXECUTE 'TRUN' || 'CATE hand'; INSERT INTO hand VALUES (9, clock_timestamp()::text); RETURN NULL; END $$`,
    'a view with a trigger of its own': `CREATE TABLE shown_base (id int PRIMARY KEY, v text); CREATE VIEW shown AS SELECT * FROM shown_base;
       CREATE FUNCTION empties() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         TRUNCATE hand; INSERT INTO hand VALUES (NEW.id, 'n'); INSERT INTO shown_base VALUES (NEW.id, NEW.v); RETURN NEW; END $$;
       CREATE FUNCTION deals() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO shown VALUES (NEW.id, clock_timestamp()::text); RETURN NULL; END $$;
       CREATE TRIGGER empties INSTEAD OF INSERT ON shown FOR EACH ROW EXECUTE FUNCTION empties()`,
    'an operator': `CREATE FUNCTION empty_it(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN TRUNCATE hand; INSERT INTO hand VALUES ($1, 'o'); RETURN true; END $$;
       CREATE OPERATOR <##> (LEFTARG = int, RIGHTARG = int, FUNCTION = empty_it);
       CREATE FUNCTION deals() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1 WHERE NEW.id <##> 1; RETURN NULL; END $$`,
  }))
    test(`by ${how}`, HANGS, async () => {
      await client.query(`DROP TABLE IF EXISTS player, hand CASCADE; DROP FUNCTION IF EXISTS deals; CREATE TABLE player (id int PRIMARY KEY, v text, at timestamptz);
        CREATE TABLE hand (id int PRIMARY KEY, v text)`);
      await client.query(made);
      await client.query('CREATE TRIGGER deals AFTER INSERT ON player FOR EACH ROW EXECUTE FUNCTION deals()');
      const text =
        "BEGIN; TRUNCATE hand; INSERT INTO hand VALUES (5, 'mine'); INSERT INTO player VALUES (1, 'a', now()); COMMIT";
      const found = await outcome(client.query(text));
      assert.ok(found === 'ok' || found === '40002', found);
      await client.query('ROLLBACK');
      await assertWritersEqual(cluster);
    });

  test('with values that vary it is the lead’s, or refused', HANGS, async () => {
    await client.query('CREATE TABLE luck (v float8); INSERT INTO luck VALUES (0)');
    for (const text of [
      "BEGIN; TRUNCATE luck; INSERT INTO luck VALUES (1), (2); DO 'BEGIN TRUNCATE luck; INSERT INTO luck VALUES (random()), (random()); END'; COMMIT",
      "BEGIN; CREATE TABLE made (v float8); INSERT INTO made VALUES (1); DO 'BEGIN TRUNCATE made; INSERT INTO made VALUES (random()); END'; COMMIT",
    ]) {
      assert.equal(await outcome(client.query(text)), '40002');
      await client.query('ROLLBACK');
      await assertWritersEqual(cluster);
    }
  });
});

test('rows that triggers remove from a table which its transaction has altered', HANGS, async () => {
  await client.query(`CREATE TABLE altered (id int PRIMARY KEY, n int); CREATE TABLE asks (id int PRIMARY KEY);
    INSERT INTO altered SELECT g, g FROM generate_series(1, 9) g;
    CREATE FUNCTION remove() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      DELETE FROM altered WHERE id = NEW.id; UPDATE altered SET id = id + 100 WHERE id = NEW.id + 1; RETURN NULL; END $$;
    CREATE TRIGGER remove AFTER INSERT ON asks FOR EACH ROW EXECUTE FUNCTION remove()`);
  for (const [alter, id] of [
    ['ADD COLUMN z int', 2],
    ['SET (fillfactor = 90)', 4],
    ['ADD CHECK (n > 0)', 6],
  ] as const)
    await same(
      `BEGIN; ALTER TABLE altered ${alter}; INSERT INTO asks VALUES (${id}); COMMIT`,
      'SELECT * FROM altered ORDER BY id',
    );
});

test('what refers to a table that is told, where the role may not turn triggers off', HANGS, async () => {
  await client.query(`CREATE ROLE refers; GRANT ALL ON SCHEMA public TO refers; SET ROLE refers;
    CREATE TABLE child (id int PRIMARY KEY, p int); INSERT INTO child SELECT g, NULL FROM generate_series(1, 5) g;
    CREATE TABLE drawn (id serial PRIMARY KEY, v text)`);
  await same(
    `BEGIN; CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1), (2);
      ALTER TABLE child ADD FOREIGN KEY (p) REFERENCES parent ON DELETE CASCADE; UPDATE child SET p = 1 WHERE id < 3;
      WITH s AS (INSERT INTO drawn (v) VALUES (1) RETURNING id) SELECT * FROM s; COMMIT`,
    'SELECT * FROM child ORDER BY id',
  );
  await client.query('RESET ROLE');
});

test('deferred triggers that a trigger or a function among the values fires do so once', HANGS, async () => {
  await client.query(`CREATE TABLE asked (id int); CREATE TABLE heard (id int); CREATE TABLE firing (id int PRIMARY KEY, n int); INSERT INTO firing VALUES (1, 0), (2, 0);
    CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO heard VALUES (NEW.id); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER hear AFTER INSERT ON asked DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hear();
    CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN SET CONSTRAINTS ALL IMMEDIATE; RETURN NULL; END';
    CREATE FUNCTION fired_by(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN SET CONSTRAINTS ALL IMMEDIATE; RETURN n; END'`);
  const count = 'SELECT count(*) AS n FROM heard';
  await same('BEGIN; INSERT INTO asked VALUES (1); UPDATE firing SET n = fired_by(3) WHERE id = 1; COMMIT', count);
  await client.query('CREATE TRIGGER fire AFTER UPDATE ON firing FOR EACH ROW EXECUTE FUNCTION fire()');
  await same('BEGIN; INSERT INTO asked VALUES (2); UPDATE firing SET n = 1 WHERE id = 1; COMMIT', count);
  assert.deepEqual(await sql(w2, count), [{ n: '2' }]);
});

test('deferred triggers that are fired in the middle fire once', HANGS, async () => {
  await client.query(`CREATE TABLE o (id int);
    CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE t SET n = n + 1 WHERE k = 5; DELETE FROM t WHERE k > 50 AND n < 0; RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER later AFTER INSERT ON o DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION later()`);
  for (const fire of ['SET CONSTRAINTS ALL IMMEDIATE', "DO 'BEGIN SET CONSTRAINTS ALL IMMEDIATE; END'"]) {
    await same(`BEGIN; INSERT INTO o VALUES (1); ${fire}; COMMIT`, 'SELECT n FROM t WHERE k = 5');
  }
  await client.query('DROP TABLE o');
});

test('objects of any kind that a block makes beside rows that it deletes', HANGS, async () => {
  await client.query("CREATE TYPE en AS ENUM ('a'); CREATE SEQUENCE steps");
  const count = (k: number, ddl: string): string => `DO $$ BEGIN ${ddl}; DELETE FROM t WHERE k = ${k}; END $$`;
  await same(
    count(11, "ALTER TYPE en ADD VALUE 'z'"),
    "SELECT enumlabel FROM pg_enum JOIN pg_type t ON t.oid = enumtypid WHERE typname = 'en'",
  );
  await same(count(12, "COMMENT ON TABLE t IS 'words'"), "SELECT obj_description('t'::regclass)");
  await same(count(13, 'CREATE STATISTICS st ON k, n FROM t'), 'SELECT stxname FROM pg_statistic_ext');
  await same(count(14, 'CREATE RULE r AS ON UPDATE TO fired WHERE false DO NOTHING'), 'SELECT rulename FROM pg_rules');
  await same(count(15, 'GRANT SELECT ON t TO PUBLIC'), "SELECT relacl::text FROM pg_class WHERE oid = 't'::regclass");
  await same(
    count(16, 'GRANT SELECT (n) ON fired TO PUBLIC'),
    "SELECT attacl::text FROM pg_attribute WHERE attrelid = 'fired'::regclass AND attname = 'n'",
  );
  await same(count(17, 'CREATE PUBLICATION pub FOR TABLE t'), 'SELECT pubname FROM pg_publication_tables');
  await same(
    count(18, 'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC'),
    'SELECT defaclacl::text FROM pg_default_acl',
  );
  await same(count(19, "ALTER DATABASE postgres SET my.own = 'x'"), 'SELECT setconfig FROM pg_db_role_setting');
  await same(count(20, 'ALTER FUNCTION drop_some COST 7'), "SELECT procost FROM pg_proc WHERE proname = 'drop_some'");
  await same(
    count(21, 'ALTER SEQUENCE steps INCREMENT 3'),
    "SELECT seqincrement FROM pg_sequence WHERE seqrelid = 'steps'::regclass",
  );
  await same(count(22, 'CREATE SCHEMA made_here'), "SELECT nspname FROM pg_namespace WHERE nspname = 'made_here'");
  await same(count(23, 'CREATE ROLE made_here'), "SELECT rolname FROM pg_roles WHERE rolname = 'made_here'");
  await same(
    count(24, 'ALTER EXTENSION plpgsql ADD FUNCTION drop_some'),
    "SELECT deptype FROM pg_depend WHERE objid = 'drop_some'::regproc AND deptype = 'e'",
  );
  await same(
    count(25, 'CREATE CAST (t AS text) WITH INOUT'),
    "SELECT castmethod FROM pg_cast WHERE castsource = 't'::regtype",
  );
  await same(count(26, 'CREATE POLICY p ON fired USING (true)'), 'SELECT polname FROM pg_policy');
  await same(
    count(27, 'CREATE TYPE ran AS RANGE (subtype = float8)'),
    "SELECT rngsubtype::regtype::text FROM pg_range WHERE rngtypid = 'ran'::regtype",
  );
  await same(
    count(28, 'ALTER TABLE t CLUSTER ON t_pkey'),
    "SELECT indisclustered FROM pg_index WHERE indrelid = 't'::regclass",
  );
  await client.query(`DROP RULE r ON fired; DROP PUBLICATION pub; DROP ROLE made_here; ALTER DATABASE postgres RESET my.own;
    ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC`);
});

test('settings that a trigger makes', HANGS, async () => {
  await client.query(`CREATE TABLE lists (id int PRIMARY KEY, x text[]);
    CREATE FUNCTION arrays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('array_nulls', 'off', false); RETURN NEW; END $$;
    CREATE TRIGGER arrays BEFORE UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION arrays()`);
  const other = await proxy.connect();
  await other.query('UPDATE fired SET n = n + 1 WHERE id = 1');
  await other.query("INSERT INTO lists VALUES (1, '{NULL,a}')");
  await other.end();
  await assertWritersEqual(cluster);
  for (let next = 0; next < 4; next++) {
    const stranger = await proxy.connect();
    const { rows } = await stranger.query('SELECT current_setting($1) AS now', ['array_nulls']);
    assert.deepEqual(rows, [{ now: 'on' }], 'no other client is left with them');
    await stranger.query(`BEGIN; INSERT INTO lists VALUES (${next + 10}, '{NULL}'); COMMIT`);
    await stranger.end();
  }
  await assertWritersEqual(cluster);
  await client.query('DROP TRIGGER arrays ON fired');
});

describe('what triggers leave with their server session is not for the next client', () => {
  const made: Readonly<Record<string, readonly [body: string, left: string]>> = {
    'a custom setting': [
      "PERFORM set_config('app.tenant', 'alice', false)",
      "SELECT coalesce(current_setting('app.tenant', true), '') = '' AS free FROM fired FOR UPDATE",
    ],
    'an ordinary setting': [
      "SET work_mem = '64kB'",
      "SELECT current_setting('work_mem') <> '64kB' AS free FROM fired FOR UPDATE",
    ],
    'a lock': ['PERFORM pg_advisory_lock(77)', 'SELECT pg_try_advisory_xact_lock(77) AS free FROM fired FOR UPDATE'],
    'a prepared statement': [
      "EXECUTE 'PREPARE left_behind AS SELECT 1'",
      "SELECT NOT EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'left_behind') AS free FROM fired FOR UPDATE",
    ],
    'what another function does': [
      'PERFORM set_tenant()',
      "SELECT coalesce(current_setting('app.tenant', true), '') = '' AS free FROM fired FOR UPDATE",
    ],
  };
  for (const [name, [body, left]] of Object.entries(made)) {
    test(name, HANGS, async () => {
      await client.query(`CREATE OR REPLACE FUNCTION set_tenant() RETURNS void LANGUAGE sql AS $$ SELECT set_config('app.tenant', 'bob', false) $$;
        CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body}; RETURN NEW; END $$;
        CREATE TRIGGER leave BEFORE UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION leave()`);
      const own = await proxy.connect();
      await own.query('UPDATE fired SET n = n + 1 WHERE id = 1');
      await own.end();
      for (let next = 0; next < 4; next++) {
        const stranger = await proxy.connect();
        assert.deepEqual((await stranger.query(left)).rows, [{ free: true }]);
        await stranger.end();
      }
      await assertWritersEqual(cluster);
      await client.query('DROP TRIGGER leave ON fired; DROP FUNCTION leave()');
    });
  }
});

test('names that mean another table within the transaction', HANGS, async () => {
  await client.query(`CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE one.x (k int PRIMARY KEY); CREATE TABLE two.x (k int PRIMARY KEY);
    INSERT INTO one.x SELECT generate_series(1, 40); INSERT INTO two.x SELECT generate_series(1, 40);
    CREATE FUNCTION drop_first() RETURNS void LANGUAGE plpgsql AS 'BEGIN DELETE FROM one.x WHERE k < 20; END'`);
  await same(
    'BEGIN; ALTER SCHEMA one RENAME TO old; ALTER SCHEMA two RENAME TO one; SELECT drop_first(); COMMIT',
    'SELECT count(*) FROM one.x',
  );
});

test('keys that are equal and written differently, or cannot be read whole', HANGS, async () => {
  await client.query(`CREATE TABLE amounts (k numeric PRIMARY KEY, n int); INSERT INTO amounts SELECT g, g FROM generate_series(1, 20) g;
    CREATE TABLE thirds (x int, k float8 GENERATED ALWAYS AS (x / 3.0) STORED PRIMARY KEY); INSERT INTO thirds SELECT generate_series(1, 40)`);
  await same(
    'DO $$ BEGIN UPDATE amounts SET k = 15.000, n = 4 WHERE k = 15; END $$',
    'SELECT k::text FROM amounts ORDER BY k',
  );
  await client.query('SET extra_float_digits = 0');
  await client
    .query('DO $$ BEGIN DELETE FROM thirds WHERE x IN (SELECT x FROM thirds ORDER BY random() LIMIT 9); END $$')
    .catch((error: { code?: string }) => {
      assert.equal(error.code, '40002');
    });
  await client.query('RESET extra_float_digits');
  await assertWritersEqual(cluster);
});

test('a permanent table that is made of a temporary one', HANGS, async () => {
  await client.query('CREATE TEMP TABLE mine (k int, x text)');
  await client.query("INSERT INTO mine SELECT g, 'x' FROM generate_series(1, 9) g");
  await same('CREATE TABLE ours AS SELECT * FROM mine WHERE k > 3', 'SELECT count(*) FROM ours');
  await same('SELECT k INTO ours_too FROM mine', 'SELECT count(*) FROM ours_too');
  await client.query('CREATE TEMP TABLE mine_too AS SELECT * FROM mine');
  await client.query('DROP TABLE mine, mine_too');
  await assertWritersEqual(cluster);
});
