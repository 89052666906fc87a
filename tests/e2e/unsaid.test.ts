/** What neither a statement's text nor the triggers of its tables say, and PostgreSQL does all the same: on every writer, or on none. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type pg from 'pg';
import { sql } from '../support/cluster.ts';
import { copyIn } from '../support/copy-in.ts';
import { assertWritersEqual, outcome, startScene, value } from './scene.ts';

const scene = await startScene({}, { reader: false });
const { cluster, proxy } = scene;
const { w1, w2 } = cluster;
const HANGS = { timeout: 60_000 };
let client: pg.Client;

before(async () => {
  client = await proxy.connect();
  await client.query(`CREATE TABLE s (grp int, f float8, n numeric, pad text);
    CREATE TABLE log (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), what text)`);
  await client.query('CREATE ROLE limited');
  // The same rows in another order, as two transactions at a time leave them, and VACUUM.
  const rows = ["(1, 1e16, 1.0, 'first')", "(1, -1e16, 1.00, 'second')", "(1, 1, 1.000, 'third')"];
  await sql(w1, `INSERT INTO s VALUES ${rows.join(', ')}`);
  await sql(w2, `INSERT INTO s VALUES ${rows.toReversed().join(', ')}`);
});

interface Case {
  readonly made: string;
  readonly run: string | readonly [copy: string, data: string];
  /** SQLSTATEs: refused, and nothing is done. */
  readonly refused?: readonly string[];
}

const WRITES = `BEGIN INSERT INTO log (what) VALUES ('called'); RETURN`;
const TARGET = "CREATE TABLE t (id int PRIMARY KEY, w text); INSERT INTO t VALUES (1, 'old'), (2, 'old')";
const TELLING_VIEW = `${TARGET}; CREATE VIEW tv AS SELECT * FROM t`;

