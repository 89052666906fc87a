import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CancelRegistry } from '../../../src/session/registry.ts';

function target(): { cancelled: number; cancel(): void } {
  return {
    cancelled: 0,
    cancel() {
      this.cancelled++;
    },
  };
}

let counter = 0;

describe('cancel keys', () => {
  test('reach their own session and no other', () => {
    const registry = new CancelRegistry();
    const [one, other] = [target(), target()];
    const key = registry.register(one, 'v30', ++counter);
    registry.register(other, 'v30', ++counter);
    registry.cancel(key.processId, key.secretKey);
    assert.deepEqual([one.cancelled, other.cancelled], [1, 0]);
  });

  test('that are wrong, short or long do nothing', () => {
    const registry = new CancelRegistry();
    const session = target();
    const { processId, secretKey } = registry.register(session, 'v32', ++counter);
    const wrong = Buffer.from(secretKey);
    wrong[0] = ((wrong[0] ?? 0) + 1) % 256;
    registry.cancel(processId, wrong);
    registry.cancel(processId, secretKey.subarray(0, 4));
    registry.cancel(processId, Buffer.concat([secretKey, Buffer.alloc(1)]));
    registry.cancel(processId + 1, secretKey);
    assert.equal(session.cancelled, 0);
  });

  test('of a session that has ended do nothing', () => {
    const registry = new CancelRegistry();
    const session = target();
    const key = registry.register(session, 'v30', ++counter);
    registry.unregister(key);
    registry.cancel(key.processId, key.secretKey);
    assert.equal(session.cancelled, 0);
    assert.equal(registry.size, 0);
  });

  test('have the length that the protocol version allows, and cannot be guessed from one another', () => {
    const registry = new CancelRegistry();
    const [old, recent, another] = [
      registry.register(target(), 'v30', ++counter),
      registry.register(target(), 'v32', ++counter),
      registry.register(target(), 'v32', ++counter),
    ];
    assert.deepEqual([old.secretKey.length, recent.secretKey.length], [4, 32]);
    assert.notDeepEqual(recent.secretKey, another.secretKey);
    assert.ok(old.processId > 0 && old.processId < 2 ** 31);
  });
});
