/** Functions that write, and that no text names: behind a view, an operator, a policy of a table that is read. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, outcome, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`
    CREATE TABLE log (id serial PRIMARY KEY, x text); CREATE TABLE item (id int PRIMARY KEY, v text); CREATE TABLE key (a int PRIMARY KEY, b text);
    CREATE FUNCTION writes(a int) RETURNS int LANGUAGE plpgsql AS $$
      BEGIN INSERT INTO public.log (x) VALUES (clock_timestamp()::text || a); RETURN a; END $$;
    CREATE FUNCTION compares(int, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM public.writes($1); RETURN true; END $$;
    CREATE OPERATOR ## (LEFTARG = int, RIGHTARG = int, FUNCTION = compares);
    CREATE VIEW seen AS SELECT writes(1) AS x; CREATE VIEW above AS SELECT x + 1 AS x FROM seen;
    CREATE SEQUENCE counter; CREATE VIEW drawn AS SELECT nextval('counter')::int AS x;
    CREATE TABLE guarded (a int PRIMARY KEY); INSERT INTO guarded VALUES (1), (2);
    ALTER TABLE guarded ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON guarded USING (writes(a) > 0);
    CREATE ROLE app; GRANT ALL ON ALL TABLES IN SCHEMA public TO app; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app;
    INSERT INTO item SELECT g, 'v' FROM generate_series(1, 9) g`);
});

/** Each has to be the same on every writer, or to be refused. */
const STATEMENTS: Readonly<Record<string, readonly string[]>> = {
  'a view': [
    'INSERT INTO item SELECT 10 + x FROM seen',
    'INSERT INTO item SELECT 20 + x FROM above',
    'INSERT INTO item VALUES (31, (SELECT x FROM seen)::text)',
    'UPDATE item SET v = seen.x FROM seen WHERE item.id = 1',
    "UPDATE item SET v = 'u' WHERE id = 1 RETURNING (SELECT x FROM seen)",
    "UPDATE item SET v = 'w' WHERE id = 2 AND EXISTS (SELECT FROM above)",
    'DELETE FROM item USING above WHERE item.id = above.x',
    "MERGE INTO item USING seen ON item.id = seen.x WHEN MATCHED THEN UPDATE SET v = 'm'",
    'WITH s AS (SELECT x FROM seen) INSERT INTO item SELECT 40 + x FROM s',
    'CREATE TABLE made AS SELECT * FROM seen',
    'CREATE MATERIALIZED VIEW kept AS SELECT * FROM above',
    "INSERT INTO key VALUES (1, table_to_xml('seen', true, false, '')::text)",
    "UPDATE item SET v = table_to_xml('seen', true, false, '')::text WHERE id = 3",
    'COPY (SELECT * FROM seen) TO STDOUT',
    'INSERT INTO item SELECT 500 + x FROM drawn',
    'UPDATE item SET v = (SELECT x FROM drawn) WHERE id = 4',
  ],
  'an operator': [
    'INSERT INTO item SELECT 50 WHERE 1 ## 2',
    'INSERT INTO item VALUES (51, (1 ## 2)::text)',
    "UPDATE item SET v = 'z' WHERE id ## 2",
    'UPDATE item SET v = (1 ## 2)::text WHERE id = 5',
    "INSERT INTO item VALUES (5, 'c') ON CONFLICT (id) DO UPDATE SET v = (1 ## 2)::text",
    'DELETE FROM item WHERE id = 6 AND id ## 2',
    'CREATE TABLE made AS SELECT 1 AS a WHERE 1 ## 2',
    'ALTER TABLE key ADD COLUMN c text DEFAULT (1 ## 2)::text',
    'ALTER TABLE key ALTER a TYPE bigint USING (a + (1 ## 2)::int)',
    'CREATE MATERIALIZED VIEW kept AS SELECT 1 AS a WHERE 1 OPERATOR(public.##) 2',
    'ALTER TABLE key ALTER b SET DEFAULT (1 ## 2)::text',
    'INSERT INTO key (a) VALUES (70)',
  ],
  'a policy': [
    "INSERT INTO item SELECT a + 900, 'x' FROM guarded",
    "UPDATE item SET v = 'p' WHERE id = 7 RETURNING (SELECT count(*) FROM guarded)",
    'CREATE TEMP TABLE IF NOT EXISTS own (a int)',
    'INSERT INTO own SELECT a FROM guarded',
  ],
};

