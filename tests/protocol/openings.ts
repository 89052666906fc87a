/** First packets of a connection: every variant that PostgreSQL knows, and what it refuses. */
import {
  cancelRequest,
  cString,
  opening,
  protocol30,
  protocol32,
  query,
  startupMessage,
} from '../support/frontend-messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { type Conversation, opens, ordinaryStartup, useAndEnd } from './conversation.ts';

const names = (user: string, database: string) => ({ user, database });

const variants: readonly Conversation[] = [
  opens('protocol 3.0', ordinaryStartup),
  opens('protocol 3.2', (t) => startupMessage(names(t.user, t.database), protocol32)),
  opens('protocol 3.9, which nobody knows', (t) => startupMessage(names(t.user, t.database), 0x0003_0009)),
  opens('protocol 3.9 with protocol options', (t) =>
    startupMessage({ ...names(t.user, t.database), '_pq_.first': '1', '_pq_.second': 'x' }, 0x0003_0009),
  ),
  opens('protocol 3.0 with a protocol option', (t) =>
    startupMessage({ ...names(t.user, t.database), '_pq_.unknown': 'on' }),
  ),
  opens('protocol 2.0', (t) => startupMessage(names(t.user, t.database), 0x0002_0000)),
  opens('protocol 1.0', (t) => startupMessage(names(t.user, t.database), 0x0001_0000)),
  opens('protocol 4.0', (t) => startupMessage(names(t.user, t.database), 0x0004_0000)),
  opens('protocol 0.0', (t) => startupMessage(names(t.user, t.database), 0)),
  opens('a user and no database', (t) => startupMessage({ user: t.user })),
  opens('an empty database name', (t) => startupMessage(names(t.user, ''))),
  opens('a parameter given twice', (t) =>
    opening(
      protocol30,
      Buffer.concat([
        ...['user', 'nobody_at_all', 'database', t.database, 'user', t.user].map(cString),
        Buffer.alloc(1),
      ]),
    ),
  ),
  opens('settings', (t) =>
    startupMessage({
      ...names(t.user, t.database),
      application_name: 'Anwendung ü',
      DateStyle: 'SQL, DMY',
      TimeZone: 'Asia/Tokyo',
      client_encoding: 'LATIN1',
      extra_float_digits: '2',
      'my.own': 'x',
    }),
  ),
  opens('settings in options', (t) =>
    startupMessage({ ...names(t.user, t.database), options: '-c TimeZone=Asia/Tokyo --application-name=opted' }),
  ),
  opens('replication switched off', (t) => startupMessage({ ...names(t.user, t.database), replication: 'off' })),
];

const refusals: readonly Conversation[] = [
  opens('no user', (t) => startupMessage({ database: t.database })),
  opens('an empty user', (t) => startupMessage(names('', t.database))),
  opens('no parameters at all', () => startupMessage({})),
  opens('a role that does not exist', (t) => startupMessage(names('nobody_at_all', t.database))),
  opens('a role with a name that is too long', (t) => startupMessage(names('x'.repeat(100), t.database))),
  opens('a database that does not exist', (t) => startupMessage(names(t.user, 'nowhere_at_all'))),
  opens('a setting that does not exist', (t) => startupMessage({ ...names(t.user, t.database), no_such: '1' })),
  opens('a setting with a bad value', (t) => startupMessage({ ...names(t.user, t.database), DateStyle: 'Mayan' })),
  opens('a setting that cannot be set', (t) => startupMessage({ ...names(t.user, t.database), port: '1' })),
  opens('an encoding that does not exist', (t) =>
    startupMessage({ ...names(t.user, t.database), client_encoding: 'KLINGON' }),
  ),
  opens('bad options', (t) => startupMessage({ ...names(t.user, t.database), options: '-c nonsense' })),
  opens('options with an unknown switch', (t) => startupMessage({ ...names(t.user, t.database), options: '-Z 1' })),
  opens('a bad value for replication', (t) => startupMessage({ ...names(t.user, t.database), replication: 'maybe' })),
];

