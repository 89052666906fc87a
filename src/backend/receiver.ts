/**
 * Who gets the reply to one query. A backend owes its replies in order, so its ledger is a queue of receivers: each sees
 * the frames from its query's first reply to its ReadyForQuery, and nothing else.
 */
import { PproxError } from '../lib/errors.ts';
import { type ErrorFields, QUERY_CANCELED } from '../wire/error-fields.ts';
import { type FrameSink, Watch, type WatchTable, watchTable } from '../wire/frame-scan.ts';
import { BackendTag } from '../wire/tags.ts';
import { decodeCommandTag, decodeDataRow } from '../wire/backend.ts';
import { decodeErrorFields } from '../wire/error-fields.ts';
import type { CloseReason } from '../lib/close-reason.ts';

/** The server session is gone; what it had not committed is rolled back by the server. */
export interface Lost {
  /** `10.0.0.1:5432`. */
  readonly server: string;
  readonly reason: CloseReason;
  /** The server's own last word, where it sent one: 57P01 at its shutdown. */
  readonly fatal: ErrorFields | undefined;
  /** The same, as it came. */
  readonly fatalFrame?: Buffer | undefined;
  readonly message: string;
}

export interface Receiver extends FrameSink {
  /** The reply is complete; `status` is ReadyForQuery's. Comes instead of `flush` for the last bytes. */
  ready(status: number): void;
  /** The reply will never be complete. */
  lost(lost: Lost): void;
  /** All bytes that arrived in this turn have been seen, and the reply goes on. */
  flush(): void;
}

/** What one query of our own answered. */
export interface Answer {
  readonly rows: readonly (readonly (string | null)[])[];
  /** Tags of its statements, in order: a COMMIT of a failed transaction answers ROLLBACK. */
  readonly tags: readonly string[];
  readonly error: ErrorFields | undefined;
  /** ReadyForQuery's transaction status. */
  readonly status: number;
}

/** `context`: in front of the server's words. Throws PproxError where it has refused, or been told to stop. */
export function rowsOf(
  { rows, error }: Answer,
  { context, hint }: { readonly context?: string; readonly hint?: string | undefined } = {},
): Answer['rows'] {
  if (error === undefined) return rows;
  if (error.code === QUERY_CANCELED) throw new PproxError('cancelled', { message: error.message });
  throw new PproxError('catalog_unreadable', {
    sqlstate: error.code,
    message: context === undefined ? error.message : `${context}: ${error.message}`,
    hint,
  });
}

export class BackendLostError extends Error {
  override readonly name = 'BackendLostError';
  readonly lost: Lost;
  constructor(lost: Lost) {
    super(lost.message);
    this.lost = lost;
  }
}

const COLLECTED: WatchTable = watchTable({
  [BackendTag.DataRow]: Watch.take,
  [BackendTag.CommandComplete]: Watch.take,
  [BackendTag.ErrorResponse]: Watch.take,
  [BackendTag.ReadyForQuery]: Watch.take,
});

/**
 * A reply that is kept, in part or whole, and none of it forwarded. `reply` resolves with what `outcome` makes of it, and
 * rejects with BackendLostError.
 */
export abstract class KeptReply<T> implements Receiver {
  abstract readonly watch: WatchTable;
  readonly reply: Promise<T>;
  #resolve!: (outcome: T) => void;
  #reject!: (error: BackendLostError) => void;

  constructor() {
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // A pipelined reply may be lost before anybody has come to wait for it.
    this.reply.catch(() => undefined);
  }

  abstract take(tag: number, chunk: Buffer, start: number, end: number): void;

  /** `status`: ReadyForQuery's. */
  protected abstract outcome(status: number): T;

  run(): void {
    return undefined;
  }

  tap(_tag: number, _chunk: Buffer, _start: number, _end: number, _last: boolean): void {
    return undefined;
  }

  flush(): void {
    return undefined;
  }

  ready(status: number): void {
    this.#resolve(this.outcome(status));
  }

  lost(lost: Lost): void {
    this.#reject(new BackendLostError(lost));
  }
}

/** Collects the small reply of a query of our own. */
export class Collector extends KeptReply<Answer> {
  readonly watch = COLLECTED;
  readonly #rows: (string | null)[][] = [];
  readonly #tags: string[] = [];
  #error: ErrorFields | undefined;
  /** The ErrorResponse as it came, for who forwards it. */
  errorFrame: Buffer | undefined;
  take(tag: number, chunk: Buffer, start: number, end: number): void {
    if (tag === BackendTag.DataRow) {
      this.#rows.push(
        decodeDataRow(chunk, start, end).map((value) => (value === null ? null : value.toString('utf8'))),
      );
    } else if (tag === BackendTag.CommandComplete) {
      this.#tags.push(decodeCommandTag(chunk, start, end));
    } else if (tag === BackendTag.ErrorResponse) {
      this.#error = decodeErrorFields(chunk, start, end);
      this.errorFrame = Buffer.from(chunk.subarray(start, end));
    }
  }

  protected outcome(status: number): Answer {
    return { rows: this.#rows, tags: this.#tags, error: this.#error, status };
  }
}
