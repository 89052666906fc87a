import { describe, it, type TestContext } from 'node:test';
import { assertWritten, stepOf } from './battery.ts';
import { compareServers } from './contest.ts';
import { type Delivery, play, streamLength } from './play.ts';
import { everyOffset, generator, seed, someOffsets, wantedCuts } from './sampling.ts';
import { shortScripts } from './scripts/short.ts';

/** Of each script and manner, unless `PPROX_TEST_CUTS` says otherwise. */
const sampleSize = 10;

const random = generator(seed);

function positions(length: number): number[] {
  return wantedCuts === 'all' ? everyOffset(length) : someOffsets(length, wantedCuts ?? sampleSize, random);
}

/** Each cut alone; everything at once; every byte alone; all of it behind the StartupMessage in pieces of odd sizes. */
function deliveries(length: number): Delivery[] {
  const every = everyOffset(length);
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
