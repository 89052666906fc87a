/** Asks the lead what was decided of a transaction, on connections of its own: its coordinator's is lost, or was another's. */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import { BackendLostError } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { CommitNode } from './coordinator.ts';
import type { Home } from './gid.ts';
import { endStuckText, fenceText, readText, UNIQUE_VIOLATION, WRITTEN } from './decisions.ts';

/** Whose the connection is to be. A DSN's own user and database go before. */
export interface Account {
  readonly user: string;
  readonly database: string;
}

/**
 * Start-up parameters of connections that end transactions: what a role or database has as its defaults must not get in the
 * way. A fence that waits for its transaction longer than `lock_timeout` is tried again.
 */
const PARAMETERS: ReadonlyMap<string, string> = new Map([
  ['application_name', 'pprox: recovery'],
  ['client_encoding', 'UTF8'],
  ['default_transaction_isolation', 'read committed'],
  ['default_transaction_read_only', 'off'],
  ['lock_timeout', '1000'],
  ['statement_timeout', '0'],
]);

/** Rejects with PproxError. The caller closes it. */
export function connectForRecovery(node: CommitNode, account: Account): Promise<Backend> {
  return node.connect(node.login({ ...account, parameters: PARAMETERS }));
}

/** Pause before the second attempt; doubled up to the longest. */
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1000;
/** Connections to the lead for this at once: after a crash of it every transaction in flight asks. */
const AT_ONCE = 4;

/** A fence that waits for longer is looked after; shorter than its lock_timeout. */
const WAITING_MS = 300;

export interface DeciderOptions {
  /** One attempt's. */
  readonly timeoutMs: number;
  /** A session of the lead that has written its decision and says nothing for so long is ended. */
  readonly stuckMs: number;
  readonly log: Log;
}

export class Decider {
  readonly #options: DeciderOptions;
  #running = 0;
  readonly #line: (() => void)[] = [];

  constructor(options: DeciderOptions) {
    this.#options = options;
  }

  /** Fences the transaction and tells what stands. `unreachable`: no answer within `patienceMs`. Never rejects for what a server does. */
  async decide(
    lead: CommitNode,
    account: Account,
    { home, id }: { readonly home: Home; readonly id: string },
    patienceMs: number,
  ): Promise<'committed' | 'aborted' | 'unreachable'> {
    const deadline = Date.now() + patienceMs;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const found = await this.#inTurn(() => this.#attempt(lead, account, home, id));
      if (found !== 'no answer') return found;
      if (Date.now() + pause > deadline) return 'unreachable';
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  async #attempt(
    lead: CommitNode,
    account: Account,
    home: Home,
    id: string,
  ): Promise<'committed' | 'aborted' | 'no answer'> {
    let backend: Backend | undefined;
    try {
      backend = await connectForRecovery(lead, account);
      // Anywhere else a fence would stand for nothing, and its success say nothing.
      const there = { systemIdentifier: lead.identity?.systemIdentifier, databaseOid: backend.databaseOid };
      if (there.systemIdentifier !== home.systemIdentifier || there.databaseOid !== home.databaseOid)
        return 'no answer';
      const watchdog = guard([backend], this.#options.timeoutMs);
      const { processId } = backend;
      let looking: Promise<void> | undefined;
      const waiting = setTimeout(() => {
        looking = this.#endStuck(lead, account, processId);
      }, WAITING_MS);
      try {
        const fence = await backend.ask(fenceText(id));
        if (fence.error === undefined && fence.tags.at(-1) === WRITTEN) return 'aborted';
        if (fence.error?.code !== UNIQUE_VIOLATION) return 'no answer';
        const [row] = (await backend.ask(readText(id))).rows;
        return row === undefined ? 'no answer' : row[0] === 't' ? 'committed' : 'aborted';
      } finally {
        clearTimeout(waiting);
        watchdog.clear();
        await looking;
      }
    } catch (error) {
      if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
      return 'no answer';
    } finally {
      backend?.close('idle');
    }
  }

  /** Never rejects for what a server does: the fence is tried again. */
  async #endStuck(lead: CommitNode, account: Account, fence: number): Promise<void> {
    let backend: Backend | undefined;
    try {
      backend = await connectForRecovery(lead, account);
      const watchdog = guard([backend], this.#options.timeoutMs);
      const asked = backend.ask(endStuckText(fence, this.#options.stuckMs));
      const { rows } = await asked.finally(() => watchdog.clear());
      for (const [pid, idleMs] of rows) {
        const fields = { pid: Number(pid), idleMs: Number(idleMs) };
        this.#options.log.warn('a session of the lead that kept a decision open was ended', fields);
      }
    } catch (error) {
      if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
      this.#options.log.debug('what a fence waits for could not be looked at', { reason: error.message });
    } finally {
      backend?.close('idle');
    }
  }

  /** Who waits is bounded by the transactions that were committing. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#line.push(resolve));
    else this.#running++;
    try {
      return await work();
    } finally {
      const next = this.#line.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
