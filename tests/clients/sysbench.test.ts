/** sysbench's transactions of eight threads on few rows: none fails that would not on PostgreSQL, and both writers hold the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientTest } from '../support/client-programs.ts';
import { sql } from '../support/cluster.ts';
import { succeed } from './program.ts';
import { assertWritersEqual, createDatabases, openStage } from './stage.ts';

const stage = await openStage({ major: 18 });
const { host, port } = stage.proxy;

/** Two tables of fifty rows: each row is wanted by several threads at once. */
const few = ['--tables=2', '--table-size=50', '--threads=8', '--time=0', '--rand-type=uniform'];

/** With `auto`, statements are prepared once under a name and executed with parameters; with `disable` their text has the values. */
const modes = ['auto', 'disable'] as const;

/** How many transactions of which workload, and options of its own. */
const workloads = [
  ['oltp_read_write', 30, '--index_updates=2'],
  ['oltp_write_only', 60, '--index_updates=2', '--non_index_updates=2'],
  ['oltp_update_index', 100],
  ['oltp_update_non_index', 100],
  ['oltp_insert', 100],
  ['oltp_delete', 100],
] as const satisfies readonly (readonly [string, number, ...string[]])[];

await createDatabases(stage, ...modes.map((mode) => `sysbench_${mode}`), 'sysbench_plans');

/**
 * Runs one command of sysbench and returns its report. Of errors sysbench itself takes 40001, 40P01 and 23505 for part of its work, and
 * begins another transaction; any other ends it with a status.
 */
function sysbench(program: string, mode: string, workload: string, ...args: readonly string[]): Promise<string> {
  const address = [`--pgsql-host=${host}`, `--pgsql-port=${port}`, '--pgsql-user=postgres'];
  const own = ['--db-driver=pgsql', `--db-ps-mode=${mode}`, `--pgsql-db=sysbench_${mode}`];
  return succeed(program, [workload, ...own, ...address, ...few, ...args]);
}

for (const mode of modes) {
  clientTest(
    `sysbench of 8 threads, its prepared statements ${mode === 'auto' ? 'on' : 'off'}, leaves both writers equal`,
    'sysbench',
    async (program, context) => {
      await sysbench(program, mode, 'oltp_insert', 'prepare');
      for (const [workload, transactions, ...more] of workloads) {
        const report = await sysbench(program, mode, workload, `--events=${transactions}`, ...more, 'run');
        const done = Number(/^\s+transactions:\s+(\d+)/m.exec(report)?.[1]);
        const again = Number(/^\s+ignored errors:\s+(\d+)/m.exec(report)?.[1]);
        context.diagnostic(`${workload}: ${done} transactions, ${again} begun again after an error`);
        assert.equal(done, transactions, report);
        await assertWritersEqual(stage, `sysbench_${mode}`);
      }
      await sysbench(program, mode, 'oltp_insert', 'cleanup');
      const left = "SELECT FROM pg_class WHERE relname ~ '^sbtest'";
      assert.deepEqual(await sql(stage.cluster.w2, left, `sysbench_${mode}`), []);
    },
  );
}

/** What its transactions write, and the replay plan of each. */
const plans = {
  'UPDATE sbtest1 SET k=k+1 WHERE id=7': 'statement',
  "UPDATE sbtest1 SET c='0123-4567' WHERE id=7": 'statement',
  'DELETE FROM sbtest1 WHERE id=7': 'statement',
  "INSERT INTO sbtest1 (id, k, c, pad) VALUES (7, 3, '0123-4567', '89')": 'statement',
  "INSERT INTO sbtest1(k, c, pad) VALUES(3, '0123-4567', '89'),(4, '0123-4567', '89')": 'rows',
} as const;

test("what sysbench's transactions write is replayed as told by its key", async () => {
  const database = 'sysbench_plans';
  const client = await stage.proxy.connect({ database });
  await client.query(
    "CREATE TABLE sbtest1 (id serial PRIMARY KEY, k integer DEFAULT '0' NOT NULL, c char(120) DEFAULT '' NOT NULL, pad char(60) DEFAULT '' NOT NULL)",
  );
  const found: Record<string, string | undefined> = {};
  for (const text of Object.keys(plans)) {
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN (PPROX) ${text}`);
    const lines = rows.map((row) => row['QUERY PLAN']);
    found[text] = /^ *Plan: (.*)$/m.exec(lines.join('\n'))?.[1];
  }
  assert.deepEqual(found, plans);
});
