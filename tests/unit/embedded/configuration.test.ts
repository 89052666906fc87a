import assert from 'node:assert/strict';
import { test } from 'node:test';
import { composeSettings, renderHba, renderSettings, socketDirectory } from '../../../src/embedded/configuration.ts';

const base = {
  dataDirectory: '/data/w1',
  hbaFile: '/data/w1.hba.conf',
  port: 25_000,
  durability: 'full',
  primary: undefined,
  extra: {},
} as const;

test("values are quoted, so that none ends its line or another's", () => {
  const text = renderSettings("/it's", { name: "a'b\\c\nd = 'e'" });
  assert.equal(
    text,
    "# Written at every start; use ALTER SYSTEM for settings of your own.\ninclude = '/it''s/postgresql.conf'\nname = 'a''b\\\\c\\nd = ''e'''\n",
  );
});

test('the settings of the caller win', () => {
  assert.equal(composeSettings(base)['max_prepared_transactions'], '100');
  const settings = composeSettings({ ...base, extra: { max_prepared_transactions: '0' } });
  assert.equal(settings['max_prepared_transactions'], '0');
});

test('only tests give up durability', () => {
  assert.equal(composeSettings(base)['fsync'], undefined);
  assert.equal(composeSettings({ ...base, durability: 'none' })['fsync'], 'off');
});

test("the caller's access rules come first, as the first match wins", () => {
  const lines = renderHba(['host all guarded 127.0.0.1/32 scram-sha-256']).split('\n');
  assert.ok(
    lines.indexOf('host all guarded 127.0.0.1/32 scram-sha-256') < lines.indexOf('host all all 127.0.0.1/32 trust'),
  );
});

test('a socket whose path would be longer than the system takes is left out', {
  skip: process.platform !== 'linux',
}, () => {
  const suffix = '/.s.PGSQL.25000'.length;
  const longest = `/${'x'.repeat(107 - suffix - 1)}`;
  assert.equal(socketDirectory(longest, 25_000), longest);
  assert.equal(socketDirectory(`${longest}x`, 25_000), undefined);
  assert.equal(socketDirectory(`${longest.slice(1)}é`, 25_000), undefined, 'bytes count, not characters');
  assert.equal(composeSettings({ ...base, dataDirectory: `${longest}x` })['unix_socket_directories'], '');
});
