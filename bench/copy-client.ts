/** A client of COPY that costs next to nothing itself: rows are made once and sent over and over, what comes is counted. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { decodeErrorFields } from '../src/wire/error-fields.ts';
import { FrameScanner, type FrameSink, Watch, watchTable } from '../src/wire/frame-scan.ts';
import { COPY_DONE, encodeQuery, encodeStartup, ProtocolVersion, TERMINATE } from '../src/wire/frontend.ts';
import { BackendTag } from '../src/wire/tags.ts';

/** How a client cuts its data into CopyData messages: psql from 15 on sends 8 KB at a time, most drivers a row. */
export type Messages = '8 KB' | 'a row';

/** About a mebibyte of rows of 100 bytes, as CopyData messages. */
export interface Block {
  readonly bytes: Buffer;
  readonly rows: number;
  /** Without the headers of messages. */
  readonly dataBytes: number;
}

const BLOCK_ROWS = 10_000;
const MESSAGE_BYTES = 8192;

export function makeBlock(messages: Messages): Block {
  const rows = Array.from({ length: BLOCK_ROWS }, (_, id) =>
    Buffer.from(`${1_000_000 + id}\t${(id * 7919) % 100_003}\t${'abcdefgh '.repeat(9)}${id % 10}\n`),
  );
  const data = Buffer.concat(rows);
  const pieces =
    messages === 'a row'
      ? rows
      : Array.from({ length: Math.ceil(data.length / MESSAGE_BYTES) }, (_, index) =>
          data.subarray(index * MESSAGE_BYTES, (index + 1) * MESSAGE_BYTES),
        );
  const frames = pieces.flatMap((piece) => {
    const header = Buffer.from('d\0\0\0\0');
    header.writeInt32BE(piece.length + 4, 1);
    return [header, piece];
  });
  return { bytes: Buffer.concat(frames), rows: BLOCK_ROWS, dataBytes: data.length };
}

const WATCH = watchTable({
  [BackendTag.ReadyForQuery]: Watch.take,
  [BackendTag.CopyInResponse]: Watch.take,
  [BackendTag.ErrorResponse]: Watch.take,
});

export class CopyClient {
  readonly #socket: Socket;
  readonly #scanner = new FrameScanner();
  #wake: (() => void) | undefined;
  #readies = 0;
  #copyIns = 0;
  #error: Error | undefined;
  /** Received, headers of messages included. */
  receivedBytes = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const sink: FrameSink = {
      watch: WATCH,
      run: () => undefined,
      tap: () => undefined,
      take: (tag, chunk, start, end) => {
        if (tag === BackendTag.ReadyForQuery) this.#readies += 1;
        else if (tag === BackendTag.CopyInResponse) this.#copyIns += 1;
        else this.#error = new Error(decodeErrorFields(chunk, start, end).message);
        this.#wake?.();
      },
    };
    socket.on('data', (chunk: Buffer) => {
      this.receivedBytes += chunk.length;
      this.#scanner.scan(chunk, () => sink);
    });
    for (const event of ['error', 'close']) {
      socket.on(event, () => {
        this.#error ??= new Error('the connection has ended');
        this.#wake?.();
      });
    }
  }

  static async open(port: number, database: string): Promise<CopyClient> {
    const socket = connect({ host: '127.0.0.1', port });
    await once(socket, 'connect');
    socket.setNoDelay(true);
    const client = new CopyClient(socket);
    const parameters = new Map([
      ['user', 'postgres'],
      ['database', database],
    ]);
    socket.write(encodeStartup(ProtocolVersion.v30, parameters));
    await client.#until(() => client.#readies > 0);
    return client;
  }

  /** Sends the block so many times. */
  async copyIn(table: string, block: Block, times: number): Promise<void> {
    const { copyIns, readies } = { copyIns: this.#copyIns, readies: this.#readies };
    this.#socket.write(encodeQuery(`COPY ${table} FROM STDIN`));
    await this.#until(() => this.#copyIns > copyIns);
    for (let sent = 0; sent < times; sent += 1) {
      for (let at = 0; at < block.bytes.length; at += 65_536) {
        if (!this.#socket.write(block.bytes.subarray(at, at + 65_536))) await once(this.#socket, 'drain');
      }
    }
    this.#socket.write(COPY_DONE);
    await this.#until(() => this.#readies > readies);
  }

  async copyOut(table: string): Promise<void> {
    const { readies } = { readies: this.#readies };
    this.#socket.write(encodeQuery(`COPY ${table} TO STDOUT`));
    await this.#until(() => this.#readies > readies);
  }

  end(): void {
    this.#socket.end(TERMINATE);
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#error !== undefined) throw this.#error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== undefined) throw this.#error;
  }
}
