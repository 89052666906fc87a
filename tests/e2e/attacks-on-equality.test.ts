/** What would give each writer another value: it is the same on every writer, or it is refused. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import pg from 'pg';
import { assertWritersEqual, startScene } from './scene.ts';

const { cluster, proxy } = await startScene({}, { reader: false });
let client: pg.Client;

const SETUP = `
  CREATE TYPE pair AS (label text, at timestamptz);
  CREATE TYPE mood AS ENUM ('now', 'later');
  CREATE TYPE reading AS (f float8, m mood);
  CREATE TABLE note (id int PRIMARY KEY, word text, at timestamptz, n float8, data jsonb, pair pair, mood mood, measured reading);
  CREATE FUNCTION moment() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()';
  CREATE FUNCTION as_moment(text) RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT $1::timestamptz';
  CREATE FUNCTION twice(float8) RETURNS float8 LANGUAGE sql STABLE AS 'SELECT $1 * 2';
  CREATE TABLE stamped (id int PRIMARY KEY, at timestamptz DEFAULT moment());
  CREATE VIEW dice AS SELECT random() AS n, now() AS at;
  CREATE VIEW more_dice AS SELECT * FROM dice;
  CREATE VIEW ruled AS SELECT id, word FROM note;
  CREATE RULE change AS ON UPDATE TO ruled DO INSTEAD UPDATE note SET at = now(), word = NEW.word WHERE id = OLD.id;
  CREATE VIEW ruled_in AS SELECT id, word FROM note;
  CREATE RULE fill AS ON INSERT TO ruled_in DO INSTEAD INSERT INTO note (id, word, n) VALUES (NEW.id, NEW.word, random());
  CREATE TABLE history (id serial PRIMARY KEY, of int);
  CREATE VIEW kept AS SELECT id, word FROM note;
  CREATE RULE keep AS ON UPDATE TO kept DO INSTEAD INSERT INTO history (of) VALUES (OLD.id);
  CREATE FUNCTION later(timestamptz, int) RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';
  CREATE OPERATOR +~ (FUNCTION = later, LEFTARG = timestamptz, RIGHTARG = int);
  CREATE SEQUENCE counter`;

before(async () => {
  client = await proxy.connect();
  await client.query(SETUP);
});

type Attack = string | readonly [text: string, ...values: unknown[]];

async function attacked(attack: Attack): Promise<'same on every writer' | 'refused'> {
  await client.query('DELETE FROM note; DELETE FROM stamped');
  await client.query(
    `INSERT INTO note (id, word, data, n) VALUES (1, 'now', '{"at": "now"}', 1.5), (2, 'today', '{"at": "2001-01-01"}', 2.5)`,
  );
  const [text, ...values] = typeof attack === 'string' ? [attack] : attack;
  let outcome: 'same on every writer' | 'refused' = 'same on every writer';
  try {
    await (values.length === 0 ? client.query(text) : client.query(text, values));
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    assert.ok(['0A000', '40001', '40002'].includes(error.code ?? ''), `${error.code}: ${error.message}`);
    outcome = 'refused';
  }
  await client.query('ROLLBACK').catch(() => undefined);
  await assertWritersEqual(cluster);
  return outcome;
}

function attacks(expected: 'same on every writer' | 'refused', list: readonly Attack[]): void {
  for (const attack of list) {
    const text = typeof attack === 'string' ? attack : attack.join(' | ');
    test(text, async () => assert.equal(await attacked(attack), expected));
  }
}

describe('refused', () => {
  attacks('refused', [
    'CREATE MATERIALIZED VIEW thrown_view AS SELECT * FROM dice',
    "UPDATE ruled SET word = 'x'",
    "INSERT INTO ruled_in VALUES (3, 'x')",
    'ALTER TABLE note ADD COLUMN seen timestamptz DEFAULT moment()',
    'PREPARE b(float8) AS UPDATE note SET n = $1; EXPLAIN ANALYZE EXECUTE b (random())',
    "UPDATE kept SET word = 'x'",
    'SELECT lo_create(4711); SELECT lo_put(4711, 0, word::bytea) FROM note',
    'SELECT lo_from_bytea(4712, word::bytea) FROM note LIMIT 1',
  ]);
});

describe('the same on every writer', () => {
  attacks('same on every writer', [
    'CREATE TABLE thrown AS SELECT * FROM more_dice',
    'CREATE TABLE timed AS SELECT moment() AS at',
    'COPY (UPDATE note SET at = moment() RETURNING id) TO STDOUT',
    "SELECT query_to_xml('SELECT count(*) FROM note', false, true, '')",
    "SELECT word FROM ts_stat('SELECT to_tsvector(''simple'', word) FROM note')",
    'MERGE INTO note USING dice ON id = 1 WHEN MATCHED THEN UPDATE SET n = dice.n',
    'PREPARE c AS SELECT random() AS n; CREATE TABLE made AS EXECUTE c',
    'PREPARE d AS SELECT moment() AS n; CREATE TABLE made2 AS EXECUTE d',
    'PREPARE e AS SELECT n FROM dice; CREATE TABLE made3 AS EXECUTE e',
    "CREATE TABLE read AS SELECT id, word::timestamptz AS at, ('no' || 'w')::timestamptz AS moment FROM note WHERE id = 1",
    'UPDATE note SET at = moment()',
    'UPDATE note SET at = as_moment(word)',
    'UPDATE note SET at = word::timestamptz WHERE id = 1',
    "UPDATE note SET at = ('no' || 'w')::timestamptz",
    "UPDATE note SET at = (data->>'at')::timestamptz",
    'UPDATE note SET at = timestamptz(word) WHERE id = 1',
    'UPDATE note SET at = r.at FROM jsonb_populate_record(NULL::note, \'{"at": "now"}\') r',
    'UPDATE note SET at = (jsonb_populate_record(note, data)).at',
    'UPDATE note SET at = r.at FROM jsonb_to_record(\'{"at": "now"}\') AS r(at timestamptz)',
    "UPDATE note SET pair = '(hello,now)'",
    ['UPDATE note SET pair = $1', '(hello,now)'],
    'UPDATE note SET n = dice.n FROM dice',
    'UPDATE note SET n = (SELECT n FROM more_dice)',
    'UPDATE note SET at = (SELECT at FROM more_dice)',
    'WITH d AS (SELECT * FROM dice) DELETE FROM note USING d WHERE note.at < d.at OR note.n > d.n',
    "UPDATE note SET at = timestamptz '2001-01-01' +~ id",
    'INSERT INTO stamped VALUES (1)',
    'INSERT INTO stamped SELECT id FROM note',
    "INSERT INTO note (id, at) VALUES (3, ('no' || 'w')::timestamptz)",
    'INSERT INTO note (id, at) VALUES (3, moment())',
    'INSERT INTO note (id, n) SELECT 3, n FROM dice',
    "INSERT INTO note (id, at) VALUES (1, 'now') ON CONFLICT (id) DO UPDATE SET at = EXCLUDED.at, word = 'now'",
    "INSERT INTO note (id, word) VALUES (4, 'now'), (5, 'today')",
    'UPDATE note SET n = twice(n)',
    "UPDATE note SET at = '2001-01-01'",
    "UPDATE note SET at = word::timestamptz WHERE word = '2001-01-01'",
    "PREPARE f AS INSERT INTO note (id, at) VALUES (6, $1); EXECUTE f ('now')",
    'PREPARE g(float8) AS UPDATE note SET n = $1; EXECUTE g (random())',
    'PREPARE h(timestamptz) AS UPDATE note SET at = $1; EXECUTE h (clock_timestamp())',
    "PREPARE i(reading) AS UPDATE note SET measured = $1; SET extra_float_digits = -10; EXECUTE i (ROW(random(), 'later'))",
    'RESET extra_float_digits',
    "PREPARE j(pair) AS UPDATE note SET pair = $1; SET DateStyle = 'SQL, DMY'; EXECUTE j (ROW('x', clock_timestamp()))",
    "PREPARE k(pair[]) AS UPDATE note SET pair = $1[1]; SET TimeZone = 'Asia/Kolkata'; EXECUTE k (ARRAY[ROW('x', clock_timestamp())::pair])",
    'RESET ALL',
    "SELECT setval('counter', 50)",
  ]);
});
