/**
 * The replies that a connection owes, in order, with what is sent for each: every message waits here for its turn and leaves by `send`.
 *
 * What is ahead of a message is held until that comes and goes out in one write with it. Where it is refused, what stands behind it is told the
 * refusal and is not done. A message behind a transaction that has yet to begin waits where the server would do it outside of that.
 */
import { assert } from '../lib/assert.ts';
import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts';
import { encodeQuery, SYNC } from '../wire/frontend.ts';
import { BackendTag, TransactionStatus } from '../wire/tags.ts';
import { endingInReady, type Owed, owedAhead, Refused, UNHEARD } from './owed.ts';
import type { Receiver } from './receiver.ts';

export interface LedgerOptions {
  /** Bytes for the server. */
  readonly send: (bytes: Buffer) => void;
  /** The server does not keep to the protocol: the connection is to be closed, which ends the ledger. */
  readonly violated: () => void;
}

/** Replies owed at most: a fan-out pipelines a handful of queries, row replay half of these; more is a bug. */
export const LEDGER_LIMIT = 128;

/** Fails whatever the transaction has done: any error does, and one of syntax is cheap and leaves no portal behind. */
export const POISON = 'ABORTED BY pprox';

/** What is ahead of nothing goes out by itself after this many ms. */
export const AHEAD_MS = 2;

/** in_failed_sql_transaction; a savepoint that does not exist. */
const FOLLOWING: ReadonlySet<string> = new Set(['25P02', '3B001']);

export class Ledger {
  readonly #options: LedgerOptions;
  readonly #owed: Owed[] = [];
  /** Ahead of what comes next; owed, and not sent yet. */
  #held: Buffer | undefined;
  #heldTimer: NodeJS.Timeout | undefined;
  /** Of a transaction that we begin. Behind a Sync the server would do what comes next without it. */
  #beginning: 'answered' | 'not answered' | 'not answered, with a Sync behind it' = 'answered';
  /** Until it is answered; neither sent nor owed. */
  readonly #waiting: { readonly message: Buffer; readonly owed: Owed }[] = [];
  /** Of what was ahead of others in this transaction: there need not have been anybody to hear it. */
  #refusal: ErrorFields | undefined;
  /** When the last bytes came, or the oldest reply that is owed was asked for. */
  #heardAt = Date.now();

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** Whose turn it is. */
  get first(): Owed | undefined {
    return this.#owed[0];
  }

  /** Replies that are owed. */
  get size(): number {
    return this.#owed.length;
  }

  heard(): void {
    this.#heardAt = Date.now();
  }

  /** How long a reply has been owed without a byte of it, in ms; 0 where none is owed. */
  silentMs(now: number): number {
    return this.#owed.length === 0 ? 0 : now - this.#heardAt;
  }