const cases: Readonly<Record<string, Case>> = {
  'COPY with a mark for defaults': {
    made: 'CREATE TABLE t (id serial PRIMARY KEY, v text DEFAULT random()::text, at timestamptz DEFAULT clock_timestamp())',
    run: ["COPY t (id, v, at) FROM STDIN (DEFAULT '\\D')", '\\D\t\\D\t\\D\n\\D\tx\t\\D\n'],
  },
  'COPY of words that escapes and quotes stand within': {
    made: 'CREATE TABLE t (id int PRIMARY KEY, at timestamptz)',
    run: ["COPY t FROM STDIN (FORMAT csv, QUOTE '~')", '1,n~ow~\n'],
    refused: ['40002'],
  },
  'COPY with a quote that no word shows': {
    made: 'CREATE TABLE t (id int PRIMARY KEY, at timestamptz)',
    run: ["COPY t FROM STDIN (FORMAT csv, QUOTE 'z')", '1,nzozw\n'],
    refused: ['40002'],
  },
  'a word of time in a long list': {
    made: 'CREATE TABLE t (id int PRIMARY KEY, at timestamptz[])',
    run: `INSERT INTO t VALUES (1, '{${'2020-01-01 00:00:00+00,'.repeat(20)}now}'); UPDATE t SET at = '{${'2020-01-01 00:00:00+00,'.repeat(20)}now}' WHERE id = 1`,
  },
  'COPY that chooses rows by a stable function': {
    made: `CREATE TABLE t (id int PRIMARY KEY); CREATE FUNCTION f(int) RETURNS bool STABLE LANGUAGE sql AS 'SELECT ($1 + inet_server_port() % 7) % 4 = 0'`,
    run: ['COPY t FROM STDIN WHERE f(id)', Array.from({ length: 40 }, (_, id) => `${id}\n`).join('')],
  },
  'COPY that chooses rows by a function that writes': {
    made: `CREATE TABLE t (id int PRIMARY KEY); CREATE FUNCTION f(int) RETURNS bool LANGUAGE plpgsql AS $$ ${WRITES} $1 > 1; END $$`,
    run: ['COPY t FROM STDIN WHERE f(id)', '1\n2\n3\n'],
  },
  'ADD COLUMN with a default that varies, where one that inherits has its own': {
    made: `CREATE TABLE par (id int PRIMARY KEY, v int); CREATE TABLE mid () INHERITS (par); CREATE TABLE ch (c timestamptz DEFAULT '2000-01-01', PRIMARY KEY (id)) INHERITS (mid);
      INSERT INTO par VALUES (1, 1); INSERT INTO mid VALUES (2, 2)`,
    run: 'ALTER TABLE par ADD COLUMN c timestamptz DEFAULT now(); INSERT INTO ch (id) VALUES (3); INSERT INTO mid (id) VALUES (4)',
  },
  'ALTER TYPE in a table with a column of any name': {
    made: "CREATE TABLE t (t int PRIMARY KEY, at text); INSERT INTO t VALUES (1, 'now')",
    run: 'ALTER TABLE t ALTER at TYPE timestamptz USING at::timestamptz',
  },
  'a function that makes a relation with a column of any name': {
    made: `CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'CREATE MATERIALIZED VIEW v AS SELECT 1 AS t, clock_timestamp() AS n'; END $$`,
    run: 'SELECT f()',
    refused: ['40002'],
  },
  'UPDATE from a table of the same name': {
    made: `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'old'), (2, 'old');
      CREATE TABLE public.t (id int, v text); INSERT INTO public.t VALUES (1, 'new')`,
    run: 'UPDATE own.t SET v = public.t.v || random() FROM public.t WHERE own.t.id = public.t.id; DELETE FROM own.t USING public.t WHERE own.t.id > public.t.id; DROP TABLE public.t',
  },
  'numbers of objects, by columns and domains that hold names of them': {
    made: `CREATE DOMAIN naming AS regclass; CREATE TABLE h (id int PRIMARY KEY, r regclass, rs regclass[], o oid, b bigint, os oid[], d naming, i int, t text);
      INSERT INTO h (id, r, rs, d) SELECT g, 'h', '{h}', 'h' FROM generate_series(1, 8) g; CREATE TABLE g (id int PRIMARY KEY, n bigint DEFAULT 'h'::naming::oid::bigint)`,
    run: `UPDATE h SET o = r WHERE id = 1; UPDATE h SET b = d::oid, os = rs WHERE id = 2; UPDATE h SET t = (r::oid)::text, i = CASE WHEN r > 16400 THEN 1 ELSE 0 END WHERE id = 3;
      INSERT INTO h (id, o) VALUES (13, 'h'::naming); INSERT INTO h (id, os) VALUES (14, '{h}'::_regclass); INSERT INTO g (id) VALUES (1)`,
  },
  "the server's own catalog, by hand": {
    made: "CREATE TABLE t (id int); COMMENT ON TABLE t IS 'c'",
    run: "DELETE FROM pg_description WHERE objoid = 't'::regclass",
    refused: ['0A000'],
  },
  "the server's own catalog, within a statement": {
    made: "CREATE TABLE t (id int); COMMENT ON TABLE t IS 'c'",
    run: "WITH gone AS (DELETE FROM pg_catalog.pg_description WHERE objoid = 't'::regclass RETURNING objoid) SELECT count(*) FROM gone",
    refused: ['0A000'],
  },
  'a table of a name like those of the server': {
    made: 'CREATE TABLE pg_own (id int PRIMARY KEY, v float8)',
    run: 'INSERT INTO pg_own VALUES (1, random()); UPDATE pg_own SET v = v + random(); DELETE FROM pg_own WHERE v < 0',
  },
  'an event trigger that writes to a table of the same name': {
    made: `CREATE TABLE public.made (at timestamptz, tag text);
      CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.made VALUES (clock_timestamp(), tg_tag); END $$;
      CREATE EVENT TRIGGER audit ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS') EXECUTE FUNCTION f()`,
    run: 'CREATE TABLE own.made AS SELECT random() AS r',
    refused: ['0A000'],
  },
  'a generated column whose function is another one since': {
    made: `CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2';
      CREATE TABLE t (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (own.f(a)) STORED, v float8, s serial);
      INSERT INTO t (id, a) SELECT g, g FROM generate_series(1, 9) g; CREATE OR REPLACE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 3'`,
    run: `INSERT INTO t (id, a, v) VALUES (1, 1, random()), (11, 1, random()) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v;
      MERGE INTO t USING (VALUES (2), (12)) n (id) ON t.id = n.id WHEN MATCHED THEN UPDATE SET v = 7 WHEN NOT MATCHED THEN INSERT (id, a) VALUES (n.id, 5);
      UPDATE t SET v = random() WHERE id > 5`,
  },
  'a generated column of the hash of an enum': {
    made: "CREATE TYPE mood AS ENUM ('a', 'b')",
    run: 'CREATE TABLE t (id int, m mood, h int GENERATED ALWAYS AS (hashenum(m)) STORED)',
    refused: ['0A000'],
  },
  'a unique index that tells apart what = takes for equal': {
    made: `CREATE TYPE cn AS (n numeric); CREATE TABLE t (k cn NOT NULL, v float8); CREATE UNIQUE INDEX ON t (k record_image_ops);
      INSERT INTO t VALUES (ROW(1.0), 0), (ROW(1.00), 0)`,
    run: 'UPDATE t SET v = random()',
    refused: ['0A000'],
  },
  'a unique index by patterns': {
    made: `CREATE TABLE t (k text NOT NULL, v float8); CREATE UNIQUE INDEX ON t (k text_pattern_ops); INSERT INTO t VALUES ('a', 0), ('b', 0)`,
    run: 'UPDATE t SET v = random()',
  },
  'a table that is called excluded': {
    made: 'CREATE TABLE excluded (id int PRIMARY KEY, v float8); INSERT INTO excluded VALUES (1, 1)',
    run: `INSERT INTO excluded AS e (id, v) VALUES (1, random()), (2, random()) ON CONFLICT (id) DO UPDATE SET v = random();
      MERGE INTO excluded e USING (VALUES (1), (3)) n (id) ON e.id = n.id WHEN MATCHED THEN UPDATE SET v = random() WHEN NOT MATCHED THEN INSERT VALUES (n.id, random())`,
  },
  'COPY of words of time into a view': {
    made: `${TARGET}; CREATE VIEW tv AS SELECT * FROM t; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (NEW.id, NEW.w); RETURN NEW; END $$;
      CREATE TRIGGER f INSTEAD OF INSERT ON tv FOR EACH ROW EXECUTE FUNCTION f()`,
    run: ['COPY tv FROM STDIN', '3\tnow\n'],
  },
  'a function that reads what it is told the name of': {
    made: `CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql AS $$ ${WRITES} 1; END $$; CREATE VIEW calling AS SELECT w()`,
    run: "SELECT table_to_xml('calling', true, false, '')",
  },
  'ADD COLUMN IF NOT EXISTS of one that a partition has another default for': {
    made: `CREATE TABLE p (id int, c timestamptz DEFAULT now()) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (1) TO (9);
      ALTER TABLE p1 ALTER c SET DEFAULT '2000-01-01'`,
    run: 'ALTER TABLE p ADD COLUMN IF NOT EXISTS c timestamptz DEFAULT now(); INSERT INTO p1 (id) VALUES (1)',
  },
  'functions that are not what they are declared as, by the names of columns and of types': {
    made: `CREATE TABLE t (id int PRIMARY KEY, v float8); INSERT INTO t VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0);
      CREATE FUNCTION calc(t) RETURNS float8 IMMUTABLE LANGUAGE sql AS 'SELECT random()';
      CREATE FUNCTION abs(t) RETURNS float8 IMMUTABLE LANGUAGE sql AS 'SELECT random()'; CREATE FUNCTION round(t) RETURNS float8 IMMUTABLE LANGUAGE sql AS 'SELECT random()';
      CREATE TYPE ct AS (f float8); CREATE FUNCTION toct(int) RETURNS ct IMMUTABLE LANGUAGE sql AS 'SELECT ROW(random())::ct'; CREATE CAST (int AS ct) WITH FUNCTION toct(int);
      CREATE TABLE d (id int PRIMARY KEY, c ct)`,
    run: `UPDATE t SET v = t.calc WHERE id = 1; UPDATE t SET v = (t).calc WHERE id = 2; UPDATE t SET v = abs(t) WHERE id = 3; UPDATE t SET v = round(t) WHERE id = 4;
      INSERT INTO t VALUES (6, abs(ROW(1, 2)::t)); INSERT INTO d VALUES (1, 5::ct); DROP CAST (int AS ct)`,
  },
  'an assignment cast that is not what it is declared as': {
    made: `CREATE TYPE ct AS (f float8); CREATE FUNCTION toct(int) RETURNS ct IMMUTABLE LANGUAGE sql AS 'SELECT ROW(random())::ct';
      CREATE CAST (int AS ct) WITH FUNCTION toct(int) AS ASSIGNMENT; CREATE TABLE d (id int PRIMARY KEY, c ct)`,
    run: 'INSERT INTO d VALUES (1, 5); UPDATE d SET c = 7 WHERE id = 1; DROP CAST (int AS ct)',
  },
  'numbers in columns that hold names of objects': {
    made: "CREATE TABLE t (id int PRIMARY KEY, r regclass, n oid); INSERT INTO t (id, n) VALUES (1, 't'::regclass), (2, 't'::regclass)",
    run: "INSERT INTO t (id, r) SELECT 3, n FROM t WHERE id = 1; DO $$ BEGIN EXECUTE 'INSERT INTO t (id, r) VALUES (4, ' || 't'::regclass::oid || ')'; END $$; UPDATE t SET r = n WHERE id = 2",
  },
  'a text that a function of an extension runs': {
    made: `CREATE EXTENSION tablefunc SCHEMA own; CREATE FUNCTION w() RETURNS int LANGUAGE plpgsql AS $$ ${WRITES} 1; END $$`,
    run: "BEGIN; INSERT INTO log (what) VALUES ('before'); SELECT * FROM crosstab($$SELECT 'a'::text, 'b'::text, w()$$) AS c (a text, b int); COMMIT",
  },
  'a trigger that changes how values are shown': {
    made: `CREATE TABLE t (id int PRIMARY KEY, v float8); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('extra_float_digits', '-15', true); RETURN NEW; END $$;
      CREATE TRIGGER f BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()`,
    run: 'INSERT INTO t SELECT g, pi() / g + random() FROM generate_series(1, 3) g',
    refused: ['0A000'],
  },
  'a function by which a column is added': {
    made: "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE FUNCTION f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'",
    run: 'ALTER TABLE t ADD x int DEFAULT f(4), ADD at timestamptz DEFAULT now()',
  },
  'a function of the numbers of objects, by which a column is added': {
    made: "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1); CREATE FUNCTION f(regclass) RETURNS oid LANGUAGE sql IMMUTABLE AS 'SELECT $1::oid'",
    run: "ALTER TABLE t ADD x bigint DEFAULT f('t')",
    refused: ['40002'],
  },
  'a partition by the hash of an expression of an enum': {
    made: "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE p (m mood) PARTITION BY HASH ((coalesce(m, 'a'::mood)))",
    run: 'CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
    refused: ['0A000'],
  },
  'a partition of those by a list of hashes of an enum': {
    made: "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE p (m mood) PARTITION BY LIST ((hashenum(m) % 2)); CREATE TABLE p0 PARTITION OF p DEFAULT",
    run: 'TRUNCATE p0',
    refused: ['0A000'],
  },
  'a partition by the hash of the text of an enum': {
    made: "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE FUNCTION t(mood) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1::text'; CREATE TABLE p (mood text) PARTITION BY HASH ((mood::text))",
    run: 'CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
  },
  'ON CONFLICT that gives a generated column alone its default': {
    made: 'CREATE TABLE t (id int PRIMARY KEY, a int, g int GENERATED ALWAYS AS (a * 2) STORED); INSERT INTO t VALUES (6, 1)',
    run: 'INSERT INTO t (id, a) VALUES (6, random() * 1000) ON CONFLICT (id) DO UPDATE SET g = DEFAULT',
  },
  'words beside a word of time, in a list of texts': {
    made: '',
    run: "CREATE TABLE u (id int, tags text[] DEFAULT '{now,later}'); CREATE VIEW v AS SELECT * FROM u WHERE tags && '{later,now}'; CREATE INDEX ON u (id) WHERE tags && '{now,later}'",
  },
  'a partition by the hash of an enum': {
    made: "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE p (m mood) PARTITION BY HASH (m)",
    run: 'CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
    refused: ['0A000'],
  },
  'a partition by the hash of what holds a name of an object, that is attached': {
    made: `CREATE TYPE named AS (of regclass[]); CREATE DOMAIN naming AS named; CREATE TABLE p (n naming) PARTITION BY HASH (n); CREATE TABLE p0 (n naming)`,
    run: 'ALTER TABLE p ATTACH PARTITION p0 FOR VALUES WITH (MODULUS 2, REMAINDER 0)',
    refused: ['0A000'],
  },
  'a partition by the hash of a text': {
    made: 'CREATE TABLE p (m text) PARTITION BY HASH (m)',
    run: `CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1);
      INSERT INTO p SELECT g::text FROM generate_series(1, 50) g; ALTER TABLE p DETACH PARTITION p0; TRUNCATE p1; DROP TABLE p0`,
  },
  "a generated column of its table's number": {
    made: '',
    run: 'CREATE TABLE t (id int, o oid GENERATED ALWAYS AS (tableoid) STORED)',
    refused: ['0A000'],
  },
  'a generated column of the number of another table, that is added': {
    made: 'CREATE TABLE t (id int)',
    run: "ALTER TABLE t ADD o oid GENERATED ALWAYS AS (coalesce('t'::regclass::oid, 1)) STORED",
    refused: ['0A000'],
  },
  'a value of a domain that has got a constraint since': {
    made: `CREATE DOMAIN above AS int; CREATE TABLE t (id above PRIMARY KEY, v float8); INSERT INTO t VALUES (-1, 0), (5, 0), (-2, 0);
      ALTER DOMAIN above ADD CHECK (VALUE > 0) NOT VALID`,
    run: 'UPDATE t SET v = random(); DELETE FROM t WHERE v < 2 AND id < -1',
  },
  'a role that may not give each column a value': {
    made: `CREATE TABLE t (id int PRIMARY KEY, v float8, d int DEFAULT 5, e text DEFAULT 'x'::text, f numeric(4,1) DEFAULT -1.5);
      GRANT USAGE ON SCHEMA own TO limited; GRANT SELECT, INSERT (id, v), UPDATE (v) ON t TO limited; SET ROLE limited`,
    run: 'INSERT INTO t VALUES (1, random()); INSERT INTO t (id, v) VALUES (1, 2), (2, random()) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v + 1',
  },
  'a role that may not give a column the value that it has by its default': {
    made: `CREATE TABLE t (id int PRIMARY KEY, v float8, at timestamptz DEFAULT clock_timestamp());
      GRANT USAGE ON SCHEMA own TO limited; GRANT SELECT, INSERT (id, v) ON t TO limited; SET ROLE limited`,
    run: 'INSERT INTO t (id, v) VALUES (1, 1)',
    refused: ['0A000'],
  },
  'a role that may not give a column the value that it has by a trigger': {
    made: `CREATE TABLE t (id int PRIMARY KEY, v float8, d int); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.d := 7; RETURN NEW; END';
      CREATE TRIGGER giving BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
      GRANT USAGE ON SCHEMA own TO limited; GRANT SELECT, INSERT (id, v) ON t TO limited; SET ROLE limited`,
    run: 'INSERT INTO t (id, v) VALUES (1, random())',
    refused: ['0A000'],
  },
  'an event trigger that writes': {
    made: `CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (what) VALUES (tg_tag); END $$;
      CREATE EVENT TRIGGER audit ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS') EXECUTE FUNCTION f()`,
    run: 'CREATE TABLE t (id int)',
  },
  'an event trigger behind CREATE TABLE AS of what varies': {
    made: `CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log (what) VALUES (tg_tag); END $$;
      CREATE EVENT TRIGGER audit ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS') EXECUTE FUNCTION f()`,
    run: 'CREATE TABLE t AS SELECT random() AS r',
    refused: ['0A000'],
  },
  'an event trigger that only looks': {
    made: `CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM s; IF tg_tag = 'DROP ROLE' THEN RAISE 'not here'; END IF; END $$;
      CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION f()`,
    run: 'CREATE TABLE t AS SELECT random() AS r',
  },
  'an event trigger that only looks, and a column that is given random values': {
    made: `${TARGET}; CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM count(*) FROM s; END $$;
      CREATE EVENT TRIGGER audit ON ddl_command_end EXECUTE FUNCTION f()`,
    run: 'ALTER TABLE t ADD COLUMN r float8 DEFAULT random(), ADD COLUMN at timestamptz DEFAULT now()',
  },
  'a trigger on TRUNCATE': {
    made: `${TARGET}; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ ${WRITES} NULL; END $$;
      CREATE TRIGGER late AFTER TRUNCATE ON t EXECUTE FUNCTION f()`,
    run: 'TRUNCATE t',
  },
  'a trigger on TRUNCATE that writes the same everywhere': {
    made: `${TARGET}; CREATE TABLE plain (what text); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO plain VALUES ('truncated'); RETURN NULL; END $$;
      CREATE TRIGGER late AFTER TRUNCATE ON t EXECUTE FUNCTION f()`,
    run: 'TRUNCATE t',
  },
  'the default of an UPDATE': {
    made: `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ ${WRITES} 1; END $$; CREATE TABLE t (id int PRIMARY KEY, v int DEFAULT f()); INSERT INTO t VALUES (1, 5)`,
    run: 'UPDATE t SET v = DEFAULT WHERE id = 1',
  },
  'defaults in a list of an UPDATE': {
    made: `CREATE TABLE t (id int PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), u uuid DEFAULT gen_random_uuid(), n int); INSERT INTO t VALUES (1), (2), (3)`,
    run: `UPDATE t SET (at, n) = (DEFAULT, 5) WHERE id = 1; UPDATE t SET (at, u, n) = ROW(DEFAULT, DEFAULT, 5) WHERE id = 2;
      WITH x AS (UPDATE t SET (u, n) = (DEFAULT, 5) WHERE id = 3 RETURNING 1) SELECT * FROM x`,
  },
  'an operator of a function that is not as immutable as it says': {
    made: `CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 1);
      CREATE FUNCTION f(int, int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT inet_server_port()'; CREATE OPERATOR <+> (FUNCTION = f, LEFTARG = int, RIGHTARG = int)`,
    run: 'UPDATE t SET n = n <+> 1 WHERE id = 1; INSERT INTO t VALUES (2, 1 <+> 1)',
  },
  'an equality of its own': {
    made: `CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT g, 1 FROM generate_series(1, 9) g;
      CREATE FUNCTION f(int, int) RETURNS bool LANGUAGE sql AS 'SELECT $1 % 2 OPERATOR(pg_catalog.=) $2 % 2';
      CREATE OPERATOR own.= (FUNCTION = f, LEFTARG = int, RIGHTARG = int); SET search_path = own, public, pg_catalog`,
    run: 'UPDATE t SET n = id WHERE n > 0; UPDATE t SET n = random() WHERE id = 5',
  },
  'a cursor over a large object': {
    made: "SELECT lo_from_bytea(4711, 'abc')",
    run: "BEGIN; DECLARE c CURSOR FOR SELECT lo_put(4711, 1, 'zz'); FETCH 1 FROM c; COMMIT",
    refused: ['0A000'],
  },
  'a cursor that a function has opened': {
    made: `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ ${WRITES} 1; END $$;
      CREATE FUNCTION opened(c refcursor) RETURNS refcursor LANGUAGE plpgsql AS $$ BEGIN OPEN c FOR SELECT f() FROM s; RETURN c; END $$`,
    run: "BEGIN; SELECT opened('c'); FETCH 1 FROM c; COMMIT",
    refused: ['0A000'],
  },
  'a cursor that a function has opened over what is read': {
    made: `CREATE SEQUENCE n; CREATE FUNCTION opened(c refcursor) RETURNS refcursor LANGUAGE plpgsql AS
      $$ BEGIN OPEN c FOR SELECT grp, nextval('n') FROM s WHERE pad <> c::text; RETURN c; END $$`,
    run: "BEGIN; SELECT opened('c'); FETCH ALL FROM c; INSERT INTO s SELECT 7, 7, 7, 'fetched'; COMMIT; DELETE FROM s WHERE grp = 7",
  },
  'words of time behind escapes': {
    made: 'CREATE TABLE t (id int PRIMARY KEY, r tstzrange, p text); CREATE TYPE pair AS (i int, at timestamptz); CREATE TABLE u (id int PRIMARY KEY, p pair)',
    run: `INSERT INTO t VALUES (1, '[n\\ow,]'), (2, '[no"w",]'); INSERT INTO u VALUES (1, '(1,n\\ow)'), (2, '(1,n"ow")')`,
  },
  'a row without the names of its columns, one of which is computed': {
    made: `CREATE TABLE t (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id * 2) STORED, v int, at timestamptz DEFAULT clock_timestamp());
      CREATE TABLE u (id int PRIMARY KEY, v int DEFAULT 5, g int GENERATED ALWAYS AS (id * 2) STORED, r float8 DEFAULT random())`,
    run: 'INSERT INTO t VALUES (1, DEFAULT, 7); INSERT INTO u VALUES (1, 1, DEFAULT), (2, 2, DEFAULT)',
  },
  'a function that changes nothing and calls one that writes': {
    made: `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ ${WRITES} 1; END $$; CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT f()';
      CREATE FUNCTION h() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN g(); END $$; CREATE SEQUENCE n;
      CREATE FUNCTION drawing() RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN nextval('n'); END $$; CREATE VIEW tv AS SELECT h()`,
    run: 'BEGIN; SELECT h(); SELECT drawing(); COMMIT; SELECT h() FROM s; SELECT * FROM tv',
  },
  'the default of an upsert': {
    made: `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ ${WRITES} 1; END $$; CREATE TABLE t (id int PRIMARY KEY, v int DEFAULT f()); INSERT INTO t VALUES (1, 5)`,
    run: 'INSERT INTO t VALUES (1, 6) ON CONFLICT (id) DO UPDATE SET v = DEFAULT',
  },
  'a view that is changed by one of several rows': {
    made: TELLING_VIEW,
    run: 'UPDATE tv SET w = s.pad FROM s WHERE s.grp = tv.id',
  },
  'a view that is changed by a sum': { made: TELLING_VIEW, run: 'UPDATE tv SET w = (SELECT sum(f)::text FROM s)' },
  'a view that rows are stored through': { made: TELLING_VIEW, run: 'INSERT INTO tv SELECT 10, sum(f)::text FROM s' },
  'a view that is changed by what a server is': {
    made: TELLING_VIEW,
    run: "UPDATE tv SET w = (SELECT setting FROM pg_settings WHERE name = 'port')",
  },
  'a change below WITH, by one of several rows': {
    made: TARGET,
    run: 'WITH u AS (UPDATE t SET w = s.pad FROM s WHERE s.grp = t.id RETURNING t.id) SELECT * FROM u',
  },
  'a change that is explained': {
    made: TARGET,
    run: 'EXPLAIN ANALYZE UPDATE t SET w = s.pad FROM s WHERE s.grp = t.id',
  },
  'a change that is copied out': {
    made: TARGET,
    run: 'COPY (UPDATE t SET w = s.pad FROM s WHERE s.grp = t.id RETURNING t.id) TO STDOUT',
  },
  'MERGE that deletes': {
    made: TARGET,
    run: `MERGE INTO t USING (SELECT grp, sum(f)::text AS w FROM s GROUP BY grp) g ON g.grp = t.id
      WHEN MATCHED THEN UPDATE SET w = g.w WHEN NOT MATCHED BY SOURCE THEN DELETE`,
  },
  'a function of a CHECK': {
    made: `CREATE FUNCTION f(int) RETURNS bool LANGUAGE plpgsql AS $$ ${WRITES} true; END $$; CREATE TABLE t (id int PRIMARY KEY, CHECK (f(id)))`,
    run: 'INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)',
  },
  'a function of a domain': {
    made: `CREATE FUNCTION f(int) RETURNS bool LANGUAGE plpgsql AS $$ ${WRITES} true; END $$; CREATE DOMAIN small AS int CHECK (f(VALUE));
      CREATE TABLE t (id small PRIMARY KEY)`,
    run: 'INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)',
  },
  'a function of a policy': {
    made: `CREATE FUNCTION f(int) RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS $$ ${WRITES} true; END $$; CREATE TABLE t (id int PRIMARY KEY);
      ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (f(id)); GRANT ALL ON t, log TO pg_monitor; GRANT ALL ON SCHEMA own TO pg_monitor;
      SET ROLE pg_monitor`,
    run: 'INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)',
    refused: ['40002', '0A000'],
  },
  'a policy by which rows are read': {
    made: `CREATE FUNCTION f(int) RETURNS bool LANGUAGE plpgsql SECURITY DEFINER AS $$ ${WRITES} true; END $$; CREATE TABLE t (id int PRIMARY KEY);
      INSERT INTO t VALUES (1), (2); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (f(id)); GRANT ALL ON t, log TO pg_monitor;
      GRANT ALL ON SCHEMA own TO pg_monitor; SET ROLE pg_monitor`,
    run: 'SELECT id FROM t',
  },
  'a cast that writes': {
    made: `CREATE TYPE cc AS (x int); CREATE FUNCTION f(int) RETURNS cc LANGUAGE plpgsql AS $$ ${WRITES} ROW($1)::cc; END $$; CREATE CAST (int AS cc) WITH FUNCTION f(int)`,
    run: 'SELECT grp::cc FROM s; SELECT 3::own.cc',
  },
  'a cast of what is stored': {
    made: `CREATE TYPE cc AS (x int); CREATE FUNCTION f(int) RETURNS cc LANGUAGE plpgsql AS $$ ${WRITES} ROW($1)::cc; END $$; CREATE CAST (int AS cc) WITH FUNCTION f(int) AS ASSIGNMENT;
      CREATE TABLE t (id int PRIMARY KEY, c cc); CREATE TABLE u (n int); INSERT INTO u VALUES (1), (2)`,
    run: 'INSERT INTO t VALUES (1, 5); UPDATE t SET c = 6 WHERE id = 1; INSERT INTO t SELECT n + 1, n FROM u',
    refused: ['40002'],
  },
  'a domain that writes where its value is read': {
    made: `CREATE FUNCTION f(int) RETURNS bool LANGUAGE plpgsql AS $$ ${WRITES} true; END $$; CREATE DOMAIN small AS int CHECK (f(VALUE))`,
    run: 'SELECT 6::small',
  },
  'an aggregate that writes': {
    made: `CREATE FUNCTION f(int, int) RETURNS int LANGUAGE plpgsql AS $$ ${WRITES} $1 + $2; END $$; CREATE AGGREGATE total(int) (SFUNC = f, STYPE = int, INITCOND = '0')`,
    run: 'SELECT total(grp) FROM s',
  },
  'the default of an argument': {
    made: `CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ ${WRITES} 1; END $$; CREATE FUNCTION g(a int DEFAULT f()) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'`,
    run: 'SELECT g()',
  },
  'an operator of a view': {
    made: `CREATE FUNCTION f(int, int) RETURNS int LANGUAGE plpgsql AS $$ ${WRITES} $1 + $2; END $$; CREATE OPERATOR |+| (FUNCTION = f, LEFTARG = int, RIGHTARG = int);
      CREATE VIEW tv AS SELECT grp |+| 1 AS x FROM s`,
    run: 'SELECT * FROM tv',
  },
  'a column that a DO block adds with a moment': {
    made: TARGET,
    run: 'DO $$ BEGIN ALTER TABLE t ADD COLUMN made timestamptz NOT NULL DEFAULT now(); END $$',
    refused: ['40002'],
  },
  'a column that a DO block adds with another value in each row': {
    made: TARGET,
    run: 'DO $$ BEGIN ALTER TABLE t ADD COLUMN u uuid NOT NULL DEFAULT gen_random_uuid(); END $$',
    refused: ['40002'],
  },
  'a column that a function gives another type': {
    made: `${TARGET}; CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'ALTER TABLE t ALTER w TYPE float8 USING random()'`,
    run: 'SELECT f()',
    refused: ['40002'],
  },
  'columns that a DO block adds with what is the same everywhere': {
    made: TARGET,
    run: `DO $$ BEGIN ALTER TABLE t ADD n int NOT NULL DEFAULT 5, ALTER w TYPE varchar(9); CREATE TABLE u AS SELECT * FROM t;
      CREATE SEQUENCE own.from_seven START 7; CREATE VIEW tv AS SELECT * FROM t; COMMENT ON TABLE t IS 'told'; CREATE INDEX ON t (w); END $$`,
  },
  'a materialized view that a function refreshes': {
    made: `CREATE FUNCTION g() RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'; CREATE MATERIALIZED VIEW mv AS SELECT g();
      CREATE OR REPLACE FUNCTION g() RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN random(); END';
      CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'REFRESH MATERIALIZED VIEW mv'`,
    run: 'SELECT f()',
    refused: ['40002'],
  },
  'a materialized view that a trigger refreshes': {
    made: `${TARGET}; CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM t;
      CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN REFRESH MATERIALIZED VIEW own.mv; RETURN NULL; END $$;
      CREATE TRIGGER refresh AFTER INSERT ON t EXECUTE FUNCTION f()`,
    run: "INSERT INTO t VALUES (3, 'new')",
  },
  'a comment by the clock': {
    made: TARGET,
    run: `DO $$ BEGIN EXECUTE format('COMMENT ON TABLE t IS %L', clock_timestamp()); END $$`,
    refused: ['40002'],
  },
  'a sequence that starts anywhere': {
    made: TARGET,
    run: `DO $$ BEGIN EXECUTE format('CREATE SEQUENCE own.anywhere START %s', (random() * 1e9)::int); END $$`,
    refused: ['40002'],
  },
  'a large object of a view': { made: 'CREATE VIEW tv AS SELECT lo_create(777) AS lob', run: 'SELECT lob > 0 FROM tv' },
};

