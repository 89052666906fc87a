/** Rows that functions and triggers store in tables too large to be read whole: they stand at the end, and are told or compared. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { becomePlain, refusal, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 60_000 };

/** 72 MB, more than is read whole: a row fills a block of 8 KiB, so that no other one finds room there. */
const ROWS = 9216;
const PAD = 8076;
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`
    CREATE TABLE entry (id int PRIMARY KEY, what text, luck float8 DEFAULT random(), pad text STORAGE PLAIN);
    CREATE TABLE keyless (what text, luck float8, pad text STORAGE PLAIN);
    CREATE SEQUENCE numbers START 20000;
    CREATE TABLE watched (id int PRIMARY KEY, n int);
    CREATE TABLE plain (id int PRIMARY KEY, n int);
    INSERT INTO watched SELECT g, 0 FROM generate_series(1, 50) g;
    INSERT INTO plain SELECT g, 0 FROM generate_series(1, 50) g;
    CREATE FUNCTION write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO entry (id, what) VALUES (nextval('numbers'), OLD.n || ' at ' || clock_timestamp());
      INSERT INTO keyless VALUES ('of ' || NEW.id, random());
      RETURN NEW; END $$;
    CREATE TRIGGER write AFTER UPDATE ON watched FOR EACH ROW EXECUTE FUNCTION write();
    CREATE FUNCTION write_plain() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO keyless VALUES ('of ' || NEW.id, NEW.n); RETURN NEW; END $$;
    CREATE TRIGGER write_plain AFTER UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION write_plain()`);
  for (const writer of cluster.writers) {
    await sql(writer, `INSERT INTO entry SELECT g, 'old', 0, repeat('x', ${PAD}) FROM generate_series(1, ${ROWS}) g`);
    await sql(writer, `INSERT INTO keyless SELECT 'old', 0, repeat('x', ${PAD}) FROM generate_series(1, ${ROWS}) g`);
  }
});

/** What was not there at first, on every writer. Answers with the number of rows. */
async function assertNewRowsEqual(): Promise<number> {
  const [there, here] = await Promise.all(
    cluster.writers.map((writer) =>
      sql(
        writer,
        `SELECT 'entry' AS t, id, what, luck FROM entry WHERE id > ${ROWS}
         UNION ALL SELECT 'keyless', 0, what, luck FROM keyless WHERE what <> 'old' ORDER BY 1, 2, 3, 4`,
      ),
    ),
  );
  assert.deepEqual(here, there);
  return there?.length ?? 0;
}

const unproven = (): readonly unknown[] =>
  proxy.lines.filter(({ event }) => event === 'effects that cannot be compared').map(({ fields }) => fields['effects']);

describe('rows that a trigger stores in a large table', () => {
  test('are told, those of each statement alone', HANGS, async () => {
    const known = unproven().length;
    const before = await assertNewRowsEqual();
    await client.query('UPDATE watched SET n = 1 WHERE id = 1');
    await client.query('BEGIN; UPDATE watched SET n = n + 1 WHERE id < 4');
    await client.query("INSERT INTO keyless VALUES ('own', random()), ('own', random())");
    await client.query('UPDATE watched SET n = n + 1 WHERE id = 2; INSERT INTO entry (id) VALUES (19000)');
    await client.query('UPDATE watched SET n = n + 1 WHERE id BETWEEN 3 AND 12; COMMIT');
    await client.query("DO 'BEGIN UPDATE watched SET n = 7 WHERE id < 3; END'");
    assert.equal(await assertNewRowsEqual(), before + 2 * 17 + 3);
    assert.equal(unproven().length, known);
  });

  test('by many at once', HANGS, async () => {
    const known = unproven().length;
    const clients = await Promise.all(Array.from({ length: 8 }, () => proxy.connect()));
    const work = clients.map(async (one, number) => {
      for (let round = 0; round < 10; round++) {
        await one.query(`UPDATE watched SET n = n + 1 WHERE id = ${20 + number}`);
        if (round % 3 === 0) await one.query(`BEGIN; UPDATE watched SET n = 0 WHERE id = ${40 + number}; ROLLBACK`);
      }
    });
    await Promise.all(work);
    await assertNewRowsEqual();
    assert.equal(unproven().length, known);
    await Promise.all(clients.map((one) => one.end()));
  });

  test('are compared where followers run the trigger', HANGS, async () => {
    const known = unproven().length;
    const own = await proxy.connect();
    await becomePlain(cluster, own);
    await own.query('UPDATE plain SET n = 1 WHERE id < 9');
    await own.query('BEGIN; UPDATE plain SET n = 2 WHERE id < 9; UPDATE plain SET n = 3 WHERE id = 1; COMMIT');
    assert.equal((await refusal(own.query('UPDATE watched SET n = 1 WHERE id = 1'))).code, '40002');
    await assertNewRowsEqual();
    assert.equal(unproven().length, known);
    await own.end();
  });
});

describe('what is not at the end of a large table is named in the log', () => {
  test('rows that the transaction has locked since', HANGS, async () => {
    const known = unproven().length;
    await client.query(`BEGIN; UPDATE plain SET n = 5 WHERE id = 20; SELECT FROM keyless WHERE what = 'of 20' FOR UPDATE;
      UPDATE plain SET n = 6 WHERE id = 21; COMMIT`);
    assert.equal(unproven().length, known + 1);
    await assertNewRowsEqual();
  });

  test('rows in room that others have left', HANGS, async () => {
    for (const writer of cluster.writers) {
      await sql(writer, `DELETE FROM keyless WHERE ctid < '(40,0)'`);
      await sql(writer, 'VACUUM keyless');
    }
    const known = unproven().length;
    await client.query('UPDATE plain SET n = 7 WHERE id = 30');
    assert.equal(unproven().length, known + 1);
    await assertNewRowsEqual();
  });
});
