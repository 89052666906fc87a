/** What a function leaves its session with decides what the next statement means; one that leaves nothing costs the next statement nothing. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { copyIn } from '../support/copy-in.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { startRelay } from '../support/tls-relays.ts';
import { assertWritersEqual, outcome, startScene, value } from './scene.ts';

const scene = await startScene({}, { reader: false });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`CREATE ROLE far; CREATE SCHEMA far; GRANT ALL ON SCHEMA far, public TO far;
    CREATE TABLE public.x (id int PRIMARY KEY, v float8 DEFAULT 1);
    CREATE TABLE far.x (id int PRIMARY KEY, v float8 DEFAULT random()); GRANT ALL ON ALL TABLES IN SCHEMA public, far TO far;
    CREATE TABLE t (id int PRIMARY KEY, v text); GRANT ALL ON t TO far;
    CREATE FUNCTION harmless(at int) RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET v = 'seen' WHERE id = at; END $$`);
});

/** What is known of x is of the search_path before it. */
const WARM = 'INSERT INTO x (id) VALUES (3)';

describe('what is stored next is the same on every writer, and what PostgreSQL would store, behind', () => {
  const moves = `PERFORM set_config('search_path', 'far, public', false)`;
  /** Statements that leave the session with another table x, by a function with this body. */
  const ways: Readonly<Record<string, readonly [body: string, statements: readonly string[]]>> = {
    'a function in a SELECT': [moves, ['SELECT moves()']],
    'a function in a SELECT of a block': [moves, ['BEGIN', 'SELECT moves()', 'COMMIT']],
    'a function in an INSERT': [moves, ['INSERT INTO t SELECT 100, moves()::text']],
    'a function in an UPDATE': [moves, ['UPDATE t SET v = moves()::text WHERE id = 1']],
    'a DO block': [moves, [`DO $$ BEGIN ${moves}; END $$`]],
    'a procedure': [
      moves,
      [`CREATE PROCEDURE go() LANGUAGE plpgsql AS 'BEGIN PERFORM moves(); END'`, 'CALL go()', 'DROP PROCEDURE go()'],
    ],
    'a function in a prepared statement': [moves, ['PREPARE p AS SELECT moves()', 'EXECUTE p']],
    'SET in a function': ['SET search_path = far, public', ['SELECT moves()']],
    'a role that is set': [
      `SET ROLE far; PERFORM set_config('search_path', '"$user", public', false)`,
      ['SET search_path = "$user", public', WARM, 'SELECT moves()'],
    ],
    'a role alone': ['SET ROLE far', ['SET search_path = "$user", public', WARM, 'SELECT moves()']],
    'a session authorization': [
      'SET SESSION AUTHORIZATION far',
      ['SET search_path = "$user", public', WARM, 'SELECT moves()'],
    ],
    'a trigger': [
      moves,
      [
        `CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM moves(); RETURN NEW; END'`,
        'CREATE TRIGGER fire BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION fire()',
        "UPDATE t SET v = 'fired' WHERE id = 1",
      ],
    ],
  };
  for (const [name, [body, statements]] of Object.entries(ways))
    test(name, HANGS, async () => {
      await client.query(`TRUNCATE public.x, far.x, t; INSERT INTO t VALUES (1, 'old');
        CREATE FUNCTION moves() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ${body}; END $$`);
      const own = await proxy.connect();
      await own.query('SELECT harmless(1)');
      await own.query('INSERT INTO x (id) VALUES (1)');
      for (const statement of statements) await own.query(statement);
      await own.query('INSERT INTO x (id) VALUES (2)');
      assert.equal(await value(client, 'SELECT count(*) FROM far.x WHERE id = 2'), '1');
      await own.end();
      await assertWritersEqual(cluster);
      await client.query('DROP TRIGGER IF EXISTS fire ON t; DROP FUNCTION IF EXISTS fire(), moves()');
    });

  test('a function that has been rolled back', HANGS, async () => {
    await client.query(
      `TRUNCATE public.x, far.x; CREATE FUNCTION moves() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ${moves}; END $$`,
    );
    const own = await proxy.connect();
    await own.query('BEGIN; SELECT moves()');
    await own.query('INSERT INTO x (id) VALUES (1)');
    await own.query('ROLLBACK');
    await own.query('INSERT INTO x (id) VALUES (2)');
    await own.query('BEGIN; SAVEPOINT s; SELECT moves(); ROLLBACK TO s');
    await own.query('INSERT INTO x (id) VALUES (3); COMMIT');
    assert.equal(await value(client, 'SELECT count(*) FROM public.x'), '2');
    await own.end();
    await assertWritersEqual(cluster);
    await client.query('DROP FUNCTION moves()');
  });

  test('a function that has made a temporary table', HANGS, async () => {
    await client.query(`TRUNCATE public.x, far.x; CREATE FUNCTION hides() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      CREATE TEMP TABLE x (id int PRIMARY KEY, v float8 DEFAULT random()); END $$`);
    const own = await proxy.connect();
    const found = await outcome(own.query('SELECT hides()'));
    assert.equal(found, '0A000', 'it cannot be prepared');
    await own.query('INSERT INTO x (id) VALUES (1)');
    assert.equal(await value(client, 'SELECT count(*) FROM public.x'), '1');
    await own.end();
    await assertWritersEqual(cluster);
  });
});

