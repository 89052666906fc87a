import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PendingSet } from '../../../src/commit/pending.ts';

/** What was called, in order. */
function recorder(): { readonly calls: string[]; called(name: string): () => void } {
  const calls: string[] = [];
  return { calls, called: (name) => () => calls.push(name) };
}

test('nobody is waited for while the set is empty', () => {
  const set = new PendingSet();
  const { calls, called } = recorder();
  assert.equal(set.whenGone(called('a')), undefined);
  assert.equal(set.gone(), undefined);
  set.join('1');
  set.leave('1');
  assert.equal(set.size, 0);
  assert.equal(set.gone(), undefined);
  assert.deepEqual(calls, []);
});

test('a wait ends when the last of its members leaves, in whatever order', () => {
  const set = new PendingSet();
  const { calls, called } = recorder();
  for (const id of ['1', '2', '3']) set.join(id);
  assert.notEqual(set.whenGone(called('all three')), undefined);
  set.leave('2');
  set.leave('1');
  assert.deepEqual(calls, []);
  set.leave('3');
  assert.deepEqual(calls, ['all three']);
});

test('who joins later is not waited for, also under an id that was there before', () => {
  const set = new PendingSet();
  const { calls, called } = recorder();
  set.join('1');
  set.whenGone(called('early'));
  set.join('2');
  set.whenGone(called('late'));
  set.leave('1');
  assert.deepEqual(calls, ['early']);
  set.join('1');
  set.leave('2');
  assert.deepEqual(calls, ['early', 'late']);
  assert.equal(set.size, 1);
});

test('a wait for a moment ends when those who were members then are gone', () => {
  const set = new PendingSet();
  const { calls, called } = recorder();
  const { moment: empty } = set;
  set.join('1');
  const { moment } = set;
  set.join('2');
  assert.equal(set.whenGone(called('empty'), undefined, empty), undefined);
  assert.notEqual(set.whenGone(called('one'), undefined, moment), undefined);
  set.leave('2');
  assert.deepEqual(calls, []);
  set.leave('1');
  assert.deepEqual(calls, ['one']);
  set.join('3');
  assert.equal(set.whenGone(called('past'), undefined, moment), undefined);
});

test('one can be left out', () => {
  const set = new PendingSet();
  const { calls, called } = recorder();
  set.join('own');
  assert.equal(set.whenGone(called('never'), 'own'), undefined);
  assert.equal(set.gone('own'), undefined);
  set.join('other');
  set.whenGone(called('other is gone'), 'own');
  set.leave('other');
  assert.deepEqual(calls, ['other is gone']);
});

test('a wait that was given up is not called', () => {
  const set = new PendingSet();
  const { calls, called } = recorder();
  set.join('1');
  const giveUp = set.whenGone(called('given up'));
  set.whenGone(called('kept'));
  giveUp?.();
  set.leave('1');
  giveUp?.();
  assert.deepEqual(calls, ['kept']);
});

test('a callback may join, leave and wait', () => {
  const set = new PendingSet();
  const { calls, called } = recorder();
  set.join('1');
  set.join('2');
  set.whenGone(() => {
    set.join('3');
    set.whenGone(called('nested'));
    set.leave('3');
    calls.push('outer');
  });
  set.leave('1');
  set.leave('2');
  assert.deepEqual(calls, ['nested', 'outer']);
  assert.equal(set.size, 0);
});

test('an id joins once, and leaves as often as it likes', () => {
  const set = new PendingSet();
  set.join('1');
  assert.throws(() => set.join('1'), /once/);
  set.leave('1');
  set.leave('1');
  set.leave('never there');
  assert.equal(set.size, 0);
});

test('the promise resolves when all are gone', async () => {
  const set = new PendingSet();
  set.join('1');
  const gone = set.gone();
  assert.ok(gone);
  let resolved = false;
  const after = gone.then(() => {
    resolved = true;
  });
  await Promise.resolve();
  assert.equal(resolved, false);
  set.leave('1');
  await after;
  assert.equal(resolved, true);
});
