import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { changeOf, complete, type Identity, relate } from '../../../src/cluster/identity.ts';

function server(
  systemIdentifier: string | undefined,
  recovery: Identity['recovery'] = 'primary',
  timeline = 1,
  startedAt = '2026-01-01 00:00:00+00',
): Identity {
  const walSegmentBytes = 16n * 1024n * 1024n;
  return { systemIdentifier, recovery, timeline, flushed: 0x1000n, startedAt, version: 180_000, walSegmentBytes };
}

describe('a reader', () => {
  test('of the lead’s system is its standby, or the lead itself', () => {
    assert.deepEqual(relate(server('a', 'standby'), server('a'), [server('b')]), { kind: 'standby of the lead' });
    assert.deepEqual(relate(server('a'), server('a'), [server('b')]), { kind: 'the lead itself' });
  });

  test('of a follower’s system is that follower’s standby, or that follower', () => {
    const followers = [undefined, server('b'), server('c')];
    assert.deepEqual(relate(server('c', 'standby'), server('a'), followers), {
      kind: 'standby of a follower',
      follower: 2,
    });
    assert.deepEqual(relate(server('b'), server('a'), followers), { kind: 'follower itself', follower: 1 });
  });

  test('of no writer’s system is unrelated, and one that may not be known counts as such', () => {
    assert.deepEqual(relate(server('x', 'standby'), server('a'), [server('b')]), { kind: 'unrelated' });
    assert.deepEqual(relate(server(undefined, 'standby'), server(undefined), []), { kind: 'unrelated' });
  });

  test('that was promoted has left the lead', () => {
    assert.deepEqual(relate(server('a', 'primary', 2), server('a'), [server('b')]), { kind: 'unrelated' });
  });

  test('that is a copy of the lead, on its timeline still, is not the lead', () => {
    const copy = server('a', 'primary', 1, '2026-01-02 00:00:00+00');
    assert.deepEqual(relate(copy, server('a'), [server('b')]), { kind: 'unrelated' });
  });

  test('of writers that are copies of one another belongs to the one on its timeline, if that is clear', () => {
    const [reader, first] = [server('a', 'standby', 2), server('a', 'primary', 1)];
    assert.deepEqual(relate(reader, first, [server('a', 'primary', 2)]), {
      kind: 'standby of a follower',
      follower: 0,
    });
    assert.deepEqual(relate(reader, first, [server('a', 'primary', 3)]), { kind: 'unrelated' });
    assert.deepEqual(relate(reader, server('a', 'primary', 2), [server('a', 'primary', 2)]), { kind: 'unrelated' });
    assert.deepEqual(relate(reader, first, [server('b')]), { kind: 'standby of the lead' }, 'no other could be meant');
  });

  test('is not judged before both it and the lead are known', () => {
    assert.deepEqual(relate(undefined, server('a'), []), { kind: 'unknown' });
    assert.deepEqual(relate(server('a', 'standby'), undefined, []), { kind: 'unknown' });
  });
});

describe('a writer', () => {
  const before = server('a');

  test('that was restarted is the same', () => {
    assert.equal(changeOf(before, { ...before, flushed: 0x1000n, startedAt: '2026-01-02 00:00:00+00' }), undefined);
    assert.equal(changeOf(before, { ...before, flushed: 0x1001n }), undefined);
  });

  test('is another where its system, its timeline or its log says so', () => {
    assert.match(changeOf(before, server('b'))?.what ?? '', /another server/);
    assert.match(changeOf(before, server('a', 'primary', 2))?.what ?? '', /failed over/);
    const older = changeOf(before, { ...before, flushed: 0xfffn });
    assert.match(older?.what ?? '', /older state/);
    assert.equal(older?.detail, 'Its log ends at 0/FFF, and had been flushed up to 0/1000.');
  });

  test('that a login may not look at keeps what another login has found out', () => {
    const unknown = { ...before, systemIdentifier: undefined, timeline: undefined, flushed: undefined };
    assert.equal(changeOf(before, unknown), undefined);
    assert.equal(changeOf(unknown, before), undefined);
    assert.deepEqual(complete(before, unknown), before);
  });
});
