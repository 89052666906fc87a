import { runBattery } from './battery.ts';

runBattery('extended_copy');
