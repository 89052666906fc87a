/**
 * Where the bytes of a normalised text come from: a list of cuts, each "from this offset on, bytes were copied from
 * there". Written in ascending order while a text is normalised; valid until the next `clear`.
 */
export class CutTable {
  #normalised = new Int32Array(64);
  #original = new Int32Array(64);
  #count = 0;
  /** original minus normalised since the last cut. */
  #shift = 0;

  get count(): number {
    return this.#count;
  }

  clear(): void {
    this.truncate(0);
  }

  /** Forgets all cuts but the first `count`. */
  truncate(count: number): void {
    this.#count = count;
    this.#shift = count === 0 ? 0 : (this.#original[count - 1] ?? 0) - (this.#normalised[count - 1] ?? 0);
  }

  /** The byte at `normalised`, and what is copied after it, comes from `original`. */
  mark(normalised: number, original: number): void {
    if (original - normalised === this.#shift) return;
    if (this.#count === this.#normalised.length) this.#grow();
    this.#normalised[this.#count] = normalised;
    this.#original[this.#count] = original;
    this.#count++;
    this.#shift = original - normalised;
  }

  /** Offset in the original text of the byte at `offset`, which must have been copied and not put in. */
  originalOf(offset: number): number {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#normalised[middle] ?? 0) <= offset) low = middle + 1;
      else high = middle;
    }
    if (low === 0) return offset;
    return (this.#original[low - 1] ?? 0) + offset - (this.#normalised[low - 1] ?? 0);
  }

  #grow(): void {
    const size = this.#count * 2;
    const normalised = new Int32Array(size);
    const original = new Int32Array(size);
    normalised.set(this.#normalised);
    original.set(this.#original);
    this.#normalised = normalised;
    this.#original = original;
  }
}
