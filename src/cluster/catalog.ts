/**
 * What pprox knows of a database's catalog: read from the lead (and what servers may differ in from followers) through the connection of
 * the session that needs it, kept for a while, and dropped when DDL passes through. What is unknown is taken for the worst.
 */
import type { OwnStatement } from '../backend/own-message.ts';
import { type Answer, rowsOf } from '../backend/receiver.ts';
import { qualified, quoteLiteral } from '../sql/quote.ts';
import type { QualifiedName, Statement } from '../sql/statement.ts';
import { CatalogKeepers } from './catalog-keepers.ts';
import {
  actingText,
  BINDING_FUNCTIONS,
  type Bound,
  EVENT_TRIGGERS,
  FACTS,
  factsText,
  placedByNumbersText,
  TABLE,
  triggerModeText,
} from './catalog-queries.ts';

/** Who asks. Names mean what they mean in its session. */
export interface CatalogAsker {
  /** Equal for sessions in which equal names mean equal things. */
  readonly scope: string;
  /**
   * `forbidden`: its session or transaction sees a catalog of its own (uncommitted DDL, a search_path). `its own`: one with temporary objects, or with settings that
   * nobody knows, which it keeps for itself.
   */
  readonly caching: 'allowed' | 'its own' | 'forbidden';
  readonly own: OwnKnowledge;
  /** Whether its session may have temporary objects. */
  readonly temporaries: 'none' | 'perhaps some';
  /** `perhaps others`: a function of the user's may have changed settings on the lead out of sight. */
  readonly settingsOfFunctions: 'known' | 'perhaps others';
  /** What its transaction sees is of this moment, where that is not the newest; what it reads is kept as of then. */
  readonly snapshot: CatalogMoment | undefined;
  /** Runs on the lead. */
  ask(text: string): Promise<Answer>;
  /** The same of one that is asked again and again: it may be prepared there. */
  askOften(question: OwnStatement): Promise<Answer>;
}

/** `since`: by Date.now(). */
export interface CatalogMoment {
  readonly since: number;
  readonly generation: number;
}

export interface DatabaseFacts {
  readonly volatileFunctions: ReadonlySet<string>;
  /** Those of them that make values and change nothing, as their extensions' documentation says (uuid-ossp, pgcrypto). */
  readonly valueFunctions: ReadonlySet<string>;
  readonly volatileOperators: ReadonlySet<string>;
  /** Users' functions, and types that may be written like one, whose result may be another one on another server. */
  readonly stableFunctions: ReadonlySet<string>;
  readonly stableOperators: ReadonlySet<string>;
  /** Whether casts of the user's may give another result on another server, wherever types meet. */
  readonly casts: 'immutable' | 'stable';
  /** Views that call a volatile function, directly or through others. */
  readonly volatileViews: ReadonlySet<string>;
  readonly sequences: ReadonlySet<string>;
  /** Users' operators with sides of two types, by name. */
  readonly mixedOperators: ReadonlySet<string>;
  /** Whether an `=` of the user's own may be taken for PostgreSQL's, for values of its types: then a key tells no row. */
  readonly equality: "PostgreSQL's" | 'perhaps its own';
  /** Whether any constraint may be checked at COMMIT. */
  readonly deferrable: 'none' | 'some';
  /** Whether any trigger of the user's may fire as late as at COMMIT. */
  readonly deferredTriggers: 'none' | 'some';
  /** Whether any trigger of the user's fires on TRUNCATE. */
  readonly truncateTriggers: 'none' | 'some';
  /** Whether any event trigger may write, by its source. */
  readonly eventTriggers: 'none' | 'some';
  /** Users' types that hold names of objects (regclass), which are their numbers; by name. */
  readonly typesOfNumbers: ReadonlySet<string>;
  /** Whether any table keeps its rows in partitions by what each server numbers for itself, so that they stand in another one there. */
  readonly placedByNumbers: 'none' | 'some';
  /**
   * Users' functions that a text may call without naming one that is surely a user's: by a name that PostgreSQL's own have too, as a column
   * (`t.name`), or by a cast to a type. They are not taken for what they are declared as.
   */
  readonly unbelieved: {
    readonly names: ReadonlySet<string>;
    readonly attributes: ReadonlySet<string>;
    readonly casts: ReadonlySet<string>;
  };
  /** Functions, by their numbers on the lead, that may leave something with their session (settings, locks), and what calls one. */
  readonly binding: ReadonlySet<number>;
  /** The same by name. */
  readonly bindingNames: ReadonlySet<string>;
  /** By the numbers of functions that give them a value for the transaction alone: settings of the user's own (`a.b`), in lower case. */
  readonly settingsOf: ReadonlyMap<number, readonly string[]>;
  /** Whether an event trigger is one. */
  readonly bindingEvents: 'none' | 'some';
  /** Functions, by their numbers on the lead, with TRUNCATE in their source, and what calls one. */
  readonly truncating: ReadonlySet<number>;
  /** The same by name. */
  readonly truncatingNames: ReadonlySet<string>;
  /** Whether any has SET CONSTRAINTS in its source, by which triggers fire that have waited. */
  readonly settingConstraints: 'none' | 'some';
  /** Of the lead. */
  readonly major: number;
}

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
  /** Policies of row-level security that apply to this session, and whether they look at more than the row. */
  readonly policies: 'none' | 'of the row' | 'of other rows';
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

