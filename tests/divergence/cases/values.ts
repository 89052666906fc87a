/** Types and their texts: numbers, collations, documents, arrays, large values. */
import type { Case } from '../case.ts';

const one = (column: string, first: string): string =>
  `CREATE TABLE t (id int PRIMARY KEY, ${column}); INSERT INTO t SELECT g, ${first} FROM generate_series(1, 4) g`;

export const valueCases: readonly Case[] = [
  {
    name: 'sums of floats in the order of a scan',
    schema: `CREATE TABLE part (id int PRIMARY KEY, x float8 NOT NULL, y float4 NOT NULL); INSERT INTO part SELECT g, 0.1 * g, 0.3 * g FROM generate_series(1, 9) g;
      CREATE TABLE total (id int PRIMARY KEY, x float8, y float4); INSERT INTO total VALUES (1)`,
    step: (random) =>
      random.chance(0.6)
        ? [`UPDATE part SET x = x * 1.1 + ${random.next()}, y = y / 3 WHERE id = ${random.whole(1, 9)}`]
        : ['UPDATE total SET x = (SELECT sum(x) FROM part), y = (SELECT sum(y) FROM part) WHERE id = 1'],
  },
  {
    name: 'floats of every kind',
    schema: one('x float8, y float4', "'NaN', '-0'"),
    step: (random) => [
      `UPDATE t SET x = ${random.pick(["'-0'", "'Infinity'", "'NaN'", 'x + 1e300', "sqrt(abs(coalesce(nullif(x, 'NaN'), 2)))", '1e-310'])}, y = ${random.pick(["'-0'", '1e-40', 'y', '3.4e38'])} WHERE id > ${random.below(4)}`,
    ],
    expects: ['22003'],
  },
  {
    name: 'the scale of numerics',
    schema: one('x numeric NOT NULL, y numeric(12, 2) NOT NULL', '1.50 * g, g'),
    step: (random) => [
      `UPDATE t SET x = round(x * 1.10, ${random.below(6)}) + 0.00, y = y * 1.005 WHERE id <= ${random.whole(1, 4)} AND y < 1000000`,
    ],
  },
  {
    name: 'text chosen by its collation',
    schema: one('x text NOT NULL, n int NOT NULL DEFAULT 0', 'chr(96 + g) || g'),
    step: (random) =>
      random.chance(0.5)
        ? [
            `UPDATE t SET x = '${random.pick(['Äpfel', 'apfel', 'Zebra', 'ähre', 'B-b', 'bb', 'É'])}' WHERE id = ${random.whole(1, 4)}`,
          ]
        : ['UPDATE t SET n = n + 1 WHERE x = (SELECT max(x) FROM t)'],
    bites: true,
  },
  {
    name: 'documents are changed in place',
    schema: one(`doc jsonb NOT NULL, raw json`, `'{"n": 0, "tags": []}', '{"a":  1}'`),
    step: (random, client) => [
      `UPDATE t SET doc = jsonb_set(doc, '{n}', to_jsonb((doc->>'n')::int + 1)) || jsonb_build_object('c${client}', ${random.below(9)}), raw = row_to_json(t) WHERE (doc->>'n')::int < ${random.whole(1, 40)}`,
    ],
  },
  {
    name: 'elements of documents and arrays',
    schema: one('doc jsonb NOT NULL, list int[] NOT NULL', "'[]', '{}'"),
    step: (random, client) => [
      `UPDATE t SET doc = doc || '${client}', list = list || ${client} WHERE id = ${random.whole(1, 4)} AND cardinality(list) < 30`,
      `UPDATE t SET list = array_remove(list, ${random.below(16)}), doc = doc - 0 WHERE cardinality(list) > ${random.whole(2, 9)}`,
    ],
    wrapping: 'block',
  },
  {
    name: 'array elements and slices are assigned',
    schema: one('list int[] NOT NULL', "'{1,2,3,4}'"),
    step: (random) => [
      `UPDATE t SET list[${random.whole(1, 6)}] = coalesce(list[1], 0) + 1, list[2:3] = ARRAY[list[3], list[2]] WHERE id <= ${random.whole(1, 4)}`,
    ],
    expects: ['42601'],
  },
  {
    name: 'large values that are compressed and stored apart',
    schema: one('x text NOT NULL, n int NOT NULL DEFAULT 0', 'repeat(md5(g::text), 400)'),
    step: (random, client) =>
      random.chance(0.4)
        ? [`UPDATE t SET x = md5(x || '${client}') || substr(x, 1, 12000) WHERE id = ${random.whole(1, 4)}`]
        : [`UPDATE t SET n = n + 1 WHERE id > ${random.below(4)}`],
  },
  {
    name: 'values of a composite type',
    schema: `CREATE TYPE point3 AS (x int, y int, label text); ${one('p point3', "ROW(g, 0, 'a')::point3")}`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET p.x = (p).x + 1, p.label = 'l, "${random.below(9)}"' WHERE (p).y = ${random.below(2)}`]
        : [`UPDATE t SET p = ROW((p).x * 2 % 1009, ${random.below(2)}, NULL)::point3 WHERE id = ${random.whole(1, 4)}`],
    bites: true,
  },
  {
    name: 'values of an enum',
    schema: `CREATE TYPE mood AS ENUM ('low', 'mid', 'high'); ${one('m mood NOT NULL, n int NOT NULL DEFAULT 0', "'low'")}`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET m = '${random.pick(['low', 'mid', 'high'])}' WHERE id = ${random.whole(1, 4)}`]
        : [`UPDATE t SET n = n + 1 WHERE m >= 'mid'`],
  },
  {
    name: 'bytes',
    schema: one('b bytea NOT NULL, n int NOT NULL DEFAULT 0', "'\\x00ff'"),
    session: (client) => [`SET bytea_output = ${client % 2 === 0 ? 'escape' : 'hex'}`],
    step: (random) =>
      random.chance(0.5)
        ? [
            {
              text: 'UPDATE t SET b = $2 || substr(b, 1, 20), n = n + 1 WHERE id = $1',
              values: [random.whole(1, 4), Buffer.from([0, 39, 92, random.below(256)])],
            },
          ]
        : [`UPDATE t SET b = set_byte(b, 0, (get_byte(b, 0) + 1) % 256) WHERE n < ${random.whole(1, 20)}`],
  },
  {
    name: 'a domain with a check and a default',
    schema: `CREATE DOMAIN small AS int DEFAULT 1 CHECK (VALUE BETWEEN 0 AND 40); ${one('n small NOT NULL', '0')}; CREATE TABLE log (who int, n small)`,
    step: (random, client) =>
      random.chance(0.5)
        ? [`UPDATE t SET n = n + ${random.whole(1, 3)} WHERE id <= ${random.whole(1, 4)}`]
        : [`INSERT INTO log (who) VALUES (${client})`],
    expects: ['23514'],
  },
  {
    name: 'ranges and multiranges',
    schema: one('r int4range NOT NULL, m nummultirange', "int4range(g, g + 10), '{}'"),
    step: (random) => [
      `UPDATE t SET r = int4range(lower(r) + ${random.whole(-2, 2)}, upper(r) + 3), m = m + nummultirange(numrange(${random.below(90)}, ${random.whole(91, 99)}.50)) WHERE r @> ${random.whole(1, 14)}`,
    ],
    expects: ['22000'],
    bites: true,
  },
  {
    name: 'intervals money and network addresses',
    schema: one('i interval, c money, a inet, bits varbit', "g * interval '1 day', g, '10.0.0.1', B'1'"),
    session: (client) => [`SET IntervalStyle = '${client % 2 === 0 ? 'iso_8601' : 'postgres_verbose'}'`],
    step: (random) => [
      `UPDATE t SET i = i + interval '1 mon 2 days 3.5 s', c = c * 1.5, a = a + 1, bits = left(bits::text, 20)::varbit || B'01' WHERE id >= ${random.whole(1, 4)} AND c < 1000::money`,
    ],
  },
  {
    name: 'generated columns',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, n int NOT NULL, twice int GENERATED ALWAYS AS (n * 2) STORED, label text GENERATED ALWAYS AS ('n' || n) STORED);
      INSERT INTO t (n) SELECT generate_series(1, 4)`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET n = n + 1 WHERE twice < ${random.whole(4, 60)}`]
        : [`INSERT INTO t (n) VALUES (${random.below(9)}) RETURNING twice`],
    bites: true,
  },
];
