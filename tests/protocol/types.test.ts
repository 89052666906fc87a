import { runBattery } from './battery.ts';

runBattery('types');
