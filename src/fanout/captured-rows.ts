/**
 * Rows that the transaction at hand has written to a table, whoever has written them for it: found by their `xmin` (manual, "System
 * Columns"). A row that is visible and whose transaction is in progress is one's own, or one of one's subtransactions.
 */
import type { Column, Table } from '../cluster/table.ts';
import { partsOf, quoteIdentifier, quoteEscaped } from '../sql/quote.ts';
import type { RowPlan } from './plan.ts';
import { batchOf, takingPlaceOf } from './row-plan.ts';
import { shown } from './shown-column.ts';

/** Tables are read whole for it, up to this size: some tenths of a second. */
export const LARGEST_BYTES = 64 * 1024 * 1024;

/** Up to this size that is quicker than to look where the rows are. */
const SMALL_BYTES = 1024 * 1024;

/** What the session may do with a table, and whether it is small enough to be looked through. */
export interface Access {
  /** Quoted, qualified. */
  readonly table: string;
  /** `in part`: policies may hide rows from it; `as a partition`: of `whole` alone, which it may read. */
  readonly read: 'allowed' | 'in part' | 'as a partition' | 'not allowed';
  readonly write: 'allowed' | 'new rows' | 'not allowed';
  /** `small`: read whole; `medium`: if need be; `large`: never. */
  readonly size: 'small' | 'medium' | 'large';
  /** Quoted, qualified: the partitioned table by which it is read. */
  readonly whole: string | undefined;
}

/** Of a table's row in pg_class. */
const readable = (oid: string, schema: string): string =>
  `(pg_catalog.has_schema_privilege(${schema}, 'USAGE') AND pg_catalog.has_table_privilege(${oid}, 'SELECT'))`;

/** For tables by their quoted, qualified names. */
export function accessText(tables: readonly string[]): string {
  return `SELECT q.name, CASE WHEN w.name IS NOT NULL THEN 'as a partition' WHEN NOT ${readable('c.oid', 'n.oid')} THEN 'not allowed'
      WHEN pg_catalog.row_security_active(c.oid) THEN 'in part' ELSE 'allowed' END,
    CASE WHEN NOT pg_catalog.has_table_privilege(coalesce(w.oid, c.oid), 'INSERT') THEN 'not allowed'
      WHEN pg_catalog.has_table_privilege(coalesce(w.oid, c.oid), 'UPDATE') AND pg_catalog.has_table_privilege(coalesce(w.oid, c.oid), 'DELETE') THEN 'allowed'
      ELSE 'new rows' END,
    CASE WHEN bytes <= ${SMALL_BYTES} THEN 'small' WHEN bytes <= ${LARGEST_BYTES} THEN 'medium' ELSE 'large' END, w.name
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
    LATERAL (SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name) q
    LEFT JOIN LATERAL (
      SELECT p.oid, quote_ident(s.nspname) || '.' || quote_ident(p.relname) AS name
      FROM pg_catalog.pg_partition_ancestors(c.oid) WITH ORDINALITY a (relid, step)
        JOIN pg_catalog.pg_class p ON p.oid = a.relid JOIN pg_catalog.pg_namespace s ON s.oid = p.relnamespace
      WHERE c.relispartition AND NOT ${readable('c.oid', 'n.oid')} AND ${readable('p.oid', 's.oid')} AND NOT pg_catalog.row_security_active(p.oid)
      ORDER BY step LIMIT 1) w ON true,
    -- All of its partitions are looked through.
    LATERAL (SELECT CASE WHEN w.oid IS NULL THEN pg_catalog.pg_relation_size(c.oid)
      ELSE (SELECT sum(pg_catalog.pg_relation_size(t.relid)) FROM pg_catalog.pg_partition_tree(w.oid) t) END AS bytes) b
  WHERE c.relkind = 'r' AND q.name = ANY (ARRAY[${tables.map(quoteEscaped).join(', ')}])`;
}

const READS: ReadonlySet<string | null | undefined> = new Set<Access['read']>(['allowed', 'in part', 'as a partition']);
const isRead = (read: string | null | undefined): read is Access['read'] => READS.has(read);

export function accessOf(rows: readonly (readonly (string | null)[])[]): readonly Access[] {
  return rows.map(([table, read, write, size, whole]) => ({
    table: table ?? '',
    read: isRead(read) ? read : 'not allowed',
    write: write === 'allowed' || write === 'new rows' ? write : 'not allowed',
    size: size === 'small' || size === 'medium' ? size : 'large',
    whole: whole ?? undefined,
  }));
}

