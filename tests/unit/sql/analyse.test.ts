import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { Analyser, loadParser } from '../../../src/sql/analyse.ts';
import { parserReplacement } from '../../../src/sql/parser.ts';
import type { Analysis, Lexis } from '../../../src/sql/statement.ts';
import { lexis } from './reading.ts';
import { statementText } from './sql-text.ts';

await loadParser();

function analyser(options: Partial<ConstructorParameters<typeof Analyser>[0]> = {}): Analyser {
  return new Analyser({ cacheSize: 100, sizeLimitBytes: 64 * 1024, ...options });
}

const shared = analyser();

function analyse(text: string | Buffer, how: Partial<Lexis> = {}): Analysis {
  return shared.analyse(Buffer.from(text), { ...lexis, ...how });
}

/** `statements` with their routes, or why there are none. */
function outcome(text: string | Buffer, how: Partial<Lexis> = {}): string {
  const analysis = analyse(text, how);
  return analysis.kind === 'unreadable' ? analysis.why : analysis.statements.map(({ route }) => route).join(' ');
}

function pieces(text: string): string[] {
  const analysis = analyse(text);
  assert(analysis.kind === 'statements', text);
  return analysis.statements.map(({ span }) => Buffer.from(text).toString('utf8', span.start, span.end));
}

suite('an empty query has no statements', () => {
  for (const text of ['', ' ', '\n\t', ';', ' ; ;; ', '-- x', '/* x */', '/* ; */ ; -- ;', '/* pprox: lead */']) {
    test(JSON.stringify(text), () => assert.deepEqual(pieces(text), []));
  }

  test('but a hint may stand in it', () => {
    assert.deepEqual(analyse('/* pprox: lead */;'), { kind: 'statements', statements: [], hint: 'lead' });
  });
});

suite('several statements are cut at their semicolons', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['SELECT 1', ['SELECT 1']],
    ['SELECT 1;', ['SELECT 1']],
    [' SELECT 1 ; ', [' SELECT 1 ']],
    ['SELECT 1;SELECT 2', ['SELECT 1', 'SELECT 2']],
    ['SELECT 1; SELECT 2;', ['SELECT 1', ' SELECT 2']],
    [';;SELECT 1;; /* é */ ; -- x\n SELECT 2 ;;', ['SELECT 1', ' -- x\n SELECT 2 ']],
    [
      "SELECT ';é;' AS \";\", $$;$$ /* ; */ -- ;\n; SELECT E'\\';'",
      ['SELECT \';é;\' AS ";", $$;$$ /* ; */ -- ;\n', " SELECT E'\\';'"],
    ],
    [
      'CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; DELETE FROM v); SELECT 1',
      ['CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM u; DELETE FROM v)', ' SELECT 1'],
    ],
    [
      'SELECT 0; CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3',
      ['SELECT 0', ' CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END', ' SELECT 3'],
    ],
    [
      "INSERT INTO t VALUES (1,'a'),(2,'b;'),(3,''); SELECT 1 WHERE a IN (1,2,3) ; SELECT 2",
      ["INSERT INTO t VALUES (1,'a'),(2,'b;'),(3,'')", ' SELECT 1 WHERE a IN (1,2,3) ', ' SELECT 2'],
    ],
  ];
  for (const [text, expected] of cases) {
    test(JSON.stringify(text), () => {
      assert.deepEqual(pieces(text), expected);
      assert.deepEqual(pieces(text), expected, 'again, from the cache');
    });
  }

  test('whatever statements are joined, the same come back', () => {
    const known = fc.constantFrom(
      'SELECT 1',
      "INSERT INTO t VALUES (1, 'x;y')",
      'BEGIN',
      'UPDATE t SET a = now()',
      'COMMIT',
      'SELECT \'日本\' AS "é;"',
    );
    const one = fc.oneof(known, statementText).filter((text) => outcome(text) !== 'syntax');
    fc.assert(
      fc.property(fc.array(one, { minLength: 1, maxLength: 5 }), (texts) => {
        assert.deepEqual(pieces(texts.join(';')), texts);
        assert.deepEqual(pieces(`${texts.join(';')};`), texts);
      }),
      { numRuns: 300 },
    );
  });

  test('each has its own route', () => {
    assert.equal(outcome('SELECT 1; BEGIN; INSERT INTO t VALUES (1); COMMIT'), 'reader lead writers lead');
  });
});

