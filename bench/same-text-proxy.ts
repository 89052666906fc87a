/** pprox where every statement is replayed as the same text, whatever becomes of it: what its replay plans are measured against. */
import { loadConfig } from '../src/config/load.ts';
import { createLog } from '../src/lib/log.ts';
import { startProxy } from '../src/proxy.ts';

const loaded = loadConfig(process.env);
if (loaded.kind !== 'config') throw new Error(`no configuration: ${JSON.stringify(loaded)}`);
const proxy = await startProxy(loaded.config, createLog('warn'), 'same text');
process.once('SIGTERM', () => void proxy.stop().then(() => process.exit(0)));
