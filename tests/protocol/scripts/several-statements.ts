import { script } from '../script.ts';

export const severalStatementScripts = [
  script(
    'several statements in one Query',
    String.raw`
CREATE TABLE tally (id int PRIMARY KEY, n int)

SELECT 1; SELECT 2; SELECT 3

INSERT INTO tally VALUES (1, 10); UPDATE tally SET n = n + 1; SELECT * FROM tally; DELETE FROM tally RETURNING *

!23505
INSERT INTO tally VALUES (2, 0); INSERT INTO tally VALUES (3, 0); INSERT INTO tally VALUES (2, 0); SELECT 'not reached'

SELECT count(*) FROM tally

!42601
INSERT INTO tally VALUES (4, 0); SELEC 1

!42703
INSERT INTO tally VALUES (5, 0); SELECT nothing FROM tally; INSERT INTO tally VALUES (6, 0)

SELECT count(*) FROM tally

SELECT 1;; ; SELECT 2;

CREATE TABLE made_here (v int); INSERT INTO made_here VALUES (1), (2); SELECT sum(v) FROM made_here; DROP TABLE made_here

!42P01
SELECT * FROM made_here

SELECT 1; -- comment; SELECT 2
SELECT 3; /* ; */

SET application_name = 'in a batch'; SHOW application_name; RESET application_name

SELECT ';' AS a, '$$' AS b; SELECT $a$;$a$

CREATE FUNCTION two(int) RETURNS int LANGUAGE sql AS 'SELECT 1; SELECT $1 * 2;'; SELECT two(4)

CREATE RULE r AS ON INSERT TO tally WHERE NEW.id = 77 DO INSTEAD (SELECT 1; SELECT 2); INSERT INTO tally VALUES (77, 7); DROP RULE r ON tally

SELECT ${Array.from({ length: 60 }, (_, n) => `${n}`).join('; SELECT ')}`,
  ),
  script(
    'transactions that begin and end inside one Query',
    String.raw`
CREATE TABLE ledger (id int PRIMARY KEY)

BEGIN; INSERT INTO ledger VALUES (1); COMMIT

INSERT INTO ledger VALUES (2); BEGIN; INSERT INTO ledger VALUES (3); COMMIT; INSERT INTO ledger VALUES (4)

BEGIN; INSERT INTO ledger VALUES (5)

INSERT INTO ledger VALUES (6); COMMIT; SELECT count(*) FROM ledger

INSERT INTO ledger VALUES (7); COMMIT; INSERT INTO ledger VALUES (8)

INSERT INTO ledger VALUES (9); ROLLBACK; INSERT INTO ledger VALUES (10)

SELECT array_agg(id ORDER BY id) FROM ledger

!23505
BEGIN; INSERT INTO ledger VALUES (11); COMMIT; INSERT INTO ledger VALUES (12); INSERT INTO ledger VALUES (11)

SELECT array_agg(id ORDER BY id) FROM ledger

!22012
BEGIN; INSERT INTO ledger VALUES (13); SELECT 1 / 0; COMMIT

!25P02
SELECT 1

COMMIT

SELECT array_agg(id ORDER BY id) FROM ledger

BEGIN; INSERT INTO ledger VALUES (14); ROLLBACK; BEGIN; INSERT INTO ledger VALUES (15); COMMIT; SELECT max(id) FROM ledger

BEGIN; SAVEPOINT a; INSERT INTO ledger VALUES (16); ROLLBACK TO a; INSERT INTO ledger VALUES (17); RELEASE a; COMMIT

!22012
SELECT 1 / 0; COMMIT

COMMIT; BEGIN; SELECT 1

ROLLBACK; SELECT 2

!25P01
INSERT INTO ledger VALUES (18); SAVEPOINT implicit

!25P01
SELECT 1; SAVEPOINT s; SELECT 2

BEGIN; INSERT INTO ledger VALUES (19); COMMIT AND CHAIN; INSERT INTO ledger VALUES (20); ROLLBACK AND CHAIN; SELECT count(*) FROM ledger; COMMIT

!25001
SELECT 1; VACUUM ledger

!25001
INSERT INTO ledger VALUES (21); CREATE DATABASE battery_never

!25P01
ROLLBACK AND CHAIN

BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT count(*) FROM ledger; SHOW transaction_isolation; COMMIT; SHOW transaction_isolation

!25001
SELECT 1; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 2

!25001
INSERT INTO ledger VALUES (22); BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 2

SELECT count(*) FROM ledger

CREATE TABLE battery_late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)

!23505
INSERT INTO battery_late VALUES (1), (1); SELECT count(*) FROM battery_late

!23505
SELECT 1; INSERT INTO battery_late VALUES (1), (1)

!23505
INSERT INTO battery_late VALUES (1), (1); SELECT count(*) FROM battery_late; SHOW work_mem; SELECT 2

!23505
INSERT INTO battery_late VALUES (1), (1); PREPARE last_one AS SELECT 1 AS one

EXECUTE last_one

!23505
INSERT INTO battery_late VALUES (1), (1); EXECUTE last_one

!23505
PREPARE late (int) AS INSERT INTO battery_late VALUES ($1), ($1); EXECUTE late (3)

!23505
EXECUTE last_one; EXECUTE late (4); DEALLOCATE last_one

!26000
EXECUTE last_one

DEALLOCATE late

DROP TABLE battery_late

LOCK TABLE ledger; SELECT 'implicit block';

!25P01
LOCK TABLE ledger

!25P01
DECLARE c CURSOR FOR SELECT 1

DECLARE c CURSOR FOR SELECT id FROM ledger ORDER BY id; FETCH 2 FROM c; CLOSE c

SELECT array_agg(id ORDER BY id) FROM ledger`,
  ),
];
