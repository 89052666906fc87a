import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { claim, ownerOf } from '../../../src/embedded/ownership.ts';
import { fateOf, identify, isAlive } from '../../../src/embedded/process-identity.ts';

const directories: string[] = [];
after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

function folder(): string {
  const directory = mkdtempSync(join(tmpdir(), 'pprox-test-'));
  directories.push(directory);
  return directory;
}

const dead = { pid: process.pid, began: 'before this process' };

test('a claim holds until it is released', () => {
  const directory = folder();
  assert.equal(ownerOf(directory), 'unclaimed');
  const ownership = claim(directory);
  assert.equal(ownerOf(directory), 'alive');
  assert.throws(() => claim(directory), /A cluster already runs in .* \(process \d+\)/);
  ownership.release();
  assert.deepEqual(readdirSync(directory), []);
  claim(directory).release();
});

test('a claim of a dead process is taken over, with the servers that it recorded', () => {
  const directory = folder();
  const servers = [{ name: 'w1', process: { pid: 7, began: 'x' } }];
  writeFileSync(join(directory, 'owner.3.json'), JSON.stringify({ owner: dead, servers }));
  assert.equal(ownerOf(directory), 'dead');
  const ownership = claim(directory);
  assert.deepEqual(ownership.leftovers, servers);
  assert.deepEqual(readdirSync(directory), ['owner.4.json'], 'the number goes up, so that an older view cannot win');
  ownership.release();
});

test('the servers of a dead process stay on record until the next owner has dealt with them', () => {
  const directory = folder();
  const servers = [{ name: 'w1', process: { pid: 7, began: 'x' } }];
  writeFileSync(join(directory, 'owner.1.json'), JSON.stringify({ owner: dead, servers }));
  claim(directory);
  // As if this process had been killed right after the claim:
  writeFileSync(join(directory, 'owner.3.json'), JSON.stringify({ owner: dead, servers: [] }));
  rmSync(join(directory, 'owner.2.json'));
  writeFileSync(join(directory, 'owner.2.json'), JSON.stringify({ owner: dead, servers }));
  assert.deepEqual(claim(directory).leftovers, servers);
});

test('of many processes that claim a folder at once, one gets it', async () => {
  const directory = folder();
  writeFileSync(join(directory, 'owner.1.json'), JSON.stringify({ owner: dead, servers: [] }));
  const module = new URL('../../../src/embedded/ownership.js', import.meta.url);
  // Each says what it got, and lives on, so that a later claim finds it alive.
  const program = `
    import { claim } from ${JSON.stringify(module.href)};
    try { claim(${JSON.stringify(directory)}); console.log('mine'); }
    catch (error) { console.log(error.message.startsWith('A cluster already runs') ? 'refused' : error.stack); }
    process.stdin.resume().on('end', () => process.exit());`;
  const children = Array.from({ length: 6 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
  after(() => children.forEach((child) => child.kill()));
  const answers = await Promise.all(
    children.map(async (child) => String((await once(child.stdout, 'data'))[0]).trim()),
  );
  assert.deepEqual(answers.toSorted(), ['mine', ...Array.from({ length: 5 }, () => 'refused')]);
  for (const child of children) child.stdin.end();
});

test('a process of another container is neither alive nor dead', { skip: process.platform !== 'linux' }, () => {
  const self = identify(process.pid);
  assert.ok(self?.began !== undefined);
  const [boot, , start] = self.began.split('/');
  assert.equal(fateOf(self), 'alive');
  assert.equal(fateOf({ pid: 1, began: `${boot}/pid:[1]/${start}` }), 'unknown');
  assert.equal(fateOf({ pid: 1, began: `another boot/pid:[1]/${start}` }), 'dead');
  const directory = folder();
  const foreign = { pid: 1, began: `${boot}/pid:[1]/${start}` };
  writeFileSync(join(directory, 'owner.1.json'), JSON.stringify({ owner: foreign, servers: [] }));
  assert.equal(ownerOf(directory), 'unknown');
  claim(directory).release();
});

test('a process is told from a later one with its number, and from its unreaped remains', async () => {
  const self = identify(process.pid);
  assert.ok(self !== undefined && isAlive(self));
  assert.ok(!isAlive({ pid: process.pid, began: 'another moment' }));
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'spawn');
  const identity = identify(child.pid ?? 0);
  await once(child, 'close');
  assert.ok(identity !== undefined && !isAlive(identity));
});
