import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import type { Config } from '../../../src/config/config.ts';
import { describe, type Environment } from '../../../src/config/dsn.ts';
import { type DemoConfig, type Files, type LoadResult, loadConfig } from '../../../src/config/load.ts';
import { formatProblems, type Problem } from '../../../src/config/problem.ts';

const noFiles: Files = {
  isFolder: () => false,
  readPassfile: () => ({ kind: 'missing' }),
  readTextFile: () => ({ kind: 'missing' }),
};

const load = (env: Environment, files: Partial<Files> = {}): LoadResult =>
  loadConfig(env, { files: { ...noFiles, ...files } });

function config(env: Environment, files: Partial<Files> = {}): Config {
  const result = load(env, files);
  assert(result.kind === 'config', JSON.stringify(result));
  return result.config;
}

function demo(env: Environment): DemoConfig {
  const result = load(env);
  assert(result.kind === 'demo', JSON.stringify(result));
  return result.demo;
}

function problems(env: Environment): readonly Problem[] {
  const result = load(env);
  assert(result.kind === 'invalid', `was read: ${JSON.stringify(result)}`);
  return result.problems;
}

const lines = (env: Environment) => problems(env).map(({ variable, message }) => `${variable}: ${message}`);

const two = 'postgres://a/db,postgres://b/db';

suite('without a DSN', () => {
  test('the demo listens on loopback only', () => {
    const { listen, dataDir, logLevel, warnings } = demo({});
    assert.deepEqual(listen, { kind: 'tcp', host: '127.0.0.1', port: 54329 });
    assert.deepEqual([dataDir, logLevel, warnings], [undefined, 'info', []]);
  });

  test('the demo listens where PROXY_ADDR says, and warns where others can reach it', () => {
    const { listen, warnings } = demo({ PROXY_ADDR: ':6000' });
    assert.deepEqual(listen, { kind: 'tcp', host: undefined, port: 6000 });
    assert.match(warnings.join(), /^PROXY_ADDR: listening on \*:6000, where every client is let in without a password/);
  });

  test('the settings hold for the demo too', () => {
    const { settings, dataDir } = demo({ PPROX_POOL_SIZE: '7', PPROX_DATA_DIR: 'x' });
    assert.deepEqual([settings.poolSize, dataDir], [7, 'x']);
  });

  test('blank variables count as not set', () => {
    assert.equal(load({ PG_READER_DSN: '', PG_WRITERS_CSV: ' ', PPROX_POOL_SIZE: '', PROXY_ADDR: '' }).kind, 'demo');
  });
});

