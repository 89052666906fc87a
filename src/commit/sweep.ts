/**
 * Deletes decisions that nobody will ask for any more, so that their table stays small; and rows of processes that have changed no definitions
 * for long, whose numbers one row keeps.
 *
 * A commit row may go when it is older than the retention and, looked at after the row was seen, no follower has the
 * transaction prepared: all of them had before the row was there. A fence may go when, in addition, every transaction of the
 * lead that was open when it was written has ended: the one that it keeps from committing could be among them.
 */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import { BackendLostError } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { CommitNode } from './coordinator.ts';
import { type Account, connectForRecovery } from './decider.ts';
import { deleteText, foldText, oldText, SWEPT_AT_ONCE } from './decisions.ts';

export interface SweepOptions {
  readonly lead: CommitNode;
  /** Ids that are prepared on some follower. Undefined where one of them does not answer. */
  prepared(): Promise<ReadonlySet<string> | undefined>;
  readonly retentionMs: number;
  /** Of processes that have changed no definitions for so long one row is kept for all. */
  readonly foldMs: number;
  /** A server that answers no step for so long is taken for lost. */
  readonly timeoutMs: number;
  readonly log: Log;
}

/** Databases of the lead that are swept; one more takes the place of the oldest. */
const DATABASES_LIMIT = 100;
/** Parts of the retention after which it is looked again: the table holds that much more than it has to. */
const LOOKS_PER_RETENTION = 10;
/** However short the retention is. */
const LEAST_INTERVAL_MS = 100;

export class Sweep {
  readonly #options: SweepOptions;
  /** By database: who has committed there last. */
  readonly #accounts = new Map<string, Account>();
  readonly #beat: NodeJS.Timeout;
  #running: 'no' | 'yes' = 'no';

  constructor(options: SweepOptions) {
    this.#options = options;
    const intervalMs = Math.max(options.retentionMs / LOOKS_PER_RETENTION, LEAST_INTERVAL_MS);
    this.#beat = setInterval(() => void this.#sweep(), intervalMs);
    this.#beat.unref();
  }

  /** Decisions are made there. */
  note(account: Account): void {
    if (this.#accounts.get(account.database) === account) return;
    this.#accounts.delete(account.database);
    this.#accounts.set(account.database, account);
    const [oldest] = this.#accounts.keys();
    if (oldest !== undefined && this.#accounts.size > DATABASES_LIMIT) this.#accounts.delete(oldest);
  }

  close(): void {
    clearInterval(this.#beat);
  }

  async #sweep(): Promise<void> {
    if (this.#running === 'yes') return;
    this.#running = 'yes';
    try {
      for (const account of [...this.#accounts.values()]) await this.#sweepDatabase(account);
    } finally {
      this.#running = 'no';
    }
  }

  async #sweepDatabase(account: Account): Promise<void> {
    const { lead, log, timeoutMs } = this.#options;
    let backend: Backend | undefined;
    let deleted = 0;
    try {
      backend = await connectForRecovery(lead, account);
      const patience = guard([backend], timeoutMs);
      await backend.ask(foldText(this.#options.foldMs)).finally(() => patience.clear());
      for (let found = SWEPT_AT_ONCE; found === SWEPT_AT_ONCE; ) {
        const watchdog = guard([backend], timeoutMs);
        try {
          found = 0;
          const old = (await backend.ask(oldText(this.#options.retentionMs))).rows.flatMap(([id]) => id ?? []);
          const prepared = old.length === 0 ? undefined : await this.#options.prepared();
          const ids = prepared === undefined ? [] : old.filter((id) => !prepared.has(id));
          if (ids.length > 0) await backend.ask(deleteText(ids));
          deleted += ids.length;
          // Less than all of them: the rest has to wait for a follower.
          if (ids.length === old.length) found = old.length;
        } finally {
          watchdog.clear();
        }
      }
    } catch (error) {
      if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
      log.debug('decisions not swept', { database: account.database, reason: error.message });
    } finally {
      backend?.close('idle');
    }
    if (deleted > 0) log.debug('decisions swept', { database: account.database, deleted });
  }
}
