import { runBattery } from './battery.ts';

runBattery('writes');
