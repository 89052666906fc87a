import { script } from '../script.ts';

export const errorPositionScripts = [
  script(
    'positions of errors around a call that is replaced',
    String.raw`
!42703
SELECT nothing, pg_backend_pid()

!42703
SELECT pg_backend_pid(), nothing

!42804
SELECT 1 WHERE pg_backend_pid()

!42703
SELECT pg_backend_pid() > 0, pg_catalog . "pg_backend_pid" ( ), nothing

!42703
SELECT 'äöü€𝄞', pg_backend_pid(), 'ß', nothing

!42703
SELECT /* é pg_backend_pid() */ 1,
  pg_backend_pid(), -- ü
  nothing

!42703
SELECT "ä".pid, "ä"."nichts" FROM (SELECT pg_backend_pid() AS pid) AS "ä"

!42703
WITH w AS (SELECT pg_backend_pid() AS pid) SELECT pid, nothing FROM w

!42703
EXPLAIN SELECT pg_backend_pid(), nothing

!42703
COPY (SELECT pg_backend_pid(), nothing) TO STDOUT

!42883
SELECT pg_backend_pid() + true

SELECT pg_backend_pid() > 0`,
  ),
  script(
    'positions of errors in several statements of a Query',
    String.raw`
!42703
SELECT 'é'; SELECT pg_backend_pid() > 0, nothing

!42703
CREATE TEMPORARY TABLE held_here (v int); SELECT 'é', pg_backend_pid() > 0 FROM held_here; SELECT pg_backend_pid(), nothing

BEGIN

!42703
DECLARE c CURSOR FOR SELECT pg_backend_pid(), nothing

ROLLBACK

CREATE TABLE numbered (id serial PRIMARY KEY, v text)

!42703
INSERT INTO numbered (v) VALUES (pg_backend_pid()), (nothing)

!42703
INSERT INTO numbered (v, nichts) VALUES ('ü', 1)

!42703
SELECT 'ü'; INSERT INTO numbered (v) VALUES ('€'), (nothing)

LISTEN "kanal ü"

!42703
SELECT 'ü', pg_listening_channels() AS c, nothing

!42703
SELECT 1; SELECT 'ü', pg_listening_channels() AS c, nothing

UNLISTEN *`,
  ),
  script(
    'positions of errors of PREPARE and EXECUTE',
    String.raw`
!42703
PREPARE bad AS SELECT pg_backend_pid(), nothing

!42703
SELECT 'ü'; PREPARE bad AS SELECT pg_backend_pid(), nothing

CREATE TABLE to_change (a int, b int)

SELECT 'ä'; PREPARE later(int) AS SELECT pg_backend_pid() > 0, a, b FROM to_change WHERE a = $1

!42703
EXECUTE later(nothing)

!42703
SELECT 'ü'; EXECUTE later(pg_backend_pid() + nothing)

ALTER TABLE to_change RENAME b TO c

!42703
EXECUTE later(1)

!42703
SELECT 'ü'; EXECUTE later(1)

DEALLOCATE later

!42703
PREPARE same AS SELECT pg_backend_pid(), c, nothing FROM to_change`,
  ),
  script(
    'positions of errors of Parse and Bind',
    String.raw`
!42703
> Parse: SELECT 'ü', pg_backend_pid(), nothing
> Sync

!42703
> Parse a: SELECT pg_backend_pid() > 0
> Parse b: SELECT '€', nothing
> Sync

!42703
> Parse b: SELECT '€', 1
> Parse c: SELECT pg_backend_pid() > 0, pg_backend_pid(), nothing
> Sync

!42703
> Parse d: SELECT pg_backend_pid(), nothing
> Sync

!42703
> Run: SELECT pg_backend_pid() > 0
> Run: SELECT pg_backend_pid(), nothing
> Sync

CREATE TABLE bound_later (a int, b int)

> Parse l: SELECT 'é', pg_backend_pid() > 0, b FROM bound_later
> Sync

ALTER TABLE bound_later RENAME b TO c

!42703
> Bind "" l
> Execute
> Sync`,
  ),
];
