/**
 * A cancel request, a statement_timeout or an administrator may hit any message, also those that pprox sends in front of a client's statement
 * and does not wait for. Here a server refuses one of them: what stands behind it is not done there by itself, and what was done is not forgotten.
 */
import assert from 'node:assert/strict';
import { after, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { sql, startTestCluster } from '../support/cluster.ts';
import { copyIn } from '../support/copy-in.ts';
import { startNetworkRelay } from '../support/network-relay.ts';
import { startTestProxy } from '../support/proxy.ts';
import { assertWritersEqual, outcome, value } from './scene.ts';

const HANGS = { timeout: 60_000 };

const cluster = await startTestCluster();
after(() => cluster.stop('immediate'));
const { w1, w2, replica } = cluster;
const relays = {
  lead: await startNetworkRelay(w1),
  follower: await startNetworkRelay(w2),
  reader: await startNetworkRelay(replica),
};
const writers = [relays.lead.dsn, relays.follower.dsn];
const trailing = await startTestProxy({ writers, settings: { drainMs: 500 } });
const lockstep = await startTestProxy({ writers, settings: { drainMs: 500, followerPace: 'lockstep' } });
const onePhase = await startTestProxy({ writers, settings: { drainMs: 500, commitMode: 'one-phase' } });
const reading = await startTestProxy({
  writers,
  reader: relays.reader.dsn,
  settings: { drainMs: 500, poolSize: 1, poolWaitMs: 5000 },
});
after(async () => {
  await trailing.stop();
  await reading.stop();
  await lockstep.stop();
  await onePhase.stop();
});

beforeEach(async () => {
  const client = await trailing.connect();
  await client.query(`DROP TABLE IF EXISTS t, watched, noted, plain; CREATE TABLE t (id serial PRIMARY KEY, v int); INSERT INTO t (v) SELECT 0 FROM generate_series(1, 40);
    CREATE TABLE plain (a int PRIMARY KEY, at timestamptz); CREATE TABLE watched (id int PRIMARY KEY); CREATE TABLE noted (id int, at timestamptz DEFAULT clock_timestamp());
    CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO noted VALUES (NEW.id); RETURN NEW; END';
    CREATE TRIGGER note BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION note()`);
  await client.end();
});

const CANCELLED = '57014';
const FAILED = '25P02';

type Statement = string | number | pg.QueryConfig | readonly [copy: string, data: string];

interface Case {
  readonly at: 'lead' | 'follower';
  readonly cancelled: string;
  /** In the same session, before anything is cancelled. */
  readonly before?: readonly string[];
  /** By a client in a session of its own; a number: it waits, in ms. */
  readonly statements: readonly Statement[];
  /** What each is told. */
  readonly told: readonly string[] | 'one is cancelled';
  /** The same, and how many rows, where the BEGIN went out before the next statement came. */
  readonly alone?: readonly [told: readonly string[], count: number];
  readonly by?: 'lockstep' | 'one phase';
  /** Rows that are there in the end, on each writer. */
  readonly rows: readonly [query: string, count: number];
}

const NEW = 'SELECT count(*)::int AS n FROM t WHERE v <> 0';
const update = (id: number): string => `UPDATE t SET v = v + 1 WHERE id = ${id}`;
const updates = Array.from({ length: 34 }, (_, index) => update(index + 1));

const cases: Readonly<Record<string, Case>> = {
  // The question is parsed once on a connection.
  'a question of ours in front of a statement': {
    at: 'lead',
    cancelled: "SELECT 'sequence'",
    statements: ['INSERT INTO watched VALUES (7)', 'INSERT INTO watched VALUES (8)'],
    told: [CANCELLED, 'ok'],
    rows: ['SELECT count(*)::int AS n FROM noted', 1],
  },
  'INSERT by itself': {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: ['INSERT INTO t (v) VALUES (7)', 'INSERT INTO t (v) VALUES (8)'],
    told: [CANCELLED, 'ok'],
    rows: [NEW, 1],
  },
  'INSERT by itself, of the extended protocol': {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: [
      { text: 'INSERT INTO t (v) VALUES ($1)', values: [7] },
      { text: 'INSERT INTO t (v) VALUES ($1)', values: [8] },
    ],
    told: [CANCELLED, 'ok'],
    rows: [NEW, 1],
  },
  'INSERT with the time, of the extended protocol': {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: [
      { text: 'INSERT INTO plain VALUES ($1, now())', values: [7] },
      { text: 'INSERT INTO plain VALUES ($1, now())', values: [8] },
    ],
    told: [CANCELLED, 'ok'],
    rows: ['SELECT count(*)::int AS n FROM plain', 1],
  },
  'INSERT of a statement that is prepared with it': {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: [
      { name: 'one', text: 'INSERT INTO t (v) VALUES ($1)', values: [7] },
      { name: 'one', text: 'INSERT INTO t (v) VALUES ($1)', values: [8] },
      { name: 'one', text: 'INSERT INTO t (v) VALUES ($1)', values: [9] },
    ],
    told: [CANCELLED, 'ok', 'ok'],
    rows: [NEW, 2],
  },
  'on a follower, INSERT of a statement that is prepared': {
    at: 'follower',
    cancelled: 'BEGIN',
    statements: [
      { name: 'two', text: 'INSERT INTO t (v) VALUES ($1)', values: [7] },
      { name: 'two', text: 'INSERT INTO t (v) VALUES ($1)', values: [8] },
    ],
    told: [CANCELLED, 'ok'],
    rows: [NEW, 1],
  },
  // It has a Sync of its own, and PREPARE behind it does not wait for the answer to BEGIN.
  'on a follower, UPDATE of a statement that is prepared': {
    at: 'follower',
    cancelled: 'BEGIN',
    statements: [
      { name: 'four', text: 'UPDATE t SET v = v + $1 WHERE id = 7', values: [1] },
      { name: 'four', text: 'UPDATE t SET v = v + $1 WHERE id = 7', values: [2] },
      { text: 'UPDATE t SET v = v + $1 WHERE id = 8', values: [3] },
    ],
    told: [CANCELLED, 'ok', 'ok'],
    rows: ['SELECT sum(v)::int AS n FROM t', 5],
  },
  'the time, asked for in front of a statement': {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: [
      { name: 'three', text: 'UPDATE t SET v = extract(epoch FROM now() - $1) WHERE id = 5', values: ['2020-01-01'] },
      { name: 'three', text: 'UPDATE t SET v = extract(epoch FROM now() - $1) WHERE id = 5', values: ['2020-01-01'] },
      'UPDATE t SET v = extract(epoch FROM now()) WHERE id = 6',
    ],
    told: [CANCELLED, 'ok', 'ok'],
    rows: [NEW, 2],
  },
  'INSERT with a trigger': {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: ['INSERT INTO watched VALUES (7)', 'INSERT INTO watched VALUES (8)'],
    told: [CANCELLED, 'ok'],
    rows: ['SELECT count(*)::int AS n FROM noted', 1],
  },
  'INSERT with a trigger, of the extended protocol': {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: [
      { text: 'INSERT INTO watched VALUES ($1)', values: [7] },
      { text: 'INSERT INTO watched VALUES ($1)', values: [8] },
    ],
    told: [CANCELLED, 'ok'],
    rows: ['SELECT count(*)::int AS n FROM noted', 1],
  },
  COPY: {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: [
      ['COPY t (v) FROM STDIN', '7\n'],
      ['COPY t (v) FROM STDIN', '8\n'],
    ],
    told: [CANCELLED, 'ok'],
    rows: [NEW, 1],
  },
  'several statements in one text': {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: [`${update(1)}; ${update(2)}`, `${update(3)}; ${update(4)}`],
    told: [CANCELLED, 'ok'],
    rows: [NEW, 2],
  },
  'the first of a block': {
    at: 'lead',
    cancelled: 'BEGIN',
    before: [update(40)],
    statements: ['BEGIN', update(1), update(2), 'ROLLBACK', update(3)],
    told: ['ok', CANCELLED, FAILED, 'ok', 'ok'],
    alone: [['ok', 'ok', 'ok', 'ok', 'ok'], 2],
    rows: [NEW, 2],
  },
  'the first of a block that is committed': {
    at: 'lead',
    cancelled: 'BEGIN',
    before: [update(40)],
    statements: ['BEGIN', update(1), 'COMMIT', update(3)],
    told: ['ok', CANCELLED, 'ok', 'ok'],
    alone: [['ok', 'ok', 'ok', 'ok'], 3],
    rows: [NEW, 2],
  },
  'a savepoint at first': {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: ['BEGIN', 'SAVEPOINT a', update(1), 'ROLLBACK', update(3)],
    told: ['ok', CANCELLED, FAILED, 'ok', 'ok'],
    alone: [['ok', 'ok', 'ok', 'ok', 'ok'], 1],
    rows: [NEW, 1],
  },
  'BEGIN whose client waits goes on': {
    at: 'lead',
    cancelled: 'BEGIN',
    statements: ['BEGIN', 30, update(1), update(2), 'COMMIT'],
    told: ['ok', 'ok', 'ok', 'ok'],
    rows: [NEW, 2],
  },
  'on a follower, INSERT by itself': {
    at: 'follower',
    cancelled: 'BEGIN',
    statements: ['INSERT INTO t (v) VALUES (7)', 'INSERT INTO t (v) VALUES (8)'],
    told: [CANCELLED, 'ok'],
    rows: [NEW, 1],
  },
  'on a follower, a text that fails further on': {
    at: 'follower',
    cancelled: 'BEGIN',
    statements: ['INSERT INTO t (v) VALUES (7); SELECT 1/0'],
    told: [CANCELLED],
    rows: [NEW, 0],
  },
  'on a follower, a block': {
    at: 'follower',
    cancelled: 'BEGIN',
    statements: ['BEGIN', update(1), 'COMMIT', update(3)],
    told: ['ok', 'ok', CANCELLED, 'ok'],
    rows: [NEW, 1],
  },
  'on a follower, a block that is rolled back': {
    at: 'follower',
    cancelled: 'BEGIN',
    statements: ['BEGIN', update(1), 50, 'ROLLBACK', update(3)],
    told: ['ok', 'ok', 'ok', 'ok'],
    rows: [NEW, 1],
  },
  'on a follower, a definition that is rolled back': {
    at: 'follower',
    cancelled: 'BEGIN',
    statements: ['BEGIN', 'CREATE TABLE z (a int)', 'ROLLBACK', update(3)],
    told: ['ok', CANCELLED, 'ok', 'ok'],
    rows: [NEW, 1],
  },
  'on a follower in lockstep': {
    at: 'follower',
    by: 'lockstep',
    cancelled: 'BEGIN',
    statements: ['BEGIN', update(1), update(2), 'ROLLBACK', update(3)],
    told: ['ok', CANCELLED, FAILED, 'ok', 'ok'],
    rows: [NEW, 1],
  },
  // The lead commits first in SERIALIZABLE.
  'on a follower in one phase, what nobody waits for': {
    at: 'follower',
    by: 'one phase',
    cancelled: 'RELEASE SAVEPOINT "pprox: read"',
    before: [`CREATE OR REPLACE FUNCTION idle() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'`],
    statements: ['BEGIN ISOLATION LEVEL SERIALIZABLE', update(1), 'SELECT idle()', 50, 'COMMIT', update(2)],
    told: ['ok', 'ok', 'ok', CANCELLED, 'ok'],
    rows: [NEW, 1],
  },
  'on a follower, a word in front of rows': {
    at: 'follower',
    cancelled: 'session_replication_role = replica',
    statements: ['INSERT INTO watched VALUES (1)', 'INSERT INTO watched VALUES (2)'],
    told: [CANCELLED, 'ok'],
    rows: ['SELECT count(*)::int AS n FROM noted', 1],
  },
  'on a follower, a savepoint of ours': {
    at: 'follower',
    cancelled: 'SAVEPOINT "pprox',
    statements: ['BEGIN', ...updates, 'COMMIT'],
    told: 'one is cancelled',
    rows: [NEW, 0],
  },
  'on a follower in lockstep, a savepoint of ours': {
    at: 'follower',
    by: 'lockstep',
    cancelled: 'SAVEPOINT "pprox',
    statements: ['BEGIN', ...updates, 'COMMIT'],
    told: ['ok', ...updates.map((_, index) => (index < 16 ? 'ok' : index === 16 ? CANCELLED : FAILED)), 'ok'],
    rows: [NEW, 0],
  },
  'on a follower in lockstep, the release of a savepoint of ours': {
    at: 'follower',
    by: 'lockstep',
    cancelled: 'RELEASE SAVEPOINT "pprox',
    statements: ['BEGIN', ...updates, 'COMMIT'],
    told: ['ok', ...updates.map((_, index) => (index < 32 ? 'ok' : index === 32 ? CANCELLED : FAILED)), 'ok'],
    rows: [NEW, 0],
  },
};

async function run(client: pg.Client, statement: Statement): Promise<string | undefined> {
  if (typeof statement === 'number') {
    await sleep(statement);
    return undefined;
  }
  if (typeof statement === 'string') return outcome(client.query(statement));
  return outcome('text' in statement ? client.query(statement) : copyIn(client, ...statement));
}

describe('nothing of it is on one writer alone', () => {
  for (const [name, { at, cancelled, before = [], statements, told, alone, by, rows }] of Object.entries(cases))
    test(name, HANGS, async () => {
      const proxy = by === 'lockstep' ? lockstep : by === 'one phase' ? onePhase : trailing;
      const client = await proxy.connect();
      const warnings: unknown[] = [];
      client.on('notice', (notice) => warnings.push(notice.message));
      const found: string[] = [];
      for (const statement of before) await client.query(statement);
      relays[at].cancel(cancelled);
      for (const statement of statements) {
        const one = await run(client, statement);
        if (one !== undefined) found.push(one);
      }
      await client.end();
      await assertWritersEqual(cluster);
      assert.deepEqual(await sql(w2, 'SELECT gid FROM pg_prepared_xacts'), []);
      assert.deepEqual(
        proxy.lines.map(({ event }) => event).filter((event) => event.includes('at once')),
        [],
      );
      if (told === 'one is cancelled') assert.equal(found.filter((one) => one === CANCELLED).length, 1);
      const [expected, count] = found.includes(CANCELLED) || alone === undefined ? [told, rows[1]] : alone;
      if (expected !== 'one is cancelled') assert.deepEqual(found, expected);
      assert.equal(relays[at].met, 'done');
      assert.deepEqual(warnings, []);
      for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, rows[0]), [{ n: count }]);
    });
});

