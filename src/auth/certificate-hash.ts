/** The hash of a server's certificate that SCRAM is bound to: tls-server-end-point (RFC 5929, section 4.1). */
import { createHash } from 'node:crypto';

/** Object identifiers of signature algorithms, and the hash each of them signs. */
const SIGNATURES: ReadonlyMap<string, string> = new Map([
  ['1.2.840.113549.1.1.4', 'md5'],
  ['1.2.840.113549.1.1.5', 'sha1'],
  ['1.2.840.113549.1.1.14', 'sha224'],
  ['1.2.840.113549.1.1.11', 'sha256'],
  ['1.2.840.113549.1.1.12', 'sha384'],
  ['1.2.840.113549.1.1.13', 'sha512'],
  ['1.2.840.10045.4.1', 'sha1'],
  ['1.2.840.10045.4.3.1', 'sha224'],
  ['1.2.840.10045.4.3.2', 'sha256'],
  ['1.2.840.10045.4.3.3', 'sha384'],
  ['1.2.840.10045.4.3.4', 'sha512'],
]);

/** RSASSA-PSS (RFC 4055): its hash is a parameter, SHA-1 where that is left out. */
const RSASSA_PSS = '1.2.840.113549.1.1.10';
const HASHES: ReadonlyMap<string, string> = new Map([
  ['1.3.14.3.2.26', 'sha1'],
  ['2.16.840.1.101.3.4.2.4', 'sha224'],
  ['2.16.840.1.101.3.4.2.1', 'sha256'],
  ['2.16.840.1.101.3.4.2.2', 'sha384'],
  ['2.16.840.1.101.3.4.2.3', 'sha512'],
]);

const Tag = { ObjectIdentifier: 0x06, Sequence: 0x30, Explicit0: 0xa0 } as const;

/**
 * `der` is the server's certificate. MD5 and SHA-1 are replaced by SHA-256. Undefined where the signature has no hash of its
 * own (Ed25519): RFC 5929 leaves it undefined, and libpq has none either.
 */
export function certificateHash(der: Buffer): Buffer | undefined {
  const signed = signatureHash(der);
  if (signed === undefined) return undefined;
  return createHash(signed === 'md5' || signed === 'sha1' ? 'sha256' : signed)
    .update(der)
    .digest();
}

/** Certificate ::= SEQUENCE { tbsCertificate, signatureAlgorithm SEQUENCE { OBJECT IDENTIFIER, parameters }, … } */
function signatureHash(der: Buffer): string | undefined {
  const [, algorithm] = children(der, Tag.Sequence);
  if (algorithm === undefined) return undefined;
  const [identifier, parameters] = children(algorithm, Tag.Sequence);
  const name = objectIdentifier(identifier);
  if (name !== RSASSA_PSS) return name === undefined ? undefined : SIGNATURES.get(name);
  const [first] = parameters === undefined ? [] : children(parameters, Tag.Sequence);
  if (first?.[0] !== Tag.Explicit0) return 'sha1';
  const [hash] = children(first, Tag.Explicit0);
  const hashName = hash === undefined ? undefined : objectIdentifier(children(hash, Tag.Sequence)[0]);
  return hashName === undefined ? undefined : HASHES.get(hashName);
}

/** The elements, header included, inside the first element of `bytes`; none where that has another tag or is cut off. */
function children(bytes: Buffer, tag: number): Buffer[] {
  const outer = bytes[0] === tag ? element(bytes, 0) : undefined;
  const found: Buffer[] = [];
  if (outer === undefined) return found;
  for (let at = outer.start; at < outer.end; ) {
    const inner = element(bytes, at);
    if (inner === undefined || inner.end > outer.end) return [];
    found.push(bytes.subarray(at, inner.end));
    at = inner.end;
  }
  return found;
}

/** Where the contents of the element at `at` are (X.690, definite lengths of up to four bytes). */
function element(bytes: Buffer, at: number): { start: number; end: number } | undefined {
  const first = bytes[at + 1];
  if (first === undefined) return undefined;
  const size = first < 0x80 ? 0 : first & 0x7f;
  if (size > 4 || first === 0x80 || at + 2 + size > bytes.length) return undefined;
  const start = at + 2 + size;
  const end = start + (size === 0 ? first : bytes.readUIntBE(at + 2, size));
  return end > bytes.length ? undefined : { start, end };
}

function objectIdentifier(bytes: Buffer | undefined): string | undefined {
  const contents = bytes?.[0] === Tag.ObjectIdentifier ? element(bytes, 0) : undefined;
  if (bytes === undefined || contents === undefined) return undefined;
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of bytes.subarray(contents.start, contents.end)) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    if (arcs.length === 0) arcs.push(Math.min(2, Math.floor(arc / 40)), arc - 40 * Math.min(2, Math.floor(arc / 40)));
    else arcs.push(arc);
    arc = 0;
  }
  return arcs.join('.');
}
