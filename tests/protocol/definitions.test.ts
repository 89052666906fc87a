import { runBattery } from './battery.ts';

runBattery('definitions');
