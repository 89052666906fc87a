/** `npm start` with no DSN: a local cluster of three real servers, the proxy before them, and something to try. */
import { once } from 'node:events';
import { createConnection, createServer } from 'node:net';
import { basename, dirname } from 'node:path';
import type { ListenAddress } from '../config/config.ts';
import { type Cluster, startCluster } from '../embedded/cluster.ts';
import { EmbeddedFailure, systemCode } from '../embedded/failure.ts';
import type { Server } from '../embedded/server.ts';

export interface DemoProxy {
  /** Where it listens, as an operator writes it: `127.0.0.1:54329`, `[::1]:54329`, or a socket's path; several with `, ` between. */
  readonly address: string;
  /** Lets transactions in flight end, then closes. */
  stop(): Promise<void>;
}

export interface DemoOptions {
  readonly listen: ListenAddress;
  /** The data folder, kept for the next start. Undefined: a temporary one. */
  readonly dataDirectory: string | undefined;
  /** DSNs are `postgresql://` URIs of user postgres that name no database. The first writer is the lead. */
  startProxy(config: {
    readonly listen: ListenAddress;
    readonly writers: readonly [string, ...string[]];
    readonly reader: string;
  }): Promise<DemoProxy>;
}

/**
 * A second signal within this time is an echo of the first: a terminal sends SIGINT to npm and to us, and npm passes its own on.
 * A later one means that somebody is in a hurry.
 */
const echoMs = 1_000;

/** Runs until a signal stops it. Returns the exit status: 0 after a clean stop, 1 when it did not come up. */
export async function runDemo(options: DemoOptions): Promise<number> {
  const stop = new StopSignal();
  for (const stream of [process.stdout, process.stderr]) stream.on('error', ignoreClosedPipe);
  try {
    await assertFree(options.listen);
    say('pprox demo: starting three PostgreSQL servers');
    const cluster = await startCluster({
      directory: options.dataDirectory,
      writers: 2,
      reader: true,
      durability: 'full',
      signal: stop.asked,
      onProgress: (line) => say(`  ${line}`),
      onServerExit: (server, how) => complain(`${server.name} ended by itself (${how}): see ${server.logFile}`),
    });
    return await serve(options, cluster, stop);
  } catch (error) {
    if (stop.asked.aborted) {
      say('stopped before it was up');
      return 0;
    }
    if (!(error instanceof EmbeddedFailure)) throw error;
    complain(error.message);
    return 1;
  } finally {
    stop.dispose();
  }
}

/** Whoever read our output (`npm start | head`) has gone: the demo goes on without an audience. Errors come after the write. */
function ignoreClosedPipe(error: unknown): void {
  if (systemCode(error) !== 'EPIPE') throw error;
}

async function serve(options: DemoOptions, cluster: Cluster, stop: StopSignal): Promise<number> {
  let proxy: DemoProxy | undefined;
  try {
    const [lead, ...followers] = cluster.writers.map(clusterDsn);
    if (lead === undefined || cluster.reader === undefined) throw new Error('the demo has writers and a reader');
    proxy = await startProxy(options, [lead, ...followers], clusterDsn(cluster.reader));
    say(topology(cluster, proxy.address, options.dataDirectory === undefined ? 'temporary' : 'kept'));
    await stop.wait('asked');
    say('stopping');
    await Promise.race([proxy.stop(), stop.wait('in a hurry')]);
  } finally {
    await stopCluster(cluster, stop);
  }
  say('stopped');
  if (stop.hurried) process.exit(0); // a proxy that was given up may hold sockets, and they the process
  return 0;
}

async function startProxy(
  options: DemoOptions,
  writers: readonly [string, ...string[]],
  reader: string,
): Promise<DemoProxy> {
  try {
    return await options.startProxy({ listen: options.listen, writers, reader });
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') throw taken(options.listen); // since we looked
    throw error;
  }
}

async function stopCluster(cluster: Cluster, stop: StopSignal): Promise<void> {
  const stopped = cluster.stop(stop.hurried ? 'immediate' : 'fast');
  await Promise.race([stopped, stop.wait('in a hurry')]);
  if (stop.hurried) await cluster.stop('immediate');
  await stopped;
}

