/** The same text behind locks: what it finds is the same on every writer; and what functions do out of sight. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, becomePlain, outcome, refusal, startScene, until } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`
    CREATE TABLE plain (grp int, n int);
    CREATE TABLE source (id int PRIMARY KEY, n int);
    CREATE TABLE item (id int PRIMARY KEY, n int);
    CREATE TABLE trace (id int PRIMARY KEY, n int);
    INSERT INTO source SELECT g, g FROM generate_series(1, 20) g;
    INSERT INTO item SELECT g, 0 FROM generate_series(1, 20) g;
    INSERT INTO plain SELECT g % 4, g FROM generate_series(1, 40) g`);
});

describe('a table without a key', () => {
  test('is changed alike by many at once', HANGS, async () => {
    const work = Array.from({ length: 8 }, async (_, one) => {
      const own = await proxy.connect();
      for (let round = 0; round < 6; round++) {
        await own.query(`INSERT INTO plain VALUES (${one % 4}, ${round})`);
        await own.query(`UPDATE plain SET n = n + 1 WHERE grp = ${(one + round) % 4} AND n < 30`);
        if (round % 3 === 0) await own.query(`DELETE FROM plain WHERE grp = ${one % 4} AND n = ${round}`);
      }
      await own.end();
    });
    await Promise.all(work);
    await assertWritersEqual(cluster);
  });

  test('is locked against others’ changes, which wait, and not against their reads', HANGS, async () => {
    const other = await proxy.connect();
    await client.query('BEGIN');
    await client.query('UPDATE plain SET n = 0 WHERE grp = 1');
    assert.equal((await other.query('SELECT count(*) FROM plain')).rowCount, 1);
    let state: 'waiting' | 'done' = 'waiting';
    const insert = other.query('INSERT INTO plain VALUES (1, 77)').then(() => {
      state = 'done';
    });
    await until('the INSERT waits on the lead', async () => {
      const [row] = await sql(w1, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
      return row?.['n'] === 1;
    });
    assert.equal(state, 'waiting');
    await client.query('COMMIT');
    await insert;
    await assertWritersEqual(cluster);
  });

  test('is left as it was by who may not wait any longer', HANGS, async () => {
    const other = await proxy.connect();
    await client.query('BEGIN');
    await client.query('UPDATE plain SET n = 0 WHERE grp = 1');
    await other.query("SET lock_timeout = '100ms'");
    assert.equal((await refusal(other.query('DELETE FROM plain'))).code, '55P03');
    await other.query('BEGIN');
    assert.equal((await refusal(other.query('DELETE FROM plain'))).code, '55P03');
    assert.equal((await refusal(other.query('SELECT 1'))).code, '25P02');
    await other.query('ROLLBACK');
    await client.query('ROLLBACK');
    await assertWritersEqual(cluster);
    await other.end();
  });

  test('is not changed by what reads an older state', HANGS, async () => {
    for (const level of ['REPEATABLE READ', 'SERIALIZABLE']) {
      await client.query(`BEGIN ISOLATION LEVEL ${level}`);
      const error = await refusal(client.query('UPDATE plain SET n = 1 WHERE grp = 2'));
      assert.equal(error.code, '0A000');
      assert.match(error.message, new RegExp(level));
      await client.query('ROLLBACK');
      await client.query(`BEGIN ISOLATION LEVEL ${level}`);
      await client.query('UPDATE item SET n = n + 1 WHERE n < 5');
      await client.query('COMMIT');
    }
    await assertWritersEqual(cluster);
  });

  test('is not locked for whom may not: the statement is refused beforehand', HANGS, async () => {
    for (const server of cluster.writers) {
      await sql(server, 'CREATE ROLE clerk');
      await sql(server, 'GRANT SELECT ON source TO clerk; GRANT ALL ON plain TO clerk');
    }
    const clerk = await proxy.connect();
    await clerk.query('SET ROLE clerk');
    const error = await refusal(clerk.query('UPDATE plain SET n = source.n FROM source WHERE source.id = plain.n'));
    assert.equal(error.code, '0A000');
    assert.match(error.hint ?? '', /Grant UPDATE on "source"/);
    await clerk.end();
  });
});

describe('two tables, which another client writes to in the other order', () => {
  const change = (one: string, other: string): string =>
    `WITH gone AS (DELETE FROM ${one} WHERE v = 'gone' RETURNING id) UPDATE ${other} SET v = 'changed' FROM gone WHERE ${other}.id = gone.id`;

  before(async () => {
    await client.query(`
      CREATE TABLE job (id int PRIMARY KEY, v text); CREATE TABLE queue (id int PRIMARY KEY, v text);
      CREATE TABLE job_heap (id int, v text); CREATE TABLE queue_heap (id int, v text);
      CREATE TABLE job_large (id int PRIMARY KEY, v text); CREATE TABLE queue_large (id int PRIMARY KEY, v text)`);
    for (const size of ['', '_heap', '_large'])
      await client.query(
        `INSERT INTO queue${size} SELECT g, 'v' FROM generate_series(1, 4) g; INSERT INTO job${size} SELECT g, 'v' FROM generate_series(1, 4) g`,
      );
    await client.query("INSERT INTO job_large SELECT g, repeat('v', 100) FROM generate_series(5, 20000) g");
  });

  for (const size of ['', '_heap', '_large'])
    test(`job${size}: nobody is told of a deadlock`, HANGS, async () => {
      const other = await proxy.connect();
      await client.query(`UPDATE job${size} SET v = 'gone' WHERE id = 3`);
      await other.query(`BEGIN; INSERT INTO queue${size} VALUES (7, 'v')`);
      const changed = client.query(change(`job${size}`, `queue${size}`));
      // Without a key, or too large to be looked through, it waits for the other to end.
      if (size !== '')
        await until('a lock is waited for', async () => {
          const [row] = await sql(w1, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
          return row?.['n'] === 1;
        });
      await other.query(`INSERT INTO job${size} VALUES (70000, 'v')`);
      await other.query('COMMIT');
      assert.equal((await changed).rowCount, 1);
      assert.equal((await client.query('SHOW lock_timeout')).rows[0].lock_timeout, '0');
      await assertWritersEqual(cluster);
      await other.end();
    });

  test('where it is not waited for, another’s row is waited for alone', HANGS, async () => {
    const other = await proxy.connect();
    await client.query("UPDATE job SET v = 'gone' WHERE id = 2");
    await other.query("BEGIN; INSERT INTO job VALUES (8, 'v'); UPDATE queue SET v = 'other' WHERE id = 4");
    const found = await client.query(change('job', 'queue'));
    assert.equal(found.rowCount, 1);
    await other.query('COMMIT');
    await assertWritersEqual(cluster);
    await other.end();
  });

  test('a lock_timeout of one’s own holds', HANGS, async () => {
    const other = await proxy.connect();
    await other.query("BEGIN; INSERT INTO queue_heap VALUES (9, 'v')");
    await client.query("SET lock_timeout = '150ms'");
    assert.equal((await refusal(client.query(change('queue_heap', 'job_heap')))).code, '55P03');
    await client.query("BEGIN; SET LOCAL lock_timeout = '151ms'");
    await other.query('COMMIT');
    await client.query(change('queue_heap', 'job_heap'));
    assert.equal((await client.query('SHOW lock_timeout')).rows[0].lock_timeout, '151ms');
    await client.query('COMMIT; RESET lock_timeout');
    await assertWritersEqual(cluster);
    await other.end();
  });
});

describe('what a query has made is compared', () => {
  test('row by row, whatever its number', HANGS, async () => {
    await client.query('CREATE TABLE made AS SELECT id, n FROM source');
    await client.query('SELECT * INTO made_too FROM source WHERE n > 3');
    await client.query('CREATE MATERIALIZED VIEW seen AS SELECT sum(n) AS n FROM source');
    await client.query('CREATE TABLE empty AS SELECT * FROM source WITH NO DATA');
    await client.query('CREATE MATERIALIZED VIEW unfilled AS SELECT * FROM source WITH NO DATA');
    await client.query('REFRESH MATERIALIZED VIEW seen');
    await client.query('REFRESH MATERIALIZED VIEW seen WITH NO DATA');
    await client.query('REFRESH MATERIALIZED VIEW seen');
    await client.query('DROP MATERIALIZED VIEW unfilled');
    await assertWritersEqual(cluster);
    await sql(w2, 'UPDATE source SET n = 99 WHERE id = 7');
    for (const text of [
      'CREATE TABLE other AS SELECT id, n FROM source',
      'SELECT * INTO other FROM source',
      'REFRESH MATERIALIZED VIEW seen',
      'CREATE MATERIALIZED VIEW other AS SELECT sum(n) FROM source',
    ]) {
      const error = await refusal(client.query(text));
      assert.equal(error.code, '40002', error.message);
      assert.match(error.detail ?? '', /the rows differ from the lead's/);
    }
    await client.query('CREATE TABLE IF NOT EXISTS made AS SELECT 1 AS x');
    await sql(w2, 'UPDATE source SET n = 7 WHERE id = 7');
    await assertWritersEqual(cluster);
  });

  test('while others change what it reads', HANGS, async () => {
    const changing = Array.from({ length: 4 }, async (_, one) => {
      const own = await proxy.connect();
      for (let round = 0; round < 30; round++)
        await own.query(`UPDATE source SET n = n + 1 WHERE id % 5 = ${(one + round) % 5}`);
      await own.end();
    });
    for (let round = 0; round < 5; round++) {
      await client.query(`CREATE TABLE copy_${round} AS SELECT * FROM source WHERE n % 2 = 0`);
      await client.query('REFRESH MATERIALIZED VIEW seen');
    }
    await Promise.all(changing);
    await assertWritersEqual(cluster);
  });
});

describe('several changes in one statement', () => {
  /** Two MERGEs lock the same rows each in its own order: a deadlock of the lead's own, which anybody may be told of who waits for one of them. */
  async function unlessDeadlocked(own: pg.Client, text: string): Promise<void> {
    for (let found = '40P01'; found === '40P01'; ) {
      found = await outcome(own.query(text));
      assert.ok(found === 'ok' || found === '40P01', found);
    }
  }

  test('do the same on every writer under contention', HANGS, async () => {
    const work = Array.from({ length: 6 }, async (_, one) => {
      const own = await proxy.connect();
      for (let round = 0; round < 5; round++) {
        await unlessDeadlocked(
          own,
          `WITH gone AS (DELETE FROM plain WHERE grp = ${(one + round) % 4} AND n % 7 = ${round} RETURNING *)
           INSERT INTO plain SELECT grp + 1, n + 1 FROM gone`,
        );
        await unlessDeadlocked(
          own,
          `WITH u AS (UPDATE item SET n = n + 1 WHERE id = ${one + 1} RETURNING *) SELECT * FROM u`,
        );
        await unlessDeadlocked(
          own,
          `MERGE INTO item USING source ON source.id = item.id AND source.n % 3 = ${round % 3}
           WHEN MATCHED THEN UPDATE SET n = item.n + source.n`,
        );
      }
      await own.end();
    });
    await Promise.all(work);
    await assertWritersEqual(cluster);
  });
});