suite('with DSNs', () => {
  test('the first writer is the lead, and every address of the machine is listened on, with a warning', () => {
    const { listen, writers, reader, warnings } = config({ PG_READER_DSN: 'host=r dbname=db', PG_WRITERS_CSV: two });
    assert.deepEqual(listen, { kind: 'tcp', host: undefined, port: 54329 });
    assert.deepEqual(writers.map(describe), ['a:5432/db', 'b:5432/db']);
    assert.equal(reader && describe(reader), 'r:5432/db');
    assert.deepEqual(warnings.length, 1);
    assert.match(warnings.join(), /trust/);
  });

  test('a local listener is not warned about', () => {
    for (const address of ['127.0.0.1:1', '[::1]:1', 'localhost:1', '/run/.s.PGSQL.54329']) {
      assert.deepEqual(config({ PROXY_ADDR: address, PG_WRITERS_CSV: two }).warnings, []);
    }
  });

  test('a socket that psql would not find is warned about', () => {
    const { warnings } = config({ PROXY_ADDR: '/run/pprox.sock', PG_WRITERS_CSV: two });
    assert.match(warnings.join(), /look for a socket named \.s\.PGSQL\.54329/);
  });

  test('a folder as address gets the socket that psql looks for', () => {
    const { listen } = config({ PROXY_ADDR: '/run', PG_WRITERS_CSV: two }, { isFolder: (path) => path === '/run' });
    assert.deepEqual(listen, { kind: 'unix', path: '/run/.s.PGSQL.54329' });
  });

  test('a folder of the real file system is recognised as one', () => {
    const path = mkdtempSync(join(tmpdir(), 'pprox-load-'));
    try {
      const result = loadConfig({ PROXY_ADDR: path });
      assert(result.kind === 'demo');
      assert.deepEqual(result.demo.listen, { kind: 'unix', path: join(path, '.s.PGSQL.54329') });
    } finally {
      rmSync(path, { recursive: true });
    }
  });

  test('one writer is allowed, with a warning', () => {
    const { writers, warnings } = config({ PROXY_ADDR: '127.0.0.1:1', PG_WRITERS_CSV: 'host=a' });
    assert.equal(writers.length, 1);
    assert.deepEqual(warnings, ['PG_WRITERS_CSV names one writer: there is no second copy of what is written']);
  });

  test('no reader is allowed: the lead reads', () => {
    assert.equal(config({ PG_WRITERS_CSV: two }).reader, undefined);
  });

  test('the reader may be the lead', () => {
    assert.equal(config({ PG_READER_DSN: 'postgres://a/db', PG_WRITERS_CSV: two }).reader?.host, 'a');
  });

  test('a reader without a writer is an error', () => {
    assert.deepEqual(lines({ PG_READER_DSN: 'host=a' }), [
      'PG_WRITERS_CSV: is not set, but PG_READER_DSN is: pprox needs at least one writer',
    ]);
  });

  test('several readers are an error', () => {
    assert.deepEqual(lines({ PG_READER_DSN: two, PG_WRITERS_CSV: two }), ['PG_READER_DSN: names several servers']);
  });

  test('a comma too many is an error, because a DSN may be missing there', () => {
    assert.deepEqual(lines({ PG_WRITERS_CSV: 'host=a,' }), ['PG_WRITERS_CSV: writer 2: is empty']);
  });

  test('two writers that are one server are an error', () => {
    for (const [first, second] of [
      ['host=a', 'host=A. port=5432'],
      ['postgres://u@localhost/db', 'postgres://v@127.0.0.1:5432/db'],
      ['host=/tmp', 'postgres://%2Ftmp'],
    ]) {
      const [problem, ...others] = problems({ PG_WRITERS_CSV: `${first},${second}` });
      assert.match(problem?.message ?? '', /^writer 2 is the same server as writer 1 \(/);
      assert.deepEqual(others, []);
    }
  });

  test('two ports of one host are two servers', () => {
    assert.equal(config({ PG_WRITERS_CSV: 'host=a,host=a port=5433' }).writers.length, 2);
  });

  test('databases that differ are an error that names both', () => {
    const env = { PG_READER_DSN: 'host=r dbname=x', PG_WRITERS_CSV: 'host=a dbname=x,host=b dbname=y' };
    assert.deepEqual(lines(env), ['PG_WRITERS_CSV: writer 2 names the database "y", writer 1 names the database "x"']);
  });

  test('a database in one DSN and none in another is an error', () => {
    assert.deepEqual(lines({ PG_READER_DSN: 'host=r', PG_WRITERS_CSV: two }), [
      'PG_READER_DSN: reader names no database, writer 1 names the database "db"',
    ]);
  });

  test('no database in any DSN is allowed: it is the one of the client', () => {
    const { writers, reader } = config({ PG_READER_DSN: 'host=r', PG_WRITERS_CSV: 'host=a,host=b' });
    assert.deepEqual(
      [...writers, reader].map((dsn) => dsn?.database),
      [undefined, undefined, undefined],
    );
  });

  test('each DSN may have its own user, or none', () => {
    const { writers } = config({ PG_WRITERS_CSV: 'postgres://u@a/db,postgres://b/db' });
    assert.deepEqual(
      writers.map(({ user }) => user),
      ['u', undefined],
    );
  });

  test('what has no effect in a DSN is warned about with its place', () => {
    const { warnings } = config({ PROXY_ADDR: '[::1]:1', PG_WRITERS_CSV: 'host=a,host=b sslcompression=1' });
    assert.deepEqual(warnings, [
      'PG_WRITERS_CSV, writer 2: without effect: sslcompression (Node.js does not compress TLS)',
    ]);
  });
});

suite('mistakes', () => {
  test('are reported all at once, each with its variable', () => {
    assert.deepEqual(
      lines({
        PROXY_ADDR: '54329',
        PG_READER_DSN: 'postgres://r/db?gssencmode=require',
        PG_WRITERS_CSV: 'postgres://a:x/db,host=b dbname=db,postgres://c/other',
        PPROX_LOG_LEVEL: 'loud',
        PPROX_POOL_SIZE: '4O',
        PPROX_MAX_CLIENTS: '0',
        PPROX_POOL_WAIT: '5m',
        PPROX_DRAIN: '2h',
        PPROX_READER_FAILURE: 'leed',
        PPROX_WRITER_DOWN: 'degraded',
      }),
      [
        'PROXY_ADDR: a port is written with a colon before it',
        'PG_WRITERS_CSV: writer 1: the port is not a number of 1 to 65535',
        'PG_READER_DSN: reader: gssencmode=require is refused: pprox does not use GSSAPI',
        'PG_WRITERS_CSV: writer 3 names the database "other", writer 2 names the database "db"',
        'PPROX_LOG_LEVEL: must be one of debug, info, warn, error',
        'PPROX_MAX_CLIENTS: must be 1 to 100000',
        'PPROX_POOL_SIZE: is not a whole number',
        'PPROX_POOL_WAIT: is not a duration',
        'PPROX_READER_FAILURE: must be one of lead, error',
        'PPROX_WRITER_DOWN: cannot be degraded: going on without a writer comes with a later version, in which a writer can rejoin',
        'PPROX_DRAIN: must be 0ms to 1h',
      ],
    );
  });

  test('in a variable of libpq are reported once, with its name', () => {
    assert.deepEqual(lines({ PGGSSENCMODE: 'require', PG_WRITERS_CSV: two }), [
      'PGGSSENCMODE: gssencmode=require is refused: pprox does not use GSSAPI',
    ]);
  });

  test('in a variable of libpq do not matter to the demo', () => {
    assert.equal(load({ PGGSSENCMODE: 'require' }).kind, 'demo');
  });

  test('are printed with their hints', () => {
    assert.equal(
      formatProblems(problems({ PPROX_POOL_SIZE: 'x', PROXY_ADDR: 'h' })),
      'PROXY_ADDR: has no port\n  hint: Write :54329, host:54329, [::1]:54329, *:54329, or an absolute path for a Unix socket.\nPPROX_POOL_SIZE: is not a whole number',
    );
  });

  test('a follower timeout that a wait for a lock could exceed is one', () => {
    const env = { PPROX_FOLLOWER_LOCK_TIMEOUT: '1min', PPROX_FOLLOWER_TIMEOUT: '60s' };
    assert.deepEqual(lines(env), [
      'PPROX_FOLLOWER_TIMEOUT: must be longer than PPROX_FOLLOWER_LOCK_TIMEOUT (1min): a follower that waits for a lock is not dead',
    ]);
  });

  test('a variable with our prefix that does not exist is a warning', () => {
    assert.deepEqual(demo({ PPROX_POOLSIZE: '1', PPROX_TEST_X: '1' }).warnings, [
      'PPROX_POOLSIZE is not a variable of pprox, and has no effect',
    ]);
  });
});

suite('durations', () => {
  const durations: readonly (readonly [string, number])[] = [
    ['500', 500],
    ['500ms', 500],
    ['5s', 5_000],
    ['1min', 60_000],
    [' 1.5 min ', 90_000],
    ['500000us', 500],
    ['1h', 3_600_000],
  ];
  for (const [text, ms] of durations) {
    test(`are written as in PostgreSQL: ${JSON.stringify(text)}`, () => {
      assert.equal(demo({ PPROX_POOL_WAIT: text }).settings.poolWaitMs, ms);
    });
  }
  for (const text of ['5 m', '5S', '-', '1e3', 's', '5s5', '0x10']) {
    test(`are not ${JSON.stringify(text)}`, () => {
      assert.deepEqual(lines({ PPROX_POOL_WAIT: text }), ['PPROX_POOL_WAIT: is not a duration']);
    });
  }
  test('cannot be negative', () => {
    assert.deepEqual(lines({ PPROX_DRAIN: '-1s' }), ['PPROX_DRAIN: must be 0ms to 1h']);
  });
});

const passfile = (text: string): Partial<Files> => ({ readPassfile: () => ({ kind: 'text', text }) });

suite('a password that the DSN does not have', () => {
  test('comes from PGPASSWORD, or else from the password file', () => {
    const env = { HOME: '/home/u', PG_WRITERS_CSV: 'postgres://u@a/db,postgres://u:own@b/db' };
    const passwords = (extra: Environment) =>
      config({ ...env, ...extra }, passfile('*:*:*:*:file')).writers.map(({ password }) => password);
    assert.deepEqual(passwords({}), ['file', 'own']);
    assert.deepEqual(passwords({ PGPASSWORD: 'env' }), ['env', 'own']);
  });

  test('is looked up by the name of the server where hostaddr gives the address', () => {
    const env = { HOME: '/home/u', PG_WRITERS_CSV: 'host=a hostaddr=10.0.0.1 user=u dbname=db' };
    const { writers } = config(env, passfile('a:5432:db:u:p'));
    assert.deepEqual([writers[0].host, writers[0].password], ['10.0.0.1', 'p']);
  });

  test('is looked up in ~/.pgpass, PGPASSFILE or passfile, the last that is there', () => {
    const paths: string[] = [];
    const readPassfile: Files['readPassfile'] = (path) => {
      paths.push(path);
      return { kind: 'missing' };
    };
    config({ HOME: '/home/u', PG_WRITERS_CSV: 'host=a' }, { readPassfile });
    config({ HOME: '/home/u', PGPASSFILE: '/b', PG_WRITERS_CSV: 'host=a' }, { readPassfile });
    config({ HOME: '/home/u', PGPASSFILE: '/b', PG_WRITERS_CSV: 'host=a passfile=/c' }, { readPassfile });
    assert.deepEqual(paths, ['/home/u/.pgpass', '/b', '/c']);
  });

  test('is a warning where the file is open to others, or was named and is missing', () => {
    const open: Partial<Files> = { readPassfile: () => ({ kind: 'ignored', reason: 'has group or world access' }) };
    const env = { PROXY_ADDR: '[::1]:1', PG_WRITERS_CSV: 'host=a,host=b passfile=/c' };
    assert.deepEqual(config({ ...env }, open).warnings, [
      'PG_WRITERS_CSV, writer 2: its password file is not used: it has group or world access',
    ]);
    assert.deepEqual(config(env).warnings, ['PG_WRITERS_CSV, writer 2: its password file does not exist']);
  });
});

suite('a password', () => {
  /** A password in clear, with what means something in a DSN: every piece of it has the marker. */
  const marker = 'Zq7';
  const special = fc.oneof(
    fc.stringMatching(/^[@:/?#&=%,;'"\\ [\]$+|~`{}<>^]$/),
    fc.constantFrom('://', ',,', '%4', '%zz', '&x=', "' ", ' = '),
  );
  const password = fc
    .array(fc.tuple(special, fc.constantFrom('', 'x', '12')), { maxLength: 5 })
    .map((pieces) => pieces.reduce((text, [before, after]) => `${text}${before}${marker}${after}`, marker));
  const around = fc.constantFrom(
    (text: string) => `postgresql://u:${text}@h:5432/db`,
    (text: string) => `postgresql://:${text}@h`,
    (text: string) => `postgresql://u:${text}@h:x/db?foo=1&sslmode=verify-full`,
    (text: string) => `postgresql://u:${text}@[::1/db`,
    (text: string) => `postgresql://u:${text.replaceAll('@', '')}/db`,
    (text: string) => `postgresql://h/db?user=u&password=${text}`,
    (text: string) => `postgresql://h/db?pasword=${text}&foo=1`,
    (text: string) => `postgresql://h/db?sslpassword=${text}&connect_timeout=x`,
    (text: string) => `postgre://u:${text}@h/db`,
    (text: string) => `u:${text}@h/db`,
    (text: string) => `host=h password=${text} dbname=db`,
    (text: string) => `host=h password='${text}' port=x`,
    (text: string) => `host=h Password=${text}`,
    (text: string) => `port=x password=${text}`,
    (text: string) => text,
  );
  const dsn = fc.tuple(around, password).map(([wrap, text]) => wrap(text));

  test('is in no problem and no warning, whatever else is wrong and however it is written', () => {
    const seen = { config: 0, invalid: 0 };
    fc.assert(
      fc.property(fc.array(dsn, { minLength: 1, maxLength: 3 }), dsn, fc.boolean(), (writers, other, isAddress) => {
        const env = {
          PG_WRITERS_CSV: writers.join(','),
          ...(isAddress
            ? { PROXY_ADDR: other, PPROX_POOL_SIZE: other, PPROX_POOL_WAIT: other }
            : { PG_READER_DSN: other }),
        };
        const result = load(env);
        assert(result.kind !== 'demo');
        seen[result.kind] += 1;
        const said = result.kind === 'invalid' ? formatProblems(result.problems) : result.config.warnings.join('\n');
        assert(!said.includes(marker), said);
      }),
      { numRuns: 3_000 },
    );
    assert(seen.invalid > 100, JSON.stringify(seen));
  });

  test('is not in the description of its server, wherever the DSN could be read', () => {
    let described = 0;
    fc.assert(
      fc.property(dsn, (text) => {
        const result = load({ PROXY_ADDR: '[::1]:1', PG_WRITERS_CSV: text });
        if (result.kind !== 'config') return;
        described += 1;
        const said = describe(result.config.writers[0]);
        assert(!said.includes(marker), said);
      }),
      { numRuns: 3_000 },
    );
    assert(described > 100, `${described}`);
  });
});
