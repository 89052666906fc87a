import { script } from '../script.ts';

export const extendedPortalScripts = [
  script(
    'a portal whose Bind has failed, behind a BEGIN of the same pipeline',
    String.raw`
!22012
> Run: BEGIN
> Parse b: SELECT 1 / 0
> Bind "" b
> Execute
> Sync

!25P02
> Describe portal
> Parse a: SELECT 1
> Sync

ROLLBACK

!22012
> Parse: BEGIN
> Bind p
> Execute p limit 2
> Parse c: SELECT 1 / 0
> Bind "" c
> Execute
> Sync

!25P02
> Describe portal
> Parse a: SELECT 1
> Bind "" a
> Execute
> Sync

ROLLBACK`,
  ),
  script(
    'rows in portions',
    String.raw`
> Parse s: SELECT n FROM generate_series(1, 5) AS n
> Bind "" s
> Execute "" limit 2
> Execute "" limit 2
> Execute "" limit 2
> Execute "" limit 2
> Sync

> Bind "" s
> Execute "" limit 5
> Execute "" limit 5
> Execute
> Sync

> Bind "" s
> Execute "" limit 1
> Execute
> Sync

> Bind "" s
> Execute "" limit -1
> Sync

> Bind "" s
> Execute "" limit 2147483647
> Sync

> Bind "" s
> Execute
> Execute
> Execute "" limit 1
> Sync

> Parse none: SELECT 1 WHERE false
> Bind "" none
> Execute "" limit 1
> Execute "" limit 1
> Sync`,
  ),
  script(
    'portals side by side',
    String.raw`
> Parse s (int4, int4): SELECT n FROM generate_series($1, $2) AS n
> Bind p s (1, 4)
> Bind q s (11, 14)
> Execute p limit 1
> Execute q limit 2
> Execute p limit 2
> Describe portal q
> Execute q limit 2
> Execute p limit 2
> Execute q
> Close portal p
> Close portal q
> Sync

!34000
> Bind p s (1, 4)
> Execute p limit 1
> Close portal p
> Execute p
> Sync`,
  ),
  script(
    'portals end with their transaction',
    String.raw`
> Parse s: SELECT n FROM generate_series(1, 5) AS n
> Bind p s
> Execute p limit 2
> Sync

!34000
> Execute p limit 2
> Sync

BEGIN

> Bind p s
> Execute p limit 2
> Sync

> Execute p limit 2
> Sync

COMMIT

!34000
> Execute p
> Sync

!34000
> Run: BEGIN
> Bind p s
> Execute p limit 1
> Run: COMMIT
> Execute p
> Sync

!34000
> Run: BEGIN
> Bind p s
> Execute p limit 1
> Run: ROLLBACK
> Execute p
> Sync`,
  ),
  script(
    'portals in a block, over many Syncs',
    String.raw`
> Run: BEGIN
> Sync

> Parse s (int4): SELECT n, n * $1 AS product FROM generate_series(1, 7) AS n
> Bind p s (10)
> Describe portal p
> Execute p limit 2
> Sync

> Execute p limit 2
> Sync
> Run: SELECT 'another'
> Sync
> Execute p limit 2
> Sync

SELECT 'a Query'

> Execute p limit 2
> Sync

> Execute p limit 2
> Sync

> Close portal p
> Sync

!34000
> Execute p
> Sync

!25P02
> Bind p s (1)
> Sync

> Run: ROLLBACK
> Sync`,
  ),
  script(
    'writes with a row limit',
    String.raw`
CREATE TABLE limited (id int PRIMARY KEY, t text)

> Parse i: INSERT INTO limited SELECT n, 'row ' || n FROM generate_series(1, 5) AS n RETURNING id
> Bind "" i
> Execute "" limit 2
> Execute "" limit 2
> Execute "" limit 2
> Sync

SELECT count(*) FROM limited

> Parse u: UPDATE limited SET t = upper(t) WHERE id <= $1 RETURNING id, t
> Bind "" u (3)
> Execute "" limit 1
> Sync

SELECT * FROM limited ORDER BY id

> Bind "" u (5)
> Execute "" limit 5
> Execute "" limit 5
> Sync

> Parse d: DELETE FROM limited WHERE id > 3 RETURNING *
> Bind "" d
> Execute "" limit 1
> Execute
> Sync

> Parse n: INSERT INTO limited VALUES (20, 'no rows back'), (21, 'neither')
> Bind "" n
> Execute "" limit 1
> Sync

!23505
> Bind "" n
> Execute "" limit 1
> Sync

> Run: BEGIN
> Bind p u (2)
> Execute p limit 1
> Sync
> Execute p limit 1
> Sync
> Execute p limit 1
> Run: COMMIT
> Sync

SELECT * FROM limited ORDER BY id`,
  ),
  script(
    'a write that is executed twice',
    String.raw`
CREATE TABLE twice (id int PRIMARY KEY)

!55000
> Parse: INSERT INTO twice VALUES (1)
> Bind
> Execute
> Execute
> Sync

SELECT count(*) FROM twice

> Parse: INSERT INTO twice VALUES (2) RETURNING id
> Bind
> Execute
> Execute
> Sync

!55000
> Parse: SET TimeZone = 'UTC'
> Bind
> Execute
> Execute
> Sync

> Parse: SHOW TimeZone
> Bind
> Execute
> Execute
> Sync

!55000
> Parse: CREATE TABLE twice_made (id int)
> Bind
> Execute
> Execute
> Sync

> Parse:
> Bind
> Execute
> Execute
> Sync

SELECT * FROM twice ORDER BY id`,
  ),
  script(
    'commands that return rows, in portions',
    String.raw`
> Parse e: EXPLAIN (COSTS OFF) SELECT * FROM generate_series(1, 2) AS a, generate_series(3, 4) AS b
> Bind "" e
> Execute "" limit 1
> Execute "" limit 1
> Execute
> Sync

> Run: SHOW server_encoding
> Sync

> Parse a: SHOW ALL
> Describe statement a
> Sync

> Parse v: VALUES (1), (2), (3)
> Bind "" v
> Execute "" limit 2
> Execute "" limit 2
> Sync

> Run: PREPARE sql_level AS SELECT n FROM generate_series(1, 4) AS n
> Sync

> Parse x: EXECUTE sql_level
> Describe statement x
> Bind "" x
> Execute "" limit 3
> Execute "" limit 3
> Sync`,
  ),
  script(
    'an error in the middle of the rows',
    String.raw`
> Parse s: SELECT 10 / (3 - n) FROM generate_series(1, 5) AS n
> Sync

!22012
> Bind "" s
> Execute
> Sync

!22012
> Bind "" s
> Execute "" limit 1
> Execute "" limit 1
> Execute "" limit 1
> Execute "" limit 1
> Sync

BEGIN

!22012
> Bind p s
> Execute p limit 2
> Sync
> Execute p limit 2
> Sync

!25P02
> Execute p
> Sync

ROLLBACK

BEGIN; SAVEPOINT a

!22012
> Bind p s
> Execute p limit 2
> Execute p limit 2
> Sync

ROLLBACK TO a

!34000
> Execute p
> Sync

ROLLBACK`,
  ),
  script(
    'portals and savepoints',
    String.raw`
> Parse s: SELECT n FROM generate_series(1, 6) AS n
> Sync

BEGIN

> Bind before s
> Execute before limit 1
> Run: SAVEPOINT a
> Bind inside s
> Execute inside limit 1
> Sync

> Execute before limit 1
> Execute inside limit 1
> Sync

ROLLBACK TO a

> Execute before limit 1
> Sync

!34000
> Execute inside limit 1
> Sync

ROLLBACK TO a

> Bind inside s
> Execute inside limit 1
> Run: RELEASE a
> Execute inside limit 1
> Execute before limit 1
> Sync

COMMIT`,
  ),
  script(
    'portals of rows that change meanwhile',
    String.raw`
CREATE TABLE changing (id int PRIMARY KEY, t text)

INSERT INTO changing SELECT n, 'old' FROM generate_series(1, 4) AS n

> Run: BEGIN
> Parse s: SELECT * FROM changing ORDER BY id
> Bind p s
> Execute p limit 1
> Run: UPDATE changing SET t = 'new' WHERE id > 2
> Execute p limit 2
> Run: DELETE FROM changing WHERE id = 4
> Execute p
> Bind q s
> Execute q
> Run: COMMIT
> Sync

!55006
> Run: BEGIN
> Bind p s
> Execute p limit 1
> Run: DROP TABLE changing
> Sync

ROLLBACK`,
  ),
];
