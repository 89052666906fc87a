/** Runs of pgbench, and what they say. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Workload } from './options.ts';

export interface Run {
  readonly transactions: number;
  /** Without the time that connecting took. */
  readonly tps: number;
  readonly latencyMs: number;
}

const flags = { 'select-only': '-S', 'simple-update': '-N' } as const satisfies Record<Workload, string>;

export interface Target {
  readonly port: number;
  readonly database: string;
}

/** Rejects where pgbench fails or a transaction did. */
export async function runPgbench(
  program: string,
  target: Target,
  workload: Workload,
  load: { readonly clients: number; readonly seconds: number },
): Promise<Run> {
  const threads = Math.min(2, load.clients);
  const output = await pgbench(program, target, [
    ...['-M', 'simple', '-n', flags[workload]],
    ...['-c', String(load.clients), '-j', String(threads), '-T', String(load.seconds)],
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
