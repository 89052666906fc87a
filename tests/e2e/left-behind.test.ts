/** What code that no statement names leaves with its server session, wherever PostgreSQL runs it, is not for the next client. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, startScene, until } from './scene.ts';

// One connection to each server, so that every client has that of the one before.
const { cluster, proxy } = await startScene({ poolSize: 1 }, { reader: false });
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`CREATE FUNCTION st() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.tenant', 'leaked', false); RETURN true; END $$;
    CREATE FUNCTION sti() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.tenant', 'leaked', false); RETURN true; END $$;
    CREATE FUNCTION pk(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.tenant', 'leaked', false); RETURN 1; END $$;
    CREATE FUNCTION deep() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN st(); END $$;
    CREATE FUNCTION deeper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM deep(); RETURN NEW; END $$;
    CREATE FUNCTION s2() RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN sti(); END $$;
    CREATE FUNCTION s3() RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN s2(); END $$;
    CREATE TABLE shown (id int, who text DEFAULT current_setting('app.tenant', true)); INSERT INTO shown (id) VALUES (0)`);
  await client.end();
});

const TRIGGER = (body: string): string =>
  `CREATE TABLE t (v int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$ ${body} $f$;
   CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()`;

const cases: Readonly<Record<string, readonly [made: string, run: string]>> = {
  'a CHECK': ['CREATE TABLE t (v int CHECK (st()))', 'INSERT INTO t VALUES (1)'],
  'a CHECK of what is declared immutable': ['CREATE TABLE t (v int CHECK (sti()))', 'INSERT INTO t VALUES (1)'],
  'a CHECK that calls PostgreSQL’s own': [
    "CREATE TABLE t (v int CHECK (set_config('app.tenant', 'leaked', false) IS NOT NULL))",
    'INSERT INTO t VALUES (1)',
  ],
  'a CHECK, by an UPDATE': [
    'CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1); ALTER TABLE t ADD CHECK (st()) NOT VALID',
    'UPDATE t SET v = 2 WHERE id = 1',
  ],
  'a domain': ['CREATE DOMAIN d AS int CHECK (st()); CREATE TABLE t (v d)', 'INSERT INTO t VALUES (1)'],
  'a cast to a domain': ['CREATE DOMAIN d AS int CHECK (sti()); CREATE TABLE t (v int)', 'SELECT 1::d'],
  'a cast to a domain over a domain': [
    "CREATE DOMAIN d AS int CHECK (set_config('app.tenant', 'leaked', false) IS NOT NULL); CREATE DOMAIN d_too AS d; CREATE TABLE t (v int)",
    'SELECT 1::d_too',
  ],
  'a column of a function’s result': [
    "CREATE DOMAIN d AS int CHECK (set_config('app.tenant', 'leaked', false) IS NOT NULL); CREATE TABLE t (v int)",
    `SELECT * FROM json_to_record('{"a": 1}') AS x (a d)`,
  ],
  'a variable of a domain': [
    `CREATE DOMAIN d AS int CHECK (set_config('app.tenant', 'leaked', false) IS NOT NULL); CREATE TABLE t (v int);
     CREATE FUNCTION f() RETURNS int STABLE LANGUAGE plpgsql AS 'DECLARE x d; BEGIN x := 1; RETURN x; END'`,
    'SELECT f()',
  ],
  'an index': [
    'CREATE FUNCTION ix(int) RETURNS int IMMUTABLE LANGUAGE sql AS $$ SELECT CASE WHEN public.sti() THEN $1 END $$; CREATE TABLE t (v int); CREATE INDEX ON t (ix(v))',
    'INSERT INTO t VALUES (1)',
  ],
  'the condition of an index': [
    'CREATE TABLE t (v int); CREATE INDEX ON t (v) WHERE public.sti()',
    'INSERT INTO t VALUES (1)',
  ],
  'a generated column': [
    'CREATE TABLE t (v int, g bool GENERATED ALWAYS AS (sti()) STORED)',
    'INSERT INTO t VALUES (1)',
  ],
  'a default': ['CREATE TABLE t (v int, g bool DEFAULT deep())', 'INSERT INTO t (v) VALUES (1)'],
  'a policy': [
    'CREATE TABLE t (v int); INSERT INTO t VALUES (1); ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (sti()); CREATE ROLE reads; GRANT SELECT ON t TO reads',
    'SET ROLE reads; SELECT * FROM t; RESET ROLE',
  ],
  'a trigger two functions away': [
    'CREATE TABLE t (v int); CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION deeper()',
    'INSERT INTO t VALUES (1)',
  ],
  'a function two functions away': ['CREATE TABLE t (v int)', 'SELECT s3()'],
  'a trigger on TRUNCATE': [
    'CREATE TABLE t (v int); CREATE TRIGGER f BEFORE TRUNCATE ON t EXECUTE FUNCTION deeper()',
    'TRUNCATE t',
  ],
  'a trigger whose SET stands behind a comment': [
    TRIGGER("BEGIN\n -- who it is\n /* here */ SET app.tenant = 'leaked'; RETURN NEW; END"),
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger that executes a text in dollars': [
    TRIGGER("BEGIN EXECUTE $q$SET app.tenant = 'leaked'$q$; RETURN NEW; END"),
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger that deallocates all': [
    TRIGGER("BEGIN DEALLOCATE ALL; PERFORM set_config('app.tenant', 'leaked', false); RETURN NEW; END"),
    'INSERT INTO t VALUES (1); INSERT INTO t VALUES (random()); INSERT INTO t VALUES (3)',
  ],
  'a trigger whose SET stands behind what looks like comments': [
    TRIGGER("DECLARE v text; BEGIN v := '--'; /* a /* b */ c */ SET app.tenant = 'leaked'; RETURN NEW; END"),
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger whose function was replaced in the transaction that has made it': [
    `BEGIN; ${TRIGGER('BEGIN RETURN NEW; END')}; INSERT INTO t VALUES (0);
     CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM st(); RETURN NEW; END $f$; COMMIT`,
    'INSERT INTO t VALUES (1)',
  ],
  'a text that query_to_xml() runs': [
    'CREATE TABLE t (v int)',
    `SELECT query_to_xml('SELECT set_config(''app.tenant'', ''leaked'', false), pg_advisory_lock(7)', true, true, '')`,
  ],
  'a text that ts_stat() runs': [
    "CREATE TABLE t (v tsvector); INSERT INTO t VALUES ('a')",
    "SELECT * FROM ts_stat('SELECT v FROM t WHERE set_config(''app.tenant'', ''leaked'', false) IS NOT NULL')",
  ],
  'a trigger on statements behind a view, which changes no row': [
    `CREATE TABLE t (v int); CREATE VIEW vw AS SELECT * FROM t; CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION deeper()`,
    'UPDATE vw SET v = 9 WHERE v = 77',
  ],
  'a trigger behind a view that lets no row through': [
    `${TRIGGER('BEGIN PERFORM deep(); RETURN NULL; END')}; CREATE VIEW vw AS SELECT * FROM t`,
    'INSERT INTO vw VALUES (1)',
  ],
  'an INSTEAD OF trigger of a view below a view': [
    `CREATE TABLE t (v int); CREATE VIEW vw AS SELECT * FROM t; CREATE VIEW v2 AS SELECT * FROM vw;
     CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO t VALUES (NEW.v); PERFORM deep(); RETURN NEW; END $f$;
     CREATE TRIGGER f INSTEAD OF INSERT ON vw FOR EACH ROW EXECUTE FUNCTION f()`,
    'INSERT INTO v2 VALUES (1)',
  ],
  'a trigger of a table that a rule stores into': [
    `CREATE TABLE t (v int); CREATE TABLE u (v int); CREATE RULE r AS ON INSERT TO t DO ALSO INSERT INTO u VALUES (NEW.v);
     CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM deep(); RETURN NULL; END $f$;
     CREATE TRIGGER f BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION f()`,
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger of a table that a trigger stores into': [
    `CREATE TABLE t (v int); CREATE TABLE u (v int);
     CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM deep(); RETURN NULL; END $f$;
     CREATE TRIGGER f BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION f();
     CREATE FUNCTION e() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN INSERT INTO u VALUES (NEW.v); RETURN NEW; END $f$;
     CREATE TRIGGER e BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION e()`,
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger that reads a view which does it': [
    `CREATE VIEW vw AS SELECT set_config('app.tenant', 'leaked', false) AS x; ${TRIGGER('BEGIN PERFORM x FROM vw; RETURN NEW; END')}`,
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger by a function whose name is no English word': [
    `CREATE FUNCTION "größe"() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN deep(); END $$;
     ${TRIGGER('BEGIN PERFORM "größe"(); RETURN NEW; END')}`,
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger by a function with a blank in its name': [
    `CREATE FUNCTION "of t"() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN deep(); END $$;
     ${TRIGGER('BEGIN PERFORM "of t"(); RETURN NEW; END')}`,
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger that changes pg_settings': [
    TRIGGER(
      "BEGIN UPDATE pg_settings SET setting = 'leaked' WHERE name = 'application_name'; PERFORM set_config('app.tenant', 'leaked', false); RETURN NEW; END",
    ),
    'INSERT INTO t VALUES (1)',
  ],
  'a key of partitions': [
    'CREATE TABLE t (v int) PARTITION BY LIST (public.pk(v)); CREATE TABLE t1 PARTITION OF t DEFAULT',
    'INSERT INTO t VALUES (1)',
  ],
  'a rule that calls PostgreSQL’s own': [
    "CREATE TABLE t (v int); CREATE RULE r AS ON INSERT TO t DO ALSO SELECT set_config('app.tenant', 'leaked', false)",
    'INSERT INTO t VALUES (1)',
  ],
  'a domain that calls PostgreSQL’s own': [
    "CREATE DOMAIN d AS int CHECK (set_config('app.tenant', 'leaked', false) IS NOT NULL); CREATE TABLE t (v d)",
    'INSERT INTO t VALUES (1)',
  ],
  'a cast to a domain that calls PostgreSQL’s own': [
    "CREATE DOMAIN d AS int CHECK (set_config('app.tenant', 'leaked', false) IS NOT NULL)",
    'SELECT 1::d',
  ],
  'the default of a domain that calls PostgreSQL’s own': [
    "CREATE DOMAIN d AS text DEFAULT set_config('app.tenant', 'leaked', false); CREATE TABLE t (v int, w d)",
    'INSERT INTO t (v) VALUES (1)',
  ],
  'the condition of a trigger': [
    `CREATE TABLE t (v int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$;
     CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW WHEN (set_config('app.tenant', 'leaked', false) IS NOT NULL) EXECUTE FUNCTION f()`,
    'INSERT INTO t VALUES (1)',
  ],
  'the condition of a trigger, by a function': [
    `CREATE TABLE t (v int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RETURN NEW; END $f$;
     CREATE TRIGGER f BEFORE INSERT ON t FOR EACH ROW WHEN (public.st()) EXECUTE FUNCTION f()`,
    'INSERT INTO t VALUES (1)',
  ],
  'an operator in a trigger': [
    `CREATE FUNCTION sets(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN public.st(); END $$;
     CREATE OPERATOR |##| (LEFTARG = int, RIGHTARG = int, FUNCTION = sets); ${TRIGGER('BEGIN NEW.v := (1 |##| 2)::int; RETURN NEW; END')}`,
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger of a view that another trigger writes to, made in this order': [
    `CREATE TABLE u (v int); CREATE VIEW vw AS SELECT * FROM u;
     CREATE FUNCTION inner_one() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN PERFORM public.st(); INSERT INTO u VALUES (NEW.v); RETURN NEW; END $f$;
     ${TRIGGER('BEGIN INSERT INTO vw VALUES (NEW.v); RETURN NEW; END')};
     CREATE TRIGGER inner_one INSTEAD OF INSERT ON vw FOR EACH ROW EXECUTE FUNCTION inner_one()`,
    'INSERT INTO t VALUES (1)',
  ],
  'a policy that calls PostgreSQL’s own': [
    "CREATE TABLE t (v int); INSERT INTO t VALUES (1); ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (set_config('app.tenant', 'leaked', false) IS NOT NULL); CREATE ROLE reads; GRANT SELECT ON t TO reads",
    'SET ROLE reads; SELECT * FROM t; RESET ROLE',
  ],
  'an operator that is PostgreSQL’s own function': [
    'CREATE OPERATOR @@@ (FUNCTION = pg_try_advisory_lock, LEFTARG = int, RIGHTARG = int); CREATE TABLE t (v bool)',
    'SELECT 7 @@@ 7; INSERT INTO t SELECT 7 @@@ 8',
  ],
  'a default that locks, shared': [
    'CREATE TABLE t (v int, w bool DEFAULT pg_try_advisory_lock_shared(7))',
    'INSERT INTO t (v) VALUES (1)',
  ],
  'an index that is made outside of transactions': [
    'CREATE TABLE t (v int); INSERT INTO t VALUES (1)',
    'CREATE INDEX CONCURRENTLY ON t (v) WHERE public.sti()',
  ],
  'an event trigger': [
    `CREATE TABLE t (v int); CREATE FUNCTION e() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM st(); END $$;
     CREATE EVENT TRIGGER e ON ddl_command_end WHEN TAG IN ('COMMENT') EXECUTE FUNCTION e()`,
    "COMMENT ON TABLE t IS 'c'",
  ],
};

