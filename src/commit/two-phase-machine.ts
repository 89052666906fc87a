/**
 * Commit in two phases as a pure machine: events in, effects out, no I/O and no clock. `two-phase.ts` performs the effects
 * on real servers, tests/simulation on simulated ones.
 *
 *   checking ─► preparing ─► deciding ─► finishing ─► over
 *       │           │          │   ╲        ▲
 *       │           │          │    asking ─┤
 *       ▼           ▼          ▼      │  ╲  │
 *      undoing ◄────┴──────────┴──────┘   in doubt ─► over
 *
 * The lead never prepares. Its COMMIT, of the client's changes together with a row that bears the transaction's id, is the
 * decision: what is on disk there decides for every follower, whoever asks (docs/adr/0014-two-phase-commit.md). Row and COMMIT
 * are sent together, when every follower has prepared.
 */
import { assert, unreachable } from '../lib/assert.ts';

export type Decision = 'commit' | 'abort';

/** A follower's part. `unknown`: its connection was lost while PREPARE was under way. */
export type FollowerPart =
  | 'open'
  | 'preparing'
  | 'prepared'
  | 'finishing'
  /** COMMIT PREPARED found nothing: whether this transaction has committed there is asked for by its xid. */
  | 'proving'
  | 'rolling back'
  | 'done'
  /** Left to recovery: prepared, or perhaps. */
  | 'left';

/** Of the lead's transaction while it is undone. */
type LeadEnd = 'rolling back' | 'over';

export type CommitState =
  /** Deferred constraints speak on the lead. After a crash here: every server rolls back. */
  | { readonly kind: 'checking'; readonly followers: readonly FollowerPart[] }
  /**
   * The followers prepare, all at once. After a crash here: the lead rolls back, some followers are prepared; recovery finds
   * no decision and rolls them back.
   */
  | { readonly kind: 'preparing'; readonly followers: readonly FollowerPart[] }
  /** The lead's decision row and COMMIT are under way. After a crash here: every follower is prepared; recovery does as the lead did. */
  | { readonly kind: 'deciding'; readonly followers: readonly FollowerPart[] }
  /** The lead was lost in its COMMIT; it is asked on another connection. After a crash here: as in `deciding`. */
  | { readonly kind: 'asking'; readonly followers: readonly FollowerPart[] }
  /** Committed. After a crash here: recovery finds the decision, and commits what is still prepared. */
  | { readonly kind: 'finishing'; readonly followers: readonly FollowerPart[] }
  /** Rolled back. After a crash here: no decision, and recovery rolls back what is prepared. */
  | {
      readonly kind: 'undoing';
      readonly lead: LeadEnd;
      readonly cause: Cause;
      readonly followers: readonly FollowerPart[];
    }
  | { readonly kind: 'over'; readonly followers: readonly FollowerPart[] };

/** Why a transaction is not committed. */
export type Cause =
  /** `found aborted`: it was lost in its COMMIT, and has not done it. */
  | { readonly by: 'lead'; readonly how: 'refused' | 'lost' | 'found aborted' }
  /** The decision row could not be written: a fence stands there, or the table does not take it. */
  | { readonly by: 'row' }
  /** An index. */
  | { readonly by: 'follower'; readonly follower: number };

export type CommitEvent =
  /**
   * Of the lead. `row refused`: COMMIT was not reached. `refused`: an error, or COMMIT answered ROLLBACK. `lost`: while it
   * was asked; `gone`: before it was asked to commit.
   */
  | { readonly from: 'lead'; readonly what: 'checked' | 'row refused' | 'committed' | 'refused' }
  | { readonly from: 'lead'; readonly what: 'rolled back' | 'lost' | 'gone' }
  /** `finished`: COMMIT or ROLLBACK PREPARED done, or the plain ROLLBACK. `missing`: there is nothing of that name. */
  | {
      readonly from: 'follower';
      readonly follower: number;
      readonly what: 'prepared' | 'refused' | 'finished' | 'missing' | 'failed' | 'lost';
    }
  /** By its xid, after `missing`. */
  | { readonly from: 'follower'; readonly follower: number; readonly what: 'proved' | 'disproved' | 'unproved' }
  /** The fence on another connection to the lead. `unreachable`: no answer until the deadline. */
  | { readonly from: 'fence'; readonly what: 'committed' | 'aborted' | 'unreachable' };

