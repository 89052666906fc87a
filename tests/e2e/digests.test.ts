/**
 * Rows are compared between writers of different major versions by their text under equal settings, and by
 * `hashtextextended()` of it: the same values give the same text and digest on PostgreSQL 14, 15 and 18, but for what stands
 * in `WRITTEN`. What the versions read differently stands in `READ` and `TAKEN`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import type { Column } from '../../src/cluster/table.ts';
import type { Server } from '../../src/embedded/server.ts';
import { alone, digestText } from '../../src/fanout/captured-rows.ts';
import { quoteEscaped } from '../../src/sql/quote.ts';
import { startTestCluster, withConnection } from '../support/cluster.ts';
import { sampling } from '../support/sampling.ts';
import { type Kind, KINDS } from './digest-values.ts';

const { numRuns: VALUES, seed: SEED } = sampling(200);

const overrides = { w1: { major: 14 }, w2: { major: 15 }, w3: { major: 18 } } as const;
const { writers } = await startTestCluster({ writers: 3, reader: false, leadSql: [], overrides });

const MADE = `CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s'); CREATE TYPE pair AS (n numeric, words text);
  CREATE DOMAIN short AS text CHECK (length(VALUE) <= 40)`;

// ---- What is known to differ --------------------------------------------------------------------------------------

/** What the same text means on 14, 15 and 18, with the SQLSTATE where it is refused. */
interface Known {
  readonly text: string;
  readonly on: readonly [string, string, string];
}

/** The same value, and other texts: rows with such values are told apart, although they are equal. */
const WRITTEN: readonly Known[] = [
  // "char" beyond ASCII: the byte itself on 14, which is no valid text there; octal since 15.
  { text: `octet_length('é'::"char"::text)`, on: ['1', '4', '4'] },
  // A method of a literal: in parentheses since 15.
  { text: `'(1).type()'::jsonpath`, on: ['1.type()', '(1).type()', '(1).type()'] },
];

/** The same text, and other values. */
const READ: readonly Known[] = [
  // Octal since 15; the first character before.
  { text: `encode(charsend('\\303'), 'hex')`, on: ['5c', 'c3', 'c3'] },
];

/** Refused by some, so that a statement with it fails on some writers: and is rolled back on all. */
const TAKEN: readonly Known[] = [
  // Infinite intervals, since 17.
  { text: "'infinity'::interval", on: ['22007', '22007', 'infinity'] },
  // Hexadecimal, octal, binary and underscores, since 16.
  { text: "'0x10'::int", on: ['22P02', '22P02', '16'] },
  { text: "'0b1'::bigint", on: ['22P02', '22P02', '1'] },
  { text: "'1_000.5'::numeric", on: ['22P02', '22P02', '1000.5'] },
  // Negative scales, since 15.
  { text: "'16'::numeric(2, -1)", on: ['22023', '20', '20'] },
  // Empty arrays below others, since 17.
  { text: "'{{}}'::int[]", on: ['22P02', '22P02', '{}'] },
  // What stands behind a number was not looked at before 16.
  { text: "'12abc'::xid", on: ['12', '12', '22P02'] },
  { text: "'03468'::xid8", on: ['230', '230', '22P02'] },
  // Words out of place, until 16.
  { text: "'1 day ago 2 hours'::interval", on: ['-1 days -02:00:00', '-1 days -02:00:00', '22007'] },
  { text: "'y2001m02d04'::date", on: ['2001-02-04', '2001-02-04', '22007'] },
  // Numbers of jsonpath as in JavaScript, since 15; hexadecimal, since 16; more methods, since 17.
  { text: "'$ ? (@ == .5)'::jsonpath", on: ['42601', '$?(@ == 0.5)', '$?(@ == 0.5)'] },
  { text: "'1.type()'::jsonpath", on: ['1.type()', '42601', '42601'] },
  { text: "'$ ? (@ > 0x1F)'::jsonpath", on: ['42601', '42601', '$?(@ > 31)'] },
  { text: "'$.bigint()'::jsonpath", on: ['42601', '42601', '$.bigint()'] },
];

// ---- Comparing ----------------------------------------------------------------------------------------------------

const STYLES = [
  "DateStyle = 'ISO, MDY'; extra_float_digits = 1; IntervalStyle = postgres; bytea_output = hex; TimeZone = 'UTC'",
  "DateStyle = 'SQL, MDY'; extra_float_digits = 0; IntervalStyle = iso_8601; bytea_output = escape; TimeZone = 'America/St_Johns'",
  "DateStyle = 'SQL, DMY'; extra_float_digits = 1; IntervalStyle = iso_8601; bytea_output = hex; TimeZone = 'Asia/Kathmandu'",
  "DateStyle = 'ISO, DMY'; extra_float_digits = 0; IntervalStyle = postgres; bytea_output = escape; TimeZone = 'Pacific/Apia'",
  "DateStyle = 'ISO, YMD'; extra_float_digits = 0; IntervalStyle = iso_8601; bytea_output = hex; TimeZone = '<+03:45>-03:45'",
  "DateStyle = 'SQL, YMD'; extra_float_digits = 1; IntervalStyle = postgres; bytea_output = escape; TimeZone = 'Europe/Dublin'",
] as const;

