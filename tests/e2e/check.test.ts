/** `pprox check`, and the proxy alone, as an operator starts them: by environment, as a process of its own. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { startNode } from '../support/child.ts';
import { sql, startTestCluster } from '../support/cluster.ts';
import { root } from '../support/repository.ts';

const cluster = await startTestCluster();
const pprox = join(root, 'bin', 'pprox');
const writers = cluster.writers.map((server) => server.dsn('postgres'));
const reader = cluster.replica.dsn('postgres');

/** Runs it to its end, with nothing of ours in its environment. */
async function run(args: readonly string[], env: Readonly<Record<string, string | undefined>>) {
  const child = startNode(pprox, args, { env: { PROXY_ADDR: '127.0.0.1:0', ...env } });
  const status = await child.ended;
  return { status, output: child.output() };
}

test('check tells what every server is, and that they can be used', async () => {
  const { status, output } = await run(['check'], { PG_WRITERS_CSV: writers.join(','), PG_READER_DSN: reader });
  assert.equal(status, 0, output);
  assert.match(output, new RegExp(`lead +127.0.0.1:${cluster.w1.port}/postgres +18\\.\\d+ +primary`));
  assert.match(output, new RegExp(`follower +127.0.0.1:${cluster.w2.port}/postgres +18\\.\\d+ +primary`));
  assert.match(
    output,
    new RegExp(`reader +127.0.0.1:${cluster.replica.port}/postgres +18\\.\\d+ +standby +standby of the lead`),
  );
  assert.match(output, /verdict: usable\n$/);
});

test('check warns where writers are set up otherwise, and says which reader is no standby', async () => {
  await sql(cluster.w2, "ALTER SYSTEM SET TimeZone = 'Asia/Tokyo'");
  await sql(cluster.w2, 'SELECT pg_reload_conf()');
  const other = await startTestCluster({ writers: 1, reader: false });
  const env = { PG_WRITERS_CSV: writers.join(','), PG_READER_DSN: other.w1.dsn('postgres') };
  const { status, output } = await run(['check'], env);
  assert.equal(status, 0, output);
  assert.match(output, /warning: follower .* has TimeZone = 'Asia\/Tokyo'/);
  assert.match(output, /warning: the reader is no standby of a writer/);
  assert.match(output, /verdict: usable, with warnings\n$/);
});

test('check fails, and names what is wrong, where a server cannot be a writer', async () => {
  const nobody = 'postgresql://postgres:secret@127.0.0.1:1/postgres';
  const down = await run(['check'], { PG_WRITERS_CSV: `${writers[0]},${nobody}` });
  assert.equal(down.status, 1, down.output);
  assert.match(down.output, /error: follower 127\.0\.0\.1:1\/postgres: .*ECONNREFUSED/);
  assert.doesNotMatch(down.output, /secret/);
  const standby = await run(['check'], { PG_WRITERS_CSV: `${writers[0]},${reader}` });
  assert.equal(standby.status, 1, standby.output);
  assert.match(standby.output, /is in recovery: a standby cannot be a writer/);
});

test('mistakes in the configuration are told all at once, and end the start', async () => {
  const { status, output } = await run([], {
    PROXY_ADDR: 'nowhere',
    PG_WRITERS_CSV: 'postgresql://app:pass-word@db.example/shop?gssencmode=require',
    PPROX_POOL_SIZE: 'many',
  });
  assert.equal(status, 78, output);
  for (const variable of ['PROXY_ADDR', 'PG_WRITERS_CSV', 'PPROX_POOL_SIZE'])
    assert.match(output, new RegExp(`^${variable}: `, 'm'));
  assert.doesNotMatch(output, /pass-word/);
});

const HANGS = { timeout: 60_000 };

test('the proxy alone serves clients, and SIGTERM ends it cleanly', async () => {
  const env = { PROXY_ADDR: '127.0.0.1:0', PG_WRITERS_CSV: writers.join(','), PG_READER_DSN: reader };
  const child = startNode(pprox, [], { env });
  const port = Number(/"address":"127\.0\.0\.1:(\d+)"/.exec(await child.says('"ready"'))?.[1]);
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' });
  client.on('error', () => undefined); // the proxy says goodbye
  await client.connect();
  await client.query('CREATE TABLE served (id int PRIMARY KEY)');
  assert.deepEqual(await sql(cluster.w2, "SELECT to_regclass('served')::text AS name"), [{ name: 'served' }]);
  child.process.kill('SIGTERM');
  assert.equal(await child.ended, 0);
  assert.match(child.output(), /"stopped"/);
});

test('the proxy started twice on one address: the second says so and ends, and the first serves', HANGS, async () => {
  const env = { PG_WRITERS_CSV: writers.join(','), PG_READER_DSN: reader };
  const first = startNode(pprox, [], { env: { ...env, PROXY_ADDR: '127.0.0.1:0' } });
  const port = Number(/"address":"127\.0\.0\.1:(\d+)"/.exec(await first.says('"ready"'))?.[1]);
  const second = startNode(pprox, [], { env: { ...env, PROXY_ADDR: `127.0.0.1:${port}` } });
  assert.equal(await second.ended, 1);
  assert.match(
    second.output(),
    new RegExp(`^pprox: cannot listen on 127\\.0\\.0\\.1:${port}: .*the address is in use; stop what uses it`, 'm'),
  );
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' });
  await client.connect();
  await client.query('CREATE TABLE still_served (id int PRIMARY KEY)');
  await client.end();
});
