/** The demo's proxy: the configuration that its embedded servers make. */
import { formatAddress } from '../config/address.ts';
import type { Config, Dsn, ListenAddress } from '../config/config.ts';
import { parseDsn } from '../config/dsn.ts';
import type { DemoConfig } from '../config/load.ts';
import { assert } from '../lib/assert.ts';
import { createLog } from '../lib/log.ts';
import { startProxy } from '../proxy.ts';
import type { DemoProxy } from './demo.ts';

interface Servers {
  readonly listen: ListenAddress;
  readonly writers: readonly [string, ...string[]];
  readonly reader: string;
}

export async function startDemoProxy(demo: DemoConfig, servers: Servers): Promise<DemoProxy> {
  const [lead, ...followers] = servers.writers.map(dsn);
  assert(lead !== undefined, 'the demo has a lead');
  const config: Config = {
    listen: servers.listen,
    writers: [lead, ...followers],
    reader: dsn(servers.reader),
    settings: demo.settings,
    logLevel: demo.logLevel,
    warnings: demo.warnings,
  };
  const proxy = await startProxy(config, createLog(config.logLevel));
  return { address: proxy.addresses.map(formatAddress).join(', '), stop: () => proxy.stop() };
}

function dsn(text: string): Dsn {
  const result = parseDsn(text);
  assert(result.kind === 'dsn', 'the embedded servers have DSNs of their own making');
  return result.dsn;
}