suite('a text that may mean something else is not read', () => {
  const latin = Buffer.from("SELECT 'é'", 'latin1');

  test('bytes that are not UTF-8', () => {
    for (const bytes of [
      latin,
      Buffer.from([0x53, 0xff]),
      Buffer.from('SELECT "\xc0\xaf"', 'latin1'),
      Buffer.from('SELECT 1 /* \xe9 */', 'latin1'),
    ]) {
      assert.equal(outcome(bytes), 'lexis');
      assert.equal(outcome(bytes, { encoding: 'SQL_ASCII' }), 'lexis');
    }
  });

  test('another encoding than UTF-8, beyond ASCII', () => {
    for (const encoding of ['LATIN1', 'SJIS', 'BIG5', 'GB18030', 'WIN1252', 'utf8?']) {
      assert.equal(outcome('SELECT 1', { encoding }), 'reader');
      assert.equal(outcome("SELECT 'é'", { encoding }), 'lexis');
      assert.equal(outcome('SELECT 1 -- é', { encoding }), 'lexis');
      assert.equal(outcome(latin, { encoding }), 'lexis');
    }
    assert.equal(outcome("SELECT 'é'"), 'reader');
    assert.equal(outcome("SELECT 'é'", { encoding: 'SQL_ASCII' }), 'reader');
  });

  test('a backslash while standard_conforming_strings is off', () => {
    const off = { standardStrings: 'off' } as const;
    assert.equal(outcome("SELECT 'a'", off), 'reader');
    assert.equal(outcome("SELECT '\\'; COMMIT; SELECT '", off), 'lexis');
    assert.equal(outcome('SELECT 1 -- \\', off), 'lexis');
    assert.equal(outcome("SELECT '\\'"), 'reader');
  });
});

suite('a text that the grammar refuses is not read', () => {
  for (const text of [
    'SELEC 1',
    'SELECT 1; SELEC 2; COMMIT',
    "SELECT 'a",
    '/* a',
    'SELECT 1 FROM',
    'SELECT 1a',
    'SELECT 1 1',
    "SELECT 'a' 'b'",
    "SELECT E'\\u00'",
    "SELECT E'\\xff'",
    "SELECT E'\\377'",
    "SELECT E'\\0'",
    "SELECT 'a'$$b$$",
    "SELECT $$a$$'b'",
    'SELECT $$a$$$$b$$',
    "SELECT $$a$$E'b'",
    'SELECT t.5',
    'SELECT 1.5.5',
    "SELECT U&'\\00'",
    "SELECT U&'a' UESCAPE 'ab'",
    "SELECT B'0''1'",
    'SELECT a::float(99)',
    'SELECT a::varchar(99999999999)',
    'SELECT ""',
    'SELECT 0x',
    "SELECT 'a'/* x */\n'b'",
    '\\d',
    'SELECT $a',
  ]) {
    test(text, () => assert.equal(outcome(text), 'syntax'));
  }
});

