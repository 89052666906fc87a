/** SQL's PREPARE and EXECUTE through the proxy: of no server session, and the same on every writer. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, loggedTimes, refusal, startScene, until, value } from './scene.ts';

/** One connection to each server: whatever one client leaves there, the next one stands before. */
const { cluster, proxy } = await startScene({ poolSize: 1 }, { settings: { log_statement: 'all' } });
const { w1, w2, replica } = cluster;

const setup = await proxy.connect();
await setup.query(`CREATE TABLE item (id serial PRIMARY KEY, word text, at timestamptz DEFAULT now(), part float8);
  CREATE SEQUENCE own;
  CREATE TYPE mood AS ENUM ('sad', 'glad');
  CREATE FUNCTION noted(text) RETURNS text LANGUAGE sql AS 'INSERT INTO item (word) VALUES ($1) RETURNING word'`);
await sql(w2, "CREATE TYPE in_between AS ENUM ('x')");

const rowsOf = async (client: pg.Client, text: string): Promise<readonly unknown[][]> =>
  (await client.query<unknown[]>({ text, rowMode: 'array' })).rows;

describe('a prepared statement of SQL is the session’s, not a server session’s', () => {
  test('clients that share connections prepare under one name, each its own', async () => {
    const [a, b] = [await proxy.connect(), await proxy.connect()];
    await a.query("PREPARE q (int) AS SELECT 'a', $1");
    await b.query("PREPARE q (text) AS SELECT 'b', $1");
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(await rowsOf(a, `EXECUTE q (${round})`), [['a', round]]);
      assert.deepEqual(await rowsOf(b, `EXECUTE q (${round}::text)`), [['b', String(round)]]);
    }
    await a.query('DEALLOCATE q');
    assert.equal((await refusal(a.query('EXECUTE q (1)'))).code, '26000');
    assert.deepEqual(await rowsOf(b, "EXECUTE q ('still')"), [['b', 'still']]);
  });

  test('one client never finds another’s, whatever made it stand on the server for a moment', async () => {
    const [a, b] = [await proxy.connect(), await proxy.connect()];
    await a.query("PREPARE hers AS SELECT 'secret'");
    const lookup = `DO $$ BEGIN EXECUTE 'EXECUTE hers'; END $$`;
    for (const text of ['EXECUTE hers', 'EXPLAIN EXECUTE hers', 'SELECT count(*) FROM pg_prepared_statements']) {
      await a.query(text);
      for (const attempt of [
        'EXECUTE hers',
        'EXPLAIN EXECUTE hers',
        'CREATE TEMP TABLE t AS EXECUTE hers',
        lookup,
        'DEALLOCATE hers',
      ])
        assert.equal((await refusal(b.query(attempt))).code, '26000', `${text}, then ${attempt}`);
      assert.deepEqual(await rowsOf(b, 'SELECT name FROM pg_prepared_statements'), []);
      await b.query({ name: `own ${text}`, text: 'SELECT 1' });
      assert.deepEqual(await rowsOf(b, 'SELECT name, statement, from_sql FROM pg_prepared_statements'), [
        [`own ${text}`.slice(0, 63), 'SELECT 1', false],
      ]);
      assert.deepEqual(await rowsOf(a, 'SELECT name FROM pg_prepared_statements'), [['hers']]);
      await b.query('DEALLOCATE ALL');
    }
  });

  test('a read that is executed is the reader’s, and plain reads beside it as well', async () => {
    const client = await proxy.connect();
    await until('the reader serves it', async () => {
      await client.query('PREPARE seen AS SELECT count(*) AS "of a read that was prepared" FROM item');
      await client.query('EXECUTE seen');
      await client.query('SELECT count(*) AS "of a read beside it" FROM item');
      await client.query('DEALLOCATE seen');
      return loggedTimes(replica, 'of a read that was prepared') > 0 && loggedTimes(replica, 'of a read beside it') > 0;
    });
  });

  test('what one protocol has prepared the other runs', async () => {
    const client = await proxy.connect();
    await client.query({ name: 'put', text: 'INSERT INTO item (word) VALUES ($1) RETURNING word', values: ['bound'] });
    assert.deepEqual(await rowsOf(client, "EXECUTE put ('executed')"), [['executed']]);
    await client.query('PREPARE found (text) AS SELECT word FROM item WHERE word = $1');
    const { rows } = await client.query({ text: "EXECUTE found ('bound')", rowMode: 'array' });
    assert.deepEqual(rows, [['bound']]);
    await assertWritersEqual(cluster);
  });
});

