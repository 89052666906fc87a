/** A writer's address leads to a server that is not the one which was written to: nothing is written there. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { parseLsn } from '../../src/cluster/lsn.ts';
import { sql, startTestCluster } from '../support/cluster.ts';
import { startNetworkRelay } from '../support/network-relay.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { assertWritersEqual, refusal, until, value } from './scene.ts';

const cluster = await startTestCluster();
const { w1, w2, replica } = cluster;
const relay = await startNetworkRelay(w1);
const proxy = await startTestProxy({
  writers: [relay.dsn, clusterDsn(w2)],
  settings: { healthIntervalMs: 50, commitTimeoutMs: 500 },
});
after(() => proxy.stop());

before(async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE kept (id int PRIMARY KEY)');
  await client.query('INSERT INTO kept VALUES (1)');
  await client.end();
});

/** With its owner: as root, servers run as somebody else. */
function copyDirectory(from: string, to: string): void {
  assert.equal(spawnSync('cp', ['-a', from, to]).status, 0);
}

/** Once more where the connection of the moment before is what was lost. */
async function refusalOf(
  text: string,
): Promise<{ message: string; detail?: string | undefined; hint?: string | undefined }> {
  let error: Awaited<ReturnType<typeof refusal>> | undefined;
  await until('the server is refused', async () => {
    error = await refusal(proxy.connect().then((client) => client.query(text)));
    return error.code === '08004';
  });
  assert.ok(error !== undefined);
  return error;
}

test('a lead that has failed over to its standby is refused, and is welcome when it is itself again', async () => {
  await until('the standby is up to date', async () => (await sql(replica, 'SELECT FROM kept')).length === 1);
  await sql(replica, 'SELECT pg_promote()');
  await until(
    'it is promoted',
    async () => (await sql(replica, 'SELECT pg_is_in_recovery() AS r'))[0]?.['r'] === false,
  );
  relay.leadTo(replica);
  const error = await refusalOf('INSERT INTO kept VALUES (2)');
  assert.match(error.message, new RegExp(`^lead 127.0.0.1:${relay.port} has failed over$`));
  assert.equal(error.detail, 'It is on timeline 2, and was on 1: what was written last may be missing there.');
  assert.equal(error.hint, 'Compare the writers, then restart the proxy.');
  for (const server of [w1, w2, replica]) assert.equal((await sql(server, 'SELECT FROM kept')).length, 1);
  relay.leadTo(w1);
  await until('the lead is back', async () => {
    try {
      const client = await proxy.connect();
      await client.query('INSERT INTO kept VALUES (3)');
      return true;
    } catch {
      return false;
    }
  });
  await assertWritersEqual(cluster);
});

test('a follower that was restored from an older copy is refused', async () => {
  const older = `${w2.dataDirectory}-older`;
  await w2.stop('fast');
  copyDirectory(w2.dataDirectory, older);
  await w2.start();
  await until('the follower is back', async () => {
    try {
      await (await proxy.connect()).query('INSERT INTO kept SELECT id FROM generate_series(100, 2000) id');
      return true;
    } catch {
      return false;
    }
  });
  const flushed = (): bigint => proxy.proxy.cluster.followers[0]?.identity?.flushed ?? 0n;
  const [end] = await sql(w2, 'SELECT pg_current_wal_flush_lsn()::text AS lsn');
  await until('the proxy has looked', () => flushed() >= parseLsn(String(end?.['lsn'])));
  await w2.stop('fast');
  await rm(w2.dataDirectory, { recursive: true });
  copyDirectory(older, w2.dataDirectory);
  await w2.start();
  const error = await refusalOf('INSERT INTO kept VALUES (4)');
  assert.match(error.message, new RegExp(`^follower 127.0.0.1:${w2.port} was restored to an older state$`));
  assert.match(
    error.detail ?? '',
    /^Its log ends at [0-9A-F]+\/[0-9A-F]+, and had been flushed up to [0-9A-F]+\/[0-9A-F]+\.$/,
  );
  const client = await proxy.connect();
  assert.equal(await value(client, 'SELECT count(*)::int FROM kept WHERE id = 4'), 0, 'reads go on');
  for (const server of [w1, w2]) assert.equal((await sql(server, 'SELECT FROM kept WHERE id = 4')).length, 0);
});
