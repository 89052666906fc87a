/**
 * A proxy in a process of its own that can be left without file descriptors: run by `fork` under a `ulimit -n`, with the
 * variables of pprox. Tells its port; `fill` opens files until there is no room, `empty` closes them, each is answered.
 */
import { closeSync, openSync } from 'node:fs';
import { loadConfig } from '../../src/config/load.ts';
import { systemCode } from '../../src/embedded/failure.ts';
import { createLog } from '../../src/lib/log.ts';
import { startProxy } from '../../src/proxy.ts';

const loaded = loadConfig(process.env);
if (loaded.kind !== 'config') throw new Error(JSON.stringify(loaded));
const listen = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
const proxy = await startProxy({ ...loaded.config, listen }, createLog('info'));
const [address] = proxy.addresses;
if (address?.kind !== 'tcp') throw new Error('the proxy listens on no TCP address');

const files: number[] = [];

function fill(): void {
  for (;;) {
    try {
      files.push(openSync('/dev/null', 'r'));
    } catch (error) {
      if (systemCode(error) !== 'EMFILE') throw error;
      return;
    }
  }
}

process.on('message', (what) => {
  if (what === 'fill') fill();
  else for (const file of files.splice(0)) closeSync(file);
  process.send?.('done');
});
process.once('disconnect', () => process.exit(0));
process.send?.(address.port);