describe('what is executed is the same on every writer', () => {
  test('serial numbers, times and arguments that are computed once', async () => {
    const client = await proxy.connect();
    await client.query('PREPARE put (text, float8) AS INSERT INTO item (word, part) VALUES ($1, $2) RETURNING id');
    for (const list of [
      "'plain', 1",
      'random()::text, random()',
      'clock_timestamp()::text, NULL',
      'gen_random_uuid()::text, 1/3::float8',
    ])
      assert.equal((await rowsOf(client, `EXECUTE put (${list})`)).length, 1);
    await client.query('BEGIN; EXECUTE put (now()::text, random()); SAVEPOINT s');
    await client.query("EXECUTE put ('undone', 0); ROLLBACK TO s; COMMIT");
    await client.query('PREPARE change (text) AS UPDATE item SET word = word || $1, at = now() WHERE part IS NOT NULL');
    await client.query('EXECUTE change (random()::text)');
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w1, "SELECT count(*)::int AS n FROM item WHERE word LIKE 'undone%'"), [{ n: 0 }]);
  });

  test('types of the user’s own, by whatever number a server knows them', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE felt (a mood, b mood[])');
    await client.query('PREPARE feel (mood, mood[]) AS INSERT INTO felt VALUES ($1, $2)');
    await client.query("EXECUTE feel ('glad', ARRAY['sad', 'glad']::mood[])");
    await client.query('PREPARE copied (mood) AS SELECT $1 AS a');
    await client.query("CREATE TABLE copy AS EXECUTE copied ('sad')");
    await assertWritersEqual(cluster);
    assert.deepEqual(await rowsOf(client, 'SELECT a::text, b::text, (SELECT a::text FROM copy) FROM felt'), [
      ['glad', '{sad,glad}', 'sad'],
    ]);
  });

  test('nextval() as an argument keeps the followers ahead', async () => {
    const client = await proxy.connect();
    await client.query('PREPARE numbered (bigint) AS INSERT INTO item (word) VALUES ($1::text)');
    await client.query("EXECUTE numbered (nextval('own'))");
    await assertWritersEqual(cluster);
    const [drawn] = await sql(w1, 'SELECT last_value FROM own');
    const [ahead] = await sql(w2, 'SELECT last_value FROM own');
    assert.ok(Number(ahead?.['last_value']) >= Number(drawn?.['last_value']));
  });

  test('what types of the user’s own hold is not rounded by how the session shows it', async () => {
    const client = await proxy.connect();
    await client.query(`CREATE TYPE measured AS (part float8, took interval); CREATE DOMAIN share AS float8;
      CREATE TABLE exact (id int PRIMARY KEY, a measured, b share, c measured[])`);
    await client.query(
      'PREPARE measure (int, measured, share, measured[]) AS INSERT INTO exact VALUES ($1, $2, $3, $4)',
    );
    await client.query("SET extra_float_digits = -5; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'");
    const list = "ROW(1/3::float8, '-1 day +2 hours')::measured, 1/3::float8, ARRAY[ROW(1/3::float8, NULL)::measured]";
    await client.query(`EXECUTE measure (1, ${list})`);
    await client.query(`BEGIN; EXECUTE measure (2, ${list})`);
    for (const [name, set] of [
      ['extra_float_digits', '-5'],
      ['DateStyle', 'SQL, DMY'],
      ['IntervalStyle', 'sql_standard'],
    ] as const)
      assert.equal(await value(client, `SHOW ${name}`), set);
    await client.query('COMMIT');
    for (const writer of [w1, w2]) {
      const found = await sql(
        writer,
        `SELECT count(*)::int AS n FROM exact
         WHERE (a).part = 1/3::float8 AND b = 1/3::float8 AND c[1].part = 1/3::float8 AND (a).took = '-1 day +2 hours'`,
      );
      assert.deepEqual(found, [{ n: 2 }]);
    }
  });

  test('what cannot be is refused before any server has seen it', async () => {
    const client = await proxy.connect();
    await client.query('PREPARE put (text) AS INSERT INTO item (word) VALUES ($1)');
    await client.query('PREPARE chance AS SELECT random() AS r');
    await client.query('PREPARE gone AS INSERT INTO item (word) VALUES (DEFAULT)');
    const before = await value(client, 'SELECT count(*) FROM item');
    for (const text of [
      "EXECUTE put (noted('by an argument'))",
      "EXECUTE put (setval('own', 7)::text)",
      'EXPLAIN ANALYZE EXECUTE gone',
      "EXPLAIN ANALYZE EXECUTE put ('now')",
    ])
      assert.equal((await refusal(client.query(text))).code, '0A000', text);
    assert.equal(await value(client, 'SELECT count(*) FROM item'), before);
    await assertWritersEqual(cluster);
  });

  test('CREATE TABLE AS holds the rows that it had on the lead', async () => {
    const client = await proxy.connect();
    await client.query('PREPARE chances (int) AS SELECT random() AS r FROM generate_series(1, $1)');
    assert.equal((await client.query('CREATE TABLE chances AS EXECUTE chances (7)')).rowCount, 7);
    await assertWritersEqual(cluster);
  });

  test('EXPLAIN ANALYZE executes it on all of them', async () => {
    const client = await proxy.connect();
    await client.query('PREPARE marked (text) AS UPDATE item SET word = $1 WHERE part IS NULL');
    const { rows } = await client.query(
      "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) EXECUTE marked ('explained')",
    );
    assert.ok(rows.length > 0);
    await assertWritersEqual(cluster);
    assert.notDeepEqual(await sql(w2, "SELECT word FROM item WHERE word = 'explained'"), []);
  });
});

test('a prepared write whose table changes says so once, as on one server', async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE shaped (a int)');
  await client.query('PREPARE shape AS SELECT * FROM shaped');
  await client.query('EXECUTE shape; BEGIN; EXECUTE shape; COMMIT');
  await setup.query('ALTER TABLE shaped ADD b int');
  const error = await refusal(client.query('EXECUTE shape'));
  assert.equal(`${error.code} ${error.message}`, '0A000 cached plan must not change result type');
  await client.query('DEALLOCATE shape; PREPARE shape AS SELECT * FROM shaped; EXECUTE shape');
});
