/** PREPARE, EXECUTE and DEALLOCATE between messages, which know the same statements by the same names. */
import { script } from '../script.ts';

export const extendedPreparedBySqlScripts = [
  script(
    'EXECUTE of what cannot be planned fails where it is executed',
    String.raw`
PREPARE unplanned (int) AS SELECT $1, 1 / 0

!22012
> Parse: EXECUTE unplanned (1)
> Bind
> Describe portal
> Execute
> Sync

!22012
> Parse e: EXECUTE unplanned (2)
> Bind p e
> Execute p limit 1
> Sync

BEGIN

!22012
> Run: SELECT 1
> Bind p e
> Describe portal p
> Execute p
> Sync

!25P02
> Describe portal p
> Execute p
> Sync

ROLLBACK`,
  ),
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
];
