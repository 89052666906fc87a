/** Any schema and any changes: whatever clients do at the same time, all writers hold the same rows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { testMajor } from '../support/major.ts';
import { sampling } from '../support/sampling.ts';
import { startField } from './field.ts';
import { SEED } from './harness.ts';
import { emptyTally, play, report, script, type Turn, type World } from './random-run.ts';
import { drafts } from './random-schema.ts';

const USUAL_RUNS = 4;
const CLIENTS = 8;
/** Runs that look for a smaller world which fails as well. */
const SHRINKING_RUNS = 12;
/** Lines that are shown of the statements of a world that fails. */
const SHOWN_LINES = 400;

const turn: fc.Arbitrary<Turn> = fc.noShrink(fc.record({ client: fc.nat(CLIENTS - 1), seed: fc.nat() }));
const worlds: fc.Arbitrary<World> = fc.record({
  draft: drafts,
  turns: fc.noBias(fc.array(turn, { minLength: 1, maxLength: 90, size: 'max' })),
});

const field = await startField();
const major = testMajor ?? 18;
const { numRuns } = sampling(USUAL_RUNS);
/** Each wait within a run has its own deadline: this one is for all runs, and those that shrink. */
const TIMEOUT_MS = (numRuns + SHRINKING_RUNS) * 60_000;
const NAME = `the writers are equal after random changes of random schemas (PPROX_TEST_SEED=${SEED})`;

test(NAME, { timeout: TIMEOUT_MS }, async (t) => {
  const tally = emptyTally();
  const shrinking = emptyTally();
  let smallest: { readonly world: World; readonly wrong: readonly string[] } | undefined;
  let left = SHRINKING_RUNS;
  const property = fc.asyncProperty(worlds, async (world) => {
    if (smallest !== undefined) {
      left -= 1;
      // As if it were all right: what has failed last is the smallest one.
      if (left < 0) return;
    }
    const wrong = await play(field, world, major, smallest === undefined ? tally : shrinking);
    if (wrong.length === 0) return;
    smallest = { world, wrong };
    throw new Error(wrong[0]);
  });
  const result = await fc.check(property, { numRuns, seed: SEED });
  t.diagnostic(report(tally));
  for (const [code, example] of tally.examples) t.diagnostic(`${code}: ${example.slice(0, 400)}`);
  if (smallest !== undefined) {
    const { world, wrong } = smallest;
    const lines = script(world, major).slice(0, SHOWN_LINES);
    assert.fail([`PPROX_TEST_SEED=${SEED}`, ...new Set(wrong), ...lines].join('\n  '));
  }
  assert.equal(result.failed, false, String(result.errorInstance));
  assert.ok(tally.committed * 3 >= tally.transactions, `most is to be committed: ${report(tally)}`);
});
