/** The demo's proxy: the configuration that its embedded servers make. */
import { formatAddress } from '../config/address.ts';
import type { Config, Dsn, ListenAddress, Settings } from '../config/config.ts';
import { parseDsn } from '../config/dsn.ts';
import type { DemoConfig } from '../config/load.ts';
import { EmbeddedFailure } from '../embedded/failure.ts';
import { assert } from '../lib/assert.ts';
import { createLog } from '../lib/log.ts';
import { startProxy } from '../proxy.ts';
import type { DemoProxy } from './demo.ts';
import { install } from './init.ts';
import { visit } from './readiness.ts';

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
  await makeSchemas(lead, demo.settings);
  const proxy = await startProxy(config, createLog(config.logLevel));
  return { address: proxy.addresses.map(formatAddress).join(', '), stop: () => proxy.stop() };
}

/** In every database of the lead, and in template1, which later ones are copies of. Rejects with EmbeddedFailure. */
async function makeSchemas(lead: Dsn, settings: Settings): Promise<void> {
  const account = { user: lead.user ?? 'postgres', password: lead.password };
  const { rows } = await visit(lead, { ...account, database: 'postgres' }, settings, ({ backend }) =>
    backend.ask('SELECT datname FROM pg_catalog.pg_database WHERE datallowconn'),
  );
  for (const database of rows.map(([name]) => name ?? '')) {
    const problems: string[] = [];
    const output = { sql: () => undefined, problem: (text: string) => void problems.push(text) };
    await visit(lead, { ...account, database }, settings, (there) =>
      install(there, `lead, database ${database}`, { roles: [], mode: 'run' }, output),
    );
    if (problems.length > 0) throw new EmbeddedFailure(problems.join('\n'));
  }
}

function dsn(text: string): Dsn {
  const result = parseDsn(text);
  assert(result.kind === 'dsn', 'the embedded servers have DSNs of their own making');
  return result.dsn;
}
