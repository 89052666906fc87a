/** A proxy in a process of its own, which says what it holds. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { after } from 'node:test';
import type { Cluster } from '../../src/embedded/cluster.ts';

/** After a garbage collection. */
export interface Holding {
  /** Client connections, those in start-up included. */
  readonly clients: number;
  readonly timers: number;
  /** Those of clients and of servers. */
  readonly sockets: number;
  /** JavaScript objects, and the buffers that belong to them. */
  readonly heapBytes: number;
  /** Of the whole process, memory that it could give back to the system included. */
  readonly residentBytes: number;
}

export interface MeasuredProxy {
  readonly host: '127.0.0.1';
  readonly port: number;
  measure(): Promise<Holding>;
}

/** Of each answer: far above what a collection takes. */
const patienceMs = 60_000;

/**
 * Optimised code comes and goes by the megabyte, and hides what clients leave. Both optimising compilers: the second is on by
 * itself from Node 22 on.
 */
const NOT_OPTIMISED = ['--no-opt', '--no-maglev'];

/**
 * Stopped after the tests of the file, or of the enclosing block. `settings` are variables of pprox. `code`: `optimised` where
 * megabytes do not matter, and much is to be done.
 */
export async function startMeasuredProxy(
  cluster: Cluster,
  settings: Readonly<Record<string, string>> = {},
  code: 'not optimised' | 'optimised' = 'not optimised',
): Promise<MeasuredProxy> {
  const dsn = ({ host, port }: { host: string; port: number }): string => `postgresql://${host}:${port}`;
  const child = fork(fileURLToPath(new URL('./proxy-process.js', import.meta.url)), {
    execArgv: ['--expose-gc', ...(code === 'optimised' ? [] : NOT_OPTIMISED)],
    env: {
      ...process.env,
      PG_WRITERS_CSV: cluster.writers.map(dsn).join(','),
      PG_READER_DSN: cluster.reader === undefined ? undefined : dsn(cluster.reader),
      ...settings,
    },
  });
  after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.disconnect();
    await once(child, 'exit');
  });
  const answer = async (): Promise<unknown> => {
    const [value]: unknown[] = await once(child, 'message', { signal: AbortSignal.timeout(patienceMs) });
    return value;
  };
  const port = await answer();
  if (typeof port !== 'number') throw new Error('the proxy tells its port first');
  return {
    host: '127.0.0.1',
    port,
    measure: async () => {
      child.send('measure');
      return (await answer()) as Holding;
    },
  };
}
