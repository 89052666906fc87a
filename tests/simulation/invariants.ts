/** What holds when nothing breaks any more and time has passed. */
import type { Proxy } from './process.ts';
import type { Server } from './server.ts';
import { Violation } from './truth.ts';
import type { World } from './world.ts';

/** Prepared by another program on every follower, and none of a proxy's business. */
export const FOREIGN = 'somebody else';

export function checkAtTheEnd(world: World, servers: readonly Server[], proxies: readonly Proxy[]): void {
  for (const server of servers) checkServer(server);
  for (const { process } of proxies) {
    const { pools, reserved, name, pending, recovery, live } = process;
    for (const { leased, waiting, server } of [...pools, ...reserved]) {
      if (leased > 0) fail(`termination: ${name} still has ${leased} connections to ${server.name} leased`);
      if (waiting > 0) fail(`termination: ${waiting} in ${name} wait for a connection to ${server.name}`);
    }
    if (pending.size > 0) fail(`termination: ${pending.size} in the pending set of ${name}`);
    if (live.size > 0) fail(`termination: ${name} still coordinates ${[...live].join()}`);
    if (recovery.left > 0) fail(`termination: ${name} still recovers ${recovery.left}`);
  }
  const [missing] = world.truth.unreported();
  if (missing !== undefined) fail(`proof: ${missing} was rolled back by somebody else, and nobody says so`);
  if (!world.truth.harmed) checkContents(world, servers);
}

function checkServer({ name, follower, database }: Server): void {
  const ours = database.list().flatMap(({ id }) => id ?? []);
  if (ours.length > 0) fail(`termination: ${ours.join()} prepared on ${name}`);
  const foreign = database.prepared.size - ours.length;
  if (follower !== undefined && foreign !== 1) fail(`a transaction of another program is gone from ${name}`);
  if (database.open > 0) fail(`termination: ${database.open} transactions open on ${name}`);
  if (database.locks.waiting > 0) fail(`termination: ${database.locks.waiting} wait for locks on ${name}`);
  const expected = follower === undefined ? 0 : 1;
  if (database.locks.held !== expected) fail(`termination: ${database.locks.held} locks held on ${name}`);
  if (database.decisions.size > 0) {
    const left = [...database.decisions.values()].map(({ id, committed }) => `${id} ${committed ? 'commit' : 'abort'}`);
    fail(`bounded rows: ${left.join(', ')} left in the table of decisions`);
  }
}

function checkContents(world: World, [lead, ...followers]: readonly Server[]): void {
  if (lead === undefined) return;
  const committed = new Set<string>();
  for (const [key, { live, history }] of lead.database.rows) {
    for (const id of history) committed.add(id);
    for (const { name, database } of followers) {
      const there = database.rows.get(key);
      if (there?.live !== live || there.history.join() !== history.join()) {
        fail(`atomicity: ${key} is ${history.join()} on the lead and ${there?.history.join()} on ${name}`);
      }
    }
  }
  for (const { name, database } of followers) {
    if (database.rows.size !== lead.database.rows.size) fail(`atomicity: keys on ${name} that the lead does not have`);
  }
  for (const { id, told } of world.truth.cases.values()) {
    if (told === 'rolled back' && committed.has(id)) fail(`durability: ${id} was said to be rolled back, and is there`);
  }
}

function fail(fact: string): never {
  throw new Violation(fact);
}