for (const [by, statements] of Object.entries(STATEMENTS))
  describe(`by ${by}`, () => {
    for (const text of statements)
      test(text, HANGS, async () => {
        await client.query(by === 'a policy' ? 'SET ROLE app' : 'RESET ROLE');
        const found = await outcome(client.query(text));
        assert.ok(['ok', '0A000', '40002'].includes(found), found);
        await assertWritersEqual(cluster);
        const next = "SELECT nextval('counter')::int AS n";
        const [[lead], [follower]] = await Promise.all([sql(w1, next), sql(w2, next)]);
        assert.ok(Number(follower?.['n']) >= Number(lead?.['n']), 'no value is given out twice');
      });
  });

/** What a table is made of, and what is stored there. */
const TABLES: Readonly<Record<string, readonly [made: string, stored: string]>> = {
  'a CHECK': ['CREATE TABLE made (id int PRIMARY KEY, CHECK (declared(id) > 0))', '(5)'],
  'an index': ['CREATE TABLE made (id int PRIMARY KEY); CREATE INDEX ON made (declared(id))', '(5)'],
  'the condition of an index': [
    'CREATE TABLE made (id int PRIMARY KEY); CREATE INDEX ON made (id) WHERE declared(id) > 0',
    '(5)',
  ],
  'a generated column': [
    'CREATE TABLE made (id int PRIMARY KEY, g int GENERATED ALWAYS AS (declared(id)) STORED)',
    '(5)',
  ],
  'a key of partitions': [
    'CREATE TABLE made (id int) PARTITION BY RANGE ((declared(id))); CREATE TABLE made_1 PARTITION OF made FOR VALUES FROM (1) TO (9)',
    '(5)',
  ],
  'a domain': ['CREATE DOMAIN d AS int CHECK (declared(VALUE) > 0); CREATE TABLE made (id d PRIMARY KEY)', '(5)'],
  'an array of a domain': [
    'CREATE DOMAIN d AS int CHECK (writes(VALUE) > 0); CREATE TABLE made (id int PRIMARY KEY, a d[])',
    "(1, '{5}')",
  ],
  'a domain in a composite type': [
    'CREATE DOMAIN d AS int CHECK (writes(VALUE) > 0); CREATE TYPE made_of AS (x d); CREATE TABLE made (id int PRIMARY KEY, c made_of)',
    "(1, '(5)')",
  ],
  'a domain over a domain': [
    'CREATE DOMAIN d AS int CHECK (writes(VALUE) > 0); CREATE DOMAIN d_too AS d; CREATE TABLE made (id int PRIMARY KEY, v d_too)',
    '(1, 5)',
  ],
  'a policy': [
    `CREATE TABLE made (id int PRIMARY KEY); ALTER TABLE made ENABLE ROW LEVEL SECURITY; GRANT ALL ON made TO app;
     CREATE POLICY p ON made USING (stable_one(id) > 0); SET ROLE app`,
    '(5)',
  ],
};

describe('by what a table is made of, and by functions that are not what they are declared as', () => {
  before(async () => {
    await client.query(`RESET ROLE;
      CREATE FUNCTION declared(a int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.writes(a); END $$;
      CREATE FUNCTION stable_one(a int) RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN public.writes(a); END $$`);
  });

  for (const [name, [made, stored]] of Object.entries(TABLES))
    test(name, HANGS, async () => {
      await client.query(made);
      for (const text of [
        `INSERT INTO made VALUES ${stored}`,
        'UPDATE made SET id = id WHERE id = 5',
        'DELETE FROM made',
      ]) {
        const found = await outcome(client.query(text));
        // Who looks at rows calls the function of their policy, which writes once more.
        assert.ok(['ok', '0A000', '40002', name === 'a policy' ? '23505' : ''].includes(found), found);
        await assertWritersEqual(cluster);
      }
      await client.query('RESET ROLE; DROP TABLE made; DROP TYPE IF EXISTS made_of; DROP DOMAIN IF EXISTS d CASCADE');
    });
});

