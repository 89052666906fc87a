/**
 * The connections to one server.
 *
 *   lease() ─► an idle backend of the same login, best one with the settings that are needed
 *          └► room for one more: connect          └► room only if an idle one of another login is closed: close, connect
 *
 *          └► else wait in line, bounded in number and time; leases that are on offer are reclaimed, oldest first
 *
 * A backend is in exactly one place: connecting, leased, or idle under its login. Every lease ends in `release`.
 */
import type { CloseReason } from '../lib/close-reason.ts';
import { PproxError } from '../lib/errors.ts';
import { TransactionStatus } from '../wire/tags.ts';
import type { Backend } from './backend.ts';
import type { Login } from './login.ts';
import { NOTHING_SET, type SettingSet, UNCERTAIN } from './setting-set.ts';

export interface PoolLimits {
  readonly size: number;
  readonly queue: number;
  readonly waitMs: number;
  readonly idleMs: number;
  readonly lifetimeMs: number;
}

/** The right to use a backend, until `release`. */
export interface Lease {
  readonly backend: Backend;
  /** `reuse`: it is idle, outside a transaction and carries no state of its session; otherwise why it is closed. */
  release(how: 'reuse' | CloseReason): void;
  /** The holder could do without it: `reclaim` is called once when somebody would have to wait, and must release it soon. */
  offer(reclaim: () => void): void;
  /** The holder uses it again. */
  withdraw(): void;
  /** Between transactions the holder needs this very server session, for this reason; undefined: it does not any more. */
  keep(why: string | undefined): void;
}

interface Waiter {
  readonly login: Login;
  overtaken: number;
  grant(place: 'room' | Backend): void;
  refuse(error: Error): void;
}

/** A waiter may see this many later ones of another login served first, while backends of that login come free. */
const OVERTAKE_LIMIT = 8;

export class Pool {
  readonly #name: string;
  readonly #limits: PoolLimits;
  readonly #connect: (login: Login) => Promise<Backend>;
  readonly #idle = new Map<string, { backend: Backend; since: number }[]>();
  readonly #waiters: Waiter[] = [];
  readonly #sweep: NodeJS.Timeout;
  /** Leases that their holders could do without, the longest on offer first. */
  readonly #offers = new Map<Lease, () => void>();
  /** Why holders keep theirs while they have nothing to do. */
  readonly #kept = new Map<Lease, string>();
  /** Taken off the offers, about to be reclaimed. */
  readonly #reclaiming = new Set<Lease>();
  /** Connecting, leased and idle together. */
  #size = 0;
  #closed: 'no' | 'yes' = 'no';

  /** `name` is the server's, for messages. */
  constructor(name: string, limits: PoolLimits, connect: (login: Login) => Promise<Backend>) {
    this.#name = name;
    this.#limits = limits;
    this.#connect = connect;
    this.#sweep = setInterval(() => this.#sweepIdle(), Math.max(250, Math.min(limits.idleMs, limits.lifetimeMs) / 4));
    this.#sweep.unref();
  }

  get size(): number {
    return this.#size;
  }

