/** What the catalog is asked of a table (`table.ts`). */
import { withEscapes } from '../sql/quote.ts';
import { callsBinding, DEPENDED_ON, holdsNumbers, typesWithin, UNBELIEVED, unnamedCode } from './catalog-queries.ts';

/** Functions of the user's (proc) that may be run where rows of this table are stored, whatever they are declared as; those of conditions of triggers (WHEN) too. */
const runBy = (of: string): string => `SELECT p.refobjid AS proc FROM (
    SELECT 'pg_catalog.pg_constraint'::regclass AS classid, oid FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0 AND conrelid = ${of}
    UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, n.oid FROM pg_catalog.pg_constraint n
      JOIN ${typesWithin(of)} y ON y.oid = n.contypid WHERE n.contypid <> 0
    UNION ALL SELECT 'pg_catalog.pg_cast'::regclass, n.oid FROM pg_catalog.pg_cast n
      JOIN pg_catalog.pg_attribute a ON a.atttypid = n.casttarget WHERE n.oid >= 16384 AND n.castcontext <> 'e' AND a.attrelid = ${of}
    UNION ALL SELECT 'pg_catalog.pg_type'::regclass, atttypid FROM pg_catalog.pg_attribute WHERE atttypid >= 16384 AND attrelid = ${of}
    UNION ALL SELECT 'pg_catalog.pg_attrdef'::regclass, oid FROM pg_catalog.pg_attrdef WHERE adrelid = ${of}
    UNION ALL SELECT 'pg_catalog.pg_class'::regclass, indexrelid FROM pg_catalog.pg_index WHERE (indexprs IS NOT NULL OR indpred IS NOT NULL) AND indrelid = ${of}
    UNION ALL SELECT 'pg_catalog.pg_class'::regclass, partrelid FROM pg_catalog.pg_partitioned_table WHERE partexprs IS NOT NULL AND partrelid = ${of}
    UNION ALL SELECT 'pg_catalog.pg_trigger'::regclass, oid FROM pg_catalog.pg_trigger WHERE tgqual IS NOT NULL AND tgrelid = ${of}
    UNION ALL SELECT 'pg_catalog.pg_policy'::regclass, oid FROM pg_catalog.pg_policy WHERE polrelid = ${of} OFFSET 0) o
  CROSS JOIN LATERAL (${DEPENDED_ON}) p`;

/** What is computed where rows of this table are stored, changed or deleted. */
const expressionsOf = (
  of: string,
): string => `SELECT adbin::text AS expression FROM pg_catalog.pg_attrdef WHERE adrelid = ${of}
    UNION ALL SELECT conbin::text FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0 AND conrelid = ${of}
    UNION ALL SELECT n.conbin::text FROM pg_catalog.pg_constraint n
      JOIN ${typesWithin(of)} y ON y.oid = n.contypid WHERE n.contypid <> 0
    UNION ALL SELECT t.typdefaultbin::text FROM pg_catalog.pg_type t
      JOIN pg_catalog.pg_attribute a ON a.atttypid = t.oid WHERE t.oid >= 16384 AND t.typdefaultbin IS NOT NULL AND a.attrelid = ${of}
    UNION ALL SELECT tgqual::text FROM pg_catalog.pg_trigger WHERE tgqual IS NOT NULL AND tgrelid = ${of}
    UNION ALL SELECT pg_catalog.concat(polqual::text, ' ', polwithcheck::text) FROM pg_catalog.pg_policy WHERE polrelid = ${of}
    UNION ALL SELECT pg_catalog.concat(ev_qual::text, ' ', ev_action::text) FROM pg_catalog.pg_rewrite
      WHERE ev_type <> '1' AND oid >= 16384 AND ev_class = ${of} OFFSET 0`;

/**
 * Where triggers may fire for a row of a table: itself and its partitions; by foreign keys, what refers to these. What its rules are about, or what a
 * view shows, counts for what may be left with the session.
 */
