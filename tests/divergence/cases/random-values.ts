/** Values that each server draws for itself. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const ROWS = `CREATE TABLE t (id int PRIMARY KEY, n float8 NOT NULL DEFAULT 0, u uuid, note text);
  INSERT INTO t (id) SELECT generate_series(1, 6)`;

export const randomCases: readonly Case[] = [
  {
    name: 'random in VALUES',
    schema: 'CREATE TABLE log (who int, n float8)',
    step: (_random, client) => [`INSERT INTO log VALUES (${client}, random()), (${client}, random() + 1)`],
    bites: true,
  },
  {
    name: 'random in an update',
    schema: ROWS,
    step: (random) => [`UPDATE t SET n = random() WHERE id = ${random.whole(1, 6)}`],
    bites: true,
  },
  {
    name: 'random in the predicate of a delete',
    schema: 'CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 400)',
    step: () => ['DELETE FROM t WHERE random() < 0.02'],
    bites: true,
  },
  {
    name: 'gen_random_uuid as a value and as a default',
    schema: 'CREATE TABLE log (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), other uuid, who int)',
    step: (random, client) =>
      random.chance(0.5)
        ? [`INSERT INTO log (who) VALUES (${client})`]
        : [`INSERT INTO log (other, who) VALUES (gen_random_uuid(), ${client}) RETURNING id`],
    bites: true,
  },
  {
    name: 'uuidv7 as a value and as a default',
    schema: 'CREATE TABLE log (id uuid PRIMARY KEY DEFAULT uuidv7(), other uuid, who int)',
    step: (_random, client) => [`INSERT INTO log (other, who) VALUES (uuidv7(), ${client})`],
    majors: 18,
    bites: true,
  },
  {
    name: 'gen_random_uuid in an update of several rows',
    schema: ROWS,
    step: (random) => [`UPDATE t SET u = gen_random_uuid() WHERE id <= ${random.whole(1, 4)}`],
    bites: true,
  },
  {
    name: 'a volatile function in an expression',
    schema: `${ROWS}; CREATE FUNCTION dice() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT (random() * 1000000)::int'`,
    step: (random, client, round) =>
      random.chance(0.7)
        ? [`INSERT INTO t (id, n) VALUES (${fresh(client, round)}, dice())`]
        : [`UPDATE t SET n = dice() WHERE id = ${random.whole(1, 6)}`],
    bites: true,
  },
  {
    name: 'a volatile function as a default',
    schema: `CREATE FUNCTION dice() RETURNS int LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN random() * 1000000; END $$;
      CREATE TABLE log (who int, n int DEFAULT dice())`,
    step: (_random, client) => [`INSERT INTO log (who) VALUES (${client}), (${client})`],
    bites: true,
  },
  {
    name: 'a volatile function that reads another table',
    schema: `CREATE TABLE rate (id int PRIMARY KEY, n int NOT NULL); INSERT INTO rate VALUES (1, 0);
      CREATE TABLE bill (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO bill SELECT generate_series(1, 4);
      CREATE FUNCTION present_rate() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT n FROM rate WHERE id = 1'`,
    step: (random) =>
      random.chance(0.5)
        ? ['UPDATE rate SET n = n + 1 WHERE id = 1']
        : [`UPDATE bill SET n = present_rate() WHERE id = ${random.whole(1, 4)}`],
  },
  {
    name: 'a stable function that reads another table',
    schema: `CREATE TABLE rate (id int PRIMARY KEY, n int NOT NULL); INSERT INTO rate VALUES (1, 0);
      CREATE TABLE bill (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO bill SELECT generate_series(1, 4);
      CREATE FUNCTION present_rate() RETURNS int LANGUAGE sql STABLE AS 'SELECT n FROM rate WHERE id = 1'`,
    step: (random) =>
      random.chance(0.5)
        ? ['UPDATE rate SET n = n + 1 WHERE id = 1']
        : [`UPDATE bill SET n = present_rate() WHERE id = ${random.whole(1, 4)}`],
    bites: true,
  },
  {
    name: 'a function called immutable that reads another table',
    schema: `CREATE TABLE rate (id int PRIMARY KEY, n int NOT NULL); INSERT INTO rate VALUES (1, 0);
      CREATE TABLE bill (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO bill SELECT generate_series(1, 4);
      CREATE FUNCTION present_rate() RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT n FROM rate WHERE id = 1); END $$`,
    step: (random) =>
      random.chance(0.5)
        ? ['UPDATE rate SET n = n + 1 WHERE id = 1']
        : [`UPDATE bill SET n = present_rate() WHERE id = ${random.whole(1, 4)}`],
    bites: true,
  },
  {
    name: 'the identity of a row or a transaction',
    schema: `${ROWS}; CREATE TABLE log (who int, x text)`,
    step: (random, client) =>
      random.chance(0.5)
        ? [`INSERT INTO log VALUES (${client}, pg_current_xact_id()::text)`]
        : [`INSERT INTO log SELECT ${client}, ctid::text FROM t WHERE id = ${random.whole(1, 6)}`],
    bites: true,
  },
  {
    name: 'ctid and xmin in a predicate',
    schema: ROWS,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET n = n + 1 WHERE ctid = (SELECT min(ctid) FROM t)`]
        : [`DELETE FROM t WHERE id > 6; INSERT INTO t (id) VALUES (${random.whole(7, 9)}) ON CONFLICT DO NOTHING`],
    bites: true,
  },
];
