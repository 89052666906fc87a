/** What the catalog is asked of a database as a whole (`database-facts.ts`). */
import type { OwnStatement } from '../backend/own-message.ts';
import { OUTLASTING_FUNCTIONS } from '../sql/function-effects.ts';
import { withEscapes } from '../sql/quote.ts';
import {
  callsBinding,
  EVENT_TRIGGERS,
  holdsNumbers,
  IS_BINDING,
  PLACED_BY_NUMBERS,
  UNBELIEVED,
} from './catalog-queries.ts';

/** In a function's source: what outlasts the transaction in its session. (Two phases refuse temporary objects and held cursors.) */
const BINDING = [
  'set_config',
  'setseed',
  'set_limit',
  'dblink_connect',
  'pg_settings',
  'pg_(try_)?advisory_lock',
  'pg_replication_origin_session_setup|pg_backup_start|pg_start_backup',
  '(create|into)[[:space:]]+((global|local)[[:space:]]+)?temp',
  'with[[:space:]]+hold',
  "(^|;|begin|then|else|loop|['']|[$][a-z0-9_]*[$])[[:space:]]*(set[[:space:]]+(?!local[[:space:]])|(reset|listen|load|prepare|deallocate|discard)[[:space:]])",
  // Wherever it stands, where no column of an UPDATE is called so.
  '\\yset[[:space:]]+(session[[:space:]]+)?([a-z_][a-z0-9_]*[.][a-z_][a-z0-9_.]*[[:space:]]*(=|to\\y)|(search_path|time[[:space:]]*zone|datestyle|intervalstyle|extra_float_digits|statement_timeout|lock_timeout|default_transaction_[a-z_]+|row_security|session_replication_role|work_mem|session[[:space:]]+(authorization|characteristics))\\y)',
].join('|');

/** Ends with the transaction. */
const LOCAL = 'set_config[[:space:]]*[(][^;()]*,[[:space:]]*true[[:space:]]*[)]';

/** In a function's source: a setting of the user's own (`a.b`) that it gives a value for the transaction. Its name is what is found. */
const OWN_SETTING =
  "(?:set_config[[:space:]]*[(][[:space:]]*e?['']|set[[:space:]]+local[[:space:]]+[\"]?)([a-z_][a-z0-9_$]*(?:[.][a-z_][a-z0-9_$]*)+)";

/** A function's source without its comments; empty where it has none. */
const STRIPPED = `CASE WHEN p.prosrc ~ '--|/[*]'
    THEN pg_catalog.regexp_replace(p.prosrc, '--[^\\n]*|/[*]([^*]|[*]+[^*/])*[*]+/', ' ', 'g') ELSE '' END`;

/** In a function's source: PostgreSQL's own functions that change something, or run a text that may. Of views they are looked for by their numbers. */
const EFFECTIVE =
  'set_config|setseed|pg_(try_)?advisory_|pg_notify|\\ylo_|_to_xml|dblink|pg_(terminate|cancel)_backend|nextval|setval';

/** The same: what no rollback takes back, the session's state aside. */
const OUTLASTING =
  'dblink|pg_logical_|replication_slot|replication_origin_(advance|create|drop)|pg_(terminate|cancel)_backend|pg_switch_wal|pg_create_restore_point|pg_nextoid|pg_promote|pg_reload_conf|pg_rotate_logfile|pg_stat_reset|lo_export|copy[[:space:]]';

/** As `callingText`, of PostgreSQL's functions of these very names, which an index finds. */
const callingNamed = (names: Iterable<string>): string =>
  `(SELECT ':funcid (' || coalesce(string_agg(f.oid::text, '|'), 'none') || ') ' FROM pg_catalog.pg_proc f WHERE f.proname = ANY ('{${[...names].join(',')}}'::name[]))`;
/** An expression of the catalog (pg_node_tree) that tells where a sequence stands for the session, as no rollback makes it stand again. */
const tells = (expression: string): string =>
  `${expression} IS NOT NULL AND (position(':funcid ' || 'pg_catalog.currval(regclass)'::regprocedure::oid || ' ' IN ${expression}::text) > 0
    OR position(':funcid ' || 'pg_catalog.lastval()'::regprocedure::oid || ' ' IN ${expression}::text) > 0)`;
