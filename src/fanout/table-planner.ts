/** Plans of statements that make tables or fill them: definitions, COPY, REFRESH. */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import type { Column, Table } from '../cluster/table.ts';
import { qualified, quoteLiteral } from '../sql/quote.ts';
import type { Nondeterminism, QualifiedName, Statement } from '../sql/statement.ts';
import { digestText, storedColumns, withPartitions } from './captured-rows.ts';
import { locksFor, SPLIT } from './locks.ts';
import { notReplayable, type ReplayPlan } from './plan.ts';
import { isForbidden, isSeen, readBack, refuseBlind, refusedByLead, refuseDurable } from './read-back.ts';
import { type Reasons, unportableIn } from './reasons.ts';
import { sameText } from './same-text.ts';

/** Each plan rejects with PproxError `not_replayable` where none is safe. */
export class TablePlanner {
  readonly #catalog: Catalog;
  readonly #reasons: Reasons;

  constructor(catalog: Catalog, reasons: Reasons) {
    this.#catalog = catalog;
    this.#reasons = reasons;
  }

  /** What event triggers do beside it is compared. */
  async definition(asker: CatalogAsker, statement: Statement): Promise<ReplayPlan> {
    const plan = await this.#definition(asker, statement);
    const { eventTriggers } = await this.#catalog.facts(asker);
    if (eventTriggers === 'none' || plan.kind !== 'statement') return plan;
    return { ...plan, effects: 'hidden' };
  }