describe('writers are equal behind', () => {
  for (const [name, { made, run, refused = [] }] of Object.entries(cases))
    test(name, HANGS, async () => {
      await client.query('CREATE SCHEMA own; SET search_path = own, public');
      try {
        await client.query(made);
        const found = await outcome(typeof run === 'string' ? client.query(run) : copyIn(client, ...run));
        assert.ok(refused.length === 0 ? found === 'ok' : refused.includes(found), found);
        const objects = await Promise.all(
          [w1, w2].map((writer) => sql(writer, 'SELECT count(*) FROM pg_largeobject_metadata')),
        );
        assert.deepEqual(objects[0], objects[1]);
        await assertWritersEqual(cluster);
      } finally {
        await client.query('ROLLBACK');
        await client.query('RESET ROLE; DROP EVENT TRIGGER IF EXISTS audit');
        // Where a test has failed they need not be the same.
        for (const writer of [w1, w2]) await sql(writer, 'DROP SCHEMA IF EXISTS own CASCADE; TRUNCATE log');
      }
    });
});

test('a partition that holds other rows on each writer is not taken away', HANGS, async () => {
  for (const writer of [w1, w2])
    await sql(
      writer,
      `CREATE SCHEMA own; CREATE TYPE own.mood AS ENUM ('a', 'b', 'c', 'd'); CREATE TABLE own.p (m own.mood) PARTITION BY HASH (m);
      CREATE TABLE own.p0 PARTITION OF own.p FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE own.p1 PARTITION OF own.p FOR VALUES WITH (MODULUS 2, REMAINDER 1)`,
    );
  await client.query('SET search_path = own, public; INSERT INTO p SELECT unnest(enum_range(NULL::mood))');
  for (const taken of ['TRUNCATE p0', 'DROP TABLE p1', 'ALTER TABLE p DETACH PARTITION p0', 'BEGIN; TRUNCATE p, p1'])
    assert.equal(await outcome(client.query(taken)), '0A000', taken);
  await client.query('ROLLBACK; UPDATE p SET m = $$b$$ WHERE m = $$a$$; TRUNCATE p; DROP TABLE p');
  await client.query('DROP SCHEMA own CASCADE');
});

