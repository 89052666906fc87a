/** Definitions that change while others work by them. */
import type { Random } from '../../simulation/random.ts';
import type { Case, Command } from '../case.ts';
import { fresh } from '../keys.ts';

const TABLE = 'CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, luck float8)';
const LUCKY = `CREATE FUNCTION lucky() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.luck := random(); RETURN NEW; END'`;

/** A definition now and then; else what works by it. */
function mostly(random: Random, definition: () => string, work: () => string): readonly Command[] {
  return [random.chance(0.1) ? definition() : work()];
}

/** "tuple concurrently updated": two who replace the same one. */
const REPLACED = ['XX000'];

const insert = (client: number, round: number): string => `INSERT INTO t (id) VALUES (${fresh(client, round)})`;

function functionOf(random: Random, head: string): string {
  return `CREATE OR REPLACE FUNCTION ${head} LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN ${random.below(1000)}; END'`;
}

export const meanwhileCases: readonly Case[] = [
  {
    name: 'a default is set and dropped meanwhile',
    schema: TABLE,
    step: (random, client, round) =>
      mostly(
        random,
        () => `ALTER TABLE t ALTER luck ${random.chance(0.5) ? 'SET DEFAULT random()' : 'DROP DEFAULT'}`,
        () => insert(client, round),
      ),
  },
  {
    name: 'a trigger comes and goes meanwhile',
    schema: `${TABLE}; ${LUCKY}; CREATE TRIGGER lucky BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION lucky()`,
    step: (random, client, round) =>
      mostly(
        random,
        () => `ALTER TABLE t ${random.chance(0.5) ? 'ENABLE' : 'DISABLE'} TRIGGER lucky`,
        () => insert(client, round),
      ),
    bites: true,
  },
  {
    name: 'a function of a generated column is replaced meanwhile',
    schema: `CREATE FUNCTION price(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 0; END';
      CREATE TABLE t (id int PRIMARY KEY, v int GENERATED ALWAYS AS (price(id)) STORED)`,
    step: (random, client, round) =>
      mostly(
        random,
        () => functionOf(random, 'price(i int) RETURNS int'),
        () => insert(client, round),
      ),
    expects: REPLACED,
  },
  {
    name: 'a function of an index and a check is replaced meanwhile',
    schema: `${TABLE}; CREATE FUNCTION small(i int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
      ALTER TABLE t ADD CHECK (small(n)); INSERT INTO t SELECT g FROM generate_series(1, 9) g`,
    step: (random) =>
      mostly(
        random,
        () =>
          `CREATE OR REPLACE FUNCTION small(i int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN i < ${random.whole(5, 50)}; END'`,
        () => `UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`,
      ),
    expects: ['23514', ...REPLACED],
  },
  {
    name: 'a default of a domain changes meanwhile',
    schema: 'CREATE DOMAIN amount AS int DEFAULT 1; CREATE TABLE t (id int PRIMARY KEY, n amount)',
    step: (random, client, round) =>
      mostly(
        random,
        () => `ALTER DOMAIN amount SET DEFAULT ${random.below(1000)}`,
        () => insert(client, round),
      ),
    expects: REPLACED,
  },
  {
    name: 'a view that rows go through is replaced meanwhile',
    schema: `${TABLE}; CREATE VIEW v AS SELECT id, n FROM t`,
    step: (random, client, round) =>
      mostly(
        random,
        () => `ALTER VIEW v ALTER n ${random.chance(0.5) ? 'SET DEFAULT 5' : 'SET DEFAULT (random() * 1000)::int'}`,
        () => `INSERT INTO v (id) VALUES (${fresh(client, round)})`,
      ),
  },
  {
    name: 'a default changes under repeatable read',
    schema: TABLE,
    begin: 'BEGIN ISOLATION LEVEL REPEATABLE READ',
    wrapping: 'block',
    step: (random, client, round) => [
      'SELECT count(*) FROM t',
      ...mostly(
        random,
        () => `ALTER TABLE t ALTER luck ${random.chance(0.5) ? 'SET DEFAULT random()' : 'DROP DEFAULT'}`,
        () => insert(client, round),
      ),
    ],
  },
  {
    name: 'a function is replaced under serializable',
    schema: `CREATE FUNCTION price(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 0; END';
      CREATE TABLE t (id int PRIMARY KEY, v int GENERATED ALWAYS AS (price(id)) STORED)`,
    begin: 'BEGIN ISOLATION LEVEL SERIALIZABLE',
    wrapping: 'block',
    step: (random, client, round) => [
      'SELECT 1',
      ...mostly(
        random,
        () => functionOf(random, 'price(i int) RETURNS int'),
        () => insert(client, round),
      ),
    ],
    expects: REPLACED,
  },
];
