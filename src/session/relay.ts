/**
 * Forwards one reply from a backend to the client, byte for byte, save for what the session answers for itself:
 * ReadyForQuery, settings and notifications always, CommandComplete where it must wait for the followers.
 */
import type { Backend } from '../backend/backend.ts';
import { BackendLostError, type Lost, type Receiver } from '../backend/receiver.ts';
import { assert, unreachable } from '../lib/assert.ts';
import type { RowDigest } from '../fanout/row-digest.ts';
import { decodeErrorFields, type ErrorFields, movePosition } from '../wire/error-fields.ts';
import { type Positions, samePositions } from '../sql/positions.ts';
import { Watch, type WatchTable, watchTable } from '../wire/frame-scan.ts';
import { BackendTag } from '../wire/tags.ts';
import type { ClientLink } from './client-link.ts';
import { namesUnnamed, withoutOwnName } from './own-names.ts';
import type { ReplyScript } from './reply-script.ts';
import type { RowLimit } from './row-limit.ts';

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
  /** Rows beyond it are not forwarded. */
  readonly limit?: RowLimit | undefined;
  /** Of an extended query: what becomes of the answers to its messages. */
  readonly replies?: ReplyScript | undefined;
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
  [BackendTag.NoticeResponse]: Watch.take,
});
const HOLDING: WatchTable = watchTable({
  [BackendTag.NotificationResponse]: Watch.take,
  [BackendTag.CopyInResponse]: Watch.take,
  [BackendTag.NoticeResponse]: Watch.take,
  [BackendTag.CommandComplete]: Watch.take,
  [BackendTag.EmptyQueryResponse]: Watch.take,
});
const DIGESTING: WatchTable = watchTable({
  [BackendTag.NotificationResponse]: Watch.take,
  [BackendTag.CopyInResponse]: Watch.take,
  [BackendTag.NoticeResponse]: Watch.take,
  [BackendTag.CommandComplete]: Watch.take,
  [BackendTag.EmptyQueryResponse]: Watch.take,
  [BackendTag.DataRow]: Watch.tap,
});

/** What ends the reply to one Execute. */
const ENDS: ReadonlySet<number> = new Set<number>([
  BackendTag.CommandComplete,
  BackendTag.EmptyQueryResponse,
  BackendTag.PortalSuspended,
]);

/** Answers to messages of the extended query protocol that come one for one. */
const SCRIPTED: ReadonlySet<number> = new Set<number>([
  BackendTag.ParseComplete,
  BackendTag.BindComplete,
  BackendTag.CloseComplete,
  BackendTag.ParameterDescription,
  BackendTag.RowDescription,
  BackendTag.NoData,
]);

/** `watch`, for a reply with a script. */
export function scripted(watch: WatchTable): WatchTable {
  return watch.map((entry, tag) => (SCRIPTED.has(tag) || ENDS.has(tag) ? Watch.take : entry));
}

