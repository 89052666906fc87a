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
}

export async function startNetworkRelay(first: Server): Promise<NetworkRelay> {
  let server = first;
  const silent = new Set<Direction>();
  const pairs = new Set<{ readonly query: Socket; readonly reply: Socket }>();
  let attempts = 0;
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
      from.on('data', (chunk: Buffer) => to.write(chunk));
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
    leadTo: (other) => {
      server = other;
      for (const { query, reply } of pairs) {
        query.resetAndDestroy();
        reply.resetAndDestroy();
      }
    },
  };
}
