/** Connections of one proxy process to one server: a bounded number of them, whoever waits longest is next. */
import { Connection, type Holder } from './connection.ts';
import type { Server } from './server.ts';
import type { Timer, World } from './world.ts';

type OnLease = (connection: Connection | undefined) => void;

interface Waiter {
  readonly onLease: OnLease;
  readonly deadline: Timer;
}

export class Pool {
  readonly server: Server;
  leased = 0;
  readonly #world: World;
  readonly #holder: Holder;
  readonly #size: number;
  readonly #idle: Connection[] = [];
  readonly #waiters: Waiter[] = [];
  readonly #all = new Set<Connection>();

  constructor(world: World, holder: Holder, server: Server, size: number) {
    this.#world = world;
    this.#holder = holder;
    this.server = server;
    this.#size = size;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** Those that are open, for faults to break. */
  get connections(): ReadonlySet<Connection> {
    return this.#all;
  }

  /** Calls back once, later. Undefined: there was none until the deadline, or the server does not accept any. */
  lease(onLease: OnLease): void {
    if (this.leased < this.#size) {
      this.#give(onLease);
      return;
    }
    const waiter: Waiter = {
      onLease,
      deadline: this.#world.after(this.#world.config.deadlineMs, () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        if (!this.#holder.alive) return;
        this.#world.truth.deadlinePassed(`no connection to ${this.server.name} is free`);
        onLease(undefined);
      }),
    };
    this.#waiters.push(waiter);
  }

  /** With nothing open on it, or closed. */
  giveBack(connection: Connection): void {
    this.leased -= 1;
    if (connection.isOpen) this.#idle.push(connection);
    else this.#all.delete(connection);
    const next = this.#waiters.shift();
    if (next === undefined) return;
    this.#world.cancel(next.deadline);
    this.#give(next.onLease);
  }

  /** The process is gone. */
  drop(): void {
    for (const connection of this.#all) connection.close();
    for (const { deadline } of this.#waiters) this.#world.cancel(deadline);
  }

  #give(onLease: OnLease): void {
    this.leased += 1;
    for (;;) {
      const idle = this.#idle.pop();
      if (idle === undefined) break;
      if (idle.isOpen) {
        this.#world.after(0, () => {
          if (this.#holder.alive) onLease(idle);
        });
        return;
      }
      this.#all.delete(idle);
    }
    const connection = new Connection(this.#world, this.#holder, this.server, this.#world.config.deadlineMs);
    this.#all.add(connection);
    connection.open((result) => {
      if (result === 'open') onLease(connection);
      else {
        onLease(undefined);
        this.giveBack(connection);
      }
    });
  }
}
