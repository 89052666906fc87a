/** What the catalog of a database is asked: the lead's, and of triggers a follower's (`catalog.ts`). */
import type { OwnStatement } from '../backend/own-message.ts';
import { quoteLiteral } from '../sql/quote.ts';

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

/** In a view's definition: PostgreSQL's own functions that change something, or run a text that may. */
const EFFECTIVE =
  'set_config|setseed|pg_(try_)?advisory_|pg_notify|\\ylo_|_to_xml|dblink|pg_(terminate|cancel)_backend|nextval|setval';

/**
 * `volatile` and `views` of a query: these functions (oid, proname) and what calls one of them, and views that do, directly or through others.
 * `relations`: other views.
 */
const calling = (functions: string, relations: string): string => `declared AS (${functions}
), volatile AS (
  SELECT oid, proname FROM declared
  -- Aggregates, defaults of arguments, bodies of standard SQL.
  UNION SELECT p.oid, p.proname FROM volatile v JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = v.oid
    JOIN pg_catalog.pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
), views AS (
  SELECT r.ev_class FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
  WHERE d.classid = 'pg_rewrite'::regclass AND (d.refclassid = 'pg_proc'::regclass AND d.refobjid IN (SELECT oid FROM volatile)
    OR d.refclassid = 'pg_operator'::regclass AND d.refobjid IN (
      SELECT o.oid FROM pg_catalog.pg_operator o JOIN volatile v ON v.oid = o.oprcode))
  -- Tables that are read by a policy.
  UNION SELECT p.polrelid FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
    AND d.refclassid = 'pg_proc'::regclass JOIN volatile v ON v.oid = d.refobjid
  ${relations}
  UNION
  SELECT r.ev_class FROM views w JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = w.ev_class
  JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.ev_class <> w.ev_class
)`;

/** A function (f) of PostgreSQL's own that leaves something with its session. */
const IS_BINDING = `f.oid < 16384 AND f.proname IN ('set_config', 'setseed', 'pg_advisory_lock', 'pg_advisory_lock_shared', 'pg_try_advisory_lock',
    'pg_try_advisory_lock_shared', 'pg_replication_origin_session_setup', 'pg_backup_start', 'pg_start_backup')`;

/** One in an expression of the catalog, by its number: to show an expression locks its table. */
const callsBinding = (expression: string): string =>
  `EXISTS (SELECT FROM pg_catalog.pg_proc f WHERE ${IS_BINDING} AND ${expression}::text LIKE '%:funcid ' || f.oid || ' %')`;

const CALLING_OPERATORS = `coalesce((SELECT json_agg(DISTINCT oprname) FROM pg_catalog.pg_operator o WHERE o.oprcode IN (SELECT oid FROM volatile)
    OR o.oid >= 16384 AND o.oprcode IN (SELECT f.oid FROM pg_catalog.pg_proc f WHERE ${IS_BINDING})), '[]')`;
const CALLING_VIEWS =
  "coalesce((SELECT json_agg(DISTINCT relname) FROM views JOIN pg_catalog.pg_class c ON c.oid = ev_class), '[]')";

/** In a function's source: what changes more than its own variables, or may. */
const WRITING = `\\y((insert|merge)\\s+into|update\\s+(only\\s+)?[\\w".]+(\\s+(as\\s+)?\\w+)?\\s+set|delete\\s+from|truncate\\s+[\\w"]|copy\\s+[\\w".]+\\s+from|execute\\s|call\\s+[\\w".]+\\s*\\(|(create|alter|drop|refresh|grant|revoke)\\s+\\w|comment\\s+on\\s|notify\\s)|${EFFECTIVE}`;

/** In lower case: a name that is called, or in quotes; letters of any language are what is none of ASCII's other characters. */
const CALLED = `([^][:space:][()"'',;.:+*/<>=~!@#%^&|?-]+)\\s*\\(|"([^"]+)"\\s*\\(`;

