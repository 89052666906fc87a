/**
 * One connection to one server, from its start-up to its end; `backend/connect` makes it.
 *
 *   connected ─► starting ─► open ─► closed        (any of them ─► closed)
 *
 * `open` with an empty ledger is idle; who holds the lease of an idle backend is the pool's business.
 */
import { formatHostPort } from '../config/address.ts';
import type { Tls } from '../config/config.ts';
import { assert } from '../lib/assert.ts';
import type { CloseReason } from '../lib/close-reason.ts';
import { Channel } from '../net/channel.ts';
import { type Address, describeSocketError, type Encryption, type Link } from '../net/tls.ts';
import { decodeParameterStatus, decodeReadyForQuery } from '../wire/backend.ts';
import { decodeErrorFields, type ErrorFields, QUERY_CANCELED } from '../wire/error-fields.ts';
import { FrameError, FrameScanner, type FrameSink, Watch, type WatchTable } from '../wire/frame-scan.ts';
import { encodeQuery, encodeStartup, ProtocolVersion, SYNC, TERMINATE } from '../wire/frontend.ts';
import { ShortMessage } from '../wire/reader.ts';
import { BackendTag, FrontendTag, TransactionStatus } from '../wire/tags.ts';
import { OwnMessage, type OwnStatement } from './own-message.ts';
import { PreparedNames } from './prepared.ts';
import { Handshake, type HandshakeFailure, type HandshakeResult } from './handshake.ts';
import { NOTHING_SET, type SettingSet } from './setting-set.ts';
import { AHEAD_MS, Ledger } from './ledger.ts';
import { endingInReady, type Owed, owedAhead, owedFor } from './owed.ts';
import { type Answer, Collector, type Lost, type Receiver } from './receiver.ts';

export interface BackendOptions {
  readonly address: Address;
  readonly user: string;
  readonly password: string | undefined;
  /** Start-up parameters, `user` and `database` included. */
  readonly parameters: ReadonlyMap<string, string>;
  readonly keepAliveMs: number | undefined;
  /** Undefined: never encrypted. */
  readonly tls?: Tls | undefined;
}

/** Why a cancel request was sent: the ErrorResponse that takes the place of the server's. */
interface Explanation {
  readonly frame: Buffer;
  /** Once it is delivered, a statement that begins later cannot be hit. */
  request: 'under way' | 'delivered';
}

type State = 'connected' | 'starting' | 'open' | 'closed';

const EDGES = {
  connected: ['starting', 'closed'],
  starting: ['open', 'closed'],
  open: ['closed'],
  closed: [],
} as const satisfies Record<State, readonly State[]>;

/** Messages of `stir` that may wait for their answers: together with a statement, and a question or two, far fewer than a ledger takes. */
const STIRS = 64;
/** So many of them come as often as they are asked for, the others more slowly: for a minute and more. */
const QUICK_STIRS = 10;
const SLOW_STIR_MS = 1000;

/** What may arrive with no query in hand: nothing of it is a reply. */
const ASYNC: WatchTable = new Uint8Array(256).fill(Watch.take);

/** Told what a server says between queries: notifications for a listening session, changed settings. */
export interface AsyncListener {
  asyncMessage(tag: number, frame: Buffer): void;
}

export class Backend {
  readonly address: Address;
  /** Undefined: plain. */
  readonly encryption: Encryption | undefined;
  /** How a cancel request is to be encrypted where this connection is. */
  readonly tls: Tls | undefined;
  readonly parameters = new Map<string, string>();
  /** What its server session was set to since it began; who holds the lease keeps it true. */
  settings: SettingSet = NOTHING_SET;
  /** Counts changes of `parameters`, so that a session can tell that what it told its client is old. */
  parametersVersion = 0;
  processId = 0;
  /** Those that are not answered yet, and when the latest was sent, by performance.now(). */
  #stirs: { readonly waiting: number; readonly at: number } = { waiting: 0, at: 0 };
  secretKey: Buffer = Buffer.alloc(0);
  /** Notices of its start-up: every client that starts alike should hear them. */
  greetings: readonly Buffer[] = [];
  /** Perhaps one that nobody waits for any more: then it may hit whatever runs here next. */
  cancelRequests: 'known' | 'perhaps under way' = 'known';
  /** What its holder's statements may have left in its server session: nobody else gets it then. */
  remains: 'nothing' | 'perhaps something' = 'nothing';
  /** ReadyForQuery's, of the last completed reply. */
  status: number = TransactionStatus.Idle;
  readonly createdAt = Date.now();
  readonly prepared = new PreparedNames();
  /** Whom it was started as, and where. */
  user = '';
  database = '';
  /** pg_database.oid of that database. */
  databaseOid = '';
  /** Of transactions that do not say it themselves, as the connection began: default_transaction_isolation. */
  isolation = 'unknown';
  /** Set by the lease's holder while it is pinned to this backend; else what arrives between queries is dropped. */
  listener: AsyncListener | undefined;
  /** Told once when the connection has ended, after every receiver was told. */
  onClosed: ((lost: Lost) => void) | undefined;

