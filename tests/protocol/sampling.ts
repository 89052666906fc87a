/** Which places of a script's bytes are cut. */
import { wholeNumber } from './samples.ts';

/** The same places each time; `PPROX_TEST_SEED` takes others. */
export const seed = wholeNumber('PPROX_TEST_SEED', 1);

/** `PPROX_TEST_CUTS`: `all` places of a script, or so many of each. Undefined: the test's own number. */
export const wantedCuts: number | 'all' | undefined = parseCuts(process.env['PPROX_TEST_CUTS']);

function parseCuts(text: string | undefined): number | 'all' | undefined {
  if (text === undefined || text === 'all') return text;
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1) throw new Error(`PPROX_TEST_CUTS is "all" or a number, not "${text}"`);
  return count;
}

/** mulberry32: numbers from 0 to below 1. */
export function generator(state: number): () => number {
  let current = state;
  return () => {
    current = (current + 0x6d2b79f5) | 0;
    let mixed = Math.imul(current ^ (current >>> 15), 1 | current);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Every offset inside a stream of so many bytes. */
export function everyOffset(length: number): number[] {
  return Array.from({ length: length - 1 }, (_, index) => index + 1);
}

export function someOffsets(length: number, count: number, random: () => number): number[] {
  return Array.from({ length: count }, () => 1 + Math.floor(random() * (length - 1)));
}
