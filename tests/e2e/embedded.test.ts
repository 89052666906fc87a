import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { dump, sql, startTestCluster } from '../support/cluster.ts';

test('the writers are independent systems, and the reader is a replica of the first', async () => {
  const { w1, w2, replica } = await startTestCluster();
  const identifier = 'SELECT system_identifier::text AS id, pg_is_in_recovery() AS standby FROM pg_control_system()';
  const [first] = await sql(w1, identifier);
  const [second] = await sql(w2, identifier);
  const [third] = await sql(replica, identifier);
  assert.notEqual(first?.['id'], second?.['id']);
  assert.equal(first?.['id'], third?.['id']);
  assert.deepEqual([first?.['standby'], second?.['standby'], third?.['standby']], [false, false, true]);

  await sql(w1, 'CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, $$a$$), (2, $$b$$)');
  await until(async () => (await dump(replica)) === (await dump(w1)));
  assert.notEqual(await dump(w2), await dump(w1));
});

test('a server that was stopped or killed starts again on its port, with its data', async () => {
  const { w1, w2, replica } = await startTestCluster();
  const port = w2.port;
  await sql(w2, 'CREATE TABLE t (id int); INSERT INTO t VALUES (1)');
  await w2.stop('fast');
  assert.equal(w2.pid, undefined);
  await assert.rejects(sql(w2, 'SELECT 1'), { code: 'ECONNREFUSED' });
  await w2.start();
  assert.equal(w2.port, port);
  await sql(w2, 'INSERT INTO t VALUES (2)');
  w2.kill('SIGKILL');
  await w2.stop('immediate');
  await w2.start();
  assert.deepEqual(await sql(w2, 'SELECT id FROM t ORDER BY id'), [{ id: 1 }, { id: 2 }]);

  await replica.stop('immediate');
  await sql(w1, 'CREATE TABLE missed ()');
  await replica.start();
  await until(async () => (await dump(replica)) === (await dump(w1)));
});

/** The test runner's limit is the deadline. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}
