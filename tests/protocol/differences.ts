/**
 * Where pprox answers otherwise than PostgreSQL, on purpose. The battery lets these through and nothing else, and
 * docs/reference/protocol-support.md is made from them. A difference that no test needs any more fails the battery.
 */
import type { Section } from '../support/transcript.ts';

export interface DeclaredDifference {
  readonly title: string;
  readonly postgres: string;
  readonly pprox: string;
  readonly reason: string;
  /** Names of the scripts or conversations that show it, or of their whole topic. */
  readonly where: readonly string[];
  /** PostgreSQL's answer as it is to be expected of pprox, given what pprox answered; unchanged where it does not apply. */
  readonly reconcile: (expected: Section, actual: Section) => Section;
}

/** The fields that name a place in PostgreSQL's source: file, line, routine. */
const sourceFields = /\n {4}[FLR]="[^"]*"/g;

export const differences: readonly DeclaredDifference[] = [
  {
    title: 'No source location in errors of pprox itself',
    postgres: 'Every ErrorResponse has the fields F, L and R: file, line and routine of the server that raised it.',
    pprox: 'A server’s errors have them, as they came. Errors that pprox raises itself do not.',
    reason: 'They are not raised in PostgreSQL’s source, and to name a place there would be a lie.',
    where: ['openings', 'violations'],
    reconcile: (expected, actual) =>
      expected.map((line, index) => {
        const answer = actual[index] ?? '';
        const isOurs = answer.startsWith('ErrorResponse') && !/\n {4}[FLR]=/.test(answer);
        return isOurs && line.startsWith('ErrorResponse') ? line.replaceAll(sourceFields, '') : line;
      }),
  },
];

export interface Reconciled {
  readonly expected: readonly Section[];
  /** Titles of the differences that made any difference. */
  readonly used: readonly string[];
}

/** Applies what is declared for these names: of the script or conversation, and of its topic. */
export function reconcile(
  names: readonly string[],
  expected: readonly Section[],
  actual: readonly Section[],
): Reconciled {
  const used = new Set<string>();
  let current = expected;
  for (const difference of differences.filter(({ where }) => where.some((name) => names.includes(name)))) {
    const next = current.map((section, index) => difference.reconcile(section, actual[index] ?? []));
    if (JSON.stringify(next) !== JSON.stringify(current)) used.add(difference.title);
    current = next;
  }
  return { expected: current, used: [...used] };
}

/** Titles of the differences that are declared for any of these names. */
export function declaredFor(names: readonly string[]): string[] {
  return differences.filter(({ where }) => where.some((name) => names.includes(name))).map(({ title }) => title);
}

/** The table of docs/reference/protocol-support.md. */
export function renderDifferences(): string {
  const rows = differences.map(
    ({ title, postgres, pprox, reason }) => `| ${title} | ${postgres} | ${pprox} | ${reason} |`,
  );
  return ['| Difference | PostgreSQL | pprox | Why |', '| --- | --- | --- | --- |', ...rows].join('\n');
}
