/** LISTEN and NOTIFY: many listening clients share few connections to the lead, and each hears what it would alone. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { BackendMessage } from '../support/backend-messages.ts';
import { freeze, sql, thaw, withConnection } from '../support/cluster.ts';
import { bind, execute, parse, query, sync } from '../support/frontend-messages.ts';
import { clusterDsn, startTestProxy, type TestProxy } from '../support/proxy.ts';
import { RawClient } from '../support/raw-client.ts';
import { connectRaw, errorIn, startScene, until } from './scene.ts';

const CLIENTS = 1000;

// Triggers and functions that notify run on followers too, and a transaction that has notified cannot be prepared there.
const commitMode = 'one-phase';
const scene = await startScene({ maxClients: CLIENTS + 100, poolSize: 10, commitMode });
const { cluster } = scene;
const { w1, w2 } = cluster;

/** A proxy of its own in front of the same servers. */
function another(settings: NonNullable<Parameters<typeof startTestProxy>[0]['settings']>): Promise<TestProxy> {
  return startTestProxy({
    writers: cluster.writers.map(clusterDsn),
    reader: clusterDsn(cluster.replica),
    settings: { drainMs: 500, commitMode, ...settings },
  });
}

await makeWatched();

async function makeWatched(): Promise<void> {
  const text = `CREATE TABLE watched (id int PRIMARY KEY, words text);
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM pg_notify('own', NEW.words); RETURN NEW; END $$;
    CREATE TRIGGER tell AFTER INSERT ON watched FOR EACH ROW EXECUTE FUNCTION tell()`;
  await sql(w1, 'CREATE DATABASE alone');
  await Promise.all([sql(w1, text), sql(w1, text, 'alone'), sql(w2, text)]);
}

interface Told {
  readonly pid: number;
  readonly channel: string;
  readonly payload: string;
}

function told({ messages }: RawClient): readonly Told[] {
  return messages.flatMap((message) => (message.type === 'NotificationResponse' ? [message] : []));
}

function payloads(client: RawClient): readonly string[] {
  return told(client).map(({ payload }) => payload);
}

async function extended(client: RawClient, text: string): Promise<readonly BackendMessage[]> {
  const from = client.messages.length;
  const readies = client.readies;
  client.send(parse('', text), bind('', ''), execute(''), sync());
  await client.waitReady(readies + 1);
  return client.messages.slice(from);
}

/** What came, with what any two servers tell differently left out. */
function shape(messages: readonly BackendMessage[]): readonly string[] {
  return messages.map((message) => {
    if (message.type === 'NotificationResponse') return `NotificationResponse ${message.channel} ${message.payload}`;
    return message.type === 'CommandComplete' ? `CommandComplete ${message.tag}` : message.type;
  });
}

/** Every client has what came before its answer to an empty query. */
async function allQuiet(clients: readonly RawClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.query('')));
}

/** On the lead itself, in a database that the proxied clients do not use. */
async function bare(): Promise<RawClient> {
  const client = await RawClient.start({ host: w1.host, port: w1.port, user: 'postgres', database: 'alone' });
  after(() => client.destroy());
  return client;
}

test(`${CLIENTS} listening clients need few connections to the lead and hear everything once, in order`, async () => {
  const clients: RawClient[] = [];
  for (let first = 0; first < CLIENTS; first += 100) {
    const group = Array.from({ length: 100 }, async () => {
      const client = await connectRaw(scene);
      await client.query('LISTEN news');
      return client;
    });
    clients.push(...(await Promise.all(group)));
  }
  const [count] = await sql(
    w1,
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE backend_type = 'client backend'",
  );
  // The pool, the connection that listens, the one that holds the numbers of the clients, the one that asks.
  assert.ok(Number(count?.['n']) <= 13, `${String(count?.['n'])} connections to the lead`);
  const notifier = await connectRaw(scene);
  const expected = Array.from({ length: 30 }, (_, index) => `number ${index}`);
  for (const payload of expected) await notifier.query(`NOTIFY news, '${payload}'`);
  const notified = [...expected, 'from the server itself'];
  await sql(w1, "NOTIFY news, 'from the server itself'");
  for (const client of clients) await until('everything heard', () => told(client).length >= notified.length);
  await allQuiet(clients);
  for (const client of clients) {
    assert.deepEqual(payloads(client), notified);
    assert.ok(told(client).every(({ pid, payload }) => (pid === notifier.pid) === (payload !== notified.at(-1))));
  }
  for (const client of clients) client.destroy();
});

