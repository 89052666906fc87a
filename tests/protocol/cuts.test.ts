import { describe, it, type TestContext } from 'node:test';
import { assertWritten, stepOf } from './battery.ts';
import { compareServers } from './contest.ts';
import { type Delivery, play, streamLength } from './play.ts';
import { shortScripts } from './scripts/short.ts';

/** `PPROX_TEST_CUTS=all` cuts at every position; otherwise at a sample, which `PPROX_TEST_SEED` repeats. */
const everyPosition = process.env['PPROX_TEST_CUTS'] === 'all';
const seed = Number(process.env['PPROX_TEST_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const sampleSize = 10;

/** mulberry32: numbers from 0 to below 1. */
function generator(state: number): () => number {
  let current = state;
  return () => {
    current = (current + 0x6d2b79f5) | 0;
    let mixed = Math.imul(current ^ (current >>> 15), 1 | current);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const random = generator(seed);

function positions(length: number): number[] {
  const all = Array.from({ length: length - 1 }, (_, index) => index + 1);
  return everyPosition ? all : Array.from({ length: sampleSize }, () => 1 + Math.floor(random() * (length - 1)));
}

/** Each cut alone; everything at once; every byte alone; all of it behind the StartupMessage in pieces of odd sizes. */
function deliveries(length: number): Delivery[] {
  const every = Array.from({ length: length - 1 }, (_, index) => index + 1);
  const pieces = every.filter(() => random() < 0.1);
  return [
    ...positions(length).map((offset): Delivery => ({ kind: 'cut', offsets: [offset] })),
    ...positions(length).map((offset): Delivery => ({ kind: 'glued', offsets: [offset] })),
    { kind: 'glued', offsets: [] },
    { kind: 'glued', offsets: pieces },
    { kind: 'cut', offsets: every },
    { kind: 'glued', offsets: every },
  ];
}

function describeDelivery(delivery: Delivery): string {
  if (delivery.kind === 'steps') return 'step by step';
  const { kind, offsets } = delivery;
  return `${kind} at ${offsets.length > 20 ? `${offsets.length} offsets` : offsets.join(', ') || 'no offset'}`;
}

describe('protocol battery: the answers do not depend on how the bytes arrive', () => {
  const contest = compareServers('cuts', shortScripts, (script, target) => play(script, target));

  for (const script of shortScripts) {
    it(`in ${script.name}`, async (t: TestContext) => {
      t.diagnostic(`PPROX_TEST_SEED=${seed}`);
      assertWritten(script, contest.expected(script));
      const length = streamLength(script, contest.target);
      for (const delivery of deliveries(length)) {
        const how = `${describeDelivery(delivery)} of ${length} bytes, PPROX_TEST_SEED=${seed}`;
        const actual = await play(script, contest.target, delivery);
        contest.assertEqual(script, actual, (section) => `${how}\n${stepOf(script, section)}`);
      }
    });
  }
  contest.conclude();
});
