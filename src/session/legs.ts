/**
 * The backends of one session's transaction on the writers. They are leased before the transaction takes its first lock
 * on the lead, always lead first: a session that holds the lead's lock and waits for a follower's backend could wait for
 * one whose holder waits for that lock.
 */
import type { Backend } from '../backend/backend.ts';
import type { Lease } from '../backend/pool.ts';
import type { CloseReason } from '../lib/close-reason.ts';
import type { WriterDownPolicy } from '../config/config.ts';
import { unreachable } from '../lib/assert.ts';
import { type Condition, PproxError } from '../lib/errors.ts';
import type { Node } from '../cluster/node.ts';

/** A follower's part: `leased` has no transaction yet, `begun` has; `marked` has the savepoint of its last statement as well. */
export interface FollowerLeg {
  readonly node: Node;
  readonly lease: Lease;
  block: 'leased' | 'begun' | 'marked';
  /** The name of that savepoint, or of the last. */
  mark: string;
}

export interface LeadLeg {
  readonly node: Node;
  readonly lease: Lease;
}

/** A follower that is not to be had, now or until somebody has seen to it: nothing that only reads needs it. */
const UNAVAILABLE: ReadonlySet<Condition> = new Set(['server_unreachable', 'server_refused', 'out_of_resources']);

export class Legs {
  readonly lead: LeadLeg;
  readonly #writerDown: WriterDownPolicy;
  #leased: readonly FollowerLeg[] = [];
  #missing: PproxError | undefined;

  constructor(lead: LeadLeg, writerDown: WriterDownPolicy) {
    this.lead = lead;
    this.#writerDown = writerDown;
  }

  /** The followers that are leased: for what ends or cleans up. */
  get leased(): readonly FollowerLeg[] {
    return this.#leased;
  }

  /** Whether an effect can reach every writer. */
  get complete(): boolean {
    return this.#missing === undefined;
  }

  /** Every follower, for an effect that all must have. Throws PproxError where one could not be leased, as the policy says. */
  get followers(): readonly FollowerLeg[] {
    if (this.#missing === undefined) return this.#leased;
    switch (this.#writerDown) {
      case 'fail':
        throw this.#missing;
      default:
        return unreachable(this.#writerDown);
    }
  }

  get begun(): readonly FollowerLeg[] {
    return this.#leased.filter((leg) => leg.block !== 'leased');
  }

  /**
   * All followers, or none: rejects with what the first refusal said. `if up`: where a server is not to be had the legs do without,
   * and whoever asks for `followers` later is told; they cannot be leased later, behind the lead's locks.
   */
  async leaseFollowers(
    nodes: readonly Node[],
    leaseOf: (node: Node) => Promise<Lease>,
    need: 'all' | 'if up',
  ): Promise<void> {
    this.#missing = undefined;
    if (this.#leased.length > 0 || nodes.length === 0) return;
    const legs: FollowerLeg[] = [];
    try {
      for (const node of nodes) legs.push({ node, lease: await leaseOf(node), block: 'leased', mark: '' });
    } catch (error) {
      for (const leg of legs) leg.lease.release('reuse');
      if (need === 'all' || !(error instanceof PproxError) || !UNAVAILABLE.has(error.condition)) throw error;
      this.#missing = error;
      return;
    }
    this.#leased = legs;
  }

  /** Whether every leg's connection stands. */
  get alive(): boolean {
    return this.lead.lease.backend.open && this.#leased.every((leg) => leg.lease.backend.open);
  }

  get backends(): readonly Backend[] {
    return [this.lead, ...this.#leased].map(({ lease }) => lease.backend);
  }

  /** After an error of ours, which may have come of it: nobody can say which statements of ours are prepared there. */
  doubtOwn(): void {
    for (const { prepared } of this.backends) prepared.doubtOwn();
  }

  releaseFollowers(how: 'reuse' | CloseReason): void {
    for (const leg of this.#leased) leg.lease.release(how);
    this.#leased = [];
  }

  release(how: 'reuse' | CloseReason): void {
    this.releaseFollowers(how);
    this.lead.lease.release(how);
  }
}
