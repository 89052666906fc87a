/** EXPLAIN (PPROX): which plan each kind of statement gets, and that telling it does nothing. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { testMajor } from '../support/major.ts';
import { refusal, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`
    CREATE TABLE item (id int PRIMARY KEY, code text UNIQUE NOT NULL, grp int, n numeric(10,2), at timestamptz, ratio float8);
    CREATE TABLE entry (id serial PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE, words text);
    CREATE TABLE pair (a int, b int, n int, PRIMARY KEY (a, b));
    CREATE TABLE plain (grp int, n int);
    CREATE TABLE parent (id int PRIMARY KEY, n int);
    CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent);
    CREATE TABLE part (id int, at date, n int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE part_1 PARTITION OF part DEFAULT;
    CREATE TABLE fired (id int PRIMARY KEY, grp int, n int);
    CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := 1; RETURN NEW; END';
    CREATE TRIGGER fire BEFORE UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION fire();
    CREATE VIEW few AS SELECT id, grp FROM item;
    CREATE MATERIALIZED VIEW sums AS SELECT grp, sum(n) FROM item GROUP BY grp;
    CREATE TABLE top (id int PRIMARY KEY);
    CREATE TABLE below (top int REFERENCES top ON DELETE CASCADE);
    CREATE TRIGGER fire BEFORE DELETE ON below FOR EACH ROW EXECUTE FUNCTION fire();
    CREATE FUNCTION roll() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 4'`);
});

async function explain(text: string): Promise<string> {
  const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN (PPROX) ${text}`);
  return rows.map((row) => row['QUERY PLAN']).join('\n');
}

/** `plan`, and what its reason is about. */
type Expected = readonly [plan: string, reason: RegExp];

