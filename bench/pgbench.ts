/** Runs of pgbench, and what they say. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Workload } from './options.ts';
import type { Load } from './by-hand.ts';

export interface Run {
  readonly transactions: number;
  /** Without the time that connecting took. */
  readonly tps: number;
  readonly latencyMs: number;
}

const BUILT_IN = {
  'select-only': 'select-only',
  'simple-update': 'simple-update',
  'tpcb-like': 'tpcb-like',
} as const satisfies Partial<Record<Workload, string>>;

/** Rows of pgbench_accounts for each unit of its scale. */
const ACCOUNTS = 100_000;

/** In place of a number: rows at random are changed, by their keys. */
const update = (aid: string): string => `UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = ${aid}`;

const UPDATES = { 'autocommit-update': 1, 'five-updates': 5 } as const satisfies Partial<Record<Workload, number>>;

/** The statements of a transaction, for who sends them itself. Undefined: pgbench makes them up. */
export function statementsOf(workload: Workload, scale: number): (() => readonly string[]) | undefined {
  if (workload === 'serial-insert') return () => [SERIAL_INSERT];
  if (!(workload in UPDATES)) return undefined;
  const count = UPDATES[workload as keyof typeof UPDATES];
  const aid = (): string => String(1 + Math.floor(Math.random() * ACCOUNTS * scale));
  return () => Array.from({ length: count }, () => update(aid()));
}

/** Made in the database that pgbench has filled, for the workloads below. */
export const OWN_TABLES = `CREATE TABLE bench_serial (id serial PRIMARY KEY, n int);
  CREATE TABLE bench_group (id int PRIMARY KEY, grp int, n int DEFAULT 0);
  CREATE INDEX ON bench_group (grp);
  INSERT INTO bench_group SELECT g, g / 5 FROM generate_series(1, 50000) g;
  CREATE TABLE bench_fired (id int PRIMARY KEY, n int DEFAULT 0, updated_at timestamptz);
  INSERT INTO bench_fired SELECT g FROM generate_series(1, 50000) g;
  CREATE FUNCTION bench_stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at := now(); RETURN NEW; END';
  CREATE TRIGGER stamp BEFORE UPDATE ON bench_fired FOR EACH ROW EXECUTE FUNCTION bench_stamp();
  CREATE TABLE bench_keyless (id int, n int DEFAULT 0);
  CREATE INDEX ON bench_keyless (id);
  INSERT INTO bench_keyless SELECT g FROM generate_series(1, 50000) g;
  CREATE FUNCTION bench_touch(one int) RETURNS void LANGUAGE plpgsql AS 'BEGIN UPDATE bench_group SET n = n + 1 WHERE id = one; END';
  CREATE TABLE bench_entry (id serial PRIMARY KEY, serial int)`;

const SERIAL_INSERT = 'INSERT INTO bench_serial (n) VALUES (1)';

const SCRIPTS: Partial<Record<Workload, string>> = {
  'serial-insert': `${SERIAL_INSERT};\n`,
  // Five rows, told by what is no key.
  'range-update': '\\set grp random(1, 9999)\nUPDATE bench_group SET n = n + 1 WHERE grp = :grp;\n',
  'trigger-update': '\\set id random(1, 50000)\nUPDATE bench_fired SET n = n + 1 WHERE id = :id;\n',
  // Its table is locked until the transaction ends, and what it leaves is compared.
  'keyless-update': '\\set id random(1, 50000)\nUPDATE bench_keyless SET n = n + 1 WHERE id = :id;\n',
  'function-update': '\\set id random(1, 50000)\nSELECT bench_touch(:id);\n',
  // Read back on the lead: the second needs the first one's id.
  'two-inserts':
    'WITH made AS (INSERT INTO bench_serial (n) VALUES (1) RETURNING id) INSERT INTO bench_entry (serial) SELECT id FROM made;\n',
};

/** The same for pgbench (manual, "pgbench", Custom Scripts). */
function scriptOf(workload: Workload): string | undefined {
  if (!(workload in UPDATES)) return SCRIPTS[workload];
  const lines = Array.from({ length: UPDATES[workload as keyof typeof UPDATES] }, (_, index) => [
    `\\set aid${index} random(1, ${ACCOUNTS} * :scale)`,
    `${update(`:aid${index}`)};`,
  ]);
  const [sets, updates] = [lines.map(([set]) => set), lines.map(([, text]) => text)];
  return [...sets, ...(updates.length > 1 ? ['BEGIN;', ...updates, 'END;'] : updates), ''].join('\n');
}

export interface Target {
  readonly port: number;
  readonly database: string;
}

/** Rejects where pgbench fails or a transaction did. */
export async function runPgbench(
  program: string,
  target: Target,
  workload: Workload,
  { scale, folder }: { readonly scale: number; readonly folder: string },
  load: Load,
): Promise<Run> {
  const own = scriptOf(workload);
  const file = join(folder, `${workload}.sql`);
  if (own !== undefined) writeFileSync(file, own);
  const script = own === undefined ? ['-b', BUILT_IN[workload as keyof typeof BUILT_IN]] : ['-f', file];
  const { until } = load;
  const length = 'seconds' in until ? ['-T', String(until.seconds)] : ['-t', String(until.transactions / load.clients)];
  const threads = Math.min(2, load.clients);
  const output = await pgbench(program, target, [
    ...['-M', 'simple', '-n', '-D', `scale=${scale}`, ...script],
    ...['-c', String(load.clients), '-j', String(threads), ...length],
  ]);
  const number = (pattern: RegExp): number => {
    const text = pattern.exec(output)?.[1];
    if (text === undefined) throw new Error(`pgbench did not say ${String(pattern)}:\n${output}`);
    return Number(text);
  };
  if (number(/^number of failed transactions: (\d+)/m) > 0) throw new Error(`a transaction failed:\n${output}`);
  return {
    transactions: number(/^number of transactions actually processed: (\d+)/m),
    tps: number(/^tps = ([\d.]+) \(without initial/m),
    latencyMs: number(/^latency average = ([\d.]+) ms/m),
  };
}

/** Rejects with its output where it does not succeed. */
export async function pgbench(program: string, target: Target, args: readonly string[]): Promise<string> {
  const conninfo = ['-h', '127.0.0.1', '-p', String(target.port), '-U', 'postgres', target.database];
  const child = spawn(program, [...args, ...conninfo], { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      output += text;
    });
  }
  const [status] = (await once(child, 'close')) as [number | null];
  if (status !== 0) throw new Error(`pgbench ended with ${String(status)}:\n${output}`);
  return output;
}
