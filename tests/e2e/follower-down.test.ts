/** A follower is down: what only reads goes on, also inside transactions; what writes is refused before the lead runs it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dump, sql } from '../support/cluster.ts';
import { refusal, startScene, until } from './scene.ts';

const { cluster, proxy } = await startScene();
const setup = await proxy.connect();
await setup.query('CREATE TABLE kept (id serial PRIMARY KEY, x text)');
await setup.query("INSERT INTO kept (x) VALUES ('before')");
await cluster.w2.stop('fast');

test('a transaction that only reads, and a batch of reads, are served', async () => {
  const client = await proxy.connect();
  await client.query('BEGIN');
  assert.deepEqual((await client.query('SELECT x FROM kept')).rows, [{ x: 'before' }]);
  await client.query('SAVEPOINT s');
  await client.query('SELECT x FROM kept FOR UPDATE');
  await client.query('ROLLBACK TO s');
  await client.query('COMMIT');
  const batch = await client.query('SELECT 1 AS n; SHOW server_version');
  assert.equal((batch as unknown as readonly unknown[]).length, 2);
});

test('settings are made, alone and in a transaction, and reads go on under them', async () => {
  const client = await proxy.connect();
  await client.query("SET application_name = 'alone'");
  await client.query('BEGIN');
  await client.query("SET DateStyle = 'German'");
  assert.deepEqual((await client.query("SELECT '2024-02-01'::date::text AS day, x FROM kept")).rows, [
    { day: '01.02.2024', x: 'before' },
  ]);
  await client.query('COMMIT');
  const shown = "SELECT '2024-02-01'::date::text AS day";
  assert.deepEqual((await client.query(shown)).rows, [{ day: '01.02.2024' }]);
  assert.deepEqual((await client.query('SHOW application_name')).rows, [{ application_name: 'alone' }]);
});

test('a write is refused, alone and in a transaction, and the lead has not run it', async () => {
  const client = await proxy.connect();
  const before = await dump(cluster.w1);
  const alone = await refusal(client.query("INSERT INTO kept (x) VALUES ('alone')"));
  assert.equal(alone.code, '08001');
  assert.match(alone.message, new RegExp(`:${cluster.w2.port}`));
  await client.query('BEGIN');
  await client.query('SELECT 1');
  assert.equal((await refusal(client.query("INSERT INTO kept (x) VALUES ('inside')"))).code, '08001');
  assert.equal((await refusal(client.query('SELECT 1'))).code, '25P02');
  assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
  assert.equal((await refusal(client.query('SELECT 1; TRUNCATE kept'))).code, '08001');
  assert.equal((await refusal(client.query('VACUUM kept'))).code, '08001');
  // Sequences included: not even a value was drawn.
  assert.equal(await dump(cluster.w1), before);
});

test('a write works again when the follower is back', async () => {
  await cluster.w2.start();
  const client = await proxy.connect();
  // A server that was found down is not asked again for a moment.
  await until('a write succeeds', async () => {
    await client.query('BEGIN');
    try {
      await client.query("INSERT INTO kept (x) VALUES ('after')");
    } catch {
      await client.query('ROLLBACK');
      return false;
    }
    await client.query('COMMIT');
    return true;
  });
  assert.deepEqual(await sql(cluster.w2, 'SELECT x FROM kept ORDER BY id'), [{ x: 'before' }, { x: 'after' }]);
});
