/** TLS on a server that runs: its files are written by the server itself, so that its account owns them. */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { Server } from '../../src/embedded/server.ts';
import type { Certificate } from './certificates.ts';
import { sql } from './cluster.ts';
import { sslRequest } from './frontend-messages.ts';

const patienceMs = 30_000;

/** Resolves when the server shows that certificate; `clients` may have signed those of clients. Can be called again. */
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
  const { fingerprint256 } = new X509Certificate(certificate.pem);
  const deadline = performance.now() + patienceMs;
  while ((await shown(server)) !== fingerprint256) {
    if (performance.now() > deadline) throw new Error(`${server.name} does not show its certificate`);
    await sleep(20);
  }
}

/** The fingerprint of the certificate that a new connection is shown; undefined where there is no TLS. */
async function shown(server: Server): Promise<string | undefined> {
  const socket = connect({ host: server.host, port: server.port });
  try {
    await once(socket, 'connect');
    socket.write(sslRequest());
    const [answer]: unknown[] = await once(socket, 'data');
    if (!(answer instanceof Buffer) || answer.toString('latin1') !== 'S') return undefined;
    const secure = connectTls({ socket, rejectUnauthorized: false });
    await once(secure, 'secureConnect');
    const { fingerprint256 } = secure.getPeerCertificate();
    secure.end().resume();
    await once(secure, 'close');
    return fingerprint256;
  } finally {
    socket.destroy();
  }
}
