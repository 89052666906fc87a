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
  CREATE TRIGGER draw BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION draw()`);
await setUp.end();

describe('a client finds nothing of the client before', () => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    'that had drawn': ['INSERT INTO numbered DEFAULT VALUES'],
    'that had drawn by a trigger': ['INSERT INTO watched VALUES (1)'],
    'that had set a key to its default': ['UPDATE numbered SET id = DEFAULT'],
    'that had copied rows': ['INSERT INTO numbered (word) SELECT word FROM numbered'],
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
