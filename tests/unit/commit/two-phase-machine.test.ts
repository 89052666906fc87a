/** Every way that a commit can go: each effect answered by every event that can answer it, in every order. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  begin,
  type CommitEffect,
  type CommitEvent,
  type CommitState,
  type Step,
  step,
} from '../../../src/commit/two-phase-machine.ts';
import { unreachable } from '../../../src/lib/assert.ts';

/** What a server or the fence may answer to an effect; none to what is only done. */
function answersTo(effect: CommitEffect): readonly CommitEvent[] {
  switch (effect.kind) {
    case 'check':
      return lead('checked', 'refused', 'lost');
    case 'decide':
      return lead('committed', 'row refused', 'refused', 'lost', 'gone');
    case 'roll back lead':
      return lead('rolled back', 'lost');
    case 'ask':
      return (['committed', 'aborted', 'unreachable'] as const).map((what) => ({ from: 'fence', what }));
    case 'prepare':
      return followers(effect.follower, 'prepared', 'refused', 'lost');
    case 'roll back':
      return followers(effect.follower, 'finished', 'lost');
    case 'finish':
      return followers(effect.follower, 'finished', 'missing', 'failed', 'lost');
    case 'prove':
      return followers(effect.follower, 'proved', 'disproved', 'unproved', 'lost');
    default:
      return [];
  }
}

type LeadEvent = Extract<CommitEvent, { from: 'lead' }>;
type FollowerEvent = Extract<CommitEvent, { from: 'follower' }>;

function lead(...whats: LeadEvent['what'][]): readonly CommitEvent[] {
  return whats.map((what) => ({ from: 'lead', what }) as LeadEvent);
}

function followers(follower: number, ...whats: FollowerEvent['what'][]): readonly CommitEvent[] {
  return whats.map((what) => ({ from: 'follower', follower, what }) as FollowerEvent);
}

/** What has happened so far, as far as it matters for what may happen next. */
interface History {
  readonly decision: 'none' | 'asked for' | 'commit' | 'abort';
  readonly answer: string;
  readonly joined: boolean;
  readonly left: boolean;
  readonly handedOver: boolean;
  readonly reports: number;
  /** What each follower has, as far as the coordinator was told. */
  readonly on: readonly ('open' | 'perhaps prepared' | 'prepared' | 'committed' | 'rolled back' | 'proving')[];
}

interface Node {
  readonly state: CommitState;
  readonly owed: readonly CommitEffect[];
  readonly history: History;
}

function explore(count: number, deferred: 'none' | 'possible', visit: (node: Node) => void): number {
  const start: History = {
    decision: 'none',
    answer: 'none',
    joined: false,
    left: false,
    handedOver: false,
    reports: 0,
    on: Array.from({ length: count }, () => 'open'),
  };
  const seen = new Set<string>();
  const open: Node[] = [enter(begin(count, deferred), [], start)];
  for (;;) {
    const node = open.pop();
    if (node === undefined) return seen.size;
    const key = JSON.stringify(node);
    if (seen.has(key)) continue;
    seen.add(key);
    visit(node);
    for (const effect of node.owed) {
      const owed = node.owed.filter((other) => other !== effect);
      for (const event of answersTo(effect)) {
        open.push(enter(step(node.state, event), owed, note(node.history, effect, event)));
      }
    }
  }
}

/** What an answer tells. */
function note(history: History, effect: CommitEffect, event: CommitEvent): History {
  if (event.from === 'lead') {
    if (effect.kind !== 'decide' || event.what === 'lost') return history;
    return { ...history, decision: event.what === 'committed' ? 'commit' : 'abort' };
  }
  if (event.from === 'fence') {
    if (event.what === 'unreachable') return history;
    return { ...history, decision: event.what === 'committed' ? 'commit' : 'abort' };
  }
  const on = [...history.on];
  const become = (what: History['on'][number]): void => {
    on[event.follower] = what;
  };
  if (event.what === 'prepared') become('prepared');
  if (effect.kind === 'prepare' && event.what === 'lost') become('perhaps prepared');
  if (effect.kind === 'roll back') become('rolled back');
  if (effect.kind === 'finish' && event.what === 'finished')
    become(effect.decision === 'commit' ? 'committed' : 'rolled back');
  if (effect.kind === 'finish' && event.what === 'missing')
    become(effect.decision === 'commit' ? 'proving' : 'rolled back');
  if (event.what === 'proved') become('committed');
  if (event.what === 'disproved') become('rolled back');
  return { ...history, on };
}

/** What an effect may not be, given what has happened. */
function enter({ state, effects }: Step, before: readonly CommitEffect[], past: History): Node {
  let history = past;
  const owed = [...before];
  for (const effect of effects) {
    assert.ok(!owed.some((other) => isOfOneParty(other, effect)), `two at a time: ${JSON.stringify([owed, effect])}`);
    history = check(history, effect);
    if (answersTo(effect).length > 0) owed.push(effect);
  }
  return { state, owed, history };
}

/** Only the lead's ROLLBACK does not wait for what was asked before. */
function isOfOneParty(one: CommitEffect, other: CommitEffect): boolean {
  if ('follower' in one && 'follower' in other) return one.follower === other.follower;
  return one.kind === other.kind;
}

