/** `npm run bench`: pgbench on the lead itself, through pprox, and through what else is installed, taking turns. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { type Cluster, startCluster } from '../src/embedded/cluster.ts';
import type { Server } from '../src/embedded/server.ts';
import { cpuSeconds } from './cpu.ts';
import { type BenchOptions, parseOptions, usage } from './options.ts';
import { count, countsTable } from './counts.ts';
import { OWN_TABLES, pgbench } from './pgbench.ts';
import { findProgram } from './process.ts';
import { facts, type Measurement, table, titles } from './report.ts';
import { databaseOf, leadSql, run, type Site, startSubject, type Subject } from './subjects.ts';

const progress = (line: string): void => void process.stderr.write(`${line}\n`);

/** The exit status. */
export async function bench(args: readonly string[]): Promise<number> {
  let options: BenchOptions | 'help';
  try {
    options = parseOptions(args);
  } catch (error) {
    progress(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    return 2;
  }
  if (options === 'help') {
    console.log(usage);
    return 0;
  }
  const program = findProgram('pgbench');
  if (program === undefined || process.platform !== 'linux') {
    progress('The bench needs Linux and pgbench (scripts/install-clients.sh bench installs it).');
    return 1;
  }
  const abort = new AbortController();
  const onSignal = (): void => abort.abort(new Error('interrupted'));
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  let cluster: Cluster | undefined;
  const folder = mkdtempSync(join(tmpdir(), 'pprox-bench-'));
  chmodSync(folder, 0o755);
  const subjects: Subject[] = [];
  try {
    const { durability } = options;
    cluster = await startCluster({
      writers: 2,
      reader: true,
      durability,
      leadSql,
      onProgress: progress,
      signal: abort.signal,
    });
    const [lead, follower] = cluster.writers;
    if (lead === undefined || follower === undefined) throw new Error('the cluster has two writers');
    const clients = Math.max(...options.clients);
    const { scale } = options;
    const site: Site = {
      servers: { lead, follower },
      ...{ lead, follower, reader: cluster.reader, folder, clients, scale, suffix: '' },
    };
    await delayFlushes(site, options.flushDelayUs);
    // Nobody may be connected to what is copied.
    await fill(program, site, options);
    for (const name of options.subjects) {
      abort.signal.throwIfAborted();
      const subject = await startSubject(name, site);
      if (subject === undefined) progress(`${name} is not installed, and left out`);
      else subjects.push(subject);
    }
    const head = facts(options, versions(program, lead, subjects));
    await warmUp(program, subjects, options, abort.signal);
    const measurements = await measure(program, subjects, options, abort.signal);
    console.log(`${head}\n\n${table(measurements, options)}`);
    if (options.counts === 'yes') {
      progress('counting');
      const names = subjects.map(({ name }) => name);
      const writing = options.workloads.filter((workload) => workload !== 'select-only');
      console.log(countsTable(await count(program, site, names, writing), titles, options));
    }
    return 0;
  } catch (error) {
    progress(abort.signal.aborted ? 'interrupted' : String(error instanceof Error ? error.message : error));
    return 1;
  } finally {
    await Promise.all(subjects.map(async ({ daemon }) => daemon?.stop()));
    await cluster?.stop('immediate');
    rmSync(folder, { recursive: true, force: true });
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  }
}

/** Of both writers: whoever flushes the log waits first, however few others are under way. */
async function delayFlushes({ servers: { lead, follower } }: Site, us: number): Promise<void> {
  if (us === 0) return;
  for (const { host, port } of [lead, follower]) {
    const client = new pg.Client({ host, port, user: 'postgres', database: 'postgres' });
    await client.connect();
    await client.query(`ALTER SYSTEM SET commit_delay = ${us}`);
    await client.query('ALTER SYSTEM SET commit_siblings = 0');
    await client.query('SELECT pg_reload_conf()');
    await client.end();
  }
}

/** A database for each subject, on both writers: what one of them leaves behind is not the next one's load. */
async function fill(program: string, site: Site, options: BenchOptions): Promise<void> {
  progress(
    `filling ${options.subjects.length} databases of ${(options.scale * 100_000).toLocaleString('en-US')} accounts`,
  );
  for (const { port, host } of [site.servers.lead, site.servers.follower]) {
    await pgbench(program, { port, database: 'postgres' }, ['-i', '-q', '-s', String(options.scale)]);
    const own = new pg.Client({ host, port, user: 'postgres', database: 'postgres' });
    await own.connect();
    await own.query(OWN_TABLES);
    await own.end();
    const client = new pg.Client({ host, port, user: 'postgres', database: 'template1' });
    await client.connect();
    for (const name of options.subjects) await client.query(`CREATE DATABASE ${databaseOf(name)} TEMPLATE postgres`);
    await client.query('CHECKPOINT');
    await client.end();
  }
}

/** A JIT compiles, pools fill, caches of catalogs too: none of it is measured. */
async function warmUp(
  program: string,
  subjects: readonly Subject[],
  options: BenchOptions,
  signal: AbortSignal,
): Promise<void> {
  progress('warming up');
  const load = { clients: Math.max(...options.clients), until: { seconds: 1 } };
  for (const subject of subjects) {
    for (const workload of options.workloads) {
      signal.throwIfAborted();
      if (subject.workloads.includes(workload)) await run(program, subject, databaseOf(subject.name), workload, load);
    }
  }
}

async function measure(
  program: string,
  subjects: readonly Subject[],
  options: BenchOptions,
  signal: AbortSignal,
): Promise<readonly Measurement[]> {
  const measurements: Measurement[] = [];
  for (let round = 1; round <= options.rounds; round += 1) {
    for (const workload of options.workloads) {
      for (const clients of options.clients) {
        // Who comes first changes, so that nobody always runs on what another left behind.
        for (const subject of [
          ...subjects.slice(round % subjects.length),
          ...subjects.slice(0, round % subjects.length),
        ]) {
          signal.throwIfAborted();
          if (!subject.workloads.includes(workload)) continue;
          const pid = subject.daemon?.pid;
          const before = pid === undefined ? 0 : cpuSeconds(pid);
          const load = { clients, until: { seconds: options.seconds } };
          const done = await run(program, subject, databaseOf(subject.name), workload, load);
          const used = pid === undefined ? undefined : cpuSeconds(pid) - before;
          const cpuMicros = used === undefined ? undefined : (used * 1e6) / done.transactions;
          measurements.push({ ...done, workload, clients, round, subject: subject.name, cpuMicros });
          const cpu = cpuMicros === undefined ? '' : `, ${cpuMicros.toFixed(0)} µs of the proxy's CPU each`;
          progress(`round ${round}: ${workload}, ${clients} clients, ${subject.name}: ${done.tps.toFixed(0)}/s${cpu}`);
        }
      }
    }
  }
  return measurements;
}

function versions(program: string, lead: Server, subjects: readonly Subject[]): readonly string[] {
  const found = [`PostgreSQL ${lead.major}`, firstLine(program)];
  for (const { name } of subjects) {
    const file = name === 'pgbouncer' || name === 'pgpool' ? findProgram(name) : undefined;
    if (file !== undefined) found.push(firstLine(file));
  }
  return found;
}

/** Of what it says of its version, on either stream. */
function firstLine(file: string): string {
  const { stdout, stderr } = spawnSync(file, ['--version'], { encoding: 'utf8' });
  return `${stdout}${stderr}`.trim().split('\n')[0] ?? file;
}