test('a sequence that a follower draws from by itself is ahead again where that has failed', HANGS, async () => {
  await client.query(`CREATE SCHEMA own; SET search_path = own, public; CREATE SEQUENCE drawn; CREATE TABLE keyless (v float8);
    CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN UPDATE keyless SET v = v + 1; PERFORM nextval('own.drawn'); END $$;
    INSERT INTO keyless VALUES (1)`);
  for (let many = 0; many < 5; many++) await client.query("SELECT nextval('drawn')");
  await sql(w2, 'ALTER TABLE own.keyless ADD CHECK (v < 2)');
  assert.notEqual(await outcome(client.query('SELECT f()')), 'ok');
  const [row] = await sql(w2, 'SELECT last_value::int AS at FROM own.drawn');
  assert.ok(Number(row?.['at']) > 6, `it stands at ${String(row?.['at'])}`);
  await client.query('DROP SCHEMA own CASCADE');
});

describe('a follower that is promoted gives out no value twice, where it was drawn', () => {
  const drawn: Readonly<Record<string, readonly string[]>> = {
    'by a view': [
      'CREATE VIEW next_id AS SELECT nextval($$drawn$$) AS id',
      'SELECT id FROM next_id',
      'SELECT id FROM next_id',
    ],
    'by a cursor that is moved': [
      'BEGIN; DECLARE c CURSOR FOR SELECT nextval($$drawn$$) FROM generate_series(1, 9000)',
      'MOVE FORWARD 5000 IN c',
      'COMMIT',
    ],
    'by a cursor that is held': [
      'BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT nextval($$drawn$$) FROM generate_series(1, 9000)',
      'COMMIT',
      'CLOSE c',
    ],
    'by a cursor that is fetched from': [
      'BEGIN; DECLARE c CURSOR FOR SELECT nextval($$drawn$$) FROM generate_series(1, 9000)',
      'FETCH 3000 FROM c',
      'COMMIT',
    ],
  };
  for (const [name, statements] of Object.entries(drawn))
    test(name, HANGS, async () => {
      await client.query('CREATE SCHEMA own; SET search_path = own, public; CREATE SEQUENCE drawn');
      for (const statement of statements) await client.query(statement);
      const [lead, follower] = await Promise.all(
        [w1, w2].map(async (writer) => (await sql(writer, 'SELECT last_value::int AS at FROM own.drawn'))[0]?.['at']),
      );
      assert.ok(Number(follower) >= Number(lead), `${String(follower)} and ${String(lead)}`);
      assert.ok(Number(await value(client, "SELECT nextval('drawn')")) > 1);
      await client.query('DROP SCHEMA own CASCADE');
    });
});

