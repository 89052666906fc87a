/**
 * Connections that look on: they see of a server what everybody sees who is outside a transaction, while a session of ours is inside one.
 * One for each login and server, for short questions one after the other, closed when nobody has asked for a while. A session that waits
 * for one holds connections of the pools; so these are none of theirs.
 *
 *   in line ─► served          the turn has come: the connection is the session's until its questions are answered
 *        └───► left            called off, or too long in line
 */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import type { Login } from '../backend/login.ts';
import { PproxError } from '../lib/errors.ts';
import type { CloseReason } from '../lib/close-reason.ts';
import type { Node } from './node.ts';

export interface OnlookersOptions {
  /** For one use of a connection, which is closed then; and for the wait in line before it. */
  readonly timeoutMs: number;
  readonly idleMs: number;
}

interface Seat {
  backend: Backend | undefined;
  /** Resolves when the last of those in line has done; never rejects. */
  last: Promise<void>;
  inLine: number;
  /** When it was used last, by performance.now(). */
  since: number;
}

/** Waits for a lock there may be waits for the very session that asks: it holds the table, and none of that shows to a server. */
const LOCK_TIMEOUT_MS = 200;

/** Whatever the server's own configuration says, values are written alike on every server; and a policy that hides rows is an error. */
export const LOOKING_ON: ReadonlyMap<string, string> = new Map([
  ['application_name', 'pprox: looking on'],
  ['DateStyle', 'ISO, MDY'],
  ['IntervalStyle', 'postgres'],
  ['TimeZone', 'UTC'],
  ['extra_float_digits', '1'],
  ['bytea_output', 'hex'],
  ['search_path', 'pg_catalog'],
  ['row_security', 'off'],
  ['default_transaction_isolation', 'read committed'],
  ['lock_timeout', String(LOCK_TIMEOUT_MS)],
  ['statement_timeout', '0'],
]);

export class Onlookers {
  readonly #options: OnlookersOptions;
  readonly #seats = new Map<string, Seat>();
  readonly #beat: NodeJS.Timeout;
  #closed: 'no' | 'yes' = 'no';

  constructor(options: OnlookersOptions) {
    this.#options = options;
    this.#beat = setInterval(() => this.#look(), Math.max(250, options.idleMs / 4));
    this.#beat.unref();
  }

  /**
   * `run` has the connection to itself until it resolves, and leaves it outside a transaction. `leave`: aborted where who waits in line is
   * not to wait any longer; undefined: never. Rejects as `run`, or with PproxError.
   */
  async use<T>(
    node: Pick<Node, 'label' | 'connect'>,
    login: Login,
    leave: AbortSignal | undefined,
    run: (backend: Backend) => Promise<T>,
  ): Promise<T> {
    const key = `${node.label}\0${login.key}`;
    const seat = this.#seats.get(key) ?? { backend: undefined, last: Promise.resolve(), inLine: 0, since: 0 };
    this.#seats.set(key, seat);
    seat.inLine++;
    const done = turn(seat.last, node.label, this.#options.timeoutMs, leave).then(() =>
      this.#serve(seat, node, login, run),
    );
    // Who has left the line leaves those behind it where they are.
    seat.last = Promise.all([seat.last, done.catch(() => undefined)]).then(() => undefined);
    try {
      return await done;
    } finally {
      seat.inLine--;
      seat.since = performance.now();
    }
  }

  /** Those that nobody uses now. */
  closeIdle(reason: CloseReason): void {
    for (const [key, seat] of this.#seats) {
      if (seat.inLine > 0) continue;
      drop(seat, reason);
      this.#seats.delete(key);
    }
  }

  close(): void {
    this.#closed = 'yes';
    clearInterval(this.#beat);
    for (const seat of this.#seats.values()) drop(seat, 'shutdown');
    this.#seats.clear();
  }

  async #serve<T>(
    seat: Seat,
    node: Pick<Node, 'connect'>,
    login: Login,
    run: (backend: Backend) => Promise<T>,
  ): Promise<T> {
    if (seat.backend?.open !== true) seat.backend = await node.connect(login);
    const { backend } = seat;
    if (this.#closed === 'yes') backend.close('shutdown');
    const watchdog = guard([backend], this.#options.timeoutMs);
    return run(backend).finally(() => watchdog.clear());
  }

  #look(): void {
    const now = performance.now();
    for (const [key, seat] of this.#seats) {
      if (seat.inLine > 0 || now - seat.since < this.#options.idleMs) continue;
      drop(seat, 'idle');
      this.#seats.delete(key);
    }
  }
}

/** Resolves when those `before` have done. Rejects with PproxError where the place in line is left. */
function turn(before: Promise<void>, label: string, timeoutMs: number, leave: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const left = (why: string): void => reject(new PproxError('pool_exhausted', { message: why }));
    const late = `waited ${timeoutMs} ms for the connection that looks on at ${label}`;
    const timer = setTimeout(() => left(late), timeoutMs);
    const called = (): void => left('called off');
    leave?.addEventListener('abort', called, { once: true });
    if (leave?.aborted === true) called();
    void before.then(() => {
      clearTimeout(timer);
      leave?.removeEventListener('abort', called);
      resolve();
    });
  });
}

function drop({ backend }: Seat, reason: CloseReason): void {
  backend?.close(reason);
}
