import { bind, execute, parse, sync } from '../../support/frontend-messages.ts';
import { request, script } from '../script.ts';

const once = { kind: 'ready', count: 1 } as const;

export const extendedPipelineScripts = [
  script(
    'several Syncs in flight',
    String.raw`
CREATE TABLE flight (id int PRIMARY KEY, t text)

> Run: SELECT 1
> Sync
> Run: SELECT 2
> Sync
> Run: SELECT 3
> Sync

> Run: INSERT INTO flight VALUES (1, 'a')
> Sync
> Run: SELECT * FROM flight
> Sync
> Run: UPDATE flight SET t = 'b' WHERE id = 1
> Sync
> Run: SELECT * FROM flight
> Sync
> Run: DELETE FROM flight
> Sync
> Run: SELECT * FROM flight
> Sync

!22012 42P01
> Run: SELECT 1
> Sync
> Run: SELECT 1/0
> Sync
> Run: SELECT 2
> Sync
> Parse: SELECT * FROM nowhere
> Sync
> Run: SELECT 3
> Sync
> Sync

> Parse s (int4): SELECT $1
> Sync
> Bind "" s (1)
> Execute
> Sync
> Bind "" s (2)
> Execute
> Sync
> Close statement s
> Sync`,
  ),
  script(
    'Query messages in a pipeline',
    String.raw`
CREATE TABLE mixed (id int PRIMARY KEY)

> Run: SELECT 1
> Sync
> Query: SELECT 2
> Run: SELECT 3
> Sync
> Query: SELECT 4; SELECT 5
> Query: INSERT INTO mixed VALUES (1)
> Run: INSERT INTO mixed VALUES (2)
> Sync
> Query: SELECT count(*) FROM mixed

> Parse s: SELECT n FROM generate_series(1, 3) AS n
> Query: SELECT 'between'
> Bind p s
> Execute p limit 1
> Sync

!22012
= 1 ready
> Run: SELECT 1/0
> Query: SELECT 'skipped'
> Sync

!22012
> Query: SELECT 1/0
> Run: SELECT 'not skipped'
> Sync

!23505
= 1 ready
> Run: INSERT INTO mixed VALUES (4)
> Run: INSERT INTO mixed VALUES (1)
> Query: INSERT INTO mixed VALUES (5)
> Sync

!22012
> Run: INSERT INTO mixed VALUES (6)
> Query: SELECT 1/0
> Run: INSERT INTO mixed VALUES (7)
> Sync

SELECT * FROM mixed ORDER BY id`,
  ),
  script(
    'a Query in the place of Sync',
    String.raw`
CREATE TABLE in_place (id int PRIMARY KEY)

> Run: INSERT INTO in_place VALUES (1)
> Query: SELECT count(*) FROM in_place
> Run: SELECT count(*) FROM in_place
> Sync

> Parse: SELECT 1
> Query: INSERT INTO in_place VALUES (2)
> Run: SELECT count(*) FROM in_place
> Sync`,
  ),
  script(
    'an error rolls back the earlier writes of its pipeline',
    String.raw`
CREATE TABLE undone (id int PRIMARY KEY, t text CHECK (t <> 'bad'))

!23505
> Run: INSERT INTO undone VALUES (1, 'a')
> Run: INSERT INTO undone VALUES (2, 'b')
> Run: INSERT INTO undone VALUES (1, 'c')
> Sync

SELECT * FROM undone ORDER BY id

!23514
> Run: INSERT INTO undone VALUES (1, 'a')
> Sync
> Run: INSERT INTO undone VALUES (2, 'b')
> Run: INSERT INTO undone VALUES (3, 'bad')
> Run: INSERT INTO undone VALUES (4, 'd')
> Sync
> Run: INSERT INTO undone VALUES (5, 'e')
> Sync

SELECT * FROM undone ORDER BY id

!42703
> Run: DELETE FROM undone
> Parse: SELECT nothing FROM undone
> Sync

!26000
> Run: DELETE FROM undone
> Bind "" never
> Sync

!34000
> Run: DELETE FROM undone
> Execute never
> Sync

!22P02
> Run: DELETE FROM undone
> Run (x): SELECT $1::int
> Sync

SELECT * FROM undone ORDER BY id`,
  ),
  script(
    'an error behind a single write',
    String.raw`
CREATE TABLE single (id int PRIMARY KEY)

!42601
> Run: INSERT INTO single VALUES (1)
> Parse: SELEC
> Sync

!42P01
> Run: INSERT INTO single VALUES (2)
> Parse: SELECT * FROM nowhere
> Sync

!26000
> Run: INSERT INTO single VALUES (3)
> Bind "" never
> Sync

!08P01
> Run: INSERT INTO single VALUES (4)
> Parse: SELECT $1::int
> Bind
> Sync

!22P02
> Run: INSERT INTO single VALUES (5)
> Parse: SELECT $1::int
> Bind "" "" (x)
> Sync

!26000
> Run: INSERT INTO single VALUES (6)
> Describe statement never
> Sync

!42P01
> Run: COPY single FROM STDIN
<7
<.
> Parse: SELECT * FROM nowhere
> Sync

!22012
> Run: COPY single FROM STDIN
<8
<.
> Run: SELECT 1/0
> Sync

> Run: INSERT INTO single VALUES (9)
> Parse: SELECT 1
> Bind
> Close portal
> Close statement
> Sync

SELECT * FROM single ORDER BY id`,
  ),
  script(
    'statements in front of one that pprox answers itself',
    String.raw`
!42703
> Parse s: SELECT nothing
> Run: BEGIN
> Sync

!26000
> Bind "" s
> Sync

!42P01
> Parse s: SELECT * FROM nowhere
> Run:
> Sync

> Parse s (int4): SELECT $1
> Bind p s (1)
> Describe portal p
> Run: BEGIN
> Execute p
> Sync

!22P02
> Bind q s (x)
> Run: COMMIT
> Sync

> Run: ROLLBACK
> Sync

> Parse e (int4):
> Parse b: BEGIN
> Parse c: COMMIT
> Describe statement b
> Describe statement e
> Bind x s (2)
> Bind y e (3)
> Describe portal x
> Describe portal y
> Execute y
> Bind z b
> Execute z
> Bind w c
> Execute w
> Sync

> Bind "" s (4)
> Execute
> Sync`,
  ),
  script(
    'reads and writes in one pipeline',
    String.raw`
CREATE TABLE both_ways (id int PRIMARY KEY, n int)

> Run: SELECT count(*) FROM both_ways
> Run: INSERT INTO both_ways VALUES (1, 10), (2, 20)
> Run: SELECT count(*) FROM both_ways
> Run: UPDATE both_ways SET n = n + 1 WHERE id = 1 RETURNING n
> Run: SELECT n FROM both_ways WHERE id = 1
> Run: DELETE FROM both_ways WHERE id = 2
> Run: SELECT count(*) FROM both_ways
> Sync

> Run: SELECT * FROM both_ways
> Sync

!22012
> Run: SELECT n FROM both_ways WHERE id = 1
> Run: UPDATE both_ways SET n = 0 WHERE id = 1
> Run: SELECT n FROM both_ways WHERE id = 1
> Run: SELECT 1/0
> Sync

> Run: SELECT n FROM both_ways WHERE id = 1
> Sync

> Run: SELECT 1
> Run: SELECT n FROM both_ways WHERE id = 1 FOR UPDATE
> Run: SELECT 2
> Sync

> Run: SELECT txid_current_if_assigned() IS NULL
> Run: INSERT INTO both_ways VALUES (3, 30)
> Run: SELECT txid_current_if_assigned() IS NULL
> Sync
> Run: SELECT txid_current_if_assigned() IS NULL
> Sync`,
  ),
  script(
    'definitions in a pipeline',
    String.raw`
> Run: CREATE TABLE made (id int PRIMARY KEY)
> Run: INSERT INTO made VALUES (1)
> Run: ALTER TABLE made ADD t text DEFAULT 'd'
> Run: SELECT * FROM made
> Run: INSERT INTO made VALUES (2, 'x') RETURNING *
> Sync

!22012
> Run: CREATE TABLE unmade (id int PRIMARY KEY)
> Run: INSERT INTO unmade VALUES (1)
> Run: SELECT 1/0
> Sync

!42P01
> Run: SELECT * FROM unmade
> Sync

!42P01
> Run: DROP TABLE made
> Run: SELECT * FROM made
> Sync

> Run: SELECT * FROM made ORDER BY id
> Sync

> Run: CREATE FUNCTION made_too(n int) RETURNS int LANGUAGE sql IMMUTABLE RETURN n * 2
> Run: SELECT made_too(21)
> Run: CREATE VIEW seen AS SELECT made_too(id) AS d FROM made
> Run: SELECT * FROM seen ORDER BY d
> Run: CREATE INDEX ON made (t)
> Run: COMMENT ON TABLE made IS 'by extended query'
> Run: TRUNCATE made
> Sync

SELECT count(*) FROM made`,
  ),
  script('two hundred statements before one Sync', [
    ...script('', 'CREATE TABLE deep (id int PRIMARY KEY, t text)').steps,
    request(
      'two hundred INSERTs of one statement',
      [
        parse('deep', 'INSERT INTO deep VALUES ($1, $2)', [23, 25]),
        ...Array.from({ length: 200 }, (_, index) => [
          bind('', 'deep', { values: [String(index), `row ${index}`] }),
          execute(''),
        ]).flat(),
        sync(),
      ],
      once,
    ),
    request(
      'one hundred Syncs, a read and a write before each',
      [
        parse('look', 'SELECT t FROM deep WHERE id = $1', [23]),
        parse('change', "UPDATE deep SET t = t || '!' WHERE id = $1 RETURNING t", [23]),
        ...Array.from({ length: 100 }, (_, index) => [
          bind('', 'look', { values: [String(index)] }),
          execute(''),
          bind('', 'change', { values: [String(index)] }),
          execute(''),
          sync(),
        ]).flat(),
      ],
      { kind: 'ready', count: 100 },
    ),
    request(
      'two hundred SELECTs, one of which fails',
      [
        parse('divide', 'SELECT 100 / (150 - $1)', [23]),
        ...Array.from({ length: 200 }, (_, index) => [
          bind('', 'divide', { values: [String(index)] }),
          execute(''),
        ]).flat(),
        sync(),
      ],
      once,
      ['22012'],
    ),
    ...script('', "SELECT count(*), sum(id), md5(string_agg(t, ',' ORDER BY id)) FROM deep").steps,
  ]),
  script(
    'Parse of everything first',
    String.raw`
CREATE TABLE later (id int PRIMARY KEY, t text)

> Parse a: INSERT INTO later VALUES ($1, $2)
> Parse b: SELECT t FROM later WHERE id = $1
> Parse c: DELETE FROM later WHERE id = $1 RETURNING id
> Parse d: SELECT count(*) FROM later
> Bind a a (1, one)
> Bind b b (1)
> Bind c c (1)
> Bind d d
> Execute a
> Execute d
> Execute b
> Execute c
> Execute d
> Sync

> Bind b b (1)
> Bind a a (2, two)
> Bind d d
> Execute a
> Execute b
> Execute d
> Sync

> Bind b b (2)
> Execute b
> Sync`,
  ),
  script(
    'a pipeline that ends in Terminate',
    String.raw`
CREATE TABLE cut_short (id int PRIMARY KEY)

> Run: INSERT INTO cut_short VALUES (1)
> Sync
> Run: INSERT INTO cut_short VALUES (2)
= 1 ready`,
  ),
  script(
    'what a pipeline without Sync left',
    String.raw`
BEGIN

LOCK TABLE cut_short

SELECT * FROM cut_short

COMMIT`,
  ),
];
