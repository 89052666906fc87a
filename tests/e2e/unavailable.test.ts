/**
 * A server that takes no connection: it refuses, resets, says nothing, starts up for long or has none left. While it is so, who
 * needs it is told at once and it is not stormed; who does not need it is served.
 */
import assert from 'node:assert/strict';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Settings } from '../../src/config/config.ts';
import type { Server } from '../../src/embedded/server.ts';
import { sql, startTestCluster } from '../support/cluster.ts';
import { startNetworkRelay } from '../support/network-relay.ts';
import { clusterDsn, startTestProxy, type TestProxy } from '../support/proxy.ts';
import { assertWritersEqual, refusal, until, value } from './scene.ts';

const ROOM = { settings: { max_connections: '100', superuser_reserved_connections: '0' } };
const cluster = await startTestCluster({ overrides: { w1: ROOM, w2: ROOM, reader: ROOM } });
const { w1, w2, replica } = cluster;
const servers = { lead: w1, follower: w2, reader: replica };
type Role = keyof typeof servers;
const writers = [
  ['lead', w1],
  ['follower', w2],
] as const;
const HANGS = { timeout: 60_000 };
for (const writer of [w1, w2]) await sql(writer, 'CREATE TABLE kept (id int PRIMARY KEY)');

let id = 0;
const insert = (): string => `INSERT INTO kept VALUES (${++id})`;

/** Looks for nothing to recover for as long as a test takes. */
const QUIET = { recoveryIntervalMs: 600_000, healthIntervalMs: 100, connectTimeoutMs: 500, followerTimeoutMs: 500 };

const relays = {
  lead: await startNetworkRelay(w1),
  follower: await startNetworkRelay(w2),
  reader: await startNetworkRelay(replica),
};

function fresh(settings: Partial<Settings> = {}): Promise<TestProxy> {
  return startTestProxy({
    writers: [relays.lead.dsn, relays.follower.dsn],
    reader: relays.reader.dsn,
    settings: { drainMs: 0, ...QUIET, ...settings },
  });
}

/** Makes a server what it was. */
let mend: (() => Promise<void>) | undefined;

/** Whatever a test has left. */
afterEach(async () => {
  await mend?.();
  for (const relay of Object.values(relays)) relay.heal();
  for (const server of Object.values(servers)) if (server.pid === undefined) await server.start();
});

/** The reader has it too: while the lead is away, nobody can read there what the reader misses. */
async function write(client: pg.Client): Promise<void> {
  await client.query(insert());
  await until('the reader has it', async () => (await sql(replica, `SELECT FROM kept WHERE id = ${id}`)).length === 1);
}

/** What needs no writer: alone and, where the lead can hold it, in a transaction. */
async function assertReads(client: pg.Client, away: Role): Promise<void> {
  assert.equal(await value(client, 'SELECT count(*)::int >= 0 FROM kept'), true);
  if (away === 'lead') return;
  await client.query('BEGIN');
  assert.equal(await value(client, 'SELECT count(*)::int >= 0 FROM kept'), true);
  await client.query('COMMIT');
}

async function assertServes(proxy: TestProxy): Promise<void> {
  await until('writes work', async () => {
    const client = await proxy.connect().catch(() => undefined);
    const done = await client?.query(insert()).then(
      () => true,
      () => false,
    );
    await client?.end();
    return done === true;
  });
  await assertWritersEqual(cluster);
}

const WAVES = 3;
const CLIENTS = 20;
/** Longer than what is known of the catalog is taken for what is. */
const KNOWN_MS = 5500;
/** Longer than a server that was found down is left alone. */
const PAUSE_MS = 300;

for (const [role, server] of writers) {
  describe(`while the ${role}`, () => {
    const states: readonly (readonly [string, () => Promise<void>])[] = [
      ['resets connections', () => server.stop('immediate')],
      [
        'accepts them and says nothing',
        () => {
          for (const direction of ['query', 'reply'] as const) relays[role].silence(direction);
          return Promise.resolve();
        },
      ],
    ];
    for (const [what, lose] of states) {
      test(`${what}, writes are refused at once, reads go on, and few connections are tried`, HANGS, async () => {
        const proxy = await fresh();
        const clients = await Promise.all(Array.from({ length: CLIENTS }, () => proxy.connect()));
        const [first] = clients;
        assert.ok(first !== undefined);
        await write(first);
        // What is known of the catalog is old by then, and is to be asked for.
        if (role === 'lead') await sleep(KNOWN_MS);
        await lose();
        await until('it is found out', async () => (await refusal(first.query(insert()))).code === '08001');
        const before = relays[role].attempts;
        for (let wave = 0; wave < WAVES; wave++) {
          await sleep(PAUSE_MS);
          for (const { code, message } of await Promise.all(clients.map((client) => refusal(client.query(insert()))))) {
            assert.equal(code, '08001', message);
            assert.match(message, new RegExp(`could not connect to ${role} 127\\.0\\.0\\.1:${relays[role].port}`));
          }
          await Promise.all(clients.map((client) => assertReads(client, role)));
        }
        const attempts = relays[role].attempts - before;
        assert.ok(attempts > 0, 'it is tried again');
        assert.ok(attempts <= (WAVES * CLIENTS) / 2, `${attempts} connections for ${WAVES * CLIENTS} writes`);
        await assertReads(await proxy.connect(), role);
        relays[role].heal();
        if (server.pid === undefined) await server.start();
        await assertServes(proxy);
      });
    }
  });
}

