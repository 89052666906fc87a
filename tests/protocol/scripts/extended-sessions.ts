import { script } from '../script.ts';

export const extendedSessionScripts = [
  script(
    'SHOW, SET and RESET by extended query',
    String.raw`
> Run: SHOW TimeZone
> Sync

> Run: SET TimeZone = 'Asia/Tokyo'
> Sync

> Run: SELECT '2026-11-23 00:00+00'::timestamptz
> Sync

> Run: SET SESSION DateStyle TO 'German'
> Run: SELECT '2026-11-23'::date
> Sync

> Run: RESET TimeZone
> Run: RESET DateStyle
> Sync

> Run: SET application_name TO 'ünï'
> Run: SHOW application_name
> Sync

!42704
> Run: SET no_such_setting = 1
> Sync

!42704
> Run: SHOW no_such_setting
> Sync

> Run: SET my.own = 'x'
> Run: SHOW my.own
> Run: RESET ALL
> Sync

> Run (my.other, y): SELECT set_config($1, $2, false)
> Run: SELECT current_setting('my.other')
> Sync`,
  ),
  script(
    'statements see the settings of their time',
    String.raw`
> Parse s: SELECT '2026-11-23 00:00+00'::timestamptz::text
> Parse f (float8): SELECT $1
> Bind "" s
> Execute
> Run: SET TimeZone = 'Asia/Tokyo'
> Bind "" s
> Execute
> Sync

> Bind p f (0.1)
> Run: SET extra_float_digits = -10
> Execute p
> Sync

> Run: RESET ALL
> Bind "" s
> Execute
> Sync`,
  ),
  script(
    'ParameterStatus in pipelines',
    String.raw`
> Run: SELECT 1
> Run: SET TimeZone = 'Asia/Tokyo'
> Run: SELECT 2
> Sync

> Run: SET application_name = 'a'
> Run: SET application_name = 'b'
> Sync
> Run: SET application_name = 'c'
> Sync

> Run: BEGIN
> Run: SET TimeZone = 'UTC'
> Sync
> Run: ROLLBACK
> Sync

!22012
> Run: SET TimeZone = 'Europe/Paris'
> Run: SELECT 1/0
> Sync

> Run: BEGIN
> Run: SAVEPOINT s
> Run: SET application_name = 'inside'
> Sync
> Run: ROLLBACK TO s
> Sync
> Run: COMMIT
> Sync

> Run: SET TimeZone = 'Asia/Tokyo'
> Flush
> Sync`,
  ),
  script(
    'notifications in pipelines',
    String.raw`
> Run: LISTEN news
> Sync

> Run: NOTIFY news, 'one'
> Sync

> Run: NOTIFY news, 'two'
> Run: SELECT 'behind'
> Run: SELECT pg_notify('news', 'three')
> Sync

> Run: NOTIFY news, 'four'
> Sync
> Run: SELECT 'next'
> Sync

!22012
> Run: NOTIFY news, 'never'
> Run: SELECT 1/0
> Sync

> Run: BEGIN
> Run: NOTIFY news, 'five'
> Sync

> Run: SELECT 'in the block'
> Sync

> Run: COMMIT
> Sync

> Run (six): SELECT pg_notify('news', $1)
> Sync

> Run: UNLISTEN news
> Run: NOTIFY news, 'nobody hears'
> Sync`,
  ),
  script(
    'temporary tables by extended query',
    String.raw`
> Run: CREATE TEMP TABLE own (id int PRIMARY KEY, t text)
> Run (1, one): INSERT INTO own VALUES ($1, $2) RETURNING *
> Run: SELECT * FROM own
> Sync

> Parse s: SELECT t FROM own WHERE id = $1
> Bind "" s (1)
> Execute
> Sync

> Run: CREATE TEMP TABLE gone (id int) ON COMMIT DROP
> Run: INSERT INTO gone VALUES (1)
> Run: SELECT * FROM gone
> Sync

!42P01
> Run: SELECT * FROM gone
> Sync

> Run: UPDATE own SET t = 'two'
> Run: DROP TABLE own
> Sync

!42P01
> Bind "" s (1)
> Sync`,
  ),
  script(
    'EXPLAIN by extended query',
    String.raw`
CREATE TABLE explained (id int PRIMARY KEY, t text)

> Run (1): EXPLAIN (COSTS OFF) SELECT * FROM explained WHERE id = $1
> Sync

> Parse e: EXPLAIN (COSTS OFF, FORMAT json) INSERT INTO explained VALUES (1, 'x')
> Describe statement e
> Bind "" e
> Execute
> Sync

> Run: EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) INSERT INTO explained VALUES (2, 'x')
> Sync

SELECT * FROM explained`,
  ),
  script(
    'function calls in pipelines',
    String.raw`
> FunctionCall 177 (1, 2)

> FunctionCall 177 (0x00000005, 0x00000006) formats 1 results 1
> Run: SELECT 2
> Sync

BEGIN

> FunctionCall 2077 (DateStyle)

> FunctionCall 1610 () results 1

!42883
> FunctionCall 15999 ()

!25P02
> FunctionCall 177 (1, 2)

ROLLBACK

!22003
> FunctionCall 177 (2147483647, 2)

!0A000
> FunctionCall 1067 (1, 2)

!0A000
> FunctionCall 2116 (1)`,
  ),
  script(
    'function calls that would do something',
    String.raw`
CREATE SEQUENCE called_by_number

> FunctionCall 1574 (called_by_number)

> FunctionCall 2078 (own.setting, x, false)

SELECT 'the session goes on'`,
  ),
  script(
    'advisory locks by extended query',
    String.raw`
> Run (4711): SELECT pg_advisory_lock($1), pg_try_advisory_lock($1)
> Sync

> Run: SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()
> Sync

> Run (4711): SELECT pg_advisory_unlock($1), pg_advisory_unlock($1), pg_advisory_unlock($1)
> Sync

> Run: SELECT pg_advisory_unlock_all()
> Sync`,
  ),
  script(
    'roles by extended query',
    String.raw`
> Run: SET ROLE pg_monitor
> Run: SELECT current_user
> Sync

> Run: SELECT current_user
> Sync

> Run: RESET ROLE
> Run: SELECT current_user = session_user
> Sync

> Run: BEGIN
> Run: SET LOCAL ROLE pg_monitor
> Sync

> Run: SELECT current_user
> Run: ROLLBACK
> Run: SELECT current_user = session_user
> Sync

!42501
> Run: SET ROLE pg_monitor
> Run: SELECT * FROM pg_authid
> Sync

> Run: SELECT current_user = session_user
> Sync`,
  ),
  script(
    'identity of the session',
    String.raw`
CREATE TEMP TABLE identity AS SELECT pg_backend_pid() AS pid

> Run: SELECT pid = pg_backend_pid() FROM identity
> Sync

> Run: SELECT pg_backend_pid() = pid FROM identity
> Run: SELECT current_user, session_user, current_database(), current_schema()
> Sync`,
  ),
  script(
    'timeouts by extended query',
    String.raw`
> Run: SET statement_timeout = '1s'
> Sync

!57014
> Run: SELECT pg_sleep(30)
> Run: SELECT 'skipped'
> Sync

> Run: RESET statement_timeout
> Sync

CREATE TABLE timed (id int PRIMARY KEY)

!57014
> Run: INSERT INTO timed VALUES (1)
> Run: SET LOCAL statement_timeout = '1s'
> Run: SELECT pg_sleep(30)
> Sync

SELECT count(*) FROM timed`,
  ),
  script(
    'startup parameters and extended queries',
    String.raw`
> Run: SHOW TimeZone
> Run: SHOW application_name
> Run: SET TimeZone = 'UTC'
> Sync

> Run: RESET TimeZone
> Run: SHOW TimeZone
> Sync

> Run: SELECT '2026-11-23 00:00+00'::timestamptz
> Sync`,
    { startup: { TimeZone: 'Asia/Tokyo', application_name: 'extended' } },
  ),
];
