/** What breaks, and when: at moments of time, and at the n-th moment of a commit. */
import type { Connection } from './connection.ts';
import type { Proxy } from './process.ts';
import type { Server } from './server.ts';
import type { Moment, World } from './world.ts';

/** Most of what clients do happens within these milliseconds. */
const BUSY_MS = 60;

/** Of a server's statements and of a coordinator's effects. */
const MOMENTS: readonly string[] = [
  ...['insert decision', 'prepare', 'commit', 'finish'],
  ...['join', 'decide', 'answer', 'leave', 'hand over', 'ask', 'roll back lead'],
]
  .flatMap((step) => [`before ${step}`, `after ${step}`])
  .concat('during finish');

interface Strike {
  /** Undefined: any moment. */
  readonly what: string | undefined;
  /** Until it strikes. */
  left: number;
}

export class Faults {
  readonly #world: World;
  readonly #servers: readonly Server[];
  readonly #proxies: readonly Proxy[];
  readonly #strikes: Strike[];

  constructor(world: World, servers: readonly Server[], proxies: readonly Proxy[]) {
    this.#world = world;
    this.#servers = servers;
    this.#proxies = proxies;
    const { faults } = world.config;
    const { random } = world;
    this.#strikes = Array.from({ length: faults.strikes }, () => {
      const named = random.chance(0.6);
      return {
        what: named ? random.pick(MOMENTS) : undefined,
        left: Math.floor(random.magnitude(1, named ? 20 : 400)),
      };
    });
    world.strike = (moment) => this.#strike(moment);
    this.#plan(faults.broken, () => this.#break());
    this.#plan(faults.stops, () => this.#stop());
    this.#plan(faults.serverCrashes, () => random.pick(servers).crash(this.#long()));
    this.#plan(faults.proxyCrashes, () => random.pick(proxies).crash(this.#long()));
    this.#plan(faults.partitions, () => this.#cut());
    for (let count = 0; count < faults.interferences; count += 1) this.#interfereSoon(40);
  }

  /** Everything goes on, starts again and is connected. */
  heal(): void {
    this.#world.faulty = false;
    this.#world.log(() => 'nothing breaks any more');
    for (const server of this.#servers) {
      server.start();
      server.cutFrom.clear();
      for (const backend of server.backends) backend.goOn();
    }
    for (const proxy of this.#proxies) proxy.start();
  }

  #plan(count: number, run: () => void): void {
    const { random } = this.#world;
    for (let index = 0; index < count; index += 1) {
      this.#world.after(random.between(0, BUSY_MS) + (random.chance(0.2) ? random.magnitude(1, 10_000) : 0), () => {
        if (this.#world.faulty) run();
      });
    }
  }

  #long(): number {
    return this.#world.random.magnitude(1, this.#world.config.faults.longestMs);
  }

  #connections(): readonly Connection[] {
    return this.#proxies.flatMap(({ process }) =>
      [...process.pools, ...process.reserved].flatMap(({ connections }) => [...connections]),
    );
  }

  #break(): void {
    const connections = this.#connections().filter(({ isOpen }) => isOpen);
    if (connections.length > 0) this.#world.random.pick(connections).break();
  }

  #stop(): void {
    const { random } = this.#world;
    const backends = [...random.pick(this.#servers).backends];
    const busy = backends.filter(({ isIdle }) => !isIdle);
    const among = busy.length > 0 ? busy : backends;
    if (random.chance(0.2)) random.pick(this.#proxies).stop(this.#long());
    else if (among.length > 0) random.pick(among).stop(this.#long());
  }

  #cut(): void {
    const { random } = this.#world;
    const server = random.pick(this.#servers);
    const { process } = random.pick(this.#proxies);
    this.#world.log(() => `${process.name} ─ ${server.name}: the network is cut`);
    server.cutFrom.add(process.name);
    for (const connection of this.#connections()) {
      if (connection.server === server && connection.holder === process) connection.break();
    }
    this.#world.after(this.#long(), () => server.cutFrom.delete(process.name));
  }

  #strike({ what, party }: Moment): void {
    if (!this.#world.faulty) return;
    let due = false;
    for (const strike of this.#strikes) {
      if (strike.what !== undefined && strike.what !== what) continue;
      strike.left -= 1;
      if (strike.left === 0) due = true;
    }
    if (!due) return;
    const { random } = this.#world;
    this.#world.log(() => `struck: ${party.name} ${what}`);
    switch (random.below(7)) {
      case 0:
      case 1:
        party.crash(this.#long());
        break;
      case 2:
        this.#break();
        break;
      case 3:
        this.#cut();
        break;
      case 4:
        this.#blackOut();
        break;
      default:
        party.stop(this.#long());
    }
  }

  /** Everything loses power but perhaps the lead, and each comes back when it likes. */
  #blackOut(): void {
    const { random } = this.#world;
    const parties = [...this.#servers.slice(random.below(2)), ...this.#proxies];
    for (const party of parties) party.crash(this.#long());
  }

  /** An operator rolls back what seems to be in the way. */
  #interfereSoon(tries: number): void {
    this.#world.after(this.#world.random.between(0.2, 10), () => {
      if (!this.#world.faulty || tries === 0) return;
      const { random } = this.#world;
      const followers = this.#servers.slice(1).filter(({ up, database }) => up && database.prepared.size > 1);
      if (followers.length === 0 || random.chance(0.5)) {
        this.#interfereSoon(tries - 1);
        return;
      }
      const server = random.pick(followers);
      const free = [...server.database.prepared.values()].filter(({ endedBy }) => endedBy?.alive !== true);
      const ids = free.flatMap(({ listed }) => listed.id ?? []);
      if (ids.length === 0) return;
      const id = random.pick(ids);
      this.#world.log(() => `an operator rolls ${id} back on ${server.name}`);
      this.#world.truth.interfere(id, server);
      const transaction = server.database.take(id);
      if (transaction !== undefined) server.database.rollback(transaction);
    });
  }
}