const TELLING = 'currval|lastval';

/** Extensions whose functions in C do nothing that a rollback does not take back. Of others that is not known. */
const TAKEN_BACK = `'autoinc', 'btree_gin', 'btree_gist', 'citext', 'cube', 'earthdistance', 'fuzzystrmatch', 'hstore', 'insert_username', 'intarray', 'isn', 'lo', 'ltree',
  'moddatetime', 'pg_stat_statements', 'pg_trgm', 'pgcrypto', 'plpgsql', 'postgis', 'postgres_fdw', 'refint', 'seg', 'tablefunc', 'tcn', 'unaccent', 'uuid-ossp', 'vector'`;

/**
 * `volatile` and `views` of a query: these functions (oid, proname) and what calls one of them, and views that do, directly or through others.
 * `relations`: other views.
 */
const calling = (functions: string, relations: string): string => `declared AS (${functions}
), volatile AS (
  SELECT oid, proname FROM declared
  -- Aggregates, defaults of arguments, bodies of standard SQL.
  UNION SELECT p.oid, p.proname FROM volatile v JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = v.oid
    JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid
), views AS (
  SELECT r.ev_class FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
  WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND (d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM volatile)
    OR d.refclassid = 'pg_catalog.pg_operator'::regclass AND d.refobjid IN (
      SELECT o.oid FROM pg_catalog.pg_operator o JOIN volatile v ON v.oid = o.oprcode))
  -- Tables that are read by a policy.
  UNION SELECT p.polrelid FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_policy'::regclass AND d.objid = p.oid
    AND d.refclassid = 'pg_catalog.pg_proc'::regclass JOIN volatile v ON v.oid = d.refobjid
  ${relations}
  UNION
  SELECT r.ev_class FROM views w JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = w.ev_class
  JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid AND r.ev_class <> w.ev_class
)`;

const CALLING_OPERATORS = `coalesce((SELECT json_agg(DISTINCT oprname) FROM pg_catalog.pg_operator o WHERE o.oprcode IN (SELECT oid FROM volatile)
    OR o.oid >= 16384 AND o.oprcode IN (SELECT f.oid FROM pg_catalog.pg_proc f WHERE ${IS_BINDING})), '[]')`;
const CALLING_VIEWS =
  "coalesce((SELECT json_agg(DISTINCT relname) FROM views JOIN pg_catalog.pg_class c ON c.oid = ev_class), '[]')";

/** A pattern for a query of the catalog that calls a function (f) of such a name; nothing is like it where there is none. */
const callingText = (names: string): string =>
  `(SELECT ':funcid (' || coalesce(string_agg(f.oid::text, '|'), 'none') || ') ' FROM pg_catalog.pg_proc f WHERE f.proname ~* '${names}')`;

/** Views (v, and their rules r) of which that is so. */
const viewsCalling = (
  names: string,
): string => `SELECT v.oid, v.relname FROM pg_catalog.pg_class v JOIN pg_catalog.pg_rewrite r ON r.ev_class = v.oid
      JOIN ${callingText(names)} k (pattern) ON r.ev_action::text ~ k.pattern WHERE v.oid >= 16384 AND v.relkind IN ('v', 'm')`;

/**
 * What a body of standard SQL (of p) is looked through for: names of functions and relations, and whether it writes. As a text of its own PostgreSQL would
 * show it behind locks on its tables.
 */
const BODY = `concat_ws(' ', CASE WHEN p.prosqlbody::text ~ ':commandType [2-5] ' THEN 'insert into ' END,
      (SELECT string_agg(DISTINCT f.proname || '()', ' ') FROM pg_catalog.regexp_matches(p.prosqlbody::text, ':(?:funcid|opfuncid|aggfnoid|winfnoid) ([0-9]+) ', 'g') m (found)
        JOIN pg_catalog.pg_proc f ON f.oid = m.found[1]::oid WHERE f.oid >= 16384 OR f.proname ~ '${EFFECTIVE}'),
      (SELECT string_agg(DISTINCT c.relname, ' ') FROM pg_catalog.regexp_matches(p.prosqlbody::text, ':relid ([0-9]+) ', 'g') m (found)
        JOIN pg_catalog.pg_class c ON c.oid = m.found[1]::oid))`;

