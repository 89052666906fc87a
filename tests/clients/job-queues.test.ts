/** Job queues that nobody here wrote: migrations with functions and triggers, SKIP LOCKED, changes of two tables in one statement, partitions made by functions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Logger, makeWorkerUtils, run, runMigrations } from 'graphile-worker';
import PgBoss from 'pg-boss';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, startScene, until } from '../e2e/scene.ts';

const { cluster, proxy } = await startScene();
const connectionString = proxy.dsn();
const HANGS = { timeout: 180_000 };
const PRODUCERS = 4;
const ROUNDS = 5;

test('graphile-worker: two runners, jobs in queues, under keys, that add others, that fail', HANGS, async () => {
  const logger = new Logger(() => () => undefined);
  await runMigrations({ connectionString, logger });
  await assertWritersEqual(cluster);
  let done = 0;
  const errors: string[] = [];
  const runners = await Promise.all(
    [1, 2].map(() =>
      run({
        connectionString,
        logger,
        concurrency: 3,
        pollInterval: 100,
        noHandleSignals: true,
        taskList: {
          plain: () => void done++,
          chain: async (payload, { addJob }) => {
            const { left } = payload as { left: number };
            if (left > 0) await addJob('chain', { left: left - 1 });
            done++;
          },
          failing: () => {
            throw new Error('as it is to');
          },
        },
      }),
    ),
  );
  for (const { events } of runners) {
    events.on('worker:getJob:error', ({ error }) => errors.push(`getJob: ${String(error)}`));
    events.on('worker:fatalError', ({ error }) => errors.push(`worker: ${String(error)}`));
    events.on('job:error', ({ error, job }) => {
      if (job.task_identifier !== 'failing') errors.push(`${job.task_identifier}: ${String(error)}`);
    });
  }
  const utils = await makeWorkerUtils({ connectionString, logger });
  const produce = async (producer: number): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      await utils.addJob('plain', { round });
      await utils.addJob('plain', { round }, { queueName: `queue ${round % 3}` });
      await utils.addJob(
        'plain',
        {},
        { jobKey: `once ${producer} ${round}`, jobKeyMode: 'replace', queueName: 'queue 0' },
      );
      if (round % 5 === 0) await utils.addJob('chain', { left: 2 });
      if (round % 5 === 1) await utils.addJob('failing', {}, { maxAttempts: 1, queueName: 'queue 1' });
    }
  };
  await Promise.all(Array.from({ length: PRODUCERS }, (_, producer) => produce(producer)));
  const expected = PRODUCERS * (ROUNDS * 3 + 3);
  await until('all jobs are done', async () => {
    const [row] = await sql(cluster.w1, 'SELECT count(*)::int AS n FROM graphile_worker._private_jobs');
    return done >= expected && row?.['n'] === PRODUCERS;
  });
  for (const runner of runners) await runner.stop();
  await utils.release();
  assert.deepEqual(errors, []);
  assert.equal(done, expected, 'each of them once');
  await assertWritersEqual(cluster);
});

test('pg-boss: queues that a function makes partitions for, policies, retries, a dead letter', HANGS, async () => {
  const errors: string[] = [];
  const bosses: PgBoss[] = [];
  for (let index = 0; index < 2; index++) {
    const boss = new PgBoss({ connectionString, max: 4, maintenanceIntervalSeconds: 1 });
    boss.on('error', (error) => errors.push(String(error)));
    await boss.start();
    bosses.push(boss);
  }
  const [one, other] = bosses as [PgBoss, PgBoss];
  await one.createQueue('dead');
  await one.createQueue('plain');
  await one.createQueue('short', { name: 'short', policy: 'short' });
  await other.createQueue('failing', { name: 'failing', retryLimit: 1, deadLetter: 'dead' });
  await assertWritersEqual(cluster);
  let done = 0;
  let dead = 0;
  const polling = { pollingIntervalSeconds: 0.5, batchSize: 4 };
  for (const boss of bosses) {
    await boss.work('plain', polling, (jobs) => Promise.resolve(void (done += jobs.length)));
    await boss.work('short', polling, () => Promise.resolve());
    await boss.work('dead', polling, (jobs) => Promise.resolve(void (dead += jobs.length)));
    await boss.work('failing', polling, () => Promise.reject(new Error('as it is to')));
  }
  const produce = async (producer: number): Promise<void> => {
    const boss = producer % 2 === 0 ? one : other;
    for (let round = 0; round < ROUNDS; round++) {
      await boss.send('plain', { round });
      await boss.insert([{ name: 'plain', data: { producer } }, { name: 'plain' }]);
      await boss.send('short', { round });
      if (round % 5 === 0) await boss.send('failing', {});
    }
  };
  await Promise.all(Array.from({ length: PRODUCERS }, (_, producer) => produce(producer)));
  const expected = PRODUCERS * ROUNDS * 3;
  await until('all jobs are done', () => Promise.resolve(done >= expected && dead >= PRODUCERS));
  for (const boss of bosses) await boss.stop({ graceful: true, wait: true });
  assert.deepEqual(errors, []);
  assert.deepEqual([done, dead], [expected, PRODUCERS], 'each of them once');
  await assertWritersEqual(cluster);
});
