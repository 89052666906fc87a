import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { routeTable } from './route-table.ts';
import { statementOf } from './reading.ts';

suite('every statement has one route and a reason', () => {
  for (const { text, route, reason, kind, pins, block } of routeTable) {
    test(`${route}: ${text}`, () => {
      const statement = statementOf(text);
      assert.deepEqual({ route: statement.route, reason: statement.reason }, { route, reason });
      assert.equal(statement.block, block ?? 'allowed');
      if (kind !== undefined) assert.equal(statement.command.kind, kind);
      if (pins !== undefined) assert.deepEqual(statement.pins, pins);
    });
  }
});

test('the table holds what it promises', () => {
  assert(routeTable.length >= 200, `${routeTable.length} statements`);
  assert.equal(new Set(routeTable.map(({ text }) => text)).size, routeTable.length, 'a text is there twice');
});

test('a statement that the grammar knows and pprox does not goes to the writers', async () => {
  const { classify } = await import('../../../src/sql/classify.ts');
  const inner = { FuncCall: { funcname: [{ String: { sval: 'f' } }] } };
  const statement = classify({ MigrateStmt: { to: inner } }, Buffer.alloc(0));
  assert.equal(statement.route, 'writers');
  assert.equal(statement.reason, 'unknown statement MigrateStmt');
  assert.deepEqual(statement.functions, [{ schema: undefined, name: 'f' }]);
});
