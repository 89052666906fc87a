/** The number that a client knows its session by is the same wherever it sees it, and no other client's. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LOCK_CLASS } from '../../src/cluster/process-ids.ts';
import type { BackendMessage } from '../support/backend-messages.ts';
import { sql } from '../support/cluster.ts';
import { bind, describe as describeMessage, execute, parse, sync } from '../support/frontend-messages.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import type { RawClient } from '../support/raw-client.ts';
import { assertWritersEqual, connectRaw, startScene, until } from './scene.ts';

const scene = await startScene({ poolSize: 3, healthIntervalMs: 50 });
const { cluster } = scene;
const { w1, w2 } = cluster;

for (const writer of [w1, w2]) await sql(writer, 'CREATE TABLE seen (id int PRIMARY KEY, pid int, words text)');

/** The rows' values as text. */
function values(messages: readonly BackendMessage[]): readonly (readonly (string | null)[])[] {
  const errors = messages.filter(({ type }) => type === 'ErrorResponse');
  assert.deepEqual(errors, []);
  return messages.flatMap((message) =>
    message.type === 'DataRow' ? [message.values.map((value) => (value === null ? null : value.toString()))] : [],
  );
}

function columns(messages: readonly BackendMessage[]): readonly string[] {
  const row = messages.find((message) => message.type === 'RowDescription');
  return row?.type === 'RowDescription' ? row.fields.map(({ name, type }) => `${name} ${type}`) : [];
}

async function extended(client: RawClient, text: string): Promise<readonly BackendMessage[]> {
  const from = client.messages.length;
  const readies = client.readies;
  client.send(parse('', text), bind('', ''), describeMessage('P', ''), execute(''), sync());
  await client.waitReady(readies + 1);
  return client.messages.slice(from);
}

const byNumber = (one = 0, other = 0): number => one - other;

async function claimed(): Promise<readonly number[]> {
  const rows = await sql(
    w1,
    `SELECT objid::int AS block FROM pg_locks JOIN pg_database d ON d.oid = database
     WHERE locktype = 'advisory' AND classid = ${LOCK_CLASS} AND datname = 'postgres' ORDER BY 1`,
  );
  return rows.map(({ block }) => Number(block));
}

describe('pg_backend_pid() is what the client was told at its start', () => {
  const INT4 = 23;
  const texts: readonly (readonly [string, string])[] = [
    ['SELECT pg_backend_pid()', 'pg_backend_pid'],
    ['SELECT pg_catalog . pg_backend_pid ( ) AS mine', 'mine'],
    ['SELECT /* ü */ pg_backend_pid(), 1 AS x', 'pg_backend_pid'],
    ['SELECT * FROM (SELECT pg_backend_pid()) AS inner_query', 'pg_backend_pid'],
    ['WITH own AS (SELECT pg_backend_pid()) TABLE own', 'pg_backend_pid'],
    ['VALUES (pg_backend_pid())', 'column1'],
  ];
  for (const [text, name] of texts) {
    test(text, async () => {
      const clients = await Promise.all(Array.from({ length: 6 }, () => connectRaw(scene)));
      for (const client of clients) {
        for (const answer of [await client.query(text), await extended(client, text)]) {
          assert.equal(columns(answer)[0], `${name} ${INT4}`);
          assert.equal(values(answer)[0]?.[0], String(client.pid));
        }
        client.destroy();
      }
    });
  }

  test('in a transaction, and where it is compared with what was stored', async () => {
    const client = await connectRaw(scene);
    await client.query("BEGIN; INSERT INTO seen VALUES (1, pg_backend_pid(), 'é'), (2, 0, 'x')");
    await client.query('UPDATE seen SET pid = pg_backend_pid() WHERE id = 2');
    const text = 'SELECT count(*), pg_backend_pid() FROM seen WHERE pid = pg_backend_pid()';
    assert.deepEqual(values(await client.query(text)), [['2', String(client.pid)]]);
    await client.query('COMMIT');
    assert.deepEqual(await sql(w2, 'SELECT DISTINCT pid FROM seen'), [{ pid: client.pid }]);
    await assertWritersEqual(cluster);
  });

  test('in a temporary table, a cursor and a COPY', async () => {
    const client = await connectRaw(scene);
    await client.query('CREATE TEMP TABLE identity AS SELECT pg_backend_pid()');
    assert.deepEqual(values(await client.query('SELECT pg_backend_pid = pg_backend_pid() FROM identity')), [['t']]);
    await client.query('BEGIN; DECLARE c CURSOR FOR SELECT pg_backend_pid()');
    assert.deepEqual(values(await client.query('FETCH c')), [[String(client.pid)]]);
    await client.query('COMMIT');
    const copied = await client.query('COPY (SELECT pg_backend_pid()) TO STDOUT');
    assert.ok(copied.some((message) => message.type === 'CopyData' && message.data.toString() === `${client.pid}\n`));
  });

  test('several statements in one text each get it', async () => {
    const client = await connectRaw(scene);
    const answer = await client.query("SELECT pg_backend_pid(), 'é'; SELECT 1, pg_backend_pid()");
    assert.deepEqual(values(answer), [
      [String(client.pid), 'é'],
      ['1', String(client.pid)],
    ]);
  });

  test('but the server’s own where server sessions are looked at', async () => {
    const client = await connectRaw(scene);
    const text = 'SELECT pid <> $$0$$::int, state FROM pg_stat_activity WHERE pid = pg_backend_pid()';
    assert.deepEqual(values(await client.query(text)), [['t', 'active']]);
    await client.query('BEGIN; LOCK TABLE seen');
    const locks = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'seen'::regclass";
    assert.deepEqual(values(await client.query(locks)), [['1']]);
    assert.deepEqual(values(await client.query('SELECT pg_blocking_pids(pg_backend_pid())')), [['{}']]);
    await client.query('ROLLBACK');
  });
});

