/** psql, through the proxy and straight at the lead, and the comparison of what it shows. */
import assert from 'node:assert/strict';
import { type Finished, type ProgramOptions, type Running, run, start } from './program.ts';
import { type Address, caughtUp, type Stage } from './stage.ts';

export interface PsqlOptions extends ProgramOptions {
  readonly database?: string;
  readonly user?: string;
}

/** Without a start-up file and a pager; columns as wide as they come. */
function prepare(
  target: Address,
  args: readonly string[],
  options: PsqlOptions,
): { readonly args: readonly string[]; readonly options: ProgramOptions } {
  const { database = 'postgres', user = 'postgres', env, ...rest } = options;
  const conninfo = ['-h', target.host, '-p', String(target.port), '-U', user, '-d', database];
  return {
    args: ['-X', '-w', ...conninfo, ...args],
    options: { ...rest, env: { PAGER: '', PSQL_PAGER: '', PSQL_HISTORY: '/dev/null', ...env } },
  };
}

export function psql(target: Address, args: readonly string[], options: PsqlOptions = {}): Promise<Finished> {
  const own = prepare(target, args, options);
  return run('psql', own.args, own.options);
}

export function startPsql(target: Address, args: readonly string[], options: PsqlOptions = {}): Running {
  const own = prepare(target, args, options);
  return start('psql', own.args, own.options);
}

/** psql on a terminal of its own (by util-linux's `script`): what is written is typed, and `\u0003` is Ctrl-C. */
export function startTerminal(target: Address, args: readonly string[], options: PsqlOptions = {}): Running {
  const own = prepare(target, args, options);
  const command = ['psql', ...own.args].map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(' ');
  // `exec`: a shell that stays in between would take the Ctrl-C for itself too, and end with its status.
  return start('script', ['-qec', `exec ${command}`, '/dev/null'], { ...own.options, stdin: 'open' });
}

/** Rows of a query as tuples, unaligned: for looking at what became of a database. */
export async function rows(target: Address, text: string, database?: string): Promise<string> {
  const options = database === undefined ? {} : { database };
  const { status, stdout, stderr } = await psql(target, ['-Atq', '-v', 'ON_ERROR_STOP=1', '-c', text], options);
  assert.equal(status, 0, stderr);
  return stdout.trimEnd();
}

export interface Comparison {
  /** Databases that hold the same: where the lead's own run goes, and where the proxy's does. Both default to `postgres`. */
  readonly direct?: string;
  readonly through?: string;
  readonly env?: NonNullable<ProgramOptions['env']>;
  readonly user?: string;
  readonly cwd?: string;
  /** Makes equal what is different in every run. */
  readonly mask?: (text: string) => string;
}

/**
 * Runs psql straight at the lead, then through the proxy, and asserts that status, output and error output are the
 * same, save for port, database and what is never the same twice. Returns what it showed through the proxy.
 */
export async function assertSame(
  stage: Stage,
  args: readonly string[],
  input?: string | Uint8Array,
  comparison: Comparison = {},
): Promise<Finished> {
  const { direct = 'postgres', through = 'postgres', mask = (text) => text, ...options } = comparison;
  const expected = await psql(stage.lead, args, { ...options, input, database: direct });
  // Each psql is a session of its own: it may read from a replica that has not seen yet what the one before wrote.
  await caughtUp(stage);
  const actual = await psql(stage.proxy, args, { ...options, input, database: through });
  assert.doesNotMatch(expected.stderr, /^psql: error: connection/, 'the lead is there');
  const [left, right] = [masked(expected, stage.lead.port, direct), masked(actual, stage.proxy.port, through)];
  const what = `psql ${args.join(' ')} ${typeof input === 'string' ? input.slice(0, 100) : ''}`;
  assertSameText(mask(right.stderr), mask(left.stderr), `${what}: standard error`);
  assertSameText(mask(right.stdout), mask(left.stdout), `${what}: standard output`);
  assert.equal(right.status, left.status, `${what}: status`);
  return actual;
}

function masked(finished: Finished, port: number, database: string): Finished {
  const mask = (text: string): string =>
    text
      .replaceAll(`port "${port}"`, 'port "…"')
      .replaceAll(`port ${port}`, 'port …')
      .replaceAll(`database "${database}"`, 'database "…"')
      .replaceAll(/pg_temp_\d+/g, 'pg_temp_…')
      .replaceAll(/with PID \d+/g, 'with PID …')
      .replaceAll(/Time: .*/g, 'Time: …');
  return { status: finished.status, stdout: mask(finished.stdout), stderr: mask(finished.stderr) };
}

/** Says where two long texts part. */
export function assertSameText(actual: string, expected: string, what: string): void {
  if (actual === expected) return;
  const [left, right] = [expected.split('\n'), actual.split('\n')];
  const line = left.findIndex((text, index) => text !== right[index]);
  const at = line < 0 ? left.length : line;
  const show = (lines: readonly string[]): string => lines.slice(Math.max(0, at - 2), at + 6).join('\n');
  assert.fail(`${what} differs in line ${at + 1}\n--- expected\n${show(left)}\n--- actual\n${show(right)}`);
}
