/** ALTER TABLE that gives the rows there are values which vary: they are the lead's everywhere, and so are the defaults that stay. */
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
  await client.query(`CREATE FUNCTION mine() RETURNS int LANGUAGE plpgsql VOLATILE AS 'BEGIN RETURN 1; END';
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE DOMAIN token AS uuid DEFAULT gen_random_uuid(); CREATE DOMAIN small AS int DEFAULT 1`);
});

beforeEach(async () => {
  await client.query('ROLLBACK');
  await client.query(`RESET ROLE; DROP TABLE IF EXISTS child, item, heap, part CASCADE; DROP SEQUENCE IF EXISTS counter;
    SET ROLE owns;
    CREATE SEQUENCE counter;
    CREATE TABLE item (id int PRIMARY KEY, x text UNIQUE);
    CREATE TABLE child (id int PRIMARY KEY, item int REFERENCES item ON DELETE CASCADE);
    CREATE TABLE heap (n int, x text);
    CREATE TABLE part (grp int, n int) PARTITION BY LIST (grp);
    CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
    CREATE TABLE part_2 PARTITION OF part FOR VALUES IN (2);
    INSERT INTO item SELECT g, 'row ' || g FROM generate_series(1, 50) g;
    INSERT INTO child SELECT g, g FROM generate_series(1, 50) g;
    INSERT INTO heap SELECT g % 7, 'x' || g FROM generate_series(1, 50) g;
    INSERT INTO part SELECT 1 + g % 2, g FROM generate_series(1, 50) g;
    RESET ROLE`);
  // Rows stand in another order on the follower, which the numbers of a sequence go by.
  await sql(
    w2,
    'UPDATE heap SET x = x WHERE n = 3; UPDATE part SET n = n WHERE n < 20; UPDATE item SET x = x WHERE id < 9',
  );
});

/** What pg_dump would write of the defaults. */
async function assertDefaultsEqual(): Promise<void> {
  const text = `SELECT c.relname, a.attname, pg_get_expr(d.adbin, d.adrelid) AS expression FROM pg_attrdef d
    JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum JOIN pg_class c ON c.oid = d.adrelid
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace ORDER BY 1, 2`;
  assert.deepEqual(await sql(w2, text), await sql(w1, text));
}

const alterations = [
  'ALTER TABLE item ADD COLUMN at timestamptz NOT NULL DEFAULT now()',
  'ALTER TABLE item ADD at timestamp DEFAULT CURRENT_TIMESTAMP, ADD d date DEFAULT CURRENT_DATE NOT NULL, ADD n int DEFAULT 5, ALTER x SET DEFAULT now()::text',
  `ALTER TABLE item ADD COLUMN at timestamptz DEFAULT now() - interval '1 day'`,
  'ALTER TABLE item ADD COLUMN u uuid DEFAULT gen_random_uuid() UNIQUE',
  'ALTER TABLE item ADD u uuid DEFAULT gen_random_uuid(), ADD COLUMN at timestamptz DEFAULT now(), ADD r float8 DEFAULT random()',
  'ALTER TABLE item ADD COLUMN late timestamptz DEFAULT clock_timestamp()',
  "ALTER TABLE item ADD COLUMN n bigint DEFAULT nextval('counter')",
  'ALTER TABLE item ADD COLUMN n serial',
  'ALTER TABLE item ALTER COLUMN x TYPE float8 USING random()',
  "ALTER TABLE item ALTER COLUMN x TYPE timestamptz USING now() + id * interval '1 day'",
  'ALTER TABLE IF EXISTS item ADD COLUMN IF NOT EXISTS x uuid DEFAULT gen_random_uuid()',
  'ALTER TABLE IF EXISTS missing ADD COLUMN x uuid DEFAULT gen_random_uuid()',
  'ALTER TABLE heap ADD COLUMN id bigserial PRIMARY KEY',
  'ALTER TABLE heap ADD COLUMN id int GENERATED ALWAYS AS IDENTITY',
  'ALTER TABLE heap ADD COLUMN u uuid DEFAULT gen_random_uuid()',
  'ALTER TABLE part ADD COLUMN u uuid DEFAULT gen_random_uuid()',
  'ALTER TABLE part ADD COLUMN at timestamptz DEFAULT now()',
  'ALTER TABLE part ADD COLUMN id bigserial',
  'ALTER TABLE item ADD COLUMN s small',
  'BEGIN; UPDATE item SET x = x || id || id WHERE id < 4; ALTER TABLE item ADD u uuid DEFAULT gen_random_uuid(); UPDATE item SET u = gen_random_uuid() WHERE id = 7; COMMIT',
  'BEGIN; SAVEPOINT s; ALTER TABLE item ADD u uuid DEFAULT gen_random_uuid(); ROLLBACK TO s; ALTER TABLE heap ADD u uuid DEFAULT gen_random_uuid(); COMMIT',
];

