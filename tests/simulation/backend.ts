/** One server process: works for one connection, reads its messages in their order, one after the other. */
import type { Connection } from './connection.ts';
import type { Transaction } from './database.ts';
import { execute, type Got, type Need, type Process } from './execution.ts';
import type { Reply, Statement } from './operations.ts';
import type { Server } from './server.ts';
import type { Party, Timer } from './world.ts';

/** `end`: the client's end of the connection is gone. It is read after everything that was sent before it. */
type Message = readonly Statement[] | 'end';

export class Backend implements Process, Party {
  readonly server: Server;
  readonly name: string;
  transaction: Transaction | undefined;
  alive = true;
  readonly #connection: Connection;
  readonly #inbox: Message[] = [];
  #running: Generator<Need, Reply, Got> | undefined;
  #lockTimeout: Timer | undefined;
  /** Stopped: what wakes it, and what it will find then. */
  #stop: Timer | undefined;
  #found: Got | undefined;

  constructor(server: Server, connection: Connection, name: string) {
    this.server = server;
    this.#connection = connection;
    this.name = name;
  }

  get isIdle(): boolean {
    return this.#running === undefined && this.transaction === undefined;
  }

  receive(message: Message): void {
    this.#inbox.push(message);
    this.#readOn();
  }

  /** SIGSTOP, and SIGCONT later. */
  stop(forMs: number): void {
    if (!this.alive || this.#stop !== undefined) return;
    const { world } = this.server;
    world.log(() => `${this.name}: stopped for ${forMs.toFixed(0)} ms`);
    this.#stop = world.after(forMs, () => this.goOn());
  }

  goOn(): void {
    if (this.#stop === undefined) return;
    this.server.world.cancel(this.#stop);
    this.#stop = undefined;
    if (!this.alive) return;
    this.server.world.log(() => `${this.name}: goes on`);
    const found = this.#found;
    this.#found = undefined;
    if (found !== undefined) this.#advance(found);
    else this.#readOn();
  }

  /** A cancel request: a statement that waits for a lock fails. */
  cancel(): void {
    const { transaction } = this;
    if (!this.alive || transaction?.waiting === undefined) return;
    this.server.world.log(() => `${this.name}: cancelled`);
    this.server.world.cancel(this.#lockTimeout);
    this.server.database.locks.giveUp(transaction);
    this.#wake('cancelled');
  }

  crash(downMs: number): void {
    this.server.crash(downMs);
  }

  struck(what: string): 'goes on' | 'stopped' {
    this.server.world.strike({ what, party: this });
    return this.#stop === undefined ? 'goes on' : 'stopped';
  }

  /** The server has died. What its transaction held is the server's to release. */
  die(): void {
    this.alive = false;
    this.server.world.cancel(this.#stop);
    this.server.world.cancel(this.#lockTimeout);
    this.#running = undefined;
    this.transaction = undefined;
  }

  #readOn(): void {
    while (this.alive && this.#running === undefined && this.#stop === undefined) {
      const message = this.#inbox.shift();
      if (message === undefined) return;
      if (message === 'end') {
        if (this.transaction !== undefined) this.server.rollback(this.transaction);
        this.die();
        this.server.backends.delete(this);
        return;
      }
      this.server.world.log(() => `${this.name}: ${message.map(describe).join('; ')}`);
      this.#running = execute(this, message);
      this.#advance('granted');
    }
  }

  #advance(found: Got): void {
    let got = found;
    while (this.#running !== undefined) {
      const next = this.#running.next(got);
      if (!this.alive) return;
      if (next.done === true) {
        this.#running = undefined;
        this.#connection.answer(next.value);
        this.#readOn();
        return;
      }
      const waits = this.#get(next.value);
      if (waits === 'waits') return;
      got = waits;
    }
  }

  #get(need: Need): Got | 'waits' {
    if (need.kind === 'go on') {
      if (this.#stop === undefined) return 'granted';
      this.#found = 'granted';
      return 'waits';
    }
    const { world, database, lockTimeoutMs } = this.server;
    const { transaction } = this;
    if (transaction === undefined) throw new Error('a lock outside a transaction');
    const got = database.locks.acquire(transaction, need.key, need.mode, () => {
      world.cancel(this.#lockTimeout);
      world.after(0, () => this.#wake('granted'));
    });
    if (got !== 'waits') return got;
    world.log(() => `${this.name}: waits for ${need.key}`);
    if (lockTimeoutMs !== undefined) {
      this.#lockTimeout = world.after(lockTimeoutMs, () => {
        database.locks.giveUp(transaction);
        world.truth.deadlinePassed(`${this.name} waits too long for ${need.key}`);
        this.#wake('timeout');
      });
    }
    return 'waits';
  }

  #wake(got: Got): void {
    if (!this.alive) return;
    if (this.#stop === undefined) this.#advance(got);
    else this.#found = got;
  }
}

function describe(statement: Statement): string {
  if (statement.kind === 'operation') return JSON.stringify(statement.operation);
  const { kind, ...rest } = statement;
  return Object.keys(rest).length === 0 ? kind : `${kind} ${JSON.stringify(rest)}`;
}
