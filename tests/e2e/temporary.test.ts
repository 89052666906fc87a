/** Temporary objects, which the lead alone has: what is done to permanent ones through them is done on every writer. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { copyIn } from '../support/copy-in.ts';
import { assertWritersEqual, connectRaw, outcome, startScene, value } from './scene.ts';

const scene = await startScene({}, { reader: false });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`CREATE TABLE kept (id int PRIMARY KEY, v int); CREATE TABLE log (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), v int);
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO log (v) VALUES (NEW.v); RETURN NEW; END';
    CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN DELETE FROM kept WHERE id = 1; UPDATE kept SET v = v + 1; RETURN NULL; END';
    CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO log (v) VALUES (7); RETURN 1; END';
    CREATE FUNCTION w(int) RETURNS int LANGUAGE sql AS 'SELECT w()'; CREATE OPERATOR !~ (FUNCTION = w, RIGHTARG = int);
    CREATE DOMAIN writing AS int DEFAULT w(); CREATE VIEW calling AS SELECT w() AS v`);
});

after(async () => {
  await client.end();
});

interface Case {
  /** Made in a session of its own. */
  readonly made: string;
  readonly run: string | readonly [copy: string, data: string];
  readonly refused?: string;
}

const VIEW = 'CREATE TEMPORARY VIEW tv AS SELECT * FROM kept';
const TABLE = 'CREATE TEMPORARY TABLE tt (v int)';

