/** Drives the machine of one commit: each effect is performed on the simulated servers, and answers with one event. */
import {
  begin,
  type CommitEffect,
  type CommitEvent,
  type CommitState,
  type Step,
  step,
} from '../../src/commit/two-phase-machine.ts';
import { unreachable } from '../../src/lib/assert.ts';
import type { FollowerLeg } from './follower-leg.ts';
import type { Connection } from './connection.ts';
import type { Reply, Statement } from './operations.ts';
import type { ProxyProcess } from './process.ts';
import type { Outcome } from './truth.ts';

export interface Legs {
  readonly lead: Connection;
  readonly followers: readonly FollowerLeg[];
}

type Answered = (reply: Reply | 'lost') => void;

export class CommitRun {
  readonly #process: ProxyProcess;
  readonly #id: string;
  readonly #legs: Legs;
  readonly #onAnswer: (outcome: Outcome) => void;
  /** Nothing is under way any more. */
  readonly #onOver: () => void;
  readonly #xids: (number | undefined)[] = [];
  readonly #first: Step;
  #state: CommitState;
  #underWay = 0;
  #answered = false;

  constructor(
    process: ProxyProcess,
    id: string,
    legs: Legs,
    on: { readonly answer: (outcome: Outcome) => void; readonly over: () => void },
  ) {
    this.#process = process;
    this.#id = id;
    this.#legs = legs;
    this.#onAnswer = on.answer;
    this.#onOver = on.over;
    this.#first = begin(legs.followers.length, process.world.config.deferred);
    this.#state = this.#first.state;
  }

  start(): void {
    this.#perform(this.#first);
  }

