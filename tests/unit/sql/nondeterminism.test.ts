import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { cut, statementOf } from './reading.ts';
import { gap, integerConstant, stringConstant } from './sql-text.ts';

/** `kind name`, and for what can be replaced `= its text : type`. */
function partsOf(text: string): string[] {
  return statementOf(text).nondeterminism.map(({ kind, name, span, type }) => {
    assert.equal(type === undefined, span === undefined, 'a span and a type come together');
    return span === undefined ? `${kind} ${name}` : `${kind} ${name} = ${cut(text, span) ?? ''} : ${type ?? ''}`;
  });
}

const clock: readonly (readonly [call: string, name: string, type: string])[] = [
  ['now()', 'now()', 'timestamptz'],
  ['NOW ( )', 'now()', 'timestamptz'],
  ['"now"()', 'now()', 'timestamptz'],
  ['pg_catalog.now()', 'now()', 'timestamptz'],
  ['pg_catalog . "now" (\n)', 'now()', 'timestamptz'],
  ['now(/* ) */)', 'now()', 'timestamptz'],
  ['now -- (\n()', 'now()', 'timestamptz'],
  ['transaction_timestamp()', 'transaction_timestamp()', 'timestamptz'],
  ['CURRENT_TIMESTAMP', 'CURRENT_TIMESTAMP', 'timestamptz'],
  ['current_timestamp(3)', 'CURRENT_TIMESTAMP(3)', 'timestamptz(3)'],
  ['Current_Timestamp /* x */ ( /* ) */ 0 )', 'CURRENT_TIMESTAMP(0)', 'timestamptz(0)'],
  ['LOCALTIMESTAMP', 'LOCALTIMESTAMP', 'timestamp'],
  ['LOCALTIMESTAMP(6)', 'LOCALTIMESTAMP(6)', 'timestamp(6)'],
  ['CURRENT_DATE', 'CURRENT_DATE', 'date'],
  ['CURRENT_TIME', 'CURRENT_TIME', 'timetz'],
  ['CURRENT_TIME(2)', 'CURRENT_TIME(2)', 'timetz(2)'],
  ['LOCALTIME', 'LOCALTIME', 'time'],
  ['localtime(1)', 'LOCALTIME(1)', 'time(1)'],
];

