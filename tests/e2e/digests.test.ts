/**
 * Rows are compared between writers of different major versions by their text under equal settings, and by
 * `hashtextextended()` of it: the same values give the same text and digest on PostgreSQL 14, 15 and 18, but for what stands
 * in `WRITTEN`. What the versions read differently stands in `READ` and `TAKEN`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import type { Column } from '../../src/cluster/catalog.ts';
import type { Server } from '../../src/embedded/server.ts';
import { digestText } from '../../src/fanout/captured-rows.ts';
import { quoteEscaped } from '../../src/sql/quote.ts';
import { startTestCluster, withConnection } from '../support/cluster.ts';
import { sampling } from '../support/sampling.ts';

const { numRuns: VALUES, seed: SEED } = sampling(200);

const overrides = { w1: { major: 14 }, w2: { major: 15 }, w3: { major: 18 } } as const;
const { writers } = await startTestCluster({ writers: 3, reader: false, leadSql: [], overrides });

/** Values of a type as their text: always `extremes`, and some hundred of the others. */
interface Kind {
  readonly type: string;
  readonly extremes: readonly string[];
  readonly others?: fc.Arbitrary<string>;
}

// ---- Values -------------------------------------------------------------------------------------------------------

const whole = (low: number, high: number): fc.Arbitrary<string> => fc.integer({ min: low, max: high }).map(String);
const padded = (low: number, high: number, width: number): fc.Arbitrary<string> =>
  whole(low, high).map((text) => text.padStart(width, '0'));
const bits = (width: number): fc.Arbitrary<string> =>
  fc.bigInt({ min: -(2n ** BigInt(width - 1)), max: 2n ** BigInt(width - 1) - 1n }).map(String);
const hex = (min: number, max: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'.split('')), minLength: min, maxLength: max });
const digits = (max: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...'0123456789'.split('')), minLength: 1, maxLength: max });
const join = (...parts: readonly (fc.Arbitrary<string> | string)[]): fc.Arbitrary<string> =>
  fc.tuple(...parts.map((part) => (typeof part === 'string' ? fc.constant(part) : part))).map((all) => all.join(''));
const list = (one: fc.Arbitrary<string>, min: number, max: number, between = ','): fc.Arbitrary<string> =>
  fc.array(one, { minLength: min, maxLength: max }).map((all) => all.join(between));

const decimal = join(
  fc.constantFrom('', '-'),
  digits(30),
  fc.oneof(fc.constant(''), join('.', digits(20))),
  fc.oneof({ weight: 4, arbitrary: fc.constant('') }, join('e', whole(-40, 40))),
);
const float8 = fc.double().map(String);
const float4 = fc.float().map(String);
/** Finite, and far from where geometry overflows. */
const coordinate = fc.double({ min: -1e100, max: 1e100, noNaN: true }).map(String);
const awkward = fc.constantFrom(
  ...['"', "'", '\\', '\n', '\r', '\t', '{', '}', '(', ')', ',', ' ', '\u007f', '\u0001'],
);
const text = fc
  .string({ unit: fc.oneof(awkward, fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })), maxLength: 30 })
  .map((all) => all.replaceAll('\0', ''));
const TEXTS = [
  '',
  ' ',
  'NULL',
  'null',
  '\\',
  '\\\\',
  "''",
  '"',
  '\\x00',
  'ß',
  'İ',
  'e\u0301',
  '👩‍👩‍👧',
  '\u{10ffff}',
  '\ufeff',
];

const day = padded(1, 28, 2);
const month = padded(1, 12, 2);
const date = fc.oneof(
  join(padded(1, 9999, 4), '-', month, '-', day),
  join(padded(10_000, 290_000, 5), '-', month, '-', day),
  join(padded(1, 4700, 4), '-', month, '-', day, ' BC'),
);
const time = join(
  padded(0, 23, 2),
  ':',
  padded(0, 59, 2),
  ':',
  padded(0, 59, 2),
  fc.constantFrom('', '.5', '.000001', '.999999'),
);
const offset = join(fc.constantFrom('+', '-'), padded(0, 14, 2), ':', fc.constantFrom('00', '30', '45', '59:59'));
const moment = join(padded(1, 9999, 4), '-', month, '-', day, ' ', time);
const zoned = join(moment, fc.constantFrom('+00', ' America/St_Johns', ' Asia/Kathmandu', ' Europe/Dublin', '-11:30'));
const MOMENTS = ['infinity', '-infinity', '4713-01-01 00:00:00 BC', '294276-12-31 23:59:59.999999', 'epoch'];
const UNITS = ['years', 'months', 'days', 'hours', 'minutes', 'seconds'] as const;
const interval = fc
  .tuple(fc.subarray([...UNITS], { minLength: 1 }), fc.array(whole(-9999, 9999), { minLength: 6, maxLength: 6 }))
  .map(([units, counts]) => units.map((unit, at) => `${counts[at]} ${unit}`).join(' '));

