import { script } from '../script.ts';

export const structuredScripts = [
  script(
    'arrays',
    String.raw`
SELECT '{}'::int[], ARRAY[1,2,NULL], ARRAY[[1,2],[3,4]], '[0:2]={7,8,9}'::int[], NULL::int[]

SELECT ARRAY['a','b c','"q"','back\slash','',NULL,'NULL','{}'], ARRAY[true,false], ARRAY[1.5,2.25], ARRAY['\x00'::bytea], ARRAY[date '2024-01-01']

SELECT (ARRAY[1,2,3])[2], (ARRAY[1,2,3])[5], (ARRAY[[1,2],[3,4]])[2][1], (ARRAY[1,2,3,4])[2:3], array_dims(ARRAY[[1,2],[3,4]]), cardinality(ARRAY[1,2])

SELECT ARRAY[1,2] || 3, 0 || ARRAY[1], ARRAY[1] || ARRAY[2], ARRAY[1,2] @> ARRAY[2], ARRAY[1,2] && ARRAY[3], 2 = ANY (ARRAY[1,2]), 3 < ALL (ARRAY[4,5])

SELECT unnest(ARRAY[1,2,3]), unnest(ARRAY['x','y'])

SELECT array_agg(n ORDER BY n DESC), string_agg(n::text, '-' ORDER BY n), array_to_string(ARRAY[1,NULL,3], ',', '*'), string_to_array('a,b,,c', ',') FROM generate_series(1, 4) AS n

SELECT array_position(ARRAY['a','b'], 'b'), array_remove(ARRAY[1,2,1], 1), array_replace(ARRAY[1,2], 2, 9), array_fill(7, ARRAY[2,2]), array_upper(ARRAY[1,2], 1), trim_array(ARRAY[1,2,3], 1)

!22P02
SELECT '{1,2'::int[]

!2202E
SELECT ARRAY[ARRAY[1,2], ARRAY[3]]

!42804
SELECT ARRAY[1, true]

SELECT '1 2 3'::int2vector, '4 5'::oidvector

SELECT * FROM unnest(ARRAY[1,2], ARRAY['a','b','c']) WITH ORDINALITY AS u(n, s, place)`,
    { leaves: 'nothing' },
  ),
  script(
    'json and jsonb',
    String.raw`
SELECT 'null'::json, '"text"'::json, ' { "a" : 1,  "a" : 2 } '::json, '[]'::json, NULL::json

SELECT ' { "b" : 1,  "a" : 2, "a": 3 } '::jsonb, '[1, 2.50, 1e3, true, null, "x\u00e9"]'::jsonb, '{}'::jsonb

SELECT '{"a":{"b":[10,20]}}'::jsonb #> '{a,b,1}', '{"a":{"b":[10,20]}}'::jsonb #>> '{a,b,0}', '{"a":1}'::jsonb -> 'a', '{"a":"x"}'::jsonb ->> 'a', '[1,2]'::jsonb -> -1

SELECT '{"a":1,"b":2}'::jsonb @> '{"a":1}', '{"a":1}'::jsonb ? 'a', '{"a":1}'::jsonb ?| ARRAY['b','a'], '{"a":1}'::jsonb ?& ARRAY['a','b'], '{"a":1}'::jsonb || '{"b":2}', '{"a":1,"b":2}'::jsonb - 'a', '[1,2,3]'::jsonb #- '{1}'

SELECT jsonb_build_object('a', 1, 'b', ARRAY[1,2]), json_build_array(1, 'x', NULL), to_jsonb(row(1, 'a')), row_to_json(row(1, NULL)), jsonb_strip_nulls('{"a":null}'), jsonb_typeof('1')

SELECT jsonb_set('{"a":[1,2]}', '{a,0}', '9'), jsonb_insert('{"a":[1]}', '{a,0}', '0'), jsonb_pretty('{"a":[1,{"b":2}]}')

SELECT key, value FROM jsonb_each('{"a":1,"b":"x"}') ORDER BY key

SELECT * FROM jsonb_to_recordset('[{"a":1,"b":"x"},{"a":2}]') AS r(a int, b text)

SELECT * FROM json_array_elements_text('["x", null, 3]')

SELECT jsonb_path_query_array('{"a":[1,2,3,4]}', '$.a[*] ? (@ > 2)'), jsonb_path_exists('{"a":1}', '$.a'), '{"a":1}'::jsonb @@ '$.a == 1', '$.a[*]'::jsonpath

!22P02
SELECT '{"a":}'::json

!22P02
SELECT '{"a": 1, }'::jsonb

!22P05
SELECT '"\u0000"'::jsonb

!22023
SELECT jsonb_each('[1]')

!42601
SELECT '$.a['::jsonpath

SELECT json_agg(x ORDER BY x), jsonb_object_agg(x::text, x) FROM generate_series(1,3) AS x

SELECT ('{"a":{"b":1}}'::jsonb)['a']['b']`,
    { leaves: 'nothing' },
  ),
  script(
    'ranges and multiranges',
    String.raw`
SELECT '[1,5)'::int4range, '(1,5]'::int4range, 'empty'::int4range, '(,5)'::int4range, '[2024-01-01,2024-02-01]'::daterange, '[1.5,2.5]'::numrange, NULL::int8range

SELECT tsrange('2024-01-01', '2024-01-02', '()'), tstzrange('2024-01-01 00:00+00', NULL), int8range(1, 10) * int8range(5, 20), int4range(1,5) + int4range(5,9), int4range(1,9) - int4range(1,3)

SELECT int4range(1,5) @> 3, int4range(1,5) && int4range(4,8), int4range(1,5) << int4range(7,8), int4range(1,3) -|- int4range(3,5), lower(int4range(1,5)), upper_inc(int4range(1,5)), isempty('empty'::int4range)

SELECT '{}'::int4multirange, '{[1,3),[5,7)}'::int4multirange, '{[1,5],[4,9]}'::nummultirange, int4multirange(int4range(1,2), int4range(2,3)), '{[2024-01-01,2024-01-03)}'::datemultirange

SELECT range_agg(r) FROM (VALUES (int4range(1,3)), (int4range(2,6)), (int4range(8,9))) AS v(r)

SELECT unnest('{[1,3),[5,7)}'::int4multirange), '{[1,3)}'::int4multirange @> 2, range_merge('{[1,3),[5,7)}'::int4multirange)

!22000
SELECT '[5,1]'::int4range

!22P02
SELECT '[1,2'::int4range

!22000
SELECT int4range(1,2) + int4range(5,6)`,
    { leaves: 'nothing' },
  ),
  script(
    'composite types, enums and domains',
    String.raw`
CREATE TYPE pair AS (x int, y text)

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')

CREATE DOMAIN even AS int CONSTRAINT is_even CHECK (VALUE % 2 = 0)

CREATE DOMAIN required AS text NOT NULL

CREATE TABLE typed (id int PRIMARY KEY, p pair, m mood, e even, ps pair[], ms mood[])

INSERT INTO typed VALUES (1, ROW(1, 'a'), 'ok', 2, ARRAY[ROW(1,'x')::pair, NULL], '{sad,happy}') RETURNING *

INSERT INTO typed (id, p.x, p.y) VALUES (2, 5, 'comma, "quote"')

SELECT * FROM typed ORDER BY id

SELECT id, (p).x, (p).y, p, m > 'sad', e + 1, ps[1], (ps[1]).y FROM typed ORDER BY id

SELECT (p).* FROM typed ORDER BY id

SELECT ROW(1, NULL, 'a b', ROW(2, '')), ROW(), ROW(NULL), '(7,"x y")'::pair, typed FROM typed WHERE id = 2

SELECT enum_range(NULL::mood), enum_first(NULL::mood), 'ok'::mood < 'happy', max(m) FROM typed

UPDATE typed SET p.y = 'changed', m = 'happy' WHERE id = 1 RETURNING p, m

!22P02
SELECT 'ecstatic'::mood

!22P02
INSERT INTO typed (id, m) VALUES (3, 'angry')

!23514
INSERT INTO typed (id, e) VALUES (3, 3)

!23514
SELECT 3::even

!23502
SELECT NULL::required

!22P02
SELECT '(1'::pair

!42846
SELECT ROW(1, 2, 3)::pair

ALTER TYPE mood ADD VALUE 'ecstatic' AFTER 'happy'

SELECT 'ecstatic'::mood, enum_range('ok'::mood, NULL)

ALTER TYPE pair ADD ATTRIBUTE z int

SELECT p FROM typed ORDER BY id

ALTER DOMAIN even DROP CONSTRAINT is_even

SELECT 3::even`,
  ),
];
