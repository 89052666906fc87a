/**
 * Circles of waits that go over several writers. On followers, a trigger that the lead does not have locks what no transaction
 * has locked on the lead: so each of two can have there what the other wants.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import type pg from 'pg';
import { ANNOUNCED } from '../../src/deadlock/announcement.ts';
import type { Server } from '../../src/embedded/server.ts';
import { sql } from '../support/cluster.ts';
import { clusterDsn, startTestProxy, type TestProxy } from '../support/proxy.ts';
import { assertWritersEqual, refusal, startScene, until } from './scene.ts';

/** No wait of these tests may end by another deadline. */
const SETTINGS = { deadlockTimeoutMs: 100, followerLockTimeoutMs: 600_000, followerTimeoutMs: 900_000 } as const;
const { cluster, proxy } = await startScene(SETTINGS, { reader: false, writers: 3 });
const [w1, w2, w3] = cluster.writers;
if (w1 === undefined || w2 === undefined || w3 === undefined) throw new Error('three writers');
const other = await startTestProxy({ writers: cluster.writers.map(clusterDsn), settings: SETTINGS });
after(() => other.stop());

const HANGS = { timeout: 45_000 };

before(async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE kept (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)');
  await client.query('INSERT INTO kept SELECT id FROM generate_series(1, 20) id');
  await client.query('CREATE TABLE gate (id int PRIMARY KEY, row int)');
  await client.query('INSERT INTO gate VALUES (2), (3)');
  await client.end();
  // UPDATE gate SET row = n WHERE id = 2 has row n of `kept` on the second writer, WHERE id = 3 on the third.
  for (const [server, id] of [
    [w2, 2],
    [w3, 3],
  ] as const) {
    await sql(
      server,
      `CREATE FUNCTION lock_row() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN PERFORM FROM kept WHERE id = NEW.row FOR UPDATE; RETURN NULL; END';
       CREATE TRIGGER lock_row AFTER UPDATE ON gate FOR EACH ROW WHEN (NEW.id = ${id}) EXECUTE FUNCTION lock_row()`,
    );
  }
});

afterEach(async () => {
  await assertWritersEqual(cluster);
  for (const { lines } of [proxy, other])
    assert.deepEqual(
      lines.filter(({ level }) => level === 'error'),
      [],
    );
});

async function waitsOn(server: Server, count: number): Promise<void> {
  await until(`${count} wait on ${server.name}`, async () => {
    const [row] = await sql(server, 'SELECT count(DISTINCT pid)::int AS n FROM pg_locks WHERE NOT granted');
    return row?.['n'] === count;
  });
}

/** A setting waits for the followers, as a change of rows does not. */
async function followersDone(client: pg.Client): Promise<void> {
  await client.query("SET LOCAL application_name = 'in step'");
}

/** How `work` ended, for comparing who had to give way. */
function ending(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'done',
    (error: pg.DatabaseError) => error.code ?? error.message,
  );
}

async function two(places: readonly [TestProxy, TestProxy]): Promise<readonly [pg.Client, pg.Client]> {
  const clients = [await places[0].connect(), await places[1].connect()] as const;
  for (const client of clients) await client.query('BEGIN');
  return clients;
}

for (const [where, places] of [
  ['one process', [proxy, proxy]],
  ['two processes', [proxy, other]],
  ['two processes, the other way round', [other, proxy]],
] as const) {
  describe(`through ${where}`, () => {
    test('over the lead and a follower: who waits on the lead is told, the other goes on', HANGS, async () => {
      const [one, other] = await two(places);
      await one.query('UPDATE gate SET row = 2 WHERE id = 2');
      await followersDone(one);
      await other.query('UPDATE kept SET n = n + 1 WHERE id = 3');
      await other.query('UPDATE kept SET n = n + 1 WHERE id = 2');
      await waitsOn(w2, 1);
      const error = await refusal(one.query('UPDATE kept SET n = 100 WHERE id = 3'));
      assert.equal(error.code, '40P01', error.message);
      assert.match(error.message, /^deadlock detected: transactions wait for each other on different writers$/);
      const lines = (error.detail ?? '').split('\n').sort();
      assert.equal(lines.length, 2, error.detail);
      assert.match(
        lines[0] ?? '',
        new RegExp(`^follower 127.0.0.1:${w2.port}: process \\d+ waits for process \\d+\\.$`),
      );
      assert.match(lines[1] ?? '', new RegExp(`^lead 127.0.0.1:${w1.port}: process \\d+ waits for process \\d+\\.$`));
      assert.equal(error.hint, 'The transaction may be tried again.');
      // As after any error: the block has failed, its locks are gone, the session is usable.
      assert.equal((await refusal(one.query('SELECT 1'))).code, '25P02');
      await other.query('COMMIT');
      await one.query('ROLLBACK');
      await one.query('UPDATE kept SET n = n + 1 WHERE id = 3');
      await one.end();
      await other.end();
    });

    test('over two followers: one is rolled back everywhere, the other goes on', HANGS, async () => {
      const [one, other] = await two(places);
      await one.query('UPDATE gate SET row = 5 WHERE id = 2');
      await other.query('UPDATE gate SET row = 6 WHERE id = 3');
      for (const client of [one, other]) await followersDone(client);
      const first = one.query('UPDATE kept SET n = n + 1 WHERE id = 6');
      const second = other.query('UPDATE kept SET n = n + 1 WHERE id = 5');
      const ends = await Promise.all([
        ending(first.then(() => one.query('COMMIT'))),
        ending(second.then(() => other.query('COMMIT'))),
      ]);
      assert.deepEqual([...ends].sort(), ['40P01', 'done']);
      for (const client of [one, other]) await client.query('ROLLBACK');
      for (const client of [one, other]) await client.end();
    });
  });
}

