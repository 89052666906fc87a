/** What stands behind rules and views, and varies: the same on every writer, or refused; never another effect unseen. */
import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, outcome, startScene, until } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };

/** `s` stands in another order on the follower. */
const SCHEMA = `DROP SCHEMA public CASCADE; CREATE SCHEMA public;
  CREATE TABLE t (id int PRIMARY KEY, v int, w text, at timestamptz); CREATE VIEW tv AS SELECT * FROM t;
  CREATE TABLE l (id int, r float8); CREATE TABLE s (id int PRIMARY KEY, pad text);
  INSERT INTO t SELECT g, g FROM generate_series(1, 20) g; INSERT INTO s SELECT g, 'row ' || g FROM generate_series(1, 20) g;
  CREATE FUNCTION lucky() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.r := random(); RETURN NEW; END'`;

let client: pg.Client;

beforeEach(async () => {
  client = await proxy.connect();
  await client.query(SCHEMA);
  await sql(w2, 'UPDATE s SET pad = pad WHERE id < 10');
});

const also = (event: string, rest: string): string => `CREATE RULE r AS ON ${event} TO t ${rest}`;
const noted = 'DO ALSO INSERT INTO l (id) VALUES (NEW.id)';
const ONE = 'UPDATE t SET v = v + 1 WHERE id = 1';

interface Ruled {
  readonly made: string;
  readonly texts: Readonly<Record<string, 'ok' | '0A000'>>;
}

const ruled: readonly Ruled[] = [
  {
    made: also('UPDATE', `WHERE random() < 0.5 ${noted}`),
    texts: { 'UPDATE t SET v = v + 1': '0A000', [ONE]: '0A000', 'UPDATE tv SET v = 1': '0A000', 'DELETE FROM t': 'ok' },
  },
  {
    made: also('INSERT', `WHERE random() < 0.5 ${noted}`),
    texts: { 'INSERT INTO tv VALUES (30)': '0A000', [ONE]: 'ok' },
  },
  // Words of the rule stand in quotes, too.
  {
    made: `CREATE RULE "x DO y" AS ON UPDATE TO t WHERE NEW.w = E'\\\\'' DO it WHERE ' OR random() < 0.5 ${noted}`,
    texts: { [ONE]: '0A000' },
  },
  {
    made: also('UPDATE', `WHERE NEW.w = ' DO it' ${noted}`),
    texts: { [ONE]: 'ok', "UPDATE t SET w = ' DO it'": 'ok' },
  },
  { made: also('UPDATE', 'DO ALSO NOTIFY rung'), texts: { 'DELETE FROM t WHERE id = 2': 'ok' } },
  { made: also('DELETE', 'DO INSTEAD NOTHING'), texts: { 'DELETE FROM t': 'ok', [ONE]: 'ok' } },
  ...['now()', 'clock_timestamp()', 'timeofday()::timestamptz'].map((value) => ({
    made: `ALTER TABLE l ADD at timestamptz DEFAULT ${value}; ${also('UPDATE', noted)}`,
    texts: { [ONE]: '0A000', 'INSERT INTO t VALUES (30)': 'ok', 'DELETE FROM t WHERE id = 2': 'ok' } as const,
  })),
  { made: `ALTER TABLE l ALTER r SET DEFAULT random(); ${also('UPDATE', noted)}`, texts: { [ONE]: '0A000' } },
  { made: `ALTER TABLE l ADD u serial; ${also('INSERT', noted)}`, texts: { 'INSERT INTO t VALUES (30)': '0A000' } },
  {
    made: `CREATE DOMAIN luck AS float8 DEFAULT random(); CREATE TABLE d (id int, r luck); ${also('UPDATE', 'DO ALSO INSERT INTO d (id) VALUES (NEW.id)')}`,
    texts: { [ONE]: '0A000' },
  },
  {
    made: `CREATE DOMAIN luck AS float8 DEFAULT random(); CREATE TABLE d (id int, r luck); INSERT INTO d VALUES (1, 0);
      ${also('UPDATE', 'DO ALSO UPDATE d SET r = DEFAULT')}`,
    texts: { [ONE]: '0A000' },
  },
  {
    made: `CREATE TRIGGER lucky BEFORE INSERT ON l FOR EACH ROW EXECUTE FUNCTION lucky(); ${also('UPDATE', noted)}; CREATE RULE i AS ON INSERT TO t ${noted}`,
    texts: {
      [ONE]: 'ok',
      'UPDATE t SET v = v + 1': 'ok',
      'INSERT INTO t VALUES (30)': 'ok',
      'INSERT INTO tv VALUES (31)': 'ok',
    },
  },
  {
    made: `CREATE TABLE kept (id serial PRIMARY KEY, of int);
      CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO kept (of) VALUES (NEW.id); RETURN NEW; END';
      CREATE TRIGGER keep AFTER INSERT ON l FOR EACH ROW EXECUTE FUNCTION keep(); ${also('UPDATE', noted)}`,
    texts: { [ONE]: 'ok', 'UPDATE t SET v = v + 1': 'ok' },
  },
  {
    made: `CREATE TABLE lg (pad text); ${also('UPDATE', 'DO ALSO INSERT INTO lg SELECT pad FROM s LIMIT 1')}`,
    texts: { [ONE]: '0A000', 'DELETE FROM t WHERE id = 2': 'ok' },
  },
  {
    made: `CREATE TABLE lg (pad text); ${also('UPDATE', 'DO ALSO INSERT INTO lg SELECT string_agg(pad, NULL) FROM s')}`,
    texts: { [ONE]: '0A000' },
  },
  {
    made: `CREATE TABLE lg (at timestamptz); ${also('UPDATE', 'DO ALSO INSERT INTO lg VALUES (NEW.w::timestamptz)')}`,
    texts: { "UPDATE t SET w = 'now' WHERE id = 1": '0A000' },
  },
  {
    made: `CREATE TABLE lg (day date, at text); ${also('UPDATE', 'DO ALSO INSERT INTO lg VALUES (NEW.at::date, CURRENT_USER)')}`,
    texts: { "UPDATE t SET at = '2026-01-01 12:00' WHERE id = 1": 'ok' },
  },
  {
    made: `CREATE VIEW vl AS SELECT pad FROM s LIMIT 1; CREATE VIEW sv AS SELECT * FROM s; CREATE VIEW vvl AS SELECT pad FROM vl`,
    texts: {
      'UPDATE tv SET w = (SELECT pad FROM vl)': '0A000',
      'UPDATE tv SET w = (SELECT pad FROM vvl)': '0A000',
      'DELETE FROM sv WHERE pad = (SELECT pad FROM vl)': '0A000',
      'UPDATE t SET w = (SELECT pad FROM vl)': 'ok',
      'INSERT INTO t SELECT 40, 1, pad FROM vl': 'ok',
      'DELETE FROM s WHERE pad = (SELECT pad FROM vl)': 'ok',
      'CREATE TABLE made AS SELECT id FROM t': 'ok',
    },
  },
  {
    made: `CREATE VIEW vd AS SELECT DISTINCT ON (length(pad)) pad FROM s; CREATE VIEW vw AS SELECT pad, row_number() OVER () AS place FROM s`,
    texts: {
      'UPDATE tv SET w = (SELECT max(pad) FROM vd)': '0A000',
      'UPDATE tv SET w = (SELECT pad FROM vw WHERE place = 1)': '0A000',
    },
  },
  {
    made: `CREATE TABLE bare (id int PRIMARY KEY, r float8); CREATE VIEW bv AS SELECT * FROM bare; CREATE TRIGGER lucky BEFORE INSERT OR UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION lucky()`,
    texts: {
      'INSERT INTO bv VALUES (1)': 'ok',
      'UPDATE bv SET id = 2 WHERE id = 1': 'ok',
      'WITH w AS (INSERT INTO bv VALUES (3)) UPDATE t SET v = 1 WHERE id = 1': 'ok',
    },
  },
  // Any of several rows.
  {
    made: 'SELECT',
    texts: {
      'UPDATE tv SET w = s.pad FROM s WHERE length(s.pad) > 3': 'ok',
      'WITH d AS (UPDATE t SET w = s.pad FROM s WHERE length(s.pad) > 3 RETURNING t.id) SELECT count(*) FROM d': 'ok',
    },
  },
  {
    made: `INSERT INTO l VALUES (1, 0); ${also('UPDATE', 'DO ALSO UPDATE l SET r = s.id FROM s')}`,
    texts: { [ONE]: 'ok' },
  },
  {
    made: `CREATE VIEW alone AS SELECT id FROM l; CREATE RULE r AS ON INSERT TO alone DO INSTEAD INSERT INTO l VALUES (NEW.id, random())`,
    texts: { 'WITH w AS (INSERT INTO alone VALUES (3)) UPDATE t SET v = 1 WHERE id = 1': '0A000' },
  },
  {
    made: `CREATE TABLE child (id int PRIMARY KEY, t int REFERENCES t ON DELETE CASCADE); INSERT INTO child VALUES (1, 1), (2, 2);
      CREATE RULE r AS ON DELETE TO child DO ALSO INSERT INTO l VALUES (OLD.id, random())`,
    texts: { 'DELETE FROM t WHERE id = 1': 'ok', 'DELETE FROM t WHERE id = 5': 'ok' },
  },
];

