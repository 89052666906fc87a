/**
 * Commit in two phases, its barrier, recovery, pools and the table of decisions in worlds that follow from a seed
 * (docs/simulation.md). `PPROX_TEST_RUNS`: how many seeds. `PPROX_TEST_SEED`: that one alone, with everything that happens
 * in it.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BUGS, type Bug, NO_BUGS } from './bugs.ts';
import { simulate } from './simulate.ts';

const RUNS = 3_000;
/** Within how many seeds a planted mistake has to be found. */
const FOUND_WITHIN = 10_000;
/** Where the machines are led to, in which state and by what. */
const EVERYWHERE: readonly string[] = Object.entries({
  'commit checking': ['lead checked', 'lead refused', 'lead lost'],
  'commit preparing: follower': ['prepared', 'refused', 'lost'],
  'commit deciding: lead': ['committed', 'row refused', 'refused', 'lost', 'gone'],
  'commit asking: fence': ['committed', 'aborted', 'unreachable'],
  'commit finishing: follower': ['finished', 'missing', 'failed', 'lost', 'proved', 'disproved'],
  'commit undoing: lead': ['rolled back', 'lost'],
  'commit undoing: follower': ['prepared', 'finished', 'missing', 'lost'],
  'recovery fencing: fence': ['committed', 'aborted', 'unreachable'],
  'recovery acting: follower': ['finished', 'missing', 'failed', 'lost', 'proved', 'disproved'],
}).flatMap(([where, whats]) => whats.map((what) => `${where}${where.includes(':') ? '' : ':'} ${what}`));

/** Of a violation's trace. */
const SHOWN_LINES = 60;

const asked = process.env['PPROX_TEST_SEED'];
const runs = Number(process.env['PPROX_TEST_RUNS'] ?? RUNS);

/** The same seed again, for what it did last. */
function explain(seed: number, bugs: ReadonlySet<Bug>): string {
  const lines: string[] = [];
  const { violation } = simulate(seed, { bugs, trace: (line) => lines.push(line) });
  return [
    `seed ${seed}: ${violation}`,
    ...lines.slice(-SHOWN_LINES),
    `PPROX_TEST_SEED=${seed} npm test -- --no-lint simulation shows all of it`,
  ].join('\n');
}

if (asked !== undefined) {
  test(`nothing is violated in the world of seed ${asked}`, () => {
    const { violation } = simulate(Number(asked), { trace: (line) => console.log(line) });
    assert.equal(violation, undefined);
  });
} else {
  test('nothing is violated, whatever breaks', (t) => {
    let committed = 0;
    let events = 0;
    const told = new Set<string>();
    for (let seed = 1; seed <= runs; seed += 1) {
      const result = simulate(seed);
      committed += result.committed;
      events += result.steps;
      for (const what of result.told) told.add(what);
      if (result.violation !== undefined) assert.fail(explain(seed, NO_BUGS));
    }
    t.diagnostic(`${runs} seeds, ${committed} transactions committed, ${events} events`);
    assert.ok(committed > runs, 'transactions commit');
    if (runs >= RUNS) {
      assert.deepEqual(
        EVERYWHERE.filter((what) => !told.has(what)),
        [],
      );
    }
  });

  test('a seed makes the same world each time', () => {
    const lines = (): string[] => {
      const trace: string[] = [];
      simulate(7, { trace: (line) => trace.push(line) });
      return trace;
    };
    const first = lines();
    assert.ok(first.length > 100);
    assert.deepEqual(lines(), first);
  });

  describe('a planted mistake is found:', () => {
    for (const bug of BUGS) {
      test(bug, (t) => {
        for (let seed = 1; seed <= FOUND_WITHIN; seed += 1) {
          const { violation } = simulate(seed, { bugs: new Set([bug]) });
          if (violation === undefined) continue;
          t.diagnostic(`seed ${seed}: ${violation}`);
          return;
        }
        assert.fail(`not found within ${FOUND_WITHIN} seeds`);
      });
    }
  });
}
