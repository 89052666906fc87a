import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { findPassword, type Login, readPassfile } from '../../../src/config/passfile.ts';

const login: Login = { host: 'h', port: 5432, database: 'db', user: 'u' };

const lookups: readonly (readonly [string, string, Partial<Login>, string | undefined])[] = [
  ['a line whose four fields fit', 'h:5432:db:u:p', {}, 'p'],
  ['the first of the lines that fit', 'x:*:*:*:no\n*:*:*:u:first\nh:5432:db:u:second', {}, 'first'],
  ['no line that differs in the port', 'h:5433:db:u:p', {}, undefined],
  ['no line that differs in the database', 'h:5432:dbx:u:p', {}, undefined],
  ['no comment', '#h:5432:db:u:p', {}, undefined],
  ['no line with too few fields', 'h:5432:db:p', {}, undefined],
  ['a password with colons and escapes', 'h:5432:db:u:a:b\\:c\\\\d', {}, 'a:b:c\\d'],
  ['fields with escaped colons', '\\:\\:1:5432:d\\:b:u:p', { host: '::1', database: 'd:b' }, 'p'],
  ['a line with Windows line ends', 'h:5432:db:u:p\r\n', {}, 'p'],
  ['localhost for the built-in folder of Unix sockets', 'localhost:5432:db:u:p', { host: '/var/run/postgresql' }, 'p'],
  ['the folder of another Unix socket', '/a:5432:db:u:p', { host: '/a' }, 'p'],
  ['a star, and nothing else, for the client’s own user', 'h:5432:db:u:no\nh:5432:db:*:p', { user: undefined }, 'p'],
  ['nothing where the password is empty', 'h:5432:db:u:', {}, undefined],
];

suite('a password file', () => {
  for (const [what, text, other, password] of lookups) {
    test(`gives the password of ${what}`, () => {
      assert.equal(findPassword(text, { ...login, ...other }), password);
    });
  }

  test('is read only where nobody else can read it', () => {
    const folder = mkdtempSync(join(tmpdir(), 'pprox-passfile-'));
    try {
      const path = join(folder, 'pgpass');
      assert.deepEqual(readPassfile(path), { kind: 'missing' });
      assert.deepEqual(readPassfile(folder), { kind: 'ignored', reason: 'is not a plain file' });
      writeFileSync(path, 'text');
      chmodSync(path, 0o640);
      assert.equal(readPassfile(path).kind, 'ignored');
      chmodSync(path, 0o600);
      assert.deepEqual(readPassfile(path), { kind: 'text', text: 'text' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
