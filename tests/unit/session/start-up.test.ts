import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { readStartUp, type StartUp } from '../../../src/session/start-up.ts';
import {
  cancelRequest,
  gssEncRequest,
  opening,
  query,
  sslRequest,
  startupMessage,
} from '../../support/frontend-messages.ts';

interface Attempt {
  readonly client: Socket;
  readonly server: Socket;
  readonly result: Promise<StartUp>;
}

async function attempt(timeoutMs = 60_000): Promise<Attempt> {
  const listener = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const bound = listener.address();
  assert.ok(bound !== null && typeof bound === 'object');
  const client = connect(bound.port, '127.0.0.1');
  const [server] = (await once(listener, 'connection')) as [Socket];
  listener.close();
  for (const socket of [client, server]) socket.on('error', () => undefined); // the tests hang up
  after(() => {
    client.destroy();
    server.destroy();
  });
  return { client, server, result: readStartUp(server, timeoutMs) };
}

const startup = startupMessage({ user: 'u', database: 'd' });

async function turns(): Promise<void> {
  for (let count = 0; count < 5; count++) await new Promise((resolve) => setImmediate(resolve));
}

describe('a start-up', () => {
  test('is the same however its bytes arrive, and what comes behind it is kept', async () => {
    const bytes = Buffer.concat([startup, query('SELECT 1')]);
    for (const size of [1, 3, 7, bytes.length]) {
      const { client, result } = await attempt();
      client.setNoDelay(true);
      for (let at = 0; at < bytes.length; at += size) {
        client.write(bytes.subarray(at, at + size));
        await turns();
      }
      const found = await result;
      assert.ok(found.kind === 'startup');
      assert.equal(found.packet.parameters.get('user'), 'u');
      if (size === bytes.length) assert.deepEqual(found.rest, query('SELECT 1'));
      else assert.ok(query('SELECT 1').subarray(0, found.rest.length).equals(found.rest));
    }
  });

  test('is told that there is no encryption, once for each kind', async () => {
    const { client, result } = await attempt();
    for (const request of [sslRequest(), gssEncRequest()]) {
      client.write(request);
      const [answer] = (await once(client, 'data')) as [Buffer];
      assert.equal(answer.toString(), 'N');
    }
    client.write(startup);
    assert.equal((await result).kind, 'startup');
  });

  test('that asks twice for the same encryption, or sends on before the answer, is refused', async () => {
    for (const bytes of [Buffer.concat([sslRequest(), startup]), undefined]) {
      const { client, result } = await attempt();
      client.write(bytes ?? sslRequest());
      if (bytes === undefined) {
        await once(client, 'data');
        client.write(sslRequest());
      }
      const found = await result;
      assert.ok(found.kind === 'refused' && found.answer !== undefined);
      assert.equal(found.reason, 'client start-up refused');
    }
  });

  test('that cancels carries the key as it came', async () => {
    const { client, result } = await attempt();
    const secretKey = Buffer.from('0123456789abcdef0123456789abcdef');
    client.write(cancelRequest(42, secretKey));
    assert.deepEqual(await result, { kind: 'cancel', processId: 42, secretKey });
  });

  test('that stalls is given up without a word', async () => {
    const { client, result } = await attempt(20);
    client.write(startup.subarray(0, 10));
    const found = await result;
    assert.ok(found.kind === 'refused' && found.answer === undefined);
    assert.equal(found.reason, 'client start-up timed out');
  });

  test('of a client that goes is given up at once', async () => {
    for (const leave of ['end', 'destroy'] as const) {
      const { client, result } = await attempt();
      client.write(startup.subarray(0, 10));
      client[leave]();
      const found = await result;
      assert.ok(found.kind === 'refused' && found.reason === 'client disconnected');
    }
  });

  test('of another kind of program is closed without a word, and one of an old protocol is told in its own form', async () => {
    const http = await attempt();
    http.client.write('GET / HTTP/1.1\r\n\r\n');
    const found = await http.result;
    assert.ok(found.kind === 'refused' && found.answer === undefined);
    const old = await attempt();
    old.client.write(opening(0x0002_0000, Buffer.alloc(288)));
    const refused = await old.result;
    assert.ok(refused.kind === 'refused');
    assert.match(refused.answer?.toString() ?? '', /^EFATAL: {2}unsupported frontend protocol 2\.0/);
  });

  test('leaves the socket paused, with the listeners of others', async () => {
    const { client, server, result } = await attempt();
    let closed = 0;
    server.on('close', () => closed++);
    client.write(startup);
    await result;
    assert.ok(server.isPaused());
    assert.equal(server.listenerCount('data'), 0);
    server.destroy();
    await once(server, 'close');
    assert.equal(closed, 1);
  });
});
