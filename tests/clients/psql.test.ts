import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { dump, sql } from '../support/cluster.ts';
import { clientTest } from '../support/client-programs.ts';
import { assertSame, psql, rows } from './psql.ts';
import { assertWritersEqual, caughtUp, createDatabases, fixture, openStage } from './stage.ts';

/** Everything that psql lists, by itself and for the fixture's schema. */
const listings = [
  [
    'tables',
    [
      '\\d',
      '\\d+',
      '\\d shop.*',
      '\\d+ shop.*',
      '\\dt shop.*',
      '\\d "Größe ""weird"" name".*',
      '\\dS pg_class',
      '\\d nothing.like.it',
    ],
  ],
  [
    'indexes, views, sequences and partitions',
    ['\\di+ shop.*', '\\dv+ shop.*', '\\ds+ shop.*', '\\dP+ shop.*', '\\dE+ shop.*', '\\dX shop.*'],
  ],
  [
    'functions, operators and types',
    [
      '\\df',
      '\\df+ shop.*',
      '\\dfS+ abs',
      '\\da shop.*',
      '\\do shop.*',
      '\\dT+ shop.*',
      '\\dD+ shop.*',
      '\\dC+ shop.*',
      '\\dy',
    ],
  ],
  [
    'source texts',
    [
      '\\sf shop.shout',
      '\\sf+ shop.of_customer(bigint)',
      '\\sv shop.bill',
      '\\sv+ shop.countdown',
      '\\sf shop.nothing',
    ],
  ],
  ['schemas, roles and privileges', ['\\dn', '\\dn+', '\\du+', '\\dg', '\\dp shop.*', '\\z', '\\ddp', '\\drds']],
  [
    'databases, languages, settings and the server',
    ['\\l', '\\dL+', '\\db', '\\dconfig work_mem', '\\dx+', '\\dA+', '\\dAc', '\\dAf', '\\dAo', '\\dAp'],
  ],
  [
    'text search, collations and comments',
    ['\\dF+ shop.*', '\\dFd+ shop.*', '\\dFp', '\\dFt', '\\dO+ shop.*', '\\dd shop.*', '\\dc+ shop.*'],
  ],
  [
    'foreign data, publications and large objects',
    ['\\des+', '\\deu+', '\\dew+', '\\det+ shop.*', '\\dRp+', '\\dRs+', '\\dl+', '\\lo_list+'],
  ],
] as const;

const stage = await openStage();
const folder = mkdtempSync(join(tmpdir(), 'pprox-psql-'));
after(() => rmSync(folder, { recursive: true }));
for (const writer of stage.cluster.writers) {
  await sql(writer, 'CREATE ROLE shop_owner; CREATE ROLE shop_reader; CREATE ROLE ann LOGIN SUPERUSER');
}
await createDatabases(stage, 'direct', 'through', 'other');

clientTest(
  'psql runs a file of every kind of object with the same output, and leaves the same on both writers',
  'psql',
  async () => {
    const { status } = await assertSame(stage, ['-f', fixture('shop.sql')], undefined, {
      direct: 'direct',
      through: 'through',
    });
    assert.equal(status, 0);
    await assertWritersEqual(stage, 'through');
    assert.equal(await dump(stage.cluster.w1, 'through'), await dump(stage.cluster.w1, 'direct'));
    await caughtUp(stage);
  },
);

for (const [what, commands] of listings) {
  clientTest(`psql lists ${what} as the lead itself does`, 'psql', async () => {
    const script = commands
      .map((command) => `\\echo ${command.replaceAll('"', "'").replaceAll('\\', '')}\n${command}\n`)
      .join('');
    const { stdout } = await assertSame(stage, ['-E'], script, { direct: 'through', through: 'through' });
    assert.match(stdout, /\(\d+ rows?\)|CREATE|Did not find/);
  });
}

clientTest('psql lists sizes', 'psql', async () => {
  // A replica's free space and visibility maps are its own, and so is the size of what it holds.
  for (const command of ['\\dt+ shop.*', '\\dm+ shop.*', '\\l+']) {
    const shown = await Promise.all(
      [stage.lead, stage.proxy].map(async (target) => {
        const { status, stdout, stderr } = await psql(target, ['-At', '-c', command], { database: 'through' });
        assert.equal(status, 0, stderr);
        return stdout.replaceAll(/\d+ (bytes|kB)/g, 'SIZE');
      }),
    );
    assert.match(String(shown[0]), /SIZE/);
    assert.equal(shown[1], shown[0]);
  }
});

