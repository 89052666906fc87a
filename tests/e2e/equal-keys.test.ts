/** Keys whose collation takes for equal what is written differently: followers have them as the lead writes them. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, outcome, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 60_000 };
const found = await sql(cluster.w1, "SELECT FROM pg_collation WHERE collprovider = 'i' LIMIT 1");
const skip = found.length === 0 ? 'these servers have no ICU' : false;

const SCHEMA = `DROP SCHEMA public CASCADE; CREATE SCHEMA public;
  CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
  CREATE TABLE t (k text COLLATE ci PRIMARY KEY, v float8); INSERT INTO t VALUES ('abc', 1), ('def', 2);
  CREATE TABLE two (id int, k varchar(10) COLLATE ci, v float8, PRIMARY KEY (id, k)); INSERT INTO two VALUES (1, 'abc', 1), (1, 'def', 2);
  CREATE TABLE apart (k text COLLATE ci NOT NULL, v float8); CREATE UNIQUE INDEX ON apart (k COLLATE "C");
  INSERT INTO apart VALUES ('abc', 1), ('ABC', 2);
  CREATE TABLE fired (k text COLLATE ci PRIMARY KEY, v float8); INSERT INTO fired VALUES ('abc', 1), ('def', 2);
  CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.k := upper(NEW.k); RETURN NEW; END';
  CREATE TRIGGER louder BEFORE UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION louder();
  CREATE DOMAIN caseless AS text COLLATE ci; CREATE TABLE d (k caseless PRIMARY KEY, v float8); INSERT INTO d VALUES ('abc', 1);
  CREATE TABLE a (k text[] COLLATE ci PRIMARY KEY, v float8); INSERT INTO a VALUES ('{abc}', 1)`;

let client: pg.Client;

beforeEach(async () => {
  if (skip !== false) return;
  client = await proxy.connect();
  await client.query(SCHEMA);
});

describe('a key with a collation that is not deterministic', { skip }, () => {
  for (const text of [
    'UPDATE t SET k = upper(k), v = random()',
    'UPDATE t SET k = upper(k)',
    "UPDATE t SET k = 'Abc' WHERE v > 0 AND k = 'abc'",
    "INSERT INTO t VALUES ('ABC', random()) ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v",
    "INSERT INTO t VALUES ('ABC', random()) ON CONFLICT (k) DO UPDATE SET k = EXCLUDED.k, v = EXCLUDED.v",
    `MERGE INTO t USING (VALUES ('aBc'), ('xyz')) s (k) ON t.k = s.k
      WHEN MATCHED THEN UPDATE SET k = s.k, v = random() WHEN NOT MATCHED THEN INSERT VALUES (s.k, random())`,
    'DO $$ BEGIN UPDATE t SET k = upper(k); END $$',
    "DO $$ BEGIN DELETE FROM t WHERE k = 'abc'; INSERT INTO t VALUES ('ABC', 9); END $$",
    'UPDATE two SET k = upper(k), v = random()',
    'DO $$ BEGIN UPDATE two SET k = upper(k); END $$',
    "UPDATE fired SET v = 7 WHERE k = 'abc'",
    'UPDATE fired SET v = random()',
    "INSERT INTO fired VALUES ('Abc', 5) ON CONFLICT (k) DO UPDATE SET v = random()",
    'UPDATE d SET k = upper(k), v = random()',
    "UPDATE a SET k = '{ABC}', v = random()",
  ]) {
    const missing = text.startsWith('MERGE') && cluster.w1.major < 15;
    test(text.replace(/\s+/g, ' '), { ...HANGS, skip: missing && 'these servers have no MERGE' }, async () => {
      await client.query(text);
      await assertWritersEqual(cluster);
    });
  }

  test('is none where its index tells apart what the column does not', HANGS, async () => {
    for (const text of [
      "UPDATE apart SET v = random() WHERE k = 'abc'",
      "DELETE FROM apart WHERE k = 'abc' AND v > random()",
    ]) {
      assert.equal(await outcome(client.query(text)), '0A000', text);
      await assertWritersEqual(cluster);
    }
    await client.query("UPDATE apart SET v = v + 1 WHERE k = 'abc'");
    await assertWritersEqual(cluster);
  });
});
