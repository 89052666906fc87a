/**
 * LISTEN for all clients: one connection to the lead for each database, shared by whoever listens there.
 *
 *   client's LISTEN ─► subscribe ─► LISTEN on the shared connection, confirmed ─► the client is answered
 *   NOTIFY on any server session of the lead ─► the shared connection ─► every subscriber of the channel
 *
 * PostgreSQL has no privileges on channels, so the login that comes first opens the connection for all of its database.
 * Whoever loses the connection may have lost notifications: every subscriber is told, and none is connected anew in silence.
 */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import type { Login } from '../backend/login.ts';
import { BackendLostError, KeptReply, type Lost } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { quoteIdentifier } from '../sql/quote.ts';
import { decodeNotification, withProcessId } from '../wire/backend.ts';
import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts';
import { Watch, type WatchTable, watchTable } from '../wire/frame-scan.ts';
import { BackendTag } from '../wire/tags.ts';

/** One that hears channels. Both are called between the turns of its own work, at any time. */
export interface Subscriber {
  /** `frame`: a NotificationResponse, shared by all subscribers: never to be changed. */
  notified(channel: string, frame: Buffer): void;
  /** It hears nothing any more, on any channel of the room; called once for a loss. */
  unheard(lost: Lost): void;
}

/** What stands between a subscriber and its room: `joining` until the server has confirmed. */
type Membership = 'joining' | 'joined';

export interface NotificationsOptions {
  /** A connection to the lead that no pool knows. Rejects with PproxError. */
  connect(login: Login): Promise<Backend>;
  /** The shared connection is taken for dead where it owes an answer for this long. */
  readonly timeoutMs: number;
  /** How often a connection that somebody listens on is asked whether it still answers. */
  readonly heartbeatMs: number;
  readonly log: Log;
}

/** Channels that one exchange begins or ends to listen on. */
const CHANNELS_AT_ONCE = 500;

const WATCHED: WatchTable = watchTable({
  [BackendTag.NotificationResponse]: Watch.take,
  [BackendTag.ErrorResponse]: Watch.take,
});

/** The rooms of all databases, and who is who among the lead's server sessions. */
export class Notifications {
  readonly #options: NotificationsOptions;
  readonly #rooms = new Map<string, Room>();
  /** The process id that a client knows its session by, of each server session of the lead that a client has now. */
  readonly #known = new Map<number, { readonly backend: Backend; readonly told: number; state: 'in use' | 'going' }>();
  readonly #heartbeat: NodeJS.Timeout;

