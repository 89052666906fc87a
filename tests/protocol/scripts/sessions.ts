/** What else a session keeps between its statements: cursors, temporary tables, advisory locks, large objects. */
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
