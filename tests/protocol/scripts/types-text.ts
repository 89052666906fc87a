import { script } from '../script.ts';

export const textScripts = [
  script(
    'text, varchar and char',
    String.raw`
SELECT ''::text, NULL::text, 'a'::char(5), 'abc'::varchar(2), 'abcdef'::name, 'x'::"char", ''::"char"

SELECT 'it''s', E'tab\tnewline\nbackslash\\', U&'d\0061t\+000061', $$dollar 'quoted'$$, $tag$ $$ $tag$

SELECT 'grüße', '日本語', 'ελληνικά', '🐘', length('🐘日'), octet_length('🐘日'), upper('straße'), reverse('añb')

SELECT 'one' 
  'two', N'national'

!22001
SELECT 'abc'::text::varchar(2) WHERE false; CREATE TEMP TABLE short_text (v varchar(2)); INSERT INTO short_text VALUES ('abc')

SELECT repeat('x', 10000), repeat('日本', 3000)

SELECT 'abc' || NULL, concat('a', NULL, 'b'), concat_ws(',', 'a', NULL, 'b'), format('%s %I %L %%', 'a', 'B c', 'd''e')

SELECT lpad('7', 3, '0'), substring('PostgreSQL' FROM 5 FOR 3), overlay('Txxxxas' PLACING 'hom' FROM 2 FOR 4), position('S' IN 'SQL'), split_part('a,b,c', ',', 2)

SELECT regexp_replace('Thomas', '.[mN]a.', 'M'), 'abc' ~ '^a.c$', 'ABC' ~* 'b', regexp_match('foobarbeque', '(bar)(beque)'), 'abc' LIKE 'a%', 'abc' SIMILAR TO '%(b|d)%'

SELECT * FROM regexp_matches('foobarbequebaz', 'ba.', 'g')

!2201B
SELECT 'abc' ~ '('

SELECT md5('abc'), encode(sha256('abc'), 'hex'), ascii('€'), chr(8364), to_hex(255), translate('12345', '143', 'ax'), initcap('hi THERE')

SELECT quote_ident('Foo bar'), quote_literal(E'O\'Reilly\\'), quote_nullable(NULL), starts_with('alphabet', 'alph'), strpos('high', 'ig')

SELECT 'a' < 'b' COLLATE "C", 'B' < 'a' COLLATE "C", 'ä' > 'z' COLLATE "C"

!42P21
SELECT 'a' COLLATE "C" < 'b' COLLATE "POSIX"

!42704
SELECT 'a' COLLATE nowhere`,
  ),
  script(
    'bytea',
    String.raw`
SELECT '\x'::bytea, '\xdeadbeef'::bytea, '\x00ff00'::bytea, 'abc\000\\'::bytea, NULL::bytea

SELECT length('\x0001'::bytea), '\x01'::bytea || '\x02', substring('\x010203'::bytea FROM 2), get_byte('\x0102', 1), set_byte('\x0102', 1, 255)

SET bytea_output = 'escape'

SELECT '\x'::bytea, '\xdeadbeef'::bytea, 'abc\000\\'::bytea

RESET bytea_output

!22023
SELECT '\xabc'::bytea

!22023
SELECT '\xzz'::bytea

SELECT encode('\x1234', 'base64'), decode('EjQ=', 'base64'), encode('\x00ff', 'escape'), convert_to('ü', 'LATIN1'), convert_from('\xfc', 'LATIN1')

!22021
SELECT convert_from('\xff', 'UTF8')

!22021
SELECT E'\xff'

!54000
SELECT chr(0)

!22021
SELECT E'\000'`,
    { leaves: 'nothing' },
  ),
  script(
    'client encodings',
    String.raw`
SET client_encoding = 'LATIN1'

SHOW client_encoding

SELECT chr(252) AS latin, 'plain'

!22P05
SELECT chr(8364)

SET client_encoding = 'WIN1252'

SELECT chr(8364)

SET NAMES 'UTF8'

SELECT chr(8364), '€'

!22023
SET client_encoding = 'KLINGON'

RESET client_encoding`,
    { leaves: 'nothing' },
  ),
  script(
    'full text search',
    String.raw`
SELECT 'a fat cat sat'::tsvector, 'a:1A fat:2B,3 cat'::tsvector, ''::tsvector

SELECT to_tsvector('english', 'The quick brown foxes jumped'), to_tsquery('english', 'fox & !dog'), plainto_tsquery('english', 'quick fox'), websearch_to_tsquery('english', '"quick brown" -dog')

SELECT to_tsvector('english', 'quick brown fox') @@ to_tsquery('english', 'quick <-> brown'), ts_rank(to_tsvector('simple', 'a b'), 'a'::tsquery)

SELECT ts_headline('english', 'the quick brown fox', to_tsquery('english', 'fox')), 'fat & rat'::tsquery && 'cat'::tsquery, numnode('a & b'::tsquery), strip('a:1'::tsvector)

!42601
SELECT 'a &'::tsquery

SELECT * FROM ts_parse('default', '123 - a number')

SELECT alias, token, lexemes FROM ts_debug('english', 'a cat')`,
    { leaves: 'nothing' },
  ),
];
