/** CREATE TABLE AS and SELECT INTO whose rows vary, and REFRESH … CONCURRENTLY: followers hold what the lead does. */
import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, refusal, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const { w1, w2, writers } = cluster;
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  for (const writer of writers) await sql(writer, 'CREATE ROLE owns LOGIN; GRANT ALL ON SCHEMA public TO owns');
  await client.query(`SET ROLE owns; CREATE TABLE source (id int PRIMARY KEY, grp int, x text);
    CREATE TYPE mood AS ENUM ('sad', 'merry');
    INSERT INTO source SELECT g, g % 3, 'row ' || g FROM generate_series(1, 60) g;
    CREATE SEQUENCE counter;
    CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
    CREATE FUNCTION writes() RETURNS int LANGUAGE sql VOLATILE AS 'INSERT INTO source VALUES (1000, 0) RETURNING id'`);
  // Rows stand in another order there.
  await sql(w2, 'UPDATE source SET x = x WHERE id < 20');
});

beforeEach(async () => {
  await client.query('ROLLBACK');
  await client.query('DROP TABLE IF EXISTS made');
});

/** What the catalog says of it, on both. */
async function assertMadeAlike(): Promise<void> {
  const text = `SELECT relpersistence, reloptions, relowner::regrole::text, (SELECT json_agg(json_build_array(attname, format_type(atttypid, atttypmod),
      attcollation::regcollation::text, attnotnull, attstorage) ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0) AS columns
    FROM pg_class c WHERE oid = 'made'::regclass`;
  const [one, other] = await Promise.all([w1, w2].map((writer) => sql(writer, text)));
  assert.equal(one?.length, 1);
  assert.deepEqual(other, one);
}

const texts = [
  'CREATE TABLE made AS SELECT id, random() AS r, gen_random_uuid() AS u, now() AS at, clock_timestamp() AS late FROM source',
  'CREATE UNLOGGED TABLE made (one, "Two ""x") WITH (fillfactor = 70, toast.autovacuum_enabled = false) AS SELECT id, random() FROM source WITH DATA -- why',
  'CREATE TABLE IF NOT EXISTS made AS SELECT * FROM source ORDER BY grp LIMIT 10',
  'CREATE TABLE made AS SELECT row_number() OVER (ORDER BY grp) AS place, id FROM source',
  `CREATE TABLE made AS SELECT x COLLATE "C" AS x, x::varchar(5) COLLATE "POSIX" AS y, grp::numeric(10,2) AS n, ARRAY[now()] AS a, 'sad'::mood AS m FROM source`,
  "CREATE TABLE made AS SELECT nextval('counter') AS n, twice(id) AS t FROM source",
  'CREATE TABLE public.made AS WITH s AS (SELECT now() AS at) SELECT * FROM s',
  'SELECT id, random() AS r INTO made FROM source',
  'SELECT id, random() AS r INTO UNLOGGED made FROM source',
  "CREATE TABLE made AS SELECT 'now'::timestamptz AS at",
  'CREATE TABLE made AS SELECT random() AS r FROM source WHERE false',
  'CREATE TABLE made AS SELECT random() AS r FROM source WITH NO DATA',
  'BEGIN; CREATE TABLE made AS SELECT gen_random_uuid() AS u, id FROM source; CREATE UNIQUE INDEX ON made (id); ALTER TABLE made ALTER id SET NOT NULL; UPDATE made SET u = gen_random_uuid() WHERE id < 5; COMMIT',
];

describe('a table made of a query', () => {
  for (const text of texts) {
    test(text, HANGS, async () => {
      await client.query(text);
      await assertMadeAlike();
      await assertWritersEqual(cluster);
    });
  }

  test('in the extended protocol, with parameters', HANGS, async () => {
    const { rowCount } = await client.query(
      'CREATE TABLE made AS SELECT id, random() AS r FROM source WHERE id < $1',
      [10],
    );
    assert.equal(rowCount, 9);
    await assertMadeAlike();
    await client.query('DROP TABLE made');
    const made = await client.query({
      name: 'made',
      text: 'CREATE TABLE made AS SELECT id, random() AS r FROM source',
    });
    assert.equal(made.rowCount, 60);
    await assertMadeAlike();
    await assertWritersEqual(cluster);
  });

  test('that is there already is left as it is', HANGS, async () => {
    await client.query('CREATE TABLE made (n int)');
    await client.query('CREATE TABLE IF NOT EXISTS made AS SELECT random() AS n');
    await assertWritersEqual(cluster);
    assert.equal((await refusal(client.query('CREATE TABLE made AS SELECT random() AS n'))).code, '42P07');
  });

  test('by a function that changes something is refused', HANGS, async () => {
    const error = await refusal(client.query('CREATE TABLE made AS SELECT writes()'));
    assert.equal(error.code, '0A000');
    assert.match(error.message, /writes\(\), which is volatile/);
  });

  test('is not made where a follower has one by that name', HANGS, async () => {
    await sql(w2, 'SET ROLE owns; CREATE TABLE made (n int)');
    const error = await refusal(client.query('CREATE TABLE made AS SELECT random() AS r'));
    assert.match(error.detail ?? '', /relation "made" already exists/);
    for (const writer of [w1]) assert.deepEqual(await sql(writer, "SELECT to_regclass('made') AS t"), [{ t: null }]);
    await sql(w2, 'DROP TABLE made');
  });
});

test('REFRESH MATERIALIZED VIEW CONCURRENTLY', HANGS, async () => {
  await client.query(`CREATE MATERIALIZED VIEW sums AS SELECT grp, count(*) AS n FROM source GROUP BY grp;
    CREATE UNIQUE INDEX ON sums (grp); UPDATE source SET grp = 2 WHERE id < 10`);
  await client.query('REFRESH MATERIALIZED VIEW CONCURRENTLY sums');
  await client.query({
    name: 'again',
    text: 'REFRESH MATERIALIZED VIEW /* as said */ CONCURRENTLY public.sums WITH DATA',
  });
  await client.query(
    'BEGIN; UPDATE source SET grp = 1 WHERE id < 10; REFRESH MATERIALIZED VIEW CONCURRENTLY sums; COMMIT',
  );
  await assertWritersEqual(cluster);
  const rows = 'SELECT grp, n::int FROM sums ORDER BY grp';
  assert.deepEqual(await sql(w2, rows), await sql(w1, rows));
  assert.equal((await sql(w2, rows)).length, 3);
  await client.query('DROP INDEX sums_grp_idx');
  const error = await refusal(client.query('REFRESH MATERIALIZED VIEW CONCURRENTLY sums'));
  assert.equal(error.code, '55000');
});
