/** What administrators do to the servers behind a running proxy: sessions cancelled, roles that may not log in any more, databases made anew. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, test } from 'node:test';
import pg from 'pg';
import { formatGid } from '../../src/commit/gid.ts';
import { sql, startTestCluster } from '../support/cluster.ts';
import { startNetworkRelay } from '../support/network-relay.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { until, value } from './scene.ts';

const cluster = await startTestCluster();
const { w1, w2, replica } = cluster;
const HANGS = { timeout: 60_000 };

const IDENTITY = 'pg_control_system()';

test(
  'who is kept from saying which server it is, is asked again: a reader stays the standby that it is',
  HANGS,
  async () => {
    const relay = await startNetworkRelay(replica);
    const proxy = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      reader: relay.dsn,
      settings: { drainMs: 0 },
    });
    after(() => proxy.stop());
    relay.cancel(IDENTITY);
    const client = await proxy.connect();
    await client.query('CREATE TABLE seen (id int PRIMARY KEY)');
    await until(
      'the reader has it',
      async () => (await sql(replica, `SELECT to_regclass('seen') AS t`))[0]?.['t'] !== null,
    );
    assert.equal(await value(client, 'SELECT count(*)::int FROM seen'), 0);
    assert.equal(relay.met, 'done');
    await sql(replica, 'SELECT pg_wal_replay_pause()');
    await client.query('INSERT INTO seen VALUES (1)');
    assert.equal(await value(client, 'SELECT count(*)::int FROM seen'), 1, 'a session reads its own writes');
    await sql(replica, 'SELECT pg_wal_replay_resume()');
    assert.deepEqual(
      proxy.lines.filter(({ level }) => level === 'warn' || level === 'error'),
      [],
    );
    await client.end();
  },
);

/** Whose clients log in as themselves. */
const open = (): Parameters<typeof startTestProxy>[0] => ({
  writers: cluster.writers.map(({ port }) => `postgresql://127.0.0.1:${port}`),
  settings: { drainMs: 0, recoveryIntervalMs: 50, recoveryGraceMs: 300 },
});

test('what a role has prepared that may not log in any more, another user ends', HANGS, async () => {
  for (const writer of cluster.writers)
    await sql(
      writer,
      'CREATE ROLE leaver LOGIN; CREATE TABLE left_by (id int PRIMARY KEY); GRANT ALL ON left_by TO leaver',
    );
  const [row] = await sql(
    w1,
    `SELECT (SELECT system_identifier FROM pg_control_system())::text AS system,
       (SELECT oid FROM pg_database WHERE datname = current_database())::text AS database`,
  );
  const home = { systemIdentifier: String(row?.['system']), databaseOid: String(row?.['database']) };
  const [decided, undecided] = [randomUUID(), randomUUID()];
  await sql(w1, `INSERT INTO left_by VALUES (1); INSERT INTO pprox.decision VALUES ('${decided}', true)`);
  const leaver = new pg.Client({ host: w2.host, port: w2.port, user: 'leaver', database: 'postgres' });
  await leaver.connect();
  for (const [id, number] of [
    [decided, 1],
    [undecided, 2],
  ] as const)
    await leaver.query(
      `BEGIN; INSERT INTO left_by VALUES (${number}); PREPARE TRANSACTION '${formatGid({ home, id, follower: 0 })}'`,
    );
  await leaver.end();
  for (const writer of cluster.writers) await sql(writer, 'ALTER ROLE leaver NOLOGIN');
  const proxy = await startTestProxy(open());
  after(() => proxy.stop());
  const client = await proxy.connect({ user: 'postgres' });
  await client.query('INSERT INTO left_by VALUES (3)');
  await until('nothing is prepared', async () => (await sql(w2, 'SELECT FROM pg_prepared_xacts')).length === 0);
  for (const writer of cluster.writers)
    assert.deepEqual(await sql(writer, 'SELECT id FROM left_by ORDER BY id'), [{ id: 1 }, { id: 3 }]);
  await client.end();
});

test('a database that another process makes anew under its name is another one', HANGS, async () => {
  const [here, elsewhere] = [await startTestProxy(open()), await startTestProxy(open())];
  after(async () => {
    await here.stop();
    await elsewhere.stop();
  });
  const maker = await elsewhere.connect({ user: 'postgres' });
  const make = async (initial: string): Promise<void> => {
    await maker.query('CREATE DATABASE again');
    const client = await elsewhere.connect({ user: 'postgres', database: 'again' });
    await client.query(`CREATE TABLE q (id int PRIMARY KEY, luck float8 DEFAULT ${initial})`);
    await client.end();
  };
  const insert = async (id: number): Promise<void> => {
    const client = await here.connect({ user: 'postgres', database: 'again' });
    client.on('error', () => undefined); // the database is dropped
    await client.query(`INSERT INTO q (id) VALUES (${id})`);
  };
  await make('0');
  await insert(1);
  await insert(2);
  await maker.query('DROP DATABASE again WITH (FORCE)');
  await make('random()');
  await insert(3);
  await insert(4);
  const rows = 'SELECT id, luck FROM q ORDER BY id';
  const [one, other] = await Promise.all(cluster.writers.map((writer) => sql(writer, rows, 'again')));
  assert.equal(one?.length, 2);
  assert.deepEqual(other, one);
  await maker.end();
});
