/** What the process runs on, after every mistake has been found. Read-only; built once by `config/load`. */

export type ListenAddress =
  /** `host` undefined: every address of the machine, IPv6 and IPv4. */
  | { readonly kind: 'tcp'; readonly host: string | undefined; readonly port: number }
  | { readonly kind: 'unix'; readonly path: string };

/** One PostgreSQL server as a DSN names it (libpq, "Connection Strings"). */
export interface Dsn {
  /** Host name, address, or the folder of a Unix socket where it begins with `/`. */
  readonly host: string;
  readonly port: number;
  /** Undefined: the client's own. */
  readonly database: string | undefined;
  /** Undefined: the client's own. */
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly tls: Tls;
  /** Bound on reaching the server and finishing its start-up; undefined: the process's own setting. */
  readonly connectTimeoutMs: number | undefined;
  readonly keepalives: { readonly idleMs: number } | 'off' | undefined;
  /** Start-up parameters that the DSN fixes (`options`, `application_name`, …); a client's own value wins. */
  readonly parameters: Readonly<Record<string, string>>;
}

export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

/** How connections to a server are encrypted (manual, "SSL Support"); the files are read at start. A Unix socket never is. */
export interface Tls {
  /** libpq's `sslmode`. */
  readonly mode: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  readonly negotiation: 'postgres' | 'direct';
  readonly channelBinding: 'disable' | 'prefer' | 'require';
  /** What verify-full looks for in the server's certificate, and SNI sends; undefined where only `hostaddr` is given. */
  readonly hostName: string | undefined;
  readonly sni: 'sent' | 'not sent';
  readonly minVersion: TlsVersion;
  readonly maxVersion: TlsVersion;
  /** PEM of whoever may have signed the server's certificate; undefined: it is not checked. */
  readonly roots: string | readonly string[] | undefined;
  /** PEM of what has been revoked. */
  readonly crl: string | undefined;
  /** What pprox shows where the server asks for a certificate: PEM, its own certificate first. */
  readonly certificate:
    | { readonly chain: string; readonly key: string; readonly passphrase: string | undefined }
    | undefined;
}

/**
 * Writes while a writer is down. `fail`: refused before any server has run them. A policy that goes on without the writer needs a
 * way back for it first: it becomes a member here, and what it means a case where `session/legs.ts` asks.
 */
export type WriterDownPolicy = 'fail';

/** Sizes and deadlines; every one has a default, a unit and bounds in `config/settings`. */
export interface Settings {
  /** Clients connected at once; one more gets 53300. */
  readonly maxClients: number;
  /** Connections to one server, all databases and users together. */
  readonly poolSize: number;
  readonly preparedStatements: number;
  /** Sessions waiting for a connection to one server; one more gets 53300. */
  readonly poolQueue: number;
  /** A session that waited this long for a connection gets 53300. */
  readonly poolWaitMs: number;
  readonly poolIdleMs: number;
  readonly poolLifetimeMs: number;
  readonly connectTimeoutMs: number;
  /** Client start-up, from accept to the end of its StartupMessage and authentication. */
  readonly startupTimeoutMs: number;
  /** lock_timeout of followers: a wait for a lock there that the lead did not have. */
  readonly followerLockTimeoutMs: number;
  readonly deadlockTimeoutMs: number;
  /** A follower or commit step that says nothing for this long is taken for dead. */
  readonly followerTimeoutMs: number;
  /** How often each server is looked at (role, timeline, replay position). */
  readonly healthIntervalMs: number;
  /** Reads while the reader is down: `lead` or an error. */
  readonly readerFailure: 'lead' | 'error';
  readonly writerDown: WriterDownPolicy;
  /** Sequences of followers are kept this many increments ahead of the lead's. */
  readonly sequenceBlock: number;
  /** SIGTERM: how long transactions in flight may take to end. */
  readonly drainMs: number;
  /** Whether clients' own transactions wait for the followers at every statement. */
  readonly followerPace: 'trailing' | 'lockstep';
  /** What becomes of effects of functions and triggers that cannot be compared. */
  readonly unproven: 'accept' | 'refuse';
  readonly commitMode: 'two-phase' | 'one-phase';
  readonly commitTimeoutMs: number;
  readonly recoveryIntervalMs: number;
  readonly recoveryGraceMs: number;
  readonly recoveryAlarmMs: number;
  /** Decisions on the lead are kept for so long at least. */
  readonly decisionRetentionMs: number;
}

export interface Config {
  readonly listen: ListenAddress;
  /** The first is the lead. One is allowed. */
  readonly writers: readonly [Dsn, ...Dsn[]];
  /** Undefined: the lead reads. */
  readonly reader: Dsn | undefined;
  readonly settings: Settings;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** Facts the operator should read in the log at start: one writer only, a trust listener on a public address. */
  readonly warnings: readonly string[];
}
