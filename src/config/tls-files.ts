/**
 * The files of a TLS connection, under libpq's rules (manual, "SSL Support"), with one difference: a file that the DSN names
 * must be there, where libpq would go on without it, and without the check that somebody asked for.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, rootCertificates } from 'node:tls';
import type { Tls } from './config.ts';
import type { TlsFiles } from './dsn-tls.ts';
import type { Mistake } from './problem.ts';

export type FileText =
  | { readonly kind: 'text'; readonly text: string; readonly mode: number; readonly uid: number }
  | { readonly kind: 'missing' }
  /** `reason` is the system's code. */
  | { readonly kind: 'unreadable'; readonly reason: string };

export type ReadFile = (path: string) => FileText;

export type TlsResult =
  | { readonly kind: 'tls'; readonly tls: Tls }
  | { readonly kind: 'invalid'; readonly mistakes: readonly Mistake[] };

export const readTextFile: ReadFile = (path) => {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return { kind: 'unreadable', reason: 'not a regular file' };
    return { kind: 'text', text: readFileSync(path, 'utf8'), mode: stat.mode, uid: stat.uid };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return code === 'ENOENT' || code === 'ENOTDIR' ? { kind: 'missing' } : { kind: 'unreadable', reason: code };
  }
};

/** A mistake that ends the reading of one DSN's files; its message shows paths, which are no secrets. */
class TlsFileError extends Error {
  readonly hint: string | undefined;
  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** `tls` with the text of its files. Nothing is read where nothing can be encrypted: `sslmode=disable`, a Unix socket. */
export function readTlsFiles(
  tls: Tls,
  host: string,
  files: TlsFiles,
  environment: Readonly<Record<string, string | undefined>>,
  read: ReadFile = readTextFile,
): TlsResult {
  if (tls.mode === 'disable' || host.startsWith('/')) return { kind: 'tls', tls };
  const home = homeFolder(environment);
  const mistakes: Mistake[] = [];
  const attempt = <T>(work: () => T): T | undefined => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof TlsFileError)) throw error;
      mistakes.push(
        error.hint === undefined ? { message: error.message } : { message: error.message, hint: error.hint },
      );
      return undefined;
    }
  };
  const roots = attempt(() => readRoots(tls, files.roots, home, environment, read));
  const crl = roots === undefined ? undefined : attempt(() => readCrl(files.crl, home, read));
  const certificate = attempt(() => readCertificate(files, home, read));
  if (mistakes.length > 0) return { kind: 'invalid', mistakes };
  return { kind: 'tls', tls: { ...tls, roots, crl, certificate } };
}

function homeFolder(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  if (process.platform === 'win32') {
    return environment['APPDATA'] ? join(environment['APPDATA'], 'postgresql') : undefined;
  }
  return environment['HOME'] ? join(environment['HOME'], '.postgresql') : undefined;
}

type Found = Extract<FileText, { kind: 'text' }> & { readonly path: string };

/** Undefined where the DSN names none and the home folder has none. */
function readNamed(
  parameter: string,
  what: string,
  named: string | undefined,
  home: string | undefined,
  standard: string,
  read: ReadFile,
): Found | undefined {
  const path = named ?? (home === undefined ? undefined : join(home, standard));
  if (path === undefined) return undefined;
  const file = read(path);
  if (file.kind === 'text') return { ...file, path };
  if (file.kind === 'missing') {
    if (named === undefined) return undefined;
    throw new TlsFileError(`${parameter}: ${what} "${path}" does not exist`);
  }
  throw new TlsFileError(`${parameter}: could not read ${what} "${path}": ${file.reason}`);
}

function readRoots(
  tls: Tls,
  named: string | undefined,
  home: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
  read: ReadFile,
): Tls['roots'] {
  if (named === 'system') return systemRoots(environment, read);
  const file = readNamed('sslrootcert', 'root certificate file', named, home, 'root.crt', read);
  if (file !== undefined) {
    readCertificates('sslrootcert', 'root certificate file', file);
    return file.text;
  }
  if (tls.mode !== 'verify-ca' && tls.mode !== 'verify-full') return undefined;
  const path = home === undefined ? 'root.crt' : join(home, 'root.crt');
  throw new TlsFileError(
    `sslrootcert: root certificate file "${path}" does not exist`,
    "Either provide the file, use the system's trusted roots with sslrootcert=system, or change sslmode to disable server certificate verification.",
  );
}

