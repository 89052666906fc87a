/** Row locks of one server, as in the manual's section on explicit locking, with queues and a deadlock detector. */

/** `share`: FOR KEY SHARE. `update`: FOR NO KEY UPDATE. `exclusive`: FOR UPDATE, or an insert that nobody sees yet. */
export type Mode = 'share' | 'update' | 'exclusive';

/** A transaction, as far as locks know one. */
export interface Owner {
  readonly label: string;
  /** In the order of their taking. */
  readonly held: Held[];
  waiting: Wait | undefined;
}

export interface Held {
  readonly key: string;
  /** What it held of that key before. */
  readonly before: Mode | undefined;
}

interface Entry {
  readonly holders: Map<Owner, Mode>;
  readonly queue: Wait[];
}

export interface Wait {
  readonly owner: Owner;
  readonly key: string;
  readonly mode: Mode;
  /** Called once, within the call that releases the lock: it takes and releases nothing itself. */
  readonly granted: () => void;
}

const RANK: Readonly<Record<Mode, number>> = { share: 0, update: 1, exclusive: 2 };

function conflict(one: Mode, other: Mode): boolean {
  return one === 'exclusive' || other === 'exclusive' || (one === 'update' && other === 'update');
}

export class Locks {
  readonly #entries = new Map<string, Entry>();

  /** Owners that wait for a lock. */
  get waiting(): number {
    let count = 0;
    for (const { queue } of this.#entries.values()) count += queue.length;
    return count;
  }

  get held(): number {
    let count = 0;
    for (const { holders } of this.#entries.values()) count += holders.size;
    return count;
  }

  /** Whether another holds it in a mode that only writers take. */
  isWritten(key: string, except: Owner): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    for (const [owner, mode] of entry.holders) if (owner !== except && mode !== 'share') return true;
    return false;
  }

  acquire(owner: Owner, key: string, mode: Mode, granted: () => void): 'granted' | 'waits' | 'deadlock' {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { holders: new Map(), queue: [] };
      this.#entries.set(key, entry);
    }
    const held = entry.holders.get(owner);
    if (held !== undefined && RANK[held] >= RANK[mode]) return 'granted';
    if (isFree(entry, owner, mode, held === undefined ? entry.queue.length : 0)) {
      take(entry, owner, key, mode);
      return 'granted';
    }
    const wait: Wait = { owner, key, mode, granted };
    // Who holds a weaker lock already goes before those who hold none.
    if (held === undefined) entry.queue.push(wait);
    else entry.queue.unshift(wait);
    owner.waiting = wait;
    if (!this.#isInCircle(owner)) return 'waits';
    this.giveUp(owner);
    return 'deadlock';
  }

  /** Stops waiting. */
  giveUp(owner: Owner): void {
    const wait = owner.waiting;
    if (wait === undefined) return;
    owner.waiting = undefined;
    const entry = this.#entries.get(wait.key) as Entry;
    entry.queue.splice(entry.queue.indexOf(wait), 1);
    this.#pass(wait.key, entry);
  }

  /** Gives back what was taken after the first `keep` locks. */
  release(owner: Owner, keep: number): void {
    this.giveUp(owner);
    while (owner.held.length > keep) {
      const { key, before } = owner.held.pop() as Held;
      const entry = this.#entries.get(key) as Entry;
      if (before === undefined) entry.holders.delete(owner);
      else entry.holders.set(owner, before);
      this.#pass(key, entry);
    }
  }

  /** Whoever is next gets the lock: all whom nobody is in the way of who came earlier. */
  #pass(key: string, entry: Entry): void {
    for (let index = 0; index < entry.queue.length; ) {
      const next = entry.queue[index] as Wait;
      if (isFree(entry, next.owner, next.mode, index)) {
        entry.queue.splice(index, 1);
        next.owner.waiting = undefined;
        take(entry, next.owner, key, next.mode);
        next.granted();
      } else index += 1;
    }
    if (entry.holders.size === 0 && entry.queue.length === 0 && this.#entries.get(key) === entry)
      this.#entries.delete(key);
  }

  #isInCircle(start: Owner): boolean {
    const seen = new Set<Owner>();
    const visit = (owner: Owner): boolean => {
      const wait = owner.waiting;
      if (wait === undefined) return false;
      const entry = this.#entries.get(wait.key) as Entry;
      for (const [holder, mode] of entry.holders) {
        if (holder !== owner && conflict(mode, wait.mode) && reaches(holder)) return true;
      }
      for (const earlier of entry.queue) {
        if (earlier === wait) break;
        if (conflict(earlier.mode, wait.mode) && reaches(earlier.owner)) return true;
      }
      return false;
    };
    const reaches = (owner: Owner): boolean => {
      if (owner === start) return true;
      if (seen.has(owner)) return false;
      seen.add(owner);
      return visit(owner);
    };
    return visit(start);
  }
}

/** Whether nobody else who holds it, or waits among the first `ahead`, is in the way. */
function isFree(entry: Entry, owner: Owner, mode: Mode, ahead: number): boolean {
  for (const [holder, held] of entry.holders) if (holder !== owner && conflict(held, mode)) return false;
  for (let index = 0; index < ahead; index += 1) if (conflict((entry.queue[index] as Wait).mode, mode)) return false;
  return true;
}

function take(entry: Entry, owner: Owner, key: string, mode: Mode): void {
  owner.held.push({ key, before: entry.holders.get(owner) });
  entry.holders.set(owner, mode);
}
