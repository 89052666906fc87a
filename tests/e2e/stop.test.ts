/** The end of a proxy: transactions in flight may end, and nobody is kept waiting for longer than the drain time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import { sql } from '../support/cluster.ts';
import { query, terminate } from '../support/frontend-messages.ts';
import { RawClient } from '../support/raw-client.ts';
import { clusterDsn, startTestProxy, type TestProxy } from '../support/proxy.ts';
import { assertWritersEqual, connectRaw, errorIn, startScene, until } from './scene.ts';

const { cluster, proxy: first } = await startScene();
const { w1, w2, replica } = cluster;
await (await first.connect()).query('CREATE TABLE kept (id int)');

function start(drainMs: number): Promise<TestProxy> {
  return startTestProxy({
    writers: cluster.writers.map(clusterDsn),
    reader: clusterDsn(replica),
    settings: { drainMs },
  });
}

/** Server sessions of clients named `name`. */
async function sessions(name: string): Promise<number> {
  const found = await Promise.all(
    [w1, w2, replica].map((server) => sql(server, `SELECT FROM pg_stat_activity WHERE application_name = '${name}'`)),
  );
  return found.flat().length;
}

function connectAs(proxy: TestProxy, name: string): Promise<RawClient> {
  return RawClient.start(
    { host: proxy.host, port: proxy.port, user: 'postgres', database: 'postgres' },
    { application_name: name },
  );
}

test('a proxy that stops lets a transaction end, and says goodbye to idle clients at once', async () => {
  const proxy = await start(20_000);
  const [idle, busy] = [await connectAs(proxy, 'stop one'), await connectAs(proxy, 'stop one')];
  await busy.query('BEGIN');
  await busy.query('INSERT INTO kept VALUES (1)');
  const stopped = proxy.proxy.stop();
  await idle.waitClosed();
  const last = errorIn(idle.messages);
  assert.deepEqual([last['S'], last['C']], ['FATAL', '57P01']);
  const refused = connect(proxy.port, proxy.host);
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED', 'nobody new comes in');
  assert.ok((await busy.query('INSERT INTO kept VALUES (2)')).some(({ type }) => type === 'CommandComplete'));
  const end = await busy.query('COMMIT');
  assert.ok(end.some((message) => message.type === 'CommandComplete' && message.tag === 'COMMIT'));
  await busy.waitClosed();
  await stopped;
  await until('no client is counted', () => proxy.proxy.clients === 0);
  await until('its connections to the servers are closed', async () => (await sessions('stop one')) === 0);
  await assertWritersEqual(cluster);
  assert.deepEqual(await sql(w2, 'SELECT id FROM kept ORDER BY id'), [{ id: 1 }, { id: 2 }]);
});

test('a transaction that does not end in time is cut and rolled back on every writer', async () => {
  const proxy = await start(200);
  const [open, running, copying] = [
    await connectAs(proxy, 'stop two'),
    await connectAs(proxy, 'stop two'),
    await connectAs(proxy, 'stop two'),
  ];
  await open.query('BEGIN');
  await open.query('INSERT INTO kept VALUES (-1)');
  await running.query('BEGIN; INSERT INTO kept VALUES (-2)');
  running.send(query('SELECT pg_sleep(600)'));
  copying.send(query('COPY kept FROM STDIN'));
  await copying.waitFor(['CopyInResponse'], 0);
  await proxy.proxy.stop();
  for (const client of [open, running, copying]) await client.waitClosed();
  await until('its connections to the servers are closed', async () => (await sessions('stop two')) === 0);
  for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM kept WHERE id < 0'), []);
});

test('clients that have not said a word, or take nothing, do not hold it up', async () => {
  const proxy = await start(200);
  const silent = connect(proxy.port, proxy.host);
  await once(silent, 'connect');
  silent.on('error', () => undefined);
  const half = connect(proxy.port, proxy.host);
  half.on('error', () => undefined);
  half.write(Buffer.from([0, 0, 0, 100, 0, 3]));
  const deaf = connect(proxy.port, proxy.host);
  deaf.on('error', () => undefined);
  const { startupMessage } = await import('../support/frontend-messages.ts');
  deaf.write(
    Buffer.concat([
      startupMessage({ user: 'postgres', database: 'postgres', application_name: 'stop three' }),
      query("SELECT repeat('x', 100000) FROM generate_series(1, 10000)"),
    ]),
  );
  deaf.pause();
  await until('it is served', async () => (await sessions('stop three')) > 0);
  await proxy.proxy.stop();
  for (const socket of [silent, half, deaf]) socket.destroy();
  await until('its connections to the servers are closed', async () => (await sessions('stop three')) === 0);
});

test('a client that has gone is forgotten, however it went', async () => {
  const { proxy } = first;
  const before = proxy.clients;
  const ways: readonly ((client: RawClient) => void)[] = [
    (client) => client.destroy(),
    (client) => client.end(),
    (client) => client.send(terminate()),
  ];
  for (const leave of ways) {
    const client = await connectRaw({ cluster, proxy: first });
    assert.equal(proxy.clients, before + 1);
    leave(client);
    await until('it is forgotten', () => proxy.clients === before);
    client.destroy();
  }
});
