/** What an UPDATE or DELETE says about its rows. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Modification, NestedWrite } from '../../../src/sql/statement.ts';
import { statementOf } from './reading.ts';

function modification(text: string): Modification {
  const { command } = statementOf(text);
  assert.ok(command.kind === 'modify' && command.modification !== undefined, text);
  return command.modification;
}

suite('columns that tell the row', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['UPDATE t SET a = 1 WHERE id = 5', ['id']],
    ['UPDATE t SET a = 1 WHERE 5 = id', ['id']],
    ['UPDATE t SET a = 1 WHERE id = $1', ['id']],
    ['UPDATE t SET a = 1 WHERE id = $1::bigint', ['id']],
    ["UPDATE t SET a = 1 WHERE id = '5'::int::bigint AND b > 3", ['id']],
    ['UPDATE t SET a = 1 WHERE t.id = 5 AND (t.b = 6 AND c = 7)', ['b', 'c', 'id']],
    ['UPDATE t AS u SET a = 1 WHERE u.id = 5', ['id']],
    ['DELETE FROM "T" WHERE "Id" = 5', ['Id']],
    // Of another relation, or nothing that one value is given to.
    ['UPDATE t AS u SET a = 1 WHERE t.id = 5', []],
    ['UPDATE t SET a = 1 WHERE id = b', []],
    ['UPDATE t SET a = 1 WHERE id = 5 OR b = 6', []],
    ['UPDATE t SET a = 1 WHERE NOT id = 5', []],
    ['UPDATE t SET a = 1 WHERE id IN (5)', []],
    ['UPDATE t SET a = 1 WHERE id = ANY ($1)', []],
    ['UPDATE t SET a = 1 WHERE id > 5', []],
    ['UPDATE t SET a = 1 WHERE id OPERATOR(s.=) 5', []],
    ['UPDATE t SET a = 1 WHERE id = (SELECT 5)', []],
    ['UPDATE t SET a = 1 WHERE id = f(5)', []],
    ['UPDATE t SET a = 1', []],
  ];
  for (const [text, expected] of cases) {
    test(text, () => assert.deepEqual(modification(text).equated.toSorted(), expected));
  }
});

suite('whether other rows are read', () => {
  const own = [
    'UPDATE t SET a = a + 1, b = coalesce(c, 2) WHERE id = 5',
    'UPDATE t SET a = CASE WHEN b > 1 THEN lower(c) END WHERE a LIKE $1',
    'DELETE FROM t WHERE a = ANY ($1) RETURNING id, a || b',
  ];
  const others = [
    'UPDATE t SET a = u.a FROM u WHERE t.id = u.id',
    'UPDATE t SET a = v.a FROM (VALUES (1, 2)) AS v (id, a) WHERE t.id = v.id',
    'UPDATE t SET a = (SELECT max(a) FROM t) WHERE id = 5',
    'UPDATE t SET (a, b) = (SELECT 1, x FROM u) WHERE id = 5',
    'UPDATE t SET a = 1 WHERE id IN (SELECT id FROM u LIMIT 1)',
    'UPDATE t SET a = 1 WHERE EXISTS (SELECT FROM u)',
    'UPDATE t SET a = 1 WHERE CURRENT OF c',
    'DELETE FROM t USING u WHERE t.id = u.id',
    'WITH x AS (SELECT 1 AS id) DELETE FROM t USING x WHERE t.id = x.id',
    'DELETE FROM t WHERE id = 5 RETURNING (SELECT count(*) FROM t)',
  ];
  for (const text of own) test(text, () => assert.equal(modification(text).reads, 'own row'));
  for (const text of others) test(text, () => assert.equal(modification(text).reads, 'other rows'));
});

suite('what is given', () => {
  test('columns, their parts and lists of them', () => {
    const { assigned, defaulted } = modification(
      'UPDATE t SET a = 1, b[2] = 3, c.d = 4, (e, "F") = (5, 6), g = DEFAULT',
    );
    assert.deepEqual(assigned, ['a', 'b', 'c', 'e', 'F', 'g']);
    assert.deepEqual(defaulted, ['g']);
  });

  test('the keyword DEFAULT in a list', () => {
    const { defaulted } = modification(
      'UPDATE t SET (a, b) = (DEFAULT, 5), (c, d) = ROW(1, DEFAULT), (e, f) = (SELECT 1, 2)',
    );
    assert.deepEqual(defaulted, ['a', 'd']);
  });

  test('nothing by a DELETE', () => assert.deepEqual(modification('DELETE FROM t').assigned, []));

  test('ONLY', () => {
    assert.equal(modification('UPDATE ONLY t SET a = 1').only, true);
    assert.equal(modification('UPDATE t * SET a = 1').only, false);
  });
});

suite('changes below WITH', () => {
  const cases: readonly (readonly [string, readonly (readonly [string, NestedWrite['what'] | 'keyed'])[]])[] = [
    ['WITH x AS (UPDATE t SET a = 1 WHERE id = 5 RETURNING *) SELECT * FROM x', [['t', 'keyed']]],
    ['WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x', [['t', 'rows']]],
    ['WITH x AS (INSERT INTO t VALUES (1), (2) ON CONFLICT DO NOTHING) SELECT 1', [['t', 'other']]],
    ['WITH x AS (INSERT INTO t SELECT * FROM u) SELECT 1', [['t', 'other']]],
    [
      'WITH x AS (DELETE FROM t WHERE id = 1), y AS (INSERT INTO u DEFAULT VALUES) SELECT 1',
      [
        ['t', 'keyed'],
        ['u', 'rows'],
      ],
    ],
  ];
  for (const [text, expected] of cases) {
    test(text, () => {
      const found = statementOf(text).nested.map(({ target, what }) => [
        target.name,
        typeof what === 'string' ? what : what.equated.length > 0 ? 'keyed' : 'anything',
      ]);
      assert.deepEqual(found, expected);
    });
  }

  test('what is read beside them is told', () => {
    const reads = (text: string): readonly string[] => statementOf(text).reads.map(({ name }) => name);
    assert.deepEqual(reads('WITH x AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM x'), []);
    assert.deepEqual(reads('WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x, t'), ['t']);
    assert.deepEqual(reads('MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE'), ['u']);
  });
});

suite('what depends on the order of rows', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['UPDATE t SET a = 1 WHERE id IN (SELECT id FROM u LIMIT 1)', ['LIMIT']],
    ['UPDATE t SET a = 1 WHERE id IN (SELECT id FROM u OFFSET 1)', ['LIMIT']],
    ['DELETE FROM t WHERE id IN (SELECT DISTINCT ON (a) id FROM t)', ['DISTINCT ON']],
    ['DELETE FROM t WHERE id IN (SELECT DISTINCT id FROM t)', []],
    ['DELETE FROM t WHERE id IN (SELECT id FROM t FOR UPDATE SKIP LOCKED)', ['SKIP LOCKED']],
    ['DELETE FROM t WHERE id IN (SELECT id FROM t FOR UPDATE)', []],
    ['UPDATE t SET a = (SELECT string_agg(b, $1) FROM u)', ['string_agg()']],
    ['UPDATE t SET a = r FROM (SELECT id, row_number() OVER (ORDER BY x) AS r FROM t) u', ['row_number()']],
    ['UPDATE t SET a = (SELECT count(*) FROM u)', []],
  ];
  for (const [text, expected] of cases) test(text, () => assert.deepEqual(statementOf(text).order, expected));
});
