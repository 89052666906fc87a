import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { md5Response } from '../../../src/auth/md5.ts';
import { ScramError, type ScramState, scramFinal, scramFirst, scramVerify } from '../../../src/auth/scram.ts';

/** RFC 7677, section 3. */
const vector = {
  nonce: 'rOprNGfwEbeRWgbNEkqO',
  clientFirstBare: 'n=user,r=rOprNGfwEbeRWgbNEkqO',
  serverFirst: 'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
  clientFinal:
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  serverFinal: 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
};

const first: ScramState & { kind: 'first sent' } = {
  kind: 'first sent',
  nonce: vector.nonce,
  clientFirstBare: vector.clientFirstBare,
  bound: Buffer.from('n,,'),
  message: `n,,${vector.clientFirstBare}`,
};

describe('SCRAM-SHA-256 as a client', () => {
  test('says what RFC 7677 says, and accepts its server', () => {
    const final = scramFinal(first, vector.serverFirst, 'pencil');
    assert.equal(final.message, vector.clientFinal);
    assert.deepEqual(scramVerify(final, vector.serverFinal), { kind: 'verified' });
  });

  test('refuses a server that does not know the password', () => {
    const final = scramFinal(first, vector.serverFirst, 'pencil');
    const tampered = [
      'v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
      'v=',
      '',
      'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5n',
      'e=invalid-proof',
    ];
    for (const message of tampered) assert.throws(() => scramVerify(final, message), ScramError, message);
  });

  test('refuses a server that does not continue the nonce, or that sends no usable salt or count', () => {
    const good = { r: `${vector.nonce}more`, s: 'W22ZaJ0SNY7soEsUEjb6gQ==', i: '4096' };
    const bad = [
      { ...good, r: 'another' },
      { ...good, r: vector.nonce },
      { ...good, i: '0' },
      { ...good, i: '-1' },
      { ...good, i: 'many' },
      { ...good, i: '1000000000' },
    ];
    for (const { r, s, i } of bad) {
      assert.throws(() => scramFinal(first, `r=${r},s=${s},i=${i}`, 'pencil'), ScramError, `${r} ${i}`);
    }
    assert.throws(() => scramFinal(first, `r=${good.r},i=4096`, 'pencil'), ScramError);
    assert.equal(scramFinal(first, `r=${good.r},s=${good.s},i=${good.i}`, 'pencil').kind, 'final sent');
  });

  test('begins with a nonce of its own each time, and no channel binding', () => {
    const [a, b] = [scramFirst(), scramFirst()];
    assert.notEqual(a.nonce, b.nonce);
    assert.ok(a.nonce.length >= 24 && !a.nonce.includes(','));
    assert.equal(a.message, `n,,n=,r=${a.nonce}`);
  });

  test('says that it would have bound itself to the channel where that was not offered', () => {
    const state = scramFirst({ kind: 'not offered' }, 'abc');
    assert.equal(state.message, 'y,,n=,r=abc');
    assert.match(scramFinal(state, 'r=abcdef,s=eA==,i=1', 'pencil').message, /^c=eSws,r=abcdef,p=/);
  });

  test('binds itself to the hash of the certificate', () => {
    const state = scramFirst({ kind: 'tls-server-end-point', hash: Buffer.from([0xff, 0]) }, 'abc');
    assert.equal(state.message, 'p=tls-server-end-point,,n=,r=abc');
    const bound = Buffer.concat([Buffer.from('p=tls-server-end-point,,'), Buffer.from([0xff, 0])]).toString('base64');
    const { message } = scramFinal(state, 'r=abcdef,s=eA==,i=1', 'pencil');
    assert.ok(message.startsWith(`c=${bound},r=abcdef,p=`), message);
  });
});

test('md5 is of the password and the user, and of that and the salt', () => {
  // Worked out with another program: md5(md5("secret" "tester") 0x01020304).
  const expected = 'md536b4107baf9501c7af04101729003031';
  assert.equal(md5Response('tester', 'secret', Buffer.from([1, 2, 3, 4])), expected);
});
