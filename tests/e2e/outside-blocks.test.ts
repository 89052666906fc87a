/** Statements that PostgreSQL runs in no transaction block: on the lead, then on each follower, and what is said of them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, loggedTimes, refusal, startScene, until, value } from './scene.ts';

const { cluster, proxy } = await startScene({ followerLockTimeoutMs: 300 }, { settings: { log_statement: 'all' } });
const { w1, w2, replica } = cluster;

const databases =
  'SELECT datname FROM pg_database WHERE datname NOT IN (SELECT unnest(ARRAY[$$postgres$$, $$template0$$, $$template1$$])) ORDER BY datname';

test('run once on every writer, and on no reader', async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE kept (id int)');
  for (const text of [
    'VACUUM (ANALYZE) kept',
    'CREATE INDEX CONCURRENTLY kept_id ON kept (id)',
    'REINDEX INDEX CONCURRENTLY kept_id',
    'DROP INDEX CONCURRENTLY kept_id',
    'CREATE DATABASE shop',
    "ALTER SYSTEM SET log_min_messages = 'warning'",
  ]) {
    await client.query(text);
    for (const writer of [w1, w2]) assert.equal(loggedTimes(writer, `statement: ${text}`), 1, text);
    assert.equal(loggedTimes(replica, text), 0, text);
  }
});

test('an index that could not be made is left on the lead alone, and the client is told', async () => {
  const client = await proxy.connect();
  const warnings: (string | undefined)[] = [];
  client.on('notice', ({ code, message }) => code === '01000' && warnings.push(message));
  await client.query('CREATE TABLE doubled (id int); INSERT INTO doubled VALUES (1), (1)');
  assert.equal((await refusal(client.query('CREATE UNIQUE INDEX CONCURRENTLY once ON doubled (id)'))).code, '23505');
  await client.query('SELECT 1');
  assert.deepEqual(warnings, [`an invalid index may be left on lead 127.0.0.1:${w1.port}, and nowhere else`]);
  assert.equal((await refusal(client.query('CREATE UNIQUE INDEX CONCURRENTLY once ON nowhere (id)'))).code, '42P01');
  await client.query('DROP INDEX IF EXISTS once; DELETE FROM doubled');
  await client.query('CREATE UNIQUE INDEX CONCURRENTLY once ON doubled (id)');
  assert.equal(warnings.length, 1);
  await assertWritersEqual(cluster);
  await client.end();
});

test('a new database is there for its creator at once, and for a client that connects to it', async () => {
  const client = await proxy.connect();
  await client.query('CREATE DATABASE stall');
  assert.equal(await value(client, "SELECT count(*)::int FROM pg_database WHERE datname = 'stall'"), 1);
  const inside = await proxy.connect({ database: 'stall' });
  await inside.query('CREATE TABLE t (id int); INSERT INTO t VALUES (1)');
  assert.equal(await value(inside, 'SELECT count(*)::int FROM t'), 1);
  for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM t', 'stall'), [{ id: 1 }]);
  await inside.end();
});

test('a database is dropped on every writer, though the proxy keeps connections to it', async () => {
  const inside = await proxy.connect({ database: 'shop' });
  await inside.query('CREATE TABLE t (id int)');
  await inside.end();
  const client = await proxy.connect();
  await client.query('DROP DATABASE shop');
  for (const writer of [w1, w2]) {
    assert.ok(!(await sql(writer, databases)).some(({ datname }) => datname === 'shop'));
  }
});

test('a database that clients have used is renamed, in a transaction as well, and moved', async () => {
  const inside = await proxy.connect({ database: 'stall' });
  await inside.query('SELECT 1; INSERT INTO t VALUES (2)');
  await inside.end();
  const client = await proxy.connect();
  await client.query('ALTER DATABASE stall RENAME TO booth');
  const again = await proxy.connect({ database: 'booth' });
  await again.query('DELETE FROM t WHERE id = 2');
  await again.end();
  await client.query('ALTER DATABASE booth SET TABLESPACE pg_default');
  const once = await proxy.connect({ database: 'booth' });
  await once.query('ANALYZE t');
  await once.end();
  await client.query('BEGIN; ALTER DATABASE booth RENAME TO stall; COMMIT');
  for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM t', 'stall'), [{ id: 1 }]);
});

test('a database that clients have used may be the template of another', async () => {
  const inside = await proxy.connect({ database: 'stall' });
  await inside.query('SELECT 1');
  await inside.end();
  const client = await proxy.connect();
  await client.query('CREATE DATABASE second TEMPLATE stall');
  for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM t', 'second'), [{ id: 1 }]);
});

test('a failure on the lead is the lead’s to tell, and no follower has seen the statement', async () => {
  const client = await proxy.connect();
  const error = await refusal(client.query('CREATE DATABASE postgres'));
  assert.deepEqual(
    [error.code, error.message, error.detail],
    ['42P04', 'database "postgres" already exists', undefined],
  );
  assert.equal(loggedTimes(w2, 'CREATE DATABASE postgres'), 0);
});

test('a failure on a follower says where it was done and where not', async () => {
  const client = await proxy.connect();
  await sql(w2, 'CREATE DATABASE half');
  const error = await refusal(client.query('CREATE DATABASE half'));
  assert.equal(error.code, '08007');
  assert.match(
    error.message,
    new RegExp(`^the statement was executed on lead 127\\.0\\.0\\.1:${w1.port}.*, but not on every writer$`),
  );
  const [lead, follower] = (error.detail ?? '').split('\n');
  assert.match(lead ?? '', new RegExp(`^lead 127\\.0\\.0\\.1:${w1.port}.*: done$`));
  assert.match(
    follower ?? '',
    new RegExp(`^follower 127\\.0\\.0\\.1:${w2.port}.*: not done \\(42P04: database "half" already exists\\)$`),
  );
  assert.match(error.hint ?? '', /cannot be undone/);
  await client.query('DROP DATABASE half');
});

test('a follower that is down is noticed before anything is run', async () => {
  const client = await proxy.connect();
  await w2.stop('fast');
  const error = await refusal(client.query('CREATE DATABASE never'));
  assert.equal(error.code?.slice(0, 2), '08');
  assert.ok(error.message.includes(String(w2.port)), error.message);
  await w2.start();
  await until('writes work again', () =>
    client.query('ANALYZE kept').then(
      () => true,
      () => false,
    ),
  );
  for (const writer of [w1, w2]) assert.ok(!(await sql(writer, databases)).some(({ datname }) => datname === 'never'));
});

test('they are refused in a block, as PostgreSQL refuses them', async () => {
  const client = await proxy.connect();
  await client.query('BEGIN');
  assert.equal((await refusal(client.query('VACUUM kept'))).code, '25001');
  await client.query('ROLLBACK');
  assert.equal((await refusal(client.query('SELECT 1; VACUUM kept'))).code, '25001', 'several statements are a block');
});
