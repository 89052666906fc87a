import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { formatLsn, parseLsn, reachable } from '../../../src/cluster/lsn.ts';

const SEGMENT = 16n * 1024n * 1024n;
const PAGE = 8192n;

describe('a log position', () => {
  test('is read as PostgreSQL writes it, and written as it is read', () => {
    assert.equal(parseLsn('0/0'), 0n);
    assert.equal(parseLsn('16/B374D848'), 0x16_b374_d848n);
    assert.equal(parseLsn('1/0'), 1n << 32n);
    assert.equal(formatLsn(0x16_b374_d848n), '16/B374D848');
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (lsn) => parseLsn(formatLsn(lsn)) === lsn));
  });

  test('just behind the header of a page is reached with the page before', () => {
    assert.equal(reachable(3n * SEGMENT + 2n * PAGE + 24n, SEGMENT), 3n * SEGMENT + 2n * PAGE);
    assert.equal(reachable(3n * SEGMENT + 40n, SEGMENT), 3n * SEGMENT);
    assert.equal(reachable(3n * SEGMENT + PAGE + 24n, SEGMENT), 3n * SEGMENT + PAGE, 'the second page of a segment');
  });

  test('anywhere else is reached as it is', () => {
    for (const offset of [0n, 24n, 41n, PAGE, PAGE + 40n, PAGE + 32n, 5n * PAGE - 8n]) {
      assert.equal(reachable(7n * SEGMENT + offset, SEGMENT), 7n * SEGMENT + offset, String(offset));
    }
  });

  test('of a server with other segments has its long page headers elsewhere', () => {
    const megabyte = 1024n * 1024n;
    assert.equal(reachable(5n * megabyte + 40n, megabyte), 5n * megabyte);
    assert.equal(reachable(5n * megabyte + 40n, SEGMENT), 5n * megabyte + 40n);
  });

  test('that can be reached is never beyond the one that was asked for', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 1n << 40n }), (lsn) => {
        const found = reachable(lsn, SEGMENT);
        return found <= lsn && lsn - found <= 40n;
      }),
    );
  });
});