clientTest('psql shows values of every type in every format', 'psql', async () => {
  const script = [
    'TABLE public.kinds ORDER BY id;',
    '\\x on',
    'TABLE public.kinds ORDER BY id;',
    '\\x off',
    '\\a',
    '\\pset null (null)',
    'TABLE public.kinds ORDER BY id;',
    '\\pset format csv',
    'TABLE shop.customer ORDER BY id;',
    '\\pset format html',
    'TABLE shop.bill ORDER BY id, title;',
    '\\pset format aligned',
    '\\pset border 2',
    '\\pset linestyle unicode',
    'SELECT * FROM shop.customer ORDER BY id;',
    'TABLE shop.totals ORDER BY name;',
    'SELECT 1 AS one WHERE false;',
    'SELECT;',
    'SELECT customer, article, quantity FROM shop.orders WHERE article IS NOT NULL ORDER BY 1, 2 \\crosstabview',
    'SELECT 1 AS a \\g (format=unaligned tuples_only=on)',
    'SELECT 2 AS "B" \\gx',
  ].join('\n');
  await assertSame(stage, [], script, { direct: 'through', through: 'through' });
});

clientTest('psql reads tables that a replica cannot show', 'psql', async () => {
  await assertSame(stage, ['-c', 'SELECT * FROM shop.scratch ORDER BY n'], undefined, {
    direct: 'through',
    through: 'through',
  });
});

clientTest('psql copies a file in and out', 'psql', async () => {
  const source = join(folder, 'in.csv');
  const csv = ['id,text,bytes', '1,"a ""quoted"", line\nof two",\\x00ff', '2,,', '3,"日本語 😀",\\x5c2e'].join('\n');
  writeFileSync(source, `${csv}\n`);
  const text = '4\ttab\\there\t\\\\x09\n5\t\\N\t\\N\n6\tdot \\\\.\t\\\\x\n';
  const script = [
    'CREATE TABLE sheet (id integer PRIMARY KEY, text text, bytes bytea);',
    "\\copy sheet FROM 'in.csv' WITH (FORMAT csv, HEADER match)",
    `\\copy sheet FROM STDIN\n${text}\\.`,
    `COPY sheet (id) FROM STDIN;\n7\n8\n\\.`,
    'SELECT count(*), sum(length(text)) FROM sheet;',
    "\\copy sheet TO '@.txt'",
    "\\copy (SELECT * FROM sheet ORDER BY id DESC) TO '@.csv' CSV HEADER",
    "\\copy sheet TO '@.bin' WITH (FORMAT binary)",
    'CREATE TABLE again (LIKE sheet);',
    "\\copy again FROM '@.bin' WITH (FORMAT binary)",
    '\\copy again TO STDOUT',
    'COPY (SELECT id FROM sheet ORDER BY id) TO STDOUT;',
    'SELECT count(*) FROM again;',
  ].join('\n');
  for (const [target, prefix, database] of [
    [stage.lead, 'direct', 'direct'],
    [stage.proxy, 'through', 'through'],
  ] as const) {
    const { status, stderr } = await psql(target, ['-v', 'ON_ERROR_STOP=1'], {
      input: script.replaceAll('@', prefix),
      database,
      cwd: folder,
    });
    assert.equal(status, 0, stderr);
  }
  for (const suffix of ['txt', 'csv', 'bin']) {
    const [direct, through] = ['direct', 'through'].map((prefix) => readFileSync(join(folder, `${prefix}.${suffix}`)));
    assert.ok(direct !== undefined && direct.length > 50);
    assert.deepEqual(through, direct, suffix);
  }
  // A session of its own: the reader need not have what another one has written.
  assert.equal(await rows(stage.proxy, '/* pprox: lead */ SELECT count(*) FROM again', 'through'), '8');
  await assertWritersEqual(stage, 'through');
});

