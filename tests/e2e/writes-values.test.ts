/** The same values on every writer: as the lead has stored them, whatever the statement. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { sql } from '../support/cluster.ts';
import { assertWritersEqual, refusal, value } from './scene.ts';
import { concludeWrites, writersOnly } from './writes.ts';

const { cluster, proxy } = await writersOnly();
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
    "DateStyle = 'SQL, YMD'": 'refused',
    // Nor what it reads of a text: a NULL in an array would be the word.
    'array_nulls = off': 'refused',
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

  test('in an encoding whose characters may end like a backslash, or the statement is refused', async () => {
    const client = await proxy.connect();
    await client.query("CREATE TABLE spoken (id serial PRIMARY KEY, v text); INSERT INTO spoken (v) VALUES ('表n')");
    await client.query("SET client_encoding = 'SJIS'");
    const again = 'INSERT INTO spoken (v) SELECT v FROM spoken';
    await client.query(again);
    await client.query('SET standard_conforming_strings = off');
    assert.equal((await refusal(client.query(again))).code, '0A000');
    for (const writer of [w1, w2]) {
      const found = await sql(writer, 'SELECT v FROM spoken');
      assert.deepEqual(found, [{ v: '表n' }, { v: '表n' }]);
    }
  });

  test('XML with the declaration that PostgreSQL does not show, however followers are told', async () => {
    const client = await proxy.connect();
    const declared = `'<?xml version="1.0" encoding="UTF-8"?><a>1</a>'`;
    await client.query(`CREATE DOMAIN page AS xml CHECK (VALUE IS DOCUMENT); CREATE TYPE sheet AS (n int, x xml);
      CREATE TABLE told (id serial PRIMARY KEY, x xml, list xml[], page page, n int);
      CREATE TABLE inside (id serial PRIMARY KEY, sheet sheet);
      CREATE TABLE copied (id serial PRIMARY KEY, x xml);
      CREATE FUNCTION tell() RETURNS void LANGUAGE sql AS $$ INSERT INTO told (x, n) VALUES (${declared}, random()) $$;
      CREATE FUNCTION declare_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.x := ${declared}; RETURN NEW; END $$;
      CREATE TABLE fired (id serial PRIMARY KEY, x xml);
      CREATE TRIGGER declare_it BEFORE INSERT OR UPDATE ON fired FOR EACH ROW EXECUTE FUNCTION declare_it()`);
    await client.query(`INSERT INTO told (x, list, page) VALUES (${declared}, ARRAY[${declared}::xml], ${declared})`);
    await client.query('INSERT INTO told (n) SELECT 1 FROM generate_series(1, 3)');
    await client.query(`UPDATE told SET x = ${declared}, list = ARRAY[NULL, ${declared}::xml] WHERE n = 1`);
    await client.query('SELECT tell()');
    await client.query('INSERT INTO fired DEFAULT VALUES');
    await client.query('UPDATE fired SET x = NULL WHERE id > 0');
    await client.query(
      `WITH told AS (INSERT INTO copied (x) VALUES (${declared}) RETURNING x) INSERT INTO told (x) SELECT x FROM told`,
    );
    // What stands within a row's text is not shown whole, and cannot be asked for.
    const insert = `INSERT INTO inside (sheet) VALUES (ROW(1, ${declared}))`;
    assert.equal((await refusal(client.query(insert))).code, '0A000');
    for (const text of [
      'SELECT id, x::text AS x, list::text[]::text AS list, page::text AS page, n FROM told ORDER BY id',
      'SELECT id, x::text AS x FROM fired',
      'SELECT id, x::text AS x FROM copied',
    ]) {
      const [lead, follower] = [await sql(w1, text), await sql(w2, text)];
      assert.deepEqual(lead, follower);
      assert.match(JSON.stringify(lead), /encoding/);
    }
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

concludeWrites(cluster);