const REACHED = `WITH RECURSIVE steps (parent, child, by) AS (
    SELECT inhparent, inhrelid, 'p' FROM pg_catalog.pg_inherits
    UNION ALL SELECT confrelid, conrelid, CASE WHEN 'd' IN (confdeltype, confupdtype) THEN 'd' ELSE 'f' END
      FROM pg_catalog.pg_constraint WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
    UNION ALL SELECT w.ev_class, p.refobjid, 'v' FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend p ON p.classid = 'pg_catalog.pg_rewrite'::regclass AND p.objid = w.oid
      AND p.refclassid = 'pg_catalog.pg_class'::regclass AND p.refobjid <> w.ev_class WHERE w.oid >= 16384
  ), reached (oid, by) AS (
    SELECT c.oid, 'p'
    UNION SELECT s.child, CASE WHEN 'v' IN (s.by, r.by) THEN 'v' WHEN 'd' IN (s.by, r.by) THEN 'd' WHEN 'f' IN (s.by, r.by) THEN 'f' ELSE 'p' END
      FROM reached r JOIN steps s ON s.parent = r.oid
  ), fired (by, late, binds, proc) AS (
    SELECT r.by, t.tgdeferrable AND r.by <> 'v', false, t.tgfoid
      FROM reached r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
    UNION ALL SELECT 'd', false, false, NULL FROM reached WHERE by = 'd'
    -- Like a trigger.
    UNION ALL SELECT r.by, false, false, NULL FROM reached r CROSS JOIN LATERAL (${unnamedCode('r.oid')}) u
    UNION ALL SELECT r.by, false, false, NULL FROM reached r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid AND w.ev_type <> '1'
      WHERE r.by NOT IN ('p', 'v')
    UNION ALL SELECT 'x', false, false, u.proc FROM reached r CROSS JOIN LATERAL (${runBy('r.oid')}) u
    UNION ALL SELECT 'x', false, true, NULL FROM reached r CROSS JOIN LATERAL (${expressionsOf('r.oid')}) e WHERE ${callsBinding('e.expression')}
  ) SELECT json_build_array(coalesce(bool_or(by = 'p'), false), coalesce(bool_or(by IN ('d', 'f')), false),
    coalesce(bool_or(late), false), coalesce(bool_or(binds), false), coalesce(json_agg(DISTINCT proc) FILTER (WHERE proc IS NOT NULL), '[]')) FROM fired`;

/** The type of a column (a), or what it is a domain over, and its modifier. */
const BASE_OF_DOMAIN = `WITH RECURSIVE over (oid, mod) AS (
    SELECT a.atttypid, a.atttypmod
    UNION ALL SELECT t.typbasetype, t.typtypmod FROM over o JOIN pg_catalog.pg_type t ON t.oid = o.oid AND t.typtype = 'd'
  ) SELECT o.oid, o.mod FROM over o JOIN pg_catalog.pg_type t ON t.oid = o.oid AND t.typtype <> 'd'`;

/** Where in a type (ty) XML is: `itself` and `elements` through domains as well. */
const PLACE_OF_XML = `WITH RECURSIVE parts (oid, place) AS (
    SELECT ty.oid, 'itself'
    UNION SELECT t.next, CASE WHEN p.place = 'itself' THEN t.place ELSE 'inside' END FROM parts p CROSS JOIN LATERAL (
      SELECT typbasetype AS next, 'itself' AS place FROM pg_catalog.pg_type WHERE oid = p.oid
      UNION ALL SELECT typelem, 'elements' FROM pg_catalog.pg_type WHERE oid = p.oid AND typcategory = 'A'
      UNION ALL SELECT f.atttypid, 'inside' FROM pg_catalog.pg_type o JOIN pg_catalog.pg_attribute f ON f.attrelid = o.typrelid
        WHERE o.oid = p.oid AND f.attnum > 0 AND NOT f.attisdropped
      UNION ALL SELECT rngsubtype, 'inside' FROM pg_catalog.pg_range WHERE rngtypid = p.oid
    ) t WHERE t.next <> 0
  ) SELECT coalesce(max(place), 'nowhere') AS place FROM parts WHERE oid = 'pg_catalog.xml'::regtype`;

