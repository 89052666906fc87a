/** A client for results larger than memory should hold: it counts and hashes what it is sent, and keeps nothing. */
import { createHash, type Hash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { query, startupMessage } from '../support/frontend-messages.ts';

export class ByteClient {
  readonly socket: Socket;
  /** Messages so far, by type. */
  readonly counts: Record<string, number> = {};
  /** Bytes of the values of all DataRow messages, which have one column here. */
  valueBytes = 0;
  readonly #hash: Hash = createHash('md5');
  readonly #header = Buffer.alloc(11);
  #headerFill = 0;
  #remaining = 0;
  #type = '';
  #waiters: (() => void)[] = [];

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('error', () => undefined); // `close` follows
    socket.on('close', () => this.#wake());
  }

  /** Connected and ready. */
  static async start(address: { readonly host: string; readonly port: number }): Promise<ByteClient> {
    const socket = connect({ host: address.host, port: address.port });
    await once(socket, 'connect');
    const client = new ByteClient(socket);
    socket.write(startupMessage({ user: 'postgres', database: 'postgres' }));
    await client.ready(1);
    return client;
  }

  query(sql: string): void {
    this.socket.write(query(sql));
  }

  /** md5 of the values so far, in hexadecimal. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** Until so many ReadyForQuery have come. Rejects when the connection ends before. */
  async ready(count: number): Promise<void> {
    while ((this.counts['Z'] ?? 0) < count) {
      if (this.socket.destroyed) throw new Error('the connection has ended');
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  #take(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#remaining > 0) {
        const end = Math.min(chunk.length, at + this.#remaining);
        if (this.#type === 'D') {
          this.valueBytes += end - at;
          this.#hash.update(chunk.subarray(at, end));
        }
        this.#remaining -= end - at;
        at = end;
        continue;
      }
      // Of a DataRow its number of columns and the length of the first belong to what is skipped.
      const first = this.#headerFill === 0 ? chunk[at] : this.#header[0];
      const size = first === 0x44 ? 11 : 5;
      const end = Math.min(chunk.length, at + size - this.#headerFill);
      this.#headerFill += chunk.copy(this.#header, this.#headerFill, at, end);
      at = end;
      if (this.#headerFill < size) continue;
      this.#headerFill = 0;
      this.#type = this.#header.toString('latin1', 0, 1);
      this.#remaining = this.#header.readInt32BE(1) + 1 - size;
      this.counts[this.#type] = (this.counts[this.#type] ?? 0) + 1;
      if (this.#type === 'Z') this.#wake();
    }
  }
}

/** The largest growth of this process, in bytes, while `work` runs. */
export async function growthDuring(work: () => Promise<void>): Promise<number> {
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  let most = before;
  const look = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 10);
  try {
    await work();
  } finally {
    clearInterval(look);
  }
  return most - before;
}
