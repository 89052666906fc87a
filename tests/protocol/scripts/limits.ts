import { script } from '../script.ts';

/** What pprox refuses or does otherwise, so far or for good: each statement that differs is declared in `../differences.ts`. */
export const limitScripts = [
  script(
    'a client with two phases of its own',
    String.raw`
CREATE TABLE prepared_rows (id int PRIMARY KEY)

BEGIN; INSERT INTO prepared_rows VALUES (1)

PREPARE TRANSACTION 'battery-1'

ROLLBACK

!42704
COMMIT PREPARED 'battery-none'

ROLLBACK PREPARED 'battery-1'

SELECT count(*) FROM prepared_rows

PREPARE TRANSACTION 'battery-2'

SELECT 'the session goes on'`,
  ),
  script(
    'string literals by the old rules',
    String.raw`
SET standard_conforming_strings = off

SELECT 'a\\b', 'a\'b'

SELECT 'a\'; SELECT 1; --b'

SELECT 'no backslash', E'a\\b'

RESET standard_conforming_strings

SELECT 'a\\b'`,
    { leaves: 'nothing' },
  ),
  script(
    'procedures that end transactions',
    String.raw`
CREATE TABLE stages (v text PRIMARY KEY)

CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO stages VALUES ('first') ON CONFLICT DO NOTHING; COMMIT; INSERT INTO stages VALUES ('second'); ROLLBACK; END $$

CALL commits()

!2D000
BEGIN; CALL commits()

ROLLBACK

!2D000
SELECT 1; CALL commits()

SELECT 'the session goes on'`,
  ),
  script(
    'writes that are not replayed yet',
    String.raw`
CREATE TABLE chance (id serial PRIMARY KEY, v float8, at timestamptz)

INSERT INTO chance (v) VALUES (1), (2), (3)

UPDATE chance SET v = random()

UPDATE chance SET at = clock_timestamp() WHERE id = 1

DELETE FROM chance WHERE v > 100 + random()

WITH moved AS (DELETE FROM chance WHERE id = 3 RETURNING *) INSERT INTO chance SELECT id + 10, 5, NULL FROM moved

COPY chance (v) FROM STDIN
<4
<.

BEGIN; DECLARE w CURSOR FOR SELECT id FROM chance ORDER BY id FOR UPDATE; FETCH w

UPDATE chance SET v = 0 WHERE CURRENT OF w

ROLLBACK

SELECT setval('chance_id_seq', 50), currval('chance_id_seq')

SELECT 'the session goes on'`,
  ),
  script(
    'an index that could not be built',
    String.raw`
CREATE TABLE doubled (id int PRIMARY KEY, v text); INSERT INTO doubled VALUES (1, 'x'), (2, 'x')

!23505
CREATE UNIQUE INDEX CONCURRENTLY doubled_once ON doubled (v)

DROP INDEX CONCURRENTLY doubled_once

SELECT * FROM doubled ORDER BY id`,
  ),
];
