/** Composition root: everything that a running proxy is made of, from one Config; started, drained, stopped. */
import type { Socket } from 'node:net';
import { Catalog } from './cluster/catalog.ts';
import { Cluster } from './cluster/cluster.ts';
import type { Node } from './cluster/node.ts';
import { Notifications } from './cluster/notifications.ts';
import { Onlookers } from './cluster/onlookers.ts';
import { ProcessIds } from './cluster/process-ids.ts';
import type { Coordinator } from './commit/coordinator.ts';
import { Decider } from './commit/decider.ts';
import { CountedOnLead, type CountedOnLeadOptions } from './commit/definitions.ts';
import { TransactionIds } from './commit/gid.ts';
import { OnePhase } from './commit/one-phase.ts';
import { PendingSet } from './commit/pending.ts';
import { type InDoubt, Recovery } from './commit/recovery.ts';
import { Sweep } from './commit/sweep.ts';
import { TwoPhase } from './commit/two-phase.ts';
import type { Config, ListenAddress } from './config/config.ts';
import { DeadlockDetector, type OpenTransaction } from './deadlock/detector.ts';
import { type PlanChoice, Planner } from './fanout/planner.ts';
import { Unproven } from './fanout/unproven.ts';
import { SequenceKeeper } from './fanout/sequences.ts';
import { descriptorLimit } from './lib/descriptors.ts';
import { PproxError } from './lib/errors.ts';
import type { Log } from './lib/log.ts';
import { listen, type Listener } from './net/listener.ts';
import { CancelRegistry } from './session/registry.ts';
import { errorFrame } from './session/reply.ts';
import { Session } from './session/session.ts';
import { readStartUp } from './session/start-up.ts';
import type { Services } from './session/state.ts';
import { Analyser, loadParser } from './sql/analyse.ts';
import { LargeAnalyser } from './sql/large-analyser.ts';

export interface Proxy {
  /** As bound: the port is the real one where 0 was asked for. */
  readonly addresses: readonly ListenAddress[];
  readonly cluster: Cluster;
  /** Of each follower, as recovery has last looked. Empty in one phase. */
  readonly inDoubt: readonly InDoubt[];
  /** Clients connected, those in start-up included. */
  readonly clients: number;
  /** Accepts no more clients, lets transactions in flight end within the drain time, then closes everything. */
  stop(): Promise<void>;
}

/** Statement shapes kept. */
const SHAPES = 5000;
/** The largest text, constants aside, that is read in this thread: some 10 to 20 ms of the event loop. */
const PARSE_LIMIT_BYTES = 16 * 1024;

