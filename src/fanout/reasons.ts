/** Why the same text need not have the same effect on another server, by name; undefined where it must. */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import type { Column, Table } from '../cluster/table.ts';
import type { Analyser } from '../sql/analyse.ts';
import { functionEffect, READS_NAMED } from '../sql/function-effects.ts';
import { NEW_NUMBER } from '../sql/literals.ts';
import { qualified } from '../sql/quote.ts';
import type { InsertCommand, Lexis, Modification, Nondeterminism, QualifiedName, Statement } from '../sql/statement.ts';
import { lookedAt, type Part, readOrChangedBy, Rules } from './rules.ts';
import { unsafePart } from './same-text.ts';
import { Variance } from './variance.ts';

const LEXIS: Lexis = { encoding: 'UTF8', standardStrings: 'on' };

/** The session's own role: sessions log in alike on every server, or it is told otherwise. */
const OWN_ROLE: ReadonlySet<string> = new Set(['CURRENT_USER', 'SESSION_USER', 'USER', 'CURRENT_ROLE']);

/** In what writers are alike. */
export interface Servers {
  /** Whether a session has the same login role on every writer. */
  readonly roles: 'same' | 'different';
  /** Numbers as PostgreSQL reads them from 16 on. As far as their versions are known. */
  numbers(): 'all read them alike' | 'some read others';
}

export class Reasons {
  readonly #catalog: Catalog;
  readonly #analyser: Analyser;
  readonly #variance: Variance;
  readonly #rules: Rules;
  readonly #servers: Servers;

  constructor(catalog: Catalog, analyser: Analyser, servers: Servers) {
    this.#catalog = catalog;
    this.#analyser = analyser;
    this.#variance = new Variance(catalog);
    this.#rules = new Rules(catalog, analyser);
    this.#servers = servers;
  }

  /** What varies in the text. */
  varying(statement: Statement): readonly Nondeterminism[] {
    const { roles, numbers } = this.#servers;
    return statement.nondeterminism.filter(({ name }) => {
      if (name === NEW_NUMBER) return numbers() === 'some read others';
      return roles === 'different' || !OWN_ROLE.has(name);
    });
  }

  /** As `varying`, where the target's columns are known: what is a text there is no moment. */
  async varyingIn(
    asker: CatalogAsker,
    statement: Statement,
    table: Table | undefined,
  ): Promise<readonly Nondeterminism[]> {
    const varying = this.varying(statement);
    if (table === undefined || !varying.some(({ column }) => column !== undefined)) return varying;
    const { mixedOperators } = await this.#catalog.facts(asker);
    const textual = new Set(table.columns.flatMap((column) => (column.textual ? column.name : [])));
    return varying.filter(
      ({ column }) =>
        column === undefined ||
        !column.columns.every((name) => textual.has(name)) ||
        column.operators.some((name) => mixedOperators.has(name)),
    );
  }

  /** By name, a view among the relations that gives each server something else. */
  async view(asker: CatalogAsker, relations: readonly QualifiedName[]): Promise<string | undefined> {
    return this.#firstVarying(asker, await this.#rules.ofViews(asker, relations), 'by itself');
  }

  /** As `view`, where it is run as well: a rule that the statement sets off. */
  async rule(asker: CatalogAsker, statement: Statement): Promise<string | undefined> {
    return this.#firstVarying(asker, (await this.#rules.of(asker, statement)).parts, 'by itself');
  }

