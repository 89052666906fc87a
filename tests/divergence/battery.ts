/** A test file of the battery: cases, on writers and proxies of the file's own choice. */
import { after, describe, test } from 'node:test';
import type { Case } from './case.ts';
import { assertEqualWriters, type Field, prepare, ROUNDS, runCase, SEED, type Verdict } from './harness.ts';
import { describe as describeVerdict, table } from './report.ts';

/** Of one case; it takes about a second, and some minutes with many rounds. */
export const TIMEOUT_MS = 290_000;

/** `PPROX_TEST_CASE`, parts of the names of cases with commas between: those alone are played. */
const ONLY = process.env['PPROX_TEST_CASE']?.split(',');

export async function playBattery(name: string, field: Field, cases: readonly Case[]): Promise<void> {
  await prepare(field);
  const verdicts: Verdict[] = [];
  describe(`${name} (PPROX_TEST_SEED=${SEED})`, () => {
    for (const played of cases) {
      test(`the writers are equal after: ${played.name}`, { timeout: TIMEOUT_MS }, async (t) => {
        const verdict = await runCase(field, played);
        verdicts.push(verdict);
        t.diagnostic(describeVerdict(verdict));
        for (const [name, example] of verdict.examples) if (/^(?!40001).* follower$/.test(name)) t.diagnostic(example);
        assertEqualWriters(verdict);
      });
    }
    after(() => {
      for (const line of table(verdicts)) console.log(line);
    });
  });
}

/** Those cases that servers of this version can play. */
export function playable(cases: readonly Case[], major: number): readonly Case[] {
  return cases.filter(({ majors }) => majors === undefined || majors <= major);
}

/**
 * One case out of `parts`: others for each seed, so that many runs play them all, and others for each `turn`. All cases where
 * `PPROX_TEST_ROUNDS` asks for a long run; those of `PPROX_TEST_CASE` where it is set.
 */
export function share(cases: readonly Case[], parts: number, turn: number): readonly Case[] {
  if (ONLY !== undefined) return cases.filter(({ name }) => ONLY.some((part) => name.includes(part)));
  if (ROUNDS !== undefined) return cases;
  return cases.filter((_, index) => index % parts === (SEED + turn) % parts);
}