test('a client that is slow to hear of it keeps nobody waiting on the followers', HANGS, async () => {
  const [one, other] = await two([proxy, proxy]);
  await one.query('UPDATE gate SET row = 8 WHERE id = 2');
  await other.query('UPDATE gate SET row = 9 WHERE id = 3');
  for (const client of [one, other]) await followersDone(client);
  await one.query('UPDATE kept SET n = n + 1 WHERE id = 9');
  await other.query('UPDATE kept SET n = n + 1 WHERE id = 8');
  // Both have their answers. One of them has been called off behind its back; neither says anything more.
  for (const server of [w2, w3]) await waitsOn(server, 0);
  const ends = [await ending(one.query('SELECT 1')), await ending(other.query('SELECT 1'))];
  assert.deepEqual(ends.toSorted(), ['40P01', 'done']);
  for (const client of [one, other]) await client.query('ROLLBACK');
  for (const client of [one, other]) await client.end();
});

test('a bound statement is told in the same words', HANGS, async () => {
  const [one, other] = await two([proxy, proxy]);
  await one.query('UPDATE gate SET row = 2 WHERE id = 2');
  await followersDone(one);
  await other.query('UPDATE kept SET n = n + 1 WHERE id = 3');
  await other.query('UPDATE kept SET n = n + 1 WHERE id = 2');
  await waitsOn(w2, 1);
  const error = await refusal(one.query('UPDATE kept SET n = $1 WHERE id = $2', [7, 3]));
  assert.equal(error.code, '40P01', error.message);
  await one.query('ROLLBACK');
  await other.query('ROLLBACK');
  for (const client of [one, other]) await client.end();
});

test('a victim takes part in the next transaction, and a cancel of its client is called one', HANGS, async () => {
  const client = await proxy.connect();
  const [victim, other] = await two([proxy, proxy]);
  await victim.query('UPDATE gate SET row = 2 WHERE id = 2');
  await followersDone(victim);
  await other.query('UPDATE kept SET n = n + 1 WHERE id = 3');
  await other.query('UPDATE kept SET n = n + 1 WHERE id = 2');
  await waitsOn(w2, 1);
  assert.equal((await refusal(victim.query('UPDATE kept SET n = 100 WHERE id = 3'))).code, '40P01');
  await victim.query('ROLLBACK');
  await other.query('ROLLBACK');
  const sleeping = refusal(victim.query('SELECT pg_sleep(60)'));
  const running = `query LIKE 'SELECT pg_sleep%' AND state = 'active'`;
  await until('it sleeps', async () => (await sql(w1, `SELECT FROM pg_stat_activity WHERE ${running}`)).length === 1);
  await sql(w1, `SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE ${running}`);
  assert.equal((await sleeping).code, '57014');
  for (const one of [client, victim, other]) await one.end();
});

test(
  'waits that are no circle are left alone, however long they are, and nothing is left when they are over',
  HANGS,
  async () => {
    const [one, other] = await two([proxy, proxy]);
    await one.query('UPDATE kept SET n = n + 1 WHERE id = 11');
    await one.query('UPDATE gate SET row = 12 WHERE id = 2');
    await followersDone(one);
    await other.query('UPDATE kept SET n = n + 1 WHERE id = 12'); // waits on w2
    const waiting = other.query('UPDATE kept SET n = n + 1 WHERE id = 11'); // and on the lead, for the same
    await until('they are looked at', async () => (await sql(w1, ANNOUNCED)).length > 0);
    for (let look = 0; look < 20; look++) await sql(w1, 'SELECT pg_sleep(0.05)');
    await one.query('COMMIT');
    await waiting;
    await other.query('COMMIT');
    await until('nothing is announced', async () => (await sql(w1, ANNOUNCED)).length === 0);
    const eyes = `SELECT FROM pg_stat_activity WHERE application_name = 'pprox: deadlocks'`;
    for (const server of cluster.writers)
      await until('nobody looks', async () => (await sql(server, eyes)).length === 0);
    for (const client of [one, other]) await client.end();
  },
);