  get idleCount(): number {
    let count = 0;
    for (const list of this.#idle.values()) count += list.length;
    return count;
  }

  /** One that nobody uses; a question of our own on it comes in front of whoever leases it meanwhile. */
  get idle(): Backend | undefined {
    for (const list of this.#idle.values()) for (const { backend } of list) return backend;
    return undefined;
  }

  /** In use, or connecting. */
  get leased(): number {
    return this.#size - this.idleCount;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /**
   * `needs`: the settings that the holder will want its backend to have; one that could not be brought to them is not
   * given. Rejects with PproxError `pool_exhausted`, `cancelled` once `signal` is aborted, or with what connecting says.
   */
  async lease(login: Login, needs: SettingSet = NOTHING_SET, signal?: AbortSignal): Promise<Lease> {
    const place = this.#takeIdle(login, needs) ?? (this.#takeRoom() ? 'room' : await this.#queue(login, signal));
    if (place !== 'room') {
      if (place.settings.fitness(needs) !== 'unfit') return this.#leaseOf(place, login);
      // Its place is ours.
      place.onClosed = undefined;
      place.close('session state not movable');
    }
    const made = this.#make(login);
    const spare = (lease: Lease): void => lease.release('reuse');
    return signal === undefined ? made : unlessCalledOff(made, signal, spare);
  }

  async #make(login: Login): Promise<Lease> {
    try {
      const backend = await this.#connect(login);
      if (this.#closed === 'yes') {
        backend.close('shutdown');
        throw new PproxError('shutting_down', { message: 'the proxy is shutting down' });
      }
      return this.#leaseOf(backend, login);
    } catch (error) {
      this.#leave();
      throw error;
    }
  }

  /** Closes what is idle, refuses who waits; leases end by their holders. */
  close(): void {
    this.#closed = 'yes';
    clearInterval(this.#sweep);
    for (const waiter of this.#waiters.splice(0)) {
      waiter.refuse(new PproxError('shutting_down', { message: 'the proxy is shutting down' }));
    }
    this.closeIdle('shutdown');
  }

  /** Closes every idle backend: what the server was when they connected may no longer hold. */
  closeIdle(reason: CloseReason): void {
    for (const list of [...this.#idle.values()]) for (const { backend } of [...list]) backend.close(reason);
  }

  #leaseOf(backend: Backend, login: Login): Lease {
    let state: 'held' | 'released' = 'held';
    backend.onClosed = undefined;
    const lease: Lease = {
      backend,
      offer: (reclaim) => {
        if (state !== 'held') return;
        this.#offers.set(lease, reclaim);
        if (this.#waiters.length > 0) this.#reclaimOne();
      },
      withdraw: () => {
        this.#offers.delete(lease);
        this.#reclaiming.delete(lease);
      },
      keep: (why) => {
        if (why === undefined) this.#kept.delete(lease);
        else if (state === 'held') this.#kept.set(lease, why);
      },
      release: (how) => {
        if (state === 'released') return;
        state = 'released';
        this.#kept.delete(lease);
        this.#offers.delete(lease);
        this.#reclaiming.delete(lease);
        backend.listener = undefined;
        backend.onClosed = undefined;
        const old = Date.now() - backend.createdAt > this.#limits.lifetimeMs;
        const certain =
          backend.settings !== UNCERTAIN && backend.cancelRequests === 'known' && backend.remains === 'nothing';
        const clean = how === 'reuse' && certain && backend.idle && backend.status === TransactionStatus.Idle;
        if (clean && !old && this.#closed === 'no') {
          this.#giveBack(backend, login);
          return;
        }
        backend.close(how === 'reuse' ? (old ? 'lifetime reached' : 'session state not movable') : how);
        this.#leave();
      },
    };
    return lease;
  }

  #giveBack(backend: Backend, login: Login): void {
    const waiter = this.#nextWaiter(login);
    if (waiter === undefined) {
      const list = this.#idle.get(login.key) ?? [];
      const entry = { backend, since: Date.now() };
      list.push(entry);
      this.#idle.set(login.key, list);
      backend.onClosed = () => {
        this.#forget(login.key, backend);
        this.#leave();
      };
    } else if (waiter.login.key === login.key) {
      waiter.grant(backend);
    } else {
      backend.close('pool full');
      waiter.grant('room');
    }
  }

  /** The oldest waiter, or an older one of the same login while nobody is overtaken too often. */
  #nextWaiter(login: Login): Waiter | undefined {
    const oldest = this.#waiters[0];
    if (oldest === undefined) return undefined;
    let at = 0;
    if (oldest.login.key !== login.key && oldest.overtaken < OVERTAKE_LIMIT) {
      const same = this.#waiters.findIndex((waiter) => waiter.login.key === login.key);
      if (same > 0) {
        at = same;
        oldest.overtaken++;
      }
    }
    return this.#waiters.splice(at, 1)[0];
  }

  /** The one that was used last of those with the same settings, else of those that can be given them. */
  #takeIdle(login: Login, needs: SettingSet): Backend | undefined {
    const list = this.#idle.get(login.key) ?? [];
    let backend: Backend | undefined;
    for (let at = list.length - 1; at >= 0; at--) {
      const one = list[at]?.backend;
      const fitness = one?.settings.fitness(needs);
      if (fitness === 'same' || (fitness === 'movable' && backend === undefined)) backend = one;
      if (fitness === 'same') break;
    }
    if (backend === undefined) return undefined;
    this.#forget(login.key, backend);
    backend.onClosed = undefined;
    return backend;
  }

  #takeRoom(): boolean {
    if (this.#size >= this.#limits.size && !this.#evict()) return false;
    this.#size++;
    return true;
  }

  /** Closes the backend that has been idle longest, to make room for another login. */
  #evict(): boolean {
    let oldest: { backend: Backend; since: number } | undefined;
    for (const list of this.#idle.values()) {
      const first = list[0];
      if (first !== undefined && (oldest === undefined || first.since < oldest.since)) oldest = first;
    }
    oldest?.backend.close('pool full');
    return oldest !== undefined;
  }

  /** One place is free: whoever waits longest takes it. */
  #leave(): void {
    this.#size--;
    const waiter = this.#closed === 'no' && this.#size < this.#limits.size ? this.#waiters.shift() : undefined;
    if (waiter === undefined) return;
    this.#size++;
    waiter.grant('room');
  }

