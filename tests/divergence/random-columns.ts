/** Types of the columns of random schemas: values as literals, expressions that compute new ones, defaults. */
import type { Random } from '../simulation/random.ts';

export const TYPES = [
  'int',
  'bigint',
  'numeric',
  'numeric(10,2)',
  'text',
  'varchar(12)',
  'bool',
  'timestamptz',
  'date',
  'uuid',
  'jsonb',
  'int[]',
  'bytea',
  'float8',
  'mood',
] as const;
export type ColumnType = (typeof TYPES)[number];

/** Made in each random schema; `extra` gives numbers to defaults and statements. */
export const SHARED = ["CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')", 'CREATE SEQUENCE extra START 5000'] as const;

const WORDS = ['', 'a', 'Zebra', 'ärger', "it's", 'back\\slash', 'two\nlines', '"q"', '日本', 'x y', 'NULL'] as const;

/** The text of a value, unquoted. */
export function valueText(type: ColumnType, random: Random): string {
  return TEXTS[type](random);
}

const TEXTS: Readonly<Record<ColumnType, (random: Random) => string>> = {
  int: (random) => String(random.whole(-9, 60)),
  bigint: (random) => random.pick(['-9223372036854775807', '0', '4294967296', String(random.below(1_000_000))]),
  numeric: (random) => random.pick(['1.0', '1.000', '-0.0001', '1e30', 'NaN', String(random.below(1000) / 8)]),
  'numeric(10,2)': (random) => (random.below(100_000) / 100).toFixed(2),
  text: (random) => random.pick(WORDS) + (random.chance(0.5) ? String(random.below(1000)) : ''),
  'varchar(12)': (random) => random.pick(WORDS).slice(0, 9) + (random.chance(0.5) ? String(random.below(100)) : ''),
  bool: (random) => random.pick(['true', 'false']),
  timestamptz: (random) =>
    random.pick(['infinity', '0044-03-15 00:00:00+00 BC', `2024-03-31 0${random.below(9)}:30:00.123456+02`]),
  date: (random) => random.pick(['-infinity', '4713-01-01 BC', `2024-02-${random.whole(10, 29)}`]),
  uuid: (random) => `00000000-0000-4000-8000-${String(random.below(1_000_000)).padStart(12, '0')}`,
  jsonb: (random) => random.pick(['{}', 'null', '[1, 2.50, "x"]', `{"n": ${random.below(50)}, "s": "é\\n"}`]),
  'int[]': (random) => random.pick(['{}', '{NULL}', '{{1,2},{3,4}}', `{${random.below(9)},NULL,7}`]),
  bytea: (random) => random.pick(['\\x', '\\x00ff', `\\x${String(random.below(100)).padStart(2, '0')}`]),
  float8: (random) => random.pick(['NaN', '-Infinity', '-0', '1e-300', '0.1', String(random.next())]),
  mood: (random) => random.pick(['sad', 'ok', 'happy']),
};

/** Computes a value of the type from the column's own, or gives another each time (`volatile`). */
export function expression(type: ColumnType, column: string, manner: 'stable' | 'volatile', random: Random): string {
  return random.pick((manner === 'stable' ? STABLE : VOLATILE)[type]).replaceAll('@', column);
}

const STABLE: Readonly<Record<ColumnType, readonly string[]>> = {
  int: ['(@ + 1) % 100000', 'abs(@) / 2', 'length(@::text)'],
  bigint: ['@ / 2', 'coalesce(@, 0) % 1000 + 1'],
  numeric: ['@ / 3', 'round(@, 3)', 'coalesce(@, 0) + 0.10'],
  'numeric(10,2)': ['@ / 3', 'coalesce(@, 0) + 0.10', '-@'],
  text: ["left(@ || 'x', 40)", 'upper(@)', 'reverse(@)', "coalesce(@, 'none')"],
  'varchar(12)': ["left(@ || 'x', 12)", 'lower(@)', 'md5(@)::varchar(12)'],
  bool: ['NOT @', '@ IS NULL'],
  timestamptz: ["@ + interval '1 day'", "date_trunc('hour', @)", 'coalesce(@, now())', 'now()'],
  date: ['@ + 1', '(@ - 1)', 'CURRENT_DATE'],
  uuid: ['@', 'md5(@::text)::uuid'],
  jsonb: [`@ || '{"more": 1}'`, 'to_jsonb(@::text)', "jsonb_build_object('was', @)"],
  'int[]': ['array_append(@, NULL)', 'ARRAY[cardinality(@), 1]'],
  bytea: ["substr(@ || '\\x01'::bytea, 1, 30)", 'sha256(@)'],
  float8: ['@ / 3', 'sqrt(abs(@))', 'exp(0.1) + @', '@::numeric::float8'],
  mood: ["CASE @ WHEN 'sad' THEN 'ok' ELSE 'sad' END::mood", "coalesce(@, 'ok')"],
};

const VOLATILE: Readonly<Record<ColumnType, readonly string[]>> = {
  int: ['(random() * 1000)::int', "nextval('extra')::int"],
  bigint: ["nextval('extra')", '(random() * 1e12)::bigint'],
  numeric: ['random()::numeric', "nextval('extra') / 7.0"],
  'numeric(10,2)': ['(random() * 100)::numeric(10,2)'],
  text: ['md5(random()::text)', 'clock_timestamp()::text', 'current_user', 'gen_random_uuid()::text'],
  'varchar(12)': ['left(md5(random()::text), 12)'],
  bool: ['random() < 0.5'],
  timestamptz: ['now()', 'clock_timestamp()', 'statement_timestamp()', 'CURRENT_TIMESTAMP(2)'],
  date: ['CURRENT_DATE', "(now() + interval '1 day')::date"],
  uuid: ['gen_random_uuid()'],
  jsonb: ["jsonb_build_object('at', clock_timestamp())", 'to_jsonb(random())'],
  'int[]': ['ARRAY[(random() * 9)::int, NULL]'],
  bytea: ["decode(md5(random()::text), 'hex')"],
  float8: ['random()', 'extract(epoch FROM clock_timestamp())::float8'],
  mood: ["(ARRAY['sad', 'ok', 'happy']::mood[])[1 + (random() * 2)::int]"],
};
