/** The major version of the tests' servers: `PPROX_TEST_MAJOR`. */
import type { Major } from '../../src/embedded/binaries.ts';

const majors: readonly Major[] = [14, 15, 18];

/** Undefined: the newest. */
export const testMajor: Major | undefined = chosenMajor();

function chosenMajor(): Major | undefined {
  const text = process.env['PPROX_TEST_MAJOR'];
  const major = majors.find((known) => String(known) === text);
  if (text !== undefined && major === undefined) throw new Error(`PPROX_TEST_MAJOR is one of ${majors.join(', ')}`);
  return major;
}