const cases: Readonly<Record<string, Case>> = {
  'INSERT into a view': { made: VIEW, run: 'INSERT INTO tv VALUES (3, 3)' },
  'UPDATE of a view': { made: VIEW, run: 'UPDATE tv SET v = 20 + random() WHERE id = 2' },
  'DELETE from a view': { made: VIEW, run: 'DELETE FROM tv WHERE id = 1' },
  'WITH that changes a view': { made: VIEW, run: 'WITH x AS (UPDATE tv SET v = 5 RETURNING id) SELECT * FROM x' },
  'MERGE into a view': {
    made: VIEW,
    run: 'MERGE INTO tv USING (VALUES (1), (9)) s (id) ON tv.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id, 0)',
  },
  'EXECUTE of what changes a view': {
    made: VIEW,
    run: 'PREPARE p AS INSERT INTO tv VALUES (3, 3); EXECUTE p; DEALLOCATE p',
  },
  'EXPLAIN ANALYZE of what changes a view': { made: VIEW, run: 'EXPLAIN ANALYZE INSERT INTO tv VALUES (3, 3)' },
  'COPY into a view': {
    made: `${VIEW}; CREATE FUNCTION pg_temp.storing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO kept VALUES (NEW.id, NEW.v); RETURN NEW; END';
      CREATE TRIGGER storing INSTEAD OF INSERT ON tv FOR EACH ROW EXECUTE FUNCTION pg_temp.storing()`,
    run: ['COPY tv FROM STDIN', '3\t3\n4\t4\n'],
  },
  'a view of a table with a serial': {
    made: 'CREATE TEMPORARY VIEW tv AS SELECT * FROM log',
    run: 'INSERT INTO tv (v) VALUES (3)',
  },
  'a trigger of a table': {
    made: `${TABLE}; CREATE TRIGGER t AFTER INSERT ON tt FOR EACH ROW EXECUTE FUNCTION noted()`,
    run: 'INSERT INTO tt VALUES (5), (6)',
  },
  'a trigger of a table that is named as such': {
    made: `${TABLE}; CREATE TRIGGER t AFTER INSERT ON tt FOR EACH ROW EXECUTE FUNCTION noted()`,
    run: 'INSERT INTO pg_temp.tt VALUES (5), (6); UPDATE pg_temp.tt SET v = w(); WITH x AS (INSERT INTO pg_temp.tt VALUES (7) RETURNING v) SELECT * FROM x; SELECT w() FROM pg_temp.tt',
  },
  'COPY into a table that is named as such': {
    made: `${TABLE}; CREATE TRIGGER t AFTER INSERT ON tt FOR EACH ROW EXECUTE FUNCTION noted()`,
    run: ['COPY pg_temp.tt FROM STDIN', '5\n6\n'],
  },
  'a trigger of a table that is copied into': {
    made: `${TABLE}; CREATE TRIGGER t AFTER INSERT ON tt FOR EACH ROW EXECUTE FUNCTION noted()`,
    run: ['COPY tt FROM STDIN', '5\n6\n'],
  },
  'a trigger of a table that is emptied': {
    made: `${TABLE}; CREATE TRIGGER t AFTER TRUNCATE ON tt EXECUTE FUNCTION gone()`,
    run: 'TRUNCATE tt',
  },
  'a trigger that removes rows': {
    made: `${TABLE}; CREATE TRIGGER t AFTER INSERT ON tt EXECUTE FUNCTION gone()`,
    run: 'INSERT INTO tt VALUES (5)',
  },
  'a rule of a table': {
    made: `${TABLE}; CREATE RULE r AS ON INSERT TO tt DO ALSO INSERT INTO log (v) VALUES (NEW.v)`,
    run: 'INSERT INTO tt VALUES (5)',
  },
  'a trigger of a partition': {
    made: `CREATE TEMPORARY TABLE tp (v int) PARTITION BY LIST (v); CREATE TEMPORARY TABLE t5 PARTITION OF tp FOR VALUES IN (5);
      CREATE TRIGGER t AFTER INSERT ON t5 FOR EACH ROW EXECUTE FUNCTION noted()`,
    run: 'INSERT INTO tp VALUES (5)',
  },
  'a default of a table': {
    made: 'CREATE TEMPORARY TABLE tt (v int DEFAULT w())',
    run: 'INSERT INTO tt DEFAULT VALUES',
  },
  'a default of a domain': { made: 'CREATE TEMPORARY TABLE tt (v writing)', run: 'INSERT INTO tt DEFAULT VALUES' },
  'a constraint of a table': {
    made: 'CREATE TEMPORARY TABLE tt (v int CHECK (w() = 1))',
    run: 'INSERT INTO tt VALUES (1)',
  },
  'WITH that writes, in front of a table': {
    made: TABLE,
    run: 'WITH x AS (INSERT INTO log (v) VALUES (1), (2) RETURNING v) INSERT INTO tt SELECT v FROM x',
  },
  'functions of a query': {
    made: `${TABLE}; INSERT INTO tt VALUES (1)`,
    run: 'SELECT w() FROM tt; SELECT * FROM tt WHERE w() = 1; INSERT INTO tt SELECT w(); UPDATE tt SET v = 2 RETURNING w(); SELECT (SELECT w()) FROM tt; DELETE FROM tt WHERE w(1) = 1; EXPLAIN ANALYZE SELECT w() FROM tt',
  },
  'a large object': { made: TABLE, run: 'INSERT INTO tt SELECT lo_create(556)', refused: '0A000' },
  'MERGE into a table': {
    made: 'CREATE TEMPORARY TABLE tt (id int, v int DEFAULT w())',
    run: 'MERGE INTO tt USING (VALUES (1)) n (id) ON tt.id = n.id WHEN NOT MATCHED THEN INSERT (id) VALUES (n.id)',
  },
  'a function that is called': {
    made: TABLE,
    run: 'INSERT INTO tt VALUES (w()); UPDATE tt SET v = w() + 1; SELECT w(v) FROM tt',
  },
  'an operator that is called': { made: `${TABLE}; INSERT INTO tt VALUES (1)`, run: 'UPDATE tt SET v = !~ v' },
  'a function that a view calls': { made: 'CREATE TEMPORARY VIEW tv AS SELECT w()', run: 'SELECT * FROM tv' },
  'a function that a permanent view calls': { made: TABLE, run: 'INSERT INTO tt SELECT v FROM calling' },
  'a function that fills a table': { made: '', run: 'CREATE TEMPORARY TABLE tt AS SELECT w() AS v' },
  'a column that is added': {
    made: `${TABLE}; INSERT INTO tt VALUES (1)`,
    run: 'ALTER TABLE tt ADD z int DEFAULT w()',
  },
  'a function that makes a table, in a column that is added': {
    made: `${TABLE}; INSERT INTO tt VALUES (1); CREATE FUNCTION pg_temp.making() RETURNS int LANGUAGE plpgsql AS 'BEGIN CREATE TABLE made (id int); RETURN 1; END'`,
    run: 'ALTER TABLE tt ADD z int DEFAULT pg_temp.making()',
    refused: '0A000',
  },
  'a sequence that is set': {
    made: TABLE,
    run: "INSERT INTO tt VALUES (setval('log_id_seq', 100))",
    refused: '0A000',
  },
};