/** Of these the names of settings are looked for too. */
const SETS =
  "p.prosqlbody::text LIKE '%:funcid ' || 'pg_catalog.set_config(text,text,boolean)'::regprocedure::oid || ' %'";

/** In a function's source: what changes more than its own variables, or may. */
const WRITING = `\\y((insert|merge)\\s+into|update\\s[^;]*\\sset\\s|delete\\s+from|truncate\\s+[\\w"]|copy\\s+[\\w".]+\\s+from|execute\\s|call\\s+[\\w".]+\\s*\\(|(create|alter|drop|refresh|grant|revoke)\\s+\\w|comment\\s+on\\s|notify\\s)|${EFFECTIVE}`;

/** In lower case: a name, or one in quotes, and whether it is called; letters of any language are what is none of ASCII's other characters. */
const WORD = `(?:"([^"]+)"|([^][:space:][()"'',;.:+*/<>=~!@#%^&|?-]+))(\\s*\\()?`;

/** Functions (s) whose source has the name of one of these relations (c), all of them looked for at once. `relations`: FROM and WHERE. */
const mentioning = (relations: string): string => `SELECT s.oid, s.proname FROM sources s, (
      SELECT '\\m(' || string_agg(DISTINCT c.relname, '|') FILTER (WHERE c.relname ~ '^[a-z_][a-z0-9_]*$') || ')\\M' AS pattern,
        coalesce(array_agg(DISTINCT c.relname) FILTER (WHERE c.relname !~ '^[a-z_][a-z0-9_]*$'), '{}') AS others ${relations}
      HAVING count(*) > 0) m
    WHERE s.source ~* m.pattern OR EXISTS (SELECT FROM unnest(m.others) o (name) WHERE position(o.name IN s.source) > 0)`;

/** Types that are made of a type (made, of): domains over it, composite types and rows. (An array is called by the name of its elements.) */
const MADE_OF = `SELECT y.oid AS made, coalesce(nullif(e.typelem, 0), y.typbasetype) AS of FROM pg_catalog.pg_type y LEFT JOIN pg_catalog.pg_type e ON e.oid = y.typbasetype AND e.typlen = -1
    WHERE y.typbasetype >= 16384
  UNION ALL SELECT r.reltype, coalesce(nullif(e.typelem, 0), a.atttypid) FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class r ON r.oid = a.attrelid AND r.reltype <> 0
    LEFT JOIN pg_catalog.pg_type e ON e.oid = a.atttypid AND e.typlen = -1 WHERE a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384`;

/** Functions of the user's (oid, name) that are given values of a type, or return some. */
const TAKES = `SELECT p.oid, p.proname AS name, t.type FROM pg_catalog.pg_proc p
    CROSS JOIN LATERAL unnest(p.proargtypes::oid[] || p.prorettype || coalesce(p.proallargtypes, '{}')) t (type) WHERE p.oid >= 16384 AND t.type >= 16384`;

const onObjects = (catalog: string): string =>
  `pg_catalog.pg_depend d JOIN pg_catalog.${catalog} o ON d.classid = 'pg_catalog.${catalog}'::regclass AND o.oid = d.objid`;

/**
 * What uses a function, a relation or a type (kind, used), and is a function, a relation or a type in its turn (of, oid, name): functions by their sources
 * (`words`, `sources`) and by what the catalog says of them, views of it and tables whose policies do, types to which it casts or whose values it checks, and
 * what is made of these. All of it at once: what is followed then is joined to it.
 */