const SHADOW = `CREATE TABLE x (id int PRIMARY KEY, v int); INSERT INTO x VALUES (1, 1); CREATE TABLE other (id int);
  CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
  CREATE TRIGGER tr BEFORE INSERT ON x FOR EACH ROW EXECUTE FUNCTION noted();
  CREATE FUNCTION dropping() RETURNS void LANGUAGE plpgsql AS 'BEGIN DROP TABLE IF EXISTS x; END';
  CREATE TEMPORARY TABLE x (id int, w int); CREATE TRIGGER tr BEFORE INSERT ON x FOR EACH ROW EXECUTE FUNCTION noted()`;

describe('a permanent table is not taken for the temporary one that hides it', () => {
  const attempts: Readonly<Record<string, 'ok' | '0A000'>> = {
    'TRUNCATE other, x': '0A000',
    'DROP TABLE IF EXISTS other, x': '0A000',
    'CREATE TABLE y (LIKE x INCLUDING ALL)': '0A000',
    'CREATE TABLE y (z x)': '0A000',
    'DO $$ BEGIN DROP TABLE x; END $$': '0A000',
    'DO $$ BEGIN ALTER TABLE x ADD n int; END $$': '0A000',
    'SELECT dropping()': '0A000',
    // What names the temporary one alone, or makes no definition, goes on.
    'DROP TRIGGER tr ON x': 'ok',
    "COMMENT ON TABLE x IS 'which?'": 'ok',
    'DROP TABLE x': 'ok',
    'TRUNCATE x': 'ok',
    'INSERT INTO x VALUES (7, 7)': 'ok',
    'INSERT INTO other SELECT id FROM x': 'ok',
    'SET CONSTRAINTS ALL DEFERRED': 'ok',
    'ANALYZE other': 'ok',
    'CREATE TEMPORARY TABLE columns (x int); DROP TABLE x; CREATE TABLE y (z int); TRUNCATE other': 'ok',
    'DROP TABLE x; CREATE SCHEMA tenant; CREATE TABLE tenant.staging (n int); CREATE TEMPORARY TABLE staging (n int); TRUNCATE other; DROP SCHEMA tenant CASCADE':
      'ok',
  };
  for (const [text, expected] of Object.entries(attempts))
    test(text, HANGS, async () => {
      const own = await proxy.connect();
      await own.query(`CREATE SCHEMA hidden; SET search_path = hidden; ${SHADOW}`);
      const found = await outcome(own.query(text));
      await own.end();
      for (const writer of [w1, w2]) assert.deepEqual(await sql(writer, 'SELECT id FROM hidden.x'), [{ id: 1 }]);
      await assertWritersEqual(cluster);
      await client.query('DROP SCHEMA hidden CASCADE');
      assert.equal(found, expected);
    });
});

