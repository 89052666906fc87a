import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startCluster } from '../../src/embedded/cluster.ts';
import { isOwnershipFile } from '../../src/embedded/ownership.ts';
import { identify, isAlive } from '../../src/embedded/process-identity.ts';
import { type Child, startNode } from '../support/child.ts';
import { dump, freeze, sql, startTestCluster, thaw, withConnection } from '../support/cluster.ts';

/** Removed after every test of the file, when no cluster uses them any more. */
const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

const quick = { writers: 2, reader: true, durability: 'none' } as const;

test('the writers are independent systems, and the reader is a replica of the first', async () => {
  const { w1, w2, replica } = await startTestCluster();
  const identifier = 'SELECT system_identifier::text AS id, pg_is_in_recovery() AS standby FROM pg_control_system()';
  const [first] = await sql(w1, identifier);
  const [second] = await sql(w2, identifier);
  const [third] = await sql(replica, identifier);
  assert.notEqual(first?.['id'], second?.['id']);
  assert.equal(first?.['id'], third?.['id']);
  assert.deepEqual([first?.['standby'], second?.['standby'], third?.['standby']], [false, false, true]);

  await sql(w1, 'CREATE TABLE t (id int PRIMARY KEY, note text); INSERT INTO t VALUES (1, $$a$$), (2, $$b$$)');
  await until(async () => (await dump(replica)) === (await dump(w1)));
  assert.notEqual(await dump(w2), await dump(w1));
});

test('a server that was stopped or killed starts again on its port, with its data', async () => {
  const { w1, w2, replica } = await startTestCluster();
  const port = w2.port;
  await sql(w2, 'CREATE TABLE t (id int); INSERT INTO t VALUES (1)');
  await w2.stop('fast');
  assert.equal(w2.pid, undefined);
  await assert.rejects(sql(w2, 'SELECT 1'), { code: 'ECONNREFUSED' });
  await w2.start();
  assert.equal(w2.port, port);
  await sql(w2, 'INSERT INTO t VALUES (2)');
  w2.kill('SIGKILL');
  await w2.stop('immediate');
  await w2.start();
  assert.deepEqual(await sql(w2, 'SELECT id FROM t ORDER BY id'), [{ id: 1 }, { id: 2 }]);

  await replica.stop('immediate');
  await sql(w1, 'CREATE TABLE missed ()');
  await replica.start();
  await until(async () => (await dump(replica)) === (await dump(w1)));
});

test('older majors run, beside newer ones too, each with settings and access rules of its own', async () => {
  const { w1, w2, replica } = await startTestCluster({
    major: 15,
    settings: { work_mem: '3MB' },
    overrides: {
      w2: { major: 14, settings: { work_mem: '5MB' }, hba: ['host all guarded 127.0.0.1/32 scram-sha-256'] },
    },
  });
  assert.deepEqual([w1.major, w2.major, replica.major], [15, 14, 15]);
  for (const [server, version, memory] of [
    [w1, '15.', '3MB'],
    [w2, '14.', '5MB'],
    [replica, '15.', '3MB'],
  ] as const) {
    const [row] = await sql(
      server,
      "SELECT current_setting('server_version') AS version, current_setting('work_mem') AS memory",
    );
    assert.ok(String(row?.['version']).startsWith(version));
    assert.equal(row?.['memory'], memory);
  }
  await sql(w1, "CREATE ROLE guarded LOGIN PASSWORD 'secret'");
  await sql(w2, "CREATE ROLE guarded LOGIN PASSWORD 'secret'");
  await connectGuarded(w1.port, 'wrong');
  await connectGuarded(w2.port, 'secret');
  await assert.rejects(connectGuarded(w2.port, 'wrong'), { code: '28P01' });
});

