import { script } from '../script.ts';

/** Short scripts of every kind of exchange, for playing them with their bytes cut anywhere. Each cleans up behind itself. */
export const shortScripts = [
  script(
    'short reads',
    String.raw`
SELECT 1 AS one, 'ü🐘', NULL

SELECT 2; SELECT 3

;

!42703
SELECT nothing`,
    { leaves: 'nothing' },
  ),
  script(
    'short writes',
    String.raw`
CREATE TABLE cut (id int PRIMARY KEY, v text)

INSERT INTO cut VALUES (1, 'é'), (2, NULL) RETURNING *

!23505
INSERT INTO cut VALUES (1, 'x')

BEGIN; UPDATE cut SET v = 'y'

SELECT * FROM cut ORDER BY id

COMMIT

DROP TABLE cut`,
    { leaves: 'nothing' },
  ),
  script(
    'short transactions',
    String.raw`
BEGIN

SAVEPOINT a

!22012
SELECT 1/0

ROLLBACK TO a

SET LOCAL TimeZone = 'Asia/Tokyo'

COMMIT`,
    { leaves: 'nothing', startup: { application_name: 'çut' } },
  ),
  script(
    'short copies',
    String.raw`
CREATE TABLE cut (id int PRIMARY KEY, v text)

COPY cut FROM STDIN
<1␉ü
<2␉two
<.

!57014
COPY cut FROM STDIN
<3␉x
<! no

!22P02
COPY cut FROM STDIN
<x
<.

COPY cut TO STDOUT

DROP TABLE cut`,
    { leaves: 'nothing' },
  ),
  script(
    'short session state',
    String.raw`
LISTEN c; CREATE TEMP TABLE t AS SELECT 1 AS v

NOTIFY c, 'x'

DO $$ BEGIN RAISE NOTICE 'n'; END $$

PREPARE p AS SELECT v FROM t

EXECUTE p

SELECT pg_advisory_lock(1), pg_advisory_unlock(1)`,
    { leaves: 'nothing' },
  ),
  script(
    'short extended reads',
    String.raw`
> Parse s (int4): SELECT $1 AS one, 'ü🐘', NULL
> Describe statement s
> Bind "" s (0x00000007) formats 1 results 1,0,0
> Execute
> Sync

!22P02
> Bind p s (x)
> Sync
> Bind p s (8)
> Execute p limit 1
> Execute p
> Close statement s
> Flush
> Sync

!42703
> Parse: SELECT nothing
> Run: SELECT 'skipped'
> Sync`,
    { leaves: 'nothing' },
  ),
  script(
    'short extended writes',
    String.raw`
> Run: CREATE TABLE cut (id int PRIMARY KEY, v text)
> Run (1, é): INSERT INTO cut VALUES ($1, $2) RETURNING *
> Sync

!23505
> Run (2, x): INSERT INTO cut VALUES ($1, $2)
> Run (1): INSERT INTO cut VALUES ($1)
> Sync
> Run: SELECT * FROM cut
> Sync

> Run: COPY cut FROM STDIN
<3␉ü
<.
> Run: BEGIN
> Run: DROP TABLE cut
> Run: COMMIT
> Sync`,
    { leaves: 'nothing' },
  ),
];
