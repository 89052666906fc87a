/** What the statements of a block have changed so far: by it is judged what a later one may have done out of sight. */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import { countsOf, type Look, type Looks } from '../fanout/hidden-effects.ts';
import { LikelyValues } from '../fanout/likely-keys.ts';
import type { SequenceKeeper } from '../fanout/sequences.ts';

export interface Touched {
  objects: 'none' | 'some';
  /** Whether functions or triggers have run since then: they may have emptied again what it had made or emptied, without a trace. */
  emptied: 'nothing' | 'perhaps something';
  /** What functions and triggers have been seen to make or change. */
  made: 'nothing' | 'objects';
  /** As SQL writes their names, statements' and catalogs' ways; `many`: more than are kept. */
  tables: Set<string> | 'many';
  /** Tables, as catalogs write their names, that statements have changed which nobody has looked at; `some`: it is not known which. */
  unseen: Set<string> | 'some';
  /** By the same names, what was counted there before the transaction has changed them; `not known` where it had done so unseen. */
  readonly first: Map<string, Look | 'not known'>;
  /** Which keys rows may have that were changed out of sight. */
  readonly likely: LikelyValues;
  /** Sequences that were set back on followers, for a statement that draws there as on the lead, and are not known to be ahead again. */
  readonly setBack: Set<string>;
  /** Whether it has said of any sequence where it goes on: what other processes know of followers' holds no more. */
  sequencesSet: 'none' | 'some';
  /** Sequences of which a function call has said where they go on, which is at once; `any`: it is not known which. */
  placed: Set<string> | 'any';
  /** Sequences that were drawn from, quoted and qualified. */
  readonly drawn: Set<string>;
  /** Before the first of them: Edition's `sequences`, as far as followers are known to be ahead. */
  drawnAt: string | undefined;
  /** Whether something that is the lead's alone may have drawn from any: a temporary table's default. */
  drawnAlone: 'none' | 'perhaps some';
  /** How far followers are ahead of sequences as this transaction's own definitions have made them: by others' they need not be. */
  ownSequences: SequenceKeeper | undefined;
}

/** Names that are kept. */
const TABLES = 1000;

export function untouched(): Touched {
  return {
    objects: 'none',
    emptied: 'nothing',
    made: 'nothing',
    tables: new Set(),
    unseen: new Set(),
    first: new Map(),
    likely: new LikelyValues(),
    setBack: new Set(),
    sequencesSet: 'none',
    placed: new Set(),
    drawn: new Set(),
    drawnAt: undefined,
    drawnAlone: 'none',
    ownSequences: undefined,
  };
}

/** By setval(). `names`: none where they are not known. */
export function place(touched: Touched, names: readonly string[]): void {
  if (names.length === 0) touched.placed = 'any';
  if (touched.placed !== 'any') for (const name of names) touched.placed.add(name);
}

/** Statements have been run whose effects are in their text. `tables`: as catalogs write their names; undefined: not known. */
export function touchUnseen(touched: Touched, tables: readonly string[] | undefined): void {
  if (touched.unseen === 'some') return;
  for (const name of tables ?? []) touched.unseen.add(name);
  if (tables === undefined || touched.unseen.size > TABLES) touched.unseen = 'some';
}

/** These tables were seen to be changed between the looks. */
export function touchSeen({ unseen, first }: Touched, { before }: Looks, tables: Iterable<string>): void {
  for (const name of tables) {
    if (first.has(name) || first.size >= TABLES) continue;
    first.set(name, unseen === 'some' || unseen.has(name) ? 'not known' : before);
  }
}

/**
 * How many rows the transaction has stored in a table so far, where that is all that it has done to it; those that it has taken back count.
 * Undefined where it has done more, or that is not known. `after`: at the lead, now.
 */
export function storedInAll({ first }: Touched, after: Look, name: string): number | undefined {
  const before = first.get(name) ?? 'not known';
  if (before === 'not known') return undefined;
  const [from, to] = [countsOf(before, name), countsOf(after, name)];
  return to[1] === from[1] && to[2] === from[2] ? to[0] - from[0] : undefined;
}

/**
 * How many rows, and versions of rows, the statement between the looks has stored in a table, which the transaction has not changed before it.
 * Where as many rows are there, each is the last version. Undefined where that is not so, or not known.
 */
export function storedByFirst({ first }: Touched, looked: Looks, name: string): number | undefined {
  if (first.get(name) !== looked.before) return undefined;
  const [from, to] = [countsOf(looked.before, name), countsOf(looked.after, name)];
  return to[0] - from[0] + to[1] - from[1];
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
