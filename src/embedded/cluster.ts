/** Real PostgreSQL servers as a local cluster: independent writers, and a streaming replica of the first one. */
import { join } from 'node:path';
import { assert } from '../lib/assert.ts';
import { type Account, serverAccount } from './account.ts';
import { type Binaries, locateBinaries, type Major } from './binaries.ts';
import { composeSettings, type Durability } from './configuration.ts';
import { copyDataDirectory, initialise, readerSlot, template } from './data-directory.ts';
import { type Layout, namedFolder, readLayout, temporaryFolder, writeLayout } from './data-folder.ts';
import { EmbeddedFailure } from './failure.ts';
import { removeAbandonedFolders, removeFolder, stopLeftovers } from './leftovers.ts';
import { claim, type Ownership } from './ownership.ts';
import { canListen, freePorts } from './ports.ts';
import { PostgresServer, type Server, type ServerName, type StopMode } from './server.ts';

export interface ServerOverride {
  /** Of a writer; the reader has w1's. */
  readonly major?: Major;
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of pg_hba.conf, put before those that trust everybody on loopback. */
  readonly hba?: readonly string[];
}

export interface ClusterOptions {
  /** The data folder, kept and reused by the next start. Undefined: a temporary one, removed when the cluster stops. */
  readonly directory?: string | undefined;
  /** Default 18. */
  readonly major?: Major | undefined;
  /** How many independent writers: w1, w2, … */
  readonly writers: number;
  /** Whether a streaming replica of w1 runs too. */
  readonly reader: boolean;
  /** Settings of every server; they win over ours. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Lines of every server's pg_hba.conf, put before those that trust everybody on loopback. */
  readonly hba?: readonly string[] | undefined;
  /** Statements run in w1 when its data directory is made, in template1 and postgres: every database of it has what they make. */
  readonly leadSql?: readonly string[] | undefined;
  readonly overrides?: Readonly<Partial<Record<ServerName, ServerOverride>>> | undefined;
  /** `none` (tests): no fsync, and data directories copied from templates that are kept for later runs. */
  readonly durability: Durability;
  readonly onProgress?: ((line: string) => void) | undefined;
  /** A server ended by itself. */
  readonly onServerExit?: ((server: Server, how: string) => void) | undefined;
  /** Ends a start; what was started is stopped, and the reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

export interface Cluster {
  readonly directory: string;
  readonly writers: readonly Server[];
  readonly reader: Server | undefined;
  /** Stops every server and gives the folder up, or removes it if it is a temporary one. Default `fast`. Safe to call again, in more of a hurry too. */
  stop(mode?: StopMode): Promise<void>;
}

/** A server to be, as the options describe it. */
interface Plan {
  readonly name: ServerName;
  readonly role: 'primary' | 'standby';
  readonly binaries: Binaries;
  readonly dataDirectory: string;
}

interface Place {
  readonly account: Account;
  readonly directory: string;
  readonly ownership: Ownership;
  readonly life: 'kept' | 'temporary';
}

/**
 * Starts the cluster, after cleaning up what killed runs left: servers of this folder, temporary folders of this user.
 * Throws `EmbeddedFailure` while another process runs the folder's cluster, and for everything that the operator can mend.
 */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  assert(options.writers >= 1, 'a cluster has a writer');
  const progress = options.onProgress ?? ((): void => undefined);
  const account = serverAccount();
  const removed = await removeAbandonedFolders();
  if (removed > 0) progress(`removed the data of ${removed} earlier run(s) that were killed`);
  const directory =
    options.directory === undefined ? temporaryFolder(account) : await namedFolder(account, options.directory);
  const place: Place = {
    account,
    directory,
    ownership: claim(directory),
    life: options.directory === undefined ? 'temporary' : 'kept',
  };
  let servers: readonly PostgresServer[] = [];
  try {
    const stopped = await stopLeftovers(place.ownership.leftovers, 'keep data');
    place.ownership.record([]);
    if (stopped > 0) progress(`stopped ${stopped} server(s) of an earlier run that was killed`);
    const plans = await planServers(options, place);
    const layout = await makeData(options, place, plans);
    options.signal?.throwIfAborted();
    progress(`starting ${plans.map((plan) => plan.name).join(', ')}`);
    servers = await startOnFreePorts(options, place, plans, layout);
    options.signal?.throwIfAborted();
  } catch (error) {
    await end(place, servers, 'immediate');
    options.signal?.throwIfAborted();
    throw error;
  }
  return running(place, servers);
}

function running(place: Place, servers: readonly PostgresServer[]): Cluster {
  let stopping: Promise<void> | undefined;
  return {
    directory: place.directory,
    writers: servers.filter((server) => server.name !== 'reader'),
    reader: servers.find((server) => server.name === 'reader'),
    stop(mode = 'fast'): Promise<void> {
      if (stopping !== undefined && mode === 'immediate') for (const server of servers) server.kill('SIGQUIT');
      stopping ??= end(place, servers, mode);
      return stopping;
    },
  };
}

async function end(place: Place, servers: readonly PostgresServer[], mode: StopMode): Promise<void> {
  await Promise.all(servers.map((server) => server.stop(mode)));
  if (place.life === 'temporary') removeFolder(place.directory);
  else place.ownership.release();
}

async function planServers(options: ClusterOptions, place: Place): Promise<readonly Plan[]> {
  const names: ServerName[] = Array.from({ length: options.writers }, (_, index): ServerName => `w${index + 1}`);
  if (options.reader) names.push('reader');
  const majorOf = (name: ServerName): Major =>
    options.overrides?.[name === 'reader' ? 'w1' : name]?.major ?? options.major ?? 18;
  return Promise.all(
    names.map(async (name) => ({
      name,
      role: name === 'reader' ? 'standby' : 'primary',
      binaries: await locateBinaries(majorOf(name), place.account),
      dataDirectory: join(place.directory, name),
    })),
  );
}

