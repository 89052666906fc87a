/** The plan of what nothing makes the same on followers: the lead alone runs it. */
import type { Catalog, CatalogAsker, Table } from '../cluster/catalog.ts';
import { durableEffect, RUNS_TEXT } from '../sql/function-effects.ts';
import type { InsertCommand, ModifyCommand, Statement } from '../sql/statement.ts';
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
      : [{ target: command.target, stores: onlyStores(command) }];
  const below = nested.map((one) => ({ target: one.target, stores: one.what === 'rows' }));
  const stored: string[] = [];
  let runs: 'functions' | 'nothing' = calls === undefined ? 'nothing' : 'functions';
  for (const { target, stores } of [...main, ...below]) {
    const table = await catalog.table(asker, target);
    const temporary = table?.persistence === 'temporary';
    if (table === undefined || (!temporary && (!isTellable(table, stores) || (!stores && table.keys.length === 0))))
      return undefined;
    if (temporary) runs = 'functions';
    if (temporary) continue;
    const acts = table.triggers === 'some' || table.cascades === 'some';
    if (acts || (await reasons.callOfDefaults(asker, table)) !== undefined) runs = 'functions';
    stored.push(...(stores ? storedByInsert(table) : table.stored));
  }
  return stored.length === 0 ? undefined : readBack(what, statement, stored, runs);
}

/** Whether it gives no row that is there another value, and removes none. */
function onlyStores(command: InsertCommand | ModifyCommand): boolean {
  if (command.kind === 'insert') return command.onConflict !== 'update';
  return command.merged?.assigned.length === 0 && command.merged.deletes === 'none';
}

/** Whether what a statement has done to it is seen in its rows. Of those that it only `stores` it is known how many policies must show. */
function isTellable(table: Table, stores: boolean): boolean {
  const { kind, persistence, rules, policies } = table;
  const plain = (kind === 'r' || kind === 'p') && persistence === 'permanent' && rules === 'none';
  return plain && (stores || policies === 'none') && storedColumns(table).every((one) => one.exact && one.selectable);
}
