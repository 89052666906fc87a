/** 'today' is a moment to a column of moments, each server's own, and a word to a text. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, refusal, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
let client: pg.Client;

const SETUP = `
  CREATE TYPE state AS ENUM ('now', 'today', 'later');
  CREATE DOMAIN day AS date;
  CREATE DOMAIN label AS text CHECK (VALUE::date > '2000-01-01');
  CREATE TABLE task (id int PRIMARY KEY, word text, short varchar(20), padded char(20), tag name, state state, data jsonb,
    raw json, words text[], states state[], d date, at timestamptz, span tstzrange, dom day, l label, days date[]);
  CREATE VIEW open_task AS SELECT id, word, at, data FROM task WHERE word <> 'done'`;

before(async () => {
  client = await proxy.connect();
  await client.query(SETUP);
});

/** One row, full of words. */
async function fill(): Promise<void> {
  await client.query('DELETE FROM task');
  await client.query(
    `INSERT INTO task (id, word, short, padded, tag, state, data, words) VALUES (1, 'today', 'today', 'today', 'today', 'today', '"today"', '{today}')`,
  );
}

async function changed(text: string, values: readonly unknown[] = []): Promise<void> {
  await fill();
  const { rowCount } = await client.query(text, [...values]);
  assert.equal(rowCount, 1, text);
}

describe('words of time run on every writer', () => {
  const statements = [
    "UPDATE task SET word = 'now', short = 'now', padded = 'now', tag = 'now', state = 'now', data = '\"now\"', raw = '[\"now\"]'",
    "UPDATE task SET words = '{now,today}', states = '{now,today}' WHERE word = 'today'",
    "UPDATE task SET word = 'now' WHERE short = 'today' AND padded = 'today' AND tag = 'today' AND state = 'today'",
    "UPDATE task SET word = 'now' WHERE short IN ('today', 'tomorrow') AND data = '\"today\"' AND words = '{today}'",
    "UPDATE task SET word = coalesce(short, 'now'), short = CASE WHEN id = 1 THEN 'now' ELSE short END",
    "UPDATE task SET word = word || ' now' WHERE short LIKE 'today%'",
    "DELETE FROM task AS t WHERE t.word = 'today' AND NOT short <> 'today'",
    "UPDATE open_task SET word = 'now' WHERE word = 'today'",
  ];
  for (const text of statements) {
    test(text, async () => {
      await changed(text);
      await assertWritersEqual(cluster);
    });
  }

  test('as parameters, declared by nobody or as texts', async () => {
    const all = ['now', 'today'];
    await changed('UPDATE task SET word = $1 WHERE word = $2', all);
    await changed('UPDATE task SET padded = $1 WHERE tag = $2', all);
    await changed('UPDATE task SET word = coalesce($1, word) WHERE short IN ($2, $1)', all);
    await changed('UPDATE task SET state = $1 WHERE state = $2', all);
    await changed('UPDATE task SET word = $1 WHERE short = ANY ($2)', ['now', ['today', 'now']]);
    await changed('UPDATE task SET word = $1::text WHERE short = $2::varchar', all);
    for (let time = 0; time < 2; time++) {
      await fill();
      const text = 'UPDATE task SET data = $1, words = $2 WHERE word = $3 RETURNING word, words';
      const { rows } = await client.query({ name: 'declared', text, values: ['"now"', '{now}', 'today'] });
      assert.deepEqual(rows, [{ word: 'today', words: ['now'] }]);
    }
    await assertWritersEqual(cluster);
  });

  test('in rows that are inserted', async () => {
    await client.query("INSERT INTO task (id, word, state) VALUES (2, 'now', 'today'), (3, 'tomorrow', 'now')");
    await client.query('INSERT INTO task (id, word, at) VALUES (4, $1, $1::text::timestamptz)', ['now']);
    await client.query('INSERT INTO task (id, word, at) VALUES ($1, $2, $3)', [5, 'now', 'now']);
    const [row] = await sql(cluster.w2, "SELECT count(*)::int AS n FROM task WHERE word = 'now' AND id > 1");
    assert.deepEqual(row, { n: 3 });
    await assertWritersEqual(cluster);
  });
});

