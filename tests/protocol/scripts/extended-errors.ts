import { script } from '../script.ts';

export const extendedErrorScripts = [
  script(
    'errors of Parse',
    String.raw`
!42601
> Parse: SELEC 1
> Bind
> Describe portal
> Execute
> Close portal
> Flush
> Sync

!42601
> Parse: SELECT 1 +
> Sync

!42601
> Parse s: SELECT 'not ended
> Sync

!42P01
> Parse: SELECT 1, 2 FROM nowhere_at_all
> Sync

!42703
> Parse: SELECT
  ü,
  nothing FROM (SELECT 1 AS ü) x
> Sync

!42883
> Parse: SELECT no_such_function($1)
> Sync

!42704
> Parse: SELECT $1::no_such_type
> Sync

!42804
> Parse: SELECT 1 UNION SELECT now()
> Sync

!22P02
> Parse: SELECT 'x'::int
> Sync

!22012
> Parse: SELECT 1/0
> Bind
> Execute
> Sync

!42601
> Parse: SELECT $1 $2
> Sync

!42P02
> Parse: SELECT $0
> Sync

!42601
> Parse: SET TimeZone = $1
> Sync

!08P01
> Run: CREATE TABLE t_of_parameter AS SELECT $1::int
> Sync

> Run: SELECT 'goes on'
> Sync`,
  ),
  script(
    'errors of Bind',
    String.raw`
> Parse s (int4, text): SELECT $1, $2
> Parse none: SELECT 1
> Sync

!08P01
> Bind "" s
> Execute
> Sync

!08P01
> Bind "" s (1)
> Sync

!08P01
> Bind "" s (1, two, 3)
> Sync

!08P01
> Bind p none (1)
> Sync

!22P02
> Bind "" s (one, two)
> Execute
> Sync

!22003
> Bind "" s (99999999999, two)
> Sync

!22P02
> Bind "" s ('', two)
> Sync

!08P01
> Bind "" s (1, two) formats 0,0,0
> Sync

!22023
> Bind "" s (1, two) formats 0,2
> Sync

!22023
> Bind "" s (1, two) formats 7
> Sync

!08P01
> Bind "" s (1, two) results 0,0,0
> Sync

!08P01
> Bind "" s (1, two) results 0,0,0,0
> Sync

!22023
> Bind "" s (1, two) results 2
> Execute
> Sync

!08P01
> Bind "" s (0x0001, two) formats 1,0
> Sync

!08P01
> Bind "" s (0x000000, two) formats 1,0
> Sync

!22P03
> Bind "" s (0x0000000100000001, two) formats 1,0
> Sync

!22021
> Bind "" s (1, 0xff) formats 0,1
> Sync

!22021
> Bind "" s (1, 0xff)
> Sync

!22021
> Bind "" s (1, 0x00)
> Sync

> Bind "" s (1, two)
> Execute
> Sync`,
  ),
  script(
    'what is skipped up to Sync',
    String.raw`
CREATE TABLE skipped (id int PRIMARY KEY)

!42601
> Parse a: SELEC
> Parse b: INSERT INTO skipped VALUES (1)
> Bind b b
> Execute b
> Sync

!26000
> Bind "" b
> Sync

!26000
> Bind p never
> Run: INSERT INTO skipped VALUES (2)
> Close statement never
> Sync

!26000
> Describe statement never
> Run: INSERT INTO skipped VALUES (3)
> Flush
> Sync

!34000
> Execute never
> Run: INSERT INTO skipped VALUES (4)
> Sync

!22012
> Parse: SELECT 1/0
> Bind
> Execute
> Run: INSERT INTO skipped VALUES (5)
> Sync

!22012
= 1 ready
> Run: SELECT 1/0
> Query: INSERT INTO skipped VALUES (6)
> FunctionCall 177 (1, 2)
> Query: INSERT INTO skipped VALUES (7)
> Sync

!42601
> Parse: SELEC
<1
<.
<! no
> Sync

SELECT count(*) FROM skipped`,
  ),
  script(
    'errors of Execute',
    String.raw`
CREATE TABLE checked (id int PRIMARY KEY, n int NOT NULL CHECK (n > 0), u int UNIQUE)

> Parse s: INSERT INTO checked VALUES ($1, $2, $3)
> Sync

> Bind "" s (1, 1, 1)
> Execute
> Sync

!23505
> Bind "" s (1, 1, 2)
> Execute
> Sync

!23505
> Bind "" s (2, 1, 1)
> Execute
> Sync

!23514
> Bind "" s (2, 0, 2)
> Execute
> Sync

!23502
> Bind "" s (2, NULL, 2)
> Execute
> Sync

!22003
> Run: SELECT 2147483647 + id FROM checked
> Sync

!21000
> Run: SELECT (SELECT n FROM generate_series(1, 2) AS n)
> Sync

!22P02
> Run (x): SELECT $1::text::int
> Sync

!P0001
> Run: DO $$ BEGIN RAISE EXCEPTION 'raised' USING HINT = 'h', DETAIL = 'd'; END $$
> Sync

!42P07
> Run: CREATE TABLE checked (id int)
> Sync

!25006
> Run: BEGIN READ ONLY
> Run: INSERT INTO checked VALUES (9, 9, 9)
> Sync

ROLLBACK

SELECT * FROM checked`,
  ),
  script(
    'errors after rows have been sent',
    String.raw`
!22012
> Run: SELECT 1 / (3 - n) FROM generate_series(1, 9) AS n
> Sync

!22012
> Run: SELECT repeat('x', 1000), 1 / (40 - n) FROM generate_series(1, 50) AS n
> Sync

!22012
> Run: SELECT 'complete'
> Run: SELECT 1 / (3 - n) FROM generate_series(1, 9) AS n
> Run: SELECT 'skipped'
> Sync

CREATE TABLE half (id int PRIMARY KEY)

!23505
> Run: INSERT INTO half SELECT 5 - abs(n - 5) FROM generate_series(1, 9) AS n RETURNING id
> Sync

SELECT count(*) FROM half`,
  ),
  script(
    'a failed block',
    String.raw`
BEGIN

> Parse before: SELECT 1
> Parse commit: COMMIT
> Parse rollback: ROLLBACK
> Parse empty:
> Sync

!22012
> Run: SELECT 1/0
> Sync

!25P02
> Parse: SELECT 1
> Sync

!25P02
> Bind "" before
> Sync

!25P02
> Parse x: INSERT INTO nowhere VALUES (1)
> Sync

> Parse: ROLLBACK
> Sync

> Parse:
> Describe statement
> Sync

!25P02
> Bind
> Execute
> Sync

!25P02
> Describe statement before
> Sync

> Describe statement rollback
> Sync

!25P02
> Bind "" empty
> Execute
> Sync

> Close statement before
> Close portal never
> Sync

!42601
> Parse: SELEC
> Sync

!25P02
SELECT 1

> Bind "" rollback
> Describe portal
> Execute
> Sync

!26000
> Bind "" before
> Sync`,
  ),
  script(
    'recovering from a failed block',
    String.raw`
CREATE TABLE recovered (id int PRIMARY KEY)

!22012
> Run: BEGIN
> Run: INSERT INTO recovered VALUES (1)
> Run: SELECT 1/0
> Run: COMMIT
> Sync

> Run: COMMIT
> Run: INSERT INTO recovered VALUES (2)
> Sync

!22012 25P02
> Run: BEGIN
> Run: SAVEPOINT s
> Run: INSERT INTO recovered VALUES (3)
> Sync
> Run: SELECT 1/0
> Sync
> Run: INSERT INTO recovered VALUES (4)
> Sync
> Run: ROLLBACK TO s
> Run: INSERT INTO recovered VALUES (5)
> Sync
> Run: COMMIT
> Sync

!22012
> Run: BEGIN
> Run: SELECT 1/0
> Sync
> Run: ROLLBACK
> Run: BEGIN
> Run: INSERT INTO recovered VALUES (6)
> Run: COMMIT
> Sync

!22012
> Run: BEGIN
> Run: SELECT 1/0
> Sync
> Run: ROLLBACK AND CHAIN
> Run: INSERT INTO recovered VALUES (7)
> Sync
> Run: COMMIT AND CHAIN
> Run: INSERT INTO recovered VALUES (8)
> Sync
> Run: ROLLBACK
> Sync

SELECT * FROM recovered ORDER BY id`,
  ),
  script(
    'errors that a session raises one after the other',
    String.raw`
!42601 26000 34000 22012 08P01 42P05
> Parse: SELEC
> Sync
> Bind "" never
> Sync
> Execute never
> Sync
> Run: SELECT 1/0
> Sync
> Run (1): SELECT 1
> Sync
> Parse s: SELECT 1
> Parse s: SELECT 2
> Sync
> Run: SELECT 'still here'
> Sync`,
  ),
  script(
    'constraint errors of writes with parameters',
    String.raw`
CREATE TABLE mother (id int PRIMARY KEY)

CREATE TABLE daughter (id int PRIMARY KEY, mother int REFERENCES mother, span int4range, EXCLUDE USING gist (span WITH &&))

> Parse m (int4): INSERT INTO mother VALUES ($1)
> Parse d: INSERT INTO daughter VALUES ($1, $2, $3)
> Parse x (int4): DELETE FROM mother WHERE id = $1
> Bind "" m (0x00000001) formats 1
> Execute
> Bind "" d (1, 1, '[1,5)')
> Execute
> Sync

!23503
> Bind "" d (2, 9, NULL)
> Execute
> Sync

!23P01
> Bind "" d (3, 1, '[4,6)')
> Execute
> Sync

!23503
> Bind "" x (0x00000001) formats 1
> Execute
> Sync

!23505
> Bind "" m (0x00000002) formats 1
> Execute
> Bind "" m (0x00000001) formats 1
> Execute
> Sync

SELECT (SELECT count(*) FROM mother), (SELECT count(*) FROM daughter)`,
  ),
  script(
    'notices in a pipeline',
    String.raw`
> Run: DROP TABLE IF EXISTS never_made
> Run: DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$
> Run: SELECT 1
> Sync

CREATE FUNCTION chatty(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'at %', n; RETURN n; END $$

ALTER FUNCTION chatty STABLE

> Parse s (int4): SELECT chatty(n) FROM generate_series(1, $1) AS n
> Bind "" s (3)
> Execute "" limit 2
> Execute "" limit 2
> Sync

> Run: SELECT chatty(1)
> Run: SELECT chatty(2)
> Sync
> Run: SELECT chatty(3)
> Sync

!22012
> Run: SELECT chatty(1), 1/0
> Run: SELECT chatty(2)
> Sync

> Run: SELECT 1
> Run: SET client_min_messages = error
> Run: SELECT chatty(4)
> Sync`,
  ),
];