const USES = `SELECT 'function' AS kind, p.oid AS used, 'function' AS of, s.oid, s.proname AS name
    FROM pg_catalog.pg_proc p JOIN words w ON w.called AND w.word = lower(p.proname) JOIN sources s ON s.oid = w.oid WHERE p.oid >= 16384
  -- Aggregates, defaults of arguments, bodies of standard SQL.
  UNION ALL SELECT 'function', d.refobjid, 'function', o.oid, o.proname FROM ${onObjects('pg_proc')} WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass
  UNION ALL SELECT 'function', o.oprcode, 'function', s.oid, s.proname FROM pg_catalog.pg_operator o JOIN sources s ON position(o.oprname IN s.source) > 0 WHERE o.oid >= 16384
  UNION ALL SELECT k.kind, d.refobjid, 'relation', c.oid, c.relname FROM ${onObjects('pg_rewrite')} JOIN pg_catalog.pg_class c ON c.oid = o.ev_class
    JOIN (VALUES ('pg_catalog.pg_proc'::regclass, 'function'), ('pg_catalog.pg_class'::regclass, 'relation'), ('pg_catalog.pg_type'::regclass, 'type')) k (class, kind) ON k.class = d.refclassid
    WHERE d.refobjid >= 16384 AND d.refobjid <> c.oid
  UNION ALL SELECT 'function', x.oprcode, 'relation', c.oid, c.relname FROM ${onObjects('pg_rewrite')} JOIN pg_catalog.pg_class c ON c.oid = o.ev_class
    JOIN pg_catalog.pg_operator x ON d.refclassid = 'pg_catalog.pg_operator'::regclass AND x.oid = d.refobjid WHERE x.oid >= 16384
  UNION ALL SELECT 'function', d.refobjid, 'relation', c.oid, c.relname FROM ${onObjects('pg_policy')} JOIN pg_catalog.pg_class c ON c.oid = o.polrelid
    WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass
  UNION ALL SELECT 'function', k.castfunc, 'type', t.oid, t.typname FROM pg_catalog.pg_cast k JOIN pg_catalog.pg_type t ON t.oid = k.casttarget WHERE k.castfunc >= 16384
  UNION ALL SELECT 'function', d.refobjid, 'type', t.oid, t.typname FROM ${onObjects('pg_constraint')} JOIN pg_catalog.pg_type t ON t.oid = o.contypid
    WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass
  UNION ALL SELECT 'type', m.of, 'type', t.oid, t.typname FROM (${MADE_OF}) m JOIN pg_catalog.pg_type t ON t.oid = m.made
  UNION ALL SELECT 'type', t.type, 'function', t.oid, t.name FROM (${TAKES}) t
  -- Their names stand in sources.
  UNION ALL SELECT n.kind, n.oid, 'function', s.oid, s.proname FROM (
      SELECT 'relation' AS kind, oid, relname AS name FROM pg_catalog.pg_class WHERE oid >= 16384 AND (relkind IN ('v', 'm') OR relrowsecurity)
      UNION ALL SELECT 'type', oid, typname FROM pg_catalog.pg_type WHERE oid >= 16384 AND typtype IN ('b', 'd', 'c')) n
    JOIN words w ON w.word = lower(n.name) JOIN sources s ON s.oid = w.oid`;

/** Characters of functions' sources that are looked through for names, those first that are not volatile: some tenths of a second. */
const WORDS = 256 * 1024;

/**
 * Functions that are declared to change nothing, and leave something with the session, or call what writes: by their source, or that of what it
 * names. (A body of standard SQL has no source.)
 */
