import { bind, describe, execute, parse, sync } from '../../support/frontend-messages.ts';
import { request, script } from '../script.ts';

const once = { kind: 'ready', count: 1 } as const;

export const extendedBasicScripts = [
  script(
    'a statement by five messages',
    String.raw`
> Parse: SELECT 1 AS one, 'two' AS two, NULL AS three
> Bind
> Describe portal
> Execute
> Sync

> Parse: SELECT 1 AS one
> Bind
> Execute
> Sync

> Parse s: SELECT $1::int + 1 AS next
> Describe statement s
> Sync

> Bind p s (41)
> Describe portal p
> Execute p
> Close portal p
> Sync

> Close statement s
> Sync`,
  ),
  script(
    'Parse without parameter types',
    String.raw`
> Parse a: SELECT $1
> Describe statement a
> Parse b: SELECT $1 + 1, $2 || 'x', $3 AND true
> Describe statement b
> Parse c: SELECT $1::numeric(10,2), $2::date, $3::uuid[], $4::interval
> Describe statement c
> Parse d: SELECT $1::int8 WHERE $1 = $2
> Describe statement d
> Parse e: SELECT * FROM generate_series($1::int, $2) AS n WHERE n IN ($3, $4) LIMIT $5
> Describe statement e
> Sync

> Bind "" a (plain)
> Execute
> Bind "" b (1, 'y', f)
> Execute
> Bind "" c (1.005, 2026-11-23, '{}', '1 day')
> Execute
> Bind "" d (5, 5)
> Execute
> Bind "" e (1, 10, 2, 7, 1)
> Execute
> Sync

!42P18
> Parse: SELECT $2::int
> Sync

!42883
> Parse: SELECT $1::int, $1 || 'x' WHERE $1 = now()
> Sync`,
  ),
  script(
    'Parse with parameter types',
    String.raw`
> Parse a (int4, text): SELECT $1, $2
> Describe statement a
> Parse b (int8, 0): SELECT $1, $2::date
> Describe statement b
> Parse c (unknown): SELECT $1
> Describe statement c
> Parse d (varchar): SELECT $1
> Describe statement d
> Parse e (int4, int4, text): SELECT $2
> Describe statement e
> Parse f (int4[], jsonb): SELECT $1[1], $2 -> 'k'
> Describe statement f
> Parse g (int4): SELECT 1
> Describe statement g
> Sync

> Bind "" a (1, two)
> Execute
> Bind "" b (9000000000, 2026-01-02)
> Execute
> Bind "" c (what)
> Execute
> Bind "" e (NULL, 5, NULL)
> Execute
> Bind "" f ('{7,8}', '{"k": [1]}')
> Execute
> Bind "" g (0)
> Execute
> Sync

!42883
> Parse (text): SELECT $1 + 1
> Sync

!42804
> Parse (date): SELECT 1 WHERE $1
> Sync

!XX000
> Parse (999999): SELECT $1
> Sync`,
  ),
  script(
    'parameters of every length',
    String.raw`
> Parse s (text, text): SELECT $1, $2, length($1), $1 IS NULL
> Bind "" s (NULL, '')
> Execute
> Bind "" s ('', NULL)
> Execute
> Bind "" s ('ü🐘', 'it''s')
> Execute
> Bind "" s (NULL, NULL)
> Execute
> Bind "" s (0x61620a63, '  ')
> Execute
> Sync`,
  ),
  script(
    'Describe of what returns no rows',
    String.raw`
CREATE TABLE described (id int PRIMARY KEY, t text)

> Parse a: INSERT INTO described VALUES ($1, $2)
> Describe statement a
> Parse b: INSERT INTO described VALUES ($1, $2) RETURNING t, id AS number
> Describe statement b
> Parse c: CREATE TABLE never (id int)
> Describe statement c
> Parse d: SET TimeZone = 'UTC'
> Describe statement d
> Parse e: SHOW TimeZone
> Describe statement e
> Parse f: EXPLAIN (COSTS OFF) SELECT $1::int
> Describe statement f
> Parse g:
> Describe statement g
> Parse h: UPDATE described SET t = $2 WHERE id = $1
> Describe statement h
> Parse i: BEGIN
> Describe statement i
> Parse j: COPY described TO STDOUT
> Describe statement j
> Parse k: SELECT
> Describe statement k
> Parse l: VALUES ($1::int, 'x')
> Describe statement l
> Parse m: DECLARE cur CURSOR FOR SELECT 1
> Describe statement m
> Sync

> Bind p a (1, one)
> Describe portal p
> Bind "" b (2, two)
> Describe portal
> Bind q g
> Describe portal q
> Bind r k
> Describe portal r
> Execute r
> Sync

SELECT count(*) FROM described`,
  ),
  script(
    'Describe of a statement long after its Parse',
    String.raw`
> Parse: SELECT $1::int AS a, 'x' AS b
> Sync

> Describe statement
> Sync

> Parse s: SELECT 1 AS c
> Parse: SELECT $1::date AS d
> Bind "" s
> Execute
> Describe statement
> Describe statement s
> Bind p "" (2026-01-01)
> Execute p
> Describe statement
> Sync

> Describe statement
> Bind "" "" (2026-01-02)
> Describe portal
> Execute
> Describe statement
> Sync

> Parse: INSERT INTO pg_temp.never SELECT 1
> Sync
!42P01`,
  ),
  script(
    'a named statement used again',
    String.raw`
> Parse s (int4): SELECT $1 * 2 AS twice
> Sync

> Bind "" s (1)
> Execute
> Sync

> Bind "" s (2)
> Execute
> Bind "" s (3)
> Execute
> Sync

BEGIN

> Bind "" s (4)
> Execute
> Sync

ROLLBACK

> Bind "" s (5)
> Execute
> Sync

!22P02
> Bind "" s (x)
> Sync

> Bind "" s (6)
> Execute
> Sync`,
  ),
  script(
    'empty statements',
    String.raw`
> Parse:
> Bind
> Describe portal
> Execute
> Sync

> Parse: ;
> Bind
> Execute
> Sync

> Parse:  /* nothing */ -- at all
> Describe statement
> Bind
> Execute
> Sync

> Parse e (int4):
> Describe statement e
> Bind "" e (1)
> Execute
> Sync

> Parse: ;;SELECT 1;;
> Bind
> Execute
> Sync

!08P01
> Bind "" e
> Sync`,
  ),
  script(
    'several statements in one Parse',
    String.raw`
!42601
> Parse: SELECT 1; SELECT 2
> Bind
> Execute
> Sync

!42601
> Parse s: BEGIN; SELECT 1; COMMIT
> Sync

> Parse: SELECT 1;
> Bind
> Execute
> Sync

> Parse: ; SELECT ';' ;
> Bind
> Execute
> Sync

!42601
> Parse: INSERT INTO nowhere VALUES (1); DROP TABLE nowhere
> Sync`,
  ),
  script(
    'Sync and Flush with nothing before them',
    String.raw`
> Sync

> Sync
> Sync
> Sync

> Flush
> Sync

> Flush
> Flush
> Sync
> Flush
> Sync

> Parse: SELECT 1
> Sync
> Sync
> Bind
> Execute
> Sync
> Sync`,
  ),
  script(
    'Flush in every place',
    String.raw`
> Parse: SELECT n FROM generate_series(1, 3) AS n
> Flush
= 1 messages

> Describe statement
> Flush
= 2 messages

> Bind
> Flush
= 1 messages

> Describe portal
> Flush
= 1 messages

> Execute "" limit 1
> Flush
= 2 messages

> Execute "" limit 1
> Flush
= 2 messages

> Execute
> Flush
= 2 messages

> Close portal
> Flush
= 1 messages

> Close statement
> Flush
= 1 messages

> Sync

> Parse: SELECT 1
> Flush
> Bind
> Flush
> Describe portal
> Flush
> Execute
> Flush
> Sync`,
  ),
  script(
    'Flush and writes',
    String.raw`
CREATE TABLE flushed (id int PRIMARY KEY, t text)

> Run (1, one): INSERT INTO flushed VALUES ($1, $2)
> Flush
= 4 messages

> Run: SELECT count(*) FROM flushed
> Flush
= 5 messages

> Run (2): INSERT INTO flushed VALUES ($1) RETURNING id, t
> Flush
= 5 messages

> Sync

> Run (3): INSERT INTO flushed VALUES ($1)
> Flush
= 4 messages

!23505
> Run (1): INSERT INTO flushed VALUES ($1)
> Flush
= 4 messages

> Sync

SELECT * FROM flushed ORDER BY id`,
  ),
  script(
    'Flush behind an error',
    String.raw`
!42P01
> Parse: SELECT * FROM nowhere
> Flush
= 1 messages

> Parse: SELECT 1
> Flush
> Bind
> Sync

!22P02
> Parse: SELECT $1::int
> Bind "" "" (x)
> Flush
= 2 messages

> Sync

> Run: SELECT 'goes on'
> Sync`,
  ),
  script('a text longer than a read', [
    request(
      'Run: SELECT length(…)',
      [
        parse('', `SELECT length('${'ü'.repeat(100_000)}') /* ${'x'.repeat(100_000)} */`),
        bind('', ''),
        execute(''),
        sync(),
      ],
      once,
    ),
    request(
      'a value of a megabyte',
      [
        parse('', 'SELECT length($1), md5($1), $2::int', [25, 0]),
        bind('', '', { values: ['x'.repeat(1_000_000), '7'] }),
        describe('P', ''),
        execute(''),
        sync(),
      ],
      once,
    ),
    request(
      'a row of a megabyte',
      [parse('', "SELECT repeat('y', 1000000), $1", [25]), bind('', '', { values: ['z'] }), execute(''), sync()],
      once,
    ),
    request(
      'many rows',
      [parse('', "SELECT n, repeat('r', 100) FROM generate_series(1, 5000) AS n"), bind('', ''), execute(''), sync()],
      once,
    ),
  ]),
  script('many parameters and columns', [
    request(
      'a thousand of each',
      [
        parse('many', `SELECT ${Array.from({ length: 1000 }, (_, index) => `$${index + 1}::int`).join(', ')}`),
        describe('S', 'many'),
        bind('', 'many', { values: Array.from({ length: 1000 }, (_, index) => String(index)) }),
        execute(''),
        sync(),
      ],
      once,
    ),
    request(
      'as many parameters as there can be',
      [
        parse(
          '',
          'SELECT cardinality(ARRAY[' +
            Array.from({ length: 65535 }, (_, index) => `$${index + 1}::int`).join(',') +
            '])',
        ),
        bind('', '', { values: Array.from({ length: 65535 }, () => '1') }),
        execute(''),
        sync(),
      ],
      once,
    ),
    request('a parameter too many', [parse('', 'SELECT $65536::int'), sync()], once, ['42P18']),
  ]),
  script(
    'results of no columns and no rows',
    String.raw`
> Run: SELECT
> Sync

> Run: SELECT FROM generate_series(1, 3)
> Sync

> Run: SELECT 1 WHERE false
> Sync

> Run results 1: SELECT
> Sync

> Run: SELECT NULL
> Sync`,
  ),
  script(
    'the text around a statement',
    String.raw`
> Parse:    SELECT 1   ;   
> Bind
> Execute
> Sync

> Parse: /* before */ SELECT /* in */ 1 -- behind
> Bind
> Execute
> Sync

> Run: SELECT 1 AS "a
b", $$ ; $$, E'\n', U&'\00fc'
> Sync

> Run: sElEcT 'case'
> Sync

> Run: TABLE pg_database LIMIT 0
> Sync

> Run: (SELECT 1) UNION ALL (SELECT 2)
> Sync

> Run: WITH x AS (SELECT 1) SELECT * FROM x
> Sync`,
  ),
];
