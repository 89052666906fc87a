import { runBattery } from './battery.ts';

runBattery('queries');
