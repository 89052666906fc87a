import { script } from '../script.ts';

export const copyScripts = [
  script(
    'COPY out',
    String.raw`
CREATE TABLE source (id int PRIMARY KEY, t text, b bytea, n numeric)

INSERT INTO source VALUES (1, E'tab\tnew\nline\\', '\x00ff', 1.50), (2, NULL, NULL, NULL), (3, '', '\x', 'NaN'), (4, 'quote "x", comma', '\x41', -1)

COPY source TO STDOUT

COPY source (id, t) TO STDOUT WITH (DELIMITER '|', NULL 'nil')

COPY source TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE (t))

COPY source TO STDOUT (FORMAT csv, DELIMITER ';', QUOTE '''', NULL 'N', ENCODING 'UTF8')

COPY source TO STDOUT (FORMAT binary)

COPY (SELECT id, upper(t) FROM source WHERE id > 1 ORDER BY id DESC) TO STDOUT

COPY (SELECT repeat('x', 3000) FROM generate_series(1, 100)) TO STDOUT

COPY (SELECT 1 WHERE false) TO STDOUT

COPY (VALUES (1, 'a'), (2, 'b')) TO STDOUT CSV

COPY (DELETE FROM source WHERE id = 4 RETURNING id, t) TO STDOUT

COPY (SELECT) TO STDOUT

SELECT count(*) FROM source

!22012
COPY (SELECT 10 / (3 - n) FROM generate_series(1, 5) AS n) TO STDOUT

!42P01
COPY nowhere TO STDOUT

!42703
COPY source (nothing) TO STDOUT

!0A000
COPY source TO STDOUT (FORMAT csv, DELIMITER 'ab')

!42601
COPY source TO STDOUT (NONSENSE 1)

!58P01
COPY source FROM '/nowhere/at/all'

COPY source TO STDOUT; SELECT 1; COPY (SELECT 2) TO STDOUT`,
  ),
  script(
    'COPY in',
    String.raw`
CREATE TABLE target (id int PRIMARY KEY, t text DEFAULT 'none', n numeric CHECK (n < 1000))

COPY target FROM STDIN
<1␉one␉1.5
<2␉\N␉\N
<3␉tab\tnew\nline\\␉-1
<\.
<.

COPY target (id, n) FROM STDIN (FORMAT csv)
<4,10
<5,
<.

COPY target FROM STDIN (FORMAT csv, HEADER true, NULL 'nil', DELIMITER '|')
<id|t|n
<6|"quoted | ""x"""|nil
<7|nil|7
<.

COPY target FROM STDIN
<.

COPY target (t, id) FROM STDIN WITH DELIMITER ','
<日本,8
<🐘,9
<.

COPY target FROM STDIN (FORMAT binary)
<x 5047434f50590aff0d0a00
<x 0000000000000000
<x 0003000000040000000a0000000161ffffffff
<x ffff
<.

COPY target FROM STDIN WHERE id > 100
<11␉dropped␉1
<111␉kept␉1
<.

SELECT * FROM target ORDER BY id

!57014
COPY target FROM STDIN
<20␉x␉1
<! the client changed its mind

!57014
COPY target FROM STDIN
<! never mind

!22P02
COPY target FROM STDIN
<21␉x␉1
<twenty-two␉x␉1
<23␉x␉1
<.

!22P04
COPY target FROM STDIN
<24␉x
<.

!22P04
COPY target FROM STDIN
<25␉x␉1␉2
<.

!23505
COPY target FROM STDIN
<26␉x␉1
<1␉x␉1
<.

!23514
COPY target FROM STDIN
<27␉x␉1000
<.

!22P04
COPY target FROM STDIN (FORMAT csv)
<28,"unterminated,1
<.

!22P04
COPY target FROM STDIN (FORMAT binary)
<x 00010203040506070809
<.

!22021
COPY target FROM STDIN
<x 323909ff0931
<x 0a
<.

!42P01
COPY nowhere FROM STDIN
<1
<.

!42703
COPY target (nothing) FROM STDIN
<1
<.

SELECT count(*), max(id) FROM target`,
  ),
  script(
    'COPY in transactions and among other statements',
    String.raw`
CREATE TABLE loaded (id int PRIMARY KEY)

BEGIN

COPY loaded FROM STDIN
<1
<2
<.

SELECT count(*) FROM loaded

SAVEPOINT s

!22P02
COPY loaded FROM STDIN
<3
<x
<.

!25P02
COPY loaded FROM STDIN
<3
<.

ROLLBACK TO s

COPY loaded FROM STDIN
<4
<.

COMMIT

COPY loaded TO STDOUT

BEGIN

COPY loaded FROM STDIN
<5
<.

ROLLBACK

SELECT array_agg(id ORDER BY id) FROM loaded

INSERT INTO loaded VALUES (6); COPY loaded FROM STDIN; SELECT count(*) FROM loaded
<7
<8
<.

!23505
INSERT INTO loaded VALUES (9); COPY loaded FROM STDIN; SELECT 'not reached'
<10
<1
<.

COPY loaded FROM STDIN; COPY loaded FROM STDIN
<11
<.
<12
<.

SELECT array_agg(id ORDER BY id) FROM loaded

BEGIN READ ONLY

!25006
COPY loaded FROM STDIN
<13
<.

ROLLBACK

TRUNCATE loaded; COPY loaded FROM STDIN (FREEZE)
<1
<.

TABLE loaded`,
  ),
  script(
    'COPY with defaults, generated columns and triggers',
    String.raw`
CREATE TABLE rich (id serial PRIMARY KEY, v int, doubled int GENERATED ALWAYS AS (v * 2) STORED, note text DEFAULT 'by default')

CREATE FUNCTION annotate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := NEW.note || ' / ' || NEW.v; RAISE NOTICE 'row %', NEW.v; RETURN NEW; END $$

CREATE TRIGGER annotate BEFORE INSERT ON rich FOR EACH ROW EXECUTE FUNCTION annotate()

COPY rich (id, v) FROM STDIN
<1␉10
<2␉20
<3␉30
<.

SELECT * FROM rich ORDER BY id

COPY rich (id, v, note) TO STDOUT

!42P10
COPY rich (doubled) FROM STDIN
<1
<.

CREATE TABLE many (id int, pad text)

COPY many FROM STDIN
${Array.from({ length: 400 }, (_, n) => `<${n}␉${'x'.repeat(n)}`).join('\n')}
<.

SELECT count(*), sum(length(pad)), sum(id) FROM many`,
  ),
];