  /** By hashes of what servers number for themselves, rows stand in another partition on each: it has other rows there. */
  async refuseByNumbers(asker: CatalogAsker, { partitions, relations }: Statement): Promise<void> {
    if (partitions === 'none') return;
    const which = partitions === 'of hashes' ? 'tables' : 'partitions';
    if (await this.#catalog.placedByNumbers(asker, relations, which))
      throw notReplayable(
        'a partition by hashes of an enum, or of names of objects',
        'Partition by LIST, or by the hash of a text.',
      );
  }

  /** Rows that it makes are those of a query (CREATE TABLE AS), or computed for each row there is (ALTER TABLE). */
  async #definition(asker: CatalogAsker, statement: Statement): Promise<ReplayPlan> {
    const { node, relations, fills } = statement;
    const makes = fills !== 'nothing' || node === 'AlterTableStmt' ? 'rows' : 'definitions';
    const name = makes === 'rows' ? undefined : await this.#reasons.volatileCall(asker, statement);
    const called =
      makes === 'rows'
        ? await this.#reasons.effectiveCall(asker, { ...statement, relations: [] })
        : name && `${name}()`;
    if (called !== undefined)
      throw notReplayable(
        `${called}, which is volatile, in a definition`,
        'Declare what changes nothing STABLE or IMMUTABLE, or create the table first and fill it by INSERT.',
      );
    // Texts that they cast are taken at their word, but where it does no harm to doubt it.
    const asked = fills === 'table' ? statement : { ...statement, conversions: [], operators: [] };
    const read = fills === 'nothing' ? undefined : await this.#reasons.effectiveRead(asker, statement);
    const found =
      read ??
      (fills === 'nothing' ? undefined : await this.#reasons.view(asker, relations)) ??
      (await this.#reasons.mayVary(asker, asked, undefined, makes));
    if (fills === 'table' && !statement.explains) {
      const plan = await this.#filled(asker, statement, found);
      // What it writes elsewhere has to be seen.
      return read === undefined ? plan : { ...plan, effects: 'hidden' };
    }
    if (found !== undefined) throw notReplayable(found, 'Create the table first, and fill it by INSERT.');
    if (node === 'AlterTableStmt') return this.#alteration(asker, statement);
    const plan = sameText(this.#reasons.varying(statement), statement, 'not compared', 'a definition');
    const [target, ...sources] = relations;
    if (fills === 'nothing' || target === undefined || statement.explains) return plan;
    return { ...plan, rule: QUERY, locks: await locksFor(this.#catalog, asker, sources), proof: proofOf(target) };
  }

  /** A table made of a query: the same query where it must have the same rows, else the lead's rows. */
  async #filled(asker: CatalogAsker, statement: Statement, found: string | undefined): Promise<ReplayPlan> {
    const { relations, order, unportable, functions, sequences } = statement;
    const [target, ...sources] = relations;
    const varying = this.#reasons.varying(statement);
    const reason =
      varying[0]?.name ??
      found ??
      (await this.#temporaryAmong(asker, sources)) ??
      (sequences.calls === 'none' ? undefined : 'a sequence') ??
      (await this.#reasons.volatileCall(asker, statement)) ??
      functions[0]?.name ??
      order[0] ??
      unportable[0];
    const plan = sameText([], statement, 'not compared', reason ?? QUERY);
    if (target === undefined) return plan;
    const proof = proofOf(target);
    if (reason === undefined) return { ...plan, locks: await locksFor(this.#catalog, asker, sources), proof };
    refuseDurable(statement, reason);
    if (statement.nested.length > 0)
      throw notReplayable(`a table made by ${reason} of what the statement changes`, SPLIT);
    const remade = { name: target, table: undefined, defaults: [], rows: 'told' } as const;
    return { ...plan, effects: 'in the text', proof, remade, inPlace: 'rows alone' };
  }

  async #temporaryAmong(asker: CatalogAsker, names: readonly QualifiedName[]): Promise<string | undefined> {
    for (const name of names) {
      const table = await this.#catalog.table(asker, name);
      if (table?.persistence === 'temporary') return `${qualified(name)}, a temporary table that the lead alone has`;
    }
    return undefined;
  }

  /** ALTER TABLE: what it gives the rows there are may be another value on each server. */
  async #alteration(asker: CatalogAsker, statement: Statement): Promise<ReplayPlan> {
    const domain = await this.#reasons.varyingType(asker, statement);
    if (domain !== undefined)
      throw notReplayable(`the default of type ${domain}`, 'Add the column with DEFAULT NULL, and fill it by UPDATE.');
    const varying = this.#reasons.varying(statement);
    const [name] = statement.relations;
    const table = name === undefined ? undefined : await this.#catalog.table(asker, name);
    // The lead has no rows of it.
    if (name === undefined || table === undefined) return sameText([], statement, 'not compared', 'an unknown target');
    if (table.kind !== 'r' && table.kind !== 'p') return sameText(varying, statement, 'not compared', 'a definition');
    const computed =
      varying.find(isComputed)?.name ??
      (await this.#reasons.volatileCall(asker, statement)) ??
      (statement.sequences.calls === 'nextval' ? 'nextval' : undefined);
    const same = varying.filter((one) => !isComputed(one));
    const plan = sameText(same, statement, 'not compared', 'a definition');
    const given = statement.added.filter((column) => column.default === 'given').map((column) => column.name);
    const defaults = same.length > 0 ? given : [];
    if (computed !== undefined) refuseBlind(table, `${computed}() in a definition`);
    if (table.policies !== 'none' && (computed !== undefined || statement.rewrites !== 'nothing'))
      throw notReplayable(
        `${computed ?? 'a rewrite'} of rows that policies may hide`,
        'ALTER TABLE … NO FORCE ROW LEVEL SECURITY before it.',
      );
    if (computed === undefined && statement.rewrites === 'nothing') {
      // What a function is declared as is its owner's word.
      const proof = statement.functions.length > 0 ? proofOfDefaults(name, given) : undefined;
      if (defaults.length === 0) return { ...plan, proof };
      return { ...plan, proof, remade: { name, table, defaults, rows: 'not told' } };
    }
    const rows = computed === undefined ? 'told where they differ' : 'told';
    const rule = computed === undefined ? 'rows that are given other values' : `${computed}(), for each row`;
    return { ...plan, rule, proof: proofOf(name), remade: { name, table, defaults, rows } };
  }

  async refresh(asker: CatalogAsker, statement: Statement, command: string): Promise<ReplayPlan> {
    const varying = await this.#reasons.view(asker, statement.relations);
    if (varying !== undefined) throw notReplayable(varying);
    const plan = sameText(this.#reasons.varying(statement), statement, 'not compared', 'rows of a query');
    const [view] = statement.relations;
    const table = view && (await this.#catalog.table(asker, view));
    if (view === undefined || table === undefined) return plan;
    // What it needs for CONCURRENTLY, a transaction that is prepared may not have.
    const text = command === REFRESH ? undefined : `${REFRESH} ${qualified(view)}`;
    return { ...plan, text, locks: await locksFor(this.#catalog, asker, table.bases), proof: proofOf(view) };
  }

  async copy(
    asker: CatalogAsker,
    statement: Statement,
    command: Statement['command'] & { kind: 'copy in' },
  ): Promise<ReplayPlan> {
    const table = await this.#catalog.table(asker, command.target);
    const listed = command.columns;
    // A column that cannot be copied into is the lead's to refuse.
    const known = new Set(table?.columns.filter(({ generated }) => generated === '').map(({ name }) => name));
    const plan = sameText(this.#reasons.varying(statement), statement, 'not compared', 'rows that the client sends');
    if (table === undefined || listed?.some((name) => !known.has(name)) === true) return plan;
    if (isForbidden(table, 'insert')) return refusedByLead(statement, table);
    const left = await this.#leftToVary(asker, command, table);
    const [operator] = isSeen(table) ? unportableIn(statement, table) : [];
    const numbered = this.#reasons.numbered(table, listed);
    const chosen = (await this.#choosing(asker, statement)) ?? operator ?? numbered;
    if (left !== undefined || chosen !== undefined || command.source === 'server') {
      // Another server has other files, and its programs say other things.
      const source = chosen === undefined ? 'COPY of what the host of the lead has' : `COPY of rows by ${chosen}`;
      const rule = left === undefined ? source : `COPY that leaves column ${left} to its default`;
      refuseBlind(table, rule);
      return readBack(rule, statement, table.stored, 'nothing');
    }
    const words = table.columns.some((column) => readsWords(column) && listed?.includes(column.name) !== false);
    return {
      ...plan,
      effects: table.triggers === 'some' ? 'hidden' : plan.effects,
      stored: table.stored,
      // What triggers of a view do with its rows is compared.
      proof:
        words && table.kind !== 'v'
          ? digestText(withPartitions(qualified(command.target)), storedColumns(table))
          : undefined,
    };
  }

  /** What may choose other rows on another server, in the WHERE of a COPY. */
  async #choosing(asker: CatalogAsker, statement: Statement): Promise<string | undefined> {
    const called = await this.#reasons.volatileCall(asker, statement);
    if (called !== undefined) return `${called}(), which is volatile`;
    return (
      statement.functions[0]?.name ??
      (await this.#reasons.mayVary(asker, statement, undefined)) ??
      statement.unportable[0]
    );
  }

  /** By name, a column that a COPY does not fill, or not in each row, and whose default gives each server another value. */
  async #leftToVary(
    asker: CatalogAsker,
    { columns: listed, marks }: { readonly columns: readonly string[] | undefined; readonly marks: 'none' | 'some' },
    table: Table,
  ): Promise<string | undefined> {
    for (const column of table.columns) {
      if (marks === 'none' && (listed === undefined || listed.includes(column.name))) continue;
      if (await this.#reasons.columnVaries(asker, column)) return column.name;
    }
    return undefined;
  }
}

/** Types whose input reads no word as a moment. */
const WORDLESS =
  /^(smallint|integer|bigint|numeric(\(.*\))?|real|double precision|boolean|uuid|bytea|oid|inet|cidr|macaddr8?|interval.*|bit.*|money|xml)(\[\])*$/;

function readsWords({ textual, type }: Column): boolean {
  return !textual && !WORDLESS.test(type);
}

/** What is computed anew for each row; a word of time is read once, when the text is. */
function isComputed({ kind, name }: Nondeterminism): boolean {
  return kind === 'volatile' && !name.startsWith("'");
}

const QUERY = 'rows of a query';
const REFRESH = 'REFRESH MATERIALIZED VIEW';
/** Those that fill it. */
export const REFRESHES: ReadonlySet<string> = new Set([REFRESH, `${REFRESH} CONCURRENTLY`]);

/**
 * One row that is equal where all rows of the relation are, whatever their order: their number, and the sum of their hashes by
 * their text. (Numbers that are equal and written differently, 1.0 and 1.000, are told apart.)
 */
function proofOf(name: QualifiedName): string {
  return `SELECT count(*), sum(pg_catalog.hashtextextended((t.*)::text COLLATE "C", 0)) FROM ${qualified(name)} AS t`;
}

/** One row that is equal where these columns, that were just added, have given the rows there are the same values: PostgreSQL keeps them once. */
function proofOfDefaults(table: QualifiedName, columns: readonly string[]): string | undefined {
  if (columns.length === 0) return undefined;
  const names = columns.map(quoteLiteral).join(', ');
  return `SELECT pg_catalog.md5(string_agg(attname || '=' || attmissingval::text, ',' ORDER BY attname)) FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass(${quoteLiteral(qualified(table))}) AND attname IN (${names})`;
}
