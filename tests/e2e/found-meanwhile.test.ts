/** Changes by keys whose rows another client stores meanwhile: on a follower they are there by then, and stay as the lead has them. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type pg from 'pg';
import { assertWritersEqual, outcome, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 120_000 };
/** Of each statement: without its numbers being compared some of ten to twenty found another row on the follower. */
const ROUNDS = 80;
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query('CREATE TABLE item (id int PRIMARY KEY, v text); CREATE TABLE log (id int PRIMARY KEY, v text)');
});

const STATEMENTS: readonly ((id: number) => string)[] = [
  (id) => `WITH gone AS (DELETE FROM item WHERE id = ${id}) INSERT INTO log VALUES (${id}, 'deleted')`,
  (id) => `WITH changed AS (UPDATE item SET v = 'changed' WHERE id = ${id}) INSERT INTO log VALUES (${id}, 'changed')`,
  (id) => `WITH gone AS (DELETE FROM item WHERE id = ${id}) SELECT 1`,
  (id) =>
    `WITH gone AS (DELETE FROM item WHERE id = ${id}), kept AS (INSERT INTO log VALUES (${id}, 'v') RETURNING id) SELECT * FROM kept`,
  (id) =>
    `WITH stored AS (INSERT INTO item VALUES (${id}, 'own') ON CONFLICT DO NOTHING) INSERT INTO log VALUES (${id}, 'v')`,
  (id) => `EXPLAIN ANALYZE DELETE FROM item WHERE id = ${id}`,
  (id) => `EXPLAIN ANALYZE UPDATE item SET v = 'changed' WHERE id = ${id}`,
];

for (const block of ['a statement of its own', 'a block'])
  for (const [index, statement] of STATEMENTS.entries())
    test(`${block}: ${statement(0)}`, HANGS, async () => {
      await client.query('TRUNCATE item, log');
      const both = await Promise.all([proxy.connect(), proxy.connect()]);
      const [storing, changing] = both;
      for (let id = 1; id <= ROUNDS; id++) {
        const text = block === 'a block' ? `BEGIN; ${statement(id)}; COMMIT` : statement(id);
        const after = async (): Promise<string> => {
          // Neither at once nor behind it.
          await new Promise((resolve) => setTimeout(resolve, (id + index) % 3));
          return outcome(changing.query(text));
        };
        const found = await Promise.all([outcome(storing.query(`INSERT INTO item VALUES (${id}, 'new')`)), after()]);
        assert.ok(
          found.every((one) => one === 'ok' || one === '23505'),
          found.join(),
        );
      }
      await Promise.all(both.map((one) => one.end()));
      await assertWritersEqual(cluster);
    });

test('tables in a schema that the role may not use, partitions of a table that it may', HANGS, async () => {
  await client.query(`CREATE SCHEMA parts; CREATE TABLE whole (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE parts.first PARTITION OF whole FOR VALUES FROM (0) TO (10); INSERT INTO whole SELECT g, 0 FROM generate_series(0, 9) g;
    CREATE TABLE parts."Second ""one\\" PARTITION OF whole FOR VALUES FROM (10) TO (20);
    CREATE ROLE app; GRANT ALL ON whole, item TO app; INSERT INTO item VALUES (7000, 'v') ON CONFLICT DO NOTHING; SET ROLE app`);
  for (const text of [
    'WITH gone AS (DELETE FROM whole WHERE id = 6 RETURNING n) SELECT * FROM gone',
    "WITH changed AS (UPDATE item SET v = 'w' WHERE id = 7000) INSERT INTO whole VALUES (6, 1)",
    "WITH changed AS (UPDATE item SET v = 'x' WHERE id = 7000) INSERT INTO whole VALUES (16, 1)",
    'EXPLAIN ANALYZE UPDATE whole SET n = 9 WHERE id = 16',
    'WITH moved AS (UPDATE whole SET id = 17 WHERE id = 7) SELECT 1',
  ])
    await client.query(text);
  await client.query('RESET ROLE');
  await assertWritersEqual(cluster);
});

test('rows that are stored by way of a view or a rule are on every writer', HANGS, async () => {
  await client.query(`CREATE TABLE base (id int PRIMARY KEY, v text); CREATE VIEW shown AS SELECT * FROM base; CREATE TABLE ruled (id int PRIMARY KEY, v text);
    CREATE RULE r AS ON INSERT TO ruled DO INSTEAD INSERT INTO base VALUES (NEW.id, NEW.v)`);
  const texts = [
    "WITH stored AS (INSERT INTO shown VALUES (1, 'v')) SELECT 1",
    "WITH stored AS (INSERT INTO shown VALUES (2, 'v')) INSERT INTO log VALUES (9002, 'v')",
    "WITH gone AS (DELETE FROM item WHERE id = 9999) INSERT INTO shown VALUES (3, 'v')",
    "EXPLAIN ANALYZE INSERT INTO shown VALUES (4, 'v')",
    "WITH stored AS (INSERT INTO ruled VALUES (5, 'v')) SELECT 1",
    "EXPLAIN ANALYZE INSERT INTO ruled VALUES (6, 'v')",
    "WITH gone AS (DELETE FROM item WHERE id = 9999) INSERT INTO ruled VALUES (7, 'v')",
  ];
  for (const text of texts) {
    await client.query(text);
    await assertWritersEqual(cluster);
  }
  assert.equal((await client.query('SELECT FROM base')).rowCount, texts.length);
});
