/** MERGE: rows that it has changed or stored are the lead's, where its RETURNING tells them (from 17) and where they are read back (15, 16). */
import assert from 'node:assert/strict';
import { before, beforeEach, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, becomePlain, startScene } from './scene.ts';

const HANGS = { timeout: 60_000 };

const NEW_ROWS = 'WHEN NOT MATCHED THEN INSERT (code, n) VALUES (s.code, s.n)';

const texts = [
  `MERGE INTO item i USING source s ON i.code = s.code WHEN MATCHED THEN UPDATE SET n = i.n + s.n, at = now() ${NEW_ROWS}`,
  'MERGE INTO item i USING source s ON i.code = s.code WHEN MATCHED AND s.n > 5 THEN UPDATE SET r = random() WHEN MATCHED THEN DO NOTHING',
  `MERGE INTO item i USING (SELECT * FROM source ORDER BY n % 3 LIMIT 4) s ON i.code = s.code WHEN MATCHED THEN UPDATE SET n = 0 ${NEW_ROWS}`,
  "MERGE INTO item USING (VALUES ('new', 1)) s (code, n) ON item.code = s.code WHEN NOT MATCHED THEN INSERT (code) VALUES (s.code)",
  `BEGIN; UPDATE item SET n = 7 WHERE id = 1; MERGE INTO item i USING source s ON i.code = s.code WHEN MATCHED THEN UPDATE SET n = i.n + 1 ${NEW_ROWS}; DELETE FROM item WHERE n = 8; COMMIT`,
  'MERGE INTO heap h USING source s ON false WHEN NOT MATCHED AND s.n > 1000 THEN INSERT VALUES (s.n, random())',
  'MERGE INTO heap h USING source s ON false WHEN NOT MATCHED THEN INSERT VALUES (s.n, random())',
];

for (const major of [18, 15] as const) {
  describe(`on PostgreSQL ${major}`, async () => {
    const { cluster, proxy } = await startScene({}, { reader: false, major });
    let client: pg.Client;

    before(async () => {
      client = await proxy.connect();
    });

    beforeEach(async () => {
      await client.query('RESET ROLE');
      await client.query(`DROP TABLE IF EXISTS item, source, heap;
        CREATE TABLE item (id serial PRIMARY KEY, code text UNIQUE NOT NULL, n int, at timestamptz DEFAULT clock_timestamp(), r float8 DEFAULT random());
        CREATE TABLE source (code text PRIMARY KEY, n int);
        CREATE TABLE heap (n int, r float8);
        INSERT INTO item (code, n) SELECT 'c' || g, g FROM generate_series(1, 10) g;
        INSERT INTO source SELECT 'c' || g, g FROM generate_series(5, 15) g;
        GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO public`);
      // Rows stand in another order there.
      await sql(cluster.w2, 'UPDATE source SET n = n WHERE n < 9; UPDATE item SET n = n WHERE n < 4');
      await becomePlain(cluster, client);
    });

    for (const text of texts) {
      test(text, HANGS, async () => {
        await client.query(text);
        await assertWritersEqual(cluster);
      });
    }

    test('keys that change while rows take defaults that vary', HANGS, async () => {
      const text = `MERGE INTO item i USING source s ON i.code = s.code WHEN MATCHED THEN UPDATE SET id = i.id + 100, code = i.code || 'x' ${NEW_ROWS}`;
      const { rowCount } = await client.query(text);
      assert.ok(rowCount !== null && rowCount > 0);
      await assertWritersEqual(cluster);
    });

    test('what a foreign key sets off is the same', HANGS, async () => {
      await client.query('RESET ROLE');
      await client.query(`CREATE TABLE child (id int PRIMARY KEY, code text REFERENCES item (code) ON UPDATE CASCADE, at timestamptz);
        INSERT INTO child SELECT g, 'c' || g FROM generate_series(1, 10) g;
        CREATE OR REPLACE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := clock_timestamp(); RETURN NEW; END';
        CREATE TRIGGER stamp BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION stamp()`);
      const text =
        "MERGE INTO item i USING source s ON i.code = s.code WHEN MATCHED THEN UPDATE SET code = i.code || '+'";
      await client.query(text);
      await assertWritersEqual(cluster);
      await client.query('DROP TABLE child');
    });

    test('one that deletes and draws from a sequence', HANGS, async () => {
      const [before] = await sql(cluster.w2, 'SELECT count(*)::int AS n FROM item i JOIN source s USING (code)');
      assert.ok(Number(before?.['n']) > 0);
      await client.query(`MERGE INTO item i USING source s ON i.code = s.code WHEN MATCHED THEN DELETE ${NEW_ROWS}`);
      await assertWritersEqual(cluster);
    });

    test('by many at once', HANGS, async () => {
      const merge = `MERGE INTO item i USING (VALUES ($1, 1)) s (code, n) ON i.code = s.code WHEN MATCHED THEN UPDATE SET n = i.n + 1 ${NEW_ROWS}`;
      const work = Array.from({ length: 6 }, async (_, one) => {
        const own = await proxy.connect();
        for (let round = 0; round < 8; round++) {
          await own.query(merge, [`c${(one * round) % 7}`]).catch((error: pg.DatabaseError) => {
            assert.ok(['23505', '40001', '40P01'].includes(error.code ?? ''), error.message);
          });
        }
        await own.end();
      });
      await Promise.all(work);
      await assertWritersEqual(cluster);
    });

    if (major >= 17) {
      test('with RETURNING', HANGS, async () => {
        const { rows } = await client.query(
          `MERGE INTO item AS i USING source s ON i.code = s.code WHEN MATCHED THEN UPDATE SET n = -1 ${NEW_ROWS} RETURNING merge_action() AS what, s.n, i.id`,
        );
        assert.equal(rows.length, 11);
        assert.deepEqual(Object.keys(rows[0] as object), ['what', 'n', 'id']);
        await assertWritersEqual(cluster);
      });
    }
  });
}