export const BINDING_FUNCTIONS = withEscapes(`WITH RECURSIVE sources AS MATERIALIZED (
  SELECT p.oid, p.proname, p.provolatile, p.prorettype, l.lanname, ${STRIPPED} AS stripped,
    CASE WHEN p.prosqlbody IS NULL THEN p.prosrc WHEN ${SETS} THEN pg_catalog.pg_get_function_sqlbody(p.oid) ELSE ${BODY} END AS source
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal') AND n.nspname <> 'pprox'
), words AS MATERIALIZED (
  SELECT s.oid, coalesce(m.found[1], m.found[2]) AS word, bool_or(m.found[3] IS NOT NULL) AS called
  FROM (SELECT *, sum(length(source)) OVER (ORDER BY provolatile = 'v', oid) AS upto FROM sources) s, LATERAL pg_catalog.regexp_matches(lower(s.source), '${WORD}', 'g') m (found)
  WHERE s.upto <= ${WORDS} GROUP BY s.oid, word
), uses AS MATERIALIZED (${USES}
), fired AS MATERIALIZED (
  -- They change a table whose trigger it is.
  SELECT g.tgfoid AS used, s.oid, s.proname AS name FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
    JOIN words w ON w.word = lower(c.relname) JOIN sources s ON s.oid = w.oid WHERE NOT g.tgisinternal
), writing (kind, oid, name) AS (
  SELECT 'function', oid, proname FROM sources WHERE provolatile = 'v'
    AND (lanname NOT IN ('sql', 'plpgsql') OR source ~* '${WRITING}' OR stripped <> '' AND stripped ~* '${WRITING}')
  UNION SELECT u.of, u.oid, u.name FROM writing x JOIN uses u ON u.kind = x.kind AND u.used = x.oid
), binding AS MATERIALIZED (
  SELECT oid, proname FROM (
    SELECT oid, proname, pg_catalog.regexp_replace(source, '${LOCAL}', '', 'gi') AS source, pg_catalog.regexp_replace(stripped, '${LOCAL}', '', 'gi') AS stripped
    FROM sources) s
  WHERE source ~* '${BINDING}' OR stripped <> '' AND stripped ~* '${BINDING}'
  -- Of extensions: pg_trgm, dblink.
  UNION SELECT oid, proname FROM pg_catalog.pg_proc WHERE oid >= 16384 AND proname IN ('set_limit', 'dblink_connect', 'dblink_connect_u')
  -- They look at a view that does it.
  UNION ${mentioning(`FROM (${viewsCalling('set_config|setseed|set_limit|pg_(try_)?advisory_lock')}) c WHERE true`)}
), named AS MATERIALIZED (
  SELECT '\\m(' || string_agg(DISTINCT proname, '|') FILTER (WHERE proname ~ '^[a-z_][a-z0-9_]*$') || ')\\M' AS pattern,
    coalesce(array_agg(DISTINCT proname) FILTER (WHERE proname !~ '^[a-z_][a-z0-9_]*$'), '{}') AS others FROM binding
), bound (kind, oid, name) AS (
  SELECT 'function', oid, proname FROM binding
  -- What PostgreSQL's own function does for it.
  UNION SELECT 'type', t.oid, t.typname FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_type t ON t.oid = c.contypid WHERE ${callsBinding('c.conbin')}
  UNION SELECT 'relation', c.oid, c.relname FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid WHERE ${callsBinding('p.polqual')}
  -- What calls itself, or is a trigger's; of the others those whose names are looked through.
  UNION SELECT 'function', s.oid, s.proname FROM sources s, named
    WHERE (s.source ~* named.pattern OR EXISTS (SELECT FROM unnest(named.others) o (name) WHERE position(o.name IN s.source) > 0))
      AND (s.provolatile <> 'v' OR s.prorettype IN ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype))
  UNION SELECT u.of, u.oid, u.name FROM bound x JOIN (SELECT * FROM uses UNION ALL SELECT 'function', used, 'function', oid, name FROM fired) u
    ON u.kind = x.kind AND u.used = x.oid
), setting (oid, proname, name) AS (
  SELECT s.oid, s.proname, lower(m.found[1]) FROM sources s, LATERAL pg_catalog.regexp_matches(s.source, '${OWN_SETTING}', 'gi') m (found)
  -- Its own, while it runs.
  UNION SELECT s.oid, s.proname, lower(split_part(c.text, '=', 1))
    FROM sources s JOIN pg_catalog.pg_proc p ON p.oid = s.oid, LATERAL unnest(p.proconfig) c (text) WHERE split_part(c.text, '=', 1) LIKE '%.%'
  UNION SELECT s.oid, s.proname, t.name FROM setting t JOIN words o ON o.called AND o.word = lower(t.proname) JOIN sources s ON s.oid = o.oid
), truncating (oid, proname) AS (
  -- What looks like a comment may be a string's.
  SELECT oid, proname FROM sources WHERE source ~* '\\ytruncate\\y'
  UNION SELECT n.oid, n.proname FROM truncating t CROSS JOIN LATERAL (
    SELECT s.oid, s.proname FROM words o JOIN sources s ON s.oid = o.oid WHERE o.called AND o.word = lower(t.proname)
    -- They change a table whose trigger it is.
    UNION ALL (${mentioning(`FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid WHERE g.tgfoid = t.oid AND NOT g.tgisinternal`)})) n
)
SELECT coalesce((SELECT json_agg(DISTINCT oid) FROM (
    SELECT p.oid FROM bound b JOIN pg_catalog.pg_proc p ON b.kind = 'function' AND p.oid = b.oid WHERE p.provolatile <> 'v'
    UNION ALL SELECT oid FROM sources WHERE provolatile <> 'v' AND source ~* '${EFFECTIVE}'
    UNION ALL SELECT s.oid FROM sources s JOIN writing w ON w.kind = 'function' AND w.oid = s.oid WHERE s.provolatile <> 'v'
    -- They run the text that they are given.
    UNION ALL SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname = 'c'
      WHERE p.oid >= 16384 AND p.provolatile <> 'v' AND p.proname ~ '^(crosstab|connectby|xpath_table)') n), '[]'),
  coalesce((SELECT json_agg(DISTINCT oid) FROM (SELECT oid FROM (${viewsCalling(EFFECTIVE)}) v UNION ALL SELECT oid FROM bound WHERE kind = 'relation') v), '[]'),
  coalesce((SELECT json_agg(DISTINCT oid) FROM bound WHERE kind = 'function'), '[]'),
  coalesce((SELECT json_agg(DISTINCT name) FROM bound WHERE kind <> 'relation'), '[]'),
  coalesce((SELECT json_agg(json_build_array(oid, name)) FROM (SELECT DISTINCT oid, name FROM setting) n), '[]'),
  coalesce((SELECT json_agg(DISTINCT oid) FROM truncating), '[]'),
  EXISTS (SELECT FROM sources WHERE source ~* '\\yset\\s+constraints\\y' OR stripped <> '' AND stripped ~* '\\yset\\s+constraints\\y'),
  coalesce((SELECT json_agg(DISTINCT proname) FROM truncating), '[]'),
  coalesce((SELECT json_agg(DISTINCT s.proname) FROM sources s WHERE s.provolatile <> 'v' AND (s.source ~* '${EFFECTIVE}'
    OR s.oid IN (SELECT oid FROM writing WHERE kind = 'function') OR s.oid IN (SELECT oid FROM bound WHERE kind = 'function'))), '[]'),
  EXISTS (SELECT FROM sources WHERE source ~* '${OUTLASTING}') 
    OR EXISTS (SELECT FROM ${callingNamed(OUTLASTING_FUNCTIONS)} k (pattern) WHERE EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.oid >= 16384 AND r.ev_action::text ~ k.pattern)
      OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.oid >= 16384 AND p.prosqlbody IS NOT NULL AND p.prosqlbody::text ~ k.pattern)),
  EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.oid >= 16384 AND (p.prosrc ~* '${TELLING}' OR ${tells('p.prosqlbody')} OR ${tells('p.proargdefaults')}))
    OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.oid >= 16384 AND ${tells('r.ev_action')})
    OR EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE ${tells('g.tgqual')})
    OR EXISTS (SELECT FROM pg_catalog.pg_policy o WHERE ${tells('o.polqual')} OR ${tells('o.polwithcheck')})`);

