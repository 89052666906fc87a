/** A function decides by what it finds, and another client commits between the lead's run and the follower's: what one of them alone does is not kept. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { assertWritersEqual, outcome, startScene, until } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };
let [client, other]: (pg.Client | undefined)[] = [];

before(async () => {
  [client, other] = [await proxy.connect(), await proxy.connect()];
  await client.query(`CREATE TABLE found (id int); CREATE TABLE log (id int PRIMARY KEY, x text); CREATE TABLE parts (id int) PARTITION BY RANGE (id); CREATE TABLE kept (id int);
    INSERT INTO log SELECT g, 'x' FROM generate_series(1, 5) g; CREATE MATERIALIZED VIEW seen AS SELECT count(*) FROM found; CREATE SEQUENCE placed START 100; SELECT nextval('placed');
    CREATE SCHEMA aside; CREATE TABLE aside.log (id int PRIMARY KEY, x text);
    CREATE FUNCTION once(there boolean, what text) RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN
      SELECT count(*) INTO n FROM found; IF (n > 0) = there THEN EXECUTE what; END IF; PERFORM pg_advisory_xact_lock(1); RETURN 0; END $$`);
});

/** What `once` does on one writer alone. */
const deeds: Readonly<Record<string, string>> = {
  'empties a table': 'TRUNCATE log',
  'drops a table': 'DROP TABLE kept',
  'makes a partition': 'CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (10)',
  'adds a column': 'ALTER TABLE log ADD y int DEFAULT 5',
  grants: 'GRANT SELECT ON log TO pg_monitor',
  'stores a large object': "SELECT lo_from_bytea(4711, 'abc')",
  'fills a materialized view': 'REFRESH MATERIALIZED VIEW seen',
  'sets a sequence back': "SELECT setval('placed', 1, false)",
  'makes a setting': "SELECT set_config('search_path', 'aside, public', false)",
  'stores a row': "INSERT INTO log VALUES (100, 'x')",
  'drops a function': 'DROP FUNCTION unused()',
};

test('what a function makes of a moment of its own is found', HANGS, async () => {
  const own = await proxy.connect();
  await own.query("SELECT lo_from_bytea(4712, 'abc')");
  for (const deed of [
    'PERFORM lo_put(4712, 0, random()::text::bytea)',
    'PERFORM lo_from_bytea(4713, random()::text::bytea)',
    `EXECUTE format('CREATE FUNCTION made() RETURNS text LANGUAGE sql AS %L', format('SELECT %L', random()))`,
    `EXECUTE format('CREATE SCHEMA %I', 's' || random())`,
  ])
    assert.equal(await outcome(own.query(`DO $do$ BEGIN ${deed}; END $do$`)), '40002', deed);
  await own.query('SELECT lo_unlink(4712)');
  await own.end();
  await assertWritersEqual(cluster);
});

test('in one phase functions make temporary tables that the client drops', HANGS, async () => {
  const onePhase = await startTestProxy({
    writers: cluster.writers.map(clusterDsn),
    settings: { commitMode: 'one-phase' },
  });
  const own = await onePhase.connect();
  await own.query(`CREATE FUNCTION working() RETURNS int LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE IF NOT EXISTS work (id int); INSERT INTO log VALUES (50, 'w') ON CONFLICT DO NOTHING;
    RETURN 1; END $$`);
  for (const text of [
    'SELECT working()',
    'DROP TABLE work',
    'SELECT working()',
    'SELECT working()',
    'DISCARD TEMP',
    'SELECT working()',
  ])
    await own.query(text);
  await own.end();
  await assertWritersEqual(cluster);
});

/** Everything there is beside rows, as far as these deeds change it. */
const STATE = `SELECT (SELECT string_agg(c.oid::regclass::text || coalesce(c.relacl::text, ''), ' ' ORDER BY c.relname) FROM pg_class c WHERE relnamespace = 'public'::regnamespace) AS relations,
  (SELECT count(*) FROM pg_largeobject_metadata) AS objects, (SELECT count(*) FROM pg_proc WHERE proname = 'unused') AS functions`;

/** How `once` is called. */
const calls: Readonly<Record<string, (call: string) => string>> = {
  SELECT: (call) => `SELECT ${call}`,
  DO: (call) => `DO $do$ BEGIN PERFORM ${call}; END $do$`,
};

for (const [how, text] of Object.entries(calls))
  describe(`a function that ${how} calls, on one writer alone`, () => {
    for (const [name, what] of Object.entries(deeds))
      for (const there of [true, false])
        test(`${name}, ${there ? 'the follower' : 'the lead'}`, HANGS, async () => {
          assert.ok(client !== undefined && other !== undefined);
          await other.query(
            `DELETE FROM found; CREATE OR REPLACE FUNCTION unused() RETURNS int LANGUAGE sql AS 'SELECT 1'; RESET search_path`,
          );
          // Held on the lead, so that its run is over before the follower's begins, and the other client comes in between.
          const holder = await proxy.connect();
          await holder.query('BEGIN');
          await holder.query('/* pprox: lead */ SELECT pg_advisory_xact_lock(1)');
          const found = outcome(client.query(text(`once(${there}, $q$${what}$q$)`)));
          await until('it waits', async () => {
            const waiting = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
            return (await sql(w1, waiting)).length > 0;
          });
          await other.query('INSERT INTO found VALUES (1)');
          await holder.query('COMMIT');
          await holder.end();
          assert.match(await found, /^(ok|40002)$/);
          await client.query("INSERT INTO log VALUES (7, 'mine'); UPDATE log SET x = 'mine' WHERE id = 7");
          await assertWritersEqual(cluster);
          const [lead, follower] = await Promise.all([w1, w2].map((writer) => sql(writer, STATE)));
          assert.deepEqual(follower, lead);
          const [ahead] = await sql(w2, 'SELECT last_value::int AS at FROM placed');
          const [drawn] = await sql(w1, 'SELECT last_value::int AS at FROM placed');
          assert.ok(Number(ahead?.['at']) >= Number(drawn?.['at']), 'the follower is ahead');
          await client.query('DELETE FROM log WHERE id IN (7, 100); RESET search_path');
        });
  });
