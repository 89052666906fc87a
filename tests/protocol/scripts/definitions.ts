import { script } from '../script.ts';

export const definitionScripts = [
  script(
    'tables and columns',
    String.raw`
CREATE TABLE person (id int PRIMARY KEY, name varchar(50) NOT NULL, born date CHECK (born > '1900-01-01'), UNIQUE (name, born))

ALTER TABLE person ADD COLUMN email text DEFAULT 'none' NOT NULL, ADD COLUMN gone int

INSERT INTO person VALUES (1, 'Ann', '1990-01-01')

ALTER TABLE person DROP COLUMN gone

ALTER TABLE person RENAME COLUMN email TO mail

ALTER TABLE person ALTER COLUMN name TYPE text, ALTER COLUMN mail DROP NOT NULL, ALTER COLUMN mail SET DEFAULT 'x'

ALTER TABLE person ALTER COLUMN id TYPE bigint USING id * 10

SELECT * FROM person

!22P02
ALTER TABLE person ALTER COLUMN name TYPE int USING name::int

!42703
ALTER TABLE person DROP COLUMN nothing

ALTER TABLE person DROP COLUMN IF EXISTS nothing

ALTER TABLE IF EXISTS nowhere ADD COLUMN x int

!23514
ALTER TABLE person ADD CONSTRAINT adults CHECK (born < '1980-01-01')

ALTER TABLE person ADD CONSTRAINT adults CHECK (born < '1980-01-01') NOT VALID

!23514
ALTER TABLE person VALIDATE CONSTRAINT adults

ALTER TABLE person DROP CONSTRAINT adults

ALTER TABLE person RENAME TO people

CREATE INDEX people_by_name ON people (lower(name)) WHERE mail IS NOT NULL

CREATE UNIQUE INDEX IF NOT EXISTS people_by_name ON people (name)

ALTER INDEX people_by_name RENAME TO people_name

DROP INDEX people_name

COMMENT ON TABLE people IS 'Wörter'; COMMENT ON COLUMN people.name IS 'a name'

SELECT obj_description('people'::regclass), col_description('people'::regclass, 2)

CREATE TABLE children (PRIMARY KEY (id)) INHERITS (people)

INSERT INTO children (id, name) VALUES (2, 'Bob')

SELECT tableoid::regclass, id, name FROM people ORDER BY id

SELECT id FROM ONLY people

!2BP01
DROP TABLE people

DROP TABLE people CASCADE

CREATE TABLE computed (a int, b int GENERATED ALWAYS AS (a + 1) STORED)

INSERT INTO computed (a) VALUES (1) RETURNING *

!428C9
UPDATE computed SET b = 5

CREATE SCHEMA inner_schema CREATE TABLE nested (id int) CREATE VIEW nested_view AS SELECT * FROM nested

INSERT INTO inner_schema.nested VALUES (1) RETURNING *

DROP SCHEMA inner_schema CASCADE

BEGIN; CREATE TABLE undone (id int); INSERT INTO undone VALUES (1); ROLLBACK

!42P01
SELECT * FROM undone`,
  ),
  script(
    'views, rules and policies',
    String.raw`
CREATE TABLE base_rows (id int PRIMARY KEY, v text, hidden bool DEFAULT false)

INSERT INTO base_rows VALUES (1, 'a', false), (2, 'b', true), (3, 'c', DEFAULT)

CREATE VIEW visible AS SELECT id, v FROM base_rows WHERE NOT hidden

SELECT * FROM visible ORDER BY id

INSERT INTO visible VALUES (4, 'd') RETURNING *

UPDATE visible SET v = 'changed' WHERE id IN (1, 2) RETURNING *

DELETE FROM visible WHERE id = 2

CREATE OR REPLACE VIEW checked AS SELECT * FROM base_rows WHERE id < 100 WITH CHECK OPTION

!44000
INSERT INTO checked VALUES (100, 'x')

!55000
INSERT INTO pg_stat_user_tables DEFAULT VALUES

CREATE VIEW counted AS SELECT count(*) FROM base_rows

!55000
DELETE FROM counted

CREATE TABLE journal (id int, what text)

CREATE RULE journal AS ON UPDATE TO base_rows DO ALSO INSERT INTO journal VALUES (NEW.id, 'updated')

UPDATE base_rows SET v = 'ruled' WHERE id = 3

SELECT * FROM journal

CREATE RULE ignored AS ON DELETE TO base_rows DO INSTEAD NOTHING

DELETE FROM base_rows

SELECT count(*) FROM base_rows

DROP RULE ignored ON base_rows

ALTER TABLE base_rows ENABLE ROW LEVEL SECURITY

CREATE POLICY only_first ON base_rows USING (id = 1)

CREATE ROLE battery_limited

GRANT SELECT, DELETE ON base_rows TO battery_limited

SET ROLE battery_limited

SELECT id FROM base_rows

DELETE FROM base_rows

RESET ROLE

SELECT id, v FROM base_rows ORDER BY id

DROP OWNED BY battery_limited; DROP ROLE battery_limited

SELECT pg_get_viewdef('visible'), pg_get_viewdef('counted', true)

DROP VIEW visible, checked, counted`,
  ),
  script(
    'functions and procedures',
    String.raw`
CREATE TABLE effects (id serial PRIMARY KEY, v text)

CREATE FUNCTION plus(a int, b int DEFAULT 10) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b'

SELECT plus(1), plus(1, 2), plus(b => 5, a => 1)

CREATE FUNCTION add_effect(v text) RETURNS int LANGUAGE sql AS 'INSERT INTO effects (v) VALUES (add_effect.v) RETURNING id'

SELECT add_effect('by select')

SELECT add_effect('in where') WHERE add_effect('twice') > 0

CREATE FUNCTION pairs(n int) RETURNS TABLE (a int, b text) LANGUAGE plpgsql STABLE AS $$ BEGIN FOR i IN 1..n LOOP a := i; b := repeat('x', i); RETURN NEXT; END LOOP; END $$

SELECT * FROM pairs(3)

SELECT pairs(2)

CREATE FUNCTION outs(INOUT x int, OUT y text, VARIADIC rest int[] DEFAULT '{}') LANGUAGE plpgsql AS $$ BEGIN x := x + 1; y := array_length(rest, 1)::text; END $$

SELECT outs(1), outs(1, 2, 3)

SELECT * FROM outs(5, 6)

CREATE PROCEDURE record_effect(v text, INOUT result int DEFAULT 0) LANGUAGE plpgsql AS $$ BEGIN INSERT INTO effects (v) VALUES (record_effect.v) RETURNING id INTO result; END $$

CALL record_effect('by call')

CALL record_effect('again', NULL)

!42883
CALL no_such_procedure()

!42809
SELECT record_effect('x')

!42809
CALL plus(1, 2)

BEGIN; CALL record_effect('rolled back'); ROLLBACK

DO $$ BEGIN INSERT INTO effects (v) VALUES ('by do'); RAISE NOTICE 'there are %', (SELECT count(*) FROM effects); END $$

CREATE FUNCTION failing() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO effects (v) VALUES ('lost'); RAISE EXCEPTION 'after the insert'; END $$

!P0001
SELECT failing()

CREATE FUNCTION guarded() RETURNS text LANGUAGE plpgsql AS $$ BEGIN BEGIN INSERT INTO effects (v) VALUES ('undone'); RAISE 'inside'; EXCEPTION WHEN OTHERS THEN INSERT INTO effects (v) VALUES ('handled'); END; RETURN 'done'; END $$

SELECT guarded()

SELECT v FROM effects ORDER BY id

CREATE OR REPLACE FUNCTION plus(a int, b int DEFAULT 20) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b'

SELECT plus(1)

!42P13
CREATE OR REPLACE FUNCTION plus(a int, b int) RETURNS text LANGUAGE sql AS 'SELECT ''x'''

CREATE AGGREGATE product(int) (SFUNC = int4mul, STYPE = int, INITCOND = '1')

SELECT product(n) FROM generate_series(1, 6) AS n

CREATE OPERATOR |+| (LEFTARG = int, RIGHTARG = int, FUNCTION = plus)

SELECT 2 |+| 3

CREATE FUNCTION add_by_operator(a text, b text) RETURNS int LANGUAGE sql AS 'INSERT INTO effects (v) VALUES (a || b) RETURNING id'

CREATE OPERATOR ==> (LEFTARG = text, RIGHTARG = text, FUNCTION = add_by_operator)

SELECT 'an operator'::text ==> ' that writes'::text

CREATE CAST (text AS effects) WITH INOUT

DROP CAST (text AS effects)

SELECT pg_get_functiondef('plus'::regproc)

ALTER FUNCTION plus(int, int) RENAME TO add_up

DROP FUNCTION add_up(int, int) CASCADE

SELECT count(*), max(v) FROM effects`,
  ),
  script(
    'triggers',
    String.raw`
CREATE TABLE watched (id int PRIMARY KEY, v int, changed int DEFAULT 0); CREATE TABLE audit (n serial PRIMARY KEY, op text, old_row text, new_row text)

CREATE FUNCTION log_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO audit (op, old_row, new_row) VALUES (TG_OP, OLD::text, NEW::text);
  RAISE NOTICE '% on % at %', TG_OP, TG_TABLE_NAME, TG_LEVEL;
  RETURN NULL;
END $$

CREATE FUNCTION stamp_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.changed := OLD.changed + 1; RETURN NEW; END $$

CREATE TRIGGER log_change AFTER INSERT OR UPDATE OR DELETE ON watched FOR EACH ROW EXECUTE FUNCTION log_change()

CREATE TRIGGER stamp_change BEFORE UPDATE OF v ON watched FOR EACH ROW WHEN (OLD.v IS DISTINCT FROM NEW.v) EXECUTE FUNCTION stamp_change()

INSERT INTO watched (id, v) VALUES (1, 1), (2, 2)

UPDATE watched SET v = v * 2 WHERE id = 1 RETURNING *

UPDATE watched SET v = v RETURNING *

DELETE FROM watched WHERE id = 2

SELECT op, old_row, new_row FROM audit ORDER BY n

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no % here', TG_OP USING HINT = 'try elsewhere', TABLE = TG_TABLE_NAME; END $$

CREATE TRIGGER refuse BEFORE TRUNCATE ON watched EXECUTE FUNCTION refuse()

!P0001
TRUNCATE watched

ALTER TABLE watched DISABLE TRIGGER ALL

TRUNCATE watched

INSERT INTO watched VALUES (9, 9)

ALTER TABLE watched ENABLE TRIGGER log_change

UPDATE watched SET v = 10

CREATE FUNCTION skip_odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN CASE WHEN NEW.id % 2 = 0 THEN NEW END; END $$

CREATE TRIGGER skip_odd BEFORE INSERT ON watched FOR EACH ROW EXECUTE FUNCTION skip_odd()

INSERT INTO watched SELECT n, n FROM generate_series(20, 25) AS n RETURNING id

CREATE VIEW watched_view AS SELECT id, v FROM watched

CREATE FUNCTION through_view() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO watched VALUES (NEW.id * 2, NEW.v); RETURN NEW; END $$

CREATE TRIGGER through_view INSTEAD OF INSERT ON watched_view FOR EACH ROW EXECUTE FUNCTION through_view()

INSERT INTO watched_view VALUES (50, 1) RETURNING *

SELECT * FROM watched ORDER BY id

SELECT count(*) FROM audit

DROP TRIGGER log_change ON watched`,
  ),
  script(
    'partitions',
    String.raw`
CREATE TABLE measured (id int NOT NULL, at date NOT NULL, v int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at)

CREATE TABLE measured_2023 PARTITION OF measured FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')

CREATE TABLE measured_2024 PARTITION OF measured FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (id)

CREATE TABLE measured_2024_low PARTITION OF measured_2024 FOR VALUES IN (1, 2, 3)

INSERT INTO measured VALUES (1, '2023-05-01', 10), (2, '2024-05-01', 20) RETURNING tableoid::regclass, *

!23514
INSERT INTO measured VALUES (9, '2024-05-01', 1)

!23514
INSERT INTO measured VALUES (1, '2020-01-01', 1)

!23514
INSERT INTO measured_2023 VALUES (5, '2024-01-01', 1)

CREATE TABLE measured_rest PARTITION OF measured DEFAULT

INSERT INTO measured VALUES (1, '2020-01-01', 1)

UPDATE measured SET at = '2023-06-01' WHERE id = 2 RETURNING at

SELECT tableoid::regclass, * FROM measured ORDER BY at

ALTER TABLE measured DETACH PARTITION measured_2023

SELECT count(*) FROM measured

ALTER TABLE measured ATTACH PARTITION measured_2023 FOR VALUES FROM ('2023-01-01') TO ('2024-01-01')

!42P17
CREATE TABLE overlapping PARTITION OF measured FOR VALUES FROM ('2023-06-01') TO ('2023-07-01')

DELETE FROM measured WHERE v > 5 RETURNING id

CREATE TABLE hashed (id int PRIMARY KEY, v text) PARTITION BY HASH (id)

CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1)

INSERT INTO hashed SELECT n, 'v' || n FROM generate_series(1, 10) AS n

SELECT count(*) FROM hashed

TRUNCATE hashed_0, hashed_1

SELECT count(*) FROM hashed`,
  ),
  script(
    'grants, sequences, statistics and the rest',
    String.raw`
CREATE ROLE battery_granted NOLOGIN

CREATE TABLE shared (id int PRIMARY KEY, v int)

GRANT ALL ON shared TO battery_granted WITH GRANT OPTION; GRANT SELECT ON ALL TABLES IN SCHEMA public TO PUBLIC

REVOKE INSERT ON shared FROM battery_granted

SELECT has_table_privilege('battery_granted', 'shared', 'INSERT'), has_table_privilege('battery_granted', 'shared', 'UPDATE')

ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO battery_granted

ALTER TABLE shared OWNER TO battery_granted

SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = 'shared'

REASSIGN OWNED BY battery_granted TO CURRENT_USER; DROP OWNED BY battery_granted

COMMENT ON ROLE battery_granted IS 'soon gone'

ALTER ROLE battery_granted SET work_mem = '2MB'

!42710
CREATE ROLE battery_granted

DROP ROLE battery_granted

!42704
DROP ROLE battery_granted

DROP ROLE IF EXISTS battery_granted

CREATE SEQUENCE counting AS smallint INCREMENT 2 MINVALUE 1 START 1 CACHE 1 OWNED BY shared.id

SELECT seqstart, seqincrement, seqmax, format_type(seqtypid, NULL) FROM pg_sequence WHERE seqrelid = 'counting'::regclass

SELECT sequencename, start_value, increment_by, cycle FROM pg_sequences WHERE sequencename = 'counting'

DROP SEQUENCE counting

CREATE STATISTICS related (dependencies) ON id, v FROM shared

ANALYZE shared

CREATE EXTENSION IF NOT EXISTS plpgsql

!58P01
!? 0A000
CREATE EXTENSION no_such_extension

CREATE PUBLICATION some_rows FOR TABLE shared

DROP PUBLICATION some_rows

CREATE COLLATION plain FROM "C"

CREATE TEXT SEARCH CONFIGURATION mine (COPY = simple)

CREATE TYPE shell_type

DROP TYPE shell_type

!42883
CREATE EVENT TRIGGER never ON ddl_command_start WHEN TAG IN ('DROP AGGREGATE') EXECUTE FUNCTION nothing()

!22023
SECURITY LABEL ON TABLE shared IS 'x'

!42704
ALTER SYSTEM SET nothing = 1

LOAD 'plpgsql'

ALTER TABLE shared SET (fillfactor = 70, autovacuum_enabled = off)

ALTER TABLE shared SET UNLOGGED

ALTER TABLE shared SET LOGGED

ALTER TABLE shared REPLICA IDENTITY FULL

CLUSTER shared USING shared_pkey

ALTER DATABASE battery_definitions SET my.database_setting = 'x'

ALTER DATABASE battery_definitions RESET ALL`,
  ),
  script(
    'what cannot run in a block',
    String.raw`
CREATE TABLE swept (id int PRIMARY KEY, v text); INSERT INTO swept SELECT n, 'v' FROM generate_series(1, 100) AS n

VACUUM swept

VACUUM (FULL, ANALYZE) swept

VACUUM

ANALYZE

ANALYZE swept (v)

REINDEX TABLE swept

REINDEX TABLE CONCURRENTLY swept

CREATE INDEX CONCURRENTLY swept_by_v ON swept (v)

DROP INDEX CONCURRENTLY swept_by_v

CHECKPOINT

!25001
BEGIN; VACUUM swept

ROLLBACK

BEGIN

!25001
CREATE INDEX CONCURRENTLY swept_by_v ON swept (v)

ROLLBACK

CREATE DATABASE battery_made_inside TEMPLATE template0

!42P04
CREATE DATABASE battery_made_inside

COMMENT ON DATABASE battery_made_inside IS 'x'

DROP DATABASE battery_made_inside

!3D000
DROP DATABASE battery_made_inside

DROP DATABASE IF EXISTS battery_made_inside

!55006
DROP DATABASE battery_definitions

SELECT count(*) FROM swept`,
  ),
];
