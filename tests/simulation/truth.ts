/**
 * What really happened, as no party of the world can know it, and the invariants that hold at every moment. What holds at
 * the end is in invariants.ts.
 */
import { isCalm } from './config.ts';
import type { Transaction } from './database.ts';
import type { Holder } from './connection.ts';
import type { Server } from './server.ts';
import type { World } from './world.ts';

/** Something that must never happen has happened. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

export type Outcome = 'committed' | 'rolled back' | 'unknown';

interface Case {
  readonly id: string;
  committedAt: number | undefined;
  decidedAt: number;
  told: Outcome | undefined;
  /** Followers where somebody else has rolled it back. */
  readonly interfered: Set<number>;
}

export class Truth {
  readonly cases = new Map<string, Case>();
  /** What the machines were told in which state: whether the worlds lead everywhere. */
  readonly told = new Set<string>();
  lead: Server | undefined;
  followers: readonly Server[] = [];
  /** Processes that have ended. */
  crashedProcesses = 0;
  /** Somebody else has undone on a follower what the lead has committed: from there on contents may differ. */
  harmed = false;
  /** Who has found out that nothing is there of a name, and has to say so. */
  readonly #owed = new Map<string, Holder>();
  /** Whoever finds it out once more need not. */
  readonly #reported = new Set<string>();
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  case(id: string): Case {
    let found = this.cases.get(id);
    if (found === undefined) {
      found = { id, committedAt: undefined, decidedAt: 0, told: undefined, interfered: new Set() };
      this.cases.set(id, found);
    }
    return found;
  }

  leadCommitted(transaction: Transaction): void {
    const { id } = transaction;
    const of = this.case(id);
    of.committedAt = this.#world.now;
    of.decidedAt = transaction.decisions[0]?.decidedAt ?? this.#world.now;
    if (transaction.drafts.size === 0) return;
    if (of.told === 'rolled back') fail(`durability: ${id} commits on the lead, and was said to be rolled back`);
    for (const { name, follower = 0, database } of this.followers) {
      if (database.prepared.has(id)) continue;
      if (of.interfered.has(follower)) this.harmed = true;
      else fail(`atomicity: ${id} commits on the lead, and is not prepared on ${name}`);
    }
  }

  /** COMMIT PREPARED or ROLLBACK PREPARED has done something. */
  finished({ name }: Server, { id }: Transaction, decision: 'commit' | 'abort'): void {
    const committed = this.case(id).committedAt !== undefined;
    if (decision === 'commit' && !committed) fail(`atomicity: ${id} commits on ${name}, and not on the lead`);
    if (decision === 'abort' && committed)
      fail(`atomicity: ${id} is rolled back on ${name}, and committed on the lead`);
  }

  /** A client is told, or asks later. */
  tell(id: string, outcome: Outcome): void {
    this.#world.log(() => `told: ${id} ${outcome}`);
    const of = this.case(id);
    const committed = of.committedAt !== undefined;
    if (outcome === 'committed' && !committed)
      fail(`durability: ${id} is said to be committed, and is not on the lead`);
    if (outcome === 'rolled back' && committed) {
      // Who asks so late finds nothing.
      if (this.#world.now > of.decidedAt + this.#world.config.retentionMs) return;
      fail(`durability: ${id} is said to be rolled back, and is committed on the lead`);
    }
    if (of.told !== undefined && of.told !== 'unknown' && of.told !== outcome) {
      fail(`durability: ${id} is said to be ${outcome} after ${of.told}`);
    }
    of.told = outcome;
  }

  /** Somebody waited in vain. */
  deadlinePassed(what: string): void {
    this.#world.log(() => `deadline: ${what}`);
    if (isCalm(this.#world.config)) fail(`termination: nothing is broken, and a deadline passes: ${what}`);
  }

  /** A follower does not do what the lead did. `kept`: also after a replay. */
  difference(holder: Holder, id: string, follower: Server, what: string, when: 'at first' | 'kept'): void {
    this.#world.log(() => `${holder.name}: ${id} on ${follower.name}: ${what}, ${when}`);
    // Where the lead has lost the transaction meanwhile, nothing can be said of it.
    if (this.harmed || this.lead?.database.hasOpen(id) !== true) return;
    if (when === 'kept') fail(`barrier: ${id} on ${follower.name}: ${what}, where the lead succeeded`);
    if (this.#world.config.proxies === 1 && this.crashedProcesses === 0) {
      fail(`barrier: ${id} on ${follower.name}: ${what}, and all commits are of its own process`);
    }
  }

  /** Somebody else rolls a prepared transaction back. */
  interfere(id: string, follower: Server): void {
    const of = this.case(id);
    of.interfered.add(follower.follower ?? 0);
    if (of.committedAt !== undefined) this.harmed = true;
  }

  /** COMMIT PREPARED was answered with 42704. */
  foundNothing(holder: Holder, id: string, follower: number): void {
    const of = this.cases.get(id);
    const what = `${id} on f${follower}`;
    if (of?.committedAt === undefined || !of.interfered.has(follower) || this.#reported.has(what)) return;
    this.#owed.set(what, holder);
  }

  report(id: string, follower: number): void {
    this.#world.log(() => `reported: ${id} on f${follower}`);
    if (!this.case(id).interfered.has(follower)) fail(`false alarm: ${id} on f${follower}`);
    this.#owed.delete(`${id} on f${follower}`);
    this.#reported.add(`${id} on f${follower}`);
  }

  /** At the end. */
  unreported(): readonly string[] {
    return [...this.#owed].filter(([, { alive }]) => alive).map(([what]) => what);
  }
}

function fail(fact: string): never {
  throw new Violation(fact);
}
