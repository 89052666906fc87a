/** A definition in a transaction that is not over: whoever has nothing to do with its tables goes on, whatever pprox asks the catalog for him meanwhile. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { assertWritersEqual, startScene, value } from './scene.ts';

const { cluster, proxy } = await startScene();
const HANGS = { timeout: 60_000 };

before(async () => {
  const owner = await proxy.connect();
  await owner.query(`CREATE TABLE base (id int PRIMARY KEY, v text); CREATE VIEW shown AS SELECT id FROM base; CREATE MATERIALIZED VIEW kept AS SELECT * FROM base;
    CREATE TABLE parts (id int) PARTITION BY HASH ((id + 1)); CREATE TABLE other (id serial PRIMARY KEY, v int);
    CREATE TABLE guarded (id int CHECK (id > 0), v text DEFAULT upper('x')); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
    CREATE POLICY p ON guarded USING (id > 1); CREATE INDEX ON guarded (upper(v)); CREATE RULE r AS ON INSERT TO guarded DO ALSO NOTHING;
    CREATE FUNCTION counted() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM base; END;
    CREATE FUNCTION passed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON base FOR EACH ROW EXECUTE FUNCTION passed()`);
  await owner.end();
});

describe('while a transaction has defined, others go on', () => {
  const definitions = [
    'ALTER TABLE base ADD x int',
    'ALTER TABLE parts ADD x int',
    'ALTER TABLE guarded ADD x int',
    'LOCK TABLE parts, base, guarded, shown',
    'ALTER VIEW shown RENAME TO hidden',
    'REFRESH MATERIALIZED VIEW kept',
    'DROP TRIGGER t ON base',
  ];
  for (const [index, definition] of definitions.entries())
    test(definition, HANGS, async () => {
      const [defining, other] = [await proxy.connect(), await proxy.connect()];
      await defining.query('BEGIN');
      await defining.query(definition);
      // What was known of functions is asked for anew.
      await other.query(
        `CREATE FUNCTION made_${index}() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO other (v) VALUES (1); RETURN 1; END'`,
      );
      await other.query('INSERT INTO other (v) VALUES (2)');
      assert.equal(await value(other, `SELECT made_${index}()`), 1);
      assert.ok(Number(await value(other, 'SELECT count(*) FROM other')) > 0);
      await defining.query('ROLLBACK');
      await defining.end();
      await other.end();
      await assertWritersEqual(cluster);
    });
});