describe('two processes in front of the same lead', () => {
  const BLOCK = 2 ** 20;
  const blockOf = ({ pid = 0 }: RawClient): number => (pid - 2 ** 22) / BLOCK;

  test('give numbers of their own blocks, which they have claimed', async () => {
    const own = await connectRaw(scene);
    const other = { cluster, proxy: await startTestProxy({ writers: cluster.writers.map(clusterDsn) }) };
    const theirs = await Promise.all([connectRaw(other), connectRaw(other)]);
    const blocks = await claimed();
    assert.equal(new Set(blocks).size, 2);
    assert.equal(new Set(theirs.map((client) => Math.floor(blockOf(client)))).size, 1);
    assert.deepEqual(
      [own, theirs[0]].map((client) => client && Math.floor(blockOf(client))).toSorted(byNumber),
      blocks,
    );
    assert.ok([own, ...theirs].every(({ pid }) => pid !== undefined && pid >= 2 ** 22 && pid < 2 ** 31));
    await other.proxy.stop();
    await until('the claim ends with its process', async () => (await claimed()).length === 1);
  });

  test('keep their block when the connection that claims it is lost', async () => {
    const client = await connectRaw(scene);
    const [before] = await claimed();
    const claim = "FROM pg_stat_activity WHERE application_name = 'pprox: process ids' AND datname = 'postgres'";
    assert.equal((await sql(w1, `SELECT pg_terminate_backend(pid) ${claim}`)).length, 1);
    await until('it is claimed again', async () => (await claimed())[0] === before);
    const later = await connectRaw(scene);
    assert.equal(Math.floor(blockOf(later)), before);
    assert.notEqual(later.pid, client.pid);
  });

  test('give up the claim in a database that nobody uses', async () => {
    const client = await connectRaw(scene, 'template1');
    const claim =
      "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pprox: process ids' AND datname = 'template1'";
    assert.equal((await sql(w1, claim)).length, 1);
    client.destroy();
    await until('it is given up', async () => (await sql(w1, claim)).length === 0);
  });
});

test('clients get numbers while the lead cannot be asked', async () => {
  const [, ...others] = cluster.writers.map(clusterDsn);
  const dead = 'postgresql://postgres@127.0.0.1:1';
  const own = {
    cluster,
    proxy: await startTestProxy({ writers: [dead, ...others], reader: clusterDsn(cluster.replica) }),
  };
  const clients = await Promise.all(Array.from({ length: 5 }, () => connectRaw(own)));
  assert.equal(new Set(clients.map(({ pid }) => pid)).size, 5);
  for (const client of clients) {
    assert.ok(client.pid !== undefined && client.pid >= 2 ** 31 - 2 ** 20);
    assert.deepEqual(values(await client.query('SELECT pg_backend_pid()')), [[String(client.pid)]]);
  }
});
