/** Roles that may do little, as applications have them: what triggers and functions do for them is the same on every writer, or it is said that it is not known. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { startTestProxy, clusterDsn } from '../support/proxy.ts';
import { assertWritersEqual, refusal, startScene, value } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  const owner = await proxy.connect();
  await owner.query(`CREATE ROLE app; CREATE ROLE adds;
    CREATE TABLE item (id int PRIMARY KEY, v text);
    CREATE TABLE audit (id bigserial PRIMARY KEY, item int, at timestamptz DEFAULT clock_timestamp(), luck float8);
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit (item, luck) VALUES (NEW.id, random()); RETURN NEW; END';
    CREATE TRIGGER noted AFTER INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE FUNCTION note(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit (item, luck) VALUES ($1, random()); RETURN 1; END';
    GRANT ALL ON item, audit TO app; GRANT USAGE ON SEQUENCE audit_id_seq TO app, adds;
    CREATE TABLE lucky (id int PRIMARY KEY, luck float8, n int); GRANT INSERT ON lucky TO adds;
    CREATE FUNCTION draw() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.luck := random(); IF NEW.id > 9 THEN NEW.n := nextval(''audit_id_seq''); END IF; RETURN NEW; END';
    CREATE TRIGGER draw BEFORE INSERT ON lucky FOR EACH ROW EXECUTE FUNCTION draw();
    CREATE SCHEMA hidden; CREATE TABLE deed (id int PRIMARY KEY, v text); GRANT ALL ON deed TO app;
    CREATE TABLE ledger (id bigserial, deed int, at timestamptz DEFAULT clock_timestamp(), luck float8) PARTITION BY RANGE (deed);
    CREATE TABLE hidden.first (luck float8, id bigint NOT NULL DEFAULT nextval('ledger_id_seq') PRIMARY KEY, deed int, at timestamptz DEFAULT clock_timestamp());
    ALTER TABLE ledger ATTACH PARTITION hidden.first FOR VALUES FROM (0) TO (10);
    CREATE TABLE hidden."Sub" PARTITION OF ledger DEFAULT PARTITION BY LIST (deed); CREATE TABLE hidden."Sub""1" PARTITION OF hidden."Sub" DEFAULT;
    CREATE FUNCTION entered() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO ledger (deed, luck) VALUES (NEW.id, random()); RETURN NEW; END';
    CREATE FUNCTION moved() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE ledger SET deed = deed + 10, luck = random() WHERE deed = NEW.id; RETURN NEW; END';
    CREATE FUNCTION struck() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE ledger SET luck = random() WHERE deed = OLD.id; DELETE FROM ledger WHERE deed = OLD.id + 10; RETURN OLD; END';
    CREATE TRIGGER entered AFTER INSERT ON deed FOR EACH ROW EXECUTE FUNCTION entered(); CREATE TRIGGER moved AFTER UPDATE ON deed FOR EACH ROW EXECUTE FUNCTION moved();
    CREATE TRIGGER struck AFTER DELETE ON deed FOR EACH ROW EXECUTE FUNCTION struck();
    GRANT ALL ON ledger TO app; GRANT USAGE ON SEQUENCE ledger_id_seq TO app`);
  await owner.end();
  client = await proxy.connect();
});

async function run(role: string, texts: readonly string[]): Promise<void> {
  await client.query(`SET ROLE ${role}`);
  for (const text of texts) {
    await client.query(text);
    await assertWritersEqual(cluster);
  }
  await client.query('RESET ROLE');
}

describe('a role that may use a sequence, and not set it', () => {
  test('sets off triggers and functions that draw from it', HANGS, async () => {
    await run('app', [
      "INSERT INTO item VALUES (1, 'a'), (2, 'b')",
      "UPDATE item SET v = 'c' WHERE id = 1",
      'SELECT note(5)',
      'DO $$ BEGIN PERFORM note(6); END $$',
      "BEGIN; INSERT INTO item VALUES (3, 'a'); SELECT note(7); SAVEPOINT s; SELECT note(8); ROLLBACK TO s; COMMIT",
      "INSERT INTO item SELECT 4 + note(9), 'x'",
    ]);
    assert.equal(await value(client, 'SELECT count(*)::int FROM audit'), 9);
    const [lead, follower] = await Promise.all(
      [cluster.w1, cluster.w2].map((writer) => sql(writer, 'SELECT last_value::int AS at FROM audit_id_seq')),
    );
    assert.ok(Number(follower?.[0]?.['at']) >= Number(lead?.[0]?.['at']), 'the follower is ahead');
  });

  test('is told where what was drawn cannot be compared', HANGS, async () => {
    await client.query('SET ROLE adds');
    const error = await refusal(client.query('INSERT INTO lucky (id) VALUES (10)'));
    await client.query('RESET ROLE');
    assert.equal(error.code, '42501');
    assert.match(error.detail ?? '', /Not to be compared: rows of public\.lucky/);
    assert.match(error.hint ?? '', /GRANT UPDATE ON SEQUENCE public\.audit_id_seq/);
    await assertWritersEqual(cluster);
  });
});

test('partitions on which a role has no rights, and by whose whole it reaches them', HANGS, async () => {
  await run('app', [
    "INSERT INTO deed VALUES (1, 'a'), (2, 'b'), (11, 'c'), (12, 'd'), (2000, 'e')",
    "UPDATE deed SET v = 'c' WHERE id IN (1, 2, 12)",
    'DELETE FROM deed WHERE id IN (12, 2000)',
    'DELETE FROM deed WHERE id = 1',
    "BEGIN; INSERT INTO deed VALUES (3, 'x'); SAVEPOINT s; DELETE FROM deed WHERE id = 3; ROLLBACK TO s; UPDATE deed SET v = 'q' WHERE id = 3; COMMIT",
  ]);
  assert.ok(Number(await value(client, 'SELECT count(*) FROM ledger')) > 0);
});

describe('a role that may add rows, and not read them', () => {
  test('is named in the log where a trigger may have made something else of them', HANGS, async () => {
    const from = proxy.lines.length;
    await client.query('SET ROLE adds');
    await client.query('INSERT INTO lucky (id) VALUES (1)');
    await client.query('RESET ROLE');
    const told = proxy.lines.slice(from).filter(({ event }) => event === 'effects that cannot be compared');
    assert.match(JSON.stringify(told), /rows of public\.lucky/);
    await client.query('DELETE FROM lucky');
  });

  test('is refused where that is asked for', HANGS, async () => {
    const strict = await startTestProxy({
      writers: cluster.writers.map(clusterDsn),
      settings: { unproven: 'refuse' },
    });
    const own = await strict.connect();
    await own.query('SET ROLE adds');
    const error = await refusal(own.query('INSERT INTO lucky (id) VALUES (1)'));
    assert.equal(error.code, '0A000');
    await own.end();
    await assertWritersEqual(cluster);
  });
});

test('what could be done about a trigger that fires anew is said', HANGS, async () => {
  await client.query('GRANT SELECT ON lucky TO adds; SET ROLE adds');
  const error = await refusal(client.query('INSERT INTO lucky (id) VALUES (2)'));
  await client.query('RESET ROLE');
  assert.equal(error.code, '40002');
  assert.match(error.hint ?? '', /GRANT SET ON PARAMETER session_replication_role/);
  await assertWritersEqual(cluster);
});
