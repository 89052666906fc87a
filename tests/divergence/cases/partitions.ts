/** Partitioned tables and inheritance. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const PARTS = `CREATE TABLE t (id int, region int NOT NULL, n int NOT NULL DEFAULT 0, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
  CREATE TABLE t_0 PARTITION OF t FOR VALUES IN (0); CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (1); CREATE TABLE t_rest PARTITION OF t DEFAULT;
  INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 9) g`;

export const partitionCases: readonly Case[] = [
  {
    name: 'rows move from partition to partition',
    schema: PARTS,
    step: (random) => [`UPDATE t SET region = ${random.below(3)}, n = n + 1 WHERE id = ${random.whole(1, 9)}`],
    // PostgreSQL: the row that was waited for has moved.
    expects: ['23505'],
  },
  {
    name: 'all rows of a partition move',
    schema: PARTS,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE t SET region = ${random.below(3)} WHERE region = ${random.below(3)}`]
        : [`UPDATE t SET n = n + 1 WHERE region = ${random.below(3)}`],
    expects: ['23505'],
    bites: true,
  },
  {
    name: 'a partition is written by its own name',
    schema: PARTS,
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.3) return [`INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(4)})`];
      if (luck < 0.6) return ['UPDATE t_0 SET n = n + 1'];
      if (luck < 0.8) return ['DELETE FROM t_rest WHERE n > 2 OR id > 1000'];
      return [`UPDATE t SET n = n + 1 WHERE n < ${random.whole(1, 5)}`];
    },
    bites: true,
  },
  {
    name: 'a partitioned table with an identity and defaults',
    schema: `CREATE TABLE t (id bigserial, at timestamptz NOT NULL DEFAULT now(), part int NOT NULL, u uuid DEFAULT gen_random_uuid()) PARTITION BY HASH (part);
      CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
    step: (random) => [`INSERT INTO t (part) VALUES (${random.below(9)}), (${random.below(9)})`],
    bites: true,
  },
  {
    name: 'partitions are attached and detached',
    schema: PARTS,
    step: (random, client, round) => {
      if (random.chance(0.12))
        return ['ALTER TABLE t DETACH PARTITION t_1', 'ALTER TABLE t ATTACH PARTITION t_1 FOR VALUES IN (1)'];
      if (random.chance(0.5)) return [`INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(2)})`];
      return [`UPDATE t SET n = n + 1 WHERE region = ${random.below(2)}`];
    },
    wrapping: 'block',
    expects: ['23514', '42P01'],
    bites: true,
  },
  {
    name: 'a parent with children',
    schema: `CREATE TABLE parent (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); CREATE TABLE child (extra text) INHERITS (parent);
      INSERT INTO parent SELECT generate_series(1, 4); INSERT INTO child SELECT generate_series(3, 8)`,
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.3) return [`INSERT INTO child VALUES (${fresh(client, round)}, ${random.below(3)}, 'x')`];
      if (luck < 0.6) return [`UPDATE parent SET n = n + 1 WHERE n < ${random.whole(1, 4)}`];
      if (luck < 0.8) return [`UPDATE ONLY parent SET n = n * 2 + 1 WHERE id < ${random.whole(1, 5)}`];
      return [`DELETE FROM parent WHERE id > 1000 AND n > ${random.whole(0, 3)}`];
    },
    bites: true,
  },
  {
    name: 'parent and child have rows of the same key',
    schema: `CREATE TABLE parent (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); CREATE TABLE child () INHERITS (parent);
      INSERT INTO parent SELECT generate_series(1, 4); INSERT INTO child SELECT generate_series(1, 4)`,
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE parent SET n = n + id WHERE id = ${random.whole(1, 4)}`]
        : [`UPDATE child SET n = n * 2 % 1009 WHERE id IN (SELECT id FROM parent ORDER BY n LIMIT 2)`],
    bites: true,
  },
];
