/** A server's front door on loopback that counts round trips: how often something is sent after something was received. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Place } from './subjects.ts';

export interface CountingRelay extends Place {
  /** Of all connections so far. */
  readonly roundTrips: number;
  close(): void;
}

export async function startCountingRelay({ host, port }: Place): Promise<CountingRelay> {
  let roundTrips = 0;
  const listener = createServer({ noDelay: true }, (client) => {
    const server = connect({ host, port, noDelay: true });
    let last: 'sent' | 'received' = 'received';
    client.on('data', (chunk: Buffer) => {
      if (last === 'received') roundTrips++;
      last = 'sent';
      server.write(chunk);
    });
    server.on('data', (chunk: Buffer) => {
      last = 'received';
      client.write(chunk);
    });
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => undefined); // told by its close
      one.on('close', () => other.destroy());
    }
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('listens on TCP');
  return {
    host: '127.0.0.1',
    port: address.port,
    get roundTrips() {
      return roundTrips;
    },
    close: () => listener.close(),
  };
}
