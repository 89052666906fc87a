/** Foreign keys and what they do by themselves. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const family = (action: string): string => `CREATE TABLE parent (id int PRIMARY KEY, n int NOT NULL DEFAULT 0);
  CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent ${action}, n int NOT NULL DEFAULT 0);
  INSERT INTO parent SELECT generate_series(1, 6); INSERT INTO child SELECT g, (g - 1) % 6 + 1 FROM generate_series(1, 12) g`;

export const constraintCases: readonly Case[] = [
  {
    name: 'on delete cascade',
    schema: family('ON DELETE CASCADE'),
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.3) return [`INSERT INTO parent VALUES (${random.whole(1, 8)}) ON CONFLICT DO NOTHING`];
      if (luck < 0.7) return [`INSERT INTO child VALUES (${fresh(client, round)}, ${random.whole(1, 8)})`];
      return [`DELETE FROM parent WHERE id = ${random.whole(1, 8)}`];
    },
    expects: ['23503'],
  },
  {
    name: 'on delete cascade of a range',
    schema: family('ON DELETE CASCADE'),
    step: (random, client, round) => {
      const luck = random.next();
      if (luck < 0.4) return [`INSERT INTO parent VALUES (${random.whole(1, 8)}) ON CONFLICT DO NOTHING`];
      if (luck < 0.7) return [`INSERT INTO child VALUES (${fresh(client, round)}, ${random.whole(1, 8)})`];
      if (luck < 0.85) return [`UPDATE parent SET n = n + 1 WHERE id > ${random.whole(1, 6)}`];
      return [`DELETE FROM parent WHERE n > ${random.below(3)}`];
    },
    expects: ['23503'],
    bites: true,
  },
  {
    name: 'on delete set null',
    schema: family('ON DELETE SET NULL'),
    step: (random) => {
      const luck = random.next();
      if (luck < 0.4) return [`INSERT INTO parent VALUES (${random.whole(1, 6)}) ON CONFLICT DO NOTHING`];
      if (luck < 0.7) return [`UPDATE child SET parent = ${random.whole(1, 6)} WHERE id = ${random.whole(1, 12)}`];
      return [`DELETE FROM parent WHERE id = ${random.whole(1, 6)}`];
    },
    expects: ['23503'],
  },
  {
    name: 'on update cascade',
    schema: family('ON UPDATE CASCADE'),
    step: (random) =>
      random.chance(0.5)
        ? [`UPDATE parent SET id = ${random.whole(1, 40)} WHERE id = ${random.whole(1, 40)}`]
        : [`UPDATE child SET n = n + 1 WHERE parent = ${random.whole(1, 40)} OR id = ${random.whole(1, 12)}`],
    expects: ['23503', '23505'],
  },
  {
    name: 'on update cascade of several keys',
    schema: family('ON UPDATE CASCADE ON DELETE SET NULL'),
    step: (random) =>
      random.chance(0.5)
        ? [
            `UPDATE parent SET id = id + ${random.pick([50, -50])} WHERE id BETWEEN ${random.whole(1, 3)} AND ${random.whole(4, 56)}`,
          ]
        : [`UPDATE child SET parent = (SELECT min(id) FROM parent) WHERE id = ${random.whole(1, 12)}`],
    expects: ['23503', '23505'],
  },
  {
    name: 'constraints that are deferred',
    schema: family('DEFERRABLE INITIALLY DEFERRED'),
    step: (random, client, round) => [
      `INSERT INTO child VALUES (${fresh(client, round)}, ${random.whole(1, 9)})`,
      ...(random.chance(0.3) ? ['SET CONSTRAINTS ALL IMMEDIATE'] : []),
      `INSERT INTO parent VALUES (${random.whole(1, 9)}) ON CONFLICT (id) DO UPDATE SET n = parent.n + 1`,
    ],
    wrapping: 'block',
    expects: ['23503'],
  },
  {
    name: 'a check and a not null among others',
    schema: `CREATE TABLE account (id int PRIMARY KEY, n int NOT NULL CHECK (n >= 0)); INSERT INTO account SELECT g, 5 FROM generate_series(1, 4) g`,
    step: (random) => [`UPDATE account SET n = n + ${random.pick([-3, -2, 2, 3])} WHERE id > ${random.below(4)}`],
    expects: ['23514'],
  },
  {
    name: 'a table that refers to itself',
    schema: `CREATE TABLE node (id int PRIMARY KEY, parent int REFERENCES node ON DELETE CASCADE, n int NOT NULL DEFAULT 0);
      INSERT INTO node SELECT g, nullif(g / 2, 0) FROM generate_series(1, 15) g`,
    step: (random) => {
      const luck = random.next();
      if (luck < 0.2) return [`DELETE FROM node WHERE id = ${random.whole(4, 15)}`];
      if (luck < 0.6)
        return [`INSERT INTO node VALUES (${random.whole(4, 15)}, ${random.whole(1, 7)}) ON CONFLICT DO NOTHING`];
      return [`UPDATE node SET n = n + 1 WHERE parent = ${random.whole(1, 7)}`];
    },
    expects: ['23503'],
  },
];
