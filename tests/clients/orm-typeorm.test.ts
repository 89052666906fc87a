/** TypeORM: a schema that its migrations make, undo and make again, and what eight workers do with it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareSeen, dsnOf } from './comparison.ts';
import { plansOf, type Statement, summaryOf } from './orm/statements.ts';
import { typeormScenario } from './orm-typeorm/scenario.ts';
import { openStage } from './stage.ts';

const stage = await openStage({ major: 18 });

test('TypeORM with migrations, graphs of objects and eight workers sees what it sees on the lead', async (context) => {
  const statements: Statement[] = [];
  const seen = await compareSeen(stage, 'typeorm', (target, database) => {
    statements.length = 0;
    return typeormScenario(dsnOf(target, database), statements);
  });
  assert.match(seen, /^to be changed: \[\[\]\]$/m);
  assert.match(seen, /^shared: \[\d+,\{"changes":16\}\]$/m);
  assert.match(seen, /\["shared",16\]/);
  assert.match(seen, /^unique: \[\["23505","UQ_users_email"\]\]$/m);
  const client = await stage.proxy.connect({ database: 'typeorm_through' });
  const planned = await plansOf(client, statements);
  context.diagnostic(summaryOf(planned));
  assert.ok(planned.length > 35, 'there are many kinds of statements');
  assert.deepEqual(
    planned.filter(({ plan }) => plan !== 'statement' && plan !== 'rows'),
    [],
  );
});