describe('writers are equal behind', () => {
  for (const [name, { made, run, refused = 'ok' }] of Object.entries(cases))
    for (const where of ['by itself', 'in a transaction'] as const)
      test(`${name}, ${where}`, HANGS, async () => {
        await client.query(
          'TRUNCATE kept, log; INSERT INTO kept VALUES (1, 1), (2, 2); INSERT INTO log (v) VALUES (0)',
        );
        const own = await proxy.connect();
        if (made !== '') await own.query(made);
        if (where === 'in a transaction') await own.query('BEGIN; INSERT INTO log (v) VALUES (1)');
        const found = await outcome(typeof run === 'string' ? own.query(run) : copyIn(own, ...run));
        assert.equal(found, refused);
        await own.query(found === 'ok' && where === 'in a transaction' ? 'COMMIT' : 'ROLLBACK');
        await own.end();
        await assertWritersEqual(cluster);
        const [lead, follower] = await Promise.all(
          [w1, w2].map(
            async (writer) => (await sql(writer, 'SELECT last_value::int AS at FROM log_id_seq'))[0]?.['at'],
          ),
        );
        assert.ok(Number(follower) >= Number(lead), `${String(follower)} and ${String(lead)}`);
        assert.ok(Number(await value(client, 'SELECT count(*) FROM log')) > 0);
      });
});

const PERMANENT = `CREATE POLICY first ON kept USING (true); CREATE TABLE parts (id int PRIMARY KEY, v int); CREATE TRIGGER first AFTER INSERT ON parts EXECUTE FUNCTION gone();
  CREATE VIEW seen AS SELECT id FROM parts; CREATE DOMAIN ruled AS int CONSTRAINT c CHECK (VALUE > 0); CREATE SCHEMA empty; CREATE SEQUENCE counted;
  CREATE STATISTICS related ON id, v FROM parts; CREATE RULE first AS ON UPDATE TO parts DO ALSO NOTHING; COMMENT ON SCHEMA empty IS 'x'; CREATE DOMAIN idle AS int`;
const DROPPED = `DROP DOMAIN IF EXISTS made, ruled, idle; DROP SCHEMA IF EXISTS made, empty; DROP VIEW IF EXISTS seen; DROP TABLE IF EXISTS parts; DROP SEQUENCE IF EXISTS counted; DROP POLICY IF EXISTS first ON kept; DROP POLICY IF EXISTS made ON kept`;

