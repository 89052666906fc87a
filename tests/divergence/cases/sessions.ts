/** Values that depend on the session: who it is, its settings. */
import type { Case } from '../case.ts';
import { ROLE } from '../role.ts';

const LOG =
  'CREATE TABLE log (who int, round int, x text); CREATE TABLE t (id int PRIMARY KEY, x text); INSERT INTO t SELECT generate_series(1, 4)';

export const sessionCases: readonly Case[] = [
  {
    name: 'current_user after SET ROLE',
    schema: `${LOG}; GRANT ALL ON log, t TO ${ROLE}`,
    session: (client) => (client % 2 === 0 ? [`SET ROLE ${ROLE}`] : []),
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`INSERT INTO log VALUES (${client}, ${round}, current_user || ' ' || session_user)`]
        : [`UPDATE t SET x = current_user || '${client}' WHERE id = ${random.whole(1, 4)}`],
  },
  {
    name: 'a role for a transaction alone',
    schema: `${LOG}; GRANT ALL ON log, t TO ${ROLE}`,
    step: (random, client, round) => [
      `SET LOCAL ROLE ${ROLE}`,
      `INSERT INTO log VALUES (${client}, ${round}, current_user)`,
      `UPDATE t SET x = current_role WHERE id = ${random.whole(1, 4)}`,
    ],
    wrapping: 'block',
  },
  {
    name: 'the time zone of each session',
    schema: 'CREATE TABLE log (who int, at timestamptz, x text)',
    session: (client) => [
      `SET TimeZone = '${['UTC', 'Asia/Tokyo', 'America/New_York', 'Europe/Berlin'][client % 4] ?? ''}'`,
    ],
    step: (random, client) => [
      `INSERT INTO log VALUES (${client}, '2026-06-0${random.whole(1, 9)} 12:00', '2026-01-01 00:00+00'::timestamptz::text)`,
    ],
  },
  {
    name: 'the date style of each session',
    schema: 'CREATE TABLE log (who int, day date, x text)',
    session: (client) => [`SET DateStyle = '${client % 2 === 0 ? 'SQL, DMY' : 'Postgres, MDY'}'`],
    step: (random, client) => [
      `INSERT INTO log VALUES (${client}, '0${random.whole(1, 9)}/0${random.whole(1, 9)}/2026', (date '2026-02-03')::text)`,
    ],
  },
  {
    name: 'moments that vary under the date style of each session',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, day date, at timestamp DEFAULT clock_timestamp(), made timestamptz DEFAULT clock_timestamp(), n int DEFAULT 0);
      CREATE TABLE held (made timestamptz PRIMARY KEY, n int)`,
    session: (client) => [
      `SET DateStyle = '${['SQL, DMY', 'Postgres, MDY', 'German, DMY', 'ISO, YMD', 'SQL, YMD'][client % 5] ?? ''}'`,
      `SET TimeZone = '${['UTC', 'Europe/Berlin', 'America/St_Johns'][client % 3] ?? ''}'`,
    ],
    step: (random) => {
      const kind = random.below(4);
      if (kind === 0) return ["INSERT INTO t (day) SELECT '-infinity'::date UNION ALL SELECT make_date(-44, 3, 5)"];
      if (kind === 1)
        return [`UPDATE t SET n = n + 1, at = clock_timestamp(), day = make_date(12026, 2, 3) WHERE n < 3`];
      if (kind === 2) return ['INSERT INTO held SELECT clock_timestamp(), 1'];
      return [`DELETE FROM held WHERE n = ${random.whole(1, 2)}`];
    },
    expects: ['23505'],
    bites: true,
  },
  {
    name: 'date style and rows of a query',
    schema: `CREATE TABLE log (id serial, who int, day date, x text, i interval);
      CREATE TABLE source (day date, i interval); INSERT INTO source VALUES ('2026-02-03', '1 day 2:03:04'), ('2026-04-05', '-1 mon')`,
    session: (client) => [
      `SET DateStyle = '${client % 2 === 0 ? 'SQL, DMY' : 'ISO, MDY'}'`,
      `SET IntervalStyle = '${client % 3 === 0 ? 'sql_standard' : 'postgres'}'`,
    ],
    step: (_random, client) => [
      `INSERT INTO log (who, day, x, i) SELECT ${client}, day, day::text || i::text, i FROM source`,
    ],
    bites: true,
  },
  {
    name: 'application_name and a setting of the application',
    schema: LOG,
    session: (client) => [`SET application_name = 'app ${client}'`, `SET app.tenant = '${client * 11}'`],
    step: (random, client, round) =>
      random.chance(0.5)
        ? [
            `INSERT INTO log VALUES (${client}, ${round}, current_setting('application_name') || current_setting('app.tenant'))`,
          ]
        : [`UPDATE t SET x = current_setting('app.tenant') WHERE id = ${random.whole(1, 4)}`],
  },
  {
    name: 'a setting of the application as a default',
    schema: `CREATE TABLE log (who int, tenant text DEFAULT current_setting('app.tenant', true))`,
    session: (client) => [`SET app.tenant = '${client * 11}'`],
    step: (random, client) => [
      `SET LOCAL app.tenant = '${random.whole(1, 1000)}'`,
      `INSERT INTO log (who) VALUES (${client})`,
    ],
    wrapping: 'block',
  },
  {
    name: 'a setting of the application by set_config',
    schema: LOG,
    step: (random, client, round) => [
      `SELECT set_config('app.tenant', '${random.whole(1, 1000)}', true)`,
      `INSERT INTO log VALUES (${client}, ${round}, current_setting('app.tenant'))`,
      `UPDATE t SET x = current_setting('app.tenant') WHERE id = ${random.whole(1, 4)}`,
    ],
    wrapping: 'block',
  },
  {
    name: 'a search path of each session',
    schema: `CREATE TABLE log (who int, x text);
      CREATE FUNCTION path() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_setting('search_path') $$`,
    step: (random, client) => [
      // The schema of the case stays in front.
      `SELECT set_config('search_path', current_schema() || ', ${random.pick(['public', 'pg_catalog', 'information_schema'])}', true)`,
      `INSERT INTO log VALUES (${client}, path()), (${client}, current_schemas(false)::text)`,
    ],
    wrapping: 'block',
  },
  {
    name: 'extra_float_digits of each session',
    schema: `CREATE TABLE t (id int PRIMARY KEY, x float8 NOT NULL, y float4 NOT NULL, s text);
      INSERT INTO t SELECT g, 1 / g::float8, 1 / g::float4 FROM generate_series(1, 4) g`,
    session: (client) => [`SET extra_float_digits = ${client % 3 === 0 ? 0 : 1}`],
    step: (random, client) => [
      `UPDATE t SET x = x / 3, y = y / 7 + ${client}, s = x::text || y::text WHERE id = ${random.whole(1, 4)}`,
    ],
  },
  {
    name: 'extra_float_digits and rows of a query',
    schema: `CREATE TABLE source (x float8, y float4); INSERT INTO source SELECT 1 / g::float8, 1 / g::float4 FROM generate_series(3, 7) g;
      CREATE TABLE log (id serial, x float8, y float4, s text)`,
    session: (client) => [`SET extra_float_digits = ${client % 3 === 0 ? 0 : 1}`],
    step: (random) => [`INSERT INTO log (x, y, s) SELECT x, y, x::text FROM source WHERE x < ${random.next()}`],
    bites: true,
  },
];
