/**
 * What a statement does out of sight: by functions, procedures, triggers and actions of foreign keys. It is run between two
 * looks, on the lead and on each follower.
 *
 * Sequences: followers' run ahead, so such a statement would draw other values there. Those that moved on the lead are set on
 * the follower to where they stood before, and the follower's draw must end where the lead's did. Another session that draws from
 * the same sequence at the same time is found by that comparison: the statement fails and may be tried again.
 *
 * Tables: the rows that it has inserted, updated and deleted in each must be as many. The functions behind the `pg_stat_xact` views
 * count what the server has not told its statistics yet (manual, "Viewing Statistics"): of the transaction at hand all, and of
 * earlier ones some, which is why only the difference of two looks within one transaction counts.
 */
import type { OwnStatement } from '../backend/own-message.ts';
import type { Answer } from '../backend/receiver.ts';
import { partsOf, quoteEscaped } from '../sql/quote.ts';
import {
  isOfRelations,
  PERMANENT_OBJECTS,
  permanentChanged,
  type PermanentObjects,
  permanentObjectsOf,
} from './permanent-objects.ts';
import type { FollowerFailure } from './follower.ts';

/** By quoted, qualified name. */
export interface Look {
  /** The arguments of setval() that would bring the sequence back there. */
  readonly sequences: ReadonlyMap<string, string>;
  /** Rows inserted, updated and deleted so far: `1, 0, 2`. A table without any is left out. */
  readonly tables: ReadonlyMap<string, string>;
  /** Equal where those of the session's settings are that were looked at, custom ones aside; undefined where none were. */
  readonly settings: string | undefined;
  /** Equal where values are shown, and read, in one way; undefined where settings were not looked at. */
  readonly shown: string | undefined;
  /** Those by which names are found, and values are read and computed, in their order; empty where settings were not looked at. */
  readonly values: readonly string[];
  /** Undefined where they were not looked at. */
  readonly objects: PermanentObjects | undefined;
}

/** Of nothing. */
export const NOTHING: Look = {
  sequences: new Map(),
  tables: new Map(),
  settings: undefined,
  shown: undefined,
  values: [],
  objects: undefined,
};

const CATALOG = 'pg_catalog.';

/** Whether it holds the server's own objects: a statement that changes them has changed more than rows. */
export function isOfObjects(table: string): boolean {
  return table.startsWith(CATALOG);
}

/** The same without what is said of temporary relations in the catalog, where no permanent object was changed. */
export function besideTemporary(looks: Looks): Looks {
  const { before, after } = looks;
  if (![...changes(looks).keys()].some(isOfRelations)) return looks;
  if (permanentChanged(before.objects, after.objects) !== 'unchanged') return looks;
  const without = (look: Look): Look => ({
    ...look,
    tables: new Map([...look.tables].filter(([name]) => !isOfRelations(name))),
  });
  return { before: without(before), after: without(after) };
}

/** By which names are found, and values are read, computed and shown. */
const OF_VALUES = [
  'array_nulls',
  'backslash_quote',
  'bytea_output',
  'client_encoding',
  'DateStyle',
  'default_text_search_config',
  'default_transaction_isolation',
  'extra_float_digits',
  'IntervalStyle',
  'lc_monetary',
  'lc_numeric',
  'lc_time',
  'role',
  'row_security',
  'search_path',
  'session_authorization',
  'session_replication_role',
  'standard_conforming_strings',
  'TimeZone',
  'transform_null_equals',
  'xmlbinary',
  'xmloption',
];

/** By which what is shown of a value may lose some of it, or be read as another one where they are not the same. */
const OF_SHOWING = ['client_encoding', 'DateStyle', 'extra_float_digits', 'IntervalStyle', 'lc_monetary'];

/** Temporary objects are their session's own. */
const LOOK = `SELECT 'sequence', pg_catalog.quote_ident(schemaname) || '.' || pg_catalog.quote_ident(sequencename),
    coalesce(last_value, start_value) || ', ' || (last_value IS NOT NULL)
  FROM pg_catalog.pg_sequences WHERE schemaname NOT LIKE 'pg\\_temp\\_%'
  UNION ALL SELECT 'table', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
    d.inserted || ', ' || d.updated || ', ' || d.deleted
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,
    LATERAL (SELECT pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) AS inserted,
      pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) AS updated, pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid) AS deleted) d
  WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND (c.oid >= 16384 OR n.nspname = 'pg_catalog') AND d.inserted + d.updated + d.deleted > 0`;

