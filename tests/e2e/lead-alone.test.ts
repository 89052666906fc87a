/** Changes that neither keys nor locks make the same on every writer: the lead runs them, and followers are told what it has done. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, becomePlain, outcome, refusal, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`
    CREATE TABLE bill (id serial PRIMARY KEY, who text, n int, at timestamptz DEFAULT clock_timestamp());
    CREATE TABLE line (id serial PRIMARY KEY, bill int REFERENCES bill, what text, luck float8 DEFAULT random());
    CREATE TABLE word (code text PRIMARY KEY, n int);
    CREATE TABLE place (id int PRIMARY KEY, n int) PARTITION BY RANGE (id);
    CREATE TABLE place_low PARTITION OF place FOR VALUES FROM (0) TO (1000);
    CREATE TABLE place_high PARTITION OF place FOR VALUES FROM (1000) TO (1000000);
    CREATE TABLE elder (id int PRIMARY KEY, n int);
    CREATE TABLE child (PRIMARY KEY (id)) INHERITS (elder);
    CREATE TABLE keyless (n int);
    CREATE VIEW lots AS SELECT id, random() AS luck FROM bill;
    INSERT INTO bill (who, n) SELECT 'w' || g, g FROM generate_series(1, 30) g;
    INSERT INTO word SELECT 'c' || g, g FROM generate_series(1, 30) g;
    INSERT INTO place SELECT g, g FROM generate_series(1, 40) g;
    INSERT INTO elder SELECT g, g FROM generate_series(1, 20) g;
    INSERT INTO child SELECT g, g FROM generate_series(101, 120) g`);
});

const STATEMENTS: readonly string[] = [
  "WITH b AS (INSERT INTO bill (who, n) VALUES ('new', 1) RETURNING id) INSERT INTO line (bill, what) SELECT id, 'first' FROM b",
  "WITH b AS (INSERT INTO bill (who) VALUES ('new'), ('newer') RETURNING id) SELECT * FROM b",
  'WITH gone AS (DELETE FROM line WHERE random() < 0.3 RETURNING what), b AS (INSERT INTO bill (who) SELECT what FROM gone RETURNING id) INSERT INTO line (bill) SELECT id FROM b',
  'WITH w AS (UPDATE word SET n = n + 1 WHERE code IN (SELECT code FROM word ORDER BY random() LIMIT 5) RETURNING code) INSERT INTO line (what) SELECT code FROM w',
  "UPDATE word SET code = code || '-' || (random() * 1000)::int, n = 0 WHERE code IN (SELECT code FROM word ORDER BY random() LIMIT 4)",
  'UPDATE place SET id = id + 2000 WHERE id IN (SELECT id FROM place WHERE id < 1000 ORDER BY random() LIMIT 3)',
  'UPDATE elder SET n = (random() * 1000)::int WHERE id % 3 = 0',
  'DELETE FROM elder WHERE id IN (SELECT id FROM elder ORDER BY random() LIMIT 2)',
  'UPDATE bill SET n = n + 1 FROM lots WHERE lots.id = bill.id AND lots.luck < 0.5',
  'DELETE FROM word USING bill WHERE bill.n = word.n AND random() < 0.2',
];

/** `staged` is a temporary table of the session's. */
const OF_TEMPORARY: readonly string[] = [
  "MERGE INTO bill USING staged s ON bill.id = s.id WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT (who, n) VALUES ('merged', s.n)",
  'MERGE INTO word USING staged s ON word.n = s.n AND s.id < 4 WHEN MATCHED THEN DELETE',
  "WITH d AS (DELETE FROM staged WHERE id > 20 RETURNING *) INSERT INTO bill (who, n) SELECT 'd', n FROM d",
  'WITH u AS (UPDATE word SET n = n + 1 WHERE n > 9 RETURNING n) INSERT INTO staged SELECT n, n FROM u',
];

