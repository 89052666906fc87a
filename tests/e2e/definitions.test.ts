/** Definitions that change under transactions of this process and of others: whatever is committed is the same on every writer. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { formatGid } from '../../src/commit/gid.ts';
import { sql } from '../support/cluster.ts';
import { clusterDsn, startTestProxy, type TestProxy } from '../support/proxy.ts';
import { assertWritersEqual, refusal, startScene, until } from './scene.ts';

const scene = await startScene({}, { reader: false });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;
const elsewhere = await startTestProxy({ writers: cluster.writers.map(clusterDsn) });
after(() => elsewhere.stop());
const HANGS = { timeout: 120_000 };
/** Longer than a process takes what it knows for what is. */
const KNOWN_MS = 150;
let client: pg.Client;
let near: pg.Client;
let distant: pg.Client;

before(async () => {
  [client, near, distant] = [await proxy.connect(), await proxy.connect(), await elsewhere.connect()];
  await client.query(`CREATE TABLE t (id int PRIMARY KEY, n int, luck float8); INSERT INTO t VALUES (1, 0);
    CREATE TABLE aside (id int PRIMARY KEY); ${functionOf(0)}
    CREATE TABLE computed (id int PRIMARY KEY, v int GENERATED ALWAYS AS (f(id)) STORED)`);
});

function functionOf(version: number): string {
  return `CREATE OR REPLACE FUNCTION f(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN ${version}; END';`;
}

/** `work`, which is refused as to be tried again until it is not; how often it was. */
async function persistently(work: () => Promise<unknown>): Promise<number> {
  for (let refused = 0; ; refused++) {
    try {
      await work();
      return refused;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || error.code !== '40001') throw error;
      assert.ok(refused < 100, error.message);
    }
  }
}

/** The proxy that clients work through, and the one that definitions come through. */
type Pair = readonly [served: TestProxy, maker: TestProxy];

/** Eight clients who insert rows one by one while `maker` changes what they depend on. */
async function underLoad(insert: string, [served, maker]: Pair, changes: readonly string[]): Promise<void> {
  const definer = await maker.connect();
  const work = new AbortController();
  let id = 0;
  let stored = 0;
  const clients = Array.from({ length: 8 }, async () => {
    const own = await served.connect();
    for (; !work.signal.aborted; ) {
      const next = ++id;
      await persistently(() => own.query(insert, [next]));
      stored++;
    }
    await own.end();
  });
  for (const change of changes) {
    const before = stored;
    await persistently(() => definer.query(change));
    await until('some rows are stored', () => stored > before);
  }
  work.abort();
  await Promise.all(clients);
  await definer.end();
  assert.ok(stored >= changes.length, `${stored} rows`);
  await assertWritersEqual(cluster);
}

const onePhase = await startTestProxy({
  writers: cluster.writers.map(clusterDsn),
  settings: { commitMode: 'one-phase' },
});
after(() => onePhase.stop());
const makers: Readonly<Record<string, Pair>> = {
  'the same process': [proxy, proxy],
  'another process': [proxy, elsewhere],
  'the same process, in one phase': [onePhase, onePhase],
};
for (const [name, pair] of Object.entries(makers)) {
  describe(`what ${name} defines under load`, () => {
    test('a function that rows are computed by', HANGS, async () => {
      const versions = Array.from({ length: 12 }, (_, version) => functionOf(version + 1));
      await client.query('TRUNCATE computed');
      await underLoad('INSERT INTO computed (id) VALUES ($1)', pair, versions);
    });

    test('a default', HANGS, async () => {
      const changes = Array.from({ length: 12 }, (_, turn) =>
        turn % 2 === 0 ? 'SET DEFAULT random()' : 'DROP DEFAULT',
      );
      await client.query('DELETE FROM t WHERE id > 1');
      const texts = changes.map((change) => `ALTER TABLE t ALTER luck ${change}`);
      await underLoad('INSERT INTO t (id) VALUES ($1 + 1)', pair, texts);
    });
  });
}

