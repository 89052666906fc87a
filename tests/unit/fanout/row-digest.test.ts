import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { RowDigest } from '../../../src/fanout/row-digest.ts';

function digest(rows: readonly Uint8Array[], cut?: (row: Buffer) => number): string {
  const made = new RowDigest();
  for (const row of rows.map((bytes) => Buffer.from(bytes))) {
    const at = cut?.(row) ?? row.length;
    if (at < row.length) made.tap(row, 0, at, false);
    made.tap(row, at < row.length ? at : 0, row.length, true);
  }
  return made.value;
}

const rows = fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 20 });

describe('the digest of a result', () => {
  test('is the same whatever the order of the rows', () => {
    fc.assert(
      fc.property(rows, fc.infiniteStream(fc.nat()), (some, keys) => {
        const shuffled = some
          .map((row) => ({ row, key: keys.next().value ?? 0 }))
          .sort((a, b) => a.key - b.key)
          .map(({ row }) => row);
        assert.equal(digest(shuffled), digest(some));
      }),
    );
  });

  test('is the same however its rows were cut on the way', () => {
    fc.assert(
      fc.property(rows, fc.nat(30), (some, at) =>
        assert.equal(
          digest(some, (row) => Math.min(at, row.length)),
          digest(some),
        ),
      ),
    );
  });

  test('shows any single byte that is another', () => {
    fc.assert(
      fc.property(rows, fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (some, at, offset, by) => {
        const row = some[at % Math.max(some.length, 1)];
        fc.pre(row !== undefined && row.length > 0);
        const changed = some.map((bytes) => Uint8Array.from(bytes));
        const target = changed[at % changed.length] ?? new Uint8Array(1);
        const where = offset % target.length;
        target[where] = ((target[where] ?? 0) + by) % 256;
        assert.notEqual(digest(changed), digest(some));
      }),
    );
  });

  test('shows a row that is missing, doubled, or cut in two', () => {
    const some = [Buffer.from('one'), Buffer.from('two')];
    assert.notEqual(digest(some.slice(1)), digest(some));
    assert.notEqual(digest([...some, Buffer.from('two')]), digest(some));
    assert.notEqual(digest([Buffer.from('onetwo')]), digest(some));
    assert.notEqual(digest([Buffer.alloc(0)]), digest([]));
  });

  test('shows two rows that have exchanged a value', () => {
    const pair = (a: string, b: string): Buffer => Buffer.from(`${a.padEnd(4)}${b.padEnd(4)}`);
    assert.notEqual(digest([pair('a', '1'), pair('b', '2')]), digest([pair('a', '2'), pair('b', '1')]));
  });

  test('tells a hundred thousand different rows apart from as many others', () => {
    const numbers = (from: number): Buffer[] =>
      Array.from({ length: 100_000 }, (_, n) => Buffer.from(String(from + n)));
    assert.notEqual(digest(numbers(0)), digest(numbers(1)));
    assert.equal(digest(numbers(0)), digest(numbers(0).toReversed()));
  });
});
