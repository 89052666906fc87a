import { script, statement, steps } from '../script.ts';

export const queryScripts = [
  script(
    'results of unusual shape',
    [
      ...steps(String.raw`
SELECT 1 WHERE false

SELECT

SELECT FROM generate_series(1, 3)

VALUES (1, 'a'), (2, NULL), (3, 'c')

SELECT 2 AS "Quoted ""name""", 3 AS "日本", 4 AS a, 5 AS a

SELECT 1 AS a_name_that_is_longer_than_the_sixty_three_bytes_which_postgresql_keeps_of_it

SELECT n, repeat('x', n * 100) FROM generate_series(0, 300) AS n

SELECT ${Array.from({ length: 300 }, (_, n) => n).join(', ')}

SELECT repeat('0123456789', 50000)

(SELECT 1)

((SELECT 1 UNION ALL SELECT 2) ORDER BY 1 DESC LIMIT 1)

;

;;;

-- nothing but a comment

/* nothing /* but nested */ comments */ -- and one more

SELECT 1;

SELECT /* in the middle */ 1 -- at the end

  SELECT 2  ;  `),
      statement(''),
      statement(' \t\r\n\f '),
      statement('\n\nSELECT 1,\n\n  2\n\n'),
      statement('SELECT 1\r\n, 2\r\n'),
    ],
    { leaves: 'nothing' },
  ),
  script(
    'comments and names that look like other statements',
    String.raw`
/* INSERT INTO nowhere */ SELECT 'INSERT INTO nowhere', 'COMMIT', $$ ROLLBACK; $$

-- UPDATE nowhere SET a = 1
SELECT 1 AS "update", 2 AS "delete"

SELECT 'a;b', ';' AS ";", $x$;$x$ || ';' -- ;

WITH "insert" AS (SELECT 1 AS "values") SELECT * FROM "insert"

SELECT E'\'; DROP TABLE nowhere; --', '\'; SELECT 2

!42P01
TABLE pg_temp.nothing_like_it

select 1 /* 🐘 ; */ ; select 2 /* ; -- */`,
    { leaves: 'nothing' },
  ),
  script(
    'joins, grouping and windows',
    String.raw`
CREATE TABLE author (id int PRIMARY KEY, name text NOT NULL)

CREATE TABLE book (id int PRIMARY KEY, author_id int REFERENCES author, title text, price numeric(6,2), year int)

INSERT INTO author VALUES (1, 'Ånna'), (2, 'Béla'), (3, 'Çem')

INSERT INTO book VALUES (1, 1, 'One', 10.00, 2001), (2, 1, 'Two', 12.50, 2003), (3, 2, 'Three', NULL, 2003), (4, NULL, 'Four', 7, NULL)

SELECT a.name, b.title FROM author a JOIN book b ON b.author_id = a.id ORDER BY b.id

SELECT a.*, b.* FROM author a LEFT JOIN book b ON b.author_id = a.id ORDER BY a.id, b.id

SELECT coalesce(a.name, '-'), count(*), sum(price), avg(price), min(title), max(year) FROM author a FULL JOIN book b ON b.author_id = a.id GROUP BY a.name ORDER BY 1

SELECT author_id, year, count(*) FROM book GROUP BY GROUPING SETS ((author_id, year), (author_id), ()) ORDER BY 1, 2, 3

SELECT author_id, count(*) FROM book GROUP BY ROLLUP (author_id) HAVING count(*) > 0 ORDER BY 1

SELECT id, rank() OVER w, sum(price) OVER w, lag(title) OVER w FROM book WINDOW w AS (PARTITION BY author_id ORDER BY id) ORDER BY id

SELECT count(*) FILTER (WHERE price > 8), percentile_cont(0.5) WITHIN GROUP (ORDER BY price), mode() WITHIN GROUP (ORDER BY year) FROM book

SELECT DISTINCT year FROM book ORDER BY year NULLS FIRST

SELECT DISTINCT ON (author_id) author_id, title FROM book ORDER BY author_id, id DESC

SELECT title FROM book ORDER BY id LIMIT 2 OFFSET 1

SELECT title FROM book ORDER BY year DESC NULLS LAST FETCH FIRST 1 ROW WITH TIES

SELECT * FROM author WHERE id IN (SELECT author_id FROM book) AND EXISTS (SELECT 1 FROM book WHERE price > 11) ORDER BY id

SELECT a.name, latest.title FROM author a CROSS JOIN LATERAL (SELECT title FROM book b WHERE b.author_id = a.id ORDER BY id DESC LIMIT 1) AS latest ORDER BY a.id

SELECT name FROM author UNION SELECT title FROM book EXCEPT SELECT 'One' ORDER BY 1

SELECT id FROM author INTERSECT ALL SELECT author_id FROM book ORDER BY 1

SELECT CASE WHEN price IS NULL THEN 'free' WHEN price > 9 THEN 'dear' ELSE 'cheap' END, (SELECT name FROM author WHERE id = author_id) FROM book ORDER BY id

SELECT book, author FROM book JOIN author ON author.id = author_id ORDER BY book.id

TABLE author

SELECT id FROM author FOR UPDATE

SELECT id FROM book WHERE id = 1 FOR NO KEY UPDATE SKIP LOCKED

SELECT id FROM author ORDER BY id FOR SHARE NOWAIT

SELECT count(*) FROM author, book

SELECT * FROM author TABLESAMPLE SYSTEM (100) REPEATABLE (1) ORDER BY id`,
  ),
  script(
    'common table expressions',
    String.raw`
WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t WHERE n < 10) SELECT sum(n), array_agg(n) FROM t

WITH a AS MATERIALIZED (SELECT 1 AS x), b AS NOT MATERIALIZED (SELECT x + 1 AS y FROM a) SELECT * FROM a, b

CREATE TABLE tree (id int PRIMARY KEY, parent int, label text)

WITH source(id, parent, label) AS (VALUES (1, NULL::int, 'root'), (2, 1, 'left'), (3, 1, 'right'), (4, 2, 'leaf')) INSERT INTO tree SELECT * FROM source RETURNING id, label

WITH RECURSIVE path AS (SELECT id, label FROM tree WHERE parent IS NULL UNION ALL SELECT t.id, p.label || '/' || t.label FROM tree t JOIN path p ON t.parent = p.id) SELECT * FROM path ORDER BY id

WITH RECURSIVE path(id) AS (SELECT id, parent FROM tree WHERE parent IS NULL UNION ALL SELECT t.id, t.parent FROM tree t JOIN path p ON t.parent = p.id) SEARCH DEPTH FIRST BY id SET place SELECT id FROM path ORDER BY place

WITH gone AS (DELETE FROM tree WHERE id = 4 RETURNING *) SELECT id + 10, label FROM gone

WITH changed AS (UPDATE tree SET label = upper(label) WHERE parent = 1 RETURNING id, label) SELECT * FROM changed ORDER BY id

WITH new AS (INSERT INTO tree VALUES (20, 1, 'new') RETURNING id) SELECT count(*) FROM new, tree

SELECT * FROM tree ORDER BY id`,
  ),
  script(
    'what a reader must not answer differently',
    String.raw`
SELECT pg_is_in_recovery()

SHOW transaction_read_only

SELECT current_setting('transaction_read_only'), current_setting('in_hot_standby')

SHOW in_hot_standby

SELECT current_user, session_user, current_database(), current_schema(), current_schemas(false)

SELECT current_setting('max_connections') = current_setting('max_connections'), current_setting('no.such', true)

!42704
SELECT current_setting('no.such')

SELECT txid_current() > 0, pg_current_xact_id() > '0'::xid8, txid_current_if_assigned() IS NULL

SELECT pg_current_wal_lsn() > '0/0', pg_walfile_name('0/1000000') <> ''

SELECT now() = transaction_timestamp(), statement_timestamp() <= clock_timestamp(), now() > '2020-01-01'

SELECT random() BETWEEN 0 AND 1, gen_random_uuid() IS NOT NULL

SELECT setseed(0.5), random() = random()

SELECT pg_backend_pid() = pg_backend_pid(), inet_server_port() IS NOT NULL, pg_postmaster_start_time() < now()

SELECT version() LIKE 'PostgreSQL%', pg_sleep(0)`,
    { leaves: 'nothing' },
  ),
  script(
    'plans',
    String.raw`
CREATE TABLE planned (id int PRIMARY KEY, v text)

INSERT INTO planned SELECT n, 'v' || n FROM generate_series(1, 100) AS n

ANALYZE planned

EXPLAIN (COSTS OFF) SELECT * FROM planned WHERE id = 5

EXPLAIN (COSTS OFF, VERBOSE) SELECT v, count(*) FROM planned GROUP BY v ORDER BY 2

EXPLAIN (COSTS OFF, FORMAT JSON) SELECT 1

EXPLAIN (COSTS OFF, FORMAT YAML) INSERT INTO planned VALUES (1000)

EXPLAIN (COSTS OFF) DELETE FROM planned

EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) INSERT INTO planned VALUES (101, 'x') RETURNING id

EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT count(*) FROM planned

EXPLAIN (COSTS OFF) CREATE TABLE planned_too AS SELECT * FROM planned

SELECT count(*), max(id) FROM planned

!42601
EXPLAIN (NONSENSE) SELECT 1

!42601
EXPLAIN VACUUM`,
  ),
];
