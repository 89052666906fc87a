/**
 * The client's connection as the session sees it: messages one by one on demand, bytes back, and who must wait for whom.
 *
 *   client bytes ─► FrontendReader (bounded; the socket is not read beyond) ─► next() / nextCopyPart()
 *   backend bytes ─► send() ─► congested? the backend that feeds it is braked until the client has taken them
 */
import type { Socket } from 'node:net';
import { type BrakeReason, Channel } from '../net/channel.ts';
import { assert } from '../lib/assert.ts';
import { type Positions, samePositions } from '../sql/positions.ts';
import { encodeReadyForQuery } from '../wire/backend.ts';
import { type CopyPart, type FrontendMessage, FrontendReader } from '../wire/frontend-reader.ts';
import { BackendTag, TransactionStatus } from '../wire/tags.ts';

/** What a client may send ahead of the message in hand: a read of the socket. */
const READ_AHEAD_BYTES = 64 * 1024;
/** Notifications kept for the end of a query before their server is not read any further. */
const DEFERRED_BYTES = 1024 * 1024;
/** Of an answer that may be taken back. So much is in PostgreSQL's own buffer before any of it leaves (`PQ_SEND_BUFFER_SIZE`). */
const KEPT_BYTES = 8 * 1024;
/** The last message, an error as a rule, has this long to reach the client. */
const LINGER_MS = 2000;

const READY = new Map<number, Buffer>(
  Object.values(TransactionStatus).map((status) => [status, encodeReadyForQuery(status)]),
);

export class ClientLink {
  readonly channel: Channel;
  /** In the client's Query, of the text that servers are sent of it; a reply's script knows better where there is one. */
  positions: Positions = samePositions;
  /** Told once when the client is gone, whether it said so or not. */
  onGone: (() => void) | undefined;
  /** What the client should see of a notification that came with a reply; undefined: nothing. */
  onNotification: ((frame: Buffer) => Buffer | undefined) | undefined;
  readonly #reader: FrontendReader;
  readonly #throttled = new Set<Channel>();
  #gone: 'no' | 'yes' = 'no';
  #input: 'open' | 'ended' = 'open';
  #copy: 'going on' | 'interrupted' = 'going on';
  /** What the client is told now: leaves; leaves unless `keep` comes first; is kept. */
  #answer: 'leaves' | 'may be kept' | 'kept' = 'leaves';
  #kept: Buffer[] = [];
  #keptBytes = 0;
  readonly #deferred: Buffer[] = [];
  #deferredBytes = 0;
  #waiting: (() => void) | undefined;
  #drainWaiters: (() => void)[] = [];

  /** `rest`: bytes that came behind the start-up packet. */
  constructor(socket: Socket, rest: Buffer, maxMessageBytes: number) {
    this.#reader = new FrontendReader(maxMessageBytes);
    this.#reader.feed(rest);
    this.channel = new Channel(socket, {
      data: (chunk) => this.#data(chunk),
      ended: () => {
        this.#input = 'ended';
        this.#wake();
      },
      drained: () => this.#drained(),
      closed: () => {
        this.#input = 'ended';
        this.#gone = 'yes';
        this.#wake();
        this.#drained();
        this.onGone?.();
      },
    });
  }

  get gone(): boolean {
    return this.#gone === 'yes';
  }

