/**
 * Rows that the transaction at hand has written to a table, whoever has written them for it: found by their `xmin` (manual, "System
 * Columns"). A row that is visible and whose transaction is in progress is one's own, or one of one's subtransactions.
 */
import type { Column, Table } from '../cluster/catalog.ts';
import { quoteIdentifier, quoteEscaped } from '../sql/quote.ts';
import type { RowPlan } from './plan.ts';
import { takingPlaceOf } from './row-plan.ts';

/** Tables are read whole for it, up to this size: some tenths of a second. */
const LARGEST_BYTES = 64 * 1024 * 1024;

/** What the session may do with a table, and whether it is small enough to be looked through. */
export interface Access {
  /** Quoted, qualified. */
  readonly table: string;
  readonly read: 'allowed' | 'not allowed';
  readonly write: 'allowed' | 'not allowed';
}

/** For tables by their quoted, qualified names; of `small tables`, those too large to be read are not among the answers. */
export function accessText(tables: readonly string[], size: 'small tables' | 'all tables'): string {
  const limit = size === 'all tables' ? '' : `AND pg_catalog.pg_relation_size(c.oid) <= ${LARGEST_BYTES}`;
  return `SELECT name, CASE WHEN pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
      AND NOT pg_catalog.row_security_active(c.oid) THEN 'allowed' ELSE 'not allowed' END,
    CASE WHEN pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
      AND pg_catalog.has_table_privilege(c.oid, 'DELETE') THEN 'allowed' ELSE 'not allowed' END
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
    LATERAL (SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name) q
  WHERE c.relkind = 'r' AND name = ANY (ARRAY[${tables.map(quoteEscaped).join(', ')}]) ${limit}`;
}

export function accessOf(rows: readonly (readonly (string | null)[])[]): readonly Access[] {
  return rows.map(([table, read, write]) => ({
    table: table ?? '',
    read: read === 'allowed' ? 'allowed' : 'not allowed',
    write: write === 'allowed' ? 'allowed' : 'not allowed',
  }));
}

/** xmin has 32 bits; what is beyond them is that of the transaction at hand, or one more where they have begun anew since. */
const MINE = 'SELECT top, top & 4294967295 AS low FROM (SELECT pg_catalog.pg_current_xact_id()::text::bigint AS top) x';
const IS_OWN = `WHERE age(t.xmin) <= age(pg_catalog.pg_current_xact_id()::xid)
  AND pg_catalog.pg_xact_status((m.top - m.low + t.xmin::text::bigint
    + CASE WHEN t.xmin::text::bigint < m.low THEN 4294967296 ELSE 0 END)::text::xid8) = 'in progress'`;

/** In one row: how many there are, and the sum of their hashes; columns by their names. `below`: partitions too, or the table alone. */
export function digestText(name: string, columns: readonly Column[], below: 'ONLY ' | '' = 'ONLY '): string {
  const list = columns.map((column) => `t.${quoteIdentifier(column.name)}`).join(', ');
  return `SELECT count(*), sum(pg_catalog.hashtextextended(ROW(${list})::text COLLATE "C", 0)) FROM (${MINE}) m, ${below}${name} AS t ${IS_OWN}`;
}

/** The rows themselves. */
export function rowsText({ name, plan, among }: Told): string {
  const columns = plan.columns.map((column) => `t.${quoteIdentifier(column.name)}`);
  return `SELECT ${columns.join(', ')} FROM (${MINE}) m, ONLY ${name} AS t ${IS_OWN}${among}`;
}

/** How many blocks a table has. */
export function blocksText(name: string): string {
  return `SELECT pg_catalog.pg_relation_size(${quoteEscaped(name)}::regclass) / current_setting('block_size')::bigint`;
}

/** Of one's own rows from this block on, the latest command (`cmin`: manual, "System Columns") and how many are of it. */
export function latestText(name: string, block: number): string {
  return `SELECT t.cmin::text, count(*) FROM (${MINE}) m, ONLY ${name} AS t ${IS_OWN} AND t.ctid >= '(${block},0)'::tid
    GROUP BY t.cmin::text ORDER BY t.cmin::text::bigint DESC LIMIT 1`;
}

/** Those alone: all that one command has stored, which followers have none of. */
export function ofCommand(told: Told, table: Table, command: string, block: number): Told {
  return {
    ...told,
    among: ` AND t.cmin = '${command}'::cid AND t.ctid >= '(${block},0)'::tid`,
    first: undefined,
    fires: table.triggers === 'none' && table.rules === 'none' ? 'nothing' : 'perhaps something',
    plan: { ...told.plan, suffix: '' },
  };
}

/** All of one's own rows go. */
export function removalOfOwnText(name: string): string {
  return `DELETE FROM ONLY ${name} AS t USING (${MINE}) m ${IS_OWN}`;
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
  readonly changed: 'rows are new' | 'rows were changed';
  /** Run in front of the rows; undefined where their key says which older ones they take the place of. */
  readonly first: string | undefined;
  /** A condition by which fewer than all of the transaction's own rows are meant; empty where all are. */
  readonly among: string;
  readonly plan: RowPlan;
  /** What taking these rows sets off on a follower, triggers not being turned off there. */
  readonly fires: 'nothing' | 'perhaps something';
}

/**
 * Undefined where what is read is not the whole value, or where nothing tells which rows have been changed. Without a key that is so
 * but for rows that are all new: `changed` says whether they are. Those of the transaction's own that the follower has are removed then.
 */
export function tell(name: string, table: Table, changed: Told['changed']): Told | undefined {
  const [key] = table.keys;
  const columns = storedColumns(table);
  if (columns.some(({ exact, selectable }) => !exact || !selectable)) return undefined;
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
    prefix: `INSERT INTO ${name} (${names.join(', ')}) OVERRIDING SYSTEM VALUE VALUES `,
    casts: [],
    suffix: key === undefined ? '' : takingPlaceOf(columns, key),
    verb: 'INSERT 0',
    batch: 'many rows',
    rows: 'not compared',
    client: 'no rows',
    direct: undefined,
    otherwise: 'rows',
    stored: [name],
    times: [],
  };
  return {
    name,
    changed,
    among: '',
    plan,
    fires:
      table.triggers === 'none' && table.rules === 'none' && (key !== undefined || table.referenced === 'no')
        ? 'nothing'
        : 'perhaps something',
    first: key === undefined ? removalOfOwnText(name) : undefined,
  };
}
