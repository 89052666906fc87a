/**
 * Which prepared statements a backend's server session has. A name is made of what it stands for (its text, its
 * parameters' types and its result), so that a statement is the same for every client that uses it.
 */
export class PreparedNames {
  /** Whose statement the unnamed one is; undefined where it is nobody's, or not certain. */
  unnamed: object | undefined;
  /** Least recently used first. */
  readonly #names = new Set<string>();
  /** Names of one client's, which the next one must not find. */
  readonly #lent = new Set<string>();
  /** Names of the proxy's own, which stand for the same text always. */
  readonly #own = new Map<string, 'there' | 'perhaps'>();

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Marks `name` as used. Answers with the names that have to be closed, so that no more than `limit` stand. */
  use(name: string, limit: number): readonly string[] {
    this.#names.delete(name);
    this.#names.add(name);
    const excess: string[] = [];
    for (const oldest of this.#names) {
      if (this.#names.size - excess.length <= limit) break;
      excess.push(oldest);
    }
    for (const old of excess) this.#names.delete(old);
    return excess;
  }

  forget(name: string): void {
    this.#names.delete(name);
  }

  /** Forgets all of them, our own as well: who asks closes them. */
  take(): readonly string[] {
    const names = [...this.#names, ...this.#own.keys()];
    this.#names.clear();
    this.#own.clear();
    return names;
  }

  /** A client's own name stands beside the shared ones, until `takeLent` is asked for it. */
  lend(name: string): void {
    this.#lent.add(name);
  }

  /** Forgets what was lent: who asks closes it. */
  takeLent(): readonly string[] {
    if (this.#lent.size === 0) return NONE;
    const names = [...this.#lent];
    this.#lent.clear();
    return names;
  }

  /** Whether it has to be prepared before its use; from then on it counts as there. */
  addOwn(name: string): boolean {
    if (this.#own.get(name) === 'there') return false;
    this.#own.set(name, 'there');
    return true;
  }

  /** Nobody can say which of them are there: something went wrong, or has been sent that may deallocate them. */
  doubtOwn(): void {
    for (const name of this.#own.keys()) this.#own.set(name, 'perhaps');
  }

  /** The server session has lost them all (DISCARD ALL, DEALLOCATE ALL). */
  clear(): void {
    this.#names.clear();
    this.#lent.clear();
    this.#own.clear();
    this.unnamed = undefined;
  }
}

const NONE: readonly string[] = [];
