/** One writer alone: there is nobody to agree with, and a statement outside a transaction goes through as it is. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { refusal, startScene } from './scene.ts';

const { cluster, proxy: first } = await startScene({ commitMode: 'one-phase' }, { writers: 1, reader: false });
const setUp = await first.connect();
await setUp.query(`CREATE ROLE somebody; CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.mark (id int); CREATE TABLE mark (id int);
  CREATE TABLE numbered (id serial, word text NOT NULL DEFAULT 'x'); INSERT INTO numbered DEFAULT VALUES;
  CREATE TABLE watched (id int); CREATE SEQUENCE watching; CREATE FUNCTION draw() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM nextval(''watching''); RETURN NEW; END';
  CREATE TRIGGER draw BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION draw();
  CREATE TABLE marked (id int); CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM set_config(''my.secret'', ''x'', true); RETURN NEW; END';
  CREATE TRIGGER mark BEFORE INSERT ON marked FOR EACH ROW EXECUTE FUNCTION mark();
  CREATE TABLE keyless (v float, w int); INSERT INTO keyless VALUES (1, 1), (2, 2)`);
await setUp.end();

describe('a client finds nothing of the client before', () => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    'that had drawn': ['INSERT INTO numbered DEFAULT VALUES'],
    'that had drawn by a trigger': ['INSERT INTO watched VALUES (1)'],
    'that had set a key to its default': ['UPDATE numbered SET id = DEFAULT'],
    'that had copied rows': ['INSERT INTO numbered (word) SELECT word FROM numbered'],
    'that had drawn in a block': ['BEGIN; INSERT INTO numbered DEFAULT VALUES; COMMIT'],
    'that had drawn in a block by a trigger': ['BEGIN; INSERT INTO watched VALUES (1); COMMIT'],
    'whose trigger had a setting of its transaction': ['INSERT INTO marked VALUES (1)'],
    'whose trigger had one in a block': ['BEGIN; INSERT INTO marked VALUES (1); COMMIT'],
    'whose row was refused': ['INSERT INTO numbered (word) VALUES (NULL)'],
    'whose block had committed, and failed': [
      "DO $$ BEGIN SET search_path = elsewhere; SET ROLE somebody; SET my.secret = 'x'; COMMIT; RAISE 'failed'; END $$",
    ],
    'whose block had made a temporary table, committed, and failed': [
      "DO $$ BEGIN CREATE TEMP TABLE mark (id int); COMMIT; RAISE 'failed'; END $$",
    ],
  };
  for (const [name, texts] of Object.entries(cases))
    test(name, async () => {
      const proxy = await startTestProxy({
        writers: cluster.writers.map(clusterDsn),
        settings: { drainMs: 500, poolSize: 1, poolWaitMs: 5000, commitMode: 'one-phase' },
      });
      const [one, other] = [await proxy.connect(), await proxy.connect()];
      for (const text of texts) await one.query(text).catch(() => undefined);
      const look = `SELECT current_user AS who, current_setting('search_path') AS path, current_setting('my.secret', true) AS secret, 'mark'::regclass::oid = to_regclass('public.mark')::oid AS plain`;
      const looked = other.query(look);
      const waited = await Promise.race([looked, new Promise((resolve) => setTimeout(resolve, 300))]);
      // Kept for its client: until that goes.
      if (waited === undefined) await one.end();
      assert.deepEqual((await looked).rows, [{ who: 'postgres', path: '"$user", public', secret: null, plain: true }]);
      assert.equal((await refusal(other.query('SELECT lastval()'))).code, '55000');
      await other.end();
      if (waited !== undefined) await one.end();
      await proxy.stop();
    });
});

test('what followers could not be told runs in a block as outside of one', async () => {
  const client = await first.connect();
  await client.query('CREATE TEMP TABLE staged (id int, v int); INSERT INTO staged VALUES (1, 5)');
  const texts = [
    'UPDATE keyless SET v = random()',
    'DELETE FROM keyless WHERE ctid IN (SELECT ctid FROM keyless LIMIT 1)',
    "SELECT setval('watching', nextval('watching') + 1000), currval('watching')",
    "SELECT setval('watching', (SELECT max(id) FROM staged))",
    "SELECT setval('watching'::regclass::oid, 7)",
    'MERGE INTO numbered USING staged ON numbered.id = staged.id WHEN MATCHED THEN UPDATE SET word = staged.v',
    'WITH x AS (INSERT INTO numbered DEFAULT VALUES RETURNING id) UPDATE keyless SET w = (SELECT id FROM x)',
    'SELECT lo_create(0)',
    'EXPLAIN ANALYZE INSERT INTO numbered (word) VALUES (random()::text)',
    'TRUNCATE staged, keyless',
    'CREATE TABLE like_it (LIKE staged)',
    "DECLARE c CURSOR FOR SELECT nextval('watching'); FETCH ALL FROM c; CLOSE c",
  ];
  for (const text of texts) {
    await client.query('BEGIN');
    await client.query(text);
    await client.query('ROLLBACK');
  }
  const { rows } = await client.query('EXPLAIN (PPROX) UPDATE keyless SET v = random()');
  assert.deepEqual(
    rows.map((row: Record<string, string>) => row['QUERY PLAN']),
    [
      'Route: writers',
      '  Reason: UPDATE',
      'Plan: statement',
      '  Reason: a single writer',
      '  Lead: UPDATE keyless SET v = random()',
    ],
  );
  await client.end();
});