describe('what neither keys nor locks make the same', () => {
  for (const text of [...STATEMENTS, ...OF_TEMPORARY]) {
    test(text, HANGS, async () => {
      if (text === OF_TEMPORARY[0])
        await client.query('CREATE TEMP TABLE staged AS SELECT g AS id, g AS n FROM generate_series(1, 40) g');
      for (const begin of [
        'BEGIN',
        'BEGIN ISOLATION LEVEL REPEATABLE READ',
        'BEGIN ISOLATION LEVEL SERIALIZABLE; SAVEPOINT s',
      ]) {
        await client.query(text);
        await client.query(`${begin}; UPDATE bill SET n = 5 WHERE id = 5; INSERT INTO line (what) VALUES ('before')`);
        await client.query(text);
        await client.query(`SAVEPOINT t; ${text}; ROLLBACK TO t; ${text}; COMMIT`);
        await assertWritersEqual(cluster);
      }
    });
  }

  test('by many at once', HANGS, async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => proxy.connect()));
    let committed = 0;
    const work = clients.map(async (one, number) => {
      for (let round = 0; round < 8; round++) {
        const text = STATEMENTS[(number * 3 + round) % STATEMENTS.length] ?? '';
        const begin = round % 2 === 0 ? 'BEGIN' : 'BEGIN ISOLATION LEVEL REPEATABLE READ';
        try {
          await one.query(`${begin}; UPDATE bill SET n = ${round} WHERE id = ${number + 1}; ${text}; COMMIT`);
          committed++;
        } catch (error) {
          assert.ok(
            error instanceof pg.DatabaseError && ['40001', '40P01', '23503', '23505'].includes(error.code ?? ''),
            String(error),
          );
          await one.query('ROLLBACK');
        }
      }
    });
    await Promise.all(work);
    await assertWritersEqual(cluster);
    assert.ok(committed > 20, `${committed} of 64 are committed`);
    await Promise.all(clients.map((one) => one.end()));
  });

  test('leaves the next values of sequences free', HANGS, async () => {
    for (const { table, column } of [
      { table: 'bill', column: 'id' },
      { table: 'line', column: 'id' },
    ]) {
      const text = `SELECT nextval(pg_get_serial_sequence('${table}', '${column}')) > max(${column}) AS free FROM ${table}`;
      for (const writer of cluster.writers) assert.deepEqual(await sql(writer, text), [{ free: true }]);
    }
  });

  test('by a role that may not turn triggers off', HANGS, async () => {
    const own = await proxy.connect();
    await becomePlain(cluster, own);
    for (const text of STATEMENTS.slice(1, 7)) await own.query(text);
    await assertWritersEqual(cluster);
    await own.end();
  });
});

test('what a trigger behind a view has stored and taken back is nobody’s', HANGS, async () => {
  await client.query(`CREATE TABLE shelf (n serial, v text); CREATE VIEW shelves AS SELECT * FROM shelf;
    CREATE FUNCTION take_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF pg_trigger_depth() > 1 OR NEW.v = 'kept' THEN RETURN NEW; END IF;
      BEGIN INSERT INTO shelf (v) VALUES ('inner'); RAISE 'taken back'; EXCEPTION WHEN raise_exception THEN NULL; END;
      RETURN NULL; END $$;
    CREATE TRIGGER take_back BEFORE INSERT ON shelf FOR EACH ROW EXECUTE FUNCTION take_back()`);
  for (const kept of [1, 3]) {
    await client.query(`BEGIN; INSERT INTO shelf (v) SELECT 'kept' FROM generate_series(1, ${kept})`);
    await outcome(client.query("INSERT INTO shelves (v) SELECT 'not kept' FROM generate_series(1, 3)"));
    await client.query('COMMIT');
    await assertWritersEqual(cluster);
  }
  await client.query("INSERT INTO shelves (v) VALUES ('kept')");
  await assertWritersEqual(cluster);
});

test('rows of a table that others refer to come first, whichever was altered last', HANGS, async () => {
  const own = await proxy.connect();
  await own.query(`CREATE ROLE seller; GRANT ALL ON SCHEMA public TO seller; SET ROLE seller;
    CREATE TABLE offer (id serial PRIMARY KEY, customer int);
    CREATE TABLE offered (id serial PRIMARY KEY, offer int NOT NULL REFERENCES offer, what text);
    CREATE FUNCTION place(c int) RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN
      INSERT INTO offer (customer) VALUES (c) RETURNING id INTO n;
      INSERT INTO offered (offer, what) VALUES (n, 'a'), (n, 'b'); RETURN n; END $$;
    CREATE PROCEDURE placed(c uuid) LANGUAGE sql AS 'SELECT place(length(c::text))'`);
  for (const alter of [
    'SELECT 1',
    'ALTER TABLE offer ADD COLUMN note text',
    'ALTER TABLE offered ADD COLUMN note text',
  ]) {
    await own.query(alter);
    await own.query('SELECT place(1)');
    await own.query('CALL placed(gen_random_uuid())');
    await own.query(
      "WITH x AS (INSERT INTO offer (customer) VALUES (2) RETURNING id) INSERT INTO offered (offer, what) SELECT id, 'c' FROM x",
    );
    await assertWritersEqual(cluster);
  }
  await own.end();
});

test('an older state, and a table without a key: refused, and it is said why', HANGS, async () => {
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  const error = await refusal(client.query('UPDATE keyless SET n = 1 WHERE n > 5'));
  assert.equal(error.code, '0A000');
  assert.match(error.message, /REPEATABLE READ/);
  await client.query('ROLLBACK');
});