export type CommitEffect =
  /** Lead: SET CONSTRAINTS ALL IMMEDIATE. */
  | { readonly kind: 'check' }
  | { readonly kind: 'prepare'; readonly follower: number }
  /** From here on the lead may show what a follower does not: join the pending set. */
  | { readonly kind: 'join' }
  /** Lead: the decision row, and COMMIT behind it. */
  | { readonly kind: 'decide' }
  /** Another connection to the lead: fence, and tell what was decided. */
  | { readonly kind: 'ask' }
  | { readonly kind: 'roll back lead' }
  /** ROLLBACK of what was never prepared, or has failed to. */
  | { readonly kind: 'roll back'; readonly follower: number }
  /** COMMIT PREPARED or ROLLBACK PREPARED. */
  | { readonly kind: 'finish'; readonly follower: number; readonly decision: Decision }
  | { readonly kind: 'prove'; readonly follower: number }
  /** The client may be told. */
  | { readonly kind: 'answer'; readonly outcome: 'committed' | 'unknown' }
  | { readonly kind: 'answer'; readonly outcome: 'rolled back'; readonly cause: Cause }
  /** A follower has rolled back what the lead has committed: somebody has interfered. */
  | { readonly kind: 'report'; readonly follower: number }
  /** Out of the pending set: every follower shows what the lead shows. */
  | { readonly kind: 'leave' }
  /**
   * What is left is recovery's, the place in the pending set as well. `decision`: where it is known, which the lead may not
   * tell for as long as recovery takes. It was never possible, or is not any more, that the lead does otherwise.
   */
  | { readonly kind: 'hand over'; readonly decision: Decision | undefined };

export interface Step {
  readonly state: CommitState;
  readonly effects: readonly CommitEffect[];
}

export function begin(followers: number, deferred: 'none' | 'possible'): Step {
  const open = Array.from({ length: followers }, (): FollowerPart => 'open');
  if (deferred === 'possible') return { state: { kind: 'checking', followers: open }, effects: [{ kind: 'check' }] };
  return prepareAll(open);
}

export function step(state: CommitState, event: CommitEvent): Step {
  switch (state.kind) {
    case 'checking':
      return checking(state, event);
    case 'preparing':
      return preparing(state, event);
    case 'deciding':
      return deciding(state, event);
    case 'asking':
      return asking(state, event);
    case 'finishing':
      return finishing(state, event);
    case 'undoing':
      return undoing(state, event);
    case 'over':
      return stay(state);
    default:
      return unreachable(state);
  }
}

type In<K extends CommitState['kind']> = Extract<CommitState, { kind: K }>;

function stay(state: CommitState): Step {
  return { state, effects: [] };
}

function prepareAll(followers: readonly FollowerPart[]): Step {
  return {
    state: { kind: 'preparing', followers: followers.map(() => 'preparing') },
    effects: followers.map((_, follower) => ({ kind: 'prepare', follower })),
  };
}

function checking(state: In<'checking'>, event: CommitEvent): Step {
  if (event.from === 'lead') {
    if (event.what === 'checked') return prepareAll(state.followers);
    return undoByLead(state.followers, event.what);
  }
  return stay(state);
}

function preparing(state: In<'preparing'>, event: CommitEvent): Step {
  if (event.from !== 'follower') return stay(state);
  const { follower } = event;
  if (event.what === 'prepared') return decideIfReady(set(state.followers, follower, 'prepared'));
  const part: FollowerPart = event.what === 'lost' ? 'left' : 'open';
  return undo(set(state.followers, follower, part), { by: 'follower', follower }, 'rolling back');
}

function decideIfReady(followers: readonly FollowerPart[]): Step {
  if (followers.some((part) => part !== 'prepared')) return stay({ kind: 'preparing', followers });
  return { state: { kind: 'deciding', followers }, effects: [{ kind: 'join' }, { kind: 'decide' }] };
}

function deciding(state: In<'deciding'>, event: CommitEvent): Step {
  if (event.from !== 'lead') return stay(state);
  const { followers } = state;
  switch (event.what) {
    case 'committed':
      return finishAll(followers);
    case 'lost':
      return { state: { kind: 'asking', followers }, effects: [{ kind: 'ask' }] };
    case 'row refused':
      return leaveUndone(undo(followers, { by: 'row' }, 'rolling back'));
    case 'gone':
      return leaveUndone(undo(followers, { by: 'lead', how: 'lost' }, 'over'));
    default:
      return leaveUndone(undo(followers, { by: 'lead', how: 'refused' }, 'over'));
  }
}

/** Nobody has to wait for it: the lead never shows it. */
function leaveUndone({ state, effects }: Step): Step {
  return { state, effects: [{ kind: 'leave' }, ...effects] };
}

