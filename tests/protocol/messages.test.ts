import { runBattery } from './battery.ts';

runBattery('messages');
