/** Which connections have the question about a whole catalog prepared. */
import type { Backend } from '../backend/backend.ts';

/** Connections at most: a server keeps three megabytes for it on each of them. */
const KEEPERS = 8;

export class CatalogKeepers {
  readonly #backends = new Set<Backend>();

  /** Whether it may be prepared on this connection, for as long as that is open. */
  mayKeep(backend: Backend): boolean {
    if (this.#backends.has(backend)) return true;
    for (const one of this.#backends) if (!one.open) this.#backends.delete(one);
    if (this.#backends.size >= KEEPERS) return false;
    this.#backends.add(backend);
    return true;
  }
}
