/** What a catalog says of a database as a whole: what its functions, operators and views may do. */
import { type CatalogAsker, namesOf, row, rowOften } from './catalog-asker.ts';
import { BINDING_FUNCTIONS, type Bound, FACTS, factsText } from './facts-queries.ts';

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
  /** Functions, by their numbers on the lead, that are declared to change nothing, and may. */
  readonly undeclared: ReadonlySet<number>;
  /** The same by name, as far as they are written in SQL or a procedural language. */
  readonly undeclaredNames: ReadonlySet<string>;
  /** Functions, by their numbers on the lead, with TRUNCATE in their source, and what calls one. */
  readonly truncating: ReadonlySet<number>;
  /** The same by name. */
  readonly truncatingNames: ReadonlySet<string>;
  /** Whether any has SET CONSTRAINTS in its source, by which triggers fire that have waited. */
  readonly settingConstraints: 'none' | 'some';
  /**
   * Whether functions may do what no rollback takes back, beyond what binds them to their session: in a language that is not trusted, or in C, by
   * dblink, to the server.
   */
  readonly outlasting: 'nothing' | 'perhaps something';
  /** Whether anything but a statement's own text may tell where a sequence stands for its session (currval, lastval). */
  readonly tellingPlaces: 'none' | 'some';
  /** Of the lead. */
  readonly major: number;
}

/** By the print of all functions, operators and views. */
interface Binding extends Bound {
  readonly print: string;
  /** Functions, by their numbers, that may leave something with their session, and what calls one. */
  readonly all: ReadonlySet<number>;
  readonly names: ReadonlySet<string>;
  /** See DatabaseFacts.settingsOf. */
  readonly settings: ReadonlyMap<number, readonly string[]>;
  readonly undeclaredNames: DatabaseFacts['undeclaredNames'];
  readonly truncating: DatabaseFacts['truncating'];
  readonly truncatingNames: DatabaseFacts['truncatingNames'];
  readonly settingConstraints: DatabaseFacts['settingConstraints'];
  /** By a source, or a view. */
  readonly outlasting: 'none' | 'some';
  /** By a function, view, policy or trigger's condition. */
  readonly tellingPlaces: DatabaseFacts['tellingPlaces'];
}

const NOTHING_BOUND: Binding = {
  print: '',
  functions: [],
  views: [],
  all: new Set(),
  names: new Set(),
  settings: new Map(),
  undeclaredNames: new Set(),
  truncating: new Set(),
  truncatingNames: new Set(),
  settingConstraints: 'none',
  outlasting: 'none',
  tellingPlaces: 'none',
};

/** Kept of them, by the prints of all functions: of databases, and of transactions that have made some. */
const PRINTS = 100;

/** Reads them; and keeps what takes long to find, for as long as there are the same functions, operators and views. */
export class DatabaseFactsReader {
  readonly #bindings = new Map<string, Binding>();
  /** By the asker's scope. */
  readonly #latest = new Map<string, Binding>();

  async read(asker: CatalogAsker): Promise<DatabaseFacts> {
    // Of what there was the last time: most often there is nothing else.
    const assumed = this.#latest.get(asker.scope) ?? NOTHING_BOUND;
    const nothing = assumed.functions.length === 0 && assumed.views.length === 0;
    const found = nothing ? await rowOften(asker, FACTS) : await row(asker, factsText(assumed));
    const print = found.at(-1) ?? '';
    if (print === assumed.print) return factsOf(found, assumed);
    const bound = await this.#bound(asker, print);
    if (this.#latest.size >= PRINTS) this.#latest.clear();
    this.#latest.set(asker.scope, bound);
    const same = JSON.stringify([bound.functions, bound.views]) === JSON.stringify([assumed.functions, assumed.views]);
    return factsOf(same ? found : await row(asker, factsText(bound)), bound);
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
      names: new Set(namesOf(lists[3])),
      settings,
      undeclaredNames: new Set(namesOf(lists[8])),
      truncating: new Set((JSON.parse(lists[5] ?? '[]') as unknown[]).map(Number)),
      truncatingNames: new Set(namesOf(lists[7])),
      settingConstraints: lists[6] === 't' ? 'some' : 'none',
      outlasting: lists[9] === 't' ? 'some' : 'none',
      tellingPlaces: lists[10] === 't' ? 'some' : 'none',
    };
    if (this.#bindings.size >= PRINTS) this.#bindings.clear();
    this.#bindings.set(print, found);
    return found;
  }
}

function believedOf(text: string | null | undefined): DatabaseFacts['unbelieved'] {
  const lists = JSON.parse(text ?? '{}') as { names?: string[]; attributes?: string[]; casts?: string[] };
  return { names: new Set(lists.names), attributes: new Set(lists.attributes), casts: new Set(lists.casts) };
}

function factsOf(found: readonly (string | null)[], bound: Binding): DatabaseFacts {
  const {
    all,
    names: bindingNames,
    settings,
    undeclaredNames,
    truncating,
    truncatingNames,
    settingConstraints,
    outlasting,
    tellingPlaces,
  } = bound;
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
    outside,
    telling,
  ] = found;
  return {
    volatileFunctions: new Set<string>(namesOf(functions)),
    valueFunctions: new Set<string>(namesOf(values)),
    volatileOperators: new Set<string>(namesOf(operators)),
    volatileViews: new Set<string>(namesOf(views)),
    sequences: new Set<string>(namesOf(sequences)),
    mixedOperators: new Set<string>(namesOf(mixed)),
    stableFunctions: new Set<string>(namesOf(stable)),
    stableOperators: new Set<string>(namesOf(stableOperators)),
    equality: equality === 't' ? 'perhaps its own' : "PostgreSQL's",
    casts: casts === 't' ? 'stable' : 'immutable',
    deferrable: deferrable === 't' ? 'some' : 'none',
    deferredTriggers: deferredTriggers === 't' ? 'some' : 'none',
    truncateTriggers: truncateTriggers === 't' ? 'some' : 'none',
    eventTriggers: eventTriggers === 't' ? 'some' : 'none',
    typesOfNumbers: new Set<string>(namesOf(numbered)),
    placedByNumbers: placed === 't' ? 'some' : 'none',
    unbelieved: believedOf(unbelieved),
    binding: all,
    bindingNames,
    settingsOf: settings,
    bindingEvents: (JSON.parse(eventFunctions ?? '[]') as unknown[]).some((oid) => all.has(Number(oid)))
      ? 'some'
      : 'none',
    undeclared: new Set(bound.functions),
    undeclaredNames,
    truncating,
    truncatingNames,
    settingConstraints,
    outlasting: outside === 't' || outlasting === 'some' ? 'perhaps something' : 'nothing',
    tellingPlaces: telling === 't' ? 'some' : tellingPlaces,
    major: Number(major),
  };
}
