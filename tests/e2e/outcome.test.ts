/** `pprox.outcome()`: what became of a transaction whose client was told that it is not known. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { formatGid, type Home } from '../../src/commit/gid.ts';
import { sql } from '../support/cluster.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { refusal, startScene, until, value } from './scene.ts';

const { cluster, proxy } = await startScene({ commitMode: 'two-phase' });
const { w1, w2, replica } = cluster;
const client = await proxy.connect();
await client.query('CREATE TABLE work (id int PRIMARY KEY, outcome text)');
const home: Home = {
  systemIdentifier: String(await value(client, 'SELECT system_identifier::text FROM pg_control_system()')),
  databaseOid: String(await value(client, 'SELECT oid::text FROM pg_database WHERE datname = current_database()')),
};
const gidOf = (id: string): string => formatGid({ home, id, follower: 0 });

test('the outcome of a transaction can be asked for through pprox, by statement or parameter', async () => {
  await client.query("INSERT INTO work VALUES (1, 'open')");
  const [row] = await sql(w1, 'SELECT id::text FROM pprox.decision ORDER BY decided_at DESC LIMIT 1');
  const gid = gidOf(String(row?.['id']));
  assert.equal(await value(client, `SELECT pprox.outcome('${gid}')`), 'committed');
  const { rows } = await client.query('SELECT pprox.outcome($1) AS outcome', [gid]);
  assert.deepEqual(rows, [{ outcome: 'committed' }]);
});

test('it is the lead that answers, while other reads of the session go to the reader', async () => {
  await until('the reader serves the session', async () => {
    return (await value(client, '/* pprox: reader */ SELECT inet_server_port()')) === replica.port;
  });
  const ask = `pprox.outcome('${gidOf(randomUUID())}')`;
  assert.equal(await value(client, `SELECT ${ask}`), 'unknown');
  assert.equal(await value(client, `SELECT o FROM work CROSS JOIN ${ask} AS o WHERE id = 1`), 'unknown');
  assert.equal(await value(client, 'SELECT count(*) > 0 FROM pprox.decision'), true);
  // A reader that is asked refuses, and the lead is asked in its place.
  assert.deepEqual(
    proxy.lines.filter(({ fields }) => fields['reason'] === 'the reader refused'),
    [],
  );
});

test('a fence means rolled back, and no decision unknown', async () => {
  const fenced = randomUUID();
  await sql(w1, `INSERT INTO pprox.decision VALUES ('${fenced}', false)`);
  assert.equal(await value(client, `SELECT pprox.outcome('${gidOf(fenced)}')`), 'rolled back');
  assert.equal(await value(client, `SELECT pprox.outcome('${gidOf(randomUUID())}')`), 'unknown');
});

test('what is no name of a transaction, or was decided elsewhere, is refused with what to do', async () => {
  const nothing = await refusal(client.query("SELECT pprox.outcome('it''s mine')"));
  assert.equal(nothing.code, '22023');
  assert.equal(nothing.message, "not the name of a transaction of pprox: 'it''s mine'");
  const other = formatGid({ home: { ...home, databaseOid: '1' }, id: randomUUID(), follower: 0 });
  const elsewhere = await refusal(client.query(`SELECT pprox.outcome('${other}')`));
  assert.equal(elsewhere.code, '22023');
  assert.match(elsewhere.message, /decided in another database/);
});

test('a standby that is asked itself refuses, because it may be behind', async () => {
  const gid = gidOf(randomUUID());
  await until('the replica has the function', async () => {
    const rows = await sql(replica, "SELECT FROM pg_proc WHERE proname = 'outcome'");
    return rows.length === 1;
  });
  await assert.rejects(sql(replica, `SELECT pprox.outcome('${gid}')`), /a standby may not have the decision yet/);
});

test('a column named outcome is read from the reader as any other', async () => {
  await until('the reader serves it', async () => {
    const port = await value(
      client,
      '/* pprox: reader */ SELECT inet_server_port() FROM work w WHERE w.outcome IS NOT NULL',
    );
    return port === replica.port;
  });
});

test('a single writer that is lost in a statement that commits by itself leaves it unknown', async () => {
  const single = await startTestProxy({ writers: [clusterDsn(w1)] });
  const alone = await single.connect();
  const lost = refusal(alone.query("INSERT INTO work SELECT 20, 'asleep' FROM pg_sleep(60)"));
  await until('it is ended', async () => {
    const text =
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO work SELECT 20%'";
    return (await sql(w1, text)).length > 0;
  });
  const error = await lost;
  assert.equal(error.code, '08007', error.message);
  assert.match(error.detail ?? '', new RegExp(`^lead 127\\.0\\.0\\.1:${w1.port}.*: unknown$`));
  assert.equal(await value(alone, 'SELECT count(*)::int FROM work WHERE id = 20'), 0);
  // In a block it is known: COMMIT was not sent.
  await alone.query('BEGIN');
  const inside = refusal(alone.query("INSERT INTO work SELECT 21, 'asleep' FROM pg_sleep(60)"));
  await until('it is ended', async () => {
    const text =
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO work SELECT 21%'";
    return (await sql(w1, text)).length > 0;
  });
  assert.equal((await inside).code, '08006');
});

test('a write that stands is not told as failed where the session cannot ask how far the log goes', async () => {
  const small = await startTestProxy({
    writers: [clusterDsn(w1)],
    reader: clusterDsn(replica),
    settings: { poolSize: 1, poolWaitMs: 200 },
  });
  const writer = await small.connect();
  const holder = await small.connect();
  const written = writer.query("INSERT INTO work SELECT 30, 'slow' FROM pg_sleep(0.1)");
  await until('it is under way', async () => {
    return (await sql(w1, "SELECT FROM pg_stat_activity WHERE query LIKE 'INSERT INTO work SELECT 30%'")).length > 0;
  });
  // Waits for the one connection, and keeps it.
  const begun = holder.query('BEGIN');
  assert.equal((await written).rowCount, 1);
  await begun;
  await holder.query('COMMIT');
  assert.equal(await value(writer, 'SELECT count(*)::int FROM work WHERE id = 30'), 1);
});

test('sessions that are lost in the transaction that has bound them to their client make room for others', async () => {
  const small = await startTestProxy({
    writers: [clusterDsn(w1), clusterDsn(w2)],
    settings: { poolSize: 1, poolWaitMs: 5000 },
  });
  const owner = await small.connect();
  await owner.query('CREATE TABLE bound (id serial PRIMARY KEY, v int)');
  await owner.end();
  for (const server of [w1, w2]) {
    const client = await small.connect();
    client.on('error', () => undefined); // its session ends with the server's
    await client.query('BEGIN');
    // currval() is its own from here on.
    await client.query('INSERT INTO bound (v) VALUES (1)');
    const lost = client.query('UPDATE bound SET v = (SELECT 2 FROM pg_sleep(60))').catch((error: unknown) => error);
    await until('it is ended', async () => {
      const text = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
        AND query LIKE '${server === w1 ? 'UPDATE bound%' : '%bound%'}'`;
      return (await sql(server, text)).length > 0;
    });
    // The follower's session is missed when the statement is over on the lead.
    if (server === w2)
      await sql(w1, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'UPDATE bound%'");
    assert.ok((await lost) instanceof Error);
    await client.end();
    const next = await small.connect();
    assert.equal(await value(next, 'SELECT count(*)::int FROM bound'), 0);
    await next.query('INSERT INTO bound (v) VALUES (3); DELETE FROM bound');
    await next.end();
  }
  await small.stop();
});
