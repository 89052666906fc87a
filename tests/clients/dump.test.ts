/** pg_dump and pg_restore: a database comes out through the proxy as it comes out of the lead, and goes in on every writer. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { clientTest } from '../support/client-programs.ts';
import { dump, sql } from '../support/cluster.ts';
import { type ProgramOptions, succeed } from './program.ts';
import { assertSameText, psql } from './psql.ts';
import { type Address, assertWritersEqual, createDatabases, fixture, openStage } from './stage.ts';

const stage = await openStage();
const { w1, w2 } = stage.cluster;
const folder = mkdtempSync(join(tmpdir(), 'pprox-dump-'));
after(() => rmSync(folder, { recursive: true }));
for (const writer of [w1, w2]) await sql(writer, 'CREATE ROLE shop_owner; CREATE ROLE shop_reader');
await createDatabases(stage, 'shop', 'plain', 'inserts', 'custom', 'parallel');

before(async () => {
  const { status, stderr } = await psql(stage.proxy, ['-q', '-f', fixture('shop.sql')], { database: 'shop' });
  assert.equal(status, 0, stderr);
});

const address = ({ host, port }: Address): readonly string[] => ['-h', host, '-p', String(port), '-U', 'postgres'];

/** Of pg_dump or pg_restore; the key of \restrict is another one each time. */
async function output(program: string, args: readonly string[], options?: ProgramOptions): Promise<string> {
  const text = await succeed(program, args, options);
  assert.ok(text.length > 500, 'there is something to compare');
  return text.replaceAll(/^\\(un)?restrict .*$/gm, '\\$1restrict …');
}

const dumped = (target: Address, database: string, ...options: readonly string[]): Promise<string> =>
  output('pg_dump', [...address(target), ...options, database]);

/** Schema pprox is the lead's own: a dump to be restored through pprox leaves it out. */
const portable = '--exclude-schema=pprox';

/** Both writers give the dump that the original gives. */
async function assertRestored(database: string): Promise<void> {
  const original = await dumped(w1, 'shop', portable);
  for (const writer of [w1, w2]) {
    assertSameText(await dumped(writer, database, portable), original, `${writer.name}/${database}`);
  }
  assert.equal(await dump(w2, database), await dump(w1, database));
}

const variants = [
  [],
  ['--inserts'],
  ['--column-inserts', '--rows-per-insert=2'],
  ['--schema-only', '--clean', '--create'],
  ['--serializable-deferrable', '--table=shop.customer'],
] as const;
for (const options of variants) {
  clientTest(
    `${['pg_dump', ...options].join(' ')} gives through the proxy what it gives on the lead`,
    'pg_dump',
    async () => {
      const expected = await dumped(stage.lead, 'shop', ...options);
      assertSameText(await dumped(stage.proxy, 'shop', ...options), expected, 'the dump');
    },
  );
}

clientTest('pg_dump with two jobs reads one snapshot through the proxy', 'pg_dump', async () => {
  const texts = await Promise.all(
    [stage.lead, stage.proxy].map(async (target) => {
      const place = join(folder, `jobs-${target.port}`);
      await succeed('pg_dump', [...address(target), '-Fd', '-j', '2', '-f', place, 'shop']);
      return (await output('pg_restore', ['-f', '-', place])).replaceAll(/^-- (Dumped|Started|Completed).*$/gm, '');
    }),
  );
  assertSameText(String(texts[1]), String(texts[0]), 'the dump');
});

clientTest('pg_dumpall lists roles through the proxy as on the lead', 'pg_dump', async () => {
  const [expected, actual] = await Promise.all(
    [stage.lead, stage.proxy].map((target) => output('pg_dumpall', [...address(target), '--globals-only'])),
  );
  assertSameText(String(actual), String(expected), 'the roles');
});

