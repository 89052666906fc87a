/**
 * The network to a server goes silent, in one direction or in both, and comes back: no reset, no error, just nothing. Whoever
 * waits has an answer within the time that a server may take; what is told is true when the network is back, on every writer.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import pg from 'pg';
import { sql, startTestCluster } from '../support/cluster.ts';
import { type Direction, type NetworkRelay, startNetworkRelay } from '../support/network-relay.ts';
import { startTestProxy } from '../support/proxy.ts';
import { assertWritersEqual, until } from './scene.ts';

const cluster = await startTestCluster({ reader: false });
const { w1, w2 } = cluster;
const lead = await startNetworkRelay(w1);
const follower = await startNetworkRelay(w2);
const proxy = await startTestProxy({
  writers: [lead.dsn, follower.dsn],
  settings: {
    connectTimeoutMs: 400,
    healthIntervalMs: 50,
    followerLockTimeoutMs: 200,
    followerTimeoutMs: 600,
    commitTimeoutMs: 600,
    recoveryIntervalMs: 50,
    recoveryGraceMs: 300,
    deadlockTimeoutMs: 200,
  },
});
after(() => proxy.stop());

/** Far above all of these times together. */
const HANGS = { timeout: 45_000 };
const CLIENTS = 4;
let round = 0;

before(async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE kept (id int PRIMARY KEY, n int NOT NULL DEFAULT 0)');
  await client.query('INSERT INTO kept SELECT -id FROM generate_series(1, 20) id');
  await client.end();
});

/** Nothing is prepared or locked any more, and new clients are served. */
afterEach(async () => {
  for (const relay of [lead, follower]) relay.heal();
  await until('writes go on', async () => {
    const client = await proxy.connect().catch(() => undefined);
    const done = await client?.query('UPDATE kept SET n = n + 1').then(
      () => true,
      () => false,
    );
    await client?.end().catch(() => undefined);
    return done === true;
  });
  for (const server of [w1, w2]) {
    const open = `SELECT FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'`;
    await until('nothing is left', async () => (await sql(server, open)).length === 0);
    await until('nothing is prepared', async () => (await sql(server, 'SELECT FROM pg_prepared_xacts')).length === 0);
  }
  await assertWritersEqual(cluster);
});

/** `unknown`: the client was told that nobody knows, or its connection broke. */
type Told = 'committed' | 'rolled back' | 'unknown';

function toldBy(error: unknown): Told {
  if (!(error instanceof pg.DatabaseError)) return 'unknown';
  return error.code === '08007' ? 'unknown' : 'rolled back';
}

/** One transaction after the other, each of a row of its own, until `stop`. */
async function write(told: Map<number, Told>, ids: () => number, stop: () => boolean): Promise<void> {
  let client: pg.Client | undefined;
  while (!stop()) {
    const id = ids();
    try {
      client ??= await proxy.connect();
    } catch {
      continue; // its start-up needs a server
    }
    try {
      if (id % 2 === 0) await client.query(`INSERT INTO kept VALUES (${id})`);
      else {
        await client.query('BEGIN');
        await client.query(`INSERT INTO kept VALUES (${id})`);
        await client.query(`UPDATE kept SET n = n + 1 WHERE id = ${-1 - (id % 20)}`);
        await client.query('COMMIT');
      }
      told.set(id, 'committed');
    } catch (error) {
      told.set(id, toldBy(error));
      await client.end().catch(() => undefined);
      client = undefined;
    }
  }
  await client?.end().catch(() => undefined);
}

const places: readonly (readonly [string, NetworkRelay])[] = [
  ['the lead', lead],
  ['the follower', follower],
];
const losses: readonly (readonly [string, readonly Direction[]])[] = [
  ['what is sent to it', ['query']],
  ['what it answers', ['reply']],
  ['both', ['query', 'reply']],
];

for (const [place, relay] of places) {
  describe(`the network to ${place}`, () => {
    for (const [what, directions] of losses) {
      test(`loses ${what}, under load`, HANGS, async () => {
        const told = new Map<number, Told>();
        let next = ++round * 100_000;
        let state: 'going' | 'stopping' = 'going';
        const count = (kind: Told): number => [...told.values()].filter((one) => one === kind).length;
        const load = Array.from({ length: CLIENTS }, () =>
          write(
            told,
            () => next++,
            () => state === 'stopping',
          ),
        );
        for (let loss = 0; loss < 3; loss++) {
          const before = count('committed');
          await until('transactions are under way', () => count('committed') >= before + 20);
          for (const direction of directions) relay.silence(direction);
          // Every client that writes has been told something else than success: nobody waits for the network.
          const failed = told.size - count('committed');
          await until('each has its answer', () => told.size - count('committed') >= failed + CLIENTS);
          relay.heal();
        }
        state = 'stopping';
        await Promise.all(load);
        await until('all has ended', async () => (await sql(w2, 'SELECT FROM pg_prepared_xacts')).length === 0);
        const [onLead, onFollower] = await Promise.all(
          [w1, w2].map(
            async (server) => new Set((await sql(server, 'SELECT id FROM kept')).map(({ id }) => Number(id))),
          ),
        );
        for (const [id, kind] of told) {
          const found = [onLead?.has(id), onFollower?.has(id)];
          if (kind === 'committed') assert.deepEqual(found, [true, true], `${id} was told as committed`);
          else if (kind === 'rolled back') assert.deepEqual(found, [false, false], `${id} was told as rolled back`);
          else assert.equal(found[0], found[1], `${id} is on one writer alone`);
        }
      });
    }
  });
}
