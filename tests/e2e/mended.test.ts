/** What functions and triggers write on followers by themselves, with values of their own: followers get the lead's in their place. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { assertWritersEqual, outcome, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`
    CREATE TABLE log (id serial PRIMARY KEY, x text, at timestamptz DEFAULT clock_timestamp());
    CREATE TABLE heap_log (x text, luck float8 DEFAULT random());
    CREATE TABLE item (id int PRIMARY KEY, v text); INSERT INTO item SELECT g, 'v' FROM generate_series(1, 40) g;
    CREATE TABLE queue (name text PRIMARY KEY, made timestamptz NOT NULL DEFAULT now(), part text);
    CREATE TABLE job (name text NOT NULL REFERENCES queue, id uuid NOT NULL DEFAULT gen_random_uuid(), at timestamptz NOT NULL DEFAULT now()) PARTITION BY LIST (name);
    CREATE FUNCTION add_queue(text) RETURNS void LANGUAGE plpgsql AS $$
      DECLARE made_at timestamptz; part text := 'job_' || $1;
      BEGIN
        WITH q AS (INSERT INTO queue (name, part) VALUES ($1, part) ON CONFLICT DO NOTHING RETURNING made) SELECT made INTO made_at FROM q;
        IF made_at IS NULL THEN RETURN; END IF;
        EXECUTE format('CREATE TABLE %I (LIKE job INCLUDING DEFAULTS)', part);
        EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (name, id)', part);
        EXECUTE format('ALTER TABLE job ATTACH PARTITION %I FOR VALUES IN (%L)', part, $1);
        INSERT INTO job (name) VALUES ($1), ($1);
      END $$;
    CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO log (x) VALUES (TG_OP || random()); INSERT INTO heap_log VALUES (TG_OP); RETURN NULL; END $$;
    CREATE TRIGGER audit AFTER INSERT OR UPDATE OR DELETE ON item FOR EACH ROW EXECUTE FUNCTION audit();
    CREATE ROLE app; GRANT ALL ON ALL TABLES IN SCHEMA public TO app; GRANT ALL ON SCHEMA public TO app; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app`);
});

for (const role of ['postgres', 'app'])
  describe(`for role ${role}`, () => {
    before(async () => {
      await client.query(
        `RESET ROLE; ALTER TABLE job OWNER TO ${role}; ALTER TABLE queue OWNER TO ${role}; SET ROLE ${role}`,
      );
    });

    const texts = [
      `SELECT add_queue('one_${role}')`,
      `BEGIN; SELECT add_queue('two_${role}'); SELECT add_queue('three_${role}'); INSERT INTO job (name) VALUES ('two_${role}'); COMMIT`,
      `SELECT add_queue('two_${role}')`,
      `DO $$ BEGIN CREATE TABLE made_${role} AS SELECT 1 AS a; INSERT INTO log (x) VALUES ('do'); INSERT INTO heap_log VALUES ('do'); END $$`,
      `BEGIN; CREATE TABLE own_${role} (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp()); DO 'BEGIN INSERT INTO own_${role} SELECT FROM generate_series(1, 3); END'; COMMIT`,
      "UPDATE item SET v = 'u' WHERE id = 1",
      "UPDATE item SET v = 'all' WHERE id < 9",
      "WITH u AS (UPDATE item SET v = 'with' WHERE id = 10 RETURNING id) SELECT * FROM u",
      'DELETE FROM item WHERE id = 2',
      "INSERT INTO item VALUES (2, 'again')",
      "BEGIN; UPDATE item SET v = 'b' WHERE id = 3; SAVEPOINT s; UPDATE item SET v = 'c' WHERE id = 4; ROLLBACK TO s; DELETE FROM item WHERE id = 5; INSERT INTO item VALUES (5, 'd'); COMMIT",
    ];
    for (const text of texts)
      test(text.slice(0, 120), HANGS, async () => {
        await client.query(text);
        await assertWritersEqual(cluster);
      });

    test('not where the rows are others', HANGS, async () => {
      for (let round = 0; round < 8; round++) {
        const text = `DO $$ BEGIN CREATE TABLE made_${role}_${round} (a int);
          UPDATE queue SET part = 'drawn' WHERE name = (SELECT name FROM queue ORDER BY random() LIMIT 1); END $$`;
        const found = await outcome(client.query(text));
        assert.ok(found === 'ok' || found === '40002', found);
        await assertWritersEqual(cluster);
      }
    });
  });

describe('rows of which nothing old remains', () => {
  /** One that each server chooses for itself gives way to another one that is the same everywhere. */
  const TAKES = `UPDATE pool SET n = 0, state = 'used' WHERE n = (SELECT n FROM pool WHERE n > 0 ORDER BY random() LIMIT 1)`;
  const REKEYS = `UPDATE keyed SET id = 1000 + (SELECT count(*) FROM keyed WHERE id >= 1000) WHERE id = (SELECT id FROM keyed WHERE id < 1000 ORDER BY random() LIMIT 1)`;
  const texts: Readonly<Record<string, string>> = {
    'a block': `DO $$ BEGIN ${TAKES}; END $$`,
    'a function': 'SELECT take()',
    'a trigger': 'UPDATE taking SET n = n + 1 WHERE id = 1',
    'a trigger of its own table': 'DELETE FROM keyed WHERE id = (SELECT min(id) FROM keyed)',
    'a trigger at COMMIT': 'UPDATE late SET n = n + 1 WHERE id = 1',
    'keys, where rows cannot be told': 'BEGIN; TRUNCATE emptied; SELECT rekey(); COMMIT',
  };

  before(async () => {
    await client.query(`RESET ROLE;
      CREATE TABLE pool (n int, state text); INSERT INTO pool SELECT g, 'free' FROM generate_series(1, 200) g;
      CREATE TABLE keyed (id int PRIMARY KEY, v text); INSERT INTO keyed SELECT g, 'v' FROM generate_series(1, 200) g;
      CREATE TABLE emptied (id int); CREATE TABLE taking (id int PRIMARY KEY, n int); INSERT INTO taking VALUES (1, 0);
      CREATE TABLE late (id int PRIMARY KEY, n int); INSERT INTO late VALUES (1, 0);
      CREATE FUNCTION take() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ${TAKES}; END $$;
      CREATE FUNCTION rekey() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ${REKEYS}; END $$;
      CREATE FUNCTION takes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM take(); RETURN NULL; END $$;
      CREATE FUNCTION rekeys() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM rekey(); RETURN NULL; END $$;
      CREATE TRIGGER takes AFTER UPDATE ON taking FOR EACH ROW EXECUTE FUNCTION takes();
      CREATE TRIGGER rekeys AFTER DELETE ON keyed FOR EACH ROW EXECUTE FUNCTION rekeys(); ALTER TABLE keyed ENABLE ALWAYS TRIGGER rekeys;
      CREATE CONSTRAINT TRIGGER rekeys AFTER UPDATE ON late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION rekeys()`);
  });

  for (const [by, text] of Object.entries(texts))
    test(`by ${by}`, HANGS, async () => {
      for (let round = 0; round < 6; round++) {
        const found = await outcome(client.query(text));
        assert.ok(found === 'ok' || found === '40002', found);
        await client.query('ROLLBACK');
        await assertWritersEqual(cluster);
      }
    });
});
