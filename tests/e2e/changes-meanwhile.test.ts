/** What was known when a statement was planned, and is another thing when it runs: definitions, triggers, names. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import pg from 'pg';
import { sql } from '../support/cluster.ts';
import { copyData, copyDone, query } from '../support/frontend-messages.ts';
import { clusterDsn, startTestProxy } from '../support/proxy.ts';
import { assertWritersEqual, becomePlain, connectRaw, errorIn, outcome, refusal, startScene, until } from './scene.ts';

const scene = await startScene({}, { reader: false });
const { cluster, proxy } = scene;
const { w1 } = cluster;
const HANGS = { timeout: 60_000 };
let client: pg.Client;
let other: pg.Client;

before(async () => {
  [client, other] = [await proxy.connect(), await proxy.connect()];
  await client.query(`
    CREATE FUNCTION lucky() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.luck := random(); RETURN NEW; END';
    CREATE TABLE bare (id int PRIMARY KEY, n int, luck float8);
    CREATE TABLE fired (LIKE bare INCLUDING ALL);
    CREATE TRIGGER lucky BEFORE INSERT OR UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION lucky();
    INSERT INTO bare SELECT g, 0 FROM generate_series(1, 20) g; INSERT INTO fired SELECT g, 0 FROM generate_series(1, 20) g`);
});

async function waitsForLock(): Promise<void> {
  await until('a statement waits for a lock on the lead', async () => {
    const [row] = await sql(w1, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
    return row?.['n'] === 1;
  });
}

describe('a definition that is committed while a statement waits for it', () => {
  const cases: Readonly<Record<string, readonly [definition: string, statement: string]>> = {
    'a trigger': [
      'CREATE TRIGGER lucky BEFORE UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION lucky()',
      'UPDATE bare SET n = n + 1 WHERE id = 1',
    ],
    'a default': ['ALTER TABLE bare ALTER luck SET DEFAULT random()', 'INSERT INTO bare (id, n) VALUES (100, 1)'],
    'a trigger that fires always': [
      'ALTER TABLE fired ENABLE ALWAYS TRIGGER lucky',
      'UPDATE fired SET n = n + 1 WHERE id = 1',
    ],
  };
  const reset = (): Promise<unknown> =>
    other.query(`DROP TRIGGER IF EXISTS lucky ON bare; ALTER TABLE bare ALTER luck DROP DEFAULT;
      ALTER TABLE fired ENABLE TRIGGER lucky`);
  for (const [name, [definition, statement]] of Object.entries(cases)) {
    test(`${name}: the statement alone is run once more`, HANGS, async () => {
      await client.query('UPDATE fired SET n = n + 1 WHERE id = 2; UPDATE bare SET n = n + 1 WHERE id = 2');
      await other.query(`BEGIN; ${definition}`);
      const waiting = outcome(client.query(statement));
      await waitsForLock();
      await other.query('COMMIT');
      // One that fires on followers too is refused in any case: what it stores is random.
      const found = await waiting;
      assert.ok(name.endsWith('always') ? found === '40001' || found === '40002' : found === 'ok', found);
      await assertWritersEqual(cluster);
      await reset();
      await other.query('DELETE FROM bare WHERE id = 100');
    });

    test(`${name}: in a block it is told`, HANGS, async () => {
      await client.query('UPDATE fired SET n = n + 1 WHERE id = 2; UPDATE bare SET n = n + 1 WHERE id = 2');
      await other.query(`BEGIN; ${definition}`);
      await client.query('BEGIN');
      const waiting = outcome(client.query(statement));
      await waitsForLock();
      await other.query('COMMIT');
      const found = await waiting;
      await client.query('ROLLBACK');
      assert.ok(found === '40001' || found === '40002', `seen, and told: ${found}`);
      await assertWritersEqual(cluster);
      await reset();
      await client.query(statement);
      await assertWritersEqual(cluster);
    });
  }

  test('a trigger, and rows that are copied', HANGS, async () => {
    await other.query('BEGIN; CREATE TRIGGER lucky BEFORE INSERT ON bare FOR EACH ROW EXECUTE FUNCTION lucky()');
    const raw = await connectRaw(scene);
    raw.send(query('COPY bare (id, n) FROM STDIN'));
    await waitsForLock();
    await other.query('COMMIT');
    await raw.waitFor(['CopyInResponse'], 0);
    const ready = raw.readies + 1;
    raw.send(Buffer.concat([copyData('200\t1\n'), copyDone()]));
    await raw.waitReady(ready);
    const { C } = errorIn(raw.messages);
    assert.ok(C === '40001' || C === '40002', C);
    raw.destroy();
    await assertWritersEqual(cluster);
    await other.query('DROP TRIGGER lucky ON bare');
  });

  test('and changes nothing about it lets it go on', HANGS, async () => {
    await other.query('BEGIN; ALTER TABLE bare ADD CONSTRAINT small CHECK (n < 1000)');
    const waiting = client.query('UPDATE bare SET n = n + 1 WHERE id = 3');
    await waitsForLock();
    await other.query('COMMIT');
    assert.equal((await waiting).rowCount, 1);
    await assertWritersEqual(cluster);
  });
});

describe('what is known of triggers', () => {
  test('may be old where another process has changed it', HANGS, async () => {
    const elsewhere = await startTestProxy({ writers: cluster.writers.map(clusterDsn) });
    const distant = await elsewhere.connect();
    await client.query('UPDATE fired SET n = n + 1 WHERE id = 4');
    await distant.query('ALTER TABLE fired ENABLE ALWAYS TRIGGER lucky');
    const error = await refusal(client.query('UPDATE fired SET n = n + 1 WHERE id = 4'));
    assert.ok(error.code === '40001' || error.code === '40002', error.message);
    assert.equal((await refusal(client.query('UPDATE fired SET n = n + 1 WHERE id = 4'))).code, '40002', 'known now');
    await distant.query('ALTER TABLE fired ENABLE TRIGGER lucky');
    await distant.end();
    await elsewhere.stop();
    await assertWritersEqual(cluster);
  });

  test('does not depend on how a session writes names', HANGS, async () => {
    await client.query(`CREATE TABLE always (LIKE fired INCLUDING ALL); INSERT INTO always VALUES (1, 1);
      CREATE TRIGGER lucky BEFORE UPDATE ON always FOR EACH ROW EXECUTE FUNCTION lucky(); ALTER TABLE always ENABLE ALWAYS TRIGGER lucky`);
    await other.query('SET quote_all_identifiers = on; UPDATE fired SET n = n + 1 WHERE id = 5');
    await other.query('UPDATE fired SET n = n + 1 WHERE id = 5');
    assert.equal((await refusal(client.query('UPDATE always SET n = 2 WHERE id = 1'))).code, '40002');
    await other.query('RESET quote_all_identifiers');
    await assertWritersEqual(cluster);
  });
});

describe('rows of a trigger beside rows that a statement has stored in the same table', () => {
  const WIDE = "('wide', 1, repeat('y', 8110))";
  const ways: Readonly<Record<string, readonly [make: string, store: string]>> = {
    'through a view': ['CREATE VIEW v AS SELECT what, luck, pad FROM big', `INSERT INTO v VALUES ${WIDE}`],
    'by a name that means another table later': [
      'CREATE SCHEMA s; CREATE TABLE s.big (what text)',
      `INSERT INTO big VALUES ${WIDE}; SET LOCAL search_path = s, public`,
    ],
    'by a foreign key': [
      `CREATE TABLE up (k text PRIMARY KEY); INSERT INTO up VALUES ('old'), ('trigger'), ('wide');
        ALTER TABLE big ADD FOREIGN KEY (what) REFERENCES up ON UPDATE CASCADE; INSERT INTO big VALUES ${WIDE}`,
      "UPDATE up SET k = k || '+' WHERE k LIKE 'wide%'",
    ],
    'by a rule': [
      'CREATE TABLE ruled (LIKE big); CREATE RULE r AS ON INSERT TO ruled DO INSTEAD INSERT INTO big VALUES (NEW.*)',
      `INSERT INTO ruled VALUES ${WIDE}`,
    ],
  };
  for (const [name, [make, store]] of Object.entries(ways)) {
    test(name, HANGS, async () => {
      await client.query(`DROP TABLE IF EXISTS big CASCADE; CREATE TABLE big (what text, luck float8, pad text STORAGE PLAIN);
        ${make}; CREATE TABLE IF NOT EXISTS fire (id int PRIMARY KEY, n int); INSERT INTO fire VALUES (1, 0) ON CONFLICT DO NOTHING;
        CREATE OR REPLACE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.big VALUES ($$trigger$$, random()); RETURN NEW; END';
        CREATE OR REPLACE TRIGGER fire AFTER UPDATE ON fire FOR EACH ROW EXECUTE FUNCTION fire()`);
      for (const writer of cluster.writers) {
        await sql(writer, "INSERT INTO big SELECT 'old', 0, repeat('x', 3900) FROM generate_series(1, 800)");
        await sql(writer, "DELETE FROM big WHERE ctid < '(40,0)' AND ctid::text LIKE '%,1)' AND what = 'old'");
        await sql(writer, 'VACUUM big');
      }
      await client.query(`BEGIN; ${store}; UPDATE public.fire SET n = n + 1; COMMIT`);
      await assertWritersEqual(cluster);
      if (!store.includes('LOCAL')) {
        await client.query(`${store}; UPDATE public.fire SET n = n + 1`);
        await assertWritersEqual(cluster);
      }
      const plain = await proxy.connect();
      await becomePlain(cluster, plain);
      // Its triggers have other luck on each writer: followers get the lead's.
      await plain.query(`BEGIN; ${store}; UPDATE public.fire SET n = n + 1; COMMIT`);
      await plain.end();
      await assertWritersEqual(cluster);
    });
  }
});

describe('keys that change unsaid', () => {
  const SCHEMA = `DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE, n int, k int GENERATED ALWAYS AS IDENTITY);
    INSERT INTO t SELECT g, g, g FROM generate_series(1, 9) g`;
  const trigger = (
    body: string,
  ): string => `CREATE OR REPLACE FUNCTION rekey() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body}; RETURN NEW; END $$;
    CREATE TRIGGER rekey BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION rekey()`;
  const upsert = 'INSERT INTO t (id, u, n) VALUES (100, 5, 1) ON CONFLICT (u) DO UPDATE SET n = t.n + 1';
  const cases: Readonly<Record<string, readonly [schema: string, statement: string]>> = {
    'by a trigger of an upsert': [`${SCHEMA}; ${trigger('NEW.id := NEW.id + 1000; NEW.u := NULL')}`, upsert],
    'by a trigger that changes an identity': [`${SCHEMA}; ${trigger('NEW.k := NEW.k + 1000')}`, upsert],
    'a generated key': [
      `DROP TABLE IF EXISTS t; CREATE TABLE t (a int, k int GENERATED ALWAYS AS (a + 1) STORED PRIMARY KEY, u int UNIQUE, n int);
       INSERT INTO t (a, u, n) SELECT g, g, g FROM generate_series(1, 9) g`,
      'INSERT INTO t (a, u) VALUES (50, 6) ON CONFLICT (u) DO UPDATE SET a = 101, u = NULL, n = (random() * 1000)::int',
    ],
    'a generated column that foreign keys refer to': [
      `DROP TABLE IF EXISTS t; CREATE TABLE t (id int PRIMARY KEY, a int, k int GENERATED ALWAYS AS (a + 1) STORED UNIQUE);
       CREATE TABLE child (id int PRIMARY KEY, k int REFERENCES t (k) ON UPDATE CASCADE, luck float8);
       INSERT INTO t SELECT g, g FROM generate_series(1, 9) g; INSERT INTO child SELECT g, g + 1 FROM generate_series(1, 9) g;
       CREATE TRIGGER lucky BEFORE UPDATE ON child FOR EACH ROW EXECUTE FUNCTION lucky()`,
      'UPDATE t SET a = 100 WHERE id = 1',
    ],
  };
  for (const [name, [schema, statement]] of Object.entries(cases)) {
    test(name, HANGS, async () => {
      await client.query(schema);
      const found = await outcome(client.query(statement));
      assert.ok(['ok', '40002', '0A000'].includes(found), found);
      await assertWritersEqual(cluster);
    });
  }
});

test('rules that fire always, in a table that a trigger stores rows in', HANGS, async () => {
  await client.query(`CREATE TABLE notes (id serial PRIMARY KEY, what text); CREATE TABLE extra (what text);
    CREATE RULE also AS ON INSERT TO notes DO ALSO INSERT INTO extra VALUES ('of a rule'); ALTER TABLE notes ENABLE ALWAYS RULE also;
    CREATE TABLE noted (id int PRIMARY KEY, n int); INSERT INTO noted VALUES (1, 1);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO notes (what) VALUES ('x'); RETURN NEW; END $$;
    CREATE TRIGGER note AFTER UPDATE ON noted FOR EACH ROW EXECUTE FUNCTION note()`);
  await client.query('UPDATE noted SET n = n + 1');
  await assertWritersEqual(cluster);
});

test('what was prepared may be deallocated by a block', HANGS, async () => {
  const block = "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; UPDATE bare SET n = n + 1 WHERE id = 9; END $$";
  await client.query(block);
  await client.query(
    `BEGIN; UPDATE fired SET n = 3 WHERE id = 9; ${block}; UPDATE fired SET n = 4 WHERE id = 9; COMMIT`,
  );
  await client.query(block);
  await assertWritersEqual(cluster);
});

test('a trigger statement behind one that takes a follower long waits as long as that may', HANGS, async () => {
  const brief = await startTestProxy({
    writers: cluster.writers.map(clusterDsn),
    settings: { followerTimeoutMs: 700, followerLockTimeoutMs: 300 },
  });
  const own = await brief.connect();
  await own.query('BEGIN; UPDATE bare SET n = n + 1, luck = length(pg_sleep(1.2)::text) WHERE id = 12');
  await own.query('UPDATE fired SET n = n + 1 WHERE id = 12; COMMIT');
  await own.end();
  await brief.stop();
  await assertWritersEqual(cluster);
});

test('lastval() is not that of a trigger of another client', HANGS, async () => {
  await client.query(`CREATE SEQUENCE drawn; CREATE FUNCTION draw() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.n := nextval('drawn'); RETURN NEW; END $$;
    CREATE TABLE draws (id int PRIMARY KEY, n int); INSERT INTO draws VALUES (1, 1);
    CREATE TRIGGER draw BEFORE UPDATE ON draws FOR EACH ROW EXECUTE FUNCTION draw()`);
  const own = await proxy.connect();
  await own.query('UPDATE draws SET n = 0');
  await own.end();
  for (let next = 0; next < 4; next++) {
    const stranger = await proxy.connect();
    assert.equal((await refusal(stranger.query('SELECT lastval() FROM draws FOR UPDATE'))).code, '55000');
    await stranger.end();
  }
});