  #state: State = 'connected';
  readonly #channel: Channel;
  readonly #scanner = new FrameScanner();
  readonly #ledger: Ledger;
  readonly #idle: FrameSink;
  #asides = 0;
  #explanation: Explanation | undefined;
  #fatal: ErrorFields | undefined;
  #fatalFrame: Buffer | undefined;
  #lost: Lost | undefined;
  #drainWaiters: (() => void)[] = [];

  /** Takes the link over. */
  constructor(link: Link, address: Address, tls: Tls | undefined) {
    this.address = address;
    this.encryption = link.encryption;
    this.tls = tls;
    this.#channel = new Channel(link.socket, {
      data: (chunk) => this.#data(chunk),
      drained: () => {
        const waiters = this.#drainWaiters;
        this.#drainWaiters = [];
        for (const wake of waiters) wake();
      },
      closed: (error) => this.#ended(error === undefined ? 'server disconnected' : 'server socket error', error),
    });
    this.#ledger = new Ledger({
      send: (bytes) => this.#channel.send(bytes),
      violated: () => this.close('server protocol violation'),
    });
    this.#idle = {
      watch: ASYNC,
      run: () => undefined,
      tap: () => undefined,
      take: (tag, chunk, start, end) => this.#asyncFrame(tag, chunk, start, end),
    };
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  /** Nothing is under way for its holder. */
  get idle(): boolean {
    return this.#state === 'open' && this.#ledger.size <= this.#asides;
  }

  /** How long a reply has been owed without a byte of it, in ms; 0 where none is owed, or we are the ones who do not read. */
  silentMs(now: number): number {
    return this.#channel.braked ? 0 : this.#ledger.silentMs(now);
  }

  /** Bytes forwarded so far end inside a frame: nothing can be put behind them. */
  get insideFrame(): boolean {
    return this.#scanner.insideFrame;
  }

  get channel(): Channel {
    return this.#channel;
  }

  /** Queues a query; `receiver` gets its reply. On a closed backend the receiver is told at once. */
  query(text: string | Buffer, receiver: Receiver): void {
    this.send(encodeQuery(text), receiver);
  }

  /** As `query`, for a message sequence that ends in exactly one ReadyForQuery. */
  send(message: Buffer, receiver: Receiver): void {
    if (this.#state === 'closed') {
      receiver.lost(this.#lost ?? unsaid(this.address));
      return;
    }
    this.#noteQuery(message);
    this.#ledger.send(message, owedFor(message, receiver));
  }

  /**
   * As `send`, of what does no harm, or is undone by who sends it, where the transaction that was to begin in front of it was refused: it does not
   * wait for the answer to that. What it stands behind is then told the refusal, and a failed transaction has begun behind it.
   */
  sendAtOnce(message: Buffer, receiver: Receiver): void {
    if (this.#state === 'closed') {
      receiver.lost(this.#lost ?? unsaid(this.address));
      return;
    }
    this.#noteQuery(message);
    this.#ledger.sendAtOnce(message, owedFor(message, receiver));
  }

  /** "The next simple Query message also destroys the unnamed statement" (manual, "Message Flow", "Extended Query"). */
  #noteQuery(message: Buffer): void {
    if (message[0] === FrontendTag.Query) this.prepared.unnamed = undefined;
  }

  /**
   * Statements of ours in front of what is sent next, in one write with it, or by themselves after `patienceMs`. What goes wrong in them is told to
   * who has sent that: it is not done then. `begin`: they begin a transaction. Where that is refused there is a failed one nevertheless. What is
   * sent behind them is encoded behind them, too.
   */
  ahead(kind: 'begin' | 'within', texts: readonly string[], patienceMs = AHEAD_MS): void {
    const own = new OwnMessage(this.prepared);
    for (const text of texts) own.runOnce(text);
    const ahead = own.ahead();
    this.#ahead(ahead.message, owedAhead(kind === 'begin' ? 'beginning' : 'ahead', ahead), patienceMs);
  }

  /** A question of ours ahead of what is sent next, which may be encoded already. Rejects with BackendLostError. */
  async askAhead(question: OwnStatement, how: 'prepared' | 'anew' = 'prepared'): Promise<Answer> {
    // Not by the unnamed statement, which may be its.
    const own = new OwnMessage(this.prepared);
    const ahead = (how === 'prepared' ? own.run(question) : own.runAnew(question)).ahead();
    const receiver = new Collector();
    this.#ahead(ahead.message, owedAhead('ahead', ahead, receiver), AHEAD_MS);
    const answer = await receiver.reply;
    if (answer.error !== undefined) this.prepared.doubtOwn();
    return answer;
  }

  #ahead(message: Buffer, owed: Owed, patienceMs: number): void {
    if (this.#state === 'closed') {
      owed.receiver.lost(this.#lost ?? unsaid(this.address));
      return;
    }
    this.#ledger.ahead(message, owed, patienceMs);
  }

  /** As `Ledger.causeOf`. */
  causeOf(fields: ErrorFields): ErrorFields {
    return this.#ledger.causeOf(fields);
  }

  /** A query of our own with a small answer. `at once`: as `sendAtOnce`. Rejects with BackendLostError. */
  ask(text: string, when: 'in turn' | 'at once' = 'in turn'): Promise<Answer> {
    return this.#ask(encodeQuery(text), when);
  }

  /** The same, prepared once on this connection. */
  async askOwn(statement: OwnStatement, when: 'in turn' | 'at once' = 'in turn'): Promise<Answer> {
    const answer = await this.#ask(new OwnMessage(this.prepared).run(statement).sync(), when);
    if (answer.error !== undefined) this.prepared.doubtOwn();
    return answer;
  }

  #ask(message: Buffer, when: 'in turn' | 'at once'): Promise<Answer> {
    const collector = new Collector();
    if (when === 'at once') this.sendAtOnce(message, collector);
    else this.send(message, collector);
    return collector.reply;
  }

  /**
   * A cancel request is on its way for a reason that the server does not know: its 57014 is told as `frame`. `delivered` is
   * to be called when the request is over.
   */
  explainCancel(frame: Buffer): { delivered(): void } {
    const explanation: Explanation = { frame, request: 'under way' };
    this.#explanation = explanation;
    return {
      delivered: () => {
        explanation.request = 'delivered';
        if (this.#ledger.size === 0 && this.#explanation === explanation) this.#explanation = undefined;
      },
    };
  }

  /** As `ask`, while nobody holds it: whoever comes meanwhile is served behind it, and need not know. */
  async aside(text: string): Promise<Answer> {
    this.#asides++;
    try {
      return await this.ask(text);
    } finally {
      this.#asides--;
    }
  }

  /**
   * Asks nothing: the clock by which the server takes its session for idle begins anew (`idle_in_transaction_session_timeout`). Where nothing is under
   * way, or where the rows of one reply are kept waiting for followers: it may have sent all of them.
   */
  stir(now: number): void {
    const kept = this.open && this.#channel.brakedFor('row replay slow') && this.#ledger.size <= this.#asides + 1;
    if (!kept && (!this.idle || this.#stirs.waiting > 0)) return;
    // Answers wait behind the rows.
    const { waiting, at } = this.#stirs;
    if (waiting >= STIRS || (waiting >= QUICK_STIRS && now - at < SLOW_STIR_MS)) return;
    this.#asides++;
    this.#stirs = { waiting: waiting + 1, at: now };
    const answered = (): void => {
      this.#asides--;
      this.#stirs = { ...this.#stirs, waiting: this.#stirs.waiting - 1 };
    };
    // Who asks next hears of its loss.
    void this.#ask(SYNC, 'in turn').then(answered, answered);
  }

  /** COPY data, CopyDone or CopyFail for the query in hand. */
  sendCopy(bytes: Buffer): void {
    this.#channel.send(bytes);
  }

  /** Resolves when the socket takes more, at once where it does; also when the connection ends. */
  writable(): Promise<void> {
    if (!this.#channel.congested || this.#state === 'closed') return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  close(reason: CloseReason): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'open') this.#channel.send(TERMINATE);
    const idle = this.idle;
    this.#ended(reason, undefined);
    if (idle) this.#channel.end(CLOSE_LINGER_MS);
    else this.#channel.destroy();
  }

  start(
    options: BackendOptions,
    done: (result: HandshakeResult) => void,
    failed: (failure: HandshakeFailure) => void,
  ): void {
    this.#move('starting');
    this.user = options.user;
    this.database = options.parameters.get('database') ?? options.user;
    const handshake = new Handshake({
      user: options.user,
      password: options.password,
      certificate: this.encryption?.certificate,
      channelBinding: options.tls?.channelBinding ?? 'prefer',
      send: (bytes) => this.#channel.send(bytes),
      done: (result) => {
        this.processId = result.processId;
        this.secretKey = result.secretKey;
        this.greetings = result.notices;
        this.#move('open');
        done(result);
      },
      failed,
    });
    this.#ledger.send(encodeStartup(ProtocolVersion.v30, options.parameters), endingInReady(handshake, 'Sync'));
  }

  #move(to: State): void {
    assert((EDGES[this.#state] as readonly State[]).includes(to), `backend: ${this.#state} to ${to}`);
    this.#state = to;
  }

  #data(chunk: Buffer): void {
    if (this.#state === 'closed') return;
    this.#ledger.heard();
    try {
      this.#scanner.scan(chunk, this.#sinkOf);
    } catch (error) {
      if (!(error instanceof FrameError) && !(error instanceof ShortMessage)) throw error;
      this.#violation(error.message);
      return;
    }
    // A last word is followed by the loss of the reply: what has come of it may not have to be passed on.
    if (this.#fatal === undefined) this.#ledger.first?.receiver.flush();
  }

  /** The reply's receiver, behind a step that keeps what belongs to the connection itself. */
  readonly #sinkOf = (): FrameSink => {
    return this.#ledger.size === 0 ? this.#idle : this.#routed;
  };

  readonly #routed: FrameSink = routedSink(
    () => this.#ledger.first,
    (tag, chunk, start, end) => this.#frame(tag, chunk, start, end),
  );

  #frame(tag: number, chunk: Buffer, start: number, end: number): void {
    const owed = this.#ledger.first;
    assert(owed !== undefined, 'a reply has a receiver');
    const { receiver } = owed;
    switch (tag) {
      case BackendTag.ReadyForQuery:
        this.status = decodeReadyForQuery(chunk, start, end);
        this.#ledger.ready(this.status);
        if (this.#explanation?.request === 'delivered') this.#explanation = undefined;
        receiver.ready(this.status);
        return;
      case BackendTag.ParameterStatus:
        this.#parameter(chunk, start, end);
        receiver.take(tag, chunk, start, end);
        return;
      case BackendTag.ErrorResponse:
        if (this.#noteFatal(chunk, start, end) && this.#state === 'open') return; // the loss will carry it
        this.#refuse(owed, chunk, start, end);
        return;
      case BackendTag.CloseComplete:
        if (owed.kind === 'message') receiver.take(tag, chunk, start, end);
        else this.#ledger.closedAhead(owed);
        return;
      default:
        receiver.take(tag, chunk, start, end);
    }
  }

  #refuse(owed: Owed, chunk: Buffer, start: number, end: number): void {
    const explained =
      decodeErrorFields(chunk, start, end).code === QUERY_CANCELED ? this.#explanation?.frame : undefined;
    if (explained !== undefined) this.#explanation = undefined;
    if (owed.kind !== 'message') this.#ledger.refusedAhead(explained ?? Buffer.from(chunk.subarray(start, end)));
    else if (explained === undefined) owed.receiver.take(BackendTag.ErrorResponse, chunk, start, end);
    else owed.receiver.take(BackendTag.ErrorResponse, explained, 0, explained.length);
  }

  #asyncFrame(tag: number, chunk: Buffer, start: number, end: number): void {
    switch (tag) {
      case BackendTag.ParameterStatus:
        this.#parameter(chunk, start, end);
        break;
      case BackendTag.ErrorResponse:
        if (!this.#noteFatal(chunk, start, end)) this.#violation('an error with no query in hand');
        else {
          // Its last word: whoever asked it now would be told of a loss that was known.
          this.#ended('server disconnected', undefined);
          this.#channel.destroy();
        }
        return;
      case BackendTag.NoticeResponse:
      case BackendTag.NotificationResponse:
        break;
      default:
        this.#violation(`message of type ${String.fromCharCode(tag)} with no query in hand`);
        return;
    }
    this.listener?.asyncMessage(tag, Buffer.from(chunk.subarray(start, end)));
  }

  #parameter(chunk: Buffer, start: number, end: number): void {
    const { name, value } = decodeParameterStatus(chunk, start, end);
    if (this.parameters.get(name) === value) return;
    this.parameters.set(name, value);
    this.parametersVersion++;
  }

  /** FATAL and PANIC are the server's last word: the connection ends behind them. */
  #noteFatal(chunk: Buffer, start: number, end: number): boolean {
    const fields = decodeErrorFields(chunk, start, end);
    if (fields.severity !== 'FATAL' && fields.severity !== 'PANIC') return false;
    this.#fatal = fields;
    this.#fatalFrame = Buffer.from(chunk.subarray(start, end));
    return true;
  }

  #violation(message: string): void {
    this.#ended('server protocol violation', new Error(message));
    this.#channel.destroy();
  }

  #ended(reason: CloseReason, error: Error | undefined): void {
    if (this.#state === 'closed') return;
    this.#move('closed');
    const lost: Lost = {
      server: label(this.address),
      reason,
      fatal: this.#fatal,
      fatalFrame: this.#fatalFrame,
      message: this.#fatal?.message ?? (error === undefined ? reason : describeSocketError(error)),
    };
    this.#lost = lost;
    const unanswered = this.#ledger.end();
    for (const wake of this.#drainWaiters.splice(0)) wake();
    for (const receiver of unanswered) receiver.lost(lost);
    this.onClosed?.(lost);
  }
}

/** A closing backend has this long to take our Terminate. */
const CLOSE_LINGER_MS = 1000;

/** Frames that the connection itself must see, whatever the receiver watches. */
const OWN: WatchTable = new Uint8Array(256);
for (const tag of [BackendTag.ReadyForQuery, BackendTag.ParameterStatus, BackendTag.ErrorResponse])
  OWN[tag] = Watch.take;

/** Of what is ahead its end, too. */
const OWN_AHEAD: WatchTable = OWN.slice();
OWN_AHEAD[BackendTag.CloseComplete] = Watch.take;

const MERGED = new WeakMap<WatchTable, WatchTable>();
const MERGED_AHEAD = new WeakMap<WatchTable, WatchTable>();

function withOwn(owed: Owed): WatchTable {
  const { watch } = owed.receiver;
  const known = owed.kind === 'message' ? MERGED : MERGED_AHEAD;
  let merged = known.get(watch);
  if (merged === undefined) {
    const own = owed.kind === 'message' ? OWN : OWN_AHEAD;
    merged = watch.map((entry, tag) => ((own[tag] ?? 0) === Watch.take ? Watch.take : entry));
    known.set(watch, merged);
  }
  return merged;
}

function routedSink(owed: () => Owed | undefined, frame: FrameSink['take']): FrameSink {
  return {
    get watch(): WatchTable {
      const current = owed();
      return current === undefined ? ASYNC : withOwn(current);
    },
    run: (chunk, start, end) => owed()?.receiver.run(chunk, start, end),
    tap: (tag, chunk, start, end, last) => owed()?.receiver.tap(tag, chunk, start, end, last),
    take: frame,
  };
}

function unsaid(address: Address): Lost {
  const message = 'the connection is closed';
  return { server: label(address), reason: 'server disconnected', fatal: undefined, message };
}

export function label({ host, port }: Address): string {
  return formatHostPort(host, port);
}