/** Of permanent objects, by a function over a temporary table. */
const definitions = [
  'CREATE POLICY made ON kept USING (true)',
  'CREATE TRIGGER made AFTER INSERT ON parts EXECUTE FUNCTION gone()',
  'CREATE RULE made AS ON UPDATE TO parts DO ALSO NOTHING',
  'CREATE TABLE made (id int)',
  'CREATE VIEW made AS SELECT 1 AS a',
  'CREATE DOMAIN made AS int',
  'CREATE SCHEMA made',
  'CREATE INDEX ON parts (v)',
  'CREATE STATISTICS more ON id, v FROM parts',
  'DROP POLICY first ON kept',
  'DROP TRIGGER first ON parts',
  'DROP RULE first ON parts',
  'DROP VIEW seen',
  'DROP TABLE parts CASCADE',
  'DROP DOMAIN idle',
  'DROP SCHEMA empty',
  'DROP SEQUENCE counted',
  'DROP STATISTICS related',
  'ALTER TABLE parts ALTER v SET DEFAULT 3',
  'ALTER TABLE parts ADD CHECK (v > 0)',
  'ALTER TABLE parts DROP CONSTRAINT parts_pkey',
  'ALTER TABLE parts RENAME v TO w',
  'ALTER TABLE parts RENAME TO made',
  'ALTER DOMAIN ruled SET DEFAULT 3',
  'ALTER DOMAIN ruled DROP CONSTRAINT c',
  'ALTER DOMAIN ruled ADD CHECK (VALUE > 1)',
  'ALTER SEQUENCE counted INCREMENT 3',
  'ALTER STATISTICS related SET STATISTICS 7',
  'ALTER TRIGGER first ON parts RENAME TO made',
  'ALTER POLICY first ON kept USING (false)',
  "COMMENT ON FUNCTION gone() IS 'x'",
  "COMMENT ON COLUMN parts.v IS 'x'",
  "COMMENT ON DOMAIN ruled IS 'x'",
  'COMMENT ON SCHEMA empty IS NULL',
  "COMMENT ON TRIGGER first ON parts IS 'x'",
  "COMMENT ON POLICY first ON kept IS 'x'",
  "COMMENT ON RULE first ON parts IS 'x'",
  "COMMENT ON STATISTICS related IS 'x'",
  "COMMENT ON CONSTRAINT parts_pkey ON parts IS 'x'",
  "COMMENT ON INDEX parts_pkey IS 'x'",
  'ALTER TRIGGER first ON parts DEPENDS ON EXTENSION plpgsql',
  'GRANT SELECT ON parts TO PUBLIC',
  'GRANT SELECT (v) ON parts TO PUBLIC',
  'GRANT USAGE ON SCHEMA empty TO PUBLIC',
];

describe('a function over a temporary table leaves no object on the lead alone', () => {
  before(async () => {
    await client.query(`${DROPPED}; ${PERMANENT}`);
  });
  for (const definition of definitions)
    for (const [beside, first, name] of [
      ['', '', ''],
      [
        '; CREATE TEMPORARY TABLE more (id int PRIMARY KEY, v text); DROP TABLE more',
        'BEGIN; LOCK TABLE parts, kept; ',
        ', and temporary ones',
      ],
    ] as const)
      test(`${definition}${name}`, HANGS, async () => {
        const own = await proxy.connect();
        await own.query(`${TABLE}; INSERT INTO tt VALUES (1);
          CREATE FUNCTION pg_temp.defining() RETURNS int LANGUAGE plpgsql AS $$BEGIN ${definition}${beside}; RETURN 1; END$$`);
        const found = await outcome(own.query(`${first}SELECT pg_temp.defining() FROM tt`));
        await own.end();
        assert.equal(found, '0A000');
        await assertWritersEqual(cluster);
      });
});

