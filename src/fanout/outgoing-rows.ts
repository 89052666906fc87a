/**
 * Rows that the transaction at hand has taken away from a table, whoever has done it for it. It does not see them any more, and nothing counts
 * which they were; but everybody else sees them still, until it commits (manual, "Read Committed Isolation Level"). So both are asked:
 *
 *     looking on       the places (ctid) of rows that somebody has locked, changed or deleted: their xmax is set
 *     the transaction  which of these places it sees
 *     looking on       what stands at the others, where that is still seen
 *
 * A row that others see before and after, and the transaction does not in between, the transaction has deleted, or given a newer version.
 * That holds where the transaction reads the newest state. Where it reads an older one, who looks on reads the same one; and behind a
 * savepoint, where that cannot be lent, rows that are newer than it are left out by their xmin.
 */
import type { Column, Table } from '../cluster/table.ts';
import { quoteIdentifier, quoteLiteral } from '../sql/quote.ts';
import type { RowPlan } from './plan.ts';
import { type Source, storedColumns } from './captured-rows.ts';
import { shown } from './shown-column.ts';

/** Places that are looked at for one table, and rows: with their keys they are kept in memory. */
export const OUTGOING_LIMIT = 100_000;

/** Which table the name means; then places of its rows and who has stored what stands there, at most one more of them than the limit. */
export function placesText({ relation, where, oid }: Source): string {
  return `SELECT ${oid}; SELECT t.ctid::text, t.xmin::text FROM ${relation} AS t WHERE t.xmax <> '0'::xid${where} LIMIT ${OUTGOING_LIMIT + 1}`;
}

/** Which of these places the transaction sees. */
export function seenText({ relation, where }: Source, places: readonly string[]): string {
  return `SELECT t.ctid::text FROM ${relation} AS t WHERE t.ctid = ANY (${listOf(places)})${where}`;
}

/**
 * One row: which table the name means, which to one who looks on may be another; and where the transaction reads an older state than the newest, the name of its snapshot, in which
 * others see what it has begun with (manual, "Snapshot Synchronization Functions"), or behind a savepoint, which keeps it from lending that,
 * the snapshot itself (manual, "Transaction ID and Snapshot Information Functions"). Followers' transactions always read the newest state.
 */
export function stateText({ oid }: Source, level: 'transaction' | 'savepoint' | 'follower'): string {
  if (level === 'follower') return `SELECT ${oid}, NULL, NULL`;
  const older = `CASE WHEN current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN`;
  const [lent, own] =
    level === 'transaction'
      ? [`${older} pg_catalog.pg_export_snapshot() END`, 'NULL']
      : ['NULL', `${older} pg_catalog.pg_current_snapshot()::text END`];
  return `SELECT ${oid}, ${lent}, ${own}`;
}

/** In front of the questions of who looks on: `snapshot` is of the transaction's lending. */
export function borrowText(snapshot: string): string {
  return `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '${snapshot}'`;
}

/**
 * What stands at these places, as far as it is still seen: a hash of its columns by name, its place, who has stored it, then the columns of its key.
 * A place that another transaction has left meanwhile may have been given to another row. `snapshot`: rows that are newer than it are left out; of
 * one that may be, the hash is null.
 */
export function outgoingText(
  { relation, where }: Source,
  table: Table,
  key: readonly Column[],
  places: readonly string[],
  snapshot: string | undefined,
): string {
  const row = storedColumns(table)
    .map((column) => shown(column, 't'))
    .join(', ');
  const hash = `pg_catalog.hashtextextended(ROW(${row})::text COLLATE "C", 0)::text`;
  const there = `WHERE t.ctid = ANY (${listOf(places)})${where}`;
  const keys = ['t.ctid::text', 't.xmin::text', ...key.map(nameOf)];
  if (snapshot === undefined) return `SELECT ${[hash, ...keys].join(', ')} FROM ${relation} AS t ${there}`;
  const certain = `CASE WHEN a.xid < pg_catalog.pg_snapshot_xmin(m.known) THEN ${hash} END`;
  return `SELECT ${[certain, ...keys].join(', ')} FROM ${relation} AS t, ${snapshotOf(snapshot)} m, ${AGE} a
    ${there} AND (a.xid < pg_catalog.pg_snapshot_xmin(m.known) OR pg_catalog.pg_visible_in_snapshot(a.xid, m.known))`;
}

function snapshotOf(snapshot: string): string {
  return `(SELECT ${quoteLiteral(snapshot)}::pg_catalog.pg_snapshot AS known,
    pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint AS next)`;
}

/**
 * xmin in full: it has 32 bits, and no row is of a transaction to come. A subtransaction's number is greater than its transaction's, and not
 * in a snapshot: what is older than all that was under way is certain, and what is in between may be newer.
 */
const AGE = `LATERAL (SELECT (m.next - (m.next & 4294967295) + t.xmin::text::bigint
    - CASE WHEN t.xmin::text::bigint > m.next & 4294967295 THEN 4294967296 ELSE 0 END)::text::xid8 AS xid)`;

/** Around keys, each behind its number: which of them a row that the transaction sees has. */
export function presentParts(
  name: string,
  key: readonly Column[],
): { readonly prefix: string; readonly suffix: string } {
  const places = key.map((_, index) => `c${index + 1}`);
  const same = key.map((column, index) => `${nameOf(column)} = v.${places[index]}`).join(' AND ');
  return {
    prefix: 'SELECT v.number FROM (VALUES ',
    suffix: `) AS v (number, ${places.join(', ')}) WHERE EXISTS (SELECT FROM ONLY ${name} AS t WHERE ${same})`,
  };
}

/** Followers' rows with such keys go. `before`: whether some of them may have gone already. */
export function removalPlan(name: string, key: readonly Column[], before: 'none' | 'some'): RowPlan {
  const places = key.map((_, index) => `c${index + 1}`);
  const same = key.map((column, index) => `${nameOf(column)} = v.${places[index]}`).join(' AND ');
  return {
    kind: 'rows',
    rule: 'deleted out of sight',
    effects: 'in the text',
    returning: '',
    columns: key,
    sent: key.length,
    keyed: key.length,
    prefix: `DELETE FROM ONLY ${name} AS t USING (VALUES `,
    casts: key.map(({ base }) => `::${base}`),
    suffix: `) AS v (${places.join(', ')}) WHERE ${same}`,
    verb: before === 'none' ? 'DELETE' : undefined,
    batch: 'many rows',
    rows: 'not compared',
    client: 'no rows',
    direct: undefined,
    otherwise: 'rows',
    stored: [name],
    times: [],
  };
}

function nameOf({ name }: Column): string {
  return `t.${quoteIdentifier(name)}`;
}

/** Places hold no character that would have to be quoted, but for the list itself. */
function listOf(places: readonly string[]): string {
  return `'{${places.map((place) => `"${place}"`).join(',')}}'::tid[]`;
}