/** Whether a column's default (d, or that of its type) draws from sequences, and whether its value is what was drawn: then it is no other type's. */
const HOW_IT_DRAWS = `SELECT CASE WHEN t.text NOT LIKE '%nextval(%' THEN 'not at all'
    WHEN d.oid IS NOT NULL AND t.text ~ '^nextval\\(''([^'']|'''')+''::regclass\\)$' AND a.atttypid IN (20, 21, 23) THEN 'its value'
    -- Its name is looked up when it is drawn from.
    WHEN t.text LIKE '%)::regclass%' THEN 'somewhere' ELSE 'within' END AS draws
  FROM (SELECT coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), ty.typdefault, '') AS text) t`;

/** A function (b) of PostgreSQL's own that need not have the same result on each server, though that has the same rows and settings. */
const DIFFERS = `b.oid < 16384 AND (b.provolatile = 'v' OR b.proname = 'age' AND b.pronargs = 1
    OR b.proname ~ '^(pg_(?!has_role$)|txid_|inet_(client|server)_|to_reg)|_to_xml' OR b.proname = ANY ('{now,transaction_timestamp,statement_timestamp,version}'))`;

/** A setting that is read by name, in a text (SQL): one of the user's own, which has a dot, or of what is the same for a session everywhere. */
const OF_SETTING = "current_setting\\s*\\(\\s*''([^'']*[.][^'']*|role|search_path|timezone|application_name)''";
const anySetting = (text: string): string =>
  `(SELECT count(*) FROM pg_catalog.regexp_matches(${text}, 'current_setting', 'gi')) > (SELECT count(*) FROM pg_catalog.regexp_matches(${text}, '${OF_SETTING}', 'gi'))`;

/** An expression of a policy (p) that calls one, by its number, is CURRENT_TIMESTAMP or one of its like, or reads another setting. */
const differs = (column: string): string => `(p.${column}::text ~ 'SQLVALUEFUNCTION :op [0-8] '
    OR EXISTS (SELECT FROM pg_catalog.regexp_matches(p.${column}::text, ':funcid ([0-9]+)', 'g') m (found) JOIN pg_catalog.pg_proc b ON b.oid = m.found[1]::oid WHERE ${DIFFERS})
    OR p.${column}::text ~ ':funcid (2077|3294) ' AND ${anySetting(`pg_catalog.pg_get_expr(p.${column}, p.polrelid)`)})`;

/** In a function's source: what reads a relation, whose name would say so, or runs a text. */
const READING = '\\y(from|table|execute|current_(date|time|timestamp)|localtime(stamp)?)\\y';

/** Functions of PostgreSQL's own that are STABLE, and of the session alone. */
const OF_SESSION = '{current_setting,current_user,session_user,pg_has_role,to_json,to_jsonb,concat,concat_ws,format}';
/** Types whose values mean the same everywhere, whatever they are made of. */
const PLAIN_TYPES =
  '{bool,int2,int4,int8,float4,float8,numeric,text,varchar,bpchar,name,uuid,json,jsonb,bytea,inet,cidr}';

/**
 * Whether a function of the user's, by its number, makes its result of its arguments and of settings alone: `auth.uid()`, which reads a claim of the
 * request. By its source, of which no word may be a function or a type but those that are sure to; one with comments, or with quotes in which something
 * might hide, is not believed.
 */
const ofSettings = (
  oid: string,
): string => `EXISTS (SELECT FROM pg_catalog.pg_proc f JOIN pg_catalog.pg_language l ON l.oid = f.prolang
    WHERE f.oid = ${oid} AND f.provolatile <> 'v' AND l.lanname IN ('sql', 'plpgsql') AND f.prosrc !~ '--|/[*]|["\\\\]|[$][^0-9]' AND f.prosrc !~* '${READING}'
      AND NOT ${anySetting('f.prosrc')}
      AND NOT EXISTS (SELECT FROM pg_catalog.regexp_split_to_table(lower(pg_catalog.regexp_replace(f.prosrc, '''[^'']*''', ' ', 'g')), '[^[:alnum:]_$]+') w (name)
        WHERE EXISTS (SELECT FROM pg_catalog.pg_proc b WHERE b.proname = w.name AND b.oid < 16384 AND b.provolatile <> 'i') AND w.name <> ALL ('${OF_SESSION}')
          OR EXISTS (SELECT FROM pg_catalog.pg_proc u WHERE u.oid >= 16384 AND u.oid <> f.oid AND lower(u.proname) = w.name)
          OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE lower(t.typname) = w.name AND t.typname <> ALL ('${PLAIN_TYPES}')))
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = ANY (f.proargtypes::oid[] || f.prorettype) AND t.typname <> ALL ('${PLAIN_TYPES}'))
      -- What a body of standard SQL, or a default of an argument, names.
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend k WHERE k.classid = 'pg_catalog.pg_proc'::regclass AND k.objid = f.oid
        AND k.refclassid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)) AND f.prosqlbody IS NULL)
    -- What it does not name.
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode JOIN pg_catalog.pg_language l ON l.oid = p.prolang
      WHERE ${UNBELIEVED})
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_cast k JOIN pg_catalog.pg_proc p ON p.oid = k.castfunc JOIN pg_catalog.pg_language l ON l.oid = p.prolang
      WHERE ${UNBELIEVED})`;