  /** What rules that the statement sets off look at or change: what it finds there has to be the same on every writer. */
  async lookedAt(asker: CatalogAsker, statement: Statement): Promise<readonly QualifiedName[]> {
    const own = new Set(statement.relations.map((name) => qualified(name)));
    return lookedAt((await this.#rules.of(asker, statement)).parts).filter((name) => !own.has(qualified(name)));
  }

  /** Whether triggers fire, or may by foreign keys, for any relation that it names, behind views and by rules too. */
  async fires(asker: CatalogAsker, statement: Statement): Promise<'nothing' | 'something'> {
    const { tables } = await this.#rules.of(asker, statement);
    const fired = tables.some(({ triggers, cascades }) => triggers === 'some' || cascades === 'some');
    return fired ? 'something' : 'nothing';
  }

  /** `as it stands`: by the order of rows, and by texts that are read as moments, too. */
  async #firstVarying(
    asker: CatalogAsker,
    parts: readonly Part[],
    how: 'by itself' | 'as it stands',
  ): Promise<string | undefined> {
    for (const part of parts) {
      const varying = await this.#varyingPart(asker, part, how);
      if (varying !== undefined) return part.path + varying;
    }
    return undefined;
  }

  async #varyingPart(
    asker: CatalogAsker,
    { kind, table, statement }: Part,
    how: 'by itself' | 'as it stands',
  ): Promise<string | undefined> {
    if (statement === undefined) return 'a rule that cannot be read';
    // Its constants have their types.
    const [varying] = this.varying(statement).filter(({ column }) => column === undefined);
    if (varying !== undefined) return varying.name;
    if (statement.sequences.calls !== 'none') return 'a sequence';
    const called = await this.volatileCall(asker, statement);
    if (called !== undefined) return `${called}()`;
    const stable = await this.#variance.stable(asker, statement);
    if (stable !== undefined) return stable;
    if (kind === 'action') {
      const drawn = await this.#varyingDefaults(asker, statement);
      if (drawn !== undefined) return drawn;
    }
    if (how === 'by itself') return undefined;
    if (asker.settingsOfFunctions === 'perhaps others' && statement.shadowable.includes('current_setting'))
      return 'current_setting(), where a function may have changed settings';
    const [order] = statement.order;
    return order ?? (await this.mayVary(asker, await this.#withoutWordless(asker, statement, table), undefined));
  }

  /** Without conversions of what holds no words, in whichever table the name is looked up: `new` and `old` are rows of the rule's own. */
  async #withoutWordless(asker: CatalogAsker, statement: Statement, own: Table): Promise<Statement> {
    if (statement.conversions.length === 0) return statement;
    const named = await Promise.all(readOrChangedBy(statement).map((name) => this.#catalog.table(asker, name)));
    const columns = [own, ...named].flatMap((table) => table?.columns ?? []);
    const conversions = statement.conversions.filter((name) => {
      const meant = columns.filter((column) => column.name === name);
      return meant.length === 0 || meant.some(({ textual, plain }) => textual || !plain);
    });
    return { ...statement, conversions };
  }

  /** Of what an action of a rule stores or changes. */
  async #varyingDefaults(asker: CatalogAsker, statement: Statement): Promise<string | undefined> {
    const { command, inserts, nested } = statement;
    for (const name of inserts) {
      const varying = await this.varyingColumn(asker, name);
      if (varying !== undefined) return `the default of column ${varying}`;
    }
    const modified = nested.flatMap(({ target, what }) => (typeof what === 'string' ? [] : [{ target, what }]));
    if (command.kind === 'modify' && command.target !== undefined && command.modification !== undefined)
      modified.push({ target: command.target, what: command.modification });
    for (const { target, what } of modified) {
      const table = await this.#catalog.table(asker, target);
      const varying = table && (await this.varyingDefault(asker, what, table));
      if (varying !== undefined) return varying;
    }
    const table = command.kind === 'insert' ? await this.#catalog.table(asker, command.target) : undefined;
    return command.kind === 'insert' && table !== undefined ? this.#defaultOfInsert(asker, command, table) : undefined;
  }

  /** What the statement calls or casts. `makes`: in front of rows there may be casts. */
  mayVary(
    asker: CatalogAsker,
    statement: Statement,
    table: Table | undefined,
    makes?: 'rows' | 'definitions',
  ): Promise<string | undefined> {
    return this.#variance.mayVary(asker, statement, table, makes);
  }

  /** What is not in the text at all: views, rules, and what the statement calls or casts. */
  async hidden(asker: CatalogAsker, statement: Statement): Promise<string | undefined> {
    const { parts } = await this.#rules.of(asker, statement);
    return (
      (await this.#firstVarying(asker, parts, 'as it stands')) ?? (await this.mayVary(asker, statement, undefined))
    );
  }

  /** A user's function in the statement that the catalog calls volatile. */
  async volatileCall(asker: CatalogAsker, statement: Statement): Promise<string | undefined> {
    const called = calledNames(statement);
    if (called.length === 0) return undefined;
    const { volatileFunctions } = await this.#catalog.facts(asker);
    return called.find((name) => volatileFunctions.has(name));
  }

  /**
   * For people, what may change something that the text does not tell of: a function of the user's that is volatile, and not one of an extension that only
   * makes values; an operator, or what is read (a view, a table with policies), that calls one, or draws from a sequence.
   */
  async effectiveCall(asker: CatalogAsker, statement: Statement): Promise<string | undefined> {
    const { operators, relations, shadowable } = statement;
    const called = calledNames(statement);
    if (called.length + operators.length + relations.length === 0) return undefined;
    const { volatileFunctions, valueFunctions, volatileOperators, volatileViews } = await this.#catalog.facts(asker);
    const name = called.find((one) => volatileFunctions.has(one) && !valueFunctions.has(one));
    if (name !== undefined) return `${name}()`;
    const operator = operators.find((one) => volatileOperators.has(one.name));
    if (operator !== undefined) return `operator ${operator.name}`;
    if (volatileViews.size === 0) return undefined;
    return shadowable.find(readsNamed) ?? this.effectiveRead(asker, statement);
  }

  /** Of that what is read: a view that calls such a function, a table with policies that do and apply to the session. */
  async effectiveRead(asker: CatalogAsker, { relations }: Statement): Promise<string | undefined> {
    const { volatileViews } = await this.#catalog.facts(asker);
    for (const name of relations) {
      // Other schemas may have relations of this name.
      const table = volatileViews.has(name.name) ? await this.#catalog.table(asker, name) : undefined;
      if (table !== undefined && (table.kind === 'v' || table.policies !== 'none')) return `relation ${name.name}`;
    }
    return undefined;
  }

  /** Such a function that a default calls which the INSERT leaves to the server. */
  async defaultCall(asker: CatalogAsker, command: InsertCommand, table: Table): Promise<string | undefined> {
    const given = table.columns.filter(({ name }) => command.conflictDefaults.includes(name));
    return this.#callOf(asker, [...defaulted(command, table), ...given]);
  }

  /** Such a function of the default that an UPDATE gives a column. */
  givenCall(asker: CatalogAsker, { defaulted: names }: Modification, table: Table): Promise<string | undefined> {
    return this.#callOf(
      asker,
      table.columns.filter(({ name }) => names.includes(name)),
    );
  }

  /** The same of any of its columns' defaults. */
  callOfDefaults(asker: CatalogAsker, table: Table): Promise<string | undefined> {
    return this.#callOf(asker, table.columns);
  }

  async #callOf(asker: CatalogAsker, columns: readonly Column[]): Promise<string | undefined> {
    for (const column of columns) {
      const statement = column.default === null ? undefined : this.#expression(column.default);
      const called = statement && (await this.effectiveCall(asker, statement));
      if (called !== undefined) return called;
    }
    return undefined;
  }

  /** Of an INSERT: what it stores. */
  async ofInsert(
    asker: CatalogAsker,
    statement: Statement,
    command: InsertCommand,
    table: Table,
    [first]: readonly Nondeterminism[],
  ): Promise<string | undefined> {
    if (first !== undefined) return first.name;
    if (command.source === 'query') return 'rows of a query';
    const numbered = this.numbered(table);
    if (numbered !== undefined) return numbered;
    const computed = await this.#computed(asker, statement, table);
    if (computed !== undefined) return computed;
    const { parts } = await this.#rules.of(asker, statement);
    const rule = await this.#firstVarying(asker, parts, 'as it stands');
    if (rule !== undefined) return rule;
    const drawn = await this.#defaultOfInsert(asker, command, table);
    if (drawn !== undefined) return drawn;
    if (lookedAt(parts).length > 0) return 'what rules look at';
    if (command.reads === 'other rows') return 'other rows that it reads';
    // One row meets the same one everywhere, as its tag shows; of several, others may each time.
    return command.several && command.onConflict !== 'error' ? 'several rows with ON CONFLICT' : undefined;
  }

  /** Of what it leaves to the server. */
  async #defaultOfInsert(asker: CatalogAsker, command: InsertCommand, table: Table): Promise<string | undefined> {
    const given = table.columns.filter(({ name }) => command.conflictDefaults.includes(name));
    for (const column of [...defaulted(command, table), ...given]) {
      if (await this.columnVaries(asker, column)) return `the default of column ${column.name}`;
    }
    for (const base of table.bases) {
      const varying = await this.varyingColumn(asker, base);
      if (varying !== undefined) return `the default of column ${varying} behind the view`;
    }
    return undefined;
  }

