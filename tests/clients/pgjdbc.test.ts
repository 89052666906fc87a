/** PgJDBC as it is used: statements prepared by and by, batches, cursors, generated keys, cancel, notifications. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { clientTest, pgjdbcJar } from '../support/client-programs.ts';
import { root } from '../support/repository.ts';
import { compareSeen } from './comparison.ts';
import { succeed } from './program.ts';
import { openStage } from './stage.ts';

const stage = await openStage({ major: 18 });
const scenarios = join(root, 'tests', 'clients');

/** What goes to the server changes with each: which protocol, named statements or not, one INSERT for a batch or many. */
const connections = [
  'prepareThreshold=5',
  'prepareThreshold=1&reWriteBatchedInserts=true',
  'preferQueryMode=extendedCacheEverything&prepareThreshold=1&autosave=always&defaultRowFetchSize=20',
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