/** Functions (s) whose source has the name of one of these relations (c), all of them looked for at once. `relations`: FROM and WHERE. */
const mentioning = (relations: string): string => `SELECT s.oid, s.proname FROM sources s, (
      SELECT '\\m(' || string_agg(DISTINCT c.relname, '|') FILTER (WHERE c.relname ~ '^[a-z_][a-z0-9_]*$') || ')\\M' AS pattern,
        coalesce(array_agg(DISTINCT c.relname) FILTER (WHERE c.relname !~ '^[a-z_][a-z0-9_]*$'), '{}') AS others ${relations}
      HAVING count(*) > 0) m
    WHERE s.source ~* m.pattern OR EXISTS (SELECT FROM unnest(m.others) o (name) WHERE position(o.name IN s.source) > 0)`;

/** Characters of functions' sources that are looked through for names, those first that are not volatile: some tenths of a second. */
const WORDS = 256 * 1024;

/**
 * Functions that are declared to change nothing, and leave something with the session, or call what writes: by their source, or that of what it
 * names. (A body of standard SQL has no source.)
 */
export const BINDING_FUNCTIONS = `WITH RECURSIVE sources AS MATERIALIZED (
  SELECT p.oid, p.proname, p.provolatile, p.prorettype, l.lanname, ${STRIPPED} AS stripped,
    CASE WHEN p.prosqlbody IS NULL THEN p.prosrc ELSE pg_catalog.pg_get_function_sqlbody(p.oid) END AS source
  FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal') AND n.nspname <> 'pprox'
), words AS MATERIALIZED (
  SELECT DISTINCT s.oid, coalesce(m.found[1], m.found[2]) AS word
  FROM (SELECT *, sum(length(source)) OVER (ORDER BY provolatile = 'v', oid) AS upto FROM sources) s, LATERAL pg_catalog.regexp_matches(lower(s.source), '${CALLED}', 'g') m (found)
  WHERE s.upto <= ${WORDS}
), writing (oid, proname) AS (
  SELECT oid, proname FROM sources WHERE provolatile = 'v'
    AND (lanname NOT IN ('sql', 'plpgsql') OR source ~* '${WRITING}' OR stripped <> '' AND stripped ~* '${WRITING}')
  UNION SELECT s.oid, s.proname FROM writing w JOIN words o ON o.word = lower(w.proname) JOIN sources s ON s.oid = o.oid
), binding AS MATERIALIZED (
  SELECT oid, proname FROM (
    SELECT oid, proname, pg_catalog.regexp_replace(source, '${LOCAL}', '', 'gi') AS source, pg_catalog.regexp_replace(stripped, '${LOCAL}', '', 'gi') AS stripped
    FROM sources) s
  WHERE source ~* '${BINDING}' OR stripped <> '' AND stripped ~* '${BINDING}'
  -- Of extensions: pg_trgm, dblink.
  UNION SELECT oid, proname FROM pg_catalog.pg_proc WHERE oid >= 16384 AND proname IN ('set_limit', 'dblink_connect', 'dblink_connect_u')
  -- They look at a view that does it.
  UNION ${mentioning(`FROM pg_catalog.pg_class c WHERE c.oid >= 16384 AND c.relkind IN ('v', 'm')
        AND pg_catalog.pg_get_viewdef(c.oid) ~* 'set_config|setseed|set_limit|pg_(try_)?advisory_lock'`)}
), named AS MATERIALIZED (
  SELECT '\\m(' || string_agg(DISTINCT proname, '|') FILTER (WHERE proname ~ '^[a-z_][a-z0-9_]*$') || ')\\M' AS pattern,
    coalesce(array_agg(DISTINCT proname) FILTER (WHERE proname !~ '^[a-z_][a-z0-9_]*$'), '{}') AS others FROM binding
), bound (oid, proname) AS (
  SELECT oid, proname FROM binding
  -- What calls itself, or is a trigger's; of the others those whose names are looked through.
  UNION SELECT s.oid, s.proname FROM sources s, named
    WHERE (s.source ~* named.pattern OR EXISTS (SELECT FROM unnest(named.others) o (name) WHERE position(o.name IN s.source) > 0))
      AND (s.provolatile <> 'v' OR s.prorettype IN ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype))
  UNION SELECT n.oid, n.proname FROM bound b CROSS JOIN LATERAL (
    SELECT s.oid, s.proname FROM words o JOIN sources s ON s.oid = o.oid WHERE o.word = lower(b.proname)
    UNION ALL SELECT p.oid, p.proname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
      WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = b.oid
    -- They change a table whose trigger it is, or look at a view that calls it.
    UNION ALL (${mentioning(`FROM (
        SELECT t.tgrelid AS oid FROM pg_catalog.pg_trigger t WHERE t.tgfoid = b.oid AND NOT t.tgisinternal
        UNION ALL SELECT r.ev_class FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
          WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = b.oid) f JOIN pg_catalog.pg_class c ON c.oid = f.oid`)})) n
), setting (oid, proname, name) AS (
  SELECT s.oid, s.proname, lower(m.found[1]) FROM sources s, LATERAL pg_catalog.regexp_matches(s.source, '${OWN_SETTING}', 'gi') m (found)
  -- Its own, while it runs.
  UNION SELECT s.oid, s.proname, lower(split_part(c.text, '=', 1))
    FROM sources s JOIN pg_catalog.pg_proc p ON p.oid = s.oid, LATERAL unnest(p.proconfig) c (text) WHERE split_part(c.text, '=', 1) LIKE '%.%'
  UNION SELECT s.oid, s.proname, t.name FROM setting t JOIN words o ON o.word = lower(t.proname) JOIN sources s ON s.oid = o.oid
), truncating (oid, proname) AS (
  SELECT oid, proname FROM sources WHERE coalesce(nullif(stripped, ''), source) ~* '\\ytruncate\\y'
  UNION SELECT n.oid, n.proname FROM truncating t CROSS JOIN LATERAL (
    SELECT s.oid, s.proname FROM words o JOIN sources s ON s.oid = o.oid WHERE o.word = lower(t.proname)
    -- They change a table whose trigger it is.
    UNION ALL (${mentioning(`FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid WHERE g.tgfoid = t.oid AND NOT g.tgisinternal`)})) n
)
SELECT coalesce((SELECT json_agg(DISTINCT oid) FROM (
    SELECT p.oid FROM bound b JOIN pg_catalog.pg_proc p ON p.oid = b.oid WHERE p.provolatile <> 'v'
    UNION ALL SELECT oid FROM sources WHERE provolatile <> 'v' AND source ~* '${EFFECTIVE}'
    UNION ALL SELECT s.oid FROM sources s JOIN writing w ON w.oid = s.oid WHERE s.provolatile <> 'v'
    -- They run the text that they are given.
    UNION ALL SELECT p.oid FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname = 'c'
      WHERE p.oid >= 16384 AND p.provolatile <> 'v' AND p.proname ~ '^(crosstab|connectby|xpath_table)') n), '[]'),
  coalesce((SELECT json_agg(oid) FROM pg_catalog.pg_class
    WHERE oid >= 16384 AND relkind IN ('v', 'm') AND pg_catalog.pg_get_viewdef(oid) ~* '${EFFECTIVE}'), '[]'),
  coalesce((SELECT json_agg(DISTINCT oid) FROM bound), '[]'), coalesce((SELECT json_agg(DISTINCT proname) FROM bound), '[]'),
  coalesce((SELECT json_agg(json_build_array(oid, name)) FROM (SELECT DISTINCT oid, name FROM setting) n), '[]'),
  coalesce((SELECT json_agg(DISTINCT oid) FROM truncating), '[]'),
  EXISTS (SELECT FROM sources WHERE coalesce(nullif(stripped, ''), source) ~* '\\yset\\s+constraints\\y'),
  coalesce((SELECT json_agg(DISTINCT proname) FROM truncating), '[]')`;

