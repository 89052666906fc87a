/** One process of a proxy, and the proxy that starts another one when it dies. */
import { PendingSet } from '../../src/commit/pending.ts';
import { ClientTransaction } from './client-transaction.ts';
import { CommitRun, type Legs } from './commit-run.ts';
import type { Connection, Holder } from './connection.ts';
import { Pool } from './pool.ts';
import { Recovery } from './recovery.ts';
import type { Server } from './server.ts';
import { Sweep } from './sweep.ts';
import type { Outcome } from './truth.ts';
import type { Party, Timer, World } from './world.ts';

/** Connections to each server that clients cannot take. */
const RESERVED = 2;

type Found = 'committed' | 'aborted' | 'unreachable';

export class ProxyProcess implements Holder {
  readonly world: World;
  readonly name: string;
  readonly proxy: Proxy;
  alive = true;
  readonly pending = new PendingSet();
  /** Of clients: the lead's first. */
  readonly pools: readonly Pool[];
  readonly reserved: readonly Pool[];
  readonly recovery: Recovery;
  /** Transactions that have a coordinator here. */
  readonly live = new Set<string>();
  readonly #onEnd = new Set<() => void>();
  #transactions = 0;

  constructor(proxy: Proxy, incarnation: number) {
    this.proxy = proxy;
    this.world = proxy.world;
    this.name = `${proxy.name}.${incarnation}`;
    const { leadPool, followerPool } = this.world.config;
    const pool = (server: Server, size: number): Pool => new Pool(this.world, this, server, size);
    this.pools = proxy.servers.map((server, index) => pool(server, index === 0 ? leadPool : followerPool));
    this.reserved = proxy.servers.map((server) => pool(server, RESERVED));
    this.recovery = new Recovery(this);
    this.recovery.start();
    new Sweep(this).start();
  }

  get stoppedUntil(): number {
    return this.proxy.stoppedUntil;
  }

  /** No connection is in use. */
  get isQuiet(): boolean {
    return [...this.pools, ...this.reserved].every(({ leased }) => leased === 0);
  }

  begin(): ClientTransaction {
    return new ClientTransaction(this, `${this.name}:${++this.#transactions}`);
  }

  /** Whether a transaction's name is of this process. */
  owns(id: string): boolean {
    return id.startsWith(`${this.name}:`);
  }

  coordinate(id: string, legs: Legs, on: { answer: (outcome: Outcome) => void; over: () => void }): void {
    this.live.add(id);
    const run = new CommitRun(this, id, legs, {
      answer: (outcome) => {
        this.world.truth.tell(id, outcome);
        on.answer(outcome);
      },
      over: () => {
        this.live.delete(id);
        on.over();
      },
    });
    run.start();
  }

  /** The fence: whatever was decided, and an end to its ever being decided otherwise. */
  ask(id: string, onFound: (found: Found) => void): void {
    const pool = this.reserved[0] as Pool;
    pool.lease((connection) => {
      if (connection === undefined) {
        onFound('unreachable');
        return;
      }
      this.#fence(connection, id, 3, (found) => {
        pool.giveBack(connection);
        onFound(found);
      });
    });
  }

  /** Told when the process is gone. Returns how not to be told. */
  whenEnded(onEnd: () => void): () => void {
    this.#onEnd.add(onEnd);
    return () => this.#onEnd.delete(onEnd);
  }

  end(): void {
    this.alive = false;
    this.world.truth.crashedProcesses += 1;
    for (const pool of [...this.pools, ...this.reserved]) pool.drop();
    for (const onEnd of this.#onEnd) onEnd();
  }

  /** Calls again and again while the process lives. */
  every(intervalMs: number, run: () => void): void {
    // Where nothing happens any more, nobody has to look so often.
    const interval = this.world.faulty ? intervalMs : 3 * intervalMs;
    this.world.after(this.world.random.between(0.5, 1) * interval, () => {
      if (!this.alive) return;
      run();
      this.every(intervalMs, run);
    });
  }

  #fence(connection: Connection, id: string, tries: number, onFound: (found: Found) => void): void {
    if (this.world.bugs.has('recovery without a fence')) {
      connection.send([{ kind: 'read decision', id }], (reply) =>
        onFound(reply === 'lost' ? 'unreachable' : reply.decision === 'commit' ? 'committed' : 'aborted'),
      );
      return;
    }
    connection.send([{ kind: 'insert decision', id, committed: false }], (reply) => {
      if (reply === 'lost') onFound('unreachable');
      else if (reply.error === undefined) onFound('aborted');
      else if (reply.error !== '23505') onFound('unreachable');
      else {
        connection.send([{ kind: 'read decision', id }], (read) => {
          if (read === 'lost') onFound('unreachable');
          else if (read.decision !== undefined) onFound(read.decision === 'commit' ? 'committed' : 'aborted');
          // Swept away between the two.
          else if (tries > 1) this.#fence(connection, id, tries - 1, onFound);
          else onFound('unreachable');
        });
      }
    });
  }
}

export class Proxy implements Party {
  readonly world: World;
  readonly name: string;
  /** The lead first. */
  readonly servers: readonly Server[];
  process: ProxyProcess;
  stoppedUntil = 0;
  #incarnations = 1;
  #restart: Timer | undefined;

  constructor(world: World, name: string, servers: readonly Server[]) {
    this.world = world;
    this.name = name;
    this.servers = servers;
    this.process = new ProxyProcess(this, 1);
  }

  crash(downMs: number): void {
    if (!this.process.alive) return;
    this.world.log(() => `${this.process.name}: crashes, down for ${downMs.toFixed(0)} ms`);
    this.process.end();
    this.#restart = this.world.after(downMs, () => this.start());
  }

  start(): void {
    this.world.cancel(this.#restart);
    if (this.process.alive) return;
    this.#incarnations += 1;
    this.stoppedUntil = 0;
    this.process = new ProxyProcess(this, this.#incarnations);
    this.world.log(() => `${this.process.name}: starts`);
  }

  /** It reads nothing for a while. */
  stop(forMs: number): void {
    this.world.log(() => `${this.process.name}: stopped for ${forMs.toFixed(0)} ms`);
    this.stoppedUntil = Math.max(this.stoppedUntil, this.world.now + forMs);
  }
}
