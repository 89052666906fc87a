import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { after, describe, test } from 'node:test';
import type { Backend } from '../../../src/backend/backend.ts';
import { ConnectError, connectBackend } from '../../../src/backend/connect.ts';
import { frame } from '../../support/frontend-messages.ts';
import { reply } from './fake-server.ts';

function authentication(code: number, rest: string | Buffer = ''): Buffer {
  const head = Buffer.alloc(4);
  head.writeInt32BE(code);
  return frame('R', Buffer.concat([head, Buffer.from(rest)]));
}

/** A server that answers the n-th packet of a client with the n-th of `answers`; gives the packets. */
async function login(
  answers: readonly Buffer[],
  has: 'a password' | 'no password' = 'a password',
): Promise<{ backend: Backend; packets: readonly Buffer[] }> {
  const packets: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined); // the client may hang up
    socket.on('data', (chunk) => {
      const answer = answers[packets.length];
      packets.push(chunk);
      if (answer !== undefined) socket.write(answer);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === 'object');
  const address = { host: '127.0.0.1', port: bound.port };
  const parameters = new Map([['user', 'tester']]);
  const password = has === 'a password' ? 'secret' : undefined;
  try {
    const backend = await connectBackend(
      { address, user: 'tester', password, parameters, keepAliveMs: undefined },
      10_000,
    );
    after(() => backend.close('shutdown'));
    return { backend, packets };
  } finally {
    server.close();
  }
}

async function failed(answers: readonly Buffer[], has?: 'no password'): Promise<string> {
  try {
    await login(answers, has);
  } catch (error) {
    assert.ok(error instanceof ConnectError);
    return error.message;
  }
  return assert.fail('the login was to fail');
}

const accepted = Buffer.concat([reply.authenticationOk, reply.ready()]);

describe('a login', () => {
  test('sends a cleartext password when it is asked for it', async () => {
    const { packets } = await login([authentication(3), accepted]);
    assert.deepEqual(packets[1], frame('p', Buffer.from('secret\0')));
  });

  test('sends an md5 response to the salt', async () => {
    const { packets } = await login([authentication(5, Buffer.from([1, 2, 3, 4])), accepted]);
    assert.deepEqual(packets[1], frame('p', Buffer.from('md536b4107baf9501c7af04101729003031\0')));
  });

  test('refuses a server that asks for a password it does not have', async () => {
    for (const asked of [authentication(3), authentication(5, 'salt'), authentication(10, 'SCRAM-SHA-256\0\0')]) {
      assert.match(await failed([asked], 'no password'), /the server asks for a password and the DSN has none/);
    }
  });

  test('refuses a server that offers nothing it knows', async () => {
    const message = await failed([authentication(10, 'SCRAM-SHA-512\0OAUTHBEARER\0\0')]);
    assert.match(message, /the server offers SCRAM-SHA-512, OAUTHBEARER only/);
    assert.match(await failed([authentication(7)]), /authentication method 7, which is not supported/);
  });

  test('refuses a server that would bind to a TLS connection that there is not', async () => {
    const message = await failed([authentication(10, 'SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0')]);
    assert.match(message, /server offered SCRAM-SHA-256-PLUS authentication over a non-SSL connection/);
  });

  test('refuses a server that skips its own proof', async () => {
    const message = await failed([authentication(10, 'SCRAM-SHA-256\0\0'), accepted]);
    assert.match(message, /SCRAM ended without the server signature/);
  });

  test('refuses a server that goes through SCRAM out of order', async () => {
    assert.match(await failed([authentication(12, 'v=AAAA')]), /method 12/);
    assert.match(await failed([authentication(11, 'r=x,s=eA==,i=1')]), /method 11/);
  });

  test('refuses a server whose signature is wrong', async () => {
    const { port, seen } = await scramServer('v=AAAA');
    const address = { host: '127.0.0.1', port };
    const parameters = new Map([['user', 'tester']]);
    const attempt = connectBackend(
      { address, user: 'tester', password: 'pencil', parameters, keepAliveMs: undefined },
      10_000,
    );
    await assert.rejects(attempt, /the server's signature is wrong/);
    assert.match(seen[1]?.toString('latin1') ?? '', /c=biws,r=.*,p=/);
  });
});

/** Continues the nonce that the client has sent, and ends with `final`. */
async function scramServer(final: string): Promise<{ port: number; seen: readonly Buffer[] }> {
  const seen: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => undefined); // the client hangs up
    let packets = 0;
    socket.on('data', (chunk) => {
      packets++;
      if (packets > 1) seen.push(chunk);
      if (packets === 1) socket.write(authentication(10, 'SCRAM-SHA-256\0\0'));
      else if (packets === 2) {
        const nonce = /r=(.*)$/.exec(chunk.toString('latin1'))?.[1] ?? '';
        socket.write(authentication(11, `r=${nonce}more,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`));
      } else socket.write(Buffer.concat([authentication(12, final), accepted]));
    });
  });
  after(() => {
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bound = server.address();
  assert.ok(bound !== null && typeof bound === 'object');
  return { port: bound.port, seen };
}
