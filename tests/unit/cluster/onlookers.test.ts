import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Backend } from '../../../src/backend/backend.ts';
import { createLogin } from '../../../src/backend/login.ts';
import { Onlookers } from '../../../src/cluster/onlookers.ts';
import { PproxError } from '../../../src/lib/errors.ts';
import { startFakeServer } from '../backend/fake-server.ts';

const server = await startFakeServer();
const alice = createLogin('alice', 'd', undefined, new Map());
const STAYS = new AbortController().signal;

/** `opened`: connections so far. */
function fixture(timeoutMs: number): {
  use: (run: (b: Backend) => Promise<string>, leave?: AbortSignal) => Promise<string>;
  opened: Backend[];
} {
  const onlookers = new Onlookers({ timeoutMs, idleMs: 60_000 });
  after(() => onlookers.close());
  const opened: Backend[] = [];
  const node = {
    label: 'lead l',
    connect: async () => {
      const backend = await server.connect();
      opened.push(backend);
      return backend;
    },
  };
  return { use: (run, leave = STAYS) => onlookers.use(node, alice, leave, run), opened };
}

/** A use that lasts until `end`. */
function lasting(): { run: () => Promise<string>; end: () => void } {
  let end!: () => void;
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { run: () => ended.then(() => 'first'), end };
}

const told = (error: unknown): error is PproxError => error instanceof PproxError;

describe('sessions in line for the connection that looks on', () => {
  test('have it one after the other, and it is one', async () => {
    const { use, opened } = fixture(60_000);
    const order: string[] = [];
    const uses = ['a', 'b', 'c'].map((name) =>
      use(async () => {
        order.push(`${name} begins`);
        await Promise.resolve();
        order.push(`${name} ends`);
        return name;
      }),
    );
    assert.deepEqual(await Promise.all(uses), ['a', 'b', 'c']);
    assert.deepEqual(order, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
    assert.equal(opened.length, 1);
  });

  test('leave it when they are called off, and nobody loses a place', async () => {
    const { use } = fixture(60_000);
    const first = lasting();
    const one = use(first.run);
    const call = new AbortController();
    let served = 'no';
    const two = use(() => Promise.resolve((served = 'two')), call.signal);
    const three = use(() => Promise.resolve('three'));
    call.abort();
    await assert.rejects(two, (error) => told(error) && error.condition === 'pool_exhausted');
    first.end();
    assert.deepEqual([await one, await three, served], ['first', 'three', 'no']);
  });

  test('wait no longer than the deadline, and say what they have waited for', async () => {
    const { use } = fixture(30);
    const first = lasting();
    const one = use(first.run);
    await assert.rejects(
      use(() => Promise.resolve('two')),
      (error) => told(error) && error.message === 'waited 30 ms for the connection that looks on at lead l',
    );
    first.end();
    assert.equal(await one, 'first');
    assert.equal(await use(() => Promise.resolve('three')), 'three');
  });

  test('get another one where it was lost', async () => {
    const { use, opened } = fixture(60_000);
    await assert.rejects(
      use((backend) => {
        backend.close('server disconnected');
        return Promise.reject(new Error('lost'));
      }),
      /lost/,
    );
    assert.equal(await use(() => Promise.resolve('two')), 'two');
    assert.equal(opened.length, 2);
  });
});
