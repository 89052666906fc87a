/** Followers behind the lead inside a client's transaction: what the client is told when, and what is left of it. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import pg from 'pg';
import { sql } from '../support/cluster.ts';
import { cancelRequest, query } from '../support/frontend-messages.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { RawClient } from '../support/raw-client.ts';
import { assertWritersEqual, connectRaw, errorIn, refusal, startScene, until, value } from './scene.ts';

/** No wait of these tests may end by a deadline of the proxy's. */
const PATIENT = { followerLockTimeoutMs: 60_000, followerTimeoutMs: 90_000 } as const;
const scene = await startScene(PATIENT, { reader: false });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;

before(async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE kept (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)');
  await client.query('INSERT INTO kept SELECT id FROM generate_series(1, 100) id');
});

/** Shorter than a lock may be waited for: what hangs fails. */
const HANGS = { timeout: 45_000 };

/** A lock on one row of the follower alone, until `free`: whatever wants it there waits. */
async function lockOnFollower(id: number): Promise<{ free(): Promise<void> }> {
  const holder = new pg.Client({ connectionString: clusterDsn(w2) });
  await holder.connect();
  await holder.query(`BEGIN; SELECT FROM kept WHERE id = ${id} FOR UPDATE`);
  return { free: () => holder.end() };
}

