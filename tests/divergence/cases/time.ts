/** Moments: the transaction's time, words that mean it, the clock. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const TIMES = `CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, a timestamptz, b date, c time, d timestamp(3), e text);
  INSERT INTO t (id) SELECT generate_series(1, 4)`;

export const timeCases: readonly Case[] = [
  {
    name: 'now and its family in an update by key',
    schema: TIMES,
    step: (random) => [
      `UPDATE t SET n = n + 1, a = now(), b = CURRENT_DATE, c = LOCALTIME, d = LOCALTIMESTAMP(3) WHERE id = ${random.whole(1, 4)}`,
    ],
    bites: true,
  },
  {
    name: 'now in an update of a range',
    schema: TIMES,
    step: (random) => [`UPDATE t SET n = n + 1, a = transaction_timestamp() WHERE id > ${random.whole(0, 3)}`],
    bites: true,
  },
  {
    name: 'statement_timestamp in an insert',
    schema: `${TIMES}; CREATE TABLE log (at timestamptz, who int, round int)`,
    step: (_random, client, round) => [`INSERT INTO log VALUES (statement_timestamp(), ${client}, ${round})`],
    bites: true,
  },
  {
    name: 'clock_timestamp in an insert',
    schema: 'CREATE TABLE log (at timestamptz, who int, round int)',
    step: (_random, client, round) => [`INSERT INTO log VALUES (clock_timestamp(), ${client}, ${round})`],
    bites: true,
  },
  {
    name: 'clock_timestamp in an update',
    schema: TIMES,
    step: (random) => [`UPDATE t SET n = n + 1, a = clock_timestamp() WHERE id = ${random.whole(1, 4)}`],
    bites: true,
  },
  {
    name: 'now as a default',
    schema: 'CREATE TABLE log (who int, round int, at timestamptz DEFAULT now(), day date DEFAULT CURRENT_DATE)',
    step: (_random, client, round) => [`INSERT INTO log (who, round) VALUES (${client}, ${round})`],
    bites: true,
  },
  {
    name: 'clock_timestamp as a default',
    schema: 'CREATE TABLE log (who int, round int, at timestamptz DEFAULT clock_timestamp())',
    step: (_random, client, round) => [`INSERT INTO log (who, round) VALUES (${client}, ${round})`],
    bites: true,
  },
  {
    name: 'the word now as a literal',
    schema: TIMES,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [`INSERT INTO t (id, a, b) VALUES (${fresh(client, round)}, 'now', 'today')`]
        : [`UPDATE t SET a = 'now', b = 'today', n = n + 1 WHERE id = ${random.whole(1, 4)}`],
    bites: true,
  },
  {
    name: 'the word now as a parameter',
    schema: TIMES,
    step: (random, client, round) =>
      random.chance(0.5)
        ? [
            {
              text: 'INSERT INTO t (id, a, b) VALUES ($1, $2, $3)',
              values: [fresh(client, round), 'now', 'today'],
            },
          ]
        : [{ text: 'UPDATE t SET a = $2, n = n + 1 WHERE id = $1', values: [random.whole(1, 4), 'now'] }],
    bites: true,
  },
  {
    name: 'the word now in a parameter that is cast',
    schema: TIMES,
    step: (random) => [
      { text: 'UPDATE t SET a = $2::text::timestamptz, n = n + 1 WHERE id = $1', values: [random.whole(1, 4), 'now'] },
    ],
    bites: true,
  },
  {
    name: 'age and extract of now as a predicate',
    schema: `CREATE TABLE t (id int PRIMARY KEY, due timestamptz NOT NULL, n int NOT NULL DEFAULT 0);
      INSERT INTO t SELECT g, now() + g * interval '20 ms' FROM generate_series(1, 40) g`,
    step: (_random, client) => [`UPDATE t SET n = n + ${client + 1} WHERE due < now()`],
    bites: true,
  },
  {
    name: 'delete of what is due',
    schema: `CREATE TABLE t (id int PRIMARY KEY, due timestamptz NOT NULL);
      INSERT INTO t SELECT g, now() + g * interval '2 ms' FROM generate_series(1, 200) g`,
    step: () => ['DELETE FROM t WHERE due < now()'],
    bites: true,
  },
  {
    name: 'text of a moment in the session zone',
    schema: TIMES,
    session: (client) => [`SET TimeZone = '${['UTC', 'Asia/Tokyo', 'America/New_York'][client % 3] ?? 'UTC'}'`],
    step: (random) => [`UPDATE t SET e = coalesce(left(e, 40), '') || now()::text WHERE id = ${random.whole(1, 4)}`],
    bites: true,
  },
];