test('a function over a temporary table makes and drops temporary objects', HANGS, async () => {
  const own = await proxy.connect();
  await own.query(`${TABLE}; INSERT INTO tt VALUES (1); CREATE FUNCTION pg_temp.working() RETURNS int LANGUAGE plpgsql AS $$BEGIN
    CREATE TEMPORARY TABLE work (id serial PRIMARY KEY, v text CHECK (v <> '')); CREATE INDEX ON work (v); INSERT INTO work (v) VALUES ('a');
    CREATE TEMPORARY VIEW works AS SELECT * FROM work; COMMENT ON TABLE work IS 'x'; ALTER TABLE work ADD w int DEFAULT 3;
    INSERT INTO log (v) SELECT w FROM work; DROP TABLE work CASCADE; RETURN 1; END$$`);
  await own.query('SELECT pg_temp.working() FROM tt');
  await own.query('BEGIN; INSERT INTO log (v) VALUES (5); LOCK TABLE kept; SELECT pg_temp.working() FROM tt; COMMIT');
  await own.query(
    'BEGIN; LOCK TABLE kept IN SHARE ROW EXCLUSIVE MODE; CREATE TEMPORARY TABLE read AS SELECT w(id) FROM kept; COMMIT',
  );
  await own.end();
  await assertWritersEqual(cluster);
});

test('a function of COPY TO', HANGS, async () => {
  const own = await connectRaw(scene);
  await own.query(`${TABLE}; INSERT INTO tt VALUES (1)`);
  const messages = await own.query('COPY (SELECT w() FROM tt) TO STDOUT');
  assert.ok(messages.some(({ type }) => type === 'CopyDone'));
  own.end();
  assert.ok(Number(await value(client, 'SELECT count(*) FROM log WHERE v = 7')) > 0);
  await assertWritersEqual(cluster);
});

test('a trigger that waits for COMMIT does nothing that followers do not', HANGS, async () => {
  const own = await proxy.connect();
  await own.query(
    `${TABLE}; CREATE CONSTRAINT TRIGGER t AFTER INSERT ON tt DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION noted()`,
  );
  assert.equal(await outcome(own.query('INSERT INTO tt VALUES (5)')), '40002');
  await own.query('BEGIN; INSERT INTO tt VALUES (5)');
  assert.equal(await outcome(own.query('COMMIT')), '40002');
  await own.end();
  await assertWritersEqual(cluster);
});

test('event triggers that write tell of temporary objects on every writer', HANGS, async () => {
  await client.query(`TRUNCATE log; CREATE TABLE defined (id serial PRIMARY KEY, tag text, at timestamptz DEFAULT clock_timestamp());
    CREATE FUNCTION telling() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO defined (tag) VALUES (tg_tag); END';
    CREATE EVENT TRIGGER telling ON ddl_command_end EXECUTE FUNCTION telling()`);
  const own = await proxy.connect();
  const statements = [
    'CREATE TEMPORARY TABLE tt (x int PRIMARY KEY)',
    'CREATE INDEX ON tt (x)',
    'ALTER TABLE tt ADD y int DEFAULT 1',
    'CREATE TEMPORARY VIEW tv AS SELECT * FROM tt',
    'CREATE TEMPORARY SEQUENCE ts',
    'GRANT SELECT ON tt TO PUBLIC',
    'CREATE TRIGGER noting AFTER INSERT ON tt FOR EACH ROW WHEN (NEW.x < 0) EXECUTE FUNCTION noted()',
    'BEGIN',
    'INSERT INTO log (v) VALUES (1)',
    'CREATE TEMPORARY TABLE more (x int)',
    'COMMIT',
    'DROP TABLE tt CASCADE',
  ];
  for (const statement of statements) await own.query(statement);
  await own.end();
  await assertWritersEqual(cluster);
  assert.equal(Number(await value(client, 'SELECT count(*) FROM defined')), 9);
  await client.query('DROP EVENT TRIGGER telling; DROP TABLE defined');
});

test('comments on, and triggers and rules of, temporary objects are made and dropped', HANGS, async () => {
  const own = await proxy.connect();
  await own.query(
    `${TABLE}; CREATE RULE r AS ON INSERT TO tt DO NOTHING; CREATE TRIGGER t AFTER DELETE ON tt FOR EACH ROW EXECUTE FUNCTION noted()`,
  );
  const statements = [
    "COMMENT ON TABLE tt IS 'c'",
    "COMMENT ON COLUMN tt.v IS 'c'",
    "COMMENT ON TRIGGER t ON tt IS 'c'",
    "COMMENT ON RULE r ON tt IS 'c'",
    'DROP TRIGGER t ON tt',
    'DROP RULE r ON tt',
  ];
  for (const statement of statements) assert.equal(await outcome(own.query(statement)), 'ok', statement);
  await own.end();
  await assertWritersEqual(cluster);
});