  /**
   * Why followers are better told the rows, where they can be: what an operator or a default computes may depend on the server's collations or
   * mathematics. Servers that are set up alike agree on it all the same.
   */
  betterByRows(statement: Statement, table: Table, defaults: readonly Column[]): string | undefined {
    const [operator] = unportableIn(statement, table);
    if (operator !== undefined) return `${operator}, which may depend on the server's collations or mathematics`;
    const column = defaults.find((one) => {
      const expression = one.default === null ? undefined : this.#expression(one.default);
      return expression !== undefined && expression.unportable.length + expression.unportableOperators.length > 0;
    });
    return column && `the default of column ${column.name}, which may depend on the server`;
  }

  /** Of an UPDATE or DELETE: which rows it means, and what it gives them. */
  async ofModification(
    asker: CatalogAsker,
    statement: Statement,
    modification: Modification,
    table: Table,
    varying: readonly Nondeterminism[],
  ): Promise<string | undefined> {
    const unsafe = unsafePart(varying);
    if (unsafe !== undefined) return unsafe.name;
    const numbered = this.numbered(table, modification.assigned);
    if (numbered !== undefined) return numbered;
    const computed = await this.#computed(asker, statement, table);
    if (computed !== undefined) return computed;
    return (
      (await this.varyingDefault(asker, modification, table)) ?? (await this.beyondKey(asker, modification, table))
    );
  }