/** What BINDING_FUNCTIONS has found: numbers of functions, and of views. */
export interface Bound {
  readonly functions: readonly number[];
  readonly views: readonly number[];
}

const oids = (numbers: readonly number[]): string => `ANY ('{${numbers.join(',')}}'::oid[])`;

export const factsText = (bound: Bound): string =>
  withEscapes(`WITH RECURSIVE ${calling(
    `
  SELECT p.oid, p.proname FROM pg_catalog.pg_proc p
  WHERE p.provolatile = 'v' AND p.pronamespace NOT IN (
    SELECT oid FROM pg_catalog.pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema', 'pprox'))
  -- By its name alone, PostgreSQL's own one of the same arguments is called.
  AND NOT (p.proname = 'gen_random_uuid' AND p.pronargs = 0 AND EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgcrypto'
    WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_catalog.pg_extension'::regclass))
  UNION SELECT p.oid, p.proname FROM pg_catalog.pg_proc p WHERE p.oid = ${oids(bound.functions)}`,
    `
  UNION SELECT oid FROM pg_catalog.pg_class WHERE oid = ${oids(bound.views)}
  UNION SELECT polrelid FROM pg_catalog.pg_policy WHERE ${callsBinding('polqual')}
  -- They draw from it, or tell where it stands.
  UNION SELECT r.ev_class FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
    JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
    WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass`,
  )}, types (oid) AS (
  -- To which such a function casts, or whose values it looks at.
  SELECT c.casttarget FROM pg_catalog.pg_cast c JOIN volatile v ON v.oid = c.castfunc
  UNION SELECT c.contypid FROM pg_catalog.pg_constraint c
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_catalog.pg_proc'::regclass
    JOIN volatile v ON v.oid = d.refobjid WHERE c.contypid <> 0
  UNION SELECT c.contypid FROM pg_catalog.pg_constraint c WHERE c.contypid <> 0 AND ${callsBinding('c.conbin')}
  UNION SELECT m.made FROM types x JOIN (${MADE_OF}) m ON m.of = x.oid
)
SELECT coalesce((SELECT json_agg(DISTINCT proname) FROM (SELECT proname FROM volatile UNION SELECT y.typname FROM types JOIN pg_catalog.pg_type y ON y.oid = types.oid
      UNION SELECT t.name FROM types JOIN (${TAKES}) t ON t.type = types.oid) n), '[]'),
  coalesce((SELECT json_agg(proname) FROM (SELECT v.proname FROM volatile v LEFT JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = v.oid AND d.deptype = 'e'
    LEFT JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND e.oid = d.refobjid
    GROUP BY v.proname HAVING bool_and(coalesce(e.extname IN ('uuid-ossp', 'pgcrypto'), false))) n), '[]'),
  ${CALLING_OPERATORS},
  ${CALLING_VIEWS},
  EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE condeferrable)
    OR EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgdeferrable),
  EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgdeferrable AND NOT tgisinternal AND tgenabled <> 'D'),
  coalesce((SELECT json_agg(DISTINCT relname) FROM pg_catalog.pg_class WHERE relkind = 'S'), '[]'),
  coalesce((SELECT json_agg(DISTINCT oprname) FROM pg_catalog.pg_operator
    WHERE oid >= 16384 AND oprleft <> 0 AND oprright <> 0 AND oprleft <> oprright), '[]'),
  (SELECT coalesce(json_agg(DISTINCT name), '[]') FROM (
    SELECT proname AS name FROM pg_catalog.pg_proc WHERE oid >= 16384 AND provolatile = 's'
    UNION ALL SELECT typname FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = typrelid
    WHERE t.oid >= 16384 AND (typtype IN ('d', 'r', 'm') OR relkind = 'c')) n),
  coalesce((SELECT json_agg(DISTINCT oprname) FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc p ON p.oid = o.oprcode
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    -- What it is declared as is its owner's word, unless it is an extension's.
    WHERE p.oid >= 16384 AND (provolatile = 's' OR provolatile = 'i' AND lanname NOT IN ('c', 'internal'))), '[]'),
  EXISTS (SELECT FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_operator b ON b.oprname = '=' AND b.oid < 16384
      AND b.oprleft = o.oprleft AND b.oprright = o.oprright WHERE o.oprname = '=' AND o.oid >= 16384),
  EXISTS (SELECT FROM pg_catalog.pg_cast c LEFT JOIN pg_catalog.pg_proc p ON p.oid = castfunc
    LEFT JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    JOIN pg_catalog.pg_type t ON t.oid = casttarget
    -- Of an explicit one to a type of the user's the text tells.
    WHERE c.oid >= 16384 AND (castcontext <> 'e' OR t.oid < 16384)
      AND (castmethod = 'f' AND (p.provolatile <> 'i' OR ${UNBELIEVED})
        OR castcontext <> 'e' AND castmethod = 'i' AND (t.typcategory IN ('A', 'D') OR t.typtype NOT IN ('b', 'e')))),
  current_setting('server_version_num')::int / 10000,
  EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' AND tgtype & 32 <> 0),
  ${EVENT_TRIGGERS},
  EXISTS (${PLACED_BY_NUMBERS}),
  coalesce((SELECT json_agg(evtfoid) FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'), '[]'),
  coalesce((SELECT json_agg(DISTINCT t.typname) FROM pg_catalog.pg_type t WHERE t.oid >= 16384 AND CASE
    WHEN t.typtype = 'd' OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.oid = t.typrelid AND r.relkind = 'c')
    THEN ${holdsNumbers('t.oid')} END), '[]'),
  (SELECT json_build_object(
      'names', coalesce(json_agg(DISTINCT p.proname) FILTER (WHERE EXISTS (SELECT FROM pg_catalog.pg_proc b WHERE b.proname = p.proname AND b.oid < 16384)), '[]'),
      'attributes', coalesce(json_agg(DISTINCT p.proname) FILTER (WHERE p.pronargs - p.pronargdefaults <= 1 AND EXISTS (
        SELECT FROM pg_catalog.pg_type t WHERE t.oid = p.proargtypes[0] AND t.typtype IN ('c', 'p'))), '[]'),
      'casts', coalesce(json_agg(DISTINCT c.typname) FILTER (WHERE c.typname IS NOT NULL), '[]'))
    FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    LEFT JOIN (pg_catalog.pg_cast k JOIN pg_catalog.pg_type c ON c.oid = k.casttarget) ON k.castfunc = p.oid WHERE ${UNBELIEVED}),
  EXISTS (SELECT FROM pg_catalog.pg_language WHERE NOT lanpltrusted AND lanname NOT IN ('c', 'internal'))
    OR EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname = 'c' WHERE p.oid >= 16384 AND p.provolatile = 'v'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
        WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND e.extname IN (${TAKEN_BACK}))),
  EXISTS (SELECT FROM pg_catalog.pg_attrdef d WHERE ${tells('d.adbin')}) OR EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE ${tells('c.conbin')})
    OR EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid >= 16384 AND ${tells('t.typdefaultbin')}),
  -- Another one for other functions, triggers, views and operators; replaced in the transaction that has made it, one stands in another place.
  (SELECT pg_catalog.md5(pg_catalog.concat_ws(',', bit_xor(pg_catalog.hashtextextended(pg_catalog.concat_ws(':', oid, version), 0)), pg_catalog.count(*)))
    FROM (SELECT oid, pg_catalog.concat(xmin, ctid) AS version FROM pg_catalog.pg_proc UNION ALL SELECT oid, pg_catalog.concat(xmin, ctid) FROM pg_catalog.pg_operator
      UNION ALL SELECT oid, pg_catalog.concat(xmin, ctid) FROM pg_catalog.pg_rewrite
      UNION ALL SELECT oid, pg_catalog.concat(xmin, ctid) FROM pg_catalog.pg_trigger WHERE NOT tgisinternal
      -- Sources name them.
      UNION ALL SELECT oid, relname FROM pg_catalog.pg_class
        WHERE relkind IN ('v', 'm') OR oid IN (SELECT tgrelid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal) OR oid IN (SELECT polrelid FROM pg_catalog.pg_policy)
      UNION ALL SELECT oid, pg_catalog.concat(xmin, ctid) FROM pg_catalog.pg_policy UNION ALL SELECT oid, pg_catalog.concat(xmin, ctid) FROM pg_catalog.pg_cast
      UNION ALL SELECT oid, pg_catalog.concat(xmin, ctid) FROM pg_catalog.pg_constraint WHERE contypid <> 0
      UNION ALL SELECT oid, typname::text || typbasetype FROM pg_catalog.pg_type WHERE typtype IN ('d', 'c')) o WHERE oid >= 16384)`);

/** Where nothing is bound, as mostly. To plan it takes a server longer than to answer. */
export const FACTS: OwnStatement = { name: 'pprox: facts', text: factsText({ functions: [], views: [] }) };
