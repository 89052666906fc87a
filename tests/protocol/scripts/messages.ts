import { script } from '../script.ts';

export const messageScripts = [
  script(
    'notices with all fields',
    String.raw`
DO $$ BEGIN RAISE NOTICE 'hello %', 'wörld'; END $$

DO $$ BEGIN RAISE WARNING USING MESSAGE = 'm', DETAIL = 'd', HINT = 'h', ERRCODE = '01234', COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 't', TABLE = 'b', SCHEMA = 's'; END $$

DO $$ BEGIN RAISE INFO 'info'; RAISE LOG 'not for the client'; RAISE DEBUG 'nor this'; END $$

SET client_min_messages = debug1

DO $$ BEGIN RAISE DEBUG 'now this'; END $$

SET client_min_messages = error

DO $$ BEGIN RAISE WARNING 'silenced'; END $$

RESET client_min_messages

DROP TABLE IF EXISTS never_made

DROP TABLE IF EXISTS never_made, nor_this CASCADE

DROP SCHEMA IF EXISTS never_made

CREATE FUNCTION noisy(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'called with %', n; RETURN n * 2; END $$

SELECT noisy(21)

SELECT noisy(n) FROM generate_series(1, 3) AS n

CREATE TABLE a_name_that_is_longer_than_the_sixty_three_bytes_which_postgresql_keeps (id int)

CREATE TABLE IF NOT EXISTS a_name_that_is_longer_than_the_sixty_three_bytes_which_postgresq (id int)

SELECT noisy(1); SELECT 1; DO $$ BEGIN RAISE NOTICE 'between'; END $$; SELECT noisy(2)

DO LANGUAGE plpgsql $$ BEGIN FOR i IN 1..50 LOOP RAISE NOTICE 'line % %', i, repeat('x', 200); END LOOP; END $$`,
  ),
  script(
    'errors with all fields',
    String.raw`
CREATE TABLE parent (id int PRIMARY KEY, code text UNIQUE NOT NULL, amount int CONSTRAINT positive CHECK (amount > 0))

CREATE TABLE child (id int PRIMARY KEY, parent_id int NOT NULL REFERENCES parent, during int4range, EXCLUDE USING gist (during WITH &&))

INSERT INTO parent VALUES (1, 'one', 5)

INSERT INTO child VALUES (1, 1, '[1,5)')

!23505
INSERT INTO parent VALUES (1, 'other', 5)

!23505
INSERT INTO parent VALUES (2, 'one', 5)

!23514
INSERT INTO parent VALUES (3, 'three', -1)

!23502
INSERT INTO parent VALUES (4, NULL, 1)

!23503
INSERT INTO child VALUES (2, 99, NULL)

!23503
DELETE FROM parent WHERE id = 1

!23P01
INSERT INTO child VALUES (3, 1, '[4,6)')

!ABCDE
DO $$ BEGIN RAISE EXCEPTION USING MESSAGE = 'mine', DETAIL = 'd', HINT = 'h', ERRCODE = 'ABCDE', COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 't', TABLE = 'b', SCHEMA = 's'; END $$

!P0001
DO $$ BEGIN RAISE EXCEPTION 'plain %', 'text'; END $$

!P0004
DO $$ BEGIN ASSERT 1 = 2, 'asserted'; END $$

!42703
SELECT nme FROM parent

!42703
SELECT parent.cod FROM parent

!42P01
SELECT * FROM parents

!42P01
SELECT other.id FROM parent

!42601
SELEC 1

!42601
SELECT 1 FROM

!42601
SELECT 'unterminated

!42601
SELECT "unterminated

!42601
SELECT /* unterminated

!42883
SELECT nothing(1)

!42883
SELECT 1 + 'a'::text

!42803
SELECT id, count(*) FROM parent

!42804
SELECT CASE WHEN true THEN 1 ELSE now() END

!42702
SELECT id FROM parent p, child c

!42601
INSERT INTO parent VALUES (1, 2, 3, 4)

!42P07
CREATE TABLE parent (id int)

!42701
CREATE TABLE twice (a int, a int)

!2BP01
DROP TABLE parent

!42809
DROP VIEW parent

!34000
FETCH FROM nothing

!21000
SELECT (SELECT 1 UNION SELECT 2)

!P0002
DO $$ DECLARE x int; BEGIN SELECT id INTO STRICT x FROM parent WHERE false; END $$

SELECT ${'('.repeat(1000)}1${')'.repeat(1000)}

!42601
SELECT ${'('.repeat(20000)}1${')'.repeat(20000)}

SELECT ${Array(1000).fill(1).join(' + ')}

!54001
SELECT ${Array(100000).fill(1).join(' + ')}

SELECT * FROM parent ORDER BY id`,
  ),
  script(
    'positions in text of several bytes a character',
    String.raw`
!42703
SELECT 'ÄÖÜ日本🐘', nothing

!42601
SELECT 'ÄÖÜ日本🐘' FRM x

!42703
/* ÄÖÜ */ SELECT 1; SELECT '日本', ничего

!42P01
SELECT
  '日本',
  1
FROM нигде

!22P02
SELECT '🐘' || 'x', 'x'::int

!42601
SELECT 1; SELECT '🐘'; SELEKT 2; SELECT 3

!42704
SELECT 1::тип`,
    { leaves: 'nothing' },
  ),
  script(
    'errors inside functions',
    String.raw`
CREATE FUNCTION inner_fault(n int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
  -- ö in the body
  RETURN 1 / n;
END $$

CREATE FUNCTION outer_fault(n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE r int;
BEGIN
  PERFORM inner_fault(n);
  EXECUTE 'SELECT ''ö'', nothing FROM nowhere' INTO r;
  RETURN r;
END $$

CREATE FUNCTION sql_fault(n int) RETURNS int LANGUAGE sql AS 'SELECT 10 / n'

!22012
SELECT inner_fault(0)

!22012
SELECT outer_fault(0)

!42P01
SELECT outer_fault(1)

!22012
SELECT sql_fault(n) FROM generate_series(-1, 1) AS n

!42601
DO $$ BEGIN EXECUTE 'SELEC 1'; END $$

!42601
DO $$ BEGIN IF THEN; END $$

!42601
CREATE FUNCTION broken() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN; $$

!42P13
CREATE FUNCTION broken() RETURNS int LANGUAGE sql AS 'SELECT ''a''::text'

!42703
CREATE FUNCTION broken() RETURNS int LANGUAGE sql AS 'SELECT nothing'

DO $$ BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught % %', SQLSTATE, SQLERRM; END $$

!22012
DO $$ BEGIN PERFORM 1 / 0; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'again'; RAISE; END $$

!42704
DO LANGUAGE nothing 'x'`,
  ),
];