  /** A column, of these where some are named, that holds names of objects: what it is given may be a number. */
  numbered({ columns }: Table, given?: readonly string[]): string | undefined {
    const found = columns.find(({ name, numbered }) => numbered && given?.includes(name) !== false);
    return found && `column ${found.name}, which holds numbers of objects`;
  }

  /** Of a column that an UPDATE gives its default. */
  async varyingDefault(
    asker: CatalogAsker,
    { defaulted: names }: Modification,
    table: Table,
  ): Promise<string | undefined> {
    for (const column of table.columns.filter(({ name }) => names.includes(name))) {
      if (await this.columnVaries(asker, column)) return `the default of column ${column.name}`;
    }
    return undefined;
  }

  /** Undefined where it is about one row at most, the same one everywhere: its own locks order what is done to it. */
  async beyondKey(
    asker: CatalogAsker,
    { reads, equated, only }: Modification,
    table: Table,
  ): Promise<string | undefined> {
    if (reads === 'other rows') return 'other rows that it reads';
    if (table.kind !== 'r' && table.kind !== 'p') return 'a target that is not a table';
    if (table.rules !== 'none') return 'rules of its target';
    if (table.children === 'some' && !only) return 'tables that inherit from its target';
    const { mixedOperators } = await this.#catalog.facts(asker);
    const told = !mixedOperators.has('=') && table.keys.some((key) => key.every((name) => equated.includes(name)));
    return told ? undefined : 'a condition that goes beyond a key';
  }

