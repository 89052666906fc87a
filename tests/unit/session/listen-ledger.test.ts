import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ListenLedger } from '../../../src/session/listen-ledger.ts';

function after(ledger: ListenLedger, ...before: readonly string[]): readonly string[] {
  return [...ledger.applied(new Set(before))].toSorted();
}

describe('what a transaction listens to when it commits', () => {
  test('is what it says, in its order', () => {
    const ledger = new ListenLedger();
    ledger.note({ kind: 'listen', channel: 'a' });
    ledger.note({ kind: 'unlisten', channel: undefined });
    ledger.note({ kind: 'listen', channel: 'b' });
    ledger.note({ kind: 'listen', channel: 'c' });
    ledger.note({ kind: 'unlisten', channel: 'c' });
    assert.deepEqual(after(ledger, 'before'), ['b']);
  });

  test('loses what is behind a savepoint that is rolled back to, again and again', () => {
    const ledger = new ListenLedger();
    ledger.note({ kind: 'listen', channel: 'a' });
    ledger.savepoint('s');
    for (const channel of ['b', 'c']) {
      ledger.note({ kind: 'listen', channel });
      ledger.savepoint('inner');
      ledger.note({ kind: 'unlisten', channel: undefined });
      ledger.rollbackTo('s');
      assert.deepEqual(after(ledger), ['a']);
    }
  });

  test('keeps what is behind a savepoint that is released, and its savepoints end', () => {
    const ledger = new ListenLedger();
    ledger.savepoint('s');
    ledger.note({ kind: 'listen', channel: 'a' });
    ledger.savepoint('inner');
    ledger.note({ kind: 'listen', channel: 'b' });
    ledger.release('s');
    ledger.rollbackTo('inner');
    assert.deepEqual(after(ledger), ['a', 'b']);
  });

  test('a name that is used twice is the later one', () => {
    const ledger = new ListenLedger();
    ledger.savepoint('s');
    ledger.note({ kind: 'listen', channel: 'a' });
    ledger.savepoint('s');
    ledger.note({ kind: 'listen', channel: 'b' });
    ledger.rollbackTo('s');
    assert.deepEqual(after(ledger), ['a']);
    ledger.release('s');
    ledger.rollbackTo('s');
    assert.ok(ledger.empty);
  });
});
