/** `pprox init`, and what a start in two phases looks for: as an operator runs them, as processes of their own. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import pg from 'pg';
import { SCHEMA, SCHEMA_VERSION } from '../../src/commit/decisions.ts';
import type { Server } from '../../src/embedded/server.ts';
import { start, startNode } from '../support/child.ts';
import { sql, startTestCluster } from '../support/cluster.ts';
import { testMajor } from '../support/major.ts';
import { startTestProxy } from '../support/proxy.ts';
import { readText, root } from '../support/repository.ts';
import { assertWritersEqual, refusal } from './scene.ts';

const hba = ['host all guarded 127.0.0.1/32 scram-sha-256'];
const cluster = await startTestCluster({ leadSql: [], reader: false, hba });
const { w1, w2 } = cluster;
const pprox = join(root, 'bin', 'pprox');
for (const writer of [w1, w2]) {
  await sql(writer, `CREATE ROLE app LOGIN; CREATE ROLE web LOGIN; CREATE ROLE guarded LOGIN PASSWORD 'open sesame'`);
}

/** Of one writer's part of a configuration. */
function dsn(server: Server, database: string, user = 'app'): string {
  return `postgresql://${user}@127.0.0.1:${server.port}/${database}`;
}

function variables(database: string, user?: string): Readonly<Record<string, string>> {
  return {
    PROXY_ADDR: '127.0.0.1:0',
    PG_WRITERS_CSV: `${dsn(w1, database, user)},${dsn(w2, database, user)}`,
    PG_READER_DSN: '',
    PPROX_COMMIT_MODE: 'two-phase',
  };
}

/** What a client of a proxy is told whose DSNs name no database: its start has not looked at this one. */
async function told(database: string): Promise<pg.DatabaseError> {
  for (const writer of [w1, w2])
    await sql(writer, 'CREATE TABLE told (id int PRIMARY KEY); GRANT ALL ON told TO app', database);
  const proxy = await startTestProxy({ writers: [w1, w2].map((server) => dsn(server, '').slice(0, -1)) });
  try {
    const client = await proxy.connect({ database, user: 'app' });
    return await refusal(client.query('INSERT INTO told VALUES (1)'));
  } finally {
    await proxy.stop();
  }
}

async function run(args: readonly string[], env: Readonly<Record<string, string>>) {
  const child = startNode(pprox, args, { env });
  const status = await child.ended;
  return { status, output: child.output() };
}

/** An empty database on both writers, in which `app` may do nothing, but make schemas on the lead where asked. */
async function makeDatabase(name: string, create: 'may create' | 'may not create' = 'may create'): Promise<void> {
  for (const writer of [w1, w2]) {
    await sql(writer, `CREATE DATABASE ${name}`);
    await sql(
      writer,
      `REVOKE ALL ON DATABASE ${name} FROM PUBLIC; GRANT CONNECT ON DATABASE ${name} TO app, web, guarded`,
    );
  }
  if (create === 'may create') await sql(w1, `GRANT CREATE ON DATABASE ${name} TO app, guarded`);
}

const schemas = (server: Server, database: string) =>
  sql(server, "SELECT FROM pg_namespace WHERE nspname = 'pprox'", database);

/** Writes through a proxy in two phases that logs in as `user`; the row must be on both writers, and its decision on the lead. */
async function assertCommits(database: string, user: string): Promise<void> {
  for (const writer of [w1, w2]) {
    await sql(writer, `CREATE TABLE IF NOT EXISTS kept (id int PRIMARY KEY); GRANT ALL ON kept TO ${user}`, database);
  }
  const child = startNode(pprox, [], { env: variables(database, user) });
  const port = Number(/"address":"127\.0\.0\.1:(\d+)"/.exec(await child.says('"ready"'))?.[1]);
  const client = new pg.Client({ host: '127.0.0.1', port, user, database });
  await client.connect();
  const before = await sql(w1, 'SELECT FROM pprox.decision', database);
  await client.query('INSERT INTO kept SELECT count(*) + 1 FROM kept');
  await client.end();
  assert.equal((await sql(w1, 'SELECT FROM pprox.decision WHERE committed', database)).length, before.length + 1);
  await assertWritersEqual(cluster, database);
  child.process.kill('SIGTERM');
  assert.equal(await child.ended, 0);
}

