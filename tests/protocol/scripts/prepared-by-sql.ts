/** SQL's own PREPARE, EXECUTE and DEALLOCATE. */
import { script } from '../script.ts';

export const preparedBySqlScripts = [
  script(
    'PREPARE and EXECUTE',
    String.raw`
CREATE TABLE stocked (id int PRIMARY KEY, v text)

PREPARE read AS SELECT 1 AS one

EXECUTE read

PREPARE write (int, text) AS INSERT INTO stocked VALUES ($1, $2) RETURNING *

EXECUTE write (1, 'one')

EXECUTE write (2, NULL)

!23505
EXECUTE write (1, 'again')

PREPARE change AS UPDATE stocked SET v = $1 WHERE id = $2

EXECUTE change ('changed', 1)

EXECUTE change ('nobody', 99)

PREPARE list AS SELECT * FROM stocked ORDER BY id

EXECUTE list

BEGIN; EXECUTE write (3, 'three'); EXECUTE list; ROLLBACK

EXECUTE list

SELECT name, statement, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name

CREATE TABLE from_execute AS EXECUTE list

SELECT count(*) FROM from_execute

EXPLAIN (COSTS OFF) EXECUTE read

!42P05
PREPARE read AS SELECT 2

!42601
EXECUTE write (1)

!22P02
EXECUTE write ('x', 'y')

!26000
EXECUTE nothing

ALTER TABLE stocked ADD COLUMN extra int DEFAULT 7

!0A000
EXECUTE list

DEALLOCATE read

!26000
EXECUTE read

DEALLOCATE PREPARE list

DEALLOCATE ALL

!26000
DEALLOCATE write

SELECT * FROM stocked ORDER BY id`,
  ),
  script(
    'EXECUTE and its arguments',
    String.raw`
CREATE TABLE drawer (id serial PRIMARY KEY, label varchar(5), amount numeric(6,2), made timestamptz DEFAULT now(), n float8)

CREATE TYPE size AS ENUM ('small', 'large')

PREPARE put (varchar, numeric, float8) AS INSERT INTO drawer (label, amount, n) VALUES ($1, $2, $3) RETURNING id, label, amount, n

EXECUTE put ('a', 1, 0.1)

EXECUTE put (upper('b') || 'c', 1 + 1.005, '1e-3')

EXECUTE put (NULL, NULL, 1.0/3)

!22001
execute   /* (a comment) */ "put" -- (another)
  ( 'say ''x''', -5, 1e300 * 10 )

execute/* (a comment) */"put"( 'x''', -5, 1e300 * 10 )

!22001
EXECUTE put ('too long', 1, 1)

!22P02
EXECUTE put ('a', 'many', 1)

!42703
EXECUTE put ('a', nothing, 1)

!42703
SELECT 'é', 1; EXECUTE put ('ü', nothing, 1); SELECT 2

!42804
EXECUTE put ('a', true, 1)

!0A000
EXECUTE put ((SELECT 'a'), 1, 1)

!42803
EXECUTE put (max(1)::text, 1, 1)

!22012
EXECUTE put ('a', 1/0, 1)

!42601
EXECUTE put

!42601
EXECUTE put ('a', 1, 2, 3)

PREPARE sized (size, int[], bytea, jsonb, date) AS SELECT $1, $2[1], $3, $4 -> 'k', $5 + 1, $1 > 'small'

EXECUTE sized ('large', ARRAY[1, 2], '\x00ff', '{"k": [1]}', '2024-02-28')

EXECUTE sized (NULL, '{7}', NULL, NULL, NULL)

!22P02
EXECUTE sized ('huge', NULL, NULL, NULL, NULL)

PREPARE untyped AS SELECT $1 || 'x', length($1)

EXECUTE untyped ('é')

!42P18
PREPARE unknown AS SELECT $1 IS NULL OR $2 IS NULL

!42P01
PREPARE missing AS SELECT * FROM nowhere

!42704
PREPARE typed (nosuch) AS SELECT $1

PREPARE "Quoted (name)" (numeric(4,2), "char") AS
  -- the query
  SELECT $1, $2 AS "as"

EXECUTE "Quoted (name)" (1.239, 'abc')

PREPARE divided (int) AS SELECT 10 / $1

EXECUTE divided (5)

!22012
EXECUTE divided (0)

PREPARE rowless AS UPDATE drawer SET label = 'z' WHERE id = $1

EXECUTE rowless (1)

EXECUTE rowless (99)

PREPARE removed (int) AS DELETE FROM drawer WHERE id = $1 RETURNING label

EXECUTE removed (1)

EXECUTE removed (1)

CREATE TABLE stocked_too (id int PRIMARY KEY, label text)

PREPARE merged (int) AS INSERT INTO stocked_too VALUES ($1, 'n') ON CONFLICT (id) DO UPDATE SET label = 'm' RETURNING label

EXECUTE merged (2)

EXECUTE merged (2)

PREPARE listed AS VALUES ($1::int), (2)

EXECUTE listed (1)

SELECT id, label, amount, n FROM drawer ORDER BY id`,
  ),
  script(
    'EXECUTE that fails behind rows, and EXECUTE in a function',
    String.raw`
PREPARE halfway AS SELECT 10 / (3 - g) FROM generate_series(1, 5) g

!22012
EXECUTE halfway

PREPARE inner_one AS SELECT 1

DO $$ BEGIN EXECUTE 'EXECUTE inner_one'; END $$`,
  ),
  script(
    'prepared statements outlive what they were made in',
    String.raw`
BEGIN; PREPARE within AS SELECT 'made in a block'; ROLLBACK

EXECUTE within

!22012
PREPARE before AS SELECT 1; SELECT 1/0; PREPARE behind AS SELECT 2

EXECUTE before

!26000
EXECUTE behind

BEGIN

!22012
SELECT 1/0

!25P02
EXECUTE within

!25P02
PREPARE failed AS SELECT 1

!25P02
DEALLOCATE within

ROLLBACK

!26000
EXECUTE failed

BEGIN READ ONLY

EXECUTE within

PREPARE read_only (int) AS SELECT $1 * 2

EXECUTE read_only (4)

!25006
CREATE TABLE refused (id int)

COMMIT

EXECUTE read_only (5)

CREATE TABLE replaced (a int)

PREPARE over AS SELECT * FROM replaced

DROP TABLE replaced

!42P01
EXECUTE over

CREATE TABLE replaced (a int)

EXECUTE over

SET search_path = pg_catalog

!42P01
EXECUTE over

RESET search_path

EXECUTE over

PREPARE again AS SELECT 1

DEALLOCATE again

PREPARE again AS SELECT 'two'

EXECUTE again

EXPLAIN (COSTS OFF) EXECUTE read_only (1)

!26000
EXPLAIN EXECUTE nobody

!26000
CREATE TABLE never AS EXECUTE nobody

CREATE TABLE ran AS EXECUTE read_only (21)

SELECT * FROM ran

CREATE TEMP TABLE passing AS EXECUTE again

SELECT * FROM passing

SELECT name, parameter_types, from_sql FROM pg_prepared_statements ORDER BY name

SELECT name, statement FROM pg_prepared_statements WHERE name IN ('over', 'read_only') ORDER BY name

SELECT statement FROM pg_prepared_statements WHERE name = 'before'

BEGIN; SELECT count(*) FROM pg_prepared_statements; COMMIT

DEALLOCATE ALL

SELECT count(*) FROM pg_prepared_statements`,
  ),
];
