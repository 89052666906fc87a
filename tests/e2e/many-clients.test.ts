/** Many clients: what an idle one costs, and that one which has gone leaves nothing behind, however it went. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql, startTestCluster } from '../support/cluster.ts';
import {
  bind,
  cancelRequest,
  copyData,
  describe as describeMessage,
  execute,
  flush,
  parse,
  query,
  sync,
  terminate,
} from '../support/frontend-messages.ts';
import { type Holding, type MeasuredProxy, startMeasuredProxy } from '../support/measured-proxy.ts';
import { RawClient } from '../support/raw-client.ts';
import { assertWritersEqual, until } from './scene.ts';

/** The larger, the smaller a leak that is seen: 1,000 take seconds, 10,000 half a minute. */
const cycles = Number(process.env['PPROX_TEST_CYCLES'] ?? 1000);
const idleClients = 2000;
const busyClients = 64;
const poolSize = 20;
/** Pools and caches fill with the first clients, and stay. */
const warmUp = 400;

const cluster = await startTestCluster();
const { w1, w2 } = cluster;
const servers = [w1, w2, cluster.replica];

/** Calls `work` for 0, 1, 2 … below `count`, so many at a time. */
async function each(count: number, atOnce: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
}

const connect = (proxy: MeasuredProxy, database = 'postgres'): Promise<RawClient> =>
  RawClient.start({ host: proxy.host, port: proxy.port, user: 'postgres', database });

/** What a server answered, ErrorResponse included, by the types of its messages. */
const types = (client: RawClient, from: number): readonly string[] =>
  client.messages.slice(from).map(({ type }) => type);

describe('two thousand clients that do nothing, and sixty-four that do', async () => {
  const proxy = await startMeasuredProxy(cluster, { PPROX_MAX_CLIENTS: '5000' });
  for (const writer of [w1, w2]) await sql(writer, 'CREATE TABLE busy (id int PRIMARY KEY, n int)');

  test('an idle client costs kilobytes and no connection to a server, and keeps nobody from working', async (context) => {
    await each(100, 16, async () => (await connect(proxy)).destroy());
    await until('the first have gone', async () => (await proxy.measure()).clients === 0);
    const before = await proxy.measure();
    const idle: RawClient[] = [];
    context.after(() => idle.forEach((client) => client.destroy()));
    await each(idleClients, 32, async () => void idle.push(await connect(proxy)));
    const during = await proxy.measure();
    assert.equal(during.clients, idleClients);
    const perClient = Math.round((during.heapBytes - before.heapBytes) / idleClients);
    const resident = Math.round((during.residentBytes - before.residentBytes) / idleClients);
    context.diagnostic(`an idle client: ${perClient} bytes of heap and buffers, ${resident} bytes of the process`);
    assert.ok(perClient < 32 * 1024, `${perClient} bytes for an idle client`);
    assert.ok(during.timers < 50, `${during.timers} timers for ${idleClients} idle clients`);
    const open = during.sockets - idleClients;
    assert.ok(open < 50, `${open} connections to servers for ${idleClients} idle clients`);

    await each(busyClients, busyClients, async (index) => {
      const client = await connect(proxy);
      for (let round = 0; round < 10; round++) {
        const from = client.messages.length;
        await client.query(
          round === 0 ? `INSERT INTO busy VALUES (${index}, 0)` : `UPDATE busy SET n = n + 1 WHERE id = ${index}`,
        );
        await client.query(`SELECT n FROM busy WHERE id = ${index}`);
        const seen = client.messages.slice(from).find((message) => message.type === 'DataRow');
        assert.equal(seen?.values[0]?.toString(), String(round), types(client, from).join(', '));
      }
      client.destroy();
    });
    await assertWritersEqual(cluster);
    await each(idleClients, 32, async (index) => {
      const client = idle[index];
      assert.ok(client !== undefined && !client.isClosed, 'an idle client keeps its connection');
      if (index % 10 === 0) {
        await client.query('SELECT 1');
        assert.deepEqual(types(client, client.messages.length - 2), ['CommandComplete', 'ReadyForQuery']);
      }
      client.destroy();
    });
    await until('all have gone', async () => (await proxy.measure()).clients === 0);
  });
});