const malformed: readonly Conversation[] = [
  opens('no terminator after the parameters', (t) =>
    opening(protocol30, Buffer.concat(['user', t.user, 'database', t.database].map(cString))),
  ),
  opens('a parameter without a value', () => opening(protocol30, Buffer.concat([cString('user')]))),
  opens('a name without its end', () => opening(protocol30, Buffer.from('user'))),
  opens('bytes after the terminator', (t) =>
    opening(protocol30, Buffer.concat([...['user', t.user, '', 'rest'].map(cString)])),
  ),
  opens('a body of nothing', () => opening(protocol30, Buffer.alloc(0))),
  opens('a length of 0', (t) => opening(protocol30, Buffer.from(t.user), 0)),
  opens('a length of 7', (t) => opening(protocol30, Buffer.from(t.user), 7)),
  opens('a length below zero', (t) => opening(protocol30, Buffer.from(t.user), -1)),
  opens('the longest packet that is allowed', (t) => longStartup(t, 10_000)),
  opens('a packet one byte too long', (t) => longStartup(t, 10_005)),
  opens('a packet far too long', (t) => longStartup(t, 100_000)),
  opens('a length of two gigabytes', (t) => opening(protocol30, Buffer.from(t.user), 0x7fff_ffff)),
  opens('an HTTP request', () => Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')),
  opens('a TLS hello without asking first', () => Buffer.from('16030100c8010000c40303', 'hex')),
  opens('a Query in place of a StartupMessage', () => query('SELECT 1')),
  opens('zeros', () => Buffer.alloc(100)),
  opens('a cancel request for a process that does not exist', () => cancelRequest(0x7fff_fff0, Buffer.alloc(4, 7))),
  opens('a cancel request without a key', () => opening(80877102, Buffer.alloc(0))),
  opens('a cancel request with half a key', () => opening(80877102, Buffer.alloc(6))),
];

/** A StartupMessage of exactly this many bytes. */
function longStartup(target: { user: string; database: string }, size: number): Buffer {
  const base = startupMessage({ ...names(target.user, target.database), application_name: '' });
  return startupMessage({
    ...names(target.user, target.database),
    application_name: 'x'.repeat(size - base.length),
  });
}

type Encryption = 'SSL' | 'GSS';

function asks(name: string, kinds: readonly Encryption[]): Conversation {
  return {
    name,
    hold: async (client, target) => {
      for (const kind of kinds) {
        const from = client.messages.length;
        client.requestEncryption(kind);
        await client.waitFor(['EncryptionAnswer', 'ErrorResponse'], from);
      }
      if (client.isClosed) return;
      client.send(ordinaryStartup(target));
      await client.waitReady(1);
      await useAndEnd(client);
    },
  };
}

const encryption: readonly Conversation[] = [
  asks('SSLRequest first', ['SSL']),
  asks('GSSENCRequest first', ['GSS']),
  asks('GSSENCRequest, then SSLRequest', ['GSS', 'SSL']),
  asks('SSLRequest, then GSSENCRequest', ['SSL', 'GSS']),
  asks('SSLRequest twice', ['SSL', 'SSL']),
  asks('GSSENCRequest twice', ['GSS', 'GSS']),
  asks('SSLRequest, GSSENCRequest, SSLRequest', ['SSL', 'GSS', 'SSL']),
  {
    name: 'SSLRequest with the StartupMessage right behind it',
    hold: async (client, target) => {
      client.requestEncryption('SSL', ordinaryStartup(target));
      await client.waitReady(1);
      if (!client.isClosed) await useAndEnd(client);
    },
  },
  {
    name: 'SSLRequest, then the end of the connection',
    hold: async (client) => {
      client.requestEncryption('SSL');
      await client.waitFor(['EncryptionAnswer'], 0);
      client.end();
      await client.waitClosed();
    },
  },
  {
    name: 'the end of the connection in the middle of a StartupMessage',
    hold: async (client, target) => {
      client.send(ordinaryStartup(target).subarray(0, 20));
      client.end();
      await client.waitClosed();
    },
  },
  {
    name: 'the end of the connection before a byte is sent',
    hold: async (client) => {
      client.end();
      await client.waitClosed();
    },
  },
];

/** A statement that has begun to answer, with more than a server buffers, and has a long way to go. */
const endless = "SELECT repeat('x', 20000) UNION ALL SELECT pg_sleep(300)::text";

const cancels: readonly Conversation[] = [
  {
    name: 'a cancel request for a statement that runs',
    hold: async (client, target) => {
      client.send(ordinaryStartup(target));
      await client.waitReady(1);
      client.send(query(endless));
      await client.waitFor(['RowDescription'], 0);
      await cancel(client, target, 'right key');
      await client.waitReady(2);
      await useAndEnd(client);
    },
  },
  {
    name: 'a cancel request with a wrong key',
    hold: async (client, target) => {
      client.send(ordinaryStartup(target));
      await client.waitReady(1);
      client.send(query("SELECT repeat('x', 20000) UNION ALL SELECT 'after ' || pg_sleep(0.3)::text"));
      await client.waitFor(['RowDescription'], 0);
      await cancel(client, target, 'wrong key');
      await client.waitReady(2);
      await useAndEnd(client);
    },
  },
  {
    name: 'a cancel request while nothing runs',
    hold: async (client, target) => {
      client.send(ordinaryStartup(target));
      await client.waitReady(1);
      await client.query('SELECT 1');
      await cancel(client, target, 'right key');
      await client.query('SELECT pg_sleep(0.2)');
      await useAndEnd(client);
    },
  },
  {
    name: 'a cancel request for a statement in a block',
    hold: async (client, target) => {
      client.send(ordinaryStartup(target));
      await client.waitReady(1);
      await client.query('BEGIN');
      await client.query('CREATE TABLE cancelled (id int)');
      const from = client.messages.length;
      client.send(query(endless));
      await client.waitFor(['RowDescription'], from);
      await cancel(client, target, 'right key');
      await client.waitReady(4);
      await client.query('SELECT 1');
      await client.query('COMMIT');
      await client.query('SELECT * FROM cancelled');
      await useAndEnd(client);
    },
  },
];

/** Sends a CancelRequest on a connection of its own and waits for its end, which comes without a word. */
async function cancel(client: RawClient, target: { host: string; port: number }, key: 'right key' | 'wrong key') {
  const data = client.messages.find((message) => message.type === 'BackendKeyData');
  if (data?.type !== 'BackendKeyData') throw new Error('no BackendKeyData');
  const secret = key === 'right key' ? data.secret : Buffer.from(data.secret.map((byte) => byte ^ 1));
  const messenger = await RawClient.open(target);
  messenger.send(cancelRequest(data.pid, secret));
  await messenger.waitClosed();
  if (messenger.messages.length > 0) throw new Error('a cancel request was answered');
}

export const openings: readonly Conversation[] = [...variants, ...refusals, ...malformed, ...encryption, ...cancels];