  #queue(login: Login, signal: AbortSignal | undefined): Promise<'room' | Backend> {
    const { size, queue, waitMs } = this.#limits;
    const exhausted = (what: string): PproxError =>
      new PproxError('pool_exhausted', {
        message: `no connection to ${this.#name} is free: ${what}`,
        detail: `All ${size} connections to this server are in use and ${this.#waiters.length} sessions wait for one.${this.#keptText()}`,
        hint: 'Raise PPROX_POOL_SIZE within the limits of the server, or use fewer connections at once.',
      });
    if (this.#waiters.length >= queue) return Promise.reject(exhausted(`${queue} sessions wait already`));
    this.#reclaimOne();
    return new Promise((resolve, reject) => {
      const over = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', calledOff);
      };
      const waiter: Waiter = {
        login,
        overtaken: 0,
        grant: (place) => {
          over();
          resolve(place);
        },
        refuse: (error) => {
          over();
          reject(error);
        },
      };
      const leave = (why: PproxError): void => {
        const at = this.#waiters.indexOf(waiter);
        if (at >= 0) this.#waiters.splice(at, 1);
        waiter.refuse(why);
      };
      const timer = setTimeout(() => leave(exhausted(`waited ${waitMs} ms`)), waitMs);
      const calledOff = (): void => leave(cancelled());
      signal?.addEventListener('abort', calledOff, { once: true });
      this.#waiters.push(waiter);
    });
  }

  #keptText(): string {
    if (this.#kept.size === 0) return '';
    const counts = new Map<string, number>();
    for (const why of this.#kept.values()) counts.set(why, (counts.get(why) ?? 0) + 1);
    const reasons = [...counts].map(([why, count]) => `${why} (${count})`).join(', ');
    return `\nOf these, ${this.#kept.size} belong to sessions that are kept on their server session for: ${reasons}.`;
  }

  /** Takes the longest offer, behind what is under way: whoever waits stands in line then, and the holder may use it again first. */
  #reclaimOne(): void {
    const [offered] = this.#offers;
    if (offered === undefined) return;
    const [lease, reclaim] = offered;
    this.#offers.delete(lease);
    this.#reclaiming.add(lease);
    queueMicrotask(() => {
      if (this.#reclaiming.delete(lease)) reclaim();
    });
  }

  #forget(key: string, backend: Backend): void {
    const list = this.#idle.get(key);
    if (list === undefined) return;
    const at = list.findIndex((entry) => entry.backend === backend);
    if (at >= 0) list.splice(at, 1);
    if (list.length === 0) this.#idle.delete(key);
  }

  #sweepIdle(): void {
    const now = Date.now();
    for (const list of [...this.#idle.values()]) {
      for (const { backend, since } of [...list]) {
        if (now - since > this.#limits.idleMs) backend.close('idle');
        else if (now - backend.createdAt > this.#limits.lifetimeMs) backend.close('lifetime reached');
      }
    }
  }
}

/** What is made goes on where nobody waits for it any more: `spare` gets it. */
function unlessCalledOff<T>(made: Promise<T>, signal: AbortSignal, spare: (made: T) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const calledOff = (): void => {
      reject(cancelled());
      made.then(spare, () => undefined);
    };
    signal.addEventListener('abort', calledOff, { once: true });
    made.then(resolve, reject).finally(() => signal.removeEventListener('abort', calledOff));
  });
}

function cancelled(): PproxError {
  return new PproxError('cancelled', { message: 'canceling statement due to user request' });
}
