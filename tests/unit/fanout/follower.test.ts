import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { beginTexts, followerError, type FollowerFailure } from '../../../src/fanout/follower.ts';
import type { ErrorFields } from '../../../src/wire/error-fields.ts';

const failed = (label: string, fields: Partial<ErrorFields>): FollowerFailure => ({
  kind: 'error',
  label,
  fields: { severity: 'ERROR', code: '23505', message: 'duplicate key', ...fields },
});
const lost: FollowerFailure = {
  kind: 'lost',
  label: 'follower c',
  lost: { server: '10.0.0.1:5432', reason: 'server too slow', fatal: undefined, message: 'server too slow' },
};
const different: FollowerFailure = {
  kind: 'different',
  label: 'follower d',
  expected: { tag: 'UPDATE 1', rows: undefined },
  found: { tag: 'UPDATE 0', rows: undefined },
};

describe('the error for what followers did', () => {
  test('has the first follower’s SQLSTATE and message, and a line for every writer', () => {
    const error = followerError(
      [failed('follower b', { detail: 'Key (id)=(1) exists.' })],
      ['lead a', 'follower c'],
      'rolled back',
    );
    assert.equal(error.sqlstate, '23505');
    assert.equal(error.message, 'duplicate key');
    assert.deepEqual(error.detail?.split('\n'), [
      'follower b: ERROR 23505: duplicate key (Key (id)=(1) exists.)',
      'lead a: rolled back',
      'follower c: rolled back',
    ]);
    assert.equal(error.hint, 'Nothing of this was applied on any writer.');
  });

  test('prefers what a server said to a connection that was lost or an effect that differs', () => {
    const error = followerError(
      [lost, different, failed('follower b', { code: '53100', message: 'disk full' })],
      [],
      '',
    );
    assert.deepEqual([error.sqlstate, error.message], ['53100', 'disk full']);
    assert.deepEqual(error.detail?.split('\n').length, 3);
  });

  test('for a lock that only a follower waited for can be tried again', () => {
    const error = followerError([failed('follower b', { code: '55P03', message: 'canceling' })], [], '');
    assert.equal(error.sqlstate, '40001');
    assert.match(error.message, /follower b waited for a lock that the lead did not have/);
  });

  test('for another effect is a code that drivers do not retry, and names both effects', () => {
    const error = followerError([different], ['lead a'], 'rolled back');
    assert.equal(error.sqlstate, '40002');
    assert.match(error.detail ?? '', /^follower d: UPDATE 0 where the lead did UPDATE 1$/m);
  });

  test('for a lost follower names it', () => {
    const error = followerError([lost], ['lead a'], 'rolled back');
    assert.equal(error.sqlstate, '08006');
    assert.match(error.message, /follower c/);
    assert.match(error.detail ?? '', /^follower c: connection lost \(server too slow: server too slow\)$/m);
  });
});

test('a follower’s transaction begins at READ COMMITTED with a lock_timeout, inside the savepoints that are open', () => {
  assert.deepEqual(beginTexts(5000, ['"a"', '"B c"']), [
    'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE',
    'SET LOCAL lock_timeout = 5000',
    'SAVEPOINT "a"',
    'SAVEPOINT "B c"',
  ]);
});