/** How the rows of a table, and no other one, are reached, as t. */
export interface Source {
  /** What new ones are inserted into. */
  readonly table: string;
  /** What is read. */
  readonly relation: string;
  /** Behind other conditions. */
  readonly where: string;
  /** SQL for its number in pg_class; NULL where to whoever asks there is none. */
  readonly oid: string;
}

/** Without what inherits from it. */
export function alone(name: string): Source {
  return {
    table: name,
    relation: `ONLY ${name}`,
    where: '',
    oid: `pg_catalog.to_regclass(${quoteEscaped(name)})::oid`,
  };
}

export function withPartitions(name: string): Source {
  return { ...alone(name), relation: name };
}

/** As far as the session may reach it. */
export function sourceOf({ table, whole }: Access): Source {
  // By its number, which takes no right to its schema, and is another one on each server.
  const parts = partsOf(table);
  if (whole === undefined || parts?.schema === undefined) return alone(table);
  const oid = `(SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ${quoteEscaped(parts.schema)} AND c.relname = ${quoteEscaped(parts.name)})`;
  return { table: whole, relation: whole, where: ` AND t.tableoid = ${oid}`, oid };
}

/** xmin has 32 bits; what is beyond them is that of the transaction at hand, or one more where they have begun anew since. */
export const MINE =
  'SELECT top, top & 4294967295 AS low FROM (SELECT pg_catalog.pg_current_xact_id()::text::bigint AS top) x';

/** A condition, beside MINE as m, on the row of this name. */
export const isOwn = (row: string): string => `age(${row}.xmin) <= age(pg_catalog.pg_current_xact_id()::xid)
  AND pg_catalog.pg_xact_status((m.top - m.low + ${row}.xmin::text::bigint
    + CASE WHEN ${row}.xmin::text::bigint < m.low THEN 4294967296 ELSE 0 END)::text::xid8) = 'in progress'`;
const IS_OWN = `WHERE ${isOwn('t')}`;

/**
 * In one row: how many there are, and the sum of their hashes; columns by their names. `fromBlock`: those that stand there or behind it.
 */
export function digestText(source: Source, columns: readonly Column[], fromBlock = 0): string {
  const list = columns.map((column) => shown(column, 't')).join(', ');
  const where = fromBlock === 0 ? IS_OWN : `${IS_OWN} AND ${standsBehind(fromBlock)}`;
  return `SELECT count(*), sum(pg_catalog.hashtextextended(ROW(${list})::text COLLATE "C", 0)) FROM (${MINE}) m, ${source.relation} AS t ${where}${source.where}`;
}

function standsBehind(block: number): string {
  return `t.ctid >= '(${block},0)'::tid`;
}

/** The rows themselves. */
export function rowsText({ source: { relation, where }, plan, among }: Told): string {
  const columns = plan.columns.map((column) => shown(column, 't'));
  return `SELECT ${columns.join(', ')} FROM (${MINE}) m, ${relation} AS t ${IS_OWN}${where}${among}`;
}

/** Where they stand, with these columns of theirs as text: at most so many. */
export function ownText({ relation, where }: Source, columns: readonly Column[], limit: number): string {
  const list = ['t.ctid', ...columns.map(({ name }) => `t.${quoteIdentifier(name)}`)].map((one) => `${one}::text`);
  return `SELECT ${list.join(', ')} FROM (${MINE}) m, ${relation} AS t ${IS_OWN}${where} LIMIT ${limit}`;
}

/** How many blocks a table has, and how many bytes each. */
export function blocksText({ oid }: Source): string {
  const block = "pg_catalog.current_setting('block_size')::bigint";
  return `SELECT pg_catalog.pg_relation_size(${oid}) / ${block}, ${block}`;
}

/**
 * Of one's own rows from this block on, by the command that has stored them (`cmin`: manual, "System Columns"), the latest first: how many,
 * and of how many that is not certain: where one's own command has changed or locked a row since, another number stands there.
 */
export function commandsText({ relation, where }: Source, block: number): string {
  return `SELECT t.cmin::text, count(*), count(*) FILTER (WHERE t.xmax <> '0'::xid)
    FROM (${MINE}) m, ${relation} AS t ${IS_OWN} AND ${standsBehind(block)}${where}
    GROUP BY t.cmin::text ORDER BY t.cmin::text::bigint DESC`;
}

