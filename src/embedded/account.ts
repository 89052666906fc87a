/** The account that PostgreSQL runs under, and programs run under it. PostgreSQL refuses to run as root. */
import { execFileSync, spawn } from 'node:child_process';
import { EmbeddedFailure } from './failure.ts';

/** `self`: the account of this process. */
export type Account =
  | { readonly kind: 'self' }
  | { readonly kind: 'other'; readonly name: string; readonly uid: number; readonly gid: number };

/** As root: postgres, else nobody; initdb looks its own uid up in passwd, so an unlisted number would not do. */
export function serverAccount(): Account {
  if (process.getuid?.() !== 0) return { kind: 'self' };
  for (const name of ['postgres', 'nobody']) {
    const uid = askId('-u', name);
    const gid = askId('-g', name);
    if (uid !== undefined && uid !== 0 && gid !== undefined) return { kind: 'other', name, uid, gid };
  }
  throw new EmbeddedFailure(
    'PostgreSQL does not run as root, and this machine has neither a user "postgres" nor "nobody" to run it as. ' +
      'Start as an ordinary user, or add one of them.',
  );
}

function askId(flag: '-u' | '-g', name: string): number | undefined {
  try {
    const text = execFileSync('id', [flag, name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5_000,
    });
    const id = Number.parseInt(text, 10);
    return Number.isInteger(id) && id >= 0 ? id : undefined;
  } catch {
    return undefined; // id exits with 1 for an unknown name
  }
}

/** Options of `spawn` that make the child run under `account` in a process group of its own, with no PG* variables. */
export function spawnOptions(account: Account): {
  readonly detached: boolean;
  readonly env: NodeJS.ProcessEnv;
  readonly uid?: number;
  readonly gid?: number;
} {
  const windows = process.platform === 'win32';
  // Neither libpq's variables (PGSSLMODE would reach the standby's connection) nor secrets of ours belong to the servers.
  const env: NodeJS.ProcessEnv = windows
    ? Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PG|PROXY_)/i.test(name)))
    : { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C' };
  return account.kind === 'self'
    ? { detached: !windows, env }
    : { detached: !windows, env, uid: account.uid, gid: account.gid };
}

export interface Outcome {
  /** Exit status; undefined when the program could not be started, was ended by a signal, or took too long. */
  readonly status: number | undefined;
  /** Standard output and error, the last 64 kB. */
  readonly output: string;
}

/** Runs a program to its end. Never rejects: what went wrong is in the outcome. */
export function runAs(
  account: Account,
  program: string,
  args: readonly string[],
  options: { readonly input?: string; readonly cwd?: string; readonly timeoutMs: number },
): Promise<Outcome> {
  return new Promise((resolve) => {
    let output = '';
    const collect = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-65_536);
    };
    const child = spawn(program, args, {
      ...spawnOptions(account),
      cwd: options.cwd ?? '/',
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const timer = setTimeout(() => {
      output += `\n${program} did not end within ${options.timeoutMs} ms`;
      child.kill('SIGKILL');
    }, options.timeoutMs);
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.stdin.on('error', (error) => collect(Buffer.from(`\n${error.message}`)));
    child.stdin.end(options.input ?? '');
    child.on('error', (error) => {
      clearTimeout(timer);
      resolve({ status: undefined, output: `${output}\n${error.message}`.trim() });
    });
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({ status: status ?? undefined, output: output.trim() });
    });
  });
}

/** Whether the account may pass through that folder; asked of the system, so that every rule on the way to it counts. */
export async function canEnter(account: Account, directory: string): Promise<boolean> {
  if (account.kind === 'self') return true;
  const outcome = await runAs(account, '/bin/sh', ['-c', '[ -x "$1" ]', 'sh', directory], { timeoutMs: 10_000 });
  return outcome.status === 0;
}