clientTest('psql copies a big file in and out, byte for byte', 'psql', async () => {
  const lines = Array.from({ length: 60_000 }, (_, index) => `${index}\t${'äöü€😀'.repeat(index % 20)}\t\\N\n`);
  const source = join(folder, 'big.txt');
  writeFileSync(source, lines.join(''));
  const script = [
    'CREATE TABLE big (id integer PRIMARY KEY, text text, nothing text);',
    "\\copy big FROM 'big.txt'",
    "\\copy (SELECT * FROM big ORDER BY id) TO 'big.out'",
  ].join('\n');
  const { status, stderr } = await psql(stage.proxy, ['-v', 'ON_ERROR_STOP=1'], {
    input: script,
    database: 'other',
    cwd: folder,
  });
  assert.equal(status, 0, stderr);
  assert.ok(readFileSync(source).equals(readFileSync(join(folder, 'big.out'))));
  await assertWritersEqual(stage, 'other');
});

clientTest('psql reports a line that COPY refuses, and keeps nothing of it', 'psql', async () => {
  const script = [
    'CREATE TABLE strict (n integer CHECK (n < 10));',
    'COPY strict FROM STDIN;\n1\nzwei\n3\n\\.',
    'COPY strict FROM STDIN;\n1\n2\n99\n\\.',
    'COPY strict FROM STDIN;\n1\t2\n\\.',
    'COPY strict FROM STDIN;\n',
    'SELECT count(*) FROM strict;',
    'COPY strict FROM STDIN;\n5\n\\.',
    'COPY nothing FROM STDIN;\n5\n\\.',
    'TABLE strict;',
  ].join('\n');
  await assertSame(stage, [], script, { direct: 'direct', through: 'through' });
  await assertWritersEqual(stage, 'through');
});

clientTest('psql runs statements from -c, -f and standard input, with -1 and ON_ERROR_STOP', 'psql', async () => {
  const file = join(folder, 'statements.sql');
  const insert = Array.from(
    { length: 300 },
    (_, index) => `INSERT INTO list VALUES (${index}, 'ä;''$$${index}'); -- ;\n`,
  );
  writeFileSync(
    file,
    `CREATE TABLE list (n integer PRIMARY KEY, t text);\n/* ; */${insert.join('')}\nSELECT sum(n) FROM list;\n`,
  );
  const again = join(folder, 'again.sql');
  writeFileSync(
    again,
    'INSERT INTO list VALUES (1000);\nSELECT 1 / 0;\nINSERT INTO list VALUES (1001);\nINSERT INTO list VALUES (5);\nTABLE nothing;\n',
  );
  const where = { direct: 'direct', through: 'through' };
  const statuses: (number | string)[] = [];
  const same = async (...args: readonly string[]): Promise<void> => {
    statuses.push((await assertSame(stage, args, undefined, where)).status);
  };
  await same('-f', file);
  await same('-v', 'ON_ERROR_STOP=1', '-f', again);
  await same('-f', again);
  await same('-1', '-f', again);
  await same('-1', '-v', 'ON_ERROR_STOP=1', '-c', 'DELETE FROM list WHERE n < 10', '-f', again);
  await same('-1', '-c', 'DELETE FROM list WHERE n >= 1000', '-c', 'SELECT count(*) FROM list');
  await same('-c', "INSERT INTO list VALUES (2000); SELECT 1; INSERT INTO list VALUES (2000); SELECT 'not reached'");
  await same(
    '-c',
    'INSERT INTO list VALUES (3000); UPDATE list SET t = $$x$$ WHERE n = 3000; SELECT t FROM list WHERE n = 3000',
  );
  await same('-c', 'BEGIN; DELETE FROM list; ROLLBACK; SELECT count(*) FROM list');
  await same('-c', 'SELECT 1; SELECT 2;; SELECT 3', '-c', '\\echo done');
  assert.deepEqual(statuses, [0, 3, 0, 0, 3, 0, 1, 0, 0, 0]);
  assert.equal(await rows(stage.proxy, 'SELECT count(*), max(n) FROM list', 'through'), '301|3000');
  await assertWritersEqual(stage, 'through');
  assert.equal(await dump(stage.cluster.w1, 'through'), await dump(stage.cluster.w1, 'direct'));
});