/** What BINDING_FUNCTIONS has found: numbers of functions, and of views. */
export interface Bound {
  readonly functions: readonly number[];
  readonly views: readonly number[];
}

const oids = (numbers: readonly number[]): string => `ANY ('{${numbers.join(',')}}'::oid[])`;

/** Whether a type, or what it is made of, is such a one (y). */
const holds = (oid: string, found: string): string => `(WITH RECURSIVE parts (oid) AS (
      SELECT ${oid}
      UNION SELECT t.next FROM parts p CROSS JOIN LATERAL (
        SELECT unnest(ARRAY[typbasetype, typelem]) AS next FROM pg_catalog.pg_type WHERE oid = p.oid
        UNION ALL SELECT f.atttypid FROM pg_catalog.pg_type o JOIN pg_catalog.pg_attribute f ON f.attrelid = o.typrelid
          WHERE o.oid = p.oid AND f.attnum > 0 AND NOT f.attisdropped
        UNION ALL SELECT rngsubtype FROM pg_catalog.pg_range WHERE rngtypid = p.oid
      ) t WHERE t.next <> 0
    ) SELECT bool_or(${found}) FROM parts JOIN pg_catalog.pg_type y ON y.oid = parts.oid)`;

/** Of names of objects, which are held as their numbers. */
const OF_NUMBERS = "y.oid < 16384 AND y.typname ~ '^reg'";
const holdsNumbers = (oid: string): string => holds(oid, OF_NUMBERS);

