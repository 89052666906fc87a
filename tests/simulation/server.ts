/** A PostgreSQL server: its data outlives its processes. */
import { Backend } from './backend.ts';
import type { Connection } from './connection.ts';
import { Database, type Transaction } from './database.ts';
import type { Party, Timer, World } from './world.ts';

export class Server implements Party {
  readonly world: World;
  readonly name: string;
  /** Undefined: the lead. */
  readonly follower: number | undefined;
  readonly database = new Database();
  readonly backends = new Set<Backend>();
  up = true;
  /** Networks between it and these proxies are cut. */
  readonly cutFrom = new Set<string>();
  #restart: Timer | undefined;
  #processes = 0;

  constructor(world: World, follower: number | undefined) {
    this.world = world;
    this.follower = follower;
    this.name = follower === undefined ? 'lead' : `f${follower}`;
  }

  /** The lead has none: its waits end by the client's patience. */
  get lockTimeoutMs(): number | undefined {
    return this.follower === undefined ? undefined : this.world.config.lockTimeoutMs;
  }

  accept(connection: Connection): Backend | undefined {
    if (!this.up) return undefined;
    const backend = new Backend(this, connection, `${this.name}[${++this.#processes}]`);
    this.backends.add(backend);
    return backend;
  }

  crash(downMs: number): void {
    if (!this.up) return;
    this.world.log(() => `${this.name}: crashes, down for ${downMs.toFixed(0)} ms`);
    this.up = false;
    for (const backend of this.backends) backend.die();
    this.backends.clear();
    this.database.crash();
    this.#restart = this.world.after(downMs, () => this.start());
  }

  start(): void {
    this.world.cancel(this.#restart);
    if (this.up) return;
    this.up = true;
    this.world.log(() => `${this.name}: is up again`);
  }

  stop(forMs: number): void {
    for (const backend of this.backends) backend.stop(forMs);
  }

  /** What a server may refuse for reasons of its own. */
  isRefusing(_reason: 'disk full' | 'serialization' | 'too many prepared' | 'out of memory'): boolean {
    return this.world.faulty && this.world.config.faults.strikes > 0 && this.world.random.chance(0.01);
  }

  commit(transaction: Transaction): string | undefined {
    if (this.isRefusing('serialization')) {
      this.rollback(transaction);
      return '40001';
    }
    this.database.commit(transaction);
    if (this.follower === undefined) this.world.truth.leadCommitted(transaction);
    return undefined;
  }

  rollback(transaction: Transaction): void {
    this.database.rollback(transaction);
  }

  prepare(transaction: Transaction, id: string): string | undefined {
    if (this.isRefusing('too many prepared')) {
      this.rollback(transaction);
      return '53200';
    }
    this.database.prepare(transaction, id, id, this.world.now);
    return undefined;
  }

  /** COMMIT PREPARED and ROLLBACK PREPARED. */
  finish(id: string, decision: 'commit' | 'abort'): string | undefined {
    const transaction = this.database.take(id);
    if (transaction === undefined) return '42704';
    if (decision === 'commit') this.database.commit(transaction);
    else this.database.rollback(transaction);
    this.world.truth.finished(this, transaction, decision);
    return undefined;
  }
}
