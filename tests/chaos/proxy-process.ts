/** A proxy in a process of its own, to be killed: run by `fork`, with the variables of pprox. Tells its port. */
import { loadConfig } from '../../src/config/load.ts';
import { createLog } from '../../src/lib/log.ts';
import { startProxy } from '../../src/proxy.ts';

const loaded = loadConfig(process.env);
if (loaded.kind !== 'config') throw new Error(JSON.stringify(loaded));
const listen = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
const proxy = await startProxy({ ...loaded.config, listen }, createLog(loaded.config.logLevel));
const [address] = proxy.addresses;
if (address?.kind !== 'tcp') throw new Error('the proxy listens on no TCP address');
process.once('disconnect', () => process.exit(0));
process.send?.(address.port);
