/** Queues: rows that are taken with SKIP LOCKED, and what is made of them. */
import type { Case } from '../case.ts';

const QUEUE = `CREATE TABLE job (id serial PRIMARY KEY, state text NOT NULL DEFAULT 'new', worker int, tries int NOT NULL DEFAULT 0);
  INSERT INTO job (state) SELECT 'new' FROM generate_series(1, 60)`;

export const queueCases: readonly Case[] = [
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
