import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PproxError } from '../../../src/lib/errors.ts';
import { RowLimit } from '../../../src/session/row-limit.ts';
import { decodeCommandTag, encodeCommandComplete } from '../../../src/wire/backend.ts';

function filled(limit: number, rows: number): { limit: RowLimit; now: number } {
  const own = new RowLimit(limit);
  let now = 0;
  for (let row = 0; row < rows; row++) if (own.admit(Buffer.from(`row ${row}`))) now++;
  own.completion = encodeCommandComplete(`INSERT 0 ${rows}`);
  return { limit: own, now };
}

describe('rows beyond a limit', () => {
  test('wait, and come in portions whose tag counts the last of them', () => {
    const { limit, now } = filled(2, 5);
    assert.equal(now, 2);
    assert.ok(limit.suspended);
    const next = limit.take(2);
    assert.deepEqual(next.rows.map(String), ['row 2', 'row 3']);
    assert.equal(next.end, 'suspended');
    const last = limit.take(2);
    assert.deepEqual(last.rows.map(String), ['row 4']);
    assert.ok(Buffer.isBuffer(last.end));
    assert.equal(decodeCommandTag(last.end, 0, last.end.length), 'INSERT 0 1');
  });

  test('as many as the limit suspend the portal, though nothing is left', () => {
    const { limit } = filled(2, 2);
    assert.ok(limit.suspended);
    const { rows, end } = limit.take(0);
    assert.deepEqual(rows, []);
    assert.ok(Buffer.isBuffer(end));
    assert.equal(decodeCommandTag(end, 0, end.length), 'INSERT 0 0');
  });

  test('are copied: the chunk that they came in may change', () => {
    const limit = new RowLimit(1);
    const chunk = Buffer.from('first');
    limit.admit(chunk);
    limit.admit(chunk);
    chunk.fill('x');
    assert.deepEqual(limit.take(0).rows.map(String), ['first']);
  });

  test('are no more than memory is for', () => {
    const limit = new RowLimit(1);
    const row = Buffer.alloc(1024 * 1024);
    for (let count = 0; count < 17; count++) limit.admit(row);
    limit.check();
    limit.admit(row);
    assert.throws(() => limit.check(), PproxError);
    assert.deepEqual(limit.take(0).rows, []);
  });
});
