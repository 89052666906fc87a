/** The battery where each statement is answered when every writer has run it. */
import { testMajor } from '../support/major.ts';
import { playable, playBattery, share } from './battery.ts';
import { allCases } from './cases/all.ts';
import { startField } from './field.ts';

const field = await startField({ settings: { followerPace: 'lockstep' } });
await playBattery('lockstep', field, share(playable(allCases, testMajor ?? 18), 40, 5));
