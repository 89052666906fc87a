/** What the cases of a file have come to, as lines for the test's output. */
import type { Verdict } from './harness.ts';

export function describe({ committed, rolledBack, errors, durationMs }: Verdict): string {
  const failed = [...errors].map(([code, count]) => `${code}: ${count}`).toSorted();
  return [`${committed} committed, ${rolledBack} rolled back`, ...failed, `${Math.round(durationMs)} ms`].join(', ');
}

export function table(verdicts: readonly Verdict[]): readonly string[] {
  const rows = verdicts.map((verdict) => {
    const { case: played, committed, differences, unexpected } = verdict;
    const state =
      differences.length > 0 ? 'DIFFERS' : unexpected.length > 0 ? 'ERRORS' : committed === 0 ? 'refused' : 'equal';
    return `${state.padEnd(8)}${played.name.padEnd(58)}${describe(verdict)}`;
  });
  const total = verdicts.reduce((sum, { durationMs }) => sum + durationMs, 0);
  return [...rows, `${verdicts.length} cases in ${(total / 1000).toFixed(1)} s`];
}

/** Of a case that was replayed as the same text: what the writers have become by it. */
export function bite({ differences, errors }: Verdict): 'writers differ' | 'follower fails' | 'nothing' {
  if (differences.length > 0) return 'writers differ';
  const failed = [...errors.keys()].some((code) => code === '40002' || /^(?!40).* follower$/.test(code));
  return failed ? 'follower fails' : 'nothing';
}
