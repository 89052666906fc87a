/** Values of every core type as their text, for `digests.test.ts`: extremes, and others that are drawn. */
import fc from 'fast-check';

/** Values of a type as their text: always `extremes`, and some hundred of the others. */
export interface Kind {
  readonly type: string;
  readonly extremes: readonly string[];
  readonly others?: fc.Arbitrary<string>;
}

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

export const KINDS: readonly Kind[] = [
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
