/** The battery on two writers of the same version, followers trailing. PPROX_TEST_ROUNDS, PPROX_TEST_SEED, PPROX_TEST_CASE. */
import { testMajor } from '../support/major.ts';
import { playable, playBattery, share } from './battery.ts';
import { allCases } from './cases/all.ts';
import { startField } from './field.ts';

await playBattery('same major', await startField(), share(playable(allCases, testMajor ?? 18), 14, 0));
