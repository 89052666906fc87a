/**
 * Execute with a row limit, of a statement that writes: the lead runs it to its end and the followers with it, whatever
 * the client has taken of its rows (as PostgreSQL does with RETURNING: PORTAL_ONE_RETURNING; a SELECT whose functions write it would run as far as rows
 * are asked for). The rest waits here.
 */
import { PproxError } from '../lib/errors.ts';
import { decodeCommandTag, encodeCommandComplete } from '../wire/backend.ts';

/** Rows that a client has asked for and not taken. */
const REST_BYTES = 16 * 1024 * 1024;

export class RowLimit {
  readonly limit: number;
  #count = 0;
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** What ends the reply, once every row has been taken. */
  completion: Buffer | undefined;

  constructor(limit: number) {
    this.limit = limit;
  }

  /** Whether the client gets this row now; the others are kept. `frame` is copied. */
  admit(frame: Buffer): boolean {
    this.#count++;
    if (this.#count <= this.limit) return true;
    this.#restBytes += frame.length;
    if (this.#restBytes <= REST_BYTES) this.#rest.push(Buffer.from(frame));
    else this.#rest = [];
    return false;
  }

  /** As PostgreSQL sees it: the limit was met, even where no row is left. */
  get suspended(): boolean {
    return this.#count >= this.limit;
  }

  /** Throws PproxError where there were more rows than are kept. */
  check(): void {
    if (this.#restBytes <= REST_BYTES) return;
    throw new PproxError('too_many_rows', {
      message: `a statement that writes returned more than ${REST_BYTES / 1024 / 1024} MiB of rows beyond its row limit`,
      hint: 'Execute it without a row limit.',
    });
  }

  /** The completion for the last portion: its tag counts the rows of that portion alone. */
  #completed(rows: number): Buffer | undefined {
    const { completion } = this;
    if (completion === undefined) return undefined;
    const tag = decodeCommandTag(completion, 0, completion.length);
    return encodeCommandComplete(tag.replace(/\d+$/, String(rows)));
  }

  /** The next rows, at most `limit` (0: all of them). */
  take(limit: number): { readonly rows: readonly Buffer[]; readonly end: Buffer | 'suspended' | undefined } {
    const rows = limit === 0 ? this.#rest.splice(0) : this.#rest.splice(0, limit);
    return { rows, end: limit > 0 && rows.length >= limit ? 'suspended' : this.#completed(rows.length) };
  }
}
