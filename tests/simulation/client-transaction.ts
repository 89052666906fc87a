/** A client's transaction in a proxy: legs on every writer, statements lead first, and a commit in two phases. */
import type { Connection } from './connection.ts';
import { FollowerLeg } from './follower-leg.ts';
import { type Operation, type Reply, replayOf } from './operations.ts';
import type { Pool } from './pool.ts';
import type { ProxyProcess } from './process.ts';
import type { Outcome } from './truth.ts';
import type { Timer } from './world.ts';

/** What the client of a statement is told. After a failure the transaction is rolled back everywhere. */
export type Told = { readonly kind: 'done' } | { readonly kind: 'failed'; readonly why: string };

const CANCEL_AGAIN_MS = 20;

export class ClientTransaction {
  readonly id: string;
  readonly #process: ProxyProcess;
  #lead: Connection | undefined;
  readonly #legs: FollowerLeg[] = [];
  #begun = false;
  /** Why it cannot commit any more. */
  #failure: string | undefined;
  #undone: 'no' | 'under way' | 'done' = 'no';
  #onUndone: (() => void)[] = [];
  readonly #waits = new Set<Timer>();
  readonly #giveUp = new Set<() => void>();
  /** The client waits for its COMMIT, or for a statement that followers do as well. */
  #onFailure: (() => void) | undefined;

  constructor(process: ProxyProcess, id: string) {
    this.#process = process;
    this.id = id;
  }

  /** Leases every leg, the lead's first: who holds a follower's connection never waits for the lead. */
  open(onOpen: (told: Told) => void): void {
    const [lead, ...followers] = this.#process.pools as [Pool, ...Pool[]];
    const late = this.#process.world.bugs.has('legs leased after the first lock');
    lead.lease((connection) => {
      this.#lead = connection;
      if (connection === undefined) this.#refuse(onOpen);
      else if (late) onOpen({ kind: 'done' });
      else this.#leaseFollowers(followers, onOpen);
    });
  }

  statement(operation: Operation, onTold: (told: Told) => void): void {
    if (this.#failure !== undefined) {
      this.#undo(() => onTold({ kind: 'failed', why: this.#failure ?? '' }));
      return;
    }
    if (operation.kind !== 'rollback to savepoint' || this.#process.world.bugs.has('ROLLBACK TO without a drain')) {
      this.#run(operation, onTold);
      return;
    }
    // It frees locks on the lead: whoever gets them may not overtake on a follower.
    this.#onFailure = () => this.statement(operation, onTold);
    this.#drain(() => this.#run(operation, onTold));
  }

