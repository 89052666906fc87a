/** One seed: a world, its clients, what breaks, and what must hold at every moment and in the end. */
import { type Bugs, NO_BUGS } from './bugs.ts';
import { Client, Keys } from './clients.ts';
import { type Config, randomConfig } from './config.ts';
import { Transaction } from './database.ts';
import { Faults } from './faults.ts';
import { checkAtTheEnd, FOREIGN } from './invariants.ts';
import { Proxy } from './process.ts';
import { Random } from './random.ts';
import { Server } from './server.ts';
import { Violation } from './truth.ts';
import { World } from './world.ts';

export interface Result {
  readonly seed: number;
  readonly config: Config;
  /** What was violated, if anything. */
  readonly violation: string | undefined;
  /** Events. */
  readonly steps: number;
  /** Of the machines: what they were told in which state. */
  readonly told: ReadonlySet<string>;
  readonly committed: number;
  readonly rolledBack: number;
}

export interface Options {
  readonly bugs?: Bugs;
  /** Gets a line for each thing that happens. */
  readonly trace?: (line: string) => void;
}

const LONGEST_MS = 200_000;

export function simulate(seed: number, { bugs = NO_BUGS, trace }: Options = {}): Result {
  const random = new Random(seed);
  const config = randomConfig(random);
  const world = new World({ random, config, bugs, trace });
  let violation: string | undefined;
  try {
    run(world);
  } catch (error) {
    // An assertion of the machines counts as well.
    if (!(error instanceof Error)) throw error;
    violation = error instanceof Violation ? error.message : (error.stack ?? error.message);
    world.log(() => `VIOLATED ${violation}`);
  }
  const cases = [...world.truth.cases.values()];
  return {
    seed,
    config,
    violation,
    steps: world.steps,
    told: world.truth.told,
    committed: cases.filter(({ committedAt }) => committedAt !== undefined).length,
    rolledBack: cases.filter(({ committedAt }) => committedAt === undefined).length,
  };
}

function run(world: World): void {
  const { config, random, truth } = world;
  world.log(() => JSON.stringify(config));
  const lead = new Server(world, undefined);
  const followers = Array.from({ length: config.followers }, (_, index) => new Server(world, index));
  const servers = [lead, ...followers];
  truth.lead = lead;
  truth.followers = followers;
  const keys = new Keys(config.hotKeys);
  for (const { database, follower } of servers) {
    for (const key of keys.hot) database.rows.set(key, { live: true, history: ['start'] });
    if (follower !== undefined) prepareForeign(database);
  }
  const proxies = Array.from({ length: config.proxies }, (_, index) => new Proxy(world, `p${index}`, servers));
  let active = 0;
  for (const proxy of proxies) {
    for (let count = 0; count < config.clients; count += 1) {
      active += 1;
      const client = new Client(world, proxies, proxy, keys, () => {
        active -= 1;
      });
      client.start();
    }
  }
  const faults = new Faults(world, servers, proxies);
  const isDone = (): boolean => active === 0;
  world.runUntil(LONGEST_MS, isDone);
  // What is down may stay so for a while, whoever may still work on it.
  const { longestMs } = config.faults;
  if (longestMs > 0 && random.chance(0.6)) world.runUntil(world.now + random.between(0, longestMs));
  faults.heal();
  world.runUntil(Math.max(world.now, ...proxies.map(({ stoppedUntil }) => stoppedUntil)));
  if (!isDone()) world.runUntil(world.now + LONGEST_MS, isDone);
  if (!isDone()) throw new Violation(`termination: ${active} clients are still without an answer`);
  world.runUntil(world.now + config.keepaliveMs + config.deadlineMs);
  const cycleMs = 3 * (config.sweepEveryMs + config.recoveryEveryMs);
  world.runUntil(world.now + config.retentionMs + 2 * cycleMs);
  // At a moment when nobody looks for work.
  world.runUntil(world.now + cycleMs, () => proxies.every(({ process }) => process.isQuiet));
  checkAtTheEnd(world, servers, proxies);
}

function prepareForeign(database: Server['database']): void {
  const transaction: Transaction = database.begin(FOREIGN);
  database.locks.acquire(transaction, FOREIGN, 'exclusive', () => {});
  database.prepare(transaction, FOREIGN, undefined, 0);
}
