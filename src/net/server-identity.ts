/**
 * Whether a certificate is that of the server that was asked for, by libpq's rules (manual, "Client Verification of Server
 * Certificates"): names and addresses of its subjectAltName; its common name where it has none of the kind that is asked for.
 */
import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/** Undefined where it is; else what is wrong, in libpq's words. */
export function findNameMismatch(certificate: X509Certificate, host: string): string | undefined {
  const names = alternativeNames(certificate.subjectAltName);
  const kind = isIP(host) === 0 ? 'DNS' : 'IP Address';
  const examined: string[] = [];
  for (const name of names) {
    if (name.kind !== 'DNS' && name.kind !== 'IP Address') continue;
    examined.push(name.value);
    if (name.kind === 'DNS' && matchesName(name.value, host)) return undefined;
  }
  if (kind === 'IP Address' && certificate.checkIP(host) !== undefined) return undefined;
  if (!names.some((name) => name.kind === kind)) {
    const common = commonName(certificate);
    if (common !== undefined) {
      examined.push(common);
      if (matchesName(common, host)) return undefined;
    }
  }
  const [first, ...others] = examined;
  if (first === undefined) return "could not get server's host name from server certificate";
  const more = others.length === 0 ? '' : ` (and ${others.length} other name${others.length === 1 ? '' : 's'})`;
  return `server certificate for "${first}"${more} does not match host name "${host}"`;
}

/** A leading `*.` stands for one label of a name, and for nothing in an address. */
export function matchesName(pattern: string, host: string): boolean {
  const [wanted, given] = [pattern.toLowerCase(), host.toLowerCase()];
  if (wanted === given) return true;
  if (!wanted.startsWith('*.') || wanted.length < 3 || isIP(host) !== 0) return false;
  const dot = given.indexOf('.');
  return dot > 0 && given.slice(dot) === wanted.slice(1);
}

interface AlternativeName {
  readonly kind: string;
  readonly value: string;
}

/**
 * Node's rendering, `DNS:a.example, IP Address:10.0.0.1`; a value that could be taken for more than one is a JSON string
 * there. What does not read to its end is no name at all.
 */
export function alternativeNames(text: string | undefined): readonly AlternativeName[] {
  if (text === undefined) return [];
  const names: AlternativeName[] = [];
  const pattern = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/y;
  while (pattern.lastIndex < text.length) {
    const [, kind = '', value = ''] = pattern.exec(text) ?? [];
    if (kind === '') return [];
    names.push({ kind, value: value.startsWith('"') ? String(JSON.parse(value)) : value });
  }
  return names;
}

/** The first, where there are several. */
function commonName(certificate: X509Certificate): string | undefined {
  const { CN } = certificate.toLegacyObject().subject;
  return Array.isArray(CN) ? CN.map(String)[0] : CN;
}
