import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Backend } from '../../../src/backend/backend.ts';
import { createLogin, type Login } from '../../../src/backend/login.ts';
import { type Lease, Pool, type PoolLimits } from '../../../src/backend/pool.ts';
import { NOTHING_SET, UNCERTAIN } from '../../../src/backend/setting-set.ts';
import { PproxError } from '../../../src/lib/errors.ts';
import { until } from '../../e2e/scene.ts';
import { startFakeServer } from './fake-server.ts';

const server = await startFakeServer();

const alice = createLogin('alice', 'd', undefined, new Map());
const bob = createLogin('bob', 'd', undefined, new Map());

interface Fixture {
  readonly pool: Pool;
  /** Logins that connections were opened for, in order. */
  readonly connects: string[];
  readonly backends: Backend[];
}

function fixture(limits: Partial<PoolLimits> = {}, connect?: (login: Login) => Promise<Backend>): Fixture {
  const connects: string[] = [];
  const backends: Backend[] = [];
  const pool = new Pool(
    'server s',
    { size: 2, queue: 10, waitMs: 60_000, idleMs: 60_000, lifetimeMs: 60_000, ...limits },
    async (login) => {
      connects.push(login.user);
      const backend = await (connect?.(login) ?? server.connect(login.parameters));
      backends.push(backend);
      return backend;
    },
  );
  return { pool, connects, backends };
}

