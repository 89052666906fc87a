import { script } from '../script.ts';

export const extendedBlockScripts = [
  script(
    'a block by extended queries',
    String.raw`
CREATE TABLE blocks (id int PRIMARY KEY, t text)

> Run: BEGIN
> Sync

> Run (1, one): INSERT INTO blocks VALUES ($1, $2)
> Sync

> Run (1): SELECT t FROM blocks WHERE id = $1
> Sync

> Run: COMMIT
> Sync

> Run: START TRANSACTION ISOLATION LEVEL REPEATABLE READ
> Sync

> Run: SHOW transaction_isolation
> Run (2, two): INSERT INTO blocks VALUES ($1, $2) RETURNING *
> Sync

> Run: END
> Sync

> Run: BEGIN
> Run (3, three): INSERT INTO blocks VALUES ($1, $2)
> Sync

> Run: ABORT
> Sync

> Run: SELECT * FROM blocks ORDER BY id
> Sync`,
  ),
  script(
    'a block begun by a Query and ended by messages, and the other way round',
    String.raw`
CREATE TABLE crossed (id int PRIMARY KEY)

BEGIN

> Run: INSERT INTO crossed VALUES (1)
> Run: COMMIT
> Sync

> Run: BEGIN
> Run: INSERT INTO crossed VALUES (2)
> Sync

INSERT INTO crossed VALUES (3)

COMMIT

BEGIN; INSERT INTO crossed VALUES (4)

> Run: SELECT count(*) FROM crossed
> Sync

ROLLBACK

> Run: SELECT count(*) FROM crossed
> Sync`,
  ),
  script(
    'read only blocks',
    String.raw`
CREATE TABLE read_only (id int PRIMARY KEY)

INSERT INTO read_only VALUES (1)

> Run: BEGIN READ ONLY
> Sync

> Parse s: SELECT * FROM read_only
> Bind p s
> Execute p limit 1
> Sync

> Execute p
> Sync

!25006
> Run: INSERT INTO read_only VALUES (2)
> Sync

!25P02
> Bind "" s
> Sync

> Run: ROLLBACK
> Sync

> Bind "" s
> Execute
> Sync

> Run: SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY
> Sync

!25006
> Run: DELETE FROM read_only
> Sync

> Run: BEGIN READ WRITE
> Run: DELETE FROM read_only RETURNING id
> Run: COMMIT
> Sync

> Run: SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE
> Sync`,
  ),
  script(
    'nested savepoints over many Syncs',
    String.raw`
CREATE TABLE nested (id int PRIMARY KEY)

> Parse i (int4): INSERT INTO nested VALUES ($1)
> Run: BEGIN
> Sync

> Bind "" i (1)
> Execute
> Run: SAVEPOINT a
> Bind "" i (2)
> Execute
> Sync

> Run: SAVEPOINT b
> Bind "" i (3)
> Execute
> Sync

!23505
> Bind "" i (1)
> Execute
> Sync

> Run: ROLLBACK TO b
> Bind "" i (4)
> Execute
> Sync

> Run: RELEASE a
> Sync

!3B001
> Run: ROLLBACK TO b
> Sync

> Run: ROLLBACK
> Sync

> Run: BEGIN
> Run: SAVEPOINT a
> Bind "" i (5)
> Execute
> Run: SAVEPOINT a
> Bind "" i (6)
> Execute
> Run: ROLLBACK TO a
> Run: RELEASE a
> Run: COMMIT
> Sync

SELECT * FROM nested ORDER BY id`,
  ),
  script(
    'BEGIN in a block and COMMIT outside',
    String.raw`
> Run: COMMIT
> Sync

> Run: ROLLBACK
> Sync

> Run: BEGIN
> Sync

> Run: BEGIN
> Sync

> Parse c: COMMIT
> Bind "" c
> Execute
> Sync

> Bind "" c
> Execute
> Sync

!25P01
> Run: COMMIT AND CHAIN
> Sync

> Run: BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY
> Run: COMMIT AND CHAIN
> Run: SHOW transaction_isolation
> Run: SHOW transaction_read_only
> Run: ROLLBACK
> Sync`,
  ),
  script(
    'transaction settings',
    String.raw`
> Run: BEGIN
> Run: SET TRANSACTION ISOLATION LEVEL SERIALIZABLE
> Run: SHOW transaction_isolation
> Sync

!25001
> Run: SELECT 1
> Run: SET TRANSACTION ISOLATION LEVEL READ COMMITTED
> Sync

> Run: ROLLBACK
> Sync

> Run: BEGIN
> Run: SET LOCAL statement_timeout = '7s'
> Run: SHOW statement_timeout
> Run: COMMIT
> Run: SHOW statement_timeout
> Sync`,
  ),
  script(
    'writes of a block are in order',
    String.raw`
CREATE TABLE ordered (id int PRIMARY KEY, n int)

> Parse i (int4, int4): INSERT INTO ordered VALUES ($1, $2)
> Parse u (int4, int4): UPDATE ordered SET n = n * 10 + $2 WHERE id = $1
> Run: BEGIN
> Bind "" i (1, 0)
> Execute
> Bind "" u (1, 1)
> Execute
> Bind "" u (1, 2)
> Execute
> Sync
> Bind "" u (1, 3)
> Execute
> Run: SELECT n FROM ordered
> Bind "" u (1, 4)
> Execute
> Sync
> Query: UPDATE ordered SET n = n * 10 + 5
> Bind "" u (1, 6)
> Execute
> Run: COMMIT
> Sync

SELECT * FROM ordered`,
  ),
  script(
    'COMMIT of a failed block by messages',
    String.raw`
CREATE TABLE never_kept (id int PRIMARY KEY)

> Parse c: COMMIT
> Parse p: INSERT INTO never_kept VALUES (1)
> Run: BEGIN
> Bind "" p
> Execute
> Sync

!23505
> Bind "" p
> Execute
> Bind "" c
> Execute
> Sync

> Bind "" c
> Execute
> Sync

SELECT count(*) FROM never_kept`,
  ),
];
