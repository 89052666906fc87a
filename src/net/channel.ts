/**
 * One socket: one write a turn, and a brake.
 *
 *   send() ─► corked until the end of the turn ─► one writev
 *   reads stop while any reason to brake stands: each reason is set and cleared by its owner alone
 */
import type { Socket } from 'node:net';

/** Why a socket is not read. */
export type BrakeReason = 'receiver slow' | 'session busy' | 'copy slow' | 'row replay slow';

export interface ChannelHandler {
  /** The chunk belongs to the handler. */
  data(chunk: Buffer): void;
  /** The peer sends no more, and may still read (a socket that allows half-open connections); else `closed` follows. */
  ended?(): void;
  /** What was sent has left, after `congested` was true. */
  drained(): void;
  /** Comes once, last. `error` where the socket failed; undefined where the peer closed it or we did. */
  closed(error: Error | undefined): void;
}

/** Bytes that may wait in a socket before its senders should brake: a few reads' worth. */
const HIGH_WATER_BYTES = 256 * 1024;

export class Channel {
  readonly #socket: Socket;
  readonly #brakes = new Set<BrakeReason>();
  #turn: 'open' | 'corked' = 'open';
  #error: Error | undefined;

  constructor(socket: Socket, handler: ChannelHandler) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => handler.data(chunk));
    socket.on('end', () => handler.ended?.());
    socket.on('drain', () => handler.drained());
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => handler.closed(this.#error));
    // Whoever had the socket before may have paused it.
    socket.resume();
  }

  get remote(): string {
    return this.#socket.remoteAddress === undefined
      ? 'local'
      : `${this.#socket.remoteAddress}:${this.#socket.remotePort}`;
  }

  brakedFor(reason: BrakeReason): boolean {
    return this.#brakes.has(reason);
  }

  /** We have stopped reading: what the peer does not say is no sign of its health. */
  get braked(): boolean {
    return this.#brakes.size > 0;
  }

  get open(): boolean {
    return this.#socket.writable;
  }

  /** More waits to be written than the receiver takes: stop feeding it until `drained`. */
  get congested(): boolean {
    return this.#socket.writableLength > HIGH_WATER_BYTES;
  }

  /** Takes ownership of `bytes`: they must not change afterwards. Dropped where the socket is closed already. */
  send(bytes: Buffer): void {
    if (!this.#socket.writable) return;
    if (this.#turn === 'open') {
      this.#turn = 'corked';
      this.#socket.cork();
      // Ticks run again only when every microtask is done: what `await` continues in this turn joins the same write.
      queueMicrotask(() => process.nextTick(this.#uncork));
    }
    this.#socket.write(bytes);
  }

  readonly #uncork = (): void => {
    this.#turn = 'open';
    this.#socket.uncork();
  };

  brake(reason: BrakeReason): void {
    this.#brakes.add(reason);
    this.#socket.pause();
  }

  release(reason: BrakeReason): void {
    if (this.#brakes.delete(reason) && this.#brakes.size === 0) this.#socket.resume();
  }

  /** Sends what is queued, then closes; cut after `lingerMs` where the peer does not take it. */
  end(lingerMs: number): void {
    if (this.#socket.destroyed) return;
    this.#socket.end();
    this.#socket.resume();
    const cut = setTimeout(() => this.#socket.destroy(), lingerMs);
    cut.unref();
    this.#socket.once('close', () => clearTimeout(cut));
  }

  /** We send no more; what the peer has to say is still read. */
  endInput(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