const LOCKED = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND (classid = 0 AND objid = 7 OR classid = 7)";

describe('the next client finds nothing that is left by', () => {
  for (const [name, [made, run]] of Object.entries(cases))
    test(name, HANGS, async () => {
      try {
        const maker = await proxy.connect();
        await maker.query(made);
        await maker.end();
        const first = await proxy.connect();
        await first.query(run);
        await first.end();
        for (let next = 0; next < 2; next++) {
          const stranger = await proxy.connect();
          const { rows } = await stranger.query(
            "SELECT coalesce(current_setting('app.tenant', true), '') AS left FROM shown LIMIT 1 FOR UPDATE",
          );
          assert.deepEqual(rows, [{ left: '' }]);
          await stranger.query('INSERT INTO shown (id) VALUES (1)');
          const { rows: stored } = await stranger.query("SELECT count(*)::int AS n FROM shown WHERE who <> ''");
          assert.deepEqual(stored, [{ n: 0 }]);
          for (const writer of cluster.writers)
            await until('nobody holds a lock', async () => (await sql(writer, LOCKED)).length === 0);
          await stranger.end();
        }
        await assertWritersEqual(cluster);
      } finally {
        const last = await proxy.connect();
        await last.query(
          'DROP EVENT TRIGGER IF EXISTS e; DROP VIEW IF EXISTS vw CASCADE; DROP TABLE IF EXISTS t, u; DROP FUNCTION IF EXISTS f, e, ix, "größe", "of t" CASCADE; DROP OPERATOR IF EXISTS @@@ (int, int); DROP DOMAIN IF EXISTS d_too, d; DROP ROLE IF EXISTS reads',
        );
        await last.end();
      }
    });
});