const EXTENDED = { plain: scripted(PLAIN), holding: scripted(HOLDING), digesting: scripted(DIGESTING) } as const;
/** Rows are counted, one by one. */
const COUNTING: WatchTable = EXTENDED.holding.with(BackendTag.DataRow, Watch.take);
const SIMPLE = { plain: PLAIN, holding: HOLDING, digesting: DIGESTING } as const;

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
  /** `refused`: it was a refusal, and nothing that comes behind it is the client's. */
  #voice: 'heard' | 'withheld' | 'refused' = 'heard';
  #withheld: Buffer | undefined;
  #held: Buffer | undefined;
  #error: ErrorFields | undefined;
  /** Of rows that have not begun to come. */
  #description: Buffer | undefined;
  /** A run that the next frames of the same chunk may extend. */
  #chunk: Buffer | undefined;
  #start = 0;
  #end = 0;
  /** `preamble`: nothing has come yet but answers to Parse, Bind, Describe and Close. */
  #stage: 'preamble' | 'rows';
  /** Such answers, of chunks before the one in hand, while the statement may still run elsewhere. */
  #early: Buffer[] = [];

  constructor(client: ClientLink, source: Backend, options: RelayOptions) {
    this.#client = client;
    this.#source = source;
    this.#options = options;
    this.#stage = options.replies === undefined ? 'rows' : 'preamble';
    const tables = options.replies === undefined ? SIMPLE : EXTENDED;
    if (options.limit !== undefined) this.watch = COUNTING;
    else if (options.digest !== undefined) this.watch = tables.digesting;
    else this.watch = options.completion === 'hold' ? tables.holding : tables.plain;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.result.catch(() => undefined);
  }

  run(chunk: Buffer, start: number, end: number): void {
    // A notice may have come before the description.
    if (this.#stage === 'preamble' || this.#description !== undefined) this.#leavePreamble();
    this.#pass(chunk, start, end);
  }

  /** The first of the reply that is no answer to a mere preparation: what was kept back until now goes out. */
  #leavePreamble(): void {
    this.#stage = 'rows';
    this.#say();
    const description = this.#description;
    this.#description = undefined;
    if (description !== undefined) this.#pass(description, 0, description.length);
  }

  #say(): void {
    for (const frame of this.#options.replies?.sayings() ?? []) this.#pass(frame, 0, frame.length);
  }

  #pass(chunk: Buffer, start: number, end: number): void {
    if (this.#voice === 'refused') return;
    if (this.#held !== undefined) {
      // What the server tells behind the completion stays behind it.
      this.#held = Buffer.concat([this.#held, chunk.subarray(start, end)]);
      return;
    }
    if (this.#chunk === chunk && this.#end === start) {
      this.#end = end;
      return;
    }
    this.#emit();
    this.#chunk = chunk;
    this.#start = start;
    this.#end = end;
  }

  tap(_tag: number, chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#options.digest?.tap(chunk, start, end, last);
  }

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    if (this.#options.replies !== undefined && SCRIPTED.has(tag)) {
      this.#answer(this.#options.replies, chunk, start, end);
      return;
    }
    if (this.#options.replies !== undefined && ENDS.has(tag)) {
      this.#leavePreamble(); // what is to be said in front of it has its turn in the script
      this.#options.replies.next();
    }
    switch (tag) {
      case BackendTag.CommandComplete:
      case BackendTag.EmptyQueryResponse:
        if (this.#options.completion === 'forward') break;
        assert(this.#held === undefined, 'a held reply is of one statement');
        this.#emit();
        this.#held = Buffer.from(chunk.subarray(start, end));
        return;
      case BackendTag.DataRow:
        this.#options.digest?.tap(chunk, start, end, true);
        this.row(chunk, start, end);
        return;
      case BackendTag.ParameterStatus:
        return; // the session compares and tells at the end of the query
      case BackendTag.NotificationResponse:
        this.#client.defer(Buffer.from(chunk.subarray(start, end)));
        return;
      case BackendTag.CopyInResponse:
        this.#emit();
        this.#options.onCopyIn?.(Buffer.from(chunk.subarray(start, end)));
        return;
      case BackendTag.ErrorResponse:
        this.#error = decodeErrorFields(chunk, start, end);
        this.#description = undefined;
        this.#options.replies?.failed(this.#error.code);
        if (this.#voice === 'withheld') {
          this.#withheld = Buffer.from(movePosition(chunk, start, end, this.#positions));
          return;
        }
        if (
          this.#options.refusals === 'withhold' &&
          READER_REFUSALS.has(this.#error.code) &&
          this.forwarded === 'nothing'
        ) {
          this.#chunk = undefined; // answers to preparations, at most a RowDescription
          this.#early = [];
          this.#voice = 'refused';
          return;
        }
        if (this.#options.replies !== undefined && namesUnnamed(chunk, start, end)) {
          const frame = withoutOwnName(chunk, start, end);
          this.run(frame, 0, frame.length);
          return;
        }
        this.#told(chunk, start, end);
        return;
      case BackendTag.NoticeResponse:
        // It may be for who watches: a server sends it at once.
        this.#client.letGo();
        this.#told(chunk, start, end);
        return;
      default:
        break;
    }
    this.run(chunk, start, end);
    if (ENDS.has(tag)) this.#say();
  }

  get #positions(): Positions {
    const { replies } = this.#options;
    return replies === undefined ? this.#client.positions : replies.positions;
  }

  /** An error or notice, about the client's own text. */
  #told(chunk: Buffer, start: number, end: number): void {
    const positions = this.#positions;
    if (positions === samePositions) {
      this.run(chunk, start, end);
      return;
    }
    const frame = movePosition(chunk, start, end, positions);
    this.run(frame, 0, frame.length);
  }

  /** From here on an error is not forwarded: it waits in the result, since the client may be told something better. */
  withhold(): void {
    this.#voice = 'withheld';
  }

  /** Errors are forwarded again, and one that waits is. */
  speak(): void {
    this.#voice = 'heard';
    if (this.#withheld !== undefined) this.#client.send(this.#withheld);
    this.#withheld = undefined;
  }

  #answer(replies: ReplyScript, chunk: Buffer, start: number, end: number): void {
    this.#say();
    const fate = replies.next();
    assert(fate !== undefined, 'an answer to a message of ours');
    switch (fate.kind) {
      case 'forward':
        this.#pass(chunk, start, end);
        fate.after?.();
        break;
      case 'forward portal':
        this.#portal(chunk, start, end, fate.told);
        break;
      case 'keep':
        fate.after(Buffer.from(chunk.subarray(start, end)));
        if (fate.for === 'both') this.#pass(chunk, start, end);
        break;
      case 'swallow':
        fate.after?.();
        break;
      case 'rows':
        break;
      default:
        unreachable(fate);
    }
    this.#say();
  }

  /** One row for the client, where it has asked for so many. */
  protected row(chunk: Buffer, start: number, end: number): void {
    if (this.#options.limit?.admit(chunk.subarray(start, end)) !== false) this.run(chunk, start, end);
  }

  /** The description of a portal's rows for the client, RowDescription or NoData; undefined: as it came. */
  protected describedPortal(_chunk: Buffer, _start: number, _end: number): Buffer | undefined {
    return undefined;
  }

  #portal(chunk: Buffer, start: number, end: number, told: 'at once' | 'with rows'): void {
    const own = this.describedPortal(chunk, start, end);
    if (told === 'at once') {
      if (own === undefined) this.#pass(chunk, start, end);
      else this.#pass(own, 0, own.length);
      return;
    }
    const described = own ?? Buffer.from(chunk.subarray(start, end));
    if (described[0] !== BackendTag.NoData) this.#description = described;
  }

  flush(): void {
    // While nothing but preparations is answered, the statement may still run elsewhere.
    if (this.#stage === 'preamble' && this.#options.refusals === 'withhold') return;
    this.#emit();
  }

  #emit(): void {
    const chunk = this.#chunk;
    if (chunk === undefined) return;
    this.#chunk = undefined;
    if (this.#stage === 'preamble' && this.#options.refusals === 'withhold') {
      this.#early.push(chunk.subarray(this.#start, this.#end));
      return;
    }
    for (const frame of this.#early.splice(0)) this.#client.send(frame);
    this.forwarded = 'something';
    const whole = this.#start === 0 && this.#end === chunk.length;
    this.#client.sendFrom(this.#source.channel, whole ? chunk : chunk.subarray(this.#start, this.#end));
  }

  ready(status: number): void {
    if (this.#error === undefined) this.#leavePreamble();
    else this.#stage = 'rows';
    this.#emit();
    for (const frame of this.#early.splice(0)) this.#client.send(frame);
    this.#resolve({ status, error: this.#error, held: this.#held, withheld: this.#withheld });
  }

  lost(lost: Lost): void {
    this.#options.replies?.lost();
    // An error is an answer; rows' descriptions alone are none, and the read may still be asked elsewhere.
    if (this.forwarded === 'something' || this.#error !== undefined) this.#emit();
    this.#reject(new BackendLostError(lost));
  }
}

/** Forwards the reply of a transaction-control statement: all of it, or all but its completion. */
export class StatementRelay extends Relay {
  constructor(client: ClientLink, source: Backend, completion: 'forward' | 'drop completion' = 'forward') {
    super(client, source, { completion: completion === 'forward' ? 'forward' : 'hold' });
  }
}
