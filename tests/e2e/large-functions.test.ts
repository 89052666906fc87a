/**
 * Functions that change tables too large to be read whole: what they have changed is found by keys, all of it, and told. No follower runs them, so
 * that moments, drawn values and rows that are chosen by luck are the lead's, and many clients do not get into each other's way.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, becomePlain, startScene, value } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 120_000 };

/** 72 MB, more than is read whole: a row fills a block of 8 KiB. */
const ROWS = 9216;
const PAD = 8076;
const CLIENTS = 8;
const CALLS = 5;

before(async () => {
  const client = await proxy.connect();
  await client.query(`
    CREATE TABLE account (id int PRIMARY KEY, n bigint NOT NULL DEFAULT 0, pad text STORAGE PLAIN);
    CREATE TABLE purchase (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who int, at timestamptz DEFAULT clock_timestamp(), pad text STORAGE PLAIN);
    CREATE TABLE item (id bigserial PRIMARY KEY, purchase bigint REFERENCES purchase, account int REFERENCES account, luck float8 DEFAULT random());
    CREATE TABLE job (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), place serial, state text, pad text STORAGE PLAIN);
    CREATE INDEX ON job (place) WHERE state = 'new';
    CREATE TABLE done (job uuid PRIMARY KEY, who int, at timestamptz DEFAULT now());
    CREATE FUNCTION transfer(a int, b int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      UPDATE account SET n = n - 1 WHERE id = least(a, b); UPDATE account SET n = n + 1 WHERE id = greatest(a, b); END $$;
    CREATE FUNCTION divide(a int, b int) RETURNS void LANGUAGE sql AS $$
      UPDATE account SET n = n - 1 WHERE id = a; INSERT INTO account (id, n) VALUES (b, 1) $$;
    CREATE FUNCTION buy(w int, a int) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE i bigint; BEGIN
      UPDATE account SET n = n - 1 WHERE id = a; INSERT INTO purchase (who) VALUES (w) RETURNING id INTO i;
      INSERT INTO item (purchase, account) VALUES (i, a), (i, a); RETURN i; END $$;
    CREATE FUNCTION take(w int) RETURNS uuid LANGUAGE plpgsql AS $$ DECLARE k uuid; BEGIN
      DELETE FROM job WHERE id = (SELECT id FROM job WHERE state = 'new' ORDER BY place FOR UPDATE SKIP LOCKED LIMIT 1) RETURNING id INTO k;
      INSERT INTO done VALUES (k, w); RETURN k; END $$;
    CREATE FUNCTION put(k uuid) RETURNS void LANGUAGE sql AS $$ INSERT INTO job (id, state) VALUES (k, 'put') $$;
    CREATE FUNCTION finish(k uuid) RETURNS void LANGUAGE sql AS $$ UPDATE job SET state = 'done at ' || clock_timestamp() WHERE id = k $$;
    CREATE FUNCTION forget(keys uuid[]) RETURNS void LANGUAGE sql AS $$ DELETE FROM job WHERE id = ANY (keys) $$;
    CREATE FUNCTION rename(a uuid, b uuid) RETURNS void LANGUAGE sql AS $$ UPDATE job SET id = b WHERE id = a $$`);
  await client.end();
  for (const writer of cluster.writers) {
    const fill = (table: string, columns: string, values: string): Promise<unknown> =>
      sql(
        writer,
        `INSERT INTO ${table} (${columns}, pad) SELECT ${values}, repeat('x', ${PAD}) FROM generate_series(1, ${ROWS}) g`,
      );
    await fill('account', 'id', 'g');
    await fill('purchase', 'who, at', "g, 'epoch'");
    await fill('job', 'id, state', `md5(g::text)::uuid, CASE WHEN g % 9 = 0 THEN 'new' ELSE 'old' END`);
  }
});

const warnings = (): readonly unknown[] => proxy.lines.filter(({ level }) => level === 'warn' || level === 'error');
const anyAccount = (): number => 1 + Math.floor(Math.random() * ROWS);

