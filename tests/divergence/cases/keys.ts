/** Unique keys: arithmetic on them, ON CONFLICT, MERGE, tables without a key. */
import type { Case } from '../case.ts';

const TWO_KEYS = `CREATE TABLE t (a int PRIMARY KEY, b int UNIQUE, n int NOT NULL DEFAULT 0, who int)`;

export const keyCases: readonly Case[] = [
  {
    name: 'arithmetic on a unique column of several rows',
    schema: `CREATE TABLE t (id int PRIMARY KEY, k int UNIQUE, n int NOT NULL DEFAULT 0);
      INSERT INTO t SELECT g, g * 2 FROM generate_series(1, 8) g`,
    step: (random) => [`UPDATE t SET k = k + ${random.pick([1, -1, 2])}, n = n + 1 WHERE id <= ${random.whole(2, 8)}`],
    expects: ['23505'],
  },
  {
    name: 'arithmetic on a unique column that is checked at the end',
    schema: `CREATE TABLE t (id int PRIMARY KEY, k int UNIQUE DEFERRABLE, n int NOT NULL DEFAULT 0);
      INSERT INTO t SELECT g, g FROM generate_series(1, 8) g`,
    step: (random) => [`UPDATE t SET k = k % 8 + 1, n = n + ${random.whole(1, 9)}`],
    expects: ['23505'],
  },
  {
    name: 'two rows change places',
    schema: `CREATE TABLE t (id int PRIMARY KEY, k int UNIQUE DEFERRABLE INITIALLY DEFERRED);
      INSERT INTO t SELECT g, g FROM generate_series(1, 6) g`,
    step: (random) => {
      const [a, b] = [random.whole(1, 6), random.whole(1, 6)];
      return [
        `UPDATE t SET k = CASE id WHEN ${a} THEN (SELECT k FROM t WHERE id = ${b}) ELSE (SELECT k FROM t WHERE id = ${a}) END WHERE id IN (${a}, ${b})`,
      ];
    },
    expects: ['23505'],
    bites: true,
  },
  {
    name: 'updates of the key',
    schema: `CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO t SELECT generate_series(1, 8)`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET id = ${random.whole(1, 20)} WHERE id = ${random.whole(1, 20)}`]
        : [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 20)}`],
    expects: ['23505'],
  },
  {
    name: 'keys of a range move',
    schema: `CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO t SELECT generate_series(1, 8)`,
    step: (random) =>
      random.chance(0.6)
        ? [
            `UPDATE t SET id = id + ${random.pick([100, -100])} WHERE id BETWEEN ${random.whole(1, 4)} AND ${random.whole(5, 108)}`,
          ]
        : [`UPDATE t SET n = n + 1 WHERE id < 100`],
    expects: ['23505'],
  },
  {
    name: 'a key of two columns',
    schema: `CREATE TABLE t (a int, b text, n int NOT NULL DEFAULT 0, PRIMARY KEY (a, b));
      INSERT INTO t SELECT g % 3, 'k' || g FROM generate_series(1, 9) g`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET n = n + 1 WHERE a = ${random.below(3)}`]
        : [`UPDATE t SET a = ${random.below(3)} WHERE b = 'k${random.whole(1, 9)}'`],
    expects: ['23505'],
    bites: true,
  },
  {
    name: 'a table with no key',
    schema: `CREATE TABLE t (grp int, n int NOT NULL); INSERT INTO t SELECT g % 3, 0 FROM generate_series(1, 9) g`,
    step: (random) => {
      const luck = random.next();
      if (luck < 0.5) return [`INSERT INTO t VALUES (${random.below(3)}, ${random.below(3)})`];
      if (luck < 0.7) return [`UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)} AND n < 2`];
      return [`DELETE FROM t WHERE grp = ${random.below(3)} AND n > 1`];
    },
    bites: true,
  },
  {
    name: 'a table with no key and one of equal rows',
    schema: `CREATE TABLE t (n int NOT NULL); INSERT INTO t SELECT 0 FROM generate_series(1, 5)`,
    step: (random) => [
      random.chance(0.5)
        ? 'UPDATE t SET n = n + 1 WHERE ctid IN (SELECT ctid FROM t WHERE n < 5 LIMIT 1)'
        : `INSERT INTO t VALUES (${random.below(3)})`,
    ],
  },
  {
    name: 'replica identity full and no key',
    schema: `CREATE TABLE t (grp int, n int NOT NULL, x text); ALTER TABLE t REPLICA IDENTITY FULL;
      INSERT INTO t SELECT g % 3, 0 FROM generate_series(1, 9) g`,
    step: (random) =>
      random.chance(0.4)
        ? [`INSERT INTO t VALUES (${random.below(3)}, 0)`]
        : [`UPDATE t SET n = n + 1, x = n::text WHERE grp = ${random.below(3)}`],
    bites: true,
  },
  {
    name: 'a unique index with null in it',
    schema: `CREATE TABLE t (a int, b int, n int NOT NULL DEFAULT 0); CREATE UNIQUE INDEX ON t (a, b)`,
    step: (random) =>
      random.chance(0.5)
        ? [
            `INSERT INTO t VALUES (${random.below(3)}, ${random.chance(0.5) ? 'NULL' : random.below(3)}) ON CONFLICT DO NOTHING`,
          ]
        : [`UPDATE t SET n = n + 1 WHERE a = ${random.below(3)}`],
    bites: true,
  },
  {
    name: 'a unique index on an expression',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, mail text NOT NULL, n int NOT NULL DEFAULT 0); CREATE UNIQUE INDEX ON t (lower(mail))`,
    step: (random) => [
      `INSERT INTO t (mail) VALUES ('${random.pick(['A', 'a', 'B', 'b', 'C'])}') ON CONFLICT (lower(mail)) DO UPDATE SET n = t.n + 1, mail = EXCLUDED.mail`,
    ],
    bites: true,
  },
  {
    name: 'a unique index of a part of the rows',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, grp int, active boolean NOT NULL DEFAULT false); CREATE UNIQUE INDEX ON t (grp) WHERE active;
      INSERT INTO t (grp) SELECT g % 3 FROM generate_series(1, 9) g`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET active = true WHERE id = ${random.whole(1, 9)}`]
        : [`UPDATE t SET active = false WHERE grp = ${random.below(3)} AND active`],
    expects: ['23505'],
  },
  {
    name: 'on conflict do nothing with one key',
    schema: TWO_KEYS,
    step: (random, client) => [
      `INSERT INTO t (a, who) VALUES (${random.whole(1, 60)}, ${client}) ON CONFLICT DO NOTHING`,
    ],
  },
  {
    name: 'on conflict do nothing with two keys and several rows',
    schema: TWO_KEYS,
    step: (random, client) =>
      random.chance(0.2)
        ? [`DELETE FROM t WHERE a = ${random.whole(1, 15)}`]
        : [
            `INSERT INTO t (a, b, who) VALUES (${random.whole(1, 15)}, ${random.whole(1, 15)}, ${client}), (${random.whole(1, 15)}, ${random.whole(1, 15)}, ${client}) ON CONFLICT DO NOTHING`,
          ],
  },
  {
    name: 'on conflict do nothing and a serial',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, k int UNIQUE, who int)`,
    step: (random, client) =>
      random.chance(0.2)
        ? [`DELETE FROM t WHERE k = ${random.whole(1, 15)}`]
        : [
            `INSERT INTO t (k, who) VALUES (${random.whole(1, 15)}, ${client}), (${random.whole(1, 15)}, ${client}) ON CONFLICT DO NOTHING RETURNING id`,
          ],
    bites: true,
  },
  {
    name: 'upsert of counters',
    schema: `CREATE TABLE counter (k text PRIMARY KEY, n int NOT NULL DEFAULT 1)`,
    step: (random) => [
      `INSERT INTO counter (k) VALUES ('k${random.whole(1, 4)}') ON CONFLICT (k) DO UPDATE SET n = counter.n + EXCLUDED.n`,
    ],
  },
  {
    name: 'upsert of several counters and a moment',
    schema: `CREATE TABLE counter (k int PRIMARY KEY, n int NOT NULL DEFAULT 1, at timestamptz DEFAULT now())`,
    step: (random) => {
      const k = random.whole(1, 4);
      return [
        `INSERT INTO counter (k) VALUES (${k}), (${k + 1}) ON CONFLICT (k) DO UPDATE SET n = counter.n + 1, at = now() RETURNING n`,
      ];
    },
    bites: true,
  },
  {
    name: 'upsert by the second key',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, a int UNIQUE, b int UNIQUE, n int NOT NULL DEFAULT 0)`,
    step: (random) => [
      `INSERT INTO t (a, b) VALUES (${random.whole(1, 6)}, ${random.whole(1, 6)}) ON CONFLICT (a) DO UPDATE SET n = t.n + 1, b = EXCLUDED.b`,
    ],
    expects: ['23505'],
    bites: true,
  },
  {
    name: 'upsert of the rows of a query',
    schema: `CREATE TABLE source (k int PRIMARY KEY, n int NOT NULL); INSERT INTO source SELECT g, 0 FROM generate_series(1, 5) g;
      CREATE TABLE target (k int PRIMARY KEY, n int NOT NULL, times int NOT NULL DEFAULT 0)`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE source SET n = n + 1 WHERE k = ${random.whole(1, 5)}`]
        : [
            `INSERT INTO target SELECT k, n FROM source WHERE k > ${random.below(3)} ON CONFLICT (k) DO UPDATE SET n = EXCLUDED.n, times = target.times + 1 WHERE target.n < EXCLUDED.n`,
          ],
    bites: true,
  },
  {
    name: 'upsert with a subquery in its assignment',
    schema: `CREATE TABLE source (k int PRIMARY KEY, n int NOT NULL); INSERT INTO source SELECT g, 0 FROM generate_series(1, 5) g;
      CREATE TABLE target (k int PRIMARY KEY, n bigint NOT NULL)`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE source SET n = n + 1 WHERE k = ${random.whole(1, 5)}`]
        : [
            `INSERT INTO target VALUES (${random.whole(1, 3)}, 0) ON CONFLICT (k) DO UPDATE SET n = (SELECT sum(n) FROM source)`,
          ],
  },
  {
    name: 'insert with a scalar subquery in VALUES',
    schema: `CREATE TABLE source (k int PRIMARY KEY, n int NOT NULL); INSERT INTO source SELECT g, 0 FROM generate_series(1, 5) g;
      CREATE TABLE log (who int, n bigint)`,
    step: (random, client) =>
      random.chance(0.5)
        ? [`UPDATE source SET n = n + 1 WHERE k = ${random.whole(1, 5)}`]
        : [`INSERT INTO log VALUES (${client}, (SELECT sum(n) FROM source))`],
    bites: true,
  },
  {
    name: 'merge of one key',
    schema: `CREATE TABLE counter (k int PRIMARY KEY, n int NOT NULL)`,
    step: (random) => [
      `MERGE INTO counter c USING (VALUES (${random.whole(1, 4)})) s (k) ON c.k = s.k WHEN MATCHED THEN UPDATE SET n = c.n + 1 WHEN NOT MATCHED THEN INSERT VALUES (s.k, 1)`,
    ],
    majors: 15,
    expects: ['23505'],
  },
  {
    name: 'merge from another table',
    schema: `CREATE TABLE source (k int PRIMARY KEY, n int NOT NULL); INSERT INTO source SELECT g, g % 3 FROM generate_series(1, 6) g;
      CREATE TABLE target (k int PRIMARY KEY, n int NOT NULL, times int NOT NULL DEFAULT 0)`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE source SET n = ${random.below(4)} WHERE k = ${random.whole(1, 6)}`]
        : [
            `MERGE INTO target t USING source s ON t.k = s.k WHEN MATCHED AND s.n = 0 THEN DELETE
             WHEN MATCHED THEN UPDATE SET n = s.n, times = t.times + 1 WHEN NOT MATCHED AND s.n > 0 THEN INSERT VALUES (s.k, s.n)`,
          ],
    majors: 15,
    expects: ['23505', '21000'],
    bites: true,
  },
  {
    name: 'merge that deletes and draws serials',
    schema: `CREATE TABLE source (k int PRIMARY KEY, n int NOT NULL); INSERT INTO source SELECT g, g % 3 FROM generate_series(1, 6) g;
      CREATE TABLE target (k int PRIMARY KEY, id serial, n int NOT NULL, at timestamptz DEFAULT clock_timestamp())`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE source SET n = ${random.below(4)} WHERE k = ${random.whole(1, 6)}`]
        : [
            `MERGE INTO target t USING source s ON t.k = s.k WHEN MATCHED AND (s.n = 0 OR random() < 0.2) THEN DELETE
             WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED AND s.n > 0 THEN INSERT (k, n) VALUES (s.k, s.n)`,
          ],
    majors: 15,
    expects: ['23505', '21000'],
    bites: true,
  },
  {
    name: 'merge returning',
    schema: `CREATE TABLE counter (k int PRIMARY KEY, n int NOT NULL, at timestamptz)`,
    step: (random) => [
      `MERGE INTO counter c USING (VALUES (${random.whole(1, 4)})) s (k) ON c.k = s.k
       WHEN MATCHED THEN UPDATE SET n = c.n + 1, at = now() WHEN NOT MATCHED THEN INSERT VALUES (s.k, 1, now()) RETURNING merge_action(), c.*`,
    ],
    majors: 17,
    expects: ['23505'],
    bites: true,
  },
  {
    name: 'exclusion constraint',
    schema: `CREATE TABLE t (id serial PRIMARY KEY, r int4range NOT NULL, EXCLUDE USING gist (r WITH &&))`,
    step: (random) => {
      const low = random.below(60);
      if (random.chance(0.3)) return [`DELETE FROM t WHERE r && int4range(${low}, ${low + 9})`];
      return [`INSERT INTO t (r) VALUES (int4range(${low}, ${low + 4}))`];
    },
    expects: ['23P01'],
    bites: true,
  },
  {
    name: 'exclusion constraint and do nothing',
    schema: `CREATE TABLE t (who int, r int4range NOT NULL, EXCLUDE USING gist (r WITH &&))`,
    step: (random, client) => {
      const low = random.below(60);
      if (random.chance(0.3)) return [`DELETE FROM t WHERE r @> ${low}`];
      return [
        `INSERT INTO t VALUES (${client}, int4range(${low}, ${low + 4})), (${client}, int4range(${low + 20}, ${low + 24})) ON CONFLICT DO NOTHING`,
      ];
    },
    expects: ['23P01'],
  },
  {
    name: 'a key whose collation takes for equal what is written differently',
    schema: `CREATE COLLATION caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE t (k text COLLATE caseless PRIMARY KEY, v float8); INSERT INTO t SELECT 'abc' || g, 0 FROM generate_series(1, 6) g`,
    step: (random) => {
      const [key, way] = [`'Abc${random.whole(1, 6)}'`, random.pick(['upper', 'lower', 'initcap'])];
      const luck = random.next();
      if (luck < 0.3) return [`UPDATE t SET k = ${way}(k), v = random() WHERE k = ${key}`];
      if (luck < 0.5) return [`DO $$ BEGIN UPDATE t SET k = ${way}(k) WHERE k = ${key}; END $$`];
      if (luck < 0.7) return [`DELETE FROM t WHERE k = ${key}`];
      return [`INSERT INTO t VALUES (${way}(${key}), 0) ON CONFLICT (k) DO UPDATE SET k = EXCLUDED.k, v = random()`];
    },
    bites: true,
  },
];