describe('what a function does elsewhere', () => {
  before(async () => {
    await client.query(`
      CREATE FUNCTION bump(step int) RETURNS int LANGUAGE sql VOLATILE
        AS 'INSERT INTO trace VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET n = trace.n + step RETURNING n';
      CREATE TABLE bumped (id int PRIMARY KEY, n int DEFAULT bump(5));
      CREATE FUNCTION local() RETURNS int LANGUAGE sql VOLATILE
        AS 'INSERT INTO trace SELECT g, 0 FROM generate_series(100, 100 + current_setting(''port'')::int - 1024) g; SELECT 1'`);
  });

  for (const text of [
    'UPDATE item SET n = bump(2) WHERE id = 3',
    'UPDATE item SET n = bump(id) WHERE id < 4',
    'INSERT INTO item VALUES (101, bump(1))',
    'INSERT INTO bumped (id) VALUES (1)',
    'INSERT INTO bumped DEFAULT VALUES ON CONFLICT DO NOTHING',
    'DELETE FROM item WHERE n < bump(1) AND id = 5',
  ]) {
    test(`is done on every writer: ${text}`, HANGS, async () => {
      if (text.includes('DEFAULT VALUES')) assert.equal((await refusal(client.query(text))).code, '23502');
      else await client.query(text);
      await assertWritersEqual(cluster);
    });
  }

  test('as much as on the lead, where its rows can be told', HANGS, async () => {
    await client.query('UPDATE item SET n = local() WHERE id = 3');
    await assertWritersEqual(cluster);
    // No trigger would fire for them: none has to be turned off.
    await becomePlain(cluster, client);
    for (const text of ['SELECT local()', 'UPDATE item SET n = local() WHERE id = 3']) {
      await client.query('DELETE FROM trace');
      await client.query(text);
      await assertWritersEqual(cluster);
    }
    await client.query('DELETE FROM trace');
  });

  test('and is refused where it is not as much on each of them', HANGS, async () => {
    await client.query('RESET ROLE');
    await client.query(`CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
      CREATE TRIGGER nothing BEFORE INSERT ON trace FOR EACH ROW EXECUTE FUNCTION nothing()`);
    await becomePlain(cluster, client);
    for (const text of [
      'SELECT local()',
      'UPDATE item SET n = local() WHERE id = 3',
      "DO 'BEGIN PERFORM local(); END'",
    ]) {
      const error = await refusal(client.query(text));
      assert.equal(error.code, '40002', error.message);
      assert.match(
        error.detail ?? '',
        /rows of public\.trace: \d+ inserted, 0 updated, 0 deleted, where on the lead: \d+ inserted/,
      );
      await assertWritersEqual(cluster);
    }
  });
});