function asking(state: In<'asking'>, event: CommitEvent): Step {
  if (event.from !== 'fence') return stay(state);
  const { followers } = state;
  switch (event.what) {
    case 'committed':
      return finishAll(followers);
    case 'aborted':
      return leaveUndone(undo(followers, { by: 'lead', how: 'found aborted' }, 'over'));
    default:
      return {
        state: { kind: 'over', followers: followers.map(() => 'left') },
        effects: [
          { kind: 'answer', outcome: 'unknown' },
          { kind: 'hand over', decision: undefined },
        ],
      };
  }
}

function finishAll(followers: readonly FollowerPart[]): Step {
  return {
    state: { kind: 'finishing', followers: followers.map(() => 'finishing') },
    effects: [
      ...followers.map((_, follower) => ({ kind: 'finish', follower, decision: 'commit' }) as const),
      { kind: 'answer', outcome: 'committed' },
    ],
  };
}

function finishing(state: In<'finishing'>, event: CommitEvent): Step {
  if (event.from !== 'follower') return stay(state);
  const { follower } = event;
  const become = (part: FollowerPart, effects: readonly CommitEffect[] = []): Step =>
    overIfDone({ ...state, followers: set(state.followers, follower, part) }, effects);
  switch (event.what) {
    case 'finished':
    case 'proved':
      return become('done');
    case 'missing':
      return become('proving', [{ kind: 'prove', follower }]);
    case 'disproved':
      return become('done', [{ kind: 'report', follower }]);
    default:
      return become('left');
  }
}

function overIfDone(state: In<'finishing'>, effects: readonly CommitEffect[]): Step {
  const { followers } = state;
  if (followers.some((part) => part !== 'done' && part !== 'left')) return { state, effects };
  const last: CommitEffect = followers.includes('left') ? { kind: 'hand over', decision: 'commit' } : { kind: 'leave' };
  return { state: { kind: 'over', followers }, effects: [...effects, last] };
}

/** The lead has refused, or is gone, before its COMMIT was sent. */
function undoByLead(followers: readonly FollowerPart[], what: CommitEvent['what']): Step {
  if (what === 'lost') return undo(followers, { by: 'lead', how: 'lost' }, 'over');
  return undo(followers, { by: 'lead', how: 'refused' }, 'rolling back');
}

/** `lead`: `rolling back` where its transaction still stands. */
function undo(followers: readonly FollowerPart[], cause: Cause, lead: LeadEnd): Step {
  const effects: CommitEffect[] = [];
  if (lead === 'rolling back') effects.push({ kind: 'roll back lead' });
  const parts = followers.map((part, follower): FollowerPart => {
    switch (part) {
      case 'open':
        effects.push({ kind: 'roll back', follower });
        return 'rolling back';
      case 'prepared':
        effects.push({ kind: 'finish', follower, decision: 'abort' });
        return 'finishing';
      default:
        return part;
    }
  });
  return answerIfUndone({ kind: 'undoing', lead, cause, followers: parts }, effects);
}

function undoing(state: In<'undoing'>, event: CommitEvent): Step {
  if (event.from === 'lead') {
    // What it was asked before the ROLLBACK may still answer.
    if (event.what !== 'rolled back' && event.what !== 'lost') return stay(state);
    return answerIfUndone({ ...state, lead: 'over' }, []);
  }
  if (event.from !== 'follower') return stay(state);
  const { follower } = event;
  const before = state.followers[follower];
  const become = (part: FollowerPart, effects: readonly CommitEffect[] = []): Step =>
    answerIfUndone({ ...state, followers: set(state.followers, follower, part) }, effects);
  switch (event.what) {
    case 'prepared':
      return become('finishing', [{ kind: 'finish', follower, decision: 'abort' }]);
    case 'refused':
      return become('rolling back', [{ kind: 'roll back', follower }]);
    case 'finished':
    case 'missing':
      return become('done');
    case 'lost':
      // What was never prepared its server rolls back by itself.
      return become(before === 'rolling back' ? 'done' : 'left');
    default:
      return become('left');
  }
}

function answerIfUndone(state: In<'undoing'>, effects: readonly CommitEffect[]): Step {
  const { followers, cause } = state;
  if (state.lead !== 'over' || followers.some((part) => part !== 'done' && part !== 'left')) return { state, effects };
  return {
    state: { kind: 'over', followers },
    effects: [
      ...effects,
      { kind: 'answer', outcome: 'rolled back', cause },
      ...(followers.includes('left') ? [{ kind: 'hand over', decision: 'abort' } as const] : []),
    ],
  };
}

function set(followers: readonly FollowerPart[], follower: number, part: FollowerPart): readonly FollowerPart[] {
  assert(follower < followers.length, 'a follower of this transaction');
  return followers.map((before, index) => (index === follower ? part : before));
}
