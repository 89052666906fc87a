import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Command, QualifiedName } from '../../../src/sql/statement.ts';
import { statementOf } from './reading.ts';

function written({ schema, name }: QualifiedName): string {
  return schema === undefined ? name : `${schema}.${name}`;
}

suite('INSERT says what it gives to which columns', () => {
  const plain = {
    kind: 'insert',
    target: { schema: undefined, name: 't' },
    alias: undefined,
    columns: undefined,
    source: 'rows',
    defaultPositions: [],
    width: 1,
    onConflict: 'error',
    conflictColumns: [],
    conflictDefaults: [],
    overriding: 'nothing or system value',
    several: false,
    reads: 'own row',
    hasReturning: false,
    hasWritingWith: false,
  } satisfies Command;
  const query = { source: 'query', width: undefined, several: true, reads: 'other rows' } as const;

  const cases: readonly (readonly [string, Partial<Command & { kind: 'insert' }>])[] = [
    ['INSERT INTO t VALUES (1)', {}],
    ['INSERT INTO "S"."T t" AS a VALUES (1)', { target: { schema: 'S', name: 'T t' }, alias: 'a' }],
    ['INSERT INTO t (B, "C") VALUES (1, 2)', { columns: ['b', 'C'], width: 2 }],
    ['INSERT INTO t (a[1], b.c) VALUES (1, 2)', { columns: ['a', 'b'], width: 2 }],
    ['INSERT INTO t DEFAULT VALUES', { width: 0 }],
    ['INSERT INTO t VALUES (DEFAULT, 1), (2, DEFAULT), (3, 4)', { defaultPositions: [0, 1], width: 2, several: true }],
    ['INSERT INTO t VALUES (1, 2, DEFAULT)', { defaultPositions: [2], width: 3 }],
    ['INSERT INTO t VALUES (1 + 2, lower($1))', { width: 2 }],
    ['INSERT INTO t VALUES ((SELECT max(a) FROM u))', query],
    ['INSERT INTO t VALUES (f(1))', {}],
    ['INSERT INTO t SELECT 1, 2', { width: 2 }],
    ['INSERT INTO t SELECT * FROM u', query],
    ['INSERT INTO t TABLE u', query],
    ['INSERT INTO t SELECT generate_series(1, 3)', query],
    ['INSERT INTO t SELECT f(1)', query],
    ['INSERT INTO t SELECT 1 WHERE false', query],
    ['INSERT INTO t SELECT 1 UNION SELECT 2', query],
    ['INSERT INTO t VALUES (1), (2) LIMIT 1', query],
    ['WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x', query],
    ['WITH x AS (DELETE FROM u RETURNING *) INSERT INTO t VALUES (1)', { hasWritingWith: true }],
    ['INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING', { onConflict: 'nothing' }],
    [
      'INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1, (c, d) = (2, 3)',
      { onConflict: 'update', conflictColumns: ['b', 'c', 'd'] },
    ],
    ['INSERT INTO t VALUES (1) RETURNING *', { hasReturning: true }],
    ['INSERT INTO t OVERRIDING SYSTEM VALUE VALUES (1)', {}],
    ['EXPLAIN ANALYZE INSERT INTO t VALUES (1)', {}],
  ];
  for (const [text, expected] of cases) {
    test(text, () => assert.deepEqual(statementOf(text).command, { ...plain, ...expected }));
  }
});

