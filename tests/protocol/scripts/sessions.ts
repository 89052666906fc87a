import { script } from '../script.ts';

export const sessionScripts = [
  script(
    'cursors',
    String.raw`
BEGIN

DECLARE c SCROLL CURSOR FOR SELECT n FROM generate_series(1, 10) AS n

FETCH c

FETCH 3 FROM c

FETCH BACKWARD 2 FROM c

FETCH FIRST c; FETCH LAST c; FETCH ABSOLUTE 5 c; FETCH RELATIVE -2 c; FETCH PRIOR c

MOVE 4 IN c

MOVE FORWARD ALL IN c

FETCH NEXT c

FETCH 0 FROM c

FETCH ALL FROM c

SELECT name, statement, is_holdable, is_binary, is_scrollable FROM pg_cursors

CLOSE c

!34000
FETCH c

ROLLBACK

BEGIN

DECLARE b BINARY CURSOR FOR SELECT 1, 'text'::text, ARRAY[1,2]

FETCH b

DECLARE n NO SCROLL CURSOR FOR SELECT 1

!55000
FETCH BACKWARD 1 FROM n

ROLLBACK

BEGIN

DECLARE h CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 5) AS n

FETCH 2 FROM h

COMMIT

FETCH 2 FROM h

SELECT 'another statement between'

FETCH ALL FROM h

CLOSE h

CLOSE ALL

!34000
CLOSE h

CREATE TABLE walked (id int PRIMARY KEY, v int); INSERT INTO walked SELECT n, n FROM generate_series(1, 5) AS n

BEGIN

DECLARE w CURSOR FOR SELECT * FROM walked ORDER BY id FOR UPDATE

FETCH 2 FROM w

UPDATE walked SET v = v * 10 WHERE id = 2

FETCH 1 FROM w

DELETE FROM walked WHERE id = 3

COMMIT

SELECT * FROM walked ORDER BY id

!42P03
BEGIN; DECLARE d CURSOR FOR SELECT 1; DECLARE d CURSOR FOR SELECT 2

ROLLBACK`,
  ),
  script(
    'PREPARE and EXECUTE',
    String.raw`
CREATE TABLE stocked (id int PRIMARY KEY, v text)

PREPARE read AS SELECT 1 AS one

EXECUTE read

PREPARE write (int, text) AS INSERT INTO stocked VALUES ($1, $2) RETURNING *

EXECUTE write (1, 'one')

EXECUTE write (2, NULL)

!23505
EXECUTE write (1, 'again')

PREPARE change AS UPDATE stocked SET v = $1 WHERE id = $2

EXECUTE change ('changed', 1)

EXECUTE change ('nobody', 99)

PREPARE list AS SELECT * FROM stocked ORDER BY id

EXECUTE list

BEGIN; EXECUTE write (3, 'three'); EXECUTE list; ROLLBACK

EXECUTE list

SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name

CREATE TABLE from_execute AS EXECUTE list

SELECT count(*) FROM from_execute

EXPLAIN (COSTS OFF) EXECUTE read

!42P05
PREPARE read AS SELECT 2

!42601
EXECUTE write (1)

!22P02
EXECUTE write ('x', 'y')

!26000
EXECUTE nothing

ALTER TABLE stocked ADD COLUMN extra int DEFAULT 7

!0A000
EXECUTE list

DEALLOCATE read

!26000
EXECUTE read

DEALLOCATE PREPARE list

DEALLOCATE ALL

!26000
DEALLOCATE write

SELECT * FROM stocked ORDER BY id`,
  ),
  script(
    'EXECUTE and its arguments',
    String.raw`
CREATE TABLE drawer (id serial PRIMARY KEY, label varchar(5), amount numeric(6,2), made timestamptz DEFAULT now(), n float8)

CREATE TYPE size AS ENUM ('small', 'large')

PREPARE put (varchar, numeric, float8) AS INSERT INTO drawer (label, amount, n) VALUES ($1, $2, $3) RETURNING id, label, amount, n

EXECUTE put ('a', 1, 0.1)

EXECUTE put (upper('b') || 'c', 1 + 1.005, '1e-3')

EXECUTE put (NULL, NULL, 1.0/3)

!22001
execute   /* (a comment) */ "put" -- (another)
  ( 'say ''x''', -5, 1e300 * 10 )

execute/* (a comment) */"put"( 'x''', -5, 1e300 * 10 )

!22001
EXECUTE put ('too long', 1, 1)

!22P02
EXECUTE put ('a', 'many', 1)

!42703
EXECUTE put ('a', nothing, 1)

!42703
SELECT 'é', 1; EXECUTE put ('ü', nothing, 1); SELECT 2

!42804
EXECUTE put ('a', true, 1)

!0A000
EXECUTE put ((SELECT 'a'), 1, 1)

!42803
EXECUTE put (max(1)::text, 1, 1)

!22012
EXECUTE put ('a', 1/0, 1)

!42601
EXECUTE put

!42601
EXECUTE put ('a', 1, 2, 3)

PREPARE sized (size, int[], bytea, jsonb, date) AS SELECT $1, $2[1], $3, $4 -> 'k', $5 + 1, $1 > 'small'

EXECUTE sized ('large', ARRAY[1, 2], '\x00ff', '{"k": [1]}', '2024-02-28')

EXECUTE sized (NULL, '{7}', NULL, NULL, NULL)

!22P02
EXECUTE sized ('huge', NULL, NULL, NULL, NULL)

PREPARE untyped AS SELECT $1 || 'x', length($1)

EXECUTE untyped ('é')

!42P18
PREPARE unknown AS SELECT $1 IS NULL OR $2 IS NULL

!42P01
PREPARE missing AS SELECT * FROM nowhere

!42704
PREPARE typed (nosuch) AS SELECT $1

PREPARE "Quoted (name)" (numeric(4,2), "char") AS
  -- the query
  SELECT $1, $2 AS "as"

EXECUTE "Quoted (name)" (1.239, 'abc')

PREPARE divided (int) AS SELECT 10 / $1

EXECUTE divided (5)

!22012
EXECUTE divided (0)

PREPARE rowless AS UPDATE drawer SET label = 'z' WHERE id = $1

EXECUTE rowless (1)

EXECUTE rowless (99)

PREPARE removed (int) AS DELETE FROM drawer WHERE id = $1 RETURNING label

EXECUTE removed (1)

EXECUTE removed (1)

CREATE TABLE stocked_too (id int PRIMARY KEY, label text)

PREPARE merged (int) AS INSERT INTO stocked_too VALUES ($1, 'n') ON CONFLICT (id) DO UPDATE SET label = 'm' RETURNING label

EXECUTE merged (2)

EXECUTE merged (2)

PREPARE listed AS VALUES ($1::int), (2)

EXECUTE listed (1)

SELECT id, label, amount, n FROM drawer ORDER BY id`,
  ),
  script(
    'EXECUTE that fails behind rows, and EXECUTE in a function',
    String.raw`
PREPARE halfway AS SELECT 10 / (3 - g) FROM generate_series(1, 5) g

!22012
EXECUTE halfway

PREPARE inner_one AS SELECT 1

DO $$ BEGIN EXECUTE 'EXECUTE inner_one'; END $$`,
  ),
  script(
    'prepared statements outlive what they were made in',
    String.raw`
BEGIN; PREPARE within AS SELECT 'made in a block'; ROLLBACK

EXECUTE within

!22012
PREPARE before AS SELECT 1; SELECT 1/0; PREPARE behind AS SELECT 2

EXECUTE before

!26000
EXECUTE behind

BEGIN

!22012
SELECT 1/0

!25P02
EXECUTE within

!25P02
PREPARE failed AS SELECT 1

!25P02
DEALLOCATE within

ROLLBACK

!26000
EXECUTE failed

BEGIN READ ONLY

EXECUTE within

PREPARE read_only (int) AS SELECT $1 * 2

EXECUTE read_only (4)

!25006
CREATE TABLE refused (id int)

COMMIT

EXECUTE read_only (5)

CREATE TABLE replaced (a int)

PREPARE over AS SELECT * FROM replaced

DROP TABLE replaced

!42P01
EXECUTE over

CREATE TABLE replaced (a int)

EXECUTE over

SET search_path = pg_catalog

!42P01
EXECUTE over

RESET search_path

EXECUTE over

PREPARE again AS SELECT 1

DEALLOCATE again

PREPARE again AS SELECT 'two'

EXECUTE again

EXPLAIN (COSTS OFF) EXECUTE read_only (1)

!26000
EXPLAIN EXECUTE nobody

!26000
CREATE TABLE never AS EXECUTE nobody

CREATE TABLE ran AS EXECUTE read_only (21)

SELECT * FROM ran

CREATE TEMP TABLE passing AS EXECUTE again

SELECT * FROM passing

SELECT name, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name

SELECT name, statement FROM pg_prepared_statements WHERE name IN ('over', 'read_only') ORDER BY name

SELECT statement FROM pg_prepared_statements WHERE name = 'before'

BEGIN; SELECT count(*) FROM pg_prepared_statements; COMMIT

DEALLOCATE ALL

SELECT count(*) FROM pg_prepared_statements`,
  ),
  script(
    'temporary tables',
    String.raw`
CREATE TEMP TABLE scratch (id serial PRIMARY KEY, v text)

INSERT INTO scratch (v) VALUES ('a'), ('b') RETURNING *

SELECT * FROM scratch ORDER BY id

UPDATE scratch SET v = v || v WHERE id = 1

BEGIN; INSERT INTO scratch (v) VALUES ('c'); SELECT count(*) FROM scratch; ROLLBACK

SELECT count(*) FROM scratch

COPY scratch FROM STDIN
<10␉copied
<.

COPY scratch TO STDOUT

CREATE TABLE kept (id int PRIMARY KEY, v text)

INSERT INTO kept SELECT id, v FROM scratch

SELECT * FROM kept JOIN scratch USING (id, v) ORDER BY id

CREATE TEMP TABLE kept (id int)

INSERT INTO kept VALUES (99)

SELECT * FROM kept

SELECT * FROM public.kept ORDER BY id

DROP TABLE kept

SELECT count(*) FROM kept

BEGIN

CREATE TEMP TABLE brief ON COMMIT DROP AS SELECT 1 AS one

SELECT * FROM brief

COMMIT

!42P01
SELECT * FROM brief

CREATE TEMP TABLE emptied (v int) ON COMMIT DELETE ROWS

INSERT INTO emptied VALUES (1)

SELECT count(*) FROM emptied

SELECT 1 AS one INTO TEMP into_temp

SELECT * FROM into_temp

CREATE TEMP VIEW seen AS SELECT v FROM scratch

SELECT * FROM seen ORDER BY v

CREATE VIEW turns_temporary AS SELECT * FROM scratch

CREATE TEMP SEQUENCE counting

SELECT nextval('counting'), nextval('counting'), currval('counting')

!42809
CREATE TABLE inherits_temp () INHERITS (scratch)

DISCARD TEMP

!42P01
SELECT * FROM scratch

SELECT * FROM kept ORDER BY id`,
  ),
  script(
    'LISTEN and NOTIFY',
    String.raw`
LISTEN news

NOTIFY news

NOTIFY news, 'with a payload ü'

SELECT pg_notify('news', 'by function')

BEGIN

NOTIFY news, 'in a block'

NOTIFY news, 'in a block'

NOTIFY other, 'nobody listens'

SELECT 'not yet'

COMMIT

BEGIN; NOTIFY news, 'rolled back'; ROLLBACK

SELECT 1; NOTIFY news, 'between'; SELECT 2

LISTEN "Other News"

SELECT pg_listening_channels() ORDER BY 1

NOTIFY "Other News", 'x'

UNLISTEN news

NOTIFY news, 'not heard'

UNLISTEN *

SELECT count(*) FROM pg_listening_channels()

!22023
SELECT pg_notify('', 'x')

!22023
SELECT pg_notify('c', repeat('x', 8000))`,
    { leaves: 'nothing' },
  ),
  script(
    'the channels of a session, in a block',
    String.raw`
SELECT pg_listening_channels()

BEGIN; SELECT pg_listening_channels()

COMMIT

LISTEN news

BEGIN

SELECT pg_listening_channels()

LISTEN later; LISTEN "La""st'"

SELECT * FROM pg_listening_channels()

ROLLBACK

SELECT pg_listening_channels()

LISTEN "M'ö\n"; BEGIN; LISTEN a; SELECT pg_listening_channels(); COMMIT; SELECT pg_listening_channels(); BEGIN; UNLISTEN news

SELECT pg_listening_channels() AS c, upper(pg_listening_channels()), (SELECT pg_listening_channels() LIMIT 1), 'é' FROM pg_listening_channels() AS x ORDER BY x LIMIT 2

SELECT c, n FROM pg_listening_channels() WITH ORDINALITY AS x (c, n)

SELECT count(*) FROM pg_listening_channels() WHERE pg_listening_channels <> 'a'

WITH x AS (SELECT pg_catalog . pg_listening_channels ( )) SELECT pg_listening_channels FROM x

COPY (SELECT pg_listening_channels()) TO STDOUT

!0A000
SELECT count(pg_listening_channels()) FROM pg_listening_channels() GROUP BY nothing

ROLLBACK

CREATE TEMP TABLE heard AS SELECT pg_listening_channels()

SELECT * FROM heard

PREPARE heard AS SELECT pg_listening_channels()

UNLISTEN a; EXECUTE heard

BEGIN; UNLISTEN *; EXECUTE heard; COMMIT; EXECUTE heard`,
    { leaves: 'nothing' },
  ),
  script(
    'the channels of a session by extended query',
    String.raw`
LISTEN one

> Parse s: SELECT pg_listening_channels()
> Describe statement s
> Sync

> Bind "" s
> Describe portal
> Execute
> Sync

> Run: LISTEN two
> Bind "" s
> Execute
> Sync

> Run: BEGIN
> Run: LISTEN three
> Bind "" s
> Execute
> Run: COMMIT
> Bind "" s
> Execute
> Sync

> Run: BEGIN
> Bind p s
> Execute p limit 1
> Execute p limit 5
> Run (2): SELECT *, $1::int FROM pg_listening_channels() LIMIT $1::int
> Run: COMMIT
> Sync

> Run: UNLISTEN *
> Sync

> Bind "" s
> Execute
> Sync`,
    { leaves: 'nothing' },
  ),
  script(
    'channels that are told in no column of theirs',
    String.raw`
LISTEN one

SELECT pg_listening_channels()::varchar

SELECT * FROM pg_listening_channels() WITH ORDINALITY

SELECT * FROM ROWS FROM (pg_listening_channels(), generate_series(1, 2))

SELECT pg_listening_channels()::varchar AS named`,
    { leaves: 'nothing' },
  ),
  script(
    'channels behind a read',
    String.raw`
BEGIN READ ONLY

SELECT 1

LISTEN behind

ROLLBACK`,
    { leaves: 'nothing' },
  ),
  script(
    'advisory locks',
    String.raw`
SELECT pg_advisory_lock(42)

SELECT pg_try_advisory_lock(42), pg_try_advisory_lock(1, 2)

SELECT locktype, classid, objid, objsubid, mode, granted FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() ORDER BY objid

SELECT pg_advisory_unlock(42), pg_advisory_unlock(42), pg_advisory_unlock(42)

SELECT pg_advisory_unlock_all()

SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()

BEGIN

SELECT pg_advisory_xact_lock(7), pg_try_advisory_xact_lock_shared(7)

SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()

COMMIT

SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()`,
    { leaves: 'nothing' },
  ),
  script(
    'DISCARD and session sequence state',
    String.raw`
CREATE SEQUENCE session_numbers INCREMENT BY 5 START 100

!55000
SELECT currval('session_numbers')

!55000
SELECT lastval()

SELECT nextval('session_numbers')

SELECT nextval('session_numbers'), currval('session_numbers'), lastval()

SELECT currval('session_numbers')

SELECT setval('session_numbers', 500)

SELECT currval('session_numbers')

SELECT nextval('session_numbers')

SELECT setval('session_numbers', 600, false)

SELECT nextval('session_numbers'), currval('session_numbers'), lastval()

DISCARD SEQUENCES

!55000
SELECT lastval()

DISCARD PLANS

SET application_name = 'gone'; PREPARE p AS SELECT 1; CREATE TEMP TABLE gone (id int)

DISCARD ALL

SHOW application_name

!26000
EXECUTE p

!25001
BEGIN; DISCARD ALL

ROLLBACK`,
  ),
  script(
    'large objects',
    String.raw`
SELECT lo_create(4242)

SELECT lo_put(4242, 0, '\x0102030405')

SELECT lo_get(4242), lo_get(4242, 1, 2)

SELECT lo_from_bytea(4243, '\xcafe')

BEGIN

SELECT lo_open(4242, 393216)

SELECT lowrite(0, '\x99'), lo_lseek(0, 0, 2), lo_tell(0)

SELECT loread(0, 10)

SELECT lo_truncate(0, 3), lo_close(0)

COMMIT

SELECT lo_get(4242)

COMMENT ON LARGE OBJECT 4242 IS 'a comment'

SELECT lo_unlink(4243)

!42704
SELECT lo_get(4243)

!42704
SELECT lo_unlink(4243)

!23505
SELECT lo_create(4242)

BEGIN; SELECT lo_put(4242, 0, '\xff'); ROLLBACK

SELECT lo_get(4242)

SELECT oid FROM pg_largeobject_metadata ORDER BY oid`,
  ),
];
