/** Functions, procedures and blocks that write. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const ROWS = `CREATE TABLE t (id int PRIMARY KEY, grp int NOT NULL, n int NOT NULL DEFAULT 0); INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 9) g;
  CREATE TABLE log (id serial PRIMARY KEY, x text)`;

export const programCases: readonly Case[] = [
  {
    name: 'a DO block',
    schema: ROWS,
    step: (random, client) => [
      `DO $$ BEGIN UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}; INSERT INTO log (x) VALUES ('${client}'); END $$`,
    ],
    bites: true,
  },
  {
    name: 'a DO block that asks first',
    schema: ROWS,
    step: (random) => [
      `DO $$ DECLARE m int; BEGIN SELECT sum(n) INTO m FROM t; UPDATE t SET n = m % 100 + 1 WHERE id = ${random.whole(1, 9)}; END $$`,
    ],
    bites: true,
  },
  {
    name: 'a DO block with a moment and a random number',
    schema: ROWS,
    step: (random) => [
      `DO $$ BEGIN UPDATE t SET n = (random() * 1000)::int WHERE id = ${random.whole(1, 9)}; INSERT INTO log (x) VALUES (clock_timestamp()::text); END $$`,
    ],
    bites: true,
  },
  {
    name: 'a procedure that writes',
    schema: `${ROWS}; CREATE PROCEDURE bump(which int) LANGUAGE sql AS 'UPDATE t SET n = n + 1 WHERE grp = which; INSERT INTO log (x) VALUES (which::text)'`,
    step: (random) =>
      random.chance(0.5)
        ? [`CALL bump(${random.below(3)})`]
        : [`UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a procedure that commits',
    schema: `${ROWS}; CREATE PROCEDURE twice(which int) LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET n = n + 1 WHERE id = which; COMMIT; UPDATE t SET n = n + 1 WHERE id = which; END $$`,
    step: (random) => [
      random.chance(0.2)
        ? `CALL twice(${random.whole(1, 9)})`
        : `UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`,
    ],
    wrapping: 'own',
    expects: ['2D000'],
  },
  {
    name: 'a function with effects in a select',
    schema: `${ROWS}; CREATE FUNCTION bump(which int) RETURNS int LANGUAGE sql AS 'UPDATE t SET n = n + 1 WHERE grp = which; INSERT INTO log (x) VALUES (which::text) RETURNING 1'`,
    step: (random) =>
      random.chance(0.5)
        ? [`SELECT bump(${random.below(3)})`]
        : [`UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a function with effects for each row of a table',
    schema: `${ROWS}; CREATE FUNCTION note(what int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (x) VALUES (what::text); RETURN what; END $$`,
    step: (random) =>
      random.chance(0.4)
        ? [`SELECT note(id) FROM t WHERE grp = ${random.below(3)}`]
        : [`UPDATE t SET n = n + 1, grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a function that takes the next job',
    schema: `${ROWS}; CREATE FUNCTION take(who int) RETURNS int LANGUAGE sql AS 'UPDATE t SET grp = who WHERE id = (SELECT id FROM t WHERE grp < 3 ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id'`,
    step: (random, client) =>
      random.chance(0.5) ? [`SELECT take(${10 + client})`] : [`UPDATE t SET grp = 0 WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a function whose result is void and hides what it did',
    schema: `${ROWS}; CREATE FUNCTION refill(which int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        UPDATE t SET n = (SELECT sum(n) % 1000 FROM t WHERE grp <> which) + 1 WHERE grp = which; END $$`,
    step: (random) =>
      random.chance(0.4)
        ? [`SELECT refill(${random.below(3)})`]
        : [`UPDATE t SET n = n + 1, grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'a function that catches an error',
    schema: `${ROWS}; CREATE FUNCTION attempt(k int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        BEGIN INSERT INTO t VALUES (k, 0); RETURN 'new'; EXCEPTION WHEN unique_violation THEN UPDATE t SET n = n + 1 WHERE id = k; RETURN 'old'; END; END $$`,
    step: (random) =>
      random.chance(0.7)
        ? [`SELECT attempt(${random.whole(1, 40)})`]
        : [`DELETE FROM t WHERE id = ${random.whole(10, 40)}`],
  },
  {
    name: 'dynamic SQL in a function',
    schema: `${ROWS}; CREATE FUNCTION dynamic(which int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('UPDATE t SET n = n + %s WHERE grp = %s', which + 1, which); END $$`,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`SELECT dynamic(${random.below(3)})`]
        : [`INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(3)})`],
    bites: true,
  },
];