test('what was committed after LISTEN was answered is heard, what was committed before is not', async () => {
  const [long, late] = [await connectRaw(scene), await connectRaw(scene)];
  await long.query('LISTEN timely');
  await withConnection(w1, 'postgres', async (server) => {
    for (let round = 0; round < 50; round++) {
      await server.query(`NOTIFY timely, 'before ${round}'`);
      await late.query('LISTEN timely');
      await server.query(`NOTIFY timely, 'after ${round}'`);
      await until('it is heard', () => payloads(late).includes(`after ${round}`));
      await late.query('UNLISTEN timely');
    }
  });
  assert.deepEqual(
    payloads(late),
    Array.from({ length: 50 }, (_, round) => `after ${round}`),
  );
});

describe('a conversation is the same as on PostgreSQL alone, notifications at their places', () => {
  const conversations: Readonly<Record<string, readonly string[]>> = {
    'its own notification comes before ReadyForQuery': [
      'LISTEN own',
      "NOTIFY own, 'x'",
      "SELECT pg_notify('own', 'y')",
    ],
    'of a block that commits, once and behind it': [
      'LISTEN own',
      'BEGIN',
      "NOTIFY own, 'x'",
      "NOTIFY own, 'x'",
      "NOTIFY own, 'y'",
      'SELECT 1',
      'COMMIT',
    ],
    'of a block that is rolled back, never': ['LISTEN own', 'BEGIN', "NOTIFY own, 'x'", 'ROLLBACK', 'SELECT 1'],
    'LISTEN and NOTIFY in one block': ['BEGIN', 'LISTEN own', "NOTIFY own, 'x'", 'COMMIT'],
    'LISTEN in a block that is rolled back': ['BEGIN', 'LISTEN own', 'ROLLBACK', "NOTIFY own, 'x'", 'SELECT 1'],
    'LISTEN behind a savepoint that is rolled back': [
      'BEGIN',
      'LISTEN own',
      'SAVEPOINT s',
      'LISTEN other',
      'UNLISTEN own',
      'ROLLBACK TO s',
      'LISTEN third',
      'COMMIT',
      "NOTIFY own, '1'; NOTIFY other, '2'; NOTIFY third, '3'",
    ],
    'LISTEN behind savepoints that are released': [
      'BEGIN',
      'SAVEPOINT a',
      'SAVEPOINT b',
      'LISTEN own',
      'RELEASE b',
      'SAVEPOINT b',
      'LISTEN other',
      'ROLLBACK TO b',
      'RELEASE a',
      'COMMIT',
      "NOTIFY own, '1'; NOTIFY other, '2'",
    ],
    'UNLISTEN takes effect at COMMIT': [
      'LISTEN own',
      'LISTEN other',
      'BEGIN',
      'UNLISTEN own',
      'ROLLBACK',
      "NOTIFY own, '1'",
      'BEGIN',
      'UNLISTEN *',
      'LISTEN other',
      'COMMIT',
      "NOTIFY own, '2'; NOTIFY other, '3'",
    ],
    'LISTEN in a failed block': ['BEGIN', 'SELECT 1/0', 'LISTEN own', 'COMMIT', "NOTIFY own, 'x'"],
    'COMMIT AND CHAIN tells at the end of the last': [
      'LISTEN own',
      'BEGIN',
      "NOTIFY own, '1'",
      'COMMIT AND CHAIN',
      "NOTIFY own, '2'",
      'SELECT 1',
      'COMMIT',
    ],
    'a block in the middle of one text': ["LISTEN own; BEGIN; NOTIFY own, '1'; COMMIT; SELECT 1"],
    'several statements in one text': ["LISTEN own; NOTIFY own, '1'; SELECT 1", 'UNLISTEN own; LISTEN other'],
    'names are folded, quoted and cut as PostgreSQL does it': [
      'LISTEN Own',
      "NOTIFY own, '1'",
      'LISTEN "Own ""quoted"""',
      'NOTIFY "Own ""quoted""", \'2\'',
      `LISTEN ${'long_'.repeat(20)}`,
      `NOTIFY ${'long_'.repeat(20)}, '3'`,
      'SELECT pg_listening_channels()',
    ],
    'a trigger notifies': [
      'LISTEN own',
      "INSERT INTO watched VALUES (1, 'by a trigger')",
      "BEGIN; INSERT INTO watched VALUES (2, 'in a block')",
      'COMMIT',
      'DELETE FROM watched',
    ],
    'DISCARD ALL hears nothing any more': ['LISTEN own', 'DISCARD ALL', "NOTIFY own, 'x'", 'SELECT 1'],
    'the channels are those of the session': [
      'LISTEN b',
      'LISTEN a',
      'SELECT pg_listening_channels() ORDER BY 1',
      'UNLISTEN b',
      'SELECT * FROM pg_listening_channels()',
      "NOTIFY a, 'x'",
    ],
    'a channel without a name': ["SELECT pg_notify('', 'x')", 'LISTEN ""', 'SELECT 1'],
  };
  for (const [what, texts] of Object.entries(conversations)) {
    test(what, async () => {
      const alone = await bare();
      const proxied = await connectRaw(scene);
      for (const text of texts) {
        const expected = shape(await alone.query(text));
        assert.deepEqual(shape(await proxied.query(text)), expected, text);
      }
      alone.destroy();
      proxied.destroy();
    });

    test(`${what}, by the extended protocol`, async () => {
      const alone = await bare();
      const proxied = await connectRaw(scene);
      for (const text of texts.flatMap((several) => several.split('; '))) {
        const expected = shape(await extended(alone, text));
        assert.deepEqual(shape(await extended(proxied, text)), expected, text);
      }
      alone.destroy();
      proxied.destroy();
    });
  }
});

