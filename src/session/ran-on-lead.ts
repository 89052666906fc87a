/** A statement that the lead has run, and what is known of it there. */
import type { Effect } from '../fanout/follower.ts';
import type { Look, Looks } from '../fanout/hidden-effects.ts';
import type { ReplayPlan } from '../fanout/plan.ts';
import type { RowReplay } from '../fanout/row-replay.ts';
import type { Statement } from '../sql/statement.ts';
import type { RelayResult } from './relay.ts';
import type { Request } from './request.ts';

export interface DoneOnLead {
  readonly result: RelayResult;
  /** Of the statement with our columns, where these are compared. */
  readonly effect: Effect;
  readonly replay: RowReplay | undefined;
  /** The transaction's, where the followers need it. */
  readonly time: Promise<string> | undefined;
  /** Before it and behind it, where it may do more than its text says. Each rejects with PproxError or BackendLostError. */
  readonly looks: readonly [Promise<Look>, Promise<Look>] | undefined;
}

/** A statement that may have done more than its text says. */
export interface Hidden {
  readonly statement: Statement;
  readonly plan: ReplayPlan;
  readonly request: Request;
  readonly started: number;
  /** At the lead, around it. */
  readonly looked: Looks;
  /** Names that meant a temporary object before it, where followers have a permanent one. */
  readonly hiding: readonly string[];
  readonly done: DoneOnLead;
}
