/** What a catalog says of a table, or of another relation that has rows. */
import type { QualifiedName } from '../sql/statement.ts';
import { type CatalogAsker, row } from './catalog-asker.ts';
import type { DatabaseFacts } from './database-facts.ts';
import { TABLE } from './table-query.ts';

export interface Column {
  readonly name: string;
  /** With its modifier, as this session writes it: `numeric(10,2)`. */
  readonly type: string;
  /** The same, or what it is a domain over: what stands in a column need not fulfil a constraint that its domain has got since. */
  readonly base: string;
  /** Whether it holds names of objects, which are their numbers: `regclass`, and what is made of it. */
  readonly numbered: boolean;
  /** SQL text; null where there is none. */
  readonly default: string | null;
  readonly identity: '' | 'a' | 'd';
  readonly generated: '' | 's' | 'v';
  /** Quoted, schema-qualified name of the sequence whose next value its default is. */
  readonly sequence: string | null;
  /** Whether the session is not shown where that stands: an identity draws from it for a role that has no right to it. */
  readonly unseen: boolean;
  /** Of sequences that its default draws from so that its value does not tell what was drawn; empty: not known which; null: from none. */
  readonly draws: readonly string[] | null;
  readonly selectable: boolean;
  readonly insertable: boolean;
  readonly updatable: boolean;
  /**
   * By which the text is the whole value: a cast behind it, where what is shown of XML lacks its declaration; `JSON`, whose dates are ISO's, where DateStyle
   * is another. Empty for all else.
   */
  readonly shownAs: '' | '::pg_catalog.text' | '::pg_catalog.text[]' | 'JSON';
  /** Whether the text that this session is shown of a value, and reads, is the whole value: with few digits of a float it is not. */
  readonly exact: boolean;
  /** Whether its type takes words as they are, whatever they mean: text and its like, enums, JSON, and arrays of them. */
  readonly textual: boolean;
  /** Whether its type is one of numbers or moments, so that no cast of its values reads a word. */
  readonly plain: boolean;
  /** Whether its collation tells apart what is written differently. */
  readonly toldApart: boolean;
}

export interface Table {
  /** pg_class.relkind: r, p, v, f, m. */
  readonly kind: string;
  readonly persistence: 'permanent' | 'temporary';
  /** Of its own or of a partition; so counts what else of the user's may do anything where a row is stored. */
  readonly triggers: 'none' | 'some';
  /** Whether a row that goes, or whose key changes, sets off triggers or defaults elsewhere, by actions of foreign keys. */
  readonly cascades: 'none' | 'some';
  /** Whether foreign keys refer to it. */
  readonly referenced: 'no' | 'yes';
  /** Quoted, qualified names of other tables that its foreign keys refer to, partitions among them. */
  readonly references: readonly string[];
  /**
   * Columns that constraints look at when a statement has done all its rows: foreign keys to the table itself, unique constraints that are
   * deferrable. `referring`: those that hold such a foreign key.
   */
  readonly together: { readonly referring: readonly string[]; readonly all: readonly string[] };
  /** Whether any of these may fire as late as at COMMIT. */
  readonly deferred: 'none' | 'some';
  /** Whether, by their source or that of what it names, any of these may leave something with the server session: settings, locks. */
  readonly binds: 'nothing' | 'something';
  /** Whether any of these may TRUNCATE a table. */
  readonly empties: 'nothing' | 'perhaps something';
  /** Settings of the user's own (`a.b`) that any of these may give a value for the transaction: they exist in the server session from then on. */
  readonly settings: readonly string[];
  /** `on changes`: of UPDATE and DELETE, and not of INSERT. */
  readonly rules: 'none' | 'on changes' | 'some';
  /** Tables that inherit from it: what is unique in each of them is not in all. Partitions are none. */
  readonly children: 'none' | 'some';
  /**
   * Policies of row-level security that apply to this session: they look at the row and at settings alone, or at what differs from server to
   * server (the time, `random()`) too, or perhaps at other rows.
   */
  readonly policies: 'none' | 'of the row' | 'of the moment' | 'of other rows';
  /** Whether this session may keep others from writing it. */
  readonly lockable: boolean;
  /** Its rules as CREATE RULE, a view's query among them; those of PostgreSQL's own views left out. */
  readonly actions: readonly string[];
  readonly columns: readonly Column[];
  /** Each of them names one row at any moment: unique, never NULL, checked at once. The primary key comes first. */
  readonly keys: readonly (readonly string[])[];
  /** Quoted, qualified names of the tables that its rows stand in: its own, which is the first, its partitions', its children's. */
  readonly stored: readonly string[];
  /** Columns that unique and exclusion constraints look at. */
  readonly constrained: readonly string[];
  /** Those of them that are looked at row by row, so that the order of rows counts: constraints that are not deferrable. */
  readonly ordered: readonly string[];
  /** Of a view, materialized or not: the relations that it reads. */
  readonly bases: readonly QualifiedName[];
}

