/**
 * Digest of a result's rows, whatever their order: rows of a multi-row RETURNING come in physical order, which may differ
 * between servers. Two independent 32-bit hashes of each row are summed, and the rows counted: a difference that stays
 * unseen needs a collision of both sums.
 */

const PRIME_A = 0x0100_0193;
const PRIME_B = 0x85eb_ca6b;

export class RowDigest {
  #rows = 0;
  #sumA = 0;
  #sumB = 0;
  #a = 0x811c_9dc5;
  #b = 0x9747_b28c;

  /** Feeds one piece of a DataRow frame; `last` ends the row. */
  tap(chunk: Buffer, start: number, end: number, last: boolean): void {
    let a = this.#a;
    let b = this.#b;
    for (let at = start; at < end; at++) {
      const byte = chunk[at] ?? 0;
      a = Math.imul(a ^ byte, PRIME_A);
      b = Math.imul((b << 7) | (b >>> 25), PRIME_B) ^ (byte + 0x9e37);
    }
    this.#a = a;
    this.#b = b;
    if (!last) return;
    this.#rows++;
    this.#sumA = (this.#sumA + (mix(a) >>> 0)) % 0x20_0000_0000_0000;
    this.#sumB = (this.#sumB + (mix(b) >>> 0)) % 0x20_0000_0000_0000;
    this.#a = 0x811c_9dc5;
    this.#b = 0x9747_b28c;
  }

  /** As a `RowTap`: the whole row counts. */
  add(_values: unknown, whole: Buffer): void {
    this.tap(whole, 0, whole.length, true);
  }

  /** Equal for equal multisets of rows. */
  get value(): string {
    return `${this.#rows}:${this.#sumA.toString(16)}:${this.#sumB.toString(16)}`;
  }
}

function mix(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x7feb_352d);
  h ^= h >>> 15;
  h = Math.imul(h, 0x846c_a68b);
  return h ^ (h >>> 16);
}