test('a definition keeps no server connection, nor does what ends with its transaction', HANGS, async () => {
  const clients = [await proxy.connect(), await proxy.connect(), await proxy.connect()];
  for (const [place, one] of clients.entries())
    await one.query(`CREATE FUNCTION tenant${place}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.tenant', 'one', true); SET LOCAL app.other = 'x'; RETURN NEW; END $$;
      CREATE TABLE free${place} (v int); CREATE TRIGGER t BEFORE INSERT ON free${place} FOR EACH ROW EXECUTE FUNCTION tenant${place}()`);
  // With one connection to each server, the second would wait for what the first has kept.
  for (const [place, one] of clients.entries())
    await one.query(`INSERT INTO free${place} VALUES (1); CREATE INDEX ON free${place} (v); DROP TABLE free${place}`);
  for (const one of clients) await one.end();
  await assertWritersEqual(cluster);
});

const MARKED: Readonly<Record<string, readonly [made: string, run: string]>> = {
  'a trigger': [
    TRIGGER("BEGIN PERFORM set_config('once.by_trigger', '1', true); RETURN NEW; END"),
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger whose row is refused': [
    `${TRIGGER("BEGIN SET LOCAL once.refused = '1'; RETURN NEW; END")}; ALTER TABLE t ADD CHECK (v < 9)`,
    'INSERT INTO t VALUES (9)',
  ],
  'a trigger that writes its name in quotes': [
    TRIGGER(`BEGIN SET LOCAL "once.quoted" = '1'; RETURN NEW; END`),
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger that is rolled back': [
    TRIGGER("BEGIN PERFORM set_config('once.rolled_back', '1', true); RETURN NEW; END"),
    'BEGIN; INSERT INTO t VALUES (1); ROLLBACK',
  ],
  'a function that a trigger calls': [
    `CREATE FUNCTION e() RETURNS int LANGUAGE plpgsql AS 'BEGIN SET LOCAL once.two_away = 1; RETURN 1; END';
     ${TRIGGER('BEGIN PERFORM e(); RETURN NEW; END')}`,
    'INSERT INTO t VALUES (1)',
  ],
  'a trigger with a SET of its own': [
    `${TRIGGER('BEGIN RETURN NEW; END')}; ALTER FUNCTION f() SET once.own = '1'`,
    'INSERT INTO t VALUES (1)',
  ],
  'a function that is made with a SET': [
    'CREATE TABLE t (v int)',
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET once.made = '1' AS 'SELECT 1'",
  ],
  'a role that is given a setting': ['CREATE ROLE reads', "ALTER ROLE reads SET once.given = '1'"],
};

