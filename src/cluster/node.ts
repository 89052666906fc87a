/** One server of the cluster: its address, its connections, what it was last found to be. */
import type { Backend, BackendOptions } from '../backend/backend.ts';
import { answers, ConnectError, connectBackend } from '../backend/connect.ts';
import type { HandshakeFailure } from '../backend/handshake.ts';
import { createLogin, type Login } from '../backend/login.ts';
import { type Lease, Pool } from '../backend/pool.ts';
import type { SettingSet } from '../backend/setting-set.ts';
import { guard } from '../backend/guard.ts';
import { BackendLostError } from '../backend/receiver.ts';
import type { Dsn, Settings } from '../config/config.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { encodeStartup, ProtocolVersion } from '../wire/frontend.ts';
import { MAX_STARTUP_BYTES } from '../wire/startup.ts';
import { beginningOf, hasReloaded, outdate } from './beginnings.ts';
import { parseLsn } from './lsn.ts';
import { changeOf, complete, type Identity, identify } from './identity.ts';

export type NodeRole = 'lead' | 'follower' | 'reader';

/** It starts, stops or recovers (57P), or has no connection left (53300): who can do without it for now, does. */
function isUnavailable(sqlstate: string): boolean {
  return sqlstate.startsWith('57P') || sqlstate === '53300';
}

/**
 * While it was being opened: admin_shutdown, which pg_terminate_backend() and DROP DATABASE … WITH (FORCE) say too, or
 * database_dropped, said by a standby.
 */
function isSessionEnded(error: unknown): boolean {
  const fields =
    error instanceof BackendLostError
      ? error.lost.fatal
      : error instanceof ConnectError && error.failure.kind === 'refused'
        ? error.failure.fields
        : undefined;
  return fields?.code === '57P01' || fields?.code === '57P04';
}

/** The server refused the login in its own words: a client's start-up gets them as they came. */
export class ServerRefusedError extends PproxError {
  readonly frame: Buffer;
  readonly stage: 'before authentication' | 'after authentication';
  constructor(node: Node, failure: HandshakeFailure & { kind: 'refused' }) {
    super(isUnavailable(failure.fields.code) ? 'server_unreachable' : 'server_refused', {
      sqlstate: failure.fields.code,
      message: `${node.label} refused the connection: ${failure.fields.message}`,
      detail: failure.fields.detail,
      hint: failure.fields.hint,
    });
    this.frame = failure.frame;
    this.stage = failure.stage;
  }
}

/** Health as connecting has found it. `down` carries why, so that waiting sessions can be told at once. */
export type Health =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'up' }
  | { readonly kind: 'down'; readonly since: number; readonly error: PproxError };

/**
 * A server found down is asked by one connection at a time, and not sooner than this after the last: a storm of attempts
 * would hold every session for its time-out.
 */
const RETRY_MS = 200;

export class Node {
  readonly role: NodeRole;
  readonly dsn: Dsn;
  readonly pool: Pool;
  /** `lead 10.0.0.1:5432`, for messages and the log. */
  readonly label: string;
  readonly #settings: Settings;
  readonly #log: Log;
  #identity: Identity | undefined;
  #health: Health = { kind: 'unknown' };
  /** Every connection to the server, open or not yet noticed to be closed. */
  readonly #backends = new Set<Backend>();
  readonly #watch: NodeJS.Timeout;
  #probe: 'none' | 'under way' = 'none';
  /** The one connection that finds out whether a server that was down is up. */
  #trial: 'none' | 'under way' = 'none';
  /** Whether the log has been told that this process cannot open a connection. */
  #lack: 'none' | 'told' = 'none';
  /** Told when the server is found to be another or to have changed its role. */
  onIdentity: (() => void) | undefined;
  /** Told when the name of a database is found to be another one's, before anything is asked there. */
  onDatabase: (() => void) | undefined;
  /** pg_database.oid by their names, as the latest connections have found them. */
  readonly #databases = new Map<string, string>();