suite('commands carry what is to be known of them', () => {
  const modes = { access: undefined, isolation: undefined, deferrable: undefined };
  const cases: readonly (readonly [string, Command])[] = [
    [
      'UPDATE s.t SET a = 1 RETURNING b',
      {
        kind: 'modify',
        alias: undefined,
        statement: 'update',
        target: { schema: 's', name: 't' },
        hasReturning: true,
        modification: { only: false, assigned: ['a'], defaulted: [], equated: [], reads: 'own row', selects: true },
        merged: undefined,
        hasWritingWith: false,
      },
    ],
    [
      'DELETE FROM ONLY t',
      {
        kind: 'modify',
        alias: undefined,
        statement: 'delete',
        target: { schema: undefined, name: 't' },
        hasReturning: false,
        modification: { only: true, assigned: [], defaulted: [], equated: [], reads: 'own row', selects: false },
        merged: undefined,
        hasWritingWith: false,
      },
    ],
    [
      'MERGE INTO t USING u ON true WHEN MATCHED THEN DO NOTHING',
      {
        kind: 'modify',
        alias: undefined,
        statement: 'merge',
        target: { schema: undefined, name: 't' },
        hasReturning: false,
        modification: undefined,
        merged: { assigned: [], deletes: 'none' },
        hasWritingWith: false,
      },
    ],
    [
      'MERGE INTO t USING u ON true WHEN MATCHED AND a THEN UPDATE SET b = 1, c = 2 WHEN MATCHED THEN DELETE',
      {
        kind: 'modify',
        alias: undefined,
        statement: 'merge',
        target: { schema: undefined, name: 't' },
        hasReturning: false,
        modification: undefined,
        merged: { assigned: ['b', 'c'], deletes: 'some' },
        hasWritingWith: false,
      },
    ],
    [
      'WITH x AS (DELETE FROM t) SELECT 1',
      {
        kind: 'modify',
        alias: undefined,
        statement: 'select',
        target: undefined,
        hasReturning: true,
        modification: undefined,
        merged: undefined,
        hasWritingWith: true,
      },
    ],
    [
      'COPY s.t (a, "B") FROM STDIN',
      {
        kind: 'copy in',
        source: 'stdin',
        target: { schema: 's', name: 't' },
        columns: ['a', 'B'],
        marks: 'none',
        quotes: 'the usual ones',
      },
    ],
    [
      "COPY t FROM ''",
      {
        kind: 'copy in',
        source: 'server',
        target: { schema: undefined, name: 't' },
        columns: undefined,
        marks: 'none',
        quotes: 'the usual ones',
      },
    ],
    ["COPY t TO ''", { kind: 'copy out', sink: 'server' }],
    ["COPY t TO PROGRAM ''", { kind: 'copy out', sink: 'server' }],
    ['COPY t TO STDOUT', { kind: 'copy out', sink: 'stdout' }],
    ['BEGIN', { kind: 'transaction', action: 'begin', modes, words: 'BEGIN' }],
    [
      'BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY, NOT DEFERRABLE',
      {
        kind: 'transaction',
        action: 'begin',
        modes: { access: 'read only', isolation: 'repeatable read', deferrable: false },
        words: 'BEGIN',
      },
    ],
    [
      'START TRANSACTION READ WRITE, ISOLATION LEVEL SERIALIZABLE DEFERRABLE',
      {
        kind: 'transaction',
        action: 'begin',
        modes: { access: 'read write', isolation: 'serializable', deferrable: true },
        words: 'START TRANSACTION',
      },
    ],
    ['COMMIT AND CHAIN', { kind: 'transaction', action: 'commit', chain: true }],
    ['END', { kind: 'transaction', action: 'commit', chain: false }],
    ['ROLLBACK WORK AND NO CHAIN', { kind: 'transaction', action: 'rollback', chain: false }],
    ['ABORT AND CHAIN', { kind: 'transaction', action: 'rollback', chain: true }],
    ['SAVEPOINT "A b"', { kind: 'transaction', action: 'savepoint', name: 'A b' }],
    ['RELEASE SAVEPOINT A', { kind: 'transaction', action: 'release', name: 'a' }],
    ['ROLLBACK TRANSACTION TO SAVEPOINT a', { kind: 'transaction', action: 'rollback to', name: 'a' }],
    ["PREPARE TRANSACTION 'x'", { kind: 'transaction', action: 'prepare' }],
    ["COMMIT PREPARED 'x'", { kind: 'transaction', action: 'commit prepared' }],
    ["ROLLBACK PREPARED 'x'", { kind: 'transaction', action: 'rollback prepared' }],
    [
      'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
      { kind: 'set transaction', scope: 'transaction', modes: { ...modes, isolation: 'read committed' } },
    ],
    [
      'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
      { kind: 'set transaction', scope: 'session', modes: { ...modes, access: 'read only' } },
    ],
    [
      'SET transaction_read_only = 1',
      { kind: 'set transaction', scope: 'transaction', modes: { ...modes, access: 'read only' } },
    ],
    [
      'SET transaction_read_only TO off',
      { kind: 'set transaction', scope: 'transaction', modes: { ...modes, access: 'read write' } },
    ],
    [
      "SET LOCAL transaction_isolation = 'Serializable'",
      { kind: 'set transaction', scope: 'transaction', modes: { ...modes, isolation: 'serializable' } },
    ],
    [
      "SET default_transaction_read_only = 'f'",
      { kind: 'set transaction', scope: 'session', modes: { ...modes, access: 'read write' } },
    ],
    [
      'SET LOCAL default_transaction_read_only = on',
      { kind: 'set', scope: 'local', name: 'default_transaction_read_only' },
    ],
    [
      'SET default_transaction_read_only TO DEFAULT',
      { kind: 'set', scope: 'session', name: 'default_transaction_read_only' },
    ],
    ['SET Work_Mem = 64', { kind: 'set', scope: 'session', name: 'work_mem' }],
    ['SET LOCAL a.b TO c', { kind: 'set', scope: 'local', name: 'a.b' }],
    ["SET TIME ZONE 'UTC'", { kind: 'set', scope: 'session', name: 'timezone' }],
    ["SET NAMES 'LATIN1'", { kind: 'set', scope: 'session', name: 'client_encoding' }],
    ["SET SCHEMA 'a'", { kind: 'set', scope: 'session', name: 'search_path' }],
    ['SET LOCAL ROLE NONE', { kind: 'set', scope: 'local', name: 'role' }],
    ['SET SESSION AUTHORIZATION DEFAULT', { kind: 'set', scope: 'session', name: 'session_authorization' }],
    ['RESET work_mem', { kind: 'set', scope: 'session', name: 'work_mem' }],
    ['RESET ALL', { kind: 'set', scope: 'session', name: 'all' }],
    ['DISCARD ALL', { kind: 'discard', what: 'all' }],
    ['DISCARD PLANS', { kind: 'discard', what: 'plans' }],
    ['DISCARD SEQUENCES', { kind: 'discard', what: 'sequences' }],
    ['DISCARD TEMPORARY', { kind: 'discard', what: 'temp' }],
    ['EXECUTE "P" (1)', { kind: 'execute', name: 'P', count: 1 }],
    ['PREPARE p (int) AS DELETE FROM t WHERE a = $1', { kind: 'prepare', name: 'p' }],
    ['DEALLOCATE PREPARE p', { kind: 'deallocate', name: 'p' }],
    ['DEALLOCATE ALL', { kind: 'deallocate', name: undefined }],
    ['VACUUM t', { kind: 'utility', name: 'VACUUM' }],
  ];
  for (const [text, command] of cases) test(text, () => assert.deepEqual(statementOf(text).command, command));

  test('what executes a prepared statement says which', () => {
    for (const text of ['EXECUTE p', 'EXPLAIN EXECUTE p', 'EXPLAIN ANALYZE EXECUTE p', 'CREATE TABLE x AS EXECUTE p'])
      assert.equal(statementOf(text).executes, 'p', text);
    assert.equal(statementOf('SELECT 1').executes, undefined);
  });

  test('EXPLAIN ANALYZE is its statement, and says that it explains', () => {
    const run = statementOf('EXPLAIN ANALYZE DELETE FROM t');
    assert.equal(run.explains, true);
    assert.equal(run.node, 'ExplainStmt');
    assert.equal(run.command.kind, 'modify');
    assert.equal(statementOf('EXPLAIN DELETE FROM t').explains, false);
    assert.equal(statementOf('DELETE FROM t').explains, false);
  });
});