describe('moments are the lead’s on every writer', () => {
  const statements: Readonly<Record<string, readonly unknown[]>> = {
    "UPDATE task SET d = 'today'": [],
    "UPDATE task SET at = 'now'": [],
    "UPDATE task SET span = '[today,)'": [],
    "UPDATE task SET dom = 'today'": [],
    "UPDATE task SET l = 'today'": [],
    "UPDATE task SET days = '{today}'": [],
    "UPDATE task SET word = date 'today'": [],
    "UPDATE task SET word = 'today'::date": [],
    "DELETE FROM task WHERE at < 'tomorrow'": [],
    "DELETE FROM task WHERE word::date = 'today'": [],
    'UPDATE task SET d = $1': ['today'],
    'UPDATE task SET d = $1::text::date': ['today'],
    'UPDATE task SET word = $1, d = $1::text::date': ['today'],
    'UPDATE task SET word = $1::timestamptz': ['now'],
    'DELETE FROM task WHERE word = $1 AND at < $2': ['today', 'tomorrow'],
  };
  for (const [text, values] of Object.entries(statements)) {
    test(text, async () => {
      await fill();
      await client.query("UPDATE task SET at = '2001-02-03' WHERE id = 1");
      const { rowCount } = await client.query(text, [...values]);
      assert.equal(rowCount, 1, text);
      await assertWritersEqual(cluster);
    });
  }
});

describe('a plan that is known already', () => {
  test('gives the lead’s time where it stands in this text', async () => {
    await fill();
    for (const word of ['a', 'a longer word', '', 'it’s "now()"']) {
      await client.query(`UPDATE task SET word = '${word}', at = now(), d = CURRENT_DATE WHERE id = 1`);
      await assertWritersEqual(cluster);
    }
    for (const id of [10, 1000, 100000]) {
      await client.query(`INSERT INTO task (id, word, at) VALUES (${id}, 'x', CURRENT_TIMESTAMP)`);
    }
    await assertWritersEqual(cluster);
  });

  test('is not one for a parameter that holds a moment', async () => {
    await fill();
    const at = (value: string) => ({ name: 'moment', text: 'UPDATE task SET at = $1 WHERE id = 1', values: [value] });
    for (const value of ['2001-02-03', 'now', '2001-02-03', 'now']) {
      await client.query(at(value));
      await assertWritersEqual(cluster);
    }
  });
});

test('moments in a MERGE that deletes are the lead’s', async () => {
  await fill();
  await client.query("UPDATE task SET at = '2001-02-03' WHERE id = 1");
  const { rowCount } = await client.query(
    "MERGE INTO task USING (VALUES (1)) v (id) ON task.id = v.id WHEN MATCHED AND at < 'now' THEN DELETE",
  );
  assert.equal(rowCount, 1);
  await assertWritersEqual(cluster);
});

describe('moments are refused', () => {
  const statements: Readonly<Record<string, readonly unknown[]>> = {
    "UPDATE open_task SET at = 'now'": [],
    "UPDATE open_task SET word = 'now' WHERE at < 'tomorrow'": [],
    "EXPLAIN ANALYZE UPDATE task SET at = 'now'": [],
  };
  for (const [text, values] of Object.entries(statements)) {
    test(text, async () => {
      const error = await refusal(client.query(text, [...values]));
      assert.equal(error.code, '0A000');
      assert.match(error.message, /would not have the same effect on every writer: .*'(now|today|tomorrow)'/);
    });
  }

  test('where a user’s operator takes other types', async () => {
    await client.query(`
      CREATE FUNCTION is_of(varchar, date) RETURNS bool LANGUAGE sql IMMUTABLE RETURN $1::date = $2;
      CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = date, FUNCTION = is_of)`);
    try {
      await changed("UPDATE task SET word = 'later' WHERE short = 'today'::date");
      await assertWritersEqual(cluster);
      await changed("UPDATE task SET word = 'now'");
    } finally {
      await client.query('DROP OPERATOR = (varchar, date)');
    }
    await changed("UPDATE task SET word = 'later' WHERE short = 'today'");
    await assertWritersEqual(cluster);
  });
});

test('pg_sleep() returns nothing that could differ', async () => {
  await client.query("SELECT set_config('own.setting', 'x', false), pg_sleep(0)");
  assert.equal((await client.query("SELECT current_setting('own.setting') AS v")).rows[0]?.v, 'x');
  await changed("UPDATE task SET word = 'slept' WHERE pg_sleep(0) IS NOT NULL");
  await assertWritersEqual(cluster);
});
