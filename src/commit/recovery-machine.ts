/**
 * Recovery of one transaction whose coordinator may be gone, as a pure machine; `recovery.ts` drives it.
 *
 *   fencing ─► acting ─► over
 *
 * Where the decision is known already, from the coordinator or from an earlier attempt, it begins with `acting`: the row on
 * the lead is kept for a limited time, and a fence that comes after it would say the opposite.
 *
 * It was found prepared on some followers, or handed over by its coordinator. The fence is a row of ours under the
 * transaction's id: it waits for one that is being written there, and either stands, so that the transaction can never
 * commit any more, or finds what was decided. Only then a follower is told. Any number of processes may do so at once,
 * each as often as it likes: all find the same decision, and who comes late finds nothing prepared.
 */
import { assert, unreachable } from '../lib/assert.ts';
import type { Decision } from './two-phase-machine.ts';

/** `proving`: COMMIT PREPARED found nothing; whether the transaction has committed there is asked for by its xid. */
type Part = 'finishing' | 'proving' | 'done' | 'left';

export type RecoveryState =
  /** After a crash here: the fence stands or not; whoever comes next finds out. */
  | { readonly kind: 'fencing'; readonly followers: readonly number[] }
  /** After a crash here: the decision stands on the lead; whoever comes next does the same. */
  | { readonly kind: 'acting'; readonly decision: Decision; readonly parts: ReadonlyMap<number, Part> }
  /** `left`: to be tried again. */
  | { readonly kind: 'over'; readonly decision: Decision | undefined; readonly result: 'clean' | 'left' };

export type RecoveryEvent =
  | { readonly from: 'fence'; readonly what: 'committed' | 'aborted' | 'unreachable' }
  | { readonly from: 'follower'; readonly follower: number; readonly what: 'finished' | 'missing' | 'failed' | 'lost' }
  /** By its xid, after `missing`. `unproved`: it is not known, or the server does not know any more. */
  | { readonly from: 'follower'; readonly follower: number; readonly what: 'proved' | 'disproved' | 'unproved' };

export type RecoveryEffect =
  | { readonly kind: 'ask' }
  | { readonly kind: 'finish'; readonly follower: number; readonly decision: Decision }
  | { readonly kind: 'prove'; readonly follower: number }
  /** The lead has committed; the follower has rolled back, or nothing proves that it has not: somebody has interfered. */
  | { readonly kind: 'report'; readonly follower: number; readonly found: 'rolled back' | 'no proof' };

export interface RecoveryStep {
  readonly state: RecoveryState;
  readonly effects: readonly RecoveryEffect[];
}

/** `followers`: where it was found prepared, or may be. `known`: what the lead has decided. */
export function beginRecovery(followers: readonly number[], known: Decision | undefined): RecoveryStep {
  if (known !== undefined) return act(followers, known);
  return { state: { kind: 'fencing', followers }, effects: [{ kind: 'ask' }] };
}

export function stepRecovery(state: RecoveryState, event: RecoveryEvent): RecoveryStep {
  switch (state.kind) {
    case 'fencing':
      return event.from === 'fence' ? decided(state.followers, event.what) : { state, effects: [] };
    case 'acting': {
      if (event.from !== 'follower') return { state, effects: [] };
      assert(state.parts.has(event.follower), 'a follower of this recovery');
      return acting(state, event.follower, event.what);
    }
    case 'over':
      return { state, effects: [] };
    default:
      return unreachable(state);
  }
}

function decided(followers: readonly number[], what: 'committed' | 'aborted' | 'unreachable'): RecoveryStep {
  if (what === 'unreachable') return { state: { kind: 'over', decision: undefined, result: 'left' }, effects: [] };
  return act(followers, what === 'committed' ? 'commit' : 'abort');
}

function act(followers: readonly number[], decision: Decision): RecoveryStep {
  return overIfDone(
    { kind: 'acting', decision, parts: new Map(followers.map((follower) => [follower, 'finishing'])) },
    followers.map((follower) => ({ kind: 'finish', follower, decision })),
  );
}

type Acting = Extract<RecoveryState, { kind: 'acting' }>;

function acting(
  state: Acting,
  follower: number,
  what: Extract<RecoveryEvent, { from: 'follower' }>['what'],
): RecoveryStep {
  const become = (part: Part, effects: readonly RecoveryEffect[] = []): RecoveryStep =>
    overIfDone({ ...state, parts: new Map(state.parts).set(follower, part) }, effects);
  switch (what) {
    case 'finished':
    case 'proved':
      return become('done');
    case 'missing':
      // Whoever rolled it back did as the lead; whoever is said to have committed it has to be believed only with proof.
      return state.decision === 'abort' ? become('done') : become('proving', [{ kind: 'prove', follower }]);
    case 'disproved':
      return become('done', [{ kind: 'report', follower, found: 'rolled back' }]);
    case 'unproved':
      return become('done', [{ kind: 'report', follower, found: 'no proof' }]);
    case 'failed':
    case 'lost':
      return become('left');
    default:
      return unreachable(what);
  }
}

function overIfDone(state: Acting, effects: readonly RecoveryEffect[]): RecoveryStep {
  const parts = [...state.parts.values()];
  if (parts.includes('finishing') || parts.includes('proving')) return { state, effects };
  const result = parts.includes('left') ? 'left' : 'clean';
  return { state: { kind: 'over', decision: state.decision, result }, effects };
}