describe('what varies behind a rule or a view', () => {
  for (const { made, texts } of ruled) {
    test(made.replace(/\s+/g, ' '), HANGS, async () => {
      await client.query(made);
      for (const [text, expected] of Object.entries(texts)) {
        const found = await outcome(client.query(text));
        await assertWritersEqual(cluster);
        assert.equal(found, expected, text);
      }
    });
  }
});

test('what a rule looks at is not changed by others until the transaction has ended', HANGS, async () => {
  await client.query(`CREATE TABLE lg (n int, r int); CREATE RULE u AS ON UPDATE TO t DO ALSO INSERT INTO lg VALUES ((SELECT count(*) FROM s), NEW.id);
    CREATE RULE i AS ON INSERT TO t DO ALSO INSERT INTO lg VALUES ((SELECT count(*) FROM s), NEW.id)`);
  const other = await proxy.connect();
  for (const text of [ONE, 'INSERT INTO t VALUES (50)']) {
    await client.query('BEGIN');
    await client.query(text);
    let over: 'waiting' | 'over' = 'waiting';
    const waiting = other.query('DELETE FROM s WHERE id IN (SELECT min(id) FROM s)').then(() => (over = 'over'));
    await until('the other waits on the lead', async () => {
      const [row] = await sql(w1, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
      return row?.['n'] === 1;
    });
    await sleep(20);
    assert.equal(over, 'waiting');
    await client.query('COMMIT');
    await waiting;
    await assertWritersEqual(cluster);
  }
  await other.end();
});
