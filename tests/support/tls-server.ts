/** TLS on a server that runs: its files are written by the server itself, so that its account owns them. */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Server } from '../../src/embedded/server.ts';
import type { Certificate } from './certificates.ts';
import { sql } from './cluster.ts';
import { sslRequest } from './frontend-messages.ts';

const patienceMs = 30_000;

/** Resolves when the server offers TLS with that certificate; `clients` may have signed those of clients. */
export async function enableTls(server: Server, certificate: Certificate, clients: string): Promise<void> {
  const write = (file: string, text: string): Promise<unknown> =>
    sql(
      server,
      `COPY (SELECT unnest(string_to_array('${text.trimEnd()}', E'\\n'))) TO PROGRAM 'umask 077; cat > ${file}'`,
    );
  await write('server.crt', certificate.pem);
  await write('server.key', certificate.key);
  await write('clients.crt', clients);
  await sql(server, "ALTER SYSTEM SET ssl_ca_file = 'clients.crt'");
  await sql(server, 'ALTER SYSTEM SET ssl = on');
  await sql(server, 'SELECT pg_reload_conf()');
  const deadline = performance.now() + patienceMs;
  while ((await answerToSslRequest(server)) !== 'S') {
    if (performance.now() > deadline) throw new Error(`${server.name} does not offer TLS`);
    await sleep(20);
  }
}

async function answerToSslRequest(server: Server): Promise<string> {
  const socket = connect({ host: server.host, port: server.port });
  try {
    await once(socket, 'connect');
    socket.write(sslRequest());
    const [chunk]: unknown[] = await once(socket, 'data');
    return chunk instanceof Buffer ? chunk.toString('latin1') : '';
  } finally {
    socket.destroy();
  }
}