describe('a setting of one’s own, set for a transaction alone, does not exist for the next client behind', () => {
  for (const [name, [made, run]] of Object.entries(MARKED))
    test(name, HANGS, async () => {
      const setting = /once[.][a-z_]+/.exec(made + run)?.[0] ?? '';
      const asked = `SELECT current_setting('${setting}', true) AS value FROM shown LIMIT 1 FOR UPDATE`;
      const maker = await proxy.connect();
      try {
        await maker.query(made);
        const first = await proxy.connect();
        await first.query(run).catch(() => undefined);
        assert.deepEqual((await first.query(asked)).rows, [{ value: '' }], 'as on one server');
        await first.end();
        const stranger = await proxy.connect();
        assert.deepEqual((await stranger.query(asked)).rows, [{ value: null }]);
        await stranger.end();
      } finally {
        await maker.query('DROP TABLE IF EXISTS t; DROP FUNCTION IF EXISTS f, e CASCADE; DROP ROLE IF EXISTS reads');
        await maker.end();
      }
    });
});

test('a limit of pg_trgm that a default has set is not there for the next client', HANGS, async () => {
  const maker = await proxy.connect();
  await maker.query('CREATE EXTENSION pg_trgm; CREATE TABLE alike (v int, w real DEFAULT set_limit(0.9))');
  await maker.end();
  const first = await proxy.connect();
  await first.query('INSERT INTO alike (v) VALUES (1)');
  await first.end();
  const stranger = await proxy.connect();
  const { rows } = await stranger.query('SELECT show_limit() AS value FROM shown LIMIT 1 FOR UPDATE');
  assert.deepEqual(rows, [{ value: 0.3 }]);
  await stranger.end();
});
