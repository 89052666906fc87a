/**
 * libpq's connection parameters, up to version 18, and what pprox makes of each (manual, "Parameter Key Words"). A parameter
 * that asks for security which pprox does not provide is refused: leaving it out without a word would be a downgrade.
 */

export type Rule =
  /** `config/dsn-values` reads it; `doc` is for the reference. */
  | { readonly kind: 'used'; readonly doc: string }
  /** Accepted, with a warning that it changes nothing; the values of `refused` are not. */
  | { readonly kind: 'no effect'; readonly because: string; readonly refused?: readonly string[] }
  /** One of a list of words; the words of `refused` are libpq's too. */
  | {
      readonly kind: 'word';
      readonly accepted: readonly string[];
      readonly refused: readonly string[];
      readonly because: string;
      /** For the reference. */
      readonly doc?: string;
    }
  | { readonly kind: 'refused'; readonly because: string };

export interface ParameterRow {
  readonly rule: Rule;
  /** The value must never be shown, nor what stands after it in the DSN. */
  readonly secret?: true;
  /** libpq's environment variable, where pprox reads it when the DSN does not have the parameter. */
  readonly environment?: string;
}

function used(doc: string): ParameterRow {
  return { rule: { kind: 'used', doc } };
}

const fixedByNode: ParameterRow = { rule: { kind: 'no effect', because: 'Node.js does not let a program set it' } };

const noGssapi: ParameterRow = { rule: { kind: 'no effect', because: 'pprox does not use GSSAPI' } };

const noOauth = { kind: 'refused', because: 'pprox does not do OAuth' } as const;

const noKeys = { kind: 'refused', because: 'pprox logs in with a password, not with SCRAM keys' } as const;

const noService: ParameterRow = {
  rule: { kind: 'refused', because: 'service files are not read; write its parameters into the DSN' },
};