function check(history: History, effect: CommitEffect): History {
  const on = 'follower' in effect ? history.on[effect.follower] : undefined;
  switch (effect.kind) {
    case 'prepare':
      assert.equal(history.decision, 'none');
      return history;
    case 'join':
      assert.equal(history.joined, false);
      return { ...history, joined: true };
    case 'decide':
      assert.ok(history.joined, 'in the pending set before the lead can show it');
      assert.ok(history.on.every((part) => part === 'prepared'));
      return { ...history, decision: 'asked for' };
    case 'ask':
      assert.equal(history.decision, 'asked for');
      return history;
    case 'roll back lead':
      assert.ok(history.decision === 'none' || history.decision === 'abort');
      return history;
    case 'roll back':
      assert.equal(on, 'open');
      return history;
    case 'finish':
      assert.equal(on, 'prepared');
      if (effect.decision === 'commit') assert.equal(history.decision, 'commit');
      else assert.ok(history.decision === 'none' || history.decision === 'abort', 'nothing was or can be committed');
      return history;
    case 'prove':
      assert.equal(on, 'proving');
      return history;
    case 'report':
      assert.equal(history.decision, 'commit');
      assert.equal(on, 'rolled back');
      return { ...history, reports: history.reports + 1 };
    case 'answer':
      assert.equal(history.answer, 'none');
      if (effect.outcome === 'committed') assert.equal(history.decision, 'commit');
      if (effect.outcome === 'rolled back') assert.ok(history.decision === 'none' || history.decision === 'abort');
      if (effect.outcome === 'unknown') assert.equal(history.decision, 'asked for');
      return { ...history, answer: effect.outcome };
    case 'leave':
      assert.ok(history.joined && !history.left && !history.handedOver);
      return { ...history, left: true };
    case 'hand over': {
      assert.equal(history.handedOver, false);
      const known = { none: 'abort', 'asked for': undefined, commit: 'commit', abort: 'abort' } as const;
      assert.equal(effect.decision, known[history.decision]);
      return { ...history, handedOver: true };
    }
    case 'check':
      return history;
    default:
      return unreachable(effect);
  }
}

function ends(state: CommitState, history: History): void {
  assert.equal(state.kind, 'over');
  assert.notEqual(history.answer, 'none', 'the client is told');
  const left = state.followers.map((part) => part === 'left');
  assert.equal(history.handedOver, left.includes(true), 'recovery gets what is left, and nothing else');
  history.on.forEach((part, follower) => {
    if (left[follower] === false)
      assert.ok(part === 'committed' || part === 'rolled back', `follower ${follower}: ${part}`);
    else assert.notEqual(part, 'open');
  });
  const undone = history.decision === 'commit' ? history.on.filter((part) => part === 'rolled back').length : 0;
  assert.equal(history.reports, undone, 'a follower that has not done as the lead is reported');
  if (history.joined) assert.ok(history.left || history.handedOver, 'nobody stays in the pending set');
}

for (const deferred of ['none', 'possible'] as const) {
  for (const count of [1, 2]) {
    describe(`a commit with ${count} follower(s), deferred constraints ${deferred}`, () => {
      test('does nothing without need, and ends whatever is answered', (t) => {
        let endings = 0;
        const nodes = explore(count, deferred, ({ state, owed, history }) => {
          if (owed.length > 0) return;
          ends(state, history);
          endings += 1;
        });
        t.diagnostic(`${nodes} situations, ${endings} endings`);
        assert.ok(endings > 5);
      });
    });
  }
}

test('every state is reached, and every effect', () => {
  const states = new Set<string>();
  const effects = new Set<string>();
  explore(2, 'possible', ({ state, owed }) => {
    states.add(state.kind);
    for (const { kind } of owed) effects.add(kind);
  });
  assert.deepEqual([...states].toSorted(), [
    ...['asking', 'checking', 'deciding', 'finishing', 'over', 'preparing', 'undoing'],
  ]);
  assert.deepEqual([...effects].toSorted(), [
    ...['ask', 'check', 'decide', 'finish', 'prepare', 'prove', 'roll back', 'roll back lead'],
  ]);
});

test('what nobody was asked for commits nothing', () => {
  const strays: readonly CommitEvent[] = [
    ...lead('checked', 'committed', 'rolled back'),
    ...followers(0, 'prepared', 'finished', 'proved', 'lost'),
    { from: 'fence', what: 'committed' },
    { from: 'fence', what: 'aborted' },
  ];
  explore(1, 'possible', ({ state, owed, history }) => {
    for (const event of strays) {
      if (owed.some((effect) => answersTo(effect).some((answer) => answer.from === event.from))) continue;
      const next = step(state, event);
      const commits = next.effects.filter(
        (effect) =>
          effect.kind === 'decide' ||
          (effect.kind === 'answer' && effect.outcome === 'committed') ||
          (effect.kind === 'finish' && effect.decision === 'commit'),
      );
      assert.deepEqual(commits, [], `${state.kind}, ${JSON.stringify([event, history])}`);
    }
  });
});

test('a cause names who it was', () => {
  const refused = step(begin(1, 'possible').state, { from: 'lead', what: 'refused' });
  const [rollback, undone] = [
    step(refused.state, { from: 'lead', what: 'rolled back' }),
    { from: 'follower', follower: 0, what: 'finished' } as const,
  ];
  assert.deepEqual(step(rollback.state, undone).effects, [
    { kind: 'answer', outcome: 'rolled back', cause: { by: 'lead', how: 'refused' } },
  ]);
});