  constructor(options: NotificationsOptions) {
    this.#options = options;
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs);
    this.#heartbeat.unref();
  }

  /** Of a database, in one client_encoding: the server converts what it tells. */
  room(login: Login, encoding: string): Room {
    const key = `${login.database}\0${encoding}`;
    let room = this.#rooms.get(key);
    if (room === undefined) {
      room = new Room(login, this.#options, (processId) => this.clientProcessId(processId));
      this.#rooms.set(key, room);
    }
    return room;
  }

  /** `backend`, of the lead, works from now on for the client that knows its session as `told`. */
  leased(backend: Backend, told: number): void {
    this.#known.set(backend.processId, { backend, told, state: 'in use' });
  }

  /** What clients know the server session by. Sessions that are not ours are known by their own number. */
  clientProcessId(real: number): number {
    return this.#known.get(real)?.told ?? real;
  }

  /**
   * Resolves when everything that was committed in the database before the call has reached its subscribers; at once where
   * there are none. Never rejects: on a loss every subscriber is told.
   */
  async settled(database: string): Promise<void> {
    const waits: Promise<void>[] = [];
    for (const room of this.#rooms.values())
      if (room.database === database && room.occupied) waits.push(room.exchange().catch(ignoreLoss));
    if (waits.length > 0) await Promise.all(waits);
  }

  close(): void {
    clearInterval(this.#heartbeat);
    for (const room of this.#rooms.values()) room.close();
    this.#rooms.clear();
  }

  #beat(): void {
    // What a closed connection has notified may still come; its number goes to another session at some time.
    for (const [real, one] of this.#known) {
      if (one.backend.open) continue;
      if (one.state === 'going') this.#known.delete(real);
      else one.state = 'going';
    }
    for (const [key, room] of this.#rooms) {
      if (room.occupied) {
        // A server that is gone without a word looks like one where nobody notifies.
        room.exchange().catch(ignoreLoss);
      } else if (room.vacant) {
        room.close();
        this.#rooms.delete(key);
      }
    }
  }
}

/** A loss is told to the subscribers one by one; who merely waited has nothing to add. */
function ignoreLoss(error: unknown): void {
  if (!(error instanceof PproxError)) throw error;
}

/** Who listens where, in one database, and the connection that hears for them. */
export class Room {
  readonly database: string;
  readonly #login: Login;
  readonly #options: NotificationsOptions;
  readonly #clientProcessId: (real: number) => number;
  readonly #channels = new Map<string, Map<Subscriber, Membership>>();
  /** Channels that the server has on this connection. */
  readonly #heard = new Set<string>();
  #backend: Backend | undefined;
  readonly #waiters: { resolve(): void; reject(error: unknown): void }[] = [];
  #exchanging: 'no' | 'yes' = 'no';

  constructor(login: Login, options: NotificationsOptions, clientProcessId: (real: number) => number) {
    this.database = login.database;
    this.#login = login;
    this.#options = options;
    this.#clientProcessId = clientProcessId;
  }

  get occupied(): boolean {
    return this.#channels.size > 0;
  }

  /** Nobody is here or about to come in. */
  get vacant(): boolean {
    return !this.occupied && this.#exchanging === 'no';
  }

  /** Resolves when the server listens: every notification committed from now on will come. Rejects with PproxError. */
  async subscribe(subscriber: Subscriber, channel: string): Promise<void> {
    const members = this.#channels.get(channel) ?? new Map<Subscriber, Membership>();
    if (members.has(subscriber)) return;
    this.#channels.set(channel, members);
    members.set(subscriber, 'joining');
    try {
      // Even where the server listens already: what was committed before is not for this subscriber.
      await this.exchange();
    } catch (error) {
      this.#remove(subscriber, channel);
      throw error;
    }
    if (members.get(subscriber) === 'joining') members.set(subscriber, 'joined');
  }

  /** At once; the server hears of it when it can. */
  unsubscribe(subscriber: Subscriber, channel: string): void {
    this.#remove(subscriber, channel);
    if (this.#channels.has(channel) || this.#backend === undefined) return;
    this.exchange().catch(ignoreLoss);
  }

  /**
   * One round trip on the shared connection, together with whoever wants one: brings what the server listens to up to
   * date. A server tells pending notifications before ReadyForQuery, so all that was committed before has come by then.
   */
  exchange(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      if (this.#exchanging === 'no') void this.#exchangeAll();
    });
  }

  close(): void {
    const backend = this.#backend;
    this.#backend = undefined;
    if (backend === undefined) return;
    backend.onClosed = undefined;
    backend.close('shutdown');
  }

  async #exchangeAll(): Promise<void> {
    this.#exchanging = 'yes';
    while (this.#waiters.length > 0) {
      const waiters = this.#waiters.splice(0);
      try {
        await this.#exchangeOnce();
        for (const { resolve } of waiters) resolve();
      } catch (error) {
        for (const { reject } of waiters) reject(this.#refusal(error));
      }
    }
    this.#exchanging = 'no';
  }

  async #exchangeOnce(): Promise<void> {
    const backend = this.#backend ?? (await this.#open());
    for (;;) {
      const begin = [...this.#channels.keys()].filter((one) => !this.#heard.has(one)).slice(0, CHANNELS_AT_ONCE);
      const end = [...this.#heard].filter((one) => !this.#channels.has(one)).slice(0, CHANNELS_AT_ONCE);
      const text = [
        ...begin.map((one) => `LISTEN ${quoteIdentifier(one)}`),
        ...end.map((one) => `UNLISTEN ${quoteIdentifier(one)}`),
      ].join(';');
      const reply = new ExchangeReply((frame) => this.#told(frame));
      const watchdog = guard([backend], this.#options.timeoutMs);
      backend.query(text, reply);
      const error = await reply.reply.finally(() => watchdog.clear());
      if (error !== undefined) {
        throw new PproxError('server_refused', {
          sqlstate: error.code,
          message: `the lead does not listen: ${error.message}`,
          detail: error.detail,
          hint: error.hint,
        });
      }
      if (this.#backend !== backend) throw lost('the connection to the lead was lost');
      for (const one of begin) this.#heard.add(one);
      for (const one of end) this.#heard.delete(one);
      if (begin.length < CHANNELS_AT_ONCE && end.length < CHANNELS_AT_ONCE) return;
    }
  }

  async #open(): Promise<Backend> {
    const backend = await this.#options.connect(this.#login);
    this.#heard.clear();
    this.#backend = backend;
    backend.listener = {
      asyncMessage: (tag, frame) => {
        if (tag === BackendTag.NotificationResponse) this.#told(frame);
      },
    };
    backend.onClosed = (reason) => this.#lost(reason);
    if (!backend.open) throw lost('the connection to the lead was lost');
    this.#options.log.debug('listening connection opened', { database: this.database });
    return backend;
  }

  /** `frame` is ours. */
  #told(frame: Buffer): void {
    const { processId, channel } = decodeNotification(frame, 0, frame.length);
    const members = this.#channels.get(channel);
    if (members === undefined) return;
    const told = withProcessId(frame, this.#clientProcessId(processId));
    for (const [subscriber, membership] of members) if (membership === 'joined') subscriber.notified(channel, told);
  }

  /** Who is still joining asks for the next connection, or hears from its exchange that there is none. */
  #lost(reason: Lost): void {
    this.#backend = undefined;
    this.#heard.clear();
    const unheard = new Set<Subscriber>();
    for (const [channel, members] of this.#channels) {
      for (const [subscriber, membership] of members) {
        if (membership !== 'joined') continue;
        unheard.add(subscriber);
        members.delete(subscriber);
      }
      if (members.size === 0) this.#channels.delete(channel);
    }
    const fields = { database: this.database, clients: unheard.size, reason: reason.message };
    if (unheard.size > 0) this.#options.log.error('listening connection lost', fields);
    for (const subscriber of unheard) subscriber.unheard(reason);
  }

  #remove(subscriber: Subscriber, channel: string): void {
    const members = this.#channels.get(channel);
    if (members?.delete(subscriber) === true && members.size === 0) this.#channels.delete(channel);
  }

  #refusal(error: unknown): unknown {
    return error instanceof BackendLostError ? lost(`the connection to the lead was lost: ${error.message}`) : error;
  }
}

function lost(message: string): PproxError {
  return new PproxError('server_lost', { message, hint: 'Nothing was run. LISTEN again.' });
}

/** The reply to an exchange: its error, and every notification that came with it. */
class ExchangeReply extends KeptReply<ErrorFields | undefined> {
  readonly watch = WATCHED;
  readonly #told: (frame: Buffer) => void;
  #error: ErrorFields | undefined;

  constructor(told: (frame: Buffer) => void) {
    super();
    this.#told = told;
  }

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    if (tag === BackendTag.NotificationResponse) this.#told(Buffer.from(chunk.subarray(start, end)));
    else if (tag === BackendTag.ErrorResponse) this.#error = decodeErrorFields(chunk, start, end);
  }

  protected outcome(): ErrorFields | undefined {
    return this.#error;
  }
}
