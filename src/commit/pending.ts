/**
 * Commits of this process that the lead may show already and some follower does not yet show: from just before the lead's
 * COMMIT until every COMMIT PREPARED is confirmed. What such a transaction wrote is invisible on a follower, and a statement
 * that needs it does not wait there: it fails, or finds nothing. So a follower's statement starts only when the members at
 * the end of its lead statement are gone. Later members do not matter: what the lead statement has seen was committed.
 *
 * It lives in memory. After a crash other processes do not know it: there a follower's difference tells, and is replayed.
 */
import { assert } from '../lib/assert.ts';

interface Member {
  /** Counts up, so that who joined later has more. */
  readonly joined: number;
  readonly waits: Wait[];
}

interface Wait {
  /** Members that it still waits for. */
  left: number;
  /** Undefined: given up. */
  callback: (() => void) | undefined;
}

export class PendingSet {
  /** By id, in the order in which they joined. */
  readonly #members = new Map<string, Member>();
  #joined = 0;

  get size(): number {
    return this.#members.size;
  }

  /** Now, as `until` of what waits for today's members later. */
  get moment(): number {
    return this.#joined;
  }

  /** Before the lead's COMMIT is sent. An id joins once. */
  join(id: string): void {
    assert(!this.#members.has(id), 'a transaction joins the pending set once');
    this.#members.set(id, { joined: ++this.#joined, waits: [] });
  }

  /** Every follower shows it, or nobody ever will. Calls who has waited for it last. Nothing where it is no member. */
  leave(id: string): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#members.delete(id);
    for (const wait of member.waits) {
      wait.left -= 1;
      if (wait.left === 0) wait.callback?.();
    }
  }

  /**
   * Calls back, within `leave`, when all who are members now are gone; never where nobody is to be waited for, and then
   * returns undefined. Otherwise returns how to give up, which may be called at any time.
   * @param except one who is not waited for
   * @param until a moment: who has joined after it is not waited for
   */
  whenGone(callback: () => void, except?: string, until = this.#joined): (() => void) | undefined {
    const wait: Wait = { left: 0, callback };
    for (const [id, { joined, waits }] of this.#members) {
      if (joined > until) break;
      if (id === except) continue;
      waits.push(wait);
      wait.left += 1;
    }
    if (wait.left === 0) return undefined;
    return () => {
      wait.callback = undefined;
    };
  }

  /** As `whenGone`, as a promise that never rejects. It has no deadline: race it with one. */
  gone(except?: string): Promise<void> | undefined {
    let resolve = (): void => {};
    const promise = new Promise<void>((settle) => {
      resolve = settle;
    });
    return this.whenGone(() => resolve(), except) === undefined ? undefined : promise;
  }
}
