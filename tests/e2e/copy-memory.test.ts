/** What a COPY in flight costs in memory, while a writer takes nothing of it: a bound, however much the client has to send. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { freeze, sql, startTestCluster, thaw } from '../support/cluster.ts';
import { copyData, copyDone } from '../support/frontend-messages.ts';
import { startMeasuredProxy } from '../support/measured-proxy.ts';
import { ByteClient } from './byte-client.ts';
import { assertWritersEqual, until } from './scene.ts';

const cluster = await startTestCluster({ reader: false });
const { w1, w2 } = cluster;
const proxy = await startMeasuredProxy(cluster, { PPROX_FOLLOWER_TIMEOUT: '120s' });

const MEBIBYTE = 1024 * 1024;
const ROWS = 2_000_000;
const ROWS_A_WRITE = 10_000;
const words = 'x'.repeat(90);
/** 10,000 rows of about 100 bytes. */
const rows = Array.from({ length: ROWS_A_WRITE }, (_, id) => `${id}\t${words}\n`);
/** As drivers do that send a message for each row. */
const block = Buffer.concat(rows.map((row) => copyData(row)));
/** Buffers of two servers' sockets and of the client's, with room for what the connections themselves hold. */
const BOUND_BYTES = 4 * MEBIBYTE;

test('a COPY of 200 MB holds no more than a few buffers while a follower takes nothing', async (context) => {
  for (const writer of [w1, w2]) await sql(writer, 'CREATE TABLE load (id int, words text)');
  const client = await ByteClient.start(proxy);
  // Once around first: pools and caches fill, and stay.
  client.query('COPY load FROM STDIN');
  await until('it is asked for data', () => client.counts['G'] === 1);
  client.socket.write(Buffer.concat([block, copyDone()]));
  await client.ready(2);
  client.query('TRUNCATE load');
  await client.ready(3);
  const before = await proxy.measure();

  client.query('COPY load FROM STDIN');
  await until('it is asked for data', () => client.counts['G'] === 2);
  let sent = 0;
  const feed = (async () => {
    for (; sent < ROWS; sent += ROWS_A_WRITE) {
      if (!client.socket.write(block)) await once(client.socket, 'drain');
    }
    client.socket.write(copyDone());
  })();
  await until('it flows', () => sent > ROWS / 20);
  freeze(w2);
  let last = -1;
  let same = 0;
  await until('the client is braked', () => {
    same = sent === last ? same + 1 : 0;
    last = sent;
    return same >= 15;
  });
  const during = await proxy.measure();
  thaw(w2);
  await feed;
  await client.ready(4);
  const after = await proxy.measure();

  assert.ok(last < ROWS / 2, `${last} of ${ROWS} rows had left the client`);
  const held = during.heapBytes - before.heapBytes;
  const resident = during.residentBytes - before.residentBytes;
  context.diagnostic(`${held} bytes of heap and buffers are held, the process has grown by ${resident}`);
  assert.ok(held < BOUND_BYTES, `${held} bytes are held for it`);
  const left = after.heapBytes - before.heapBytes;
  assert.ok(left < MEBIBYTE, `${left} bytes are left of it`);
  assert.equal(client.counts['E'], undefined);
  for (const writer of [w1, w2]) {
    const [found] = await sql(writer, 'SELECT count(*)::int AS n, sum(length(words))::int AS length FROM load');
    assert.deepEqual(found, { n: ROWS, length: ROWS * words.length });
  }
  client.query('DROP TABLE load');
  await client.ready(5);
  await assertWritersEqual(cluster);
  client.socket.destroy();
});
