/** One PostgreSQL server of a local cluster: a postmaster in its own process group, started and stopped on one port. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeStaleLocks } from './data-directory.ts';
import { type Account, spawnOptions } from './account.ts';
import type { Binaries, Major } from './binaries.ts';
import { renderHba, renderSettings, socketDirectory } from './configuration.ts';
import { EmbeddedFailure, systemCode } from './failure.ts';
import { identify, type ProcessIdentity } from './process-identity.ts';

export type ServerName = `w${number}` | 'reader';

/** `fast`: clients are cut off, the data directory is left clean. `immediate`: as after a crash. */
export type StopMode = 'fast' | 'immediate';

export interface Server {
  readonly name: ServerName;
  readonly major: Major;
  readonly host: '127.0.0.1';
  /** The same for as long as this object lives, also while the server is stopped. */
  readonly port: number;
  readonly dataDirectory: string;
  /** The folder of its Unix socket; undefined where the path would be too long. Only its account may enter (and root). */
  readonly socketDirectory: string | undefined;
  readonly logFile: string;
  /** The postmaster's; undefined while it is stopped. */
  readonly pid: number | undefined;
  /** As superuser `postgres`; the database is `postgres` unless named. */
  dsn(database?: string): string;
  /** Resolves when it accepts connections; a standby when it also streams. Rejects with the end of its log. */
  start(): Promise<void>;
  /** Resolves when the postmaster is gone; nothing to do when it is not running. */
  stop(mode: StopMode): Promise<void>;
  /** Sends the signal to the postmaster alone; does nothing when it is not running. */
  kill(signal: NodeJS.Signals): void;
}

export interface ServerOptions {
  readonly name: ServerName;
  readonly role: 'primary' | 'standby';
  readonly binaries: Binaries;
  readonly account: Account;
  readonly port: number;
  readonly dataDirectory: string;
  /** Path without extension for its `.log`, `.conf` and `.hba.conf`. */
  readonly fileStem: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly hba: readonly string[];
  /** Called at once after a postmaster was started or has ended, so that it can be put on record. */
  readonly onChange: () => void;
  /** It ended although nobody told it to. */
  readonly onUnexpectedExit: (server: Server, how: string) => void;
}

/**
 * stopped  → starting            start()
 * starting → running | stopped   ready, or it ended
 * starting, running → ending     stop() or kill()
 * running, ending → stopped      it ended
 */
type State =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'starting' | 'running' | 'ending'; readonly postmaster: Postmaster };

interface Postmaster {
  readonly process: ProcessIdentity;
  /** Resolves with `exit status 1` or `signal SIGKILL`. */
  readonly ended: Promise<string>;
}

const startTimeoutMs = 60_000;
const streamTimeoutMs = 30_000;
const fastTimeoutMs = 30_000;
const immediateTimeoutMs = 15_000;
/** After a SIGKILL of a postmaster its backends hold its shared memory until they have noticed. */
const orphanTimeoutMs = 15_000;

export class PostgresServer implements Server {
  readonly host = '127.0.0.1';
  readonly #options: ServerOptions;
  #state: State = { kind: 'stopped' };

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  get name(): ServerName {
    return this.#options.name;
  }

  get major(): Major {
    return this.#options.binaries.major;
  }

  get port(): number {
    return this.#options.port;
  }

  get dataDirectory(): string {
    return this.#options.dataDirectory;
  }

  get socketDirectory(): string | undefined {
    return socketDirectory(this.dataDirectory, this.port);
  }

  get logFile(): string {
    return `${this.#options.fileStem}.log`;
  }

  get pid(): number | undefined {
    return this.process?.pid;
  }

  get process(): ProcessIdentity | undefined {
    return this.#state.kind === 'stopped' ? undefined : this.#state.postmaster.process;
  }

  dsn(database = 'postgres'): string {
    return `postgresql://postgres@${this.host}:${this.port}/${encodeURIComponent(database)}`;
  }