/** How a value came in. */
const WAYS = ['simple', 'text', 'binary'] as const;

const asText = { getTypeParser: () => (raw: string | Buffer) => String(raw) };

async function rowsOf(client: pg.Client, query: string): Promise<readonly (readonly (string | null)[])[]> {
  return (await client.query<(string | null)[]>({ text: query, rowMode: 'array', types: asText })).rows;
}

const samples: readonly (Kind & { readonly table: string; readonly values: readonly string[] })[] = KINDS.map(
  (kind, index) => {
    const drawn = kind.others === undefined ? [] : fc.sample(kind.others, { numRuns: VALUES, seed: SEED });
    return { ...kind, table: `v${index}`, values: [...new Set([...kind.extremes, ...drawn])] };
  },
);

/** Inserts every value in every way. */
async function fill(server: Server): Promise<void> {
  await withConnection(server, undefined, async (client) => {
    await client.query(MADE);
    for (const { table, type, values } of samples) {
      await client.query(`CREATE TABLE ${table} (way text, place int, v ${type})`);
      const simple = values.map((value, place) => `('simple', ${place}, ${quoteEscaped(value)})`);
      await explained(type, client.query(`INSERT INTO ${table} VALUES ${simple.join(', ')}`));
      await explained(type, client.query(...bound(table, type, 'text', values)));
      const [send] = await rowsOf(
        client,
        `SELECT typsend::regproc FROM pg_type WHERE oid = (SELECT atttypid FROM pg_attribute WHERE attrelid = '${table}'::regclass AND attname = 'v')`,
      );
      const sent = await rowsOf(
        client,
        `SELECT encode(${send?.[0]}(v), 'hex') FROM ${table} WHERE way = 'simple' ORDER BY place`,
      );
      const binary = sent.map(([value]) => Buffer.from(value ?? '', 'hex'));
      await explained(type, client.query(...bound(table, type, 'binary', binary)));
    }
  });
}

/** Values that a server has not taken. */
const unstored: string[] = [];

async function explained(type: string, work: Promise<unknown>): Promise<void> {
  await work.catch((error: unknown) => unstored.push(`${type}: ${String(error)}`));
}

function bound(
  table: string,
  type: string,
  way: string,
  values: readonly (string | Buffer)[],
): [string, (string | Buffer)[]] {
  const rows = values.map((_, place) => `('${way}', ${place}, $${place + 1}::${type})`);
  return [`INSERT INTO ${table} VALUES ${rows.join(', ')}`, [...values]];
}

interface Seen {
  /** By table and way: the digest. */
  readonly digests: ReadonlyMap<string, string>;
  /** By table and place: the text as a client is shown it, of what came in by the simple protocol. */
  readonly texts: ReadonlyMap<string, string>;
}

const DIGEST = 'count(*) || \' \' || sum(hashtextextended(ROW(t.v)::text COLLATE "C", 0))';

async function look(server: Server, styles: string): Promise<Seen> {
  return withConnection(server, undefined, async (client) => {
    for (const style of styles.split('; ')) await client.query(`SET ${style}`);
    const digests = await rowsOf(
      client,
      samples
        .map(({ table }) => `SELECT '${table} ' || way, ${DIGEST} FROM ${table} t GROUP BY way`)
        .join(' UNION ALL '),
    );
    const texts = new Map<string, string>();
    for (const { table } of samples) {
      for (const [place, text] of await rowsOf(client, `SELECT place, v FROM ${table} WHERE way = 'simple'`))
        texts.set(`${table} ${place}`, text ?? 'null');
    }
    return { digests: new Map(digests.map(([name, digest]) => [name ?? '', digest ?? ''])), texts };
  });
}

await Promise.all(writers.map(fill));
assert.deepEqual(unstored, []);

describe(`digests of rows (PPROX_TEST_SEED=${SEED})`, () => {
  for (const style of STYLES) {
    test(`14, 15 and 18 give the same texts and digests, however a value came in: ${style}`, async () => {
      const all = await Promise.all(writers.map((server) => look(server, style)));
      const [oldest] = all;
      assert.ok(oldest !== undefined);
      const wrong: string[] = [];
      for (const { table, type, values } of samples) {
        for (const way of WAYS) {
          const digests = all.map(({ digests: found }) => found.get(`${table} ${way}`));
          const own = oldest.digests.get(`${table} simple`);
          if (own === undefined || digests.some((digest) => digest !== own))
            wrong.push(`${type} ${way}: digests ${digests.join(', ')}`);
        }
        for (const [place, value] of values.entries()) {
          const texts = all.map((seen) => seen.texts.get(`${table} ${place}`));
          if (texts[0] === undefined || new Set(texts).size !== 1)
            wrong.push(`${type} ${JSON.stringify(value)}: ${JSON.stringify(texts)}`);
        }
      }
      assert.deepEqual(wrong.slice(0, 30), []);
    });
  }
});

