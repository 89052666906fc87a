import { script } from '../script.ts';

export const extendedPreparedScripts = [
  script(
    'names of statements are taken by both protocols',
    String.raw`
PREPARE s (int) AS SELECT $1 + 1 AS next

EXECUTE s(1)

!42P05
> Parse s: SELECT 'another'
> Sync

> Close statement never
> Run: EXECUTE s(2)
> Run: DEALLOCATE s
> Sync

> Parse s (int4): SELECT $1 * 2 AS twice
> Sync

!42P05
PREPARE s AS SELECT 1

> Bind "" s (1)
> Execute
> Sync

DEALLOCATE s

!26000
> Bind "" s (1)
> Sync

!26000
DEALLOCATE s

> Parse Mixed: SELECT 'case'
> Sync

!26000
EXECUTE Mixed

!26000
DEALLOCATE Mixed

DEALLOCATE "Mixed"

!26000
> Bind "" Mixed
> Sync

> Run: PREPARE t AS SELECT 'prepared in a pipeline'
> Run: EXECUTE t
> Run: DEALLOCATE t
> Sync`,
  ),
  script(
    'statements of one protocol used by the other',
    String.raw`
PREPARE by_sql (int) AS SELECT $1 + 1 AS next

> Describe statement by_sql
> Sync

> Bind "" by_sql (41)
> Execute
> Sync

> Parse by_message (int4): SELECT $1 * 2 AS twice
> Sync

EXECUTE by_message(21)

> Parse q: SELECT name FROM pg_prepared_statements WHERE name = 'by_message'
> Bind "" q
> Execute
> Sync

!42P05
PREPARE by_message AS SELECT 1

!42P01
PREPARE by_message AS SELECT * FROM nowhere

!42P05
> Parse by_sql: SELECT 1
> Sync

> Bind p by_sql (0x00000029) formats 1 results 1
> Describe portal p
> Execute p
> Sync

SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name

> Close statement by_sql
> Sync

!26000
EXECUTE by_sql(1)

DEALLOCATE by_message

!26000
> Bind "" by_message (1)
> Sync`,
  ),
  script(
    'EXECUTE by messages',
    String.raw`
CREATE TABLE taken (id serial, v text)

PREPARE take (text) AS INSERT INTO taken (v) VALUES ($1) RETURNING id, v

PREPARE three (int) AS SELECT g, g * $1 AS times FROM generate_series(1, 3) g

PREPARE quiet (text) AS UPDATE taken SET v = $1

> Parse: EXECUTE take ('a')
> Describe statement
> Bind
> Describe portal
> Execute
> Sync

> Run: EXECUTE three (2)
> Run: EXECUTE take ('b')
> Run: EXECUTE three (3)
> Sync

> Parse e: EXECUTE three (5)
> Describe statement e
> Sync

> Bind "" e () results 1
> Describe portal
> Execute limit 2
> Execute limit 2
> Sync

> Bind "" e
> Execute
> Sync

> Run: EXECUTE quiet ('c')
> Sync

!08P01
> Bind "" e (1)
> Sync

!26000
> Parse: EXECUTE nothing (1)
> Describe statement
> Bind
> Describe portal
> Execute
> Sync

!22P02
> Parse: EXECUTE three ('x')
> Bind
> Execute
> Sync

!08P01
> Parse: EXECUTE three ($1)
> Bind "" "" (1)
> Execute
> Sync

> Run: BEGIN
> Parse x: EXECUTE three (7)
> Bind px x
> Flush

> Describe portal px
> Execute px limit 1
> Flush

> Execute px limit 5
> Close portal px
> Run: COMMIT
> Sync

!26000
> Run: PREPARE fresh AS SELECT 'fresh'
> Run: EXECUTE fresh
> Run: DEALLOCATE fresh
> Run: EXECUTE fresh
> Run: SELECT 'skipped'
> Sync

> Run: EXPLAIN (COSTS OFF) EXECUTE three (1)
> Sync

SELECT v FROM taken ORDER BY id`,
  ),
  script(
    'DEALLOCATE ALL and DISCARD ALL',
    String.raw`
> Parse a: SELECT 1
> Parse b: SELECT 2
> Parse: SELECT 3
> Sync

DEALLOCATE ALL

!26000
> Bind "" a
> Sync

!26000
> Bind "" b
> Sync

> Parse a: SELECT 4
> Parse: SELECT 'unnamed'
> Sync

> Parse d: DEALLOCATE ALL
> Bind "" d
> Execute
> Sync

!26000
> Bind "" a
> Sync

!26000
> Bind "" d
> Sync

> Parse a: SELECT 5
> Run: DISCARD ALL
> Sync

> Parse a: SELECT 6
> Sync

> Run: DISCARD ALL
> Sync

!26000
> Bind "" a
> Sync

> Parse a: SELECT 7
> Bind "" a
> Execute
> Run: DISCARD PLANS
> Bind "" a
> Execute
> Sync

!25001
> Run: BEGIN
> Run: DISCARD ALL
> Sync

ROLLBACK

> Bind "" a
> Execute
> Sync`,
  ),
  script(
    'DEALLOCATE in a pipeline',
    String.raw`
> Parse a: SELECT 1
> Bind p a
> Run: DEALLOCATE a
> Execute p
> Parse a: SELECT 2
> Bind "" a
> Execute
> Sync

!26000
> Run: DEALLOCATE a
> Run: DEALLOCATE a
> Sync

!26000
> Bind "" a
> Sync

> Parse a: SELECT 3
> Sync

> Run: DEALLOCATE PREPARE a
> Sync`,
  ),
  script(
    'statements outlive the transaction that made them',
    String.raw`
> Run: BEGIN
> Parse kept: SELECT 'made in a block'
> Run: PREPARE kept_too AS SELECT 'made in a block by SQL'
> Run: ROLLBACK
> Sync

> Bind "" kept
> Execute
> Run: EXECUTE kept_too
> Sync

!22012
> Parse pipelined: SELECT 'made in a pipeline that failed'
> Run: SELECT 1/0
> Sync

> Bind "" pipelined
> Execute
> Sync

BEGIN

> Close statement kept
> Run: DEALLOCATE kept_too
> Sync

ROLLBACK

!26000
> Bind "" kept
> Sync

!26000
EXECUTE kept_too

!22012
> Close statement pipelined
> Run: SELECT 1/0
> Sync

!26000
> Bind "" pipelined
> Sync`,
  ),
  script(
    'a result type that changed',
    String.raw`
CREATE TABLE shape (id int PRIMARY KEY, t text)

INSERT INTO shape VALUES (1, 'one')

> Parse all: SELECT * FROM shape
> Parse some: SELECT id FROM shape
> Parse write: INSERT INTO shape (id) VALUES ($1) RETURNING *
> Bind "" all
> Describe portal
> Execute
> Bind "" some
> Execute
> Bind "" write (2)
> Execute
> Sync

ALTER TABLE shape ADD n int DEFAULT 7

!0A000
> Bind "" all
> Execute
> Sync

> Bind "" some
> Execute
> Sync

!0A000
> Bind "" write (3)
> Execute
> Sync

!0A000
> Describe statement all
> Sync

> Close statement all
> Parse all: SELECT * FROM shape
> Describe statement all
> Bind "" all
> Execute
> Sync

ALTER TABLE shape DROP n

!0A000
> Bind "" all
> Execute
> Sync

> Bind "" write (4)
> Execute
> Sync

ALTER TABLE shape ALTER t TYPE varchar(20)

!0A000
> Bind "" write (5)
> Execute
> Sync

SELECT * FROM shape ORDER BY id`,
  ),
  script(
    'a result type that changed in the same pipeline',
    String.raw`
CREATE TABLE reshaped (id int PRIMARY KEY)

!0A000
> Parse s: SELECT * FROM reshaped
> Bind "" s
> Execute
> Run: ALTER TABLE reshaped ADD t text
> Bind "" s
> Execute
> Sync

> Bind "" s
> Execute
> Sync

!0A000
> Run: BEGIN
> Run: ALTER TABLE reshaped ADD t text
> Bind "" s
> Sync

> Run: ROLLBACK
> Bind "" s
> Execute
> Sync`,
  ),
  script(
    'a table that was dropped and made again',
    String.raw`
CREATE TABLE phoenix (id int PRIMARY KEY, t text)

> Parse s: SELECT t FROM phoenix WHERE id = $1
> Parse i: INSERT INTO phoenix VALUES ($1, $2)
> Bind "" i (1, first)
> Execute
> Bind "" s (1)
> Execute
> Sync

DROP TABLE phoenix

!42P01
> Bind "" s (1)
> Sync

!42P01
> Bind "" i (1, x)
> Sync

CREATE TABLE phoenix (id int PRIMARY KEY, t text)

> Bind "" i (1, second)
> Execute
> Bind "" s (1)
> Execute
> Sync

ALTER TABLE phoenix RENAME TO ashes

!42P01
> Bind "" s (1)
> Sync

ALTER TABLE ashes RENAME TO phoenix

> Bind "" s (1)
> Execute
> Sync`,
  ),
  script(
    'a search path that changed',
    String.raw`
CREATE SCHEMA one_way

CREATE SCHEMA other_way

CREATE TABLE one_way.place (v text)

CREATE TABLE other_way.place (v text)

INSERT INTO one_way.place VALUES ('one')

INSERT INTO other_way.place VALUES ('other')

SET search_path = one_way

> Parse s: SELECT v FROM place
> Parse i: INSERT INTO place VALUES ($1)
> Bind "" s
> Execute
> Sync

SET search_path = other_way

> Bind "" s
> Execute
> Bind "" i (into_other)
> Execute
> Sync

!42P01
> Run: SET search_path = pg_catalog
> Bind "" s
> Sync

> Bind "" s
> Execute
> Sync

RESET search_path

SELECT * FROM other_way.place ORDER BY v; SELECT * FROM one_way.place`,
  ),
  script(
    'statements with parameters in every part of a write',
    String.raw`
CREATE TABLE parts (id int PRIMARY KEY, a int, b text, c numeric)

> Parse i: INSERT INTO parts (id, a, b, c) VALUES ($1, $2, $3, $4), ($1 + 1, $2 * 2, upper($3), $4 / 2)
> Describe statement i
> Bind "" i (1, 10, x, 1.5)
> Execute
> Sync

> Parse u: UPDATE parts SET a = a + $2, b = $3 WHERE id = $1 RETURNING a, b
> Describe statement u
> Bind "" u (1, 5, y)
> Execute
> Bind "" u (99, 5, y)
> Execute
> Sync

> Parse o: INSERT INTO parts VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET a = excluded.a + parts.a RETURNING a
> Bind "" o (1, 100)
> Execute
> Bind "" o (50, 100)
> Execute
> Sync

> Parse d: DELETE FROM parts WHERE id = ANY ($1) RETURNING id
> Describe statement d
> Bind "" d ('{2,50,51}')
> Execute
> Sync

> Parse w: WITH gone AS (DELETE FROM parts WHERE id = $1 RETURNING *) SELECT a, $2::text AS why FROM gone
> Bind "" w (1, asked)
> Execute
> Sync

SELECT count(*) FROM parts`,
  ),
  script(
    'a statement that is executed often',
    String.raw`
CREATE TABLE often (id int PRIMARY KEY, n int)

> Parse i (int4, int4): INSERT INTO often VALUES ($1, $2)
> Parse s (int4): SELECT n FROM often WHERE id = $1
> Sync
> Bind "" i (1, 1)
> Execute
> Sync
> Bind "" i (2, 2)
> Execute
> Sync
> Bind "" i (3, 3)
> Execute
> Sync
> Bind "" i (4, 4)
> Execute
> Sync
> Bind "" i (5, 5)
> Execute
> Sync
> Bind "" i (6, 6)
> Execute
> Sync
> Bind "" i (7, 7)
> Execute
> Sync
> Bind "" s (1)
> Execute
> Bind "" s (2)
> Execute
> Bind "" s (3)
> Execute
> Bind "" s (4)
> Execute
> Bind "" s (5)
> Execute
> Bind "" s (6)
> Execute
> Bind "" s (7)
> Execute
> Sync`,
  ),
  script(
    'a statement of another session is not seen',
    String.raw`
!26000
> Bind "" often_used_name
> Sync

> Parse often_used_name: SELECT 'mine'
> Bind "" often_used_name
> Execute
> Sync`,
  ),
  script(
    'the same name in the next session',
    String.raw`
!26000
> Describe statement often_used_name
> Sync

> Parse often_used_name: SELECT 'another'
> Bind "" often_used_name
> Execute
> Sync`,
  ),
];
