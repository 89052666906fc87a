/**
 * Definitions that change between the lead and a follower: the follower is held until they have, so that the statement runs there by what is
 * defined later. Alone it is run once more; in a block its client is told 40001, or its effect is the same.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Server } from '../../src/embedded/server.ts';
import { sql } from '../support/cluster.ts';
import { type NetworkRelay, startNetworkRelay } from '../support/network-relay.ts';
import { clusterDsn, startTestProxy, type TestProxy } from '../support/proxy.ts';
import { assertWritersEqual, outcome, refusal, startScene, until, value } from './scene.ts';

const scene = await startScene({}, { reader: false });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;
const elsewhere = await startTestProxy({ writers: cluster.writers.map(clusterDsn) });
after(() => elsewhere.stop());
/** Whose clients log in as themselves. */
const open = await startTestProxy({ writers: cluster.writers.map(({ port }) => `postgresql://127.0.0.1:${port}`) });
after(() => open.stop());
const HANGS = { timeout: 120_000 };
/** Longer than a process takes what it knows for what is. */
const KNOWN_MS = 150;
let client: pg.Client;
let makers: Readonly<Record<string, pg.Client>>;

before(async () => {
  client = await proxy.connect();
  makers = { 'the same process': await proxy.connect(), 'another process': await elsewhere.connect() };
  for (const writer of [w1, w2])
    await sql(
      writer,
      'CREATE ROLE app LOGIN; CREATE ROLE apart; GRANT apart TO app; GRANT ALL ON SCHEMA public TO app, apart',
    );
  await reset();
});

async function reset(): Promise<void> {
  await client.query(
    `DROP SCHEMA IF EXISTS front CASCADE; DROP TABLE IF EXISTS t, aside, computed, held; DROP DOMAIN IF EXISTS amount`,
  );
  await client.query(`${functionOf(1)}; CREATE DOMAIN amount AS int DEFAULT 1; CREATE TABLE held (id int PRIMARY KEY);
    CREATE TABLE t (id int PRIMARY KEY, luck float8); CREATE TABLE aside (id int PRIMARY KEY); INSERT INTO aside VALUES (100);
    CREATE TABLE computed (id int PRIMARY KEY, v int GENERATED ALWAYS AS (f(id)) STORED); GRANT ALL ON t, aside, computed TO app, apart`);
  await sleep(KNOWN_MS);
}

function functionOf(version: number): string {
  return `CREATE OR REPLACE FUNCTION f(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN ${version}; END'`;
}

function timesRunAgain(): number {
  return [...proxy.lines, ...open.lines].filter(({ event }) => event === 'run once more').length;
}

async function persistently(work: () => Promise<unknown>): Promise<void> {
  await until('it is not refused', async () => {
    const found = await outcome(work());
    assert.ok(found === 'ok' || found === '40001', found);
    return found === 'ok';
  });
}

