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

ROLLBACK

DECLARE held CURSOR WITH HOLD FOR SELECT n FROM generate_series(1, 3) AS n

> Describe portal held
> Sync

> Execute held
> Sync

CLOSE held`,
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
