/** Drivers as they are used: parameters bound by the server, prepared statements, pipelines, cursors, cancel, notifications. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { clientTest, pgjdbcJar } from '../support/client-programs.ts';
import { root } from '../support/repository.ts';
import { compareSeen, dsnOf } from './comparison.ts';
import { nodePgExtendedScenario } from './node-pg-extended.ts';
import { postgresJsScenario } from './postgres-js.ts';
import { succeed } from './program.ts';
import { openStage } from './stage.ts';

const stage = await openStage({ major: 18 });
const scenarios = join(root, 'tests', 'clients');

test('pg with a pool, parameters, named statements and cursors sees what it sees on the lead', async () => {
  const seen = await compareSeen(stage, 'node_pg', (target, database) =>
    nodePgExtendedScenario(dsnOf(target, database)),
  );
  assert.match(seen, /^cursor: \["in a block",\[300,300,300,100\]\]$/m);
  assert.match(seen, /^changed: \["ERROR","0A000","cached plan must not change result type"/m);
  assert.match(seen, /^cancelled: \["ERROR","57014"/m);
});

test('postgres.js with tagged templates, transactions and pipelines sees what it sees on the lead', async () => {
  const seen = await compareSeen(stage, 'postgres_js', (target, database) =>
    postgresJsScenario(dsnOf(target, database)),
  );
  assert.match(seen, /^cursor: \[\[300,300,300,100\]\]$/m);
  assert.match(seen, /^notifications: \[\["ünï","in a transaction"\]\]$/m);
  assert.match(seen, /^cancelled: \["ERROR","57014"/m);
});

clientTest('psycopg 3 and libpq in pipeline mode see what they see on the lead', 'psycopg 3', async (python) => {
  const script = join(scenarios, 'psycopg3', 'scenario.py');
  const seen = await compareSeen(stage, 'psycopg3', (target, database) =>
    succeed(python, [script, dsnOf(target, database)]),
  );
  assert.match(seen, /^executemany returning: \(\[\[\(0,\)\], \[\(2,\)\], \[\(4,\)\], \[\(6,\)\]\],\)$/m);
  assert.match(seen, /^notifications: \(\[\('bell', 'ünï', True\), \('bell', 'twice', True\)\],\)$/m);
  assert.match(seen, /^libpq, at the end: \(b'604', b'4203'\)$/m);
});

clientTest('DBD::Pg with statements prepared on the server sees what it sees on the lead', 'DBD::Pg', async (perl) => {
  const script = join(scenarios, 'dbd-pg', 'scenario.pl');
  const seen = await compareSeen(stage, 'dbd_pg', ({ host, port }, database) =>
    succeed(perl, [script, host, String(port), database, '1']),
  );
  assert.match(seen, /^left: 500 \| ä99$/m);
});

/** What goes to the server changes with each: which protocol, named statements or not, one INSERT for a batch or many. */
const connections = [
  'prepareThreshold=5',
  'prepareThreshold=1&reWriteBatchedInserts=true',
  'preferQueryMode=extendedCacheEverything&prepareThreshold=1&autosave=always&defaultRowFetchSize=20',
  'prepareThreshold=-1',
] as const;
clientTest('PgJDBC sees what it sees on the lead, however it prepares', 'PgJDBC', async (_javap, context) => {
  const folder = mkdtempSync(join(tmpdir(), 'pprox-pgjdbc-'));
  after(() => rmSync(folder, { recursive: true }));
  const source = join(scenarios, 'pgjdbc', 'Scenario.java');
  await succeed('javac', ['-cp', pgjdbcJar, '-d', folder, source]);
  const flags = ['-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', '-Dfile.encoding=UTF-8'];
  for (const [index, parameters] of connections.entries()) {
    await context.test(parameters, async () => {
      const seen = await compareSeen(stage, `pgjdbc_${index}`, ({ host, port }, database) =>
        succeed('java', [
          ...flags,
          '-cp',
          `${pgjdbcJar}:${folder}`,
          'Scenario',
          `jdbc:postgresql://${host}:${port}/${database}`,
          parameters,
        ]),
      );
      assert.match(seen, /^by parts: \[7, 303, 349053\]$/m);
      assert.match(seen, /^batched: \[606, 89709, 1402\]$/m);
      assert.match(seen, /^cancelled: \[ERROR, 57014, /m);
    });
  }
});

const modes = ['cache_statement', 'cache_describe', 'describe_exec', 'exec', 'simple_protocol'] as const;
clientTest('pgx in each of its execution modes sees what it sees on the lead', 'go', async (go, context) => {
  const folder = mkdtempSync(join(tmpdir(), 'pprox-pgx-'));
  after(() => rmSync(folder, { recursive: true }));
  const program = join(folder, 'scenario');
  await succeed(go, ['build', '-mod=readonly', '-o', program, './extended'], {
    cwd: join(scenarios, 'pgx'),
    env: { GOTOOLCHAIN: 'local' },
    patienceMs: 280_000,
  });
  for (const mode of modes) {
    await context.test(mode, async () => {
      const parameters = `?default_query_exec_mode=${mode}&application_name=scenario`;
      const seen = await compareSeen(stage, `pgx_${mode}`, (target, database) =>
        succeed(program, [dsnOf(target, database) + parameters]),
      );
      assert.match(seen, /^batched: \[49 2355\]$/m);
      assert.match(seen, /^notification: \[bell ünï true\]$/m);
    });
  }
});
