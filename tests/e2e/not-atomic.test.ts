/** What PostgreSQL cannot prepare, or would commit by itself: found beforehand, or refused with nothing of it anywhere. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import type { Server } from '../../src/embedded/server.ts';
import { startNode } from '../support/child.ts';
import { sql } from '../support/cluster.ts';
import { clusterDsn, startTestProxy, type TestProxy } from '../support/proxy.ts';
import { root } from '../support/repository.ts';
import { becomePlain, assertWritersEqual, loggedTimes, refusal, startScene, value } from './scene.ts';

const logged = { settings: { log_statement: 'all' } };
const { cluster, proxy } = await startScene({}, { reader: false, overrides: { w2: logged } });
const { w1, w2 } = cluster;

async function pprox(command: string, env: Readonly<Record<string, string>> = {}) {
  const as = ({ port }: Server): string => `postgresql://plain@127.0.0.1:${port}/postgres`;
  const writers = `${as(w1)},${as(w2)}`;
  const child = startNode(join(root, 'bin', 'pprox'), [command], {
    env: { PROXY_ADDR: '127.0.0.1:0', PG_WRITERS_CSV: writers, PG_READER_DSN: '', ...env },
  });
  const status = await child.ended;
  return { status, output: child.output() };
}

const warnings = (output: string): readonly string[] =>
  output
    .split('\n')
    .flatMap((line) => /^warning: (follower .* (?:notifies|makes temporary objects), .*)$/.exec(line)?.[1] ?? []);

describe('what a follower could not prepare', () => {
  /** As clients have made it, on every writer. */
  before(async () => {
    const client = await proxy.connect();
    await client.query(`
      CREATE ROLE plain LOGIN;
      CREATE SCHEMA "Shop";
      CREATE TABLE "Shop".loud (id int PRIMARY KEY);
      CREATE TABLE "Shop".scratch (id int PRIMARY KEY);
      CREATE TABLE calm (id int PRIMARY KEY, notify text);
      CREATE TABLE parts (id int) PARTITION BY RANGE (id);
      CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
      CREATE FUNCTION "Shop".shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_notify($$loud$$, $$x$$); RETURN NULL; END';
      CREATE FUNCTION whisper() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN /* all of it */ NOTIFY loud; RETURN NULL; END';
      CREATE FUNCTION murmur() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN EXECUTE format($$NOTIFY %I$$, TG_TABLE_NAME); RETURN NULL; END';
      CREATE FUNCTION collect() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN CREATE TEMP TABLE IF NOT EXISTS pile (id int) ON COMMIT DROP; RETURN NULL; END';
      CREATE FUNCTION harmless() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN -- no NOTIFY x here, and no pg_notify(
           IF NEW.notify IS NOT NULL THEN RAISE NOTICE $$notify the temporary tenant$$; END IF; RETURN NULL; END';
      CREATE TRIGGER shout AFTER INSERT ON "Shop".loud FOR EACH ROW EXECUTE FUNCTION "Shop".shout();
      CREATE TRIGGER collect AFTER INSERT ON "Shop".scratch FOR EACH ROW EXECUTE FUNCTION collect();
      CREATE TRIGGER harmless AFTER INSERT ON calm FOR EACH ROW EXECUTE FUNCTION harmless();
      CREATE TRIGGER off AFTER INSERT ON calm FOR EACH ROW EXECUTE FUNCTION whisper();
      ALTER TABLE calm DISABLE TRIGGER off;
      CREATE TRIGGER replica AFTER INSERT ON calm FOR EACH ROW EXECUTE FUNCTION murmur();
      ALTER TABLE calm ENABLE REPLICA TRIGGER replica;
      CREATE TRIGGER always AFTER DELETE ON calm FOR EACH ROW EXECUTE FUNCTION whisper();
      ALTER TABLE calm ENABLE ALWAYS TRIGGER always;
      CREATE TRIGGER parts AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION murmur();
      CREATE RULE bell AS ON DELETE TO "Shop".scratch DO ALSO NOTIFY loud`);
    for (const server of cluster.writers) {
      await sql(
        server,
        `CREATE FUNCTION reload() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN NOTIFY reload; END';
         CREATE EVENT TRIGGER reload ON ddl_command_end EXECUTE FUNCTION reload()`,
      );
    }
    for (const server of cluster.writers) await sql(server, 'ALTER EVENT TRIGGER reload DISABLE');
  });

  test('is told by check, to a role with its login alone, by trigger, table and server, with what helps', async () => {
    const { output } = await pprox('check');
    const found = warnings(output);
    const follower = `follower 127.0.0.1:${w2.port}/postgres: `;
    const seen = found.map((line) => line.slice(follower.length, line.indexOf(', to judge')));
    assert.ok(
      found.every((line) => line.startsWith(follower)),
      output,
    );
    assert.deepEqual(seen, [
      'trigger "shout" on "Shop".loud notifies',
      'trigger "collect" on "Shop".scratch makes temporary objects',
      'trigger "always" on public.calm notifies',
      'trigger "parts" on public.parts notifies',
      'rule "bell" on "Shop".scratch notifies',
    ]);
    assert.match(
      found[0] ?? '',
      /ALTER TABLE "Shop"\.loud DISABLE TRIGGER "shout", or ENABLE REPLICA TRIGGER "shout"; or set PPROX_COMMIT_MODE=one-phase$/,
    );
    assert.match(found[4] ?? '', /ALTER TABLE "Shop"\.scratch DISABLE RULE "bell";/);
  });

  test('is told of event triggers as well', async () => {
    await sql(w2, 'ALTER EVENT TRIGGER reload ENABLE');
    const { output } = await pprox('check');
    await sql(w2, 'ALTER EVENT TRIGGER reload DISABLE');
    assert.ok(
      warnings(output).some((line) =>
        /event trigger "reload" notifies, .*: ALTER EVENT TRIGGER "reload" DISABLE;/.test(line),
      ),
      output,
    );
  });

  test('is nothing to warn of in one phase, which does not prepare', async () => {
    const { output } = await pprox('check', { PPROX_COMMIT_MODE: 'one-phase' });
    assert.deepEqual(warnings(output), [], output);
  });

  test('is refused with 0A000 and what helps, is nowhere then, and goes once that is done', async () => {
    const client = await proxy.connect();
    await becomePlain(cluster, client);
    const cases = [
      ['INSERT INTO "Shop".loud VALUES (1)', 'ALTER TABLE "Shop".loud DISABLE TRIGGER shout', '"Shop".loud'],
      [
        'INSERT INTO "Shop".scratch VALUES (1)',
        'ALTER TABLE "Shop".scratch ENABLE REPLICA TRIGGER collect',
        '"Shop".scratch',
      ],
    ] as const;
    for (const [statement, remedy, table] of cases) {
      for (const text of [statement, `BEGIN; ${statement}; COMMIT`]) {
        const error = await refusal(client.query(text));
        assert.equal(error.code, '0A000', `${text}: ${error.message}`);
        assert.match(error.hint ?? '', /^Nothing of this was applied on any writer\. Disable there the trigger/);
        assert.match(error.hint ?? '', new RegExp(`127\\.0\\.0\\.1:${w2.port}.*one-phase`));
        for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, `SELECT FROM ${table}`), []);
        await client.query('ROLLBACK');
      }
      await sql(w2, remedy);
      await client.query(statement);
      for (const writer of [w1, w2]) assert.equal((await sql(writer, `SELECT FROM ${table}`)).length, 1);
    }
    assert.deepEqual(await sql(w2, 'SELECT FROM pg_prepared_xacts'), []);
  });
});