/** What a function (p, and its language, l) of the user's is declared as is its owner's word, unless it is an extension's. */
const UNBELIEVED = "p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal')";

/** Whether any may write. */
export const EVENT_TRIGGERS = `EXISTS (SELECT FROM pg_catalog.pg_event_trigger e JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE evtenabled <> 'D' AND (lanname <> 'plpgsql' OR prosrc ~* '\\y(insert|update|delete|merge|copy|perform|execute|call|select)\\y'))`;

/** Tables (partrelid) whose rows stand in partitions by hashes of OIDs, which each server hands out for itself: enums' labels are kept by them. */
const PLACED_BY_NUMBERS = `SELECT p.partrelid FROM pg_catalog.pg_partitioned_table p CROSS JOIN
    -- An expression is looked at for the names of its columns; what it makes a text of is one.
    LATERAL (SELECT pg_catalog.regexp_replace(pg_catalog.pg_get_partkeydef(p.partrelid), '[(]?"?[[:alnum:]_$]+"?[)]?::(text|character varying)', '', 'g') AS text) k
  JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum > 0
    AND (a.attnum = ANY (p.partattrs::int2[]) OR 0 = ANY (p.partattrs::int2[]) AND position(a.attname IN k.text) > 0)
  WHERE k.text ~ 'hash(enum|_array|_record|_range|_multirange)' OR p.partstrat = 'h' AND ${holds('a.atttypid', `y.typtype = 'e' OR ${OF_NUMBERS}`)}`;

/** Of relations, by their oids: whether one is such a table, or a partition below it. `which`: those, or partitions alone. */
export function placedByNumbersText(oids: readonly string[], which: 'tables' | 'partitions'): string {
  const partition = which === 'partitions' ? 'AND c.relispartition' : '';
  return `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c, LATERAL pg_catalog.pg_partition_ancestors(c.oid) a (oid)
    WHERE c.oid IN (${oids.join(', ')}) ${partition} AND a.oid IN (${PLACED_BY_NUMBERS}))`;
}