describe('what triggers leave with their server session is not for the next client, where it fires', () => {
  const fired: Readonly<Record<string, readonly [when: string, statement: string]>> = {
    'by a COPY': ['BEFORE INSERT ON left_behind FOR EACH ROW', 'COPY left_behind FROM STDIN'],
    'at COMMIT': [
      'AFTER INSERT ON left_behind DEFERRABLE INITIALLY DEFERRED FOR EACH ROW',
      'INSERT INTO left_behind VALUES (1)',
    ],
  };
  for (const [name, [when, statement]] of Object.entries(fired))
    test(name, HANGS, async () => {
      await client.query(`CREATE TABLE left_behind (id int PRIMARY KEY);
        CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('app.tenant', 'alice', false); RETURN NEW; END $$;
        CREATE ${when.startsWith('AFTER') ? 'CONSTRAINT ' : ''}TRIGGER leave ${when} EXECUTE FUNCTION leave()`);
      const own = await proxy.connect();
      if (statement.startsWith('COPY')) await copyIn(own, statement, '1\n');
      else await own.query(statement);
      await own.end();
      for (let next = 0; next < 4; next++) {
        const stranger = await proxy.connect();
        const left = "SELECT coalesce(current_setting('app.tenant', true), '') AS left FROM t LIMIT 1 FOR UPDATE";
        assert.deepEqual((await stranger.query(left)).rows, [{ left: '' }]);
        await stranger.end();
      }
      await assertWritersEqual(cluster);
      await client.query('DROP TABLE left_behind; DROP FUNCTION leave()');
    });
});

test('a temporary table that a trigger makes in one phase hides nothing from other clients', HANGS, async () => {
  const single = await startTestProxy({
    writers: cluster.writers.map(clusterDsn),
    settings: { commitMode: 'one-phase', poolSize: 1 },
  });
  after(() => single.stop());
  await client.query(`CREATE TABLE kept (id int PRIMARY KEY); CREATE TABLE fires (id int PRIMARY KEY);
    CREATE FUNCTION hide() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN CREATE TEMP TABLE kept (id int PRIMARY KEY); RETURN NEW; END $$;
    CREATE TRIGGER hide BEFORE INSERT ON fires FOR EACH ROW EXECUTE FUNCTION hide()`);
  const own = await single.connect();
  await own.query('INSERT INTO fires VALUES (1)');
  await own.end();
  const stranger = await single.connect();
  await stranger.query('INSERT INTO kept VALUES (1)');
  await stranger.query('INSERT INTO fires VALUES (2)');
  await stranger.end();
  assert.equal(await value(client, 'SELECT count(*) FROM kept'), '1');
  await assertWritersEqual(cluster);
});

test('the catalog is not read again for a function that has left nothing', HANGS, async () => {
  const relay = await startRelay(w1);
  const own = await startTestProxy({
    writers: [`postgresql://postgres@127.0.0.1:${relay.port}`, clusterDsn(w2)],
  });
  after(() => own.stop());
  const caller = await own.connect();
  const questions = (): number =>
    Buffer.concat(relay.sent).toString('latin1').split('WITH RECURSIVE declared').length - 1;
  await caller.query('SELECT harmless(1)');
  const asked = questions();
  assert.ok(asked > 0, 'the first one asks');
  // Whatever is kept of it is for a while: it is asked for once more at most.
  for (let again = 0; again < 5; again++) await caller.query('SELECT harmless(1)');
  assert.ok(questions() <= asked + 1, `${questions() - asked} questions more for five calls`);
});