  /** The next message, or undefined when the client sends no more. Throws FrontendStreamError. */
  async next(): Promise<FrontendMessage | undefined> {
    for (;;) {
      const message = this.#reader.next();
      if (message !== undefined || this.#input === 'ended') return message;
      await this.#more();
    }
  }

  /** A COPY begins: an interruption of an earlier one does not concern it. */
  beginCopy(): void {
    this.#copy = 'going on';
  }

  /** Bytes of the client's CopyData message in hand that have not been handed out. */
  get copyRemaining(): number {
    return this.#reader.copyRemaining;
  }

  /** Inside COPY: the next part of the data, or the message that ends it; undefined when the client sends no more. */
  async nextCopyPart(): Promise<CopyPart | 'interrupted' | undefined> {
    for (;;) {
      if (this.#copy === 'interrupted') {
        this.#copy = 'going on';
        return 'interrupted';
      }
      const part = this.#reader.nextCopyPart();
      if (part !== undefined || this.#input === 'ended') return part;
      await this.#more();
    }
  }

  /** What was read and not taken, as it came: for a server to say what is wrong with it. */
  takeRest(): Buffer {
    return this.#reader.takeRest();
  }

  /** Ends the wait of `nextCopyPart`, or its next one: the COPY has ended on a server. */
  interrupt(): void {
    this.#copy = 'interrupted';
    this.#wake();
  }

  send(bytes: Buffer): void {
    if (this.#answer === 'kept' && this.#keptBytes + bytes.length <= KEPT_BYTES) {
      // A copy: it may be a part of a large chunk.
      this.#kept.push(Buffer.from(bytes));
      this.#keptBytes += bytes.length;
      return;
    }
    if (this.#answer !== 'leaves') this.letGo();
    this.channel.send(bytes);
  }

  /** An answer begins that may be taken back, once it is kept. */
  mayKeep(): void {
    if (this.#answer === 'leaves') this.#answer = 'may be kept';
  }

  /** From here on it is kept, if it may be and none of it has left. */
  keep(): void {
    if (this.#answer === 'may be kept') this.#answer = 'kept';
  }

  /** What is kept leaves, and so does what comes behind it. */
  letGo(): void {
    this.#answer = 'leaves';
    if (this.#keptBytes === 0) return;
    for (const frame of this.#kept.splice(0)) this.channel.send(frame);
    this.#keptBytes = 0;
  }

  /** Whether the client may have been told something of the answer in hand. */
  get told(): boolean {
    return this.#answer === 'leaves';
  }

  /** Drops what is kept, where the client has been told nothing of it. */
  takeBack(): void {
    assert(!this.told, 'what is taken back has not left');
    this.#kept = [];
    this.#keptBytes = 0;
    this.#answer = 'leaves';
  }

  /** For the end of the query in hand: a server tells notifications then, and not among a reply's messages. */
  defer(frame: Buffer): void {
    const shown =
      frame[0] === BackendTag.NotificationResponse && this.onNotification !== undefined
        ? this.onNotification(frame)
        : frame;
    if (shown === undefined) return;
    this.#deferred.push(shown);
    this.#deferredBytes += shown.length;
  }

  /** So much is deferred that who produces it should wait. */
  get overdue(): boolean {
    return this.#deferredBytes > DEFERRED_BYTES;
  }

  sendDeferred(): void {
    for (const frame of this.#deferred.splice(0)) this.send(frame);
    this.#deferredBytes = 0;
  }

  sendReady(status: number): void {
    this.letGo();
    const frame = READY.get(status);
    if (frame !== undefined) this.send(frame);
  }

  /** As `send`, for bytes that `source` goes on producing: it is not read while the client is slower. */
  sendFrom(source: Channel, bytes: Buffer): void {
    this.send(bytes);
    if (this.channel.congested && !this.gone && !this.#throttled.has(source)) {
      this.#throttled.add(source);
      source.brake(THROTTLE);
    }
  }

  /** Resolves when the client takes more, or is gone. */
  writable(): Promise<void> {
    if (!this.channel.congested || this.gone) return Promise.resolve();
    return new Promise((resolve) => this.#drainWaiters.push(resolve));
  }

  /** Sends what is queued and closes. */
  end(): void {
    this.letGo();
    this.channel.end(LINGER_MS);
  }

  #data(chunk: Buffer): void {
    this.#reader.feed(chunk);
    if (this.#waiting !== undefined) this.#wake();
    else if (this.#reader.buffered > READ_AHEAD_BYTES) this.channel.brake('session busy');
  }

  #more(): Promise<void> {
    this.channel.release('session busy');
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  #wake(): void {
    const wake = this.#waiting;
    this.#waiting = undefined;
    wake?.();
  }

  #drained(): void {
    for (const source of this.#throttled) source.release(THROTTLE);
    this.#throttled.clear();
    for (const wake of this.#drainWaiters.splice(0)) wake();
  }
}

const THROTTLE: BrakeReason = 'receiver slow';
