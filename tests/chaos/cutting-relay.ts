/** A server's front door on loopback that loses its n-th chunk, and the connection with it. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after } from 'node:test';
import type { Server } from '../../src/embedded/server.ts';

/** `query`: what pprox sends; `reply`: what the server sends. */
export type Direction = 'query' | 'reply';

export interface CuttingRelay {
  readonly port: number;
  /** From now on the n-th chunk (from 1) of that direction, on whatever connection, is lost, and its connection is reset. */
  cut(direction: Direction, n: number): void;
  /** No more cuts. Whether it came to one. */
  disarm(): 'cut' | 'untouched';
}

export async function startCuttingRelay(server: Server): Promise<CuttingRelay> {
  let armed: { readonly direction: Direction; left: number } | undefined;
  const sockets = new Set<Socket>();
  const listener = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: server.host, port: server.port, noDelay: true });
    const pass = (direction: Direction, from: Socket, to: Socket): void => {
      sockets.add(from);
      from.on('error', () => undefined); // told by its close
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.on('data', (chunk: Buffer) => {
        if (armed?.direction === direction && --armed.left === 0) {
          client.resetAndDestroy();
          upstream.resetAndDestroy();
        } else to.write(chunk);
      });
    };
    pass('query', client, upstream);
    pass('reply', upstream, client);
  });
  after(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('listens on TCP');
  return {
    port: address.port,
    cut: (direction, n) => {
      armed = { direction, left: n };
    },
    disarm: () => {
      const result = armed !== undefined && armed.left <= 0 ? 'cut' : 'untouched';
      armed = undefined;
      return result;
    },
  };
}
