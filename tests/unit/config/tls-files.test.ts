import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { Tls } from '../../../src/config/config.ts';
import { parseDsn } from '../../../src/config/dsn.ts';
import { type FileText, type ReadFile, readTextFile, readTlsFiles } from '../../../src/config/tls-files.ts';
import { Authority } from '../../support/certificates.ts';

const authority = await Authority.create('authority');
const own = await authority.issue('CN=own');
const other = await authority.issue('CN=other');
const encrypted = createPrivateKey(own.key)
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'open sesame' })
  .toString();

const contents: Readonly<Record<string, Partial<Extract<FileText, { kind: 'text' }>>>> = {
  '/ca': { text: authority.pem },
  '/bundle': { text: `# a comment\n${other.pem}\n${authority.pem}` },
  '/crl': { text: await authority.revoke(own) },
  '/own.crt': { text: own.pem + authority.pem },
  '/own.key': { text: own.key },
  '/other.key': { text: other.key },
  '/encrypted.key': { text: encrypted },
  '/open.key': { text: own.key, mode: 0o100640 },
  '/root.key': { text: own.key, mode: 0o100640, uid: 0 },
  '/root-world.key': { text: own.key, mode: 0o100644, uid: 0 },
  '/nonsense': { text: 'nonsense' },
  '/broken': { text: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' },
  '/home/u/.postgresql/root.crt': { text: authority.pem },
  '/home/u/.postgresql/postgresql.crt': { text: own.pem },
  '/home/u/.postgresql/postgresql.key': { text: own.key },
  '/home/v/.postgresql/postgresql.crt': { text: own.pem },
};

const fake: ReadFile = (path) => {
  if (path === '/locked') return { kind: 'unreadable', reason: 'EACCES' };
  const found = contents[path];
  return found === undefined ? { kind: 'missing' } : { kind: 'text', text: '', mode: 0o100600, uid: 1000, ...found };
};

function result(parameters: string, environment: Readonly<Record<string, string>> = {}, read = fake) {
  const dsn = parseDsn(`host=h ${parameters}`);
  assert(dsn.kind === 'dsn', JSON.stringify(dsn));
  return readTlsFiles(dsn.dsn.tls, dsn.dsn.host, dsn.tlsFiles, environment, read);
}

function good(parameters: string, environment?: Readonly<Record<string, string>>): Tls {
  const read = result(parameters, environment);
  assert(read.kind === 'tls', JSON.stringify(read));
  return read.tls;
}

function mistakes(parameters: string, environment?: Readonly<Record<string, string>>): readonly string[] {
  const read = result(parameters, environment);
  assert(read.kind === 'invalid');
  return read.mistakes.map(({ message }) => message);
}

describe('the files of a TLS connection', () => {
  test('are read as the DSN names them', () => {
    const tls = good('sslrootcert=/bundle sslcrl=/crl sslcert=/own.crt sslkey=/own.key');
    assert.equal(tls.roots, contents['/bundle']?.text);
    assert.equal(tls.crl, contents['/crl']?.text);
    assert.deepEqual(tls.certificate, { chain: own.pem + authority.pem, key: own.key, passphrase: undefined });
  });

  test('are those of the home folder where the DSN names none, and there may be none', () => {
    const home = good('', { HOME: '/home/u' });
    assert.equal(home.roots, authority.pem);
    assert.equal(home.certificate?.key, own.key);
    const { roots, crl, certificate } = good('sslmode=require', { HOME: '/home/w' });
    assert.deepEqual([roots, crl, certificate], [undefined, undefined, undefined]);
    assert.equal(good('sslcertmode=disable', { HOME: '/home/u' }).certificate, undefined);
  });

  test('are not read where nothing is encrypted', () => {
    assert.equal(good('sslmode=disable sslrootcert=/none sslcert=/none').roots, undefined);
    assert.equal(good('host=/tmp sslmode=verify-full sslrootcert=/none').roots, undefined);
  });

  test('must be there where the DSN names them, or verifies', () => {
    assert.deepEqual(mistakes('sslrootcert=/none sslcert=/none'), [
      'sslrootcert: root certificate file "/none" does not exist',
      'sslcert: certificate file "/none" does not exist',
    ]);
    for (const mode of ['verify-ca', 'verify-full']) {
      assert.deepEqual(mistakes(`sslmode=${mode}`, { HOME: '/home/w' }), [
        'sslrootcert: root certificate file "/home/w/.postgresql/root.crt" does not exist',
      ]);
    }
    assert.deepEqual(mistakes('sslcert=/own.crt', { HOME: '/home/v' }), [
      'sslkey: certificate present, but not private key file "/home/v/.postgresql/postgresql.key"',
    ]);
  });

  test('must hold what they are named for', () => {
    assert.deepEqual(mistakes('sslrootcert=/locked'), [
      'sslrootcert: could not read root certificate file "/locked": EACCES',
    ]);
    assert.deepEqual(mistakes('sslrootcert=/nonsense'), [
      'sslrootcert: could not read root certificate file "/nonsense": no certificate in PEM form',
    ]);
    assert.match(
      mistakes('sslrootcert=/broken').join(),
      /^sslrootcert: could not read root certificate file "\/broken": /,
    );
    assert.match(
      mistakes('sslrootcert=/ca sslcrl=/nonsense').join(),
      /^sslcrl: could not read certificate revocation list file "\/nonsense": /,
    );
    assert.match(
      mistakes('sslcert=/own.crt sslkey=/nonsense').join(),
      /^sslkey: could not load private key file "\/nonsense": /,
    );
    assert.deepEqual(mistakes('sslcert=/own.crt sslkey=/other.key'), [
      'sslkey: certificate does not match private key file "/other.key"',
    ]);
  });

  test('need the password of an encrypted key, and never show it', () => {
    const tls = good("sslcert=/own.crt sslkey=/encrypted.key sslpassword='open sesame'");
    assert.equal(tls.certificate?.passphrase, 'open sesame');
    for (const more of ['', 'sslpassword=wrong']) {
      const read = result(`sslcert=/own.crt sslkey=/encrypted.key ${more}`);
      assert(read.kind === 'invalid');
      assert.match(read.mistakes[0]?.message ?? '', /^sslkey: could not load private key file "\/encrypted.key": /);
      assert.match(read.mistakes[0]?.hint ?? '', /sslpassword/);
      assert.ok(!JSON.stringify(read).includes('wrong'), JSON.stringify(read));
    }
  });

  test('include no key that others may read, save one of root that a group may', () => {
    for (const name of ['/open.key', '/root-world.key']) {
      assert.deepEqual(mistakes(`sslcert=/own.crt sslkey=${name}`), [
        `sslkey: private key file "${name}" has group or world access`,
      ]);
    }
    assert.equal(good('sslcert=/own.crt sslkey=/root.key').certificate?.key, own.key);
  });

  test('are for sslrootcert=system the ones that OpenSSL would take, else what the machine or Node.js has', () => {
    assert.equal(good('sslrootcert=system', { SSL_CERT_FILE: '/ca' }).roots, authority.pem);
    assert.match(
      mistakes('sslrootcert=system', { SSL_CERT_FILE: '/nonsense' }).join(),
      /SSL_CERT_FILE names "\/nonsense"/,
    );
    const { roots } = good('sslrootcert=system');
    assert.ok(Array.isArray(roots) && roots.length > 50, 'the list of Node.js');
  });
});

test('a file is read with its mode and owner, or it is said why not', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pprox-files-'));
  after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'file');
  assert.deepEqual(readTextFile(path), { kind: 'missing' });
  writeFileSync(path, 'text');
  chmodSync(path, 0o640);
  const file = readTextFile(path);
  assert(file.kind === 'text');
  assert.deepEqual([file.text, file.mode & 0o777, file.uid], ['text', 0o640, process.getuid?.() ?? 0]);
  mkdirSync(join(folder, 'folder'));
  assert.deepEqual(readTextFile(join(folder, 'folder')), { kind: 'unreadable', reason: 'not a regular file' });
  assert.deepEqual(readTextFile(join(path, 'below')), { kind: 'missing' });
});
