/**
 * The numbers that clients know their sessions by (BackendKeyData's process id). Server sessions change hands, so their own
 * process ids are no good for it; and several pprox processes in front of the same lead must not give the same number to two
 * clients. So each process claims a block of numbers of its own, by an advisory lock that one connection to the lead holds:
 * PostgreSQL is what they all have in common, and a lock needs no more than a login. Advisory locks are of one database, and
 * so are the blocks.
 *
 *   0 … 4194304       process ids of servers (Linux's PID_MAX_LIMIT), which clients may see as well
 *   then blocks       of 2^20 numbers each, up to 2^31 − 1; the last is for sessions that begin while nothing can be claimed
 */
import { randomInt } from 'node:crypto';
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import type { Login } from '../backend/login.ts';
import { BackendLostError } from '../backend/receiver.ts';
import type { CloseReason } from '../lib/close-reason.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';

const FIRST = 2 ** 22;
const BLOCK = 2 ** 20;
const BLOCKS = (2 ** 31 - FIRST) / BLOCK;
/** Nobody claims it. */
const UNCLAIMED = BLOCKS - 1;

/** The first key of the advisory locks: `ppro` in ASCII. The second is the block's number. */
export const LOCK_CLASS = 0x7070726f;

export interface ProcessIdsOptions {
  /** A connection to the lead that no pool knows. Rejects with PproxError. */
  connect(login: Login): Promise<Backend>;
  readonly timeoutMs: number;
  /** How often it is looked whether a claim has to be made anew, or is not needed any more. */
  readonly beatMs: number;
  readonly log: Log;
}

/** Where one database's sessions get their numbers. */
interface Claim {
  readonly login: Login;
  sessions: number;
  /** Undefined: never claimed yet. One that was ours stays in use while its lock is taken anew. */
  block: number | undefined;
  backend: Backend | undefined;
  /** A claim that is being made. */
  making: Promise<void> | undefined;
  next: number;
  /** Beats of the timer to let pass before the next try, and how many it will be after that. */
  pause: number;
  backoff: number;
}

/** Beats between two tries, at most. */
const LONGEST_BACKOFF = 64;

export class ProcessIds {
  readonly #options: ProcessIdsOptions;
  readonly #claims = new Map<string, Claim>();
  readonly #beat: NodeJS.Timeout;
  #closed: 'no' | 'yes' = 'no';

  constructor(options: ProcessIdsOptions) {
    this.#options = options;
    this.#beat = setInterval(() => this.#look(), options.beatMs);
    this.#beat.unref();
  }

  /** A session of the database begins; it ends with `leave`. Resolves when there are numbers for it. Never rejects. */
  async enter(login: Login): Promise<void> {
    const claim = this.#claimOf(login);
    claim.sessions++;
    if (claim.block === undefined && claim.pause === 0) await this.#make(claim);
  }

  leave(login: Login): void {
    this.#claimOf(login).sessions--;
  }

  /** A number that no other session has; `isTaken` knows those of this process. For a session that has entered. */
  next(login: Login, isTaken: (processId: number) => boolean): number {
    const claim = this.#claimOf(login);
    for (;;) {
      const within = claim.block === undefined ? randomInt(BLOCK) : claim.next;
      claim.next = (within + 1) % BLOCK;
      const processId = FIRST + (claim.block ?? UNCLAIMED) * BLOCK + within;
      if (!isTaken(processId)) return processId;
    }
  }

  close(): void {
    this.#closed = 'yes';
    clearInterval(this.#beat);
    for (const claim of this.#claims.values()) drop(claim, 'shutdown');
    this.#claims.clear();
  }

  #claimOf(login: Login): Claim {
    const { database } = login;
    let claim = this.#claims.get(database);
    if (claim === undefined) {
      const next = randomInt(BLOCK);
      claim = {
        login,
        sessions: 0,
        block: undefined,
        backend: undefined,
        making: undefined,
        next,
        pause: 0,
        backoff: 1,
      };
      this.#claims.set(database, claim);
    }
    return claim;
  }

  #look(): void {
    for (const [database, claim] of this.#claims) {
      if (claim.making !== undefined) continue;
      if (claim.sessions === 0) {
        drop(claim, 'idle');
        this.#claims.delete(database);
      } else if (claim.pause > 0) claim.pause--;
      else if (claim.backend === undefined) void this.#make(claim);
    }
  }

  #make(claim: Claim): Promise<void> {
    claim.making ??= this.#attempt(claim).finally(() => {
      claim.making = undefined;
      claim.backoff = claim.backend === undefined ? Math.min(claim.backoff * 2, LONGEST_BACKOFF) : 1;
      claim.pause = claim.backend === undefined ? claim.backoff : 0;
    });
    return claim.making;
  }

  async #attempt(claim: Claim): Promise<void> {
    const { log, timeoutMs } = this.#options;
    try {
      const backend = await this.#options.connect(claim.login);
      if (this.#closed === 'yes') return backend.close('shutdown');
      const watchdog = guard([backend], timeoutMs);
      const answer = await backend.ask(this.#text(claim)).finally(() => watchdog.clear());
      const block = answer.rows[0]?.[0];
      if (block === null || block === undefined || !backend.open) {
        backend.close('session state not movable');
        return log.warn('no process ids claimed', {
          database: claim.login.database,
          reason: answer.error?.message ?? 'none left',
        });
      }
      claim.block = Number(block);
      claim.backend = backend;
      backend.onClosed = () => {
        claim.backend = undefined;
      };
    } catch (error) {
      if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
      log.debug('no process ids claimed', { database: claim.login.database, reason: error.message });
    }
    return undefined;
  }

  /** The block that was ours before, or the first free one from anywhere; none that this process has for another database. */
  #text(claim: Claim): string {
    const others = [...this.#claims.values()].flatMap((one) => (one === claim ? [] : (one.block ?? [])));
    const start = claim.block ?? randomInt(UNCLAIMED);
    const free =
      others.length === 0
        ? ''
        : ` WHERE g NOT IN (${others.map((one) => (one - start + UNCLAIMED) % UNCLAIMED).join()})`;
    // OFFSET 0: the lock is tried on the wanted blocks alone, one after the other, up to the first that is free.
    return `SELECT n FROM (SELECT (g + ${start}) % ${UNCLAIMED} AS n FROM pg_catalog.generate_series(0, ${UNCLAIMED - 1}) AS g${free} OFFSET 0) AS blocks WHERE pg_catalog.pg_try_advisory_lock(${LOCK_CLASS}, n) LIMIT 1`;
  }
}

function drop({ backend }: Claim, reason: CloseReason): void {
  if (backend === undefined) return;
  backend.onClosed = undefined;
  backend.close(reason);
}