export const dsnParameters: Readonly<Record<string, ParameterRow>> = {
  host: used(
    "Host name, address, or the absolute path of the folder of a Unix socket. Required, unless there is a `hostaddr`: libpq's default is a socket of this machine, which is seldom meant in a DSN of pprox.",
  ),
  hostaddr: used(
    'IP address to connect to, without a look-up. It wins over `host`, which then only names the server in a password file.',
  ),
  port: used('1 to 65535; 5432 by default.'),
  dbname: used('The one database that is served. Without it, the one that each client asks for.'),
  user: used('The role that pprox logs in as. Without it, the one that each client asks for.'),
  password: { ...used('Sent only where the server asks for one.'), secret: true, environment: 'PGPASSWORD' },
  passfile: {
    ...used('Password file for a DSN without a password; by default `~/.pgpass`.'),
    environment: 'PGPASSFILE',
  },
  connect_timeout: used('Seconds, 86400 at most. Without it, or where it is 0 or less, `PPROX_CONNECT_TIMEOUT`.'),
  client_encoding: used("Start-up parameter; a client's own value wins. `auto` is the same as none."),
  options: used("Start-up parameter; a client's own value wins."),
  application_name: used("Start-up parameter; a client's own value wins."),
  fallback_application_name: used('`application_name` where that is not given.'),
  keepalives: used('1, or 0 for none.'),
  keepalives_idle: used('Seconds, 32767 at most.'),
  keepalives_interval: fixedByNode,
  keepalives_count: fixedByNode,
  tcp_user_timeout: fixedByNode,
  sslmode: {
    rule: {
      kind: 'word',
      accepted: ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'],
      refused: [],
      because: '',
      doc: '`prefer` by default, `verify-full` with `sslrootcert=system`.',
    },
    environment: 'PGSSLMODE',
  },
  sslnegotiation: {
    rule: {
      kind: 'word',
      accepted: ['postgres', 'direct'],
      refused: [],
      because: '',
      doc: '`direct` saves a round trip, needs PostgreSQL 17 or later and `sslmode=require` or stricter.',
    },
    environment: 'PGSSLNEGOTIATION',
  },
  sslcertmode: {
    rule: {
      kind: 'word',
      accepted: ['disable', 'allow'],
      refused: ['require'],
      because: 'Node.js does not tell whether the server asked for a certificate',
    },
    environment: 'PGSSLCERTMODE',
  },
  sslrootcert: {
    ...used(
      "File of the certificates that may have signed the server's, or `system` for those that the machine trusts; by default `~/.postgresql/root.crt` where it exists. With it, every `sslmode` but `disable` checks the signature.",
    ),
    environment: 'PGSSLROOTCERT',
  },
  sslcert: {
    ...used("File of pprox's own certificate; by default `~/.postgresql/postgresql.crt` where it exists."),
    environment: 'PGSSLCERT',
  },
  sslkey: {
    ...used('File of its private key, mode 0600; by default `~/.postgresql/postgresql.key`.'),
    environment: 'PGSSLKEY',
  },
  sslpassword: { ...used('Of an encrypted private key.'), secret: true },
  sslkeylogfile: { rule: { kind: 'no effect', because: 'pprox writes no session keys to a file' } },
  sslcrl: {
    ...used('File of revoked certificates; by default `~/.postgresql/root.crl` where it exists.'),
    environment: 'PGSSLCRL',
  },
  sslcrldir: {
    rule: { kind: 'refused', because: 'Node.js reads no folder of revocation lists; name one file with sslcrl' },
    environment: 'PGSSLCRLDIR',
  },
  sslsni: {
    rule: { kind: 'word', accepted: ['1', '0'], refused: [], because: '', doc: '1 sends the host name to the server.' },
    environment: 'PGSSLSNI',
  },
  sslcompression: { rule: { kind: 'no effect', because: 'Node.js does not compress TLS' } },
  ssl_min_protocol_version: {
    ...used('`TLSv1`, `TLSv1.1`, `TLSv1.2` or `TLSv1.3`; `TLSv1.2` by default.'),
    environment: 'PGSSLMINPROTOCOLVERSION',
  },
  ssl_max_protocol_version: {
    ...used('As above; the highest that Node.js has by default.'),
    environment: 'PGSSLMAXPROTOCOLVERSION',
  },
  channel_binding: {
    rule: {
      kind: 'word',
      accepted: ['disable', 'prefer', 'require'],
      refused: [],
      because: '',
      doc: 'Whether a SCRAM login is bound to the TLS connection (SCRAM-SHA-256-PLUS); `prefer` by default.',
    },
    environment: 'PGCHANNELBINDING',
  },
  require_auth: {
    rule: {
      kind: 'refused',
      because: 'pprox logs in by the method that the server asks for, and would not enforce it',
    },
    environment: 'PGREQUIREAUTH',
  },
  requirepeer: {
    rule: { kind: 'refused', because: 'Node.js cannot tell who owns the other end of a Unix socket' },
    environment: 'PGREQUIREPEER',
  },
  gssencmode: {
    rule: { kind: 'word', accepted: ['disable', 'prefer'], refused: ['require'], because: 'pprox does not use GSSAPI' },
    environment: 'PGGSSENCMODE',
  },
  krbsrvname: noGssapi,
  gsslib: noGssapi,
  gssdelegation: noGssapi,
  min_protocol_version: {
    rule: { kind: 'word', accepted: ['3.0'], refused: ['3.2', 'latest'], because: 'pprox speaks 3.0 to servers' },
  },
  max_protocol_version: { rule: { kind: 'word', accepted: ['3.0', '3.2', 'latest'], refused: [], because: '' } },
  scram_client_key: { rule: noKeys, secret: true },
  scram_server_key: { rule: noKeys, secret: true },
  oauth_issuer: { rule: noOauth },
  oauth_client_id: { rule: noOauth },
  oauth_client_secret: { rule: noOauth, secret: true },
  oauth_scope: { rule: noOauth },
  target_session_attrs: {
    rule: {
      kind: 'word',
      accepted: ['any', 'prefer-standby'],
      refused: ['read-write', 'read-only', 'primary', 'standby'],
      because: 'it selects among several hosts, and a DSN of pprox names one; the role of each server is found out',
    },
  },
  load_balance_hosts: {
    rule: { kind: 'word', accepted: ['disable'], refused: ['random'], because: 'a DSN of pprox names one server' },
  },
  replication: {
    rule: {
      kind: 'word',
      accepted: ['false', 'off', 'no', '0'],
      refused: ['true', 'on', 'yes', '1', 'database'],
      because: 'pprox needs connections that take SQL',
    },
  },
  service: noService,
  servicefile: noService,
};

/** What other programs call a parameter, and libpq's name for it. */
export const otherNames: ReadonlyMap<string, string> = new Map([
  ['database', 'dbname'],
  ['db', 'dbname'],
  ['username', 'user'],
  ['pass', 'password'],
  ['passwd', 'password'],
  ['pwd', 'password'],
  ['hostname', 'host'],
  ['server', 'host'],
  ['timeout', 'connect_timeout'],
  ['ssl', 'sslmode'],
]);
