/**
 * `npm run bench -- copy`: COPY into and out of the lead itself, both writers at once, and pprox, taking turns.
 *
 * "Both writers at once" is what two writers on one machine can take: the bound for anything that writes to both.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { type Cluster, startCluster } from '../src/embedded/cluster.ts';
import type { Server } from '../src/embedded/server.ts';
import { CopyClient, makeBlock, type Messages } from './copy-client.ts';
import { cpuSeconds } from './cpu.ts';
import { spread } from './report.ts';
import { leadSql, startSubject, type Subject } from './subjects.ts';

const usage = `npm run bench -- copy [options]

  --megabytes N    of rows in one measurement (200)
  --rounds N       how often everything is measured (5)`;

const progress = (line: string): void => void process.stderr.write(`${line}\n`);

const subjects = ['the lead, direct', 'both writers at once, direct', 'pprox, two writers'] as const;
type SubjectName = (typeof subjects)[number];
const workloads = ['COPY FROM STDIN, messages of 8 KB', 'COPY FROM STDIN, a message a row', 'COPY TO STDOUT'] as const;
type Workload = (typeof workloads)[number];

interface Measurement {
  readonly workload: Workload;
  readonly subject: SubjectName;
  readonly round: number;
  readonly megabytesPerSecond: number;
  /** Of the proxy, for each megabyte; undefined where there is none. */
  readonly cpuMs: number | undefined;
}

interface Site {
  readonly lead: Server;
  readonly follower: Server;
  readonly pprox: Subject;
}

