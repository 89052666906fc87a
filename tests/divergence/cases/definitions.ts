/** Statements that define and fill at once: CREATE TABLE AS, ALTER TABLE, materialized views. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const SOURCE = `CREATE TABLE source (id int PRIMARY KEY, grp int NOT NULL, n int NOT NULL DEFAULT 0);
  INSERT INTO source SELECT g, g % 3 FROM generate_series(1, 9) g`;

export const definitionCases: readonly Case[] = [
  {
    name: 'create table as while others write the source',
    schema: SOURCE,
    step: (random, client, round) =>
      random.chance(0.3)
        ? [`CREATE TABLE made_${client}_${round} AS SELECT * FROM source WHERE grp = ${random.below(3)}`]
        : [`UPDATE source SET n = n + 1, grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'select into while others insert',
    schema: SOURCE,
    step: (random, client, round) =>
      random.chance(0.3)
        ? [`SELECT grp, count(*) AS rows, sum(n) AS n INTO made_${client}_${round} FROM source GROUP BY grp`]
        : [`INSERT INTO source VALUES (${fresh(client, round)}, ${random.below(3)}, ${random.whole(1, 9)})`],
    bites: true,
  },
  {
    name: 'create table as with a row number',
    schema: SOURCE,
    step: (random, client, round) =>
      random.chance(0.3)
        ? [`CREATE TABLE made_${client}_${round} AS SELECT row_number() OVER (ORDER BY grp) AS place, id FROM source`]
        : [`UPDATE source SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'create table as with a moment',
    schema: SOURCE,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`CREATE TABLE made_${client}_${round} AS SELECT 1 AS id, now() AS at, '${client}'::text AS who`]
        : [`INSERT INTO source VALUES (${fresh(client, round)}, ${random.below(3)}, 1)`],
    bites: true,
  },
  {
    name: 'a column is added with a volatile default',
    schema: SOURCE,
    step: (random, client, round) =>
      random.chance(0.2)
        ? [`ALTER TABLE source ADD COLUMN c_${client}_${round} uuid DEFAULT gen_random_uuid()`]
        : [`UPDATE source SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a column is added with a serial',
    schema: SOURCE,
    step: (random, client, round) =>
      random.chance(0.1)
        ? [`ALTER TABLE source ADD COLUMN c_${client}_${round} serial`]
        : [`UPDATE source SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
  },
  {
    name: 'a column is added with a default',
    schema: SOURCE,
    step: (random, client, round) =>
      random.chance(0.2)
        ? [`ALTER TABLE source ADD COLUMN c_${client}_${round} int NOT NULL DEFAULT ${random.below(9)}`]
        : [`UPDATE source SET n = n + 1 WHERE grp = ${random.below(3)}`],
  },
  {
    name: 'a type is altered using an expression',
    schema: SOURCE,
    step: (random) =>
      random.chance(0.15)
        ? [
            `ALTER TABLE source ALTER COLUMN n TYPE ${random.pick(['bigint', 'int', 'numeric'])} USING n + ${random.below(3)}`,
          ]
        : [`UPDATE source SET n = n + 1 WHERE id = ${random.whole(1, 9)}`],
  },
  {
    name: 'a type is altered using a moment',
    schema: `CREATE TABLE source (id int PRIMARY KEY, x text); INSERT INTO source SELECT g, 'now' FROM generate_series(1, 3) g`,
    step: (random, client) =>
      random.chance(0.3)
        ? [
            `ALTER TABLE source ALTER COLUMN x TYPE timestamptz USING x::timestamptz`,
            `ALTER TABLE source ALTER COLUMN x TYPE text USING to_char(x, 'YYYY-MM-DD HH24:MI:SS.US')`,
          ]
        : [`UPDATE source SET x = '2026-01-${10 + client}' WHERE id = 2`],
    wrapping: 'block',
    expects: ['42804', '42883'],
    bites: true,
  },
  {
    name: 'columns are renamed while others write',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, a int)`,
    step: (random) => {
      const luck = random.next();
      if (luck < 0.15) return ['ALTER TABLE t RENAME a TO b', 'ALTER TABLE t RENAME b TO a'];
      if (luck < 0.25) return ['ALTER TABLE t DROP COLUMN IF EXISTS c', 'ALTER TABLE t ADD COLUMN c int DEFAULT 7'];
      return [`INSERT INTO t (a) VALUES (${random.below(9)}), (${random.below(9)})`];
    },
    wrapping: 'block',
    // The catalog may be the one of a moment ago.
    expects: ['42703', '42601'],
    bites: true,
  },
  {
    name: 'tables are made and dropped',
    schema: 'CREATE TABLE log (id serial, who int)',
    step: (_random, client, round) => [
      `CREATE TABLE own_${client} (id serial PRIMARY KEY, n int)`,
      `INSERT INTO own_${client} (n) SELECT g FROM generate_series(1, ${round + 1}) g`,
      `INSERT INTO log (who) SELECT n FROM own_${client} WHERE id = 1`,
      `DROP TABLE own_${client}`,
    ],
    wrapping: 'block',
    bites: true,
  },
  {
    name: 'a temporary table as a source',
    schema: `${SOURCE}; CREATE TABLE log (n int, who int)`,
    step: (random, client) => [
      `CREATE TEMP TABLE own ON COMMIT DROP AS SELECT id, n FROM source WHERE grp = ${random.below(3)}`,
      `UPDATE own SET n = n + 1`,
      `INSERT INTO log SELECT n, ${client} FROM own`,
      `UPDATE source SET n = n + 1 WHERE id = ${random.whole(1, 9)}`,
    ],
    wrapping: 'block',
  },
  {
    name: 'an update from a temporary table',
    schema: SOURCE,
    step: (random) => [
      `CREATE TEMP TABLE own ON COMMIT DROP AS SELECT id, n FROM source WHERE grp = ${random.below(3)}`,
      `UPDATE source SET n = own.n + 1 FROM own WHERE own.id = source.id`,
    ],
    wrapping: 'block',
  },
  {
    name: 'refresh of a materialized view',
    schema: `${SOURCE}; CREATE MATERIALIZED VIEW sums AS SELECT grp, sum(n) AS n, count(*) AS rows FROM source GROUP BY grp; CREATE UNIQUE INDEX ON sums (grp)`,
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.2) return ['REFRESH MATERIALIZED VIEW sums'];
      if (luck < 0.3) return ['REFRESH MATERIALIZED VIEW CONCURRENTLY sums'];
      return [`INSERT INTO source VALUES (${fresh(client, round)}, ${random.below(3)}, ${random.whole(1, 9)})`];
    },
    bites: true,
  },
  {
    name: 'refresh of a materialized view with a limit',
    schema: `${SOURCE}; CREATE MATERIALIZED VIEW few AS SELECT id, grp FROM source ORDER BY grp LIMIT 4`,
    step: (random) =>
      random.chance(0.3)
        ? ['REFRESH MATERIALIZED VIEW few']
        : [`UPDATE source SET n = n + 1, grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`],
  },
  {
    name: 'an index is built on what differs nowhere',
    schema: SOURCE,
    step: (random, client, round) =>
      random.chance(0.15)
        ? [`CREATE INDEX i_${client}_${round} ON source (grp, n)`]
        : [`UPDATE source SET n = n + 1 WHERE grp = ${random.below(3)}`],
  },
  {
    name: 'a unique index is built while others write',
    schema: `CREATE TABLE t (id serial, k int)`,
    step: (random, client, round) =>
      random.chance(0.15)
        ? [`CREATE UNIQUE INDEX i_${client}_${round} ON t (k)`, `DROP INDEX i_${client}_${round}`]
        : random.chance(0.5)
          ? [`INSERT INTO t (k) VALUES (${random.below(30)})`]
          : [`DELETE FROM t WHERE k < ${random.below(30)}`],
    wrapping: 'block',
    expects: ['23505'],
    bites: true,
  },
];
