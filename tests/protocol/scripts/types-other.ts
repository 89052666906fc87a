import { script } from '../script.ts';

export const otherTypeScripts = [
  script(
    'network addresses and uuid',
    String.raw`
SELECT '192.168.0.1/24'::inet, '10.0.0.0/8'::cidr, '::1'::inet, '2001:db8::/32'::cidr, '08:00:2b:01:02:03'::macaddr, '08:00:2b:01:02:03:04:05'::macaddr8

SELECT host('10.1.2.3/8'::inet), masklen('10.1.2.3/8'::inet), network('10.1.2.3/8'::inet), '10.1.2.3'::inet << '10.0.0.0/8', '10.0.0.1'::inet + 5, broadcast('10.1.2.3/8'::inet), abbrev('10.1.0.0/16'::cidr)

SELECT 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'::uuid, '{a0eebc999c0b4ef8bb6d6bb9bd380a11}'::uuid, NULL::uuid

!22P02
SELECT '300.1.1.1'::inet

!22P02
SELECT '10.0.0.1/8'::cidr

!22P02
SELECT 'not-a-uuid'::uuid

!22P02
SELECT '08:00:2b'::macaddr`,
    { leaves: 'nothing' },
  ),
  script(
    'geometry',
    String.raw`
SELECT point '(1.5,-2)', line '{1,2,3}', lseg '[(0,0),(1,1)]', box '(3,4),(1,2)', path '((0,0),(1,1),(2,0))', path '[(0,0),(1,1)]', polygon '((0,0),(0,2),(2,2))', circle '<(1,1),5>'

SELECT point '(0,0)' <-> point '(3,4)', box '(2,2),(0,0)' @> point '(1,1)', area(circle '<(0,0),1>'), center(box '(2,2),(0,0)'), lseg '[(0,0),(2,2)]' ?# lseg '[(0,2),(2,0)]'

!22P02
SELECT point 'here'`,
    { leaves: 'nothing' },
  ),
  script(
    'xml, where the server has it',
    String.raw`
!? 0A000
SELECT length(coalesce(xmlcomment('x')::text, ''))

!? 0A000
SELECT xmlelement(name a, xmlattributes(1 AS b), 'text & more')

!? 0A000
SELECT '<a>1</a>'::xml

!? 0A000
SELECT xpath('//b/text()', '<a><b>1</b><b>2</b></a>')

!? 0A000
SELECT * FROM xmltable('/r/i' PASSING '<r><i k="1">a</i><i k="2">b</i></r>' COLUMNS k int PATH '@k', v text PATH '.')`,
    { leaves: 'nothing' },
  ),
  script(
    'object identifiers and system types',
    String.raw`
SELECT 'pg_class'::regclass, 'int4'::regtype, 'sum(int)'::regprocedure, '+(int,int)'::regoperator, 'pg_catalog'::regnamespace, 'english'::regconfig, 'now'::regproc

SELECT 'pg_class'::regclass::oid, 'int4'::regtype::oid, to_regclass('no_such_table'), to_regtype('no_such_type')

SELECT '(0,1)'::tid, '0/16B3748'::pg_lsn, '10:20:10,14,15'::pg_snapshot, '10'::xid, '10'::cid, '99'::xid8

SELECT pg_typeof(1), pg_typeof('x'), pg_typeof(NULL), pg_typeof(ARRAY[1]), pg_typeof(ROW(1)), pg_typeof(1.5)

!42P01
SELECT 'no_such_table'::regclass

!42704
SELECT 'no_such_type'::regtype

!42883
SELECT 'no_such_function(int)'::regprocedure

SELECT NULL, NULL::void IS NULL, 'x'::unknown`,
    { leaves: 'nothing' },
  ),
  script(
    'NULLs of every kind',
    String.raw`
SELECT NULL::int2, NULL::int4, NULL::int8, NULL::numeric, NULL::float4, NULL::float8, NULL::money, NULL::text, NULL::bytea, NULL::timestamptz, NULL::date, NULL::time, NULL::interval, NULL::bool

SELECT NULL::uuid, NULL::json, NULL::jsonb, NULL::inet, NULL::bit, NULL::tsvector, NULL::int4range, NULL::int4multirange, NULL::point, NULL::text[], NULL::record

SELECT NULL = NULL, NULL IS NULL, NULL IS DISTINCT FROM 1, coalesce(NULL, NULL, 3), nullif(1, 1), greatest(NULL, 2), least(3, NULL), NULL AND false, NULL OR true`,
    { leaves: 'nothing' },
  ),
  script(
    'a table with a column of every type',
    String.raw`
CREATE TABLE every_type (
  id int PRIMARY KEY, a smallint, b bigint, c numeric(12,4), d real, e double precision, f money, g text, h varchar(20), i char(6), j bytea,
  k date, l time, m timetz, n timestamp, o timestamptz, p interval, q boolean, r uuid, s json, t jsonb, u inet, v cidr, w macaddr, x bit(4),
  y varbit, z int[], aa text[][], ab int4range, ac nummultirange, ad point, ae tsvector, af pg_lsn, ag oid, ah name, ai "char")

INSERT INTO every_type VALUES (1, -1, 1e15::bigint, 12345678.9, 1.25, -2.5e10, 9.99, 'grün', 'var', 'ch', '\x0102', '2024-02-29', '12:34:56.5',
  '01:02:03+04', '2024-01-01 00:00:01', '2024-01-01 00:00:01+02', '1 mon 2 days', true, '00000000-0000-0000-0000-000000000001', '{"a": 1}', '{"a": 1}',
  '10.0.0.1', '10.0.0.0/8', '08:00:2b:01:02:03', '1010', '1', '{1,NULL}', '{{a,b},{c,d}}', '[1,2]', '{[1,2]}', '(1,2)', 'a b', '0/1', 7, 'name', 'c')

INSERT INTO every_type (id) VALUES (2)

SELECT * FROM every_type ORDER BY id

UPDATE every_type SET c = c / 3, p = p * 2, z = z || 9, t = t || '{"b": [true]}' WHERE id = 1 RETURNING c, p, z, t

COPY every_type TO STDOUT

COPY every_type TO STDOUT (FORMAT csv, HEADER)

DELETE FROM every_type WHERE id = 2 RETURNING *`,
  ),
];
