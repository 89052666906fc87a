/** PPROX_UNPROVEN: what functions have done on every writer and cannot be compared is named, or refused. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { sql } from '../support/cluster.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { assertWritersEqual, refusal, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const strict = await startTestProxy({
  writers: cluster.writers.map(clusterDsn),
  reader: undefined,
  settings: { unproven: 'refuse' },
});

before(async () => {
  const client = await proxy.connect();
  await client.query(`CREATE TABLE queue (id int PRIMARY KEY, n int);
    CREATE TABLE done (id int PRIMARY KEY, n int);
    INSERT INTO queue SELECT g, g FROM generate_series(1, 20) g;
    CREATE FUNCTION take() RETURNS int LANGUAGE sql VOLATILE AS 'DELETE FROM queue WHERE id = (SELECT min(id) FROM queue) RETURNING id';
    -- Nobody can look at what it has taken.
    CREATE FUNCTION take_alone() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN LOCK TABLE queue; RETURN take(); END';
    CREATE FUNCTION add(one int) RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO done VALUES (one, one) RETURNING id';
    CREATE FUNCTION make() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TABLE made (n int); END';
    CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER nothing BEFORE INSERT ON done FOR EACH ROW EXECUTE FUNCTION nothing()`);
});

test('accepted: it is done on every writer, and the log names it, once as a warning', async () => {
  const client = await proxy.connect();
  for (let round = 0; round < 3; round++) await client.query('SELECT take_alone()');
  await client.query('SELECT make()');
  const told = proxy.lines.filter(({ event }) => event === 'effects that cannot be compared');
  assert.deepEqual(
    told.map(({ level, fields }) => [level, fields['effects'], fields['total']]),
    [
      ['warn', 'rows deleted from public.queue', 1],
      ['debug', 'rows deleted from public.queue', 2],
      ['debug', 'rows deleted from public.queue', 3],
      ['warn', 'objects that it makes or changes', 4],
    ],
  );
  await assertWritersEqual(cluster);
});

test('refused: rows gone from a table that goes by another name within the transaction', async () => {
  const client = await strict.connect();
  await client.query(`CREATE SCHEMA one; CREATE SCHEMA two; CREATE TABLE one.x (k int PRIMARY KEY); CREATE TABLE two.x (k int PRIMARY KEY);
    INSERT INTO one.x SELECT generate_series(1, 40); INSERT INTO two.x SELECT generate_series(1, 40);
    CREATE FUNCTION thin_out() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      DELETE FROM one.x WHERE k IN (SELECT k FROM one.x ORDER BY random() LIMIT 9); END $$`);
  await client.query('BEGIN; ALTER SCHEMA one RENAME TO old; ALTER SCHEMA two RENAME TO one');
  // Who looks on finds the other table there, of which no row is gone.
  const error = await refusal(client.query('SELECT thin_out()'));
  assert.match(error.message, /rows deleted from one\.x/);
  await client.query('ROLLBACK; DROP SCHEMA one, two CASCADE; DROP FUNCTION thin_out()');
  await assertWritersEqual(cluster);
});

test('refused: nothing of it is left, and it is told what it was', async () => {
  const client = await strict.connect();
  await client.query('DROP TABLE IF EXISTS made');
  const before = await sql(cluster.w1, 'SELECT count(*)::int AS n FROM queue');
  for (const [text, what] of [
    ['SELECT take_alone()', /rows deleted from public\.queue/],
    ["DO 'BEGIN PERFORM take_alone(); END'", /rows deleted from public\.queue/],
    ['SELECT make()', /objects that it makes/],
  ] as const) {
    const error = await refusal(client.query(text));
    assert.equal(error.code, '0A000');
    assert.match(error.message, what);
    assert.match(error.detail ?? '', /PPROX_UNPROVEN/);
  }
  assert.deepEqual(await sql(cluster.w2, 'SELECT count(*)::int AS n FROM queue'), before);
  await assertWritersEqual(cluster);
  // What can be compared is none of it: rows that are told, and rows that triggers of each writer have made.
  await client.query('SELECT add(1)');
  await client.query('SELECT take()');
  await client.query('DELETE FROM queue WHERE id = 19');
  await client.query('DELETE FROM queue WHERE n > 17');
  await assertWritersEqual(cluster);
});
