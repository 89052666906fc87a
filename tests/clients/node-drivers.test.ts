/** Drivers of Node.js as they are used: pools, parameters, named statements, cursors, pipelines. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareSeen, dsnOf } from './comparison.ts';
import { nodePgExtendedScenario } from './node-pg-extended.ts';
import { postgresJsScenario } from './postgres-js.ts';
import { openStage } from './stage.ts';

const stage = await openStage({ major: 18 });

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
