/** What neither keys nor locks make the same, in statements of many kinds and in transactions that read an older state. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const BILLS = `CREATE TABLE bill (id serial PRIMARY KEY, who int, at timestamptz DEFAULT clock_timestamp());
  CREATE TABLE line (id serial PRIMARY KEY, bill int REFERENCES bill, luck float8 DEFAULT random());
  INSERT INTO bill (who) SELECT g FROM generate_series(1, 9) g`;

const ITEMS = `CREATE TABLE t (id int PRIMARY KEY, grp int NOT NULL, n int NOT NULL DEFAULT 0); INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 9) g;
  CREATE TABLE word (code text PRIMARY KEY, n int); INSERT INTO word SELECT 'c' || g, g FROM generate_series(1, 40) g`;

const FAMILY = `CREATE TABLE elder (id int PRIMARY KEY, grp int, n int NOT NULL DEFAULT 0); CREATE TABLE child (PRIMARY KEY (id)) INHERITS (elder);
  INSERT INTO elder SELECT g, g % 3 FROM generate_series(1, 9) g; INSERT INTO child SELECT g, g % 3 FROM generate_series(11, 19) g`;

export const leadAloneCases: readonly Case[] = [
  {
    name: 'a serial below WITH and the rows that need it',
    schema: BILLS,
    step: (_random, client) => [
      `WITH b AS (INSERT INTO bill (who) VALUES (${client}), (${client}) RETURNING id) INSERT INTO line (bill) SELECT id FROM b`,
    ],
    bites: true,
  },
  {
    name: 'a serial below WITH and a query',
    schema: BILLS,
    step: (random, client) => [
      `WITH b AS (INSERT INTO bill (who) SELECT ${client} FROM bill WHERE id <= ${random.whole(1, 3)} RETURNING id) SELECT * FROM b`,
    ],
    bites: true,
  },
  {
    name: 'keys that are drawn from chance',
    schema: ITEMS,
    step: () => [
      `UPDATE word SET code = 'd' || (random() * 1e9)::bigint, n = n + 1 WHERE code IN (SELECT code FROM word ORDER BY random() LIMIT 2)`,
    ],
    bites: true,
  },
  {
    name: 'keys that change by rows of others',
    schema: ITEMS,
    step: (random, client, round) => [
      `UPDATE t SET id = ${fresh(client, round)}, n = (SELECT count(*) FROM t WHERE grp = ${random.below(3)})
         WHERE id = (SELECT id FROM t WHERE grp = ${random.below(3)} ORDER BY random() LIMIT 1)`,
    ],
    bites: true,
  },
  {
    name: 'chance in tables that inherit',
    schema: FAMILY,
    step: (random) => [`UPDATE elder SET n = (random() * 1000)::int WHERE grp = ${random.below(3)}`],
    bites: true,
  },
  {
    name: 'repeatable read and changes in tables that inherit',
    schema: FAMILY,
    begin: 'BEGIN ISOLATION LEVEL REPEATABLE READ',
    step: (random, client, round) => [
      'SELECT sum(n) FROM elder',
      `INSERT INTO child VALUES (${fresh(client, round)}, ${random.below(3)})`,
      `UPDATE elder SET n = n + (SELECT count(*) FROM elder WHERE n > 2)::int WHERE grp = ${random.below(3)} AND id > 15`,
    ],
    wrapping: 'block',
    bites: true,
  },
  {
    name: 'serializable and several changes at once',
    schema: `${ITEMS}; CREATE TABLE archive (place serial PRIMARY KEY, id int, n int)`,
    begin: 'BEGIN ISOLATION LEVEL SERIALIZABLE',
    step: (random, client, round) => [
      `INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(3)})`,
      `WITH d AS (DELETE FROM t WHERE id = (SELECT max(id) FROM t WHERE grp = ${random.below(3)}) RETURNING id, n)
         INSERT INTO archive (id, n) SELECT id, n FROM d`,
    ],
    wrapping: 'block',
    bites: true,
  },
];
