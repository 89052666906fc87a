/** Turns a group of scripts into tests: each is played on bare PostgreSQL and on the subject, with equal answers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorCodes, type Section } from '../support/transcript.ts';
import { compareServers } from './contest.ts';
import { type GroupName, groups } from './groups.ts';
import { play } from './play.ts';
import type { Script } from './script.ts';

/** What a section of the script's transcript answers. */
export function stepOf(script: Script, section: number): string {
  return section === 0 ? 'the start-up' : (script.steps[section - 1]?.sql ?? 'the end');
}

/** What the script says about its own errors, against what PostgreSQL answered. */
export function assertWritten(script: Script, answers: readonly Section[]): void {
  const slips = script.steps.flatMap((step, index) => {
    const seen = errorCodes(answers[index + 1] ?? []).join(' ');
    const isExpected = seen === step.fails.join(' ') || seen === step.lacking;
    const outcome = `${seen || 'succeeds'}, not ${step.fails.join(' ') || 'without an error'}`;
    return isExpected ? [] : [`${step.sql.slice(0, 300)} → ${outcome}`];
  });
  assert.ok(slips.length === 0, `the script does not say what PostgreSQL answers:\n${slips.join('\n')}`);
  assert.equal(answers.length, script.steps.length + 2, 'one answer for each request, the start-up and the end');
}

export function runBattery(name: GroupName): void {
  describe(`protocol battery: ${name}`, () => {
    const scripts: readonly Script[] = groups[name];
    const contest = compareServers(name, scripts, (script, target) => play(script, target));

    for (const script of scripts) {
      it(`answers ${script.name} as PostgreSQL does`, async () => {
        assertWritten(script, contest.expected(script));
        contest.assertEqual(script, await play(script, contest.target), (section) => stepOf(script, section));
      });
    }
    contest.conclude();
  });
}
