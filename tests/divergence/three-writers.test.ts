/** The battery on three writers: what two followers do is compared with the lead, and one of them may fail where the other does not. */
import { testMajor } from '../support/major.ts';
import { playable, playBattery, share } from './battery.ts';
import { allCases } from './cases/all.ts';
import { startField } from './field.ts';

const field = await startField({ writers: 3 });
await playBattery('three writers', field, share(playable(allCases, testMajor ?? 18), 40, 8));