test('a server starts though the pid in its lock files is that of another server by now', async () => {
  const { w1, w2 } = await startTestCluster({ reader: false });
  w1.kill('SIGKILL');
  await w1.stop('immediate');
  for (const name of ['postmaster.pid', `.s.PGSQL.${w1.port}.lock`]) {
    const file = join(w1.dataDirectory, name);
    const [, ...rest] = readFileSync(file, 'utf8').split('\n');
    writeFileSync(file, [w2.pid, ...rest].join('\n'));
  }
  await w1.start();
  assert.equal((await sql(w1, 'SELECT 1')).length, 1);
});

test('a frozen server holds its connections and answers nothing until it is thawed', async () => {
  const { w1, w2 } = await startTestCluster({ reader: false });
  await withConnection(w2, undefined, async (client) => {
    freeze(w2);
    let answered = false;
    const answer = client.query('SELECT 1').then(() => {
      answered = true;
    });
    for (let round = 0; round < 10; round += 1) await sql(w1, 'SELECT 1'); // another server is not held up
    assert.ok(!answered);
    thaw(w2);
    await answer;
  });
  freeze(w2); // for the clean-up after the test
});

describe('the data folder', () => {
  test('keeps data and ports from one start to the next', async () => {
    const directory = join(temporary(), 'new', 'folder');
    const first = await startCluster({ ...quick, directory });
    const [w1, w2] = first.writers;
    assert.ok(w1 && w2);
    await sql(w1, 'CREATE TABLE kept AS SELECT 1 AS id');
    await first.stop();
    const second = await startCluster({ ...quick, directory });
    after(() => second.stop('immediate'));
    assert.deepEqual(
      second.writers.map((server) => server.port),
      [w1.port, w2.port],
    );
    assert.ok(second.reader && second.writers[0]);
    await sql(second.writers[0], 'INSERT INTO kept VALUES (2)');
    const { reader } = second;
    await until(async () => (await sql(reader, 'TABLE kept')).length === 2);
  });

  test('is refused to a second run while the first one lives, which goes on undisturbed', async () => {
    const directory = temporary();
    const cluster = await startCluster({ ...quick, directory });
    after(() => cluster.stop('immediate'));
    await assert.rejects(startCluster({ ...quick, directory }), {
      name: 'EmbeddedFailure',
      message: `A cluster already runs in ${directory} (process ${process.pid}). Stop that one first, or name another folder.`,
    });
    assert.ok(cluster.reader);
    assert.equal((await sql(cluster.reader, 'SELECT 1 AS one')).length, 1);
  });

  test('is refused when it holds other files, or a cluster of other servers', async () => {
    const directory = temporary();
    writeFileSync(join(directory, 'thesis.txt'), 'precious');
    await assert.rejects(startCluster({ ...quick, directory }), /holds other files \(thesis\.txt\)/);
    assert.ok(existsSync(join(directory, 'thesis.txt')));

    const other = temporary();
    const cluster = await startCluster({ writers: 1, reader: false, durability: 'none', directory: other });
    await cluster.stop();
    await assert.rejects(
      startCluster({ ...quick, directory: other }),
      /holds a cluster of other servers \(w1: 18\) than asked for/,
    );
  });

  test('is made anew when a run was killed while it initialised it', async () => {
    const directory = temporary();
    mkdirSync(join(directory, 'w1'));
    writeFileSync(join(directory, 'w1', 'PG_VERSION'), '18\n');
    const members = [{ name: 'w1', major: 18 }];
    writeFileSync(join(directory, 'cluster.json'), JSON.stringify({ state: 'initialising', members, ports: [] }));
    const cluster = await startCluster({ writers: 1, reader: false, durability: 'none', directory });
    await cluster.stop();
  });
});