function followerWaits(count = 1): Promise<void> {
  return until('a statement waits for a lock on the follower', async () => {
    const [row] = await sql(w2, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
    return row?.['n'] === count;
  });
}

async function rowOf(server: typeof w1, id: number): Promise<unknown> {
  return (await sql(server, `SELECT n FROM kept WHERE id = ${id}`))[0]?.['n'];
}

/** `promise` has not been settled although everything that it could wait for on this side has been done. */
async function assertPending(promise: Promise<unknown>): Promise<void> {
  const turns = (async () => {
    for (let turn = 0; turn < 20; turn++) await sql(w1, 'SELECT');
    return 'pending';
  })();
  assert.equal(await Promise.race([promise.then(() => 'settled'), turns]), 'pending');
}

describe('a transaction with a follower that is behind', () => {
  test('goes on at the pace of the lead, and is committed when the follower has caught up', HANGS, async () => {
    const client = await proxy.connect();
    const lock = await lockOnFollower(1);
    await client.query('BEGIN');
    assert.equal((await client.query('UPDATE kept SET n = 5 WHERE id = 1')).rowCount, 1);
    assert.equal(await value(client, 'SELECT n FROM kept WHERE id = 1'), 5);
    await client.query('UPDATE kept SET n = n + $1 WHERE id = $2', [1, 1]);
    await client.query('DELETE FROM kept WHERE id = 10');
    await followerWaits();
    const committed = client.query('COMMIT');
    await assertPending(committed);
    await lock.free();
    await committed;
    for (const server of [w1, w2]) assert.deepEqual([await rowOf(server, 1), await rowOf(server, 10)], [6, undefined]);
  });

  test('waits for it when it is sixteen statements behind', HANGS, async () => {
    const client = await proxy.connect();
    const lock = await lockOnFollower(2);
    await client.query('BEGIN');
    for (let n = 1; n <= 16; n++) await client.query(`UPDATE kept SET n = ${n} WHERE id = 2`);
    const next = client.query('UPDATE kept SET n = 17 WHERE id = 2');
    await assertPending(next);
    await lock.free();
    await next;
    await client.query('COMMIT');
    assert.equal(await rowOf(w2, 2), 17);
  });

  test('is rolled back while it waits there', HANGS, async () => {
    const client = await proxy.connect();
    const lock = await lockOnFollower(3);
    await client.query('BEGIN');
    await client.query('UPDATE kept SET n = 1 WHERE id = 3');
    await client.query('UPDATE kept SET n = 2 WHERE id = 4');
    await followerWaits();
    await client.query('ROLLBACK');
    await followerWaits(0);
    await client.query('UPDATE kept SET n = 3 WHERE id = 4');
    await lock.free();
    for (const server of [w1, w2]) assert.deepEqual([await rowOf(server, 3), await rowOf(server, 4)], [0, 3]);
  });

  test('waits for it in front of a SAVEPOINT, which is not to undo what is older', HANGS, async () => {
    const client = await proxy.connect();
    const lock = await lockOnFollower(11);
    await client.query('BEGIN');
    await client.query('UPDATE kept SET n = 1 WHERE id = 11');
    await client.query('UPDATE kept SET n = 1 WHERE id = 12');
    const marked = client.query('SAVEPOINT one');
    await followerWaits();
    await assertPending(marked);
    await lock.free();
    await marked;
    await client.query('ROLLBACK TO one; COMMIT');
    for (const server of [w1, w2]) assert.deepEqual([await rowOf(server, 11), await rowOf(server, 12)], [1, 1]);
  });

  test('goes back to a savepoint while it waits there, and loses nothing from before', HANGS, async () => {
    const client = await proxy.connect();
    const lock = await lockOnFollower(5);
    await client.query('BEGIN');
    await client.query('UPDATE kept SET n = 1 WHERE id = 6');
    await client.query('SAVEPOINT one');
    await client.query('UPDATE kept SET n = 2 WHERE id = 5');
    await client.query('UPDATE kept SET n = 2 WHERE id = 6');
    await followerWaits();
    await client.query('ROLLBACK TO one');
    await client.query('UPDATE kept SET n = 3 WHERE id = 7');
    await client.query('COMMIT');
    await lock.free();
    for (const server of [w1, w2]) {
      assert.deepEqual([await rowOf(server, 5), await rowOf(server, 6), await rowOf(server, 7)], [0, 1, 3]);
    }
  });

  test('is rolled back on the follower too when its client goes', HANGS, async () => {
    const client = await proxy.connect();
    const lock = await lockOnFollower(8);
    await client.query('BEGIN');
    await client.query('UPDATE kept SET n = 1 WHERE id = 8');
    await followerWaits();
    await client.end();
    await followerWaits(0);
    await lock.free();
    for (const server of [w1, w2]) assert.equal(await rowOf(server, 8), 0);
  });

  test('can be cancelled when its COMMIT waits', HANGS, async () => {
    const client = await connectRaw(scene);
    const other = await proxy.connect();
    const lock = await lockOnFollower(9);
    client.send(query('BEGIN; UPDATE kept SET n = 1 WHERE id = 9'));
    await client.waitReady(2);
    await followerWaits();
    const from = client.messages.length;
    client.send(query('COMMIT'));
    const key = client.messages.find((message) => message.type === 'BackendKeyData');
    assert.ok(key?.type === 'BackendKeyData');
    // One that comes before the COMMIT does is for nothing.
    await until('the COMMIT is cancelled', async () => {
      const request = await RawClient.open(proxy);
      request.send(cancelRequest(key.pid, key.secret));
      await request.waitClosed();
      return client.readies === 3;
    });
    assert.equal(errorIn(client.messages.slice(from))['C'], '57014');
    await lock.free();
    assert.equal(await value(other, 'SELECT n FROM kept WHERE id = 9'), 0);
    assert.equal(await rowOf(w2, 9), 0);
  });
});

describe('a statement that fails on the follower alone', () => {
  before(() => sql(w2, 'ALTER TABLE kept ADD CONSTRAINT small CHECK (n < 1000)'));
  after(() => sql(w2, 'ALTER TABLE kept DROP CONSTRAINT small'));

  test('is told at COMMIT at the latest, and nothing is left of its transaction', HANGS, async () => {
    const client = await proxy.connect();
    await client.query('BEGIN');
    await client.query('UPDATE kept SET n = 1 WHERE id = 20');
    await client.query('UPDATE kept SET n = 2000 WHERE id = 21');
    const error = await refusal(client.query('COMMIT'));
    assert.equal(error.code, '23514');
    assert.match(error.detail ?? '', /small/);
    for (const server of [w1, w2]) assert.deepEqual([await rowOf(server, 20), await rowOf(server, 21)], [0, 0]);
    await client.query('UPDATE kept SET n = 3 WHERE id = 20');
    assert.equal(await rowOf(w2, 20), 3);
  });

  test('is told with the next statement, and the block has failed', HANGS, async () => {
    const client = await proxy.connect();
    await client.query('BEGIN');
    await client.query('UPDATE kept SET n = 2000 WHERE id = 22');
    let told: pg.DatabaseError | undefined;
    await until('the client is told', async () => {
      told = await client.query('SELECT 1').then(
        () => undefined,
        (error: pg.DatabaseError) => error,
      );
      return told !== undefined;
    });
    assert.equal(told?.code, '23514');
    assert.equal((await refusal(client.query('SELECT 1'))).code, '25P02');
    await client.query('ROLLBACK');
    assert.equal(await value(client, 'SELECT n FROM kept WHERE id = 22'), 0);
  });

  test('is told at a SAVEPOINT, and undone with its savepoint', HANGS, async () => {
    const client = await proxy.connect();
    await client.query('BEGIN');
    await client.query('UPDATE kept SET n = 1 WHERE id = 23');
    await client.query('SAVEPOINT one');
    await client.query('UPDATE kept SET n = 2000 WHERE id = 23');
    assert.equal((await refusal(client.query('SAVEPOINT two'))).code, '23514');
    await client.query('ROLLBACK TO one');
    await client.query('UPDATE kept SET n = n + 1 WHERE id = 23');
    await client.query('COMMIT');
    for (const server of [w1, w2]) assert.equal(await rowOf(server, 23), 2);
  });

  test('does not matter where its client rolls it back', HANGS, async () => {
    const client = await proxy.connect();
    await client.query('BEGIN; UPDATE kept SET n = 2000 WHERE id = 24; ROLLBACK');
    await client.query('BEGIN; SAVEPOINT one; UPDATE kept SET n = 2000 WHERE id = 24');
    await client.query('ROLLBACK TO one; UPDATE kept SET n = 2 WHERE id = 24; COMMIT');
    assert.equal(await rowOf(w2, 24), 2);
  });
});

describe('a failed block', () => {
  test('holds no lock on any writer, as its lead holds none', HANGS, async () => {
    const [failed, other] = [await proxy.connect(), await proxy.connect()];
    await failed.query('BEGIN');
    await failed.query('UPDATE kept SET n = 1 WHERE id = 30');
    await refusal(failed.query('SELECT 1/0'));
    await other.query('UPDATE kept SET n = 2 WHERE id = 30');
    await failed.query('ROLLBACK');
    for (const server of [w1, w2]) assert.equal(await rowOf(server, 30), 2);
  });

  test('holds what is older than its innermost savepoint', HANGS, async () => {
    const [failed, other] = [await proxy.connect(), await proxy.connect()];
    await failed.query('BEGIN');
    await failed.query('UPDATE kept SET n = 1 WHERE id = 31');
    await failed.query('SAVEPOINT one');
    await failed.query('UPDATE kept SET n = 1 WHERE id = 32');
    await refusal(failed.query('SELECT 1/0'));
    await other.query('UPDATE kept SET n = 2 WHERE id = 32');
    await failed.query('ROLLBACK TO one');
    await failed.query('UPDATE kept SET n = n + 1 WHERE id = 32');
    await failed.query('COMMIT');
    for (const server of [w1, w2]) assert.deepEqual([await rowOf(server, 31), await rowOf(server, 32)], [1, 3]);
  });

  test('lets another transaction overtake what was under way on the follower', HANGS, async () => {
    const [failed, other] = [await proxy.connect(), await proxy.connect()];
    const lock = await lockOnFollower(33);
    await failed.query('BEGIN');
    await failed.query('UPDATE kept SET n = 1 WHERE id = 33');
    await followerWaits();
    await refusal(failed.query('SELECT 1/0'));
    await other.query('BEGIN');
    await other.query('UPDATE kept SET n = 2 WHERE id = 33');
    await followerWaits();
    await failed.query('ROLLBACK');
    const committed = other.query('COMMIT');
    await lock.free();
    await committed;
    for (const server of [w1, w2]) assert.equal(await rowOf(server, 33), 2);
  });
});

describe('rows of a unique column, which followers get one by one', () => {
  test('are as many as there are, alone or behind other statements', HANGS, async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE ranked (id int PRIMARY KEY, place int UNIQUE)');
    await client.query('INSERT INTO ranked SELECT id, id FROM generate_series(1, 2000) id');
    const lift = (rows: number): Promise<unknown> =>
      client.query(`UPDATE ranked SET place = place + 10000 WHERE id + 0 <= ${rows}`);
    for (const rows of [31, 32, 33, 63, 64, 65, 127, 129, 2000]) {
      await lift(rows);
      const lock = await lockOnFollower(60);
      await client.query('BEGIN');
      for (let n = 1; n <= 15; n++) await client.query(`UPDATE kept SET n = ${n} WHERE id = 60`);
      const lifted = lift(rows);
      await followerWaits();
      await lock.free();
      await lifted;
      await client.query('COMMIT');
    }
    await assertWritersEqual(cluster);
  });
});

