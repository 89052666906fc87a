/** Commits in two phases on servers that have no room for them, or keep the lead waiting. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { sql } from '../support/cluster.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { assertWritersEqual, refusal, startScene, until, value } from './scene.ts';

const ROOM = 3;
const scene = await startScene(
  {
    recoveryIntervalMs: 100,
    recoveryGraceMs: 300,
    commitTimeoutMs: 1000,
    followerLockTimeoutMs: 2000,
    followerTimeoutMs: 4000,
  },
  { reader: false, overrides: { w2: { settings: { max_prepared_transactions: String(ROOM) } } } },
);
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;

before(async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE kept (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)');
});

describe('a follower with as many prepared transactions as it takes', () => {
  const foreign = Array.from({ length: ROOM }, (_, index) => `somebody else's ${index}`);
  const quoted = foreign.map((gid) => `'${gid.replaceAll("'", "''")}'`);
  before(async () => {
    for (const [index, gid] of quoted.entries())
      await sql(w2, `BEGIN; CREATE TABLE foreign_${index} (); PREPARE TRANSACTION ${gid}`);
  });
  after(async () => {
    for (const gid of quoted) await sql(w2, `ROLLBACK PREPARED ${gid}`);
  });

  test('refuses a commit, which is nowhere then, and says what helps', async () => {
    const client = await proxy.connect();
    const error = await refusal(client.query('INSERT INTO kept VALUES (1)'));
    assert.equal(error.code, '53200', error.message);
    assert.match(error.message, /maximum number of prepared transactions/);
    assert.match(error.hint ?? '', new RegExp(`max_prepared_transactions of follower 127.0.0.1:${w2.port}`));
    for (const server of [w1, w2]) assert.deepEqual(await sql(server, 'SELECT FROM kept'), []);
  });

  test('refuses the COMMIT of a block, and leaves the session as it was', async () => {
    const client = await proxy.connect();
    await client.query('BEGIN; INSERT INTO kept VALUES (1)');
    assert.equal((await refusal(client.query('COMMIT'))).code, '53200');
    assert.equal(await value(client, 'SELECT count(*)::int FROM kept'), 0);
  });

  test('keeps those that are not ours, and takes commits again when there is room', async () => {
    const gids = (await sql(w2, 'SELECT gid FROM pg_prepared_xacts ORDER BY gid')).map((row) => row['gid']);
    assert.deepEqual(gids, foreign);
    await sql(w2, `ROLLBACK PREPARED ${quoted[0]}`);
    const client = await proxy.connect();
    await client.query('INSERT INTO kept VALUES (2)');
    await assertWritersEqual(cluster);
    await sql(w2, `BEGIN; CREATE TABLE foreign_0 (); PREPARE TRANSACTION ${quoted[0]}`);
  });
});

describe('a lead that waits for a standby of its own', () => {
  async function standbys(names: string): Promise<void> {
    await sql(w1, `ALTER SYSTEM SET synchronous_standby_names = '${names}'`);
    await sql(w1, 'SELECT pg_reload_conf()');
    await until('the lead knows of it', async () => {
      const [row] = await sql(w1, 'SHOW synchronous_standby_names');
      return row?.['synchronous_standby_names'] === names;
    });
  }
  after(() => standbys(''));

  test('leaves a commit unknown in time, and recovery ends it when the standby is there', async () => {
    const client = await proxy.connect();
    await standbys('nobody');
    const error = await refusal(client.query('INSERT INTO kept VALUES (3)'));
    assert.equal(error.code, '08007', error.message);
    const [, ask] = /Ask for it by (SELECT pprox\.outcome\('pprox_[^']+'\))\.$/.exec(error.hint ?? '') ?? [];
    assert.ok(ask !== undefined, error.hint);
    assert.equal(await value(client, ask), 'unknown');
    await standbys('');
    await until('nothing is prepared any more', async () => {
      const rows = await sql(w2, `SELECT FROM pg_prepared_xacts`);
      return rows.length === 0;
    });
    assert.equal((await sql(w2, 'SELECT FROM kept WHERE id = 3')).length, 1);
    assert.equal(await value(client, ask), 'committed');
    await assertWritersEqual(cluster);
    await client.query('INSERT INTO kept VALUES (4)');
    await assertWritersEqual(cluster);
  });

  test('leaves a commit unknown to the client of a proxy that stops meanwhile, and another proxy tells it later', async () => {
    const stopping = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      settings: { commitTimeoutMs: 3_600_000, followerTimeoutMs: 3_600_000, drainMs: 300 },
    });
    const client = await stopping.connect();
    await client.query('BEGIN; INSERT INTO kept VALUES (5)');
    await standbys('nobody');
    const told = refusal(client.query('COMMIT'));
    await until('the lead waits in its COMMIT', async () => {
      return (await sql(w1, "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'")).length > 0;
    });
    const stopped = stopping.proxy.stop();
    const error = await told;
    assert.equal(error.severity, 'FATAL');
    assert.equal(error.code, '08007', error.message);
    const [, gid] = /^The transaction is (pprox_\S+)\.$/.exec(error.detail ?? '') ?? [];
    assert.ok(gid !== undefined, error.detail);
    assert.equal(error.hint, `Ask for it by SELECT pprox.outcome('${gid}').`);
    await standbys('');
    await stopped;
    await until('it is committed everywhere', async () => {
      return (await sql(w2, 'SELECT FROM kept WHERE id = 5')).length === 1;
    });
    const other = await proxy.connect();
    assert.equal(await value(other, `SELECT pprox.outcome('${gid}')`), 'committed');
    await assertWritersEqual(cluster);
  });
});
