/** What `npm run bench` is asked to do. */
import { parseArgs } from 'node:util';

export const subjectNames = [
  'direct',
  'both-direct',
  'by-hand',
  'pprox',
  'pprox-one-phase',
  'same-text',
  'pgbouncer',
  'pgpool',
] as const;
export type SubjectName = (typeof subjectNames)[number];

export const workloads = [
  'select-only',
  'simple-update',
  'autocommit-update',
  'five-updates',
  'tpcb-like',
  'serial-insert',
  'range-update',
  'trigger-update',
  'keyless-update',
  'function-update',
  'two-inserts',
] as const;
export type Workload = (typeof workloads)[number];

export interface BenchOptions {
  /** How often everything is measured; the subjects take turns within a round. */
  readonly rounds: number;
  /** Of one measurement. */
  readonly seconds: number;
  readonly clients: readonly number[];
  /** Of pgbench: 100,000 accounts each. */
  readonly scale: number;
  /** Those that are installed. */
  readonly subjects: readonly SubjectName[];
  readonly workloads: readonly Workload[];
  /** `full`: the servers flush to disk at each commit. */
  readonly durability: 'full' | 'none';
  /** PostgreSQL's commit_delay, in µs: every flush of the log takes as much longer, as on a disk that is slower than this one. */
  readonly flushDelayUs: number;
  /** Whether round trips and flushes are counted as well. */
  readonly counts: 'no' | 'yes';
}

export const usage = `npm run bench -- [options]

  --rounds N          how often everything is measured (4)
  --seconds N         length of one measurement (2)
  --clients N,N       numbers of clients (1,16)
  --scale N           pgbench's scale, 100,000 accounts each (5)
  --subjects A,B      of ${subjectNames.join(', ')}
                      (all that are installed, same-text aside)
  --workloads A,B     of ${workloads.join(', ')} (the first four)
  --durability D      full or none: whether the servers flush to disk (none)
  --flush-delay US    makes every flush so many µs longer, as a slower disk would (0); with --durability full
  --counts            also count round trips and flushes of the log

npm run bench -- copy --help tells of COPY, npm run bench -- decisions --help of the table of decisions.`;

/** Throws an Error with a message for the user. */
export function parseOptions(args: readonly string[]): BenchOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: 'string', default: '4' },
      seconds: { type: 'string', default: '2' },
      clients: { type: 'string', default: '1,16' },
      scale: { type: 'string', default: '5' },
      subjects: { type: 'string', default: subjectNames.filter((name) => name !== 'same-text').join(',') },
      workloads: { type: 'string', default: workloads.slice(0, 4).join(',') },
      durability: { type: 'string', default: 'none' },
      'flush-delay': { type: 'string' },
      counts: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    rounds: count('rounds', values.rounds, 100),
    seconds: count('seconds', values.seconds, 600),
    clients: values.clients.split(',').map((text) => count('clients', text, 100)),
    scale: count('scale', values.scale, 1000),
    subjects: chosen('subjects', values.subjects, subjectNames),
    workloads: chosen('workloads', values.workloads, workloads),
    flushDelayUs: values['flush-delay'] === undefined ? 0 : count('flush-delay', values['flush-delay'], 100_000),
    counts: values.counts ? 'yes' : 'no',
    durability: chosen('durability', values.durability, ['full', 'none'] as const)[0] ?? 'none',
  };
}

function count(name: string, text: string, most: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > most) {
    throw new Error(`--${name} takes whole numbers from 1 to ${most}, not "${text}"`);
  }
  return value;
}

function chosen<T extends string>(name: string, text: string, known: readonly T[]): readonly T[] {
  return text.split(',').map((word) => {
    const found = known.find((one) => one === word.trim());
    if (found === undefined) throw new Error(`--${name} takes ${known.join(', ')}, not "${word}"`);
    return found;
  });
}