const ip4 = list(whole(0, 255), 4, 4, '.');
const json = fc
  .json({ maxDepth: 3, stringUnit: 'grapheme' })
  .filter((one) => !/\\u(0000|d[89a-f])/i.test(one) && !one.includes('\0'));
const point = join('(', coordinate, ',', coordinate, ')');
const lexeme = fc.oneof(
  fc.constantFrom('cat', "'it''s'", "'two words'", "'back\\\\slash'", 'ärger'),
  hex(1, 8).map((one) => `w${one}`),
);

function range(one: fc.Arbitrary<string>, order: (text: string) => number | bigint): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 1, arbitrary: fc.constantFrom('empty', '(,)') },
    { weight: 1, arbitrary: join('[', one, ',)') },
    {
      weight: 4,
      arbitrary: fc.tuple(fc.constantFrom('[', '('), one, one, fc.constantFrom(']', ')')).map(([open, a, b, shut]) => {
        const [low, high] = order(a) <= order(b) ? [a, b] : [b, a];
        return `${open}${low},${high}${shut}`;
      }),
    },
  );
}
const ranges = {
  int4: range(whole(-1_000_000, 1_000_000), Number),
  int8: range(fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }).map(String), BigInt),
  num: range(join(whole(-999, 999), '.', digits(5)), Number),
  date: range(join(padded(1000, 9999, 4), '-', month, '-', day), (one) => Number(one.replaceAll('-', ''))),
  ts: range(join('"', padded(1000, 9999, 4), '-01-01 ', padded(10, 23, 2), ':00"'), (one) =>
    Number(one.replace(/\D/g, '')),
  ),
};
const several = (one: fc.Arbitrary<string>): fc.Arbitrary<string> => join('{', list(one, 0, 4), '}');