/** Whether a promise has settled by the time everything that was ready has run. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let state = false;
  const note = (): void => {
    state = true;
  };
  promise.then(note, note);
  for (let turns = 0; turns < 5; turns++) await turn();
  return state;
}

async function refused(promise: Promise<Lease>): Promise<PproxError> {
  try {
    await promise;
  } catch (error) {
    assert.ok(error instanceof PproxError);
    return error;
  }
  return assert.fail('the lease was to be refused');
}

describe('a pool', () => {
  test('hands the connection that was used last to the next lease of the same login', async () => {
    const { pool, connects } = fixture();
    const [first, second] = [await pool.lease(alice), await pool.lease(alice)];
    first.release('reuse');
    second.release('reuse');
    assert.equal(pool.idleCount, 2);
    const third = await pool.lease(alice);
    assert.equal(third.backend, second.backend);
    assert.deepEqual(connects, ['alice', 'alice']);
  });

  test('prefers a connection with the settings that are needed, and hands out none that cannot be brought to them', async () => {
    const { pool, connects } = fixture();
    const [first, second] = [await pool.lease(alice), await pool.lease(alice)];
    const german = NOTHING_SET.with('datestyle', 'German');
    first.backend.settings = german;
    first.release('reuse');
    second.release('reuse');
    const third = await pool.lease(alice, NOTHING_SET.with('datestyle', 'German'));
    assert.equal(third.backend, first.backend);
    third.backend.settings = NOTHING_SET.with('my.own', 'x');
    const waiting = [await pool.lease(alice), pool.lease(alice)] as const;
    third.release('reuse');
    const last = await waiting[1];
    assert.notEqual(last.backend, first.backend);
    assert.ok(!first.backend.open);
    assert.equal(pool.size, 2);
    last.backend.settings = UNCERTAIN;
    last.release('reuse');
    assert.ok(!last.backend.open);
    waiting[0].release('reuse');
    assert.deepEqual(connects, ['alice', 'alice', 'alice']);
  });

  test('never hands a connection to another login, and closes an idle one to make room', async () => {
    const { pool, connects } = fixture();
    const first = await pool.lease(alice);
    first.release('reuse');
    const others = [await pool.lease(bob), await pool.lease(bob)];
    assert.deepEqual(connects, ['alice', 'bob', 'bob']);
    assert.ok(!first.backend.open);
    assert.equal(pool.size, 2);
    for (const lease of others) lease.release('reuse');
  });

  test('never has more connections than its size, and serves who waits in the order of coming', async () => {
    const { pool, backends } = fixture();
    const held = [await pool.lease(alice), await pool.lease(alice)];
    const served: number[] = [];
    const waiting = [0, 1, 2].map(async (number) => {
      const lease = await pool.lease(alice);
      served.push(number);
      return lease;
    });
    assert.equal(pool.waiting, 3);
    for (const lease of held) lease.release('reuse');
    const [first, second] = await Promise.all(waiting.slice(0, 2));
    assert.deepEqual(served, [0, 1]);
    first?.release('reuse');
    second?.release('reuse');
    (await waiting[2])?.release('reuse');
    assert.equal(backends.length, 2);
    assert.deepEqual([pool.size, pool.idleCount, pool.waiting], [2, 2, 0]);
  });

  test('refuses at once when the queue is full, and says how full', async () => {
    const { pool } = fixture({ size: 1, queue: 2 });
    const held = await pool.lease(alice);
    const waiting = [pool.lease(alice), pool.lease(bob)];
    const error = await refused(pool.lease(alice));
    assert.equal(error.sqlstate, '53300');
    assert.match(error.message, /no connection to server s is free: 2 sessions wait already/);
    assert.equal(pool.waiting, 2);
    held.release('reuse');
    for (const lease of waiting) (await lease).release('reuse');
  });

  test('refuses who has waited for too long, and forgets him', async () => {
    const { pool } = fixture({ size: 1, waitMs: 20 });
    const held = await pool.lease(alice);
    const error = await refused(pool.lease(alice));
    assert.equal(error.sqlstate, '53300');
    assert.match(error.message, /waited 20 ms/);
    assert.equal(pool.waiting, 0);
    held.release('reuse');
    assert.equal(pool.idleCount, 1, 'the connection was not given to somebody who had left');
  });

  test('lets a waiter of another login be overtaken, but not without end', async () => {
    const { pool } = fixture({ size: 1, queue: 100 });
    let lease = await pool.lease(alice);
    const order: string[] = [];
    const waiter = pool.lease(bob).then((granted) => {
      order.push('bob');
      return granted;
    });
    const others = Array.from({ length: 20 }, async () => {
      const granted = await pool.lease(alice);
      order.push('alice');
      return granted;
    });
    for (let count = 0; count < 21; count++) {
      lease.release('reuse');
      const next = await Promise.race([waiter, ...others]);
      lease = next;
      if (order.at(-1) === 'bob') break;
      void others.shift();
    }
    assert.deepEqual(order, [...Array.from({ length: 8 }, () => 'alice'), 'bob']);
    lease.release('reuse');
    for (const other of others) (await other).release('reuse');
  });

  test('connects for a waiter of another login in place of the connection that came free', async () => {
    const { pool, connects } = fixture({ size: 1 });
    const held = await pool.lease(alice);
    const waiting = pool.lease(bob);
    held.release('reuse');
    const lease = await waiting;
    assert.deepEqual(connects, ['alice', 'bob']);
    assert.equal(pool.size, 1);
    assert.ok(!held.backend.open && lease.backend.open);
    lease.release('reuse');
  });

  test('closes what is not fit for reuse: busy, inside a transaction, or said to be so', async () => {
    const { pool } = fixture({ size: 3 });
    const stuck = await startFakeServer(() => undefined);
    const inBlock = await pool.lease(alice);
    await inBlock.backend.ask('BEGIN');
    inBlock.release('reuse');
    assert.ok(!inBlock.backend.open);
    const said = await pool.lease(alice);
    said.release('session state not movable');
    assert.ok(!said.backend.open);
    const other = fixture({}, (login) => stuck.connect(login.parameters));
    const busy = await other.pool.lease(alice);
    void busy.backend.ask('SELECT 1').catch(() => undefined);
    busy.release('reuse');
    assert.ok(!busy.backend.open);
    const awaited = await pool.lease(alice);
    awaited.backend.cancelRequests = 'perhaps under way';
    awaited.release('reuse');
    assert.ok(!awaited.backend.open, 'a cancel request may hit who comes next');
    assert.deepEqual([pool.size, other.pool.size], [0, 0]);
  });

  test('counts a release once', async () => {
    const { pool } = fixture();
    const lease = await pool.lease(alice);
    lease.release('reuse');
    lease.release('session state not movable');
    assert.deepEqual([pool.size, pool.idleCount], [1, 1]);
    assert.ok(lease.backend.open);
  });

  test('gives the place of a connection that failed to the next who waits', async () => {
    let attempts = 0;
    const { pool } = fixture({ size: 1 }, async (login) => {
      attempts++;
      await turn();
      if (attempts === 1) throw new PproxError('server_unreachable', { message: 'no' });
      return server.connect(login.parameters);
    });
    const failing = refused(pool.lease(alice));
    const waiting = pool.lease(alice);
    assert.equal((await failing).message, 'no');
    (await waiting).release('reuse');
    assert.equal(pool.size, 1);
  });

  test('notices an idle connection that the server has ended', async () => {
    const { pool } = fixture();
    const before = server.sessions.length;
    (await pool.lease(alice)).release('reuse');
    server.sessions[before]?.socket.destroy();
    await until('the pool is empty', () => pool.size === 0);
    assert.equal(pool.idleCount, 0);
    (await pool.lease(alice)).release('reuse');
  });

  test('closes what has been idle for too long, and what is too old', async () => {
    const short = fixture({ idleMs: 10 });
    (await short.pool.lease(alice)).release('reuse');
    await until('the idle connection is closed', () => short.pool.size === 0);
    const old = fixture({ lifetimeMs: 10 });
    const lease = await old.pool.lease(alice);
    await until('it is old', () => Date.now() - lease.backend.createdAt > 10);
    assert.ok(lease.backend.open, 'not while it is leased');
    lease.release('reuse');
    assert.ok(!lease.backend.open);
    assert.equal(old.pool.size, 0);
  });

  test('reclaims a lease on offer when somebody has to wait, the longest on offer first, each once', async () => {
    const { pool } = fixture();
    const [first, second] = [await pool.lease(alice), await pool.lease(alice)];
    const reclaimed: string[] = [];
    first.offer(() => {
      reclaimed.push('first');
      first.release('reuse');
    });
    second.offer(() => {
      reclaimed.push('second');
      second.release('reuse');
    });
    const third = await pool.lease(alice);
    assert.deepEqual(reclaimed, ['first']);
    assert.equal(third.backend, first.backend);
    const fourth = await pool.lease(alice);
    assert.deepEqual(reclaimed, ['first', 'second']);
    assert.ok(!(await settled(pool.lease(alice))), 'nothing is on offer any more');
    third.release('reuse');
    fourth.release('reuse');
  });

  test('reclaims a lease that is offered while somebody waits already', async () => {
    const { pool } = fixture({ size: 1 });
    const lease = await pool.lease(alice);
    const waiting = pool.lease(alice);
    assert.ok(!(await settled(waiting)));
    lease.offer(() => lease.release('reuse'));
    (await waiting).release('reuse');
  });

  test('leaves a lease to its holder who uses it again before it is reclaimed', async () => {
    const { pool } = fixture({ size: 1 });
    const lease = await pool.lease(alice);
    lease.offer(() => assert.fail('it is in use'));
    const waiting = pool.lease(alice);
    lease.withdraw();
    assert.ok(!(await settled(waiting)));
    lease.release('reuse');
    (await waiting).release('reuse');
  });

  test('does not reclaim a lease that was withdrawn from offer', async () => {
    const { pool } = fixture({ size: 1 });
    const lease = await pool.lease(alice);
    lease.offer(() => assert.fail('it is in use'));
    lease.withdraw();
    const waiting = pool.lease(alice);
    assert.ok(!(await settled(waiting)));
    lease.release('reuse');
    (await waiting).release('reuse');
  });

  test('that is closed refuses who waits, closes what is idle, and keeps nothing that is given back', async () => {
    const { pool } = fixture();
    const [held, idle] = [await pool.lease(alice), await pool.lease(alice)];
    const waiting = refused(pool.lease(alice));
    pool.close();
    assert.equal((await waiting).sqlstate, '57P01');
    idle.release('reuse');
    held.release('reuse');
    assert.ok(!held.backend.open && !idle.backend.open);
  });

  test('that is closed closes everything that is idle, of every login', async () => {
    const { pool, backends } = fixture({ size: 6 });
    const leases: Lease[] = [];
    for (const login of [alice, alice, alice, bob, bob]) leases.push(await pool.lease(login));
    for (const lease of leases) lease.release('reuse');
    assert.equal(pool.idleCount, 5);
    pool.close();
    assert.deepEqual(
      backends.map(({ open }) => open),
      [false, false, false, false, false],
    );
    assert.equal(pool.idleCount, 0);
  });
});

test('logins share connections only if they would have started them in the same way', () => {
  const login = (user: string, database: string, extra: Record<string, string> = {}): string =>
    createLogin(user, database, 'p', new Map(Object.entries(extra))).key;
  assert.equal(login('a', 'b', { x: '1', y: '2' }), login('a', 'b', { y: '2', x: '1' }));
  const different = [
    login('a', 'b'),
    login('b', 'a'),
    login('a', 'b', { application_name: 'one' }),
    login('a', 'b', { application_name: 'two' }),
    login('a', 'b', { options: '-c a=1' }),
    login('a', 'ba'),
    login('ab', 'a'),
  ];
  assert.equal(new Set(different).size, different.length);
});
