import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Backend } from '../../../src/backend/backend.ts';
import { cancelBackend, ConnectError, connectBackend } from '../../../src/backend/connect.ts';
import { BackendLostError, Collector, type Lost } from '../../../src/backend/receiver.ts';
import { until } from '../../e2e/scene.ts';
import { frame } from '../../support/frontend-messages.ts';
import { type Answer, completes, type FakeSession, reply, startFakeServer } from './fake-server.ts';

interface Connection {
  readonly backend: Backend;
  readonly session: FakeSession;
}

async function connected(answer: Answer = completes): Promise<Connection> {
  const server = await startFakeServer(answer);
  const backend = await server.connect();
  const [session] = server.sessions;
  if (session === undefined) throw new Error('the server has seen the connection');
  return { backend, session };
}

async function lostBy(promise: Promise<unknown>): Promise<Lost> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof BackendLostError) return error.lost;
    throw error;
  }
  return assert.fail('the reply was to be lost');
}

describe('a server connection', () => {
  test('gives each query its own reply, in order, also when they arrive in one piece', async () => {
    const { backend } = await connected((text, session) => {
      if (text === 'SELECT 2') {
        const answers = ['1', '2'].map((n) =>
          Buffer.concat([reply.row(n), reply.complete(`SELECT ${n}`), reply.ready()]),
        );
        session.send(...answers);
      }
    });
    const [first, second] = await Promise.all([backend.ask('SELECT 1'), backend.ask('SELECT 2')]);
    assert.deepEqual([first.rows, first.tags], [[['1']], ['SELECT 1']]);
    assert.deepEqual([second.rows, second.tags], [[['2']], ['SELECT 2']]);
    assert.ok(backend.idle);
  });

  test('knows the server’s settings, and counts their changes', async () => {
    const { backend } = await connected((_text, session) =>
      session.send(reply.parameter('TimeZone', 'UTC'), reply.complete('SET'), reply.ready()),
    );
    assert.equal(backend.parameters.get('client_encoding'), 'UTF8');
    const before = backend.parametersVersion;
    await backend.ask('SET timezone TO UTC');
    await backend.ask('SET timezone TO UTC');
    assert.equal(backend.parameters.get('TimeZone'), 'UTC');
    assert.equal(backend.parametersVersion, before + 1, 'the same value again is no change');
  });

  test('has the key that cancels it, and the status of its last reply', async () => {
    const { backend } = await connected();
    assert.equal(backend.processId, 7);
    assert.deepEqual(backend.secretKey, Buffer.from([1, 2, 3, 4]));
    await backend.ask('BEGIN');
    assert.equal(String.fromCharCode(backend.status), 'T');
  });

  test('tells everybody who waits when the server goes, with the server’s last word', async () => {
    const { backend, session } = await connected((_text, from) => {
      if (from.queries.length < 2) return;
      from.send(reply.error('57P01', 'terminating connection due to administrator command', 'FATAL'));
      from.socket.end();
    });
    const closed: Lost[] = [];
    backend.onClosed = (lost) => closed.push(lost);
    const lost = await Promise.all([lostBy(backend.ask('SELECT 1')), lostBy(backend.ask('SELECT 2'))]);
    for (const { fatal, message } of [...lost, ...closed]) {
      assert.equal(fatal?.code, '57P01');
      assert.equal(message, 'terminating connection due to administrator command');
    }
    assert.equal(closed.length, 1);
    assert.equal(session.queries.length, 2);
    assert.ok(!backend.open);
    assert.equal((await lostBy(backend.ask('SELECT 3'))).fatal?.code, '57P01', 'later queries hear it at once');
  });

  test('that ends while idle is reported once, and not as a reply', async () => {
    const { backend, session } = await connected();
    const closed: Lost[] = [];
    backend.onClosed = (lost) => closed.push(lost);
    session.send(reply.error('57P01', 'bye', 'FATAL'));
    session.socket.end();
    await until('the end is noticed', () => closed.length > 0);
    assert.equal(closed[0]?.fatal?.message, 'bye');
  });

  test('is closed by the server’s last word between queries, before its socket ends', async () => {
    const { backend, session } = await connected();
    session.send(reply.error('57P01', 'bye', 'FATAL'));
    await until('the word is heard', () => !backend.open);
    assert.equal((await lostBy(backend.ask('SELECT 1'))).fatal?.message, 'bye');
    assert.deepEqual(session.queries, []);
  });

  test('has no unnamed statement any more behind a Query, in turn or at once', async () => {
    const { backend } = await connected();
    for (const when of ['in turn', 'at once'] as const) {
      backend.prepared.unnamed = {};
      await backend.ask('SELECT 1', when);
      assert.equal(backend.prepared.unnamed, undefined, when);
    }
  });

  test('hands what arrives between queries to its listener alone', async () => {
    const { backend, session } = await connected();
    const heard: string[] = [];
    backend.listener = { asyncMessage: (tag) => heard.push(String.fromCharCode(tag)) };
    session.send(reply.notice('hello'), reply.parameter('TimeZone', 'UTC'));
    await until('both are heard', () => heard.length === 2);
    assert.deepEqual(heard, ['N', 'S']);
    assert.ok(backend.idle);
  });

  test('is closed when the server says what nobody has asked for', async () => {
    for (const bytes of [
      reply.row('x'),
      reply.ready(),
      reply.error('XX000', 'out of the blue'),
      frame('D', Buffer.alloc(0), 2),
    ]) {
      const { backend, session } = await connected();
      const closed: Lost[] = [];
      backend.onClosed = (lost) => closed.push(lost);
      session.send(bytes);
      await until('it is closed', () => closed.length > 0);
      assert.equal(closed[0]?.reason, 'server protocol violation');
    }
  });

  test('is lost with its reply when a message of the server breaks off inside', async () => {
    const { backend } = await connected((_text, session) => session.send(frame('C', Buffer.from('no end'))));
    assert.equal((await lostBy(backend.ask('SELECT 1'))).reason, 'server protocol violation');
  });

  test('says goodbye when it is closed, and its waiters hear why', async () => {
    const { backend, session } = await connected(() => undefined);
    const waiting = lostBy(backend.ask('SELECT 1'));
    backend.close('server too slow');
    assert.equal((await waiting).reason, 'server too slow');
    const other = await connected();
    other.backend.close('idle');
    await until('the server has seen Terminate', () => other.session.types.endsWith('X'));
    assert.ok(session.queries.length <= 1);
  });
});

