import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { clientDsn } from '../../src/cli/demo.ts';
import { isOwnershipFile } from '../../src/embedded/ownership.ts';
import { freePorts } from '../../src/embedded/ports.ts';
import { type Child, startNode } from '../support/child.ts';

const program = fileURLToPath(new URL('../support/demo-process.js', import.meta.url));

test('the demo says its topology, a DSN and three statements, and stops cleanly on SIGTERM', async () => {
  const { demo, port } = await startDemo();
  const text = await demo.says('Ctrl-C stops everything.');
  assert.match(text, /w1 +writer, lead +127\.0\.0\.1:\d+/);
  assert.match(text, /w2 +writer +127\.0\.0\.1:\d+/);
  assert.match(text, /reader +reader, replica of w1 +127\.0\.0\.1:\d+/);
  assert.ok(text.includes(`psql 'postgresql://postgres@127.0.0.1:${port}/postgres'`));
  const data = /data and logs: (\S+) \(removed at the end/.exec(text)?.[1];
  assert.ok(data !== undefined && existsSync(data));
  demo.process.kill('SIGTERM');
  assert.equal(await demo.ended, 0);
  assert.ok(demo.output().endsWith('stopping\nstopped\n'));
  assert.ok(!existsSync(data), 'the temporary folder is gone');
});

test('a SIGINT that arrives twice, as npm makes it, stops the demo once and cleanly', async () => {
  const { demo } = await startDemo();
  await demo.says('Ctrl-C stops everything.');
  demo.process.kill('SIGINT');
  await sleep(5);
  demo.process.kill('SIGINT');
  assert.equal(await demo.ended, 0);
  assert.equal(demo.output().split('stopping\n').length, 2);
});

test('a second signal a moment later ends the wait for a proxy that does not stop', async () => {
  const { demo } = await startDemo(undefined, { STUCK: 'yes' });
  await demo.says('Ctrl-C stops everything.');
  demo.process.kill('SIGINT');
  await demo.says('stopping\n');
  await sleep(1_100); // sooner, it counts as an echo of the first
  demo.process.kill('SIGINT');
  assert.equal(await demo.ended, 0);
  assert.ok(demo.output().endsWith('stopped\n'));
});

test('a reader of its output that goes away does not end the demo', async () => {
  const { demo } = await startDemo();
  await demo.says('pprox demo');
  demo.process.stdout?.destroy();
  await sleep(3_000); // it writes more meanwhile
  assert.equal(demo.process.exitCode, null);
  demo.process.kill('SIGTERM');
  assert.equal(await demo.ended, 0);
});

test('a signal while the servers start ends the start', async () => {
  const { demo } = await startDemo();
  await demo.says('initialising');
  demo.process.kill('SIGINT');
  assert.equal(await demo.ended, 0);
  assert.ok(demo.output().endsWith('stopped before it was up\n'));
});

test('a port that is taken is said before any server starts', async () => {
  const holder = createServer().listen({ host: '127.0.0.1', port: 0 });
  after(() => holder.close());
  await once(holder, 'listening');
  const address = holder.address();
  assert.ok(typeof address === 'object' && address !== null);
  const directory = temporary();
  const demo = startNode(program, [String(address.port), directory]);
  assert.equal(await demo.ended, 1);
  assert.equal(
    demo.output(),
    `pprox: 127.0.0.1:${address.port} is in use, perhaps by another pprox. Stop that program, or set PROXY_ADDR to another address.\n`,
  );
  assert.deepEqual(readdirSync(directory), []);
});

test('a second demo in the same data folder is refused with exit status 1', async () => {
  const directory = temporary();
  const { demo } = await startDemo(directory);
  await demo.says('Ctrl-C stops everything.');
  const second = (await startDemo(directory)).demo;
  assert.equal(await second.ended, 1);
  assert.ok(second.output().includes(`A cluster already runs in ${directory} (process ${demo.process.pid}).`));
  demo.process.kill('SIGTERM');
  assert.equal(await demo.ended, 0);
  assert.deepEqual(readdirSync(directory).filter(isOwnershipFile), []);
  assert.ok(existsSync(join(directory, 'w1', 'PG_VERSION')), 'a folder that was named is kept');
});

test('the DSN to connect with is one that a client on this machine can use', () => {
  const cases = {
    '127.0.0.1:54329': 'postgresql://postgres@127.0.0.1:54329/postgres',
    '0.0.0.0:5': 'postgresql://postgres@127.0.0.1:5/postgres',
    '*:5': 'postgresql://postgres@127.0.0.1:5/postgres',
    '[::]:5': 'postgresql://postgres@127.0.0.1:5/postgres',
    '[::1]:5, 127.0.0.1:5': 'postgresql://postgres@[::1]:5/postgres',
    'db.example:5': 'postgresql://postgres@db.example:5/postgres',
    '/run/pg/.s.PGSQL.6000': 'postgresql://postgres@/postgres?host=%2Frun%2Fpg&port=6000',
  };
  for (const [address, dsn] of Object.entries(cases)) assert.equal(clientDsn(address), dsn);
});

async function startDemo(
  directory?: string,
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly demo: Child; readonly port: number }> {
  const [port = 0] = await freePorts(1);
  return { demo: startNode(program, [String(port), ...(directory === undefined ? [] : [directory])], { env }), port };
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
