/** Recovery in one process: looks for prepared transactions whose coordinator may be gone, and drives the machine of each. */
import type { Decision } from '../../src/commit/two-phase-machine.ts';
import {
  beginRecovery,
  type RecoveryEffect,
  type RecoveryEvent,
  type RecoveryState,
  stepRecovery,
} from '../../src/commit/recovery-machine.ts';
import { unreachable } from '../../src/lib/assert.ts';
import { proofOf } from './commit-run.ts';
import type { Listed, Statement, Reply } from './operations.ts';
import type { Pool } from './pool.ts';
import type { ProxyProcess } from './process.ts';

interface Doubt {
  readonly id: string;
  readonly followers: Set<number>;
  /** Of the followers' transactions, where known. */
  readonly xids: Map<number, number>;
  /** Where it is known. */
  decision: Decision | undefined;
}

export class Recovery {
  readonly #process: ProxyProcess;
  /** From coordinators of this process; they may have a place in the pending set. */
  readonly #handedOver = new Map<string, Doubt>();
  readonly #busy = new Set<string>();
  /** Seen at the last look. */
  #seen: ReadonlySet<string> = new Set();
  #looking = false;

  constructor(process: ProxyProcess) {
    this.#process = process;
  }

  /** Transactions that it still has to finish. */
  get left(): number {
    return this.#handedOver.size + this.#busy.size;
  }

  start(): void {
    this.#process.world.after(0, () => {
      if (this.#process.alive) this.#look();
    });
    this.#process.every(this.#process.world.config.recoveryEveryMs, () => this.#look());
  }

  take(
    id: string,
    {
      followers,
      xids,
      decision,
    }: {
      readonly followers: readonly number[];
      readonly xids: readonly (number | undefined)[];
      readonly decision: Decision | undefined;
    },
  ): void {
    const known = xids.flatMap((xid, follower) => (xid === undefined ? [] : [[follower, xid] as const]));
    const doubt = { id, followers: new Set(followers), xids: new Map(known), decision };
    this.#handedOver.set(id, doubt);
    this.#recover(doubt);
  }

  #look(): void {
    for (const doubt of this.#handedOver.values()) this.#recover(doubt);
    if (this.#looking) return;
    this.#looking = true;
    const found = new Map<string, Doubt>();
    const old = new Set<string>();
    const followers = this.#process.reserved.slice(1);
    let left = followers.length;
    followers.forEach((_, follower) => {
      this.#ask(follower, [{ kind: 'list' }], (reply) => {
        if (reply !== 'lost') {
          for (const listed of reply.prepared ?? []) this.#note(found, old, follower, listed);
        }
        left -= 1;
        if (left > 0) return;
        this.#looking = false;
        this.#judge(found, old);
      });
    });
  }

  #note(found: Map<string, Doubt>, old: Set<string>, follower: number, { id, xid, preparedAt }: Listed): void {
    if (id === undefined) return;
    const doubt = found.get(id) ?? {
      id,
      followers: new Set<number>(),
      xids: new Map<number, number>(),
      decision: undefined,
    };
    found.set(id, doubt);
    doubt.followers.add(follower);
    doubt.xids.set(follower, xid);
    if (preparedAt + this.#process.world.config.graceMs < this.#process.world.now) old.add(id);
  }

  #judge(found: ReadonlyMap<string, Doubt>, old: ReadonlySet<string>): void {
    for (const [id, doubt] of found) {
      if (this.#process.live.has(id) || this.#handedOver.has(id)) continue;
      if (this.#process.owns(id) || old.has(id) || this.#seen.has(id)) this.#recover(doubt);
    }
    this.#seen = new Set(found.keys());
  }

  #recover(doubt: Doubt): void {
    const { id } = doubt;
    if (this.#busy.has(id)) return;
    this.#busy.add(id);
    this.#process.world.log(() => `${this.#process.name}: recovers ${id} on ${[...doubt.followers].join()}`);
    const { state, effects } = beginRecovery([...doubt.followers], doubt.decision);
    new RecoveryRun(this.#process, doubt, state, (result, decision) => {
      this.#busy.delete(id);
      doubt.decision = decision;
      if (result !== 'clean' || this.#handedOver.get(id) !== doubt) return;
      this.#handedOver.delete(id);
      this.#process.pending.leave(id);
    }).perform(effects);
  }

  #ask(follower: number, statements: readonly Statement[], onReply: (reply: Reply | 'lost') => void): void {
    askReserved(this.#process, follower, statements, onReply);
  }
}