  #run(operation: Operation, onTold: (told: Told) => void): void {
    const opening = this.#begun ? [] : [{ kind: 'begin', id: this.id } as const];
    this.#begun = true;
    this.#leadConnection.send([...opening, { kind: 'operation', operation }], (reply) => {
      if (this.#failure !== undefined) this.statement(operation, onTold);
      else if (reply === 'lost' || reply.error !== undefined) {
        this.#fail(reply === 'lost' ? 'the lead is lost' : `the lead says ${reply.error}`);
        this.statement(operation, onTold);
      } else this.#follow(operation, reply, onTold);
    });
  }

  commit(onAnswer: (outcome: Outcome) => void): void {
    const refuse = (): void => this.#undo(() => onAnswer('rolled back'));
    if (this.#failure !== undefined) {
      refuse();
      return;
    }
    this.#onFailure = refuse;
    const [leg] = this.#legs;
    const behind = this.#process.world.config.together ? leg?.whenBehind() : undefined;
    if (leg === undefined || behind === undefined) {
      this.#drain(() => this.#decide(onAnswer, this.#begunLegs()));
      return;
    }
    behind(() => {
      this.#onFailure = undefined;
      this.#decide(onAnswer, [leg]);
    });
  }

  /** Calls back when every follower has done everything; where one fails, `#onFailure` is called instead. */
  #drain(onDrained: () => void): void {
    let left = this.#legs.length;
    const drained = (): void => {
      this.#onFailure = undefined;
      onDrained();
    };
    for (const leg of this.#legs) {
      leg.whenIdle(() => {
        left -= 1;
        if (left === 0) drained();
      });
    }
    if (this.#legs.length === 0) drained();
  }

  rollback(onDone: () => void): void {
    this.#failure ??= 'the client rolls back';
    this.#undo(onDone);
  }

  get #leadConnection(): Connection {
    if (this.#lead === undefined) throw new Error('no leg on the lead');
    return this.#lead;
  }

  #leaseFollowers([pool, ...others]: readonly Pool[], onOpen: (told: Told) => void): void {
    if (pool === undefined) {
      onOpen({ kind: 'done' });
      return;
    }
    pool.lease((connection) => {
      if (connection === undefined) {
        this.#refuse(onOpen);
        return;
      }
      const holder = this.#process;
      this.#legs.push(new FollowerLeg(holder.world, { holder, id: this.id, connection }, (why) => this.#fail(why)));
      this.#leaseFollowers(others, onOpen);
    });
  }

  #refuse(onOpen: (told: Told) => void): void {
    this.#failure = 'no connection';
    this.#undo(() => onOpen({ kind: 'failed', why: 'no connection' }));
  }

  /** The lead has done it; the followers are next, when what it may have seen shows there. */
  #follow(operation: Operation, { changed }: Reply, onTold: (told: Told) => void): void {
    const { world, pools } = this.#process;
    const effect = replayOf(operation, changed);
    if (effect === undefined) {
      onTold({ kind: 'done' });
      return;
    }
    if (this.#legs.length === 0) {
      // Only where legs are leased late.
      const wanted = pools.slice(1);
      this.#leaseFollowers(wanted, (told) => {
        if (told.kind === 'done') this.#follow(operation, { changed }, onTold);
        else onTold(told);
      });
      return;
    }
    const { trailing } = world.config;
    const done = (): void => onTold({ kind: 'done' });
    if (!trailing) this.#onFailure = () => this.statement(operation, onTold);
    let left = this.#legs.length;
    const onDone = (): void => {
      left -= 1;
      if (left > 0 || trailing) return;
      this.#onFailure = undefined;
      done();
    };
    const open = this.#legs.map((leg) => leg.follow(effect, changed, onDone));
    this.#behindBarrier(() => {
      for (const go of open) go();
    });
    if (trailing) done();
  }

  #behindBarrier(go: () => void): void {
    const { world, pending } = this.#process;
    const settle = (): void => {
      world.cancel(deadline);
      this.#waits.delete(deadline);
      if (giveUp !== undefined) this.#giveUp.delete(giveUp);
    };
    const deadline = world.after(world.config.deadlineMs, () => {
      settle();
      giveUp?.();
      if (!this.#process.alive) return;
      world.truth.deadlinePassed('the barrier does not open');
      this.#fail('the barrier does not open');
    });
    const giveUp = world.bugs.has('no barrier')
      ? undefined
      : pending.whenGone(() => {
          settle();
          if (this.#process.alive) go();
        });
    if (giveUp === undefined) {
      world.cancel(deadline);
      go();
    } else {
      this.#waits.add(deadline);
      this.#giveUp.add(giveUp);
    }
  }

  #begunLegs(): readonly FollowerLeg[] {
    return this.#legs.filter(({ begun }) => begun);
  }

  #decide(onAnswer: (outcome: Outcome) => void, followers: readonly FollowerLeg[]): void {
    const lead = this.#leadConnection;
    if (followers.length > 0) {
      const on = { answer: onAnswer, over: () => this.#giveBack() };
      this.#process.coordinate(this.id, { lead, followers }, on);
      return;
    }
    // Nothing was changed: there is nothing to decide.
    this.#failure = 'ended';
    if (this.#begun) this.#undo(() => onAnswer('rolled back'));
    else {
      this.#giveBack();
      onAnswer('rolled back');
    }
  }

  #fail(why: string): void {
    if (this.#failure !== undefined) return;
    this.#process.world.log(() => `${this.#process.name}: ${this.id} fails: ${why}`);
    this.#failure = why;
    const onFailure = this.#onFailure;
    this.#onFailure = undefined;
    if (onFailure === undefined) this.#undo(() => {});
    else onFailure();
  }

  /** Rolls back everywhere; once, whoever wants it. */
  #undo(onUndone: () => void): void {
    if (this.#undone === 'done') {
      onUndone();
      return;
    }
    this.#onUndone.push(onUndone);
    if (this.#undone === 'under way') return;
    this.#undone = 'under way';
    for (const wait of this.#waits) this.#process.world.cancel(wait);
    for (const giveUp of this.#giveUp) giveUp();
    // The lead may have given its locks to others already: whoever waits on a follower now could wait for them in a circle.
    const busy = this.#legs.filter(({ isBusy }) => isBusy);
    for (const leg of this.#legs) leg.stop();
    const open = [
      ...(this.#lead !== undefined && this.#begun ? [this.#lead] : []),
      ...this.#legs.flatMap(({ begun, connection }) => (begun ? [connection] : [])),
    ];
    let left = open.length + busy.length;
    const onReply = (): void => {
      left -= 1;
      if (left === 0) this.#over();
    };
    for (const connection of open) {
      let answered = false;
      connection.send([{ kind: 'rollback' }], () => {
        answered = true;
        onReply();
      });
      if (busy.some((leg) => leg.connection === connection)) this.#cancel(connection, () => answered, onReply);
    }
    if (left === 0) this.#over();
  }

  /** Again and again: a request that comes before its statement does nothing. */
  #cancel(connection: Connection, isAnswered: () => boolean, onOver: () => void): void {
    connection.cancel(() => {
      if (isAnswered()) onOver();
      else this.#process.world.after(CANCEL_AGAIN_MS, () => this.#cancel(connection, isAnswered, onOver));
    });
  }

  #over(): void {
    this.#undone = 'done';
    this.#giveBack();
    this.#process.world.truth.tell(this.id, 'rolled back');
    const waiting = this.#onUndone;
    this.#onUndone = [];
    for (const onUndone of waiting) onUndone();
  }

  #giveBack(): void {
    const [lead, ...followers] = this.#process.pools as [Pool, ...Pool[]];
    if (this.#lead !== undefined) lead.giveBack(this.#lead);
    this.#legs.forEach(({ connection }, index) => followers[index]?.giveBack(connection));
  }
}