const calls: Readonly<Record<string, (client: pg.Client, number: number) => Promise<unknown>>> = {
  'rows of the numbers that they are given': (client) =>
    client.query(`SELECT transfer(${anyAccount()}, ${anyAccount()})`),
  parameters: (client, number) => client.query('SELECT buy($1, $2)', [number, anyAccount()]),
  'rows chosen by luck, told by what is stored of them': (client, number) => client.query('SELECT take($1)', [number]),
  'a UUID, and one in an array': async (client) => {
    const [one, other] = [randomUUID(), randomUUID()];
    await client.query('SELECT put($1)', [one]);
    await client.query(`SELECT put('${other}')`);
    await client.query({ name: 'finish', text: 'SELECT finish($1)', values: [one] });
    await client.query('SELECT forget($1)', [[other]]);
  },
  'several calls in a transaction': async (client, number) => {
    await client.query('BEGIN');
    await client.query(`SELECT buy(${number}, ${1 + number})`);
    await client.query('SAVEPOINT s; SELECT take(0); ROLLBACK TO s');
    await client.query('SELECT buy($1, $2)', [number, 100 + number]);
    await client.query('COMMIT');
  },
};

for (const role of ['a superuser', 'a role that may not turn triggers off'] as const)
  describe(`functions of many clients, by ${role}, that change`, () => {
    for (const [what, call] of Object.entries(calls))
      test(what, HANGS, async () => {
        const before = warnings().length;
        const clients = await Promise.all(Array.from({ length: CLIENTS }, () => proxy.connect()));
        if (role !== 'a superuser') for (const client of clients) await becomePlain(cluster, client);
        await Promise.all(
          clients.map(async (client, number) => {
            for (let round = 0; round < CALLS; round++) await call(client, number);
          }),
        );
        for (const client of clients) await client.end();
        assert.deepEqual(warnings().slice(before), []);
      });
  });

describe('what is not found by a key', () => {
  test('is compared as far as it can be, and said', HANGS, async () => {
    const client = await proxy.connect();
    const before = warnings().length;
    await client.query(`DO 'BEGIN UPDATE account SET n = n + 1 WHERE n = 0 AND id % 2 = 1 AND id < power(2, 4); END'`);
    assert.equal(warnings().length, before + 1);
    await client.end();
  });

  test('a key that changes is', HANGS, async () => {
    const client = await proxy.connect();
    const before = warnings().length;
    const [one, other] = [randomUUID(), randomUUID()];
    await client.query('SELECT put($1)', [one]);
    await client.query('SELECT rename($1, $2)', [one, other]);
    assert.equal(await value(client, `SELECT count(*)::int FROM job WHERE id = '${one}'`), 0);
    assert.equal(await value(client, `SELECT count(*)::int FROM job WHERE id = '${other}'`), 1);
    assert.deepEqual(warnings().slice(before), []);
    await client.end();
  });

  test('is not taken for what a foreign key’s action has changed before, unseen', HANGS, async () => {
    const client = await proxy.connect();
    await client.query(`CREATE TABLE code (id int PRIMARY KEY, code int UNIQUE);
      CREATE TABLE coded (id int PRIMARY KEY, n int DEFAULT 0, code int REFERENCES code (code) ON UPDATE CASCADE, pad text);
      INSERT INTO code VALUES (1, 1); INSERT INTO coded SELECT g, 0, CASE g WHEN 1 THEN 1 END, repeat('x', 1000) FROM generate_series(1, 1300) g;
      CREATE FUNCTION latest(w int) RETURNS int LANGUAGE sql AS $$ UPDATE coded SET n = w WHERE id = (SELECT max(id) FROM coded) RETURNING id $$`);
    await client.query(
      'BEGIN; WITH x AS (UPDATE code SET code = code + 1000 WHERE id = 1 RETURNING id) SELECT id FROM x',
    );
    await client.query('SELECT latest(1); COMMIT');
    for (const writer of cluster.writers)
      assert.deepEqual(await sql(writer, 'SELECT id FROM coded WHERE n = 1'), [{ id: 1300 }]);
    await client.end();
  });

  test('does not lock rows against others more than the lead has', HANGS, async () => {
    const [holder, client] = [await proxy.connect(), await proxy.connect()];
    await holder.query('BEGIN; INSERT INTO item (account) VALUES (7)');
    // What the first call has changed is told once more with the second.
    await client.query('BEGIN; SELECT divide(7, 100007); SELECT divide(8, 100008); COMMIT');
    await holder.query('COMMIT');
    await Promise.all([holder.end(), client.end()]);
  });

  test('and the writers hold the same', HANGS, async () => {
    // What they were filled with is long, and the same.
    for (const writer of cluster.writers)
      await sql(writer, 'UPDATE account SET pad = NULL; UPDATE purchase SET pad = NULL; UPDATE job SET pad = NULL');
    await assertWritersEqual(cluster);
  });
});
