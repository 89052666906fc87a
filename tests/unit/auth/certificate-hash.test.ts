import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { certificateHash } from '../../../src/auth/certificate-hash.ts';
import { Authority, type Signature } from '../../support/certificates.ts';

async function certificate(signature: Signature): Promise<Buffer> {
  const authority = await Authority.create('authority', signature);
  return new X509Certificate((await authority.issue('CN=server')).pem).raw;
}

describe('the hash that SCRAM is bound to', () => {
  const hashes: Readonly<Record<Exclude<Signature, 'Ed25519'>, string>> = {
    'ECDSA-SHA-256': 'sha256',
    'ECDSA-SHA-384': 'sha384',
    'RSA-SHA-1': 'sha256',
    'RSA-SHA-512': 'sha512',
    'RSA-PSS-SHA-384': 'sha384',
  };
  for (const [signature, hash] of Object.entries(hashes) as [keyof typeof hashes, string][]) {
    test(`is ${hash} where the certificate is signed with ${signature}`, async () => {
      const der = await certificate(signature);
      assert.deepEqual(certificateHash(der), createHash(hash).update(der).digest());
    });
  }

  test('does not exist where the signature has no hash', async () => {
    assert.equal(certificateHash(await certificate('Ed25519')), undefined);
  });

  test('is not found in a certificate that is cut off anywhere before its signature, and nothing is thrown', async () => {
    for (const signature of ['ECDSA-SHA-256', 'RSA-PSS-SHA-384'] as const) {
      const der = await certificate(signature);
      for (let end = 0; end < der.length; end++) assert.equal(certificateHash(der.subarray(0, end)), undefined);
    }
  });

  test('is looked for in any bytes without an error', async () => {
    const der = await certificate('RSA-PSS-SHA-384');
    for (let at = 0; at < der.length; at++) {
      for (const byte of [0x00, 0x30, 0x7f, 0x80, 0x84, 0xff]) {
        const damaged = Buffer.from(der);
        damaged[at] = byte;
        assert.doesNotThrow(() => certificateHash(damaged));
      }
    }
  });
});
