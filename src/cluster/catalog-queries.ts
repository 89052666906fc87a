/** What the catalog of a database is asked, and what several of such questions are made of: the lead's, and of triggers a follower's. */
import { quoteLiteral, withEscapes } from '../sql/quote.ts';

/** A function (f) of PostgreSQL's own that leaves something with its session. */
export const IS_BINDING = `f.oid < 16384 AND f.proname IN ('set_config', 'setseed', 'pg_advisory_lock', 'pg_advisory_lock_shared', 'pg_try_advisory_lock',
    'pg_try_advisory_lock_shared', 'pg_replication_origin_session_setup', 'pg_backup_start', 'pg_start_backup')`;

/**
 * Whether an expression of the catalog calls one of these functions (f), by its number: to show an expression (`pg_get_expr()` and its like) takes a lock on its
 * table, and waits for whoever is altering that.
 */
export const callsOneOf = (functions: string, expression: string): string =>
  `EXISTS (SELECT FROM pg_catalog.pg_proc f WHERE ${functions} AND ${expression} LIKE '%:funcid ' || f.oid || ' %')`;

export const callsBinding = (expression: string): string => callsOneOf(IS_BINDING, `${expression}::text`);

/** Whether a type, or what it is made of, is such a one (y). */
export const holds = (oid: string, found: string): string => `(WITH RECURSIVE parts (oid) AS (
      SELECT ${oid}
      UNION SELECT t.next FROM parts p CROSS JOIN LATERAL (
        SELECT unnest(ARRAY[typbasetype, typelem]) AS next FROM pg_catalog.pg_type WHERE oid = p.oid
        UNION ALL SELECT f.atttypid FROM pg_catalog.pg_type o JOIN pg_catalog.pg_attribute f ON f.attrelid = o.typrelid
          WHERE o.oid = p.oid AND f.attnum > 0 AND NOT f.attisdropped
        UNION ALL SELECT rngsubtype FROM pg_catalog.pg_range WHERE rngtypid = p.oid
      ) t WHERE t.next <> 0
    ) SELECT bool_or(${found}) FROM parts JOIN pg_catalog.pg_type y ON y.oid = parts.oid)`;

/** Of names of objects, which are held as their numbers. */
export const OF_NUMBERS = "y.oid < 16384 AND y.typname ~ '^reg'";
export const holdsNumbers = (oid: string): string => holds(oid, OF_NUMBERS);

/** What a function (p, and its language, l) of the user's is declared as is its owner's word, unless it is an extension's. */
export const UNBELIEVED = "p.oid >= 16384 AND l.lanname NOT IN ('c', 'internal')";

/** Whether any may write. */
export const EVENT_TRIGGERS =
  withEscapes(`EXISTS (SELECT FROM pg_catalog.pg_event_trigger e JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE evtenabled <> 'D' AND (lanname <> 'plpgsql' OR prosrc ~* '\\y(insert|update|delete|merge|copy|perform|execute|call|select)\\y'))`);

/** Tables (partrelid) whose rows stand in partitions by hashes of OIDs, which each server hands out for itself: enums' labels are kept by them. */
export const PLACED_BY_NUMBERS = `SELECT p.partrelid FROM pg_catalog.pg_partitioned_table p CROSS JOIN
    -- An expression is looked at for its columns, by their numbers; what it makes a text of (text, varchar) is one.
    LATERAL (SELECT pg_catalog.regexp_replace(p.partexprs::text, '[{]COERCEVIAIO :arg [{]VAR [^{}]*[}] :resulttype (25|1043) ', '', 'g') AS text) k
  JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum > 0
    AND (a.attnum = ANY (p.partattrs::int2[]) OR k.text LIKE '%:varattno ' || a.attnum || ' %')
  WHERE ${callsOneOf("f.oid < 16384 AND f.proname ~ '^hash(enum|_array|_record|_range|_multirange)'", 'k.text')}
    OR p.partstrat = 'h' AND ${holds('a.atttypid', `y.typtype = 'e' OR ${OF_NUMBERS}`)}`;

/** Of relations, by their oids: whether one is such a table, or a partition below it. `which`: those, or partitions alone. */
export function placedByNumbersText(oids: readonly string[], which: 'tables' | 'partitions'): string {
  const partition = which === 'partitions' ? 'AND c.relispartition' : '';
  return `SELECT EXISTS (SELECT FROM pg_catalog.pg_class c, LATERAL pg_catalog.pg_partition_ancestors(c.oid) a (oid)
    WHERE c.oid IN (${oids.join(', ')}) ${partition} AND a.oid IN (${PLACED_BY_NUMBERS}))`;
}

/** Functions of the user's that an object (o) depends on; looked for by its number. */
export const DEPENDED_ON = `SELECT p.refobjid FROM pg_catalog.pg_depend p
    WHERE p.classid = o.classid AND p.objid = o.oid AND p.refclassid = 'pg_catalog.pg_proc'::regclass AND p.refobjid >= 16384 OFFSET 0`;

