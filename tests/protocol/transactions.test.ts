import { runBattery } from './battery.ts';

runBattery('transactions');
