/** Servers that restart under their clients, in every way that PostgreSQL has, and followers that stall what the lead has locked. */
import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import type pg from 'pg';
import type { Server } from '../../src/embedded/server.ts';
import { freeze, sql, thaw } from '../support/cluster.ts';
import { assertWritersEqual, refusal, startScene, until, value } from './scene.ts';

const { cluster, proxy } = await startScene({
  connectTimeoutMs: 1000,
  healthIntervalMs: 100,
  followerLockTimeoutMs: 200,
  followerTimeoutMs: 1000,
  commitTimeoutMs: 1000,
  recoveryIntervalMs: 100,
});
const { w1, w2, replica } = cluster;
const servers = { lead: w1, follower: w2, reader: replica };
const HANGS = { timeout: 60_000 };
const setup = await proxy.connect();
await setup.query('CREATE TABLE kept (id int PRIMARY KEY, n int NOT NULL DEFAULT 0); INSERT INTO kept VALUES (0)');

let id = 0;

/** Whatever a test has left. */
afterEach(async () => {
  for (const server of Object.values(servers)) {
    thaw(server);
    if (server.pid === undefined) await server.start();
  }
  await until('writes go on, and leave nothing', async () => {
    const client = await proxy.connect().catch(() => undefined);
    await client?.query("SET lock_timeout = '5s'").catch(() => undefined);
    const done = await client?.query('UPDATE kept SET n = n + 1 WHERE id = 0').then(
      () => true,
      () => false,
    );
    await client?.end();
    const open = 'SELECT FROM pg_stat_activity WHERE backend_xid IS NOT NULL';
    const left = await Promise.all(
      [w1, w2].flatMap((server) => [sql(server, open), sql(server, 'SELECT FROM pg_prepared_xacts')]),
    );
    return done === true && left.flat().length === 0;
  });
  await assertWritersEqual(cluster);
});

const restarts = {
  fast: (server: Server) => server.stop('fast'),
  immediate: (server: Server) => server.stop('immediate'),
  'after a crash': async (server: Server) => {
    server.kill('SIGKILL');
    await until('it has ended', () => server.pid === undefined);
  },
};

for (const [how, stop] of Object.entries(restarts)) {
  describe(`a restart, ${how},`, () => {
    for (const [role, server] of Object.entries(servers)) {
      test(`of the ${role}: what was under way is rolled back and told, what comes next is served`, HANGS, async () => {
        const [idle, busy] = [await proxy.connect(), await proxy.connect()];
        await idle.query('SELECT 1');
        const inserted = ++id;
        await busy.query(role === 'reader' ? 'BEGIN READ ONLY' : 'BEGIN');
        await busy.query(role === 'reader' ? 'SELECT 1' : `INSERT INTO kept VALUES (${inserted})`);
        await stop(server);
        await server.start();
        const error = await refusal(
          busy
            .query(role === 'reader' ? 'SELECT 2' : `UPDATE kept SET n = 1 WHERE id = ${inserted}`)
            .then(() => busy.query('COMMIT')),
        );
        assert.match(error.code ?? '', /^(08006|57P0[12])$/, error.message);
        assert.match(`${error.message} ${error.detail}`, new RegExp(`127\\.0\\.0\\.1:${server.port}`));
        assert.equal((await busy.query('ROLLBACK')).command, 'ROLLBACK');
        for (const client of [idle, busy]) {
          // Connections that were idle in the pool are found to be gone, and a server may be known for what it said as it started.
          await until('it writes', () =>
            client.query(`INSERT INTO kept VALUES (${++id})`).then(
              () => true,
              () => false,
            ),
          );
          assert.equal(await value(client, `SELECT count(*)::int FROM kept WHERE id IN (${id}, ${inserted})`), 1);
        }
        for (const writer of [w1, w2])
          assert.deepEqual(await sql(writer, `SELECT FROM kept WHERE id = ${inserted}`), []);
      });
    }
  });
}

describe('a follower that stalls', () => {
  const UPDATE = 'UPDATE kept SET n = n + 1 WHERE id = 0';
  const stalls: readonly (readonly [string, readonly string[], string])[] = [
    ['in a statement', [], UPDATE],
    ['in a statement that runs on every writer before it is answered', ['BEGIN', UPDATE], 'CREATE TABLE made ()'],
    ['in COMMIT', ['BEGIN', UPDATE], 'COMMIT'],
    ['in ROLLBACK', ['BEGIN', UPDATE], 'ROLLBACK'],
  ];
  for (const [when, before, last] of stalls) {
    test(`${when} does not hold the lead’s row beyond the deadline`, HANGS, async () => {
      const client = await proxy.connect();
      for (const text of before) await client.query(text);
      freeze(w2);
      const answered = client.query(last).then(
        () => 'done',
        (error: pg.DatabaseError) => error.code,
      );
      assert.equal(await answered, last === 'ROLLBACK' ? 'done' : '08006');
      // As soon as the client has its answer: nobody but it could hold the row.
      await sql(w1, `BEGIN; SET LOCAL lock_timeout = '5s'; ${UPDATE}; ROLLBACK`);
    });
  }

  test('behind the back of a client that says nothing more does not hold the lead’s row either', HANGS, async () => {
    const client = await proxy.connect();
    await client.query('BEGIN');
    await client.query(UPDATE);
    freeze(w2);
    await client.query('UPDATE kept SET n = n + 1 WHERE id = 0');
    await sql(w1, `BEGIN; SET LOCAL lock_timeout = '20s'; ${UPDATE}; ROLLBACK`);
    assert.equal((await refusal(client.query('COMMIT'))).code, '08006');
  });
});

test(
  'a follower that waits for its own standby is given up in time, and the transaction is nowhere',
  HANGS,
  async () => {
    const standbys = (names: string): Promise<unknown> =>
      sql(w2, `ALTER SYSTEM SET synchronous_standby_names = '${names}'`).then(() => sql(w2, 'SELECT pg_reload_conf()'));
    const client = await proxy.connect();
    await standbys('nobody');
    await until('it waits for it', async () => {
      const [row] = await sql(w2, 'SHOW synchronous_standby_names');
      return row?.['synchronous_standby_names'] === 'nobody';
    });
    const inserted = ++id;
    const error = await refusal(client.query(`INSERT INTO kept VALUES (${inserted})`));
    assert.equal(error.code, '08006', error.message);
    assert.match(`${error.message} ${error.detail}`, new RegExp(`follower 127\\.0\\.0\\.1:${w2.port}`));
    await sql(w1, `BEGIN; SET LOCAL lock_timeout = '5s'; INSERT INTO kept VALUES (${inserted}); ROLLBACK`);
    await standbys('');
    await until('nothing is prepared', async () => (await sql(w2, 'SELECT FROM pg_prepared_xacts')).length === 0);
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, `SELECT FROM kept WHERE id = ${inserted}`), []);
  },
);
