/** A server's front door on loopback whose network can fail: it goes silent in one direction or both, or leads to another server. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after } from 'node:test';
import type { Server } from '../../src/embedded/server.ts';

/** `query`: what pprox sends; `reply`: what the server sends. */
export type Direction = 'query' | 'reply';

export interface NetworkRelay {
  readonly port: number;
  readonly dsn: string;
  /** Connections that have been opened to it. */
  readonly attempts: number;
  /** Nothing of that direction arrives, on connections of now and later, until `heal`: then it arrives late, as TCP has it. */
  silence(direction: Direction): void;
  heal(): void;
  /** Connections are reset, later ones go to `server`. */
  leadTo(server: Server): void;
  /** The next query, or statement that is parsed, with these words is refused as if a cancel request had hit it: 57014. */
  cancel(words: string): void;
  /** The session of the next one with these words is ended in its place, as by pg_terminate_backend(): 57P01. */
  terminate(words: string): void;
  /** The connections of the next ones with these words are reset in their place. */
  cut(words: string, times?: number): void;
  /** Whether all of them have been since. */
  readonly met: 'not yet' | 'done';
}

export async function startNetworkRelay(first: Server): Promise<NetworkRelay> {
  let server = first;
  const silent = new Set<Direction>();
  const pairs = new Set<{ readonly query: Socket; readonly reply: Socket }>();
  let attempts = 0;
  let awaited: { readonly words: string; readonly fate: Fate; readonly times: number } | undefined;
  const passed = (chunk: Buffer): Buffer | 'cut' => {
    if (awaited === undefined) return chunk;
    const { words, fate, times } = awaited;
    const other = withInstead(chunk, words, fate === 'cut' ? '' : INSTEAD[fate]);
    if (other === undefined) return chunk;
    awaited = times === 1 ? undefined : { ...awaited, times: times - 1 };
    return fate === 'cut' ? fate : other;
  };
  const listener = createServer({ noDelay: true }, (client) => {
    attempts++;
    const upstream = connect({ host: server.host, port: server.port, noDelay: true });
    const pair = { query: client, reply: upstream };
    pairs.add(pair);
    for (const [direction, from, to] of [
      ['query', client, upstream],
      ['reply', upstream, client],
    ] as const) {
      from.on('error', () => undefined); // told by its close
      from.on('close', () => {
        pairs.delete(pair);
        to.destroy();
      });
      from.on('data', (chunk: Buffer) => {
        const bytes = direction === 'query' ? passed(chunk) : chunk;
        if (bytes === 'cut') from.resetAndDestroy();
        else to.write(bytes);
      });
      if (silent.has(direction)) from.pause();
    }
  });
  after(() => {
    // Not reset: Node would not close those that have been shut down by then, and its process would not end.
    for (const { query, reply } of pairs) {
      query.destroy();
      reply.destroy();
    }
    listener.close();
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('listens on TCP');
  return {
    port: address.port,
    dsn: `postgresql://postgres@127.0.0.1:${address.port}`,
    get attempts() {
      return attempts;
    },
    silence: (direction) => {
      silent.add(direction);
      for (const pair of pairs) pair[direction].pause();
    },
    heal: () => {
      silent.clear();
      for (const { query, reply } of pairs) {
        query.resume();
        reply.resume();
      }
    },
    cancel: (words) => {
      awaited = { words, fate: 'cancelled', times: 1 };
    },
    terminate: (words) => {
      awaited = { words, fate: 'terminated', times: 1 };
    },
    cut: (words, times = 1) => {
      awaited = { words, fate: 'cut', times };
    },
    get met() {
      return awaited === undefined ? 'done' : 'not yet';
    },
    leadTo: (other) => {
      server = other;
      for (const { query, reply } of pairs) {
        query.resetAndDestroy();
        reply.resetAndDestroy();
      }
    },
  };
}

/** What a server is asked in place of a query. */
const INSTEAD = {
  cancelled: 'DO $$BEGIN RAISE query_canceled; END$$',
  terminated: 'SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())',
} as const;
type Fate = keyof typeof INSTEAD | 'cut';

/** Messages as pprox writes them, from the start of one on. Undefined where none has these words. */
function withInstead(chunk: Buffer, words: string, text: string): Buffer | undefined {
  for (let at = 0; at + 5 <= chunk.length; ) {
    const end = at + 1 + chunk.readInt32BE(at + 1);
    const type = chunk.toString('latin1', at, at + 1);
    const start = type === 'Q' ? at + 5 : type === 'P' ? chunk.indexOf(0, at + 5) + 1 : undefined;
    const stop = start === undefined ? -1 : chunk.indexOf(0, start);
    if (start !== undefined && chunk.subarray(start, stop).includes(words)) {
      const message = Buffer.concat([chunk.subarray(at, start), Buffer.from(text), chunk.subarray(stop, end)]);
      message.writeInt32BE(message.length - 1, 1);
      return Buffer.concat([chunk.subarray(0, at), message, chunk.subarray(end)]);
    }
    at = end;
  }
  return undefined;
}
