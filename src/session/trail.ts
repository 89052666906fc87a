/**
 * Followers behind the lead in a transaction that the client has begun: it has the lead's answer, and its next statement runs
 * on the lead while the one before is under way on the followers, or waits for company.
 *
 *   client   ─ s1 ─► ok ─ s2 ─► ok ─ s3 ─► ok ─ COMMIT ───────────► ok
 *   lead        s1          s2          s3            ▲
 *   followers        s1 ─────────► s2 s3 ─ caught up ─ the commit
 *
 * They run one batch at a time, in the lead's order, each behind what its last moment on the lead has shown. Locks stay in
 * the lead's order, because the lead keeps its own until the followers have caught up: in front of COMMIT, SAVEPOINT and
 * RELEASE the session waits for them. What is undone anyway (ROLLBACK, ROLLBACK TO, a failed block) it calls off first; what
 * is under way belongs to the innermost savepoint then, and goes with it. What waits at COMMIT goes out with PREPARE.
 */
import { bytesOf, type ReplayedStatement } from '../fanout/replay-log.ts';

/** Statements that followers may be behind by: more would only be more to wait for at the end. */
const STATEMENTS = 16;
/** The same in bytes of their messages. */
export const TRAIL_BYTES = 1024 * 1024;

/** How long what is called off may go on before its server is asked to stop it, and between two such requests, in ms. */
const CANCEL_EVERY_MS = 50;

/** A statement that the lead has done, and `moment`: what followers must show before they do. */
export interface Trailing {
  readonly statement: ReplayedStatement;
  readonly moment: number;
}

type State =
  | { readonly kind: 'following' }
  /** Told to the client with its next statement. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** Nothing more is run. */
  | { readonly kind: 'called off' };

export interface TrailFollowers {
  /** Runs a batch on them. Its rejection is told to the client later. */
  run(batch: readonly Trailing[]): Promise<void>;
  /** It has come to that. */
  failed(): void;
}

/** Statements together, as far as bounds are concerned. */
interface Amount {
  readonly statements: number;
  readonly bytes: number;
}

const NOTHING: Amount = { statements: 0, bytes: 0 };

export class Trail {
  #state: State = { kind: 'following' };
  /** Not sent yet. */
  #waiting: Trailing[] = [];
  #amountWaiting = NOTHING;
  #amountUnderWay = NOTHING;
  /** Of the lead's time, what has gone into what waits. */
  #waitingMs = 0;
  #followers: TrailFollowers | undefined;
  /** Since something waits: when it goes out alone. */
  #timer: NodeJS.Timeout | undefined;
  /** When followers had last done all that they were sent, by performance.now(). */
  ran = 0;
  /** Batches, one after the other; undefined where none is under way. */
  #running: Promise<void> | undefined;

  get state(): State['kind'] {
    return this.#state.kind;
  }

  get empty(): boolean {
    return this.#waiting.length === 0 && this.#running === undefined;
  }

  get full(): boolean {
    const [waiting, underWay] = [this.#amountWaiting, this.#amountUnderWay];
    return waiting.statements + underWay.statements >= STATEMENTS || waiting.bytes + underWay.bytes >= TRAIL_BYTES;
  }

  /**
   * `patienceMs`: how long it may wait for others, and how much of the lead's time may have gone into what waits; undefined:
   * until it is taken.
   */
  push(one: Trailing, patienceMs: number | undefined, followers: TrailFollowers): void {
    this.#followers = followers;
    this.#waiting.push(one);
    this.#waitingMs += one.statement.elapsedMs;
    const { statements, bytes } = this.#amountWaiting;
    this.#amountWaiting = { statements: statements + 1, bytes: bytes + bytesOf(one.statement) };
    if (patienceMs === undefined) return;
    if (this.#waitingMs >= patienceMs || this.full) this.#start();
    else this.#timer ??= setTimeout(() => this.#start(), patienceMs);
  }

  #start(): void {
    const followers = this.#followers;
    if (followers === undefined) return;
    this.#running ??= this.#run(followers).finally(() => {
      this.#running = undefined;
    });
  }

  /** What comes to wait meanwhile has waited long enough when the batch before it is over. */
  async #run(followers: TrailFollowers): Promise<void> {
    while (this.#waiting.length > 0) {
      this.#amountUnderWay = this.#amountWaiting;
      const batch = this.#take();
      try {
        if (this.#state.kind === 'following') await followers.run(batch);
      } catch (error) {
        if (this.#state.kind !== 'following') continue;
        this.#state = { kind: 'failed', error };
        followers.failed();
      } finally {
        this.#amountUnderWay = NOTHING;
      }
    }
    this.ran = performance.now();
  }

  #take(): readonly Trailing[] {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#waiting;
    this.#waiting = [];
    this.#amountWaiting = NOTHING;
    this.#waitingMs = 0;
    return batch;
  }

  /** Throws what has gone wrong on a follower behind the client's back. */
  check(): void {
    if (this.#state.kind === 'failed') throw this.#state.error;
  }

  /** What waits, for the caller to run; resolves when nothing is under way. Rejects with what has gone wrong there. */
  async takeWaiting(): Promise<readonly Trailing[]> {
    const batch = this.#take();
    await this.#running;
    this.check();
    return batch;
  }

  /** Resolves when the followers have done all that the lead has. Rejects with what has gone wrong there. */
  async caughtUp(): Promise<void> {
    this.#start();
    await this.#running;
    this.check();
  }

  /** Nothing more is run; resolves when what is under way is over. `cancel`: asks servers to stop it. */
  async callOff(cancel: () => void): Promise<void> {
    this.#state = { kind: 'called off' };
    this.#take();
    if (this.#running === undefined) return;
    const timer = setInterval(cancel, CANCEL_EVERY_MS);
    await this.#running;
    clearInterval(timer);
  }

  /** What was called off has been rolled back on every writer. */
  restart(): void {
    this.#state = { kind: 'following' };
  }
}