/** A client that has its way and leaves, each in another manner. `id` is a row of its own, where it writes one. */
const visits: readonly ((proxy: MeasuredProxy, id: number) => Promise<void>)[] = [
  async function reads(proxy, id) {
    await visit(proxy, async (client) => {
      await client.query(`SELECT ${id}`);
      client.send(terminate());
      await client.waitClosed();
    });
  },
  async function writes(proxy, id) {
    await visit(proxy, async (client) => {
      await client.query(`INSERT INTO visit VALUES (${id})`);
    });
  },
  async function leavesItsTransactionOpen(proxy, id) {
    await visit(proxy, async (client) => {
      await client.query(`BEGIN; INSERT INTO visit VALUES (${id})`);
    });
  },
  async function leavesWhatBelongsToASession(proxy, id) {
    await visit(proxy, async (client) => {
      await client.query('CREATE TEMPORARY TABLE own (n int)');
      await client.query(`INSERT INTO own VALUES (${id}); SET application_name = 'visitor'; PREPARE p AS TABLE own`);
      await client.query('SELECT pg_advisory_lock_shared(1); LISTEN bell');
    });
  },
  async function isRefusedAStatement(proxy, id) {
    await visit(proxy, async (client) => {
      await client.query(`SELECT ${id} / 0`);
      await client.query('this is no SQL');
    });
  },
  async function vanishesDuringARead(proxy, id) {
    await visit(proxy, async (client) => {
      client.send(query(`SELECT ${id} FROM pg_sleep(0.02)`));
    });
  },
  async function vanishesDuringAWrite(proxy, id) {
    await visit(proxy, async (client) => {
      client.send(query(`BEGIN; INSERT INTO visit SELECT ${id} FROM pg_sleep(0.02)`));
    });
  },
  async function vanishesDuringACopy(proxy, id) {
    await visit(proxy, async (client) => {
      client.send(query('COPY visit FROM STDIN'));
      await client.waitFor(['CopyInResponse'], 0);
      client.send(copyData(`${id}\n`));
    });
  },
  async function preparesAndLeavesItsStatements(proxy, id) {
    await visit(proxy, async (client) => {
      const text = `SELECT v, $1::int4 FROM generate_series(1, ${id % 5}) AS v`;
      const run = [bind('', 'kept', { values: [String(id)] }), execute(''), sync()];
      client.send(parse('kept', text), describeMessage('S', 'kept'), ...run);
      client.send(...run);
      await client.waitReady(3);
      assert.equal(types(client, 0).filter((type) => type === 'DataRow').length, 2 * (id % 5));
    });
  },
  async function leavesAPipelineOpen(proxy, id) {
    await visit(proxy, async (client) => {
      client.send(
        parse('', 'INSERT INTO visit VALUES ($1)'),
        bind('', '', { values: [String(id)] }),
        execute(''),
        flush(),
      );
      await client.waitFor(['CommandComplete'], 0);
    });
  },
  async function leavesAPortalHalfRead(proxy, id) {
    await visit(proxy, async (client) => {
      client.send(query('BEGIN'), parse('', 'SELECT v, $1::int FROM generate_series(1, 100) AS v'));
      client.send(bind('half', '', { values: [String(id)] }), execute('half', 3), flush());
      await client.waitFor(['PortalSuspended'], 0);
    });
  },
  async function vanishesDuringAPipeline(proxy, id) {
    await visit(proxy, async (client) => {
      const write = [parse('', 'INSERT INTO visit VALUES ($1)'), bind('', '', { values: [String(id)] }), execute('')];
      client.send(...write, parse('', 'SELECT pg_sleep(0.02)'), bind('', ''), execute(''));
      client.send(parse('', 'SELECT 1'), sync().subarray(0, 2));
    });
  },
  async function vanishesDuringAPreparedCopy(proxy, id) {
    await visit(proxy, async (client) => {
      client.send(parse('', 'COPY visit FROM STDIN'), bind('', ''), execute(''), flush());
      await client.waitFor(['CopyInResponse'], 0);
      client.send(copyData(`${id}\n`));
    });
  },
  async function cancelsWhatIsNotThere(proxy, id) {
    await RawClient.open(proxy).then(async (client) => {
      client.send(cancelRequest(id, Buffer.alloc(4)));
      await client.waitClosed();
    });
  },
  async function isRefusedAtTheDoor(proxy, id) {
    const client = await connect(proxy, `nothing_${id % 3}`);
    assert.ok(types(client, 0).includes('ErrorResponse'));
    await client.waitClosed();
  },
  async function saysNothing(proxy) {
    (await RawClient.open(proxy)).destroy();
  },
];

async function visit(proxy: MeasuredProxy, use: (client: RawClient) => Promise<void>): Promise<void> {
  const client = await connect(proxy);
  assert.equal(client.messages.at(-1)?.type, 'ReadyForQuery');
  await use(client);
  client.destroy();
}

describe(`${cycles} clients that come, ask and go`, async () => {
  const proxy = await startMeasuredProxy(cluster, { PPROX_POOL_SIZE: String(poolSize) });
  for (const writer of [w1, w2]) await sql(writer, 'CREATE TABLE visit (id int PRIMARY KEY)');

  /** So many visits, of each kind in turn. Returns what the proxy holds once all have gone. */
  async function receive(from: number, count: number): Promise<Holding> {
    await each(count, 16, async (index) => {
      const id = from + index;
      await visits[id % visits.length]?.(proxy, id);
    });
    await until('nobody is there any more', async () => (await proxy.measure()).clients === 0);
    await until('every server connection is idle', async () => {
      const states = await Promise.all(servers.map((server) => sql(server, working)));
      return states.flat().length === 0;
    });
    return proxy.measure();
  }

  test('nothing of them is left', async (context) => {
    const before = await receive(0, warmUp);
    let served = warmUp;
    let after = before;
    let grown = Number.POSITIVE_INFINITY;
    // What is left by each client is left by the next ones too; a heap of this size goes up and down by as much for once.
    for (let round = 0; round < 3 && grown >= 1_000_000 + cycles * 20; round++) {
      const known = after.heapBytes;
      after = await receive(served, cycles);
      served += cycles;
      grown = after.heapBytes - known;
      context.diagnostic(`${cycles} clients left ${grown} bytes of ${after.heapBytes}`);
    }
    assert.ok(grown < 1_000_000 + cycles * 20, `${grown} bytes more after ${cycles} clients`);
    assert.ok(after.timers <= before.timers + 5, `${after.timers} timers, ${before.timers} before`);
    await until('every socket of the proxy is a connection to a server, and none too many', async () => {
      const open = await Promise.all(servers.map(async (server) => (await sql(server, backends)).length));
      const { sockets } = await proxy.measure();
      return Math.max(...open) <= poolSize && sockets === open.reduce((sum, count) => sum + count, 0);
    });
    const written = await sql(w1, 'SELECT count(*)::int AS count FROM visit');
    assert.deepEqual(written, [{ count: Math.ceil((served - 1) / visits.length) }]);
    await assertWritersEqual(cluster);
  });
});

/** Of the proxy, while no test looks at that server in another way. */
const backends = `SELECT pid, state, query FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`;
const working = `${backends} AND state <> 'idle'`;
