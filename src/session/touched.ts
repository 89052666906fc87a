/** What the statements of a block have changed so far: by it is judged what a later one may have done out of sight. */
import type { Catalog, CatalogAsker } from '../cluster/catalog.ts';

export interface Touched {
  objects: 'none' | 'some';
  /** As SQL writes their names, statements' and catalogs' ways; `many`: more than are kept. */
  tables: Set<string> | 'many';
}

/** Names that are kept. */
const TABLES = 1000;

export function untouched(): Touched {
  return { objects: 'none', tables: new Set() };
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
