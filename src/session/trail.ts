/**
 * Followers behind the lead in a transaction that the client has begun: it has the lead's answer, and its next statement runs
 * on the lead while the one before is under way on the followers.
 *
 *   client   ─ s1 ─► ok ─ s2 ─► ok ─ COMMIT ───────────► ok
 *   lead        s1          s2               ▲
 *   followers        s1          s2 ─ caught up ─ the commit
 *
 * They run one statement at a time, in the lead's order, each behind what its own moment on the lead has shown. Locks stay in
 * the lead's order, because the lead keeps its own until the followers have caught up: in front of COMMIT, SAVEPOINT and
 * RELEASE the session waits for them. What is undone anyway (ROLLBACK, ROLLBACK TO, a failed block) it calls off first; what
 * is under way belongs to the innermost savepoint then, and goes with it.
 */

/** Statements that followers may be behind by: more would only be more to wait for at the end. */
const STATEMENTS = 16;
/** The same in bytes of their texts. */
export const TRAIL_BYTES = 1024 * 1024;

/** How long what is called off may go on before its server is asked to stop it, and between two such requests, in ms. */
const CANCEL_EVERY_MS = 50;

type State =
  | { readonly kind: 'following' }
  /** Told to the client with its next statement. */
  | { readonly kind: 'failed'; readonly error: unknown }
  /** Nothing more is run. */
  | { readonly kind: 'called off' };

export class Trail {
  #state: State = { kind: 'following' };
  #tail: Promise<void> = Promise.resolve();
  #statements = 0;
  #bytes = 0;

  get state(): State['kind'] {
    return this.#state.kind;
  }

  get empty(): boolean {
    return this.#statements === 0;
  }

  get full(): boolean {
    return this.#statements >= STATEMENTS || this.#bytes >= TRAIL_BYTES;
  }

  /**
   * `work`: a statement on the followers, whose rejection is told to the client later; `failed`: it has come to that. `bytes`: of
   * what it holds.
   */
  push(bytes: number, work: () => Promise<void>, failed: () => void): void {
    this.#statements++;
    this.#bytes += bytes;
    this.#tail = this.#tail.then(async () => {
      try {
        if (this.#state.kind === 'following') await work();
      } catch (error) {
        if (this.#state.kind !== 'following') return;
        this.#state = { kind: 'failed', error };
        failed();
      } finally {
        this.#statements--;
        this.#bytes -= bytes;
      }
    });
  }

  /** Throws what has gone wrong on a follower behind the client's back. */
  check(): void {
    if (this.#state.kind === 'failed') throw this.#state.error;
  }

  /** Resolves when the followers have done all that the lead has. Rejects with what has gone wrong there. */
  async caughtUp(): Promise<void> {
    await this.#tail;
    this.check();
  }

  /** Nothing more is run; resolves when what is under way is over. `cancel`: asks servers to stop it. */
  async callOff(cancel: () => void): Promise<void> {
    this.#state = { kind: 'called off' };
    if (this.empty) return;
    const timer = setInterval(cancel, CANCEL_EVERY_MS);
    await this.#tail;
    clearInterval(timer);
  }

  /** What was called off has been rolled back on every writer. */
  restart(): void {
    this.#state = { kind: 'following' };
  }
}