/** The exit status. */
export async function benchCopy(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      megabytes: { type: 'string', default: '200' },
      rounds: { type: 'string', default: '5' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const megabytes = Number(values.megabytes);
  const rounds = Number(values.rounds);
  if (values.help || !(megabytes >= 1 && megabytes <= 2000) || !(rounds >= 1 && rounds <= 100)) {
    console.log(usage);
    return values.help ? 0 : 2;
  }
  const folder = mkdtempSync(join(tmpdir(), 'pprox-bench-'));
  chmodSync(folder, 0o755);
  let cluster: Cluster | undefined;
  let pprox: Subject | undefined;
  try {
    cluster = await startCluster({ writers: 2, reader: false, durability: 'none', leadSql, onProgress: progress });
    const [lead, follower] = cluster.writers;
    if (lead === undefined || follower === undefined) throw new Error('the cluster has two writers');
    pprox = await startSubject('pprox', {
      servers: { lead, follower },
      ...{ lead, follower, reader: undefined, folder, clients: 1, scale: 1, suffix: '' },
    });
    if (pprox === undefined) throw new Error('pprox did not start');
    const head = facts(megabytes, rounds, lead);
    const measurements = await measure({ lead, follower, pprox }, megabytes, rounds);
    console.log(`${head}\n\n${workloads.map((workload) => section(measurements, workload)).join('\n')}`);
    return 0;
  } finally {
    await pprox?.daemon?.stop();
    await cluster?.stop('immediate');
    rmSync(folder, { recursive: true, force: true });
  }
}

const TABLE = 'copied';

async function run(server: Server, ...texts: readonly string[]): Promise<void> {
  const client = new pg.Client({ host: server.host, port: server.port, user: 'postgres', database: 'postgres' });
  await client.connect();
  for (const text of texts) await client.query(text);
  await client.end();
}

async function measure(site: Site, megabytes: number, rounds: number): Promise<readonly Measurement[]> {
  const writers = [site.lead, site.follower];
  for (const writer of writers) await run(writer, `CREATE TABLE ${TABLE} (id int, n int, words text)`);
  const measurements: Measurement[] = [];
  // Round 0 is not counted: a JIT compiles, files are made.
  for (let round = 0; round <= rounds; round += 1) {
    for (const workload of workloads) {
      const own = subjectsOf(workload);
      const turn = round % own.length;
      for (const subject of [...own.slice(turn), ...own.slice(0, turn)]) {
        if (workload !== 'COPY TO STDOUT')
          for (const writer of writers) await run(writer, `TRUNCATE ${TABLE}`, 'CHECKPOINT');
        const pid = site.pprox.daemon?.pid ?? 0;
        const before = cpuSeconds(pid);
        const started = performance.now();
        const moved = await copy(site, workload, subject, megabytes);
        const seconds = (performance.now() - started) / 1000;
        const cpuMs = subject === 'pprox, two writers' ? ((cpuSeconds(pid) - before) * 1000) / moved : undefined;
        const megabytesPerSecond = moved / seconds;
        progress(`round ${round}: ${workload}: ${subject}: ${megabytesPerSecond.toFixed(0)} MB/s`);
        if (round > 0) measurements.push({ workload, subject, round, megabytesPerSecond, cpuMs });
      }
    }
  }
  return measurements;
}

/** What is read comes from one server. */
const subjectsOf = (workload: Workload): readonly SubjectName[] =>
  workload === 'COPY TO STDOUT' ? subjects.filter((name) => name !== 'both writers at once, direct') : subjects;

const portsOf = ({ lead, follower, pprox }: Site, subject: SubjectName): readonly number[] => {
  if (subject === 'the lead, direct') return [lead.port];
  return subject === 'pprox, two writers' ? [pprox.port] : [lead.port, follower.port];
};

/** Megabytes (10^6) that each client has moved. What the last COPY into them has left is read. */
async function copy(site: Site, workload: Workload, subject: SubjectName, megabytes: number): Promise<number> {
  const clients = await Promise.all(portsOf(site, subject).map((port) => CopyClient.open(port, 'postgres')));
  let moved = 0;
  if (workload === 'COPY TO STDOUT') {
    await Promise.all(clients.map((client) => client.copyOut(TABLE)));
    moved = clients[0]?.receivedBytes ?? 0;
  } else {
    const messages: Messages = workload === 'COPY FROM STDIN, a message a row' ? 'a row' : '8 KB';
    const block = makeBlock(messages);
    const times = Math.ceil((megabytes * 1e6) / block.dataBytes);
    await Promise.all(clients.map((client) => client.copyIn(TABLE, block, times)));
    moved = times * block.dataBytes;
  }
  for (const client of clients) client.end();
  return moved / 1e6;
}

function section(measurements: readonly Measurement[], workload: Workload): string {
  const own = measurements.filter((one) => one.workload === workload);
  const speed = (round: number, name: SubjectName): number =>
    own.find((one) => one.round === round && one.subject === name)?.megabytesPerSecond ?? Number.NaN;
  const rows = subjectsOf(workload).map((subject) => {
    const runs = own.filter((one) => one.subject === subject);
    const ratios = (base: SubjectName): string =>
      spread(
        runs.map(({ round }) => speed(round, subject) / speed(round, base)),
        2,
      );
    const speeds = spread(
      runs.map(({ megabytesPerSecond }) => megabytesPerSecond),
      0,
    );
    const cpu = runs.flatMap(({ cpuMs }) => cpuMs ?? []);
    const bound = workload === 'COPY TO STDOUT' ? '–' : ratios('both writers at once, direct');
    const cells = [subject, speeds, ratios('the lead, direct'), bound, cpu.length === 0 ? '–' : spread(cpu, 1)];
    return `| ${cells.join(' | ')} |`;
  });
  const head = `| ${workload} | MB/s | of the lead | of both at once | proxy CPU, ms a MB |`;
  return `${head}\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

function facts(megabytes: number, rounds: number, lead: Server): string {
  const [cpu] = cpus();
  return [
    `- ${cpus().length} × ${cpu?.model ?? 'unknown CPU'}, load average ${loadavg()[0]?.toFixed(1) ?? '?'} at the start`,
    `- ${process.platform} ${release()}, Node.js ${process.version}, PostgreSQL ${lead.major}`,
    '- client, servers and proxy on this machine, over loopback; a table without an index; fsync is off',
    `- ${rounds} interleaved rounds of ${megabytes} MB in rows of 100 bytes; median (least–greatest)`,
  ].join('\n');
}