/** Rejects with the system's error where an address cannot be listened on. `plans`: other than `proven` for tests alone. */
export async function startProxy(config: Config, log: Log, plans: PlanChoice = 'proven'): Promise<Proxy> {
  await loadParser();
  const cluster = new Cluster(config, log);
  const catalog = new Catalog();
  const analyser = new Analyser({ cacheSize: SHAPES, sizeLimitBytes: PARSE_LIMIT_BYTES });
  const roles = new Set(config.writers.map(({ user }) => user)).size === 1 ? 'same' : 'different';
  const sequences = new SequenceKeeper(config.settings.sequenceBlock);
  const forget = (): void => {
    catalog.forget();
    sequences.forget();
  };
  const commit = committing(config, cluster, log, { forget, forgetSequences: () => sequences.forget() });
  for (const writer of cluster.writers) writer.onDatabase = forget;
  const services: Services = {
    cluster,
    catalog,
    analyser,
    largeAnalyser: new LargeAnalyser(),
    notifications: new Notifications({
      connect: (login) => cluster.lead.connect(login),
      timeoutMs: config.settings.connectTimeoutMs,
      heartbeatMs: config.settings.healthIntervalMs,
      log,
    }),
    processIds: new ProcessIds({
      connect: (login) => cluster.lead.connect(login),
      timeoutMs: config.settings.connectTimeoutMs,
      beatMs: Math.min(config.settings.healthIntervalMs, 1000),
      log,
    }),
    onlookers: new Onlookers({ timeoutMs: config.settings.followerTimeoutMs, idleMs: config.settings.poolIdleMs }),
    planner: new Planner(
      catalog,
      analyser,
      { roles, numbers: () => numbersOf(cluster.writers) },
      cluster.followers.length === 0 ? 'nobody follows' : plans,
    ),
    unproven: new Unproven(config.settings.unproven),
    sequences,
    coordinator: commit.coordinator,
    settings: config.settings,
    log,
  };
  for (const warning of config.warnings) log.warn(warning);
  const registry = new CancelRegistry();
  const sessions = new Set<Session>();
  /** Every client connection, those in start-up included. */
  const sockets = new Set<Socket>();
  let counter = 0;

  const openFiles = descriptorLimit();
  const connections = cluster.nodes.length * config.settings.poolSize;
  if (openFiles !== undefined && openFiles < config.settings.maxClients + connections + OWN_DESCRIPTORS)
    log.warn('the limit of open files (ulimit -n) does not allow as many clients and connections as are set', {
      limit: openFiles,
      clients: config.settings.maxClients,
      connections,
    });

  /** No room for one more client, and why. What is open last is kept for connections to servers: with none, nobody is served. */
  function crowded(): { readonly detail?: string; readonly hint?: string } | undefined {
    if (sessions.size >= config.settings.maxClients) return {};
    const open = cluster.nodes.reduce((sum, { pool }) => sum + pool.size, sockets.size);
    if (openFiles === undefined || open + OWN_DESCRIPTORS <= openFiles) return undefined;
    return {
      detail: `The proxy may have ${openFiles} files open, and has ${open} connections.`,
      hint: 'Raise the limit of open files (ulimit -n) of the proxy.',
    };
  }

  async function serve(socket: Socket): Promise<void> {
    const start = await readStartUp(socket, config.settings.startupTimeoutMs);
    if (start.kind === 'cancel') {
      socket.destroy();
      registry.cancel(start.processId, start.secretKey);
      return;
    }
    if (start.kind === 'refused') {
      log.info('client refused', { reason: start.reason, message: start.message });
      if (start.answer !== undefined) socket.write(start.answer);
      farewell(socket);
      return;
    }
    const crowd = crowded();
    if (crowd !== undefined) {
      const error = new PproxError('too_many_clients', { message: 'sorry, too many clients already', ...crowd });
      log.warn('client refused', { reason: 'too many clients', clients: sessions.size, detail: crowd.detail });
      socket.write(errorFrame(error, 'FATAL'));
      farewell(socket);
      return;
    }
    const client = ++counter;
    const { user, database } = Object.fromEntries(start.packet.parameters);
    log.info('client connected', { client, user, database: database ?? user });
    const session = new Session(services, registry, socket, start.packet, start.rest, withClient(log, client));
    sessions.add(session);
    const reason = await session.run();
    sessions.delete(session);
    log.info('client closed', { client, reason });
  }

  const detector = new DeadlockDetector({
    writers: cluster.writers,
    transactions: function* (): Iterable<OpenTransaction> {
      for (const { transaction } of sessions) if (transaction !== undefined) yield transaction;
    },
    waitMs: config.settings.deadlockTimeoutMs,
    timeoutMs: config.settings.connectTimeoutMs,
    log,
  });
  const awake = setInterval(() => {
    const now = performance.now();
    for (const session of sessions) session.keepAwake(now);
  }, AWAKE_MS);
  let notAccepting: 'no' | 'told' = 'no';
  const accept = (socket: Socket): void => {
    // Start-ups hold a place each: as many as clients may, and no more.
    if (sockets.size >= 2 * config.settings.maxClients) {
      socket.destroy();
      return;
    }
    notAccepting = 'no';
    sockets.add(socket);
    socket.on('error', () => undefined); // a close follows, with what is to be said of it
    socket.on('close', () => sockets.delete(socket));
    serve(socket).catch((error: unknown) => {
      log.error('internal error', { message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
      socket.destroy();
    });
  };
  const close = (): void => {
    clearInterval(awake);
    services.largeAnalyser.close();
    services.notifications.close();
    services.processIds.close();
    services.onlookers.close();
    commit.close();
    detector.close();
    cluster.close();
  };
  let listener: Listener;
  try {
    listener = await listen([config.listen], accept, (error) => {
      // Tried again at once, for as long as there is no room.
      if (notAccepting === 'no') log.error('a client could not be let in', { reason: error.message });
      notAccepting = 'told';
    });
  } catch (error) {
    close();
    throw error;
  }
  for (const { node, error } of await cluster.probe({ user: 'postgres', database: 'postgres' })) {
    if (error !== undefined) log.warn('server not available at start', { server: node.label, reason: error.message });
  }

  return {
    addresses: listener.addresses,
    cluster,
    get inDoubt() {
      return commit.inDoubt();
    },
    get clients() {
      return sockets.size;
    },
    stop: async () => {
      const closed = listener.close();
      for (const session of sessions) session.drain();
      const cut = setTimeout(() => {
        for (const session of sessions) session.cut();
        for (const socket of sockets) if (!socket.destroyed) farewell(socket);
      }, config.settings.drainMs);
      await closed;
      clearTimeout(cut);
      close();
    },
  };
}

/** Less than anybody lets a session be idle in a transaction. */
const AWAKE_MS = 100;

/** What the process has open beside clients and pools: Node's own, recovery, notifications; and some for those who come next. */
const OWN_DESCRIPTORS = 64;

/** What a coordinator may wait for, one after the other: a decision has to stand until it has asked for it. */
const COMMIT_STEPS = 6;

/** A process that has changed no definitions for a day is one of those that have ended, most likely. */
const FOLD_MS = 86_400_000;

/** Of no consequence where DSNs name their users, but for the database: every server has this one. */
const ANYBODY = { user: 'postgres', database: 'postgres' };

/**
 * Two-phase commit comes with recovery, which looks at once for what an earlier process has left. `known`: of definitions, and of where sequences
 * stand.
 */
function committing(
  { settings }: Config,
  cluster: Cluster,
  log: Log,
  known: Pick<CountedOnLeadOptions, 'forget' | 'forgetSequences'>,
): { readonly coordinator: Coordinator; inDoubt(): readonly InDoubt[]; close(): void } {
  const timeoutMs = settings.followerTimeoutMs;
  const alone = new OnePhase(timeoutMs, log);
  if (settings.commitMode === 'one-phase') return { coordinator: alone, inDoubt: () => [], close: () => undefined };
  const ids = new TransactionIds();
  const pending = new PendingSet();
  const decider = new Decider({ timeoutMs, stuckMs: settings.recoveryAlarmMs, log });
  const recovery = new Recovery({
    lead: cluster.lead,
    followers: cluster.followers,
    decider,
    account: cluster.writers.every(({ dsn }) => dsn.user !== undefined) ? ANYBODY : undefined,
    pending,
    owns: (id) => ids.owns(id),
    intervalMs: settings.recoveryIntervalMs,
    graceMs: settings.recoveryGraceMs,
    alarmMs: settings.recoveryAlarmMs,
    timeoutMs,
    log,
  });
  const sweep = new Sweep({
    lead: cluster.lead,
    prepared: () => recovery.preparedAnywhere(),
    retentionMs: Math.max(settings.decisionRetentionMs, COMMIT_STEPS * timeoutMs + settings.commitTimeoutMs),
    foldMs: FOLD_MS,
    timeoutMs,
    log,
  });
  const doubtMs = settings.commitTimeoutMs;
  const process = ids.next();
  const definitions = new CountedOnLead({
    process,
    preparedOver: (account, signal) => recovery.definitionsOver(account, signal),
    ...known,
  });
  const run = { pending, decider, recovery, process, timeoutMs, doubtMs, log };
  const coordinator = new TwoPhase({ ...run, ids, definitions, sweep, alone });
  void recovery.look();
  return {
    coordinator,
    inDoubt: () => recovery.inDoubt,
    close: () => {
      recovery.close();
      sweep.close();
    },
  };
}

/** The last word has this long to arrive. */
const FAREWELL_MS = 2000;

function farewell(socket: Socket): void {
  socket.end();
  socket.resume();
  const cut = setTimeout(() => socket.destroy(), FAREWELL_MS);
  cut.unref();
  socket.once('close', () => clearTimeout(cut));
}

function withClient(log: Log, client: number): Log {
  return {
    debug: (event, fields) => log.debug(event, { client, ...fields }),
    info: (event, fields) => log.info(event, { client, ...fields }),
    warn: (event, fields) => log.warn(event, { client, ...fields }),
    error: (event, fields) => log.error(event, { client, ...fields }),
  };
}

/** 0x1F and 1_000 are numbers from PostgreSQL 16 on; before, 0 and 1 with another name behind them. */
function numbersOf(writers: readonly Node[]): 'all read them alike' | 'some read others' {
  const known = new Set(writers.flatMap(({ identity }) => (identity === undefined ? [] : identity.version >= 160_000)));
  return known.size > 1 ? 'some read others' : 'all read them alike';
}
