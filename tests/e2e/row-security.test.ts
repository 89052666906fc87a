/** Tables that the session's role is shown in part, or may only add to: what it stores there with values that vary is the lead's, or it is refused. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { assertWritersEqual, outcome, refusal, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`
    CREATE TABLE todo (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), owner text, v text, at timestamptz DEFAULT clock_timestamp());
    CREATE TABLE heap (nr serial, owner text, at timestamptz DEFAULT clock_timestamp());
    CREATE TABLE log (nr serial, v text, at timestamptz DEFAULT clock_timestamp());
    ALTER TABLE todo ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON todo USING (owner = current_setting('app.who', true));
    ALTER TABLE heap ENABLE ROW LEVEL SECURITY; CREATE POLICY put ON heap FOR INSERT WITH CHECK (true);
    CREATE POLICY see ON heap FOR SELECT USING (owner = 'me');
    CREATE FUNCTION add(text) RETURNS uuid LANGUAGE sql AS 'INSERT INTO todo (owner, v) VALUES (current_setting(''app.who''), $1) RETURNING id';
    CREATE FUNCTION add_for(who text) RETURNS text LANGUAGE plpgsql AS $$
      BEGIN PERFORM set_config('app.who', who, true); INSERT INTO todo (id, owner, at) VALUES (md5(who)::uuid, who, '2026-01-01'); RETURN who; END $$;
    CREATE FUNCTION tried(text) RETURNS int LANGUAGE plpgsql AS $$
      BEGIN BEGIN INSERT INTO log (v) VALUES ($1); RAISE 'failed'; EXCEPTION WHEN raise_exception THEN NULL; END; RETURN 1; END $$;
    CREATE TABLE once (nr serial, v text);
    CREATE FUNCTION inner_once() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF pg_trigger_depth() > 1 OR NEW.v <> 'twice' THEN RETURN NEW; END IF;
        BEGIN INSERT INTO once (v) VALUES ('inner'); RAISE 'failed'; EXCEPTION WHEN raise_exception THEN NULL; END; RETURN NULL; END $$;
    CREATE TRIGGER inner_once BEFORE INSERT ON once FOR EACH ROW EXECUTE FUNCTION inner_once();
    CREATE ROLE member; GRANT ALL ON todo, heap TO member; GRANT SELECT, INSERT ON log TO member; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO member;
    CREATE ROLE quiet IN ROLE member; GRANT SET ON PARAMETER session_replication_role TO quiet`);
});

for (const role of ['member', 'quiet'])
  describe(`as role ${role}`, () => {
    before(async () => {
      await client.query(`SET ROLE ${role}; SET app.who = 'me'`);
    });

    const told: readonly string[] = [
      "INSERT INTO todo (owner) VALUES ('me')",
      "INSERT INTO todo (owner) VALUES ('me'), ('me')",
      "WITH s AS (INSERT INTO todo (owner) VALUES ('me') RETURNING *) SELECT * FROM s",
      "INSERT INTO heap (owner) SELECT 'me' FROM generate_series(1, 3)",
      "INSERT INTO log (v) VALUES ('first')",
      "WITH s AS (INSERT INTO log (v) VALUES ('second') RETURNING nr) SELECT nr FROM s",
      "SELECT add('by a function')",
    ];
    for (const text of told)
      test(text, HANGS, async () => {
        await client.query(text);
        await client.query(`BEGIN; ${text}; SAVEPOINT s; ${text}; COMMIT`);
        await assertWritersEqual(cluster);
      });

    test('what a function has stored and taken back is nobody’s', HANGS, async () => {
      await client.query("BEGIN; INSERT INTO log (v) VALUES ('kept'); SELECT tried('not kept'); COMMIT");
      await assertWritersEqual(cluster);
    });

    test('a function that sets what policies look at', HANGS, async () => {
      await client.query(`SELECT add_for('${role}')`);
      await client.query("SET app.who = 'me'");
      await assertWritersEqual(cluster);
    });

    test(
      'a row that policies hide from who has stored it is refused, and so is one that they do not let in',
      HANGS,
      async () => {
        const hidden = await refusal(client.query("INSERT INTO heap (owner) VALUES ('you')"));
        assert.equal(hidden.code, '0A000');
        await client.query("BEGIN; INSERT INTO heap (owner) VALUES ('me')");
        assert.equal((await refusal(client.query("INSERT INTO heap (owner) VALUES ('you')"))).code, '0A000');
        await client.query('ROLLBACK');
        const kept = await refusal(client.query("INSERT INTO todo (owner) VALUES ('you')"));
        assert.equal(kept.code, '42501');
        await assertWritersEqual(cluster);
      },
    );
  });

test('an upsert whose changed rows could not have been inserted', HANGS, async () => {
  await client.query(`RESET ROLE; CREATE TABLE draft (id int PRIMARY KEY, v text, at timestamptz); INSERT INTO draft VALUES (2, 'a'), (4, 'a');
    ALTER TABLE draft ENABLE ROW LEVEL SECURITY; CREATE POLICY puts ON draft FOR INSERT WITH CHECK (v = 'draft');
    CREATE POLICY sees ON draft FOR SELECT USING (true); CREATE POLICY sets ON draft FOR UPDATE USING (true);
    GRANT ALL ON draft TO member; SET ROLE member`);
  await client.query(
    "INSERT INTO draft (id, v) VALUES (4, 'draft'), (5, 'draft') ON CONFLICT (id) DO UPDATE SET v = 'done', at = now()",
  );
  await client.query("INSERT INTO draft (id, v) SELECT 2, 'draft' ON CONFLICT (id) DO UPDATE SET v = 'done'");
  await assertWritersEqual(cluster);
  await client.query('RESET ROLE');
});

test('rows that policies hide from the owner cannot be given values that vary', HANGS, async () => {
  await client.query(`CREATE ROLE owner_too; GRANT ALL ON SCHEMA public TO owner_too; CREATE TABLE owned (id int PRIMARY KEY, v text);
    INSERT INTO owned SELECT g, 'v' FROM generate_series(1, 4) g; ALTER TABLE owned ENABLE ROW LEVEL SECURITY; ALTER TABLE owned FORCE ROW LEVEL SECURITY;
    CREATE POLICY few ON owned USING (id < 3); ALTER TABLE owned OWNER TO owner_too; SET ROLE owner_too`);
  const error = await refusal(client.query('ALTER TABLE owned ADD COLUMN luck float8 DEFAULT random()'));
  assert.equal(error.code, '0A000');
  assert.match(error.hint ?? '', /NO FORCE ROW LEVEL SECURITY/);
  await client.query('ALTER TABLE owned ADD COLUMN sure int DEFAULT 5; RESET ROLE');
  await assertWritersEqual(cluster);
});

test(
  'rows that a policy lets through by luck, or by the time, are the lead’s, or nothing is changed',
  HANGS,
  async () => {
    await client.query(`RESET ROLE; CREATE TABLE lucky (id int PRIMARY KEY, v int); INSERT INTO lucky SELECT g, 0 FROM generate_series(1, 20) g;
    CREATE TABLE lasting (id int PRIMARY KEY, v int, until timestamptz); INSERT INTO lasting SELECT g, 0, now() + interval '1 day' FROM generate_series(1, 4) g;
    ALTER TABLE lucky ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON lucky USING (random() < 0.5) WITH CHECK (true);
    ALTER TABLE lasting ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON lasting USING (until > now());
    GRANT ALL ON lucky, lasting TO member; SET ROLE member`);
    for (let id = 1; id <= 20; id++) {
      const text = `WITH gone AS (DELETE FROM lucky WHERE id = ${id} RETURNING 1) SELECT 1`;
      assert.ok(['ok', '40002'].includes(await outcome(client.query(text))));
    }
    await assertWritersEqual(cluster);
    for (const by of ['id = 1', 'id IN (2, 3)', 'v = 0'])
      await client.query(`WITH gone AS (DELETE FROM lasting WHERE ${by} RETURNING 1) SELECT 1`);
    await client.query('RESET ROLE');
    assert.equal((await client.query('SELECT FROM lasting')).rowCount, 0);
    await assertWritersEqual(cluster);
  },
);

test('what triggers make of rows that are shown in part is compared', HANGS, async () => {
  await client.query(`CREATE TABLE dated (id int PRIMARY KEY, owner text, at timestamptz); INSERT INTO dated SELECT g, 'me', '2026-01-01' FROM generate_series(1, 5) g;
    CREATE FUNCTION dates() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at := clock_timestamp(); RETURN NEW; END';
    CREATE TRIGGER dates BEFORE INSERT OR UPDATE ON dated FOR EACH ROW EXECUTE FUNCTION dates();
    CREATE FUNCTION touch(int) RETURNS void LANGUAGE sql AS 'UPDATE dated SET owner = owner WHERE id = $1';
    ALTER TABLE dated ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON dated USING (owner = 'me'); GRANT ALL ON dated TO member`);
  const texts = [
    'WITH u AS (UPDATE dated SET owner = owner WHERE id = 1 RETURNING 1) SELECT count(*) FROM u',
    'SELECT touch(2)',
    "WITH i AS (INSERT INTO dated VALUES (10, 'me') RETURNING 1) SELECT count(*) FROM i",
    "UPDATE dated SET owner = 'me'",
  ];
  for (const role of ['member', 'quiet']) {
    await client.query(`SET ROLE ${role}`);
    for (const text of texts) {
      const done = await outcome(client.query(text));
      await assertWritersEqual(cluster);
      assert.equal(done, role === 'quiet' ? 'ok' : '40002', text);
    }
    await client.query('RESET ROLE');
  }
});

test('what a trigger has stored in its own table and taken back is nobody’s', HANGS, async () => {
  await client.query("RESET ROLE; BEGIN; INSERT INTO once (v) VALUES ('first')");
  await client
    .query("WITH s AS (INSERT INTO once (v) VALUES ('twice') RETURNING *) SELECT count(*) FROM s; COMMIT")
    .catch(() => client.query('ROLLBACK'));
  await assertWritersEqual(cluster);
});
