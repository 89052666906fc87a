/** Rows of tables with triggers, told to followers on which none fires for them: behind the lead, as those of other tables. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import pg from 'pg';
import { sql } from '../support/cluster.ts';
import { clusterDsn } from '../support/proxy.ts';
import { assertWritersEqual, refusal, startScene, until } from './scene.ts';

/** No wait of these tests may end by a deadline of the proxy's. */
const PATIENT = { followerLockTimeoutMs: 60_000, followerTimeoutMs: 90_000 } as const;
const { cluster, proxy } = await startScene(PATIENT, { reader: false });
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };
const client = await proxy.connect();

/** No follower would come to these values by itself. */
before(() =>
  client.query(`
    CREATE TABLE stamped (id int PRIMARY KEY, n int, note text, at timestamptz, luck float8);
    CREATE TABLE noted (id serial PRIMARY KEY, what text);
    CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      NEW.at := clock_timestamp(); NEW.luck := random(); RETURN NEW; END $$;
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO noted (what) VALUES (NEW.id || ' ' || random()); RETURN NULL; END $$;
    CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
    CREATE TRIGGER note AFTER UPDATE ON stamped FOR EACH ROW WHEN (NEW.n < 0) EXECUTE FUNCTION note();
    INSERT INTO stamped SELECT g, 1, repeat('x', 2000) FROM generate_series(1, 1000) g`),
);

async function isQuietBefore(): Promise<void> {
  await client.query('UPDATE stamped SET n = n + 1 WHERE id = 1');
}

describe('a statement whose triggers change its own rows alone', () => {
  test('is answered before the follower has run it', HANGS, async () => {
    await isQuietBefore();
    const holder = new pg.Client({ connectionString: clusterDsn(w2) });
    await holder.connect();
    await holder.query('BEGIN; SELECT FROM stamped WHERE id = 7 FOR UPDATE');
    await client.query('BEGIN');
    await client.query('UPDATE stamped SET n = 70 WHERE id = 7');
    await until('the follower waits for the row', async () => {
      const [row] = await sql(w2, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
      return row?.['n'] === 1;
    });
    const { rows } = await client.query('UPDATE stamped SET n = n + 1 WHERE id IN (7, 8) RETURNING n');
    assert.deepEqual(rows, [{ n: 71 }, { n: 2 }]);
    await holder.end();
    await client.query('COMMIT');
    await assertWritersEqual(cluster);
  });

  test('goes with others that do more, in their order', HANGS, async () => {
    await client.query(`BEGIN; UPDATE stamped SET n = 5 WHERE id = 20`);
    await client.query('UPDATE stamped SET n = -n WHERE id BETWEEN 20 AND 25');
    await client.query('SAVEPOINT s; UPDATE stamped SET n = 0 WHERE id = 21; ROLLBACK TO s');
    await client.query("INSERT INTO stamped VALUES (2001, 1, 'new') ON CONFLICT DO NOTHING");
    await client.query('DELETE FROM stamped WHERE id = 22; UPDATE stamped SET n = 9 WHERE id = 20; COMMIT');
    await client.query('UPDATE stamped SET n = 3 WHERE id = -1');
    await client.query('UPDATE stamped SET n = -3 WHERE id = 30');
    await assertWritersEqual(cluster);
    assert.equal((await sql(w2, 'SELECT count(*)::int AS n FROM noted'))[0]?.['n'], 7);
  });

  test('is waited for where its rows are too many to be behind by', HANGS, async () => {
    await client.query('UPDATE stamped SET note = note || n WHERE id <= 1000');
    await assertWritersEqual(cluster);
  });

  test('by many at once', HANGS, async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, () => proxy.connect()));
    const work = clients.map(async (one, number) => {
      for (let round = 0; round < 20; round++) {
        const id = 1 + ((number + round) % 10);
        const text = round % 3 === 0 ? `BEGIN; UPDATE stamped SET n = 0 WHERE id = ${id}; COMMIT` : '';
        await one.query(text === '' ? `UPDATE stamped SET n = n + 1 WHERE id = ${id}` : text);
      }
    });
    await Promise.all(work);
    await Promise.all(clients.map((one) => one.end()));
    await assertWritersEqual(cluster);
  });
});

describe('what followers do with triggers', () => {
  test('is what the client has set, whatever was known before', HANGS, async () => {
    await isQuietBefore();
    const tell = (name: string): string =>
      `DO $$ BEGIN EXECUTE 'CREATE TABLE ${name}_' || current_setting('session_replication_role') || ' ()'; END $$`;
    await client.query(`BEGIN; SET LOCAL session_replication_role = replica; UPDATE stamped SET n = 2 WHERE id = 40;
      ${tell('a')}; COMMIT`);
    await client.query('SET session_replication_role = replica; UPDATE stamped SET n = 2 WHERE id = 40');
    await client.query(tell('b'));
    await client.query('RESET session_replication_role; UPDATE stamped SET n = 3 WHERE id = 40');
    await client.query(tell('c'));
    const made = "SELECT relname FROM pg_class WHERE relname ~ '^[abc]_' ORDER BY 1";
    for (const server of [w1, w2])
      assert.deepEqual(
        (await sql(server, made)).map(({ relname }) => relname),
        ['a_replica', 'b_replica', 'c_origin'],
      );
    await assertWritersEqual(cluster);
  });

  test('is asked for anew behind a definition', HANGS, async () => {
    await isQuietBefore();
    await client.query('ALTER TABLE stamped ENABLE ALWAYS TRIGGER stamp');
    const error = await refusal(client.query('UPDATE stamped SET n = 4 WHERE id = 50'));
    assert.equal(error.code, '40002', 'the trigger fires on the follower, and has other luck there');
    await client.query('ALTER TABLE stamped ENABLE TRIGGER stamp; UPDATE stamped SET n = 4 WHERE id = 50');
    await assertWritersEqual(cluster);
  });

  test('is refused by the follower where the session may not turn them off any more', HANGS, async () => {
    const own = 'CREATE ROLE quiet; GRANT ALL ON stamped, noted, noted_id_seq TO quiet';
    const grant = 'GRANT SET ON PARAMETER session_replication_role TO quiet';
    await client.query(`${own}; ${grant}`);
    const role = await proxy.connect();
    await role.query('SET ROLE quiet');
    await role.query('UPDATE stamped SET n = 5 WHERE id = 60');
    await sql(w2, grant.replace('GRANT', 'REVOKE').replace(' TO ', ' FROM '));
    const error = await refusal(role.query('UPDATE stamped SET n = 6 WHERE id = 60'));
    assert.ok(error.code === '42501' || error.code === '40002', `known before, or asked for anew: ${error.message}`);
    await role.end();
    await assertWritersEqual(cluster);
  });
});