describe('what triggers and functions write elsewhere is told row by row', () => {
  before(async () => {
    await client.query('RESET ROLE; DROP TRIGGER nothing ON trace');
    await client.query(`
      CREATE TABLE owner (id int PRIMARY KEY, n int, seen timestamptz);
      CREATE TABLE audit (id serial PRIMARY KEY, what text, at timestamptz DEFAULT clock_timestamp());
      CREATE TABLE heap (what text, at timestamptz);
      CREATE TABLE total (grp int PRIMARY KEY, n bigint, at timestamptz);
      INSERT INTO owner SELECT g, g FROM generate_series(1, 10) g;
      INSERT INTO total SELECT g, 0 FROM generate_series(0, 1) g;
      CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.seen := clock_timestamp(); RETURN NEW; END';
      CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE r record := coalesce(NEW, OLD); BEGIN
        INSERT INTO audit (what) VALUES (TG_OP || r.id);
        INSERT INTO heap VALUES (TG_OP, clock_timestamp());
        UPDATE total SET n = n + 1, at = clock_timestamp() WHERE grp = r.id % 2;
        RETURN NULL; END $$;
      CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON owner FOR EACH ROW EXECUTE FUNCTION stamp();
      CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON owner FOR EACH ROW EXECUTE FUNCTION note();
      CREATE FUNCTION work(one int) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO heap VALUES ('work', clock_timestamp());
        INSERT INTO audit (what) VALUES ('work' || random());
        UPDATE total SET n = (SELECT sum(n) FROM owner) WHERE grp = one % 2;
        RETURN 'done'; END $$;
      CREATE PROCEDURE proceed(one int) LANGUAGE plpgsql AS 'BEGIN PERFORM work(one); END';
      CREATE FUNCTION look(one int) RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT sum(n) FROM owner) + one; END'`);
  });

  const statements = [
    'UPDATE owner SET n = n + 1 WHERE id = 3',
    'UPDATE owner SET n = n + 1 WHERE id < 5 RETURNING seen',
    'INSERT INTO owner (id, n) VALUES (101, 1), (102, 2)',
    'INSERT INTO owner (id, n) SELECT id + 200, n FROM owner WHERE id < 3',
    'INSERT INTO owner (id, n) VALUES (101, 7) ON CONFLICT (id) DO UPDATE SET n = 8',
    'DELETE FROM owner WHERE id = 102',
    'DELETE FROM owner WHERE id > 200',
    'SELECT work(1)',
    'CALL proceed(2)',
    'DO $$ BEGIN PERFORM work(3); UPDATE owner SET n = 5 WHERE id = 1; END $$',
    'BEGIN; UPDATE owner SET n = 9 WHERE id = 4; SAVEPOINT s; UPDATE owner SET n = 10 WHERE id = 4; ROLLBACK TO s; SELECT work(2); COMMIT',
  ];
  for (const text of statements) {
    test(text, HANGS, async () => {
      await client.query(text);
      await assertWritersEqual(cluster);
    });
  }

  test('by many at once', HANGS, async () => {
    const work = Array.from({ length: 8 }, async (_, one) => {
      const own = await proxy.connect();
      for (let round = 0; round < 5; round++) {
        await own.query(`UPDATE owner SET n = n + 1 WHERE id = ${one + 1}`);
        await own.query(`SELECT work(${one})`);
        await own.query(`SELECT look(${one})`);
      }
      await own.end();
    });
    await Promise.all(work);
    await assertWritersEqual(cluster);
  });

  test('and what a subtransaction has taken back is none of it', HANGS, async () => {
    await client.query(`CREATE TABLE tried (id int PRIMARY KEY, what text);
      CREATE FUNCTION try_twice() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        BEGIN INSERT INTO tried VALUES (1, 'first'); INSERT INTO tried VALUES (1, 'again');
        EXCEPTION WHEN unique_violation THEN INSERT INTO tried VALUES (2, 'handled'); END;
        RETURN 1; END $$`);
    assert.equal((await client.query('SELECT try_twice()')).rowCount, 1);
    await client.query('SELECT work(4); UPDATE owner SET n = 3 WHERE id = 2');
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w2, 'SELECT id, what FROM tried'), [{ id: 2, what: 'handled' }]);
  });

  test('but not where a row has got another key', HANGS, async () => {
    await client.query(
      `CREATE FUNCTION move() RETURNS int LANGUAGE sql AS 'UPDATE total SET grp = grp + 10 RETURNING 1'`,
    );
    // Followers run it themselves then.
    await client.query('SELECT move()');
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w2, 'SELECT grp FROM total ORDER BY grp'), [{ grp: 10 }, { grp: 11 }]);
  });

  test('nor where what was taken back hides that it has', HANGS, async () => {
    await client.query(`CREATE TABLE moved (id int PRIMARY KEY, n int); INSERT INTO moved VALUES (1, 1), (2, 2);
      CREATE FUNCTION move_and_try() RETURNS int LANGUAGE plpgsql AS $$ BEGIN
        BEGIN INSERT INTO moved VALUES (7, 7); RAISE EXCEPTION 'no';
        EXCEPTION WHEN raise_exception THEN UPDATE moved SET id = 10 WHERE id = 1; END;
        RETURN 1; END $$`);
    await client.query('SELECT move_and_try()');
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w2, 'SELECT id FROM moved ORDER BY id'), [{ id: 2 }, { id: 10 }]);
  });

  test('nor are triggers of followers that fire always, which do it then', HANGS, async () => {
    for (const writer of cluster.writers) await sql(writer, 'ALTER TABLE owner ENABLE ALWAYS TRIGGER note');
    assert.equal((await refusal(client.query('UPDATE owner SET n = 1 WHERE id = 3'))).code, '40002');
    for (const writer of cluster.writers) await sql(writer, 'ALTER TABLE owner ENABLE TRIGGER note');
    await assertWritersEqual(cluster);
  });
});