const settingsText = (names: readonly string[]): string =>
  `pg_catalog.concat_ws(',', ${names.map((name) => `pg_catalog.current_setting('${name}')`).join(', ')})`;

/** No value of these has this character, which begins and separates nothing that a server shows. */
const BETWEEN = '\u001f';

const VALUES = `
  UNION ALL SELECT 'values', '', pg_catalog.concat_ws(pg_catalog.chr(31), ${OF_VALUES.map((name) => `pg_catalog.current_setting('${name}')`).join(', ')})`;

const SETTINGS_OF_VALUES = `${VALUES}
  UNION ALL SELECT 'settings', '', ${settingsText(OF_VALUES)} UNION ALL SELECT 'shown', '', ${settingsText(OF_SHOWING)}`;

const ALL_SETTINGS = `${VALUES}
  UNION ALL SELECT 'settings', '', pg_catalog.concat_ws(',', pg_catalog.current_setting('role'), pg_catalog.current_setting('session_authorization'),
    (SELECT pg_catalog.md5(pg_catalog.string_agg(name || setting, ',' ORDER BY name)) FROM pg_catalog.pg_settings WHERE source = 'session'))`;

/**
 * Beside rows. `settings of values`: those that triggers may have made: a function that changes them does so where it runs. A look is planned
 * once on each connection: that takes a server three times as long as to run it.
 */
export type LookedAt = 'nothing else' | 'settings of values' | 'all settings' | 'all settings and permanent objects';

export const LOOKS: Readonly<Record<LookedAt, OwnStatement>> = {
  'nothing else': { name: 'pprox: look', text: LOOK },
  'settings of values': { name: 'pprox: look, settings of values', text: LOOK + SETTINGS_OF_VALUES },
  'all settings': { name: 'pprox: look, all settings', text: LOOK + ALL_SETTINGS },
  'all settings and permanent objects': {
    name: 'pprox: look, permanent objects',
    text: `${LOOK}${ALL_SETTINGS} UNION ALL ${PERMANENT_OBJECTS}`,
  },
};

const GONE = 'pprox: a table of the statement is not there any more';

/**
 * Of these tables, by their quoted, qualified names in ASCII, and what is below them: what they count, and nothing beside rows. By their names, and not as
 * regclass, for which the session would have to be let into the schema of each.
 */
export function countsOfTables(names: readonly string[]): OwnStatement {
  return {
    name: 'pprox: count',
    text: `WITH RECURSIVE named AS (
        SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = ANY ($2::pg_catalog.name[])
          AND pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname) = ANY ($1::pg_catalog.text[])
      ), below (oid) AS (
        SELECT oid FROM named UNION SELECT i.inhrelid FROM below b JOIN pg_catalog.pg_inherits i ON i.inhparent = b.oid)
      SELECT 'table', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),
        pg_catalog.pg_stat_get_xact_tuples_inserted(c.oid) || ', ' || pg_catalog.pg_stat_get_xact_tuples_updated(c.oid) || ', '
        || pg_catalog.pg_stat_get_xact_tuples_deleted(c.oid)
      FROM below b JOIN pg_catalog.pg_class c ON c.oid = b.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE CAST(CASE WHEN (SELECT count(*) FROM named) < pg_catalog.cardinality($1::pg_catalog.text[]) THEN '${GONE}' ELSE '1' END AS pg_catalog.int4) = 1`,
    values: [arrayOf(names), arrayOf(names.map((name) => partsOf(name)?.name ?? name))],
  };
}

/** As PostgreSQL reads it. */
function arrayOf(values: readonly string[]): Buffer {
  return Buffer.from(`{${values.map((value) => `"${value.replaceAll(/["\\]/g, '\\$&')}"`).join(',')}}`);
}

