import { script } from '../script.ts';

export const settingScripts = [
  script(
    'SET, SHOW and RESET with their reports',
    String.raw`
SET application_name = 'first'

SHOW application_name

SET application_name TO 'zwölf'

SET DateStyle = 'ISO, DMY'

SET TimeZone = 'Asia/Tokyo'

SET IntervalStyle = iso_8601

SET client_encoding = 'SQL_ASCII'

SET client_encoding = 'UTF8'

SET standard_conforming_strings = off

SET standard_conforming_strings = on

SET default_transaction_read_only = on

SHOW transaction_read_only

SET default_transaction_read_only = off

SET application_name = 'a'; SET application_name = 'b'; SET TimeZone = 'UTC'

SET search_path = nowhere, public

SHOW search_path

SET search_path TO DEFAULT

SET work_mem = '8MB'

SHOW work_mem

SHOW WORK_MEM

SET my.own = 'value'

SHOW my.own

SELECT current_setting('my.own'), set_config('my.own', 'other', false), current_setting('my.own')

RESET my.own

SHOW my.own

SELECT set_config('application_name', 'by function', false)

SHOW application_name

RESET application_name

!42704
SET no_such_setting = 1

!42704
SHOW no_such_setting

!22023
SET work_mem = 'plenty'

!55P02
SET max_connections = 10

!55P02
SET server_version = '1'

!22023
SET statement_timeout = -5

SET statement_timeout = '20s'; SHOW statement_timeout

RESET ALL

SHOW statement_timeout

SHOW TIME ZONE

SHOW TRANSACTION ISOLATION LEVEL

SHOW SESSION AUTHORIZATION

SHOW server_encoding`,
    { leaves: 'nothing', startup: { application_name: 'battery' } },
  ),
  script(
    'settings in transactions',
    String.raw`
BEGIN

SET application_name = 'in the block'

SET LOCAL TimeZone = 'Asia/Tokyo'

SHOW timezone

COMMIT

SHOW timezone

SHOW application_name

BEGIN

SET application_name = 'lost'

SET TimeZone = 'America/Lima'

ROLLBACK

SHOW application_name

SHOW timezone

BEGIN

SAVEPOINT s

SET application_name = 'inner'

SELECT set_config('DateStyle', 'SQL', true)

ROLLBACK TO s

SHOW application_name

SHOW DateStyle

COMMIT

SET LOCAL work_mem = '9MB'

SHOW work_mem

BEGIN; SET LOCAL work_mem = '9MB'; SELECT current_setting('work_mem')

!22012
SELECT 1 / 0

ROLLBACK

SELECT current_setting('work_mem')

!22012
SET application_name = 'undone'; SELECT 1 / 0

SHOW application_name`,
    { leaves: 'nothing' },
  ),
  script(
    'settings that change what statements mean',
    String.raw`
CREATE SCHEMA one; CREATE SCHEMA two

CREATE TABLE one.t (v text); CREATE TABLE two.t (v text); INSERT INTO one.t VALUES ('one'); INSERT INTO two.t VALUES ('two')

SET search_path = one

SELECT * FROM t

INSERT INTO t VALUES ('added to one') RETURNING v

SET search_path = two, one

SELECT * FROM t

BEGIN; SET LOCAL search_path = one

UPDATE t SET v = upper(v) RETURNING v

COMMIT

SELECT * FROM t

UPDATE t SET v = v || '!'

CREATE TABLE made_in_two (id int)

RESET search_path

!42P01
SELECT * FROM t

SELECT * FROM one.t ORDER BY v

SELECT * FROM two.t, two.made_in_two

CREATE TABLE stamps (id int PRIMARY KEY, at timestamptz)

SET TimeZone = 'Asia/Tokyo'

INSERT INTO stamps VALUES (1, '2024-01-01 00:00')

SET DateStyle = 'SQL, DMY'

INSERT INTO stamps VALUES (2, '05/06/2024 00:00')

RESET DateStyle

SET TimeZone = 'UTC'

SELECT * FROM stamps ORDER BY id

SET default_with_nothing.x = 'y'

SET check_function_bodies = off

CREATE FUNCTION unchecked() RETURNS int LANGUAGE sql AS 'SELECT count(*) FROM made_later'

RESET check_function_bodies

SET default_toast_compression = 'pglz'; CREATE TABLE toasted (t text)

SET transform_null_equals = on

SELECT NULL = NULL, 1 = NULL

RESET transform_null_equals

SET row_security = off

SELECT count(*) FROM stamps`,
  ),
  script(
    'roles and session authorization',
    String.raw`
CREATE ROLE battery_reader; CREATE ROLE battery_writer LOGIN

CREATE TABLE guarded (id int PRIMARY KEY, secret text); INSERT INTO guarded VALUES (1, 'x')

GRANT SELECT (id) ON guarded TO battery_reader

GRANT INSERT, SELECT ON guarded TO battery_writer

SET ROLE battery_reader

SELECT current_user, session_user, current_role

SELECT id FROM guarded

!42501
SELECT * FROM guarded

!42501
INSERT INTO guarded VALUES (2, 'y')

!42501
CREATE SCHEMA not_allowed

RESET ROLE

SET SESSION AUTHORIZATION battery_writer

SELECT current_user, session_user

INSERT INTO guarded VALUES (3, 'by writer')

!42501
DELETE FROM guarded

!42501
SET ROLE postgres

RESET SESSION AUTHORIZATION

SHOW is_superuser

BEGIN; SET LOCAL ROLE battery_reader; SELECT current_user

ROLLBACK

SELECT current_user

!22023
SET ROLE nobody_at_all

SELECT * FROM guarded ORDER BY id

DROP OWNED BY battery_reader, battery_writer

DROP ROLE battery_reader, battery_writer`,
  ),
  script(
    'a session with options of its own',
    String.raw`
SHOW work_mem

SHOW DateStyle

SHOW application_name

SHOW search_path

SET work_mem = '1MB'

RESET work_mem

SHOW work_mem

DISCARD ALL

SHOW DateStyle

SHOW work_mem`,
    {
      leaves: 'nothing',
      startup: {
        application_name: 'öptions',
        options: '-c work_mem=7MB -c search_path=pg_catalog\\ ,public',
        DateStyle: 'German',
        client_encoding: 'UTF8',
      },
    },
  ),
];