describe('connecting to a server', () => {
  const options = (port: number) => ({
    address: { host: '127.0.0.1', port },
    user: 'u',
    password: undefined,
    parameters: new Map([['user', 'u']]),
    keepAliveMs: undefined,
  });

  test('is given up after its deadline when nothing is answered', async () => {
    const { createServer } = await import('node:net');
    const sockets = new Set<{ destroy(): void }>();
    const silent = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const bound = silent.address();
    assert.ok(bound !== null && typeof bound !== 'string');
    try {
      await assert.rejects(connectBackend(options(bound.port), 30), (error) => {
        assert.ok(error instanceof ConnectError && error.failure.kind === 'lost');
        assert.equal(error.failure.lost.reason, 'server start-up timed out');
        return /no answer within 30 ms/.test(error.message);
      });
    } finally {
      for (const socket of sockets) socket.destroy();
      silent.close();
    }
  });

  test('is refused in the server’s own words, as they came', async () => {
    const frameOf = reply.error('28000', 'role "u" is not permitted to log in', 'FATAL');
    const { port } = await startFakeServer(completes, [frameOf]);
    await assert.rejects(connectBackend(options(port), 10_000), (error) => {
      assert.ok(error instanceof ConnectError && error.failure.kind === 'refused');
      assert.deepEqual(error.failure.frame, frameOf);
      return error.failure.fields.code === '28000';
    });
  });

  test('is refused with the system’s word where nobody listens', async () => {
    const { freePorts } = await import('../../../src/embedded/ports.ts');
    const [port = 0] = await freePorts(1);
    await assert.rejects(connectBackend(options(port), 10_000), (error) => {
      return error instanceof ConnectError && error.failure.kind === 'lost' && /ECONNREFUSED/.test(error.message);
    });
  });

  test('a cancel request carries the key of the connection, and ends when the server has closed', async () => {
    const server = await startFakeServer();
    const backend = await server.connect();
    const before = server.sessions.length;
    const cancelled = cancelBackend(backend, 10_000);
    await until('the request has come', () => server.sessions.length > before);
    server.sessions[before]?.socket.end();
    await cancelled;
    assert.ok(backend.open);
    assert.equal(backend.cancelRequests, 'known');
  });

  test('a cancel request that the server has not acted on in time may come at any time', async () => {
    const server = await startFakeServer();
    const backend = await server.connect();
    await cancelBackend(backend, 50);
    assert.ok(backend.open);
    assert.equal(backend.cancelRequests, 'perhaps under way');
  });
});

test('a query of our own that is answered with an error still has its status', async () => {
  const { backend } = await connected((_text, session) =>
    session.send(reply.error('42601', 'syntax'), reply.ready('E')),
  );
  const collector = new Collector();
  backend.query('SELEC', collector);
  const { error, status } = await collector.reply;
  assert.deepEqual([error?.code, error?.message, String.fromCharCode(status)], ['42601', 'syntax', 'E']);
  assert.ok(collector.errorFrame?.includes('syntax'));
});
