/** What a server has to look at to tell of a table: no more where it has no statistics of a catalog yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TABLE } from '../../src/cluster/table-query.ts';
import { sql, startTestCluster } from '../support/cluster.ts';

const { w1 } = await startTestCluster({ writers: 1, reader: false });

interface Node {
  readonly Plans?: readonly Node[];
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
}

/** Rows that were read, those that were dropped at once among them. */
function looked(node: Node): number {
  const below = (node.Plans ?? []).reduce((sum, one) => sum + looked(one), 0);
  return below + (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'];
}

test('a table among many, with many trigger functions', { timeout: 60_000 }, async () => {
  const made = Array.from(
    { length: 60 },
    (_, n) => `CREATE TABLE t${n} (id serial PRIMARY KEY, v text);
      CREATE FUNCTION f${n}() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
      CREATE TRIGGER tr BEFORE INSERT ON t${n} FOR EACH ROW EXECUTE FUNCTION f${n}()`,
  );
  await sql(w1, made.join(';'));
  const [row = {}] = await sql(w1, `EXPLAIN (ANALYZE, FORMAT JSON) ${TABLE}to_regclass('t5')`);
  const plans = row['QUERY PLAN'] as readonly { readonly Plan: Node }[];
  const rows = plans.reduce((sum, { Plan }) => sum + looked(Plan), 0);
  assert.ok(rows > 0);
  assert.ok(rows < 100_000, `${rows} rows are looked at`);
});