describe('a transaction that is open while another process', () => {
  const LEVELS = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'];
  for (const level of LEVELS) {
    test(`replaces a function is rolled back, ${level}`, HANGS, async () => {
      await client.query(`BEGIN ISOLATION LEVEL ${level}; INSERT INTO aside VALUES (10)`);
      await persistently(() => distant.query(functionOf(100)));
      const error = await refusal(client.query('COMMIT'));
      assert.equal(error.code, '40001');
      assert.match(error.message, /a definition was changed before it was committed/);
      assert.deepEqual(await sql(w1, 'SELECT FROM aside WHERE id = 10'), [], 'nothing of it stands');
      await client.query('INSERT INTO aside VALUES (10); DELETE FROM aside WHERE id = 10');
    });

    test(`gives a default to a table that it uses only then, ${level}`, HANGS, async () => {
      await client.query('DELETE FROM t; INSERT INTO t (id, n) VALUES (100, 1); DELETE FROM t WHERE id = 100');
      await client.query(`BEGIN ISOLATION LEVEL ${level}; SELECT count(*) FROM aside`);
      await persistently(() => distant.query('ALTER TABLE t ALTER luck SET DEFAULT random()'));
      await client.query('INSERT INTO t (id, n) VALUES (100, 1)').catch(retriable);
      await client.query('COMMIT').catch(retriable);
      await assertWritersEqual(cluster);
      await client.query('DELETE FROM t WHERE id = 100');
      await persistently(() => client.query('INSERT INTO t (id, n) VALUES (101, 1)'));
      await assertWritersEqual(cluster);
      await client.query('DELETE FROM t WHERE id >= 100; ALTER TABLE t ALTER luck DROP DEFAULT');
    });
  }

  test('defines another table goes on, READ COMMITTED', HANGS, async () => {
    await client.query('BEGIN; INSERT INTO aside VALUES (11)');
    await persistently(() => distant.query('CREATE TABLE unrelated (id int)'));
    await client.query('INSERT INTO aside VALUES (12)');
    await sleep(KNOWN_MS);
    await client.query('COMMIT; DELETE FROM aside');
    await assertWritersEqual(cluster);
  });

  for (const level of LEVELS.slice(1))
    test(`defines another table is rolled back, ${level}`, HANGS, async () => {
      await client.query(`BEGIN ISOLATION LEVEL ${level}; INSERT INTO aside VALUES (11)`);
      await persistently(() => distant.query('DROP TABLE IF EXISTS unrelated; CREATE TABLE unrelated (id int)'));
      assert.equal((await refusal(client.query('COMMIT'))).code, '40001');
      await client.query(`BEGIN ISOLATION LEVEL ${level}; INSERT INTO aside VALUES (11); COMMIT; DELETE FROM aside`);
      await assertWritersEqual(cluster);
    });

  test('makes a table that hides the one it means is rolled back', HANGS, async () => {
    await client.query('CREATE SCHEMA IF NOT EXISTS front; SET search_path = front, public');
    await client.query('BEGIN; INSERT INTO aside VALUES (20)');
    await persistently(() => distant.query('CREATE TABLE front.aside (id int PRIMARY KEY)'));
    assert.equal((await refusal(client.query('COMMIT'))).code, '40001');
    await client.query('DROP SCHEMA front CASCADE; RESET search_path');
    await assertWritersEqual(cluster);
  });
});

describe('a transaction that is open, and has its work done everywhere, while the same process', () => {
  for (const level of ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']) {
    test(`replaces a function goes on, ${level}`, HANGS, async () => {
      await client.query('TRUNCATE computed');
      await near.query(functionOf(1));
      await client.query(`BEGIN ISOLATION LEVEL ${level}; INSERT INTO computed (id) VALUES (1)`);
      await sleep(KNOWN_MS);
      await near.query(functionOf(2));
      await client.query('COMMIT');
      assert.deepEqual(await sql(w1, 'SELECT v FROM computed'), [{ v: 1 }]);
      await assertWritersEqual(cluster);
    });
  }

  test('replaces a function, and then computes by it, READ COMMITTED', HANGS, async () => {
    await client.query('TRUNCATE computed');
    await near.query(functionOf(1));
    await client.query('BEGIN; INSERT INTO computed (id) VALUES (1)');
    await sleep(KNOWN_MS);
    await near.query(functionOf(2));
    await client.query('INSERT INTO computed (id) VALUES (2); COMMIT');
    assert.deepEqual(await sql(w1, 'SELECT v FROM computed ORDER BY id'), [{ v: 1 }, { v: 2 }]);
    await assertWritersEqual(cluster);
  });

  test('replaces a function does not do anew on a follower what was over, READ COMMITTED', HANGS, async () => {
    await client.query(
      'TRUNCATE computed; CREATE TABLE up (id int PRIMARY KEY); CREATE TABLE down (up int REFERENCES up)',
    );
    await near.query(functionOf(1));
    await client.query('BEGIN; INSERT INTO computed (id) VALUES (1)');
    await sleep(KNOWN_MS);
    await near.query(functionOf(2));
    // What the lead shows, and the follower has only prepared: whoever misses it there begins anew when it is over.
    const [control] = await sql(w1, 'SELECT system_identifier::text AS id FROM pg_control_system()');
    const [database] = await sql(w1, 'SELECT oid::text FROM pg_database WHERE datname = current_database()');
    const home = { systemIdentifier: String(control?.['id']), databaseOid: String(database?.['oid']) };
    const gid = formatGid({ home, id: randomUUID(), follower: 0 });
    await sql(w2, `BEGIN; INSERT INTO up VALUES (1); PREPARE TRANSACTION '${gid}'`);
    await sql(w1, 'INSERT INTO up VALUES (1)');
    const behind = client.query('INSERT INTO down VALUES (1); SELECT 1');
    await sleep(KNOWN_MS);
    await sql(w2, `COMMIT PREPARED '${gid}'`);
    await behind.then(() => client.query('COMMIT')).catch(() => client.query('ROLLBACK'));
    await assertWritersEqual(cluster);
    await client.query('DROP TABLE down, up');
  });

  test('replaces a function is rolled back where it has computed by both, REPEATABLE READ', HANGS, async () => {
    await client.query('TRUNCATE computed');
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; INSERT INTO computed (id) VALUES (1)');
    await near.query(functionOf(3));
    await client.query('INSERT INTO computed (id) VALUES (2)');
    assert.equal((await refusal(client.query('COMMIT'))).code, '40001');
    await assertWritersEqual(cluster);
  });
});

