/** Listening sockets: every address of a configuration, or none. */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { ListenAddress } from '../config/config.ts';

export interface Listener {
  /** As bound: the port is the real one where 0 was asked for. */
  readonly addresses: readonly ListenAddress[];
  /** Accepts no more; connections that were accepted stay. */
  close(): Promise<void>;
}

/**
 * Rejects with the system's error (EADDRINUSE, EACCES) where any address cannot be had. `onError`: a connection could not be
 * accepted (EMFILE); listening goes on.
 */
export async function listen(
  addresses: readonly ListenAddress[],
  onConnection: (socket: Socket) => void,
  onError: (error: Error) => void,
): Promise<Listener> {
  const servers: { server: Server; address: ListenAddress }[] = [];
  try {
    for (const address of addresses) servers.push(await open(address, onConnection, onError));
  } catch (error) {
    await Promise.all(servers.map(({ server }) => closed(server)));
    throw error;
  }
  return {
    addresses: servers.map(({ address }) => address),
    close: async () => {
      await Promise.all(servers.map(({ server }) => closed(server)));
    },
  };
}

async function open(
  address: ListenAddress,
  onConnection: (socket: Socket) => void,
  onError: (error: Error) => void,
): Promise<{ server: Server; address: ListenAddress }> {
  if (address.kind === 'unix') await removeStale(address.path);
  return new Promise((resolve, reject) => {
    // A client that has closed its half gets its answers all the same.
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: false }, onConnection);
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      server.on('error', onError);
      if (address.kind === 'unix') {
        chmodSync(address.path, 0o777);
        resolve({ server, address });
        return;
      }
      const bound = server.address();
      const port = bound !== null && typeof bound === 'object' ? bound.port : address.port;
      resolve({ server, address: { ...address, port } });
    });
    if (address.kind === 'unix') server.listen(address.path);
    else server.listen({ port: address.port, ...(address.host === undefined ? {} : { host: address.host }) });
  });
}

/**
 * A socket that nobody listens on was left by a process that was killed; listening would fail on it. Anything else that
 * stands there stays, and listening says so.
 */
async function removeStale(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const refused = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(false);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
  if (refused) unlinkSync(path);
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
