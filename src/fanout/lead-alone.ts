/** The plan of what nothing makes the same on followers: the lead alone runs it. */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import type { Table } from '../cluster/table.ts';
import { durableEffect, RUNS_TEXT } from '../sql/function-effects.ts';
import type { InsertCommand, ModifyCommand, NestedWrite, Statement } from '../sql/statement.ts';
import { storedColumns } from './captured-rows.ts';
import type { LeadAlonePlan } from './plan.ts';
import { readBack } from './read-back.ts';
import type { Reasons } from './reasons.ts';
import { storedByInsert } from './row-plan.ts';

/**
 * Followers are told the rows that it, its triggers and functions have changed. Undefined where these could not be told: where rows have no key, are
 * shown in part, or more than rows may have been changed. `what`: stands in the way of any other plan, for people.
 */
export async function planAlone(
  catalog: Catalog,
  reasons: Reasons,
  asker: CatalogAsker,
  statement: Statement,
  what: string,
): Promise<LeadAlonePlan | undefined> {
  const { command, nested, explains, node } = statement;
  // The text that these run is mostly a read, and seen whatever it does.
  const kept = statement.durable.some((name) => durableEffect(name) !== RUNS_TEXT);
  if (explains || kept) return undefined;
  const calls = (await reasons.effectiveCall(asker, statement)) ?? statement.durable[0];
  if (command.kind === 'read' || node === 'CallStmt')
    return calls === undefined && node !== 'CallStmt' ? undefined : readBack(what, statement, [], 'functions');
  if (command.kind !== 'insert' && command.kind !== 'modify' && command.kind !== 'copy out') return undefined;
  const main =
    command.kind === 'copy out' || command.target === undefined
      ? []
      : [{ target: command.target, stores: stores(command) }];
  const below = nested.map(({ target, stores }) => ({ target, stores }));
  const stored: string[] = [];
  let runs: 'functions' | 'nothing' = calls === undefined ? 'nothing' : 'functions';
  for (const { target, stores } of [...main, ...below]) {
    const table = await catalog.table(asker, target);
    const temporary = table?.persistence === 'temporary';
    if (table === undefined || (!temporary && !isTellable(table, stores))) return undefined;
    if (temporary) runs = 'functions';
    if (temporary) continue;
    if (stores !== 'new rows' && table.children === 'some' && !(await allHaveKeys(catalog, asker, table)))
      return undefined;
    const acts = table.triggers === 'some' || table.cascades === 'some';
    if (acts || (await reasons.callOfDefaults(asker, table)) !== undefined) runs = 'functions';
    stored.push(...(stores === 'new rows' ? storedByInsert(table) : table.stored));
  }
  return stored.length === 0 ? undefined : readBack(what, statement, stored, runs);
}

/** What inherits from it has keys of its own, or none. */
async function allHaveKeys(catalog: Catalog, asker: CatalogAsker, { stored }: Table): Promise<boolean> {
  const tables = await Promise.all(stored.map((name) => catalog.tableOf(asker, name)));
  return tables.every((table) => table !== undefined && table.keys.length > 0);
}

/** A MERGE may do any of it. */
function stores(command: InsertCommand | ModifyCommand): NestedWrite['stores'] {
  if (command.kind === 'insert') return command.onConflict === 'update' ? 'other versions' : 'new rows';
  const { merged, statement } = command;
  if (merged === undefined) return statement === 'delete' ? 'nothing' : 'other versions';
  if (merged.deletes === 'some') return 'nothing';
  return merged.assigned.length === 0 ? 'new rows' : 'other versions';
}

/**
 * Whether what a statement has done to it is seen in its rows. Of those that it stores it is known how many policies must show; not so of those
 * that it removes.
 */
function isTellable(table: Table, stored: NestedWrite['stores']): boolean {
  const { kind, persistence, rules, policies, keys } = table;
  const plain = (kind === 'r' || kind === 'p') && persistence === 'permanent' && rules === 'none';
  const seen = stored === 'new rows' || (keys.length > 0 && (stored === 'other versions' || policies === 'none'));
  return plain && seen && storedColumns(table).every((one) => one.exact && one.selectable);
}