describe('a block that only reads', () => {
  for (const fate of ['cancel', 'cut'] as const)
    test(`goes on at the lead where the reader does not begin it: ${fate}`, HANGS, async () => {
      for (let round = 0; round < 3; round++) {
        const client = await reading.connect();
        relays.reader[fate]('BEGIN READ ONLY');
        await client.query('BEGIN READ ONLY');
        assert.equal(await value(client, '/* pprox: reader */ SELECT inet_server_port()'), w1.port);
        assert.equal(relays.reader.met, 'done');
        await client.query('COMMIT');
        // The one connection to the reader is free.
        await client.query('BEGIN READ ONLY');
        assert.equal(await value(client, '/* pprox: reader */ SELECT inet_server_port()'), replica.port);
        await client.query('COMMIT');
        await client.end();
      }
    });

  test('fails, and writes nothing, where the lead does not begin it', HANGS, async () => {
    const client = await reading.connect();
    relays.lead.cancel('BEGIN READ ONLY');
    await client.query('BEGIN READ ONLY');
    assert.equal(await outcome(client.query('PREPARE p AS INSERT INTO plain VALUES (1)')), CANCELLED);
    assert.equal(relays.lead.met, 'done');
    assert.equal(await outcome(client.query('INSERT INTO plain VALUES (1)')), FAILED);
    await client.query('ROLLBACK');
    assert.equal(await value(client, 'SELECT count(*)::int FROM plain'), 0);
    await client.end();
    await assertWritersEqual(cluster);
  });
});