export const factsText = (bound: Bound): string => `WITH RECURSIVE ${calling(
  `
  SELECT p.oid, p.proname FROM pg_catalog.pg_proc p
  WHERE p.provolatile = 'v' AND p.pronamespace NOT IN (
    SELECT oid FROM pg_catalog.pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema', 'pprox'))
  -- By its name alone, PostgreSQL's own one of the same arguments is called.
  AND NOT (p.proname = 'gen_random_uuid' AND p.pronargs = 0 AND EXISTS (
    SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND e.extname = 'pgcrypto'
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass))
  UNION SELECT p.oid, p.proname FROM pg_catalog.pg_proc p WHERE p.oid = ${oids(bound.functions)}`,
  `
  UNION SELECT oid FROM pg_catalog.pg_class WHERE oid = ${oids(bound.views)}
  UNION SELECT polrelid FROM pg_catalog.pg_policy WHERE ${callsBinding('polqual')}
  -- They draw from it, or tell where it stands.
  UNION SELECT r.ev_class FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
    JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass`,
)}
SELECT coalesce((SELECT json_agg(DISTINCT proname) FROM (SELECT proname FROM volatile
      -- Types to which such a function casts, or whose values it looks at.
      UNION SELECT t.typname FROM pg_catalog.pg_cast c JOIN volatile v ON v.oid = c.castfunc JOIN pg_catalog.pg_type t ON t.oid = c.casttarget
      UNION SELECT t.typname FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_type t ON t.oid = c.contypid
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_proc'::regclass
        JOIN volatile v ON v.oid = d.refobjid
      UNION SELECT t.typname FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_type t ON t.oid = c.contypid WHERE ${callsBinding('c.conbin')}) n), '[]'),
  coalesce((SELECT json_agg(proname) FROM (SELECT v.proname FROM volatile v LEFT JOIN pg_catalog.pg_depend d
      ON d.classid = 'pg_proc'::regclass AND d.objid = v.oid AND d.deptype = 'e'
    LEFT JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
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
  -- Another one for other functions, and views and operators; replaced in the transaction that has made it, one stands in another place.
  (SELECT pg_catalog.md5(pg_catalog.concat_ws(',', bit_xor(pg_catalog.hashtextextended(pg_catalog.concat_ws(':', oid, xmin, ctid), 0)), pg_catalog.count(*)))
    FROM (SELECT oid, xmin, ctid FROM pg_catalog.pg_proc UNION ALL SELECT oid, xmin, ctid FROM pg_catalog.pg_operator
      UNION ALL SELECT oid, xmin, ctid FROM pg_catalog.pg_rewrite) o WHERE oid >= 16384)`;

/** Where nothing is bound, as mostly. To plan it takes a server longer than to answer. */
export const FACTS: OwnStatement = { name: 'pprox: facts', text: factsText({ functions: [], views: [] }) };

/** Functions of the user's that an object (o) depends on; looked for by its number. */
const DEPENDED_ON = `SELECT p.refobjid FROM pg_catalog.pg_depend p
    WHERE p.classid = o.classid AND p.objid = o.oid AND p.refclassid = 'pg_proc'::regclass AND p.refobjid >= 16384 OFFSET 0`;

/**
 * Tables (relid) with a volatile function of the user's in a constraint, their own or that of a column's domain, or in a policy. `of`: one of them alone,
 * which is looked for by its number: where servers have no statistics of a new catalog, they would join all there is.
 */
const unnamedCode = (of?: string): string => {
  const only = (column: string): string => (of === undefined ? '' : `AND ${column} = ${of}`);
  return `SELECT o.relid FROM (
    SELECT conrelid AS relid, 'pg_constraint'::regclass AS classid, oid FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0 ${only('conrelid')}
    UNION ALL SELECT a.attrelid, 'pg_constraint'::regclass, n.oid FROM pg_catalog.pg_constraint n
      JOIN pg_catalog.pg_attribute a ON a.atttypid = n.contypid WHERE n.contypid <> 0 ${only('a.attrelid')}
    -- Values that are stored in a column are cast to its type.
    UNION ALL SELECT a.attrelid, 'pg_cast'::regclass, n.oid FROM pg_catalog.pg_cast n
      JOIN pg_catalog.pg_attribute a ON a.atttypid = n.casttarget WHERE n.oid >= 16384 AND n.castcontext <> 'e' ${only('a.attrelid')}
    UNION ALL SELECT polrelid, 'pg_policy'::regclass, oid FROM pg_catalog.pg_policy WHERE true ${only('polrelid')} OFFSET 0) o
  CROSS JOIN LATERAL (${DEPENDED_ON}) p
  JOIN pg_catalog.pg_proc f ON f.oid = p.refobjid AND f.provolatile = 'v' AND f.oid >= 16384`;
};

const ACTING_CODE = "f.oid >= 16384 AND f.provolatile = 'v'";

/** See Catalog.actsBeyond. `oids`: of relations, at least one; `functions`, `operators`: names. */
export function actingText(
  oids: readonly string[],
  functions: readonly string[],
  operators: readonly string[],
): string {
  const listOf = (names: readonly string[]): string => `ARRAY[${names.map(quoteLiteral).join(', ')}]::text[]`;
  return `WITH c AS (SELECT * FROM pg_catalog.pg_class WHERE oid IN (${oids.join(', ')}))
    SELECT EXISTS (SELECT FROM c WHERE c.relpersistence = 't' AND (c.relkind IN ('v', 'p') OR c.relhassubclass
        OR EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D')
        OR EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid)
        OR EXISTS (${unnamedCode('c.oid')})
        OR EXISTS (SELECT FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
          JOIN pg_catalog.pg_depend p ON p.refclassid = 'pg_proc'::regclass AND (p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
            OR p.classid = 'pg_type'::regclass AND p.objid = a.atttypid)
          JOIN pg_catalog.pg_proc f ON f.oid = p.refobjid AND ${ACTING_CODE} WHERE a.attrelid = c.oid)))
      OR EXISTS (SELECT FROM pg_catalog.pg_proc f WHERE f.proname = ANY (${listOf(functions)}) AND ${ACTING_CODE})
      OR EXISTS (SELECT FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc f ON f.oid = o.oprcode AND ${ACTING_CODE}
        WHERE o.oprname = ANY (${listOf(operators)})),
      EXISTS (SELECT FROM c WHERE c.relkind = 'v')`;
}

/** Functions of the user's (proc) that may be run where rows of this table are stored, whatever they are declared as; triggers aside. */
const runBy = (of: string): string => `SELECT p.refobjid AS proc FROM (
    SELECT 'pg_constraint'::regclass AS classid, oid FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0 AND conrelid = ${of}
    UNION ALL SELECT 'pg_constraint'::regclass, n.oid FROM pg_catalog.pg_constraint n
      JOIN pg_catalog.pg_attribute a ON a.atttypid = n.contypid WHERE n.contypid <> 0 AND a.attrelid = ${of}
    UNION ALL SELECT 'pg_cast'::regclass, n.oid FROM pg_catalog.pg_cast n
      JOIN pg_catalog.pg_attribute a ON a.atttypid = n.casttarget WHERE n.oid >= 16384 AND n.castcontext <> 'e' AND a.attrelid = ${of}
    UNION ALL SELECT 'pg_type'::regclass, atttypid FROM pg_catalog.pg_attribute WHERE atttypid >= 16384 AND attrelid = ${of}
    UNION ALL SELECT 'pg_attrdef'::regclass, oid FROM pg_catalog.pg_attrdef WHERE adrelid = ${of}
    UNION ALL SELECT 'pg_class'::regclass, indexrelid FROM pg_catalog.pg_index WHERE (indexprs IS NOT NULL OR indpred IS NOT NULL) AND indrelid = ${of}
    UNION ALL SELECT 'pg_class'::regclass, partrelid FROM pg_catalog.pg_partitioned_table WHERE partexprs IS NOT NULL AND partrelid = ${of}
    UNION ALL SELECT 'pg_policy'::regclass, oid FROM pg_catalog.pg_policy WHERE polrelid = ${of} OFFSET 0) o
  CROSS JOIN LATERAL (${DEPENDED_ON}) p`;

/** What is computed where rows of this table are stored, changed or deleted. */
const expressionsOf = (
  of: string,
): string => `SELECT adbin::text AS expression FROM pg_catalog.pg_attrdef WHERE adrelid = ${of}
    UNION ALL SELECT conbin::text FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0 AND conrelid = ${of}
    UNION ALL SELECT n.conbin::text FROM pg_catalog.pg_constraint n
      JOIN pg_catalog.pg_attribute a ON a.atttypid = n.contypid WHERE n.contypid <> 0 AND a.attrelid = ${of}
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
    UNION ALL SELECT w.ev_class, p.refobjid, 'v' FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_depend p ON p.classid = 'pg_rewrite'::regclass AND p.objid = w.oid
      AND p.refclassid = 'pg_class'::regclass AND p.refobjid <> w.ev_class WHERE w.oid >= 16384
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

/** Lists are in an order of their own, so that two plans by the same definitions are equal. */
export const TABLE = `SELECT c.relkind, c.relpersistence,
  (${REACHED}),
  (SELECT CASE WHEN count(*) = 0 THEN 'none' WHEN bool_or(r.ev_type = '3') THEN 'some' ELSE 'on changes' END
    FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
  c.relkind = 'r' AND EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE inhparent = c.oid),
  CASE WHEN NOT pg_catalog.row_security_active(c.oid) THEN 'none' WHEN EXISTS (
      SELECT FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = p.oid
      WHERE p.polrelid = c.oid AND (d.refclassid = 'pg_proc'::regclass OR d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid)
    ) THEN 'of other rows' ELSE 'of the row' END,
  pg_catalog.has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE'),
  EXISTS (SELECT FROM pg_catalog.pg_constraint WHERE contype = 'f' AND confrelid = c.oid),
  (SELECT json_build_object('referring', coalesce(json_agg(DISTINCT a.attname) FILTER (WHERE k.contype = 'f' AND a.attnum = ANY (k.conkey)), '[]'),
      'all', coalesce(json_agg(DISTINCT a.attname), '[]'))
    FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
      AND (a.attnum = ANY (k.conkey || k.confkey) OR EXISTS (SELECT FROM pg_catalog.pg_depend p WHERE k.contype = 'x' AND p.classid = 'pg_class'::regclass
        AND p.objid = k.conindid AND p.refclassid = 'pg_class'::regclass AND p.refobjid = c.oid AND p.refobjsubid = a.attnum))
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
        WHERE p.refclassid = 'pg_class'::regclass AND (p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid
          OR d.oid IS NULL AND p.classid = 'pg_type'::regclass AND p.objid = ty.oid))
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
          SELECT p.objid AS oid FROM pg_catalog.pg_attribute o JOIN pg_catalog.pg_depend p ON p.refclassid = 'pg_class'::regclass
            AND p.refobjid = o.attrelid AND p.refobjsubid = o.attnum AND p.classid = 'pg_class'::regclass AND p.deptype = 'i'
          WHERE a.attidentity <> '' AND o.attname = a.attname
            AND o.attrelid = ANY (ARRAY(SELECT c.oid UNION SELECT pg_catalog.pg_partition_ancestors(c.oid)))
          UNION ALL SELECT p.refobjid FROM pg_catalog.pg_depend p WHERE a.attidentity = '' AND v.draws = 'its value'
            AND p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid AND p.refclassid = 'pg_class'::regclass OFFSET 0) p
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
      OR EXISTS (SELECT FROM pg_catalog.pg_depend p WHERE p.classid = 'pg_class'::regclass AND p.objid = i.indexrelid
        AND p.refclassid = 'pg_class'::regclass AND p.refobjid = c.oid AND p.refobjsubid = a.attnum))), '[]'),
  (WITH RECURSIVE below (oid) AS (
      SELECT c.oid UNION SELECT i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid
    ) SELECT json_agg(quote_ident(n.nspname) || '.' || quote_ident(o.relname) ORDER BY o.oid <> c.oid, o.oid) FROM below b
      JOIN pg_catalog.pg_class o ON o.oid = b.oid JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace),
  coalesce((SELECT json_agg(DISTINCT jsonb_build_object('schema', n.nspname, 'name', b.relname))
    FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_depend p ON p.classid = 'pg_rewrite'::regclass AND p.objid = r.oid
      AND p.refclassid = 'pg_class'::regclass AND p.refobjid <> c.oid
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
WHERE c.oid = `;

export function triggerModeText(major: number): string {
  const settable =
    major >= 15
      ? `pg_catalog.has_parameter_privilege('session_replication_role', 'SET')`
      : `pg_catalog.current_setting('is_superuser') = 'on'`;
  return `SELECT pg_catalog.current_setting('session_replication_role'), ${settable},
    (SELECT pg_catalog.json_agg(DISTINCT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname))
      FROM (SELECT tgrelid AS relid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('R', 'A') UNION ALL ${unnamedCode()}) t
      JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)`;
}