export type Persistence = 'permanent' | 'temporary' | 'missing';

/** Of one server, for one session. */
export interface TriggerMode {
  /** The session's own session_replication_role, by which triggers fire. */
  readonly now: string;
  /** Whether the session may set it, so that none fires but those below. */
  readonly settable: boolean;
  /**
   * Tables with code of the user's that is run in spite of it: triggers that are ENABLE REPLICA or ENABLE ALWAYS, volatile functions of
   * constraints and policies. Quoted, qualified names.
   */
  readonly firing: ReadonlySet<string>;
}

/** DDL that passes through drops the knowledge at once; this bounds how long DDL run elsewhere stays unnoticed. */
export const TTL_MS = 5000;
/** Entries of all scopes together. */
const LIMIT = 10_000;

/** Triggers, cascades, deferred, whether PostgreSQL's own functions bind, and numbers of the functions that are run. */
type ReachedRow = readonly [boolean?, boolean?, boolean?, boolean?, (readonly unknown[])?];

interface Entry {
  readonly value: unknown;
  readonly since: number;
  readonly generation: number;
}

/**
 * What a session with temporary objects, or settings that nobody knows, knows of the catalog that it sees. It is kept from one statement to the next as long as these change rows or
 * read them, and call nothing that may do more.
 */
export class OwnKnowledge {
  readonly entries = new Map<string, Entry>();
  #statement: 'plain' | 'any' = 'any';
  /** Since a transaction has ended. */
  #made: 'nothing' | 'perhaps something' = 'nothing';

  /** While another statement than a plain one runs nothing is kept, nor known. */
  get holds(): boolean {
    return this.#statement === 'plain';
  }

