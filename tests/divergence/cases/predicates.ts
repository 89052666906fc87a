/** Which rows a statement finds: phantoms, ties, ranges, and values that come from other rows or tables. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const GROUPS = `CREATE TABLE t (id int PRIMARY KEY, grp int NOT NULL, n int NOT NULL DEFAULT 0);
  INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 12) g`;
const TWO = `CREATE TABLE detail (id int PRIMARY KEY, head int NOT NULL, n int NOT NULL);
  CREATE TABLE head (id int PRIMARY KEY, total int NOT NULL DEFAULT 0, times int NOT NULL DEFAULT 0);
  INSERT INTO detail SELECT g, g % 3, g FROM generate_series(1, 12) g; INSERT INTO head SELECT generate_series(0, 2)`;

export const predicateCases: readonly Case[] = [
  {
    name: 'update of a group while others insert into it',
    schema: GROUPS,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(3)})`]
        : [`UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`],
    bites: true,
  },
  {
    name: 'update of a group while others move rows into it',
    schema: GROUPS,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 12)}`]
        : [`UPDATE t SET n = n * 2 + 1 WHERE grp = ${random.below(3)} AND n < 100000`],
    bites: true,
  },
  {
    name: 'delete of a group while others insert into it',
    schema: GROUPS,
    step: (random, client, round) =>
      random.chance(0.7)
        ? [
            `INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(3)}), (${fresh(client, round, 1)}, ${random.below(3)})`,
          ]
        : [`DELETE FROM t WHERE grp = ${random.below(3)}`],
    bites: true,
  },
  {
    name: 'update of a group by one parameter',
    schema: GROUPS,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [{ text: 'INSERT INTO t VALUES ($1, $2)', values: [fresh(client, round), random.below(3)], name: 'put' }]
        : [{ text: 'UPDATE t SET n = n + 1 WHERE grp = $1', values: [random.below(3)], name: 'raise' }],
    bites: true,
  },
  {
    name: 'phantoms with the same number of rows',
    schema: GROUPS,
    step: (random) =>
      random.chance(0.5)
        ? [
            `UPDATE t SET grp = CASE grp WHEN 0 THEN 1 WHEN 1 THEN 0 ELSE grp END WHERE id IN (${random.whole(1, 6)}, ${random.whole(7, 12)})`,
          ]
        : ['UPDATE t SET n = n + 1 WHERE grp = 0'],
    bites: true,
  },
  {
    name: 'update of several rows by range',
    schema: GROUPS,
    step: (random) => {
      const low = random.whole(1, 10);
      return [`UPDATE t SET n = n * 3 % 1000003 + ${random.whole(1, 9)} WHERE id BETWEEN ${low} AND ${low + 3}`];
    },
  },
  {
    name: 'update of all rows',
    schema: GROUPS,
    step: (random) => [`UPDATE t SET n = n * 3 % 1000003 + ${random.whole(1, 9)}`],
  },
  {
    name: 'update by list of keys in any order',
    schema: GROUPS,
    step: (random) => [
      `UPDATE t SET n = n * 3 % 1000003 + 1 WHERE id IN (${random.whole(1, 12)}, ${random.whole(1, 12)}, ${random.whole(1, 12)})`,
    ],
  },
  {
    name: 'update on what the row was',
    schema: GROUPS,
    step: (random) => [`UPDATE t SET n = n + ${random.whole(1, 9)} WHERE n % 3 = ${random.below(3)}`],
  },
  {
    name: 'ties in order by with limit',
    schema: GROUPS,
    step: (random) =>
      random.chance(0.5)
        ? ['UPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t ORDER BY grp LIMIT 3)']
        : [`UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 12)}`],
    bites: true,
  },
  {
    name: 'limit without order',
    schema: GROUPS,
    step: (random) =>
      random.chance(0.6)
        ? [`UPDATE t SET n = n + 1 WHERE id IN (SELECT id FROM t WHERE n < ${random.whole(1, 9)} LIMIT 2)`]
        : [`UPDATE t SET n = 0 WHERE id = ${random.whole(1, 12)}`],
    bites: true,
  },
  {
    name: 'delete of the oldest ones',
    schema: GROUPS,
    step: (random, client, round) =>
      random.chance(0.7)
        ? [`INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(3)})`]
        : ['DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY grp, n LIMIT 2)'],
    bites: true,
  },
  {
    name: 'the sum of another table',
    schema: TWO,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE detail SET n = n + 1 WHERE id = ${random.whole(1, 12)}`]
        : [`UPDATE head SET total = (SELECT sum(n) FROM detail) WHERE id = ${random.below(3)}`],
  },
  {
    name: 'the sum of those that belong to the row',
    schema: TWO,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`INSERT INTO detail VALUES (${fresh(client, round)}, ${random.below(3)}, ${random.whole(1, 9)})`]
        : [
            `UPDATE head SET total = (SELECT coalesce(sum(n), 0) FROM detail WHERE detail.head = head.id), times = times + 1`,
          ],
  },
  {
    name: 'detail and total in one transaction',
    schema: TWO,
    step: (random, client, round) => {
      const head = random.below(3);
      return [
        `INSERT INTO detail VALUES (${fresh(client, round)}, ${head}, ${random.whole(1, 9)})`,
        `UPDATE head SET total = (SELECT sum(n) FROM detail WHERE detail.head = head.id) WHERE id = ${head}`,
      ];
    },
  },
  {
    name: 'update from another table',
    schema: TWO,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE detail SET n = n + 1, head = ${random.below(3)} WHERE id = ${random.whole(1, 12)}`]
        : [`UPDATE head SET total = detail.n, times = times + 1 FROM detail WHERE detail.head = head.id`],
  },
  {
    name: 'delete using another table',
    schema: `${TWO}; CREATE TABLE dead (head int PRIMARY KEY)`,
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.4) return [`INSERT INTO detail VALUES (${fresh(client, round)}, ${random.below(9)}, 1)`];
      if (luck < 0.6) return [`INSERT INTO dead VALUES (${random.below(9)}) ON CONFLICT DO NOTHING`];
      if (luck < 0.8) return [`DELETE FROM dead WHERE head = ${random.below(9)}`];
      return ['DELETE FROM detail USING dead WHERE dead.head = detail.head'];
    },
  },
  {
    name: 'delete where nothing refers to it',
    schema: TWO,
    step: (random) => {
      const luck = random.next();
      if (luck < 0.4) return [`INSERT INTO head (id) VALUES (${random.whole(3, 9)}) ON CONFLICT DO NOTHING`];
      if (luck < 0.7) return [`UPDATE detail SET head = ${random.below(10)} WHERE id = ${random.whole(1, 12)}`];
      return ['DELETE FROM head WHERE NOT EXISTS (SELECT 1 FROM detail WHERE detail.head = head.id)'];
    },
    bites: true,
  },
  {
    name: 'insert where nothing is there yet',
    schema: TWO,
    step: (random) => {
      const id = random.whole(3, 40);
      if (random.chance(0.3)) return [`DELETE FROM head WHERE id = ${id}`];
      return [
        `INSERT INTO head (id, total) SELECT ${id}, count(*) FROM detail WHERE NOT EXISTS (SELECT 1 FROM head WHERE id = ${id}) HAVING count(*) > 0`,
      ];
    },
    expects: ['23505'],
  },
  {
    name: 'rows of a query without order into a serial',
    schema: `${GROUPS}; CREATE TABLE copy (id serial PRIMARY KEY, origin int, n int)`,
    step: (random) =>
      random.chance(0.5)
        ? [`INSERT INTO copy (origin, n) SELECT id, n FROM t WHERE grp = ${random.below(3)}`]
        : [`UPDATE t SET n = n + 1, grp = ${random.below(3)} WHERE id = ${random.whole(1, 12)}`],
    bites: true,
  },
  {
    name: 'rows of a query that others change',
    schema: `${GROUPS}; CREATE TABLE sums (grp int, n bigint, rows bigint)`,
    step: (random) =>
      random.chance(0.4)
        ? ['INSERT INTO sums SELECT grp, sum(n), count(*) FROM t GROUP BY grp']
        : [`UPDATE t SET n = n + 1, grp = ${random.below(3)} WHERE id = ${random.whole(1, 12)}`],
    bites: true,
  },
  {
    name: 'a rank by window function',
    schema: `CREATE TABLE t (id int PRIMARY KEY, score int NOT NULL, place int); INSERT INTO t (id, score) SELECT g, g % 4 FROM generate_series(1, 10) g`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET score = ${random.below(4)} WHERE id = ${random.whole(1, 10)}`]
        : [
            'UPDATE t SET place = r.place FROM (SELECT id, row_number() OVER (ORDER BY score) AS place FROM t) r WHERE r.id = t.id',
          ],
    bites: true,
  },
  {
    name: 'string_agg and array_agg without order',
    schema: `${GROUPS}; CREATE TABLE log (id int PRIMARY KEY, x text, y int[]); INSERT INTO log SELECT generate_series(0, 2)`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET n = n + 1, grp = ${random.below(3)} WHERE id = ${random.whole(1, 12)}`]
        : [
            `UPDATE log SET x = (SELECT string_agg(id::text, ',') FROM t WHERE grp = log.id), y = (SELECT array_agg(n) FROM t) WHERE id = ${random.below(3)}`,
          ],
    bites: true,
  },
  {
    name: 'exists in another group',
    schema: GROUPS,
    step: (random) =>
      random.chance(0.6)
        ? [`UPDATE t SET grp = ${random.below(6)} WHERE id = ${random.whole(1, 12)}`]
        : [`UPDATE t SET n = n + 1 WHERE EXISTS (SELECT 1 FROM t o WHERE o.grp = t.grp AND o.id <> t.id)`],
    bites: true,
  },
  {
    name: 'a transfer between two rows',
    schema: GROUPS,
    step: (random) => {
      const amount = random.whole(1, 9);
      return [
        `UPDATE t SET n = n - ${amount} WHERE id = ${random.whole(1, 12)}`,
        `UPDATE t SET n = n + ${amount} WHERE id = ${random.whole(1, 12)}`,
      ];
    },
  },
  {
    name: 'update by a subquery that locks',
    schema: GROUPS,
    step: (random) => [
      `UPDATE t SET n = n + 1 FROM (SELECT id FROM t WHERE grp = ${random.below(3)} ORDER BY n, id LIMIT 1 FOR UPDATE) w WHERE w.id = t.id`,
    ],
    bites: true,
  },
  {
    name: 'a claim by compare and set',
    schema: GROUPS,
    step: (random, client) => {
      const id = random.whole(1, 12);
      return [
        `UPDATE t SET grp = ${10 + client} WHERE id = ${id} AND grp < 10`,
        `UPDATE t SET grp = 0 WHERE grp = ${10 + client}`,
      ];
    },
  },
];
