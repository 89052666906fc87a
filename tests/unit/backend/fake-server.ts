/**
 * A server that says what the test tells it to: a start-up is accepted unless `startUpReply` says otherwise, and each query is answered by `answer`. Its
 * messages are written apart from src/wire.
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { after } from 'node:test';
import type { Backend } from '../../../src/backend/backend.ts';
import { connectBackend } from '../../../src/backend/connect.ts';
import { cString, frame } from '../../support/frontend-messages.ts';

export const reply = {
  authenticationOk: frame('R', Buffer.alloc(4)),
  parameter: (name: string, value: string): Buffer => frame('S', Buffer.concat([cString(name), cString(value)])),
  ready: (status: 'I' | 'T' | 'E' = 'I'): Buffer => frame('Z', Buffer.from(status)),
  complete: (tag: string): Buffer => frame('C', cString(tag)),
  error: (code: string, message: string, severity = 'ERROR'): Buffer =>
    frame(
      'E',
      Buffer.concat([
        cString(`S${severity}`),
        cString(`V${severity}`),
        cString(`C${code}`),
        cString(`M${message}`),
        Buffer.alloc(1),
      ]),
    ),
  notice: (message: string): Buffer =>
    frame(
      'N',
      Buffer.concat([
        cString('SNOTICE'),
        cString('VNOTICE'),
        cString('C00000'),
        cString(`M${message}`),
        Buffer.alloc(1),
      ]),
    ),
  /** One DataRow of text values. */
  row: (...values: readonly string[]): Buffer => {
    const count = Buffer.alloc(2);
    count.writeInt16BE(values.length);
    const fields = values.map((value) => {
      const size = Buffer.alloc(4);
      size.writeInt32BE(Buffer.byteLength(value));
      return Buffer.concat([size, Buffer.from(value)]);
    });
    return frame('D', Buffer.concat([count, ...fields]));
  },
} as const;

const accepted: readonly Buffer[] = [
  reply.authenticationOk,
  reply.parameter('client_encoding', 'UTF8'),
  frame('K', Buffer.from([0, 0, 0, 7, 1, 2, 3, 4])),
  reply.ready(),
];

export class FakeSession {
  readonly socket: Socket;
  /** Texts of the queries received, in order. */
  readonly queries: string[] = [];
  /** Types of all messages received behind the start-up packet. */
  types = '';
  #buffered: Buffer = Buffer.alloc(0);
  #startUp: 'awaited' | 'done' = 'awaited';
  readonly #answer: Answer;
  readonly #startUpReply: readonly Buffer[];

  constructor(socket: Socket, answer: Answer, startUpReply: readonly Buffer[]) {
    this.socket = socket;
    this.#answer = answer;
    this.#startUpReply = startUpReply;
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.on('error', () => undefined); // the other side may be gone already
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  #receive(chunk: Buffer): void {
    this.#buffered = Buffer.concat([this.#buffered, chunk]);
    for (;;) {
      const header = this.#startUp === 'awaited' ? 0 : 1;
      if (this.#buffered.length < header + 4) return;
      const size = header + this.#buffered.readInt32BE(header);
      if (this.#buffered.length < size) return;
      const bytes = this.#buffered.subarray(0, size);
      this.#buffered = this.#buffered.subarray(size);
      this.#message(bytes);
    }
  }

  #message(bytes: Buffer): void {
    if (this.#startUp === 'awaited') {
      this.#startUp = 'done';
      this.send(...this.#startUpReply);
      return;
    }
    const type = bytes.toString('latin1', 0, 1);
    this.types += type;
    if (type !== 'Q') return;
    const text = bytes.toString('utf8', 5, bytes.length - 1);
    this.queries.push(text);
    this.#answer(text, this);
  }
}

/** Answers one query: at once, later, or not at all. */
export type Answer = (text: string, session: FakeSession) => void;

export interface FakeServer {
  readonly port: number;
  readonly sessions: readonly FakeSession[];
  /** A logged-in connection to it. */
  connect(parameters?: ReadonlyMap<string, string>): Promise<Backend>;
}

/** Closed, with every connection, after the tests of the file or enclosing block. */
export async function startFakeServer(answer: Answer = completes, startUpReply = accepted): Promise<FakeServer> {
  const sessions: FakeSession[] = [];
  const backends: Backend[] = [];
  const server = createServer((socket) => sessions.push(new FakeSession(socket, answer, startUpReply)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    for (const backend of backends) backend.close('shutdown');
    for (const { socket } of sessions) socket.destroy();
    server.close();
  });
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('listens on TCP');
  const { port } = bound;
  return {
    port,
    sessions,
    async connect(parameters = new Map([['user', 'u']])) {
      const address = { host: '127.0.0.1', port };
      const options = { address, user: 'u', password: undefined, parameters, keepAliveMs: undefined };
      const backend = await connectBackend(options, 10_000);
      backends.push(backend);
      return backend;
    },
  };
}

/** As a server does for a statement that succeeds: its first word is its tag. */
export function completes(text: string, session: FakeSession): void {
  const tag = /^\w+/.exec(text)?.[0]?.toUpperCase() ?? '';
  session.send(reply.complete(tag), reply.ready(tag === 'BEGIN' ? 'T' : 'I'));
}
