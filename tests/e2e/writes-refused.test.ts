/** What would not have the same effect everywhere is refused or rolled back: on all writers, or on none. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql, withConnection } from '../support/cluster.ts';
import { assertWritersEqual, becomePlain, refusal } from './scene.ts';
import { concludeWrites, writersOnly } from './writes.ts';

const { cluster, proxy } = await writersOnly();
const { w1, w2 } = cluster;

describe('what would not be the same everywhere is refused before it is run', () => {
  test('with its name, and the SQLSTATE of what is not supported', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE dice (x float8, at timestamptz); INSERT INTO dice VALUES (0), (0)');
    await client.query('CREATE TABLE heap (id serial, x int)');
    const refused: Readonly<Record<string, string>> = {
      'UPDATE dice SET x = random() WHERE x = 0': 'random()',
      'DELETE FROM dice WHERE random() < 0.5': 'random()',
      'UPDATE dice SET at = clock_timestamp()': 'clock_timestamp()',
      "UPDATE dice SET at = 'now'": "'now'",
      'UPDATE dice SET x = inet_server_port()': 'inet_server_port()',
      'CREATE MATERIALIZED VIEW lots AS SELECT random() AS r': 'random()',
      'WITH d AS (UPDATE dice SET x = 1 WHERE x = 0 RETURNING x) SELECT lo_put(4711, 0, x::text::bytea) FROM d LIMIT 1':
        'LIMIT',
      'CREATE TABLE made AS WITH d AS (UPDATE dice SET x = 1 WHERE x = 0 RETURNING x) SELECT x, now() FROM d': 'now()',
      'WITH d AS (DELETE FROM dice RETURNING x) SELECT x INTO made FROM d LIMIT 1': 'LIMIT',
      'MERGE INTO heap USING dice ON false WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (x) VALUES (1)': 'id',
    };
    for (const [text, name] of Object.entries(refused)) {
      const error = await refusal(client.query(text));
      assert.equal(error.code, '0A000', `${text}: ${error.message}`);
      assert.ok(error.message.includes(name), error.message);
    }
    for (const writer of [w1, w2]) {
      assert.deepEqual(await sql(writer, 'SELECT sum(x) AS x, count(*)::int AS n FROM dice'), [{ x: 0, n: 2 }]);
    }
  });

  test('but for what the role may not do: that is the lead’s to refuse', async () => {
    const client = await proxy.connect();
    await client.query(`CREATE ROLE nobody; CREATE TABLE closed (id serial PRIMARY KEY, v text); CREATE TABLE closed_heap (v text);
      CREATE VIEW closed_view AS SELECT * FROM closed; CREATE TABLE shown (id int PRIMARY KEY, v text); GRANT SELECT ON shown TO nobody; SET ROLE nobody`);
    for (const text of [
      'INSERT INTO closed (v) VALUES (now()::text)',
      'INSERT INTO closed SELECT * FROM shown',
      "UPDATE closed SET v = random()::text WHERE v = 'a'",
      'UPDATE shown SET v = random()::text',
      'DELETE FROM shown WHERE v > id::text',
      'UPDATE closed_heap SET v = random()::text',
      'DELETE FROM closed_heap',
      "UPDATE closed_view SET v = 'q'",
      'MERGE INTO closed USING shown ON closed.id = shown.id WHEN MATCHED THEN UPDATE SET v = shown.v',
      'COPY closed (v) FROM STDIN',
    ]) {
      const error = await refusal(client.query(text));
      assert.match(`${error.code} ${error.message}`, /^42501 permission denied for (table|view) (closed|shown)/, text);
    }
  });

  test('and fails the transaction that it stands in', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE inside (x float8); BEGIN; INSERT INTO inside VALUES (1)');
    assert.equal((await refusal(client.query('UPDATE inside SET x = random()'))).code, '0A000');
    assert.equal((await refusal(client.query('SELECT 1'))).code, '25P02');
    assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
    for (const writer of [w1, w2])
      assert.deepEqual(await sql(writer, "SELECT to_regclass('inside') AS t"), [{ t: null }]);
  });
});

describe('a follower on which something else would happen', () => {
  test('because a row is missing there rolls the statement back everywhere', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE uneven (id int PRIMARY KEY, x int); INSERT INTO uneven VALUES (1, 0), (2, 0)');
    await sql(w2, 'DELETE FROM uneven WHERE id = 2');
    for (const text of [
      'UPDATE uneven SET x = 1',
      'DELETE FROM uneven WHERE id = 2',
      'INSERT INTO uneven VALUES (3, 0); UPDATE uneven SET x = 1',
    ]) {
      const error = await refusal(client.query(text));
      assert.equal(error.code, '40002', error.message);
      assert.match(
        error.detail ?? '',
        new RegExp(`follower 127\\.0\\.0\\.1:${w2.port}.*: (UPDATE|DELETE) \\d where the lead did (UPDATE|DELETE) \\d`),
      );
    }
    assert.deepEqual(await sql(w1, 'SELECT * FROM uneven ORDER BY id'), [
      { id: 1, x: 0 },
      { id: 2, x: 0 },
    ]);
    assert.deepEqual(await sql(w2, 'SELECT * FROM uneven'), [{ id: 1, x: 0 }]);
    await sql(w2, 'INSERT INTO uneven VALUES (2, 0)');
  });

  test('because a value is another there is found by the rows returned', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE shade (id int PRIMARY KEY, x int); INSERT INTO shade VALUES (1, 5)');
    await sql(w2, 'UPDATE shade SET x = 6');
    const error = await refusal(client.query('UPDATE shade SET x = x + 1 WHERE id = 1 RETURNING x'));
    assert.equal(error.code, '40002');
    assert.match(error.detail ?? '', /the rows differ from the lead's/);
    assert.deepEqual(await sql(w1, 'SELECT x FROM shade'), [{ x: 5 }]);
    await sql(w2, 'UPDATE shade SET x = 5');
  });

  test('because a trigger gives the row another value there is found, whatever the kind of statement', async () => {
    const client = await proxy.connect();
    await client.query(`
      CREATE TABLE stamped (id int PRIMARY KEY, x int, at timestamptz);
      CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.at := clock_timestamp(); RETURN NEW; END $$;
      INSERT INTO stamped VALUES (1, 1, '2024-01-01'), (2, 2, '2024-01-01');
      CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp()`);
    await becomePlain(cluster, client);
    for (const text of [
      'UPDATE stamped SET x = 5 WHERE id = 1',
      'INSERT INTO stamped VALUES (3, 3)',
      'UPDATE stamped SET x = 5 RETURNING id',
    ]) {
      assert.equal((await refusal(client.query(text))).code, '40002', text);
    }
    await client.query('DELETE FROM stamped WHERE id = 2');
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w2, 'SELECT id, x FROM stamped'), [{ id: 1, x: 1 }]);
  });

  test('because it waits for a lock that the lead did not have ends within the deadline, everywhere', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE held (id int PRIMARY KEY, x int); INSERT INTO held VALUES (1, 0)');
    await withConnection(w2, undefined, async (direct) => {
      await direct.query('BEGIN; UPDATE held SET x = 9');
      const error = await refusal(client.query('UPDATE held SET x = 1 WHERE id = 1'));
      assert.equal(error.code, '40001', error.message);
      assert.ok(error.message.includes(String(w2.port)), error.message);
      await client.query('BEGIN');
      await client.query('INSERT INTO held VALUES (2, 2)');
      await client.query('UPDATE held SET x = 1 WHERE id = 1');
      assert.equal((await refusal(client.query('COMMIT'))).code, '40001');
      await direct.query('ROLLBACK');
    });
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT * FROM held'), [{ id: 1, x: 0 }]);
    assert.equal((await client.query('UPDATE held SET x = 1 WHERE id = 1')).rowCount, 1);
  });
});

concludeWrites(cluster);