describe('a procedure that commits', () => {
  const onePhase = startTestProxy({
    writers: cluster.writers.map(clusterDsn),
    settings: { commitMode: 'one-phase', drainMs: 500 },
  });

  before(async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE stage (name text PRIMARY KEY)');
    for (const end of ['COMMIT', 'ROLLBACK']) {
      await client.query(
        `CREATE PROCEDURE ends_by_${end}(name text) LANGUAGE plpgsql AS
           $$ BEGIN INSERT INTO stage VALUES (name); ${end}; INSERT INTO stage VALUES (name || ' again'); END $$`,
      );
    }
    await client.query(
      'CREATE PROCEDURE outer_one(name text) LANGUAGE plpgsql AS $$ BEGIN CALL ends_by_commit(name); END $$',
    );
  });

  const stages = (server: Server) => sql(server, 'SELECT name FROM stage ORDER BY name');
  const ways: Readonly<Record<string, string>> = {
    'CALL of one that commits': "CALL ends_by_commit('called: commit')",
    'CALL of one that rolls back': "CALL ends_by_rollback('called: rollback')",
    'CALL of one that calls it': "CALL outer_one('called: inner')",
    'DO with COMMIT': "DO $$ BEGIN INSERT INTO stage VALUES ('done: commit'); COMMIT; END $$",
    'DO with ROLLBACK': "DO $$ BEGIN INSERT INTO stage VALUES ('done: rollback'); ROLLBACK; END $$",
  };

  async function assertRefused(client: pg.Client, text: string): Promise<void> {
    const error = await refusal(client.query(text));
    assert.equal(error.code, '2D000', error.message);
    assert.match(error.message, /invalid transaction termination/);
  }

  for (const mode of ['two-phase', 'one-phase'] as const) {
    const through = (): TestProxy | Promise<TestProxy> => (mode === 'two-phase' ? proxy : onePhase);
    for (const [what, text] of Object.entries(ways)) {
      test(`is refused before a follower has seen it: ${what}, in ${mode}`, async () => {
        const client = await (await through()).connect();
        const mark = /'((?:called|done): \w+)'/.exec(text)?.[1] ?? '';
        await assertRefused(client, text);
        await client.query('BEGIN');
        await assertRefused(client, text);
        assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
        await assertRefused(client, `SELECT 1; ${text}`);
        assert.equal(loggedTimes(w2, mark), 0, 'the follower was not asked');
        for (const writer of [w1, w2]) assert.deepEqual(await stages(writer), []);
        assert.equal(await value(client, 'SELECT count(*)::int FROM stage'), 0);
      });
    }
  }

  test('runs on every writer where it does not come to that', async () => {
    const client = await proxy.connect();
    await client.query("DO $$ BEGIN INSERT INTO stage VALUES ('seen by all'); IF 1 = 2 THEN COMMIT; END IF; END $$");
    assert.ok(loggedTimes(w2, 'seen by all') > 0);
    for (const writer of [w1, w2]) assert.deepEqual(await stages(writer), [{ name: 'seen by all' }]);
    await client.query('DELETE FROM stage');
  });

  test('may commit where there is a single writer, which has nobody to agree with', async () => {
    const single = await startTestProxy({ writers: [clusterDsn(w1)], settings: { drainMs: 500 } });
    const client = await single.connect();
    await client.query("CALL ends_by_rollback('lost'); -- alone");
    assert.deepEqual(await stages(w1), [{ name: 'lost again' }]);
    await client.query('DELETE FROM stage');
  });

  test('fails like any statement inside a block: a savepoint keeps what stood before', async () => {
    const client = await proxy.connect();
    await client.query("BEGIN; INSERT INTO stage VALUES ('kept'); SAVEPOINT s");
    await assertRefused(client, "CALL ends_by_commit('gone')");
    await client.query('ROLLBACK TO s; COMMIT');
    for (const writer of [w1, w2]) assert.deepEqual(await stages(writer), [{ name: 'kept' }]);
    await assertWritersEqual(cluster);
  });
});

test("a client's own PREPARE TRANSACTION, COMMIT PREPARED and ROLLBACK PREPARED are refused before any server sees them", async () => {
  const client = await proxy.connect();
  await client.query('CREATE TABLE own (id int PRIMARY KEY)');
  for (const statement of ["PREPARE TRANSACTION 'mine'", "COMMIT PREPARED 'mine'", "ROLLBACK PREPARED 'mine'"]) {
    for (const text of [
      statement,
      `INSERT INTO own VALUES (1); ${statement}`,
      `BEGIN; INSERT INTO own VALUES (1); ${statement}`,
    ]) {
      const error = await refusal(client.query(text));
      assert.equal(error.code, '0A000', text);
      assert.equal(error.message, 'PREPARE TRANSACTION is not supported through pprox');
      assert.match(error.hint ?? '', /on a server directly/);
      await client.query('ROLLBACK');
    }
    assert.equal(loggedTimes(w2, statement), 0);
  }
  for (const writer of [w1, w2]) {
    assert.deepEqual(await sql(writer, 'SELECT FROM pg_prepared_xacts'), []);
    assert.deepEqual(await sql(writer, 'SELECT FROM own'), []);
  }
});
