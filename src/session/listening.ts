/**
 * What one session listens to. LISTEN and UNLISTEN take effect when their transaction commits (PostgreSQL, LISTEN); what
 * comes is told outside transactions alone, just before a ReadyForQuery or between two queries.
 *
 *   LISTEN, in a block ─► ledger ─► COMMIT: joined first, then committed ─► channels
 *                            └────► ROLLBACK, ROLLBACK TO: forgotten
 *
 * The lead runs the statement too, for its errors and notices; what it then listens to by itself is taken back at once.
 */
import type { Backend } from '../backend/backend.ts';
import type { Login } from '../backend/login.ts';
import { BackendLostError, type Lost } from '../backend/receiver.ts';
import type { Notifications, Room, Subscriber } from '../cluster/notifications.ts';
import { PproxError } from '../lib/errors.ts';
import { quoteIdentifier } from '../sql/quote.ts';
import type { Command } from '../sql/statement.ts';
import { decodeNotification, withProcessId } from '../wire/backend.ts';
import type { ClientLink } from './client-link.ts';
import { ListenLedger } from './listen-ledger.ts';

/** Notifications kept for a client that is in a transaction, or reads slower than they come. */
const INBOX_BYTES = 8 * 1024 * 1024;

interface Kept {
  readonly channel: string;
  readonly frame: Buffer;
}

export class Listening implements Subscriber {
  /** Open transactions' LISTENs, by the session's control statements. */
  readonly ledger = new ListenLedger();
  /** Told once: the session hears nothing any more, or cannot be told; it has to end. */
  onEnd: ((error: PproxError) => void) | undefined;
  readonly #notifications: Notifications;
  readonly #link: ClientLink;
  readonly #loginFor: (encoding: string) => Login;
  readonly #encodingOf: () => string;
  readonly #mayTell: () => boolean;
  readonly #database: string;
  /** Committed. */
  #channels: ReadonlySet<string> = new Set();
  /** Joined, committed or about to be, and where. */
  readonly #joined = new Map<string, Room>();
  #inbox: Kept[] = [];
  #inboxBytes = 0;
  #draining: 'no' | 'yes' = 'no';
  /** Channels that the lead's server session listens to by itself, because it has run the statement. */
  readonly #doubled = new Set<string>();

  /** `loginFor`: of a connection that hears for this session and others. `mayTell`: whether the client is between two queries, outside a transaction. */
  constructor(options: {
    notifications: Notifications;
    link: ClientLink;
    loginFor: (encoding: string) => Login;
    encodingOf: () => string;
    mayTell: () => boolean;
  }) {
    this.#notifications = options.notifications;
    this.#link = options.link;
    this.#loginFor = options.loginFor;
    this.#encodingOf = options.encodingOf;
    this.#mayTell = options.mayTell;
    this.#database = options.loginFor('UTF8').database;
  }

