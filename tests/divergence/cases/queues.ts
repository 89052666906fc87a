/** Queues: rows that are taken with SKIP LOCKED, and what is made of them. */
import type { Case } from '../case.ts';

const QUEUE = `CREATE TABLE job (id serial PRIMARY KEY, state text NOT NULL DEFAULT 'new', worker int, tries int NOT NULL DEFAULT 0);
  INSERT INTO job (state) SELECT 'new' FROM generate_series(1, 60)`;

/** 1.4 MB each, more than what is read whole as a matter of course. */
const LARGE = `CREATE TABLE job (id serial PRIMARY KEY, state text NOT NULL DEFAULT 'new', worker int, at timestamptz, pad text);
  INSERT INTO job (state, at, pad) SELECT 'new', 'epoch', repeat('x', 1000) FROM generate_series(1, 1300);
  CREATE TABLE note (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job int, worker int, luck float8 DEFAULT random(), pad text);
  INSERT INTO note (job, luck, pad) SELECT 0, 0, repeat('x', 1000) FROM generate_series(1, 1300);
  CREATE FUNCTION take(w int) RETURNS int LANGUAGE plpgsql AS $$ DECLARE i int; BEGIN
    DELETE FROM job WHERE id = (SELECT id FROM job ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id INTO i;
    INSERT INTO note (job, worker) VALUES (i, w); RETURN i; END $$;
  CREATE FUNCTION claim(w int) RETURNS int LANGUAGE sql AS $$ UPDATE job SET worker = w, at = clock_timestamp()
    WHERE id = (SELECT id FROM job WHERE worker IS DISTINCT FROM w ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id $$;
  CREATE FUNCTION put(w int) RETURNS int LANGUAGE plpgsql AS $$ DECLARE i int; BEGIN
    INSERT INTO job (worker, at) VALUES (w, now()) RETURNING id INTO i; INSERT INTO note (job, worker) VALUES (i, w), (i, -w); RETURN i; END $$;
  CREATE FUNCTION renumber(a int, b int) RETURNS void LANGUAGE sql AS $$ UPDATE job SET id = b WHERE id = a AND NOT EXISTS (SELECT FROM job WHERE id = b) $$;
  CREATE FUNCTION twice(a int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    UPDATE job SET state = state || '+' WHERE id = a; UPDATE job SET at = clock_timestamp() WHERE id = a; END $$`;

