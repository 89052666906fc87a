import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { statementOf } from './reading.ts';

/** Words of time and where they are: `today: a b =` for columns and operators, `today` alone where any type is possible. */
function wordsOf(text: string): string[] {
  return statementOf(text)
    .nondeterminism.map(({ name, column }) =>
      column === undefined ? name : `${name}: ${[...column.columns, ...column.operators].join(' ')}`,
    )
    .toSorted();
}

suite('a constant has the type of a column', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["UPDATE t SET a = 'now'", ["'now': a"]],
    ["UPDATE t SET a = 'now' WHERE b = 'now'", ["'now': a", "'now': b ="]],
    ["UPDATE t SET a = 'today'::text, b = 'now'::varchar(10)", ["'now': b", "'today': a"]],
    ["UPDATE t SET a = coalesce(b, 'now')", ["'now': b a"]],
    ["UPDATE t SET a = CASE WHEN b > 1 THEN 'now' WHEN b > 2 THEN c ELSE 'today' END", ["'now': c a", "'today': c a"]],
    ["UPDATE t SET a = a || 'now'", ["'now': a ||"]],
    ["UPDATE ONLY s.t AS x SET a = 'now' WHERE x.b <> 'today'", ["'now': a", "'today': b <>"]],
    ["DELETE FROM t WHERE NOT (a = 'now' OR 'today' < b) AND c IS NULL", ["'now': a =", "'today': b <"]],
    ["DELETE FROM t WHERE a IN ('now', 'x') AND b NOT IN ('today', NULL)", ["'now': a =", "'today': b <>"]],
    ["DELETE FROM t WHERE a LIKE 'now' OR a NOT ILIKE 'today'", ["'now': a ~~", "'today': a !~~*"]],
    ["DELETE FROM t WHERE a IS DISTINCT FROM 'now'", ["'now': a ="]],
    ["DELETE FROM t WHERE a ->> 'b' = 'now'", ["'now': a = ->>"]],
    ["DELETE FROM t WHERE a || b = 'now'", ["'now': a b = ||"]],
    ["INSERT INTO t (a, b) VALUES (1, 'now'), ('today', 2)", ["'now': b", "'today': a"]],
    ["INSERT INTO t (a, b) VALUES ('today'::text, DEFAULT)", ["'today': a"]],
  ];
  for (const [text, words] of cases) test(text, () => assert.deepEqual(wordsOf(text), words));
});

suite('a constant may be of another type', () => {
  const cases = [
    // Of an expression.
    "UPDATE t SET a = lower('now')",
    "UPDATE t SET a = date 'now'",
    "UPDATE t SET a = 'now'::date::text",
    "UPDATE t SET a = coalesce('now', b::date)",
    "UPDATE t SET a = CASE WHEN b THEN 'now' ELSE b::text::date END",
    "UPDATE t SET a = CASE 'now' WHEN b THEN 1 END",
    "UPDATE t SET a = CASE WHEN b = 'now' THEN c END",
    "UPDATE t SET a = 'now' - b",
    "UPDATE t SET a = (SELECT 'now')",
    "UPDATE t SET a = ARRAY['now']",
    "UPDATE t SET a = $1 || 'now'",
    "UPDATE t SET (a, b) = ('now', 1)",
    "UPDATE t SET a[1] = 'now'",
    "UPDATE t SET a.b = 'now'",
    // Beside one.
    "DELETE FROM t WHERE lower(a) = 'now'",
    "DELETE FROM t WHERE a::date = 'now'",
    "DELETE FROM t WHERE 'now' = 'now'",
    "DELETE FROM t WHERE (a = 'now') = b",
    "DELETE FROM t WHERE a BETWEEN 'now' AND b",
    "DELETE FROM t WHERE (a, b) = ('now', 1)",
    "DELETE FROM t WHERE a + 'now' > 1",
    "DELETE FROM t WHERE a OPERATOR(s.=) 'now'",
    "DELETE FROM t WHERE a IN ('now', b)",
    "DELETE FROM t WHERE a = ANY (ARRAY['now'])",
    "DELETE FROM t WHERE a LIKE 'now' ESCAPE '!'",
    "DELETE FROM t WHERE coalesce(a = 'now', true)",
    // Of other tables.
    "UPDATE t SET a = 'now' FROM u",
    "DELETE FROM t USING u WHERE a = 'now'",
    "DELETE FROM t WHERE u.a = 'now'",
    "DELETE FROM t AS x WHERE t.a = 'now'",
    "DELETE FROM t WHERE EXISTS (SELECT FROM u WHERE a = 'now')",
    "WITH x AS (DELETE FROM t WHERE a = 'now') SELECT 1",
    "MERGE INTO t USING u ON a = 'now' WHEN MATCHED THEN DELETE",
    "INSERT INTO t VALUES ('now')",
    "INSERT INTO t (a) SELECT 'now'",
    "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 'now'",
    "UPDATE t SET b = 1 RETURNING a = 'now'",
  ];
  for (const text of cases) test(text, () => assert.deepEqual(wordsOf(text), ["'now'"]));
});

test('a parameter has the type of columns where all its places are theirs', () => {
  const parameters = (text: string): unknown =>
    Object.fromEntries(
      [...statementOf(text).columnParameters].map(([number, places]) => [
        number,
        places.map(({ columns }) => columns.join()),
      ]),
    );
  assert.deepEqual(parameters('UPDATE t SET a = $1, b = $2 WHERE c = $1'), { 1: ['a', 'c'], 2: ['b'] });
  assert.deepEqual(parameters('UPDATE t SET a = coalesce($1, b), c = $2::text'), { 1: ['b,a'], 2: ['c'] });
  assert.deepEqual(parameters('UPDATE t SET a = coalesce($1, $2)'), {});
  assert.deepEqual(parameters("UPDATE t SET a = $1 || 'x'"), {});
  assert.deepEqual(parameters('UPDATE t SET a = $1 WHERE b > $1::date'), {});
  assert.deepEqual(parameters('UPDATE t SET a = $1 RETURNING $1'), {});
  assert.deepEqual(parameters('UPDATE t SET a = $1 WHERE nextval($1) > 0'), {});
  assert.deepEqual(parameters('DELETE FROM t WHERE a IN ($1, $2) AND b = ANY ($3) AND c <> ALL ($4)'), {
    1: ['a'],
    2: ['a'],
    3: ['b'],
    4: ['c'],
  });
  assert.deepEqual(parameters('INSERT INTO t (a, b) VALUES ($1, $2), ($1, now() + $3)'), { 1: ['a', 'a'], 2: ['b'] });
});
