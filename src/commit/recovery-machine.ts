/**
 * Recovery of one transaction whose coordinator may be gone, as a pure machine; `recovery.ts` drives it.
 *
 *   fencing ─► acting ─► over
 *
 * It was found prepared on some followers, or handed over by its coordinator. The fence is a row of ours under the
 * transaction's id: it waits for one that is being written there, and either stands, so that the transaction can never
 * commit any more, or finds what was decided. Only then a follower is told. Any number of processes may do so at once,
 * each as often as it likes: all find the same decision, and who comes late finds nothing prepared.
 */
import { assert, unreachable } from '../lib/assert.ts';
import type { Decision } from './two-phase-machine.ts';

type Part = 'finishing' | 'done' | 'left';

export type RecoveryState =
  /** After a crash here: the fence stands or not; whoever comes next finds out. */
  | { readonly kind: 'fencing'; readonly followers: readonly number[] }
  /** After a crash here: the decision stands on the lead; whoever comes next does the same. */
  | { readonly kind: 'acting'; readonly decision: Decision; readonly parts: ReadonlyMap<number, Part> }
  /** `left`: to be tried again. */
  | { readonly kind: 'over'; readonly decision: Decision | undefined; readonly result: 'clean' | 'left' };

export type RecoveryEvent =
  | { readonly from: 'fence'; readonly what: 'committed' | 'aborted' | 'unreachable' }
  | { readonly from: 'follower'; readonly follower: number; readonly what: 'finished' | 'missing' | 'failed' | 'lost' };

export type RecoveryEffect =
  | { readonly kind: 'ask' }
  | { readonly kind: 'finish'; readonly follower: number; readonly decision: Decision };

export interface RecoveryStep {
  readonly state: RecoveryState;
  readonly effects: readonly RecoveryEffect[];
}

/** `followers`: where it was found prepared, or may be. */
export function beginRecovery(followers: readonly number[]): RecoveryStep {
  return { state: { kind: 'fencing', followers }, effects: [{ kind: 'ask' }] };
}

export function stepRecovery(state: RecoveryState, event: RecoveryEvent): RecoveryStep {
  switch (state.kind) {
    case 'fencing':
      return event.from === 'fence' ? decided(state.followers, event.what) : { state, effects: [] };
    case 'acting': {
      if (event.from !== 'follower') return { state, effects: [] };
      assert(state.parts.has(event.follower), 'a follower of this recovery');
      const gone = event.what === 'finished' || event.what === 'missing';
      const parts = new Map(state.parts).set(event.follower, gone ? 'done' : 'left');
      return overIfDone({ ...state, parts });
    }
    case 'over':
      return { state, effects: [] };
    default:
      return unreachable(state);
  }
}

function decided(followers: readonly number[], what: 'committed' | 'aborted' | 'unreachable'): RecoveryStep {
  if (what === 'unreachable') return { state: { kind: 'over', decision: undefined, result: 'left' }, effects: [] };
  const decision = what === 'committed' ? 'commit' : 'abort';
  const { state } = overIfDone({
    kind: 'acting',
    decision,
    parts: new Map(followers.map((follower) => [follower, 'finishing'])),
  });
  return { state, effects: followers.map((follower) => ({ kind: 'finish', follower, decision })) };
}

function overIfDone(state: Extract<RecoveryState, { kind: 'acting' }>): RecoveryStep {
  const parts = [...state.parts.values()];
  if (parts.includes('finishing')) return { state, effects: [] };
  const result = parts.includes('left') ? 'left' : 'clean';
  return { state: { kind: 'over', decision: state.decision, result }, effects: [] };
}
