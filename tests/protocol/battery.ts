/** Turns a group of scripts into tests: each is played on bare PostgreSQL and on the subject, with equal answers. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorCodes, type Section } from '../support/transcript.ts';
import { compareServers } from './contest.ts';
import { type GroupName, groups } from './groups.ts';
import { play } from './play.ts';
import { rounds, type Script } from './script.ts';

/** What a section of the script's transcript answers. */
export function stepOf(script: Script, section: number): string {
  if (section === 0) return 'the start-up';
  const round = rounds(script).find(({ sections }) => sections.includes(section));
  if (round === undefined || round.steps.length === 0) return 'the end';
  const text = round.steps.map((step) => step.text).join('\n');
  const place = section - (round.sections[0] ?? 0) + 1;
  return round.sections.length === 1 ? text : `ReadyForQuery ${place} of ${round.sections.length} of\n${text}`;
}

/** What the script says about its own errors, against what PostgreSQL answered. */
export function assertWritten(script: Script, answers: readonly Section[]): void {
  const slips = rounds(script).flatMap(({ steps, sections }) => {
    const seen = sections.flatMap((section) => errorCodes(answers[section] ?? [])).join(' ');
    const written = steps.flatMap((step) => step.fails).join(' ');
    const isExpected = seen === written || steps.some((step) => step.lacking === seen);
    const text = steps.map((step) => step.text).join('\n');
    return isExpected ? [] : [`${text.slice(0, 300)} → ${seen || 'succeeds'}, not ${written || 'without an error'}`];
  });
  assert.ok(slips.length === 0, `the script does not say what PostgreSQL answers:\n${slips.join('\n')}`);
  const expected = 1 + rounds(script).reduce((sum, { sections }) => sum + sections.length, 0);
  assert.equal(answers.length, expected, 'the ReadyForQuery messages that the script waits for, and the end');
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