/** Triggers, cascades, deferred, whether PostgreSQL's own functions bind, and numbers of the functions that are run. */
type ReachedRow = readonly [boolean?, boolean?, boolean?, boolean?, (readonly unknown[])?];

/** Of a table where nothing of the user's runs. */
const NOTHING_RUN: Pick<DatabaseFacts, 'binding' | 'settingsOf' | 'truncating' | 'undeclared'> = {
  binding: new Set(),
  settingsOf: new Map(),
  truncating: new Set(),
  undeclared: new Set(),
};

function policiesOf(found: string | null | undefined): Table['policies'] {
  return found === 'none' || found === 'of the row' || found === 'of the moment' ? found : 'of other rows';
}

/** `oid`: an expression for its number; undefined where there is none. `facts`: of its database. */
export async function readTable(
  asker: CatalogAsker,
  oid: string,
  facts: () => Promise<DatabaseFacts>,
): Promise<Table | undefined> {
  const [kind, persistence, reached, rules, children, policies, lockable, referenced, together, ...lists] = await row(
    asker,
    `${TABLE}${oid}`,
  );
  if (kind === undefined || kind === null) return undefined;
  const [columns, keys, constrained, stored, bases, actions, references] = lists.map((list): unknown =>
    JSON.parse(list ?? '[]'),
  );
  const [triggers, cascades, deferred, calls, runs] = JSON.parse(reached ?? '[]') as ReachedRow;
  const run = (runs ?? []).map(Number);
  const { binding, settingsOf, truncating, undeclared } = run.length > 0 ? await facts() : NOTHING_RUN;
  const binds = calls === true || run.some((oid) => binding.has(oid));
  return {
    kind,
    persistence: persistence === 't' ? 'temporary' : 'permanent',
    triggers: triggers === true || run.some((oid) => undeclared.has(oid)) ? 'some' : 'none',
    cascades: cascades === true ? 'some' : 'none',
    deferred: deferred === true ? 'some' : 'none',
    binds: binds ? 'something' : 'nothing',
    empties: run.some((oid) => truncating.has(oid)) ? 'perhaps something' : 'nothing',
    settings: [...new Set(run.flatMap((oid) => settingsOf.get(oid) ?? []))].sort(),
    rules: rules === 'none' || rules === 'on changes' ? rules : 'some',
    children: children === 't' ? 'some' : 'none',
    policies: policiesOf(policies),
    lockable: lockable === 't',
    referenced: referenced === 't' ? 'yes' : 'no',
    together: JSON.parse(together ?? '{"referring":[],"all":[]}') as Table['together'],
    columns: columns as Column[],
    keys: keys as string[][],
    constrained: (constrained as [string, boolean][]).map(([name]) => name),
    ordered: (constrained as [string, boolean][]).flatMap(([name, atOnce]) => (atOnce ? name : [])),
    stored: stored as string[],
    bases: bases as QualifiedName[],
    actions: actions as string[],
    references: references as string[],
  };
}
