/** Random samples: which ones they are, and how a failure names the one it is of, so that it can be had again. */
import fc from 'fast-check';

/** A whole number from 0 on. An environment variable that holds anything else is an error of whoever has set it. */
export function wholeNumber(variable: string, usual: number): number {
  const text = process.env[variable];
  if (text === undefined) return usual;
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${variable} is a whole number, not "${text}"`);
  return Number(text);
}

export interface Sample<T> {
  readonly value: T;
  /** Its number, from 1 on, and the variables that have it again. */
  readonly name: string;
}

/**
 * `PPROX_TEST_RUNS` samples of those that `PPROX_TEST_SEED` stands for; `usual`: without these variables. A sample depends on
 * the seed and its own number alone: where there are more of them, the first ones are the same.
 */
export function samplesOf<T>(
  arbitrary: fc.Arbitrary<T>,
  usual: { readonly seed: number; readonly runs: number },
): readonly Sample<T>[] {
  const seed = wholeNumber('PPROX_TEST_SEED', usual.seed);
  const runs = wholeNumber('PPROX_TEST_RUNS', usual.runs);
  if (runs === 0) throw new Error('PPROX_TEST_RUNS is 0: nothing would be tried');
  return fc.sample(arbitrary, { seed, numRuns: runs }).map((value, at) => ({
    value,
    name: `run ${at + 1}, the last one with PPROX_TEST_SEED=${seed} PPROX_TEST_RUNS=${at + 1}`,
  }));
}

/** What `work` gives; its error, whatever it is, says which sample it is of. */
export async function within<R>({ name }: Sample<unknown>, work: () => Promise<R>): Promise<R> {
  try {
    return await work();
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
