/** Connections to servers over TLS: every sslmode, both directions of trust, SCRAM that is bound to the channel, cancel. */
import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { Backend } from '../../src/backend/backend.ts';
import { answers, ConnectError, connectBackend } from '../../src/backend/connect.ts';
import type { Server } from '../../src/embedded/server.ts';
import { Authority, type Certificate } from '../support/certificates.ts';
import { startNode } from '../support/child.ts';
import { sql, startTestCluster } from '../support/cluster.ts';
import { cancelRequest, query, sslRequest } from '../support/frontend-messages.ts';
import { parsed, startTestProxy } from '../support/proxy.ts';
import { RawClient } from '../support/raw-client.ts';
import { root } from '../support/repository.ts';
import { startInterceptor, startPeer, startRelay } from '../support/tls-relays.ts';
import { enableTls } from '../support/tls-server.ts';
import { errorIn, loggedTimes, refusal, until, value } from './scene.ts';

const PATIENCE_MS = 20_000;
const PASSWORD = 'correct horse';

const cluster = await startTestCluster({
  writers: 3,
  settings: { log_connections: 'on' },
  hba: [
    'hostssl all only_tls all trust',
    'hostnossl all only_tls all reject',
    'hostnossl all only_plain all trust',
    'hostssl all only_plain all reject',
    'hostssl all by_certificate all cert',
    'hostnossl all by_certificate all reject',
    'host all by_scram all scram-sha-256',
  ],
});
const { w1, w2, replica } = cluster;
const [, , plain] = cluster.writers;
assert.ok(plain !== undefined);

const authority = await Authority.create('pprox test authority');
const others = await Authority.create('another authority');
const named = await authority.issue('CN=db', [
  { type: 'dns', value: 'localhost' },
  { type: 'dns', value: '*.db.example' },
  { type: 'ip', value: '127.0.0.1' },
]);
const unnamed = await authority.issue('CN=db2.example');
await enableTls(w1, named, authority.pem);
await enableTls(w2, unnamed, authority.pem);
await enableTls(replica, named, authority.pem);

for (const server of [w1, w2, plain]) {
  await sql(
    server,
    `CREATE ROLE only_tls LOGIN SUPERUSER; CREATE ROLE only_plain LOGIN; CREATE ROLE by_certificate LOGIN SUPERUSER;
     CREATE ROLE by_scram LOGIN SUPERUSER PASSWORD '${PASSWORD}'`,
  );
}

const folder = mkdtempSync(join(tmpdir(), 'pprox-tls-'));
after(() => rmSync(folder, { recursive: true, force: true }));

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

const ca = file('ca.crt', authority.pem);
const wrongCa = file('wrong-ca.crt', others.pem);

function clientFiles(name: string, { pem, key }: Certificate): string {
  return `sslcert=${file(`${name}.crt`, pem)} sslkey=${file(`${name}.key`, key)}`;
}

function dsn(server: { readonly port: number }, user: string, more = '', host = 'localhost'): string {
  return `host=${host} hostaddr=127.0.0.1 port=${server.port} user=${user} dbname=postgres ${more}`;
}

/** A connection of its own, as a node of the proxy makes it. */
async function connect(text: string, timeoutMs = PATIENCE_MS): Promise<Backend> {
  const { host, port, password, tls, user = '', database = '' } = parsed(text);
  const parameters = new Map([
    ['user', user],
    ['database', database],
  ]);
  const options = { address: { host, port }, user, password, parameters, keepAliveMs: undefined, tls };
  const backend = await connectBackend(options, timeoutMs);
  after(() => backend.close('shutdown'));
  return backend;
}

