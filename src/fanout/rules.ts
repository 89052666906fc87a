/**
 * What a statement does that its text does not show, by views and rules: the queries, conditions and actions behind the
 * relations that it names, and behind those, each taken apart like a statement of its own.
 */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import type { Table } from '../cluster/table.ts';
import type { Analyser } from '../sql/analyse.ts';
import { qualified } from '../sql/quote.ts';
import type { Lexis, QualifiedName, Statement } from '../sql/statement.ts';

const LEXIS: Lexis = { encoding: 'UTF8', standardStrings: 'on' };

type Event = 'INSERT' | 'UPDATE' | 'DELETE';

const EVENTS: readonly Event[] = ['INSERT', 'UPDATE', 'DELETE'];

/** `stored into`: by an INSERT, to which the query of a view says no more than where the rows go. */
interface Use {
  readonly name: QualifiedName;
  readonly how: 'read or changed' | 'stored into';
}

export interface Part {
  /** By what of which relations it comes, for people: `v, by t, by `. */
  readonly path: string;
  /** What the rule is of. */
  readonly table: Table;
  readonly kind: 'query' | 'condition' | 'action';
  /** Undefined where it cannot be read. */
  readonly statement: Statement | undefined;
}

/** What a statement reaches: the relations with what they are, and the texts on the way. */
interface Reached {
  readonly tables: Table[];
  readonly parts: Part[];
  readonly visited: Set<string>;
}

export class Rules {
  readonly #catalog: Catalog;
  readonly #analyser: Analyser;

  constructor(catalog: Catalog, analyser: Analyser) {
    this.#catalog = catalog;
    this.#analyser = analyser;
  }

  /** The parts of what the views among these are read by. */
  async ofViews(asker: CatalogAsker, names: readonly QualifiedName[]): Promise<readonly Part[]> {
    const reached: Reached = { tables: [], parts: [], visited: new Set() };
    await this.#reach(asker, names.map(readOrChanged), [], '', reached);
    return reached.parts;
  }

  /** The parts of what the statement sets off, and every relation that it or they name. */
  async of(asker: CatalogAsker, statement: Statement): Promise<Omit<Reached, 'visited'>> {
    const reached: Reached = { tables: [], parts: [], visited: new Set() };
    await this.#reach(asker, usesOf(statement), eventsOf(statement), '', reached);
    return reached;
  }

  async #reach(
    asker: CatalogAsker,
    uses: readonly Use[],
    events: readonly Event[],
    path: string,
    reached: Reached,
  ): Promise<void> {
    for (const { name, how } of uses) {
      const key = `${qualified(name)} ${how} ${events.join(' ')}`;
      if (reached.visited.has(key)) continue;
      reached.visited.add(key);
      const table = await this.#catalog.table(asker, name);
      if (table === undefined) continue;
      reached.tables.push(table);
      const through = `${path}${name.name}, by `;
      if (how === 'stored into' && table.kind === 'v') {
        const bases = table.bases.map((base) => ({ name: base, how }));
        await this.#reach(asker, bases, events, through, reached);
      }
      for (const rule of table.actions) {
        for (const part of this.#partsOf(rule, how, events)) {
          reached.parts.push({ ...part, path: through, table });
          const { kind, statement } = part;
          if (statement === undefined) continue;
          // What is done to a view is done to what stands behind it.
          const next = kind === 'query' ? events : eventsOf(statement);
          await this.#reach(asker, usesOf(statement), next, through, reached);
        }
      }
    }
  }

  #partsOf(rule: string, how: Use['how'], events: readonly Event[]): readonly Pick<Part, 'kind' | 'statement'>[] {
    const cut = cutRule(rule);
    if (cut === undefined) return [{ kind: 'action', statement: undefined }];
    const { event, condition, action } = cut;
    if (event === 'SELECT') return how === 'stored into' ? [] : this.#statements('query', action);
    if (!events.some((one) => one === event)) return [];
    const several = action.startsWith('(') ? action.replace(/^\(|\);?$/g, '') : action;
    return [
      ...(condition === undefined ? [] : this.#statements('condition', `SELECT WHERE ${condition}`)),
      ...(/^NOTHING;?$/.test(action) ? [] : this.#statements('action', several)),
    ];
  }

  #statements(kind: Part['kind'], text: string): readonly Pick<Part, 'kind' | 'statement'>[] {
    const analysis = this.#analyser.analyse(Buffer.from(text), LEXIS);
    if (analysis.kind !== 'statements') return [{ kind, statement: undefined }];
    return analysis.statements.map((statement) => ({ kind, statement }));
  }
}

/** What the rules among the parts look at or change beside the row at hand; into what they store is not among it. */
export function lookedAt(parts: readonly Part[]): readonly QualifiedName[] {
  const found = new Map<string, QualifiedName>();
  for (const { kind, statement } of parts) {
    if (kind === 'query' || statement === undefined) continue;
    for (const name of readOrChangedBy(statement)) found.set(qualified(name), name);
  }
  return [...found.values()];
}

export function readOrChangedBy(statement: Statement): readonly QualifiedName[] {
  return usesOf(statement).flatMap(({ name, how }) => (how === 'stored into' ? [] : name));
}

function readOrChanged(name: QualifiedName): Use {
  return { name, how: 'read or changed' };
}

function usesOf({ command, relations, reads, nested }: Statement): readonly Use[] {
  if (command.kind !== 'insert' || nested.length > 0) return relations.map(readOrChanged);
  return [...reads.map(readOrChanged), { name: command.target, how: 'stored into' }];
}

/** Rules of which events it sets off; the rules of what it reads alone are none of these. */
function eventsOf({ command, nested }: Statement): readonly Event[] {
  if (nested.length > 0) return EVENTS;
  switch (command.kind) {
    case 'read':
      return [];
    case 'insert':
      return command.onConflict === 'update' ? ['INSERT', 'UPDATE'] : ['INSERT'];
    case 'modify':
      if (command.statement === 'update') return ['UPDATE'];
      return command.statement === 'delete' ? ['DELETE'] : EVENTS;
    default:
      return EVENTS;
  }
}

/** Words of the rule itself stand outside quotes and in capitals, which no name does. */
const WORDS =
  /"(?:[^"]|"")*"|E'(?:[^'\\]|\\[^]|'')*'|'(?:[^']|'')*'|\bON (?:SELECT|INSERT|UPDATE|DELETE) TO |\bWHERE\s|\bDO\s/g;

/** As pg_get_ruledef() writes it: CREATE RULE … AS ON event TO … [ WHERE condition ] DO [ INSTEAD ] action. */
function cutRule(
  rule: string,
): { readonly event: string; readonly condition: string | undefined; readonly action: string } | undefined {
  let event: string | undefined;
  let from: number | undefined;
  for (const { 0: word, index } of rule.matchAll(WORDS)) {
    if (word.startsWith('ON ')) event ??= word.split(' ')[1];
    else if (word.startsWith('WHERE')) from ??= index + word.length;
    else if (word.startsWith('DO') && event !== undefined) {
      const action = rule
        .slice(index + word.length)
        .trim()
        .replace(/^(?:INSTEAD|ALSO)\s+/, '');
      return { event, condition: from === undefined ? undefined : rule.slice(from, index), action };
    }
  }
  return undefined;
}
