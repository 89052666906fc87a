import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Trail, type Trailing } from '../../../src/session/trail.ts';

/** Never waited for. */
const LONG_MS = 3_600_000;

let counter = 0;

function statement(elapsedMs = 0, bytes = 10): Trailing {
  const expected = { tag: 'UPDATE 1', rows: undefined };
  return { statement: { messages: [Buffer.alloc(bytes)], expected, leaves: 'nothing', elapsedMs }, moment: ++counter };
}

/** Batches that end when they are told to, as lists of moments. */
function followers() {
  const batches: number[][] = [];
  const ends: { resolve(): void; reject(error: Error): void }[] = [];
  const run = (batch: readonly Trailing[]): Promise<void> =>
    new Promise((resolve, reject) => {
      batches.push(batch.map(({ moment }) => moment));
      ends.push({ resolve, reject });
    });
  const told: string[] = [];
  const failed = (): void => void told.push('failed');
  const [end, fail] = [() => ends.shift()?.resolve(), (error: Error) => ends.shift()?.reject(error)];
  return { batches, told, side: { run, failed }, end, fail };
}

test('statements that took the lead no time go together, when they are asked for', async () => {
  const [trail, { batches, side, end }] = [new Trail(), followers()];
  const all = [statement(), statement(), statement()];
  for (const one of all) trail.push(one, LONG_MS, side);
  assert.deepEqual(batches, []);
  const caughtUp = trail.caughtUp();
  assert.deepEqual(batches, [all.map(({ moment }) => moment)]);
  assert.equal(trail.empty, false);
  end();
  await caughtUp;
  assert.equal(trail.empty, true);
});

test('one goes alone when nothing has come within its time, or when it took the lead as long', async () => {
  const [waiting, busy] = [followers(), followers()];
  new Trail().push(statement(), 1, waiting.side);
  while (waiting.batches.length === 0) await sleep(1);
  new Trail().push(statement(50), 50, busy.side);
  assert.equal(busy.batches.length, 1);
});

test('what comes while a batch is under way is the next batch, behind it', async () => {
  const [trail, { batches, side, end }] = [new Trail(), followers()];
  trail.push(statement(LONG_MS), LONG_MS, side);
  const later = [statement(), statement()];
  for (const one of later) trail.push(one, LONG_MS, side);
  assert.equal(batches.length, 1);
  end();
  while (batches.length < 2) await sleep(1);
  assert.deepEqual(
    batches[1],
    later.map(({ moment }) => moment),
  );
  end();
  await trail.caughtUp();
});

test('sixteen statements, or a megabyte, are as many as it takes', async () => {
  const [trail, { batches, side, end }] = [new Trail(), followers()];
  for (let n = 1; n <= 16; n++) trail.push(statement(), LONG_MS, side);
  assert.deepEqual([trail.full, batches.length], [true, 1]);
  end();
  await trail.caughtUp();
  assert.equal(trail.full, false);
  trail.push(statement(0, 1024 * 1024), LONG_MS, side);
  assert.deepEqual([trail.full, batches.length], [true, 2]);
  end();
  await trail.caughtUp();
});

test('what waits can be taken, behind what is under way; nothing else runs it then', async () => {
  const [trail, { batches, side, end }] = [new Trail(), followers()];
  trail.push(statement(LONG_MS), LONG_MS, side);
  const last = statement();
  trail.push(last, undefined, side);
  const taken = trail.takeWaiting();
  end();
  assert.deepEqual(await taken, [last]);
  assert.equal(batches.length, 1);
  assert.equal(trail.empty, true);
});

test('a failure is told to whoever asks next, and what waits behind it is not run', async () => {
  const [trail, { batches, told, side, fail }] = [new Trail(), followers()];
  trail.push(statement(LONG_MS), LONG_MS, side);
  trail.push(statement(), LONG_MS, side);
  fail(new Error('constraint'));
  await assert.rejects(trail.caughtUp(), /constraint/);
  assert.equal(batches.length, 1);
  assert.equal(trail.state, 'failed');
  assert.throws(() => trail.check(), /constraint/);
  assert.deepEqual(told, ['failed']);
});

test('what is called off is cancelled until it ends, and what waits is dropped', async () => {
  const [trail, { batches, side, end }] = [new Trail(), followers()];
  trail.push(statement(LONG_MS), LONG_MS, side);
  trail.push(statement(), LONG_MS, side);
  await trail.callOff(end);
  assert.deepEqual([trail.state, trail.empty, batches.length], ['called off', true, 1]);
  trail.restart();
  await trail.caughtUp();
  assert.equal(batches.length, 1);
});
