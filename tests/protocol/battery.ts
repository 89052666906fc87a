/** Turns a group of scripts into tests: each is played on bare PostgreSQL and on the subject, with equal answers. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Arena, openArena } from '../support/targets.ts';
import { compareTranscripts, errorCodes, type Section } from '../support/transcript.ts';
import { compareWriters } from './equality.ts';
import { type GroupName, groups } from './groups.ts';
import { play } from './play.ts';
import type { Script } from './script.ts';

function describeDifferences(script: Script, expected: readonly Section[], actual: readonly Section[]): string[] {
  return compareTranscripts(expected, actual).map(({ section, text }) => {
    const what = section === 0 ? 'start-up' : (script.steps[section - 1]?.sql.slice(0, 300) ?? 'the end');
    return `${script.name}, step ${section}: ${what}\n${text}`;
  });
}

/** What the script says about its own errors, against what PostgreSQL answered. */
function assertWritten(script: Script, answers: readonly Section[]): void {
  const slips = script.steps.flatMap((step, index) => {
    const seen = errorCodes(answers[index + 1] ?? []).join(' ');
    const isExpected = seen === step.fails.join(' ') || seen === step.lacking;
    return isExpected
      ? []
      : [`${step.sql.slice(0, 300)} → ${seen || 'succeeds'}, not ${step.fails.join(' ') || 'without an error'}`];
  });
  assert.ok(slips.length === 0, `the script does not say what PostgreSQL answers:\n${slips.join('\n')}`);
  assert.equal(answers.length, script.steps.length + 2, 'one answer for each request, the start-up and the end');
}

export function runBattery(name: GroupName): void {
  describe(`protocol battery: ${name}`, () => {
    const scripts: readonly Script[] = groups[name];
    const database = `battery_${name}`;
    const expected = new Map<Script, Section[]>();
    let arena: Arena;

    before(async () => {
      arena = await openArena();
      await arena.prepareBare(database);
      for (const script of scripts) {
        expected.set(script, await play(script, { ...arena.bare, user: arena.user, database }));
      }
      await arena.prepareSubject(database);
    });
    after(async () => arena?.stop());

    for (const script of scripts) {
      it(`answers ${script.name} as PostgreSQL does`, async () => {
        const answers = expected.get(script) ?? [];
        assertWritten(script, answers);
        const actual = await play(script, { ...arena.subject, user: arena.user, database });
        const differences = describeDifferences(script, answers, actual);
        assert.ok(differences.length === 0, `\n${differences.join('\n')}`);
      });
    }

    it('leaves the same rows on every writer', async () => {
      assert.deepEqual(await compareWriters(arena.writers, database), []);
    });
  });
}
