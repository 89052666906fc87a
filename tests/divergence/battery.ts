/** A test file of the battery: the same cases, on writers and proxies of the file's own choice. */
import { after, describe, test } from 'node:test';
import type { Case } from './case.ts';
import { assertEqualWriters, type Field, prepare, runCase, SEED, type Verdict } from './harness.ts';
import { describe as describeVerdict, table } from './report.ts';

/** Of one case; it takes about a second. */
const TIMEOUT_MS = 280_000;

/** A part of the names of cases: those alone are played. */
const ONLY = process.env['PPROX_TEST_CASE'] ?? '';

export async function playBattery(name: string, field: Field, cases: readonly Case[]): Promise<void> {
  await prepare(field);
  const verdicts: Verdict[] = [];
  describe(`${name} (PPROX_TEST_SEED=${SEED})`, () => {
    for (const played of cases.filter(({ name: named }) => named.includes(ONLY))) {
      test(`the writers are equal after: ${played.name}`, { timeout: TIMEOUT_MS }, async (t) => {
        const verdict = await runCase(field, played);
        verdicts.push(verdict);
        t.diagnostic(describeVerdict(verdict));
        assertEqualWriters(verdict);
      });
    }
    after(() => {
      for (const line of table(verdicts)) console.log(line);
    });
  });
}

/** Every third case, from another one for each `turn`; all of them in a long run. */
export function third(cases: readonly Case[], turn: number): readonly Case[] {
  if (process.env['PPROX_TEST_ROUNDS'] !== undefined) return cases;
  return cases.filter((_, index) => index % 3 === turn % 3);
}