test('a notification carries the process id of the client that sent it, whoever shares its connection', async () => {
  const proxy = await another({ poolSize: 2 });
  const own = { cluster, proxy };
  const listener = await connectRaw(own);
  await listener.query('LISTEN own');
  const clients = await Promise.all(Array.from({ length: 8 }, () => connectRaw(own)));
  await Promise.all(
    clients.map(async (client, index) => {
      for (let round = 0; round < 10; round++) {
        const id = 1000 + index * 100 + round * 3;
        await client.query(`INSERT INTO watched VALUES (${id}, '${client.pid} ${round} by a trigger')`);
        await client.query(`NOTIFY own, '${client.pid} ${round} alone'`);
        await client.query(`BEGIN; SELECT pg_notify('own', '${client.pid} ${round} in a block'); COMMIT`);
      }
    }),
  );
  await until('everything is heard', () => told(listener).length >= 8 * 30);
  await listener.query('');
  assert.equal(told(listener).length, 8 * 30);
  for (const { pid, payload } of told(listener)) assert.equal(payload.split(' ')[0], String(pid));
  assert.equal(new Set(clients.map(({ pid }) => pid)).size, 8);
});

test('clients that listen go on sharing the connections for their transactions, and hear nothing inside one', async () => {
  const proxy = await another({ poolSize: 2 });
  const own = { cluster, proxy };
  const clients = await Promise.all(Array.from({ length: 12 }, () => connectRaw(own)));
  for (const client of clients) await client.query('LISTEN shared');
  const [inside, ...others] = clients;
  assert.ok(inside !== undefined);
  await inside.query('BEGIN; CREATE TEMP TABLE IF NOT EXISTS nothing () ON COMMIT DROP');
  await Promise.all(others.map((client, index) => client.query(`BEGIN; NOTIFY shared, '${index}'; COMMIT`)));
  for (const client of others) await until('it is heard', () => told(client).length === others.length);
  assert.deepEqual(shape(await inside.query('SELECT 1')), [
    'RowDescription',
    'DataRow',
    'CommandComplete SELECT 1',
    'ReadyForQuery',
  ]);
  const last = shape(await inside.query('COMMIT'));
  assert.equal(last.at(0), 'CommandComplete COMMIT');
  assert.deepEqual(
    last.slice(1, -1).toSorted(),
    others.map((_, index) => `NotificationResponse shared ${index}`).toSorted(),
  );
});

