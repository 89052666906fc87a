/**
 * What followers get for a statement of the lead's: its replay plan. Chosen so that the effect is the same on every
 * writer; where pprox cannot make that sure, the statement is refused before any server has seen it.
 */
import type { Catalog, CatalogAsker, Column, Table } from '../cluster/catalog.ts';
import { PproxError } from '../lib/errors.ts';
import type { Analyser } from '../sql/analyse.ts';
import { qualified, quoteIdentifier } from '../sql/quote.ts';
import { Variance } from './variance.ts';
import type { InsertCommand, Lexis, Nondeterminism, QualifiedName, Statement } from '../sql/statement.ts';

export type ReplayPlan =
  /** The same text. `times`: calls in it that stand for the lead's transaction time. */
  | {
      readonly kind: 'statement';
      readonly times: readonly Nondeterminism[];
      readonly rows: 'compared' | 'not compared';
      readonly effects: Effects;
    }
  /** The same text, and the rows that it leaves behind compared: triggers may have made them differ. */
  | VerifiedPlan
  /** The rows that the lead has stored. */
  | RowPlan;

/** `hidden`: a function, procedure or trigger may do more than the text says, and draw from sequences. */
export type Effects = 'in the text' | 'hidden';

export interface VerifiedPlan {
  readonly kind: 'verified';
  readonly times: readonly Nondeterminism[];
  /** Appended to the statement on every writer. */
  readonly returning: string;
  /** How many columns `returning` adds. */
  readonly width: number;
  readonly client: 'rows' | 'no rows';
  readonly effects: Effects;
}

export interface RowPlan {
  readonly kind: 'rows';
  /** Appended to the client's statement on the lead. */
  readonly returning: string;
  /** Columns of `returning`, in order: each stored as given. */
  readonly columns: readonly Column[];
  /** `INSERT INTO … VALUES `, to be followed by rows. */
  readonly prefix: string;
  /** Behind the rows: how a row that exists already is met. */
  readonly suffix: string;
  /** Whether what a follower stored is compared with the lead's row: triggers may have changed it. */
  readonly rows: 'compared' | 'not compared';
  /** Whether the client's statement returns rows of its own, in front of ours. */
  readonly client: 'rows' | 'no rows';
  readonly effects: Effects;
}

const LEXIS: Lexis = { encoding: 'UTF8', standardStrings: 'on' };

/** `same text`: what a proxy does that takes the same text for the same effect. For tests, which show what would differ. */
export type PlanChoice = 'proven' | 'same text';

export class Planner {
  readonly #catalog: Catalog;
  readonly #analyser: Analyser;
  readonly #variance: Variance;
  readonly #roles: 'same' | 'different';
  readonly #choice: PlanChoice;

  /** `roles`: whether a session has the same login role on every writer. */
  constructor(catalog: Catalog, analyser: Analyser, roles: 'same' | 'different', choice: PlanChoice) {
    this.#choice = choice;
    this.#catalog = catalog;
    this.#analyser = analyser;
    this.#variance = new Variance(catalog, analyser);
    this.#roles = roles;
  }

