/** Every way that a recovery can go. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  beginRecovery,
  type RecoveryEffect,
  type RecoveryEvent,
  type RecoveryState,
  type RecoveryStep,
  stepRecovery,
} from '../../../src/commit/recovery-machine.ts';
import { unreachable } from '../../../src/lib/assert.ts';
import type { Decision } from '../../../src/commit/two-phase-machine.ts';

type FollowerEvent = Extract<RecoveryEvent, { from: 'follower' }>;

function answersTo(effect: RecoveryEffect): readonly RecoveryEvent[] {
  const of = (follower: number, ...whats: FollowerEvent['what'][]): readonly RecoveryEvent[] =>
    whats.map((what) => ({ from: 'follower', follower, what }) as FollowerEvent);
  switch (effect.kind) {
    case 'ask':
      return (['committed', 'aborted', 'unreachable'] as const).map((what) => ({ from: 'fence', what }));
    case 'finish':
      return of(effect.follower, 'finished', 'missing', 'failed', 'lost');
    case 'prove':
      return of(effect.follower, 'proved', 'disproved', 'unproved', 'lost');
    case 'report':
      return [];
    default:
      return unreachable(effect);
  }
}

interface Path {
  readonly state: RecoveryState;
  readonly owed: readonly RecoveryEffect[];
  readonly events: readonly RecoveryEvent[];
  readonly effects: readonly RecoveryEffect[];
}

/** All that end. */
function paths(first: RecoveryStep): readonly Path[] {
  const ended: Path[] = [];
  const follow = ({ state, owed, events, effects }: Path): void => {
    if (owed.length === 0) ended.push({ state, owed, events, effects });
    for (const effect of owed) {
      for (const event of answersTo(effect)) {
        const next = stepRecovery(state, event);
        follow({
          state: next.state,
          owed: [...owed.filter((other) => other !== effect), ...next.effects.filter(({ kind }) => kind !== 'report')],
          events: [...events, event],
          effects: [...effects, ...next.effects],
        });
      }
    }
  };
  follow({ state: first.state, owed: first.effects, events: [], effects: first.effects });
  return ended;
}

/** What the lead has decided, on a path. */
function decisionOf({ events }: Path, known: Decision | undefined): Decision | undefined {
  const fence = events.find(({ from }) => from === 'fence');
  if (fence === undefined || fence.what === 'unreachable') return known;
  return fence.what === 'committed' ? 'commit' : 'abort';
}

for (const known of [undefined, 'commit', 'abort'] as const) {
  describe(`recovery where ${known ?? 'nothing'} is known`, () => {
    const all = paths(beginRecovery([0, 1], known));

    test('ends, and tells what was decided', () => {
      for (const path of all) {
        assert.ok(path.state.kind === 'over');
        assert.equal(path.state.decision, decisionOf(path, known));
      }
      assert.ok(all.length > 30);
    });

    test('asks only for what it does not know, and does on every follower as the lead did', () => {
      for (const path of all) {
        assert.equal(
          path.effects.some(({ kind }) => kind === 'ask'),
          known === undefined,
        );
        const decision = decisionOf(path, known);
        const finished = path.effects.flatMap((effect) => (effect.kind === 'finish' ? [effect] : []));
        assert.deepEqual(
          finished,
          decision === undefined ? [] : [0, 1].map((follower) => ({ kind: 'finish', follower, decision })),
        );
      }
    });

    test('is clean where nothing failed, and tried again where something did', () => {
      for (const path of all) {
        const failed = path.events.some(({ what }) => what === 'failed' || what === 'lost' || what === 'unreachable');
        assert.ok(path.state.kind === 'over');
        assert.equal(path.state.result, failed ? 'left' : 'clean');
      }
    });

    test('believes that something it does not find has committed only with proof', () => {
      for (const path of all) {
        const decision = decisionOf(path, known);
        for (const follower of [0, 1]) {
          const of = (what: FollowerEvent['what']): boolean =>
            path.events.some(
              (event) => event.from === 'follower' && event.follower === follower && event.what === what,
            );
          const effects = path.effects.filter((effect) => 'follower' in effect && effect.follower === follower);
          assert.equal(
            effects.some(({ kind }) => kind === 'prove'),
            of('missing') && decision === 'commit',
          );
          const report = effects.find(({ kind }) => kind === 'report');
          const found = of('disproved') ? 'rolled back' : of('unproved') ? 'no proof' : undefined;
          assert.deepEqual(report, found === undefined ? undefined : { kind: 'report', follower, found });
        }
      }
    });
  });
}

test('what comes after the end changes nothing', () => {
  const { state } = stepRecovery(beginRecovery([0], undefined).state, { from: 'fence', what: 'unreachable' });
  assert.equal(state.kind, 'over');
  const late = stepRecovery(state, { from: 'follower', follower: 0, what: 'finished' });
  assert.deepEqual(late, { state, effects: [] });
});