test('followers and the reader are never told', async () => {
  const client = await connectRaw(scene);
  await client.query('LISTEN lead_only');
  await withConnection(w2, 'postgres', async (follower) => {
    const heard: unknown[] = [];
    follower.on('notification', (message) => heard.push(message));
    await follower.query('LISTEN lead_only');
    for (const text of [
      "NOTIFY lead_only, '1'",
      "BEGIN; NOTIFY lead_only, '2'; COMMIT",
      "SELECT pg_notify('lead_only', '3')",
    ])
      await client.query(text);
    await follower.query('SELECT 1');
    assert.deepEqual(heard, []);
  });
  assert.deepEqual(payloads(client), ['1', '2', '3']);
  for (const text of ['LISTEN another', 'UNLISTEN *', "NOTIFY lead_only, '4'", "SELECT pg_notify('lead_only', '5')"]) {
    const reading = await connectRaw(scene);
    await reading.query('BEGIN READ ONLY');
    await reading.query('SELECT 1');
    assert.equal(errorIn(await reading.query(text))['C'], '0A000', text);
  }
  await client.query('');
  assert.deepEqual(payloads(client), ['1', '2', '3']);
});

test('a session that a function has made listen is told of those channels as well', async () => {
  const client = await connectRaw(scene);
  await client.query(
    "CREATE OR REPLACE FUNCTION listens() RETURNS void LANGUAGE plpgsql AS 'BEGIN LISTEN by_function; END'",
  );
  await client.query('LISTEN shown');
  await client.query('SELECT listens()');
  const rows = await client.query('SELECT pg_listening_channels() ORDER BY 1');
  const values = rows.flatMap((message) => (message.type === 'DataRow' ? message.values.map(String) : []));
  assert.deepEqual(values, ['by_function', 'shown']);
});

describe('a client that may have missed something is told so', () => {
  const WORDS = /^terminating connection: the connection that listened for it was lost$/;

  test('when the connection that listens is ended, idle, in a transaction and in a query', async () => {
    const proxy = await another({});
    const own = { cluster, proxy };
    const [idle, inBlock, busy, bystander] = [
      await connectRaw(own, 'template1'),
      await connectRaw(own, 'template1'),
      await connectRaw(own, 'template1'),
      await connectRaw(own, 'template1'),
    ];
    for (const client of [idle, inBlock, busy]) await client.query('LISTEN fragile');
    await inBlock.query('BEGIN; SELECT pg_advisory_xact_lock(4711)');
    busy.send(query('SELECT pg_advisory_lock(4711)'));
    await until('it waits', async () => {
      const [row] = await sql(w1, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
      return row?.['n'] === 1;
    });
    const listening = "FROM pg_stat_activity WHERE datname = 'template1' AND application_name = 'pprox: LISTEN'";
    assert.equal((await sql(w1, `SELECT pg_terminate_backend(pid) ${listening}`)).length, 1);
    for (const client of [idle, inBlock, busy]) {
      await client.waitClosed();
      const error = errorIn(client.messages);
      assert.deepEqual([error['S'], error['C']], ['FATAL', '57P01']);
      assert.match(error['M'] ?? '', WORDS);
      assert.match(error['D'] ?? '', /Notifications may have been missed/);
    }
    // A query in hand ends before.
    assert.deepEqual(shape(busy.messages).slice(-3), ['CommandComplete SELECT 1', 'ReadyForQuery', 'ErrorResponse']);
    await bystander.query('LISTEN fragile');
    await bystander.query("NOTIFY fragile, 'again'");
    assert.deepEqual(payloads(bystander), ['again']);
  });

  test('when its server says nothing any more', async () => {
    const proxy = await another({ connectTimeoutMs: 2000, healthIntervalMs: 50 });
    const client = await connectRaw({ cluster, proxy }, 'template1');
    await client.query('LISTEN fragile');
    freeze(w1);
    try {
      await client.waitClosed();
    } finally {
      thaw(w1);
    }
    assert.match(errorIn(client.messages)['M'] ?? '', WORDS);
  });

  test('when more has come than is kept for it, and the others hear on', async () => {
    const [slow, quick] = [await connectRaw(scene), await connectRaw(scene)];
    await slow.query('LISTEN flood');
    await slow.query('BEGIN');
    await slow.query('SELECT 1');
    await quick.query('LISTEN flood');
    const text = "SELECT pg_notify('flood', g || repeat('x', 7000)) FROM generate_series(1, 1500) g";
    await withConnection(w1, 'postgres', (server) => server.query(text));
    await slow.waitClosed();
    const error = errorIn(slow.messages);
    assert.deepEqual([error['S'], error['C']], ['FATAL', '54000']);
    assert.match(error['M'] ?? '', /^terminating connection: too many notifications wait for this client$/);
    await until('everything is heard', () => told(quick).length === 1500);
  });
});