  begin(statement: 'plain' | 'any'): void {
    if (statement === 'any' || this.#statement === 'any') this.entries.clear();
    if (statement === 'any') this.#made = 'perhaps something';
    this.#statement = statement;
  }

  /** A savepoint is gone back to: what was made behind it is gone, and what was dropped is there. */
  undo(): void {
    if (this.#made === 'perhaps something') this.entries.clear();
  }

  /** The transaction is over: so may be what was made in it. */
  end(): void {
    this.undo();
    this.#made = 'nothing';
  }
}

/** By the print of all functions, operators and views. */
interface Binding extends Bound {
  readonly print: string;
  /** Functions, by their numbers, that may leave something with their session, and what calls one. */
  readonly all: ReadonlySet<number>;
  readonly names: ReadonlySet<string>;
  /** See DatabaseFacts.settingsOf. */
  readonly settings: ReadonlyMap<number, readonly string[]>;
  readonly truncating: DatabaseFacts['truncating'];
  readonly truncatingNames: DatabaseFacts['truncatingNames'];
  readonly settingConstraints: DatabaseFacts['settingConstraints'];
}

const NOTHING_BOUND: Binding = {
  print: '',
  functions: [],
  views: [],
  all: new Set(),
  names: new Set(),
  settings: new Map(),
  truncating: new Set(),
  truncatingNames: new Set(),
  settingConstraints: 'none',
};

/** Of a table where nothing of the user's runs. */
const NOTHING_RUN: Pick<DatabaseFacts, 'binding' | 'settingsOf' | 'truncating'> = {
  binding: new Set(),
  settingsOf: new Map(),
  truncating: new Set(),
};

/** Kept of them, by the prints of all functions: of databases, and of transactions that have made some. */
const PRINTS = 100;

/** Of a JSON list. */
const names = (list: string | null | undefined): string[] => JSON.parse(list ?? '[]') as string[];

export class Catalog {
  readonly keepers = new CatalogKeepers();
  readonly #entries = new Map<string, Entry>();
  readonly #bindings = new Map<string, Binding>();
  /** By the asker's scope. */
  readonly #latest = new Map<string, Binding>();
  /** Counts `forget`: what was read before one is not kept after it. */
  #generation = 0;
  /** Commits of definitions that are under way. */
  #changing = 0;

  /** Changes when everything may have. */
  get generation(): number {
    return this.#generation;
  }

  get moment(): CatalogMoment {
    return { since: Date.now(), generation: this.#generation };
  }

  /** Equal at two moments between which nothing was changed through this process; undefined while something may be. */
  get edition(): number | undefined {
    return this.#changing === 0 ? this.#generation : undefined;
  }

  /** A commit of definitions: before anybody can see them, and until it is over. */
  async changing<T>(commit: () => Promise<T>): Promise<T> {
    this.#changing++;
    try {
      return await commit();
    } finally {
      this.#changing--;
      this.forget();
    }
  }

  /** Everything may have changed. */
  forget(): void {
    this.#entries.clear();
    this.#generation++;
  }

  facts(asker: CatalogAsker): Promise<DatabaseFacts> {
    return this.#cached(asker, 'facts', async () => {
      // Of what there was the last time: most often there is nothing else.
      const assumed = this.#latest.get(asker.scope) ?? NOTHING_BOUND;
      const nothing = assumed.functions.length === 0 && assumed.views.length === 0;
      const found = nothing ? await rowOften(asker, FACTS) : await row(asker, factsText(assumed));
      const print = found.at(-1) ?? '';
      if (print === assumed.print) return factsOf(found, assumed);
      const bound = await this.#bound(asker, print);
      if (this.#latest.size >= PRINTS) this.#latest.clear();
      this.#latest.set(asker.scope, bound);
      const same =
        JSON.stringify([bound.functions, bound.views]) === JSON.stringify([assumed.functions, assumed.views]);
      return factsOf(same ? found : await row(asker, factsText(bound)), bound);
    });
  }

  /** `print`: of the functions, operators and views that there are. Sources are long, and change seldom. */
  async #bound(asker: CatalogAsker, print: string): Promise<Binding> {
    const known = this.#bindings.get(print);
    if (known !== undefined) return known;
    const lists = await row(asker, BINDING_FUNCTIONS);
    const [functions = [], views = [], all = []] = lists
      .slice(0, 3)
      .map((list) => (JSON.parse(list ?? '[]') as unknown[]).map(Number));
    const settings = new Map<number, string[]>();
    for (const [oid, name] of JSON.parse(lists[4] ?? '[]') as [string | number, string][])
      settings.set(Number(oid), [...(settings.get(Number(oid)) ?? []), name]);
    const found: Binding = {
      print,
      functions,
      views,
      all: new Set(all),
      names: new Set(names(lists[3])),
      settings,
      truncating: new Set((JSON.parse(lists[5] ?? '[]') as unknown[]).map(Number)),
      truncatingNames: new Set(names(lists[7])),
      settingConstraints: lists[6] === 't' ? 'some' : 'none',
    };
    if (this.#bindings.size >= PRINTS) this.#bindings.clear();
    this.#bindings.set(print, found);
    return found;
  }

  async deferrable(asker: CatalogAsker): Promise<boolean> {
    return (await this.facts(asker)).deferrable === 'some';
  }

  /** Undefined where the name means nothing: the server will say so. */
  table(asker: CatalogAsker, name: QualifiedName): Promise<Table | undefined> {
    return this.tableOf(asker, qualified(name));
  }

  /** The same by its name as SQL writes it: quoted where it has to be, and qualified. */
  tableOf(asker: CatalogAsker, text: string): Promise<Table | undefined> {
    return this.#cached(asker, `table ${text}`, async () => {
      const [kind, persistence, reached, rules, children, policies, lockable, referenced, together, ...lists] =
        await row(asker, `${TABLE}to_regclass(${quoteLiteral(text)})`);
      if (kind === undefined || kind === null) return undefined;
      const [columns, keys, constrained, stored, bases, actions, references] = lists.map((list): unknown =>
        JSON.parse(list ?? '[]'),
      );
      const [triggers, cascades, deferred, calls, runs] = JSON.parse(reached ?? '[]') as ReachedRow;
      const run = (runs ?? []).map(Number);
      const { binding, settingsOf, truncating } = run.length > 0 ? await this.facts(asker) : NOTHING_RUN;
      const binds = calls === true || run.some((oid) => binding.has(oid));
      return {
        kind,
        persistence: persistence === 't' ? 'temporary' : 'permanent',
        triggers: triggers === true ? 'some' : 'none',
        cascades: cascades === true ? 'some' : 'none',
        deferred: deferred === true ? 'some' : 'none',
        binds: binds ? 'something' : 'nothing',
        empties: run.some((oid) => truncating.has(oid)) ? 'perhaps something' : 'nothing',
        settings: [...new Set(run.flatMap((oid) => settingsOf.get(oid) ?? []))].sort(),
        rules: rules === 'none' || rules === 'on changes' ? rules : 'some',
        children: children === 't' ? 'some' : 'none',
        policies: policies === 'none' || policies === 'of the row' ? policies : 'of other rows',
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
    });
  }

  /** What a column of a domain is given where nothing else says so; undefined where nothing is, or the name means nothing. */
  defaultOfType(asker: CatalogAsker, name: QualifiedName): Promise<string | undefined> {
    return this.#cached(asker, `type ${qualified(name)}`, async () => {
      const [found] = await row(
        asker,
        `SELECT typdefault FROM pg_catalog.pg_type WHERE oid = to_regtype(${quoteLiteral(qualified(name))})`,
      );
      return found ?? undefined;
    });
  }

  /** The function of this number on the lead; undefined where there is none. */
  function(
    asker: CatalogAsker,
    oid: number,
  ): Promise<(QualifiedName & { readonly volatility: 'volatile' | 'other' }) | undefined> {
    return this.#cached(asker, `function ${oid}`, async () => {
      const [schema, name, volatility] = await row(
        asker,
        `SELECT n.nspname, p.proname, p.provolatile FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = ${oid}`,
      );
      if (typeof schema !== 'string' || typeof name !== 'string') return undefined;
      return { schema, name, volatility: volatility === 'v' ? 'volatile' : 'other' };
    });
  }

  /** On the follower of this name, which `ask` asks. PostgreSQL 15 and later can grant the setting; before, it is a superuser's. */
  triggerMode(
    asker: CatalogAsker,
    label: string,
    major: number,
    ask: (text: string) => Promise<Answer>,
  ): Promise<TriggerMode> {
    return this.#cached(asker, `triggers ${label}`, async () => {
      const { rows } = await ask(triggerModeText(major));
      const [now, settable, firing] = rows[0] ?? [];
      return {
        now: now ?? 'origin',
        settable: settable === 't',
        firing: new Set(JSON.parse(firing ?? '[]') as string[]),
      };
    });
  }

  /** Whether any of these is a table that keeps its rows so, or, with `partitions`, one of its partitions. */
  async placedByNumbers(
    asker: CatalogAsker,
    names: readonly QualifiedName[],
    which: 'tables' | 'partitions',
  ): Promise<boolean> {
    if (names.length === 0 || (await this.facts(asker)).placedByNumbers === 'none') return false;
    const oids = names.map((name) => `to_regclass(${quoteLiteral(qualified(name))})`);
    return (await row(asker, placedByNumbersText(oids, which)))[0] === 't';
  }

  /** Names of temporary relations and types of the session by which it would find permanent ones without them, as other servers do. Not kept. */
  async hidingPermanent(asker: CatalogAsker): Promise<readonly string[]> {
    const [found] = await row(
      asker,
      `WITH seen AS (SELECT n.oid FROM pg_catalog.pg_namespace n
           WHERE n.nspname = ANY (pg_catalog.current_schemas(false)) AND n.oid <> pg_catalog.pg_my_temp_schema())
       SELECT json_agg(DISTINCT name) FROM (
         SELECT t.relname AS name FROM pg_catalog.pg_class t JOIN pg_catalog.pg_class p ON p.relname = t.relname
         WHERE t.relnamespace = pg_catalog.pg_my_temp_schema() AND p.relnamespace IN (SELECT oid FROM seen)
         UNION SELECT t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_type p ON p.typname = t.typname
         WHERE t.typnamespace = pg_catalog.pg_my_temp_schema() AND t.typcategory <> 'A' AND p.typnamespace IN (SELECT oid FROM seen)) s`,
    );
    return names(found ?? '[]');
  }

  /** Whether any of these is a table of the server's own. */
  async ofServer(asker: CatalogAsker, names: readonly QualifiedName[]): Promise<boolean> {
    const oids = names.map((name) => `to_regclass(${quoteLiteral(qualified(name))})`).join(', ');
    const text = `SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid IN (${oids}) AND oid < 16384 AND relkind = 'r')`;
    return this.#cached(asker, `of the server ${oids}`, async () => (await row(asker, text))[0] === 't');
  }

  /** As in `facts`, which are much more. */
  eventTriggers(asker: CatalogAsker): Promise<DatabaseFacts['eventTriggers']> {
    return this.#cached(asker, 'event triggers', async () =>
      (await row(asker, `SELECT ${EVENT_TRIGGERS}`))[0] === 't' ? 'some' : 'none',
    );
  }

  /**
   * Of a statement: whether temporary relations that it names, or functions and operators that it calls, may act on others; and whether any
   * relation is a view, of which the text does not say what it calls.
   */
  async actsBeyond(
    asker: CatalogAsker,
    statement: Pick<Statement, 'relations' | 'functions' | 'shadowable' | 'attributes' | 'operators'>,
  ): Promise<{ readonly acts: boolean; readonly views: boolean }> {
    const { relations, functions, shadowable, attributes, operators } = statement;
    const text = actingText(
      relations.map((name) => `to_regclass(${quoteLiteral(qualified(name))})`),
      [...functions.map(({ name }) => name), ...shadowable, ...attributes],
      operators.map(({ name }) => name),
    );
    return this.#cached(asker, text, async () => {
      const [acts, views] = await row(asker, text);
      return { acts: acts === 't', views: views === 't' };
    });
  }

  /** For each name; it matters only to sessions with temporary objects. */
  async persistence(asker: CatalogAsker, names: readonly QualifiedName[]): Promise<readonly Persistence[]> {
    const list = names.map((name) => `to_regclass(${quoteLiteral(qualified(name))})`).join(', ');
    return this.#cached(asker, `persistence ${list}`, async () => {
      const [found] = await row(
        asker,
        `SELECT json_agg(coalesce((SELECT CASE relpersistence WHEN 't' THEN 'temporary' ELSE 'permanent' END
         FROM pg_catalog.pg_class WHERE oid = o), 'missing') ORDER BY n)
       FROM unnest(ARRAY[${list}]) WITH ORDINALITY AS u (o, n)`,
      );
      return JSON.parse(found ?? '[]') as Persistence[];
    });
  }

  async #cached<T>(asker: CatalogAsker, what: string, load: () => Promise<T>): Promise<T> {
    if (asker.caching === 'forbidden') return load();
    const entries = asker.caching === 'its own' ? asker.own.entries : this.#entries;
    const key = `${asker.scope}\0${what}`;
    const known = entries.get(key);
    const valid = known?.generation === this.#generation && Date.now() - known.since < TTL_MS;
    if (known !== undefined && valid) return known.value as T;
    const { since, generation } = asker.snapshot ?? this.moment;
    const value = await load();
    if (generation !== this.#generation) return value;
    if (entries.size >= LIMIT) entries.clear();
    entries.set(key, { value, since, generation });
    return value;
  }
}

