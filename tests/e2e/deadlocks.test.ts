/** Waits that go round between servers, where no server sees the whole circle: prevented, or ended with everything rolled back. */
import assert from 'node:assert/strict';
import { afterEach, before, describe, test } from 'node:test';
import pg from 'pg';
import type { Server } from '../../src/embedded/server.ts';
import { sql } from '../support/cluster.ts';
import { clusterDsn } from '../support/proxy.ts';
import { assertWritersEqual, refusal, startScene, until } from './scene.ts';

const POOL = 2;
const LOCK_TIMEOUT_MS = 5000;
const { cluster, proxy } = await startScene(
  { poolSize: POOL, followerLockTimeoutMs: LOCK_TIMEOUT_MS, followerTimeoutMs: 60_000, deadlockTimeoutMs: 60_000 },
  { reader: false },
);
const { w1, w2 } = cluster;

const HANGS = { timeout: 45_000 };

before(async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE kept (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)');
  await client.query('INSERT INTO kept SELECT id FROM generate_series(1, 20) id');
  await client.query('CREATE TABLE seat (number int UNIQUE DEFERRABLE INITIALLY DEFERRED, id int PRIMARY KEY)');
  await client.end();
});

afterEach(() => assertWritersEqual(cluster));

/** A session on the server itself, which no proxy knows. */
async function direct(server: Server): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: clusterDsn(server) });
  await client.connect();
  return client;
}

function waitsOn(server: Server, count: number): Promise<void> {
  return until(`${count} wait for locks on ${server.name}`, async () => {
    const [row] = await sql(server, 'SELECT count(DISTINCT pid)::int AS n FROM pg_locks WHERE NOT granted');
    return row?.['n'] === count;
  });
}

async function rowsOf(server: Server, ...ids: readonly number[]): Promise<unknown> {
  const rows = await sql(server, `SELECT n FROM kept WHERE id IN (${ids.join(', ')}) ORDER BY id`);
  return rows.map((row) => row['n']);
}

describe('a circle that is prevented', () => {
  test('of a row on the lead and the last connections to the follower', HANGS, async () => {
    const [one, two, three] = [await proxy.connect(), await proxy.connect(), await proxy.connect()];
    await one.query('BEGIN');
    await one.query('UPDATE kept SET n = 1 WHERE id = 1');
    // It has the last connection of every pool, and waits for a row of the first, who needs its connections now.
    const second = two.query('UPDATE kept SET n = n + 10 WHERE id = 1');
    await waitsOn(w1, 1);
    const third = three.query('UPDATE kept SET n = n + 100 WHERE id = 1');
    await one.query('UPDATE kept SET n = 1 WHERE id = 2');
    await one.query('COMMIT');
    await Promise.all([second, third]);
    for (const server of [w1, w2]) assert.deepEqual(await rowsOf(server, 1, 2), [111, 1]);
    for (const client of [one, two, three]) await client.end();
  });

  test('of what goes back to a savepoint and what overtakes it on the follower', HANGS, async () => {
    const [one, two] = [await proxy.connect(), await proxy.connect()];
    const holder = await direct(w2);
    await one.query('BEGIN');
    await one.query('UPDATE kept SET n = 1 WHERE id = 3');
    await one.query('SAVEPOINT s');
    await holder.query('BEGIN; SELECT FROM kept WHERE id = 4 FOR UPDATE');
    await one.query('UPDATE kept SET n = 1 WHERE id = 4');
    await waitsOn(w2, 1);
    await one.query('ROLLBACK TO s');
    // The row is free on the lead. On the follower nobody may be in front of who has it now.
    await two.query('BEGIN');
    await two.query('UPDATE kept SET n = 2 WHERE id = 4');
    await waitsOn(w2, 1);
    const waiting = two.query('UPDATE kept SET n = n + 1 WHERE id = 3');
    await waitsOn(w1, 1);
    await holder.query('ROLLBACK');
    await one.query('COMMIT');
    await waiting;
    await two.query('COMMIT');
    for (const server of [w1, w2]) assert.deepEqual(await rowsOf(server, 3, 4), [2, 2]);
    for (const client of [one, two, holder]) await client.end();
  });

  test('of what goes back to a savepoint slowly on the follower, and who is next on the lead', HANGS, async () => {
    const [one, two] = [await proxy.connect(), await proxy.connect()];
    await one.query('BEGIN');
    await one.query('UPDATE kept SET n = 1 WHERE id = 7');
    await one.query('SAVEPOINT s');
    await one.query('UPDATE kept SET n = 1 WHERE id = 8');
    await one.query('SAVEPOINT t'); // the follower has it too
    const [session] = await sql(w2, `SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'`);
    const pid = Number(session?.['pid']);
    process.kill(pid, 'SIGSTOP');
    let back: Promise<unknown>;
    try {
      back = one.query('ROLLBACK TO s');
      await two.query('BEGIN');
      const second = two.query('UPDATE kept SET n = 2 WHERE id = 8').then(() => two.query('COMMIT'));
      // The follower's session has not heard of it: until it has, the row stays the first's on the lead as well.
      await waitsOn(w1, 1);
      process.kill(pid, 'SIGCONT');
      await back;
      await second;
    } finally {
      process.kill(pid, 'SIGCONT');
    }
    await one.query('COMMIT');
    for (const server of [w1, w2]) assert.deepEqual(await rowsOf(server, 7, 8), [1, 2]);
    for (const client of [one, two]) await client.end();
  });
});

