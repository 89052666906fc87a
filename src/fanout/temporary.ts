/**
 * Statements on temporary objects, which the lead alone has. What such a statement does there is its session's own affair; what it does to
 * permanent tables beside it (through a temporary view, by a trigger or function) followers are told.
 */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import type { Statement } from '../sql/statement.ts';
import type { SameTextPlan } from './plan.ts';
import { readBack, refuseDurable } from './read-back.ts';

/** Whether the lead alone can run it. Rejects with PproxError where the catalog cannot be asked. */
export async function isOnTemporary(catalog: Catalog, asker: CatalogAsker, statement: Statement): Promise<boolean> {
  if (statement.relations.length === 0) return false;
  const found = await catalog.persistence(asker, statement.relations);
  if (!found.includes('temporary')) return false;
  // What is made of a query is not there yet, and followers are told its rows.
  if (statement.fills === 'table') return false;
  // A rule may be about others as well.
  if (statement.node === 'RuleStmt') return found[0] === 'temporary';
  // What is made is permanent, but for a view, which is what it reads.
  const makes = statement.command.kind === 'definition' && statement.node !== 'ViewStmt';
  if (makes && found.includes('missing')) return false;
  const target = 'target' in statement.command ? statement.command.target : undefined;
  if (!found.includes('permanent')) return true;
  // Rows of a permanent table that come from a temporary one exist on the lead alone: followers are told them.
  const [kind] = target === undefined ? [] : await catalog.persistence(asker, [target]);
  return kind === 'temporary';
}

/** Whether its text says that it makes or changes temporary objects alone. */
export function isOfTemporary({ command, route, pins }: Statement): boolean {
  return command.kind === 'definition' && route === 'lead' && pins.includes('temporary object');
}

/** Commands that may run triggers, rules and functions; and of the others these. */
const ACTING: ReadonlySet<Statement['command']['kind']> = new Set(['insert', 'modify', 'copy in', 'copy out', 'read']);
const ACTING_NODES: ReadonlySet<string> = new Set(['AlterTableStmt', 'TruncateStmt']);

/** Whether one that is on temporary objects may do something to permanent ones. Rejects with PproxError. */
export async function reachesPermanent(catalog: Catalog, asker: CatalogAsker, statement: Statement): Promise<boolean> {
  const { command, node, durable, functions, casts, relations, nested } = statement;
  if (command.kind === 'definition' && (await catalog.eventTriggers(asker)) === 'some') return true;
  if (!ACTING.has(command.kind) && !ACTING_NODES.has(node)) return false;
  if (durable.length > 0 || nested.length > 0) return true;
  const { acts, views } = await catalog.actsBeyond(asker, statement);
  if (acts) return true;
  if (!views && functions.length === 0 && casts.length === 0) return false;
  const { volatileFunctions, volatileViews } = await catalog.facts(asker);
  return (
    [...functions.map(({ name }) => name), ...casts].some((name) => volatileFunctions.has(name)) ||
    relations.some(({ name }) => volatileViews.has(name))
  );
}

/** For the lead alone. Undefined where the statement is not on temporary objects. */
export async function planOnTemporary(
  catalog: Catalog,
  asker: CatalogAsker,
  statement: Statement,
): Promise<SameTextPlan | undefined> {
  if (!isOfTemporary(statement)) {
    if (asker.temporaries === 'none' || !(await isOnTemporary(catalog, asker, statement))) return undefined;
  }
  const reason = 'a temporary object, which the lead alone has';
  refuseDurable(statement, reason);
  return readBack(reason, statement, [], 'functions', 'rows beside temporary objects');
}