test('in one phase a transaction that reads an older state is of the definitions of its beginning', HANGS, async () => {
  const [own, other] = [await onePhase.connect(), await onePhase.connect()];
  await own.query('DELETE FROM t');
  for (const level of ['REPEATABLE READ', 'SERIALIZABLE']) {
    await own.query(`BEGIN ISOLATION LEVEL ${level}; SELECT count(*) FROM aside`);
    await other.query('ALTER TABLE t ALTER luck SET DEFAULT random()');
    await own.query('INSERT INTO t (id) VALUES (100)').catch(retriable);
    await own.query('COMMIT').catch(retriable);
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w1, 'SELECT FROM t'), []);
    await own.query('INSERT INTO t (id) VALUES (100); DELETE FROM t; ALTER TABLE t ALTER luck DROP DEFAULT');
  }
  await Promise.all([own.end(), other.end()]);
});

function retriable(error: unknown): void {
  assert.ok(error instanceof pg.DatabaseError && error.code === '40001', String(error));
}

describe('what another process has defined', () => {
  test('is known to the next transaction', HANGS, async () => {
    for (const definition of ['SET DEFAULT random()', 'DROP DEFAULT', 'SET DEFAULT random()', 'DROP DEFAULT']) {
      await client.query('INSERT INTO t (id) VALUES (200); DELETE FROM t WHERE id = 200');
      await persistently(() => distant.query(`ALTER TABLE t ALTER luck ${definition}`));
      // What was confirmed a moment ago is taken as it is, and told to be old.
      await persistently(() => client.query('INSERT INTO t (id) VALUES (200)'));
      await assertWritersEqual(cluster);
      await client.query('DELETE FROM t WHERE id = 200');
    }
  });

  test('is counted where no transaction holds it', HANGS, async () => {
    const counted = async (): Promise<unknown> =>
      (await sql(w1, 'SELECT sum(relations)::int AS n FROM pprox.definition'))[0]?.['n'];
    const before = Number(await counted());
    await persistently(() => distant.query('CREATE INDEX CONCURRENTLY beside ON t (n)'));
    await persistently(() => distant.query('DROP INDEX CONCURRENTLY beside'));
    assert.equal(await counted(), before + 2);
  });

  test('and by functions is counted, and nothing else is', HANGS, async () => {
    const counted = async (): Promise<unknown> =>
      (await sql(w1, "SELECT sum(relations) || ' ' || sum(objects) AS n FROM pprox.definition"))[0]?.['n'];
    await persistently(() =>
      client.query(
        `CREATE OR REPLACE FUNCTION make() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE TABLE by_function (id int); END'`,
      ),
    );
    const [relations, objects] = String(await counted())
      .split(' ')
      .map(Number);
    await client.query(
      "TRUNCATE aside; ANALYZE aside; COMMENT ON TABLE aside IS 'c'; NOTIFY x; INSERT INTO aside VALUES (1)",
    );
    assert.equal(await counted(), `${relations} ${objects}`);
    await client.query('SELECT make()');
    await near.query('CREATE TABLE made (id int)');
    await near.query('DROP TABLE made');
    await near.query('BEGIN; CREATE TABLE never (id int); ROLLBACK');
    assert.equal(await counted(), `${Number(relations) + 2} ${Number(objects) + 1}`);
  });
});