/** Where systems keep what they trust; the first that is there counts. */
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** OpenSSL's variable first; where there is no bundle, the list that Node.js brings. */
function systemRoots(environment: Readonly<Record<string, string | undefined>>, read: ReadFile): Tls['roots'] {
  const own = environment['SSL_CERT_FILE'];
  for (const path of own ? [own] : bundles) {
    const file = read(path);
    if (file.kind === 'text' && pemCertificates(file.text).length > 0) return file.text;
  }
  if (own) throw new TlsFileError(`sslrootcert=system: SSL_CERT_FILE names "${own}", which has no certificates`);
  return rootCertificates;
}

function pemCertificates(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}

function readCertificates(parameter: string, what: string, file: Found): X509Certificate {
  try {
    const [first] = pemCertificates(file.text).map((pem) => new X509Certificate(pem));
    if (first !== undefined) return first;
  } catch (error) {
    throw new TlsFileError(`${parameter}: could not read ${what} "${file.path}": ${reasonOf(error)}`);
  }
  throw new TlsFileError(`${parameter}: could not read ${what} "${file.path}": no certificate in PEM form`);
}

/** Of use only where there are roots to check against. */
function readCrl(named: string | undefined, home: string | undefined, read: ReadFile): string | undefined {
  const what = 'certificate revocation list file';
  const file = readNamed('sslcrl', what, named, home, 'root.crl', read);
  if (file === undefined) return undefined;
  try {
    createSecureContext({ crl: file.text });
  } catch (error) {
    throw new TlsFileError(`sslcrl: could not read ${what} "${file.path}": ${reasonOf(error)}`);
  }
  return file.text;
}

function readCertificate(files: TlsFiles, home: string | undefined, read: ReadFile): Tls['certificate'] {
  if (files.certificate === 'none') return undefined;
  const { chain, key } = files.certificate;
  const own = readNamed('sslcert', 'certificate file', chain, home, 'postgresql.crt', read);
  if (own === undefined) return undefined;
  const certificate = readCertificates('sslcert', 'certificate file', own);
  const secret = readNamed('sslkey', 'private key file', key, home, 'postgresql.key', read);
  if (secret === undefined) {
    const path = home === undefined ? 'postgresql.key' : join(home, 'postgresql.key');
    throw new TlsFileError(`sslkey: certificate present, but not private key file "${path}"`);
  }
  const { path, mode, uid } = secret;
  if (process.platform !== 'win32' && (mode & (uid === 0 ? 0o037 : 0o077)) !== 0) {
    throw new TlsFileError(
      `sslkey: private key file "${path}" has group or world access`,
      'It must have permissions u=rw (0600) or less, or u=rw,g=r (0640) or less if owned by root.',
    );
  }
  if (!certificate.checkPrivateKey(readKey(secret, files.passphrase))) {
    throw new TlsFileError(`sslkey: certificate does not match private key file "${path}"`);
  }
  return { chain: own.text, key: secret.text, passphrase: files.passphrase };
}

function readKey(file: Found, passphrase: string | undefined): KeyObject {
  try {
    return createPrivateKey({ key: file.text, ...(passphrase === undefined ? {} : { passphrase }) });
  } catch (error) {
    const encrypted = file.text.includes('ENCRYPTED');
    const hint = encrypted ? 'The key is encrypted: is sslpassword the right one?' : undefined;
    throw new TlsFileError(`sslkey: could not load private key file "${file.path}": ${reasonOf(error)}`, hint);
  }
}

/** OpenSSL's own words, without the file and line of its source. */
function reasonOf(error: unknown): string {
  if (error instanceof Error && 'reason' in error) return String(error.reason);
  return error instanceof Error ? error.message : String(error);
}
