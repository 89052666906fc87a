/** Prepared statements of Parse: how long they live, who sees them, where their parameters stand. */
import { script } from '../script.ts';

export const extendedPreparedScripts = [
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
