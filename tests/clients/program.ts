/** Programs that are not ours, run as a user runs them: without this process's PG* variables, in UTF-8, with a deadline. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after } from 'node:test';

export interface Finished {
  /** The exit status, or the name of the signal that ended it. */
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  /** Added to the environment; a variable that is undefined here is taken out of it. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Written to its standard input, which is then closed. Undefined: closed at once, unless `stdin` is `open`. */
  readonly input?: string | Uint8Array | undefined;
  readonly stdin?: 'open' | 'closed';
  readonly cwd?: string;
  readonly patienceMs?: number;
}

export interface Running {
  write(text: string): void;
  closeInput(): void;
  signal(name: NodeJS.Signals): void;
  /** Resolves with all of its standard output once that satisfies `wanted`; rejects when the program ends before. */
  output(wanted: (stdout: string) => boolean): Promise<string>;
  readonly finished: Promise<Finished>;
}

/** Far above what any of them takes: reaching it means that the program waits for an answer that does not come. */
const defaultPatienceMs = 60_000;

export function environment(
  more: Readonly<Record<string, string | undefined>> = {},
): Readonly<Record<string, string | undefined>> {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('PG') && !name.startsWith('LC_'));
  return { ...Object.fromEntries(own), LC_ALL: 'C.UTF-8', TZ: 'UTC', ...more };
}

/** Killed at the deadline, and after the tests of the file, or of the enclosing `describe` or `test`, if it still runs. */
export function start(command: string, args: readonly string[], options: ProgramOptions = {}): Running {
  const child = spawn(command, args, {
    stdio: 'pipe',
    env: environment(options.env),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const text = { stdout: '', stderr: '' };
  const watchers = new Set<() => void>();
  const wake = (): void => watchers.forEach((watcher) => watcher());
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8');
    child[name].on('data', (chunk: string) => {
      text[name] += chunk;
      wake();
    });
  }
  child.stdin.on('error', () => undefined); // it ended without reading everything: its status tells
  if (options.input !== undefined) child.stdin.end(options.input);
  else if (options.stdin !== 'open') child.stdin.end();
  const deadline = setTimeout(() => child.kill('SIGKILL'), options.patienceMs ?? defaultPatienceMs);
  let state: 'running' | 'ended' = 'running';
  const finished = once(child, 'close').then(([status, signal]: unknown[]): Finished => {
    clearTimeout(deadline);
    state = 'ended';
    wake();
    return { status: typeof status === 'number' ? status : String(signal), ...text };
  });
  after(() => child.kill('SIGKILL'));
  return {
    finished,
    write: (line) => void child.stdin.write(line),
    closeInput: () => child.stdin.end(),
    signal: (name) => void child.kill(name),
    output: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (wanted(text.stdout)) resolve(text.stdout);
          else if (state === 'ended') reject(new Error(`the program ended too early:\n${text.stdout}${text.stderr}`));
          else return;
          watchers.delete(look);
        };
        watchers.add(look);
        look();
      }),
  };
}

export function run(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<Finished> {
  return start(command, args, options).finished;
}

/** Like `run`, for a program that has to succeed. Returns its standard output. */
export async function succeed(command: string, args: readonly string[], options: ProgramOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await run(command, args, options);
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout.slice(-4000)}\n${stderr.slice(-4000)}`);
}