  /** Rejects with PproxError `not_replayable` where no plan is safe. */
  async plan(asker: CatalogAsker, statement: Statement): Promise<ReplayPlan> {
    if (this.#choice === 'same text')
      return { kind: 'statement', times: [], rows: 'not compared', effects: 'in the text' };
    await this.#checkNested(asker, statement);
    const { command } = statement;
    switch (command.kind) {
      case 'insert':
        return this.#insert(asker, statement, command);
      case 'modify':
        return this.#modify(asker, statement, command);
      case 'copy in':
        return this.#copy(asker, statement, command);
      case 'read':
        // A volatile function of the user's: what it returns is all there is to compare.
        return this.#query(asker, statement);
      case 'definition': {
        const called = await this.#volatileCall(asker, statement);
        if (called !== undefined) throw notReplayable(`${called}(), which is volatile, in a definition`);
        await this.#checkFilling(asker, statement);
        return same(this.#varying(statement), statement, 'not compared');
      }
      case 'copy out': {
        // Of an INSERT, UPDATE or DELETE.
        const called = await this.#volatileCall(asker, statement);
        const hidden = called ?? (await this.#hidden(asker, statement, undefined));
        if (hidden !== undefined && statement.route === 'writers') throw notReplayable(hidden);
        return same(this.#varying(statement), statement, 'not compared');
      }
      case 'utility':
        if (statement.node === 'RefreshMatViewStmt') {
          const view = await this.#variance.view(asker, statement.relations);
          if (view !== undefined) throw notReplayable(view);
        }
        return same(this.#varying(statement), statement, 'not compared');
      default:
        return same(this.#varying(statement), statement, 'not compared');
    }
  }

  /** Rows that a definition makes: of CREATE TABLE AS, of ALTER TABLE. Texts that they cast are taken at their word. */
  async #checkFilling(asker: CatalogAsker, statement: Statement): Promise<void> {
    const { node, relations } = statement;
    const queries = node === 'CreateTableAsStmt' || node === 'SelectStmt';
    const makes = queries || node === 'AlterTableStmt' ? 'rows' : 'definitions';
    const found =
      (queries ? await this.#variance.view(asker, relations) : undefined) ??
      (await this.#variance.mayVary(asker, { ...statement, conversions: [], operators: [] }, undefined, makes));
    if (found !== undefined) throw notReplayable(found, 'Create the table first, and fill it by INSERT.');
  }

  /** What may make the statement's effect another one on another server, and is not in its text. */
  async #hidden(asker: CatalogAsker, statement: Statement, table: Table | undefined): Promise<string | undefined> {
    const view = await this.#variance.view(asker, statement.relations);
    return view ?? (await this.#variance.mayVary(asker, statement, table));
  }

  #varying(statement: Statement): readonly Nondeterminism[] {
    return statement.nondeterminism.filter(({ name }) => this.#roles === 'different' || !OWN_ROLE.has(name));
  }

  /** As `#varying`, where the target's columns are known: what is a text there is no moment. */
  async #varyingIn(
    asker: CatalogAsker,
    statement: Statement,
    table: Table | undefined,
  ): Promise<readonly Nondeterminism[]> {
    const varying = this.#varying(statement);
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

  /** MERGE, and an INSERT below WITH: which of their columns take defaults is not looked at, so none may vary. */
  async #checkNested(asker: CatalogAsker, statement: Statement): Promise<void> {
    for (const target of statement.inserts) {
      const varying = await this.#varyingColumn(asker, target);
      if (varying === undefined) continue;
      throw notReplayable(
        `an INSERT inside another statement into ${target.name}, whose column ${varying} has a default that varies`,
        'Use an INSERT of its own.',
      );
    }
  }

  /** A column of the table, or of a table behind the view, whose default gives each server another value. */
  async #varyingColumn(asker: CatalogAsker, name: QualifiedName): Promise<string | undefined> {
    const table = await this.#catalog.table(asker, name);
    for (const column of table?.columns ?? []) if (await this.#columnVaries(asker, column)) return column.name;
    for (const base of table?.bases ?? []) {
      const varying = await this.#varyingColumn(asker, base);
      if (varying !== undefined) return varying;
    }
    return undefined;
  }

  async #columnVaries(asker: CatalogAsker, column: Column): Promise<boolean> {
    if (column.generated !== '') return false;
    return column.identity !== '' || (column.default !== null && (await this.#varies(asker, column.default)));
  }

  async #query(asker: CatalogAsker, statement: Statement): Promise<ReplayPlan> {
    const plan = same(this.#varying(statement), statement, 'compared');
    const called = plan.kind === 'statement' ? await this.#volatileCall(asker, statement) : undefined;
    return called === undefined || plan.kind !== 'statement' ? plan : { ...plan, effects: 'hidden' };
  }

  async #modify(
    asker: CatalogAsker,
    statement: Statement,
    command: Statement['command'] & { kind: 'modify' },
  ): Promise<ReplayPlan> {
    const rows = command.hasReturning ? 'compared' : 'not compared';
    const called = await this.#volatileCall(asker, statement);
    if (command.target === undefined || command.statement === 'merge') {
      const plan = same(this.#varying(statement), statement, rows);
      if (called !== undefined) throw notReplayable(`${called}(), which is volatile`);
      const hidden = await this.#hidden(asker, statement, undefined);
      if (hidden !== undefined) throw notReplayable(hidden);
      return plan;
    }
    const table = await this.#catalog.table(asker, command.target);
    const view = await this.#variance.view(asker, statement.relations);
    if (view !== undefined) throw notReplayable(view);
    const plan = same(await this.#varyingIn(asker, statement, table), statement, rows);
    if (table === undefined) return plan;
    if (called !== undefined) return verified(plan, statement, command, table, { why: called, effects: 'hidden' });
    const why = await this.#variance.mayVary(asker, statement, table);
    return verified(plan, statement, command, table, { why, effects: 'in the text' });
  }

  /** A user's function in the statement that the catalog calls volatile. */
  async #volatileCall(asker: CatalogAsker, statement: Statement): Promise<string | undefined> {
    const called = names(statement);
    if (called.length === 0) return undefined;
    const { volatileFunctions } = await this.#catalog.facts(asker);
    return called.find((name) => volatileFunctions.has(name));
  }

  async #insert(asker: CatalogAsker, statement: Statement, command: InsertCommand): Promise<ReplayPlan> {
    const table = await this.#catalog.table(asker, command.target);
    // A name that means nothing is the lead's to refuse.
    if (table === undefined) return same(this.#varying(statement), statement, 'not compared');
    const varying = await this.#varyingIn(asker, statement, table);
    const reason = await this.#insertReason(asker, statement, command, table, varying);
    if (reason === undefined) {
      const plan = same(varying, statement, command.hasReturning ? 'compared' : 'not compared');
      return verified(plan, statement, command, table, { why: undefined, effects: 'in the text' });
    }
    if (statement.explains) throw notReplayable(`EXPLAIN ANALYZE of an INSERT with ${reason}`);
    const calls = (await this.#volatileCall(asker, statement)) !== undefined;
    return rowPlan(command, table, reason, calls ? 'hidden' : 'in the text');
  }

  /** Why the same text would not store the same rows; undefined where it would. */
  async #insertReason(
    asker: CatalogAsker,
    statement: Statement,
    command: InsertCommand,
    table: Table,
    [first]: readonly Nondeterminism[],
  ): Promise<string | undefined> {
    if (first !== undefined) return first.name;
    if (command.source === 'query') return 'rows of a query';
    const called = await this.#volatileCall(asker, statement);
    if (called !== undefined) return `${called}()`;
    const hidden = await this.#variance.mayVary(asker, statement, table);
    if (hidden !== undefined) return hidden;
    if (table.rules === 'some') {
      const rule = await this.#variance.view(asker, [command.target]);
      if (rule !== undefined) return rule;
    }
    for (const column of defaulted(command, table)) {
      if (await this.#columnVaries(asker, column)) return `the default of column ${column.name}`;
    }
    for (const base of table.bases) {
      const varying = await this.#varyingColumn(asker, base);
      if (varying !== undefined) return `the default of column ${varying} behind the view`;
    }
    return undefined;
  }

  /** Whether an expression of the catalog may give another value on another server. */
  async #varies(asker: CatalogAsker, expression: string): Promise<boolean> {
    const analysis = this.#analyser.analyse(Buffer.from(`SELECT ${expression}`), LEXIS);
    const statement = analysis.kind === 'statements' ? analysis.statements[0] : undefined;
    if (statement === undefined || statement.nondeterminism.length > 0 || statement.sequences.calls !== 'none')
      return true;
    if ((await this.#volatileCall(asker, statement)) !== undefined) return true;
    return (await this.#variance.mayVary(asker, statement, undefined)) !== undefined;
  }

  async #copy(
    asker: CatalogAsker,
    statement: Statement,
    command: Statement['command'] & { kind: 'copy in' },
  ): Promise<ReplayPlan> {
    const table = await this.#catalog.table(asker, command.target);
    const listed = command.columns;
    // A column that cannot be copied into is the lead's to refuse.
    const known = new Set(table?.columns.filter(({ generated }) => generated === '').map(({ name }) => name));
    if (listed?.some((name) => !known.has(name)) === true)
      return same(this.#varying(statement), statement, 'not compared');
    for (const column of table?.columns ?? []) {
      if (listed === undefined || listed.includes(column.name)) continue;
      if (await this.#columnVaries(asker, column)) {
        throw notReplayable(
          `COPY that leaves column ${column.name} to its default`,
          'List the column and give its values.',
        );
      }
    }
    return same(this.#varying(statement), statement, 'not compared');
  }
}

/** Everything in the statement that may be a call of a user's function. */
function names({ functions, shadowable, attributes }: Statement): readonly string[] {
  return [...functions.map(({ name }) => name), ...shadowable, ...attributes];
}

/** The columns that the statement leaves to their defaults. */
function defaulted(command: InsertCommand, table: Table): readonly Column[] {
  const plain = table.columns.filter((column) => column.generated === '');
  const listed = command.columns ?? plain.slice(0, command.width ?? plain.length).map(({ name }) => name);
  const given = new Set(listed.filter((_, position) => !command.defaultPositions.includes(position)));
  return plain.filter(({ name }) => !given.has(name));
}

/** The same text, the lead's time in place of each server's own. */
function same(varying: readonly Nondeterminism[], statement: Statement, rows: 'compared' | 'not compared'): ReplayPlan {
  const unsafe = varying.find(({ kind, span }) => kind !== 'transaction time' || span === undefined);
  if (unsafe !== undefined) {
    const ddl = statement.command.kind === 'definition';
    throw notReplayable(
      unsafe.name,
      ddl ? 'Add the column without the default and set the default in a second statement.' : undefined,
    );
  }
  const { command, pins } = statement;
  // A query that the text alone would send to a reader, and the catalog or the reader itself did not.
  const surprising = (command.kind === 'read' || command.kind === 'copy out') && statement.route !== 'writers';
  const opaque = surprising || pins.includes('volatile function');
  const effects = opaque ? 'hidden' : 'in the text';
  return { kind: 'statement', times: varying, rows: statement.explains ? 'not compared' : rows, effects };
}

/** The session's own role: sessions log in alike on every server, or the planner is told otherwise. */
const OWN_ROLE: ReadonlySet<string> = new Set(['CURRENT_USER', 'SESSION_USER', 'USER', 'CURRENT_ROLE']);

/** Triggers and volatile functions: what they made of the rows is compared. What they did elsewhere is not. */
function verified(
  plan: ReplayPlan,
  statement: Statement,
  command: {
    readonly target: QualifiedName | undefined;
    readonly alias: string | undefined;
    readonly hasReturning: boolean;
  },
  table: Table | undefined,
  /** `why`: what has to be compared, whatever triggers there are. */
  { why, effects }: { readonly why: string | undefined; readonly effects: Effects },
): ReplayPlan {
  if (plan.kind !== 'statement' || table === undefined) return plan;
  if (table.triggers === 'none' && why === undefined) return plan;
  const columns = table.columns.filter(({ selectable }) => selectable);
  const blind = table.kind === 'v' || statement.explains || command.target === undefined || columns.length === 0;
  if (blind || command.target === undefined) {
    if (why !== undefined) throw notReplayable(`${why}, where the rows cannot be compared`);
    return { ...plan, effects: 'hidden' };
  }
  const client = command.hasReturning ? 'rows' : 'no rows';
  return {
    kind: 'verified',
    times: plan.times,
    returning: returning(command.target, command, columns),
    width: columns.length,
    client,
    effects: table.triggers === 'some' ? 'hidden' : effects,
  };
}

/** The columns of the target's row, behind the client's own where it has any. */
function returning(
  target: QualifiedName,
  command: { readonly alias: string | undefined; readonly hasReturning: boolean },
  columns: readonly Column[],
): string {
  const row = quoteIdentifier(command.alias ?? target.name);
  const list = columns.map(({ name }) => `${row}.${quoteIdentifier(name)}`).join(', ');
  return command.hasReturning ? `\n, ${list}` : `\n RETURNING ${list}`;
}

function rowPlan(command: InsertCommand, table: Table, reason: string, effects: Effects): RowPlan {
  if (command.hasWritingWith) throw notReplayable(`INSERT with ${reason} and a WITH that writes`);
  if (table.kind !== 'r' && table.kind !== 'p')
    throw notReplayable(`INSERT with ${reason} into something that is not a table`);
  if (table.rules === 'some') throw notReplayable(`INSERT with ${reason} into a table with rules`);
  const columns = table.columns.filter(({ generated }) => generated === '');
  const hidden = columns.find(({ selectable }) => !selectable);
  if (hidden !== undefined) {
    throw notReplayable(
      `INSERT with ${reason}`,
      `Grant SELECT on column ${hidden.name}: its stored value has to be read back.`,
    );
  }
  const inexact = columns.find(({ exact }) => !exact);
  if (inexact !== undefined) {
    throw notReplayable(
      `INSERT with ${reason}, column ${inexact.name} being read back with loss`,
      'Set extra_float_digits to 1 or more and DateStyle to ISO, or give the value in the statement.',
    );
  }
  const names = columns.map(({ name }) => quoteIdentifier(name));
  return {
    kind: 'rows',
    returning: returning(command.target, command, columns),
    columns,
    prefix: `INSERT INTO ${qualified(command.target)} (${names.join(', ')}) OVERRIDING SYSTEM VALUE VALUES `,
    suffix: conflictClause(command, table, names) + (table.triggers === 'some' ? ` RETURNING ${names.join(', ')}` : ''),
    rows: table.triggers === 'some' ? 'compared' : 'not compared',
    client: command.hasReturning ? 'rows' : 'no rows',
    effects: table.triggers === 'some' ? 'hidden' : effects,
  };
}

/** A row that ON CONFLICT DO UPDATE has changed on the lead exists on the follower under the same key. */
function conflictClause(command: InsertCommand, table: Table, names: readonly string[]): string {
  if (command.onConflict !== 'update') return '';
  const { primaryKey } = table;
  if (primaryKey.length === 0 || command.conflictColumns.some((name) => primaryKey.includes(name))) {
    throw notReplayable('INSERT … ON CONFLICT DO UPDATE without a primary key that stays as it is');
  }
  const key = primaryKey.map(quoteIdentifier);
  // A GENERATED ALWAYS identity takes nothing but DEFAULT in an UPDATE: where the client leaves it, it has its value already.
  const always = table.columns.filter(({ identity }) => identity === 'a').map(({ name }) => name);
  if (command.conflictColumns.some((name) => always.includes(name))) {
    throw notReplayable('INSERT … ON CONFLICT DO UPDATE of an identity column');
  }
  const fixed = new Set([...key, ...always.map(quoteIdentifier)]);
  const assigned = names.filter((name) => !fixed.has(name)).map((name) => `${name} = EXCLUDED.${name}`);
  return assigned.length === 0
    ? ` ON CONFLICT (${key.join(', ')}) DO NOTHING`
    : ` ON CONFLICT (${key.join(', ')}) DO UPDATE SET ${assigned.join(', ')}`;
}

function notReplayable(what: string, hint?: string): PproxError {
  return new PproxError('not_replayable', {
    message: `the statement would not have the same effect on every writer: ${what}`,
    detail: 'Nothing was run.',
    hint: hint ?? 'Give the value in the statement instead of leaving it to each server.',
  });
}
