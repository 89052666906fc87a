/** What may stand between a client and a server that has TLS, on loopback; closed after the tests. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { Duplex, Transform } from 'node:stream';
import { after } from 'node:test';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import type { Certificate } from './certificates.ts';
import { frame, sslRequest } from './frontend-messages.ts';

export interface Relay {
  readonly port: number;
  /** What clients have sent, a buffer for each connection, as it was on the wire. */
  readonly sent: readonly Buffer[];
}

/** A peer that does with a connection what the test says. */
export async function startPeer(serve: (client: Socket) => void): Promise<{ readonly port: number }> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    sockets.add(client);
    client.on('error', () => undefined); // it may hang up
    serve(client);
  });
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('listens on TCP');
  return { port: bound.port };
}

/** Hands bytes on, and keeps those of clients. */
export async function startRelay(server: { readonly port: number }): Promise<Relay> {
  const sent: Buffer[] = [];
  const { port } = await startPeer((client) => {
    const own = sent.push(Buffer.alloc(0)) - 1;
    client.on('data', (chunk: Buffer) => {
      sent[own] = Buffer.concat([sent[own] ?? Buffer.alloc(0), chunk]);
    });
    join(client, connect({ host: '127.0.0.1', port: server.port }));
  });
  return { port, sent };
}

/**
 * Ends the client's encryption, and makes a TLS connection of its own to the server: it reads everything. With `own`, as a
 * server that has that certificate; without, as one that has no TLS. `weakened` leaves the bound mechanism out of what the
 * server offers.
 */
export async function startInterceptor(
  server: { readonly port: number },
  own: Certificate | undefined,
  offer: 'passed on' | 'weakened' = 'passed on',
): Promise<{ readonly port: number }> {
  return startPeer((client) => {
    const reached = new Promise<TLSSocket>((resolve) => {
      const outer = connect({ host: '127.0.0.1', port: server.port });
      outer.write(sslRequest());
      outer.on('error', () => client.destroy());
      outer.once('data', () => resolve(connectTls({ socket: outer, rejectUnauthorized: false })));
    });
    client.once('data', (first: Buffer) => {
      if (!first.equals(sslRequest())) {
        client.destroy(); // a second attempt without TLS
        return;
      }
      client.pause();
      client.write(own === undefined ? 'N' : 'S');
      const inner =
        own === undefined
          ? client
          : new TLSSocket(client, {
              isServer: true,
              secureContext: createSecureContext({ cert: own.pem, key: own.key }),
              ALPNProtocols: ['postgresql'],
            });
      void reached.then((outer) => join(inner, offer === 'weakened' ? weaken(outer) : outer));
    });
  });
}

/** AuthenticationSASL, which comes in a piece of its own, with one mechanism where the server has two. */
function weaken(server: Socket): Duplex {
  const offered = frame('R', Buffer.from('\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0', 'latin1'));
  const less = frame('R', Buffer.from('\0\0\0\x0aSCRAM-SHA-256\0\0', 'latin1'));
  const shown = new Transform({
    transform: (chunk: Buffer, _encoding, done) => done(null, chunk.equals(offered) ? less : chunk),
  });
  server.on('error', (error) => shown.destroy(error)).pipe(shown);
  return Duplex.from({ readable: shown, writable: server });
}

function join(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy());
    from.on('close', () => to.destroy());
    from.pipe(to);
  }
}
