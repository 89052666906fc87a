/** Writers and proxies for one file of the battery. Proxies stop before their servers. */
import { after } from 'node:test';
import type { Settings } from '../../src/config/config.ts';
import type { ClusterOptions } from '../../src/embedded/cluster.ts';
import type { PlanChoice } from '../../src/fanout/planner.ts';
import { startTestCluster } from '../support/cluster.ts';
import { clusterDsn, type LogLine, startTestProxy } from '../support/proxy.ts';
import { type Field, ROUNDS } from './harness.ts';

export interface FieldOptions {
  readonly settings?: Partial<Settings>;
  /** How many writers; default two. */
  readonly writers?: number;
  /** Of the writers. */
  readonly overrides?: ClusterOptions['overrides'];
  /** How many proxies the clients are spread over; default one. */
  readonly proxies?: number;
  readonly plans?: PlanChoice;
}

/** Deadlines that let cases with many deadlocks end soon, and room for the clients of several proxies. */
const SETTINGS = { deadlockTimeoutMs: 50, followerLockTimeoutMs: 2_000, drainMs: 500 };
const SERVERS = { deadlock_timeout: '10ms', max_connections: '150' };

/** Transactions of each client where `PPROX_TEST_ROUNDS` says nothing. */
const USUAL_ROUNDS = 3;

export async function startField({
  settings,
  writers = 2,
  overrides,
  proxies = 1,
  plans,
}: FieldOptions = {}): Promise<Field> {
  const started: { stop(): Promise<void> }[] = [];
  after(async () => {
    for (const part of started.toReversed()) await part.stop();
  });
  const cluster = await startTestCluster({ writers, reader: false, settings: SERVERS, overrides });
  started.push({ stop: () => cluster.stop('immediate') });
  const dsns: string[] = [];
  const logs: (readonly LogLine[])[] = [];
  for (let index = 0; index < proxies; index += 1) {
    const proxy = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      settings: { ...SETTINGS, ...settings },
      ...(plans === undefined ? {} : { plans }),
    });
    started.push(proxy);
    dsns.push(proxy.dsn());
    logs.push(proxy.lines);
  }
  return { writers: cluster.writers, dsns, logs, rounds: ROUNDS ?? USUAL_ROUNDS };
}
