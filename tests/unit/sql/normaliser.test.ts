import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { Normaliser } from '../../../src/sql/normaliser.ts';
import { loadParser, parse } from '../../../src/sql/parser.ts';
import {
  bitConstant,
  brokenText,
  decimalConstant,
  gap,
  hexConstant,
  integerConstant,
  statement,
  statementText,
  stringConstant,
  written,
} from './sql-text.ts';

await loadParser();
const normaliser = new Normaliser(64 * 1024);

function normalised(text: string): string {
  assert.equal(normaliser.normalise(Buffer.from(text)), 'done', text);
  return normaliser.bytes.toString();
}

function sameKey(first: string, ...others: readonly string[]): void {
  const expected = normalised(first);
  for (const other of others) assert.equal(normalised(other), expected);
}

function otherKey(first: string, ...others: readonly string[]): void {
  const all = [first, ...others].map(normalised);
  assert.equal(new Set(all).size, all.length, all.join('\n'));
}

/** A parse tree without places and without the values of constants; equal neighbours in lists count once. */
function outline(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(outline);
    return items.filter((item, at) => at === 0 || JSON.stringify(item) !== JSON.stringify(items[at - 1]));
  }
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    if (key === 'location' || key === 'stmt_location' || key === 'stmt_len' || /list_(start|end)$/.test(key)) continue;
    if (key === 'sval' || key === 'ival' || key === 'fval') result[key] = 'any';
    else if (key === 'bsval') result[key] = JSON.stringify(field).includes('"x') ? 'hex' : 'bits';
    else if (key === 'String') result[key] = field;
    else result[key] = outline(field);
  }
  return result;
}

/** What the grammar makes of a text, or that it refuses it. */
function outlineOf(bytes: Buffer): string {
  const parsed = parse(bytes);
  assert.notEqual(parsed.kind, 'gave up');
  return parsed.kind === 'tree' ? JSON.stringify(outline(parsed.statements)) : 'refused';
}

