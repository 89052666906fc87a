/** Measurements as a table for people. */
import { cpus, loadavg, release } from 'node:os';
import { type BenchOptions, type SubjectName, subjectNames, type Workload } from './options.ts';
import type { Run } from './pgbench.ts';

export interface Measurement extends Run {
  readonly workload: Workload;
  readonly clients: number;
  readonly round: number;
  readonly subject: SubjectName;
  /** CPU of the proxy for one transaction; undefined where there is none. */
  readonly cpuMicros: number | undefined;
}

export const titles: Readonly<Record<SubjectName, string>> = {
  direct: 'the lead, direct',
  'both-direct': 'both writers at once, direct',
  'by-hand': 'two phases by hand, no proxy, two writers',
  pprox: 'pprox, two writers and a reader',
  'pprox-one-phase': 'the same, committing in one phase',
  'same-text': 'the same in two phases, the same text always',
  pgbouncer: 'PgBouncer, one server',
  pgpool: 'Pgpool-II, native replication, two servers',
};

/** One table for each workload and number of clients; medians of the rounds, with least and greatest. */
export function table(measurements: readonly Measurement[], options: BenchOptions): string {
  const parts: string[] = [];
  for (const workload of options.workloads) {
    for (const clients of options.clients) {
      const own = measurements.filter((one) => one.workload === workload && one.clients === clients);
      if (own.length > 0) parts.push(section(own, `${workload}, ${clients} ${clients === 1 ? 'client' : 'clients'}`));
    }
  }
  return parts.join('\n');
}

function section(own: readonly Measurement[], title: string): string {
  const measured = subjectNames.filter((name) => own.some(({ subject }) => subject === name));
  const rows = measured.map((subject) => {
    const runs = own.filter((one) => one.subject === subject);
    const ratios = runs.flatMap(({ round, tps }) => {
      const base = own.find((one) => one.subject === 'direct' && one.round === round);
      return base === undefined ? [] : [tps / base.tps];
    });
    const cpu = runs.flatMap(({ cpuMicros }) => cpuMicros ?? []);
    const cells = [
      titles[subject],
      spread(
        runs.map(({ tps }) => tps),
        0,
      ),
      spread(ratios, 2),
      spread(
        runs.map(({ latencyMs }) => latencyMs),
        2,
      ),
      cpu.length === 0 ? '–' : spread(cpu, 0),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const head = `| ${title} | transactions/s | of direct | latency, ms | proxy CPU, µs a transaction |`;
  return `${head}\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
}

/** `median (least–greatest)` */
export function spread(values: readonly number[], digits: number): string {
  const sorted = [...values].sort((a, b) => a - b);
  const show = (value: number | undefined): string =>
    (value ?? 0).toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  if (sorted.length === 0) return '–';
  const upper = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  return `${show((upper + lower) / 2)} (${show(sorted[0])}–${show(sorted.at(-1))})`;
}

/** What the figures depend on. */
export function facts(options: BenchOptions, versions: readonly string[]): string {
  const [cpu] = cpus();
  const delay = options.flushDelayUs === 0 ? '' : `; each flush of the log is made ${options.flushDelayUs} µs longer`;
  const lines = [
    `${cpus().length} × ${cpu?.model ?? 'unknown CPU'}, load average ${loadavg()[0]?.toFixed(1) ?? '?'} at the start`,
    `${process.platform} ${release()}, Node.js ${process.version}, ${versions.join(', ')}`,
    `pgbench and every server and proxy on this machine, over loopback; simple protocol; scale ${options.scale}`,
    `${options.rounds} interleaved rounds of ${options.seconds} s; median (least–greatest)`,
    options.durability === 'none'
      ? 'fsync is off: a disk would hide what a proxy costs'
      : `fsync is on: what the disk takes is in the figures${delay}`,
  ];
  return lines.map((line) => `- ${line}`).join('\n');
}