for (const [role] of writers) {
  test(`a session of the ${role} that is ended while it is opened says nothing of the server`, HANGS, async () => {
    const proxy = await fresh({ connectTimeoutMs: 10_000, followerTimeoutMs: 10_000 });
    const client = await proxy.connect();
    await write(client);
    await client.query('SET search_path = public'); // pooled sessions are others'
    relays[role].terminate('pg_control_system()');
    const clients = await Promise.all(Array.from({ length: 3 }, () => proxy.connect()));
    for (const each of [client, ...clients]) await each.query(`BEGIN; ${insert()}`);
    for (const each of [client, ...clients]) await each.query('COMMIT');
    assert.equal(relays[role].met, 'done');
    assert.deepEqual(
      proxy.lines.filter(({ level }) => level === 'error' || level === 'warn'),
      [],
    );
    await proxy.stop();
  });
}

/** Opens connections to it until it has none left. Returns what lets them go. */
async function exhaust(server: Server): Promise<() => Promise<void>> {
  const holders: pg.Client[] = [];
  for (;;) {
    const holder = new pg.Client({ connectionString: server.dsn('template1') });
    holder.on('error', () => undefined); // the server may end first
    try {
      await holder.connect();
    } catch (error) {
      assert.equal((error as pg.DatabaseError).code, '53300');
      return async () => {
        await Promise.all(holders.splice(0).map((one) => one.end()));
      };
    }
    holders.push(holder);
  }
}

describe('a server without a connection left', () => {
  for (const [role, server] of Object.entries(servers) as [Role, Server][]) {
    test(`as the ${role}: who needs it is told so, who does not is served`, HANGS, async () => {
      const release = await exhaust(server);
      after(release);
      const proxy = await fresh();
      const client = await proxy.connect();
      await assertReads(client, role);
      if (role === 'reader') await client.query(insert());
      else {
        for (const text of [insert(), `BEGIN; ${insert()}`]) {
          const error = await refusal(client.query(text));
          assert.equal(error.code, '53300', error.message);
          assert.match(
            error.message,
            new RegExp(`^${role} 127\\.0\\.0\\.1:\\d+ refused the connection: sorry, too many`),
          );
          await client.query('ROLLBACK');
        }
      }
      await release();
      await assertServes(proxy);
      assert.ok(!proxy.lines.some(({ event }) => event === 'server down'), 'it is not taken for lost');
    });
  }

  test('as the lead, and no reader, refuses a client in its own words', HANGS, async () => {
    const release = await exhaust(w1);
    after(release);
    const proxy = await startTestProxy({ writers: [w1, w2].map(clusterDsn), settings: { drainMs: 0 } });
    const error = await refusal(proxy.connect());
    assert.deepEqual([error.severity, error.code], ['FATAL', '53300']);
    assert.equal(error.message, 'sorry, too many clients already');
    await release();
    await assertServes(proxy);
  });
});

describe('a writer that takes long to start', () => {
  /** It recovers for ever and lets nobody in meanwhile: 57P03. */
  async function startUpForEver(server: Server): Promise<void> {
    await sql(server, 'ALTER SYSTEM SET hot_standby = off');
    await server.stop('fast');
    const signal = join(server.dataDirectory, 'standby.signal');
    writeFileSync(signal, '');
    await server.start();
    mend = async () => {
      mend = undefined;
      await server.stop('fast');
      rmSync(signal);
      await server.start();
      // With this setting it calls itself ready while it still recovers.
      await until('it is a primary again', () =>
        sql(server, 'ALTER SYSTEM RESET hot_standby').then(
          () => true,
          () => false,
        ),
      );
    };
  }
  for (const [role, server] of writers) {
    test(`as the ${role} is as one that is away, in its own words`, HANGS, async () => {
      const proxy = await fresh();
      const early = await proxy.connect();
      await write(early);
      await startUpForEver(server);
      await until('it is found out', async () => (await refusal(early.query(insert()))).code === '57P03');
      await assertReads(early, role);
      const late = await proxy.connect();
      await assertReads(late, role);
      assert.match(
        (await refusal(late.query(insert()))).message,
        new RegExp(`^${role} .* refused the connection: the database system`),
      );
      await mend?.();
      await assertServes(proxy);
    });
  }
});
