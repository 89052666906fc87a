/** Cancel requests of one client: to every server that runs a statement for it, and to nobody who uses its connection next. */
import type { Backend } from '../backend/backend.ts';
import { cancelBackend } from '../backend/connect.ts';
import { PproxError } from '../lib/errors.ts';

export function cancelled(): PproxError {
  return new PproxError('cancelled', { message: 'canceling statement due to user request' });
}

/** One request may come before its statement, as one of PostgreSQL's own may: of a client that is gone nobody asks again. */
const ASK_AGAIN_MS = 50;

export class Cancels {
  /** How many requests there have been. */
  received = 0;
  readonly #timeoutMs: number;
  readonly #active = new Set<Backend>();
  readonly #sent = new Map<Backend, Promise<void>>();
  readonly #waits = new Set<AbortController>();
  /** Set while whatever is run for the session is to end. */
  #ending: NodeJS.Timeout | undefined;

  /** `timeoutMs`: for connecting to a server with a request. */
  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Runs `work` while a cancel request reaches `backend`. */
  async during<T>(backend: Backend, work: Promise<T>): Promise<T> {
    this.#active.add(backend);
    try {
      return await work;
    } finally {
      this.#active.delete(backend);
    }
  }

  /** Runs `work`, which may wait for more than a server's reply: a cancel request aborts the signal, and the work says what became of it. */
  async waiting<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const wait = new AbortController();
    if (this.#ending !== undefined) wait.abort();
    this.#waits.add(wait);
    try {
      return await work(wait.signal);
    } finally {
      this.#waits.delete(wait);
    }
  }

  /** The same; rejects with PproxError `cancelled` where there was such a request, whatever has become of the work. */
  aborting<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return this.waiting(async (signal) => {
      const found = work(signal);
      await found.catch(() => undefined);
      // It may have stopped the work, or come too late for it.
      if (signal.aborted) throw cancelled();
      return found;
    });
  }

  /** Asks every server that runs a statement for the session to stop; nor does the session wait for anything else for it. */
  cancel(): void {
    this.received++;
    for (const backend of this.#active) this.request(backend);
    for (const wait of this.#waits) wait.abort();
  }

  /** The client is gone: all that is run for it ends, what is begun from now on as well, up to `calm`. */
  forsake(): void {
    this.cancel();
    this.#ending ??= setInterval(() => this.cancel(), ASK_AGAIN_MS);
  }

  /** What is done now is pprox's own: to leave nothing behind. */
  calm(): void {
    clearInterval(this.#ending);
    this.#ending = undefined;
  }

  /**
   * Asks one server to stop what it runs for the session, unless a request is under way already. `told`: an ErrorResponse that
   * says why, in place of the server's.
   */
  request(backend: Backend, told?: Buffer): void {
    if (this.#sent.has(backend)) return;
    const explanation = told && backend.explainCancel(told);
    const sent = cancelBackend(backend, this.#timeoutMs);
    this.#sent.set(
      backend,
      sent.finally(() => {
        this.#sent.delete(backend);
        explanation?.delivered();
      }),
    );
  }

  /** A backend may not change hands while a request for it is under way; without one, while any is. */
  async settled(backend?: Backend): Promise<void> {
    if (backend !== undefined) await this.#sent.get(backend);
    else if (this.#sent.size > 0) await Promise.all(this.#sent.values());
  }
}
