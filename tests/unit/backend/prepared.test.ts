import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PreparedNames } from '../../../src/backend/prepared.ts';

describe('names of prepared statements', () => {
  test('the least recently used make room, and are told', () => {
    const names = new PreparedNames();
    for (const name of ['a', 'b', 'c']) assert.deepEqual(names.use(name, 3), []);
    assert.deepEqual(names.use('a', 3), []);
    assert.deepEqual(names.use('d', 3), ['b']);
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].filter((name) => names.has(name)),
      ['a', 'c', 'd'],
    );
    assert.deepEqual(names.use('e', 1), ['c', 'a', 'd']);
  });

  test('all are gone at once, the unnamed one too', () => {
    const names = new PreparedNames();
    names.use('a', 3);
    names.unnamed = {};
    names.clear();
    assert.ok(!names.has('a'));
    assert.equal(names.unnamed, undefined);
  });
});
