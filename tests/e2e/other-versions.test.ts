/** Writers of different majors: what PostgreSQL reads otherwise there has the same effect, or is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from '../support/cluster.ts';
import { refusal, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false, overrides: { w1: { major: 18 }, w2: { major: 14 } } });

test('numbers with other digits than decimal ones, or underscores', async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)');
  for (const text of [
    'UPDATE t SET v = (SELECT 0x1F) WHERE id = 1',
    'INSERT INTO t VALUES (2, (SELECT 1_000))',
    'INSERT INTO t SELECT 3, 0b11',
  ])
    await client.query(text);
  for (const writer of cluster.writers)
    assert.deepEqual(await sql(writer, 'SELECT id, v FROM t ORDER BY id'), [
      { id: 1, v: 31 },
      { id: 2, v: 1000 },
      { id: 3, v: 3 },
    ]);
  const { code, message } = await refusal(client.query('CREATE VIEW numbered (a) AS SELECT 1_000'));
  assert.equal(code, '0A000');
  assert.match(message, /a number as PostgreSQL reads it from 16 on/);
  await client.query('CREATE VIEW numbered (a) AS SELECT 1000');
  for (const writer of cluster.writers) assert.deepEqual(await sql(writer, 'SELECT a FROM numbered'), [{ a: 1000 }]);
});