/** Said before any server starts, not after. */
async function assertFree(listen: ListenAddress): Promise<void> {
  if (listen.kind === 'unix') {
    if (await answers(listen.path)) throw taken(listen);
    return;
  }
  const probe = createServer();
  try {
    probe.listen({ port: listen.port, exclusive: true, ...(listen.host === undefined ? {} : { host: listen.host }) });
    await once(probe, 'listening');
    probe.close();
    await once(probe, 'close');
  } catch (error) {
    if (systemCode(error) === 'EADDRINUSE') throw taken(listen);
    const reason = error instanceof Error ? error.message : String(error);
    throw new EmbeddedFailure(`Cannot listen on ${display(listen)}: ${reason}. Set PROXY_ADDR to another address.`);
  }
}

/** A socket's file may be left of a dead process: it is taken only if somebody answers. */
async function answers(path: string): Promise<boolean> {
  const socket = createConnection(path);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false; // no file, or nobody behind it
  } finally {
    socket.destroy();
  }
}

function taken(listen: ListenAddress): EmbeddedFailure {
  return new EmbeddedFailure(
    `${display(listen)} is in use, perhaps by another pprox. Stop that program, or set PROXY_ADDR to another address.`,
  );
}

function display(listen: ListenAddress): string {
  if (listen.kind === 'unix') return listen.path;
  const host = listen.host ?? '*';
  return `${host.includes(':') ? `[${host}]` : host}:${listen.port}`;
}

/** Without a database, so that clients may name any. */
function clusterDsn(server: Server): string {
  return `postgresql://postgres@${server.host}:${server.port}`;
}

/** What a client on this machine connects with, by the first of the addresses. */
export function clientDsn(addresses: string): string {
  const [address = ''] = addresses.split(', ');
  if (address.startsWith('/')) {
    const port = /^\.s\.PGSQL\.(\d+)$/.exec(basename(address))?.[1];
    return `postgresql://postgres@/postgres?host=${encodeURIComponent(dirname(address))}&port=${port ?? '5432'}`;
  }
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon);
  const everywhere = ['', '*', '0.0.0.0', '[::]'].includes(host);
  return `postgresql://postgres@${everywhere ? '127.0.0.1' : host}${address.slice(colon)}/postgres`;
}

function topology(cluster: Cluster, address: string, data: 'temporary' | 'kept'): string {
  const { writers, reader } = cluster;
  const rows = [
    ...writers.map((server, index) => ({ server, role: index === 0 ? 'writer, lead' : 'writer' })),
    ...(reader === undefined ? [] : [{ server: reader, role: 'reader, replica of w1' }]),
  ];
  return [
    '',
    ...rows.map(({ server, role }) => `  ${server.name.padEnd(8)}${role.padEnd(24)}${server.host}:${server.port}`),
    `  ${'pprox'.padEnd(8)}${'connect here'.padEnd(24)}${address}`,
    '',
    data === 'temporary'
      ? `  data and logs: ${cluster.directory} (removed at the end; PPROX_DATA_DIR names a folder to keep)`
      : `  data and logs: ${cluster.directory}`,
    '',
    'Connect:',
    `  psql '${clientDsn(address)}'`,
    '',
    'Try:',
    '  CREATE TABLE IF NOT EXISTS greeting (id serial PRIMARY KEY, words text);   -- on both writers',
    "  INSERT INTO greeting (words) VALUES ('hello') RETURNING *;                 -- on both, or on neither",
    '  /* pprox: reader */ SELECT *, pg_is_in_recovery() AS replica FROM greeting;  -- from the replica',
    '',
    'Ctrl-C stops everything.',
    '',
  ].join('\n');
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}

function complain(text: string): void {
  process.stderr.write(`pprox: ${text}\n`);
}

/** SIGINT, SIGTERM and SIGHUP: the first one asks, one after the echo hurries. */
class StopSignal {
  readonly #asked = new AbortController();
  readonly #hurry = new AbortController();
  #askedAt = 0;

  constructor() {
    for (const name of signals) process.on(name, this.#receive);
  }

  /** Aborted by the first signal. */
  get asked(): AbortSignal {
    return this.#asked.signal;
  }

  get hurried(): boolean {
    return this.#hurry.signal.aborted;
  }

  /** Does not keep the process alive by itself. */
  async wait(until: 'asked' | 'in a hurry'): Promise<void> {
    const { signal } = until === 'asked' ? this.#asked : this.#hurry;
    if (!signal.aborted) await once(signal, 'abort');
  }

  dispose(): void {
    for (const name of signals) process.off(name, this.#receive);
  }

  readonly #receive = (): void => {
    if (!this.#asked.signal.aborted) {
      this.#askedAt = performance.now();
      this.#asked.abort();
    } else if (performance.now() - this.#askedAt > echoMs) {
      this.#hurry.abort();
    }
  };
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
