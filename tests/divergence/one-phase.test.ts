/** The battery where the followers commit, then the lead: without a crash in between nothing differs. */
import { testMajor } from '../support/major.ts';
import { playable, playBattery, share } from './battery.ts';
import { allCases } from './cases/all.ts';
import { startField } from './field.ts';

const field = await startField({ settings: { commitMode: 'one-phase' } });
await playBattery('one phase', field, share(playable(allCases, testMajor ?? 18), 40, 7));
