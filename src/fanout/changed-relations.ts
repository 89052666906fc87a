/**
 * Relations that the transaction at hand has made or altered, whoever has done it for it: found by their entries in the catalog, and compared by
 * what a server may have computed for itself in doing so. That is what `ADD COLUMN … DEFAULT now()` has given the rows there are, or a REFRESH has
 * found. By identity, as numbers of objects differ between servers; and by nothing that versions of PostgreSQL write in different ways.
 */
import { quoteEscaped } from '../sql/quote.ts';
import { isOwn, LARGEST_BYTES, MINE } from './captured-rows.ts';

const NAME = 'pg_catalog.quote_ident(n.nspname) || $$.$$ || pg_catalog.quote_ident(c.relname)';

/** `name`: quoted, qualified. */
export interface ChangedRelation {
  readonly name: string;
  readonly compared: 'rows' | 'nothing but itself';
}

/** Quoted, qualified names, and for each whether its rows can be compared: `rows`, or `nothing but itself`. */
export const CHANGED_RELATIONS = `SELECT ${NAME}, CASE WHEN c.relkind IN ('r', 'm') AND pg_catalog.pg_relation_size(c.oid) <= ${LARGEST_BYTES}
      AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
      AND NOT pg_catalog.row_security_active(c.oid) AND c.relispopulated
      -- Whatever gives rows that are there other values has locked the table.
      AND EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'relation' AND l.relation = c.oid AND l.pid = pg_catalog.pg_backend_pid()
        AND l.mode IN ('ExclusiveLock', 'AccessExclusiveLock')) THEN 'rows' ELSE 'nothing but itself' END
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'm', 'v', 'S') AND c.relpersistence <> 't' AND n.nspname NOT LIKE 'pg\\_%' AND c.oid IN (
    SELECT t.oid FROM (${MINE}) m, pg_catalog.pg_class t WHERE ${isOwn('t')}
    UNION ALL SELECT t.attrelid FROM (${MINE}) m, pg_catalog.pg_attribute t WHERE ${isOwn('t')}
    UNION ALL SELECT t.seqrelid FROM (${MINE}) m, pg_catalog.pg_sequence t WHERE ${isOwn('t')}
    UNION ALL SELECT t.objoid FROM (${MINE}) m, pg_catalog.pg_description t WHERE ${isOwn('t')}
      AND t.classoid = 'pg_catalog.pg_class'::regclass)`;

/** Sum of the hashes of what the transaction has written down of some kind, of `t`; NULL where there is nothing. */
const own = (value: string, catalog: string, which = 'true'): string =>
  `(SELECT sum(pg_catalog.hashtextextended(${value} COLLATE "C", 0)) FROM (${MINE}) m, pg_catalog.${catalog} t WHERE ${which} AND ${isOwn('t')})`;

/** A text that is equal where the same was made or altered of objects that are no relations, and that every version of PostgreSQL writes down alike. */
export const CHANGED_OBJECTS = `SELECT pg_catalog.concat_ws(' ', ${own("pg_catalog.concat_ws(' ', t.proname, t.pronargs, t.provolatile, t.prosecdef, t.prosrc)", 'pg_proc')},
    ${own("pg_catalog.concat_ws(' ', t.enumlabel, t.enumsortorder)", 'pg_enum')}, ${own("pg_catalog.concat_ws(' ', t.tgname, t.tgenabled)", 'pg_trigger', 'NOT t.tgisinternal')},
    ${own('t.nspname::text', 'pg_namespace', "t.nspname NOT LIKE 'pg%'")})`;

/** The same of large objects, byte for byte; no row where the role may not read them all, or there are too many to look through. */
export const CHANGED_LARGE_OBJECTS = `SELECT ${own("pg_catalog.concat_ws(' ', t.loid, t.pageno, pg_catalog.md5(t.data))", 'pg_largeobject')}
  WHERE pg_catalog.has_table_privilege('pg_catalog.pg_largeobject', 'SELECT') AND pg_catalog.pg_relation_size('pg_catalog.pg_largeobject') <= ${LARGEST_BYTES}`;

/** Of these, the names of those that are there. */
export function standingText(names: readonly string[]): string {
  return `SELECT ${NAME} FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE ${NAME} = ANY (ARRAY[${names.map(quoteEscaped).join(', ')}])`;
}

/** Of relations, in their order, a text that is equal where the relation is, as far as it is compared. */
export function relationsText(relations: readonly ChangedRelation[]): string {
  return relations.map((one, place) => `SELECT ${place}, (${relationText(one)})`).join(' UNION ALL ') + ' ORDER BY 1';
}

function relationText({ name, compared }: ChangedRelation): string {
  // By name, and not as regclass, for which the session would have to be let into the schema.
  const oid = `(SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE ${NAME} = ${quoteEscaped(name)})`;
  // Those that are written anew are the transaction's own; how many there are says whether it was emptied.
  const rows = `SELECT pg_catalog.concat_ws(' ', count(*), 'rows, own', count(*) FILTER (WHERE ${isOwn('t')}),
      sum(pg_catalog.hashtextextended((t.*)::text COLLATE "C", 0)) FILTER (WHERE ${isOwn('t')}))
    FROM (${MINE}) m, ONLY ${name} AS t`;
  return `SELECT pg_catalog.concat_ws('; ', ${compared === 'rows' ? `(${rows})` : "''"},
    (SELECT pg_catalog.md5(string_agg(pg_catalog.concat_ws(' ', t.attname, pg_catalog.format_type(t.atttypid, t.atttypmod), t.attnotnull,
        CASE WHEN ${isOwn('t')} THEN t.attmissingval::text END, pg_catalog.col_description(t.attrelid, t.attnum)), ',' ORDER BY t.attnum))
      FROM (${MINE}) m, pg_catalog.pg_attribute t WHERE t.attrelid = o.oid AND t.attnum > 0 AND NOT t.attisdropped),
    (SELECT pg_catalog.pg_get_expr(c.relpartbound, c.oid) FROM pg_catalog.pg_class c WHERE c.oid = o.oid),
    (SELECT pg_catalog.concat_ws(' ', q.seqstart, q.seqincrement, q.seqmin, q.seqmax, q.seqcache, q.seqcycle)
      FROM pg_catalog.pg_sequence q WHERE q.seqrelid = o.oid),
    pg_catalog.obj_description(o.oid, 'pg_class')) FROM (SELECT ${oid} AS oid) o`;
}