/** Tables (relid) and users' types (oid) that their columns are of or made of: domains stand in arrays, composite types and other domains too. `of`: one alone. */
export const typesWithin = (of?: string): string => `(WITH RECURSIVE parts (relid, oid) AS (
      SELECT a.attrelid, a.atttypid FROM pg_catalog.pg_attribute a
        WHERE a.atttypid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped ${of === undefined ? '' : `AND a.attrelid = ${of}`}
      UNION SELECT p.relid, t.next FROM parts p CROSS JOIN LATERAL (
        SELECT unnest(ARRAY[typbasetype, typelem]) AS next FROM pg_catalog.pg_type WHERE oid = p.oid
        UNION ALL SELECT f.atttypid FROM pg_catalog.pg_type o JOIN pg_catalog.pg_attribute f ON f.attrelid = o.typrelid
          WHERE o.oid = p.oid AND f.attnum > 0 AND NOT f.attisdropped
        UNION ALL SELECT rngsubtype FROM pg_catalog.pg_range WHERE rngtypid = p.oid) t WHERE t.next >= 16384
    ) SELECT relid, oid FROM parts)`;

/**
 * Tables (relid) with a volatile function of the user's in a constraint, their own or that of a column's domain, or in a policy. `of`: one of them alone,
 * which is looked for by its number: where servers have no statistics of a new catalog, they would join all there is.
 */
export const unnamedCode = (of?: string): string => {
  const only = (column: string): string => (of === undefined ? '' : `AND ${column} = ${of}`);
  return `SELECT o.relid FROM (
    SELECT conrelid AS relid, 'pg_catalog.pg_constraint'::regclass AS classid, oid FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0 ${only('conrelid')}
    UNION ALL SELECT y.relid, 'pg_catalog.pg_constraint'::regclass, n.oid FROM pg_catalog.pg_constraint n
      JOIN ${typesWithin(of)} y ON y.oid = n.contypid WHERE n.contypid <> 0
    -- Values that are stored in a column are cast to its type.
    UNION ALL SELECT a.attrelid, 'pg_catalog.pg_cast'::regclass, n.oid FROM pg_catalog.pg_cast n
      JOIN pg_catalog.pg_attribute a ON a.atttypid = n.casttarget WHERE n.oid >= 16384 AND n.castcontext <> 'e' ${only('a.attrelid')}
    UNION ALL SELECT polrelid, 'pg_catalog.pg_policy'::regclass, oid FROM pg_catalog.pg_policy WHERE true ${only('polrelid')} OFFSET 0) o
  CROSS JOIN LATERAL (${DEPENDED_ON}) p
  JOIN pg_catalog.pg_proc f ON f.oid = p.refobjid AND f.provolatile = 'v' AND f.oid >= 16384`;
};

/** Tables (relid) where functions of these names are run for what is stored. */
const codeOf = (names: readonly string[]): string => `SELECT o.relid FROM (
    SELECT conrelid AS relid, 'pg_catalog.pg_constraint'::regclass AS classid, oid FROM pg_catalog.pg_constraint WHERE contype = 'c' AND conrelid <> 0
    UNION ALL SELECT y.relid, 'pg_catalog.pg_constraint'::regclass, n.oid FROM pg_catalog.pg_constraint n JOIN ${typesWithin()} y ON y.oid = n.contypid WHERE n.contypid <> 0
    UNION ALL SELECT polrelid, 'pg_catalog.pg_policy'::regclass, oid FROM pg_catalog.pg_policy
    UNION ALL SELECT adrelid, 'pg_catalog.pg_attrdef'::regclass, oid FROM pg_catalog.pg_attrdef
    UNION ALL SELECT indrelid, 'pg_catalog.pg_class'::regclass, indexrelid FROM pg_catalog.pg_index WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
    UNION ALL SELECT partrelid, 'pg_catalog.pg_class'::regclass, partrelid FROM pg_catalog.pg_partitioned_table WHERE partexprs IS NOT NULL OFFSET 0) o
  CROSS JOIN LATERAL (${DEPENDED_ON}) p
  JOIN pg_catalog.pg_proc f ON f.oid = p.refobjid AND f.proname = ANY (ARRAY[${names.map(quoteLiteral).join(', ')}]::text[])`;

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
          JOIN pg_catalog.pg_depend p ON p.refclassid = 'pg_catalog.pg_proc'::regclass AND (p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid
            OR p.classid = 'pg_catalog.pg_type'::regclass AND p.objid = a.atttypid)
          JOIN pg_catalog.pg_proc f ON f.oid = p.refobjid AND ${ACTING_CODE} WHERE a.attrelid = c.oid)))
      OR EXISTS (SELECT FROM pg_catalog.pg_proc f WHERE f.proname = ANY (${listOf(functions)}) AND ${ACTING_CODE})
      OR EXISTS (SELECT FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_proc f ON f.oid = o.oprcode AND ${ACTING_CODE}
        WHERE o.oprname = ANY (${listOf(operators)})),
      EXISTS (SELECT FROM c WHERE c.relkind = 'v' OR c.relrowsecurity)`;
}

/** `names`: of functions that count as if they were volatile, wherever they are run. */
export function triggerModeText(major: number, names: readonly string[]): string {
  const settable =
    major >= 15
      ? `pg_catalog.has_parameter_privilege('session_replication_role', 'SET')`
      : `pg_catalog.current_setting('is_superuser') = 'on'`;
  return `SELECT pg_catalog.current_setting('session_replication_role'), ${settable},
    (SELECT pg_catalog.json_agg(DISTINCT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname))
      FROM (SELECT tgrelid AS relid FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('R', 'A') UNION ALL ${unnamedCode()}
        ${names.length === 0 ? '' : `UNION ALL ${codeOf(names)}`}) t
      JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace)`;
}
