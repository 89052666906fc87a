/** What is measured: the lead itself, pprox, and other proxies, each a process of its own in front of the same servers. */
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { grants, SCHEMA } from '../src/commit/decisions.ts';
import { serverAccount, spawnOptions } from '../src/embedded/account.ts';
import { freePorts } from '../src/embedded/ports.ts';
import type { Server } from '../src/embedded/server.ts';
import { type Load, runByHand } from './by-hand.ts';
import { type SubjectName, type Workload, workloads } from './options.ts';
import { type Run, runPgbench, statementsOf } from './pgbench.ts';
import { type Daemon, findProgram, startDaemon } from './process.ts';

export interface Place {
  readonly host: string;
  readonly port: number;
}

export interface Subject {
  readonly name: SubjectName;
  readonly workloads: readonly Workload[];
  /** For clients; the lead's where there is no proxy. */
  readonly port: number;
  readonly site: Site;
  /** Of the proxy; undefined where there is none. */
  readonly daemon: Daemon | undefined;
}

export interface Site {
  readonly servers: { readonly lead: Server; readonly follower: Server };
  /** Where they are reached. */
  readonly lead: Place;
  readonly follower: Place;
  /** Undefined: the lead reads. */
  readonly reader: Place | undefined;
  /** For configuration files; other accounts may enter it. */
  readonly folder: string;
  /** Most clients at once. */
  readonly clients: number;
  readonly scale: number;
  /** Of folders. */
  readonly suffix: string;
}

export function databaseOf(name: SubjectName): string {
  return `bench_${name.replaceAll('-', '_')}`;
}

/** One run of a workload. Rejects where a transaction fails. */
export async function run(
  program: string,
  subject: Subject,
  database: string,
  workload: Workload,
  load: Load,
): Promise<Run> {
  const { site } = subject;
  const at = (port: number): Promise<Run> => runPgbench(program, { port, database }, workload, site, load);
  switch (subject.name) {
    case 'both-direct': {
      // What the slower of the two takes.
      const [one, other] = await Promise.all([at(site.lead.port), at(site.follower.port)]);
      return one.tps < other.tps ? one : other;
    }
    case 'by-hand': {
      const statements = statementsOf(workload, site.scale);
      if (statements === undefined) throw new Error(`${workload} is not done by hand`);
      return runByHand(site, database, { statements }, load);
    }
    default:
      return at(subject.port);
  }
}

/** Undefined where its program is not installed. Throws where it does not start. */
export async function startSubject(name: SubjectName, site: Site): Promise<Subject | undefined> {
  switch (name) {
    case 'direct':
      return { name, workloads, port: site.lead.port, site, daemon: undefined };
    case 'both-direct':
      return { name, workloads: WRITES, port: site.lead.port, site, daemon: undefined };
    case 'by-hand': {
      const own = WRITES.filter((workload) => statementsOf(workload, site.scale) !== undefined);
      return { name, workloads: own, port: site.lead.port, site, daemon: undefined };
    }
    case 'pprox':
      return startPprox(name, 'two-phase', site);
    case 'pprox-one-phase':
      return startPprox(name, 'one-phase', site);
    case 'same-text':
      return startPprox(name, 'two-phase', site);
    case 'pgbouncer':
      return startPgBouncer(site);
    default:
      return startPgpool(site);
  }
}

/** What `pprox init` makes, in the databases that are made here. */
export const leadSql: readonly string[] = [...SCHEMA, ...grants('PUBLIC')];

const WRITES = workloads.filter((workload) => workload !== 'select-only');

const dsn = (server: Place): string => `postgresql://postgres@${server.host}:${server.port}`;

async function startPprox(name: SubjectName, mode: 'two-phase' | 'one-phase', site: Site): Promise<Subject> {
  const [port = 0] = await freePorts(1);
  const main =
    name === 'same-text'
      ? join(import.meta.dirname, 'same-text-proxy.js')
      : join(import.meta.dirname, '..', 'src', 'main.js');
  const { reader } = site;
  const daemon = await startDaemon(process.execPath, [main], port, {
    cwd: site.folder,
    env: {
      PATH: process.env['PATH'],
      PROXY_ADDR: `127.0.0.1:${port}`,
      PG_WRITERS_CSV: `${dsn(site.lead)},${dsn(site.follower)}`,
      ...(reader === undefined ? {} : { PG_READER_DSN: dsn(reader) }),
      PPROX_COMMIT_MODE: mode,
      PPROX_LOG_LEVEL: 'warn',
    },
  });
  return { name, workloads, port, site, daemon };
}

/** In front of the lead alone, pooling by transaction. */
async function startPgBouncer(site: Site): Promise<Subject | undefined> {
  const program = findProgram('pgbouncer');
  if (program === undefined) return undefined;
  const [port = 0] = await freePorts(1);
  const folder = ownFolder(site, 'pgbouncer');
  writeFileSync(join(folder, 'users.txt'), '"postgres" ""\n');
  writeFileSync(
    join(folder, 'pgbouncer.ini'),
    `[databases]
* = host=${site.lead.host} port=${site.lead.port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${join(folder, 'users.txt')}
pool_mode = transaction
default_pool_size = 40
max_client_conn = ${site.clients + 50}
logfile =
pidfile = ${join(folder, 'pgbouncer.pid')}
log_connections = 0
log_disconnections = 0
`,
  );
  const options = { ...spawnOptions(serverAccount()), detached: false, cwd: folder };
  return {
    name: 'pgbouncer',
    workloads,
    port,
    site,
    daemon: await startDaemon(program, ['pgbouncer.ini'], port, options),
  };
}

/** In front of both writers, native replication: it sends every write to both, and reads to one. */
async function startPgpool(site: Site): Promise<Subject | undefined> {
  const program = findProgram('pgpool');
  if (program === undefined) return undefined;
  const [port = 0, pcpPort = 0] = await freePorts(2);
  const folder = ownFolder(site, 'pgpool');
  const backends = [site.lead, site.follower].map(
    (server, index) => `backend_hostname${index} = '${server.host}'
backend_port${index} = ${server.port}
backend_weight${index} = 1
backend_flag${index} = 'DISALLOW_TO_FAILOVER'
`,
  );
  writeFileSync(
    join(folder, 'pgpool.conf'),
    `backend_clustering_mode = 'native_replication'
${backends.join('')}listen_addresses = '127.0.0.1'
port = ${port}
pcp_port = ${pcpPort}
socket_dir = '${folder}'
pcp_socket_dir = '${folder}'
wd_ipc_socket_dir = '${folder}'
pid_file_name = '${join(folder, 'pgpool.pid')}'
logdir = '${folder}'
work_dir = '${folder}'
memqcache_oiddir = '${folder}'
num_init_children = ${site.clients + 16}
max_pool = 1
enable_pool_hba = off
health_check_period = 0
log_min_messages = warning
`,
  );
  writeFileSync(join(folder, 'pcp.conf'), '');
  const options = { ...spawnOptions(serverAccount()), detached: false, cwd: folder };
  const args = ['-n', '-f', join(folder, 'pgpool.conf'), '-F', join(folder, 'pcp.conf')];
  return { name: 'pgpool', workloads, port, site, daemon: await startDaemon(program, args, port, options) };
}

/** A folder that belongs to the account that the servers run under: these proxies refuse to run as root, too. */
function ownFolder(site: Site, name: string): string {
  const folder = join(site.folder, `${name}${site.suffix}`);
  mkdirSync(folder);
  chmodSync(folder, 0o755);
  const account = serverAccount();
  if (account.kind === 'other') chownSync(folder, account.uid, account.gid);
  return folder;
}
