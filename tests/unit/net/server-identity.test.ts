import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { alternativeNames, findNameMismatch, matchesName } from '../../../src/net/server-identity.ts';
import { Authority } from '../../support/certificates.ts';

const authority = await Authority.create('authority');

type Names = Parameters<Authority['issue']>[1];

async function certificate(subject: string, names: Names = []): Promise<X509Certificate> {
  return new X509Certificate((await authority.issue(subject, names)).pem);
}

describe('a name of a certificate', () => {
  const table: readonly (readonly [pattern: string, host: string, matches: boolean])[] = [
    ['db.example', 'db.example', true],
    ['DB.Example', 'db.eXAMPLE', true],
    ['db.example', 'db.example.', false],
    ['db.example', 'a.db.example', false],
    ['*.example', 'db.example', true],
    ['*.example', 'a.db.example', false],
    ['*.example', '.example', false],
    ['*.example', 'example', false],
    ['*.db.example', 'one.db.example', true],
    ['d*.example', 'db.example', false],
    ['*', 'db', false],
    ['*.', 'db.', false],
    ['*.0.0.1', '127.0.0.1', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['', '', true],
  ];
  for (const [pattern, host, matches] of table) {
    test(`"${pattern}" ${matches ? 'is' : 'is not'} that of "${host}"`, () => {
      assert.equal(matchesName(pattern, host), matches);
    });
  }
});

describe('a certificate', () => {
  test('is looked at by its common name where it has no other', async () => {
    const plain = await certificate('CN=db.example,O=nobody');
    assert.equal(findNameMismatch(plain, 'db.example'), undefined);
    assert.equal(
      findNameMismatch(plain, 'nobody'),
      'server certificate for "db.example" does not match host name "nobody"',
    );
  });

  test('is looked at by the first of several common names, as libpq does', async () => {
    const several = await certificate('CN=one.example,CN=two.example');
    assert.equal(findNameMismatch(several, 'one.example'), undefined);
    assert.notEqual(findNameMismatch(several, 'two.example'), undefined);
  });

  test('is not looked at by its common name where it has names of the kind that is asked for', async () => {
    const named = await certificate('CN=common', [{ type: 'dns', value: 'listed' }]);
    assert.equal(findNameMismatch(named, 'listed'), undefined);
    assert.equal(
      findNameMismatch(named, 'common'),
      'server certificate for "listed" does not match host name "common"',
    );
    const addressed = await certificate('CN=10.0.0.1', [{ type: 'ip', value: '10.0.0.2' }]);
    assert.equal(findNameMismatch(addressed, '10.0.0.2'), undefined);
    assert.notEqual(findNameMismatch(addressed, '10.0.0.1'), undefined);
    const other = await certificate('CN=10.0.0.1', [{ type: 'dns', value: 'listed' }]);
    assert.equal(findNameMismatch(other, '10.0.0.1'), undefined);
  });

  test('is looked at by addresses as numbers, whatever their spelling', async () => {
    const addressed = await certificate('CN=x', [
      { type: 'ip', value: '::1' },
      { type: 'ip', value: '192.0.2.7' },
    ]);
    for (const host of ['::1', '0:0:0:0:0:0:0:1', '192.0.2.7'])
      assert.equal(findNameMismatch(addressed, host), undefined);
    assert.match(
      findNameMismatch(addressed, '192.0.2.8') ?? '',
      /^server certificate for "[0:]+1" \(and 1 other name\) does not match host name "192\.0\.2\.8"$/,
    );
  });

  test('is nobody’s where it has no name that could be asked for', async () => {
    const none = await certificate('O=nobody', [{ type: 'email', value: 'a@db.example' }]);
    assert.equal(findNameMismatch(none, 'db.example'), "could not get server's host name from server certificate");
  });

  test('has no more names than it lists, whatever stands in one of them', async () => {
    const tricky = await certificate('CN=x', [
      { type: 'url', value: 'http://a/, DNS:db.example' },
      { type: 'dns', value: 'one", DNS:db.example' },
      { type: 'dns', value: 'last' },
    ]);
    assert.equal(alternativeNames(tricky.subjectAltName).length, 3, tricky.subjectAltName);
    assert.notEqual(findNameMismatch(tricky, 'db.example'), undefined);
    assert.equal(findNameMismatch(tricky, 'last'), undefined);
  });
});

test('names that do not read to their end are none', () => {
  for (const text of ['DNS:"unfinished', 'DNS:a, DNS', 'DNS:a"b, DNS:c', '1:2']) {
    assert.deepEqual(alternativeNames(text), [], text);
  }
  assert.deepEqual(alternativeNames(undefined), []);
});
