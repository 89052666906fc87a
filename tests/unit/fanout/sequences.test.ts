import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { SequenceKeeper, type SequenceScope } from '../../../src/fanout/sequences.ts';

const BLOCK = 100n;

/** A follower with one sequence, which answers what the keeper asks of it. */
class Followers implements SequenceScope {
  readonly followers = 'some';
  readonly scope = 'user\0database';
  drew(): void {
    // Nobody asks.
  }
  asked = 0;
  answer: 'advances' | 'fails' = 'advances';
  lead: readonly (readonly (string | null)[])[] = [];
  leadText = '';
  readonly #increment: bigint;

  constructor(increment = 1n) {
    this.#increment = increment;
  }

  async askDrawn(text: string): Promise<readonly (readonly (string | null)[])[]> {
    this.leadText = text;
    await turn();
    return this.lead;
  }

  async askFollowers(text: string): Promise<readonly (readonly (readonly (string | null)[])[])[]> {
    this.asked++;
    await turn();
    if (this.answer === 'fails') return [[]];
    const rows = text.split('UNION ALL').map((part) => {
      const value = BigInt(/(-?\d+)::numeric \+/.exec(part)?.[1] ?? assert.fail(part));
      const target = value + this.#increment * BLOCK;
      const name = /SELECT E'([^']+)'/.exec(part)?.[1] ?? assert.fail(part);
      return [name, String(target), String(this.#increment), String(target)];
    });
    return [rows];
  }
}

const keeper = (): SequenceKeeper => new SequenceKeeper(Number(BLOCK));

describe('followers’ sequences', () => {
  test('are asked once for a block, and again behind its end', async () => {
    const [sequences, followers] = [keeper(), new Followers()];
    for (let value = 1n; value <= 101n; value++) await sequences.reserve(followers, 's', value);
    assert.equal(followers.asked, 1);
    await sequences.reserve(followers, 's', 102n);
    assert.equal(followers.asked, 2);
  });

  test('that count down are kept below', async () => {
    const [sequences, followers] = [keeper(), new Followers(-1n)];
    for (let value = -1n; value >= -101n; value--) await sequences.reserve(followers, 's', value);
    assert.equal(followers.asked, 1);
    await sequences.reserve(followers, 's', -102n);
    assert.equal(followers.asked, 2);
  });

  test('are asked once for many sessions at the same time', async () => {
    const [sequences, followers] = [keeper(), new Followers()];
    await Promise.all(Array.from({ length: 50 }, (_, value) => sequences.reserve(followers, 's', BigInt(value))));
    assert.equal(followers.asked, 1);
  });

  test('are asked for each sequence, and for each database', async () => {
    const sequences = keeper();
    const [one, other] = [new Followers(), Object.assign(new Followers(), { scope: 'another' })];
    await sequences.reserve(one, 's', 1n);
    await sequences.reserve(one, 't', 1n);
    await sequences.reserve(other, 's', 1n);
    assert.deepEqual([one.asked, other.asked], [2, 1]);
  });

  test('that could not be advanced make the statement fail, and are asked again next time', async () => {
    const [sequences, followers] = [keeper(), new Followers()];
    followers.answer = 'fails';
    await assert.rejects(sequences.reserve(followers, 's', 1n), /permission denied for sequence s/);
    followers.answer = 'advances';
    await sequences.reserve(followers, 's', 1n);
    // As the session's role, as its login's; and again.
    assert.equal(followers.asked, 3);
  });

  test('do not fail the session that waited for another’s attempt', async () => {
    const [sequences, followers] = [keeper(), new Followers()];
    followers.answer = 'fails';
    const first = sequences.reserve(followers, 's', 1n);
    const second = sequences.reserve(followers, 's', 1n);
    await assert.rejects(first);
    followers.answer = 'advances';
    await second;
  });

  test('are asked anew once they may have been set by somebody', async () => {
    const [sequences, followers] = [keeper(), new Followers()];
    await sequences.reserve(followers, 's', 1n);
    sequences.forget();
    await sequences.reserve(followers, 's', 1n);
    assert.equal(followers.asked, 2);
  });

  test('follow every sequence of the lead where nextval was called without a name', async () => {
    const [sequences, followers] = [keeper(), new Followers()];
    followers.lead = [
      ['public.a', '7'],
      ['public.b', null],
      ['public.c', '9'],
    ];
    await sequences.afterNextval(followers, []);
    assert.match(followers.leadText, /pg_locks/);
    assert.equal(followers.asked, 1);
    await sequences.reserve(followers, 'public.a', 100n);
    await sequences.reserve(followers, 'public.c', 100n);
    assert.equal(followers.asked, 1);
  });
});
