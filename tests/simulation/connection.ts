/**
 * A connection of a proxy to a server: in order in each direction, with delays. When it breaks, each end learns of it at a
 * moment of its own, and what was sent may still be read long after.
 */
import type { Backend } from './backend.ts';
import type { Reply, Statement } from './operations.ts';
import type { Server } from './server.ts';
import type { Timer, World } from './world.ts';

/** The process that holds the client's end. */
export interface Holder {
  readonly name: string;
  readonly alive: boolean;
  /** Until then it does nothing: what arrives is read afterwards. */
  readonly stoppedUntil: number;
}

type OnReply = (reply: Reply | 'lost') => void;

interface Expected {
  readonly onReply: OnReply;
  readonly deadline: number;
}

export class Connection {
  readonly server: Server;
  readonly #world: World;
  readonly #holder: Holder;
  readonly #deadlineMs: number;
  readonly #expected: Expected[] = [];
  /** Some ways are long. */
  readonly #pace: number;
  #backend: Backend | undefined;
  #state: 'open' | 'closed' = 'open';
  #watch: Timer | undefined;
  /** Nothing arrives before what was sent earlier, and nothing at all that would arrive after the cut. */
  readonly #toServer = { last: 0, cut: Number.POSITIVE_INFINITY };
  readonly #toClient = { last: 0, cut: Number.POSITIVE_INFINITY };

  constructor(world: World, holder: Holder, server: Server, deadlineMs: number) {
    this.#world = world;
    this.#holder = holder;
    this.server = server;
    this.#deadlineMs = deadlineMs;
    this.#pace = world.random.chance(0.5) ? 1 : world.random.magnitude(0.3, 12);
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isBroken(): boolean {
    return this.#toServer.cut !== Number.POSITIVE_INFINITY;
  }

  get holder(): Holder {
    return this.#holder;
  }

  /** Calls back once, later. */
  open(onOpen: (result: 'open' | 'lost') => void): void {
    const world = this.#world;
    const { server } = this;
    const over = (result: 'open' | 'lost'): void => {
      if (result === 'lost') this.#state = 'closed';
      if (this.#holder.alive) onOpen(result);
    };
    world.after(world.delay(this.#pace), () => {
      if (server.cutFrom.has(this.#holder.name)) world.after(this.#deadlineMs, () => over('lost'));
      else {
        this.#backend = server.accept(this);
        const result = this.#backend === undefined ? 'lost' : 'open';
        world.after(world.delay(this.#pace), () => over(result));
      }
    });
  }

  /** Calls back once, later; `lost` as well where the connection has ended before. */
  send(statements: readonly Statement[], onReply: OnReply): void {
    const world = this.#world;
    if (this.#state === 'closed') {
      world.after(0, () => {
        if (this.#holder.alive) onReply('lost');
      });
      return;
    }
    this.#expected.push({ onReply, deadline: world.now + this.#deadlineMs });
    this.#watch ??= world.after(this.#deadlineMs, () => this.#checkDeadline());
    this.#carry(this.#toServer, () => {
      if (this.#backend?.alive === true) this.#backend.receive(statements);
      // A server that has restarted answers with a reset.
      else this.#carryToClient(() => this.#lose('reset'));
    });
  }

  /** By a connection of its own. Calls back once, later: when the request has done what it can, or is lost. */
  cancel(onOver: () => void): void {
    const world = this.#world;
    world.after(world.delay(this.#pace), () => {
      if (!this.isBroken && !this.server.cutFrom.has(this.#holder.name)) this.#backend?.cancel();
      world.after(world.delay(this.#pace), () => {
        if (this.#holder.alive) onOver();
      });
    });
  }

  answer(reply: Reply): void {
    this.#carryToClient(() => {
      const first = this.#expected.shift();
      if (first !== undefined && this.#holder.alive) first.onReply(reply);
    });
  }

  /** The proxy's end goes, as when its process dies: the server reads on until there. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#lose('closed');
  }

  /** The network drops it. */
  break(): void {
    if (this.isBroken || this.#state === 'closed') return;
    const world = this.#world;
    const { random } = world;
    world.log(() => `${this.#holder.name} ─ ${this.#backend?.name}: the connection breaks`);
    for (const direction of [this.#toServer, this.#toClient]) {
      direction.cut = random.between(world.now, Math.max(world.now, direction.last));
    }
    const { keepaliveMs } = world.config;
    world.after(random.magnitude(0.1, keepaliveMs), () => this.#lose('broken'));
    this.#endServer(random.magnitude(0.1, keepaliveMs));
  }

  #endServer(delayMs: number): void {
    const backend = this.#backend;
    const moment = Math.max(this.#world.now + delayMs, this.#toServer.last);
    if (backend !== undefined) this.#world.at(moment, () => backend.receive('end'));
  }

  #carry(direction: { last: number; readonly cut: number }, arrive: () => void): void {
    const world = this.#world;
    const moment = Math.max(world.now + world.delay(this.#pace), direction.last);
    direction.last = moment;
    world.at(moment, () => {
      if (world.now <= direction.cut) arrive();
    });
  }

  #carryToClient(arrive: () => void): void {
    this.#carry(this.#toClient, () => {
      const { stoppedUntil } = this.#holder;
      if (stoppedUntil > this.#world.now) this.#world.at(stoppedUntil, arrive);
      else arrive();
    });
  }

  #checkDeadline(): void {
    this.#watch = undefined;
    const { stoppedUntil } = this.#holder;
    if (stoppedUntil >= this.#world.now) {
      this.#watch = this.#world.at(stoppedUntil + 0.01, () => this.#checkDeadline());
      return;
    }
    const [first] = this.#expected;
    if (first === undefined || this.#state === 'closed' || !this.#holder.alive) return;
    if (first.deadline > this.#world.now) {
      this.#watch = this.#world.at(first.deadline, () => this.#checkDeadline());
      return;
    }
    this.#world.truth.deadlinePassed(`${this.#backend?.name} did not answer`);
    this.#lose('deadline');
  }

  #lose(why: 'reset' | 'broken' | 'closed' | 'deadline'): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#world.cancel(this.#watch);
    this.#world.log(() => `${this.#holder.name} ─ ${this.#backend?.name}: lost (${why})`);
    if (!this.isBroken) this.#endServer(this.#world.delay(this.#pace));
    this.#toClient.cut = this.#world.now;
    for (const { onReply } of this.#expected.splice(0)) {
      this.#world.after(0, () => {
        if (this.#holder.alive) onReply('lost');
      });
    }
  }
}