suite('constants, comments and white space make no other key', () => {
  test('numbers', () => {
    sameKey('SELECT 1', 'SELECT 42', 'select 7'.replace('select', 'SELECT'));
    sameKey('SELECT 1.5', 'SELECT .5', 'SELECT 5.', 'SELECT 1e10', 'SELECT 99999999999');
    otherKey('SELECT 1', 'SELECT 1.5');
  });

  test('strings, however they are quoted', () => {
    sameKey("SELECT 'a'", "SELECT ''", "SELECT 'it''s'", "SELECT E'a\\'b'", 'SELECT $$x$$', "SELECT $q$'$q$");
    sameKey("SELECT 'a'", "SELECT 'a'\n'b'", "SELECT 'a' -- x\n 'b'", "SELECT e'a'\n'\\''");
    otherKey("SELECT 'a'", "SELECT B'0'", "SELECT X'0'", "SELECT N'a'");
  });

  test('comments of both kinds, and any white space', () => {
    sameKey(
      'SELECT a, b FROM t',
      'SELECT a,b FROM t',
      '  SELECT\n\ta ,\r\nb/* x */FROM--y\nt ',
      '/* /* */ */SELECT a, b FROM t',
    );
  });

  test('the number of equal rows and list elements', () => {
    // One row and several are not planned alike.
    sameKey("VALUES (1,'a'),(2,'b')", "VALUES (1, 'a') , ( 2 , 'b' ),(3,'')", "VALUES (1,'a'),(2,'b'),(3,'c'),(4,'d')");
    otherKey("VALUES (1,'a')", "VALUES (1,'a'),(2,'b')");
    sameKey('SELECT a IN (1)', 'SELECT a IN (1,2,3)', 'SELECT a IN ( 1 , 2 )');
    sameKey('SELECT ARRAY[1]', 'SELECT ARRAY[1,2,3]');
    sameKey(
      'INSERT INTO t VALUES (NULL, DEFAULT, true, 1::text),(NULL, DEFAULT, true, 1::text),(NULL, DEFAULT, true, 1::text)',
      'INSERT INTO t VALUES (NULL, DEFAULT, true, 1::text),(NULL, DEFAULT, true, 1::text)',
    );
    sameKey(
      'SELECT a IN (1,2) FROM t WHERE b IN (SELECT c FROM d WHERE e IN (1,2,3))',
      'SELECT a IN (1) FROM t WHERE b IN (SELECT c FROM d WHERE e IN (1))',
    );
  });

  test('rows that differ, or call something, all stay', () => {
    otherKey('VALUES (1),(2)', 'VALUES (1),(NULL)', 'VALUES (NULL),(1)', 'VALUES (1),(NULL),(2)');
    otherKey('VALUES (now())', 'VALUES (now()),(now())');
    otherKey('VALUES (a)', 'VALUES (a),(a)');
    otherKey('VALUES ($1)', 'VALUES ($1),($1)');
    otherKey('SELECT (1)', 'SELECT (1),(1)');
    otherKey('SELECT f(1)', 'SELECT f(1,1)');
    otherKey('SELECT a IN (a)', 'SELECT a IN (a,a)');
  });

  test('rows that are not a list to PostgreSQL stay what they are', () => {
    otherKey(
      'VALUES (1)',
      'VALUES (1) (1)',
      'VALUES (1),,(1)',
      'VALUES (1),(1),',
      'VALUES (1) NULL,(1)',
      'VALUES (1)(1)',
    );
    otherKey('SELECT ARRAY[]', 'SELECT ARRAY[,]', 'SELECT a IN (1,)', 'SELECT a IN (,)', 'SELECT a IN ()');
  });

  test('one constant for another of its kind, anywhere in a statement', () => {
    const kinds = [stringConstant, integerConstant, decimalConstant, bitConstant, hexConstant];
    const slots = [
      'SELECT ? FROM t WHERE a = ?',
      'INSERT INTO t VALUES (?, ?)',
      'UPDATE t SET a = -?, b = (?)',
      'SELECT f(?, ?)',
    ];
    for (const kind of kinds) {
      fc.assert(
        fc.property(fc.constantFrom(...slots), kind, kind, kind, kind, gap, (text, a, b, c, d, between) => {
          const fill = (first: string, second: string, space: string): string => {
            const values = [first, second];
            return text.replaceAll(' ', space).replaceAll('?', () => ` ${values.shift() ?? ''} `);
          };
          // Escapes that could be wrong are kept for the parser to judge.
          fc.pre(![a, b, c, d].some((constant) => /\\[uU]/.test(constant)));
          assert.equal(normalised(fill(a, b, ' ')), normalised(fill(c, d, between)));
        }),
        { numRuns: 200 },
      );
    }
  });
});

