/** `pprox recover`, as an operator runs it: what it shows, what it ends, and what it leaves alone. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { formatGid, type Home } from '../../src/commit/gid.ts';
import { startNode } from '../support/child.ts';
import { sql, startTestCluster } from '../support/cluster.ts';
import { root } from '../support/repository.ts';

const cluster = await startTestCluster({ reader: false });
const { w1, w2 } = cluster;
const dsn = ({ port }: { readonly port: number }): string => `postgresql://postgres@127.0.0.1:${port}/postgres`;

let home: Home;

before(async () => {
  for (const writer of [w1, w2]) await sql(writer, 'CREATE TABLE kept (id int PRIMARY KEY)');
  const [row] = await sql(
    w1,
    `SELECT (SELECT system_identifier FROM pg_control_system())::text AS system,
       (SELECT oid FROM pg_database WHERE datname = current_database())::text AS database`,
  );
  home = { systemIdentifier: String(row?.['system']), databaseOid: String(row?.['database']) };
});

async function recover(
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number | string; readonly output: string }> {
  const child = startNode(join(root, 'bin', 'pprox'), ['recover', ...args], {
    env: {
      PG_WRITERS_CSV: `${dsn(w1)},${dsn(w2)}`,
      PG_READER_DSN: '',
      PPROX_RECOVERY_GRACE: '0ms',
      PPROX_CONNECT_TIMEOUT: '1s',
      ...env,
    },
  });
  const status = await child.ended;
  return { status, output: child.output() };
}

let next = 0;

/** Prepared on the follower; with its decision on the lead where there is one. */
async function leave(
  decision: 'committed' | 'none',
  of: Home = home,
): Promise<{ readonly gid: string; readonly row: number }> {
  const id = randomUUID();
  const gid = formatGid({ home: of, id, follower: 0 });
  const row = ++next;
  await sql(w2, `BEGIN; INSERT INTO kept VALUES (${row}); PREPARE TRANSACTION '${gid}'`);
  if (decision === 'committed')
    await sql(w1, `INSERT INTO kept VALUES (${row}); INSERT INTO pprox.decision VALUES ('${id}', true)`);
  return { gid, row };
}

const prepared = async (): Promise<readonly string[]> =>
  (await sql(w2, 'SELECT gid FROM pg_prepared_xacts')).map(({ gid }) => String(gid));

test('with nothing prepared it says so', async () => {
  const { status, output } = await recover();
  assert.deepEqual({ status, output }, { status: 0, output: 'nothing is prepared\n' });
});

test('shows what it would do, and does it; another lead, and what is young, it leaves alone', async () => {
  const done = await leave('committed');
  const open = await leave('none');
  const strange = await leave('none', { ...home, systemIdentifier: '7434012345678901234' });
  const dry = await recover(['--dry-run']);
  assert.equal(dry.status, 1, dry.output);
  const after = (gid: string): string => dry.output.slice(dry.output.indexOf(gid)).split('\n')[1] ?? '';
  assert.match(
    after(done.gid),
    /^ {2}on follower .* s, holds back vacuum by \d+ transactions, decision on the lead: committed, to do: commit$/,
  );
  assert.match(after(open.gid), /decision on the lead: none, to do: roll back$/);
  assert.match(after(strange.gid), /to do: leave alone: of another lead$/);
  assert.equal((await prepared()).length, 3, 'a dry run changes nothing');
  assert.equal((await sql(w1, 'SELECT FROM pprox.decision')).length, 1, 'nor puts a fence');

  const young = await recover([], { PPROX_RECOVERY_GRACE: '1h' });
  assert.equal(young.status, 1);
  assert.match(young.output, /to do: wait: younger than the time of grace/);
  assert.equal((await prepared()).length, 3);

  const real = await recover();
  assert.equal(real.status, 0, real.output);
  assert.match(real.output, /^ended: 2, left: 0$/m);
  assert.deepEqual(await prepared(), [strange.gid]);
  assert.deepEqual(await sql(w2, 'SELECT id FROM kept'), [{ id: done.row }]);
  await sql(w2, `ROLLBACK PREPARED '${strange.gid}'`);
});

test('what another database has decided is ended by that database alone', async () => {
  for (const writer of [w1, w2]) {
    await sql(writer, 'CREATE DATABASE other');
    await sql(writer, 'CREATE TABLE kept (id int PRIMARY KEY)', 'other');
  }
  const [row] = await sql(w1, "SELECT oid::text FROM pg_database WHERE datname = 'other'");
  const id = randomUUID();
  const gid = formatGid({ home: { ...home, databaseOid: String(row?.['oid']) }, id, follower: 0 });
  await sql(w2, `BEGIN; INSERT INTO kept VALUES (1); PREPARE TRANSACTION '${gid}'`, 'other');
  await sql(w1, `INSERT INTO kept VALUES (1); INSERT INTO pprox.decision VALUES ('${id}', true)`, 'other');

  // Its DSNs lead to one database, where nothing is known of it.
  const elsewhere = await recover([], { PPROX_FOLLOWER_TIMEOUT: '2s', PPROX_FOLLOWER_LOCK_TIMEOUT: '1s' });
  assert.equal(elsewhere.status, 1, elsewhere.output);
  assert.match(elsewhere.output, /decision on the lead: unknown, to do: wait for the lead/);
  assert.deepEqual(await prepared(), [gid]);
  assert.deepEqual(await sql(w1, `SELECT FROM pprox.decision WHERE id = '${id}'`), [], 'no fence is put there');

  const any = ({ port }: { readonly port: number }): string => `postgresql://postgres@127.0.0.1:${port}`;
  const everywhere = await recover([], { PG_WRITERS_CSV: `${any(w1)},${any(w2)}` });
  assert.equal(everywhere.status, 0, everywhere.output);
  assert.deepEqual(await prepared(), []);
  assert.deepEqual(await sql(w2, 'SELECT id FROM kept', 'other'), [{ id: 1 }]);
});

test('with the lead down it says so, and touches nothing', async () => {
  const { gid } = await leave('none');
  await w1.stop('fast');
  const { status, output } = await recover();
  assert.equal(status, 1);
  assert.match(output, /could not connect to lead/);
  assert.deepEqual(await prepared(), [gid]);
  await w1.start();
  assert.equal((await recover()).status, 0);
  assert.deepEqual(await prepared(), []);
});