describe('after a run that was killed', () => {
  test('its servers are stopped by the next start in its folder, and its data is there', async () => {
    const directory = temporary();
    const killed = await runAndKill(directory);
    assert.deepEqual(killed.servers.map(isAlive), [true, true, true], 'servers outlive their owner');
    const lines: string[] = [];
    const cluster = await startCluster({ ...quick, directory, onProgress: (line) => lines.push(line) });
    after(() => cluster.stop('immediate'));
    assert.deepEqual(killed.servers.map(isAlive), [false, false, false]);
    assert.ok(lines.includes('stopped 3 server(s) of an earlier run that was killed'));
    assert.ok(cluster.writers[0]);
    assert.deepEqual(await sql(cluster.writers[0], 'TABLE survivor'), [{ id: 7 }]);
  });

  test('its temporary folder and servers are removed by any later start', async () => {
    const killed = await runAndKill(undefined);
    const cluster = await startCluster({ writers: 1, reader: false, durability: 'none' });
    after(() => cluster.stop('immediate'));
    // Another test's start may be the one that cleans, at this moment.
    await until(async () => !existsSync(killed.directory));
    assert.deepEqual(killed.servers.map(isAlive), [false, false, false]);
  });

  test('a process that has the pid of one of its servers by now is left alone', async () => {
    const bystander = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    after(() => bystander.kill('SIGKILL'));
    await once(bystander, 'spawn');
    const directory = temporary();
    const gone = { pid: bystander.pid, began: 'another time' };
    writeFileSync(
      join(directory, 'owner.1.json'),
      JSON.stringify({ owner: gone, servers: [{ name: 'w1', process: gone }] }),
    );
    const cluster = await startCluster({ writers: 1, reader: false, durability: 'none', directory });
    await cluster.stop();
    assert.equal(bystander.exitCode, null);
    assert.equal(bystander.signalCode, null);
  });
});

test('a start that is aborted ends its servers and gives the folder up', async () => {
  const directory = temporary();
  const abort = new AbortController();
  const reason = new Error('enough');
  const unexpected: string[] = [];
  const start = startCluster({
    ...quick,
    directory,
    signal: abort.signal,
    onProgress: (line) => {
      if (line.startsWith('starting')) setTimeout(() => abort.abort(reason), 30);
    },
    onServerExit: (server) => unexpected.push(server.name),
  });
  await assert.rejects(start, reason);
  assert.deepEqual(unexpected, []);
  assert.deepEqual(readdirSync(directory).filter(isOwnershipFile), []);
  const lines: string[] = [];
  const cluster = await startCluster({ ...quick, directory, onProgress: (line) => lines.push(line) });
  await cluster.stop();
  assert.deepEqual(lines, ['starting w1, w2, reader']);
});

test('a server that ends by itself is reported, one that was told to end is not', async () => {
  const ended: string[] = [];
  const cluster = await startTestCluster({ onServerExit: (server, how) => ended.push(`${server.name}: ${how}`) });
  await cluster.replica.stop('fast');
  assert.ok(cluster.w2.pid);
  process.kill(cluster.w2.pid, 'SIGKILL');
  await until(async () => cluster.w2.pid === undefined);
  assert.deepEqual(ended, ['w2: signal SIGKILL']);
});

async function connectGuarded(port: number, password: string): Promise<void> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'guarded', password, database: 'postgres' });
  await client.connect();
  await client.end();
}

/** A run in a process of its own, with a row in w1, killed by SIGKILL. */
async function runAndKill(directory: string | undefined): Promise<{
  readonly directory: string;
  readonly servers: readonly { readonly pid: number; readonly began: string | undefined }[];
}> {
  const program = fileURLToPath(new URL('../support/cluster-process.js', import.meta.url));
  const child: Child = startNode(program, directory === undefined ? [] : [directory]);
  const said: { directory: string; pids: number[]; dsn: string } = JSON.parse(await child.says('}\n'));
  const client = new pg.Client(said.dsn);
  client.on('error', () => undefined);
  await client.connect();
  await client.query('CREATE TABLE survivor AS SELECT 7 AS id');
  await client.end();
  const servers = said.pids.map((pid) => identify(pid)).filter((identity) => identity !== undefined);
  child.process.kill('SIGKILL');
  await child.ended;
  return { directory: said.directory, servers };
}

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pprox-test-'));
  folders.push(directory);
  chmodSync(directory, 0o711); // as root the servers' account passes through
  return directory;
}

/** The test runner's limit is the deadline. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await sleep(20);
}
