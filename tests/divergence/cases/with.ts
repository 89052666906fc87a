/** WITH that writes, several times in one statement. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const SCHEMA = `CREATE TABLE t (id int PRIMARY KEY, grp int NOT NULL, n int NOT NULL DEFAULT 0);
  INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 9) g; CREATE TABLE archive (id int, grp int, n int)`;

export const withCases: readonly Case[] = [
  {
    name: 'delete into an archive',
    schema: SCHEMA,
    step: (random, client, round) =>
      random.chance(0.6)
        ? [`INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(3)})`]
        : [`WITH d AS (DELETE FROM t WHERE grp = ${random.below(3)} RETURNING *) INSERT INTO archive SELECT * FROM d`],
    bites: true,
  },
  {
    name: 'delete into an archive with a serial',
    schema: `${SCHEMA}; CREATE TABLE numbered (place serial, id int, at timestamptz DEFAULT now())`,
    step: (random, client, round) =>
      random.chance(0.6)
        ? [`INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(3)})`]
        : [
            `WITH d AS (DELETE FROM t WHERE grp = ${random.below(3)} RETURNING id) INSERT INTO numbered (id) SELECT id FROM d`,
          ],
    bites: true,
  },
  {
    name: 'insert and update in one statement',
    schema: SCHEMA,
    step: (random, client, round) => [
      `WITH ins AS (INSERT INTO archive VALUES (${fresh(client, round)}, ${random.below(3)}, 1) RETURNING grp)
       UPDATE t SET n = n + 1 FROM ins WHERE ins.grp = t.grp`,
    ],
  },
  {
    name: 'three writes and a select',
    schema: SCHEMA,
    step: (random, client, round) => [
      `WITH u AS (UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)} RETURNING id, grp, n),
         i AS (INSERT INTO archive SELECT ${fresh(client, round)}, grp, n FROM u RETURNING n),
         d AS (DELETE FROM archive WHERE id < ${random.whole(1, 90_000)} AND n > 4)
       SELECT count(*) FROM i`,
    ],
  },
  {
    name: 'rows move between groups below WITH',
    schema: SCHEMA,
    step: (random) => [
      `WITH moved AS (UPDATE t SET grp = ${random.below(3)} WHERE grp = ${random.below(3)} RETURNING id)
       UPDATE archive SET n = n + 1 WHERE id IN (SELECT id FROM moved)`,
    ],
  },
  {
    name: 'a recursive query as a source',
    schema: `CREATE TABLE tree (id int PRIMARY KEY, parent int, n int NOT NULL DEFAULT 0); INSERT INTO tree SELECT g, g / 2 FROM generate_series(1, 15) g`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE tree SET parent = ${random.whole(0, 3)} WHERE id = ${random.whole(4, 15)}`]
        : [
            `WITH RECURSIVE below AS (SELECT id FROM tree WHERE id = ${random.whole(1, 3)} UNION SELECT t.id FROM tree t JOIN below b ON t.parent = b.id)
             UPDATE tree SET n = n + 1 WHERE id IN (SELECT id FROM below)`,
          ],
    bites: true,
  },
  {
    name: 'changes by keys below WITH of rows that come and go',
    schema: 'CREATE TABLE t (id int PRIMARY KEY, who int); CREATE TABLE log (id int, who int)',
    step: (random, client) => {
      const id = random.below(12);
      const luck = random.next();
      if (luck < 0.4) return [`INSERT INTO t VALUES (${id}, ${client}) ON CONFLICT DO NOTHING`];
      if (luck < 0.6) return [`WITH d AS (DELETE FROM t WHERE id = ${id}) INSERT INTO log VALUES (${id}, ${client})`];
      if (luck < 0.8)
        return [`WITH u AS (UPDATE t SET who = ${client} WHERE id = ${id}) INSERT INTO log VALUES (${id}, ${client})`];
      return [`EXPLAIN ANALYZE DELETE FROM t WHERE id = ${id}`];
    },
  },
  {
    name: 'rows by way of views and rules below WITH',
    schema: `CREATE TABLE t (id int PRIMARY KEY, who int); CREATE TABLE log (id int, who int); CREATE VIEW shown AS SELECT * FROM t WHERE id < 12;
      CREATE TABLE ruled (id int PRIMARY KEY, who int); CREATE RULE stored AS ON INSERT TO ruled DO INSTEAD INSERT INTO t VALUES (NEW.id, NEW.who);
      CREATE VIEW told AS SELECT * FROM t; CREATE RULE gone AS ON DELETE TO told DO INSTEAD DELETE FROM t WHERE id = OLD.id;
      CREATE RULE kept AS ON UPDATE TO told DO INSTEAD (UPDATE t SET who = NEW.who WHERE id = OLD.id; INSERT INTO log VALUES (OLD.id, OLD.who))`,
    step: (random, client) => {
      const id = random.below(12);
      const none = `WITH none AS (DELETE FROM log WHERE id = -1)`;
      return [
        random.pick([
          `INSERT INTO t VALUES (${id}, ${client}) ON CONFLICT DO NOTHING`,
          `WITH i AS (INSERT INTO shown VALUES (${id}, ${client}) RETURNING id) INSERT INTO log SELECT id, ${client} FROM i`,
          `WITH d AS (DELETE FROM shown WHERE id = ${id}) SELECT count(*) FROM shown`,
          `WITH u AS (UPDATE shown SET who = ${client} WHERE id = ${id}) INSERT INTO log VALUES (${id}, ${client})`,
          `WITH i AS (INSERT INTO ruled VALUES (${id}, ${client})) SELECT 1`,
          `${none} INSERT INTO ruled VALUES (${id}, ${client})`,
          `${none} INSERT INTO shown VALUES (${id}, ${client})`,
          `${none} DELETE FROM told WHERE id = ${id}`,
          `UPDATE told SET who = ${client} WHERE id = ${id}`,
          `EXPLAIN ANALYZE INSERT INTO ruled VALUES (${id}, ${client})`,
          `EXPLAIN ANALYZE INSERT INTO shown VALUES (${id}, ${client})`,
          `EXPLAIN ANALYZE UPDATE told SET who = ${client} WHERE id = ${id}`,
          `EXPLAIN ANALYZE DELETE FROM shown WHERE id = ${id}`,
        ]),
      ];
    },
    expects: ['23505'],
  },
];
