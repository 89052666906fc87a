/**
 * Every variable that pprox reads from the environment, once. The reading (`load`), `.env.example` and
 * docs/reference/configuration.md come from these tables; a test holds them equal.
 */
import type { Config, Settings } from './config.ts';
import { choice, count, duration, type Field, folder, type Variable } from './field.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

export const settings = {
  maxClients: count({
    variable: 'PPROX_MAX_CLIENTS',
    default: 1_000,
    min: 1,
    max: 100_000,
    doc: 'Clients connected at once; one more gets 53300. An idle client costs kilobytes, not a server connection, so this is far above the pool; the process needs as many file descriptors.',
    reloadable: true,
  }),
  poolSize: count({
    variable: 'PPROX_POOL_SIZE',
    default: 40,
    min: 2,
    max: 10_000,
    doc: "Connections to one server, all databases and users together. Less than half of PostgreSQL's own max_connections of 100, so that a second pprox process and an administrator still get in.",
    reloadable: true,
  }),
  preparedStatements: count({
    variable: 'PPROX_PREPARED_STATEMENTS',
    default: 200,
    min: 1,
    max: 100_000,
    doc: 'Prepared statements kept on one server connection; the least recently used one makes room. Clients that prepare the same statement share it. Each costs its server some tens of kilobytes for a plan.',
    reloadable: true,
  }),
  poolQueue: count({
    variable: 'PPROX_POOL_QUEUE',
    default: 1_000,
    min: 0,
    max: 1_000_000,
    doc: 'Sessions that may wait for a connection to one server; one more gets 53300. As many as there may be clients, so that by default only the time of waiting is limited.',
    reloadable: true,
  }),
  poolWaitMs: duration({
    variable: 'PPROX_POOL_WAIT',
    default: 10 * second,
    min: 10,
    max: hour,
    doc: 'A session that has waited this long for a connection gets 53300. Longer than a burst lasts, shorter than the patience of most applications.',
    reloadable: true,
  }),
  poolIdleMs: duration({
    variable: 'PPROX_POOL_IDLE',
    default: 10 * minute,
    min: second,
    max: day,
    doc: 'A connection to a server that nobody has used for this long is closed. Connecting again costs milliseconds, an idle connection costs the server memory.',
    reloadable: true,
  }),
  poolLifetimeMs: duration({
    variable: 'PPROX_POOL_LIFETIME',
    default: hour,
    min: second,
    max: 7 * day,
    doc: 'A connection to a server is replaced after this time, between two transactions. PostgreSQL backends keep the caches that they have filled; an hour bounds them.',
    reloadable: true,
  }),
  connectTimeoutMs: duration({
    variable: 'PPROX_CONNECT_TIMEOUT',
    default: 5 * second,
    min: 10,
    max: 10 * minute,
    doc: 'Reaching a server and finishing its start-up, where the DSN has no connect_timeout. Two lost SYN packets are repeated within it.',
    reloadable: true,
  }),
  startupTimeoutMs: duration({
    variable: 'PPROX_STARTUP_TIMEOUT',
    default: 30 * second,
    min: 10,
    max: 10 * minute,
    doc: "A client's start-up, from accept to the end of its authentication. Long enough to type a password, half of PostgreSQL's authentication_timeout.",
    reloadable: true,
  }),
  followerLockTimeoutMs: duration({
    variable: 'PPROX_FOLLOWER_LOCK_TIMEOUT',
    default: 5 * second,
    min: 1,
    max: hour,
    doc: 'lock_timeout on followers: a wait for a lock there that the lead did not have. The lead has ordered conflicting transactions already, so a longer wait is for what the lead does not know of, and is ended with 40001.',
    reloadable: true,
  }),
  deadlockTimeoutMs: duration({
    variable: 'PPROX_DEADLOCK_TIMEOUT',
    default: second,
    min: 10,
    max: hour,
    doc: 'A statement that a writer has not answered for this long may be in a deadlock with others on another writer: every writer is asked who waits for whom, each time as long again, and a circle is ended with 40P01. As long as PostgreSQL waits with its own deadlock_timeout.',
    reloadable: false,
  }),
  followerTimeoutMs: duration({
    variable: 'PPROX_FOLLOWER_TIMEOUT',
    default: 30 * second,
    min: 10,
    max: hour,
    doc: 'A follower, or a step of a commit, that says nothing for this long is taken for dead. Must be longer than PPROX_FOLLOWER_LOCK_TIMEOUT; raise it for statements that take longer on a follower.',
    reloadable: true,
  }),
  healthIntervalMs: duration({
    variable: 'PPROX_HEALTH_INTERVAL',
    default: second,
    min: 10,
    max: hour,
    doc: 'How often each server is looked at: role, timeline, replay position. One cheap query a second and server, and an outage is noticed within the next second.',
    reloadable: true,
  }),
  readerFailure: choice({
    variable: 'PPROX_READER_FAILURE',
    default: 'lead',
    choices: ['lead', 'error'],
    doc: 'Reads while the reader is down: served by the lead, or an error for the client. The lead, because it has everything; an error where it could not carry the load.',
    reloadable: true,
  }),
  writerDown: choice({
    variable: 'PPROX_WRITER_DOWN',
    default: 'fail',
    choices: ['fail'],
    refused: { degraded: 'going on without a writer comes with a later version, in which a writer can rejoin' },
    doc: 'Writes while a writer is down: `fail` refuses them at once, before any server has run them, and reads go on. There is no other choice yet: a writer that misses a write has to be made alike again before it counts.',
    reloadable: false,
  }),
  sequenceBlock: count({
    variable: 'PPROX_SEQUENCE_BLOCK',
    default: 1_000,
    min: 1,
    max: 1_000_000_000,
    doc: "Followers' sequences are kept this many increments ahead of the lead's. One extra statement for every thousand values, and a gap of at most that size after a change of the lead.",
    reloadable: true,
  }),
  drainMs: duration({
    variable: 'PPROX_DRAIN',
    default: 10 * second,
    min: 0,
    max: hour,
    doc: 'SIGTERM: how long transactions in flight may take to end before their connections are closed. Docker kills a container after 10 s: give it longer than this (--stop-timeout), or lower this.',
    reloadable: true,
  }),
  followerPace: choice({
    variable: 'PPROX_FOLLOWER_PACE',
    default: 'trailing',
    choices: ['trailing', 'lockstep'],
    doc: 'Inside BEGIN … COMMIT: with `trailing` a client is answered when the lead has run a statement, the followers come behind, and what goes wrong there is told with the next statement or COMMIT; with `lockstep` each statement is answered when every writer has run it.',
    reloadable: false,
  }),
  unproven: choice({
    variable: 'PPROX_UNPROVEN',
    default: 'accept',
    choices: ['accept', 'refuse'],
    doc: 'What a function, procedure or trigger has done on every writer by itself and cannot be compared (rows of tables that the role may not read, or of more than 64 MB and neither found by a key nor new at the end; objects that it makes): with `accept` the number of rows has to be the same, and the log names it; with `refuse` the statement is rolled back with 0A000.',
    reloadable: false,
  }),
  commitMode: choice({
    variable: 'PPROX_COMMIT_MODE',
    default: 'two-phase',
    choices: ['two-phase', 'one-phase'],
    doc: 'How a transaction becomes durable on all writers: `two-phase` holds whatever is lost at whatever moment, and needs `pprox init` on the lead and max_prepared_transactions on the followers; with `one-phase` a crash between the commits of two writers leaves them different.',
    reloadable: false,
  }),
  commitTimeoutMs: duration({
    variable: 'PPROX_COMMIT_TIMEOUT',
    default: 10 * second,
    min: 10,
    max: hour,
    doc: 'A client whose COMMIT was under way when the lead was lost waits this long for the outcome, then gets 08007. Long enough for a restart of the lead, shorter than the patience of most applications.',
    reloadable: true,
  }),
  recoveryIntervalMs: duration({
    variable: 'PPROX_RECOVERY_INTERVAL',
    default: second,
    min: 10,
    max: hour,
    doc: 'How often followers are looked at for prepared transactions that nobody will end. One cheap query a second and follower; what a crash has left holds its locks until then.',
    reloadable: true,
  }),
  recoveryGraceMs: duration({
    variable: 'PPROX_RECOVERY_GRACE',
    default: 5 * second,
    min: 0,
    max: hour,
    doc: "A prepared transaction of another pprox process that is younger than this is left alone, because that process is at work on it. Longer than a commit takes; a crashed process's locks are held for as long.",
    reloadable: true,
  }),
  recoveryAlarmMs: duration({
    variable: 'PPROX_RECOVERY_ALARM',
    default: minute,
    min: second,
    max: day,
    doc: 'A transaction that could not be ended for this long is told to the operator, once, as an error in the log; a session of the lead that has kept its decision open for so long, without a word, is ended. Longer than a restart of a server takes, shorter than locks and vacuum can be held up unnoticed.',
    reloadable: true,
  }),
  decisionRetentionMs: duration({
    variable: 'PPROX_DECISION_RETENTION',
    default: hour,
    min: minute,
    max: 365 * day,
    doc: 'Decisions are kept on the lead for this long at least, so that `pprox.outcome()` can be asked and a follower can come back from an outage. An hour of 1,000 transactions a second is some 400 MB; make it longer where a follower may be restored from a backup.',
    reloadable: true,
  }),
} satisfies { readonly [K in keyof Settings]: Field<Settings[K]> };

