import { runBattery } from './battery.ts';

runBattery('limits');
