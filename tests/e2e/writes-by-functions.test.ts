/** Writes that their text does not show: by functions, prepared statements of SQL and large objects. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, value } from './scene.ts';
import { concludeWrites, writersOnly } from './writes.ts';

const { cluster, proxy } = await writersOnly();
const { w2 } = cluster;

describe('functions and prepared statements of SQL', () => {
  test('a volatile function that writes does so on every writer, and one that only returns something else does no harm', async () => {
    const client = await proxy.connect();
    await client.query(`
      CREATE TABLE entry (id int PRIMARY KEY, note text);
      CREATE FUNCTION add_entry(int) RETURNS int LANGUAGE sql AS 'INSERT INTO entry VALUES ($1, $$n$$) RETURNING id';
      CREATE FUNCTION dice() RETURNS float8 LANGUAGE sql AS 'SELECT random()'`);
    assert.equal(await value(client, 'SELECT add_entry(5)'), 5);
    assert.deepEqual(await sql(w2, 'SELECT id FROM entry'), [{ id: 5 }]);
    assert.equal(typeof (await value(client, 'SELECT dice()')), 'number');
    await client.query('DO $$ BEGIN INSERT INTO entry VALUES (6); END $$');
    await assertWritersEqual(cluster);
  });

  test('EXECUTE does on every writer what it prepared', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE prepared (id int PRIMARY KEY, x text)');
    await client.query('PREPARE put (int, text) AS INSERT INTO prepared VALUES ($1, $2)');
    await client.query("EXECUTE put (1, 'a''b')");
    await client.query('BEGIN');
    await client.query('EXECUTE put (2, NULL)');
    await client.query('COMMIT');
    await client.query('DEALLOCATE put');
    assert.deepEqual(await sql(w2, 'SELECT * FROM prepared ORDER BY id'), [
      { id: 1, x: "a'b" },
      { id: 2, x: null },
    ]);
    await assertWritersEqual(cluster);
  });

  test('large objects have the same numbers and contents everywhere', async () => {
    const client = await proxy.connect();
    const oid = await value(client, "SELECT lo_from_bytea(0, '\\x0102')").catch(() => undefined);
    const given = await value(client, "SELECT lo_from_bytea(4711, '\\x030405')");
    assert.equal(given, 4711);
    await client.query("SELECT lo_put(4711, 1, '\\xff')");
    await assertWritersEqual(cluster);
    if (oid !== undefined) await client.query(`SELECT lo_unlink(${Number(oid)})`);
    await client.query('SELECT lo_unlink(4711)');
    await assertWritersEqual(cluster);
  });
});

concludeWrites(cluster);
