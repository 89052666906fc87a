/**
 * A PostgreSQL client that sends whatever bytes it is told to, well formed or not, and keeps every message that
 * comes back. It knows no SQL and no protocol state beyond counting ReadyForQuery.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { type BackendMessage, type BackendMessageType, decodeMessage } from './backend-messages.ts';
import { gssEncRequest, query, sslRequest, startupMessage } from './frontend-messages.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Target extends Address {
  readonly user: string;
  readonly database: string;
}

/** A message that breaks its own form is kept as what it is, for the transcript to show. */
function decoded(tag: string, body: Buffer): BackendMessage {
  try {
    return decodeMessage(tag, body);
  } catch (error) {
    return { type: 'Other', tag: `${tag} broken (${String(error)})`, body };
  }
}

/** Far above anything a healthy server needs: reaching it means that the answer will not come. */
const patienceMs = 30_000;

export class RawClient {
  /** Everything received, in order. */
  readonly messages: BackendMessage[] = [];
  readonly #address: Address;
  readonly #socket: Socket;
  readonly #waiters = new Set<() => void>();
  #buffered: Buffer = Buffer.alloc(0);
  #encryptionAnswers = 0;
  #readies = 0;
  #end: 'open' | 'closed' = 'open';

  private constructor(address: Address, socket: Socket) {
    this.#address = address;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => {}); // a reset is an end like any other: 'close' follows
    socket.on('close', () => {
      this.#end = 'closed';
      this.#wake();
    });
  }

  /** Connects; sends nothing. */
  static async open(address: Address): Promise<RawClient> {
    const socket = connect({ host: address.host, port: address.port });
    await once(socket, 'connect');
    return new RawClient(address, socket);
  }

  /** Connects and goes through a start-up without encryption, up to ReadyForQuery or the server's refusal. */
  static async start(target: Target, parameters: Readonly<Record<string, string>> = {}): Promise<RawClient> {
    const client = await RawClient.open(target);
    client.send(startupMessage({ user: target.user, database: target.database, ...parameters }));
    await client.waitReady(1);
    return client;
  }

  /** ReadyForQuery messages so far, the one that ends the start-up included. */
  get readies(): number {
    return this.#readies;
  }

  get isClosed(): boolean {
    return this.#end === 'closed';
  }

  get pid(): number | undefined {
    const key = this.messages.find((message) => message.type === 'BackendKeyData');
    return key?.pid;
  }

  /** In one write. A connection that has ended takes it without complaint, as a real client's kernel would. */
  send(...parts: readonly Uint8Array[]): void {
    if (this.#socket.writable) this.#socket.write(Buffer.concat(parts));
  }

  /** In one write for each piece between the given offsets, with turns of the event loop between them. */
  async sendCut(bytes: Uint8Array, offsets: readonly number[]): Promise<void> {
    let from = 0;
    for (const offset of [...offsets, bytes.length]) {
      this.send(bytes.subarray(from, offset));
      from = offset;
      await turn();
      await turn();
    }
  }

  /** Asks for encryption, with `behind` in the same write; the answer, a single byte, is an `EncryptionAnswer`. */
  requestEncryption(kind: 'SSL' | 'GSS', behind: Uint8Array = Buffer.alloc(0)): void {
    this.#encryptionAnswers += 1;
    this.send(kind === 'SSL' ? sslRequest() : gssEncRequest(), behind);
  }

  /** Sends one Query and returns what it was answered with, up to ReadyForQuery or the end of the connection. */
  async query(sql: string): Promise<readonly BackendMessage[]> {
    const from = this.messages.length;
    this.send(query(sql));
    await this.waitReady(this.#readies + 1);
    return this.messages.slice(from);
  }

  /** Until that many ReadyForQuery have come since the connection began, or the connection has ended. */
  async waitReady(count: number): Promise<void> {
    await this.#waitUntil(() => this.#readies >= count, `ReadyForQuery number ${count}`);
  }

  /** Until a message of one of these types has come at or after position `from`, or the connection has ended. */
  async waitFor(types: readonly BackendMessageType[], from: number): Promise<void> {
    const arrived = () => this.messages.slice(from).some((message) => types.includes(message.type));
    await this.#waitUntil(arrived, types.join(' or '));
  }

  /** Until that many messages have come since the connection began, or the connection has ended. */
  async waitMessages(count: number): Promise<void> {
    await this.#waitUntil(() => this.messages.length >= count, `message number ${count}`);
  }

  async waitClosed(): Promise<void> {
    await this.#waitUntil(() => false, 'the end of the connection');
  }

  /** Ends our side of the stream; the server sees the end of file in order after everything sent. */
  end(): void {
    this.#socket.end();
  }

  /** Drops the connection; safe to call twice. */
  /** The other side hears of it at once, whatever it does (RST). */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  async #waitUntil(condition: () => boolean, what: string): Promise<void> {
    if (condition() || this.isClosed) return;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.delete(check);
        reject(new Error(`waited ${patienceMs / 1000} s for ${what}; ${this.#seen()}`));
      }, patienceMs);
      const check = () => {
        if (!condition() && !this.isClosed) return;
        clearTimeout(timer);
        this.#waiters.delete(check);
        resolve();
      };
      this.#waiters.add(check);
    });
  }

  #wake(): void {
    for (const check of this.#waiters) check();
  }

  #receive(chunk: Buffer): void {
    this.#buffered = this.#buffered.length === 0 ? chunk : Buffer.concat([this.#buffered, chunk]);
    while (this.#takeMessage());
    this.#wake();
  }

  #takeMessage(): boolean {
    const bytes = this.#buffered;
    const first = String.fromCharCode(bytes[0] ?? 0);
    if (this.#encryptionAnswers > 0 && bytes.length > 0 && first !== 'E') {
      this.#encryptionAnswers -= 1;
      this.#keep({ type: 'EncryptionAnswer', answer: first }, 1);
      return true;
    }
    if (bytes.length < 5) return false;
    const length = bytes.readUInt32BE(1);
    if (length < 4 || length > 0x4000_0000) {
      this.#keep({ type: 'Other', tag: 'garbage', body: bytes }, bytes.length);
      return false;
    }
    if (bytes.length < length + 1) return false;
    this.#keep(decoded(first, bytes.subarray(5, length + 1)), length + 1);
    return true;
  }

  #keep(message: BackendMessage, size: number): void {
    this.#buffered = this.#buffered.subarray(size);
    this.messages.push(message);
    if (message.type === 'ReadyForQuery') this.#readies += 1;
  }

  #seen(): string {
    const last = this.messages.slice(-5).map((message) => JSON.stringify(message).slice(0, 200));
    const rest = this.#buffered.length > 0 ? `; ${this.#buffered.length} bytes of an unfinished message` : '';
    const where = `${this.#address.host}:${this.#address.port}`;
    return `${where} has sent ${this.messages.length} messages, the last: ${last.join(', ') || 'none'}${rest}`;
  }
}