suite('a text too large or too deep is not read', () => {
  test('size counts without constants, comments and repetition', () => {
    const small = analyser({ sizeLimitBytes: 1000 });
    const why = (text: string): string => {
      const analysis = small.analyse(Buffer.from(text), lexis);
      return analysis.kind === 'unreadable' ? analysis.why : 'read';
    };
    assert.equal(why(`SELECT '${'x'.repeat(5000)}' /* ${'x'.repeat(5000)} */`), 'read');
    assert.equal(why(`INSERT INTO t VALUES ${"(1, 'x'), ".repeat(5000)} (2, 'y')`), 'read');
    assert.equal(why(`SELECT ${'a, '.repeat(5000)} b`), 'size');
    assert.equal(why(`SELECT "${'a'.repeat(5000)}"`), 'size');
    assert.equal(why('SELECT 1'), 'read');
  });

  const depths: readonly (readonly [string, (depth: number) => string])[] = [
    ['parentheses', (depth) => `SELECT ${'('.repeat(depth)}1${')'.repeat(depth)}`],
    ['operators', (depth) => `SELECT ${'a+'.repeat(depth)}a`],
    ['casts', (depth) => `SELECT a${'::x'.repeat(depth)}`],
    ['set operations', (depth) => `TABLE a${' UNION TABLE a'.repeat(depth)}`],
    ['queries', (depth) => `SELECT ${'(SELECT '.repeat(depth)}1${')'.repeat(depth)}`],
    ['calls', (depth) => `SELECT ${'f('.repeat(depth)}${')'.repeat(depth)}`],
    ['cases', (depth) => `SELECT ${'CASE a WHEN '.repeat(depth)}1${' THEN 1 END'.repeat(depth)}`],
    ['negations', (depth) => `SELECT ${'NOT '.repeat(depth)}a`],
  ];
  for (const [what, write] of depths) {
    test(`${what}: a hundred are read, a hundred thousand are not, and the next text is`, async () => {
      const large = analyser({ sizeLimitBytes: 4 * 1024 * 1024 });
      const read = (text: string): string => {
        const analysis = large.analyse(Buffer.from(text), lexis);
        return analysis.kind === 'unreadable' ? analysis.why : 'read';
      };
      assert.equal(read(write(100)), 'read');
      assert.equal(read(write(100_000)), 'nesting');
      await parserReplacement();
      assert.equal(read(`SELECT ${what.replaceAll(' ', '_')} FROM t WHERE a = 1`), 'read');
    });
  }

  test('a parser that gave up often is replaced, and none of its answers is wrong', async () => {
    const deep = (length: number): string => `SELECT ${'a+'.repeat(length)}a`;
    const large = analyser({ sizeLimitBytes: 4 * 1024 * 1024 });
    for (let round = 0; round < 60; round++) {
      const bomb = large.analyse(Buffer.from(deep(20_000 + round)), lexis);
      assert.deepEqual(bomb, { kind: 'unreadable', why: 'nesting' });
      const next = large.analyse(Buffer.from(`SELECT a${round}, b FROM t WHERE c = 1`), lexis);
      // Between two instances there may be a moment without one; never a wrong answer.
      if (next.kind === 'unreadable') assert.equal(next.why, 'nesting');
      else assert.deepEqual(next.statements[0]?.relations, [{ schema: undefined, name: 't' }]);
      await parserReplacement();
      const later = large.analyse(Buffer.from(`SELECT b${round} FROM t`), lexis);
      assert.equal(later.kind, 'statements');
    }
  });
});

suite('shapes are kept within bounds', () => {
  test('one shape for all constants', () => {
    const one = analyser();
    for (let id = 0; id < 1000; id++)
      one.analyse(Buffer.from(`SELECT * FROM t WHERE id = ${id} AND b = '${id}'`), lexis);
    assert.equal(one.cached.count, 1);
  });

  test('no more shapes than asked for, and those used last', () => {
    const few = analyser({ cacheSize: 10 });
    for (let n = 0; n < 1000; n++) {
      few.analyse(Buffer.from(`SELECT a${n}`), lexis);
      few.analyse(Buffer.from('SELECT often'), lexis);
      assert(few.cached.count <= 10);
    }
  });

  test('no more bytes than asked for', () => {
    const few = analyser({ cacheSize: 1000, cacheBytes: 10_000 });
    for (let n = 0; n < 100; n++) {
      few.analyse(Buffer.from(`SELECT ${'a, '.repeat(n * 30)} b${n}`), lexis);
      assert(few.cached.bytes <= 10_000);
    }
    assert(few.cached.count > 1);
  });

  test('what was refused, and what is empty, is not kept', () => {
    const some = analyser();
    for (const text of ['SELEC 1', ';', '']) some.analyse(Buffer.from(text), lexis);
    assert.deepEqual(some.cached, { count: 0, bytes: 0 });
  });

  test('an analysis does not change with the buffer that its text was in', () => {
    const buffer = Buffer.from("INSERT INTO t VALUES ('a', now())");
    const analysis = shared.analyse(buffer, lexis);
    const before = JSON.stringify(analysis);
    buffer.fill(0x20);
    shared.analyse(Buffer.from("DELETE FROM u WHERE x = 'b'"), lexis);
    assert.equal(JSON.stringify(analysis), before);
  });
});
