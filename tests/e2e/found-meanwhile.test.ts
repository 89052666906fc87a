/** Changes by keys whose rows another client stores meanwhile: on a follower they are there by then, and stay as the lead has them. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import type pg from 'pg';
import { assertWritersEqual, outcome, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 120_000 };
/** Of each statement: without its numbers being compared some of ten to twenty found another row on the follower. */
const ROUNDS = 150;
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