export function lookOf({ rows }: Answer): Look {
  const sequences = new Map<string, string>();
  const tables = new Map<string, string>();
  let settings: string | undefined;
  let shown: string | undefined;
  let values: readonly string[] = [];
  const ofObjects: Answer['rows'][number][] = [];
  for (const row of rows) {
    const [kind, name, state] = row;
    if (kind === 'table') tables.set(name ?? '', state ?? '');
    else if (kind === 'sequence') sequences.set(name ?? '', state ?? '');
    else if (kind === 'settings') settings = state ?? '';
    else if (kind === 'shown') shown = state ?? '';
    else if (kind === 'values') values = state?.split(BETWEEN) ?? [];
    else ofObjects.push(row);
  }
  return { sequences, tables, settings, shown, values, objects: permanentObjectsOf(ofObjects) };
}

/** Names of sequences that stand elsewhere than before; one that is new moved from nowhere and needs nothing. */
export function movedSequences(before: Look, after: Look): readonly string[] {
  const now = after.sequences;
  return [...before.sequences]
    .filter(([name, state]) => now.has(name) && now.get(name) !== state)
    .map(([name]) => name);
}

/** Of these sequences, those that the role may draw from and not set: one in each row. */
export function notSettableText(names: readonly string[]): string {
  const list = names.map(quoteEscaped).join(', ');
  return `SELECT name FROM pg_catalog.unnest(ARRAY[${list}]) name WHERE NOT pg_catalog.has_sequence_privilege(name, 'UPDATE')`;
}

/** For a follower: brings the named sequences to where they stood. */
export function alignText(names: readonly string[], before: Look): string {
  const calls = names.map(
    (name) => `pg_catalog.setval(${quoteEscaped(name)}::regclass, ${before.sequences.get(name)})`,
  );
  return `SELECT ${calls.join(', ')}`;
}

/** What is done between two looks. */
export interface Looks {
  readonly before: Look;
  readonly after: Look;
}

/** A sequence that the follower drew from ends where the lead's does, or the draws were others. */
export function compareDraws(
  label: string,
  names: readonly string[],
  lead: Looks,
  follower: Look,
): FollowerFailure | undefined {
  for (const name of names) {
    const found = follower.sequences.get(name);
    if (found === undefined || found === lead.before.sequences.get(name) || found === lead.after.sequences.get(name))
      continue;
    return { kind: 'sequence', label, sequence: name };
  }
  return undefined;
}

/** Where a setting was made on one of the two alone, or is not the same then. Undefined: nowhere, as far as it was looked at. */
export function compareSettings(label: string, lead: Looks, follower: Looks): FollowerFailure | undefined {
  for (const [place, setting] of OF_VALUES.entries()) {
    const [there, here] = [lead, follower].map(({ before, after }) => [before.values[place], after.values[place]]);
    if (there?.[0] === undefined || here?.[0] === undefined) continue;
    const made = there[0] !== there[1] || here[0] !== here[1];
    if (made && there[1] !== here[1]) return { kind: 'setting', label, setting };
  }
  return undefined;
}

/** Of sequences that the lead has left alone, those that stand lower on the follower than before: it, or somebody else, has set them. */
export function setBackOn(lead: Looks, follower: Looks): readonly string[] {
  const moved = new Set(movedSequences(lead.before, lead.after));
  const at = ({ sequences }: Look, name: string): bigint => BigInt(sequences.get(name)?.split(',')[0] ?? 0);
  return movedSequences(follower.before, follower.after).filter(
    (name) => !moved.has(name) && at(follower.after, name) <= at(follower.before, name),
  );
}

/** Whether the server's own tables say that more than rows was changed in between. */
export function changesObjects(looks: Looks): boolean {
  return [...changes(looks).keys()].some(isOfObjects);
}

const RELATIONS = `${CATALOG}pg_class`;

/** Of which every version of PostgreSQL makes as many. (Schemas for temporary objects are made by whoever comes first to one: they are not counted.) */
const COUNTED = ['pg_class', 'pg_proc', 'pg_policy', 'pg_rewrite', 'pg_largeobject_metadata'].map(
  (name) => `${CATALOG}${name}`,
);

/**
 * What was made and dropped, by its number alone: what is gone has no name any more. `temporariesDiffer`: a function may have dropped or made on one alone
 * what the client has made, or dropped, on the lead.
 */
