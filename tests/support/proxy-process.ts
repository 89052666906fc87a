/**
 * A proxy that is alone in its process, so that what it holds can be counted: run by `fork` with `--expose-gc` and the
 * variables of pprox. Tells its port, and whenever it is asked, what it holds after a garbage collection.
 */
import { createHook } from 'node:async_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfig } from '../../src/config/load.ts';
import { createLog } from '../../src/lib/log.ts';
import { startProxy } from '../../src/proxy.ts';
import type { Holding } from './measured-proxy.ts';

/** What is alive of each kind, with the identifiers that Node gave: timers that do not keep the process are among them. */
const alive = { Timeout: new Set<number>(), TCPWRAP: new Set<number>() };
const kinds = new Map(Object.entries(alive));
createHook({
  init: (id, type) => void kinds.get(type)?.add(id),
  destroy: (id) => {
    for (const ids of kinds.values()) ids.delete(id);
  },
}).enable();

const loaded = loadConfig(process.env);
if (loaded.kind !== 'config') throw new Error(JSON.stringify(loaded));
const listen = { kind: 'tcp', host: '127.0.0.1', port: 0 } as const;
const proxy = await startProxy({ ...loaded.config, listen }, createLog('error'));
const [address] = proxy.addresses;
if (address?.kind !== 'tcp') throw new Error('the proxy listens on no TCP address');

const { gc } = globalThis;
if (gc === undefined) throw new Error('this process needs --expose-gc');

async function hold(): Promise<Holding> {
  // What a collection frees may hold on to more until its finalizers have run, in later turns.
  for (let round = 0; round < 4; round++) {
    gc?.();
    await sleep(5);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return {
    clients: proxy.clients,
    timers: alive.Timeout.size,
    sockets: alive.TCPWRAP.size,
    heapBytes: heapUsed + external,
    residentBytes: rss,
  };
}

process.on('message', () => {
  hold().then(
    (holding) => process.send?.(holding),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.once('disconnect', () => {
  void proxy.stop().then(() => process.exit(0));
});
process.send?.(address.port);
