/** Timeouts that a client sets act as on one server. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql, withConnection } from '../support/cluster.ts';
import { assertWritersEqual, connectRaw, errorIn, refusal, startScene, until, value } from './scene.ts';

const scene = await startScene({ poolSize: 2 });
const { cluster, proxy } = scene;
const { w2 } = cluster;
const setup = await proxy.connect();
await setup.query('CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)');

describe('a session that is idle in its transaction for longer than it wished', () => {
  test('is ended, and nothing of it stands', async () => {
    const client = await connectRaw(scene);
    await client.query("SET idle_in_transaction_session_timeout = '200ms'");
    await client.query('BEGIN');
    await client.query('UPDATE t SET n = 1 WHERE id = 1');
    await until('the server ends it', () => client.messages.some(({ type }) => type === 'ErrorResponse'));
    assert.equal(errorIn(client.messages)['C'], '25P03');
    assert.equal(await value(setup, 'SELECT n FROM t WHERE id = 1'), 0);
    await assertWritersEqual(cluster);
  });

  test('is not, while it works on the lead alone and the followers wait for it', async () => {
    const client = await proxy.connect();
    await client.query("SET idle_in_transaction_session_timeout = '2s'");
    await client.query('BEGIN; UPDATE t SET n = 2 WHERE id = 1');
    for (let round = 0; round < 6; round++) await client.query('SELECT pg_sleep(0.5)');
    await client.query('UPDATE t SET n = 3 WHERE id = 2');
    await client.query('COMMIT');
    await assertWritersEqual(cluster);
  });

  for (const last of ['COMMIT', 'SAVEPOINT s'])
    test(`is not, while its ${last} waits for a follower and the lead has nothing to do`, async () => {
      const client = await proxy.connect();
      await client.query("SET idle_in_transaction_session_timeout = '500ms'");
      await withConnection(w2, undefined, async (direct) => {
        await direct.query('BEGIN; SELECT FROM t WHERE id = 1 FOR UPDATE');
        await client.query('BEGIN; UPDATE t SET n = 4 WHERE id = 1');
        const ending = client.query(last);
        await Promise.race([ending, sleep(1500)]);
        await direct.query('ROLLBACK');
        await ending;
      });
      await client.query('COMMIT');
      await assertWritersEqual(cluster);
      await client.end();
    });

  test('is not, while the lead’s rows are kept waiting for followers', async () => {
    const client = await proxy.connect();
    await client.query(
      'CREATE TABLE many (id int PRIMARY KEY, n int); INSERT INTO many SELECT g, 0 FROM generate_series(1, 60000) g',
    );
    await withConnection(w2, undefined, async (direct) => {
      await direct.query('BEGIN; SELECT FROM many WHERE id = 1 FOR UPDATE');
      const ending = client.query(
        "SET idle_in_transaction_session_timeout = '2s'; BEGIN; UPDATE many SET n = n + 1 WHERE n >= 0; COMMIT",
      );
      await Promise.race([ending, sleep(4000)]);
      await direct.query('ROLLBACK');
      await ending;
    });
    await assertWritersEqual(cluster);
    await client.end();
  });
});

test('a session that is idle for longer than it wished is ended in the server’s words', async () => {
  const client = await connectRaw(scene);
  await client.query("SET idle_session_timeout = '200ms'");
  await until('the server ends it', () => client.messages.some(({ type }) => type === 'ErrorResponse'));
  assert.equal(errorIn(client.messages)['C'], '57P05');
});

test('a read-only transaction that is idle on the reader is ended as well', async () => {
  const client = await connectRaw(scene);
  await client.query("SET idle_in_transaction_session_timeout = '200ms'");
  await client.query('BEGIN READ ONLY');
  await client.query('SELECT 1');
  await until('the server ends it', () => client.messages.some(({ type }) => type === 'ErrorResponse'));
  assert.equal(errorIn(client.messages)['C'], '25P03');
});

describe('statement_timeout and lock_timeout', () => {
  test('are the lead’s, and a follower that is slower than it does not mind', async () => {
    const client = await proxy.connect();
    await sql(
      w2,
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1.3); RETURN NEW; END';
      CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION slow()`,
    );
    await client.query("SET statement_timeout = '1s'");
    await client.query('UPDATE t SET n = 7 WHERE id = 1');
    await client.query("BEGIN; SET LOCAL statement_timeout = '1s'");
    await client.query('UPDATE t SET n = 8 WHERE id = 1');
    await client.query('COMMIT');
    // Those that others leave do not count either.
    for (const text of ["SET statement_timeout = '1s'", "SELECT set_config('statement_timeout', '1s', false)"]) {
      const other = await proxy.connect();
      await other.query(`BEGIN; INSERT INTO t VALUES (3, 0) ON CONFLICT DO NOTHING; ${text}; COMMIT`);
      await other.end();
      await client.query('RESET statement_timeout; UPDATE t SET n = 8 WHERE id = 1');
    }
    await client.query("SET statement_timeout = '1s'");
    await sql(w2, 'DROP FUNCTION slow CASCADE');
    await assertWritersEqual(cluster);
    const error = await refusal(client.query('UPDATE t SET n = 9 FROM pg_sleep(5) WHERE id = 1'));
    assert.equal(`${error.code} ${error.message}`, '57014 canceling statement due to statement timeout');
    assert.equal(await value(setup, 'SELECT n FROM t WHERE id = 1'), 8);
  });

  test('a wait for another client’s row ends as the client has asked for', async () => {
    const [holder, waiter] = [await proxy.connect(), await proxy.connect()];
    await holder.query('BEGIN; UPDATE t SET n = 10 WHERE id = 2');
    await waiter.query("SET lock_timeout = '100ms'");
    assert.equal((await refusal(waiter.query('UPDATE t SET n = 11 WHERE id = 2'))).code, '55P03');
    await waiter.query('BEGIN; SET LOCAL lock_timeout = 50');
    assert.equal((await refusal(waiter.query('SELECT FROM t WHERE id = 2 FOR UPDATE'))).code, '55P03');
    await holder.query('COMMIT');
    await waiter.query('ROLLBACK; UPDATE t SET n = 12 WHERE id = 2');
    await assertWritersEqual(cluster);
  });
});
