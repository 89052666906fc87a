import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { keysOf, partiesOf } from '../../../src/deadlock/announcement.ts';
import type { Party } from '../../../src/deadlock/wait-graph.ts';

const process = fc.integer({ min: 1, max: 2 ** 22 - 1 });
const transaction: fc.Arbitrary<Party> = fc
  .tuple(
    process,
    fc.uniqueArray(fc.integer({ min: 1, max: 128 }), { minLength: 1, maxLength: 5 }),
    process,
    fc.boolean(),
  )
  .map(([lead, writers, follower, ending]) => ({
    sessions: new Map([[0, lead], ...writers.map((writer, index) => [writer, (follower + index) % 2 ** 22] as const)]),
    stage: ending ? 'ending' : 'open',
  }));

test('what is announced is understood, whatever else is locked', () => {
  const key = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).filter((one) => one >> 52n !== 0x5b7n);
  fc.assert(
    fc.property(
      fc.uniqueArray(transaction, { selector: (one) => one.sessions.get(0) }),
      fc.array(key),
      (all, others) => {
        const keys = [...others.map(String), ...all.flatMap(keysOf)];
        assert.deepEqual(partiesOf(keys), all);
        for (const one of keys) assert.ok(BigInt(one) < 2n ** 63n, 'a bigint of PostgreSQL');
      },
    ),
  );
});

test('what does not fit is not announced', () => {
  const stage = 'open';
  assert.deepEqual(
    keysOf({
      sessions: new Map([
        [0, 1],
        [129, 2],
      ]),
      stage,
    }),
    [],
  );
  assert.deepEqual(
    keysOf({
      sessions: new Map([
        [0, 2 ** 22],
        [1, 2],
      ]),
      stage,
    }),
    [],
  );
  assert.deepEqual(
    keysOf({
      sessions: new Map([
        [0, 1],
        [1, 2 ** 22],
      ]),
      stage,
    }),
    [],
  );
});
