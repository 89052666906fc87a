/** A writer that accepts connections and says nothing: what waits for it, and what does not. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { after, test } from 'node:test';
import type pg from 'pg';
import { startTestCluster, sql } from '../support/cluster.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { refusal, until } from './scene.ts';

const cluster = await startTestCluster({ writers: 1, reader: false });
const held = new Set<Socket>();
let door: 'closed' | 'silent' = 'closed';
const mute = createServer((socket) => {
  socket.on('error', () => undefined);
  if (door === 'closed') {
    socket.destroy();
    return;
  }
  held.add(socket);
  socket.on('close', () => held.delete(socket));
});
after(() => {
  for (const socket of held) socket.destroy();
  mute.close();
});
mute.listen(0, '127.0.0.1');
await once(mute, 'listening');
const address = mute.address();
assert.ok(typeof address === 'object' && address !== null);

const proxy = await startTestProxy({
  writers: [clusterDsn(cluster.w1), `postgresql://postgres@127.0.0.1:${address.port}`],
  settings: { connectTimeoutMs: 3_600_000, drainMs: 0 },
});

test('one client at a time waits for it; the others are refused at once, and reads go on', async () => {
  await sql(cluster.w1, 'CREATE TABLE kept (id int PRIMARY KEY)');
  const clients = await Promise.all(Array.from({ length: 20 }, () => proxy.connect()));
  const [trying, reading] = clients;
  assert.ok(trying !== undefined && reading !== undefined);
  const down = await refusal(trying.query('INSERT INTO kept VALUES (1)'));
  assert.equal(down.code, '08001', down.message);
  door = 'silent';
  let outcome: 'none' | 'refused' = 'none';
  let trial: Promise<unknown> = Promise.resolve();
  // A server that was found down is not asked again for a moment.
  await until('one attempt is under way', async () => {
    outcome = 'none';
    trial = refusal(trying.query('INSERT INTO kept VALUES (2)')).then((error) => {
      outcome = 'refused';
      return error.code;
    });
    await until('it is refused, or waits', () => held.size > 0 || outcome === 'refused');
    return held.size > 0;
  });
  const others = clients.slice(1);
  for (let round = 0; round < 3; round++) {
    const errors: pg.DatabaseError[] = [];
    for (const client of others)
      void refusal(client.query('INSERT INTO kept VALUES (3)')).then((error) => errors.push(error));
    await until('the others are refused', () => errors.length === others.length);
    for (const error of errors) {
      assert.equal(error.code, '08001', error.message);
      assert.match(error.message, new RegExp(`follower 127\\.0\\.0\\.1:${address.port}`));
    }
    assert.deepEqual(
      ((await reading.query('BEGIN; SELECT id FROM kept; COMMIT')) as unknown as readonly { rows: unknown[] }[])[1]
        ?.rows,
      [],
    );
    assert.equal(held.size, 1, 'no other attempt is made meanwhile');
  }
  assert.equal(outcome, 'none', 'it still waits');
  door = 'closed';
  for (const socket of held) socket.destroy();
  assert.equal(await trial, '08001');
  assert.deepEqual(await sql(cluster.w1, 'SELECT FROM kept'), []);
});