clientTest('a dump restored by psql is on both writers as it was', 'pg_dump', async () => {
  const file = join(folder, 'plain.sql');
  writeFileSync(file, await succeed('pg_dump', [...address(stage.proxy), portable, 'shop']));
  const { status, stderr } = await psql(stage.proxy, ['-q', '-v', 'ON_ERROR_STOP=1', '-f', file], {
    database: 'plain',
  });
  assert.equal(status, 0, stderr);
  await assertRestored('plain');
  const { stdout } = await psql(
    stage.proxy,
    ['-Atc', "SELECT nextval('shop.invoice_numbers'), nextval('shop.downwards')"],
    { database: 'plain' },
  );
  assert.equal(stdout, '1230|-6\n', 'sequences go on where they were');
});

clientTest(
  'a dump of INSERT statements restored in one transaction is on both writers as it was',
  'pg_dump',
  async () => {
    const file = join(folder, 'inserts.sql');
    writeFileSync(file, await succeed('pg_dump', [...address(stage.proxy), portable, '--inserts', 'shop']));
    const { status, stderr } = await psql(stage.proxy, ['-q', '-1', '-v', 'ON_ERROR_STOP=1', '-f', file], {
      database: 'inserts',
    });
    assert.equal(status, 0, stderr);
    await assertRestored('inserts');
  },
);

clientTest('pg_restore in one transaction brings a database to both writers', 'pg_dump', async () => {
  const file = join(folder, 'custom.dump');
  await succeed('pg_dump', [...address(stage.proxy), portable, '-Fc', '-f', file, 'shop']);
  await succeed('pg_restore', [...address(stage.proxy), '--single-transaction', '-d', 'custom', file]);
  await assertRestored('custom');
});

clientTest('pg_restore with two jobs brings a database to both writers', 'pg_dump', async () => {
  const file = join(folder, 'parallel.dump');
  await succeed('pg_dump', [...address(stage.proxy), portable, '-Fc', '-f', file, 'shop']);
  await succeed('pg_restore', [...address(stage.proxy), '--exit-on-error', '-j', '2', '-d', 'parallel', file]);
  await assertRestored('parallel');
});

clientTest('a restore that fails leaves nothing on any writer', 'pg_dump', async () => {
  await createDatabases(stage, 'failing');
  await sql(w2, 'CREATE SCHEMA shop', 'failing');
  const file = join(folder, 'failing.dump');
  await succeed('pg_dump', [...address(stage.proxy), portable, '-Fc', '-f', file, 'shop']);
  const restore = succeed('pg_restore', [...address(stage.proxy), '--single-transaction', '-d', 'failing', file]);
  await assert.rejects(restore, /schema "shop" already exists[^]*DETAIL: {2}follower 127\.0\.0\.1:\d+/);
  for (const writer of [w1, w2]) {
    assert.deepEqual(await sql(writer, "SELECT FROM pg_class WHERE relname = 'customer'", 'failing'), []);
    assert.deepEqual(await sql(writer, 'SELECT FROM pg_largeobject_metadata', 'failing'), []);
  }
});

clientTest('psql imports, exports and unlinks large objects', 'psql', async () => {
  const [source, copy] = [join(folder, 'source'), join(folder, 'copy')];
  writeFileSync(source, Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * index) % 251)));
  const script = [
    '\\lo_import source',
    '\\set first :LASTOID',
    "\\lo_import source 'a comment'",
    '\\lo_export :LASTOID copy',
    '\\lo_unlink :first',
    '\\lo_unlink 4711',
    'SELECT count(*) FROM pg_largeobject_metadata;',
  ].join('\n');
  const { status, stdout, stderr } = await psql(stage.proxy, ['-Atq'], {
    input: script,
    database: 'plain',
    cwd: folder,
  });
  assert.equal(status, 0);
  assert.equal(stderr, 'ERROR:  large object 4711 does not exist\n');
  assert.ok(stdout.endsWith('3\n'), stdout);
  assert.ok(readFileSync(copy).equals(readFileSync(source)));
  await assertWritersEqual(stage, 'plain');
});
