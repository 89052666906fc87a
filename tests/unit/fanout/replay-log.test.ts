import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReplayLog, type ReplayedStatement } from '../../../src/fanout/replay-log.ts';

function statement(bytes = 10): ReplayedStatement {
  return {
    messages: [Buffer.alloc(bytes)],
    expected: { tag: 'UPDATE 1', rows: undefined },
    leaves: 'nothing',
    elapsedMs: 1,
  };
}

test('nothing is kept before it is known where it begins', () => {
  const log = new ReplayLog();
  log.add([statement()]);
  assert.deepEqual([log.base, log.statements], ['unknown', []]);
});

test('what is done is kept in order, from the beginning or from a savepoint', () => {
  for (const base of ['begin', 'savepoint'] as const) {
    const log = new ReplayLog();
    const all = [statement(), statement(), statement()];
    log.startAt(base);
    log.add(all.slice(0, 2));
    log.add(all.slice(2));
    assert.equal(log.base, base);
    assert.deepEqual(log.statements, all);
    assert.ok(log.statements.every((one, index) => one === all[index]));
  }
});

test('what is not kept takes away the way back to before it, until the log begins anew', () => {
  const log = new ReplayLog();
  log.startAt('begin');
  log.add([statement()]);
  log.break();
  assert.deepEqual([log.base, log.statements], ['unknown', []]);
  log.add([statement()]);
  assert.deepEqual(log.statements, []);
  log.startAt('savepoint');
  log.add([statement()]);
  assert.equal(log.statements.length, 1);
});

test('it holds sixteen statements, or a megabyte of them', () => {
  const many = new ReplayLog();
  many.startAt('begin');
  many.add(Array.from({ length: 15 }, () => statement()));
  assert.equal(many.base, 'begin');
  many.add([statement()]);
  assert.deepEqual([many.base, many.statements], ['unknown', []]);
  const large = new ReplayLog();
  large.startAt('begin');
  large.add([statement(1024 * 1024)]);
  assert.deepEqual([large.base, large.statements], ['unknown', []]);
});