test('definitions that let others go on with the rows are not about these', HANGS, async () => {
  await client.query(`CREATE SCHEMA own; SET search_path = own, public; ${TARGET}`);
  // As another transaction may leave it, which followers do not show yet.
  await sql(w2, "INSERT INTO own.t VALUES (9, 'of another transaction')");
  for (const text of [
    "COMMENT ON TABLE t IS 'shared'",
    'GRANT SELECT ON t TO pg_monitor',
    'ALTER TABLE t ALTER w SET STATISTICS 7',
  ])
    await client.query(`DO $do$ BEGIN ${text}; END $do$`);
  // One that locks them out has waited for all others to end, on every writer.
  for (const text of ['ALTER TABLE t ADD n int DEFAULT 5', 'ALTER TABLE t ALTER id TYPE bigint'])
    assert.equal(await outcome(client.query(`DO $do$ BEGIN ${text}; END $do$`)), '40002');
  await client.query('DROP SCHEMA own CASCADE');
});

test('a function may define where its caller may not', HANGS, async () => {
  await client.query(`CREATE SCHEMA own; SET search_path = own, public; CREATE SCHEMA within; CREATE TABLE within.parts (n int) PARTITION BY LIST (n);
    CREATE FUNCTION make_part(n int) RETURNS void SECURITY DEFINER LANGUAGE plpgsql AS
      $$ BEGIN EXECUTE format('CREATE TABLE within.part_%s PARTITION OF within.parts FOR VALUES IN (%s)', n, n); END $$;
    GRANT USAGE ON SCHEMA own TO pg_monitor; SET ROLE pg_monitor`);
  await client.query('SELECT make_part(7)');
  await client.query('RESET ROLE');
  await assertWritersEqual(cluster);
  await client.query('DROP SCHEMA own, within CASCADE');
});

