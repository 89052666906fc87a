import { runBattery } from './battery.ts';

runBattery('sessions');