const cases: Readonly<Record<string, Readonly<Record<string, Expected>>>> = {
  'by its key': {
    'UPDATE item SET n = n + 1 WHERE id = 5': ['statement', /told by its key/],
    'UPDATE item SET n = 1, grp = coalesce(grp, 2) WHERE id = 5 AND n > 3': ['statement', /told by its key/],
    "DELETE FROM item WHERE code = 'x'": ['statement', /told by its key/],
    'UPDATE pair SET n = 1 WHERE a = 1 AND b = 2': ['statement', /told by its key/],
    'UPDATE part SET n = 1 WHERE id = 1 AND at = DATE $$2026-01-01$$': ['statement', /told by its key/],
    'UPDATE item SET at = now() WHERE id = 5': ['statement', /told by its key/],
    'UPDATE ONLY parent SET n = 1 WHERE id = 1': ['statement', /told by its key/],
    'UPDATE fired SET n = 2 WHERE id = 1': ['rows', /triggers/],
  },
  'row by row': {
    'UPDATE item SET n = 1 WHERE grp = 5': ['rows', /beyond a key/],
    'UPDATE pair SET n = 1 WHERE a = 1': ['rows', /beyond a key/],
    'UPDATE item SET n = 1 WHERE id IN (1, 2)': ['rows', /beyond a key/],
    'UPDATE item SET n = (SELECT sum(n) FROM item) WHERE id = 5': ['rows', /other rows/],
    'UPDATE item SET n = p.n FROM pair p WHERE p.a = item.id': ['rows', /other rows/],
    'DELETE FROM entry USING item WHERE item.id = entry.item': ['rows', /other rows/],
    'UPDATE item SET ratio = random() WHERE id = 5': ['rows', /random\(\)/],
    "UPDATE item SET at = 'now' WHERE id = 5": ['rows', /'now'/],
    'UPDATE item SET n = roll() WHERE id = 5': ['rows', /roll\(\), which is volatile/],
    'UPDATE item SET ratio = exp(ratio) WHERE id = 5': ['rows', /exp\(\), which depends on the server/],
    "UPDATE entry SET words = upper('x') WHERE id = 5": ['rows', /upper\(\)/],
    'UPDATE fired SET n = 2 WHERE grp = 1': ['rows', /beyond a key/],
    'DELETE FROM item WHERE id IN (SELECT id FROM item ORDER BY n LIMIT 3)': ['rows', /other rows/],
    "INSERT INTO entry (words) VALUES ('x')": ['rows', /default of column id/],
    'MERGE INTO item USING pair p ON p.a = item.id WHEN MATCHED THEN UPDATE SET n = p.n': ['rows', /a MERGE/],
    'MERGE INTO entry USING pair p ON p.a = item WHEN NOT MATCHED THEN INSERT (item) VALUES (p.a)': ['rows', /a MERGE/],
    'INSERT INTO item SELECT * FROM item': ['rows', /rows of a query/],
    "INSERT INTO item VALUES (1, 'x'), (2, 'y') ON CONFLICT DO NOTHING": ['rows', /several rows with ON CONFLICT/],
  },
  'as its text says': {
    "INSERT INTO item VALUES (1, 'x', 2, 3)": ['statement', /its text holds/],
    "INSERT INTO item VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET n = item.n + 1": ['statement', /its text holds/],
    'WITH u AS (UPDATE item SET n = 1 WHERE id = 5 RETURNING *) SELECT * FROM u': ['statement', /by their keys/],
  },
  'behind locks': {
    'UPDATE plain SET n = 1 WHERE grp = 5': ['verified statement, behind locks', /beyond a key/],
    'UPDATE item SET id = id + 1000, code = code || id WHERE grp = 5': [
      'verified statement, behind locks',
      /beyond a key/,
    ],
    'UPDATE parent SET n = 1': ['verified statement, behind locks', /inherit/],
    'UPDATE few SET grp = 1': ['rows, behind locks', /not a table/],
    'MERGE INTO item USING pair p ON p.a = item.id WHEN MATCHED THEN DELETE': ['rows, behind locks', /several changes/],
    'WITH d AS (DELETE FROM pair WHERE n > 1 RETURNING *) INSERT INTO plain SELECT a, b FROM d': [
      'verified statement, behind locks',
      /rows of a query/,
    ],
    'CREATE TABLE copied AS SELECT * FROM item': ['statement, behind locks', /rows of a query/],
    'REFRESH MATERIALIZED VIEW sums': ['statement, behind locks', /rows of a query/],
    'REFRESH MATERIALIZED VIEW CONCURRENTLY sums': ['statement, behind locks', /rows of a query/],
  },
  'read back': {
    'MERGE INTO entry USING pair p ON p.a = item WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (item) VALUES (p.a)':
      ['rows, read back', /INSERT inside another statement/],
    "UPDATE entry SET id = nextval('entry_id_seq')": ['rows, read back', /nextval/],
    "WITH i AS (INSERT INTO entry (words) VALUES ('x') RETURNING id) INSERT INTO entry (item) SELECT id FROM i": [
      'rows, read back',
      /default that varies/,
    ],
    'CREATE TABLE t AS SELECT random()': ['rows, read back', /random\(\)/],
    'CREATE TABLE t AS SELECT * FROM item ORDER BY grp LIMIT 3': ['rows, read back', /LIMIT/],
  },
  'out of sight': {
    'SELECT roll()': ['opaque', /roll\(\)/],
    'DELETE FROM top WHERE id = 1': ['opaque', /told by its key/],
    'DELETE FROM top': ['rows', /beyond a key/],
  },
};

for (const [group, statements] of Object.entries(cases)) {
  describe(group, () => {
    for (const [text, [plan, reason]] of Object.entries(statements)) {
      test(text, async () => {
        const told = await explain(text);
        assert.match(told, /^Route: writers\n/);
        assert.ok(told.includes(`\nPlan: ${plan}\n`), told);
        const [, why = ''] = /\nPlan: .*\n {2}Reason: (.*)/.exec(told) ?? [];
        assert.match(why, reason);
      });
    }
  });
}

