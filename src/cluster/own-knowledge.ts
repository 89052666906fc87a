/** What is kept of a catalog from one statement to the next. */

/** `since`: by Date.now(); `generation`: see Catalog. */
export interface Entry {
  readonly value: unknown;
  readonly since: number;
  readonly generation: number;
}

/**
 * What a session with temporary objects, or settings that nobody knows, knows of the catalog that it sees. It is kept from one statement to the next as long as these change rows or
 * read them, and call nothing that may do more.
 */
export class OwnKnowledge {
  readonly entries = new Map<string, Entry>();
  #statement: 'plain' | 'any' = 'any';
  /** Since a transaction has ended. */
  #made: 'nothing' | 'perhaps something' = 'nothing';

  /** While another statement than a plain one runs nothing is kept, nor known. */
  get holds(): boolean {
    return this.#statement === 'plain';
  }

  begin(statement: 'plain' | 'any'): void {
    if (statement === 'any' || this.#statement === 'any') this.entries.clear();
    if (statement === 'any') this.#made = 'perhaps something';
    this.#statement = statement;
  }

  /** A savepoint is gone back to: what was made behind it is gone, and what was dropped is there. */
  undo(): void {
    if (this.#made === 'perhaps something') this.entries.clear();
  }

  /** The transaction is over: so may be what was made in it. */
  end(): void {
    this.undo();
    this.#made = 'nothing';
  }
}