describe('pprox init', () => {
  test('makes the schema on the lead alone as a role that may create one and nothing else', async () => {
    await makeDatabase('shop');
    const { status, output } = await run(['init'], variables('shop'));
    assert.equal(status, 0, output);
    assert.ok(output.includes(SCHEMA.map((statement) => `${statement};\n`).join('')), output);
    assert.ok(output.includes(`-- follower 127.0.0.1:${w2.port}/shop: max_prepared_transactions = 100\n`), output);
    assert.equal((await schemas(w1, 'shop')).length, 1);
    assert.equal((await schemas(w2, 'shop')).length, 0);
    await sql(w1, 'REVOKE CREATE ON DATABASE shop FROM app');
    await assertCommits('shop', 'app');
  });

  test('run again says that the schema is there, and changes nothing', async () => {
    await makeDatabase('again');
    const first = await run(['init'], variables('again'));
    assert.equal(first.status, 0, first.output);
    const catalog = "SELECT xmin::text FROM pg_namespace WHERE nspname = 'pprox'";
    const before = await sql(w1, catalog, 'again');
    const { status, output } = await run(['init'], variables('again'));
    assert.equal(status, 0, output);
    assert.match(output, new RegExp(`schema pprox, version ${SCHEMA_VERSION}, is there already`));
    assert.doesNotMatch(output, /CREATE|BEGIN/);
    assert.deepEqual(await sql(w1, catalog, 'again'), before);
  });

  for (const [version, later, further] of [
    [1, /TABLE pprox.definition/, ''],
    [2, /ADD COLUMN sequences/, '; GRANT SELECT, INSERT, UPDATE, DELETE ON pprox.definition TO web'],
  ] as const) {
    test(`brings a schema of version ${version} up to date, open to whom it was open`, async () => {
      const database = `of_version_${version}`;
      await makeDatabase(database);
      const older = SCHEMA.filter((text) => !later.test(text)).map((text) =>
        text.replace(`'SELECT ${SCHEMA_VERSION}'`, `'SELECT ${version}'`),
      );
      const grants = `GRANT USAGE ON SCHEMA pprox TO web; GRANT SELECT, INSERT, DELETE ON pprox.decision TO web${further}`;
      await sql(w1, `SET ROLE app; ${older.join('; ')}; ${grants}`, database);
      const before = await run([], variables(database, 'web'));
      assert.equal(before.status, 1, before.output);
      assert.match(before.output, new RegExp(`has version ${version}; this pprox needs version ${SCHEMA_VERSION}`));
      assert.match(
        before.output,
        new RegExp(`Run bin/pprox init --database ${database}: it brings the schema up to date`),
      );
      const refused = await told(database);
      assert.match(refused.hint ?? '', /"pprox (init|check)"/, refused.message);
      const { status, output } = await run(['init', '--user', 'app'], variables(database));
      assert.equal(status, 0, output);
      await assertCommits(database, 'app');
      await assertCommits(database, 'web');
    });
  }

  test('with --dry-run changes nothing, and prints what can be run by hand', async () => {
    await makeDatabase('dry');
    const { status, output } = await run(['init', '--dry-run', '--grant', 'web'], variables('dry'));
    assert.equal(status, 0, output);
    assert.match(output, /-- dry run: nothing was changed/);
    assert.equal((await schemas(w1, 'dry')).length, 0);
    await sql(w1, `SET ROLE app; ${output}`, 'dry');
    await assertCommits('dry', 'app');
    await assertCommits('dry', 'web');
  });

  test('opens the schema to other login roles, later as well, in every database named', async () => {
    for (const database of ['one', 'two']) await makeDatabase(database);
    const databases = ['--database', 'one', '--database', 'two'];
    assert.equal((await run(['init', ...databases], variables('one'))).status, 0);
    const closed = await run([], variables('two', 'web'));
    assert.equal(closed.status, 1, closed.output);
    assert.match(closed.output, /role "web" may not use schema pprox in database "two" of the lead/);
    assert.match(closed.output, /bin\/pprox init --user app --database two --grant web/);
    const granted = await run(
      ['init', '--user', 'app', '--database', 'two', '--grant', 'web'],
      variables('two', 'web'),
    );
    assert.equal(granted.status, 0, granted.output);
    await assertCommits('two', 'web');
  });

  test('logs in as another role by the password of the environment', async () => {
    await makeDatabase('guarded');
    const env = { ...variables('guarded'), PGPASSWORD: 'open sesame' };
    const { status, output } = await run(['init', '--user', 'guarded', '--grant', 'app'], env);
    assert.equal(status, 0, output);
    assert.doesNotMatch(output, /sesame/);
    const owner = "SELECT nspowner::regrole::text AS owner FROM pg_namespace WHERE nspname = 'pprox'";
    assert.deepEqual(await sql(w1, owner, 'guarded'), [{ owner: 'guarded' }]);
    await assertCommits('guarded', 'app');
  });

  test('names the privilege that is missing, and the GRANT', async () => {
    await makeDatabase('closed', 'may not create');
    const { status, output } = await run(['init'], variables('closed'));
    assert.equal(status, 1, output);
    assert.match(output, /role "app" may not create a schema in database "closed" of the lead/);
    const [grant = ''] = /GRANT CREATE ON DATABASE .*;/.exec(output) ?? [];
    await sql(w1, grant);
    assert.equal((await run(['init'], variables('closed'))).status, 0);
  });

  test('refuses where a publication would carry decisions to subscribers', async () => {
    await makeDatabase('published');
    await sql(w1, 'CREATE PUBLICATION everything FOR ALL TABLES', 'published');
    const { status, output } = await run(['init'], variables('published'));
    assert.equal(status, 1, output);
    assert.match(output, /publication "everything" \(FOR ALL TABLES\)/);
    assert.match(output, /Replace it by a publication of a list of tables/);
    assert.equal((await schemas(w1, 'published')).length, 0);
    await sql(w1, 'DROP PUBLICATION everything', 'published');
    assert.equal((await run(['init'], variables('published'))).status, 0);
    if ((testMajor ?? 18) >= 15) {
      await sql(w1, 'CREATE PUBLICATION ours FOR TABLES IN SCHEMA pprox', 'published');
      const ours = await run(['init'], variables('published'));
      assert.equal(ours.status, 1, ours.output);
      assert.match(ours.output, /publication "ours" \(FOR TABLES IN SCHEMA pprox\)/);
    } else {
      await sql(w1, 'CREATE PUBLICATION everything FOR ALL TABLES', 'published');
    }
    const check = await run(['check'], variables('published'));
    assert.match(check.output, /warning: database "published" of the lead publishes the table of decisions/);
  });

  test('refuses a schema of a newer version, and one that is not of its making', async () => {
    await makeDatabase('newer');
    await sql(w1, 'CREATE SCHEMA pprox', 'newer');
    const foreign = await run(['init'], variables('newer'));
    assert.equal(foreign.status, 1, foreign.output);
    assert.match(foreign.output, /schema pprox in database "newer" of the lead is not of pprox's making/);
    const version = `CREATE FUNCTION pprox.version() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ${SCHEMA_VERSION + 1}'`;
    await sql(w1, version, 'newer');
    for (const args of [['init'], ['check'], []]) {
      const { status, output } = await run(args, variables('newer'));
      assert.equal(status, 1, output);
      assert.match(output, new RegExp(`has version ${SCHEMA_VERSION + 1}, which is newer than this pprox knows`));
    }
  });

  test('says what it lacks where the DSN leaves user or database to the client', async () => {
    const env = {
      ...variables('postgres'),
      PG_WRITERS_CSV: `postgresql://127.0.0.1:${w1.port},postgresql://127.0.0.1:${w2.port}`,
    };
    const noUser = await run(['init'], env);
    assert.equal(noUser.status, 2, noUser.output);
    assert.match(noUser.output, /say with --user who is to own the schema/);
    const noDatabase = await run(['init', '--user', 'app'], env);
    assert.equal(noDatabase.status, 2, noDatabase.output);
    assert.match(noDatabase.output, /name with --database each one/);
  });
});

describe('a start in two phases', () => {
  test('is refused where the lead has no schema, and says how to make it', async () => {
    await makeDatabase('bare');
    for (const args of [[], ['check']]) {
      const { status, output } = await run(args, variables('bare'));
      assert.equal(status, 1, output);
      assert.match(output, /database "bare" of the lead has no schema pprox/);
      assert.match(output, /Run bin\/pprox init --database bare/);
    }
    const alone = await run(['check'], { ...variables('bare'), PPROX_COMMIT_MODE: 'one-phase' });
    assert.equal(alone.status, 0, alone.output);
  });

  test('is refused where a follower cannot prepare transactions, and names it and the setting', async () => {
    const other = await startTestCluster({
      reader: false,
      overrides: { w2: { settings: { max_prepared_transactions: '0' } } },
    });
    const writers = other.writers.map((server) => dsn(server, 'postgres', 'postgres')).join(',');
    for (const args of [[], ['check'], ['init']]) {
      const { status, output } = await run(args, { ...variables('postgres'), PG_WRITERS_CSV: writers });
      assert.equal(status, 1, output);
      assert.match(
        output,
        new RegExp(`follower 127.0.0.1:${other.w2.port}/postgres has max_prepared_transactions = 0`),
      );
      assert.match(output, /PPROX_POOL_SIZE times the number of pprox processes \(40 for one\)/);
    }
  });

  test('is not refused where a server cannot be reached', async () => {
    const writers = 'postgresql://app@127.0.0.1:1/shop,postgresql://app@127.0.0.1:2/shop';
    const child = startNode(pprox, [], { env: { ...variables('shop'), PG_WRITERS_CSV: writers } });
    await child.says('"ready"');
    child.process.kill('SIGTERM');
    assert.equal(await child.ended, 0);
  });
});

test('the commands of the manual work as printed', async () => {
  await makeDatabase('manual');
  const page = readText('docs/two-phase-commit.md');
  const [, commands = ''] = /```sh\n([^`]*pprox init[^`]*)```/.exec(page) ?? [];
  assert.match(commands, /^bin\/pprox init +#/m);
  const child = start('/bin/sh', ['-ec', commands], { cwd: root, env: variables('manual') });
  assert.equal(await child.ended, 0, child.output());
  await assertCommits('manual', 'app');
});