describe('in lockstep', () => {
  test('a statement is answered when every writer has run it', HANGS, async () => {
    const lockstep = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      settings: { ...PATIENT, followerPace: 'lockstep' },
    });
    try {
      const client = await lockstep.connect();
      const lock = await lockOnFollower(40);
      await client.query('BEGIN');
      const updated = client.query('UPDATE kept SET n = 1 WHERE id = 40');
      await followerWaits();
      await assertPending(updated);
      await lock.free();
      await updated;
      await client.query('COMMIT');
      assert.equal(await rowOf(w2, 40), 1);
    } finally {
      await lockstep.stop();
    }
  });
});

describe('many clients', () => {
  test('leave the writers equal with savepoints, rollbacks and failures in contention', HANGS, async () => {
    const outcomes = { committed: 0, refused: 0 };
    const run = async (seed: number): Promise<void> => {
      const client = await proxy.connect();
      let state = seed * 7919 + 1;
      const next = (below: number): number => {
        state = (state * 48271) % 2147483647;
        return state % below;
      };
      for (let round = 0; round < 25; round++) {
        try {
          await client.query('BEGIN');
          // Rows in order, so that the lead has no deadlock.
          const rows = [...new Set([50 + next(8), 50 + next(8), 50 + next(8)])].sort((a, b) => a - b);
          for (const id of rows) {
            const kind = next(6);
            if (kind === 0) await client.query('SAVEPOINT s');
            await client.query('UPDATE kept SET n = n * 3 + $1 WHERE id = $2', [next(9), id]);
            if (kind === 0 && next(2) === 0) await client.query('ROLLBACK TO s');
            if (kind === 1) await client.query('UPDATE kept SET n = n % 1000 WHERE id = $1', [id]);
            if (kind === 2 && next(3) === 0) await client.query('SELECT 1/0');
          }
          await client.query(next(4) === 0 ? 'ROLLBACK' : 'COMMIT');
          outcomes.committed++;
        } catch (error) {
          if (!(error instanceof pg.DatabaseError)) throw error;
          assert.ok(['22012', '22003', '40P01'].includes(error.code ?? ''), `${error.code}: ${error.message}`);
          outcomes.refused++;
          await client.query('ROLLBACK');
        }
      }
    };
    await Promise.all(Array.from({ length: 12 }, (_, seed) => run(seed)));
    assert.ok(outcomes.committed > 100 && outcomes.refused > 0, JSON.stringify(outcomes));
    await assertWritersEqual(cluster);
  });
});