  async #computed(asker: CatalogAsker, statement: Statement, table: Table): Promise<string | undefined> {
    if (asker.settingsOfFunctions === 'perhaps others' && statement.shadowable.includes('current_setting'))
      return 'current_setting(), where a function may have changed settings';
    const called = await this.volatileCall(asker, statement);
    if (called !== undefined) return `${called}(), which is volatile`;
    const hidden = await this.mayVary(asker, statement, table);
    if (hidden !== undefined) return hidden;
    // What it is declared as is its owner's word.
    const [own] = statement.functions;
    if (own !== undefined) return `${own.name}(), which is not known to give the same everywhere`;
    const [unportable] = statement.unportable;
    return unportable === undefined ? undefined : `${unportable}(), which depends on the server`;
  }

  /** A column of the table, or of a table behind the view, whose default gives each server another value. */
  async varyingColumn(asker: CatalogAsker, name: QualifiedName): Promise<string | undefined> {
    const table = await this.#catalog.table(asker, name);
    for (const column of table?.columns ?? []) if (await this.columnVaries(asker, column)) return column.name;
    for (const base of table?.bases ?? []) {
      const varying = await this.varyingColumn(asker, base);
      if (varying !== undefined) return varying;
    }
    return undefined;
  }

  async columnVaries(asker: CatalogAsker, column: Column): Promise<boolean> {
    if (column.generated !== '') return false;
    return column.identity !== '' || (column.default !== null && (await this.#varies(asker, column.default)));
  }

  /** By its type's name, a column that ALTER TABLE adds with the default of a domain, which gives each server another value. */
  async varyingType(asker: CatalogAsker, { added }: Statement): Promise<string | undefined> {
    for (const { type, default: own } of added) {
      if (type === undefined || own === 'given') continue;
      const expression = await this.#catalog.defaultOfType(asker, type);
      if (expression !== undefined && (await this.#varies(asker, expression))) return type.name;
    }
    return undefined;
  }

  /** An expression of the catalog; undefined where it cannot be read. */
  #expression(text: string): Statement | undefined {
    const analysis = this.#analyser.analyse(Buffer.from(`SELECT ${text}`), LEXIS);
    return analysis.kind === 'statements' ? analysis.statements[0] : undefined;
  }

  /** Whether an expression of the catalog may give another value on another server. */
  async #varies(asker: CatalogAsker, expression: string): Promise<boolean> {
    const statement = this.#expression(expression);
    if (asker.settingsOfFunctions === 'perhaps others' && statement?.shadowable.includes('current_setting') === true)
      return true;
    if (statement === undefined || statement.nondeterminism.length > 0 || statement.sequences.calls !== 'none')
      return true;
    if (statement.functions.length > 0 || (await this.volatileCall(asker, statement)) !== undefined) return true;
    return (await this.mayVary(asker, statement, undefined)) !== undefined;
  }
}

/** Names of the operators that are not about numbers or moments, as far as the operands' columns tell. */
export function unportableIn({ unportableOperators }: Statement, table: Table): readonly string[] {
  const plain = new Set(table.columns.filter((column) => column.plain).map(({ name }) => name));
  return unportableOperators.filter(({ columns }) => !columns.some((one) => plain.has(one))).map(({ name }) => name);
}

/** `table_to_xml()`: it may be a view. */
function readsNamed(name: string): boolean {
  return functionEffect(name)?.because === READS_NAMED;
}

/** Everything in the statement that may be a call of a user's function. */
function calledNames({ functions, shadowable, attributes, casts }: Statement): readonly string[] {
  return [...functions.map(({ name }) => name), ...shadowable, ...attributes, ...casts];
}

/** The columns that the statement leaves to their defaults. */
export function defaulted(command: InsertCommand, table: Table): readonly Column[] {
  const plain = table.columns.filter((column) => column.generated === '');
  // Where none are listed, those that PostgreSQL computes have their places as well.
  const listed =
    command.columns ?? table.columns.slice(0, command.width ?? table.columns.length).map(({ name }) => name);
  const given = new Set(listed.filter((_, position) => !command.defaultPositions.includes(position)));
  const ownValue = command.overriding === 'user value';
  return plain.filter(({ name, identity }) => !given.has(name) || (ownValue && identity !== ''));
}