const quoted = (one: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  one.map((raw) => `"${raw.replace(/["\\]/g, '\\$&')}"`);
const element = (one: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.oneof({ weight: 4, arbitrary: one }, fc.constant('NULL'));
/** One dimension of any length, two and three of equal ones, and lower bounds. */
const array = (one: fc.Arbitrary<string>): fc.Arbitrary<string> => {
  const row = (width: number): fc.Arbitrary<string> => join('{', list(element(one), width, width), '}');
  return fc.oneof(
    join('{', list(element(one), 0, 5), '}'),
    join('{', list(row(2), 1, 3), '}'),
    join('{{', row(2), ',', row(2), '},{', row(2), ',', row(2), '}}'),
    join('[-1:1]=', row(3)),
  );
};

const KINDS: readonly Kind[] = [
  { type: 'smallint', extremes: ['-32768', '32767', '0'], others: bits(16) },
  { type: 'integer', extremes: ['-2147483648', '2147483647'], others: bits(32) },
  { type: 'bigint', extremes: ['-9223372036854775808', '9223372036854775807'], others: bits(64) },
  {
    type: 'numeric',
    extremes: [
      'NaN',
      'Infinity',
      '-Infinity',
      '1.0',
      '1.000',
      '-0',
      '0.000',
      '1e-1000',
      '1e1000',
      `9e131071`,
      '1e-16383',
    ],
    others: decimal,
  },
  {
    type: 'numeric(10,3)',
    extremes: ['NaN', '9999999.999', '-0.0005'],
    others: join(whole(-99_999, 99_999), '.', digits(6)),
  },
  { type: 'real', extremes: ['NaN', 'Infinity', '-Infinity', '-0', '1.4e-45', '3.4028235e38', '0.1'], others: float4 },
  {
    type: 'double precision',
    extremes: ['NaN', 'Infinity', '-Infinity', '-0', '5e-324', '1.7976931348623157e308', '0.1', '1e15', '1e16'],
    others: float8,
  },
  {
    type: 'money',
    extremes: ['-92233720368547758.08', '92233720368547758.07', '0'],
    others: join(whole(-999_999, 999_999), '.', padded(0, 99, 2)),
  },
  { type: 'oid', extremes: ['0', '4294967295'], others: fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map(String) },
  { type: 'boolean', extremes: ['t', 'f', 'yes', 'off', '1'] },
  { type: 'text', extremes: TEXTS, others: text },
  { type: 'varchar(40)', extremes: TEXTS, others: text },
  { type: 'char(40)', extremes: TEXTS, others: text },
  { type: 'name', extremes: [...TEXTS, 'ä'.repeat(40)], others: text },
  { type: '"char"', extremes: ['', ...Array.from({ length: 126 }, (_, code) => String.fromCharCode(code + 1))] },
  {
    type: 'bytea',
    extremes: ['\\x', '\\x00', '\\x5c27220a7fff'],
    others: hex(0, 20).map((one) => `\\x${one.slice(one.length % 2)}`),
  },
  { type: 'date', extremes: ['infinity', '-infinity', '4713-01-01 BC', '5874897-12-31'], others: date },
  { type: 'time', extremes: ['00:00', '24:00:00', '23:59:60'], others: time },
  { type: 'time(2)', extremes: ['23:59:59.999'], others: time },
  { type: 'timetz', extremes: ['00:00:00+15:59:59', '24:00:00-15:59:59'], others: join(time, offset) },
  { type: 'timestamp', extremes: MOMENTS, others: moment },
  { type: 'timestamp(0)', extremes: ['1999-12-31 23:59:59.5'], others: moment },
  {
    type: 'timestamptz',
    extremes: [...MOMENTS, '2024-03-31 02:30:00 Europe/Berlin', '1883-11-18 12:00 America/New_York'],
    others: zoned,
  },
  {
    type: 'interval',
    extremes: ['178000000 years', '-178000000 years', '1 mon -1 day +00:00:00.000001', '0', 'P1Y2M3DT4H5M6.7S'],
    others: interval,
  },
  { type: 'interval day to second (1)', extremes: ['1 day 00:00:00.05'], others: interval },
  {
    type: 'uuid',
    extremes: ['{00000000-0000-0000-0000-000000000000}', 'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF'],
    others: fc.uuid(),
  },
  {
    type: 'inet',
    extremes: ['0.0.0.0/0', '::/0', '::ffff:1.2.3.4', 'fe80::1/64'],
    others: fc.oneof(fc.ipV6(), ip4, join(ip4, '/', whole(0, 32))),
  },
  {
    type: 'cidr',
    extremes: ['0.0.0.0/0', '::/0', '10.1.2.3/32'],
    others: fc.oneof(join(whole(0, 255), '.', whole(0, 255), '.0.0/16'), join(hex(1, 4), '::/48'), fc.ipV6()),
  },
  { type: 'macaddr', extremes: ['08-00-2b-01-02-03', 'ffffffffffff'], others: hex(12, 12) },
  { type: 'macaddr8', extremes: ['08:00:2b:01:02:03:04:05'], others: hex(16, 16) },
  {
    type: 'bit(9)',
    extremes: ['000000000', '111111111'],
    others: fc.string({ unit: fc.constantFrom('0', '1'), minLength: 9, maxLength: 9 }),
  },
  { type: 'varbit', extremes: [''], others: fc.string({ unit: fc.constantFrom('0', '1'), maxLength: 70 }) },
  { type: 'json', extremes: [' { "b" : 1.0e+2 , "b": null }', '"\\u00e9\\n"', '1e400'], others: json },
  {
    type: 'jsonb',
    extremes: [' { "b" : 1.0e+2 , "b": null }', '"\\u00e9\\n\\t\\u0001"', '1.000', '-0', '1e400'],
    others: json,
  },
  {
    type: 'jsonpath',
    extremes: [
      'strict $.a[*] ? (@.b > 1.50 && exists (@.c))',
      '$.** {2 to last}',
      '$."it\'s"."\\"q\\"".size()',
      '$.a like_regex "^x" flag "i"',
      '$.datetime("HH24:MI")',
      '-$.a + 2 * $[0, 1 to 2]',
    ],
    others: join(
      '$.k',
      hex(1, 6),
      '[',
      whole(0, 99),
      '] ? (@.v == ',
      fc.double({ noNaN: true, noDefaultInfinity: true, min: 0, max: 1e15 }).map((one) => one.toFixed(6)),
      ')',
    ),
  },
  {
    type: 'xml',
    extremes: [
      '<a/>',
      'x <b>é</b>',
      '<?xml version="1.0" encoding="UTF-8" standalone="yes"?><a b="&lt;"/>',
      '<!-- c --><a><![CDATA[<>]]></a>',
    ],
    others: join('<r n="', whole(0, 999), '">', hex(0, 9), '</r>'),
  },
  { type: 'pg_lsn', extremes: ['0/0', 'FFFFFFFF/FFFFFFFF'], others: join(hex(1, 8), '/', hex(1, 8)) },
  {
    type: 'xid8',
    extremes: ['0', '18446744073709551615'],
    others: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  },
  {
    type: 'tid',
    extremes: ['(0,0)', '(4294967295,65535)'],
    others: join('(', whole(0, 99_999), ',', whole(0, 65_535), ')'),
  },
  { type: 'tsvector', extremes: ['', "a:1A,2b,3 'b c':4 d", "'it''s':16383"], others: list(lexeme, 0, 5, ' ') },
  // No empty one: it cannot be bound in binary.
  { type: 'tsquery', extremes: ["a & !( b | 'c d':*AB ) <3> e", '!!a'], others: list(lexeme, 1, 4, ' & ') },
  { type: 'point', extremes: ['(NaN,Infinity)', '(-0,0)'], others: point },
  { type: 'line', extremes: ['{1,0,0}', '{0,-1,NaN}'], others: join('{1,', coordinate, ',', coordinate, '}') },
  { type: 'lseg', extremes: ['[(0,0),(1,1)]'], others: join('[', point, ',', point, ']') },
  { type: 'box', extremes: ['(0,0),(1,1)'], others: join(point, ',', point) },
  {
    type: 'path',
    extremes: ['[(0,0)]', '((0,0),(1,1))'],
    others: fc.oneof(join('[', list(point, 1, 4), ']'), join('(', list(point, 1, 4), ')')),
  },
  { type: 'polygon', extremes: ['((0,0))'], others: join('(', list(point, 1, 5), ')') },
  {
    type: 'circle',
    extremes: ['<(0,0),0>'],
    others: join('<', point, ',', fc.double({ min: 0, max: 1e100, noNaN: true }).map(String), '>'),
  },
  { type: 'int4range', extremes: ['[1,1]', '(1,2)'], others: ranges.int4 },
  { type: 'int8range', extremes: ['[-9223372036854775808,9223372036854775806]'], others: ranges.int8 },
  { type: 'numrange', extremes: ['[1.0,1.00]', '(NaN,)', '[-Infinity,Infinity]'], others: ranges.num },
  { type: 'daterange', extremes: ['[-infinity,infinity]'], others: ranges.date },
  { type: 'tsrange', extremes: ['["0044-03-15 00:00 BC",infinity)'], others: ranges.ts },
  { type: 'tstzrange', extremes: ['["0044-03-15 00:00 BC",infinity)'], others: ranges.ts },
  { type: 'int4multirange', extremes: ['{}', '{(,1),[3,5],[5,9)}'], others: several(ranges.int4) },
  { type: 'nummultirange', extremes: ['{}', '{[1.0,1.000],(2,)}'], others: several(ranges.num) },
  { type: 'datemultirange', extremes: ['{}'], others: several(ranges.date) },
  { type: 'tstzmultirange', extremes: ['{}'], others: several(ranges.ts) },
  { type: 'integer[]', extremes: ['{}', '[0:1]={1,NULL}'], others: array(whole(-99, 99)) },
  { type: 'text[]', extremes: ['{}', '{NULL,"NULL",null,"",\\\\}'], others: array(quoted(text)) },
  { type: 'numeric[]', extremes: ['{1.0,1.000,NaN}'], others: array(decimal) },
  { type: 'double precision[]', extremes: ['{-0,NaN,-Infinity}'], others: array(float8) },
  { type: 'timestamptz[]', extremes: ['{infinity}'], others: array(quoted(zoned)) },
  {
    type: 'bytea[]',
    extremes: ['{"\\\\x00"}'],
    others: array(hex(0, 8).map((one) => `"\\\\x${one.slice(one.length % 2)}"`)),
  },
  { type: 'int4range[]', extremes: ['{empty}'], others: array(quoted(ranges.int4)) },
  { type: 'mood', extremes: ['sad', 'ok', "it's"] },
  { type: 'mood[]', extremes: ['{}'], others: array(fc.constantFrom('sad', 'ok', '"it\'s"')) },
  {
    type: 'pair',
    extremes: ['(,)', '(0,"")', '(1,"a ""b"" \\\\")'],
    others: join('(', decimal, ',', quoted(text), ')'),
  },
  { type: 'short', extremes: TEXTS, others: text.map((one) => Array.from(one).slice(0, 20).join('')) },
];

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
  default: null,
  identity: '',
  generated: '',
  sequence: null,
  selectable: true,
  exact: true,
  textual: true,
  plain: false,
}));

/** What the transaction that writes these rows is told of them. */
async function digestOf(client: pg.Client, rows: string): Promise<string> {
  await client.query('BEGIN');
  await client.query('CREATE TABLE told (a numeric, b text, c text, d double precision)');
  if (rows !== '') await client.query(`INSERT INTO told VALUES ${rows}`);
  const [digest] = await rowsOf(client, digestText('told', COLUMNS));
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
