import { runBattery } from './battery.ts';

runBattery('copy');