function believedOf(text: string | null | undefined): DatabaseFacts['unbelieved'] {
  const lists = JSON.parse(text ?? '{}') as { names?: string[]; attributes?: string[]; casts?: string[] };
  return { names: new Set(lists.names), attributes: new Set(lists.attributes), casts: new Set(lists.casts) };
}

function factsOf(found: readonly (string | null)[], bound: Binding): DatabaseFacts {
  const { all, names: bindingNames, settings, truncating, truncatingNames, settingConstraints } = bound;
  const [
    functions,
    values,
    operators,
    views,
    deferrable,
    deferredTriggers,
    sequences,
    mixed,
    stable,
    stableOperators,
    equality,
    casts,
    major,
    truncateTriggers,
    eventTriggers,
    placed,
    eventFunctions,
    numbered,
    unbelieved,
  ] = found;
  return {
    volatileFunctions: new Set<string>(names(functions)),
    valueFunctions: new Set<string>(names(values)),
    volatileOperators: new Set<string>(names(operators)),
    volatileViews: new Set<string>(names(views)),
    sequences: new Set<string>(names(sequences)),
    mixedOperators: new Set<string>(names(mixed)),
    stableFunctions: new Set<string>(names(stable)),
    stableOperators: new Set<string>(names(stableOperators)),
    equality: equality === 't' ? 'perhaps its own' : "PostgreSQL's",
    casts: casts === 't' ? 'stable' : 'immutable',
    deferrable: deferrable === 't' ? 'some' : 'none',
    deferredTriggers: deferredTriggers === 't' ? 'some' : 'none',
    truncateTriggers: truncateTriggers === 't' ? 'some' : 'none',
    eventTriggers: eventTriggers === 't' ? 'some' : 'none',
    typesOfNumbers: new Set<string>(names(numbered)),
    placedByNumbers: placed === 't' ? 'some' : 'none',
    unbelieved: believedOf(unbelieved),
    binding: all,
    bindingNames,
    settingsOf: settings,
    bindingEvents: (JSON.parse(eventFunctions ?? '[]') as unknown[]).some((oid) => all.has(Number(oid)))
      ? 'some'
      : 'none',
    truncating,
    truncatingNames,
    settingConstraints,
    major: Number(major),
  };
}

const UNREADABLE = { context: 'the catalog of the lead could not be read' };

async function rowOften(asker: CatalogAsker, question: OwnStatement): Promise<readonly (string | null)[]> {
  return rowsOf(await asker.askOften(question), UNREADABLE)[0] ?? [];
}

async function row(asker: CatalogAsker, text: string): Promise<readonly (string | null)[]> {
  return rowsOf(await asker.ask(text), UNREADABLE)[0] ?? [];
}