suite('a clock function is cut out exactly, wherever it stands', () => {
  for (const [call, name, type] of clock) {
    test(call.replaceAll('\n', ' '), () => {
      const expected = `transaction time ${name} = ${call} : ${type}`;
      for (const text of [
        `INSERT INTO t VALUES ('é', ${call}, 2)`,
        `INSERT INTO t VALUES ('long constant before it', 1234567,${call})`,
        `UPDATE t SET a = ${call}`,
        `/* é */ UPDATE t SET a = 'x' WHERE b < ${call} - interval '1 day'`,
        `INSERT INTO t SELECT ${call} FROM u`,
        `INSERT INTO t SELECT 1 UNION ALL SELECT ${call}::text FROM u`,
        `DELETE FROM t WHERE a < ${call} RETURNING a`,
        `WITH x AS (SELECT 1) UPDATE t SET (a, b) = (${call}, 2)`,
        `EXPLAIN ANALYZE INSERT INTO t VALUES (${call})`,
        `CREATE TABLE x AS SELECT ${call} AS a`,
        `UPDATE t SET a = ${call} /* é */ , b = 1`,
        `INSERT INTO t VALUES ( ${call} -- x\n )`,
      ]) {
        assert.deepEqual(partsOf(text), [expected], text);
      }
    });
  }

  test('each of several, in several rows', () => {
    assert.deepEqual(partsOf("INSERT INTO t VALUES ('a',1,now()), ('bcd',234,now( )),('',5,now())"), [
      'transaction time now() = now() : timestamptz',
      'transaction time now() = now( ) : timestamptz',
      'transaction time now() = now() : timestamptz',
    ]);
  });

  test('behind any number of rows and elements that counted once', () => {
    const value = fc.oneof(
      stringConstant.map((text) => ` ${text}`),
      integerConstant,
    );
    const columns = fc.integer({ min: 1, max: 8 });
    const rowsOf = (width: number): fc.Arbitrary<string[]> => {
      const row = fc.tuple(
        ...Array.from({ length: width }, (_, at) => (at % 2 === 0 ? stringConstant : integerConstant)),
      );
      return fc.array(
        row.map((values) => `(${values.join(',')})`),
        { minLength: 1, maxLength: 6 },
      );
    };
    const elements = fc.array(value, { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(columns.chain(rowsOf), elements, gap, (rows, list, space) => {
        const text = `INSERT INTO t VALUES ${rows.join(`${space},${space}`)} RETURNING NOW( ),${space}Current_Date,a IN (${list.join(`,${space}`)})AND LocalTime${space}IN (${list.join(',')})`;
        assert.deepEqual(partsOf(text), [
          'transaction time now() = NOW( ) : timestamptz',
          'transaction time CURRENT_DATE = Current_Date : date',
          'transaction time LOCALTIME = LocalTime : time',
        ]);
      }),
      { numRuns: 300 },
    );
  });

  test('of a column that ALTER TABLE adds or makes another type of', () => {
    const text =
      'ALTER TABLE t ADD a timestamptz NOT NULL DEFAULT now(), ALTER b TYPE date USING CURRENT_DATE, ALTER c SET DEFAULT now()';
    assert.deepEqual(partsOf(text), [
      'transaction time now() = now() : timestamptz',
      'transaction time CURRENT_DATE = CURRENT_DATE : date',
    ]);
  });

  test('behind rows that counted once', () => {
    const text =
      "INSERT INTO t SELECT now() FROM (VALUES (1,'a'),(2,'bb'),(3,'ccc')) v WHERE a IN (1,2,3) AND b < CURRENT_DATE";
    assert.deepEqual(partsOf(text), [
      'transaction time now() = now() : timestamptz',
      'transaction time CURRENT_DATE = CURRENT_DATE : date',
    ]);
  });
});

suite('a clock function that cannot be replaced has no span', () => {
  const cases: readonly string[] = [
    'INSERT INTO t SELECT now FROM (SELECT now()) s',
    'INSERT INTO t SELECT now FROM (SELECT now()::date) s',
    'WITH x AS (SELECT now()) INSERT INTO t SELECT * FROM x',
    'WITH x AS (DELETE FROM u RETURNING now()) INSERT INTO t SELECT * FROM x',
    'INSERT INTO t SELECT * FROM now()',
    'INSERT INTO t SELECT * FROM ROWS FROM (now()) AS n',
    'CREATE TABLE x AS SELECT now()',
    'CREATE MATERIALIZED VIEW m AS SELECT now() AS a',
    'ALTER TABLE t ADD COLUMN a timestamptz CHECK (a < now())',
    'UPDATE t SET a = U&"\\006eow"()',
  ];
  for (const text of cases) test(text, () => assert.deepEqual(partsOf(text), ['transaction time now()']));

  test('the distance to the current date', () => {
    assert.deepEqual(partsOf('UPDATE t SET a = age(b)'), ['transaction time age()']);
    assert.deepEqual(partsOf('UPDATE t SET a = age(b, c)'), []);
  });
});

suite('what is stored for later does not count, but for constants', () => {
  for (const text of [
    'CREATE TABLE t (a timestamptz DEFAULT now(), b float DEFAULT random(), c int CHECK (c < pg_backend_pid()))',
    'CREATE VIEW v AS SELECT now(), random() FROM t',
    'CREATE INDEX ON t (f(a)) WHERE a < CURRENT_DATE',
    'ALTER TABLE t ALTER COLUMN a SET DEFAULT now()',
    'CREATE RULE r AS ON UPDATE TO t DO ALSO INSERT INTO u VALUES (now())',
    'CREATE POLICY p ON t USING (a = CURRENT_USER)',
    'CREATE FUNCTION f() RETURNS timestamptz RETURN now()',
  ]) {
    test(text, () => {
      assert.deepEqual(partsOf(text), []);
      assert.deepEqual(statementOf(text).functions, []);
    });
  }

  const constants: readonly (readonly [string, string])[] = [
    ["CREATE TABLE t (a timestamptz DEFAULT 'now')", "volatile 'now'"],
    ["ALTER TABLE t ALTER COLUMN a SET DEFAULT 'today'", "volatile 'today'"],
    ["CREATE VIEW v AS SELECT date 'tomorrow'", "volatile 'tomorrow'"],
    ["CREATE TABLE p PARTITION OF t FOR VALUES FROM ('yesterday') TO ('now')", "volatile 'yesterday'"],
    ["ALTER ROLE joe VALID UNTIL 'tomorrow'", "volatile 'tomorrow'"],
  ];
  for (const [text, part] of constants) test(text, () => assert.equal(partsOf(text)[0], part));
});

suite('other parts are named once', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['INSERT INTO t VALUES (1)', []],
    ["UPDATE t SET a = 'snow' WHERE b = 'known'", []],
    ["UPDATE t SET a = ' NOW '", ["volatile 'now'"]],
    ["UPDATE t SET a = 'today 10:00' WHERE b = E'To\\x64ay'", ["volatile 'today'", "volatile 'today'"]],
    ["UPDATE t SET a = 'allballs', b = $$Yesterday$$", ["volatile 'allballs'", "volatile 'yesterday'"]],
    ['UPDATE t SET a = random(), b = random()', ['volatile random()']],
    [
      'UPDATE t SET a = clock_timestamp(), b = statement_timestamp()',
      ['volatile clock_timestamp()', 'volatile statement_timestamp()'],
    ],
    ['INSERT INTO t VALUES (gen_random_uuid()), (uuidv7())', ['volatile gen_random_uuid()', 'volatile uuidv7()']],
    ["INSERT INTO t VALUES (nextval('s'))", ['volatile nextval()']],
    ['INSERT INTO t SELECT * FROM u TABLESAMPLE system (10)', ['volatile TABLESAMPLE']],
    ['INSERT INTO t SELECT * FROM u TABLESAMPLE system (10) REPEATABLE (1)', ['server TABLESAMPLE']],
    [
      'INSERT INTO t VALUES (pg_backend_pid(), version())',
      ['server pg_backend_pid() = pg_backend_pid() : int4', 'server version()'],
    ],
    [
      'UPDATE t SET a = CURRENT_USER, b = session_user, c = user, d = current_role',
      ['server CURRENT_USER', 'server SESSION_USER', 'server USER', 'server CURRENT_ROLE'],
    ],
    ["UPDATE t SET a = current_setting('b')", ['server current_setting()']],
    ["UPDATE t SET a = current_setting('app.user')", []],
    ['UPDATE t SET a = 0x1F, b = 1_0.5', ['server a number as PostgreSQL reads it from 16 on']],
    ['UPDATE t SET a_1 = 1e3, b = x_1 + 15', []],
    ['SELECT lo_create(0)', ['volatile lo_create()']],
    ['SELECT lo_create(5), lo_from_bytea(6, $1)', []],
    ['SELECT U&"lo_create"(0)', ['volatile lo_create()']],
    ["SELECT setval('s', 5), setval('s.\"T\"'::regclass, 5)", []],
    ["SELECT setval('16400', 5)", ['server setval() of a sequence by its number']],
    ["SELECT setval(' 16400'::regclass, 5)", ['server setval() of a sequence by its number']],
    ["SELECT setval('-', 5)", ['server setval() of a sequence by its number']],
    ['SELECT setval(16400, 5)', ['server setval() of a sequence by its number']],
    ['SELECT setval($1::int, 5)', ['server setval() of a sequence by its number']],
    ['SELECT setval($1::oid::regclass, 5)', ['server ::regclass']],
    ['SELECT setval($1::regclass[], 5)', ['server ::regclass']],
    ['SELECT setval($2, $1)', ['server $2, unless it is the name of an object']],
    ['SELECT setval($1::regclass, 5), setval($1, 6)', ['server $1, unless it is the name of an object']],
    ['DELETE FROM t WHERE a = $1::regclass::text', ['server $1, unless it is the name of an object']],
    ["DELETE FROM t WHERE a = '16400'::regclass::text", ['server ::regclass']],
    ['DELETE FROM t WHERE a = $1::regclass', ['server ::regclass']],
    ["UPDATE t SET a = 'u'::regclass WHERE ctid = '(0,1)'", ['server ::regclass', 'server ctid']],
    ['UPDATE t SET a = t.xmin', ['server xmin']],
    ['UPDATE t SET a = 1 WHERE CURRENT OF c', ['server WHERE CURRENT OF']],
    ["UPDATE t SET a = currval('s')", ['server currval()']],
    ['UPDATE t SET a = current_database(), b = lower(c), d = e + 1', []],
    ['EXECUTE p (now(), random())', ['transaction time now() = now() : timestamptz', 'volatile random()']],
    ['CALL p(now())', ['transaction time now() = now() : timestamptz']],
    ['SELECT now(), random()', ['transaction time now() = now() : timestamptz', 'volatile random()']],
    ['COPY t FROM STDIN WHERE a < random()', ['volatile random()']],
    [
      'MERGE INTO t USING u ON t.a = u.a WHEN MATCHED THEN UPDATE SET b = now()',
      ['transaction time now() = now() : timestamptz'],
    ],
    [
      'INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = now() WHERE t.c < random()',
      ['transaction time now() = now() : timestamptz', 'volatile random()'],
    ],
  ];
  for (const [text, parts] of cases) test(text, () => assert.deepEqual(partsOf(text), parts));
});
