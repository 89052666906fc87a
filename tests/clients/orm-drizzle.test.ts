/** Drizzle: a schema of its migrator's, statements prepared under names, and what eight workers do with them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareSeen, dsnOf } from './comparison.ts';
import { drizzleScenario } from './orm-drizzle/scenario.ts';
import { plansOf, type Statement, summaryOf } from './orm/statements.ts';
import { openStage } from './stage.ts';

const stage = await openStage({ major: 18 });

test('Drizzle with migrations, named prepared statements and eight workers sees what it sees on the lead', async (context) => {
  const statements: Statement[] = [];
  const seen = await compareSeen(stage, 'drizzle', (target, database) => {
    statements.length = 0;
    return drizzleScenario(dsnOf(target, database), statements);
  });
  assert.match(seen, /^shared: \[\{"visits":24\}\]$/m);
  assert.match(seen, /^unique: \[\["23505","customers_email_unique"\]\]$/m);
  const client = await stage.proxy.connect({ database: 'drizzle_through' });
  const planned = await plansOf(client, statements);
  context.diagnostic(summaryOf(planned));
  assert.ok(planned.length > 15, 'there are many kinds of statements');
  assert.deepEqual(
    planned.filter(({ plan }) => plan !== 'statement' && plan !== 'rows'),
    [],
  );
});