class RecoveryRun {
  readonly #process: ProxyProcess;
  readonly #doubt: Doubt;
  readonly #onOver: (result: 'clean' | 'left', decision: Decision | undefined) => void;
  #state: RecoveryState;

  constructor(
    process: ProxyProcess,
    doubt: Doubt,
    state: RecoveryState,
    onOver: (result: 'clean' | 'left', decision: Decision | undefined) => void,
  ) {
    this.#process = process;
    this.#doubt = doubt;
    this.#state = state;
    this.#onOver = onOver;
  }

  perform(effects: readonly RecoveryEffect[]): void {
    for (const effect of effects) {
      this.#process.world.strike({ what: `before recovery's ${effect.kind}`, party: this.#process.proxy });
      if (!this.#process.alive) return;
      this.#do(effect);
    }
    if (this.#state.kind === 'over') this.#onOver(this.#state.result, this.#state.decision);
  }

  #event(event: RecoveryEvent): void {
    const { id } = this.#doubt;
    this.#process.world.truth.told.add(`recovery ${this.#state.kind}: ${event.from} ${event.what}`);
    this.#process.world.log(() => `${this.#process.name}: recovery of ${id}: ${JSON.stringify(event)}`);
    const next = stepRecovery(this.#state, event);
    this.#state = next.state;
    this.perform(next.effects);
  }

  #do(effect: RecoveryEffect): void {
    const { id } = this.#doubt;
    switch (effect.kind) {
      case 'ask':
        this.#process.ask(id, (what) => this.#event({ from: 'fence', what }));
        break;
      case 'finish': {
        const { follower, decision } = effect;
        askReserved(this.#process, follower, [{ kind: 'finish', id, decision }], (reply) => {
          const what = this.#finished(reply, follower, decision);
          this.#event({ from: 'follower', follower, what });
        });
        break;
      }
      case 'prove':
        this.#prove(effect.follower);
        break;
      case 'report':
        this.#process.world.truth.report(id, effect.follower);
        break;
      default:
        unreachable(effect);
    }
  }

  #prove(follower: number): void {
    const xid = this.#doubt.xids.get(follower);
    askReserved(this.#process, follower, xid === undefined ? [] : [{ kind: 'status', xid }], (reply) => {
      const what = reply === 'lost' ? 'lost' : proofOf(reply);
      this.#event({ from: 'follower', follower, what });
    });
  }

  #finished(
    reply: Reply | 'lost',
    follower: number,
    decision: 'commit' | 'abort',
  ): 'lost' | 'finished' | 'missing' | 'failed' {
    if (reply === 'lost') return 'lost';
    if (reply.error === undefined) return 'finished';
    if (reply.error !== '42704') return 'failed';
    const { world } = this.#process;
    if (decision === 'commit') world.truth.foundNothing(this.#process, this.#doubt.id, follower);
    return world.bugs.has('nothing of that name taken for committed') ? 'finished' : 'missing';
  }
}

/** On one of the connections that clients cannot take. */
export function askReserved(
  process: ProxyProcess,
  follower: number,
  statements: readonly Statement[],
  onReply: (reply: Reply | 'lost') => void,
): void {
  const pool = process.reserved[follower + 1] as Pool;
  pool.lease((connection) => {
    if (connection === undefined) {
      onReply('lost');
      return;
    }
    connection.send(statements, (reply) => {
      pool.giveBack(connection);
      onReply(reply);
    });
  });
}