/** The data directories of an earlier run with the same servers, or new ones. */
async function makeData(options: ClusterOptions, place: Place, plans: readonly Plan[]): Promise<Layout> {
  const members = plans.map((plan) => ({ name: plan.name, major: plan.binaries.major }));
  const earlier = readLayout(place.directory);
  if (earlier?.state === 'complete') {
    if (describe(earlier.members) === describe(members)) return earlier;
    throw new EmbeddedFailure(
      `${place.directory} holds a cluster of other servers (${describe(earlier.members)}) than asked for (${describe(members)}).`,
    );
  }
  for (const member of earlier?.members ?? []) removeFolder(join(place.directory, member.name));
  writeLayout(place.directory, { state: 'initialising', members, ports: [] });
  const { account } = place;
  const writers = plans.filter((plan) => plan.role === 'primary');
  const [first] = writers;
  assert(first !== undefined, 'a cluster has a writer');
  const versions = [...new Set(plans.map((plan) => plan.binaries.version))].join(', ');
  options.onProgress?.(`initialising ${writers.map((plan) => plan.name).join(', ')} (PostgreSQL ${versions})`);
  // All of them are waited for, so that no initdb works on in a folder that is being removed.
  await allSettled(
    writers.map(async (plan, index) => {
      const statements = index === 0 ? (options.leadSql ?? []) : [];
      if (options.durability === 'full')
        return initialise(plan.binaries, account, plan.dataDirectory, 'full', statements);
      const origin = await template(plan.binaries, account, index, statements);
      return copyDataDirectory(account, origin, plan.dataDirectory, 'primary');
    }),
  );
  for (const plan of plans.filter(({ role }) => role === 'standby')) {
    options.signal?.throwIfAborted();
    options.onProgress?.(`copying ${first.name} to ${plan.name}`);
    await copyDataDirectory(account, first.dataDirectory, plan.dataDirectory, 'standby');
  }
  const layout: Layout = { state: 'complete', members, ports: [] };
  writeLayout(place.directory, layout);
  return layout;
}

function describe(members: Layout['members']): string {
  return members.map(({ name, major }) => `${name}: ${major}`).join(', ');
}

/** Another process may take a port between the look and the start; then all of them are chosen anew. */
async function startOnFreePorts(
  options: ClusterOptions,
  place: Place,
  plans: readonly Plan[],
  layout: Layout,
): Promise<readonly PostgresServer[]> {
  for (let attempt = 1; ; attempt += 1) {
    const earlier = attempt === 1 && layout.ports.length === plans.length ? layout.ports : [];
    const free = await Promise.all(earlier.map((port) => canListen('127.0.0.1', port)));
    const ports = earlier.length > 0 && free.every(Boolean) ? earlier : await freePorts(plans.length);
    const servers = build(options, place, plans, ports);
    // A start may take long (recovery after a crash): then it is cut short.
    const cut = (): void => servers.forEach((server) => server.kill('SIGQUIT'));
    options.signal?.addEventListener('abort', cut, { once: true });
    try {
      await startAll(servers);
      writeLayout(place.directory, { ...layout, ports });
      return servers;
    } catch (error) {
      await Promise.all(servers.map((server) => server.stop('immediate')));
      const taken = error instanceof EmbeddedFailure && error.message.includes('could not create any TCP/IP sockets');
      if (!taken || attempt === 3) throw error;
    } finally {
      options.signal?.removeEventListener('abort', cut);
    }
  }
}

function build(
  options: ClusterOptions,
  place: Place,
  plans: readonly Plan[],
  ports: readonly number[],
): readonly PostgresServer[] {
  const [primaryPort] = ports;
  assert(primaryPort !== undefined && ports.length === plans.length, 'every server has a port');
  const servers = plans.map((plan, index) => {
    const fileStem = join(place.directory, plan.name);
    const port = ports[index] ?? primaryPort;
    const override = options.overrides?.[plan.name];
    return new PostgresServer({
      ...plan,
      account: place.account,
      port,
      fileStem,
      settings: composeSettings({
        dataDirectory: plan.dataDirectory,
        hbaFile: `${fileStem}.hba.conf`,
        port,
        durability: options.durability,
        primary: plan.role === 'standby' ? { port: primaryPort, slot: readerSlot } : undefined,
        extra: { ...options.settings, ...override?.settings },
      }),
      hba: [...(override?.hba ?? []), ...(options.hba ?? [])],
      onChange: () =>
        place.ownership.record(
          servers.flatMap(({ name, process }) => (process === undefined ? [] : [{ name, process }])),
        ),
      onUnexpectedExit: (server, how) => options.onServerExit?.(server, how),
    });
  });
  return servers;
}

/** The standby after its primary, so that its first attempt to connect succeeds. */
async function startAll(servers: readonly PostgresServer[]): Promise<void> {
  const [first, ...others] = servers;
  assert(first !== undefined, 'a cluster has a writer');
  const standbys = others.filter((server) => server.name === 'reader');
  const independent = others.filter((server) => server.name !== 'reader');
  await allSettled([
    first.start().then(() => allSettled(standbys.map((server) => server.start()))),
    ...independent.map((server) => server.start()),
  ]);
}

/** Like `Promise.all`, but rejects only when nothing is under way any more. */
async function allSettled(promises: readonly Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(promises)) if (result.status === 'rejected') throw result.reason;
}
