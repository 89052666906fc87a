/** What the statements of a block have changed so far: by it is judged what a later one may have done out of sight. */
import type { Catalog, CatalogAsker } from '../cluster/catalog.ts';
import { countsOf, type Look, type Looks } from '../fanout/hidden-effects.ts';
import type { QualifiedName, Statement } from '../sql/statement.ts';

export interface Touched {
  objects: 'none' | 'some';
  /** As SQL writes their names, statements' and catalogs' ways; `many`: more than are kept. */
  tables: Set<string> | 'many';
  /** Targets of statements that nobody has looked at, in order; `some`: it is not known which. */
  unseen: QualifiedName[] | 'some';
  /** By tables, as catalogs write their names, what was counted there before the first statement that was seen to change it. */
  readonly first: Map<string, FirstSeen>;
}

interface FirstSeen {
  readonly look: Look;
  /** How many statements had not been looked at. */
  readonly unseen: number | 'some';
}

/** Names that are kept. */
const TABLES = 1000;

export function untouched(): Touched {
  return { objects: 'none', tables: new Set(), unseen: [], first: new Map() };
}

/** A statement has been run whose effects are in its text. */
export function touchUnseen(touched: Touched, { command, nested }: Statement): void {
  if (touched.unseen === 'some') return;
  const changes = command.kind === 'insert' || command.kind === 'modify' || command.kind === 'copy in';
  const target = changes ? command.target : undefined;
  if (target === undefined || nested.length > 0 || touched.unseen.length >= TABLES) touched.unseen = 'some';
  else touched.unseen.push(target);
}

/** These tables were seen to be changed between the looks. */
export function touchSeen(touched: Touched, { before }: Looks, tables: Iterable<string>): void {
  const unseen = touched.unseen === 'some' ? 'some' : touched.unseen.length;
  for (const name of tables) {
    if (!touched.first.has(name) && touched.first.size < TABLES) touched.first.set(name, { look: before, unseen });
  }
}

/**
 * How many rows the transaction has stored in a table so far, where that is all that it has done to it; those that it has taken back count.
 * Undefined where it has done more, or that is not known. `after`: at the lead, now. Rejects with PproxError.
 */
export async function storedInAll(
  catalog: Catalog,
  asker: CatalogAsker,
  touched: Touched,
  after: Look,
  name: string,
): Promise<number | undefined> {
  const first = touched.first.get(name);
  if (first === undefined || first.unseen === 'some' || touched.unseen === 'some') return undefined;
  for (const target of touched.unseen.slice(0, first.unseen)) {
    const table = await catalog.table(asker, target);
    if (table?.stored.includes(name) !== false) return undefined;
  }
  const [from, to] = [countsOf(first.look, name), countsOf(after, name)];
  return to[1] === from[1] && to[2] === from[2] ? to[0] - from[0] : undefined;
}

export function touch(touched: Touched, tables: Iterable<string>): void {
  if (touched.tables === 'many') return;
  for (const name of tables) touched.tables.add(name);
  if (touched.tables.size > TABLES) touched.tables = 'many';
}

/** Whether triggers of these tables may wait for the transaction's end, or for SET CONSTRAINTS. Rejects with PproxError. */
export async function mayWait(catalog: Catalog, asker: CatalogAsker, { tables }: Touched): Promise<boolean> {
  if (tables !== 'many' && tables.size === 0) return false;
  const { deferredTriggers } = await catalog.facts(asker);
  if (deferredTriggers === 'none') return false;
  if (tables === 'many') return true;
  for (const name of tables) {
    const table = await catalog.tableOf(asker, name);
    if (table?.deferred === 'some') return true;
  }
  return false;
}