suite('names are collected for the catalog', () => {
  const relations: readonly (readonly [string, readonly string[]])[] = [
    ['SELECT * FROM a, s.b JOIN "C" USING (x)', ['a', 's.b', 'C']],
    ['SELECT (SELECT 1 FROM a) FROM b WHERE EXISTS (SELECT FROM c)', ['b', 'a', 'c'].toSorted()],
    ['WITH x AS (SELECT * FROM a) SELECT * FROM x, s.x', ['a', 's.x']],
    ['WITH x AS (SELECT * FROM x) SELECT * FROM x', ['x']],
    ['WITH RECURSIVE x AS (SELECT * FROM x) SELECT * FROM x', []],
    ['WITH x AS (SELECT 1), y AS (SELECT * FROM x) SELECT * FROM y', []],
    ['WITH y AS (SELECT * FROM x), x AS (SELECT 1) SELECT * FROM y', ['x']],
    ['WITH RECURSIVE y AS (SELECT * FROM x), x AS (SELECT 1) SELECT * FROM y', []],
    ['SELECT * FROM (WITH x AS (SELECT 1) SELECT * FROM x) s, x', ['x']],
    ['WITH t AS (SELECT 1) INSERT INTO t SELECT * FROM t', ['t']],
    ['INSERT INTO t SELECT * FROM a', ['t', 'a']],
    ['UPDATE t SET a = b.c FROM b', ['t', 'b']],
    ['DELETE FROM t USING b', ['t', 'b']],
    ['MERGE INTO t USING b ON true WHEN MATCHED THEN DELETE', ['t', 'b']],
    ['SELECT * FROM t x FOR UPDATE OF x', ['t']],
    ['CREATE TABLE x AS SELECT * FROM a', ['x', 'a']],
    ['SELECT * INTO x FROM a', ['x', 'a']],
    ['CREATE TEMP TABLE x (a int)', ['x']],
    ['CREATE VIEW v AS SELECT * FROM a', ['v', 'a']],
    ['DROP TABLE a, s.b', ['a', 's.b']],
    ['DROP FUNCTION f()', []],
    ['TRUNCATE a, s.b', ['a', 's.b']],
    ['LOCK a', ['a']],
    ['VACUUM a', ['a']],
    ['COPY a TO STDOUT', ['a']],
    ['COPY a FROM STDIN', ['a']],
    ['CREATE INDEX ON a (b)', ['a']],
    ['ALTER TABLE a ADD b int', ['a']],
    ['SET CONSTRAINTS a DEFERRED', []],
  ];
  for (const [text, names] of relations) {
    test(`relations of ${text}`, () => {
      const found = statementOf(text).relations.map(written);
      assert.deepEqual(text.startsWith('SELECT (') ? found.toSorted() : found, names);
    });
  }

  test('functions that are not built in, with CALL and table functions', () => {
    const functions = (text: string): string[] => statementOf(text).functions.map(written);
    assert.deepEqual(
      functions('SELECT f(g(1)), s.h(), pg_catalog.lower(a), lower(b), public.now()'),
      ['f', 'g', 's.h', 'public.now'].toSorted(
        (a, b) => 'f g s.h public.now'.indexOf(a) - 'f g s.h public.now'.indexOf(b),
      ),
    );
    assert.deepEqual(functions('SELECT * FROM f(1), LATERAL g(2)'), ['f', 'g']);
    assert.deepEqual(functions('CALL s.p(f(1))'), ['s.p', 'f']);
    assert.deepEqual(functions('SELECT * FROM t TABLESAMPLE m (1)'), ['m']);
    assert.deepEqual(functions('SELECT count(*) FILTER (WHERE f(a)) OVER (ORDER BY g(b)) FROM t'), ['f', 'g']);
    assert.deepEqual(functions('UPDATE t SET a = f() WHERE pg_temp.g()'), ['f', 'pg_temp.g']);
  });

  test('built-in functions that a user may have overloaded', () => {
    assert.deepEqual(statementOf('SELECT lower(a), pg_catalog.upper(b), extract(year FROM c), f(d)').shadowable, [
      'lower',
    ]);
  });

  test('columns that may be calls', () => {
    assert.deepEqual(statementOf('SELECT t.a, b, (t).c, s.t.d, t.* FROM t').attributes.toSorted(), ['a', 'c', 'd']);
  });

  test('operators, those behind keywords too', () => {
    const operators = (text: string): string[] => statementOf(text).operators.map(written).toSorted();
    assert.deepEqual(operators('SELECT a + b, a OPERATOR(s.@@) b, @ c FROM t'), ['+', '@', 's.@@']);
    assert.deepEqual(operators('SELECT a BETWEEN 1 AND 2, a LIKE b, a NOT ILIKE c'), ['!~~*', '<=', '>=', '~~']);
    assert.deepEqual(operators('SELECT a IN (1, 2), a = ANY (b), NULLIF(a, b), a IS DISTINCT FROM b'), ['=']);
    assert.deepEqual(operators('SELECT CASE a WHEN 1 THEN 2 END'), ['=']);
    assert.deepEqual(operators('SELECT * FROM a JOIN b USING (c)'), ['=']);
    assert.deepEqual(operators('SELECT * FROM a ORDER BY b USING >'), ['>']);
    assert.deepEqual(operators('SELECT a IN (SELECT 1), a < ALL (SELECT 1)'), ['<', '=']);
  });

  test('names of what a server is', () => {
    assert.deepEqual(statementOf('INSERT INTO t VALUES (current_catalog, current_schema)').unportable, [
      'current_catalog',
      'current_schema',
    ]);
  });

  test('operators that servers may take in different ways, unless they are about numbers', () => {
    const operators = (text: string): readonly string[] =>
      statementOf(text).unportableOperators.map(({ name, columns }) => [name, ...columns].join(' '));
    for (const [text, found] of [
      ['UPDATE t SET a = b < c WHERE id = 1', ['< b c']],
      ["UPDATE t SET a = CASE WHEN t.b BETWEEN 'a' AND 'z' THEN 1 END WHERE id = 1", ['BETWEEN b']],
      ["INSERT INTO t VALUES (greatest(1, 2), least('a', $1), 'x' ~* 'y', 2 ^ 0.3)", ['LEAST', '~*', '^']],
      ['UPDATE t SET n = n + 1, m = n * 2 - $1, s = s || $2 WHERE id = 1', []],
      ['UPDATE t SET a = n > 5, b = n <= 7.5, c = n < $1::int, d = n BETWEEN 1 AND $2 WHERE id = 1', []],
      ["CREATE INDEX ON t ((a < 'b'))", []],
    ] as const)
      assert.deepEqual(operators(text), found, text);
  });

  test('sequences by name, and whose state is asked for', () => {
    const sequences = (text: string): unknown => statementOf(text).sequences;
    const cases: readonly (readonly [string, 'none' | 'nextval' | 'setval', string[], number[]?])[] = [
      ['SELECT 1', 'none', []],
      ["SELECT nextval('a'), nextval('s.\"B\"'::regclass)", 'nextval', ['a', 's."B"']],
      ["SELECT setval('a', 1), nextval('b')", 'setval', ['a', 'b']],
      ["SELECT setval(pg_get_serial_sequence('t', 'id'), 1)", 'setval', []],
      ["SELECT nextval('a'), nextval(pg_get_serial_sequence('t', 'id'))", 'nextval', []],
      ['SELECT nextval($1)', 'nextval', [], [1]],
      ["SELECT setval($2::text::regclass, $1), nextval('a')", 'setval', ['a'], [2]],
      ['SELECT nextval($1::oid::regclass)', 'nextval', []],
      ['SELECT U&"nextval"(\'a\')', 'nextval', ['a']],
      ["CREATE TABLE t (a int DEFAULT nextval('s'))", 'none', []],
      ["ALTER TABLE t ADD a int DEFAULT nextval('s')", 'nextval', ['s']],
    ];
    for (const [text, calls, names, parameters = []] of cases)
      assert.deepEqual(sequences(text), { calls, sets: calls === 'setval' ? 'some' : 'none', names, parameters }, text);
    for (const [text, sets] of [
      ['TRUNCATE t RESTART IDENTITY', 'some'],
      ['TRUNCATE t', 'none'],
      ['ALTER SEQUENCE s RESTART', 'some'],
      ['ALTER TABLE t ALTER id RESTART WITH 7', 'some'],
      ['ALTER TABLE t ALTER id SET NOT NULL', 'none'],
    ] as const)
      assert.deepEqual(sequences(text), { calls: 'none', sets, names: [], parameters: [] }, text);
    assert.equal(statementOf("SELECT currval('a')").needsSequenceState, true);
    assert.equal(statementOf('INSERT INTO t VALUES (lastval())').needsSequenceState, true);
    assert.equal(statementOf("SELECT nextval('a')").needsSequenceState, false);
  });
});
