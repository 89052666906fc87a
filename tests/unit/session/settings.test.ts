import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SessionSettings } from '../../../src/session/settings.ts';

function now(settings: SessionSettings): Readonly<Record<string, string>> {
  return Object.fromEntries(settings.now.values);
}

/** In a block with a = 1 from before. */
function inBlock(): SessionSettings {
  const settings = new SessionSettings();
  settings.set('a', '1');
  settings.begin();
  return settings;
}

describe('what a session has set', () => {
  test('is kept at once outside a block, and with COMMIT in one', () => {
    const settings = inBlock();
    settings.set('b', '2');
    assert.deepEqual(now(settings), { a: '1', b: '2' });
    assert.deepEqual(Object.fromEntries(settings.kept.values), { a: '1' });
    settings.commit();
    assert.deepEqual(Object.fromEntries(settings.kept.values), { a: '1', b: '2' });
  });

  test('is as before after ROLLBACK, resets included', () => {
    const settings = inBlock();
    settings.reset('a');
    settings.set('b', '2');
    assert.deepEqual(now(settings), { b: '2' });
    settings.rollback();
    assert.deepEqual(now(settings), { a: '1' });
  });

  test('is as at the savepoint after ROLLBACK TO, which leaves the savepoint', () => {
    const settings = inBlock();
    settings.savepoint('s');
    settings.set('a', '2');
    settings.savepoint('t');
    settings.set('a', '3');
    settings.rollbackTo('s');
    assert.deepEqual(now(settings), { a: '1' });
    settings.set('a', '4');
    settings.rollbackTo('t');
    assert.deepEqual(now(settings), { a: '4' }, 't is gone');
    settings.rollbackTo('s');
    assert.deepEqual(now(settings), { a: '1' });
  });

  test('stays with RELEASE, and with the outer savepoint of the same name', () => {
    const settings = inBlock();
    settings.savepoint('s');
    settings.set('a', '2');
    settings.savepoint('s');
    settings.set('a', '3');
    settings.release('s');
    assert.deepEqual(now(settings), { a: '3' });
    settings.rollbackTo('s');
    assert.deepEqual(now(settings), { a: '1' });
  });

  test('is not who one is after RESET ALL, and nothing after DISCARD ALL', () => {
    const settings = new SessionSettings();
    for (const name of ['session_authorization', 'role', 'work_mem']) settings.set(name, 'x');
    settings.resetAll('settings');
    assert.deepEqual(now(settings), { session_authorization: 'x', role: 'x' });
    settings.resetAll('and authorization');
    assert.deepEqual(now(settings), {});
  });

  test('has no role after another authorization', () => {
    const settings = new SessionSettings();
    settings.set('role', 'one');
    settings.set('session_authorization', 'two');
    assert.deepEqual(now(settings), { session_authorization: 'two' });
    settings.set('role', 'one');
    settings.reset('session_authorization');
    assert.deepEqual(now(settings), {});
  });

  test('leaves custom settings behind whose values have to be asked for', () => {
    const settings = inBlock();
    settings.name([
      { name: 'my.own', scope: 'session', how: 'set' },
      { name: 'work_mem', scope: 'local', how: 'set' },
    ]);
    settings.set('my.own', 'x');
    assert.deepEqual(settings.unknown, []);
    settings.rollback();
    assert.deepEqual(settings.unknown, ['my.own']);
    settings.set('my.own', '');
    assert.deepEqual(settings.unknown, []);
  });

  test('reads constants in its own way in a block with settings of its own for it', () => {
    const settings = inBlock();
    assert.equal(settings.reading, '');
    settings.setLocally(['work_mem']);
    assert.equal(settings.reading, '');
    settings.setLocally(['datestyle']);
    const other = inBlock();
    other.setLocally(['datestyle']);
    assert.notEqual(settings.reading, '');
    assert.notEqual(settings.reading, other.reading);
    settings.commit();
    assert.equal(settings.reading, '');
    settings.set('datestyle', 'German');
    other.rollback();
    other.set('datestyle', 'German');
    assert.equal(settings.reading, other.reading);
  });
});
