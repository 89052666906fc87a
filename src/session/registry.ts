/** Every connected client by its cancel key (PostgreSQL, "Canceling Requests in Progress"). */
import { randomBytes, timingSafeEqual } from 'node:crypto';
import { assert } from '../lib/assert.ts';

export interface CancelTarget {
  /** Cancels what the session runs at this moment, on every server it runs on; nothing where it runs nothing. */
  cancel(): void;
}

export interface CancelKey {
  readonly processId: number;
  readonly secretKey: Buffer;
}

/** Protocol 3.0 fixes four bytes; 3.2 allows up to 256, and PostgreSQL 18 sends 32. */
const KEY_BYTES = { v30: 4, v32: 32 } as const;

export class CancelRegistry {
  readonly #targets = new Map<number, { key: CancelKey; target: CancelTarget }>();

  get size(): number {
    return this.#targets.size;
  }

  has(processId: number): boolean {
    return this.#targets.has(processId);
  }

  /** `processId`: one that it does not have. */
  register(target: CancelTarget, version: keyof typeof KEY_BYTES, processId: number): CancelKey {
    assert(!this.#targets.has(processId), 'a process id is of one session');
    const key = { processId, secretKey: randomBytes(KEY_BYTES[version]) };
    this.#targets.set(processId, { key, target });
    return key;
  }

  unregister(key: CancelKey): void {
    this.#targets.delete(key.processId);
  }

  /** A wrong key does nothing and says nothing, as in PostgreSQL. */
  cancel(processId: number, secretKey: Buffer): void {
    const entry = this.#targets.get(processId);
    if (entry === undefined || entry.key.secretKey.length !== secretKey.length) return;
    if (timingSafeEqual(entry.key.secretKey, secretKey)) entry.target.cancel();
  }
}