  #event(event: CommitEvent): void {
    this.#underWay -= 1;
    this.#process.world.truth.told.add(`commit ${this.#state.kind}: ${event.from} ${event.what}`);
    this.#process.world.log(() => `${this.#process.name}: ${this.#id} ${this.#state.kind}, ${describe(event)}`);
    this.#perform(step(this.#state, event));
  }

  #perform({ state, effects }: Step): void {
    this.#state = state;
    for (const effect of effects) {
      this.#strike(`before ${effect.kind}`);
      if (!this.#process.alive) return;
      this.#do(effect);
      this.#strike(`after ${effect.kind}`);
      if (!this.#process.alive) return;
    }
    if (state.kind === 'over' && this.#underWay === 0) this.#onOver();
  }

  #strike(what: string): void {
    this.#process.world.strike({ what, party: this.#process.proxy });
  }

  #do(effect: CommitEffect): void {
    const id = this.#id;
    switch (effect.kind) {
      case 'check':
        this.#askLead([{ kind: 'check' }], (reply) => this.#lead(reply, 'checked', 'refused'));
        break;
      case 'prepare':
        this.#prepare(effect.follower);
        break;
      case 'join':
        this.#process.pending.join(id);
        break;
      case 'decide':
        this.#decide();
        break;
      case 'ask':
        this.#underWay += 1;
        this.#process.ask(id, (what) => this.#event({ from: 'fence', what }));
        break;
      case 'roll back lead':
        this.#askLead([{ kind: 'rollback' }], (reply) => this.#lead(reply, 'rolled back', 'rolled back'));
        break;
      case 'roll back':
        this.#askFollower(effect.follower, [{ kind: 'rollback' }], (reply) =>
          this.#follower(effect.follower, reply, 'finished', 'finished'),
        );
        break;
      case 'finish':
        this.#finish(effect.follower, effect.decision);
        break;
      case 'prove':
        this.#prove(effect.follower);
        break;
      case 'answer':
        this.#answer(effect.outcome);
        break;
      case 'report':
        this.#process.world.truth.report(id, effect.follower);
        break;
      case 'leave':
        this.#process.pending.leave(id);
        break;
      case 'hand over':
        this.#process.recovery.take(id, { followers: this.#left(), xids: this.#xids, decision: effect.decision });
        break;
      default:
        unreachable(effect);
    }
  }

  #prepare(follower: number): void {
    const leg = this.#legs.followers[follower];
    if (leg === undefined) throw new Error(`no follower ${follower}`);
    this.#underWay += 1;
    leg.prepare((what, xid) => {
      this.#xids[follower] = xid;
      this.#event({ from: 'follower', follower, what });
    });
  }

  #decide(): void {
    const { bugs } = this.#process.world;
    if (bugs.has('answer before the decision')) this.#answer('committed');
    if (bugs.has('COMMIT PREPARED before the lead has committed')) {
      for (const leg of this.#legs.followers) {
        leg.connection.send([{ kind: 'finish', id: this.#id, decision: 'commit' }], () => {});
      }
    }
    const { lead } = this.#legs;
    if (!lead.isOpen) {
      this.#underWay += 1;
      this.#process.world.after(0, () => {
        if (this.#process.alive) this.#event({ from: 'lead', what: 'gone' });
      });
      return;
    }
    const id = this.#id;
    this.#askLead([{ kind: 'insert decision', id, committed: true }, { kind: 'commit' }], (reply) =>
      this.#lead(
        reply,
        'committed',
        reply !== 'lost' && reply.failed === 'insert decision' ? 'row refused' : 'refused',
      ),
    );
  }

  #finish(follower: number, decision: 'commit' | 'abort'): void {
    this.#askFollower(follower, [{ kind: 'finish', id: this.#id, decision }], (reply) => {
      const { world } = this.#process;
      if (reply === 'lost' || reply.error === undefined) this.#follower(follower, reply, 'finished', 'failed');
      else if (reply.error === '42704') {
        if (decision === 'commit') world.truth.foundNothing(this.#process, this.#id, follower);
        const what = world.bugs.has('nothing of that name taken for committed') ? 'finished' : 'missing';
        this.#event({ from: 'follower', follower, what });
      } else this.#event({ from: 'follower', follower, what: 'failed' });
    });
  }

  #prove(follower: number): void {
    const xid = this.#xids[follower];
    this.#askFollower(follower, xid === undefined ? [] : [{ kind: 'status', xid }], (reply) => {
      if (reply === 'lost') this.#event({ from: 'follower', follower, what: 'lost' });
      else this.#event({ from: 'follower', follower, what: proofOf(reply) });
    });
  }

  #answer(outcome: Outcome): void {
    if (this.#answered) return;
    this.#answered = true;
    this.#onAnswer(outcome);
  }

  #left(): readonly number[] {
    return this.#state.followers.flatMap((part, follower) => (part === 'left' ? [follower] : []));
  }

  #askLead(statements: readonly Statement[], onReply: Answered): void {
    this.#underWay += 1;
    this.#legs.lead.send(statements, onReply);
  }

  #askFollower(follower: number, statements: readonly Statement[], onReply: Answered): void {
    this.#underWay += 1;
    const leg = this.#legs.followers[follower];
    if (leg === undefined) throw new Error(`no follower ${follower}`);
    leg.connection.send(statements, onReply);
  }

  #lead(
    reply: Reply | 'lost',
    good: 'checked' | 'committed' | 'rolled back',
    bad: 'refused' | 'row refused' | 'rolled back',
  ): void {
    this.#event({
      from: 'lead',
      what: reply === 'lost' ? 'lost' : hasDone(reply) || good === 'rolled back' ? good : bad,
    });
  }

  #follower(follower: number, reply: Reply | 'lost', good: 'finished', bad: 'finished' | 'failed'): void {
    this.#event({ from: 'follower', follower, what: reply === 'lost' ? 'lost' : hasDone(reply) ? good : bad });
  }
}

/** COMMIT and PREPARE TRANSACTION of a failed transaction answer ROLLBACK, without an error. */
function hasDone({ error, tag }: Reply): boolean {
  return error === undefined && tag !== 'ROLLBACK';
}

export function proofOf({ fate }: Reply): 'proved' | 'disproved' | 'unproved' {
  switch (fate) {
    case 'committed':
      return 'proved';
    case 'aborted':
      return 'disproved';
    default:
      return 'unproved';
  }
}

function describe(event: CommitEvent): string {
  return event.from === 'follower' ? `follower ${event.follower} ${event.what}` : `${event.from} ${event.what}`;
}
