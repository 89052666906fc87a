import assert from 'node:assert/strict';
import { test } from 'node:test';
import { circleKey, findCircles, type Party, type Wait } from '../../../src/deadlock/wait-graph.ts';

/** Sessions by writer: the lead's first. */
function party(...processes: readonly number[]): Party {
  return { sessions: new Map(processes.map((process, writer) => [writer, process])), stage: 'open' };
}

/** `1: 20>21`: on writer 1, process 20 waits for process 21. */
function waits(...texts: readonly string[]): readonly Wait[] {
  return texts.map((text) => {
    const [writer, waiter, blocker] = text.split(/[:>]/).map(Number);
    return { writer: writer ?? -1, waiter: waiter ?? -1, blocker: blocker ?? -1 };
  });
}

const [one, two, three] = [party(10, 20, 30), party(11, 21, 31), party(12, 22, 32)];

test('a circle over the lead and a follower ends with who waits on the lead', () => {
  for (const [first, second] of [
    [one, two],
    [two, one],
  ] as const) {
    const [leadOf, followerOf] = [first.sessions.get(0), first.sessions.get(1)];
    const found = findCircles(
      [one, two],
      waits(`0:${leadOf}>${second.sessions.get(0)}`, `1:${second.sessions.get(1)}>${followerOf}`),
    );
    assert.deepEqual(
      found.map(({ victim }) => victim),
      [{ party: first, writer: 0 }],
    );
  }
});

test('a circle over two followers ends with the highest process number on the lead', () => {
  const [circle, ...others] = findCircles([one, two], waits('1:20>21', '2:31>30'));
  assert.deepEqual(circle?.victim, { party: two, writer: 2 });
  assert.deepEqual(others, []);
});

test('a circle goes on through sessions that are no transaction of a proxy', () => {
  const [circle] = findCircles([one, two], waits('1:20>99', '1:99>98', '1:98>21', '0:11>10'));
  assert.equal(circleKey(circle?.waits ?? []), circleKey(waits('0:11>10', '1:20>99', '1:98>21', '1:99>98')));
});

test('a circle over three is found once, wherever it is entered', () => {
  const circle = waits('0:10>11', '1:21>22', '2:32>30');
  for (const order of [
    [one, two, three],
    [three, one, two],
    [two, three, one],
  ])
    assert.deepEqual(
      findCircles(order, circle).map(({ victim }) => victim),
      [{ party: one, writer: 0 }],
    );
});

test('what ends already is not chosen', () => {
  const ending: Party = { ...two, stage: 'ending' };
  const circle = waits('0:11>10', '1:20>21');
  assert.deepEqual(findCircles([one, ending], circle)[0]?.victim, { party: one, writer: 1 });
  assert.equal(findCircles([{ ...one, stage: 'ending' }, ending], circle)[0]?.victim, undefined);
});

test('no circle, or one that a server sees itself, is none', () => {
  const without = [
    [],
    ['0:10>11', '1:20>21'], // the same way round on both
    ['0:10>11', '1:21>22', '2:32>31'], // comes back to the second alone: 1:21>22 and 2:32>31 are a circle
    ['0:10>11', '0:11>10'],
    ['1:20>99', '1:99>20'],
  ] as const;
  const found = without.map((texts) => findCircles([one, two, three], waits(...texts)).length);
  assert.deepEqual(found, [0, 0, 1, 0, 0]);
});

test('the numbers of one server mean nothing on another', () => {
  assert.deepEqual(findCircles([party(10, 11), party(11, 10)], waits('0:10>11', '1:11>10')), []);
});