suite('what decides is kept', () => {
  test('words that time input takes, each by itself', () => {
    otherKey(
      "SELECT 'a'",
      "SELECT 'now'",
      "SELECT 'today'",
      "SELECT 'tomorrow'",
      "SELECT 'yesterday'",
      "SELECT 'allballs'",
    );
    sameKey(
      "SELECT 'now'",
      "SELECT ' NOW '",
      "SELECT E'n\\157w'",
      "SELECT E'\\x6eow'",
      'SELECT $$Now$$',
      'SELECT $a$(now)$a$',
      "SELECT 'n'\n'ow'",
      "SELECT E'n'\n'ow'",
    );
    sameKey("SELECT 'today'", "SELECT 'today 10:00'", "SELECT 'Today America/New_York'", "SELECT E'10:00\\ntoday'");
  });

  test('no word within another, and none in a text too long to be a time', () => {
    sameKey("SELECT 'a'", "SELECT 'snow'", "SELECT 'nowhere'", `SELECT 'now ${'word '.repeat(40)}'`);
    otherKey("SELECT 'a'", `SELECT 'now ${'! '.repeat(5000)}'`);
  });

  test('sequence names, and not what nextval and setval get besides', () => {
    otherKey("SELECT nextval('a')", "SELECT nextval('b')", 'SELECT "nextval" ( \'c\')', "SELECT setval('a', 1)");
    sameKey("SELECT setval('a', 1), 'x'", "SELECT setval('a', 23), 'y'");
    sameKey("SELECT currval('a')", "SELECT currval('b')");
    sameKey("SELECT f('a', 1)", "SELECT f('b', 2)");
  });

  test('options of EXPLAIN, and not the constants of what it explains', () => {
    otherKey('EXPLAIN (ANALYZE 0) SELECT 1', 'EXPLAIN (ANALYZE 1) SELECT 1', "EXPLAIN (ANALYZE 'off') SELECT 1");
    sameKey('EXPLAIN (ANALYZE 0) SELECT 1', 'EXPLAIN (ANALYZE 0) SELECT 2');
    sameKey("SELECT explain('a')", "SELECT explain('b')");
  });

  test('numbers that servers before 16 read otherwise, and no others', () => {
    otherKey(
      'SELECT 31',
      'SELECT 0x1F',
      'SELECT 0X1e',
      'SELECT 0b1',
      'SELECT 0o7',
      'SELECT 3_1',
      'SELECT 1_0.5',
      'SELECT 1e1_0',
    );
    sameKey('SELECT 31', 'SELECT 0', 'SELECT 10');
    sameKey('SELECT 1.5', 'SELECT 1e3', 'SELECT .5');
  });

  test('precisions, which the grammar checks', () => {
    otherKey('SELECT CURRENT_TIMESTAMP(1)', 'SELECT CURRENT_TIMESTAMP(2)');
    otherKey('SELECT a::float(1)', 'SELECT a::float(99)');
  });

  test('values of transaction settings, and no others', () => {
    otherKey('SET transaction_read_only = 0', 'SET transaction_read_only = 1', "SET transaction_read_only = 'on'");
    otherKey(
      'SET "default_transaction_isolation" TO \'serializable\'',
      'SET "default_transaction_isolation" TO \'read committed\'',
    );
    sameKey("SET app.user TO 'a'", "SET app.user TO 'b'");
  });

  test('quoted names, parameters, operators and case', () => {
    otherKey('SELECT a', 'SELECT A', 'SELECT "a"', 'SELECT "A"', 'SELECT $1', 'SELECT $2', 'SELECT a+b', 'SELECT a+-b');
  });
});

suite('a hint is a whole comment', () => {
  const cases: readonly (readonly [string, 'reader' | 'lead' | undefined])[] = [
    ['/* pprox: lead */ SELECT 1', 'lead'],
    ['/*pprox:reader*/SELECT 1', 'reader'],
    ['SELECT 1 /* PPROX: Lead */', 'lead'],
    ['/* pprox: reader */ SELECT 1 /* pprox: lead */', 'lead'],
    ['/* pprox: writers */ SELECT 1', undefined],
    ['/* pprox: leader */ SELECT 1', undefined],
    ['/* see pprox: lead */ SELECT 1', undefined],
    ['-- pprox: lead\nSELECT 1', undefined],
    ["SELECT '/* pprox: lead */'", undefined],
    ['SELECT "/* pprox: lead */"', undefined],
    ['SELECT $$/* pprox: lead */$$', undefined],
    ['/* /* pprox: lead */ */ SELECT 1', undefined],
    ['SELECT 1', undefined],
  ];
  for (const [text, hint] of cases) {
    test(`${text.replaceAll('\n', ' ')}: ${hint ?? 'none'}`, () => {
      normalised(text);
      assert.equal(normaliser.hint, hint);
    });
  }
});

