import { runBattery } from './battery.ts';

runBattery('error_positions');
