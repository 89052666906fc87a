/** Defaults that vary, asked for in other ways than by leaving the column out of an INSERT. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const ROWS = `CREATE TABLE t (id serial PRIMARY KEY, who int, u uuid DEFAULT gen_random_uuid(), at timestamptz DEFAULT clock_timestamp());
  INSERT INTO t (who) SELECT generate_series(1, 4)`;

export const defaultCases: readonly Case[] = [
  {
    name: 'default values and the word default',
    schema: ROWS,
    step: (random, client, round) =>
      random.chance(0.3)
        ? ['INSERT INTO t DEFAULT VALUES']
        : [`INSERT INTO t (id, who) VALUES (DEFAULT, ${client}), (${1_000_000 + fresh(client, round)}, DEFAULT)`],
  },
  {
    name: 'rows without names of columns, one of which is computed',
    schema: `CREATE TABLE t (k bigint PRIMARY KEY, g bigint GENERATED ALWAYS AS (k * 2) STORED, who int, id serial, at timestamptz DEFAULT clock_timestamp())`,
    step: (_random, client, round) => [`INSERT INTO t VALUES (${fresh(client, round)}, DEFAULT, ${client})`],
    bites: true,
  },
  {
    name: 'the word default in a list of an update',
    schema: ROWS,
    step: (random) => [`UPDATE t SET (u, who) = (DEFAULT, who + 1) WHERE id = ${random.whole(1, 4)}`],
    bites: true,
  },
  {
    name: 'the word default in an update',
    schema: ROWS,
    step: (random) => [`UPDATE t SET u = DEFAULT, who = who + 1 WHERE id = ${random.whole(1, 4)}`],
  },
  {
    name: 'the word default in an update of a serial',
    schema: `CREATE TABLE t (id serial, k int PRIMARY KEY); INSERT INTO t (k) SELECT generate_series(1, 4)`,
    step: (random) => [`UPDATE t SET id = DEFAULT WHERE k <= ${random.whole(1, 4)}`],
  },
  {
    name: 'the word default in an update of an identity',
    schema: `CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, k int PRIMARY KEY); INSERT INTO t (k) SELECT generate_series(1, 4)`,
    step: (random) => [`UPDATE t SET id = DEFAULT WHERE k = ${random.whole(1, 4)}`],
  },
  {
    name: 'the word default in an upsert',
    schema: `CREATE TABLE t (k int PRIMARY KEY, n int NOT NULL DEFAULT 0, u uuid DEFAULT gen_random_uuid())`,
    step: (random) => [
      `INSERT INTO t (k, u) VALUES (${random.whole(1, 4)}, NULL) ON CONFLICT (k) DO UPDATE SET n = t.n + 1, u = DEFAULT`,
    ],
  },
  {
    name: 'the default of a domain',
    schema: `CREATE DOMAIN token AS uuid DEFAULT gen_random_uuid(); CREATE TABLE t (who int, x token)`,
    step: (_random, client) => [`INSERT INTO t (who) VALUES (${client}), (${client})`],
  },
  {
    name: 'the defaults of a table behind a view',
    schema: `${ROWS}; CREATE VIEW v AS SELECT id, who FROM t`,
    step: (_random, client) => [`INSERT INTO v (who) VALUES (${client})`],
  },
  {
    name: 'the defaults of a table behind a view of a view with conditions',
    schema: `${ROWS}; CREATE VIEW v AS SELECT id, who FROM t WHERE who < 12; CREATE VIEW w AS SELECT who, id FROM v WHERE who > 3 WITH CASCADED CHECK OPTION`,
    step: (_random, client) => [`INSERT INTO w (who) VALUES (${client}), (${(client + 1) % 13}) RETURNING id`],
    expects: ['44000'],
  },
  {
    name: 'the default of a view',
    schema: `CREATE TABLE t (k int PRIMARY KEY, u uuid); CREATE VIEW v AS SELECT * FROM t; ALTER VIEW v ALTER COLUMN u SET DEFAULT gen_random_uuid()`,
    step: (_random, client, round) => [`INSERT INTO v (k) VALUES (${fresh(client, round)})`],
  },
  {
    name: 'the defaults of a partition written by its name',
    schema: `CREATE TABLE t (id bigint, part int, u uuid) PARTITION BY LIST (part); CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1);
      ALTER TABLE t_1 ALTER COLUMN u SET DEFAULT gen_random_uuid(); ALTER TABLE t ALTER COLUMN id SET DEFAULT 7`,
    step: (random) => [`INSERT INTO ${random.pick(['t', 't_1'])} (part) VALUES (1)`],
  },
  {
    name: 'nextval below WITH',
    schema: `CREATE SEQUENCE s; CREATE TABLE t (id bigint PRIMARY KEY, who int)`,
    step: (_random, client) => [`WITH n AS (SELECT nextval('s') AS id) INSERT INTO t SELECT id, ${client} FROM n`],
  },
  {
    name: 'nextval behind a function',
    schema: `CREATE SEQUENCE s; CREATE FUNCTION fresh_id() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('s') $$;
      CREATE TABLE t (id bigint PRIMARY KEY DEFAULT fresh_id(), who int)`,
    step: (random, client) =>
      random.chance(0.5)
        ? [`INSERT INTO t (who) VALUES (${client})`]
        : [`INSERT INTO t (id, who) VALUES (fresh_id(), ${client})`],
  },
  {
    name: 'large objects',
    schema: 'CREATE TABLE t (id serial, lo oid, who int)',
    step: (random, client) =>
      random.chance(0.5)
        ? [`INSERT INTO t (lo, who) VALUES (lo_from_bytea(0, '\\x0102'), ${client})`]
        : [`SELECT lo_unlink(lo) FROM t WHERE id = ${random.whole(1, 20)}`],
    expects: ['42704'],
    largeObjects: 'compared',
  },
];
