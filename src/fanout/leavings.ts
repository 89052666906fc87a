/** What a statement may leave with its server session: the next client of the connection would find it. */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import type { DatabaseFacts } from '../cluster/database-facts.ts';
import type { QualifiedName, Statement } from '../sql/statement.ts';

/** By what the statement calls or sets off. */
export interface Leavings {
  /** Settings, locks and the like. */
  readonly binds: 'nothing' | 'something';
  /** Places of sequences: currval() and lastval(). */
  readonly draws: 'nothing' | 'something';
  /** Settings of the user's own (`a.b`) that exist from then on. */
  readonly settings: readonly string[];
}

/** Whether what the statement calls or sets off may leave something with its server session. */
export async function leaves(
  catalog: Catalog,
  asker: CatalogAsker,
  statement: Statement,
): Promise<'nothing' | 'something'> {
  const { command, node, stored } = statement;
  if (RUNS_ANYTHING.has(node) || callsBinding(await catalog.facts(asker), statement)) return 'something';
  if (command.kind === 'definition') {
    const { bindingEvents, bindingNames } = await catalog.facts(asker);
    if (bindingEvents === 'some' || stored.some((name) => bindingNames.has(name))) return 'something';
    // What is there may be computed anew.
    if (node !== 'AlterTableStmt') return 'nothing';
  }
  for (const name of targetsOf(statement))
    if ((await catalog.table(asker, name))?.binds === 'something') return 'something';
  return 'nothing';
}

/** All of it, where nobody looks at what it has done. */
export async function leavings(catalog: Catalog, asker: CatalogAsker, statement: Statement): Promise<Leavings> {
  return {
    binds: await leaves(catalog, asker, statement),
    draws: await draws(catalog, asker, statement),
    settings: await settingsOf(catalog, asker, statement),
  };
}

/** Settings of the user's own that what it sets off may give a value for the transaction. */
export async function settingsOf(
  catalog: Catalog,
  asker: CatalogAsker,
  statement: Statement,
): Promise<readonly string[]> {
  const settings = new Set<string>();
  for (const name of targetsOf(statement))
    for (const one of (await catalog.table(asker, name))?.settings ?? []) settings.add(one);
  return [...settings];
}

/** Whether it may draw from sequences, by its text or by what that sets off. */
export async function draws(
  catalog: Catalog,
  asker: CatalogAsker,
  statement: Statement,
): Promise<'nothing' | 'something'> {
  const { command, nested, inserts, sequences, functions, pins, added, fills } = statement;
  if (sequences.calls !== 'none' || functions.length > 0 || pins.includes('volatile function')) return 'something';
  if (command.kind === 'definition') return added.length > 0 || fills !== 'nothing' ? 'something' : 'nothing';
  const main = 'target' in command && command.target !== undefined ? [command.target] : [];
  // An UPDATE draws for the columns that it sets to their defaults.
  const assigned = command.kind === 'modify' && nested.length === 0 ? command.modification?.assigned : undefined;
  for (const name of [...main, ...inserts, ...nested.map(({ target }) => target)]) {
    const table = await catalog.table(asker, name);
    if (table === undefined) continue;
    const acts = table.kind === 'v' || table.rules !== 'none' || table.triggers === 'some' || table.cascades === 'some';
    const drawing = table.columns.filter((column) => column.sequence !== null || column.draws !== null);
    if (acts || drawing.some((column) => assigned?.includes(column.name) ?? true)) return 'something';
  }
  return 'nothing';
}

/** Tables whose triggers, constraints and defaults it may set off. */
function targetsOf({ command, nested, inserts, relations, node }: Statement): readonly QualifiedName[] {
  const main = 'target' in command && command.target !== undefined ? [command.target] : [];
  const emptied = node === 'TruncateStmt' || node === 'AlterTableStmt' ? relations : [];
  return [...main, ...emptied, ...inserts, ...nested.map(({ target }) => target)];
}

/** Any text there is. */
const RUNS_ANYTHING: ReadonlySet<string> = new Set(['DoStmt', 'CallStmt']);

/** Whether it calls a function that may leave something with its session; by an operator or a view, any that is volatile. */
function callsBinding(
  { bindingNames, volatileOperators, volatileViews }: DatabaseFacts,
  { functions, shadowable, attributes, casts, operators, relations }: Statement,
): boolean {
  return (
    functions.some(({ name }) => bindingNames.has(name)) ||
    [...shadowable, ...attributes, ...casts].some((name) => bindingNames.has(name)) ||
    operators.some(({ name }) => volatileOperators.has(name)) ||
    relations.some(({ name }) => volatileViews.has(name))
  );
}