export function compareObjects(
  label: string,
  lead: Looks,
  follower: Looks,
  temporariesDiffer: 'no' | 'perhaps',
): FollowerFailure | undefined {
  const [there, here] = [changes(lead), changes(follower)];
  const [made, found] = [there, here].map((all) => [...all.keys()].filter(isOfObjects));
  if (made === undefined || found === undefined) return undefined;
  const more = (all: ReadonlyMap<string, Counts>, name: string): number => {
    const [inserted, , deleted] = all.get(name) ?? UNCHANGED;
    return inserted - deleted;
  };
  const oneSided = (made.length === 0) !== (found.length === 0);
  const relations = [...made, ...found].every(isOfRelations);
  if (oneSided) {
    // What it has made there is looked for by its name, if it is no temporary one.
    const madeAlone = more(there, RELATIONS) + more(here, RELATIONS) > 0;
    return relations && (madeAlone || temporariesDiffer === 'perhaps')
      ? undefined
      : { kind: 'objects', label, catalogs: [...made, ...found] };
  }
  if (temporariesDiffer === 'perhaps') return undefined;
  const catalogs = COUNTED.filter((name) => more(there, name) !== more(here, name));
  return catalogs.length > 0 ? { kind: 'objects', label, catalogs } : undefined;
}

type Counts = readonly [inserted: number, updated: number, deleted: number];

const UNCHANGED: Counts = [0, 0, 0];

/** Of earlier transactions too: two looks within one are to be compared. */
export function countsOf(look: Look, table: string): Counts {
  const [inserted = 0, updated = 0, deleted = 0] = look.tables.get(table)?.split(', ').map(Number) ?? [];
  return [inserted, updated, deleted];
}

/** For each table that was changed in between: how many rows were inserted, updated and deleted. */
export function changes({ before, after }: Looks): ReadonlyMap<string, Counts> {
  const found = new Map<string, Counts>();
  for (const table of after.tables.keys()) {
    const [from, to] = [countsOf(before, table), countsOf(after, table)];
    const counts: Counts = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
    if (counts.some((count) => count !== 0)) found.set(table, counts);
  }
  return found;
}

/** How many rows were updated and deleted in all tables. */
export function changedIn(looks: Looks): { readonly updated: number; readonly deleted: number } {
  let [updated, deleted] = [0, 0];
  for (const counts of changes(looks).values()) {
    updated += counts[1];
    deleted += counts[2];
  }
  return { updated, deleted };
}

/** How many rows, and versions of rows, were stored in these tables; those that were taken back again count. */
export function storedIn(looks: Looks, tables: readonly string[]): number {
  const changed = changes(looks);
  return tables.reduce((sum, name) => {
    const [inserted = 0, updated = 0] = changed.get(name) ?? [];
    return sum + inserted + updated;
  }, 0);
}

/** `but`: tables whose rows are compared in another way. */
export function compareChanges(
  label: string,
  lead: Looks,
  follower: Looks,
  but: ReadonlySet<string>,
): FollowerFailure | undefined {
  const [expected, found] = [changes(lead), changes(follower)];
  for (const table of new Set([...expected.keys(), ...found.keys()])) {
    if (but.has(table) || isOfObjects(table)) continue;
    const [there, here] = [expected.get(table) ?? UNCHANGED, found.get(table) ?? UNCHANGED];
    if (there.some((count, index) => count !== here[index]))
      return { kind: 'elsewhere', label, table, expected: describe(there), found: describe(here) };
  }
  return undefined;
}

/**
 * Of a table whose rows a follower was told: it has to have grown by as many as on the lead. Else a row has got another key, and its old
 * one is still there.
 */
export function compareGrowth(label: string, table: string, lead: Looks, follower: Looks): FollowerFailure | undefined {
  const [expected, found] = [changes(lead), changes(follower)].map((all) => all.get(table) ?? UNCHANGED);
  if (expected === undefined || found === undefined) return undefined;
  if (expected[0] - expected[2] === found[0] - found[2]) return undefined;
  return { kind: 'elsewhere', label, table, expected: describe(expected), found: describe(found) };
}

function describe([inserted, updated, deleted]: Counts): string {
  return `${inserted} inserted, ${updated} updated, ${deleted} deleted`;
}
