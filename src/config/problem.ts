/**
 * One mistake in the configuration, as the operator reads it. Holds no value, because a value may be, or contain, a password;
 * the path of a file that was looked for is one exception.
 */
export interface Problem {
  /** The environment variable to correct. */
  readonly variable: string;
  readonly message: string;
  readonly hint?: string;
}

/** A problem before it is known which variable, or which DSN of a list, it is in. */
export type Mistake = Omit<Problem, 'variable'>;

/** Takes a mistake that was found. */
export type Report = (message: string, hint?: string) => void;

/** One line for each problem, its hint on the next. */
export function formatProblems(problems: readonly Problem[]): string {
  return problems
    .map(({ variable, message, hint }) => `${variable}: ${message}${hint === undefined ? '' : `\n  hint: ${hint}`}`)
    .join('\n');
}

/** What has been found so far. Nothing is kept twice: two DSNs may have the same problem from one variable of libpq. */
export class Findings {
  readonly problems: Problem[] = [];
  readonly warnings: string[] = [];

  add(problems: readonly Problem[]): void {
    for (const problem of problems) {
      if (
        !this.problems.some(({ variable, message }) => variable === problem.variable && message === problem.message)
      ) {
        this.problems.push(problem);
      }
    }
  }

  warn(warnings: readonly string[]): void {
    for (const warning of warnings) if (!this.warnings.includes(warning)) this.warnings.push(warning);
  }
}
