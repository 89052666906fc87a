import { script } from '../script.ts';

export const extendedTransactionScripts = [
  script(
    'one transaction up to Sync',
    String.raw`
CREATE TABLE moments (id int PRIMARY KEY, at timestamptz)

CREATE TEMP TABLE first_moment (at timestamptz)

> Run: INSERT INTO first_moment SELECT now()
> Run: SELECT now() = at FROM first_moment
> Run: INSERT INTO moments VALUES (1, now())
> Run: SELECT now() = at FROM moments
> Sync

> Run: SELECT now() > at FROM first_moment
> Sync

> Run: SELECT now() = at FROM first_moment
> Sync
> Run: SELECT now() > at FROM first_moment
> Sync`,
  ),
  script(
    'BEGIN and COMMIT in one pipeline',
    String.raw`
CREATE TABLE whole (id int PRIMARY KEY)

> Run: BEGIN
> Run: INSERT INTO whole VALUES (1)
> Run: SELECT count(*) FROM whole
> Run: COMMIT
> Sync

> Run: BEGIN
> Run: INSERT INTO whole VALUES (2)
> Run: ROLLBACK
> Run: INSERT INTO whole VALUES (3)
> Sync

> Run: BEGIN
> Sync
> Run: INSERT INTO whole VALUES (4)
> Sync
> Run: COMMIT
> Sync

!23505
> Run: BEGIN
> Run: INSERT INTO whole VALUES (5)
> Run: INSERT INTO whole VALUES (1)
> Run: COMMIT
> Sync

> Run: ROLLBACK
> Sync

!23505 25P02
> Run: BEGIN
> Run: INSERT INTO whole VALUES (6)
> Sync
> Run: INSERT INTO whole VALUES (1)
> Sync
> Run: SELECT 1
> Sync
> Run: COMMIT
> Sync
> Run: SELECT 1
> Sync

> Run: BEGIN READ ONLY
> Run: SELECT count(*) FROM whole
> Run: COMMIT
> Run: BEGIN
> Run: SELECT count(*) FROM whole
> Run: COMMIT
> Sync

SELECT * FROM whole ORDER BY id`,
  ),
  script(
    'BEGIN behind other statements of the pipeline',
    String.raw`
CREATE TABLE begun (id int PRIMARY KEY)

> Run: INSERT INTO begun VALUES (1)
> Run: BEGIN
> Run: INSERT INTO begun VALUES (2)
> Sync

> Run: ROLLBACK
> Sync

SELECT * FROM begun ORDER BY id

> Run: INSERT INTO begun VALUES (3)
> Run: BEGIN
> Run: INSERT INTO begun VALUES (4)
> Run: COMMIT
> Run: INSERT INTO begun VALUES (5)
> Sync

> Run: SELECT count(*) FROM begun
> Run: BEGIN
> Run: SELECT count(*) FROM begun
> Sync

> Run: INSERT INTO begun VALUES (6)
> Run: BEGIN
> Sync

COMMIT

SELECT * FROM begun ORDER BY id`,
  ),
  script(
    'COMMIT and ROLLBACK in a pipeline without BEGIN',
    String.raw`
CREATE TABLE unbegun (id int PRIMARY KEY)

> Run: COMMIT
> Sync

> Run: ROLLBACK
> Sync

> Run: INSERT INTO unbegun VALUES (1)
> Run: COMMIT
> Run: INSERT INTO unbegun VALUES (2)
> Sync

> Run: INSERT INTO unbegun VALUES (3)
> Run: ROLLBACK
> Run: INSERT INTO unbegun VALUES (4)
> Sync

!22012
> Run: INSERT INTO unbegun VALUES (5)
> Run: COMMIT
> Run: INSERT INTO unbegun VALUES (6)
> Run: SELECT 1/0
> Sync

SELECT * FROM unbegun ORDER BY id`,
  ),
  script(
    'savepoints in pipelines',
    String.raw`
CREATE TABLE saved (id int PRIMARY KEY)

> Run: BEGIN
> Run: INSERT INTO saved VALUES (1)
> Run: SAVEPOINT a
> Run: INSERT INTO saved VALUES (2)
> Run: ROLLBACK TO a
> Run: INSERT INTO saved VALUES (3)
> Run: RELEASE a
> Run: COMMIT
> Sync

!23505
> Run: BEGIN
> Run: INSERT INTO saved VALUES (4)
> Run: SAVEPOINT a
> Run: INSERT INTO saved VALUES (1)
> Run: ROLLBACK TO a
> Sync
> Run: ROLLBACK TO a
> Run: INSERT INTO saved VALUES (5)
> Run: COMMIT
> Sync

!25P01
> Run: SAVEPOINT a
> Sync

!25P01
> Run: INSERT INTO saved VALUES (6)
> Run: SAVEPOINT a
> Sync

!3B001
> Run: BEGIN
> Run: ROLLBACK TO never
> Sync
> Run: ROLLBACK
> Sync

SELECT * FROM saved ORDER BY id`,
  ),
  script(
    'commands that cannot run in a transaction',
    String.raw`
CREATE TABLE alone (id int PRIMARY KEY, t text)

> Run: VACUUM alone
> Sync

> Run: CREATE INDEX CONCURRENTLY alone_t ON alone (t)
> Sync

> Parse v: VACUUM alone
> Describe statement v
> Bind "" v
> Execute
> Sync

> Bind "" v
> Execute
> Sync

!25001
> Run: SELECT 1
> Run: VACUUM alone
> Sync

!25001
> Run: INSERT INTO alone VALUES (1, 'x')
> Run: VACUUM alone
> Sync

!25001
> Run: BEGIN
> Run: VACUUM alone
> Sync
> Run: ROLLBACK
> Sync

> Run: SELECT 1
> Sync
> Run: VACUUM alone
> Sync
> Run: SELECT 2
> Sync

> Run: DROP INDEX CONCURRENTLY alone_t
> Sync

SELECT count(*) FROM alone`,
  ),
  script(
    'VACUUM with a statement behind it',
    String.raw`
CREATE TABLE followed (id int PRIMARY KEY)

> Run: VACUUM followed
> Run: INSERT INTO followed VALUES (1)
> Sync

!22012
> Run: VACUUM followed
> Run: SELECT 1/0
> Sync

> Run: INSERT INTO followed VALUES (2)
> Run: COMMIT
> Run: VACUUM followed
> Run: INSERT INTO followed VALUES (5)
> Sync

!25001
> Run: VACUUM followed
> Run: VACUUM followed
> Sync

> Run: VACUUM followed
> Run: SET LOCAL TimeZone = 'Europe/Paris'
> Run: SHOW TimeZone
> Sync

!25001
> Run: VACUUM followed
> Run: INSERT INTO followed VALUES (3)
> Run: VACUUM followed
> Sync

!25001
> Run: DEALLOCATE ALL
> Run: VACUUM followed
> Sync

> Run: 
> Run: VACUUM followed
> Run: SELECT id FROM followed ORDER BY id
> Sync

> Parse s: SELECT 1
> Parse v: VACUUM followed
> Sync

!34000
> Bind p s
> Bind "" v
> Execute
> Execute p
> Sync

> Bind p s
> Execute p
> Sync

!42P01
> Run: VACUUM never
> Run: INSERT INTO followed VALUES (4)
> Sync

= 8 messages
> Run: VACUUM followed
> Run: SELECT 1
> Flush

> Sync

SELECT id FROM followed ORDER BY id`,
  ),
  script(
    'settings in a pipeline',
    String.raw`
> Run: SET TimeZone = 'Asia/Tokyo'
> Run: SELECT current_setting('TimeZone')
> Sync

> Run: SELECT current_setting('TimeZone')
> Run: SET LOCAL TimeZone = 'Europe/Paris'
> Run: SELECT current_setting('TimeZone')
> Sync
> Run: SELECT current_setting('TimeZone')
> Sync

!22012
> Run: SET TimeZone = 'America/Lima'
> Run: SET application_name = 'undone'
> Run: SELECT 1/0
> Sync
> Run: SELECT current_setting('TimeZone'), current_setting('application_name')
> Sync

> Run: SET TimeZone = 'America/Lima'
> Run: RESET TimeZone
> Run: SET application_name = 'once'
> Sync
> Run: SET application_name = 'twice'
> Run: SET application_name = 'thrice'
> Sync

> Run: BEGIN
> Run: SET DateStyle = 'German'
> Run: SELECT '2026-11-23'::date
> Run: ROLLBACK
> Run: SELECT '2026-11-23'::date
> Sync

> Run: SHOW application_name
> Run: SELECT set_config('application_name', 'by function', false)
> Run: SHOW application_name
> Sync

!22023
> Run: SET application_name = 'undone too'
> Run: SET DateStyle = 'Mayan'
> Sync`,
  ),
  script(
    'SET LOCAL at the beginning of a pipeline',
    String.raw`
> Run: SET LOCAL TimeZone = 'Europe/Paris'
> Sync

> Run: SET LOCAL TimeZone = 'Europe/Paris'
> Run: SHOW TimeZone
> Sync

> Run: SET TRANSACTION READ ONLY
> Run: SHOW transaction_read_only
> Sync

> Run: SHOW transaction_read_only
> Sync`,
  ),
  script(
    'statements for blocks, in all places of a pipeline',
    String.raw`
CREATE TABLE places (id int PRIMARY KEY DEFERRABLE)

!22023
> Run: SET LOCAL DateStyle = 'Mayan'
> Run: SELECT 1
> Sync

= 7 messages
> Run: SET LOCAL TimeZone = 'Europe/Paris'
> Run: SET LOCAL DateStyle = 'German'
> Flush

> Run: SHOW DateStyle
> Sync

> Parse l: SET LOCAL TimeZone = 'Europe/Paris'
> Bind "" l
> Execute
> Run: SHOW TimeZone
> Run: COMMIT
> Bind "" l
> Describe portal
> Execute
> Run: SHOW TimeZone
> Sync

> Run: BEGIN
> Run: SET LOCAL TimeZone = 'Europe/Paris'
> Run: COMMIT
> Run: SET TRANSACTION ISOLATION LEVEL REPEATABLE READ
> Run: SHOW transaction_isolation
> Sync

> Run: SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE
> Run: SHOW transaction_read_only
> Sync

> Run: SET CONSTRAINTS ALL DEFERRED
> Run: INSERT INTO places VALUES (1)
> Sync

> Run: SET LOCAL ROLE pg_monitor
> Run: SELECT current_user
> Sync

!25P01
> Run: LOCK TABLE places
> Run: SELECT 1
> Sync

!25P01
> Run: DECLARE c CURSOR FOR SELECT 1
> Run: FETCH c
> Sync

> Run: DECLARE h CURSOR WITH HOLD FOR SELECT 1
> Run: FETCH h
> Run: CLOSE h
> Sync

SET client_min_messages = error

> Run: SET LOCAL TimeZone = 'Europe/Paris'
> Run: SHOW TimeZone
> Sync

RESET client_min_messages`,
  ),
  script(
    'locks and row locks in a pipeline',
    String.raw`
CREATE TABLE locked (id int PRIMARY KEY, n int)

INSERT INTO locked VALUES (1, 1), (2, 2)

> Run: BEGIN
> Run: LOCK TABLE locked IN EXCLUSIVE MODE
> Run: SELECT n FROM locked WHERE id = 1 FOR UPDATE
> Run: UPDATE locked SET n = 5 WHERE id = 1
> Run: COMMIT
> Sync

> Run: SELECT n FROM locked ORDER BY id FOR UPDATE
> Run (1): UPDATE locked SET n = n + 1 WHERE id = $1
> Sync

> Run: SELECT pg_advisory_xact_lock(4711)
> Run: SELECT pg_try_advisory_xact_lock(4711)
> Sync

SELECT * FROM locked ORDER BY id`,
  ),
  script(
    'deferred constraints at Sync',
    String.raw`
CREATE TABLE owner_of (id int PRIMARY KEY)

CREATE TABLE owned (id int PRIMARY KEY, owner int REFERENCES owner_of DEFERRABLE INITIALLY DEFERRED)

> Run: INSERT INTO owned VALUES (1, 1)
> Run: INSERT INTO owner_of VALUES (1)
> Sync

!23503
> Run: INSERT INTO owned VALUES (2, 2)
> Sync

!23503
> Run: INSERT INTO owned VALUES (3, 3)
> Run: SELECT count(*) FROM owned
> Sync
> Run: SELECT count(*) FROM owned
> Sync

!23503
> Run: BEGIN
> Run: INSERT INTO owned VALUES (5, 5)
> Run: COMMIT
> Run: SELECT 'skipped'
> Sync

!23503
> Run: BEGIN
> Run: INSERT INTO owned VALUES (6, 6)
> Run: SET CONSTRAINTS ALL IMMEDIATE
> Sync
> Run: COMMIT
> Sync

SELECT * FROM owned ORDER BY id`,
  ),
];
