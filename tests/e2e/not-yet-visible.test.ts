/**
 * What another process has committed on the lead, and nobody commits on the follower, as where that process is gone and recovery
 * cannot act yet. Whatever could miss it there is refused, whole, within the follower's time.
 */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { afterEach, before, test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { formatGid, type Home } from '../../src/commit/gid.ts';
import { freeze, sql, thaw } from '../support/cluster.ts';
import { copyData, copyDone, query } from '../support/frontend-messages.ts';
import { assertWritersEqual, connectRaw, errorIn, refusal, startScene, until, value } from './scene.ts';

const scene = await startScene(
  { recoveryGraceMs: 600_000, recoveryIntervalMs: 50, followerTimeoutMs: 700, followerLockTimeoutMs: 300 },
  { reader: false },
);
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;
const HANGS = { timeout: 30_000 };

let home: Home;
let key = 0;

before(async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE parent (id int PRIMARY KEY, n int)');
  await client.query('CREATE TABLE child (parent int REFERENCES parent)');
  await client.query('CREATE TABLE seen (id int)');
  await client.query(
    `CREATE FUNCTION note() RETURNS bigint LANGUAGE sql VOLATILE AS
       'INSERT INTO seen SELECT id FROM parent WHERE n = 7; SELECT count(*) FROM seen'`,
  );
  const [row] = await sql(
    w1,
    `SELECT (SELECT system_identifier FROM pg_control_system())::text AS system,
       (SELECT oid FROM pg_database WHERE datname = current_database())::text AS database`,
  );
  home = { systemIdentifier: String(row?.['system']), databaseOid: String(row?.['database']) };
});

/** A new parent, on the lead, and prepared on the follower. */
async function halfWay(): Promise<{ readonly id: number; readonly gid: string }> {
  key++;
  const transaction = randomUUID();
  const gid = formatGid({ home, id: transaction, follower: 0 });
  const text = `INSERT INTO parent VALUES (${key}, 7)`;
  await sql(w2, `BEGIN; ${text}; PREPARE TRANSACTION '${gid}'`);
  await sql(w1, `${text}; INSERT INTO pprox.decision VALUES ('${transaction}', true)`);
  return { id: key, gid };
}

/** Its process is back. */
afterEach(async () => {
  for (const { gid } of await sql(w2, `SELECT gid FROM pg_prepared_xacts`))
    await sql(w2, `COMMIT PREPARED '${String(gid)}'`);
  await assertWritersEqual(cluster);
  const open = `SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' OR state = 'active' AND query LIKE 'COPY%'`;
  for (const server of [w1, w2])
    await until('no transaction is open', async () => (await sql(server, open)).length === 0);
});

for (const [what, statement] of [
  ['a change of the row', 'UPDATE parent SET n = 8 WHERE id = $'],
  ['a child', 'INSERT INTO child VALUES ($)'],
  ['rows of a query', 'INSERT INTO child SELECT id FROM parent WHERE id = $'],
  ['a function that writes', 'SELECT note()'],
] as const) {
  test(`${what} is rolled back everywhere, and says why`, HANGS, async () => {
    const client = await proxy.connect();
    const { id, gid } = await halfWay();
    const error = await refusal(client.query(statement.replace('$', String(id))));
    assert.equal(error.code, '40001', error.message);
    assert.match(error.message, /not yet visible on a follower/);
    assert.equal(error.detail, `Prepared on follower 127.0.0.1:${w2.port}: ${gid}.`);
    await sql(w2, `COMMIT PREPARED '${gid}'`);
    await client.query(statement.replace('$', String(id)));
    await client.end();
  });
}

test('in a block it fails the block', HANGS, async () => {
  const client = await proxy.connect();
  const { id } = await halfWay();
  await client.query('BEGIN');
  await client.query(`INSERT INTO seen VALUES (1)`);
  const ended = refusal(client.query(`UPDATE parent SET n = 8 WHERE id = ${id}`).then(() => client.query('COMMIT')));
  assert.equal((await ended).code, '40001');
  await client.query('ROLLBACK');
  assert.equal(await value(client, 'SELECT 1'), 1);
  await client.end();
});

for (const [when, moment] of [
  ['before the data', 'before'],
  ['under the data', 'under'],
] as const) {
  test(`a COPY is broken off, ${when}, and its client goes on`, HANGS, async () => {
    const client = await connectRaw(scene);
    let parent = moment === 'before' ? await halfWay() : undefined;
    const ready = client.readies + 1;
    client.send(query('COPY child FROM STDIN'));
    if (moment === 'under') {
      await until('data is asked for', () => client.messages.some(({ type }) => type === 'CopyInResponse'));
      parent = await halfWay();
    }
    client.send(Buffer.concat([copyData(`${parent?.id}\n`), copyDone()]));
    await client.waitReady(ready);
    assert.equal(errorIn(client.messages)['C'], '40001');
    client.send(query('SELECT 1'));
    await client.waitReady(ready + 1);
    assert.ok(client.messages.some((message) => message.type === 'CommandComplete' && message.tag === 'SELECT 1'));
  });
}

test('what no transaction holds has run on the lead, and says so', HANGS, async () => {
  const client = await proxy.connect();
  const { gid } = await halfWay();
  const error = await refusal(client.query('VACUUM parent'));
  assert.equal(error.code, '08007', error.message);
  assert.match(error.message, new RegExp(`executed on lead 127.0.0.1:${w1.port}, but not on every writer`));
  assert.deepEqual((error.detail ?? '').split('\n'), [
    `lead 127.0.0.1:${w1.port}: done`,
    `follower 127.0.0.1:${w2.port}: not run`,
    `Prepared on follower 127.0.0.1:${w2.port}: ${gid}.`,
  ]);
  await client.end();
});

test('it is seen by who watches: how many, how old, and what no VACUUM can remove', HANGS, async (t) => {
  const server = `follower 127.0.0.1:${w2.port}`;
  const nothing = { kind: 'seen', server, count: 0, ageMs: 0, vacuumHold: 0 };
  await until('nothing is seen', () => isDeepStrictEqual(proxy.proxy.inDoubt, [nothing]));
  const { gid } = await halfWay();
  for (let transaction = 0; transaction < 3; transaction++) await sql(w2, 'SELECT pg_current_xact_id()');
  await until('it is seen', () => {
    const [now] = proxy.proxy.inDoubt;
    return now?.kind === 'seen' && now.count === 1 && now.ageMs > 0 && now.vacuumHold >= 3;
  });
  freeze(w2);
  t.after(() => thaw(w2));
  await until('what may not hold any more is not shown', () => proxy.proxy.inDoubt[0]?.kind === 'unseen');
  assert.deepEqual(proxy.proxy.inDoubt, [{ kind: 'unseen', server }]);
  thaw(w2);
  await sql(w2, `COMMIT PREPARED '${gid}'`);
  await until('it is over', () => isDeepStrictEqual(proxy.proxy.inDoubt, [nothing]));
});

test('what another cluster has prepared there is waited for by nobody', HANGS, async () => {
  const client = await proxy.connect();
  const foreign = formatGid({ home: { ...home, systemIdentifier: '1' }, id: randomUUID(), follower: 0 });
  await sql(w2, `BEGIN; INSERT INTO seen VALUES (0); PREPARE TRANSACTION '${foreign}'`);
  await client.query('SELECT note()');
  await sql(w2, `ROLLBACK PREPARED '${foreign}'`);
  await client.end();
});
