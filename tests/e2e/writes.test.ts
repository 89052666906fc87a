/** Statements with a durable effect: the same effect on every writer, or none on any. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql, withConnection } from '../support/cluster.ts';
import { assertWritersEqual, refusal, startScene, until, value } from './scene.ts';

const { cluster, proxy } = await startScene(
  { followerLockTimeoutMs: 300, followerTimeoutMs: 20_000 },
  { reader: false },
);
const { w1, w2 } = cluster;

describe('values are stored as the lead stored them', () => {
  const literals: Readonly<Record<string, string>> = {
    text: `'it''s \\ "quoted" \\'' $1 é 🐘 \ttab\nline'`,
    'text NULL': 'NULL',
    'text empty': "''",
    bytea: `'\\x00ff275c0a'`,
    'float8[]': `ARRAY[0.1 + 0.2, 'NaN', '-Infinity', 1e-310, NULL, 123456789.123456789]`,
    real: '0.1::real + 0.2::real',
    numeric: '1.000',
    'timestamptz far': `'0044-03-15 12:00:00.123456+01 BC'`,
    timestamp: `'infinity'`,
    date: `'2024-02-29'`,
    interval: `'-1 year +2 mons -3 days 04:05:06.789'`,
    'time with time zone': `'23:59:59.999999-08'`,
    jsonb: `'{"b": [1, null, "x\\u0041"], "a": {}}'`,
    json: `'{"b" : 1,   "b": 2}'`,
    'text[]': `ARRAY['a,b', '{', '"', '\\', NULL, 'NULL', '']`,
    int4range: `'[1,5)'`,
    inet: `'2001:db8::1/64'`,
    bit: `B'101'`,
    xml: `'<a b="c">&amp;</a>'`,
    'int[]': `'[-1:1]={1,2,3}'`,
    boolean: 'true',
    money: `'-1234.56'`,
    point: `'(0.1,1e300)'`,
    tsvector: `'a:1A b:2'`,
    regclass: `'pg_class'`,
  };

  test('given as constants, and as rows of the lead', async () => {
    const client = await proxy.connect();
    const types = Object.keys(literals).map((type, index) => {
      const name = type.replace(/ (NULL|empty|far)$/, '');
      return `c${index} ${name === 'bit' ? 'bit(3)' : name}`;
    });
    await client.query(`CREATE TABLE constant (id int PRIMARY KEY, ${types.join(', ')})`);
    await client.query(`CREATE TABLE drawn (id serial PRIMARY KEY, ${types.join(', ')})`);
    const columns = types.map((_, index) => `c${index}`).join(', ');
    const values = Object.values(literals).join(', ');
    await client.query(`INSERT INTO constant VALUES (1, ${values})`);
    await client.query(`INSERT INTO drawn (${columns}) VALUES (${values}), (${values})`);
    await client.query(`INSERT INTO drawn (${columns}) SELECT ${columns} FROM constant`);
    for (const writer of [w1, w2]) {
      const [count] = await sql(
        writer,
        `SELECT (SELECT count(*)::int FROM constant) AS constant, (SELECT count(*)::int FROM drawn) AS drawn`,
      );
      assert.deepEqual(count, { constant: 1, drawn: 3 });
    }
    await assertWritersEqual(cluster);
  });

  const output: Readonly<Record<string, 'stored' | 'refused'>> = {
    'IntervalStyle = sql_standard': 'stored',
    'IntervalStyle = iso_8601': 'stored',
    'IntervalStyle = postgres_verbose': 'stored',
    "DateStyle = 'ISO, DMY'": 'stored',
    'bytea_output = escape': 'stored',
    "TimeZone = 'Asia/Kolkata'": 'stored',
    'extra_float_digits = 3': 'stored',
    // What such a session is shown of a value is not the whole value.
    'extra_float_digits = 0': 'refused',
    "DateStyle = 'SQL, DMY'": 'refused',
    'DateStyle = German': 'refused',
  };
  test('whatever the client’s settings for output are, or the statement is refused', async () => {
    const client = await proxy.connect();
    await client.query(
      'CREATE TABLE shown (id serial PRIMARY KEY, t timestamptz, d date, i interval, b bytea, f float8[], m money, ts timestamp)',
    );
    const insert = `INSERT INTO shown (t, d, i, b, f, m, ts) VALUES
      ('2024-02-03 04:05:06.789+00', '2024-02-04', '-1 year +2 mons -3 days 04:05:06.789', '\\x00ff5c27',
       ARRAY[0.1::float8 + 0.2::float8], 12.5, '2024-02-03 04:05:06.7')`;
    for (const [setting, outcome] of Object.entries(output)) {
      const own = await proxy.connect();
      const option = await proxy.connect({
        options: `-c ${setting.replaceAll(/'/g, '').replace(' = ', '=').replace(', ', ',')}`,
      });
      const attempts = [
        () => own.query(`BEGIN; SET LOCAL ${setting}; ${insert}; COMMIT`),
        () => own.query(`SET ${setting}`).then(() => own.query(insert)),
        () => option.query(insert),
      ];
      for (const attempt of attempts) {
        if (outcome === 'stored') await attempt();
        else assert.equal((await refusal(attempt())).code, '0A000', setting);
        await own.query('ROLLBACK');
      }
      await own.end();
      await option.end();
    }
    await assertWritersEqual(cluster);
    const [rows] = await sql(
      w2,
      'SELECT count(*)::int AS n, count(DISTINCT (t, d, i, b, f, m, ts))::int AS same FROM shown',
    );
    assert.deepEqual(rows, { n: 3 * Object.values(output).filter((outcome) => outcome === 'stored').length, same: 1 });
  });

  test('when the statement asks for the time of the transaction', async () => {
    const client = await proxy.connect();
    await client.query(
      'CREATE TABLE touched (id int PRIMARY KEY, at timestamptz, day date, local timestamp(2), clock time)',
    );
    await client.query('INSERT INTO touched VALUES (1), (2)');
    await client.query(
      'UPDATE touched SET at = now(), day = CURRENT_DATE, local = LOCALTIMESTAMP(2), clock = LOCALTIME WHERE id = 1',
    );
    await client.query('BEGIN');
    await client.query('UPDATE touched SET at = CURRENT_TIMESTAMP WHERE id = 2');
    const begun = await value(client, 'SELECT now()::text');
    await client.query(
      "UPDATE touched SET day = now() - interval '1 day', local = transaction_timestamp() WHERE id = 2",
    );
    await client.query('COMMIT');
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w2, 'SELECT at::text AS at FROM touched WHERE id = 2'), [{ at: begun }]);
    const [filled] = await sql(
      w2,
      'SELECT bool_and(at IS NOT NULL AND day IS NOT NULL AND local IS NOT NULL) AS all FROM touched',
    );
    assert.equal(filled?.['all'], true);
  });

  test('in generated columns and by triggers that change the row', async () => {
    const client = await proxy.connect();
    await client.query(`
      CREATE TABLE derived (id serial PRIMARY KEY, name text, slug text GENERATED ALWAYS AS (lower(name)) STORED, changed int DEFAULT 0);
      CREATE FUNCTION count_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.changed := coalesce(OLD.changed, 0) + 1; NEW.name := trim(NEW.name); RETURN NEW; END $$;
      CREATE TRIGGER change BEFORE UPDATE ON derived FOR EACH ROW EXECUTE FUNCTION count_change()`);
    await client.query("INSERT INTO derived (name) VALUES (' Ab '), ('Cd')");
    const { rows } = await client.query("UPDATE derived SET name = name || ' X ' WHERE id = 1 RETURNING *");
    assert.deepEqual(rows, [{ id: 1, name: 'Ab  X', slug: 'ab  x', changed: 1 }]);
    await assertWritersEqual(cluster);
  });
});

describe('INSERT', () => {
  test('with ON CONFLICT does on every writer what it did on the lead', async () => {
    const client = await proxy.connect();
    await client.query(
      `CREATE TABLE hit (id serial PRIMARY KEY, name text UNIQUE, hits int DEFAULT 1, at timestamptz DEFAULT now())`,
    );
    const upsert = (name: string): string =>
      `INSERT INTO hit (name) VALUES ('${name}') ON CONFLICT (name) DO UPDATE SET hits = hit.hits + 1, at = now() RETURNING hits`;
    assert.equal(await value(client, upsert('a')), 1);
    assert.equal(await value(client, upsert('a')), 2);
    const nothing = await client.query(
      "INSERT INTO hit (name) VALUES ('a'), ('b') ON CONFLICT DO NOTHING RETURNING name",
    );
    assert.deepEqual([nothing.rowCount, nothing.rows], [1, [{ name: 'b' }]]);
    const none = await client.query("INSERT INTO hit (name) VALUES ('a') ON CONFLICT (name) DO NOTHING");
    assert.equal(none.rowCount, 0);
    const filtered = await client.query(
      "INSERT INTO hit (name) VALUES ('a'), ('c') ON CONFLICT (name) DO UPDATE SET hits = 0 WHERE hit.hits > 100",
    );
    assert.equal(filtered.rowCount, 1);
    await client.query(
      "INSERT INTO hit AS h (id, name, hits) VALUES (1, 'x', 5) ON CONFLICT (id) DO UPDATE SET hits = h.hits + EXCLUDED.hits",
    );
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w2, 'SELECT name, hits FROM hit ORDER BY name'), [
      { name: 'a', hits: 7 },
      { name: 'b', hits: 1 },
      { name: 'c', hits: 1 },
    ]);
  });

  test('with ON CONFLICT leaves an identity column that is no key as it is', async () => {
    const client = await proxy.connect();
    await client.query(
      'CREATE TABLE coded (code text PRIMARY KEY, nr int GENERATED ALWAYS AS IDENTITY, at timestamptz DEFAULT now())',
    );
    for (let round = 0; round < 2; round++) {
      await client.query("INSERT INTO coded (code) VALUES ('a') ON CONFLICT (code) DO UPDATE SET at = now()");
    }
    assert.deepEqual(await sql(w2, 'SELECT code, nr FROM coded'), [{ code: 'a', nr: 1 }]);
    await assertWritersEqual(cluster);
  });

  test('of the rows of a query stores the same rows, in any number', async () => {
    const client = await proxy.connect();
    await client.query(
      'CREATE TABLE source (id int PRIMARY KEY, x text); CREATE TABLE copy (nr bigserial PRIMARY KEY, x text, r float8)',
    );
    await client.query('INSERT INTO source SELECT g, repeat(md5(g::text), 10) FROM generate_series(1, 5000) g');
    const { rowCount } = await client.query('INSERT INTO copy (x, r) SELECT x, random() FROM source WHERE id % 2 = 0');
    assert.equal(rowCount, 2500);
    await client.query('INSERT INTO copy (x) SELECT x FROM source WHERE false');
    await client.query('INSERT INTO copy (x) SELECT x FROM copy ORDER BY nr LIMIT 10');
    await client.query('WITH few AS (SELECT x FROM source WHERE id < 4) INSERT INTO copy (x) TABLE few RETURNING nr');
    await assertWritersEqual(cluster);
    assert.deepEqual(await sql(w2, 'SELECT count(*)::int AS n FROM copy'), [{ n: 2513 }]);
  });

  test('of many rows, with defaults and names of every kind', async () => {
    const client = await proxy.connect();
    await client.query(
      `CREATE SCHEMA "my Schema"; CREATE TABLE "my Schema"."T.a""ble" ("Id" serial PRIMARY KEY, "se""lect" text DEFAULT 'd', gone int, code uuid DEFAULT gen_random_uuid())`,
    );
    await client.query(`ALTER TABLE "my Schema"."T.a""ble" DROP COLUMN gone`);
    const { rows } = await client.query(
      `INSERT INTO "my Schema"."T.a""ble" ("se""lect") VALUES ('x'), (DEFAULT), (NULL) RETURNING "Id", "se""lect"`,
    );
    assert.deepEqual(rows, [
      { Id: 1, 'se"lect': 'x' },
      { Id: 2, 'se"lect': 'd' },
      { Id: 3, 'se"lect': null },
    ]);
    const all = await client.query<Record<string, unknown>>(
      `INSERT INTO "my Schema"."T.a""ble" DEFAULT VALUES RETURNING *`,
    );
    assert.deepEqual(Object.keys(all.rows[0] ?? {}), ['Id', 'se"lect', 'code']);
    await assertWritersEqual(cluster);
  });

  test('into a partitioned table, and through a view, reaches the same rows everywhere', async () => {
    const client = await proxy.connect();
    await client.query(`
      CREATE TABLE event (id bigserial, day date, note text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
      CREATE TABLE event_old PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
      CREATE TABLE event_new PARTITION OF event DEFAULT;
      CREATE VIEW noted AS SELECT day, note FROM event_old`);
    await client.query("INSERT INTO event (day, note) VALUES ('2023-05-05', 'a'), ('2024-05-05', 'b')");
    await client.query("UPDATE event SET day = '2024-06-06' WHERE note = 'a'");
    await assertWritersEqual(cluster);
    const through = client.query("INSERT INTO noted VALUES ('2022-01-01', 'v')");
    await through.catch(() => undefined); // refused or done: the same everywhere is what counts
    await assertWritersEqual(cluster);
  });
});

describe('what would not be the same everywhere is refused before it is run', () => {
  test('with its name, and the SQLSTATE of what is not supported', async () => {
    const client = await proxy.connect();
    await client.query(
      'CREATE TABLE dice (id int PRIMARY KEY, x float8, at timestamptz); INSERT INTO dice VALUES (1, 0), (2, 0)',
    );
    await client.query('CREATE TABLE seq (id serial PRIMARY KEY, x int)');
    const refused: Readonly<Record<string, string>> = {
      'UPDATE dice SET x = random() WHERE id = 1': 'random()',
      'DELETE FROM dice WHERE random() < 0.5': 'random()',
      'UPDATE dice SET at = clock_timestamp()': 'clock_timestamp()',
      "UPDATE dice SET at = 'now'": "'now'",
      'UPDATE dice SET x = inet_server_port()': 'inet_server_port()',
      'CREATE TABLE lots AS SELECT random() AS r': 'random()',
      'COPY seq (x) FROM STDIN': 'id',
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
      assert.equal((await refusal(client.query('UPDATE held SET x = 1 WHERE id = 1'))).code, '40001');
      assert.equal((await client.query('COMMIT')).command, 'ROLLBACK');
      await direct.query('ROLLBACK');
    });
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT * FROM held'), [{ id: 1, x: 0 }]);
    assert.equal((await client.query('UPDATE held SET x = 1 WHERE id = 1')).rowCount, 1);
  });
});

describe('a transaction', () => {
  test('keeps and drops what its savepoints say, on every writer', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE step (id serial PRIMARY KEY, name text)');
    const put = (name: string): Promise<unknown> => client.query(`INSERT INTO step (name) VALUES ('${name}')`);
    await client.query('BEGIN');
    await client.query('SAVEPOINT "before Anything"');
    await put('a');
    await client.query('SAVEPOINT s');
    await put('dropped');
    await client.query('SAVEPOINT s');
    await put('dropped too');
    await client.query('ROLLBACK TO s');
    await client.query('RELEASE s');
    await client.query('ROLLBACK TO s');
    await put('b');
    await refusal(put("c'"));
    await client.query('ROLLBACK TO SAVEPOINT s');
    await put('d');
    await client.query('RELEASE "before Anything"');
    assert.equal((await refusal(client.query('ROLLBACK TO s'))).code, '3B001');
    await client.query('ROLLBACK');
    assert.deepEqual(await sql(w1, 'SELECT * FROM step'), []);
    await client.query('BEGIN; SAVEPOINT x');
    await put('e');
    await client.query('SAVEPOINT y');
    await put('f');
    await client.query('ROLLBACK TO y; COMMIT');
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT name FROM step'), [{ name: 'e' }]);
    await assertWritersEqual(cluster);
  });

  test('takes definitions along, or none of them', async () => {
    const client = await proxy.connect();
    await client.query('BEGIN');
    await client.query('CREATE TABLE built (id serial PRIMARY KEY)');
    await client.query('INSERT INTO built DEFAULT VALUES');
    await client.query('CREATE INDEX built_index ON built ((id % 2))');
    await client.query('ROLLBACK');
    for (const writer of [w1, w2])
      assert.deepEqual(await sql(writer, "SELECT to_regclass('built') AS t"), [{ t: null }]);
    await client.query('BEGIN; CREATE TABLE built (id serial PRIMARY KEY); CREATE TYPE mood AS ENUM ($$ok$$); COMMIT');
    await client.query('ALTER TABLE built ADD COLUMN mood mood DEFAULT $$ok$$');
    await client.query('INSERT INTO built DEFAULT VALUES');
    await assertWritersEqual(cluster);
  });

  test('fails everywhere when a deferred constraint fails at its end, on the lead or on a follower alone', async () => {
    const client = await proxy.connect();
    await client.query(`
      CREATE TABLE parent (id int PRIMARY KEY);
      CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)`);
    await client.query('BEGIN; INSERT INTO child VALUES (1, 1); INSERT INTO parent VALUES (1); COMMIT');
    await client.query('BEGIN; INSERT INTO child VALUES (2, 2)');
    const own = await refusal(client.query('COMMIT'));
    assert.deepEqual(
      [own.code, own.constraint, own.hint],
      ['23503', 'child_parent_fkey', undefined],
      'the lead’s own words',
    );
    assert.equal(
      (await refusal(client.query('INSERT INTO child VALUES (3, 3)'))).code,
      '23503',
      'outside a block as well',
    );
    await sql(w2, 'DELETE FROM child; DELETE FROM parent');
    await client.query('BEGIN; INSERT INTO child VALUES (4, 1)');
    const error = await refusal(client.query('COMMIT'));
    assert.equal(error.code, '23503');
    assert.match(error.detail ?? '', /^follower .* ERROR 23503/m);
    assert.deepEqual(await sql(w1, 'SELECT id FROM child'), [{ id: 1 }]);
    assert.deepEqual(await sql(w2, 'SELECT id FROM child'), []);
    await sql(w2, 'INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1)');
  });

  test('whose deferred constraint only a follower knows is rolled back everywhere, with that follower’s reason', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE lone (id int)');
    await client.query('DROP TABLE child, parent'); // none is left that the lead knows
    await sql(w2, 'ALTER TABLE lone ADD CONSTRAINT late UNIQUE (id) DEFERRABLE INITIALLY DEFERRED');
    await client.query('INSERT INTO lone VALUES (1)');
    const error = await refusal(client.query('INSERT INTO lone VALUES (1)'));
    assert.equal(error.code, '23505', error.message);
    assert.match(error.detail ?? '', /^follower .*late/m);
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT * FROM lone'), [{ id: 1 }]);
    await sql(w2, 'ALTER TABLE lone DROP CONSTRAINT late');
  });

  const serializable: Readonly<Record<string, readonly string[]>> = {
    'in BEGIN': ['BEGIN ISOLATION LEVEL SERIALIZABLE'],
    'by SET TRANSACTION': ['BEGIN', 'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE'],
    'by SET LOCAL': ['BEGIN', "SET LOCAL transaction_isolation = 'serializable'"],
    'by a setting of the session': ["SET default_transaction_isolation = 'serializable'", 'BEGIN'],
    'by a start-up option': ['BEGIN'],
    'by a setting of the database': ['BEGIN'],
  };
  before(async () => {
    for (const writer of [w1, w2]) {
      await sql(writer, 'CREATE DATABASE careful');
      await sql(writer, "ALTER DATABASE careful SET default_transaction_isolation = 'serializable'");
    }
  });
  for (const [how, opening] of Object.entries(serializable)) {
    test(`that asks for SERIALIZABLE ${how} fails everywhere or nowhere`, async () => {
      const database = how === 'by a setting of the database' ? 'careful' : 'postgres';
      const options = how === 'by a start-up option' ? '-c default_transaction_isolation=serializable' : undefined;
      const connect = (): Promise<pg.Client> =>
        proxy.connect({ database, ...(options === undefined ? {} : { options }) });
      const setup = await connect();
      await setup.query('DROP TABLE IF EXISTS duty');
      await setup.query('CREATE TABLE duty (name text PRIMARY KEY, on_call bool)');
      await setup.query("INSERT INTO duty VALUES ('a', true), ('b', true)");
      const [one, other] = [await connect(), await connect()];
      for (const client of [one, other]) {
        for (const text of opening) await client.query(text);
        assert.equal(await value(client, 'SELECT count(*)::int FROM duty WHERE on_call'), 2);
        assert.equal(await value(client, 'SHOW transaction_isolation'), 'serializable');
      }
      await one.query("UPDATE duty SET on_call = false WHERE name = 'a'");
      await other.query("UPDATE duty SET on_call = false WHERE name = 'b'");
      await one.query('COMMIT');
      const error = await refusal(other.query('COMMIT'));
      assert.equal(error.code, '40001', error.message);
      assert.match(error.message, /could not serialize access/, 'the lead’s own words');
      for (const writer of [w1, w2]) {
        assert.deepEqual(await sql(writer, 'SELECT name FROM duty WHERE on_call', database), [{ name: 'b' }]);
      }
    });
  }

  test('of several statements in one text is one transaction', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE several (id serial PRIMARY KEY, x int UNIQUE)');
    const error = await refusal(
      client.query(
        'INSERT INTO several (x) VALUES (1); INSERT INTO several (x) VALUES (2); INSERT INTO several (x) VALUES (1)',
      ),
    );
    assert.equal(error.code, '23505');
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT * FROM several'), []);
    await client.query(
      'INSERT INTO several (x) VALUES (5); UPDATE several SET x = x + 1; SELECT count(*) FROM several',
    );
    for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT x FROM several'), [{ x: 6 }]);
    await assertWritersEqual(cluster);
  });

  test('in which names mean something else stores what the lead stored', async () => {
    const client = await proxy.connect();
    await client.query(`CREATE SCHEMA other; CREATE TABLE public.homonym (id int PRIMARY KEY, code uuid);
      CREATE TABLE other.homonym (id serial PRIMARY KEY, code uuid DEFAULT gen_random_uuid())`);
    await client.query('INSERT INTO homonym (id) VALUES (1)'); // the plain table is known now
    await client.query('BEGIN; SET LOCAL search_path = other');
    await client.query('INSERT INTO homonym (id) VALUES (1)');
    await client.query('COMMIT');
    await client.query('INSERT INTO homonym (id) VALUES (2)');
    await client.query('SET search_path = other');
    await client
      .query('INSERT INTO homonym DEFAULT VALUES')
      .catch((error: { code: string }) => assert.equal(error.code, '23505'));
    await client.query('INSERT INTO homonym DEFAULT VALUES');
    await assertWritersEqual(cluster);
  });

  test('goes on behind COMMIT AND CHAIN and ROLLBACK AND CHAIN', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE chain (id int)');
    await client.query('BEGIN');
    await client.query('INSERT INTO chain VALUES (1)');
    await client.query('COMMIT AND CHAIN');
    assert.deepEqual(await sql(w2, 'SELECT id FROM chain'), [{ id: 1 }]);
    await client.query('INSERT INTO chain VALUES (2)');
    await client.query('ROLLBACK AND CHAIN');
    await client.query('INSERT INTO chain VALUES (3)');
    await client.query('COMMIT');
    for (const writer of [w1, w2])
      assert.deepEqual(await sql(writer, 'SELECT id FROM chain ORDER BY id'), [{ id: 1 }, { id: 3 }]);
  });
});

describe('functions and prepared statements of SQL', () => {
  test('a volatile function that writes does so on every writer, and one that returns other rows is refused', async () => {
    const client = await proxy.connect();
    await client.query(`
      CREATE TABLE entry (id int PRIMARY KEY, note text);
      CREATE FUNCTION add_entry(int) RETURNS int LANGUAGE sql AS 'INSERT INTO entry VALUES ($1, $$n$$) RETURNING id';
      CREATE FUNCTION dice() RETURNS float8 LANGUAGE sql AS 'SELECT random()'`);
    assert.equal(await value(client, 'SELECT add_entry(5)'), 5);
    assert.deepEqual(await sql(w2, 'SELECT id FROM entry'), [{ id: 5 }]);
    assert.equal((await refusal(client.query('SELECT dice()'))).code, '40002');
    await client.query('DO $$ BEGIN INSERT INTO entry VALUES (6); END $$');
    await assertWritersEqual(cluster);
  });

  test('EXECUTE does on every writer what it prepared', async () => {
    const client = await proxy.connect();
    await client.query('CREATE TABLE prepared (id int PRIMARY KEY, x text)');
    await client.query('PREPARE put (int, text) AS INSERT INTO prepared VALUES ($1, $2)');
    await client.query("EXECUTE put (1, 'a''b')");
    await client.query('BEGIN');
    await client.query('EXECUTE put (2, NULL)');
    await client.query('COMMIT');
    await client.query('DEALLOCATE put');
    assert.deepEqual(await sql(w2, 'SELECT * FROM prepared ORDER BY id'), [
      { id: 1, x: "a'b" },
      { id: 2, x: null },
    ]);
    await assertWritersEqual(cluster);
  });

  test('large objects have the same numbers and contents everywhere', async () => {
    const client = await proxy.connect();
    const oid = await value(client, "SELECT lo_from_bytea(0, '\\x0102')").catch(() => undefined);
    const given = await value(client, "SELECT lo_from_bytea(4711, '\\x030405')");
    assert.equal(given, 4711);
    await client.query("SELECT lo_put(4711, 1, '\\xff')");
    await assertWritersEqual(cluster);
    if (oid !== undefined) await client.query(`SELECT lo_unlink(${Number(oid)})`);
    await client.query('SELECT lo_unlink(4711)');
    await assertWritersEqual(cluster);
  });
});

test('no transaction is left open anywhere', async () => {
  await until('all are idle', async () => {
    const open = await Promise.all(
      [w1, w2].map((writer) =>
        sql(writer, "SELECT query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"),
      ),
    );
    return open.flat().length === 0;
  });
});
