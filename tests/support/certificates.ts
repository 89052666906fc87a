/** Certificates for tests: an authority, and what it signs. */
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  cryptoProvider,
  type JsonGeneralName,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
  X509CrlGenerator,
} from '@peculiar/x509';

cryptoProvider.set(webcrypto);

/** Both in PEM. */
export interface Certificate {
  readonly pem: string;
  readonly key: string;
}

export type Signature = 'ECDSA-SHA-256' | 'ECDSA-SHA-384' | 'RSA-SHA-1' | 'RSA-SHA-512' | 'RSA-PSS-SHA-384' | 'Ed25519';

type Pair = webcrypto.CryptoKeyPair;

const rsa = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) };

const algorithms = {
  'ECDSA-SHA-256': { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  'ECDSA-SHA-384': { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  'RSA-SHA-1': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-1', ...rsa },
  'RSA-SHA-512': { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-512', ...rsa },
  'RSA-PSS-SHA-384': { name: 'RSA-PSS', hash: 'SHA-384', saltLength: 48, ...rsa },
  Ed25519: { name: 'Ed25519' },
} as const satisfies Record<Signature, Readonly<Record<string, unknown>>>;

async function keysFor(signature: Signature): Promise<Pair> {
  const keys = await webcrypto.subtle.generateKey(algorithms[signature], true, ['sign', 'verify']);
  if (!('privateKey' in keys)) throw new Error('these algorithms have a pair of keys');
  return keys;
}

async function exported(key: webcrypto.CryptoKey): Promise<string> {
  return toPem('PRIVATE KEY', await webcrypto.subtle.exportKey('pkcs8', key));
}

function toPem(label: string, bytes: ArrayBuffer): string {
  const lines = Buffer.from(bytes).toString('base64').replaceAll(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

/** An hour ago to tomorrow: the servers' clock is ours. */
function validity(): { readonly notBefore: Date; readonly notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now - 3_600_000), notAfter: new Date(now + 86_400_000) };
}

export class Authority {
  readonly #certificate: X509Certificate;
  readonly #keys: Pair;
  readonly #signature: Signature;

  private constructor(certificate: X509Certificate, keys: Pair, signature: Signature) {
    this.#certificate = certificate;
    this.#keys = keys;
    this.#signature = signature;
  }

  /** What it signs has its kind of signature. */
  static async create(name: string, signature: Signature = 'ECDSA-SHA-256'): Promise<Authority> {
    const keys = await keysFor(signature);
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      signingAlgorithm: algorithms[signature],
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
      ...validity(),
    });
    return new Authority(certificate, keys, signature);
  }

  get pem(): string {
    return `${this.#certificate.toString('pem')}\n`;
  }

  /** A list of revoked certificates, in PEM. */
  async revoke({ pem }: Certificate): Promise<string> {
    const { notBefore, notAfter } = validity();
    const list = await X509CrlGenerator.create({
      issuer: this.#certificate.subject,
      thisUpdate: notBefore,
      nextUpdate: notAfter,
      entries: [{ serialNumber: new X509Certificate(pem).serialNumber, revocationDate: notBefore }],
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithms[this.#signature],
    });
    return toPem('X509 CRL', list.rawData);
  }

  /** `subject` as in `CN=localhost`. */
  async issue(subject: string, names: readonly JsonGeneralName[] = []): Promise<Certificate> {
    const keys = await keysFor(this.#signature);
    const certificate = await X509CertificateGenerator.create({
      subject,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      signingAlgorithm: algorithms[this.#signature],
      extensions: names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...names])],
      ...validity(),
    });
    return { pem: `${certificate.toString('pem')}\n`, key: await exported(keys.privateKey) };
  }
}