export const queueCases: readonly Case[] = [
  {
    name: 'functions on larger tables, told by keys',
    schema: LARGE,
    step: (random, client) => [
      random.pick([`SELECT take(${client})`, `SELECT put(${client})`, `SELECT put(${client}), put(${client})`]),
    ],
    bites: true,
  },
  {
    name: 'functions on larger tables, told by keys or by reading them',
    schema: LARGE,
    step: (random, client) => [
      random.pick([
        `SELECT claim(${client})`,
        `SELECT renumber(${random.whole(1, 20)}, ${random.whole(1, 20)})`,
        `SELECT twice(${random.whole(1, 20)})`,
        `UPDATE job SET state = 'seen' WHERE id = ${random.whole(1, 20)}`,
        `DELETE FROM job WHERE id = ${random.whole(1, 20)}`,
        `SELECT take(${client})`,
        `INSERT INTO job (id, worker) VALUES (${random.whole(1, 20)}, ${client}) ON CONFLICT DO NOTHING`,
      ]),
    ],
    expects: ['23505'],
    bites: true,
  },
  {
    name: 'one job with skip locked',
    schema: QUEUE,
    step: (random, client) =>
      random.chance(0.3)
        ? [`INSERT INTO job (state) VALUES ('new')`]
        : [
            `UPDATE job SET state = 'taken', worker = ${client}, tries = tries + 1
             WHERE id = (SELECT id FROM job WHERE state = 'new' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id`,
          ],
    bites: true,
  },
  {
    name: 'one job with skip locked and no order',
    schema: QUEUE,
    step: (_random, client) => [
      `UPDATE job SET state = 'taken', worker = ${client} WHERE id = (SELECT id FROM job WHERE state = 'new' FOR UPDATE SKIP LOCKED LIMIT 1)`,
    ],
    bites: true,
  },
  {
    name: 'three jobs with skip locked below WITH',
    schema: QUEUE,
    step: (random, client) =>
      random.chance(0.3)
        ? [`UPDATE job SET state = 'new' WHERE id = ${random.whole(1, 60)}`]
        : [
            `WITH c AS (SELECT id FROM job WHERE state = 'new' FOR UPDATE SKIP LOCKED LIMIT 3)
             UPDATE job SET state = 'taken', worker = ${client}, tries = tries + 1 FROM c WHERE c.id = job.id RETURNING job.*`,
          ],
    bites: true,
  },
  {
    name: 'jobs deleted with skip locked',
    schema: QUEUE,
    step: (random) =>
      random.chance(0.5)
        ? [`INSERT INTO job (state) VALUES ('new')`]
        : ['DELETE FROM job WHERE id IN (SELECT id FROM job ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 2) RETURNING id'],
    bites: true,
  },
  {
    name: 'a job taken by select and finished later',
    schema: `${QUEUE}; CREATE TABLE done (job int PRIMARY KEY, worker int)`,
    step: (_random, client) => [
      `SELECT id FROM job WHERE state = 'new' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1`,
      `INSERT INTO done SELECT id, ${client} FROM job WHERE state = 'new' ORDER BY id FOR UPDATE SKIP LOCKED LIMIT 1`,
      `UPDATE job SET state = 'done', worker = ${client} WHERE id IN (SELECT job FROM done WHERE worker = ${client}) AND state = 'new'`,
    ],
    wrapping: 'block',
    expects: ['23505'],
    bites: true,
  },
  {
    name: 'nowait',
    schema: QUEUE,
    step: (random, client) => [
      `UPDATE job SET worker = ${client}, tries = tries + 1 WHERE id = (SELECT id FROM job WHERE id = ${random.whole(1, 5)} FOR UPDATE NOWAIT)`,
    ],
  },
  {
    name: 'an advisory lock guards the group',
    schema: QUEUE,
    step: (random, client) => [
      `SELECT pg_advisory_xact_lock(${4711 + random.below(2)})`,
      `UPDATE job SET worker = ${client}, tries = tries + 1 WHERE id = (SELECT min(id) FROM job WHERE state = 'new')`,
      `UPDATE job SET state = 'old' WHERE tries > 3`,
    ],
    wrapping: 'block',
    bites: true,
  },
  {
    name: 'jobs that are taken and done with their queues',
    schema: `CREATE TABLE job (id bigserial PRIMARY KEY, queue int, taken_by int, at timestamptz); CREATE TABLE queue (id int PRIMARY KEY, taken_by int, n int NOT NULL DEFAULT 0);
      CREATE FUNCTION add_job(q int) RETURNS bigint LANGUAGE sql AS $$
        INSERT INTO queue (id) VALUES (q) ON CONFLICT (id) DO UPDATE SET n = queue.n + 1; INSERT INTO job (queue) VALUES (q) RETURNING id $$`,
    step: (random, client) => {
      const luck = random.next();
      if (luck < 0.4) return [`SELECT add_job(${random.below(4)})`];
      if (luck < 0.7)
        return [
          `WITH j AS (SELECT id, queue FROM job WHERE taken_by IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED),
             q AS (UPDATE queue SET taken_by = ${client} FROM j WHERE queue.id = j.queue)
           UPDATE job SET taken_by = ${client}, at = now() FROM j WHERE job.id = j.id RETURNING job.id`,
        ];
      return [
        `WITH done AS (DELETE FROM job WHERE taken_by = ${client} RETURNING *) UPDATE queue SET taken_by = NULL FROM done WHERE queue.id = done.queue`,
      ];
    },
    bites: true,
  },
];
