/** Programs that a bench starts, and ends with itself. */
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { connect } from 'node:net';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** The program's path, from PATH and from where Debian keeps servers; undefined where it is not installed. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false; // not here
  }
}

export interface Daemon {
  readonly pid: number;
  stop(): Promise<void>;
}

const startMs = 20_000;
const stopMs = 5_000;

/** Starts a server in the foreground and waits until it accepts connections on `port` of loopback. */
export async function startDaemon(
  command: string,
  args: readonly string[],
  port: number,
  options: SpawnOptions,
): Promise<Daemon> {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const collect = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-4000);
  };
  child.stdout?.on('data', collect);
  child.stderr?.on('data', collect);
  const failed = once(child, 'error').then(([error]: unknown[]) => String(error));
  void failed;
  const { pid } = child;
  const onExit = (): void => void child.kill('SIGKILL');
  process.once('exit', onExit);
  const deadline = Date.now() + startMs;
  while (!(await accepts(port))) {
    if (pid === undefined || hasEnded(child) || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`${command} did not start:\n${output}`);
    }
    await sleep(50);
  }
  if (pid === undefined) throw new Error(`${command} did not start`);
  return {
    pid,
    stop: async () => {
      process.removeListener('exit', onExit);
      if (hasEnded(child)) return;
      const ended = once(child, 'exit');
      child.kill('SIGINT');
      const hurry = setTimeout(() => child.kill('SIGKILL'), stopMs);
      await ended;
      clearTimeout(hurry);
    },
  };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    const answer = (does: boolean) => (): void => {
      socket.destroy();
      resolve(does);
    };
    socket.once('connect', answer(true));
    socket.once('error', answer(false));
  });
}
