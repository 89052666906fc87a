import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { formatAddress, isLocal, parseAddress } from '../../../src/config/address.ts';
import type { ListenAddress } from '../../../src/config/config.ts';

const folders = ['/run/pprox'];
const parse = (text: string) => parseAddress(text, (path) => folders.includes(path));

const good: readonly (readonly [string, ListenAddress, string, 'local' | 'public'])[] = [
  [':54329', { kind: 'tcp', host: undefined, port: 54329 }, '*:54329', 'public'],
  ['*:5432', { kind: 'tcp', host: undefined, port: 5432 }, '*:5432', 'public'],
  [':0', { kind: 'tcp', host: undefined, port: 0 }, '*:0', 'public'],
  ['0.0.0.0:1', { kind: 'tcp', host: '0.0.0.0', port: 1 }, '0.0.0.0:1', 'public'],
  ['[::]:1', { kind: 'tcp', host: '::', port: 1 }, '[::]:1', 'public'],
  ['db.example.com:1', { kind: 'tcp', host: 'db.example.com', port: 1 }, 'db.example.com:1', 'public'],
  ['127.0.0.1:65535', { kind: 'tcp', host: '127.0.0.1', port: 65535 }, '127.0.0.1:65535', 'local'],
  ['127.1.2.3:1', { kind: 'tcp', host: '127.1.2.3', port: 1 }, '127.1.2.3:1', 'local'],
  ['[::1]:54329', { kind: 'tcp', host: '::1', port: 54329 }, '[::1]:54329', 'local'],
  ['localhost:1', { kind: 'tcp', host: 'localhost', port: 1 }, 'localhost:1', 'local'],
  ['127.example.com:1', { kind: 'tcp', host: '127.example.com', port: 1 }, '127.example.com:1', 'public'],
  ['/tmp/a.sock', { kind: 'unix', path: '/tmp/a.sock' }, '/tmp/a.sock', 'local'],
  ['/run/pprox', { kind: 'unix', path: '/run/pprox/.s.PGSQL.54329' }, '/run/pprox/.s.PGSQL.54329', 'local'],
  ['/run/new/', { kind: 'unix', path: '/run/new/.s.PGSQL.54329' }, '/run/new/.s.PGSQL.54329', 'local'],
];

const bad: readonly (readonly [string, string])[] = [
  ['54329', 'a port is written with a colon before it'],
  ['localhost', 'has no port'],
  ['localhost:', 'the port must be 0 to 65535'],
  ['localhost:65536', 'the port must be 0 to 65535'],
  ['localhost:pg', 'is not an address'],
  ['localhost:-1', 'is not an address'],
  ['::1:5432', 'an IPv6 address is written in brackets, with a port'],
  ['::1', 'an IPv6 address is written in brackets, with a port'],
  ['[::1]', 'an IPv6 address is written in brackets, with a port'],
  ['[localhost]:1', 'the brackets do not hold an IPv6 address'],
  ['1.2.3:1', 'the host is neither a host name nor an address'],
  ['a b:1', 'the host is neither a host name nor an address'],
  ['u@h:1', 'the host is neither a host name nor an address'],
  ['./a.sock', 'the path of a Unix socket must be absolute'],
  ['../a.sock', 'the path of a Unix socket must be absolute'],
  ['postgres://u:p@h/db', 'is an address to listen on, not a DSN'],
  [`/${'a'.repeat(103)}`, 'the path of a Unix socket can have 103 bytes at most'],
  [`/${'a'.repeat(90)}/`, 'the path of a Unix socket can have 103 bytes at most'],
];

suite('the address to listen on', () => {
  for (const [text, address, formatted, reach] of good) {
    test(`can be ${text}, which is ${reach}`, () => {
      assert.deepEqual(parse(text), { kind: 'address', address });
      assert.equal(formatAddress(address), formatted);
      assert.equal(isLocal(address) ? 'local' : 'public', reach);
    });
  }

  for (const [text, message] of bad) {
    test(`cannot be ${text}: ${message}`, () => {
      const result = parse(text);
      assert(result.kind === 'invalid');
      assert.equal(result.message, message);
      assert.notEqual(result.hint, undefined);
    });
  }
});
