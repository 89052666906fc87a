import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { splitDsns } from '../../../src/config/dsn-list.ts';

const lists: readonly (readonly [string, readonly string[]])[] = [
  ['postgres://a/db', ['postgres://a/db']],
  ['postgres://a/db,postgresql://b/db', ['postgres://a/db', 'postgresql://b/db']],
  [' postgres://a/db ,\n  postgres://b/db ', ['postgres://a/db', 'postgres://b/db']],
  ['postgres://u:p,q@a/db,postgres://u:,@b/db', ['postgres://u:p,q@a/db', 'postgres://u:,@b/db']],
  ['postgres://u:p,,q@a/db,postgres://b', ['postgres://u:p,,q@a/db', 'postgres://b']],
  ['postgres://u:p,q=r@a,postgres://b', ['postgres://u:p,q=r@a', 'postgres://b']],
  ["postgres://u:it's,@a,postgres://u:'@b", ["postgres://u:it's,@a", "postgres://u:'@b"]],
  ['host=a user=u,host=b user=u', ['host=a user=u', 'host=b user=u']],
  ['host=a , user = u host=b', ['host=a', 'user = u host=b']],
  ['host=a password=p,q,host=b', ['host=a password=p,q', 'host=b']],
  ["host=a password='p,host=x',host=b", ["host=a password='p,host=x'", 'host=b']],
  ["host=a password = 'p\\',host=x,',host=b", ["host=a password = 'p\\',host=x,'", 'host=b']],
  ["host=a password=it's,host=b password=it's", ["host=a password=it's", "host=b password=it's"]],
  ['host=a,postgres://b', ['host=a', 'postgres://b']],
  ['postgres://a,host=b', ['postgres://a', 'host=b']],
  ['host=a,b', ['host=a,b']],
  ['postgres://a,b/db', ['postgres://a,b/db']],
  ['postgres://a/db,', ['postgres://a/db', '']],
  [',postgres://a/db', ['', 'postgres://a/db']],
  ['postgres://a, ,postgres://b', ['postgres://a', '', 'postgres://b']],
  [',', ['', '']],
  ['', ['']],
  ['a.example.com,b.example.com', ['a.example.com,b.example.com']],
];

suite('a list of DSNs', () => {
  for (const [text, dsns] of lists) {
    test(`is split where a comma is followed by a DSN: ${JSON.stringify(text)}`, () => {
      assert.deepEqual(splitDsns(text), dsns);
    });
  }

  test('comes apart into what it was joined from, with raw commas in the passwords', () => {
    const password = fc.stringMatching(/^[a-z0-9,:;!$*]{1,12}$/).filter((text) => !text.endsWith(','));
    const uri = password.map((text) => `postgresql://u:${text}@h:5432/db`);
    const keyValue = password.map((text) => `host=h password=${text} dbname=db`);
    const quoted = fc
      .string({ unit: 'grapheme-ascii' })
      .map((text) => `host=h password='${text.replaceAll(/['\\]/g, '\\$&')}'`);
    fc.assert(
      fc.property(fc.array(fc.oneof(uri, keyValue, quoted), { minLength: 1, maxLength: 4 }), (dsns) => {
        assert.deepEqual(splitDsns(dsns.join(',')), dsns);
        assert.deepEqual(splitDsns(dsns.join(' ,\n ')), dsns);
      }),
    );
  });
});
