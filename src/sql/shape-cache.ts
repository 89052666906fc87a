/**
 * A bounded map of the texts used last, in two generations: what is asked for moves to the young one, and when that
 * is half full it becomes the old one, whose rest is forgotten. So a hit costs one lookup, and whatever was used
 * within the last half of the capacity is there.
 */
export class ShapeCache<Shape> {
  readonly #countPerGeneration: number;
  readonly #bytesPerGeneration: number;
  #young = new Map<string, Shape>();
  #old = new Map<string, Shape>();
  #youngBytes = 0;
  #oldBytes = 0;

  /** `bytes`: of keys, which stand for what is kept with them too. */
  constructor(limits: { readonly count: number; readonly bytes: number }) {
    this.#countPerGeneration = Math.max(1, Math.floor(limits.count / 2));
    this.#bytesPerGeneration = Math.floor(limits.bytes / 2);
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get bytes(): number {
    return this.#youngBytes + this.#oldBytes;
  }

  get(key: string): Shape | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old === undefined) return undefined;
    this.#old.delete(key);
    this.#oldBytes -= key.length;
    this.set(key, old);
    return old;
  }

  /** Keeps `shape`, unless its key alone would fill a generation. */
  set(key: string, shape: Shape): void {
    if (key.length > this.#bytesPerGeneration) return;
    const full =
      this.#young.size >= this.#countPerGeneration || this.#youngBytes + key.length > this.#bytesPerGeneration;
    if (full) {
      this.#old = this.#young;
      this.#oldBytes = this.#youngBytes;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, shape);
    this.#youngBytes += key.length;
  }
}