/** How the server sees the connection: TLS version or plain. */
async function seen(text: string): Promise<string> {
  const backend = await connect(text);
  const { rows } = await backend.ask("SELECT coalesce(version, 'plain') FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
  backend.close('idle');
  return rows[0]?.[0] ?? 'nothing';
}

async function failure(text: string, timeoutMs?: number): Promise<string> {
  try {
    await connect(text, timeoutMs);
  } catch (error) {
    assert.ok(error instanceof ConnectError, String(error));
    return error.message;
  }
  return assert.fail(`connected: ${text}`);
}

describe('sslmode', () => {
  const encrypted = 'TLSv1.3';
  const table: readonly (readonly [mode: string, withTls: string, without: string | RegExp])[] = [
    ['disable', 'plain', 'plain'],
    ['allow', 'plain', 'plain'],
    ['prefer', encrypted, 'plain'],
    ['require', encrypted, /^server does not support SSL, but SSL was required \(sslmode=/],
    [`verify-ca sslrootcert=${ca}`, encrypted, /^server does not support SSL, but SSL was required \(sslmode=/],
    [`verify-full sslrootcert=${ca}`, encrypted, /^server does not support SSL, but SSL was required \(sslmode=/],
  ];
  for (const [mode, withTls, without] of table) {
    test(`${mode.split(' ')[0]} with a server that has TLS, and with one that has not`, async () => {
      assert.equal(await seen(dsn(w1, 'postgres', `sslmode=${mode}`)), withTls);
      if (typeof without === 'string') assert.equal(await seen(dsn(plain, 'postgres', `sslmode=${mode}`)), without);
      else assert.match(await failure(dsn(plain, 'postgres', `sslmode=${mode}`)), without);
    });
  }

  test('prefer is the default', async () => {
    assert.equal(await seen(dsn(w1, 'postgres')), encrypted);
  });

  test('allow goes over to TLS, and prefer back from it, where pg_hba.conf says so', async () => {
    assert.equal(await seen(dsn(w1, 'only_tls', 'sslmode=allow')), encrypted);
    assert.equal(await seen(dsn(w1, 'only_plain', 'sslmode=prefer')), 'plain');
    assert.match(await failure(dsn(w1, 'only_tls', 'sslmode=disable')), /pg_hba\.conf rejects .* no encryption/);
    assert.match(await failure(dsn(w1, 'only_plain', 'sslmode=require')), /pg_hba\.conf rejects .* SSL encryption/);
  });

  test('a refusal for another reason than the encryption is the one that is told', async () => {
    for (const server of [w1, plain]) {
      for (const mode of ['allow', 'prefer']) {
        const message = await failure(dsn(server, 'by_scram', `password=wrong sslmode=${mode}`));
        assert.equal(message, 'password authentication failed for user "by_scram"', `${server.name} ${mode}`);
      }
    }
    const message = await failure(dsn(w1, 'only_tls', `sslmode=allow sslrootcert=${wrongCa}`));
    assert.match(message, /^not encrypted: pg_hba\.conf rejects .*; over TLS: SSL error: certificate verify failed/);
  });

  test('a Unix socket is never encrypted', async () => {
    assert.ok(w1.socketDirectory !== undefined);
    const text = `host=${w1.socketDirectory} port=${w1.port} user=postgres dbname=postgres sslmode=verify-full sslrootcert=/x`;
    assert.equal(await seen(text), 'plain');
  });
});

describe('the certificate of the server', () => {
  test('is not accepted where another authority has signed it', async () => {
    for (const mode of ['require', 'verify-ca', 'verify-full']) {
      const message = await failure(dsn(w1, 'postgres', `sslmode=${mode} sslrootcert=${wrongCa}`));
      assert.match(message, /^SSL error: certificate verify failed: /, mode);
    }
    const message = await failure(dsn(w1, 'only_tls', `sslmode=prefer sslrootcert=${wrongCa}`));
    assert.match(message, /^over TLS: SSL error: certificate verify failed: .*; not encrypted: pg_hba\.conf rejects/);
  });

  test('is not asked for its names by verify-ca, and is by verify-full', async () => {
    const names: Readonly<Record<string, Server>> = {
      localhost: w1,
      'one.db.example': w1,
      '127.0.0.1': w1,
      'db2.example': w2,
      'DB2.example': w2,
    };
    for (const [host, server] of Object.entries(names)) {
      const text = dsn(server, 'postgres', `sslmode=verify-full sslrootcert=${ca}`, host);
      assert.equal(await seen(text), 'TLSv1.3', host);
    }
    assert.equal(await seen(dsn(w1, 'postgres', `sslmode=verify-ca sslrootcert=${ca}`, 'elsewhere')), 'TLSv1.3');
    const wrong = (server: Server, host: string) =>
      failure(dsn(server, 'postgres', `sslmode=verify-full sslrootcert=${ca}`, host));
    const listed = 'server certificate for "localhost" (and 2 other names)';
    for (const host of ['db', 'a.b.db.example', 'db.example', '127.0.0.2']) {
      const message = `${listed} does not match host name "${host}" (sslmode=verify-full)`;
      assert.equal(await wrong(w1, host), message);
    }
    assert.equal(
      await wrong(w2, 'localhost'),
      'server certificate for "db2.example" does not match host name "localhost" (sslmode=verify-full)',
    );
  });

  test('is not accepted once it has been revoked', async () => {
    const crl = file('all.crl', await authority.revoke(named));
    const message = await failure(dsn(w1, 'postgres', `sslmode=verify-ca sslrootcert=${ca} sslcrl=${crl}`));
    assert.match(message, /^SSL error: certificate verify failed: certificate revoked \(/);
    const text = dsn(w2, 'postgres', `sslmode=verify-ca sslrootcert=${ca} sslcrl=${crl}`);
    assert.equal(await seen(text), 'TLSv1.3');
  });
});

describe('a certificate of our own', () => {
  const right = `sslmode=require sslrootcert=${ca}`;
  test('logs in where the server asks for one', async () => {
    const own = clientFiles('own', await authority.issue('CN=by_certificate'));
    const backend = await connect(dsn(w1, 'by_certificate', `${right} ${own}`));
    const { rows } = await backend.ask('SELECT client_dn FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    assert.deepEqual(rows, [['/CN=by_certificate']]);
  });

  test('logs in with a key that is encrypted', async () => {
    const { pem, key } = await authority.issue('CN=by_certificate');
    const passphrase = 'open sesame';
    const encrypted = createPrivateKey(key).export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase });
    const own = clientFiles('encrypted', { pem, key: encrypted.toString() });
    assert.equal(await seen(dsn(w1, 'by_certificate', `${right} ${own} sslpassword='${passphrase}'`)), 'TLSv1.3');
  });

  test('does not where it is another’s, unknown to the server, missing, or not to be shown', async () => {
    const another = clientFiles('another', await authority.issue('CN=somebody'));
    const unknown = clientFiles('unknown', await others.issue('CN=by_certificate'));
    const text = (more: string) => dsn(w1, 'by_certificate', `${right} ${more}`);
    assert.match(await failure(text(another)), /certificate authentication failed for user "by_certificate"/);
    assert.match(await failure(text(unknown)), /SSL error: .*unknown ca/);
    assert.match(await failure(text('')), /connection requires a valid client certificate/);
    const own = clientFiles('hidden', await authority.issue('CN=by_certificate'));
    assert.match(await failure(text(`${own} sslcertmode=disable`)), /requires a valid client certificate/);
  });
});

describe('SCRAM', () => {
  const login = (more: string, server: { readonly port: number } = w1) =>
    dsn(server, 'by_scram', `password='${PASSWORD}' ${more}`);

  test('is bound to the TLS connection where there is one', async () => {
    assert.equal(await seen(login('sslmode=require channel_binding=require')), 'TLSv1.3');
    assert.equal(await seen(login('sslmode=require channel_binding=prefer')), 'TLSv1.3');
    assert.equal(await seen(login('sslmode=require channel_binding=disable')), 'TLSv1.3');
    assert.equal(await seen(login('sslmode=require channel_binding=require', w2)), 'TLSv1.3');
  });

  test('is bound whatever has signed the certificate, where that signature has a hash', async () => {
    const { w1: server } = await startTestCluster({
      writers: 1,
      reader: false,
      hba: ['host all by_scram all scram-sha-256'],
    });
    await sql(server, `CREATE ROLE by_scram LOGIN PASSWORD '${PASSWORD}'`);
    for (const signature of ['ECDSA-SHA-384', 'RSA-SHA-1', 'RSA-SHA-512', 'RSA-PSS-SHA-384'] as const) {
      const signer = await Authority.create('signer', signature);
      await enableTls(server, await signer.issue('CN=localhost'), authority.pem);
      assert.equal(await seen(login('sslmode=require channel_binding=require', server)), 'TLSv1.3', signature);
    }
    const signer = await Authority.create('signer', 'Ed25519');
    await enableTls(server, await signer.issue('CN=localhost'), authority.pem);
    assert.match(await failure(login('sslmode=require', server)), /could not find a digest for the signature/);
    assert.equal(await seen(login('sslmode=require channel_binding=disable', server)), 'TLSv1.3');
  });

  test('cannot be bound without TLS, nor can a login that is no SCRAM', async () => {
    const message = await failure(login('sslmode=disable channel_binding=require'));
    assert.match(message, /channel binding required, but SSL not in use$/);
    const trusted = await failure(dsn(w1, 'only_tls', 'sslmode=require channel_binding=require'));
    assert.match(trusted, /channel binding required, but server authenticated client without channel binding$/);
  });
});

describe('direct negotiation', () => {
  test('encrypts from the first byte', async () => {
    const text = dsn(w1, 'postgres', `sslnegotiation=direct sslmode=verify-full sslrootcert=${ca}`);
    assert.equal(await seen(text), 'TLSv1.3');
  });

  test('fails with a server that has no TLS, or that is older than 17', async () => {
    const old = await startTestCluster({ writers: 1, reader: false, major: 15 });
    await enableTls(old.w1, named, authority.pem);
    assert.equal(await seen(dsn(old.w1, 'postgres', `sslmode=verify-full sslrootcert=${ca}`)), 'TLSv1.3');
    for (const server of [plain, old.w1]) {
      assert.match(await failure(dsn(server, 'postgres', 'sslnegotiation=direct sslmode=require')), /^SSL /);
    }
  });
});

test('the host name is sent to the server before its certificate, unless it is an address or not to be sent', async () => {
  const names: string[] = [];
  const secureContext = createSecureContext({ cert: named.pem, key: named.key });
  const peer = await startPeer((client) => {
    const options = { isServer: true, secureContext, ALPNProtocols: ['postgresql'] };
    const secure = new TLSSocket(client, {
      ...options,
      SNICallback: (name, done) => {
        names.push(name);
        done(null, secureContext);
      },
    });
    secure.on('error', () => undefined); // it may hang up
    secure.once('data', () => secure.end());
  });
  const direct = 'sslmode=require sslnegotiation=direct';
  for (const text of [
    dsn(peer, 'u', direct, 'one.db.example'),
    dsn(peer, 'u', direct, '127.0.0.1'),
    dsn(peer, 'u', `${direct} sslsni=0`),
  ]) {
    assert.equal(await failure(text), 'server disconnected');
  }
  assert.deepEqual(names, ['one.db.example']);
});

test('the versions of TLS are kept to', async () => {
  assert.equal(await seen(dsn(w1, 'postgres', 'sslmode=require ssl_max_protocol_version=TLSv1.2')), 'TLSv1.2');
  const both = 'ssl_min_protocol_version=TLSv1 ssl_max_protocol_version=TLSv1.1';
  assert.match(await failure(dsn(w1, 'postgres', `sslmode=require ${both}`)), /^SSL /);
});

test('whether a server answers is found out without a trace in its log', async () => {
  const address = { host: '127.0.0.1', port: replica.port };
  const before = loggedTimes(replica, 'could not accept SSL connection');
  for (const more of ['sslmode=prefer', 'sslmode=require sslnegotiation=direct']) {
    assert.equal(await answers(address, parsed(dsn(replica, 'postgres', more)).tls, PATIENCE_MS), 'yes');
  }
  const { tls } = parsed(dsn(plain, 'postgres'));
  assert.equal(await answers({ host: '127.0.0.1', port: plain.port }, tls, PATIENCE_MS), 'yes');
  const silent = await startPeer((client) => client.end());
  for (const more of ['sslmode=prefer', 'sslmode=require sslnegotiation=direct']) {
    const { host, port, tls: own } = parsed(dsn(silent, 'postgres', more));
    assert.equal(await answers({ host, port }, own, PATIENCE_MS), 'no');
  }
  assert.equal(await seen(dsn(replica, 'postgres')), 'TLSv1.3');
  assert.equal(loggedTimes(replica, 'could not accept SSL connection'), before);
});

describe('somebody in between', () => {
  const login = (peer: { readonly port: number }, more: string) =>
    dsn(peer, 'by_scram', `password='${PASSWORD}' ${more}`);

  test('who ends the encryption with a certificate of the same authority cannot pass a bound login on', async () => {
    const certificate = await authority.issue('CN=localhost', [{ type: 'dns', value: 'localhost' }]);
    const peer = await startInterceptor(w1, certificate);
    const trusting = `sslmode=verify-full sslrootcert=${ca}`;
    for (const binding of ['prefer', 'require']) {
      const message = await failure(login(peer, `${trusting} channel_binding=${binding}`));
      assert.equal(message, 'SCRAM channel binding check failed', binding);
    }
    // Without binding it passes: the interceptor itself works.
    assert.equal(await seen(login(peer, `${trusting} channel_binding=disable`)), 'TLSv1.3');
  });

  test('who takes the bound mechanism out of the offer is found out by the server', async () => {
    const certificate = await authority.issue('CN=localhost', [{ type: 'dns', value: 'localhost' }]);
    const peer = await startInterceptor(w1, certificate, 'weakened');
    const message = await failure(login(peer, 'sslmode=require'));
    assert.equal(message, 'SCRAM channel binding negotiation error');
    assert.match(
      await failure(login(peer, 'sslmode=require channel_binding=require')),
      /channel binding is required, but server did not offer an authentication method that supports channel binding$/,
    );
    // Who says that it knows of no binding passes: the interceptor itself works.
    assert.equal(await seen(login(peer, 'sslmode=require channel_binding=disable')), 'TLSv1.3');
  });

  test('who pretends that the server has no TLS is found out by what the server offers', async () => {
    const peer = await startInterceptor(w1, undefined);
    const words = 'server offered SCRAM-SHA-256-PLUS authentication over a non-SSL connection';
    assert.equal(await failure(login(peer, 'sslmode=prefer')), `authentication failed: ${words}`);
    const required = await failure(login(peer, 'sslmode=require'));
    assert.equal(required, 'server does not support SSL, but SSL was required (sslmode=require)');
  });

  test('who falls silent holds nobody beyond the deadline', async () => {
    for (const answer of ['', 'S'] as const) {
      const peer = await startPeer((client) => {
        if (answer !== '') client.once('data', () => client.write(answer));
      });
      for (const more of ['sslmode=require', 'sslmode=prefer', 'sslmode=require sslnegotiation=direct']) {
        assert.equal(await failure(login(peer, more), 50), 'no answer within 50 ms', more);
      }
    }
  });

  test('who puts plain bytes behind the answer to SSLRequest is not spoken to', async () => {
    let connections = 0;
    for (const [answer, words] of [
      ['Sx', 'received unencrypted data after SSL response'],
      ['Nx', 'received unencrypted data after SSL response'],
      ['x', 'received invalid response to SSL negotiation'],
      ['E....', 'server sent an error response during SSL exchange'],
      ['', 'server closed the connection unexpectedly'],
    ] as const) {
      const peer = await startPeer((client) => {
        connections++;
        client.once('data', () => client.end(answer));
      });
      const more = answer === '' ? '' : ' (sslmode=prefer)';
      assert.equal(await failure(login(peer, 'sslmode=prefer')), `${words}${more}`);
    }
    assert.equal(connections, 5, 'prefer does not try again without TLS');
  });
});

describe('a proxy whose servers take TLS alone', () => {
  const trusting = `sslmode=verify-ca sslrootcert=${ca}`;

  test('reads, writes on every writer, and says so in check', async () => {
    const proxy = await startTestProxy({
      writers: [dsn(w1, 'only_tls', trusting), dsn(w2, 'only_tls', `${trusting} sslnegotiation=direct`)],
      reader: dsn(replica, 'only_tls', trusting),
    });
    const client = await proxy.connect();
    await client.query('CREATE TABLE secret (id serial PRIMARY KEY, words text)');
    await client.query("INSERT INTO secret (words) VALUES ('over TLS')");
    assert.equal(await value(client, 'SELECT count(*)::int FROM secret'), 1);
    for (const server of [w1, w2]) {
      const users = await sql(
        server,
        "SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'only_tls'",
      );
      assert.deepEqual(users, [{ ssl: true }], server.name);
    }
    const child = startNode(join(root, 'bin', 'pprox'), ['check'], {
      env: {
        PG_WRITERS_CSV: `${dsn(w1, 'only_tls', trusting)},${dsn(w2, 'only_plain')}`,
        PROXY_ADDR: '127.0.0.1:0',
      },
    });
    assert.equal(await child.ended, 0, child.output());
    assert.match(child.output(), /^lead .* TLSv1\.3 /m);
    assert.match(child.output(), /^follower .* primary +- +- /m);
  });

  for (const mode of ['require', 'disable'] as const) {
    test(`cancels ${mode === 'require' ? 'over TLS' : 'in plain where it is not encrypted'}`, async () => {
      const relay = await startRelay(w1);
      const proxy = await startTestProxy({ writers: [dsn(relay, 'postgres', `sslmode=${mode}`)] });
      const client = await RawClient.start({ ...proxy, user: 'postgres', database: 'postgres' });
      after(() => client.destroy());
      const mark = `sleep of ${mode}`;
      client.send(query(`SELECT pg_sleep(60) /* ${mark} */`));
      await until('it runs', async () => {
        const text = `SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%${mark}%' AND pid <> pg_backend_pid()`;
        return (await sql(w1, text)).length > 0;
      });
      const before = relay.sent.length;
      const key = client.messages.find((message) => message.type === 'BackendKeyData');
      assert.ok(key?.type === 'BackendKeyData');
      const canceller = await RawClient.open(proxy);
      canceller.send(cancelRequest(key.pid, key.secret));
      await client.waitReady(2);
      canceller.destroy();
      assert.equal(errorIn(client.messages)['C'], '57014');
      const [request = Buffer.alloc(0)] = relay.sent.slice(before);
      const inPlain = request.includes(Buffer.from([0x04, 0xd2, 0x16, 0x2e]));
      assert.equal(inPlain, mode === 'disable');
      assert.equal(request.subarray(0, 8).equals(sslRequest()), mode === 'require');
      // The server has been seen to act: its connection serves on.
      await client.query('SELECT 1');
      assert.equal(relay.sent.length, before + 1);
    });
  }

  test('tells a client why a server cannot be used, and logs no key and no password', async () => {
    const own = clientFiles('logged', await authority.issue('CN=nobody'));
    const wrong = `password='${PASSWORD}' sslmode=verify-full sslrootcert=${wrongCa} ${own}`;
    const proxy = await startTestProxy({ writers: [dsn(w1, 'by_scram', wrong), dsn(w2, 'only_tls', trusting)] });
    const { code, message } = await refusal(proxy.connect());
    assert.equal(code, '08001');
    assert.match(
      message,
      /^could not connect to lead 127\.0\.0\.1:\d+\/postgres: .*certificate verify failed: .*\(sslmode=verify-full\)$/,
    );
    const log = JSON.stringify(proxy.lines);
    assert.ok(!log.includes(PASSWORD) && !log.includes('PRIVATE KEY'), log);
    assert.match(log, /certificate verify failed/);
  });
});
