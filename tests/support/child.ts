/** Programs of ours that a test runs as processes of their own, to signal and to kill. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { after } from 'node:test';

export interface Child {
  readonly process: ChildProcess;
  /** What it wrote so far, both streams in order of arrival. */
  output(): string;
  /** Resolves with all output once it contains `text`. Rejects with the output when the program ends before. */
  says(text: string): Promise<string>;
  /** Resolves with its exit status, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
}

export interface ChildOptions {
  /** Added to ours. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

/** Starts `node file args`, with this Node. */
export function startNode(file: string, args: readonly string[] = [], options: ChildOptions = {}): Child {
  return start(process.execPath, [file, ...args], options);
}

/** Starts a program; killed after the tests of the file, or of the enclosing `describe` or `test`, if it still runs. */
export function start(program: string, args: readonly string[] = [], options: ChildOptions = {}): Child {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
    detached: true, // a group of its own, so that what it started can be killed with it
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  let text = '';
  let wake: (() => void) | undefined;
  const collect = (chunk: Buffer): void => {
    text += chunk.toString('utf8');
    wake?.();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const ended = once(child, 'close').then(([status, signal]: unknown[]) => {
    wake?.();
    return typeof status === 'number' ? status : String(signal);
  });
  after(() => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    process.kill(-child.pid, 'SIGKILL');
  });
  return {
    process: child,
    output: () => text,
    ended,
    async says(wanted) {
      while (!text.includes(wanted)) {
        if (child.exitCode !== null || child.signalCode !== null) {
          throw new Error(`the program ended without saying ${JSON.stringify(wanted)}:\n${text}`);
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      return text;
    },
  };
}