  async start(): Promise<void> {
    if (this.#state.kind !== 'stopped') throw new EmbeddedFailure(`The server ${this.name} is not stopped.`);
    const deadline = performance.now() + orphanTimeoutMs;
    for (;;) {
      const logged = sizeOf(this.logFile);
      const failure = await this.#attempt(logged);
      if (failure === undefined) return;
      const orphans = /pre-existing shared memory block|lock file "postmaster.pid" already exists/.test(failure);
      if (!orphans || performance.now() > deadline) {
        throw new EmbeddedFailure(`The server ${this.name} (port ${this.port}) did not start: ${failure}`);
      }
      await sleep(100);
    }
  }

  async stop(mode: StopMode): Promise<void> {
    if (this.#state.kind === 'stopped') return;
    const { postmaster } = this.#state;
    this.#state = { kind: 'ending', postmaster };
    const steps = [
      { signal: 'SIGINT', waitMs: fastTimeoutMs },
      { signal: 'SIGQUIT', waitMs: immediateTimeoutMs },
      { signal: 'SIGKILL', waitMs: immediateTimeoutMs },
    ] as const;
    for (const { signal, waitMs } of mode === 'fast' ? steps : steps.slice(1)) {
      this.#send(postmaster, signal);
      this.#send(postmaster, 'SIGCONT'); // a test may have stopped it
      if ((await withDeadline(postmaster.ended, waitMs)) !== undefined) return;
    }
    throw new EmbeddedFailure(`The server ${this.name} (process ${postmaster.process.pid}) does not end.`);
  }

  kill(signal: NodeJS.Signals): void {
    if (this.#state.kind === 'stopped') return;
    const { postmaster } = this.#state;
    if (['SIGKILL', 'SIGQUIT', 'SIGINT', 'SIGTERM'].includes(signal)) this.#state = { kind: 'ending', postmaster };
    this.#send(postmaster, signal);
  }

  /** Undefined when it runs; else why it did not start. */
  async #attempt(logged: number): Promise<string | undefined> {
    await removeStaleLocks(this.#options.account, this.dataDirectory);
    const postmaster = this.#spawn();
    const ready = await this.#waitUntil(postmaster, startTimeoutMs, () => this.#isReady(postmaster));
    if (ready === 'yes' && this.#options.role === 'standby') {
      const streams = await this.#waitUntil(postmaster, streamTimeoutMs, () =>
        this.#logSince(logged).includes('started streaming WAL'),
      );
      if (streams !== 'yes') return this.#giveUp(logged, 'it does not stream from its primary');
    } else if (ready !== 'yes') {
      return this.#giveUp(logged, ready === 'ended' ? 'it ended' : `not ready after ${startTimeoutMs} ms`);
    }
    if (this.#state.kind === 'starting') this.#state = { kind: 'running', postmaster };
    return this.#state.kind === 'running' ? undefined : 'it was told to stop';
  }

  async #giveUp(logged: number, reason: string): Promise<string> {
    await this.stop('immediate');
    return `${reason}\n${this.#logSince(logged).trim().split('\n').slice(-12).join('\n')}`;
  }

  #spawn(): Postmaster {
    const { binaries, account, dataDirectory, fileStem } = this.#options;
    const configFile = `${fileStem}.conf`;
    // World-readable, as the servers' account may differ from ours; there are no secrets in them.
    writeFileSync(configFile, renderSettings(dataDirectory, this.#options.settings), { mode: 0o644 });
    writeFileSync(`${fileStem}.hba.conf`, renderHba(this.#options.hba), { mode: 0o644 });
    const log = openSync(this.logFile, 'a', 0o600);
    try {
      const child = spawn(binaries.postgres, ['-D', dataDirectory, '-c', `config_file=${configFile}`], {
        ...spawnOptions(account),
        cwd: dataDirectory,
        stdio: ['ignore', log, log],
      });
      return this.#adopt(child);
    } finally {
      closeSync(log);
    }
  }

  #adopt(child: ChildProcess): Postmaster {
    const ended = new Promise<string>((resolve) => {
      child.once('exit', (status, signal) => resolve(signal === null ? `exit status ${status}` : `signal ${signal}`));
      child.once('error', (error) => resolve(error.message));
    });
    const process = (child.pid === undefined ? undefined : identify(child.pid)) ?? {
      pid: child.pid ?? 0,
      began: undefined,
    };
    const postmaster: Postmaster = { process, ended: ended.then((how) => this.#onEnd(postmaster, how)) };
    this.#state = { kind: 'starting', postmaster };
    this.#options.onChange();
    child.unref();
    return postmaster;
  }

  #onEnd(postmaster: Postmaster, how: string): string {
    const before = this.#state;
    if (before.kind === 'stopped' || before.postmaster !== postmaster) return how;
    this.#state = { kind: 'stopped' };
    this.#options.onChange();
    if (before.kind === 'running') this.#options.onUnexpectedExit(this, how);
    return how;
  }

  async #waitUntil(
    postmaster: Postmaster,
    waitMs: number,
    holds: () => boolean,
  ): Promise<'yes' | 'ended' | 'too late'> {
    const deadline = performance.now() + waitMs;
    while (performance.now() < deadline) {
      if (this.#state.kind === 'stopped' || this.#state.postmaster !== postmaster) return 'ended';
      if (holds()) return 'yes';
      await sleep(10);
    }
    return 'too late';
  }

  /** postmaster.pid (miscadmin.h): the pid in its first line, the status in its eighth. */
  #isReady(postmaster: Postmaster): boolean {
    const lines = readIfThere(join(this.dataDirectory, 'postmaster.pid')).split('\n');
    if (Number(lines[0]) !== postmaster.process.pid) return false; // of an earlier run
    const status = lines[7]?.trim();
    return status === 'ready' || status === 'standby';
  }

  #logSince(offset: number): string {
    return readFileSync(this.logFile).subarray(offset).toString('utf8');
  }

  #send(postmaster: Postmaster, signal: NodeJS.Signals): void {
    const { pid } = postmaster.process;
    if (pid === 0) return; // it was never started
    try {
      if (process.platform === 'win32') {
        if (signal === 'SIGCONT') return;
        execFileSync(this.#options.binaries.pgCtl, ['kill', signal.slice('SIG'.length), String(pid)], {
          timeout: 10_000,
        });
      } else {
        process.kill(pid, signal);
      }
    } catch (error) {
      if (systemCode(error) !== 'ESRCH') throw error; // it has just ended
    }
  }
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return '';
    throw error;
  }
}

/** Undefined when time ran out first. */
async function withDeadline<T>(promise: Promise<T>, waitMs: number): Promise<T | undefined> {
  const abort = new AbortController();
  try {
    return await Promise.race([promise, sleep(waitMs, undefined, { signal: abort.signal })]);
  } finally {
    abort.abort();
  }
}