  constructor(role: NodeRole, dsn: Dsn, address: string, settings: Settings, log: Log) {
    this.role = role;
    this.dsn = dsn;
    this.label = `${role} ${address}`;
    this.#settings = settings;
    this.#log = log;
    const limits = {
      size: settings.poolSize,
      queue: settings.poolQueue,
      waitMs: settings.poolWaitMs,
      idleMs: settings.poolIdleMs,
      lifetimeMs: settings.poolLifetimeMs,
    };
    this.pool = new Pool(this.label, limits, (login) => this.#connect(login));
    this.#watch = setInterval(() => void this.#look(), settings.healthIntervalMs);
    this.#watch.unref();
  }

  get identity(): Identity | undefined {
    return this.#identity;
  }

  get health(): Health {
    return this.#health;
  }

  /** The login of a client at this server: the DSN's user and database where it names them. */
  login(client: { user: string; database: string; parameters: ReadonlyMap<string, string> }): Login {
    const extra = new Map(Object.entries(this.dsn.parameters));
    for (const [name, value] of client.parameters) extra.set(name, value);
    // A read that writes after all (a function that lies about itself) fails there instead of changing the reader alone.
    if (this.role === 'reader') extra.set('default_transaction_read_only', 'on');
    return createLogin(this.dsn.user ?? client.user, this.dsn.database ?? client.database, this.dsn.password, extra);
  }

  /** Rejects with PproxError (ServerRefusedError where the server said no). */
  async lease(login: Login, needs?: SettingSet, signal?: AbortSignal): Promise<Lease> {
    // Before a place in the pool's line, where it would wait for what is known.
    if (this.pool.idleCount === 0) this.#refuseIfDown();
    return this.pool.lease(login, needs, signal);
  }

  /** A connection that the pool does not know, for the proxy's own use: whoever has it closes it. Rejects as `lease`. */
  async connect(login: Login): Promise<Backend> {
    return this.#connect(login);
  }

  #refuseIfDown(): void {
    const health = this.#health;
    if (health.kind !== 'down') return;
    if (this.#trial === 'under way' || Date.now() - health.since < RETRY_MS) throw health.error;
  }

  close(): void {
    clearInterval(this.#watch);
    this.pool.close();
  }

  /**
   * A query may take as long as it likes, and a server that is gone without a word looks just the same. So a server that
   * owes a reply for long is asked whether it answers anybody; if not, its connections are given up.
   */
  async #look(): Promise<void> {
    for (const backend of this.#backends) if (!backend.open) this.#backends.delete(backend);
    if (this.role !== 'reader') this.#noteFlushed();
    if (this.role === 'lead') this.#noteReload();
    const limitMs = this.#settings.connectTimeoutMs;
    const silent = [...this.#backends].filter((backend) => backend.silentMs(Date.now()) > limitMs);
    if (silent.length === 0 || this.#probe === 'under way') return;
    this.#probe = 'under way';
    const answer = await answers({ host: this.dsn.host, port: this.dsn.port }, this.dsn.tls, limitMs);
    this.#probe = 'none';
    if (answer !== 'no') return;
    this.#log.error('server does not answer', { server: this.label, connections: silent.length });
    for (const backend of silent) if (backend.silentMs(Date.now()) > limitMs) backend.close('server too slow');
  }

  /** The later it is known how far the server's log goes, the more surely an older copy of the server is told from it. */
  #noteFlushed(): void {
    const asked = this.pool.idle?.aside('SELECT pg_catalog.pg_current_wal_flush_lsn()');
    const note = (lsn: string | null | undefined): void => {
      if (lsn === null || lsn === undefined || this.#identity === undefined) return;
      const flushed = parseLsn(lsn);
      if (flushed > (this.#identity.flushed ?? 0n)) this.#identity = { ...this.#identity, flushed };
    };
    // Its loss is met by who uses it next.
    asked?.then(({ rows }) => note(rows[0]?.[0])).catch(() => undefined);
  }

  /** Followers' sessions are started with what counts. */
  #noteReload(): void {
    const { idle } = this.pool;
    if (idle === undefined) return;
    const note = (reloaded: 'no' | 'yes'): void => {
      if (reloaded === 'yes') this.reloaded();
    };
    void hasReloaded(this, idle, 'aside').then(note, () => undefined);
  }

  /** The server has read its configuration again: its sessions have other defaults, perhaps. */
  reloaded(): void {
    for (const backend of this.#backends) outdate(backend);
  }

  async #connect(login: Login): Promise<Backend> {
    const options = {
      address: { host: this.dsn.host, port: this.dsn.port },
      user: login.user,
      password: login.password,
      parameters: login.parameters,
      keepAliveMs: this.dsn.keepalives === 'off' ? undefined : (this.dsn.keepalives?.idleMs ?? KEEPALIVE_MS),
      tls: this.dsn.tls,
    };
    if (encodeStartup(ProtocolVersion.v30, login.parameters).length > MAX_STARTUP_BYTES) {
      throw new PproxError('server_refused', { message: `the start-up parameters are too long for ${this.label}` });
    }
    const timeoutMs = this.dsn.connectTimeoutMs ?? this.#settings.connectTimeoutMs;
    this.#refuseIfDown();
    const attempt = this.#health.kind === 'down' ? 'trial' : 'ordinary';
    if (attempt === 'trial') this.#trial = 'under way';
    try {
      const backend = await this.#open(options, timeoutMs).catch((error: unknown) => {
        if (!isSessionEnded(error)) throw error;
        // Whether the server itself goes down it says to the next one.
        return this.#open(options, timeoutMs);
      });
      this.#backends.add(backend);
      this.#healthy();
      return backend;
    } catch (error) {
      throw this.#failed(error);
    } finally {
      if (attempt === 'trial') this.#trial = 'none';
    }
  }

  /** Known to be the server that it has been. Rejects with ConnectError, BackendLostError or PproxError. */
  async #open(options: BackendOptions, timeoutMs: number): Promise<Backend> {
    const backend = await connectBackend(options, timeoutMs);
    const watchdog = guard([backend], timeoutMs);
    try {
      const before = this.#identity;
      // What is refused is asked for again by who needs it.
      const begun = this.role === 'reader' ? undefined : beginningOf(backend).catch(() => undefined);
      const [identity] = await Promise.all([identify(backend), begun]);
      this.#found(identity, before);
      this.#noteDatabase(options.parameters.get('database') ?? '', backend.databaseOid);
    } catch (error) {
      backend.close('server start-up failed');
      throw error;
    } finally {
      watchdog.clear();
    }
    return backend;
  }

  /** `asked`: what was known when the server was asked. */
  #found(identity: Identity, asked: Identity | undefined): void {
    const before = this.#identity;
    const writer = this.role !== 'reader';
    if (writer && identity.recovery === 'standby') {
      throw new PproxError('server_refused', {
        message: `${this.label} is in recovery: a standby cannot be a writer`,
        hint: 'Name the primary server in PG_WRITERS_CSV.',
      });
    }
    const change = writer && asked !== undefined ? changeOf(asked, identity) : undefined;
    if (change !== undefined) {
      throw new PproxError('server_refused', {
        message: `${this.label} ${change.what}`,
        detail: change.detail,
        hint: 'Compare the writers, then restart the proxy.',
      });
    }
    // A reader may be another server by now, which it need not say.
    const same = before !== undefined && (writer || before.startedAt === identity.startedAt);
    this.#identity = same ? complete(before, identity) : identity;
    if (before?.systemIdentifier !== this.#identity.systemIdentifier || before?.recovery !== identity.recovery)
      this.onIdentity?.();
  }

  /** One that was dropped and made anew, or renamed, has its name alone in common with what is known of it. */
  #noteDatabase(name: string, oid: string): void {
    const before = this.#databases.get(name);
    if (before === oid) return;
    if (this.#databases.size >= DATABASES) this.#databases.clear();
    this.#databases.set(name, oid);
    if (before !== undefined) this.onDatabase?.();
  }

  /** A reader was seen to have left recovery: what it is has to be found out again. */
  forgetIdentity(): void {
    this.#identity = undefined;
    this.pool.closeIdle('server session lost');
    this.onIdentity?.();
  }

  #healthy(): void {
    if (this.#health.kind === 'down')
      this.#log.info('server up', { server: this.label, downMs: Date.now() - this.#health.since });
    this.#health = { kind: 'up' };
    this.#lack = 'none';
  }

  #failed(error: unknown): PproxError {
    const wrapped = this.#wrap(error);
    if (wrapped.condition === 'out_of_resources') {
      // It says nothing about the server.
      if (this.#lack === 'none') this.#log.error('no connection can be opened', { reason: wrapped.message });
      this.#lack = 'told';
      return wrapped;
    }
    // By whom, it does not say; of the server, nothing.
    if (wrapped.condition === 'cancelled') return wrapped;
    const reachable = wrapped instanceof ServerRefusedError && !wrapped.sqlstate.startsWith('57P');
    if (reachable) {
      this.#log.warn('server refused', { server: this.label, sqlstate: wrapped.sqlstate });
      this.#healthy();
      return wrapped;
    }
    if (this.#health.kind !== 'down') this.#log.error('server down', { server: this.label, reason: wrapped.message });
    this.#health = { kind: 'down', since: Date.now(), error: wrapped };
    return wrapped;
  }

  #wrap(error: unknown): PproxError {
    if (error instanceof PproxError) return error;
    if (error instanceof ConnectError && error.failure.kind === 'refused')
      return new ServerRefusedError(this, error.failure);
    if (error instanceof ConnectError && error.failure.kind === 'no resources') {
      return new PproxError('out_of_resources', {
        message: `the proxy cannot open a connection to ${this.label}: ${error.message}`,
        detail: 'Nothing is known to be wrong with the server.',
        hint: 'Raise the limit of open files (ulimit -n) of the proxy, or lower PPROX_MAX_CLIENTS and PPROX_POOL_SIZE.',
      });
    }
    if (error instanceof ConnectError || error instanceof BackendLostError) {
      // It was reached where it asked for, or offered, what the DSN does not give or take.
      const reached = error instanceof ConnectError && error.failure.kind === 'unsupported';
      return new PproxError('server_unreachable', {
        message: `could not connect to ${this.label}: ${error.message}`,
        hint: reached ? undefined : 'Is the server running and does it accept connections at this address?',
      });
    }
    throw error;
  }
}

/** Names that are kept. */
const DATABASES = 1000;

/** Idle time after which the kernel asks whether the server is still there. */
const KEEPALIVE_MS = 30_000;