/** Rows that are not older than that. */
export interface OfCommands {
  readonly from: number;
  readonly fromBlock: number;
}

/** Those alone: all that the latest commands have stored, `count` of them, which followers have none of. */
export function ofCommands(told: Told, table: Table, { from, fromBlock }: OfCommands, count: number): Told {
  return {
    ...told,
    among: ` AND t.cmin::text::bigint >= ${from} AND ${standsBehind(fromBlock)}`,
    count,
    first: undefined,
    fires: table.triggers === 'none' && table.rules === 'none' ? 'nothing' : 'perhaps something',
    plan: { ...told.plan, suffix: '' },
  };
}

/** Rows stand behind those that they refer to, as far as that is possible. */
export function inOrder(told: readonly Told[]): readonly Told[] {
  const ordered = new Set<Told>();
  const visiting = new Set<Told>();
  const visit = (one: Told): void => {
    if (ordered.has(one) || visiting.has(one)) return;
    visiting.add(one);
    for (const other of told) if (one.references.includes(other.name)) visit(other);
    ordered.add(one);
  };
  for (const one of told) visit(one);
  return [...ordered];
}

/** All of one's own rows go. */
export function removalOfOwnText({ relation, where }: Source): string {
  return `DELETE FROM ${relation} AS t USING (${MINE}) m ${IS_OWN}${where}`;
}

/** Whether an UPDATE cannot give a row all that an INSERT can: an identity that is GENERATED ALWAYS takes nothing but DEFAULT there. */
export function keepsOwn({ columns, keys: [key = []] }: Table): boolean {
  return columns.some(({ name, identity }) => identity === 'a' && !key.includes(name));
}

/** Columns that are given values: those that PostgreSQL computes are not. */
export function storedColumns(table: Table): readonly Column[] {
  return table.columns.filter(({ generated }) => generated === '');
}

/** What makes a follower's table hold the rows that the lead's transaction has written to it. */
export interface Told {
  readonly name: string;
  readonly source: Source;
  readonly changed: 'rows are new' | 'rows were changed';
  /** Run in front of the rows; undefined where their key says which older ones they take the place of. */
  readonly first: string | undefined;
  /** A condition by which fewer than all of the transaction's own rows are meant; empty where all are. */
  readonly among: string;
  /** How many there have to be, where that is known: what policies show may be another thing by the time they are read. */
  readonly count: number | undefined;
  readonly plan: RowPlan;
  /** Tables that its rows refer to: theirs have to be there first. */
  readonly references: readonly string[];
  /** What taking these rows sets off on a follower, triggers not being turned off there. */
  readonly fires: 'nothing' | 'perhaps something';
}

/**
 * Undefined where what is read is not the whole value, or where nothing tells which rows have been changed. Without a key that is so
 * but for rows that are all new: `changed` says whether they are. Those of the transaction's own that the follower has are removed then.
 */
export function tell(
  name: string,
  table: Table,
  changed: Told['changed'],
  source: Source = alone(name),
): Told | undefined {
  const [key] = table.keys;
  const columns = storedColumns(table);
  if (columns.some(({ exact, selectable }) => !exact || !selectable)) return undefined;
  // They may fire on a follower whatever is turned off, and take no ON CONFLICT.
  if (table.rules !== 'none') return undefined;
  if (changed === 'rows were changed' && (key === undefined || keepsOwn(table))) return undefined;
  const names = columns.map((column) => quoteIdentifier(column.name));
  const plan: RowPlan = {
    kind: 'rows',
    rule: 'written out of sight',
    effects: 'in the text',
    returning: '',
    columns,
    sent: columns.length,
    keyed: 0,
    prefix: `INSERT INTO ${source.table} (${names.join(', ')}) OVERRIDING SYSTEM VALUE VALUES `,
    casts: [],
    suffix: key === undefined ? '' : takingPlaceOf(columns, key),
    verb: 'INSERT 0',
    batch: batchOf(table.together.all),
    rows: 'not compared',
    client: 'no rows',
    direct: undefined,
    otherwise: 'rows',
    stored: [name],
    times: [],
  };
  return {
    name,
    source,
    changed,
    among: '',
    count: undefined,
    references: table.references,
    plan,
    fires:
      table.triggers === 'none' && table.rules === 'none' && (key !== undefined || table.referenced === 'no')
        ? 'nothing'
        : 'perhaps something',
    first: key === undefined ? removalOfOwnText(source) : undefined,
  };
}