test('what a rule has done in the place of a DELETE is done everywhere, whatever the tag says', HANGS, async () => {
  await client.query(`RESET ROLE; CREATE TABLE ruled (id int PRIMARY KEY, x text); INSERT INTO ruled VALUES (1, ''), (2, '');
    CREATE RULE kept AS ON DELETE TO ruled DO INSTEAD UPDATE ruled SET x = 'deleted' WHERE ruled.id = old.id;
    CREATE RULE beside AS ON INSERT TO ruled WHERE new.id > 10 DO INSTEAD UPDATE ruled SET x = 'met' WHERE id = 2`);
  assert.equal((await client.query('DELETE FROM ruled WHERE id = 1')).rowCount, 0);
  await client.query("INSERT INTO ruled VALUES (11, 'x')");
  await assertWritersEqual(cluster);
  const { rows } = await client.query('SELECT x FROM ruled ORDER BY id');
  assert.deepEqual(rows, [{ x: 'deleted' }, { x: 'met' }]);
});

test('a key that changes beside another one that stays, in a table with triggers', HANGS, async () => {
  await client.query('RESET ROLE');
  await client.query(`CREATE TABLE two (id int PRIMARY KEY, code text UNIQUE NOT NULL, n int, at timestamptz);
    CREATE FUNCTION timed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := NEW.n + 1; RETURN NEW; END';
    CREATE TRIGGER timed BEFORE UPDATE ON two FOR EACH ROW EXECUTE FUNCTION timed();
    INSERT INTO two SELECT g, 'c' || g, g FROM generate_series(1, 5) g`);
  for (const text of [
    'WITH w AS (UPDATE two SET id = id + 100 WHERE id = 3 RETURNING id) UPDATE item SET n = 5 WHERE id IN (SELECT id - 100 FROM w)',
    'UPDATE two SET id = id + 1000, code = code WHERE n > 0',
    'UPDATE two SET id = id, code = code',
  ]) {
    await client.query(text);
    await assertWritersEqual(cluster);
  }
});

