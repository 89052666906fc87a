import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { Backend } from '../../../src/backend/backend.ts';
import { createLogin } from '../../../src/backend/login.ts';
import type { Lost } from '../../../src/backend/receiver.ts';
import { Notifications, type Subscriber } from '../../../src/cluster/notifications.ts';
import { PproxError } from '../../../src/lib/errors.ts';
import { decodeNotification } from '../../../src/wire/backend.ts';
import { cString, frame } from '../../support/frontend-messages.ts';
import { type Answer, type FakeServer, type FakeSession, reply, startFakeServer } from '../backend/fake-server.ts';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const login = createLogin('u', 'd', undefined, new Map());

function notification(processId: number, channel: string, payload: string): Buffer {
  const pid = Buffer.alloc(4);
  pid.writeInt32BE(processId);
  return frame('A', Buffer.concat([pid, cString(channel), cString(payload)]));
}

class Ear implements Subscriber {
  readonly heard: string[] = [];
  readonly pids: number[] = [];
  readonly losses: Lost[] = [];

  notified(channel: string, bytes: Buffer): void {
    this.heard.push(channel);
    this.pids.push(decodeNotification(bytes, 0, bytes.length).processId);
  }

  unheard(lost: Lost): void {
    this.losses.push(lost);
  }
}

interface Stage {
  readonly server: FakeServer;
  readonly notifications: Notifications;
  readonly backends: Backend[];
  readonly session: FakeSession;
}

async function stage(answer?: Answer): Promise<Stage> {
  const server = await startFakeServer(answer);
  const backends: Backend[] = [];
  const notifications = new Notifications({
    connect: async () => {
      const backend = await server.connect();
      backends.push(backend);
      return backend;
    },
    timeoutMs: 10_000,
    heartbeatMs: 3_600_000,
    log: quiet,
  });
  after(() => notifications.close());
  return {
    server,
    notifications,
    backends,
    get session() {
      const last = server.sessions.at(-1);
      assert.ok(last !== undefined);
      return last;
    },
  };
}

const LISTENED = /^(UN)?LISTEN/;

describe('one connection for all who listen in a database', () => {
  test('is opened once, and asked for each channel once', async () => {
    const { notifications, server, session } = await withSubscribers(20, ['a', 'b']);
    assert.equal(server.sessions.length, 1);
    const asked = session.queries.filter((text) => LISTENED.test(text)).flatMap((text) => text.split(';'));
    assert.deepEqual(asked.toSorted(), ['LISTEN "a"', 'LISTEN "b"']);
    assert.ok(notifications.room(login, 'UTF8').occupied);
  });

  test('tells every subscriber of the channel once, between queries and among the words of a reply', async () => {
    const { ears, session, notifications } = await withSubscribers(3, ['a'], (text, own) => {
      if (text === '') own.send(notification(1, 'a', 'in a reply'));
      own.send(reply.complete('LISTEN'), reply.ready());
    });
    for (const ear of ears) ear.heard.length = 0;
    session.send(notification(1, 'a', 'idle'), notification(1, 'other', 'nobody'));
    await notifications.settled('d');
    for (const ear of ears) assert.deepEqual(ear.heard, ['a', 'a']);
  });

  test('forgets a channel with its last subscriber, and not before', async () => {
    const { ears, notifications, session } = await withSubscribers(2, ['a', 'b']);
    const room = notifications.room(login, 'UTF8');
    for (const ear of ears) {
      assert.ok(!session.queries.some((text) => text.startsWith('UNLISTEN')));
      room.unsubscribe(ear, 'a');
    }
    await room.exchange();
    assert.deepEqual(
      session.queries.filter((text) => text.startsWith('UNLISTEN')),
      ['UNLISTEN "a"'],
    );
  });

  test('makes one exchange of those that are asked for together', async () => {
    const { notifications, session } = await withSubscribers(1, ['a']);
    const before = session.queries.length;
    await Promise.all(Array.from({ length: 100 }, () => notifications.settled('d')));
    assert.equal(session.queries.length - before, 2);
  });

  test('asks nobody where nobody listens', async () => {
    const { notifications, server } = await stage();
    await notifications.settled('d');
    assert.equal(server.sessions.length, 0);
  });

  test('shows the number that the client of a server session knows, and others as they are', async () => {
    const { notifications, backends, ears, session } = await withSubscribers(1, ['a']);
    const [backend] = backends;
    assert.ok(backend !== undefined);
    notifications.leased(backend, 99);
    session.send(notification(backend.processId, 'a', ''), notification(12345, 'a', ''));
    await notifications.settled('d');
    assert.deepEqual(ears[0]?.pids, [99, 12345]);
  });
});

describe('the loss of the connection', () => {
  test('is told to every subscriber once, however many channels it had', async () => {
    const { ears, backends, notifications } = await withSubscribers(5, ['a', 'b', 'c']);
    backends[0]?.close('server too slow');
    for (const ear of ears) assert.equal(ear.losses.length, 1);
    assert.ok(!notifications.room(login, 'UTF8').occupied);
  });

  test('in the middle of a LISTEN refuses it, and the next one has a new connection', async () => {
    let answering: 'no' | 'yes' = 'no';
    const { notifications, server } = await stage((_text, session) => {
      if (answering === 'no') session.socket.destroy();
      else session.send(reply.complete('LISTEN'), reply.ready());
    });
    const room = notifications.room(login, 'UTF8');
    const ear = new Ear();
    await assert.rejects(
      room.subscribe(ear, 'a'),
      (error) => error instanceof PproxError && error.condition === 'server_lost',
    );
    assert.ok(!room.occupied);
    answering = 'yes';
    await room.subscribe(ear, 'a');
    assert.equal(server.sessions.length, 2);
    assert.deepEqual(server.sessions[1]?.queries, ['LISTEN "a"']);
    assert.deepEqual(ear.losses, []);
  });

  test('what the server says to a LISTEN that it refuses is handed on', async () => {
    const { notifications } = await stage((_text, session) =>
      session.send(reply.error('25006', 'cannot execute LISTEN during recovery'), reply.ready()),
    );
    const room = notifications.room(login, 'UTF8');
    await assert.rejects(
      room.subscribe(new Ear(), 'a'),
      (error) => error instanceof PproxError && error.sqlstate === '25006' && /during recovery/.test(error.message),
    );
    assert.ok(!room.occupied);
  });
});

async function withSubscribers(
  count: number,
  channels: readonly string[],
  answer: Answer = (_text, session) => session.send(reply.complete('LISTEN'), reply.ready()),
): Promise<Stage & { ears: readonly Ear[] }> {
  const opened = await stage(answer);
  const room = opened.notifications.room(login, 'UTF8');
  const ears = Array.from({ length: count }, () => new Ear());
  await Promise.all(ears.flatMap((ear) => channels.map((channel) => room.subscribe(ear, channel))));
  return { ...opened, session: opened.session, ears };
}