/** A role that owns the tables and nothing else, and one that may turn triggers off. */
const played = [
  ['owns', alterations],
  ['postgres', alterations.filter((text) => text.includes('gen_random_uuid'))],
] as const;

for (const [role, texts] of played) {
  describe(`by ${role}`, () => {
    for (const text of texts) {
      test(text, HANGS, async () => {
        await client.query(`SET ROLE ${role}`);
        await client.query(text);
        await assertDefaultsEqual();
        // What comes behind it takes the defaults that have stayed.
        await client.query('INSERT INTO heap (n) VALUES (1); INSERT INTO part VALUES (1, 100)');
        if (!text.includes('TYPE')) await client.query("INSERT INTO item (id, x) VALUES (100, '1')");
        await assertWritersEqual(cluster);
      });
    }
  });
}

test('the same in the extended protocol', HANGS, async () => {
  await client.query({
    name: 'add',
    text: 'ALTER TABLE item ADD at timestamptz DEFAULT now(), ADD u uuid DEFAULT gen_random_uuid()',
    values: [],
  });
  await assertWritersEqual(cluster);
  await assertDefaultsEqual();
});

test('a trigger of the table does not see the rows', HANGS, async () => {
  await client.query(
    `CREATE TRIGGER noted BEFORE INSERT OR UPDATE OR DELETE ON heap FOR EACH ROW EXECUTE FUNCTION noted()`,
  );
  await client.query('ALTER TABLE heap ADD COLUMN u uuid DEFAULT gen_random_uuid()');
  await assertWritersEqual(cluster);
  // Who may not turn it off is refused, and nothing is left.
  await client.query('SET ROLE owns');
  const error = await refusal(client.query('ALTER TABLE heap ADD COLUMN v uuid DEFAULT gen_random_uuid()'));
  assert.equal(error.code, '0A000');
  assert.match(error.message, /the rows of heap cannot be told/);
  for (const writer of writers)
    assert.deepEqual(
      await sql(writer, "SELECT FROM pg_attribute WHERE attname = 'v' AND attrelid = 'heap'::regclass"),
      [],
    );
  await assertWritersEqual(cluster);
});

for (const [text, message] of [
  ['ALTER TABLE item ADD COLUMN t token', /the default of type token/],
  ['ALTER TABLE item ADD COLUMN n int DEFAULT mine()', /mine\(\), which is volatile/],
  ["ALTER TABLE item ADD COLUMN d date DEFAULT 'now'", /'now'/],
  ['ALTER TABLE item ADD COLUMN p int DEFAULT pg_backend_pid()', /pg_backend_pid/],
] as const) {
  test(`is refused: ${text}`, HANGS, async () => {
    const error = await refusal(client.query(text));
    assert.equal(error.code, '0A000');
    assert.match(error.message, message);
    await assertWritersEqual(cluster);
  });
}

test('a partition that is attached has the lead’s bounds', HANGS, async () => {
  await client.query(`CREATE TABLE years (at timestamptz) PARTITION BY RANGE (at); CREATE TABLE lately (at timestamptz);
    ALTER TABLE years ATTACH PARTITION lately FOR VALUES FROM (now() - interval '5 years') TO (now())`);
  const bounds = "SELECT pg_get_expr(relpartbound, oid) AS bounds FROM pg_class WHERE relname = 'lately'";
  assert.deepEqual(await sql(w2, bounds), await sql(w1, bounds));
  await client.query('DROP TABLE years');
});
