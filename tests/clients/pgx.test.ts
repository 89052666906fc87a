/** pgx as it is used: each way to execute, batches, pipelines, COPY, cancel, notifications. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { clientTest } from '../support/client-programs.ts';
import { root } from '../support/repository.ts';
import { compareSeen, dsnOf } from './comparison.ts';
import { succeed } from './program.ts';
import { openStage } from './stage.ts';

const stage = await openStage({ major: 18 });
const scenarios = join(root, 'tests', 'clients');

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
