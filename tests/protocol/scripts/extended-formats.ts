import { script } from '../script.ts';

export const extendedFormatScripts = [
  script(
    'binary values of numbers',
    String.raw`
> Parse s (int2, int4, int8, float4, float8): SELECT $1, $2, $3, $4, $5
> Bind "" s (0x7fff, 0xfffffffe, 0x0000000100000000, 0x3fc00000, 0x400921fb54442d18) formats 1
> Execute
> Bind "" s (0x8000, 0x80000000, 0x8000000000000000, 0x7fc00000, 0xfff0000000000000) formats 1 results 1
> Execute
> Bind "" s (1, 2, 3, 4.5, 1e300) results 1
> Execute
> Bind "" s (NULL, NULL, NULL, NULL, NULL) formats 1 results 1
> Execute
> Sync

> Parse n (numeric): SELECT $1, $1 * 2
> Bind "" n (0x00010000000000020001) formats 1
> Execute
> Bind "" n (0x0002000000000002000109c4) formats 1
> Execute
> Bind "" n (123456789.5) results 1
> Execute
> Bind "" n (-0.0001) results 1
> Execute
> Bind "" n (NaN) results 1
> Execute
> Sync

!08P01
> Bind "" n (0x0001) formats 1
> Sync

!08P01
> Bind "" n (0x00) formats 1
> Sync

!08P01
> Bind "" s (0x7f, 0xfffffffe, 0x0000000100000000, 0x3fc00000, 0x400921fb54442d18) formats 1
> Sync`,
  ),
  script(
    'binary values of text and bytes',
    String.raw`
> Parse s (text, varchar, bytea): SELECT $1, $2, $3
> Bind "" s (plain, 'ü🐘', 0x00ff) formats 1
> Execute
> Bind "" s (plain, 'ü🐘', 0x00ff) formats 1 results 1
> Execute
> Bind "" s ('', '', '') formats 1 results 1
> Execute
> Bind "" s (plain, var, \x00ff) formats 0 results 0,0,1
> Execute
> Bind "" s (plain, var, 0x00ff) formats 0,1,1 results 1,0,0
> Execute
> Sync

!22021
> Bind "" s (0xc3, x, y) formats 1
> Sync

!22021
> Bind "" s (0x00, x, y) formats 1
> Sync`,
  ),
  script(
    'binary values of other types',
    String.raw`
> Parse s (bool, date, timestamptz, timestamp, uuid, json, jsonb): SELECT $1, $2, $3, $4, $5, $6, $7
> Bind "" s (t, 2026-11-23, '2026-11-23 18:30:00+00', '2026-11-23 18:30:00', 00112233-4455-6677-8899-aabbccddeeff, '{"a": 1}', '{"b": [null]}') results 1
> Execute
> Bind "" s (0x01, 0x00002665, 0x0003039a5e1a8a00, 0x0003039a5e1a8a00, 0x00112233445566778899aabbccddeeff, 0x7b7d, 0x017b7d) formats 1
> Execute
> Bind "" s (NULL, NULL, NULL, NULL, NULL, NULL, NULL) formats 1 results 1
> Execute
> Sync

> Run results 1: SELECT '1 mon 2 days 03:04:05'::interval, '10.0.0.0/8'::inet, '[1,5)'::int4range, 'a=>'::text, '(1,2)'::point, B'101', '12:34'::time, '08:00:2b:01:02:03'::macaddr, 1::oid, 'x'::"char", 'pg_class'::name
> Sync

!22P03
> Bind "" s (0x0101, NULL, NULL, NULL, NULL, NULL, NULL) formats 1
> Sync

!22P02
> Bind "" s (NULL, NULL, NULL, NULL, NULL, 0x7b, NULL) formats 1
> Sync

!XX000
> Bind "" s (NULL, NULL, NULL, NULL, NULL, NULL, 0x027b7d) formats 1
> Sync`,
  ),
  script(
    'binary arrays and records',
    String.raw`
> Parse s (int4[], text[]): SELECT $1, $2, cardinality($1)
> Bind "" s ('{1,2,NULL}', '{a,"b c",NULL}') results 1
> Execute
> Bind "" s (0x00000001000000000000001700000002000000010000000400000007000000040000002a, 0x00000001000000010000001900000002000000010000000161ffffffff) formats 1
> Execute
> Bind "" s ('{}', '{}') results 1
> Execute
> Sync

!42804
> Bind "" s (0x00000001000000000000001400000001000000010000000800000000000000ff, NULL) formats 1
> Sync

> Run results 1: SELECT ROW(1, 'x'::text, NULL::int), ARRAY[[1, 2], [3, 4]], ARRAY['2026-01-01'::date]
> Sync`,
  ),
  script(
    'formats for each column',
    String.raw`
> Parse s (int4, text, int4): SELECT $1 AS a, $2 AS b, $3 AS c, $1 + $3 AS d
> Describe statement s
> Bind "" s (1, two, 3)
> Describe portal
> Execute
> Bind "" s (1, two, 3) results 1
> Describe portal
> Execute
> Bind "" s (1, two, 3) results 0
> Describe portal
> Execute
> Bind "" s (1, two, 3) results 0,1,1,0
> Describe portal
> Execute
> Bind "" s (0x00000001, two, 3) formats 1,0,0 results 1,0,0,1
> Describe portal
> Execute
> Bind "" s (0x00000001, NULL, 0x00000003) formats 1,1,1 results 1,1,1,1
> Execute
> Sync

> Bind p s (1, x, 2) results 1
> Bind q s (1, x, 2)
> Execute p
> Execute q
> Describe statement s
> Sync

!42P01
> Run results 0: INSERT INTO pg_temp.none SELECT 1
> Sync`,
  ),
  script(
    'writes with binary values',
    String.raw`
CREATE TABLE typed (i2 int2, i4 int4 PRIMARY KEY, i8 int8, f8 float8, n numeric(10,2), t text, b bytea, d date, z timestamptz, u uuid, j jsonb, a int4[], l bool)

> Parse w: INSERT INTO typed VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING *
> Describe statement w
> Bind "" w (0x7fff, 0x00000001, 0x0000000100000000, 0x400921fb54442d18, 0x00010000000000020001, 'ü🐘', 0x00ff5c27, 0x00002665, 0x0003039a5e1a8a00, 0x00112233445566778899aabbccddeeff, 0x017b7d, 0x00000001000000000000001700000001000000010000000400000007, 0x01) formats 1 results 1
> Execute
> Bind "" w (-1, 2, 9000000000, 1e-300, 1.005, 'it''s \ "q"', \x5c27, 2026-11-23, '2026-11-23 18:30+09', 00112233-4455-6677-8899-aabbccddeeff, '{"k": "v''"}', '{1,NULL}', f)
> Execute
> Bind "" w (NULL, 3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL) results 1
> Execute
> Bind "" w (NULL, 0x00000004, NULL, NULL, NULL, '', 0x, NULL, NULL, NULL, NULL, NULL, NULL) formats 1
> Execute
> Sync

> Parse u: UPDATE typed SET i8 = $2, t = $3, b = $4 WHERE i4 = $1 RETURNING i8, t, b
> Bind "" u (0x00000001, 0x00000000000000ff, 'x', 0x00) formats 1 results 1
> Execute
> Bind "" u (2, 5, NULL, NULL) results 0,0,1
> Execute
> Sync

> Parse d: DELETE FROM typed WHERE i4 = $1 RETURNING i4
> Bind "" d (0x00000003) formats 1 results 1
> Execute
> Sync

SELECT * FROM typed ORDER BY i4`,
  ),
  script(
    'values that depend on settings',
    String.raw`
CREATE TABLE settled (id int PRIMARY KEY, d date, z timestamptz, f float8, b bytea, i interval)

SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'; SET extra_float_digits = -10; SET bytea_output = 'escape'; SET IntervalStyle = 'iso_8601'

> Parse w: INSERT INTO settled VALUES ($1, $2, $3, $4, $5, $6) RETURNING *
> Bind "" w (1, 01.02.2026, '01.02.2026 12:00', 0.1234567890123456, \x0041, P1DT2H)
> Execute
> Bind "" w (2, 01.02.2026, '01.02.2026 12:00', 0.1234567890123456, \x0041, P1DT2H) results 1
> Execute
> Sync

RESET ALL

> Run: SELECT * FROM settled ORDER BY id
> Sync

> Run: SET DateStyle = 'SQL, DMY'
> Bind "" w (3, 01/02/2026, '01/02/2026 12:00', 1, x, '1 day')
> Execute
> Run: SET DateStyle = 'SQL, MDY'
> Bind "" w (4, 01/02/2026, '01/02/2026 12:00', 1, x, '1 day')
> Execute
> Sync

RESET ALL

SELECT * FROM settled ORDER BY id`,
  ),
  script(
    'values in another encoding',
    String.raw`
CREATE TABLE encoded (id int PRIMARY KEY, t text)

SET client_encoding = 'LATIN1'

> Parse w: INSERT INTO encoded VALUES ($1, $2) RETURNING t
> Bind "" w (1, 0xfc)
> Execute
> Bind "" w (0x00000002, 0xe9) formats 1 results 1
> Execute
> Sync

!22P05
> Run: SELECT U&'\+01F418'
> Sync

SET client_encoding = 'UTF8'

> Run: SELECT id, t, length(t) FROM encoded ORDER BY id
> Sync`,
  ),
  script(
    'enums, domains and composites',
    String.raw`
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')

CREATE DOMAIN positive AS int CHECK (VALUE > 0)

CREATE TYPE pair AS (a int, b text)

CREATE TABLE moods (id positive PRIMARY KEY, m mood, p pair, ms mood[])

> Parse w: INSERT INTO moods VALUES ($1, $2, $3, $4) RETURNING *
> Describe statement w
> Bind "" w (1, happy, '(1,"x y")', '{sad,ok}')
> Execute
> Bind "" w (0x00000002, ok, '(2,)', '{}') formats 1,1,0,0 results 1,1,0,0
> Execute
> Bind "" w (3, NULL, NULL, NULL)
> Describe portal
> Execute
> Sync

!22P02
> Bind "" w (4, furious, NULL, NULL)
> Sync

!22P02
> Bind "" w (4, furious, NULL, NULL) formats 0,1,0,0
> Sync

!23514
> Bind "" w (-1, NULL, NULL, NULL)
> Sync

> Run (happy): SELECT id, m > 'sad', (p).b FROM moods WHERE m = $1
> Sync

> Parse a: SELECT id FROM moods WHERE m = ANY ($1) ORDER BY id
> Describe statement a
> Bind "" a ('{ok,happy}')
> Execute
> Sync

ALTER TYPE mood ADD VALUE 'ecstatic'

> Bind "" w (5, ecstatic, NULL, '{ecstatic}')
> Execute
> Sync

SELECT * FROM moods ORDER BY id`,
  ),
];
