/** Clients: transactions over few keys, one after the other; some roll back, some vanish, all survive the death of a proxy. */
import type { ClientTransaction } from './client-transaction.ts';
import type { Operation } from './operations.ts';
import type { Proxy } from './process.ts';
import type { Outcome } from './truth.ts';
import type { World } from './world.ts';

/** What clients know of the data. */
export class Keys {
  readonly hot: readonly string[];
  /** Just inserted, by whoever said so. */
  readonly recent: string[] = [];
  #count = 0;

  constructor(hot: number) {
    this.hot = Array.from({ length: hot }, (_, index) => `hot${index}`);
  }

  fresh(): string {
    return `key${++this.#count}`;
  }

  committed(inserted: readonly string[]): void {
    this.recent.push(...inserted);
    if (this.recent.length > 4) this.recent.splice(0, this.recent.length - 4);
  }
}

export class Client {
  readonly #world: World;
  readonly #proxies: readonly Proxy[];
  readonly #keys: Keys;
  readonly #onDone: () => void;
  #proxy: Proxy;
  #left: number;

  constructor(world: World, proxies: readonly Proxy[], home: Proxy, keys: Keys, onDone: () => void) {
    this.#world = world;
    this.#proxies = proxies;
    this.#proxy = home;
    this.#keys = keys;
    this.#onDone = onDone;
    this.#left = world.config.transactions;
  }

  start(): void {
    this.#think(() => this.#next());
  }

  #think(then: () => void): void {
    const { random } = this.#world;
    this.#world.after(random.chance(0.9) ? random.between(0, 4) : random.magnitude(1, 400), then);
  }

  #next(): void {
    if (this.#left === 0) {
      this.#onDone();
      return;
    }
    const { process } = this.#proxy;
    if (!process.alive) {
      this.#proxy = this.#world.random.pick(this.#proxies);
      this.#world.after(50, () => this.#next());
      return;
    }
    this.#left -= 1;
    const transaction = process.begin();
    let over = false;
    const end = (): void => {
      if (over) return;
      over = true;
      forget();
      this.#think(() => this.#next());
    };
    // What became of the transaction it does not know then.
    const forget = process.whenEnded(end);
    transaction.open((told) => {
      // Whoever is refused tries again after a while.
      if (told.kind === 'failed') this.#world.after(this.#world.random.magnitude(10, 3_000), end);
      else this.#run(transaction, this.#script(), [], end);
    });
  }

  #run(transaction: ClientTransaction, script: Operation[], inserted: string[], end: () => void): void {
    const operation = script.shift();
    const { random } = this.#world;
    if (operation === undefined) {
      this.#finish(transaction, inserted, end);
      return;
    }
    if ('key' in operation && operation.kind !== 'delete') inserted.push(operation.key);
    transaction.statement(operation, (told) => {
      if (told.kind === 'failed') {
        end();
        return;
      }
      const goOn = (): void => this.#run(transaction, script, inserted, end);
      if (random.chance(0.7)) goOn();
      else this.#world.after(random.between(0, 5), goOn);
    });
  }

  #finish(transaction: ClientTransaction, inserted: readonly string[], end: () => void): void {
    const { random } = this.#world;
    if (random.chance(0.08)) {
      // Rolls back, or vanishes, which is the same to a proxy.
      transaction.rollback(end);
      return;
    }
    const vanishes = random.chance(0.05);
    transaction.commit((outcome) => {
      if (outcome === 'committed') this.#keys.committed(inserted);
      if (outcome === 'unknown' && !vanishes) this.#inquire(transaction.id, end);
      else end();
    });
    if (vanishes) end();
  }

  /** Asks any proxy until one can tell. */
  #inquire(id: string, end: () => void): void {
    const { process } = this.#world.random.pick(this.#proxies);
    const again = (): void => {
      this.#world.after(1_000, () => this.#inquire(id, end));
    };
    if (!process.alive) {
      again();
      return;
    }
    const forget = process.whenEnded(again);
    process.ask(id, (found) => {
      forget();
      if (found === 'unreachable') {
        again();
        return;
      }
      const outcome: Outcome = found === 'committed' ? 'committed' : 'rolled back';
      this.#world.truth.tell(id, outcome);
      end();
    });
  }

  #script(): Operation[] {
    const { random, config } = this.#world;
    const length = random.chance(0.5) ? 1 : random.whole(2, 4);
    const script = Array.from({ length }, (): Operation => this.#operation());
    if (length > 1 && random.chance(0.3)) {
      const at = random.below(length);
      script.splice(at, 0, { kind: 'savepoint' });
      script.splice(random.whole(at + 1, length + 1), 0, { kind: 'rollback to savepoint' });
    }
    if (config.deferred === 'possible' && random.chance(0.05)) script.push({ kind: 'violate at the end' });
    return script;
  }

  #operation(): Operation {
    const { random } = this.#world;
    const { hot, recent } = this.#keys;
    const known = recent.length > 0 && random.chance(0.6) ? random.pick(recent) : random.pick(hot);
    const kind = random.below(20);
    if (kind < 4) return { kind: 'insert', key: this.#keys.fresh() };
    // Others may want to insert the same, once it was deleted.
    if (kind < 5) return { kind: 'insert', key: random.pick(hot) };
    if (kind < 10) return { kind: 'insert child', key: this.#keys.fresh(), parent: known };
    if (kind < 11) return { kind: 'delete', key: known };
    if (kind < 13) {
      const modulus = random.whole(1, 3);
      const keys = [...new Set([...hot, ...recent])];
      return { kind: 'update where', keys, modulus, rest: random.below(modulus) };
    }
    return { kind: 'update', key: known };
  }
}
