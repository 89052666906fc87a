/** The battery through three proxies in front of the same writers, none of which knows of the others. */
import { testMajor } from '../support/major.ts';
import { playable, playBattery, share } from './battery.ts';
import { allCases } from './cases/all.ts';
import { startField } from './field.ts';

await playBattery('three proxies', await startField({ proxies: 3 }), share(playable(allCases, testMajor ?? 18), 40, 4));