  /** In effect, in the order in which they were asked for. */
  get channels(): readonly string[] {
    return [...this.#channels];
  }

  /** A statement is about to run on the lead, in no block: what it listens to must be heard before it is answered. */
  async prepare(command: Command): Promise<void> {
    if (command.kind !== 'listen' && command.kind !== 'unlisten') return;
    this.ledger.clear();
    this.ledger.note(command);
    await this.join();
  }

  /** It has run. */
  ran(command: Command, where: 'in a block' | 'alone'): void {
    if (command.kind !== 'listen' && command.kind !== 'unlisten') return;
    if (command.kind === 'listen') this.#doubled.add(command.channel);
    if (where === 'in a block') this.ledger.note(command);
    else this.committed();
  }

  /** Before a COMMIT: hears what will be listened to by it. Rejects with PproxError, and nothing has changed. */
  async join(): Promise<void> {
    if (this.ledger.empty) return;
    const wanted = [...this.ledger.applied(this.#channels)].filter((channel) => !this.#joined.has(channel));
    if (wanted.length === 0) return;
    const encoding = this.#encodingOf();
    if (encoding !== 'UTF8' && encoding !== 'SQL_ASCII' && wanted.some((channel) => !isAscii(channel))) {
      throw new PproxError('unsupported_feature', {
        message: 'a channel whose name is not ASCII can be listened to with client_encoding UTF8 alone',
      });
    }
    const room = this.#notifications.room(this.#loginFor(encoding), encoding);
    await Promise.all(
      wanted.map(async (channel) => {
        await room.subscribe(this, channel);
        this.#joined.set(channel, room);
      }),
    );
  }

  /** The transaction stands. */
  committed(): void {
    if (!this.ledger.empty) this.#channels = this.ledger.applied(this.#channels);
    this.rolledBack();
  }

  /** The transaction is over: what is left of it in the ledger never happened. */
  rolledBack(): void {
    this.ledger.clear();
    for (const [channel, room] of this.#joined) {
      if (this.#channels.has(channel)) continue;
      this.#joined.delete(channel);
      room.unsubscribe(this, channel);
    }
  }

  /**
   * The lead's server session has ended its work for a transaction, and may go to others: it listens for nobody then, and
   * what it may have notified has come, under the process id of this session. At once where nobody in this process listens.
   */
  async over(backend: Backend, what: 'may have notified' | 'a read'): Promise<void> {
    this.rolledBack();
    if (this.#doubled.size > 0) {
      const text = [...this.#doubled].map((channel) => `UNLISTEN ${quoteIdentifier(channel)}`).join(';');
      try {
        await backend.ask(text);
      } catch (error) {
        if (!(error instanceof BackendLostError)) throw error;
      }
      this.#doubled.clear();
    }
    if (what === 'may have notified') await this.#notifications.settled(this.#database);
  }

  /** DISCARD ALL, and the end of the session. */
  leave(): void {
    this.ledger.clear();
    this.#channels = new Set();
    for (const [channel, room] of this.#joined) room.unsubscribe(this, channel);
    this.#joined.clear();
    this.#inbox = [];
    this.#inboxBytes = 0;
  }

  notified(channel: string, frame: Buffer): void {
    this.#inbox.push({ channel, frame });
    this.#inboxBytes += frame.length;
    if (this.#mayTell()) this.tell();
    if (this.#inboxBytes <= INBOX_BYTES) return;
    this.leave();
    this.onEnd?.(
      new PproxError('notifications_unread', {
        message: 'terminating connection: too many notifications wait for this client',
        detail: `More than ${INBOX_BYTES / 1024 / 1024} MB of notifications were kept while it was in a transaction or did not read.`,
        hint: 'Read faster, end transactions sooner, or listen on a connection of its own.',
      }),
    );
  }

  unheard(lost: Lost): void {
    this.leave();
    this.onEnd?.(
      new PproxError('session_lost', {
        message: 'terminating connection: the connection that listened for it was lost',
        detail: `Notifications may have been missed. ${lost.message}`,
        hint: 'Connect and LISTEN again.',
      }),
    );
  }

  /**
   * A notification from the session's own server session: undefined where the shared connection brings it too, else as the
   * client should see it (a function may have listened, behind our back).
   */
  own(frame: Buffer): Buffer | undefined {
    const { processId, channel } = decodeNotification(frame, 0, frame.length);
    if (this.#joined.has(channel) || this.#doubled.has(channel)) return undefined;
    return withProcessId(frame, this.#notifications.clientProcessId(processId));
  }

  /** Outside transactions: as much as the client takes now, and the rest as it reads. */
  tell(): void {
    let count = 0;
    for (const { channel, frame } of this.#inbox) {
      if (this.#link.channel.congested) break;
      count++;
      this.#inboxBytes -= frame.length;
      // As PostgreSQL: what came for a channel that is no longer listened to is not told.
      if (this.#channels.has(channel)) this.#link.send(frame);
    }
    if (count > 0) this.#inbox = this.#inbox.slice(count);
    if (this.#inbox.length > 0 && this.#draining === 'no') void this.#tellLater();
  }

  async #tellLater(): Promise<void> {
    this.#draining = 'yes';
    await this.#link.writable();
    this.#draining = 'no';
    if (!this.#link.gone && this.#mayTell()) this.tell();
  }
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}