describe('a row that goes and comes again under its key', () => {
  for (const text of [
    'DELETE FROM again WHERE id = 1',
    'UPDATE again SET n = n + 1 WHERE id = 1',
    'BEGIN; DELETE FROM again WHERE id = 1; COMMIT',
  ]) {
    test(`is as little there for who waited for it as on one server: ${text}`, HANGS, async () => {
      const other = await proxy.connect();
      await client.query(
        'DROP TABLE IF EXISTS again; CREATE TABLE again (id int PRIMARY KEY, n int); INSERT INTO again VALUES (1, 1)',
      );
      await client.query('BEGIN; DELETE FROM again WHERE id = 1; INSERT INTO again VALUES (1, 5)');
      const waiting = other.query(text);
      await until('the other waits on the lead', async () => {
        const [row] = await sql(w1, 'SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted');
        return row?.['n'] === 1;
      });
      await client.query('COMMIT');
      await waiting;
      await assertWritersEqual(cluster);
      assert.deepEqual(await sql(w2, 'SELECT n FROM again'), [{ n: 5 }]);
      await other.end();
    });
  }

  for (const conflict of ['DO NOTHING', 'DO UPDATE SET n = 8 WHERE again.n = 7']) {
    test(`is not made on a follower where it is gone by then: ON CONFLICT (id) ${conflict}`, HANGS, async () => {
      await client.query(
        'DROP TABLE IF EXISTS again; CREATE TABLE again (id int PRIMARY KEY, n int); INSERT INTO again VALUES (1, 1)',
      );
      // As by another transaction that has ended there already.
      await sql(w2, 'DELETE FROM again');
      const { rowCount } = await client.query(`INSERT INTO again VALUES (1, 2) ON CONFLICT (id) ${conflict}`);
      assert.equal(rowCount, 0);
      assert.deepEqual(await sql(w2, 'SELECT n FROM again'), []);
      await client.query('DROP TABLE again');
    });
  }
});