describe('by a function that is declared STABLE, whatever its source calls', () => {
  const bodies: Readonly<Record<string, string>> = {
    'a view': 'BEGIN RETURN x FROM seen; END',
    'a view of a view': 'BEGIN RETURN x FROM above; END',
    'an operator': 'BEGIN RETURN (5 ## 6)::int; END',
    'an aggregate': 'BEGIN RETURN gathered(id) FROM item; END',
    'a function with a default': 'BEGIN RETURN filled(); END',
    'a cast': 'BEGIN RETURN (5::cast_to).a; END',
    'a variable of a domain': 'DECLARE x checked; BEGIN x := 5; RETURN x; END',
    'a function that updates by another name': 'BEGIN RETURN renaming(); END',
  };
  const others: Readonly<Record<string, string>> = {
    'an argument of a domain': 'SELECT taking(5)',
    'a result of a domain': 'SELECT giving(5)',
    'a domain over a domain': 'SELECT 5::checked_too',
    'an array of it': "SELECT '{5}'::checked_too[]",
    'a composite type': "SELECT '(5)'::holding",
    'a column of a function’s result': `SELECT * FROM json_to_record('{"a": 5}') AS x (a checked)`,
    'a body of standard SQL': 'SELECT standard()',
  };

  before(async () => {
    await client.query(`RESET ROLE;
      CREATE FUNCTION gather(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN public.writes($2); END'; CREATE AGGREGATE gathered (int) (SFUNC = gather, STYPE = int, INITCOND = '0');
      CREATE FUNCTION filled(a int DEFAULT writes(1)) RETURNS int STABLE LANGUAGE sql AS 'SELECT $1';
      CREATE TYPE cast_to AS (a int); CREATE FUNCTION casts(a int) RETURNS cast_to LANGUAGE sql AS 'SELECT ROW(writes(a))::cast_to'; CREATE CAST (int AS cast_to) WITH FUNCTION casts(int);
      CREATE DOMAIN checked AS int CHECK (writes(VALUE) > 0); CREATE DOMAIN checked_too AS checked; CREATE TYPE holding AS (a checked);
      CREATE FUNCTION renaming() RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE public . log AS "a b" SET x = clock_timestamp()::text; RETURN 1; END $$;
      CREATE FUNCTION taking(a checked) RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; CREATE FUNCTION giving(a int) RETURNS checked STABLE LANGUAGE plpgsql AS 'BEGIN RETURN a; END';
      CREATE FUNCTION standard() RETURNS int STABLE BEGIN ATOMIC SELECT x FROM above; END`);
  });

  async function runs(text: string): Promise<void> {
    const [before] = await sql(w1, 'SELECT md5(string_agg(l::text, id::text ORDER BY id)) AS log FROM log l');
    await client.query(text);
    await assertWritersEqual(cluster);
    const [after] = await sql(w1, 'SELECT md5(string_agg(l::text, id::text ORDER BY id)) AS log FROM log l');
    assert.notEqual(after?.['log'], before?.['log'], 'it writes');
  }

  for (const [name, body] of Object.entries(bodies))
    test(name, HANGS, async () => {
      await client.query(`CREATE OR REPLACE FUNCTION steady() RETURNS int STABLE LANGUAGE plpgsql AS '${body}'`);
      await runs('SELECT steady()');
    });
  for (const [name, text] of Object.entries(others)) test(name, HANGS, () => runs(text));
});

test('definitions of what only stands beside such a function', HANGS, async () => {
  await client.query(`RESET ROLE; CREATE TABLE ruled (id int PRIMARY KEY, n int); CREATE FUNCTION may(int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN $1 > 2; END';
    ALTER TABLE ruled ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON ruled USING (may(id)); CREATE SCHEMA apart; CREATE TABLE apart.seen (x int)`);
  for (const text of [
    'ALTER TABLE ruled ADD COLUMN x int',
    'ALTER TABLE ruled ALTER n TYPE bigint',
    'ALTER TABLE ruled DROP COLUMN x',
    'CREATE TABLE refers (id int REFERENCES ruled); ALTER TABLE refers ADD COLUMN other int REFERENCES ruled',
    'CREATE TABLE copied AS SELECT * FROM ruled',
    'ALTER VIEW seen OWNER TO app',
    'ALTER TABLE apart.seen ADD COLUMN y int',
    'CREATE TABLE copied_too AS SELECT * FROM apart.seen',
  ])
    await client.query(text);
  await assertWritersEqual(cluster);
});
