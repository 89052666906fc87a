/** Transactions that write: the same on every writer, or nothing on any. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, refusal, value } from './scene.ts';
import { concludeWrites, writersOnly } from './writes.ts';

const { cluster, proxy } = await writersOnly();
const { w1, w2 } = cluster;

describe('a transaction', () => {
  test('keeps and drops what its savepoints say, on every writer', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE step (id serial PRIMARY KEY, name text)');
    const put = (name: string): Promise<unknown> => client.query(`INSERT INTO step (name) VALUES ('${name}')`);
    await client.query('BEGIN');
    await client.query('SAVEPOINT "before Anything"');
    await put('a');
    await client.query('SAVEPOINT s');
    await put('dropped');
    await client.query('SAVEPOINT s');
    await put('dropped too');
    await client.query('ROLLBACK TO s');
    await client.query('RELEASE s');
    await client.query('ROLLBACK TO s');
    await put('b');
    await refusal(put("c'"));
    await client.query('ROLLBACK TO SAVEPOINT s');
    await put('d');
    await client.query('RELEASE "before Anything"');
    assert.equal((await refusal(client.query('ROLLBACK TO s'))).code, '3B001');
    await client.query('ROLLBACK');
    assert.deepEqual(await sql(w1, 'SELECT * FROM step'), []);
    await client.query('BEGIN; SAVEPOINT x');
    await put('e');
    await client.query('SAVEPOINT y');
    await put('f');
    await client.query('ROLLBACK TO y; COMMIT');
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT name FROM step'), [{ name: 'e' }]);
    await assertWritersEqual(cluster);
  });

  test('takes definitions along, or none of them', async () => {
    const client = await proxy.connect();
    await client.query('BEGIN');
    await client.query('CREATE TABLE built (id serial PRIMARY KEY)');
    await client.query('INSERT INTO built DEFAULT VALUES');
    await client.query('CREATE INDEX built_index ON built ((id % 2))');
    await client.query('ROLLBACK');
    for (const writer of [w1, w2])
      assert.deepEqual(await sql(writer, "SELECT to_regclass('built') AS t"), [{ t: null }]);
    await client.query('BEGIN; CREATE TABLE built (id serial PRIMARY KEY); CREATE TYPE mood AS ENUM ($$ok$$); COMMIT');
    await client.query('ALTER TABLE built ADD COLUMN mood mood DEFAULT $$ok$$');
    await client.query('INSERT INTO built DEFAULT VALUES');
    await assertWritersEqual(cluster);
  });

  test('fails everywhere when a deferred constraint fails at its end, on the lead or on a follower alone', async () => {
    const client = await proxy.connect();
    await client.query(`
      CREATE TABLE parent (id int PRIMARY KEY);
      CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)`);
    await client.query('BEGIN; INSERT INTO child VALUES (1, 1); INSERT INTO parent VALUES (1); COMMIT');
    await client.query('BEGIN; INSERT INTO child VALUES (2, 2)');
    const own = await refusal(client.query('COMMIT'));
    assert.deepEqual(
      [own.code, own.constraint, own.hint],
      ['23503', 'child_parent_fkey', undefined],
      'the lead’s own words',
    );
    assert.equal(
      (await refusal(client.query('INSERT INTO child VALUES (3, 3)'))).code,
      '23503',
      'outside a block as well',
    );
    await sql(w2, 'DELETE FROM child; DELETE FROM parent');
    await client.query('BEGIN; INSERT INTO child VALUES (4, 1)');
    const error = await refusal(client.query('COMMIT'));
    assert.equal(error.code, '23503');
    assert.match(error.detail ?? '', /^follower .* ERROR 23503/m);
    assert.deepEqual(await sql(w1, 'SELECT id FROM child'), [{ id: 1 }]);
    assert.deepEqual(await sql(w2, 'SELECT id FROM child'), []);
    await sql(w2, 'INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1)');
  });

  test('whose deferred constraint only a follower knows is rolled back everywhere, with that follower’s reason', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE lone (id int)');
    await client.query('DROP TABLE child, parent'); // none is left that the lead knows
    await sql(w2, 'ALTER TABLE lone ADD CONSTRAINT late UNIQUE (id) DEFERRABLE INITIALLY DEFERRED');
    await client.query('INSERT INTO lone VALUES (1)');
    const error = await refusal(client.query('INSERT INTO lone VALUES (1)'));
    assert.equal(error.code, '23505', error.message);
    assert.match(error.detail ?? '', /^follower .*late/m);
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT * FROM lone'), [{ id: 1 }]);
    await sql(w2, 'ALTER TABLE lone DROP CONSTRAINT late');
  });

  const serializable: Readonly<Record<string, readonly string[]>> = {
    'in BEGIN': ['BEGIN ISOLATION LEVEL SERIALIZABLE'],
    'by SET TRANSACTION': ['BEGIN', 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'],
    'by SET LOCAL': ['BEGIN', "SET LOCAL transaction_isolation = 'serializable'"],
    'by a setting of the session': ["SET default_transaction_isolation = 'serializable'", 'BEGIN'],
    'by a start-up option': ['BEGIN'],
    'by a setting of the database': ['BEGIN'],
  };
  before(async () => {
    for (const writer of [w1, w2]) {
      await sql(writer, 'CREATE DATABASE careful');
      await sql(writer, "ALTER DATABASE careful SET default_transaction_isolation = 'serializable'");
    }
  });
  for (const [how, opening] of Object.entries(serializable)) {
    test(`that asks for SERIALIZABLE ${how} fails everywhere or nowhere`, async () => {
      const database = how === 'by a setting of the database' ? 'careful' : 'postgres';
      const options = how === 'by a start-up option' ? '-c default_transaction_isolation=serializable' : undefined;
      const connect = (): Promise<pg.Client> =>
        proxy.connect({ database, ...(options === undefined ? {} : { options }) });
      const setup = await connect();
      await setup.query('DROP TABLE IF EXISTS duty');
      await setup.query('CREATE TABLE duty (name text PRIMARY KEY, on_call bool)');
      await setup.query("INSERT INTO duty VALUES ('a', true), ('b', true)");
      const [one, other] = [await connect(), await connect()];
      for (const client of [one, other]) {
        for (const text of opening) await client.query(text);
        assert.equal(await value(client, 'SELECT count(*)::int FROM duty WHERE on_call'), 2);
        assert.equal(await value(client, 'SHOW transaction_isolation'), 'serializable');
      }
      await one.query("UPDATE duty SET on_call = false WHERE name = 'a'");
      await other.query("UPDATE duty SET on_call = false WHERE name = 'b'");
      await one.query('COMMIT');
      const error = await refusal(other.query('COMMIT'));
      assert.equal(error.code, '40001', error.message);
      assert.match(error.message, /could not serialize access/, 'the lead’s own words');
      for (const writer of [w1, w2]) {
        assert.deepEqual(await sql(writer, 'SELECT name FROM duty WHERE on_call', database), [{ name: 'b' }]);
      }
    });
  }

  test('of several statements in one text is one transaction', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE several (id serial PRIMARY KEY, x int UNIQUE)');
    const error = await refusal(
      client.query(
        'INSERT INTO several (x) VALUES (1); INSERT INTO several (x) VALUES (2); INSERT INTO several (x) VALUES (1)',
      ),
    );
    assert.equal(error.code, '23505');
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT * FROM several'), []);
    await client.query(
      'INSERT INTO several (x) VALUES (5); UPDATE several SET x = x + 1; SELECT count(*) FROM several',
    );
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT x FROM several'), [{ x: 6 }]);
    await assertWritersEqual(cluster);
  });

  test('in which names mean something else stores what the lead stored', async () => {
    const client = await proxy.connect();
    await client.query(`CREATE SCHEMA other; CREATE TABLE public.homonym (id int PRIMARY KEY, code uuid);
      CREATE TABLE other.homonym (id serial PRIMARY KEY, code uuid DEFAULT gen_random_uuid())`);
    await client.query('INSERT INTO homonym (id) VALUES (1)'); // the plain table is known now
    await client.query('BEGIN; SET LOCAL search_path = other');
    await client.query('INSERT INTO homonym (id) VALUES (1)');
    await client.query('COMMIT');
    await client.query('INSERT INTO homonym (id) VALUES (2)');
    await client.query('SET search_path = other');
    await client
      .query('INSERT INTO homonym DEFAULT VALUES')
      .catch((error: { code: string }) => assert.equal(error.code, '23505'));
    await client.query('INSERT INTO homonym DEFAULT VALUES');
    await assertWritersEqual(cluster);
  });

  test('goes on behind COMMIT AND CHAIN and ROLLBACK AND CHAIN', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE chain (id int)');
    await client.query('BEGIN');
    await client.query('INSERT INTO chain VALUES (1)');
    await client.query('COMMIT AND CHAIN');
    assert.deepEqual(await sql(w2, 'SELECT id FROM chain'), [{ id: 1 }]);
    await client.query('INSERT INTO chain VALUES (2)');
    await client.query('ROLLBACK AND CHAIN');
    await client.query('INSERT INTO chain VALUES (3)');
    await client.query('COMMIT');
    for (const writer of [w1, w2])
      assert.deepEqual(await sql(writer, 'SELECT id FROM chain ORDER BY id'), [{ id: 1 }, { id: 3 }]);
  });
});

concludeWrites(cluster);