describe('what a session knows of its temporary objects is what there is', () => {
  const changes: Readonly<Record<string, readonly [text: string, log: number]>> = {
    'a trigger that is made': ['CREATE TRIGGER t AFTER INSERT ON tt FOR EACH ROW EXECUTE FUNCTION noted()', 1],
    'a table that hides a permanent one': ['CREATE TEMPORARY TABLE kept (id int, v int)', 0],
    'one that is rolled back': [
      'BEGIN; CREATE TEMPORARY TABLE kept (id int, v int); INSERT INTO kept VALUES (50, 50); ROLLBACK',
      0,
    ],
    'one that a savepoint takes back': [
      'BEGIN; SAVEPOINT s; CREATE TEMPORARY TABLE kept (id int, v int); INSERT INTO kept VALUES (50, 50); ROLLBACK TO s',
      0,
    ],
    'one that goes at COMMIT': [
      'BEGIN; CREATE TEMPORARY TABLE kept (id int, v int) ON COMMIT DROP; INSERT INTO kept VALUES (50, 50); COMMIT',
      0,
    ],
    'one that is dropped': [
      'CREATE TEMPORARY TABLE kept (id int, v int); INSERT INTO kept VALUES (50, 50); DROP TABLE pg_temp.kept',
      0,
    ],
    'one that DISCARD drops': [
      'CREATE TEMPORARY TABLE kept (id int, v int); INSERT INTO kept VALUES (50, 50); DISCARD TEMP',
      0,
    ],
    'a path that has another table in front': [
      'CREATE SCHEMA IF NOT EXISTS front; CREATE TABLE IF NOT EXISTS front.kept (id int, v int); SET search_path = front, public',
      0,
    ],
  };
  for (const [name, [text, noted]] of Object.entries(changes))
    test(name, HANGS, async () => {
      await client.query('TRUNCATE kept, log');
      const own = await proxy.connect();
      await own.query(TABLE);
      for (let round = 0; round < 3; round++)
        await own.query(`INSERT INTO tt VALUES (1); INSERT INTO kept VALUES (${round}, 1)`);
      await own.query(text);
      await own.query('CREATE TEMPORARY TABLE IF NOT EXISTS tt (v int)');
      await own.query('INSERT INTO tt VALUES (2)');
      await own.query('INSERT INTO kept VALUES (10, 1)');
      await own.query('ROLLBACK; INSERT INTO kept VALUES (11, 1)');
      await own.end();
      await assertWritersEqual(cluster);
      assert.equal(Number(await value(client, 'SELECT count(*) FROM log')), noted);
    });
});

test('what is temporary alone stays on the lead', HANGS, async () => {
  const own = await proxy.connect();
  await own.query(`${TABLE}; CREATE TEMPORARY VIEW tv AS SELECT v FROM tt`);
  for (const statement of [
    'INSERT INTO tt VALUES (abs(-1) + 1)',
    'UPDATE tt SET v = lower($$1$$)::int',
    'SELECT * FROM tv',
  ]) {
    const { rows } = await own.query<{ 'QUERY PLAN': string }>(`EXPLAIN (PPROX) ${statement}`);
    assert.doesNotMatch(rows[0]?.['QUERY PLAN'] ?? '', /writers/, statement);
  }
  await own.query('BEGIN READ ONLY; INSERT INTO tt VALUES (1); INSERT INTO tv VALUES (2); COMMIT');
  assert.equal(Number(await value(own, 'SELECT count(*) FROM tt')), 2);
  await own.end();
});
