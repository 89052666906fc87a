/** Constraints that PostgreSQL checks when a statement has done all its rows: on followers these are one statement, too. */
import assert from 'node:assert/strict';
import { afterEach, before, test } from 'node:test';
import type pg from 'pg';
import { assertWritersEqual, refusal, startScene, value } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 120_000 };
let client: pg.Client;

/** With PAD more than one batch, and less than a statement takes. */
const ROWS = 10_000;
const PAD = "repeat('x', 100)";

before(async () => {
  client = await proxy.connect();
  await client.query(`CREATE TABLE tree (id int PRIMARY KEY, parent int REFERENCES tree, nr serial, pad text);
    CREATE TABLE place (id int PRIMARY KEY, pos int UNIQUE DEFERRABLE INITIALLY IMMEDIATE, pad text);
    CREATE TABLE span (id int PRIMARY KEY, r int4range, pad text, EXCLUDE USING gist (r WITH &&) DEFERRABLE)`);
});

afterEach(async () => {
  await assertWritersEqual(cluster);
  await client.query('TRUNCATE tree, place, span');
});

/** The last rows come first, and refer to those in front of them. */
const growTree = (rows: number): string =>
  `INSERT INTO tree (id, parent, pad) SELECT g, nullif(g - 1, 0), ${PAD} FROM generate_series(${rows}, 1, -1) g`;

test('children before their parents, and all of them gone again', HANGS, async () => {
  await client.query(growTree(ROWS));
  assert.equal(await value(client, 'SELECT count(*)::int FROM tree'), ROWS);
  await client.query('UPDATE tree SET parent = id, pad = coalesce(parent, 0)::text || random() WHERE id > 0');
  await client.query('DELETE FROM tree WHERE length(pad) > 0');
  assert.equal(await value(client, 'SELECT count(*)::int FROM tree'), 0);
});

test('unique values that move on by one', HANGS, async () => {
  await client.query(`INSERT INTO place SELECT g, g, ${PAD} FROM generate_series(1, ${3 * ROWS}) g`);
  await client.query('UPDATE place SET pos = pos + 1');
  assert.equal(await value(client, 'SELECT max(pos) FROM place'), 3 * ROWS + 1);
});

test('spans that move into the place of their neighbours', HANGS, async () => {
  await client.query(`INSERT INTO span SELECT g, int4range(g, g + 1), ${PAD} FROM generate_series(1, ${ROWS}) g`);
  await client.query('UPDATE span SET r = int4range(lower(r) + 1, upper(r) + 1), pad = pad || pad || pad');
  assert.equal(await value(client, 'SELECT max(upper(r)) FROM span'), ROWS + 2);
});

test('rows of any number where no value is given that is looked at', HANGS, async () => {
  await client.query(`INSERT INTO tree (id, pad) SELECT g, ${PAD} FROM generate_series(1, ${8 * ROWS}) g`);
  await client.query('UPDATE tree SET pad = pad || nr WHERE id > 0');
  assert.equal(await value(client, 'SELECT count(*)::int FROM tree'), 8 * ROWS);
});

test('more rows than one statement takes are refused, and nothing is left', HANGS, async () => {
  const error = await refusal(client.query(growTree(8 * ROWS)));
  assert.equal(error.code, '0A000');
  assert.match(error.message, /^too many rows at once for a table with a constraint/);
  assert.equal(await value(client, 'SELECT count(*)::int FROM tree'), 0);
  await client.query(growTree(10));
});
