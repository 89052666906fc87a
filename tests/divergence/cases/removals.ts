/** Rows that functions and triggers delete: which they are, the statement does not say. */
import type { Case } from '../case.ts';
import { fresh } from '../keys.ts';

const JOBS = `CREATE TABLE job (id serial PRIMARY KEY, grp int NOT NULL DEFAULT 0, n int NOT NULL DEFAULT 0);
  INSERT INTO job (grp) SELECT g % 3 FROM generate_series(1, 60) g;
  CREATE TABLE done (id serial PRIMARY KEY, job int NOT NULL, n int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())`;

const procedure = (name: string, body: string, parameters = ''): string =>
  `CREATE FUNCTION ${name}(${parameters}) RETURNS void LANGUAGE plpgsql AS $$ BEGIN ${body} END $$`;

const another = 'INSERT INTO job (grp) VALUES (0), (1), (2)';

export const removalCases: readonly Case[] = [
  {
    name: 'a function that deletes any job',
    schema: `${JOBS}; ${procedure('take', 'DELETE FROM job WHERE id = (SELECT id FROM job FOR UPDATE SKIP LOCKED LIMIT 1);')}`,
    step: (random) => (random.chance(0.4) ? [another] : ['SELECT take()']),
    bites: true,
  },
  {
    name: 'a function that moves jobs into an archive',
    schema: `${JOBS}; ${procedure('archive', 'WITH d AS (DELETE FROM job WHERE id IN (SELECT id FROM job WHERE grp = which ORDER BY n, random() LIMIT 2) RETURNING *) INSERT INTO done (job, n) SELECT id, n FROM d;', 'which int')}`,
    step: (random) => {
      const luck = random.next();
      if (luck < 0.3) return [another];
      if (luck < 0.5) return [`UPDATE job SET n = n + 1, grp = ${random.below(3)} WHERE id = ${random.whole(1, 90)}`];
      return [`SELECT archive(${random.below(3)})`];
    },
    bites: true,
  },
  {
    name: 'a function that deletes any job in repeatable read behind a savepoint',
    schema: `${JOBS}; ${procedure('take', 'DELETE FROM job WHERE id IN (SELECT id FROM job ORDER BY random() LIMIT 2);')}`,
    begin: 'BEGIN ISOLATION LEVEL REPEATABLE READ; SAVEPOINT first',
    step: (random) => ['SELECT take()', another, ...(random.chance(0.3) ? ['SELECT take()'] : [])],
    wrapping: 'block',
    bites: true,
  },
  {
    name: 'a function that deletes a group while others insert into it',
    schema: `${JOBS}; ${procedure('purge', 'DELETE FROM job WHERE grp = which;', 'which int')}`,
    step: (random) =>
      random.chance(0.7) ? [`INSERT INTO job (grp) VALUES (${random.below(3)})`] : [`SELECT purge(${random.below(3)})`],
    bites: true,
  },
  {
    name: 'a trigger that keeps the newest rows',
    schema: `CREATE TABLE ring (id serial PRIMARY KEY, n int NOT NULL);
      CREATE FUNCTION trim_ring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM ring WHERE id IN (SELECT id FROM ring ORDER BY id DESC OFFSET 8 FOR UPDATE SKIP LOCKED); RETURN NULL; END $$;
      CREATE TRIGGER trim AFTER INSERT ON ring FOR EACH STATEMENT EXECUTE FUNCTION trim_ring()`,
    step: (random) => [`INSERT INTO ring (n) VALUES (${random.below(100)})`],
    bites: true,
  },
  {
    name: 'a trigger that deletes rows of another table',
    schema: `${JOBS}; CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO t SELECT generate_series(1, 9);
      CREATE FUNCTION drop_job() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM job WHERE id = (SELECT id FROM job ORDER BY n, random() LIMIT 1); NEW.n := NEW.n + 1; RETURN NEW; END $$;
      CREATE TRIGGER drop_job BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION drop_job()`,
    step: (random) => (random.chance(0.5) ? [another] : [`UPDATE t SET n = n + 1 WHERE id = ${random.whole(1, 9)}`]),
    bites: true,
  },
  {
    name: 'a function that deletes rows and puts them back',
    schema: `${JOBS}; ${procedure('redo', 'WITH d AS (DELETE FROM job WHERE id IN (SELECT id FROM job ORDER BY random() LIMIT 3) RETURNING *) SELECT count(*) INTO found FROM d; INSERT INTO job (id, grp) VALUES (which, found) ON CONFLICT (id) DO UPDATE SET n = job.n + 1;', 'which int').replace(' BEGIN', ' DECLARE found int; BEGIN')}`,
    step: (random) => (random.chance(0.4) ? [another] : [`SELECT redo(${random.whole(1, 60)})`]),
    bites: true,
  },
  {
    name: 'a function that replaces rows of its choice',
    schema: `${JOBS}; ${procedure('replace_some', 'FOR one IN DELETE FROM job WHERE id IN (SELECT id FROM job WHERE grp = which LIMIT 2) RETURNING * LOOP INSERT INTO job (id, grp, n) VALUES (one.id, (random() * 2)::int, one.n + 1); END LOOP;', 'which int').replace(' BEGIN', ' DECLARE one job; BEGIN')}`,
    step: (random) => (random.chance(0.2) ? [another] : [`SELECT replace_some(${random.below(3)})`]),
    bites: true,
  },
  {
    name: 'a function that gives rows other keys',
    schema: `${JOBS}; ${procedure('renumber', "UPDATE job SET id = nextval('job_id_seq') WHERE id IN (SELECT id FROM job ORDER BY random() LIMIT 2);")}`,
    step: (random) =>
      random.chance(0.4) ? [`UPDATE job SET n = n + 1 WHERE id = ${random.whole(1, 90)}`] : ['SELECT renumber()'],
    bites: true,
  },
  {
    name: 'what the transaction itself has inserted is deleted by a function',
    schema: `${JOBS}; ${procedure('purge', 'DELETE FROM job WHERE grp = which AND id IN (SELECT id FROM job WHERE grp = which ORDER BY id DESC LIMIT 2);', 'which int')}`,
    step: (random, client, round) => {
      const grp = random.below(3);
      return [
        `INSERT INTO job (id, grp) VALUES (${fresh(client, round)}, ${grp})`,
        `UPDATE job SET n = n + 1 WHERE id = ${random.whole(1, 60)}`,
        ...(random.chance(0.5) ? ['SAVEPOINT inner_one'] : []),
        `SELECT purge(${grp})`,
      ];
    },
    wrapping: 'block',
    bites: true,
  },
  {
    name: 'a function that deletes and takes some of it back',
    schema: `${JOBS}; ${procedure(
      'attempt',
      `DELETE FROM job WHERE id IN (SELECT id FROM job ORDER BY random() LIMIT 1);
        BEGIN DELETE FROM job WHERE id IN (SELECT id FROM job ORDER BY random() LIMIT 2); INSERT INTO job (grp) VALUES (9);
          IF random() < 0.5 THEN RAISE EXCEPTION 'no'; END IF; EXCEPTION WHEN raise_exception THEN INSERT INTO done (job, n) VALUES (0, 0); END;`,
    )}`,
    step: (random) => (random.chance(0.5) ? [another] : ['SELECT attempt()']),
    bites: true,
  },
  {
    name: 'a DO block that deletes rows which are locked by others',
    schema: JOBS,
    step: (random) => {
      const luck = random.next();
      if (luck < 0.2) return [another];
      if (luck < 0.5) return [`SELECT id FROM job WHERE id < ${random.whole(2, 9)} FOR KEY SHARE`];
      return [`DO $$ BEGIN DELETE FROM job WHERE id IN (SELECT id FROM job ORDER BY random() LIMIT 1); END $$`];
    },
    bites: true,
  },
  {
    name: 'a function that deletes in a repeatable read transaction',
    schema: `${JOBS}; ${procedure('take', 'DELETE FROM job WHERE id = (SELECT id FROM job ORDER BY random() LIMIT 1);')}`,
    step: (random) => [
      'BEGIN ISOLATION LEVEL REPEATABLE READ',
      random.chance(0.4) ? another : 'SELECT take()',
      'COMMIT',
    ],
    wrapping: 'own',
    bites: true,
  },
];
