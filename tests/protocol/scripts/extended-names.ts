import { script } from '../script.ts';

export const extendedNameScripts = [
  script(
    'Describe of names that do not exist',
    String.raw`
!26000
> Describe statement nobody
> Sync

!34000
> Describe portal nobody
> Sync

!26000
> Describe statement
> Sync

!34000
> Describe portal
> Sync

!34000
> Parse p: SELECT 1
> Bind q p
> Describe portal p
> Sync

!26000
> Bind q p
> Describe statement q
> Sync`,
  ),
  script(
    'Bind and Execute of names that do not exist',
    String.raw`
!26000
> Bind
> Sync

!26000
> Bind p nobody
> Sync

!34000
> Execute
> Sync

!34000
> Execute nobody
> Sync

!34000
> Parse: SELECT 1
> Execute
> Sync

!34000
> Parse: SELECT 1
> Bind p
> Execute q
> Sync`,
  ),
  script(
    'statement names',
    String.raw`
> Parse case: SELECT 'lower'
> Parse CASE: SELECT 'upper'
> Parse select: SELECT 'a keyword'
> Parse ü🐘: SELECT 'beyond ASCII'
> Parse "quoted": SELECT 'with quotes'
> Parse pg_catalog.x;--: SELECT 'anything'
> Sync

> Bind "" CASE
> Execute
> Bind "" case
> Execute
> Bind "" select
> Execute
> Bind "" ü🐘
> Execute
> Bind "" "quoted"
> Execute
> Bind "" pg_catalog.x;--
> Execute
> Sync

!26000
> Bind "" Case
> Sync`,
  ),
  script(
    'names of more than 63 bytes',
    String.raw`
> Parse s23456789012345678901234567890123456789012345678901234567890123_one: SELECT 1
> Bind p23456789012345678901234567890123456789012345678901234567890123_one s23456789012345678901234567890123456789012345678901234567890123_one
> Execute p23456789012345678901234567890123456789012345678901234567890123_one
> Sync

!42P05
> Parse s23456789012345678901234567890123456789012345678901234567890123_two: SELECT 2
> Sync

> Bind "" s23456789012345678901234567890123456789012345678901234567890123_three
> Execute
> Sync

> Close statement s23456789012345678901234567890123456789012345678901234567890123
> Sync

!26000
> Bind "" s23456789012345678901234567890123456789012345678901234567890123_one
> Sync`,
  ),
  script(
    'a statement name that is taken',
    String.raw`
> Parse s: SELECT 1
> Sync

!42P05
> Parse s: SELECT 2
> Sync

!42P05
> Parse s: SELECT 1
> Sync

> Bind "" s
> Execute
> Sync

> Close statement s
> Parse s: SELECT 3
> Bind "" s
> Execute
> Sync

!42601
> Close statement s
> Parse s: SELEC
> Sync

!26000
> Bind "" s
> Sync`,
  ),
  script(
    'a portal name that is taken',
    String.raw`
> Parse s (int4): SELECT $1
> Bind p s (1)
> Sync

> Bind p s (2)
> Execute p
> Sync

!42P03
> Bind p s (3)
> Bind p s (4)
> Sync

> Bind "" s (5)
> Bind "" s (6)
> Execute
> Sync

> Bind p s (7)
> Close portal p
> Bind p s (8)
> Execute p
> Sync`,
  ),
  script(
    'Close',
    String.raw`
> Parse s: SELECT 1
> Bind p s
> Close portal p
> Close statement s
> Sync

> Close statement s
> Close portal p
> Close statement never
> Close portal never
> Close statement
> Close portal
> Sync

!34000
> Parse s: SELECT 2
> Bind p s
> Close portal p
> Execute p
> Sync

!26000
> Close statement s
> Bind p s
> Sync

> Parse: SELECT 3
> Close portal
> Bind
> Execute
> Sync

!26000
> Close statement
> Bind
> Sync`,
  ),
  script(
    'Close of a statement that has portals',
    String.raw`
> Parse s: SELECT n FROM generate_series(1, 3) AS n
> Bind p s
> Bind q s
> Execute p limit 1
> Close statement s
> Execute p limit 1
> Execute q
> Describe portal p
> Execute p
> Sync

BEGIN

> Parse s: SELECT n FROM generate_series(1, 3) AS n
> Bind p s
> Execute p limit 1
> Sync

> Close statement s
> Parse s: SELECT 'another'
> Execute p limit 1
> Bind q s
> Execute q
> Sync

COMMIT`,
  ),
  script(
    'the unnamed statement',
    String.raw`
> Parse: SELECT 1
> Sync

> Bind
> Execute
> Sync

> Parse: SELECT 2
> Parse: SELECT 3
> Bind
> Execute
> Sync

> Bind
> Execute
> Bind
> Execute
> Sync

SELECT 'a Query'

!26000
> Bind
> Sync

> Parse: SELECT 4
> Sync

!42601
> Parse: SELECT FROM WHERE
> Sync

!26000
> Bind
> Execute
> Sync

> Parse: SELECT 5
> Sync

> Query:

!26000
> Bind
> Sync`,
  ),
  script(
    'the unnamed statement and what becomes of it in a failed Parse',
    String.raw`
> Parse: SELECT 'kept'
> Sync

!42P01
> Parse: SELECT * FROM nowhere
> Sync

!26000
> Bind
> Execute
> Sync

> Parse: SELECT 'kept'
> Sync

!22012
> Parse s: SELECT 1/0
> Bind "" s
> Execute
> Sync

> Bind
> Execute
> Sync

!42P05
> Parse s: SELECT 1
> Sync

> Bind
> Execute
> Sync`,
  ),
  script(
    'the unnamed portal',
    String.raw`
BEGIN

> Parse s: SELECT n FROM generate_series(1, 5) AS n
> Bind "" s
> Execute "" limit 2
> Sync

> Execute "" limit 2
> Sync

SELECT 'a Query'

!34000
> Execute "" limit 2
> Sync

ROLLBACK

BEGIN

> Bind "" s
> Execute "" limit 2
> Bind "" s
> Execute "" limit 3
> Sync

> Execute
> Sync

COMMIT`,
  ),
];