/** Whether what a policy (p) of a table (c) lets through may be for other rows to say. */
const OF_OTHER_ROWS = `EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_policy'::regclass AND d.objid = p.oid
      AND (d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid <> c.oid OR d.refclassid = 'pg_catalog.pg_proc'::regclass AND NOT (${ofSettings('d.refobjid')})
        OR d.refclassid = 'pg_catalog.pg_operator'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
          JOIN pg_catalog.pg_language l ON l.oid = p.prolang WHERE o.oid = d.refobjid AND ${UNBELIEVED})))
`;

/** Lists are in an order of their own, so that two plans by the same definitions are equal. */
export const TABLE = withEscapes(`SELECT c.relkind, c.relpersistence,
  (${REACHED}),
  (SELECT CASE WHEN count(*) = 0 THEN 'none' WHEN bool_or(r.ev_type = '3') THEN 'some' ELSE 'on changes' END
    FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
  c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid),
  CASE WHEN NOT pg_catalog.row_security_active(c.oid) THEN 'none' WHEN EXISTS (
      SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND (${OF_OTHER_ROWS})
    ) THEN 'of other rows'
    WHEN EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND (${differs('polqual')} OR ${differs('polwithcheck')})) THEN 'of the moment' ELSE 'of the row' END,
  pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE'),
  EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f' AND confrelid = c.oid),
  (SELECT json_build_object('referring', coalesce(json_agg(DISTINCT a.attname) FILTER (WHERE k.contype = 'f' AND a.attnum = ANY (k.conkey)), '[]'),
      'all', coalesce(json_agg(DISTINCT a.attname), '[]'))
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
      AND (a.attnum = ANY (k.conkey || k.confkey) OR EXISTS (SELECT FROM pg_catalog.pg_depend p WHERE k.contype = 'x' AND p.classid = 'pg_catalog.pg_class'::regclass
        AND p.objid = k.conindid AND p.refclassid = 'pg_catalog.pg_class'::regclass AND p.refobjid = c.oid AND p.refobjsubid = a.attnum))
    WHERE k.conrelid = c.oid AND (k.contype = 'f' AND k.confrelid = c.oid OR k.contype IN ('p', 'u', 'x') AND k.condeferrable)),
  coalesce((SELECT json_agg(json_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
      'numbered', CASE WHEN ty.oid < 16384 THEN ty.typname ~ '^_?reg' ELSE ${holdsNumbers('ty.oid')} END,
      'base', pg_catalog.format_type(b.oid, b.mod),
      'default', coalesce(pg_get_expr(d.adbin, d.adrelid), ty.typdefault),
      'identity', a.attidentity, 'generated', a.attgenerated,
      'selectable', has_column_privilege(c.oid, a.attnum, 'SELECT'),
      'insertable', has_column_privilege(c.oid, a.attnum, 'INSERT'),
      'updatable', has_column_privilege(c.oid, a.attnum, 'UPDATE'),
      'shownAs', CASE WHEN NOT e.dates AND ty.oid IN ('date'::regtype, 'timestamp'::regtype) OR NOT e.zones AND ty.oid = 'timestamptz'::regtype THEN 'JSON'
        WHEN x.place = 'itself' THEN '::pg_catalog.text' WHEN x.place = 'elements' THEN '::pg_catalog.text[]' ELSE '' END,
      'exact', x.place <> 'inside' AND (e.nulls OR ty.typtype IN ('b', 'e') AND ty.typcategory <> 'A') AND (ty.typtype = 'e' OR ty.oid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
        OR coalesce(nullif(ty.typelem, 0), ty.oid) = ANY (
        '{bool,bytea,"char",name,int8,int2,int4,text,oid,json,jsonb,cidr,inet,bpchar,varchar,time,interval,timetz,bit,varbit,numeric,uuid}'::regtype[]
        || CASE WHEN e.dates THEN '{date,timestamp}'::regtype[] ELSE '{}' END
        || CASE WHEN e.digits THEN '{float4,float8}'::regtype[] ELSE '{}' END
        || CASE WHEN e.zones THEN '{timestamptz}'::regtype[] ELSE '{}' END) OR (e.digits AND e.zones)),
      'plain', ty.typtype = 'b' AND ty.typcategory IN ('B', 'D', 'N', 'T'),
      'toldApart', NOT EXISTS (SELECT FROM pg_catalog.pg_collation o WHERE o.oid = a.attcollation AND NOT o.collisdeterministic),
      'textual', ty.typtype IN ('b', 'e') AND EXISTS (SELECT FROM pg_catalog.pg_proc f
        WHERE f.oid = CASE WHEN ty.typinput = 'pg_catalog.array_in'::regproc THEN el.typinput::oid ELSE ty.typinput::oid END
          AND f.prolang = (SELECT oid FROM pg_catalog.pg_language WHERE lanname = 'internal')
          AND f.prosrc IN ('textin', 'varcharin', 'bpcharin', 'namein', 'charin', 'enum_in', 'json_in', 'jsonb_in')),
      'sequence', q.sequence, 'unseen', q.unseen IS TRUE,
      'draws', CASE v.draws WHEN 'within' THEN (
        SELECT coalesce(json_agg(DISTINCT quote_ident(n.nspname) || '.' || quote_ident(s.relname)), '[]')
        FROM pg_catalog.pg_depend p JOIN pg_catalog.pg_class s ON s.relkind = 'S' AND s.oid = p.refobjid
        JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
        WHERE p.refclassid = 'pg_catalog.pg_class'::regclass AND (p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid
          OR d.oid IS NULL AND p.classid = 'pg_catalog.pg_type'::regclass AND p.objid = ty.oid))
        WHEN 'somewhere' THEN '[]' END) ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_type el ON el.oid = ty.typelem
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
    CROSS JOIN LATERAL (${BASE_OF_DOMAIN}) b
    CROSS JOIN LATERAL (${PLACE_OF_XML}) x
    CROSS JOIN LATERAL (${HOW_IT_DRAWS}) v
    LEFT JOIN LATERAL (
        SELECT quote_ident(n.nspname) || '.' || quote_ident(s.relname) AS sequence,
          NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_sequence_privilege(s.oid, 'USAGE, SELECT')) AS unseen
        FROM (
          -- A partition draws from the sequence of the table that it is one of.
          SELECT p.objid AS oid FROM pg_catalog.pg_attribute o JOIN pg_catalog.pg_depend p ON p.refclassid = 'pg_catalog.pg_class'::regclass
            AND p.refobjid = o.attrelid AND p.refobjsubid = o.attnum AND p.classid = 'pg_catalog.pg_class'::regclass AND p.deptype = 'i'
          WHERE a.attidentity <> '' AND o.attname = a.attname
            AND o.attrelid = ANY (ARRAY(SELECT c.oid UNION SELECT pg_catalog.pg_partition_ancestors(c.oid)))
          UNION ALL SELECT p.refobjid FROM pg_catalog.pg_depend p WHERE a.attidentity = '' AND v.draws = 'its value'
            AND p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_catalog.pg_class'::regclass OFFSET 0) p
        JOIN pg_catalog.pg_class s ON s.relkind = 'S' AND s.oid = p.oid JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
        LIMIT 1) q ON true
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
  coalesce((SELECT json_agg(k.names ORDER BY i.indisprimary DESC, i.indexrelid)
    FROM pg_catalog.pg_index i, LATERAL (SELECT json_agg(a.attname ORDER BY u.place) AS names,
        -- NOT NULL that is not valid leaves older rows with NULL, from PostgreSQL 18 on.
        -- What is computed changes unsaid.
        -- By another collation it may tell apart what the column's own takes for equal.
        bool_and(a.attnotnull AND a.attgenerated = '' AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint v
          WHERE v.conrelid = c.oid AND v.contype = 'n' AND NOT v.convalidated AND v.conkey = ARRAY[a.attnum])
          AND (l.collation = a.attcollation OR NOT EXISTS (SELECT FROM pg_catalog.pg_collation o
            WHERE o.oid IN (l.collation, a.attcollation) AND NOT o.collisdeterministic))) AS filled
      FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS u (number, place)
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number
      CROSS JOIN LATERAL (SELECT i.indcollation[u.place - 1] AS collation) l WHERE u.place <= i.indnkeyatts) k
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND k.filled
      -- One WITHOUT OVERLAPS excludes, and takes no ON CONFLICT.
      AND NOT i.indisexclusion
      -- One that tells apart what = takes for equal tells no row.
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_opclass o WHERE o.oid = ANY (i.indclass) AND NOT o.opcdefault
        AND NOT (o.oid < 16384 AND o.opcname ~ '^(text|varchar|bpchar)_pattern_ops$'))
      AND i.indpred IS NULL AND i.indexprs IS NULL), '[]'),
  coalesce((SELECT json_agg(json_build_array(a.attname, i.indimmediate) ORDER BY i.indexrelid, a.attnum) FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion) AND a.attnum > 0 AND (a.attnum = ANY (i.indkey::int2[])
      OR EXISTS (SELECT FROM pg_catalog.pg_depend p WHERE p.classid = 'pg_catalog.pg_class'::regclass AND p.objid = i.indexrelid
        AND p.refclassid = 'pg_catalog.pg_class'::regclass AND p.refobjid = c.oid AND p.refobjsubid = a.attnum))), '[]'),
  (WITH RECURSIVE below (oid) AS (
      SELECT c.oid UNION SELECT i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid
    ) SELECT json_agg(quote_ident(n.nspname) || '.' || quote_ident(o.relname) ORDER BY o.oid <> c.oid, o.oid) FROM below b
      JOIN pg_catalog.pg_class o ON o.oid = b.oid JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace),
  coalesce((SELECT json_agg(DISTINCT jsonb_build_object('schema', n.nspname, 'name', b.relname))
    FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend p ON p.classid = 'pg_catalog.pg_rewrite'::regclass AND p.objid = r.oid
      AND p.refclassid = 'pg_catalog.pg_class'::regclass AND p.refobjid <> c.oid
    JOIN pg_catalog.pg_class b ON b.oid = p.refobjid JOIN pg_catalog.pg_namespace n ON n.oid = b.relnamespace
    WHERE r.ev_class = c.oid AND c.relkind IN ('v', 'm')), '[]'),
  coalesce((SELECT json_agg(pg_catalog.pg_get_ruledef(r.oid) ORDER BY r.oid) FROM pg_catalog.pg_rewrite r
    WHERE r.ev_class = c.oid AND c.oid >= 16384), '[]'),
  coalesce((SELECT json_agg(DISTINCT quote_ident(n.nspname) || '.' || quote_ident(o.relname)) FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class o ON o.oid = k.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
    WHERE k.contype = 'f' AND k.conrelid = c.oid AND k.confrelid <> c.oid), '[]')
FROM pg_catalog.pg_class c,
  -- Abbreviations of zones, which the other styles of DateStyle write, mean different zones to different servers.
  (SELECT current_setting('extra_float_digits')::int > 0 AS digits, current_setting('DateStyle') LIKE 'ISO%' AS zones,
    -- Only ISO dates are written in the order in which YMD reads them.
    current_setting('DateStyle') ~ '^ISO|[DM][MD]Y$' AS dates, current_setting('array_nulls')::bool AS nulls) e
WHERE c.oid = `);
