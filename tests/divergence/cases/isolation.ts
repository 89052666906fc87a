/** Isolation levels, cursors, locks, and the ways of the protocol. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const ROWS = `CREATE TABLE t (id int PRIMARY KEY, grp int NOT NULL, n int NOT NULL DEFAULT 0); INSERT INTO t SELECT g, g % 3 FROM generate_series(1, 9) g;
  CREATE TABLE log (who int, n bigint)`;

export const isolationCases: readonly Case[] = [
  {
    name: 'repeatable read',
    schema: ROWS,
    begin: 'BEGIN ISOLATION LEVEL REPEATABLE READ',
    step: (random, client, round) => [
      `SELECT sum(n) FROM t`,
      `UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`,
      `INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(3)})`,
      `INSERT INTO log SELECT ${client}, sum(n) FROM t`,
    ],
    wrapping: 'block',
    bites: true,
  },
  {
    name: 'repeatable read and a sum in an update',
    schema: ROWS,
    begin: 'BEGIN ISOLATION LEVEL REPEATABLE READ',
    step: (random) => [
      'SELECT 1 FROM t',
      `UPDATE t SET n = (SELECT sum(n) % 1000 FROM t) + 1 WHERE id = ${random.whole(1, 9)}`,
    ],
    wrapping: 'block',
    bites: true,
  },
  {
    name: 'serializable write skew',
    schema: ROWS,
    begin: 'BEGIN ISOLATION LEVEL SERIALIZABLE',
    step: (random) => [
      'SELECT sum(n) FROM t',
      `UPDATE t SET n = n + (SELECT count(*) FROM t WHERE n > 2) WHERE id = ${random.whole(1, 9)}`,
    ],
    wrapping: 'block',
  },
  {
    name: 'serializable with phantoms',
    schema: ROWS,
    begin: 'BEGIN ISOLATION LEVEL SERIALIZABLE',
    step: (random, client, round) => [
      `UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`,
      `INSERT INTO t VALUES (${fresh(client, round)}, ${random.below(3)})`,
    ],
    wrapping: 'block',
  },
  {
    name: 'where current of a cursor',
    schema: ROWS,
    step: (random) =>
      [
        `DECLARE c CURSOR FOR SELECT * FROM t WHERE grp = ${random.below(3)} ORDER BY id FOR UPDATE`,
        'FETCH 2 FROM c',
        'UPDATE t SET n = n + 1 WHERE CURRENT OF c',
        'FETCH 1 FROM c',
        'DELETE FROM t WHERE CURRENT OF c AND false',
        'CLOSE c',
      ].filter((text) => !text.includes('AND false')),
    wrapping: 'block',
    expects: ['24000'],
    bites: true,
  },
  {
    name: 'a table lock',
    schema: ROWS,
    step: (random) => [
      'LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE',
      `UPDATE t SET n = n + 1, grp = ${random.below(3)} WHERE grp = ${random.below(3)}`,
    ],
    wrapping: 'block',
  },
  {
    name: 'rows locked first and changed afterwards',
    schema: ROWS,
    step: (random) => {
      const group = random.below(3);
      return [
        `SELECT * FROM t WHERE grp = ${group} ORDER BY id FOR UPDATE`,
        `UPDATE t SET n = n + 1 WHERE grp = ${group}`,
        `UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`,
      ];
    },
    wrapping: 'block',
  },
  {
    name: 'prepared statements with parameters',
    schema: `${ROWS}; CREATE TABLE s (id serial PRIMARY KEY, who int, at timestamptz DEFAULT now(), x text)`,
    step: (random, client, round) => [
      { text: 'INSERT INTO s (who, x) VALUES ($1, $2) RETURNING id', values: [client, `x'${round}`], name: 'one' },
      { text: 'UPDATE t SET n = n + $1 WHERE grp = $2 AND n < $3', values: [1, random.below(3), 500], name: 'two' },
      {
        text: 'UPDATE t SET grp = $1 WHERE id = ANY ($2::int[])',
        values: [random.below(3), [random.whole(1, 9), random.whole(1, 9)]],
        name: 'three',
      },
    ],
    bites: true,
  },
  {
    name: 'parameters of many types',
    schema: `CREATE TABLE s (id serial, a int, b text, c numeric, d timestamptz, e jsonb, f bytea, g float8, h boolean)`,
    step: (random, client) => [
      {
        text: 'INSERT INTO s (a, b, c, d, e, f, g, h) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)',
        values: [
          client,
          random.chance(0.2) ? null : "it's",
          '1.50',
          '2026-02-03 04:05:06+01',
          { k: random.below(9) },
          Buffer.from([0, 1, 2]),
          random.next(),
          random.chance(0.5),
        ],
        name: 'put',
      },
    ],
    bites: true,
  },
  {
    name: 'SQL PREPARE and EXECUTE',
    schema: ROWS,
    session: () => ['PREPARE raise (int, int) AS UPDATE t SET n = n + $1 WHERE grp = $2'],
    step: (random) =>
      random.chance(0.5)
        ? [`EXECUTE raise (${random.whole(1, 5)}, ${random.below(3)})`]
        : [`UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`],
    bites: true,
  },
  {
    name: 'several statements in one query',
    schema: `${ROWS}; CREATE TABLE s (id serial PRIMARY KEY, who int)`,
    step: (random, client) => [
      `UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}; INSERT INTO s (who) VALUES (${client}); INSERT INTO log SELECT ${client}, sum(n) FROM t; UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`,
    ],
    wrapping: 'own',
    bites: true,
  },
  {
    name: 'one query with blocks in it',
    schema: ROWS,
    step: (random, client, round) => [
      `BEGIN; UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}; COMMIT; INSERT INTO log VALUES (${client}, ${round})`,
    ],
    wrapping: 'own',
  },
  {
    name: 'savepoints within savepoints',
    schema: `${ROWS}; CREATE TABLE s (id serial PRIMARY KEY, who int)`,
    step: (random, client) => [
      'SAVEPOINT a',
      `INSERT INTO s (who) VALUES (${client})`,
      'SAVEPOINT b',
      `UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`,
      random.chance(0.5) ? 'ROLLBACK TO b' : 'RELEASE b',
      `INSERT INTO s (who) VALUES (${client})`,
      random.chance(0.3) ? 'ROLLBACK TO a' : 'RELEASE a',
      `UPDATE t SET grp = ${random.below(3)} WHERE id = ${random.whole(1, 9)}`,
    ],
    wrapping: 'block',
    bites: true,
  },
  {
    name: 'an error behind a savepoint',
    schema: `${ROWS}; CREATE TABLE s (id serial PRIMARY KEY, who int)`,
    step: (random, client) => [
      `INSERT INTO s (who) VALUES (${client})`,
      `UPDATE t SET n = 1 / (n - ${random.below(4)}) + n + 1 WHERE grp = ${random.below(3)}`,
    ],
    expects: ['22012'],
    bites: true,
  },
  {
    name: 'copy into a table with a serial',
    schema: `CREATE TABLE s (id serial PRIMARY KEY, who int, x text)`,
    step: (_random, client, round) => [
      { copy: 'COPY s (who, x) FROM STDIN', data: `${client}\tx${round}\n${client}\ty\n` },
    ],
    bites: true,
  },
  {
    name: 'copy of the word now',
    schema: `CREATE TABLE p (who int, x text DEFAULT 'none', at timestamptz)`,
    step: (_random, client) => [
      { copy: 'COPY p (who, at) FROM STDIN', data: `${client}\t2026-01-01\n${client}\tnow\n` },
    ],
    mustCommit: 'no',
    bites: true,
  },
  {
    name: 'copy of each kind of text',
    schema: `CREATE TABLE p (who int, x text, y bytea, z float8, d date)`,
    session: (client) => [`SET DateStyle = '${client % 2 === 0 ? 'SQL, DMY' : 'ISO, MDY'}'`],
    step: (_random, client) => [
      {
        copy: 'COPY p FROM STDIN',
        data: `${client}\ta\\tb\\\\c\t\\\\x00ff\tNaN\t02/03/2026\n${client}\t\\N\t\\N\t-0\t\\N\n`,
      },
      { copy: 'COPY p (who, x) FROM STDIN (FORMAT csv)', data: `${client},"a ""b"",c"\n${client},\n` },
    ],
  },
  {
    name: 'copy into a table whose rows others change',
    schema: ROWS,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [
            {
              copy: 'COPY t (id, grp) FROM STDIN',
              data: `${fresh(client, round)}\t${random.below(3)}\n${fresh(client, round, 1)}\t1\n`,
            },
          ]
        : [`UPDATE t SET n = n + 1 WHERE grp = ${random.below(3)}`],
    bites: true,
  },
];
