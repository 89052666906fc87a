/** What kind of world a seed makes. Times in milliseconds. */
import type { Random } from './random.ts';

export interface Config {
  readonly proxies: number;
  readonly followers: number;
  /** Of each proxy. */
  readonly clients: number;
  /** Of each client. */
  readonly transactions: number;
  /** Keys that everybody wants. */
  readonly hotKeys: number;
  /** Connections of one proxy to the lead, and to each follower. */
  readonly leadPool: number;
  readonly followerPool: number;
  readonly trailing: boolean;
  /** A follower may be sent what it is behind by together with PREPARE. */
  readonly together: boolean;
  readonly deferred: 'none' | 'possible';
  /** How long a proxy waits for anything. */
  readonly deadlineMs: number;
  readonly lockTimeoutMs: number;
  readonly recoveryEveryMs: number;
  readonly graceMs: number;
  readonly sweepEveryMs: number;
  /** Of rows that say committed. Longer than a coordinator can wait for its commit and for what became of it. */
  readonly retentionMs: number;
  /** Until the server knows that its client is gone. */
  readonly keepaliveMs: number;
  /** Share of messages that take long, and the longest. */
  readonly slowMessages: number;
  readonly slowestMs: number;
  readonly faults: FaultPlan;
  readonly maxSteps: number;
}

/** How many of each; none in a calm world, where nothing may fail at all. */
export interface FaultPlan {
  readonly broken: number;
  readonly stops: number;
  readonly serverCrashes: number;
  readonly proxyCrashes: number;
  readonly partitions: number;
  /** At a chosen moment of a commit rather than at a chosen time. */
  readonly strikes: number;
  /** An operator rolls a prepared transaction back. */
  readonly interferences: number;
  /** The longest that anything stays down or stopped. */
  readonly longestMs: number;
}

const CALM: FaultPlan = {
  broken: 0,
  stops: 0,
  serverCrashes: 0,
  proxyCrashes: 0,
  partitions: 0,
  strikes: 0,
  interferences: 0,
  longestMs: 0,
};

export function isCalm({ faults }: Config): boolean {
  return faults === CALM;
}

export function randomConfig(random: Random): Config {
  const faults = randomFaults(random);
  const calm = faults === CALM;
  // Where nothing breaks, nobody may have to wait for so long.
  const deadlineMs = calm ? 30_000 : random.between(1_000, 4_000);
  const clients = random.whole(2, 6);
  const followers = random.chance(0.6) ? 1 : random.whole(2, 3);
  const trailing = random.chance(0.5);
  const deferred = random.chance(0.3) ? 'possible' : 'none';
  return {
    proxies: random.whole(1, 3),
    followers,
    clients,
    transactions: random.whole(1, 3),
    hotKeys: random.whole(2, 5),
    leadPool: random.whole(1, clients),
    followerPool: random.whole(1, clients),
    trailing,
    together: followers === 1 && trailing && deferred === 'none' && random.chance(0.7),
    deferred,
    deadlineMs,
    lockTimeoutMs: calm ? 20_000 : random.between(500, deadlineMs / 2),
    recoveryEveryMs: random.between(300, 1_500),
    graceMs: random.between(100, 2_000),
    sweepEveryMs: random.between(300, 3_000),
    retentionMs: 6 * deadlineMs + random.between(0, 5_000),
    keepaliveMs: random.magnitude(500, 20_000),
    slowMessages: random.chance(0.5) ? 0 : random.between(0.01, 0.15),
    slowestMs: random.magnitude(10, calm ? 100 : 1_500),
    faults,
    maxSteps: 400_000,
  };
}

function randomFaults(random: Random): FaultPlan {
  const kind = random.below(10);
  if (kind < 2) return CALM;
  const some = (most: number): number => (random.chance(0.5) ? 0 : random.whole(1, most));
  return {
    broken: some(4),
    stops: some(5),
    serverCrashes: some(2),
    proxyCrashes: some(2),
    partitions: some(2),
    strikes: random.whole(1, 4),
    interferences: kind === 9 ? random.whole(1, 2) : 0,
    longestMs: random.magnitude(1_000, 60_000),
  };
}
