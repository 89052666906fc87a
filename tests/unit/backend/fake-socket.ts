/** A socket without a network: what arrives is said by the test, and when, in its own turn. */
import { Socket } from 'node:net';

export class FakeSocket extends Socket {
  /** Everything that was written to it, in order. */
  readonly written: Buffer[] = [];
  /** Whether its owner reads at the moment. */
  reading: 'yes' | 'no' = 'yes';
  /** Whether the peer takes what is written at once, or when `drain` says so. */
  #peer: 'quick' | 'slow' = 'quick';
  #queued = 0;
  #ended: 'no' | 'yes' = 'no';

  constructor() {
    super();
    Object.defineProperty(this, 'writableLength', { get: () => this.#queued });
    Object.defineProperty(this, 'writable', { get: () => this.#ended === 'no' });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.written);
  }

  /** Bytes that the peer has not taken. */
  get queued(): number {
    return this.#queued;
  }

  slow(): void {
    this.#peer = 'slow';
  }

  /** The peer has taken all of it. */
  drain(): void {
    this.#queued = 0;
    this.emit('drain');
  }

  /** The peer has sent this. */
  arrive(bytes: Buffer): void {
    this.emit('data', bytes);
  }

  /** The connection has ended. */
  hangUp(error?: Error): void {
    if (this.#ended === 'yes') return;
    this.#ended = 'yes';
    if (error !== undefined) this.emit('error', error);
    this.emit('close', error !== undefined);
  }

  override write(bytes: string | Uint8Array): boolean {
    this.written.push(Buffer.from(bytes));
    if (this.#peer === 'slow') this.#queued += bytes.length;
    return this.#peer === 'quick';
  }

  override pause(): this {
    this.reading = 'no';
    return this;
  }

  override resume(): this {
    this.reading = 'yes';
    return this;
  }

  override cork(): void {
    return undefined;
  }

  override uncork(): void {
    return undefined;
  }

  override end(): this {
    this.hangUp();
    return this;
  }

  override destroy(): this {
    this.hangUp();
    return this;
  }
}