describe('a circle that is ended', () => {
  test('of a lock that the follower has and the lead has not', HANGS, async () => {
    const client = await proxy.connect();
    const [onLead, onFollower] = [await direct(w1), await direct(w2)];
    await client.query('BEGIN');
    await client.query('UPDATE kept SET n = 1 WHERE id = 5');
    await onFollower.query('BEGIN; SELECT FROM kept WHERE id = 6 FOR UPDATE');
    // One program: it has a row of the follower, and waits on the lead for what the transaction has there.
    const freed = onLead.query('SELECT FROM kept WHERE id = 5 FOR UPDATE').then(() => onFollower.query('ROLLBACK'));
    await waitsOn(w1, 1);
    await client.query('UPDATE kept SET n = 1 WHERE id = 6');
    const error = await refusal(client.query('COMMIT'));
    assert.equal(error.code, '40001', error.message);
    assert.match(error.message, /waited for a lock that the lead did not have/);
    assert.match(error.detail ?? '', new RegExp(`follower 127.0.0.1:${w2.port}`));
    await freed;
    for (const server of [w1, w2]) assert.deepEqual(await rowsOf(server, 5, 6), [0, 0]);
    await client.query('UPDATE kept SET n = 1 WHERE id = 6');
    for (const one of [client, onLead, onFollower]) await one.end();
  });

  test('of two who find at COMMIT that they have taken the same', HANGS, async () => {
    const clients = [await proxy.connect(), await proxy.connect()];
    for (let round = 0; round < 5; round++) {
      for (const client of clients) await client.query('BEGIN');
      for (const [index, client] of clients.entries())
        await client.query(`INSERT INTO seat VALUES (${round}, ${2 * round + index})`);
      const ends = await Promise.all(
        clients.map((client) =>
          client.query('COMMIT').then(
            () => 'committed',
            (error: pg.DatabaseError) => error.code ?? error.message,
          ),
        ),
      );
      const refused = ends.filter((end) => end !== 'committed');
      assert.ok(refused.length > 0, 'a seat is nobody else’s');
      for (const end of refused) assert.ok(['23505', '40P01', '40001'].includes(end), end);
      for (const server of [w1, w2]) {
        const rows = await sql(server, `SELECT FROM seat WHERE number = ${round}`);
        assert.equal(rows.length, clients.length - refused.length);
      }
    }
    for (const client of clients) await client.end();
  });
});
