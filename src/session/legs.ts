/**
 * The backends of one session's transaction on the writers. They are leased before the transaction takes its first lock
 * on the lead, always lead first: a session that holds the lead's lock and waits for a follower's backend could wait for
 * one whose holder waits for that lock.
 */
import type { Lease } from '../backend/pool.ts';
import type { Login } from '../backend/login.ts';
import type { CloseReason } from '../lib/close-reason.ts';
import type { Node } from '../cluster/node.ts';

/** A follower's part: `leased` has no transaction yet, `begun` has. */
export interface FollowerLeg {
  readonly node: Node;
  readonly lease: Lease;
  block: 'leased' | 'begun';
}

export interface LeadLeg {
  readonly node: Node;
  readonly lease: Lease;
}

export class Legs {
  readonly lead: LeadLeg;
  #followers: readonly FollowerLeg[] = [];

  constructor(lead: LeadLeg) {
    this.lead = lead;
  }

  get followers(): readonly FollowerLeg[] {
    return this.#followers;
  }

  get begun(): readonly FollowerLeg[] {
    return this.#followers.filter((leg) => leg.block === 'begun');
  }

  /** All followers, or none: rejects with what the first refusal said. */
  async leaseFollowers(nodes: readonly Node[], loginOf: (node: Node) => Login): Promise<void> {
    if (this.#followers.length > 0 || nodes.length === 0) return;
    const legs: FollowerLeg[] = [];
    try {
      for (const node of nodes) legs.push({ node, lease: await node.lease(loginOf(node)), block: 'leased' });
    } catch (error) {
      for (const leg of legs) leg.lease.release('reuse');
      throw error;
    }
    this.#followers = legs;
  }

  /** Whether every leg's connection stands. */
  get alive(): boolean {
    return this.lead.lease.backend.open && this.#followers.every((leg) => leg.lease.backend.open);
  }

  releaseFollowers(how: 'reuse' | CloseReason): void {
    for (const leg of this.#followers) leg.lease.release(how);
    this.#followers = [];
  }

  release(how: 'reuse' | CloseReason): void {
    this.releaseFollowers(how);
    this.lead.lease.release(how);
  }
}
