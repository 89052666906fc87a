/** Prepared statements whose tables, columns or search path have changed since. */
import { script } from '../script.ts';

export const extendedOutdatedScripts = [
  script(
    'a result type that changed',
    String.raw`
CREATE TABLE shape (id int PRIMARY KEY, t text)

INSERT INTO shape VALUES (1, 'one')

> Parse all: SELECT * FROM shape
> Parse some: SELECT id FROM shape
> Parse write: INSERT INTO shape (id) VALUES ($1) RETURNING *
> Bind "" all
> Describe portal
> Execute
> Bind "" some
> Execute
> Bind "" write (2)
> Execute
> Sync

ALTER TABLE shape ADD n int DEFAULT 7

!0A000
> Bind "" all
> Execute
> Sync

> Bind "" some
> Execute
> Sync

!0A000
> Bind "" write (3)
> Execute
> Sync

!0A000
> Describe statement all
> Sync

> Close statement all
> Parse all: SELECT * FROM shape
> Describe statement all
> Bind "" all
> Execute
> Sync

ALTER TABLE shape DROP n

!0A000
> Bind "" all
> Execute
> Sync

> Bind "" write (4)
> Execute
> Sync

ALTER TABLE shape ALTER t TYPE varchar(20)

!0A000
> Bind "" write (5)
> Execute
> Sync

SELECT * FROM shape ORDER BY id`,
  ),
  script(
    'a result type that changed in the same pipeline',
    String.raw`
CREATE TABLE reshaped (id int PRIMARY KEY)

!0A000
> Parse s: SELECT * FROM reshaped
> Bind "" s
> Execute
> Run: ALTER TABLE reshaped ADD t text
> Bind "" s
> Execute
> Sync

> Bind "" s
> Execute
> Sync

!0A000
> Run: BEGIN
> Run: ALTER TABLE reshaped ADD t text
> Bind "" s
> Sync

> Run: ROLLBACK
> Bind "" s
> Execute
> Sync`,
  ),
  script(
    'a table that was dropped and made again',
    String.raw`
CREATE TABLE phoenix (id int PRIMARY KEY, t text)

> Parse s: SELECT t FROM phoenix WHERE id = $1
> Parse i: INSERT INTO phoenix VALUES ($1, $2)
> Bind "" i (1, first)
> Execute
> Bind "" s (1)
> Execute
> Sync

DROP TABLE phoenix

!42P01
> Bind "" s (1)
> Sync

!42P01
> Bind "" i (1, x)
> Sync

CREATE TABLE phoenix (id int PRIMARY KEY, t text)

> Bind "" i (1, second)
> Execute
> Bind "" s (1)
> Execute
> Sync

ALTER TABLE phoenix RENAME TO ashes

!42P01
> Bind "" s (1)
> Sync

ALTER TABLE ashes RENAME TO phoenix

> Bind "" s (1)
> Execute
> Sync`,
  ),
  script(
    'a search path that changed',
    String.raw`
CREATE SCHEMA one_way

CREATE SCHEMA other_way

CREATE TABLE one_way.place (v text)

CREATE TABLE other_way.place (v text)

INSERT INTO one_way.place VALUES ('one')

INSERT INTO other_way.place VALUES ('other')

SET search_path = one_way

> Parse s: SELECT v FROM place
> Parse i: INSERT INTO place VALUES ($1)
> Bind "" s
> Execute
> Sync

SET search_path = other_way

> Bind "" s
> Execute
> Bind "" i (into_other)
> Execute
> Sync

!42P01
> Run: SET search_path = pg_catalog
> Bind "" s
> Sync

> Bind "" s
> Execute
> Sync

RESET search_path

SELECT * FROM other_way.place ORDER BY v; SELECT * FROM one_way.place`,
  ),
];
