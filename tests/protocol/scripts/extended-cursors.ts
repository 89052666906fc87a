import { script } from '../script.ts';

export const extendedCursorScripts = [
  script(
    'cursors by extended queries',
    String.raw`
!25P01
> Run: DECLARE c CURSOR FOR SELECT 1
> Sync

> Run: BEGIN
> Run: DECLARE c CURSOR FOR SELECT n FROM generate_series(1, 9) AS n
> Run: FETCH 2 FROM c
> Run: FETCH c
> Run: MOVE 1 IN c
> Run: FETCH ALL FROM c
> Run: CLOSE c
> Run: COMMIT
> Sync

> Run: BEGIN
> Sync

> Run (5): DECLARE c SCROLL CURSOR FOR SELECT n FROM generate_series(1, $1) AS n
> Sync

> Parse f: FETCH BACKWARD 2 FROM c
> Describe statement f
> Run: FETCH LAST FROM c
> Bind "" f
> Describe portal
> Execute
> Sync

> Run: FETCH ABSOLUTE 1 FROM c
> Run results 1: FETCH NEXT FROM c
> Sync

!34000
> Run: CLOSE c
> Run: FETCH c
> Sync

> Run: ROLLBACK
> Sync

!34000
> Parse f2: FETCH 1 FROM never
> Describe statement f2
> Bind "" f2
> Execute
> Sync`,
  ),
  script(
    'cursors and portals have one name space',
    String.raw`
BEGIN

> Parse s: SELECT n FROM generate_series(1, 6) AS n
> Bind p s
> Execute p limit 2
> Sync

FETCH 2 FROM p

> Execute p limit 1
> Run: FETCH 1 FROM p
> Sync

!42P03
DECLARE p CURSOR FOR SELECT 1

ROLLBACK

BEGIN

DECLARE c CURSOR FOR SELECT 1

!42P03
> Bind c s
> Sync

ROLLBACK

BEGIN

> Bind p s
> Sync

CLOSE p

!34000
> Execute p
> Sync

ROLLBACK`,
  ),
  script(
    'cursors as portals',
    String.raw`
BEGIN

DECLARE c CURSOR FOR SELECT n FROM generate_series(1, 6) AS n

> Execute c limit 2
> Sync

> Describe portal c
> Execute c limit 1
> Run: FETCH 1 FROM c
> Execute c
> Execute c
> Sync

> Run: DECLARE d CURSOR FOR SELECT 'd'
> Describe portal d
> Execute d
> Close portal d
> Close portal never
> Sync

!34000
> Execute d
> Sync

!25P02
> Execute c limit 1
> Sync

!34000
> Execute never
> Sync

!25P02
> Describe portal c
> Sync

> Close portal c
> Sync

!34000
> Describe portal c
> Sync

ROLLBACK

!34000
> Execute c
> Sync`,
  ),
  script(
    'cursors as portals, beside writes',
    String.raw`
CREATE TABLE beside (v int)

BEGIN

DECLARE c CURSOR FOR SELECT n FROM generate_series(1, 3) AS n

> Execute c limit 1
> Run: INSERT INTO beside VALUES (1)
> Execute c limit 1
> Run: INSERT INTO beside VALUES (2) RETURNING v
> Execute c
> Sync

= 6 messages
> Execute c
> Run: INSERT INTO beside VALUES (3) RETURNING v
> Flush

> Sync

COMMIT

!34000
> Run: INSERT INTO beside VALUES (4)
> Execute c
> Run: INSERT INTO beside VALUES (5)
> Sync

SELECT v FROM beside ORDER BY v`,
  ),
  script(
    'held cursors as portals',
    String.raw`
DECLARE held CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 5) AS n

> Describe portal held
> Sync

> Execute held limit 2
> Sync

> Parse s: SELECT 1
> Bind "" s
> Execute
> Execute held limit 1
> Execute held limit 1
> Sync

!42P03
> Bind held s
> Sync

!22012
> Execute held limit 1
> Run: SELECT 1/0
> Sync

> Execute held
> Sync

> Close portal held
> Sync

!34000
FETCH held

!34000
> Execute held
> Sync`,
  ),
  script(
    'the names of portals that no server has',
    String.raw`
> Parse own: SAVEPOINT a
> Parse s: SELECT 1
> Sync

BEGIN

> Bind p own
> Execute p
> Sync

!42P03
> Bind p s
> Sync

!25P02
> Bind p s
> Sync

ROLLBACK

BEGIN

> Bind p s
> Execute p
> Sync

!42P03
> Bind p own
> Execute p
> Sync

ROLLBACK

BEGIN

> Bind p own
> Execute p
> Close portal p
> Bind p s
> Execute p
> Sync

COMMIT

> Parse end: COMMIT
> Sync

BEGIN

> Bind p end
> Execute p
> Bind p s
> Execute p
> Sync`,
  ),
  script(
    'what a failed pipeline leaves of the unnamed statement',
    String.raw`
> Parse: SELECT 'first'
> Sync

!26000
> Bind "" nothing
> Parse: SELECT 'second'
> Sync

> Bind
> Execute
> Sync

!22012
> Parse: SELECT 'third'
> Bind
> Execute
> Parse s: SELECT 1 / 0
> Bind "" s
> Execute
> Parse: SELECT 'fourth'
> Sync

> Bind
> Execute
> Sync

!42703
> Parse: SELECT nothing
> Sync

!26000
> Bind
> Sync

!42P05
> Parse once: SELECT pg_advisory_unlock_all(), 'a name that is taken'
> Parse once: SELECT pg_advisory_unlock_all(), 'what shall not run in its place'
> Sync

> Bind "" once
> Execute
> Sync

> Parse: SELECT 'fifth'
> Sync

!42601
> Parse: SELECT 1; SELECT 2
> Sync

!26000
> Bind
> Sync`,
  ),
  script(
    'the unnamed portal in a failed block',
    String.raw`
BEGIN

> Parse s: SELECT 1
> Bind "" s
> Sync

!42703
SELECT nothing

!25P02
SELECT 1

!25P02
> Execute
> Sync

!25P02
> Describe portal
> Sync

ROLLBACK

BEGIN

!42601
> Parse: SELEC
> Sync

!34000
> Execute
> Sync

ROLLBACK

!34000
> Describe portal
> Sync

BEGIN

!22P02
> Parse n (int4): SELECT $1
> Bind q n ('x')
> Sync

> Execute q
> Describe portal q
> Sync

!25P02
> Bind q s
> Sync

ROLLBACK

!34000
> Execute q
> Sync`,
  ),
  script(
    'cursors that are held',
    String.raw`
> Run: DECLARE kept CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 6) AS n
> Sync

> Run: FETCH 2 FROM kept
> Sync

FETCH 1 FROM kept

> Run: CLOSE kept
> Sync

!34000
> Execute kept
> Sync

> Run: BEGIN
> Run: DECLARE kept CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 3) AS n
> Run: COMMIT
> Run: FETCH ALL FROM kept
> Run: CLOSE kept
> Sync

!34000
FETCH kept`,
  ),
  script(
    'binary cursors and formats of portals',
    String.raw`
BEGIN

DECLARE b BINARY CURSOR FOR SELECT 1::int4 AS n, 'x'::text AS t

> Run: FETCH b
> Sync

DECLARE c CURSOR FOR SELECT n::int4 FROM generate_series(1, 4) AS n

> Run results 1: FETCH 1 FROM c
> Run results 0: FETCH 1 FROM c
> Sync

> Parse s: SELECT n::int4 FROM generate_series(1, 4) AS n
> Bind p s results 1
> Execute p limit 1
> Describe portal p
> Sync

FETCH 1 FROM p

COMMIT`,
  ),
  script(
    'what a session sees of its cursors',
    String.raw`
BEGIN

DECLARE c CURSOR FOR SELECT 1

> Run: SELECT name, statement, is_holdable, is_binary, is_scrollable FROM pg_cursors WHERE name <> '' ORDER BY name
> Sync

> Parse s: SELECT 2
> Bind p s
> Run: SELECT name, statement, is_holdable, is_binary, is_scrollable FROM pg_cursors WHERE name <> '' ORDER BY name
> Sync

COMMIT`,
  ),
];