async function said(server: Server, expression: string): Promise<string> {
  return withConnection(server, undefined, async (client) => {
    try {
      const [row] = await rowsOf(client, `SELECT ${expression}`);
      return String(row?.[0]);
    } catch (error) {
      if (error instanceof pg.DatabaseError) return String(error.code);
      throw error;
    }
  });
}

describe('what is known to differ between 14, 15 and 18', () => {
  const known = [
    ['the text of a value', WRITTEN],
    ['the value of a text', READ],
    ['whether a text is taken', TAKEN],
  ] as const;
  for (const [what, list] of known) {
    for (const { text, on } of list) {
      test(`${what}: ${text}`, async () => {
        assert.deepEqual(await Promise.all(writers.map((server) => said(server, text))), on);
        assert.ok(new Set(on).size > 1);
      });
    }
  }
});

/** Rows of a table of numeric, text, text, double precision; what is told apart, and what is not. */
const PAIRS: readonly (readonly [what: string, one: string, other: string, digests: 'equal' | 'different'])[] = [
  ['the order of rows', "(1, 'x', 'y', 1), (2, 'z', '', 2)", "(2, 'z', '', 2), (1, 'x', 'y', 1)", 'equal'],
  ['numbers that are equal and written differently', "(1.0, 'x', 'y', 1)", "(1.000, 'x', 'y', 1)", 'different'],
  ['a row that has changed', "(1, 'x', 'y', 1), (2, 'x', 'y', 1)", "(1, 'x', 'y', 1), (2, 'x', 'Y', 1)", 'different'],
  ['a row that is missing', "(1, 'x', 'y', 1), (2, 'x', 'y', 1)", "(1, 'x', 'y', 1)", 'different'],
  ['no row at all', "(1, 'x', 'y', 1)", '', 'different'],
  ['values of two columns that have changed places', "(1, 'x', 'y', 1)", "(1, 'y', 'x', 1)", 'different'],
  ['values of two rows that have', "(1, 'x', '', 1), (2, 'y', '', 1)", "(1, 'y', '', 1), (2, 'x', '', 1)", 'different'],
  [
    'which of two rows is there twice',
    "(1, '', '', 1), (1, '', '', 1), (2, '', '', 1)",
    "(1, '', '', 1), (2, '', '', 1), (2, '', '', 1)",
    'different',
  ],
  ['no text, and an empty one', "(1, '', 'y', 1)", "(1, NULL, 'y', 1)", 'different'],
  ['no text, and the word', "(1, 'NULL', 'y', 1)", "(1, NULL, 'y', 1)", 'different'],
  ['where a column ends', "(1, 'a,b', 'c', 1)", "(1, 'a', 'b,c', 1)", 'different'],
  ['a quote', `(1, 'a"', 'b', 1)`, `(1, 'a', '"b', 1)`, 'different'],
  ['accents that look alike', "(1, U&'\\00e9', '', 1)", "(1, U&'e\\0301', '', 1)", 'different'],
  ['zeros', "(1, '', '', '0')", "(1, '', '', '-0')", 'different'],
  ['the last bit of a float', "(1, '', '', 0.1)", "(1, '', '', 0.10000000000000002)", 'different'],
];

const COLUMNS: readonly Column[] = ['a', 'b', 'c', 'd'].map((name) => ({
  name,
  type: 'text',
  base: 'text',
  numbered: false,
  default: null,
  identity: '',
  generated: '',
  sequence: null,
  unseen: false,
  selectable: true,
  insertable: true,
  updatable: true,
  draws: null,
  shownAs: '',
  exact: true,
  textual: true,
  plain: false,
  toldApart: true,
}));

/** What the transaction that writes these rows is told of them. */
async function digestOf(client: pg.Client, rows: string): Promise<string> {
  await client.query('BEGIN');
  await client.query('CREATE TABLE told (a numeric, b text, c text, d double precision)');
  if (rows !== '') await client.query(`INSERT INTO told VALUES ${rows}`);
  const [digest] = await rowsOf(client, digestText(alone('told'), COLUMNS));
  await client.query('ROLLBACK');
  return String(digest);
}

describe('digests of a transaction’s own rows', () => {
  for (const [what, one, other, expected] of PAIRS) {
    test(`${expected === 'equal' ? 'do not see' : 'tell apart'} ${what}`, async () => {
      const found = await Promise.all(
        writers.map((server) =>
          withConnection(server, undefined, async (client) => [
            await digestOf(client, one),
            await digestOf(client, other),
          ]),
        ),
      );
      const [oldest] = found;
      assert.ok(oldest?.every((digest) => digest.includes(',')));
      for (const digests of found) assert.deepEqual(digests, oldest, 'servers agree');
      assert.equal(new Set(oldest).size, expected === 'equal' ? 1 : 2);
    });
  }
});
