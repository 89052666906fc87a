import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import pg from 'pg';
import { freePorts } from '../../src/embedded/ports.ts';
import { type Child, start, startNode } from '../support/child.ts';
import { root } from '../support/repository.ts';

const program = join(root, 'bin', 'pprox');

/** Set to nothing: neither the caller's servers nor those of a .env file in the repository. */
const noServers = { PG_WRITERS_CSV: '', PG_READER_DSN: '', PPROX_DATA_DIR: '' };

test('npm start brings up servers and proxy, and SIGTERM to npm stops all of it with status 0', async () => {
  const { child, port } = await npmStart();
  const text = await child.says('Ctrl-C stops everything.');
  const ports = Object.fromEntries(
    [...text.matchAll(/^ +(w1|w2|reader) .*:(\d+)$/gm)].map(([, name = '', digits]) => [name, Number(digits)]),
  );
  await query(port, 'CREATE TABLE greeting (id serial PRIMARY KEY, words text)');
  assert.deepEqual(await query(port, "INSERT INTO greeting (words) VALUES ('hello') RETURNING id, words"), [
    { id: 1, words: 'hello' },
  ]);
  for (const server of ['w1', 'w2']) {
    assert.deepEqual(await query(ports[server] ?? 0, 'TABLE greeting'), [{ id: 1, words: 'hello' }], server);
  }
  const schema = "SELECT to_regnamespace('pprox') IS NOT NULL AS there";
  assert.deepEqual(await query(ports['w1'] ?? 0, schema), [{ there: true }], 'the lead is ready for two-phase commit');
  assert.deepEqual(await query(ports['w2'] ?? 0, schema), [{ there: false }]);
  assert.deepEqual(await query(port, '/* pprox: reader */ SELECT inet_server_port() AS port'), [
    { port: ports['reader'] },
  ]);

  const data = /data and logs: (\S+) /.exec(text)?.[1] ?? '';
  child.process.kill('SIGTERM');
  assert.equal(await child.ended, 0);
  assert.ok(!existsSync(data));
  assert.doesNotMatch(child.output(), /npm (error|ERR!)/);
  await assert.rejects(query(ports['w1'] ?? 0, 'SELECT 1'), { code: 'ECONNREFUSED' });
});

test('bin/pprox works from any folder, through a link, and says that its port is taken before any server starts', async () => {
  const holder = createServer().listen({ host: '127.0.0.1', port: 0 });
  after(() => holder.close());
  await once(holder, 'listening');
  const address = holder.address();
  assert.ok(typeof address === 'object' && address !== null);
  const folder = temporary();
  const link = join(folder, 'linked');
  symlinkSync(program, link);
  const data = join(folder, 'data');
  const env = { ...noServers, PROXY_ADDR: `127.0.0.1:${address.port}`, PPROX_DATA_DIR: data };
  const child = start(link, [], { cwd: folder, env });
  assert.equal(await child.ended, 1);
  assert.match(child.output(), new RegExp(`^pprox: 127\\.0\\.0\\.1:${address.port} is in use`));
  assert.deepEqual(readdirSync(folder), ['linked'], 'no data folder was made');
});

test('a run that was killed is cleaned up by the next start in the same folder, which has its data', async () => {
  const folder = temporary();
  const [port = 0] = await freePorts(1);
  const env = { ...noServers, PROXY_ADDR: `127.0.0.1:${port}`, PPROX_DATA_DIR: join(folder, 'data') };
  const killed = startNode(program, [], { cwd: folder, env });
  await killed.says('Ctrl-C stops everything.');
  await query(port, 'CREATE TABLE kept AS SELECT 1 AS id');
  killed.process.kill('SIGKILL');
  assert.equal(await killed.ended, 'SIGKILL');

  const next = startNode(program, [], { cwd: folder, env });
  const text = await next.says('Ctrl-C stops everything.');
  assert.match(text, /stopped 3 server\(s\) of an earlier run that was killed/);
  assert.deepEqual(await query(port, 'TABLE kept'), [{ id: 1 }]);
  next.process.kill('SIGINT');
  assert.equal(await next.ended, 0);
});

async function npmStart(): Promise<{ readonly child: Child; readonly port: number }> {
  const [port = 0] = await freePorts(1);
  const env = { ...noServers, PROXY_ADDR: `127.0.0.1:${port}` };
  const npm = process.env['npm_execpath']; // set when npm runs these tests
  const child =
    npm === undefined ? start('npm', ['start'], { cwd: root, env }) : startNode(npm, ['start'], { cwd: root, env });
  return { child, port };
}

async function query(port: number, text: string): Promise<readonly unknown[]> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' });
  client.on('error', () => undefined);
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pprox-test-'));
  folders.push(directory);
  chmodSync(directory, 0o711); // as root the servers' account passes through
  return directory;
}