describe('triggers that wait for COMMIT', () => {
  before(async () => {
    await client.query('RESET ROLE');
    await client.query(`
      CREATE TABLE late (id int PRIMARY KEY, n int);
      CREATE TABLE late_log (id serial PRIMARY KEY, n int, at timestamptz);
      CREATE FUNCTION write_late() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN INSERT INTO late_log (n, at) VALUES (NEW.n, NULL); RETURN NULL; END';
      CREATE CONSTRAINT TRIGGER late AFTER INSERT OR UPDATE ON late DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION write_late()`);
  });

  test('do the same on every writer', HANGS, async () => {
    await client.query('INSERT INTO late VALUES (1, 1), (2, 2)');
    await client.query('BEGIN; UPDATE late SET n = n + 1 WHERE id = 1; UPDATE late SET n = n + 1; COMMIT');
    await client.query(
      'BEGIN; UPDATE late SET n = 5 WHERE id = 2; SET CONSTRAINTS ALL IMMEDIATE; UPDATE late SET n = 6; COMMIT',
    );
    await assertWritersEqual(cluster);
    for (const writer of cluster.writers)
      assert.deepEqual(await sql(writer, 'SELECT count(*)::int AS n FROM late_log'), [{ n: 8 }]);
  });

  test('and what they write of their own is the lead’s', HANGS, async () => {
    await client.query(`CREATE OR REPLACE FUNCTION write_late() RETURNS trigger LANGUAGE plpgsql
      AS 'BEGIN INSERT INTO late_log (n, at) VALUES (NEW.n, clock_timestamp()); RETURN NULL; END'`);
    for (const text of ['UPDATE late SET n = 7 WHERE id = 1', 'BEGIN; UPDATE late SET n = 7 WHERE id = 1; COMMIT']) {
      await client.query(text);
      await assertWritersEqual(cluster);
    }
  });

  test('or is found out where it is another row', HANGS, async () => {
    await client.query(`CREATE TABLE drawn_late (id int PRIMARY KEY, v text); INSERT INTO drawn_late SELECT g FROM generate_series(1, 50) g;
      CREATE OR REPLACE FUNCTION write_late() RETURNS trigger LANGUAGE plpgsql
      AS $$ BEGIN UPDATE drawn_late SET v = 'drawn' WHERE id = 1 + floor(random() * 50); RETURN NULL; END $$`);
    for (let round = 0; round < 8; round++) {
      const found = await outcome(client.query('UPDATE late SET n = n + 1 WHERE id = 1'));
      assert.ok(found === 'ok' || found === '40002', found);
      await assertWritersEqual(cluster);
    }
  });
});