describe('refused', () => {
  for (const [text, reason] of [
    ['UPDATE plain SET n = random()', /random\(\)/],
    ['UPDATE plain SET n = 1 WHERE grp IN (SELECT grp FROM plain LIMIT 1)', /no key/],
  ] as const) {
    test(text, async () => {
      const told = await explain(text);
      assert.match(told, /^Plan: refused\n/);
      assert.match(told, reason);
      assert.equal((await refusal(client.query(text))).code, '0A000');
    });
  }
});

test('the route of what does not go to the writers', async () => {
  assert.equal(await explain('SELECT * FROM item'), 'Route: reader\n  Reason: SELECT');
  assert.equal(await explain('SELECT * FROM item FOR UPDATE'), 'Route: lead\n  Reason: FOR UPDATE');
  assert.equal(await explain('CREATE TEMPORARY TABLE x AS SELECT 1 AS id'), 'Route: lead\n  Reason: temporary object');
});

test('what lead and followers get', async () => {
  assert.equal(
    await explain('UPDATE item\n SET n = 1 WHERE grp = 5'),
    [
      'Route: writers',
      '  Reason: UPDATE',
      'Plan: rows',
      '  Reason: a condition that goes beyond a key',
      '  Lead: UPDATE item SET n = 1 WHERE grp = 5 RETURNING "item"."id", "item"."n"',
      '  Followers: UPDATE "item" AS t SET "n" = v.c2 FROM (VALUES (…::integer,…::numeric(10,2)), …) AS v (c1, c2) WHERE t."id" = v.c1',
      '  Compared: the number of rows',
    ].join('\n'),
  );
});

test('of a prepared statement, in either protocol', async () => {
  await client.query('PREPARE p AS DELETE FROM entry WHERE words LIKE $1');
  assert.match(
    await explain("EXECUTE p ('x')"),
    /Plan: rows\n {2}Reason: a condition that goes beyond a key\n {2}Lead: DELETE/,
  );
  const { rows } = await client.query({ name: 'e', text: 'EXPLAIN (PPROX) DELETE FROM entry', values: [] });
  assert.match(JSON.stringify(rows), /Plan: rows/);
  assert.equal((await refusal(client.query("EXPLAIN (PPROX) EXECUTE nothing ('x')"))).code, '26000');
});

test('in a transaction, and nothing was run', async () => {
  await client.query('BEGIN');
  await client.query("INSERT INTO item VALUES (1, 'x')");
  assert.match(await explain('DELETE FROM item'), /Plan: rows/);
  await client.query('COMMIT');
  for (const writer of cluster.writers) assert.deepEqual(await sql(writer, 'SELECT id FROM item'), [{ id: 1 }]);
});

test('a column whose older rows may be NULL tells no row', async () => {
  await client.query(`CREATE TABLE hasty (k int UNIQUE, n int); INSERT INTO hasty VALUES (NULL, 1), (NULL, 2)`);
  await client.query('ALTER TABLE hasty ADD CONSTRAINT later CHECK (k IS NOT NULL) NOT VALID');
  assert.match(await explain('UPDATE hasty SET n = 1 WHERE n = 2'), /behind locks/);
  // From PostgreSQL 18 on the column itself may be so (manual, "ALTER TABLE").
  if (testMajor !== undefined && testMajor < 18) return;
  await client.query('ALTER TABLE hasty DROP CONSTRAINT later, ADD CONSTRAINT later NOT NULL k NOT VALID');
  assert.match(await explain('UPDATE hasty SET n = 1 WHERE n = 2'), /behind locks/);
  await client.query(`DELETE FROM hasty; ALTER TABLE hasty VALIDATE CONSTRAINT later`);
  assert.match(await explain('UPDATE hasty SET n = 1 WHERE n = 2'), /Plan: rows/);
});