  /** `message`: of what `owed` is the reply to. */
  send(message: Buffer, owed: Owed): void {
    if (this.#beginning === 'not answered, with a Sync behind it') this.#wait(message, owed);
    else this.#put(message, owed);
  }

  /** As `send`, without waiting for a transaction to begin. */
  sendAtOnce(message: Buffer, owed: Owed): void {
    if (this.#waiting.length > 0) this.send(message, owed);
    else this.#put(message, owed);
  }

  /** In front of what is sent next, or by itself after `patienceMs`; `owed`: of what is ahead. */
  ahead(message: Buffer, owed: Owed, patienceMs: number): void {
    if (this.#beginning === 'not answered, with a Sync behind it') {
      this.#wait(message, owed);
      return;
    }
    this.#owe(owed);
    if (owed.kind === 'beginning') this.#beginning = 'not answered';
    this.#held = this.#held === undefined ? message : Buffer.concat([this.#held, message]);
    clearTimeout(this.#heldTimer);
    this.#heldTimer = setTimeout(() => this.send(SYNC, endingInReady(UNHEARD, 'Sync')), patienceMs);
  }

  /** The first reply has ended in ReadyForQuery. */
  ready(status: number): void {
    if (status === TransactionStatus.Idle) this.#refusal = undefined;
    this.#owed.shift();
  }

  /** CloseComplete of what is ahead, the first in turn. */
  closedAhead(owed: Owed): void {
    owed.closings--;
    if (owed.closings > 0) return;
    this.#owed.shift();
    if (owed.kind === 'beginning') this.#begun();
    owed.receiver.ready(TransactionStatus.InBlock);
  }

  /** An ErrorResponse, for what is ahead and first in turn: nothing of what was sent behind it has been done, up to a Sync. */
  refusedAhead(frame: Buffer): void {
    const at = this.#owed.findIndex(({ end }) => end === 'Sync');
    const refused = this.#owed.splice(0, at === -1 ? this.#owed.length : at + 1);
    const receivers = refused.map(({ receiver }) => receiver);
    if (at === -1) {
      clearTimeout(this.#heldTimer);
      this.#held = undefined;
      this.#options.send(SYNC);
    }
    const begins = refused.some(({ kind }) => kind === 'beginning');
    if (begins) this.#beginning = 'not answered, with a Sync behind it';
    if (!begins) this.#refusal ??= decodeErrorFields(frame, 0, frame.length);
    for (const receiver of receivers) receiver.take(BackendTag.ErrorResponse, frame, 0, frame.length);
    const ended = (status: number): void => {
      if (!begins || status !== TransactionStatus.Idle) this.#tellRefused(receivers, status);
      else if (receivers.some((receiver) => receiver !== UNHEARD)) this.#failTransaction(receivers);
      else this.#beginAgain(refused);
    };
    this.#owed.unshift(endingInReady(new Refused(receivers, ended), 'Sync'));
  }

  /** What is behind an error: one that says no more than that its transaction has failed, or a savepoint could not be made, has a cause. */
  causeOf(fields: ErrorFields): ErrorFields {
    return FOLLOWING.has(fields.code) ? (this.#refusal ?? fields) : fields;
  }

  /** The connection is closed: who gets no reply any more, in order. */
  end(): readonly Receiver[] {
    clearTimeout(this.#heldTimer);
    this.#held = undefined;
    return [...this.#owed.splice(0), ...this.#waiting.splice(0).map((one) => one.owed)].map(({ receiver }) => receiver);
  }

  #wait(message: Buffer, owed: Owed): void {
    assert(this.#owed.length + this.#waiting.length < LEDGER_LIMIT, 'a backend owes too many replies');
    this.#waiting.push({ message, owed });
  }

  /** Behind what is held, in one write. */
  #put(message: Buffer, owed: Owed): void {
    this.#owe(owed);
    if (this.#held !== undefined) {
      clearTimeout(this.#heldTimer);
      this.#options.send(this.#held);
      this.#held = undefined;
    }
    this.#options.send(message);
    if (this.#beginning === 'not answered' && owed.end === 'Sync')
      this.#beginning = 'not answered, with a Sync behind it';
  }

  #owe(owed: Owed): void {
    assert(this.#owed.length < LEDGER_LIMIT, 'a backend owes too many replies');
    if (this.#owed.length === 0) this.heard();
    this.#owed.push(owed);
  }

  /** What has waited for the beginning of its transaction goes out. */
  #begun(): void {
    this.#beginning = 'answered';
    for (const { message, owed } of this.#waiting.splice(0)) this.#put(message, owed);
  }

  /** Nothing stood behind it. */
  #beginAgain(refused: readonly Owed[]): void {
    for (const { kind, again } of refused) {
      if (kind === 'message') continue;
      if (again === undefined) {
        this.#options.violated();
        return;
      }
      this.#put(again.message, { ...owedAhead(kind, again), again: undefined });
    }
    this.#put(SYNC, endingInReady(UNHEARD, 'Sync'));
  }

  /** As if it had been begun, and have failed by what was sent behind it. */
  #failTransaction(receivers: readonly Receiver[]): void {
    const ended = (status: number): void => {
      if (status !== TransactionStatus.Idle) {
        this.#tellRefused(receivers, status);
        return;
      }
      // Who is still to be told is told of the loss.
      this.#owed.unshift(...receivers.map((receiver) => endingInReady(receiver, 'Sync')));
      this.#options.violated();
    };
    this.#put(encodeQuery('BEGIN'), endingInReady(UNHEARD, 'no Sync'));
    this.#put(encodeQuery(POISON), endingInReady(new Refused(receivers, ended), 'no Sync'));
  }

  #tellRefused(receivers: readonly Receiver[], status: number): void {
    if (this.#beginning !== 'answered') this.#begun();
    for (const receiver of receivers) receiver.ready(status);
  }
}
