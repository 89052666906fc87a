/** The parameters of a DSN that say how to encrypt (manual, "SSL Support"), without the files that they name. */
import type { Tls, TlsVersion } from './config.ts';
import type { Given } from './dsn-syntax.ts';
import type { Report } from './problem.ts';

/** Paths as the DSN gives them; undefined: the one of the home folder, where it exists. */
export interface TlsFiles {
  /** `system`: what the machine trusts. */
  readonly roots: string | undefined;
  readonly crl: string | undefined;
  /** `none`: `sslcertmode=disable`. */
  readonly certificate: { readonly chain: string | undefined; readonly key: string | undefined } | 'none';
  readonly passphrase: string | undefined;
}

const versions: readonly TlsVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'];

/** What its rule does not accept has been refused already, and stands for the default here. */
function word<const T extends string>(given: Given, name: string, accepted: readonly T[], standard: T): T {
  return accepted.find((candidate) => candidate === given.get(name)) ?? standard;
}

export function readTls(given: Given, report: Report): Tls {
  const modes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
  const system = given.get('sslrootcert') === 'system';
  const mode = word(given, 'sslmode', modes, system ? 'verify-full' : 'prefer');
  const negotiation = word(given, 'sslnegotiation', ['postgres', 'direct'], 'postgres');
  const hostName = given.get('host') || undefined;
  if (system && mode !== 'verify-full') {
    report(`weak sslmode "${mode}" may not be used with sslrootcert=system (use "verify-full")`);
  }
  if (negotiation === 'direct' && ['disable', 'allow', 'prefer'].includes(mode)) {
    const strict = '(use "require", "verify-ca", or "verify-full")';
    report(`weak sslmode "${mode}" may not be used with sslnegotiation=direct ${strict}`);
  }
  if (mode === 'verify-full' && hostName === undefined && given.get('hostaddr')) {
    report('host name must be specified for a verified SSL connection', 'hostaddr is only where to connect to.');
  }
  const minVersion = readVersion(given, 'ssl_min_protocol_version', 'TLSv1.2', report);
  const maxVersion = readVersion(given, 'ssl_max_protocol_version', 'TLSv1.3', report);
  if (versions.indexOf(minVersion) > versions.indexOf(maxVersion)) report('invalid SSL protocol version range');
  return {
    mode,
    negotiation,
    channelBinding: word(given, 'channel_binding', ['disable', 'prefer', 'require'], 'prefer'),
    hostName,
    sni: given.get('sslsni') === '0' ? 'not sent' : 'sent',
    minVersion,
    maxVersion,
    roots: undefined,
    crl: undefined,
    certificate: undefined,
  };
}

function readVersion(given: Given, name: string, standard: TlsVersion, report: Report): TlsVersion {
  const text = given.get(name) || standard;
  const version = versions.find((candidate) => candidate.toLowerCase() === text.toLowerCase());
  if (version === undefined) report(`invalid "${name}" value`, `Accepted: ${versions.join(', ')}.`);
  return version ?? standard;
}

export function findTlsFiles(given: Given): TlsFiles {
  const path = (name: string): string | undefined => given.get(name) || undefined;
  return {
    roots: path('sslrootcert'),
    crl: path('sslcrl'),
    certificate: given.get('sslcertmode') === 'disable' ? 'none' : { chain: path('sslcert'), key: path('sslkey') },
    passphrase: path('sslpassword'),
  };
}
