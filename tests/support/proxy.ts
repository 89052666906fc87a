/** A proxy in the test's own process, in front of a test cluster, and connections to it. */
import { after } from 'node:test';
import pg from 'pg';
import type { Config, Settings } from '../../src/config/config.ts';
import { parseDsn } from '../../src/config/dsn.ts';
import { readFields } from '../../src/config/schema.ts';
import { readTlsFiles } from '../../src/config/tls-files.ts';
import type { Server } from '../../src/embedded/server.ts';
import type { PlanChoice } from '../../src/fanout/planner.ts';
import type { Log, LogFields } from '../../src/lib/log.ts';
import { type Proxy, startProxy } from '../../src/proxy.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly event: string;
  readonly fields: LogFields;
}

export interface TestProxy {
  readonly proxy: Proxy;
  readonly host: '127.0.0.1';
  readonly port: number;
  /** What it has logged, oldest first. */
  readonly lines: readonly LogLine[];
  dsn(database?: string, user?: string): string;
  /** A connected client, ended after the tests of the file or enclosing block. */
  connect(options?: pg.ClientConfig): Promise<pg.Client>;
  stop(): Promise<void>;
}

export interface TestProxyOptions {
  /** DSNs, the lead first. */
  readonly writers: readonly string[];
  readonly reader?: string | undefined;
  readonly settings?: Partial<Settings>;
  readonly plans?: PlanChoice;
}

/** The DSN of a server that leaves the database to the client. */
export function clusterDsn(server: Server): string {
  return `postgresql://postgres@${server.host}:${server.port}`;
}

export async function startTestProxy(options: TestProxyOptions): Promise<TestProxy> {
  const [lead, ...followers] = options.writers.map(parsed);
  if (lead === undefined) throw new Error('a proxy needs a writer');
  const config: Config = {
    listen: { kind: 'tcp', host: '127.0.0.1', port: 0 },
    writers: [lead, ...followers],
    reader: options.reader === undefined ? undefined : parsed(options.reader),
    settings: { ...defaults(), ...options.settings },
    logLevel: 'debug',
    warnings: [],
  };
  const lines: LogLine[] = [];
  const proxy = await startProxy(config, recorder(lines), options.plans);
  const [address] = proxy.addresses;
  if (address?.kind !== 'tcp') throw new Error('listens on TCP');
  const { port } = address;
  const clients: pg.Client[] = [];
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= (async () => {
      await Promise.allSettled(clients.map((client) => client.end()));
      await proxy.stop();
    })();
    return stopped;
  };
  after(stop);
  return {
    proxy,
    host: '127.0.0.1',
    port,
    lines,
    dsn: (database = 'postgres', user = 'postgres') => `postgresql://${user}@127.0.0.1:${port}/${database}`,
    connect: async (more) => {
      const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', ...more });
      client.on('error', () => undefined); // a query in flight rejects by itself
      await client.connect();
      clients.push(client);
      return client;
    },
    stop,
  };
}

function defaults(): Settings {
  const result = readFields({});
  if (result.kind === 'invalid') throw new Error('the defaults are valid');
  const { logLevel: _level, dataDir: _folder, ...settings } = result.fields;
  return settings;
}

/** With the text of the files that it names, and of none in the home folder. */
export function parsed(text: string): Config['writers'][0] {
  const result = parseDsn(text);
  if (result.kind !== 'dsn') throw new Error(`not a DSN: ${text}`);
  const { dsn, tlsFiles } = result;
  const files = readTlsFiles(dsn.tls, dsn.host, tlsFiles, {});
  if (files.kind !== 'tls') throw new Error(files.mistakes.map(({ message }) => message).join());
  return { ...dsn, tls: files.tls };
}

function recorder(lines: LogLine[]): Log {
  const record =
    (level: LogLine['level']) =>
    (event: string, fields: LogFields = {}): void => {
      lines.push({ level, event, fields });
    };
  return { debug: record('debug'), info: record('info'), warn: record('warn'), error: record('error') };
}
