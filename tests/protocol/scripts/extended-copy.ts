import { script } from '../script.ts';

export const extendedCopyScripts = [
  script(
    'COPY out by extended query',
    String.raw`
CREATE TABLE copied_out (id int PRIMARY KEY, t text)

INSERT INTO copied_out VALUES (1, 'one'), (2, E'tab\t'), (3, NULL)

> Run: COPY copied_out TO STDOUT
> Sync

> Parse c: COPY (SELECT id, upper(t) FROM copied_out ORDER BY id DESC) TO STDOUT (FORMAT csv)
> Describe statement c
> Bind p c
> Describe portal p
> Execute p
> Sync

> Bind "" c
> Execute "" limit 1
> Sync

> Run: COPY copied_out TO STDOUT (FORMAT binary)
> Run: SELECT 'behind'
> Sync

> Bind "" c results 1
> Execute
> Flush
> Run: COPY (SELECT 1) TO STDOUT
> Sync

!08P01
> Run (1): COPY (SELECT $1::int) TO STDOUT
> Sync

!42P01
> Run: COPY nowhere TO STDOUT
> Sync

!22012
> Run: COPY (SELECT 10 / (3 - n) FROM generate_series(1, 5) AS n) TO STDOUT
> Run: SELECT 'skipped'
> Sync

> Run: COPY (SELECT n, repeat('x', 1000) FROM generate_series(1, 50) AS n) TO STDOUT
> Sync`,
  ),
  script(
    'COPY in by extended query',
    String.raw`
CREATE TABLE copied_in (id int PRIMARY KEY, t text)

> Run: COPY copied_in FROM STDIN
<1␉one
<2␉\N
<.
> Sync

> Parse c: COPY copied_in FROM STDIN (FORMAT csv)
> Describe statement c
> Bind "" c
> Execute
= 5 messages

<3,three
<4,"fo,ur"
<.
> Sync

> Bind "" c
> Execute
<5,five
<.
> Bind "" c
> Execute
<6,six
<.
> Sync

> Bind "" c
> Execute
<.
> Sync

> Run: SELECT count(*) FROM copied_in
> Run: COPY copied_in FROM STDIN
<7␉seven
<.
> Run: SELECT count(*) FROM copied_in
> Sync

SELECT * FROM copied_in ORDER BY id`,
  ),
  script(
    'Sync and Flush during COPY in',
    String.raw`
CREATE TABLE synced (id int PRIMARY KEY, t text)

= 1 ready
> Run: COPY synced FROM STDIN
> Flush
> Sync
<1␉one
> Flush
<2␉two
> Sync
<.
> Sync

> Run: COPY synced FROM STDIN
> Sync
= 4 messages

<3␉three
<.
> Sync

SELECT * FROM synced ORDER BY id`,
  ),
  script(
    'COPY in that fails',
    String.raw`
CREATE TABLE failed_copy (id int PRIMARY KEY, t text)

!57014
> Run: COPY failed_copy FROM STDIN
<1␉one
<! changed my mind
> Sync

!57014
> Run: INSERT INTO failed_copy VALUES (10, 'ten')
> Run: COPY failed_copy FROM STDIN
<1␉one
<! changed my mind
> Run: SELECT 'skipped'
> Sync

!22P02
> Run: COPY failed_copy FROM STDIN
<1␉one
<x␉two
<3␉three
<.
> Sync

!23505
> Run: INSERT INTO failed_copy VALUES (2, 'two')
> Run: COPY failed_copy FROM STDIN
<2␉again
<.
> Sync

!42P01
> Run: COPY nowhere FROM STDIN
<1␉one
<.
> Sync

!22P04
> Run: COPY failed_copy FROM STDIN
<1
<.
> Run: SELECT 'skipped'
> Sync

SELECT count(*) FROM failed_copy`,
  ),
  script(
    'COPY in a block',
    String.raw`
CREATE TABLE copied_block (id int PRIMARY KEY, t text)

> Run: BEGIN
> Run: COPY copied_block FROM STDIN
<1␉one
<.
> Run: SELECT count(*) FROM copied_block
> Run: COPY copied_block TO STDOUT
> Sync

> Run: COMMIT
> Sync

!22P02
> Run: BEGIN
> Run: COPY copied_block FROM STDIN
<x
<.
> Run: COMMIT
> Sync

!25P02
> Run: COPY copied_block TO STDOUT
> Sync

> Run: ROLLBACK
> Sync

> Run: BEGIN
> Run: SAVEPOINT s
> Sync

!57014
> Run: COPY copied_block FROM STDIN
<2␉two
<! no
> Sync

> Run: ROLLBACK TO s
> Run: COPY copied_block FROM STDIN
<3␉three
<.
> Run: COMMIT
> Sync

SELECT * FROM copied_block ORDER BY id`,
  ),
  script(
    'COPY data without COPY',
    String.raw`
> Run: SELECT 1
<1␉one
<.
<! no
> Run: SELECT 2
> Sync

<1␉one
> Sync

<.
<! no
> Sync`,
  ),
];