suite('the normalised text is the same SQL', () => {
  test('for any valid statement the tree is that of the text, constants aside', () => {
    let valid = 0;
    fc.assert(
      fc.property(statementText, (text) => {
        const own = outlineOf(Buffer.from(text));
        assert.equal(outlineOf(Buffer.from(normalised(text))), own, `${text}\n${normalised(text)}`);
        if (own !== 'refused') valid++;
      }),
      { numRuns: 1500 },
    );
    assert(valid > 1000, `only ${valid} of the statements were valid`);
  });

  test('what PostgreSQL refuses stays refused, and what it takes stays taken', () => {
    fc.assert(
      fc.property(brokenText, (text) => {
        // A comment between two strings continues the first: libpg_query refuses it, PostgreSQL does not.
        fc.pre(!/'\s*(--[^\n]*\n\s*)+'/.test(text));
        // Before UESCAPE, too, it does not see through a comment, and takes the word for a name; PostgreSQL refuses it.
        fc.pre(!/(--[^\n]*\n|\*\/)\s*uescape/i.test(text));
        const bytes = Buffer.from(text);
        const own = outlineOf(bytes);
        const outcome = normaliser.normalise(bytes);
        if (outcome !== 'done') assert.equal(own, 'refused', text);
        else assert.equal(outlineOf(Buffer.from(normaliser.bytes)), own, `${text}\n${normaliser.bytes.toString()}`);
      }),
      { numRuns: 3000 },
    );
  });

  test('normalising twice changes nothing', () => {
    fc.assert(
      fc.property(statementText, (text) => {
        const once = normalised(text);
        assert.equal(normalised(once), once);
      }),
      { numRuns: 500 },
    );
  });

  test('every copied token is found again in the original text', () => {
    fc.assert(
      fc.property(statement.chain(written), (text) => {
        const bytes = Buffer.from(text);
        assert.equal(normaliser.normalise(bytes), 'done');
        const out = Buffer.from(normaliser.bytes);
        for (let at = 0; at < out.length; at++) {
          // Words begin where a letter follows something else; they are never put in.
          const word = /^[a-zé_"][^\s(),[\]]*/.exec(out.toString('utf8', at))?.[0];
          const begins = at === 0 || /[\s(,[]/.test(out.toString('latin1', at - 1, at));
          if (word === undefined || !begins || word.includes("'")) continue;
          const original = normaliser.cuts.originalOf(at);
          assert.equal(
            bytes.toString('utf8', original, original + Buffer.byteLength(word)),
            word,
            `${text}\n${out.toString()}`,
          );
        }
      }),
      { numRuns: 500 },
    );
  });
});

suite('what cannot be right is told at once', () => {
  for (const text of [
    "SELECT 'a",
    "SELECT E'a\\'",
    'SELECT "a',
    'SELECT $$a',
    'SELECT $a$ b $b$',
    '/* a',
    '/* /* */',
    "SELECT B'0",
    "SELECT U&'a",
  ]) {
    test(`unterminated: ${text}`, () => {
      assert.equal(normaliser.normalise(Buffer.from(text)), 'unterminated');
      assert.equal(outlineOf(Buffer.from(text)), 'refused');
    });
  }

  test('a text over the limit, whether of many tokens or of one', () => {
    const small = new Normaliser(1000);
    const list = (length: number): string => `SELECT ${'a, '.repeat(length)}a`;
    assert.equal(small.normalise(Buffer.from(list(100))), 'done');
    assert.equal(small.normalise(Buffer.from(list(1000))), 'size');
    assert.equal(small.normalise(Buffer.from(`SELECT ${'a'.repeat(1100)}`)), 'size');
    assert.equal(small.normalise(Buffer.from(`SELECT "${'a'.repeat(1100)}"`)), 'size');
    assert.equal(small.normalise(Buffer.from(`SELECT '${'a'.repeat(1_000_000)}'`)), 'done');
    assert.equal(small.normalise(Buffer.from(`SELECT 1 /* ${'a'.repeat(1_000_000)} */`)), 'done');
    assert.equal(small.normalise(Buffer.from(`INSERT INTO t VALUES (1, 'a')${", (2, 'b')".repeat(100_000)}`)), 'done');
    assert.equal(small.normalise(Buffer.from('SELECT 1')), 'done');
  });
});
