/** The battery where lead and follower are PostgreSQL 14 and 18, and the other way round. */
import { playable, playBattery, share } from './battery.ts';
import { allCases } from './cases/all.ts';
import { startField } from './field.ts';

const cases = playable(allCases, 14);
const older = { w1: { major: 14 }, w2: { major: 18 } } as const;
const newer = { w1: { major: 18 }, w2: { major: 14 } } as const;

await playBattery('lead 14, follower 18', await startField({ overrides: older }), share(cases, 40, 1));
await playBattery('lead 18, follower 14', await startField({ overrides: newer }), share(cases, 40, 2));
