/**
 * What a follower could not prepare (manual, "PREPARE TRANSACTION", Notes): triggers, event triggers and rules there that notify or
 * make temporary objects, as far as their source says so to a login role. Pure: `pprox check`, `pprox init` and the start ask with it.
 *
 * A heuristic: a function that the trigger's function calls, or a text that is put together, is not seen. What it misses is
 * refused when it is prepared.
 */
import { quoteIdentifier } from '../sql/quote.ts';

/** Told of one server; how many there are beyond, the last line says. */
const TOLD = 20;

/** Regular expressions without a backslash, whatever standard_conforming_strings is. */
const NOTIFIES = [
  '[[:<:]]pg_notify"?[[:space:]]*[(]',
  // A statement of PL/pgSQL or of a rule.
  '(^|;|[[:<:]](begin|then|else|loop|do|also|instead)[[:>:]])[[:space:](]*notify[[:space:]]+["a-z_]',
  // In a text that is run.
  `execute[[:space:](]*(format[[:space:](]*)?e?["''$]+[a-z_$]*[[:space:]]*notify[[:space:]]`,
  // Of the extension tcn.
  '[[:<:]]triggered_change_notification[[:>:]]',
].join('|');
const MAKES_TEMPORARY = [
  '[[:<:]](create|into)[[:space:]]+((local|global)[[:space:]]+)?(temp|temporary)[[:>:]]',
  '[[:<:]]pg_temp"?[.]',
].join('|');

/**
 * Kind, name, table, function, what it does, and how many rows there are in all. A partition's trigger that follows its parent's
 * is left out.
 */
export const UNPREPARABLE_QUERY = `WITH found AS (
  SELECT 'trigger' AS kind, t.tgname AS name, t.tgrelid AS relation, t.tgfoid AS function, p.prosrc AS source
    FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_trigger parent WHERE parent.oid = t.tgparentid AND parent.tgenabled IN ('O', 'A'))
  UNION ALL SELECT 'event trigger', e.evtname, NULL, e.evtfoid, p.prosrc
    FROM pg_catalog.pg_event_trigger e JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid WHERE e.evtenabled IN ('O', 'A')
  UNION ALL SELECT 'rule', r.rulename, r.ev_class, NULL, pg_catalog.pg_get_ruledef(r.oid)
    FROM pg_catalog.pg_rewrite r WHERE r.rulename <> '_RETURN' AND r.ev_enabled IN ('O', 'A')
), code AS (
  SELECT kind, name, relation, function,
    pg_catalog.regexp_replace(pg_catalog.regexp_replace(source, '--.*$', '', 'gn'), '/[*].*?[*]/', '', 'g') AS text
  FROM found
), judged AS (
  SELECT *, CASE WHEN text ~* '${NOTIFIES}' THEN 'notifies' WHEN text ~* '${MAKES_TEMPORARY}' THEN 'makes temporary objects' END AS does
  FROM code
)
SELECT j.kind, j.name, CASE WHEN c.oid IS NOT NULL THEN pg_catalog.format('%I.%I', n.nspname, c.relname) END, j.function::pg_catalog.regprocedure, j.does,
  pg_catalog.count(*) OVER ()
FROM judged j LEFT JOIN pg_catalog.pg_class c ON c.oid = j.relation LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE j.does IS NOT NULL ORDER BY j.kind DESC, 3, j.name LIMIT ${TOLD}`;

/** Warnings out of what UNPREPARABLE_QUERY has found on the server that `label` names. */
export function unpreparable(label: string, rows: readonly (readonly (string | null)[])[]): readonly string[] {
  const warnings = rows.map(([kind, name, table, source, does]) => {
    const trigger = quoteIdentifier(name ?? '');
    const what = kind === 'event trigger' ? `event trigger ${trigger}` : `${kind} ${trigger} on ${table}`;
    const of = source === null ? 'its definition' : `the source of ${source}`;
    return `${label}: ${what} ${does}, to judge by ${of}: what fires it cannot be prepared there, and is refused. On that server alone, where nobody listens: ${remedy(kind ?? '', trigger, table ?? '')}; or set PPROX_COMMIT_MODE=one-phase`;
  });
  const more = Number(rows[0]?.[5] ?? 0) - rows.length;
  return more > 0 ? [...warnings, `${label}: ${more} more triggers and rules like these`] : warnings;
}

function remedy(kind: string, name: string, table: string): string {
  switch (kind) {
    case 'event trigger':
      return `ALTER EVENT TRIGGER ${name} DISABLE`;
    case 'rule':
      return `ALTER TABLE ${table} DISABLE RULE ${name}`;
    default:
      return `ALTER TABLE ${table} DISABLE TRIGGER ${name}, or ENABLE REPLICA TRIGGER ${name}`;
  }
}
