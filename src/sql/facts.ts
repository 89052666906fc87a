/** What is found out about one statement while its tree is walked; becomes the fields of a `Statement`. */

import type {
  AddedColumn,
  ColumnPlace,
  NestedWrite,
  Nondeterminism,
  PinReason,
  QualifiedName,
  Route,
  SequenceCalls,
  SettingChange,
  UnportableOperator,
  Statement,
} from './statement.ts';

const rank: Readonly<Record<Route, number>> = { reader: 0, lead: 1, writers: 2 };

/** Names without repetition, in the order of their first mention. */
export class NameSet {
  readonly #names = new Map<string, QualifiedName>();

  add(name: QualifiedName): void {
    const key = name.schema === undefined ? name.name : `${name.schema}\0${name.name}`;
    if (!this.#names.has(key)) this.#names.set(key, name);
  }

  list(): readonly QualifiedName[] {
    return [...this.#names.values()];
  }

  some(predicate: (name: QualifiedName) => boolean): boolean {
    for (const name of this.#names.values()) if (predicate(name)) return true;
    return false;
  }
}

export class Facts {
  route: Route = 'reader';
  reason: string;
  readonly pins = new Set<PinReason>();
  readonly unpins = new Set<PinReason>();
  readonly settings: SettingChange[] = [];
  readonly functions = new NameSet();
  readonly shadowable = new Set<string>();
  readonly attributes = new Set<string>();
  readonly casts = new Set<string>();
  readonly stored = new Set<string>();
  readonly columns = new Set<string>();
  readonly operators = new NameSet();
  readonly relations = new NameSet();
  readonly inserts = new NameSet();
  readonly reads = new NameSet();
  readonly nested: NestedWrite[] = [];
  readonly nondeterminism: Nondeterminism[] = [];
  readonly conversions = new Set<string | undefined>();
  readonly unportable = new Set<string>();
  readonly unportableOperators: UnportableOperator[] = [];
  readonly order = new Set<string>();
  readonly orderShown = new Set<string>();
  readonly durable = new Set<string>();
  rewrites: 'nothing' | 'rows' = 'nothing';
  partitions: Statement['partitions'] = 'none';
  readonly added: AddedColumn[] = [];
  fills: Statement['fills'] = 'nothing';
  sequenceCalls: 'none' | 'nextval' | 'setval' = 'none';
  setsSequences: 'none' | 'some' = 'none';
  readonly sequenceNames = new Set<string>();
  readonly sequenceParameters = new Set<number>();
  /** Whether a sequence is named by neither a constant nor a parameter. */
  unnamedSequences: 'none' | 'some' = 'none';
  needsSequenceState = false;
  /** A prepared statement that it executes. */
  executes: string | undefined;
  readonly #parameters = new Map<number, readonly (ColumnPlace | undefined)[]>();
  /** INSERT, UPDATE, DELETE or MERGE below WITH. */
  writesInWith = false;
  /** A function that may return several rows, or one of a user's. */
  mayReturnSet = false;

  /** `reason` is that of the statement by itself, where nothing raises its route. */
  constructor(route: Route, reason: string) {
    this.route = route;
    this.reason = reason;
  }

  /** A route only rises; the first thing that raised it so far is the reason. */
  raise(route: Route, reason: string): void {
    if (rank[route] <= rank[this.route]) return;
    this.route = route;
    this.reason = reason;
  }

  differs(
    kind: Nondeterminism['kind'],
    name: string,
    span?: Nondeterminism['span'],
    type?: Nondeterminism['type'],
  ): void {
    // The tree holds the right side of `(a, b) = (…)` once for each column.
    const repeated = this.nondeterminism.some(
      (one) => one.kind === kind && one.name === name && one.span?.start === span?.start,
    );
    if (!repeated) this.nondeterminism.push({ kind, name, span, type });
  }

  /** A constant that time input reads as a moment; `column`: where only a column's type decides whether it is read so. */
  timeWord(word: string, column: ColumnPlace | undefined): void {
    const name = `'${word}'`;
    const place = JSON.stringify(column);
    if (this.nondeterminism.some((one) => one.name === name && JSON.stringify(one.column) === place)) return;
    this.nondeterminism.push({ kind: 'volatile', name, span: undefined, type: undefined, column });
  }

  /** A place of a parameter; undefined: none of a column's. */
  parameter(number: number, place: ColumnPlace | undefined): void {
    this.#parameters.set(number, [...(this.#parameters.get(number) ?? []), place]);
  }

  get columnParameters(): ReadonlyMap<number, readonly ColumnPlace[]> {
    const found = new Map<number, readonly ColumnPlace[]>();
    for (const [number, places] of this.#parameters) {
      const known = places.flatMap((place) => place ?? []);
      if (known.length === places.length) found.set(number, known);
    }
    return found;
  }

  /** A parameter that is to be the name of an object. */
  namedBy(parameter: number): void {
    const name = `$${parameter}, unless it is the name of an object`;
    if (this.nondeterminism.some((one) => one.name === name)) return;
    this.nondeterminism.push({ kind: 'server', name, span: undefined, type: undefined, parameter });
  }

  get sequences(): SequenceCalls {
    const known = this.unnamedSequences === 'none';
    return {
      calls: this.sequenceCalls,
      sets: this.sequenceCalls === 'setval' ? 'some' : this.setsSequences,
      names: known ? [...this.sequenceNames] : [],
      parameters: known ? [...this.sequenceParameters] : [],
    };
  }
}
