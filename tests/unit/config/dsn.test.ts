import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import type { Dsn, Tls } from '../../../src/config/config.ts';
import { describe, type DsnResult, type Environment, parseDsn } from '../../../src/config/dsn.ts';

const tls: Tls = {
  mode: 'prefer',
  negotiation: 'postgres',
  channelBinding: 'prefer',
  hostName: 'h',
  sni: 'sent',
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  roots: undefined,
  crl: undefined,
  certificate: undefined,
};

const plain: Dsn = {
  host: 'h',
  port: 5432,
  database: undefined,
  user: undefined,
  password: undefined,
  tls,
  connectTimeoutMs: undefined,
  keepalives: undefined,
  parameters: {},
};

function read(text: string, environment?: Environment): Extract<DsnResult, { kind: 'dsn' }> {
  const result = parseDsn(text, environment);
  assert.equal(result.kind, 'dsn', JSON.stringify(result));
  assert(result.kind === 'dsn');
  return result;
}

function complaints(text: string, environment?: Environment): readonly string[] {
  const result = parseDsn(text, environment);
  assert(result.kind === 'invalid', `was read: ${JSON.stringify(result)}`);
  return result.mistakes.map(({ message }) => message);
}

const good: readonly (readonly [string, Partial<Dsn>])[] = [
  ['postgresql://u:secret@h:12345/db', { user: 'u', password: 'secret', port: 12345, database: 'db' }],
  ['postgres://u@h:12345/db', { user: 'u', port: 12345, database: 'db' }],
  ['postgresql://h/db', { database: 'db' }],
  ['postgresql://u@h/', { user: 'u' }],
  ['postgresql://h:12345', { port: 12345 }],
  ['postgresql://h:12345/', { port: 12345 }],
  ['postgresql://h:/', {}],
  ['postgresql://h', {}],
  ['postgresql://h?', {}],
  ['postgresql://h/?', {}],
  ['postgresql://@h', {}],
  ['postgresql://:p@h', { password: 'p' }],
  ['postgresql://u:@h', { user: 'u' }],
  ['  postgresql://h/db\n', { database: 'db' }],
  ['postgresql://%68/d%62', { database: 'db' }],
  ['postgresql://h/db?u%73er=other&port=12345', { user: 'other', port: 12345, database: 'db' }],
  ['postgresql://u@h/db?user=other&host=i', { host: 'i', user: 'other', database: 'db' }],
  ['postgresql://h/db?user=a&', { user: 'a', database: 'db' }],
  ['postgresql://h/db?user=a+b', { user: 'a+b', database: 'db' }],
  ['postgresql://h/a/b', { database: 'a/b' }],
  ['postgresql://h/db#x', { database: 'db#x' }],
  ['postgresql://u:p?x@h/db', { user: 'u', password: 'p?x', database: 'db' }],
  ['postgresql://u:p:q,r@h/db', { user: 'u', password: 'p:q,r', database: 'db' }],
  ['postgresql://u:%40%2F%3A%2C%25@h', { user: 'u', password: '@/:,%' }],
  ['postgresql://u:gr%C3%BCn@h', { user: 'u', password: 'grün' }],
  ['postgresql://u:grün@h', { user: 'u', password: 'grün' }],
  ['postgresql://[::1]:12345/db', { host: '::1', port: 12345, database: 'db' }],
  ['postgresql://[2001:db8::1234]/', { host: '2001:db8::1234' }],
  ['postgresql://[fe80::1%25eth0]', { host: 'fe80::1%eth0' }],
  ['postgresql://?hostaddr=127.0.0.1', { host: '127.0.0.1', tls: { ...tls, hostName: undefined } }],
  ['postgresql://example.com?hostaddr=63.1.2.4', { host: '63.1.2.4', tls: { ...tls, hostName: 'example.com' } }],
  ['postgresql://%2Fvar%2Flib%2Fpostgresql/db', { host: '/var/lib/postgresql', database: 'db' }],
  ['postgresql://u@:12345/db?host=/a/b', { host: '/a/b', user: 'u', port: 12345, database: 'db' }],
  ['postgresql:///db?host=h', { database: 'db' }],
  ['host=h', {}],
  ["host=h port = 5433  user='it\\'s' password=a\\ b", { port: 5433, user: "it's", password: 'a b' }],
  ["host='h'user=b", { user: 'b' }],
  ["host=h\n\tdbname = 'a b'", { database: 'a b' }],
  ["host=h password='x\\\\y' dbname=''", { password: 'x\\y' }],
  ['host=h password=x\\', { password: 'x' }],
  ["host=h password='a,b=c'", { password: 'a,b=c' }],
  ["host=h password=it's", { password: "it's" }],
  ['host=/tmp port=5433', { host: '/tmp', port: 5433 }],
  ['host=h host=i', { host: 'i' }],
  ["host=h dbname='a,b'", { database: 'a,b' }],
  ['postgresql://h/a%2Cb', { database: 'a,b' }],
  ['hostaddr=::1', { host: '::1', tls: { ...tls, hostName: undefined } }],
  ['host=h connect_timeout=3', { connectTimeoutMs: 3000 }],
  ['host=h connect_timeout=0', {}],
  ['host=h connect_timeout=-1', {}],
  ["host=h connect_timeout=' 7 '", { connectTimeoutMs: 7000 }],
  ['host=h keepalives=0', { keepalives: 'off' }],
  ['host=h keepalives=0 keepalives_idle=9', { keepalives: 'off' }],
  ['host=h keepalives=1', {}],
  ['host=h keepalives_idle=60', { keepalives: { idleMs: 60_000 } }],
  ['host=h keepalives_idle=0', {}],
  ['host=h sslmode=disable', { tls: { ...tls, mode: 'disable' } }],
  ['host=h sslmode=allow', { tls: { ...tls, mode: 'allow' } }],
  ['host=h sslmode=prefer', {}],
  ...(['require', 'verify-ca', 'verify-full'] as const).map((mode): readonly [string, Partial<Dsn>] => [
    `host=h sslmode=${mode}`,
    { tls: { ...tls, mode } },
  ]),
  ['postgresql://h?ssl=true', { tls: { ...tls, mode: 'require' } }],
  ['host=h sslmode=require sslnegotiation=direct', { tls: { ...tls, mode: 'require', negotiation: 'direct' } }],
  ['host=h sslrootcert=system', { tls: { ...tls, mode: 'verify-full' } }],
  ['host=h channel_binding=require', { tls: { ...tls, channelBinding: 'require' } }],
  ['host=h channel_binding=disable sslsni=0', { tls: { ...tls, channelBinding: 'disable', sni: 'not sent' } }],
  ['host=h sslsni=1 sslcertmode=disable', {}],
  [
    'host=h ssl_min_protocol_version=tlsv1.3 ssl_max_protocol_version=TLSv1.3',
    { tls: { ...tls, minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' } },
  ],
  ['host=h channel_binding=prefer gssencmode=disable sslnegotiation=postgres replication=off', {}],
  ['host=h target_session_attrs=any load_balance_hosts=disable max_protocol_version=latest', {}],
  ['host=h application_name=a fallback_application_name=b', { parameters: { application_name: 'a' } }],
  ['host=h fallback_application_name=b', { parameters: { application_name: 'b' } }],
  ['host=h client_encoding=auto', {}],
  [
    "host=h options='-c search_path=a' client_encoding=UTF8",
    { parameters: { options: '-c search_path=a', client_encoding: 'UTF8' } },
  ],
];

const bad: readonly (readonly [string, readonly string[]])[] = [
  ['', ['is empty']],
  ['h.example.com', ['is neither a URI nor key=value']],
  ['postgre://h', ['is neither a URI nor key=value']],
  ['Postgres://h', ['is neither a URI nor key=value']],
  ['jdbc:postgresql://h/db?user=a', ['is neither a URI nor key=value']],
  ['postgresql://', ['names no host']],
  ['postgresql:///db', ['names no host']],
  ['postgresql://u:p@/db', ['names no host']],
  ['dbname=db', ['names no host']],
  ['postgresql://h,i/db', ['names several hosts']],
  ['postgresql://h:1,i:2/db', ['names several hosts']],
  ['host=h,i', ['names several hosts']],
  ['hostaddr=1.2.3.4,1.2.3.5', ['names several hosts']],
  ['host=h port=1,2', ['names several ports']],
  ['postgresql://h/db,i/db', ['has a comma in its database name']],
  ['host=h dbname=db,i/db', ['has a comma in its database name']],
  ['host=h port=0', ['the port is not a number of 1 to 65535']],
  ['host=h port=65536', ['the port is not a number of 1 to 65535']],
  ['postgresql://h:x/db', ['the port is not a number of 1 to 65535']],
  ['postgresql://u:p@i@h/db', ['has an @ that is not where a user name and password end']],
  ['postgresql://u:p/i@h/db', ['has an @ that is not where a user name and password end']],
  ['postgresql://h%40i/db', ['the host is neither a host name, an address nor an absolute path']],
  ['host=1.2.3', ['the host is neither a host name, an address nor an absolute path']],
  ['host=h hostaddr=i', ['hostaddr is not an IP address']],
  ['postgresql://h?uzer=', ['invalid URI query parameter: "uzer"']],
  ['postgresql://h?u%7aer=a', ['invalid URI query parameter: "uzer"']],
  ['postgresql://h?ssl=1', ['invalid URI query parameter: "ssl"']],
  ['host=h Port=5432', ['invalid connection option: "Port"']],
  ['host=h constructor=1', ['invalid connection option: "constructor"']],
  ['postgresql://h?password=a&b=c', ['invalid URI query parameter, not shown because it may be a part of a password']],
  [
    'postgresql://u:pa?ss=x',
    [
      'invalid URI query parameter, not shown because it may be a part of a password',
      'the port is not a number of 1 to 65535',
    ],
  ],
  ['postgresql://u:1/a?b=c@h', ['invalid URI query parameter, not shown because it may be a part of a password']],
  ['c2VjcmV0==', ['invalid connection option, not shown because it may be a part of a password', 'names no host']],
  ['postgresql://[::1', ['has no ] after the IPv6 address of its host']],
  ['postgresql://[]', ['IPv6 host address may not be empty in URI']],
  ['postgresql://[::1]z', ['has something other than a port after ]']],
  ['postgresql://[200z::1]', ['the host is neither a host name, an address nor an absolute path']],
  ['postgresql://h?zzz', ['missing key/value separator "=" in URI query parameter 1']],
  ['postgresql://h?user=a&&port=1', ['missing key/value separator "=" in URI query parameter 2']],
  ['postgresql://h?key=key=value', ['extra key/value separator "=" in URI query parameter 1']],
  ['postgresql://h?dbname=%XXfoo', ['invalid percent-encoded token in the value of URI query parameter 1']],
  ['postgresql://u:a%00b@h', ['forbidden value %00 in the password']],
  ['postgresql://u:100%@h', ['invalid percent-encoded token in the password']],
  ['postgresql://%1', ['invalid percent-encoded token in the host']],
  ['postgresql://u:%FF@h', ['the bytes that are percent-encoded in the password are not UTF-8']],
  ["host=h password='x", ['unterminated quoted string in connection info string']],
  ['host=h user', ['missing "=" after option 2']],
  ['host=h ,b', ['missing "=" after option 2']],
  ['host=h connect_timeout=5s', ['invalid integer value for connection option "connect_timeout"']],
  ['host=h connect_timeout=86401', ['connect_timeout can be 86400 at most']],
  ['host=h keepalives_idle=x', ['invalid integer value for connection option "keepalives_idle"']],
  ['host=h sslmode=yes', ['invalid sslmode value']],
  [
    'host=h sslmode=require sslrootcert=system',
    ['weak sslmode "require" may not be used with sslrootcert=system (use "verify-full")'],
  ],
  [
    'host=h sslnegotiation=direct',
    ['weak sslmode "prefer" may not be used with sslnegotiation=direct (use "require", "verify-ca", or "verify-full")'],
  ],
  ['hostaddr=::1 sslmode=verify-full', ['host name must be specified for a verified SSL connection']],
  ['host=h ssl_min_protocol_version=SSLv3', ['invalid "ssl_min_protocol_version" value']],
  ['host=h ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2', ['invalid SSL protocol version range']],
  ['host=h sslsni=yes', ['invalid sslsni value']],
  ['host=h sslnegotiation=best', ['invalid sslnegotiation value']],
  [
    'host=h sslcertmode=require',
    ['sslcertmode=require is refused: Node.js does not tell whether the server asked for a certificate'],
  ],
  [
    'host=h sslcrldir=/crls',
    ['sslcrldir is refused: Node.js reads no folder of revocation lists; name one file with sslcrl'],
  ],
  ['host=h gssencmode=require', ['gssencmode=require is refused: pprox does not use GSSAPI']],
  [
    'host=h require_auth=scram-sha-256',
    ['require_auth is refused: pprox logs in by the method that the server asks for, and would not enforce it'],
  ],
  ['service=x', ['names no host', 'service is refused: service files are not read; write its parameters into the DSN']],
  ['host=h replication=database', ['replication=database is refused: pprox needs connections that take SQL']],
  [
    'host=h target_session_attrs=read-write',
    [
      'target_session_attrs=read-write is refused: it selects among several hosts, and a DSN of pprox names one; the role of each server is found out',
    ],
  ],
];

suite('a DSN', () => {
  for (const [text, fields] of good) {
    test(`is read as libpq reads it: ${JSON.stringify(text)}`, () => {
      const { host = 'h' } = fields;
      assert.deepEqual(read(text).dsn, { ...plain, tls: { ...tls, hostName: host }, ...fields });
    });
  }

  for (const [text, messages] of bad) {
    test(`is refused with a reason: ${JSON.stringify(text)}`, () => {
      assert.deepEqual(complaints(text).toSorted(), messages.toSorted());
    });
  }

  test('has all its mistakes reported at once', () => {
    assert.deepEqual(complaints('port=x gssencmode=require foo=1 connect_timeout=y bar=2'), [
      'invalid connection option: "foo"',
      'invalid connection option, not shown because it may be a part of a password',
      'gssencmode=require is refused: pprox does not use GSSAPI',
      'names no host',
      'the port is not a number of 1 to 65535',
      'invalid integer value for connection option "connect_timeout"',
    ]);
  });

  test('with a parameter that another program calls differently is told what libpq calls it', () => {
    const result = parseDsn('host=h username=x');
    assert(result.kind === 'invalid');
    assert.deepEqual(result.mistakes, [
      { message: 'invalid connection option: "username"', hint: 'libpq calls it user.' },
    ]);
  });

  test('with parameters that change nothing says so, with the reason', () => {
    assert.deepEqual(read('host=h keepalives_count=3 tcp_user_timeout=9 sslcompression=1').warnings, [
      'without effect: keepalives_count, tcp_user_timeout (Node.js does not let a program set it)',
      'without effect: sslcompression (Node.js does not compress TLS)',
    ]);
  });

  test('takes what it does not say about logging in and encryption from the variables of libpq', () => {
    assert.equal(read('host=h', { PGPASSWORD: 'p' }).dsn.password, 'p');
    assert.equal(read('host=h password=q', { PGPASSWORD: 'p' }).dsn.password, 'q');
    assert.equal(read('host=h', { PGSSLMODE: 'disable' }).dsn.tls.mode, 'disable');
    assert.equal(read('host=h sslmode=disable', { PGSSLMODE: 'require' }).dsn.tls.mode, 'disable');
    assert.equal(read('host=h', { PGPASSFILE: '/a' }).passfile, '/a');
    assert.equal(read('host=h passfile=/b', { PGPASSFILE: '/a' }).passfile, '/b');
  });

  test('does not take where to connect from the variables of libpq', () => {
    const environment = { PGHOST: 'a', PGPORT: '1', PGUSER: 'b', PGDATABASE: 'c', PGSERVICE: 'd', PGOPTIONS: 'e' };
    assert.deepEqual(read('host=h', environment).dsn, plain);
  });

  test('takes how to encrypt from the variables of libpq', () => {
    const environment = {
      PGSSLMODE: 'verify-full',
      PGSSLNEGOTIATION: 'direct',
      PGSSLROOTCERT: '/ca',
      PGSSLKEY: '/key',
    };
    const { dsn, tlsFiles } = read('host=h sslkey=/own', environment);
    assert.deepEqual(dsn.tls, { ...tls, mode: 'verify-full', negotiation: 'direct' });
    assert.deepEqual(tlsFiles, {
      roots: '/ca',
      crl: undefined,
      certificate: { chain: undefined, key: '/own' },
      passphrase: undefined,
    });
  });

  test('is refused, and not downgraded, where a variable of libpq asks for a safety that pprox does not provide', () => {
    const result = parseDsn('host=h', { PGSSLCERTMODE: 'require', PGREQUIREAUTH: 'scram-sha-256' });
    assert(result.kind === 'invalid');
    assert.deepEqual(
      result.mistakes.map(({ variable }) => variable),
      ['PGSSLCERTMODE', 'PGREQUIREAUTH'],
    );
  });

  test('is described by host, port and database, and by nothing else', () => {
    assert.equal(describe(read('postgresql://u:p@h:5433/db').dsn), 'h:5433/db');
    assert.equal(describe(read('postgresql://u:p@h').dsn), 'h:5432');
    assert.equal(describe(read('postgresql://[::1]/db').dsn), '[::1]:5432/db');
    assert.equal(describe(read('host=/tmp dbname=db').dsn), '/tmp:5432/db');
  });
});

/** Any text that PostgreSQL can take: no zero byte. */
const anyText = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).filter((text) => !text.includes('\0'));

const encode = (text: string) => Buffer.from(text).toString('hex').replaceAll(/../g, '%$&');

const quote = (text: string) => `'${text.replaceAll(/['\\]/g, '\\$&')}'`;

suite('user, password and database of any characters', () => {
  test('survive a URI with percent-encoding', () => {
    fc.assert(
      fc.property(anyText, anyText, anyText, (user, password, database) => {
        const [u, p, d] = [user, password, database].map(encodeURIComponent);
        const expected = { ...plain, user, password, database };
        assert.deepEqual(read(`postgresql://${u}:${p}@h/${d}`).dsn, expected);
        assert.deepEqual(read(`postgresql://h?user=${u}&password=${p}&dbname=${d}`).dsn, expected);
      }),
    );
  });

  test('survive a URI with every byte percent-encoded', () => {
    fc.assert(
      fc.property(anyText, anyText, anyText, (user, password, database) => {
        const text = `postgresql://${encode(user)}:${encode(password)}@h/${encode(database)}`;
        assert.deepEqual(read(text).dsn, { ...plain, user, password, database });
      }),
    );
  });

  test('survive the quotes of key=value', () => {
    fc.assert(
      fc.property(anyText, anyText, anyText, (user, password, database) => {
        const text = `host=h user=${quote(user)} password=${quote(password)}dbname=${quote(database)}`;
        assert.deepEqual(read(text).dsn, { ...plain, user, password, database });
      }),
    );
  });
});