/** `work` waits on the server for a table, until `meanwhile` is done. */
async function heldOn(
  server: Server,
  table: string,
  work: () => Promise<unknown>,
  meanwhile: () => Promise<unknown>,
): Promise<string> {
  const holder = new pg.Client({ host: server.host, port: server.port, user: 'postgres', database: 'postgres' });
  await holder.connect();
  await holder.query(`BEGIN; LOCK TABLE ${table} IN SHARE MODE`);
  const found = outcome(work());
  await until('it waits there', async () => {
    const [row] = await sql(server, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
    return Number(row?.['n']) > 0;
  });
  await meanwhile();
  await holder.query('ROLLBACK');
  await holder.end();
  return found;
}

const LEVELS = ['READ COMMITTED', 'REPEATABLE READ'] as const;

interface Meanwhile {
  readonly statement: string;
  readonly definition: string;
  readonly table?: string;
  readonly before?: string;
}

const cases: Readonly<Record<string, Meanwhile>> = {
  'a table that hides the one that is emptied': {
    before: 'CREATE SCHEMA front',
    statement: 'TRUNCATE aside',
    definition: 'CREATE TABLE front.aside (id int PRIMARY KEY)',
  },
  'a table that hides the one that is dropped': {
    before: 'CREATE SCHEMA front',
    statement: 'DROP TABLE aside',
    definition: 'CREATE TABLE front.aside (id int PRIMARY KEY)',
  },
  'a schema that is searched first': {
    statement: 'CREATE TABLE made AS SELECT id FROM aside',
    definition: 'CREATE SCHEMA front',
  },
  'the right to search a schema first': {
    before: 'CREATE SCHEMA front; CREATE TABLE front.aside (id int PRIMARY KEY); GRANT ALL ON front.aside TO app',
    statement: 'INSERT INTO aside VALUES (1)',
    definition: 'GRANT USAGE ON SCHEMA front TO app',
  },
  'a function that fills a new column': {
    statement: 'ALTER TABLE aside ADD COLUMN z int DEFAULT f(1)',
    definition: functionOf(2),
  },
  'a default of the type of a new column': {
    statement: 'ALTER TABLE aside ADD COLUMN z amount',
    definition: 'ALTER DOMAIN amount SET DEFAULT 2',
  },
  'a function of a generated column': {
    statement: 'INSERT INTO computed (id) VALUES (1)',
    definition: functionOf(2),
    table: 'computed',
  },
};

describe('a statement that a follower runs behind', () => {
  const variants = [
    ['the same process', 'in a block'],
    ['another process', 'in a block'],
    ['another process', 'alone'],
  ] as const;
  for (const [what, { statement, definition, table = 'aside', before: first }] of Object.entries(cases))
    for (const [whose, where] of variants)
      test(`${what}, by ${whose}, ${where}`, HANGS, async () => {
        await reset();
        if (first !== undefined) await client.query(first);
        const maker = makers[whose];
        assert.ok(maker !== undefined);
        const own = await (what.includes('right') ? open.connect({ user: 'app' }) : proxy.connect());
        await own.query('SET search_path = front, public');
        // CREATE TABLE AS is held where the follower reads what it is compared by.
        const held = statement.startsWith('CREATE') ? 'pg_catalog.pg_class' : `public.${table}`;
        if (held === `public.${table}`) {
          if (where === 'in a block') await own.query('BEGIN');
          const work = async (): Promise<void> => {
            await own.query(statement);
            if (where === 'in a block') await own.query('COMMIT');
          };
          const define = (): Promise<void> => persistently(() => maker.query(definition));
          const before = timesRunAgain();
          assert.equal(await heldOn(w2, held, work, define), where === 'alone' ? 'ok' : '40001');
          if (where === 'alone') assert.equal(timesRunAgain() - before, 1, 'it has failed, and was run once more');
        } else {
          await Promise.all([outcome(own.query(statement)), persistently(() => maker.query(definition))]);
        }
        await own.end();
        await assertWritersEqual(cluster);
        await client.query('DROP TABLE IF EXISTS made');
      });

  test('what is left for COMMIT is not over before', HANGS, async () => {
    await reset();
    const maker = makers['the same process'];
    assert.ok(maker !== undefined);
    await client.query('BEGIN; INSERT INTO aside VALUES (1)');
    await sleep(KNOWN_MS);
    const work = (): Promise<unknown> => client.query('SAVEPOINT s; INSERT INTO computed (id) VALUES (1); COMMIT');
    assert.equal(await heldOn(w2, 'computed', work, () => persistently(() => maker.query(functionOf(2)))), '40001');
    await client.query('ROLLBACK');
    await assertWritersEqual(cluster);
  });
});

describe('a transaction is planned once more', () => {
  test('by what its names mean then: others than before are a reason to fail', HANGS, async () => {
    await reset();
    await client.query(
      'CREATE SCHEMA IF NOT EXISTS a; CREATE SCHEMA IF NOT EXISTS b; CREATE TABLE a.x (id int, w timestamptz); CREATE TABLE b.x (LIKE a.x)',
    );
    const maker = makers['another process'];
    assert.ok(maker !== undefined);
    await maker.query('BEGIN; ALTER TABLE a.x ALTER w SET DEFAULT clock_timestamp()');
    await client.query('BEGIN; SET LOCAL search_path = a, public');
    const waiting = outcome(client.query('INSERT INTO x (id) VALUES (1)'));
    await until('it waits', async () => {
      const [row] = await sql(w1, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
      return Number(row?.['n']) > 0;
    });
    await maker.query('COMMIT');
    await waiting;
    const found = [await outcome(client.query('SET LOCAL search_path = b, public; INSERT INTO x (id) VALUES (2)'))];
    await sleep(KNOWN_MS);
    found.push(await outcome(client.query('COMMIT')));
    assert.ok(found.includes('40001'), found.join(', '));
    await assertWritersEqual(cluster);
    await client.query('DROP SCHEMA a, b CASCADE');
  });

  test('and what an imported snapshot shows is kept for nobody', HANGS, async () => {
    await reset();
    const [exporter, importer] = [await proxy.connect(), await proxy.connect()];
    await exporter.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    const snapshot = String(await value(exporter, 'SELECT pg_export_snapshot()'));
    await client.query('ALTER TABLE t ALTER luck SET DEFAULT random()');
    await importer.query(`BEGIN ISOLATION LEVEL REPEATABLE READ; SET TRANSACTION SNAPSHOT '${snapshot}'`);
    await outcome(importer.query('INSERT INTO t (id) VALUES (1)'));
    await importer.query('ROLLBACK');
    await client.query('INSERT INTO t (id) VALUES (2)');
    await exporter.query('COMMIT');
    await Promise.all([exporter.end(), importer.end()]);
    await assertWritersEqual(cluster);
  });
});

describe('the questions about definitions', () => {
  test('take no snapshot for the client', HANGS, async () => {
    for (const text of [
      'SET LOCAL search_path = public',
      "SET LOCAL app.tenant = 'x'",
      'SET CONSTRAINTS ALL IMMEDIATE',
    ]) {
      await sleep(KNOWN_MS);
      await client.query(`BEGIN; ${text}`);
      await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
      await client.query('ROLLBACK');
    }
  });

  test('are the login role’s, whatever role it has by default', HANGS, async () => {
    await sql(w1, `REVOKE ALL ON SCHEMA pprox FROM PUBLIC; GRANT USAGE ON SCHEMA pprox TO app, postgres`);
    for (const writer of [w1, w2]) await sql(writer, 'ALTER ROLE app SET role = apart');
    const own = await open.connect({ user: 'app' });
    for (const level of ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE']) {
      await own.query(`BEGIN ISOLATION LEVEL ${level}; INSERT INTO t (id) VALUES (1); COMMIT`);
      await own.query('DELETE FROM t');
    }
    await own.end();
    for (const writer of [w1, w2]) await sql(writer, 'ALTER ROLE app RESET role');
    await sql(w1, 'GRANT USAGE ON SCHEMA pprox TO PUBLIC');
    await assertWritersEqual(cluster);
  });

  test('hinder nobody who may not ask, and only reads', HANGS, async () => {
    await client.query("CREATE OR REPLACE FUNCTION changing() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 7; END'");
    await sql(w1, 'REVOKE ALL ON SCHEMA pprox FROM PUBLIC, app');
    await sleep(KNOWN_MS);
    const own = await open.connect({ user: 'app' });
    assert.equal(await value(own, 'SELECT changing()'), 7);
    await own.query('BEGIN');
    assert.equal(await value(own, 'SELECT changing()'), 7);
    assert.equal(await value(own, 'SELECT 1'), 1);
    await own.query('COMMIT');
    assert.equal(await outcome(own.query('INSERT INTO t (id) VALUES (1)')), '55000');
    await own.end();
    await sql(w1, 'GRANT USAGE ON SCHEMA pprox TO PUBLIC');
    assert.deepEqual(await sql(w1, 'SELECT FROM t'), []);
    await assertWritersEqual(cluster);
  });
});

describe('what is prepared on the follower is asked', () => {
  /** Asks by itself seldom: what is asked is for the client. */
  async function behindRelay(): Promise<{ relay: NetworkRelay; asking: TestProxy; own: pg.Client }> {
    const relay = await startNetworkRelay(w2);
    const settings = { recoveryIntervalMs: 600_000, drainMs: 0 };
    const asking = await startTestProxy({ writers: [clusterDsn(w1), relay.dsn], settings });
    return { relay, asking, own: await asking.connect() };
  }

  for (const fate of ['cut', 'cancel'] as const)
    test(`once more where the connection or the question is ended meanwhile: ${fate}`, HANGS, async () => {
      const { relay, asking, own } = await behindRelay();
      await own.query(functionOf(2));
      for (let round = 0; round < 3; round++) {
        await own.query(functionOf(round));
        relay[fate]('pg_prepared_xacts');
        assert.equal(await outcome(own.query(`CREATE TABLE asked_${fate}_${round} (id int)`)), 'ok');
        assert.equal(relay.met, 'done');
      }
      await own.end();
      await asking.stop();
      await assertWritersEqual(cluster);
    });

  test('and where it is not told, nothing is written, and that is said', HANGS, async () => {
    const { relay, asking, own } = await behindRelay();
    await own.query(functionOf(3));
    for (const [level, id] of LEVELS.entries()) {
      await own.query(functionOf(4 + level));
      relay.cut('pg_prepared_xacts', 3);
      await own.query(`BEGIN ISOLATION LEVEL ${id}; INSERT INTO aside VALUES (${level})`);
      assert.equal(relay.met, 'done');
      const { code, message } = await refusal(own.query('COMMIT'));
      assert.equal(code, '40001');
      assert.match(message, /it was not known whether every writer has the same definitions/);
    }
    assert.deepEqual(await sql(w1, 'SELECT FROM aside WHERE id < 100'), []);
    await own.end();
    await asking.stop();
    await assertWritersEqual(cluster);
  });
});
