import assert from 'node:assert/strict';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { cachedTree, userFolder } from '../../../src/embedded/cache.ts';

const original = tmpdir();
const made: string[] = [];

/** The cache is found through TMPDIR: each test has one of its own. */
beforeEach(() => {
  const directory = mkdtempSync(join(original, 'pprox-test-'));
  made.push(directory);
  process.env['TMPDIR'] = directory;
});

after(() => {
  for (const directory of made) rmSync(directory, { recursive: true, force: true });
});

test('a tree is built once and found by the next call', async () => {
  let builds = 0;
  const build = async (directory: string): Promise<void> => {
    builds += 1;
    writeFileSync(join(directory, 'file'), 'content');
  };
  const first = await cachedTree('tree', build);
  assert.equal(await cachedTree('tree', build), first);
  assert.equal(readFileSync(join(first, 'file'), 'utf8'), 'content');
  assert.equal(builds, 1);
});

test('a tree that lost a file, or was never finished, is built anew', async () => {
  const build = async (directory: string): Promise<void> => {
    mkdirSync(join(directory, 'sub'));
    writeFileSync(join(directory, 'sub', 'one'), '1');
    writeFileSync(join(directory, 'sub', 'two'), '2');
  };
  const tree = await cachedTree('tree', build);
  unlinkSync(join(tree, 'sub', 'two'));
  await cachedTree('tree', build);
  assert.equal(readFileSync(join(tree, 'sub', 'two'), 'utf8'), '2');
  unlinkSync(join(tree, '..', 'complete.json'));
  writeFileSync(join(tree, 'sub', 'three'), 'foreign');
  await cachedTree('tree', build);
  assert.deepEqual(readdirSync(join(tree, 'sub')), ['one', 'two']);
});

test('of several builds at once one is kept, and none is left over', async () => {
  let builds = 0;
  const trees = await Promise.all(
    Array.from({ length: 5 }, () =>
      cachedTree('tree', async (directory) => {
        builds += 1;
        await new Promise(setImmediate);
        writeFileSync(join(directory, 'file'), 'content');
      }),
    ),
  );
  assert.equal(builds, 5);
  assert.equal(new Set(trees).size, 1);
  assert.deepEqual(readdirSync(userFolder('cache')), ['tree']);
});

test('a build that fails leaves nothing, and the next one succeeds', async () => {
  const failing = cachedTree('tree', async () => {
    throw new Error('disk full');
  });
  await assert.rejects(failing, /disk full/);
  assert.deepEqual(readdirSync(userFolder('cache')), []);
  await cachedTree('tree', async (directory) => writeFileSync(join(directory, 'file'), ''));
});

test('what a process that died was building is removed', async () => {
  const cache = userFolder('cache');
  const abandoned = join(cache, '.building-4194304-abc'); // above the highest pid of Linux
  mkdirSync(abandoned);
  await cachedTree('tree', async (directory) => writeFileSync(join(directory, 'file'), ''));
  assert.deepEqual(readdirSync(cache), ['tree']);
});

test('a folder that others may write to is not trusted', { skip: process.platform === 'win32' }, () => {
  const cache = userFolder('cache');
  chmodSync(join(cache, '..'), 0o777);
  assert.throws(() => userFolder('cache'), /is not a folder that only you can write to/);
});
