/**
 * Forwards one reply from a backend to the client, byte for byte, save for what the session answers for itself:
 * ReadyForQuery, settings and notifications always, CommandComplete where it must wait for the followers.
 */
import type { Backend } from '../backend/backend.ts';
import { BackendLostError, type Lost, type Receiver } from '../backend/receiver.ts';
import { assert } from '../lib/assert.ts';
import type { RowDigest } from '../fanout/row-digest.ts';
import { decodeErrorFields, type ErrorFields, shiftPosition } from '../wire/error-fields.ts';
import { Watch, type WatchTable, watchTable } from '../wire/frame-scan.ts';
import { BackendTag } from '../wire/tags.ts';
import type { ClientLink } from './client-link.ts';

export interface RelayResult {
  /** ReadyForQuery's transaction status. */
  readonly status: number;
  /** The reply ended in an ErrorResponse, which the client has been sent. */
  readonly error: ErrorFields | undefined;
  /** CommandComplete or EmptyQueryResponse as it came, with what came behind it, where it was held back. */
  readonly held: Buffer | undefined;
  /** The ErrorResponse as it came, where it was withheld. */
  readonly withheld: Buffer | undefined;
}

export interface RelayOptions {
  /** `hold`: the last CommandComplete waits in the result. */
  readonly completion: 'forward' | 'hold';
  /** `withhold`: one of READER_REFUSALS as the first word of the reply is not forwarded: the statement runs elsewhere. */
  readonly refusals?: 'withhold' | undefined;
  readonly digest?: RowDigest | undefined;
  /** Told when the server asks for COPY data; its CopyInResponse is handed over, not forwarded. */
  readonly onCopyIn?: ((frame: Buffer) => void) | undefined;
}

/** read_only_sql_transaction */
export const READ_ONLY = '25006';

/**
 * What a standby says where a primary might not: besides READ_ONLY feature_not_supported (an unlogged table),
 * object_not_in_prerequisite_state ("recovery is in progress") and serialization_failure (a conflict with recovery).
 */
export const READER_REFUSALS: ReadonlySet<string> = new Set([READ_ONLY, '0A000', '55000', '40001']);

const PLAIN: WatchTable = watchTable({
  [BackendTag.NotificationResponse]: Watch.take,
  [BackendTag.CopyInResponse]: Watch.take,
});
const HOLDING: WatchTable = watchTable({
  [BackendTag.NotificationResponse]: Watch.take,
  [BackendTag.CopyInResponse]: Watch.take,
  [BackendTag.CommandComplete]: Watch.take,
  [BackendTag.EmptyQueryResponse]: Watch.take,
});
const DIGESTING: WatchTable = watchTable({
  [BackendTag.NotificationResponse]: Watch.take,
  [BackendTag.CopyInResponse]: Watch.take,
  [BackendTag.CommandComplete]: Watch.take,
  [BackendTag.EmptyQueryResponse]: Watch.take,
  [BackendTag.DataRow]: Watch.tap,
});

export class Relay implements Receiver {
  readonly watch: WatchTable;
  readonly result: Promise<RelayResult>;
  /** Bytes have reached the client: the query cannot be run anywhere else any more. */
  forwarded: 'nothing' | 'something' = 'nothing';
  readonly #client: ClientLink;
  readonly #source: Backend;
  readonly #options: RelayOptions;
  #resolve!: (result: RelayResult) => void;
  #reject!: (error: BackendLostError) => void;
  #voice: 'heard' | 'withheld' = 'heard';
  #withheld: Buffer | undefined;
  #held: Buffer | undefined;
  #error: ErrorFields | undefined;
  /** A run that the next frames of the same chunk may extend. */
  #chunk: Buffer | undefined;
  #start = 0;
  #end = 0;

  constructor(client: ClientLink, source: Backend, options: RelayOptions) {
    this.#client = client;
    this.#source = source;
    this.#options = options;
    this.watch = options.digest !== undefined ? DIGESTING : options.completion === 'hold' ? HOLDING : PLAIN;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.result.catch(() => undefined);
  }

  run(chunk: Buffer, start: number, end: number): void {
    if (this.#held !== undefined) {
      // What the server tells behind the completion stays behind it.
      this.#held = Buffer.concat([this.#held, chunk.subarray(start, end)]);
      return;
    }
    if (this.#chunk === chunk && this.#end === start) {
      this.#end = end;
      return;
    }
    this.flush();
    this.#chunk = chunk;
    this.#start = start;
    this.#end = end;
  }

  tap(_tag: number, chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#options.digest?.tap(chunk, start, end, last);
  }

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    switch (tag) {
      case BackendTag.CommandComplete:
      case BackendTag.EmptyQueryResponse:
        if (this.#options.completion === 'forward') break;
        assert(this.#held === undefined, 'a held reply is of one statement');
        this.flush();
        this.#held = Buffer.from(chunk.subarray(start, end));
        return;
      case BackendTag.ParameterStatus:
        return; // the session compares and tells at the end of the query
      case BackendTag.NotificationResponse:
        this.#client.defer(Buffer.from(chunk.subarray(start, end)));
        return;
      case BackendTag.CopyInResponse:
        this.flush();
        this.#options.onCopyIn?.(Buffer.from(chunk.subarray(start, end)));
        return;
      case BackendTag.ErrorResponse:
        this.#error = decodeErrorFields(chunk, start, end);
        if (this.#voice === 'withheld') {
          this.#withheld = Buffer.from(chunk.subarray(start, end));
          return;
        }
        if (
          this.#options.refusals === 'withhold' &&
          READER_REFUSALS.has(this.#error.code) &&
          this.forwarded === 'nothing'
        ) {
          this.#chunk = undefined; // at most a RowDescription
          return;
        }
        if (this.#client.errorOffset > 0) {
          const frame = shiftPosition(chunk, start, end, this.#client.errorOffset);
          this.run(frame, 0, frame.length);
          return;
        }
        break;
      default:
        break;
    }
    this.run(chunk, start, end);
  }

  /** From here on an error is not forwarded: it waits in the result, since the client may be told something better. */
  withhold(): void {
    this.#voice = 'withheld';
  }

  flush(): void {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    this.#chunk = undefined;
    this.forwarded = 'something';
    const whole = this.#start === 0 && this.#end === chunk.length;
    this.#client.sendFrom(this.#source.channel, whole ? chunk : chunk.subarray(this.#start, this.#end));
  }

  ready(status: number): void {
    this.flush();
    this.#resolve({ status, error: this.#error, held: this.#held, withheld: this.#withheld });
  }

  lost(lost: Lost): void {
    // An error is an answer; rows' descriptions alone are none, and the read may still be asked elsewhere.
    if (this.forwarded === 'something' || this.#error !== undefined) this.flush();
    this.#reject(new BackendLostError(lost));
  }
}

/** Forwards the reply of a transaction-control statement: all of it, or all but its completion. */
export class StatementRelay extends Relay {
  constructor(client: ClientLink, source: Backend, completion: 'forward' | 'drop completion' = 'forward') {
    super(client, source, { completion: completion === 'forward' ? 'forward' : 'hold' });
  }
}
