/**
 * What the cases are worth: the same ones where the proxy replays every statement's text and looks no further. Those that
 * say so must make the writers differ, or the follower fail. In a long run (PPROX_TEST_ROUNDS) all cases, and which ones bite.
 */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import { testMajor } from '../support/major.ts';
import { playable, share, TIMEOUT_MS } from './battery.ts';
import { allCases } from './cases/all.ts';
import { startField } from './field.ts';
import { prepare, ROUNDS, runCase, SEED, type Verdict } from './harness.ts';
import { bite, describe as describeVerdict } from './report.ts';

/** Much depends on who comes first. */
const TRIES = 4;

const field = await startField({ plans: 'same text' });
await prepare(field);
const known = playable(allCases, testMajor ?? 18);
const cases = share(ROUNDS === undefined ? known.filter(({ bites }) => bites === true) : known, 30, 6);
const verdicts: Verdict[] = [];

describe(`the same text on every writer (PPROX_TEST_SEED=${SEED})`, () => {
  for (const played of cases) {
    test(`it is seen what becomes of: ${played.name}`, { timeout: TIMEOUT_MS }, async (t) => {
      let verdict = await runCase(field, played);
      for (let tries = 1; tries < TRIES && bite(verdict) === 'nothing' && played.bites === true; tries += 1) {
        verdict = await runCase(field, played);
      }
      verdicts.push(verdict);
      t.diagnostic(`${bite(verdict)}: ${describeVerdict(verdict)}`);
      if (played.bites === true) {
        assert.notEqual(
          bite(verdict),
          'nothing',
          `${played.name}: the same text does no harm, PPROX_TEST_SEED=${SEED}`,
        );
      }
    });
  }
  after(() => {
    for (const verdict of verdicts) console.log(`${bite(verdict).padEnd(16)}${verdict.case.name}`);
    const harmless = verdicts.filter((verdict) => bite(verdict) === 'nothing');
    console.log(`${verdicts.length - harmless.length} of ${verdicts.length} cases bite`);
  });
});