clientTest('psql keeps variables, conditions, prepared statements and cursors of a script', 'psql', async () => {
  const script = [
    '\\timing on',
    '\\timing off',
    "SELECT 'gset' AS word, 41 + 1 AS number \\gset my_",
    '\\echo :my_word :my_number',
    "SELECT :'my_word', :my_number, :{?my_nothing} AS defined;",
    '\\if :my_number',
    "SELECT 'yes';",
    '\\else',
    "SELECT 'no';",
    '\\endif',
    "SELECT format('SELECT %s AS generated', n) FROM generate_series(1, 3) AS n \\gexec",
    "SELECT 'CREATE TABLE gexec' || n || ' (n integer)' FROM generate_series(1, 2) AS n \\gexec",
    '\\set FETCH_COUNT 2',
    'SELECT * FROM generate_series(1, 5);',
    '\\set FETCH_COUNT 0',
    'PREPARE add (integer) AS INSERT INTO gexec1 VALUES ($1) RETURNING n;',
    'EXECUTE add(7);',
    'EXECUTE add(8);',
    'DEALLOCATE add;',
    'BEGIN;',
    'DECLARE c CURSOR FOR SELECT * FROM generate_series(1, 10);',
    'FETCH 3 FROM c;',
    'MOVE 2 FROM c;',
    'FETCH 1 FROM c;',
    'COMMIT;',
    '\\set ON_ERROR_ROLLBACK on',
    'BEGIN;',
    'INSERT INTO gexec2 VALUES (1);',
    'INSERT INTO gexec2 VALUES (1 / 0);',
    'INSERT INTO gexec2 VALUES (2);',
    'COMMIT;',
    '\\set AUTOCOMMIT off',
    'INSERT INTO gexec2 VALUES (3);',
    'ROLLBACK;',
    'INSERT INTO gexec2 VALUES (4);',
    'COMMIT;',
    '\\set AUTOCOMMIT on',
    'TABLE gexec2;',
    '\\echo :ROW_COUNT :SQLSTATE :LAST_ERROR_SQLSTATE :SERVER_VERSION_NUM :ENCODING',
    'SELECT 1 / 0;',
    '\\echo :ERROR :SQLSTATE :LAST_ERROR_MESSAGE',
    'SET search_path = shop; \\dt\nSHOW search_path;',
    'CREATE TEMPORARY TABLE mine AS SELECT 1 AS n;',
    '\\d mine',
    'TABLE mine;',
    'LISTEN bell;',
    "NOTIFY bell, 'ring';",
    'DO $$ BEGIN RAISE NOTICE $n$ümläut$n$ USING DETAIL = $d$detail$d$, HINT = $h$hint$h$; END $$;',
    '\\encoding',
    '\\conninfo',
  ].join('\n');
  const actual = await assertSame(stage, [], script, { direct: 'direct', through: 'through' });
  assert.match(actual.stdout, /gset 42/);
  assert.match(actual.stdout, /Asynchronous notification "bell" with payload "ring"/);
  await assertWritersEqual(stage, 'through');
});

clientTest('psql changes database and user with \\c, and is told why it cannot', 'psql', async () => {
  const script = [
    '\\conninfo',
    'SELECT current_database(), current_user, session_user;',
    '\\c other',
    'SELECT current_database();',
    '\\c - ann',
    'SELECT current_database(), current_user;',
    '\\c through postgres',
    '\\c -reuse-previous=on "dbname=other application_name=named"',
    'SHOW application_name;',
    '\\conninfo',
  ].join('\n');
  assert.equal((await assertSame(stage, [], script)).status, 0);
  for (const refused of ['nothing', '- nobody_like_that']) {
    const { status, stdout } = await assertSame(stage, [], `SELECT 1;\n\\c ${refused}\nSELECT 2;\n`);
    assert.equal(status, 2, 'a refusal ends a script');
    assert.match(stdout, /1 row/);
  }
});

clientTest('psql connects with sslmode=prefer and says why sslmode=require cannot', 'psql', async () => {
  const prefer = await psql(stage.proxy, ['-Atc', 'SELECT 42'], {
    env: { PGSSLMODE: 'prefer', PGGSSENCMODE: 'prefer' },
  });
  assert.deepEqual(prefer, { status: 0, stdout: '42\n', stderr: '' });
  const require = await psql(stage.proxy, ['-c', 'SELECT 42'], { env: { PGSSLMODE: 'require' } });
  assert.equal(require.status, 2);
  assert.match(require.stderr, /server does not support SSL, but SSL was required/);
});

clientTest('psql tells the options of the connection to the servers', 'psql', async () => {
  const env = {
    PGOPTIONS: '-c work_mem=12345kB -c DateStyle=German',
    PGAPPNAME: 'named by the client',
    PGTZ: 'Asia/Tokyo',
  };
  const script = "SHOW work_mem; SHOW application_name; SHOW timezone; SELECT '2024-02-29 12:00:00+00'::timestamptz;";
  await assertSame(stage, [], script, { env });
});
