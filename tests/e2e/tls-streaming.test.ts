/** Data larger than the proxy should hold, between it and servers that are reached over TLS: the slowest end brakes there too. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Server } from '../../src/embedded/server.ts';
import { Authority } from '../support/certificates.ts';
import { freeze, sql, startTestCluster, thaw } from '../support/cluster.ts';
import { copyData, copyDone } from '../support/frontend-messages.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { enableTls } from '../support/tls-server.ts';
import { ByteClient, growthDuring } from './byte-client.ts';
import { assertWritersEqual, until } from './scene.ts';

const MEBIBYTE = 1024 * 1024;
/** What may be on its way at once, and what the collector has not come to yet: far below what passes. */
const BOUND_BYTES = 160 * MEBIBYTE;
const RESULT_MEBIBYTES = 300;

const cluster = await startTestCluster({ reader: false });
const { w1, w2 } = cluster;
const authority = await Authority.create('pprox test authority');
for (const writer of cluster.writers) await enableTls(writer, await authority.issue('CN=localhost'), authority.pem);
const proxy = await startTestProxy({
  writers: cluster.writers.map((writer) => `${clusterDsn(writer)}?sslmode=require`),
  settings: { followerTimeoutMs: 120_000, drainMs: 500 },
});

async function waits(server: Server, event: string): Promise<void> {
  await until(`${server.name} waits: ${event}`, async () => {
    const rows = await sql(
      server,
      `SELECT FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE ssl AND wait_event = '${event}'`,
    );
    return rows.length > 0;
  });
}

test('a large result waits for a client that is slow, and arrives whole', async () => {
  const client = await ByteClient.start(proxy);
  const growth = await growthDuring(async () => {
    client.query(`SELECT repeat(chr(32 + n % 90), 10240) FROM generate_series(0, ${RESULT_MEBIBYTES * 102} - 1) n`);
    await until('it has begun', () => client.valueBytes > 0);
    client.socket.pause();
    await waits(w1, 'ClientWrite');
    const stood = client.valueBytes;
    assert.ok(stood < (RESULT_MEBIBYTES * MEBIBYTE) / 2, `${stood} bytes had come`);
    client.socket.resume();
    await client.ready(2);
  });
  assert.equal(client.counts['D'], RESULT_MEBIBYTES * 102);
  assert.equal(client.valueBytes, RESULT_MEBIBYTES * 102 * 10240);
  assert.ok(growth < BOUND_BYTES, `grew by ${Math.round(growth / MEBIBYTE)} MiB`);
  client.socket.destroy();
});

test('a large COPY waits for a follower that is slow, and is on both writers in the end', async () => {
  const LINES = 10_000;
  const line = 'y'.repeat(10_000);
  const client = await ByteClient.start(proxy);
  client.query('CREATE TABLE load (id int PRIMARY KEY, x text)');
  await client.ready(2);
  client.query('COPY load FROM STDIN');
  await until('it is asked for data', () => client.counts['G'] === 1);
  let sent = 0;
  const growth = await growthDuring(async () => {
    const feed = (async () => {
      for (; sent < LINES; sent++) {
        if (!client.socket.write(copyData(`${sent}\t${line}\n`))) await once(client.socket, 'drain');
        else if (sent % 16 === 0) await turn();
      }
      client.socket.write(copyDone());
    })();
    await until('it flows', () => sent > 200);
    freeze(w2);
    let [last, same] = [-1, 0];
    await until('the client is braked', () => {
      same = sent === last ? same + 1 : 0;
      last = sent;
      return same >= 15;
    });
    assert.ok(sent < LINES / 2, `${sent} of ${LINES} lines were taken`);
    thaw(w2);
    await feed;
    await client.ready(3);
  });
  assert.equal(client.counts['E'], undefined);
  assert.ok(growth < BOUND_BYTES, `grew by ${Math.round(growth / MEBIBYTE)} MiB`);
  const [found] = await sql(w2, 'SELECT count(*)::int AS n, sum(length(x))::int AS length FROM load');
  assert.deepEqual(found, { n: LINES, length: LINES * 10_000 });
  await assertWritersEqual(cluster);
  client.socket.destroy();
});