test('a function is no write for the words that it holds', HANGS, async () => {
  await client.query(`CREATE SCHEMA own; SET search_path = own, public; CREATE TABLE post (id int PRIMARY KEY, comment text, total int);
    CREATE FUNCTION total(i int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN UPDATE post SET total = 1; RETURN 1; END $$;
    CREATE FUNCTION sum_of(i int) RETURNS bigint STABLE LANGUAGE sql AS 'SELECT sum(post.total) AS total FROM post WHERE id = i';
    CREATE FUNCTION last_comment() RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT comment FROM post LIMIT 1); END';
    CREATE FUNCTION show_comment() RETURNS text STABLE LANGUAGE plpgsql AS 'BEGIN RETURN last_comment(); END';
    CREATE FUNCTION totalled() RETURNS int STABLE LANGUAGE plpgsql AS 'BEGIN RETURN total (1); END'`);
  const routes: Readonly<Record<string, string>> = {
    'sum_of(1)': 'reader',
    'show_comment()': 'reader',
    'totalled()': 'writers',
  };
  for (const [call, route] of Object.entries(routes)) {
    const { rows } = await client.query({ text: `EXPLAIN (PPROX) SELECT ${call}`, rowMode: 'array' });
    assert.match(String(rows[0]), new RegExp(`Route: ${route}`), call);
  }
  await client.query('DROP SCHEMA own CASCADE');
});