export const logLevel = choice<Config['logLevel']>({
  variable: 'PPROX_LOG_LEVEL',
  default: 'info',
  choices: ['debug', 'info', 'warn', 'error'],
  doc: 'The least severe log lines that are written, as JSON on standard error. `info` has a line for each connection event, none for a statement.',
  reloadable: true,
});

export const dataDir = folder({
  variable: 'PPROX_DATA_DIR',
  doc: 'Where the demo keeps its three servers, so that they are there at the next start; a temporary folder where it is not set. Without effect once DSNs are set.',
  reloadable: false,
});

const addresses: readonly Variable[] = [
  {
    variable: 'PROXY_ADDR',
    type: 'address',
    default: ':54329',
    accepts: '`:port`, `*:port`, `host:port`, `[::1]:port`, or the absolute path of a Unix socket or of its folder',
    doc: 'Where clients connect. Every address of the machine by default, because clients are mostly elsewhere; the demo without it listens on 127.0.0.1 only.',
    reloadable: false,
  },
  {
    variable: 'PG_WRITERS_CSV',
    type: 'DSNs, comma-separated',
    default: undefined,
    accepts: 'one or more DSNs; the first is the lead',
    doc: 'The servers that every write is applied to. Without it and without PG_READER_DSN the demo is started.',
    reloadable: false,
  },
  {
    variable: 'PG_READER_DSN',
    type: 'DSN',
    default: undefined,
    accepts: 'one DSN',
    doc: 'The server that reads go to; where it is not set the lead reads.',
    reloadable: false,
  },
];

/** In the order of the documentation. */
export const variables: readonly Variable[] = [...addresses, logLevel, dataDir, ...Object.values(settings)];
