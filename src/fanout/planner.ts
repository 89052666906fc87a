/**
 * Chooses the replay plan of a statement, so that its effect is the same on every writer:
 *
 *     the same text   where it must have the same effect: rows told by a key, rows that the text holds, definitions
 *     rows            where the lead alone can say what is stored, and the rows can be told by a key
 *     locked          the same text on tables that nobody else writes to, where neither does
 *
 * Where pprox cannot make that sure the statement is refused before any server has seen it.
 */
import type { Answer } from '../backend/receiver.ts';
import { type Catalog, TTL_MS } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import type { Column, Table } from '../cluster/table.ts';
import { assert } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import type { Analyser } from '../sql/analyse.ts';
import { durableEffect, FILLS_LARGE_OBJECT, usesLargeObjects } from '../sql/function-effects.ts';
import type { InsertCommand, ModifyCommand, Nondeterminism, QualifiedName, Statement } from '../sql/statement.ts';
import { planAlone } from './lead-alone.ts';
import { leaves, leavings, type Leavings, settingsOf } from './leavings.ts';
import { locksFor, SPLIT } from './locks.ts';
import { NestedChanges } from './nested-changes.ts';
import {
  type Effects,
  type LeadAlonePlan,
  NotReplayable,
  notReplayable,
  type ReplayPlan,
  type RowPlan,
  type SameTextPlan,
  type VerifiedPlan,
} from './plan.ts';
import { isForbidden, readBack, refusedByLead, refuseDurable } from './read-back.ts';
import { defaulted, Reasons, type Servers } from './reasons.ts';
import { cascades, insertPlan, mergePlan, modifyPlan, type Why } from './row-plan.ts';
import { type Comparison, comparingRows, sameText, unsafePart } from './same-text.ts';
import { REFRESHES, TablePlanner } from './table-planner.ts';
import { planOnTemporary } from './temporary.ts';

/**
 * `nobody follows`: with a single writer there is nothing to prove. `same text`: what a proxy does that takes the same text for the same effect. For
 * tests, which show what would differ.
 */
export type PlanChoice = 'proven' | 'nobody follows' | 'same text';

/** As old as what was asked for it first. Its times stand where they stood in the text that it was made for. */
interface KnownPlan {
  readonly plan: ReplayPlan;
  /** Which parts of the statement that varies its times are, by their indices. */
  readonly times: readonly number[];
  readonly generation: number;
  readonly since: number;
}

/** Plans kept for one shape: logins, search paths, parameters with values that vary or none. */
const SCOPES = 100;

const UNPROVEN: SameTextPlan = {
  kind: 'statement',
  rule: 'not looked at',
  times: [],
  rows: 'not compared',
  effects: 'in the text',
  locks: [],
  proof: undefined,
  stored: [],
  inPlace: 'nothing',
  keyed: undefined,
  text: undefined,
  remade: undefined,
};

const ALONE: SameTextPlan = { ...UNPROVEN, rule: 'a single writer' };

export class Planner {
  readonly #catalog: Catalog;
  readonly #reasons: Reasons;
  readonly #below: NestedChanges;
  readonly #tables: TablePlanner;
  readonly #choice: PlanChoice;
  /** By the one list that all statements of a shape share (`sql/shape-cache.ts`), with which they go; then by the asker's scope and what varies. */
  readonly #plans = new WeakMap<readonly QualifiedName[], Map<string, KnownPlan>>();

  /** Of those whose times stand where they do in one text. */
  readonly #origins = new WeakMap<ReplayPlan, ReplayPlan>();

  constructor(catalog: Catalog, analyser: Analyser, servers: Servers, choice: PlanChoice) {
    this.#choice = choice;
    this.#catalog = catalog;
    this.#reasons = new Reasons(catalog, analyser, servers);
    this.#below = new NestedChanges(catalog, this.#reasons);
    this.#tables = new TablePlanner(catalog, this.#reasons);
  }

  /** Rejects with PproxError `not_replayable` where no plan is safe. */
  async plan(asker: CatalogAsker, statement: Statement): Promise<ReplayPlan> {
    if (this.#choice === 'same text') return UNPROVEN;
    if (this.#choice === 'nobody follows') return this.#marked(asker, statement, ALONE);
    const { command, nondeterminism, relations } = statement;
    const changesRows = command.kind === 'insert' || command.kind === 'modify';
    if (!changesRows || asker.caching !== 'allowed') return this.#plan(remembering(asker), statement);
    const scope = asker.settingsOfFunctions === 'known' ? asker.scope : `${asker.scope}\0functions`;
    const key = nondeterminism.length === 0 ? scope : `${scope}\0${whatVaries(nondeterminism)}`;
    const known = this.#plans.get(relations)?.get(key);
    const now = this.#catalog.moment;
    if (known?.generation === now.generation && now.since - known.since < TTL_MS) return this.#placed(known, statement);
    const { generation, since } = asker.snapshot ?? now;
    const plan = await this.#plan(asker, statement);
    const ofShape = this.#plans.get(relations) ?? new Map<string, KnownPlan>();
    if (ofShape.size >= SCOPES) ofShape.clear();
    const times = plan.times.map((one) => nondeterminism.indexOf(one));
    assert(!times.includes(-1), 'the times of a plan are parts of its statement');
    ofShape.set(key, { plan, times, generation, since });
    this.#plans.set(relations, ofShape);
    return plan;
  }

  /** For what nothing makes the same on followers; undefined where they could not be told what the lead has done. */
  alone(asker: CatalogAsker, statement: Statement, { what }: NotReplayable): Promise<LeadAlonePlan | undefined> {
    return planAlone(this.#catalog, this.#reasons, asker, statement, what);
  }

  /** Equal for plans of one shape that were chosen once. */
  origin(plan: ReplayPlan): ReplayPlan {
    return this.#origins.get(plan) ?? plan;
  }

  #placed({ plan, times }: KnownPlan, { nondeterminism }: Statement): ReplayPlan {
    if (times.length === 0) return plan;
    const there = { ...plan, times: times.flatMap((index) => nondeterminism[index] ?? []) };
    this.#origins.set(there, plan);
    return there;
  }

  async #plan(asker: CatalogAsker, statement: Statement): Promise<ReplayPlan> {
    return this.#marked(asker, statement, await this.#safe(asker, statement));
  }

  async #marked<T extends ReplayPlan>(asker: CatalogAsker, statement: Statement, plan: T): Promise<T> {
    return (await this.leaves(asker, statement)) === 'nothing' ? plan : { ...plan, leaves: 'something' };
  }

  async #safe(asker: CatalogAsker, statement: Statement): Promise<ReplayPlan> {
    try {
      return await this.#together(asker, statement);
    } catch (error) {
      if (!(error instanceof NotReplayable)) throw error;
      const alone = await this.alone(asker, statement, error);
      if (alone === undefined) throw error;
      return alone;
    }
  }

  /** Whether what the statement calls or sets off may leave something with its server session. */
  leaves(asker: CatalogAsker, statement: Statement): Promise<'nothing' | 'something'> {
    return leaves(this.#catalog, asker, statement);
  }

  /** All that it may leave, where nobody looks at what it has done. */
  leavings(asker: CatalogAsker, statement: Statement): Promise<Leavings> {
    return leavings(this.#catalog, asker, statement);
  }

  /** Settings of the user's own that what it sets off may give a value for the transaction. */
  settings(asker: CatalogAsker, statement: Statement): Promise<readonly string[]> {
    return settingsOf(this.#catalog, asker, statement);
  }

  /** Of what every writer can do. */
  async #together(asker: CatalogAsker, statement: Statement): Promise<ReplayPlan> {
    const { command } = statement;
    const onTemporary = await planOnTemporary(this.#catalog, asker, statement);
    if (onTemporary !== undefined) return onTemporary;
    if (command.kind === 'modify' && (await this.#catalog.facts(asker)).equality === 'perhaps its own')
      throw notReplayable("an operator = of one's own for PostgreSQL's own types", 'Give it another name.');
    if (command.kind === 'modify' && command.merged !== undefined) return this.#merge(asker, statement, command);
    await this.#refuseCatalogs(asker, statement);
    await this.#tables.refuseByNumbers(asker, statement);
    await this.#below.check(asker, statement);
    switch (command.kind) {
      case 'insert':
        return this.#insert(asker, statement, command);
      case 'modify':
        return this.#modify(asker, statement, command);
      case 'copy in':
        return this.#tables.copy(asker, statement, command);
      case 'read':
        return this.#query(asker, statement);
      case 'definition':
        return this.#tables.definition(asker, statement);
      case 'copy out':
        // Of an INSERT, UPDATE or DELETE.
        if (statement.route === 'writers') return this.#several(asker, statement, 'not compared');
        return sameText(this.#reasons.varying(statement), statement, 'not compared', 'what it calls');
      case 'utility':
        if (REFRESHES.has(command.name)) return this.#tables.refresh(asker, statement, command.name);
        return this.#utility(asker, statement, command.name);
      default:
        return sameText(this.#reasons.varying(statement), statement, 'not compared', command.kind);
    }
  }

  /** Their rows are told by numbers that each server has given for itself. */
  async #refuseCatalogs(asker: CatalogAsker, { command, nested, inserts }: Statement): Promise<void> {
    const main = 'target' in command && command.target !== undefined ? [command.target] : [];
    const targets = [...main, ...inserts, ...nested.map(({ target }) => target)].filter(
      ({ schema, name }) => OF_SERVERS.has(schema ?? '') || (schema === undefined && name.startsWith('pg_')),
    );
    if (targets.length > 0 && (await this.#catalog.ofServer(asker, targets)))
      throw notReplayable(
        "a change of the server's own catalog, which numbers its objects for itself",
        'Use the statement that defines it, or connect to each server.',
      );
  }

  // ---- Rows -------------------------------------------------------------------------------------------------------

  async #insert(asker: CatalogAsker, statement: Statement, command: InsertCommand): Promise<ReplayPlan> {
    const table = await this.#catalog.table(asker, command.target);
    // A name that means nothing is the lead's to refuse.
    if (table === undefined)
      return sameText(this.#reasons.varying(statement), statement, 'not compared', 'an unknown target');
    if (isForbidden(table, 'insert')) return refusedByLead(statement, table);
    const varying = await this.#reasons.varyingIn(asker, statement, table);
    const reason =
      (await this.#reasons.ofInsert(asker, statement, command, table, varying)) ??
      (await this.#below.unproven(asker, statement));
    const rows = command.hasReturning ? 'compared' : 'not compared';
    const times = replaceable(varying);
    if (reason === undefined) {
      const told = this.#betterByRows(statement, table, defaulted(command, table), (why) =>
        insertPlan(command, table, { ...why, times }),
      );
      if (told !== undefined) return told;
      const plan = sameText(varying, statement, rows, 'rows that its text holds');
      if (table.kind === 'v' || table.rules === 'some') return this.#firedElsewhere(asker, statement, plan);
      const fired = { reason: TRIGGERS, calls: 'none', text: 'the same effect', times } as const;
      const byRows = table.triggers === 'none' || statement.explains ? undefined : insertPlan(command, table, fired);
      if (byRows !== undefined && !(byRows instanceof PproxError)) return byRows;
      if (statement.nested.length > 0 || statement.explains) return this.#below.counted(asker, statement, plan);
      return this.#nestedToo(
        asker,
        statement,
        comparingRows(plan, statement, command, table, { why: undefined, effects: 'in the text' }),
      );
    }
    refuseDurable(statement, reason);
    const calls = await this.#calls(asker, statement, await this.#reasons.defaultCall(asker, command, table));
    const why = { reason, calls, text: 'another effect', times } as const;
    const plan = statement.explains
      ? notReplayable(`EXPLAIN ANALYZE of an INSERT with ${reason}`)
      : insertPlan(command, table, why);
    if (!(plan instanceof PproxError)) return plan;
    try {
      return await this.#unlikeRows(asker, statement, command, { table, varying, calls, plan, reason });
    } catch (error) {
      // On followers what is stored has to pass the policies for what is inserted, too: where anything else would do, it is done.
      const upsert =
        statement.explains || !(error instanceof NotReplayable)
          ? plan
          : insertPlan(command, table, why, 'shown by its conflict');
      if (upsert instanceof PproxError) throw error;
      return upsert;
    }
  }

  /** An INSERT whose rows RETURNING does not tell; `plan`: why not. */
  async #unlikeRows(
    asker: CatalogAsker,
    statement: Statement,
    command: InsertCommand,
    {
      table,
      varying,
      calls,
      plan,
      reason,
    }: {
      readonly table: Table;
      readonly varying: readonly Nondeterminism[];
      readonly calls: Why['calls'];
      readonly plan: PproxError;
      readonly reason: string;
    },
  ): Promise<ReplayPlan> {
    // Which rows take a default, and which do not, their order says: what varies cannot be made the same by locks.
    const drawn = await this.#reasons.varyingColumn(asker, command.target);
    if (drawn !== undefined || calls !== 'none') {
      if (table.kind !== 'v' || calls !== 'none' || statement.explains || command.hasWritingWith) throw plan;
      const fired = (await this.#reasons.fires(asker, statement)) === 'something';
      return readBack(reason, statement, await this.#behind(asker, table), fired ? 'functions' : 'nothing');
    }
    return this.#locked(asker, statement, { varying, why: reason, compared: { command, table }, refusal: plan });
  }

  async #modify(asker: CatalogAsker, statement: Statement, command: ModifyCommand): Promise<ReplayPlan> {
    const rows = command.hasReturning ? 'compared' : 'not compared';
    const { target, modification } = command;
    if (target === undefined || modification === undefined) return this.#several(asker, statement, rows);
    const table = await this.#catalog.table(asker, target);
    const varying = await this.#reasons.varyingIn(asker, statement, table);
    if (table === undefined) return sameText(varying, statement, rows, 'an unknown target');
    if (isForbidden(table, 'change')) return refusedByLead(statement, table);
    const calls = await this.#calls(asker, statement, await this.#reasons.givenCall(asker, modification, table));
    const effects: Effects = calls !== 'none' || cascades(modification, table) ? 'hidden' : 'in the text';
    const view = await this.#reasons.rule(asker, statement);
    const reason =
      view ??
      (await this.#reasons.ofModification(asker, statement, modification, table, varying)) ??
      (await this.#below.unproven(asker, statement));
    if (reason !== undefined) refuseDurable(statement, reason);
    const why = {
      reason: reason ?? TRIGGERS,
      calls,
      text: reason === undefined ? 'the same effect' : 'another effect',
      times: replaceable(varying),
    } as const;
    const byRows = statement.explains
      ? ({ kind: 'impossible', why: 'EXPLAIN shows none of its rows' } as const)
      : modifyPlan({ command, modification, name: target, table }, why);
    if (reason === undefined) {
      const told = this.#betterByRows(statement, table, [], (better) =>
        modifyPlan({ command, modification, name: target, table }, { ...better, times: why.times }),
      );
      if (told !== undefined) return told;
      if (byRows.kind === 'rows' && table.triggers === 'some') return byRows;
      const plan = sameText(varying, statement, rows, 'a row that is told by its key, and nothing else');
      if (statement.nested.length > 0 || statement.explains) return this.#below.counted(asker, statement, plan);
      return this.#nestedToo(
        asker,
        statement,
        comparingRows({ ...plan, effects }, statement, command, table, { why: undefined, effects }),
      );
    }
    if (byRows.kind === 'rows') return byRows;
    if (view !== undefined) throw notReplayable(view);
    const drawn = await this.#reasons.varyingDefault(asker, modification, table);
    if (drawn !== undefined) throw notReplayable(drawn);
    return this.#locked(asker, statement, {
      varying,
      why: reason,
      compared: { command, table },
      refusal: notReplayable(`${reason}, and ${byRows.why}`, table.keys.length === 0 ? KEYLESS : undefined),
    });
  }

  /** Its rows, where followers are better told them and can be; `plan`: how. */
  #betterByRows(
    statement: Statement,
    table: Table,
    defaults: readonly Column[],
    plan: (why: Omit<Why, 'times'>) => RowPlan | PproxError | { readonly kind: 'impossible' },
  ): RowPlan | undefined {
    if (statement.explains || statement.nested.length > 0 || statement.durable.length > 0) return undefined;
    const reason = this.#reasons.betterByRows(statement, table, defaults);
    const found = reason === undefined ? undefined : plan({ reason, calls: 'none', text: 'the same effect' });
    return found !== undefined && 'kind' in found && found.kind === 'rows' ? found : undefined;
  }

  async #calls(
    asker: CatalogAsker,
    statement: Statement,
    inDefaults: string | undefined,
  ): Promise<'none' | 'volatile function'> {
    const called = inDefaults ?? (await this.#reasons.effectiveCall(asker, statement));
    return called === undefined ? 'none' : 'volatile function';
  }

  /** Its rows where RETURNING tells them; else the same text behind locks. */
  async #merge(asker: CatalogAsker, statement: Statement, command: ModifyCommand): Promise<ReplayPlan> {
    const { target } = command;
    const table = target === undefined ? undefined : await this.#catalog.table(asker, target);
    const locked = async (): Promise<ReplayPlan> => {
      await this.#below.check(asker, statement);
      return this.#several(asker, statement, command.hasReturning ? 'compared' : 'not compared');
    };
    if (table !== undefined && isForbidden(table, 'change') && isForbidden(table, 'insert'))
      return refusedByLead(statement, table);
    if (target === undefined || table === undefined || statement.explains || table.triggers === 'some') return locked();
    const { major } = await this.#catalog.facts(asker);
    const calls = await this.#calls(asker, statement, await this.#reasons.callOfDefaults(asker, table));
    const times = replaceable(this.#reasons.varying(statement));
    const why = { reason: 'rows that a MERGE has changed or stored', calls, text: 'another effect', times } as const;
    const plan = mergePlan({ command, name: target, table }, major, why);
    if (plan !== undefined) {
      refuseDurable(statement, why.reason);
      return plan;
    }
    return locked();
  }

  /** The tables that rows of a view stand in; none where triggers of the view say so. */
  async #behind(asker: CatalogAsker, { bases, triggers }: Table): Promise<readonly string[]> {
    if (triggers === 'some') return [];
    const tables = await Promise.all(bases.map((base) => this.#catalog.table(asker, base)));
    const below = tables.map(async (table) =>
      table?.kind === 'v' ? this.#behind(asker, table) : (table?.stored ?? []),
    );
    return (await Promise.all(below)).flat();
  }

  /** Several changes in one statement, a MERGE among them: what each of them does is not told. */
  async #several(asker: CatalogAsker, statement: Statement, rows: 'compared' | 'not compared'): Promise<ReplayPlan> {
    const varying = this.#reasons.varying(statement);
    const why = (await this.#below.unproven(asker, statement)) ?? (await this.#reasons.hidden(asker, statement));
    const proven = statement.nested.length > 0 && statement.reads.length === 0 && why === undefined;
    const called = await this.#reasons.volatileCall(asker, statement);
    if (proven && called === undefined && statement.command.kind === 'modify') {
      const plan = sameText(varying, statement, rows, 'rows that are told by their keys');
      return this.#below.counted(asker, statement, plan);
    }
    // What shows rows may do more with them.
    const shows = called === undefined && statement.durable.length === 0;
    const [order] = shows ? statement.order : [...statement.order, ...statement.orderShown];
    if (order !== undefined)
      throw notReplayable(`several changes at once, and ${order}, whose rows may be others`, SPLIT);
    return this.#locked(asker, statement, {
      varying,
      why: why ?? 'several changes at once',
      compared: undefined,
      refusal: notReplayable('several changes at once', SPLIT),
    });
  }

  // ---- Locks ------------------------------------------------------------------------------------------------------

  /** The same text, on tables that nobody else writes to: what it finds there is the same, in whatever order. */
  async #locked(
    asker: CatalogAsker,
    statement: Statement,
    asked: {
      readonly varying: readonly Nondeterminism[];
      readonly why: string;
      /** The one command whose rows can be compared, and its target. */
      readonly compared: { readonly command: Comparison; readonly table: Table } | undefined;
      /** For what locks cannot help. */
      readonly refusal: PproxError;
    },
  ): Promise<ReplayPlan> {
    const { varying, why, compared, refusal } = asked;
    const unsafe = unsafePart(varying);
    if (unsafe !== undefined) throw compared === undefined ? notReplayable(unsafe.name) : refusal;
    const called = await this.#reasons.volatileCall(asker, statement);
    const varies =
      called === undefined ? await this.#reasons.hidden(asker, statement) : `${called}(), which is volatile`;
    if (varies !== undefined) throw notReplayable(varies);
    const [order] = statement.order;
    if (order !== undefined) throw refusal;
    const looked = await this.#reasons.lookedAt(asker, statement);
    const locks = await locksFor(this.#catalog, asker, [...statement.relations, ...looked]);
    const returned = statement.command.kind === 'modify' || statement.command.kind === 'insert';
    const rows = returned && 'hasReturning' in statement.command && statement.command.hasReturning;
    const comparable = rows && statement.orderShown.length === 0;
    const plan = { ...sameText(varying, statement, comparable ? 'compared' : 'not compared', why), locks };
    // In another order of rows the text may find, or compute, something else, and nothing that it returns may show it.
    const told = { ...plan, effects: 'hidden', inPlace: 'rows' } as const;
    if (compared === undefined) return told;
    const { command, table } = compared;
    // A rule may have no RETURNING, a view has no columns of its own, and what is returned has to pass the policies for SELECT.
    const guarded = table.policies !== 'none' && !command.hasReturning;
    const blind = guarded || table.kind === 'v' || table.rules !== 'none' || statement.explains;
    if (blind) return told;
    const effects: Effects = table.cascades === 'some' ? 'hidden' : plan.effects;
    return this.#nestedToo(asker, statement, comparingRows(plan, statement, command, table, { why, effects }));
  }

  /** What changes below WITH set off, beside the plan's own target. */
  async #nestedToo<T extends SameTextPlan | VerifiedPlan>(
    asker: CatalogAsker,
    statement: Statement,
    plan: T,
  ): Promise<T> {
    const fired = statement.nested.length === 0 ? 'nothing' : await this.#reasons.fires(asker, statement);
    return fired === 'nothing' ? plan : { ...plan, effects: 'hidden' };
  }

  /** Triggers of any of its targets, behind views and by rules too, and what their keys set off. */
  async #firedElsewhere(asker: CatalogAsker, statement: Statement, plan: SameTextPlan): Promise<SameTextPlan> {
    const fired = await this.#reasons.fires(asker, statement);
    return fired === 'nothing' ? plan : { ...plan, effects: 'hidden', inPlace: 'rows' };
  }

  // ---- The rest ---------------------------------------------------------------------------------------------------

  /**
   * A volatile function of the user's: what it returns is all there is to compare. Of setval() alone it is where a sequence goes on, where rows
   * decide that (`(SELECT max(id) …)`) which others add to; followers are brought to where the lead's stands.
   */
  async #query(asker: CatalogAsker, statement: Statement): Promise<ReplayPlan> {
    const { durable } = statement;
    const called = await this.#reasons.volatileCall(asker, statement);
    const placesAlone = called === undefined && durable.length > 0 && durable.every((name) => name === 'setval');
    const rows = placesAlone ? 'not compared' : 'compared';
    const varying = this.#reasons.varying(statement);
    const plan = sameText(varying, statement, rows, 'what it calls');
    const large = statement.relations.length > 0 && durable.some(usesLargeObjects);
    if (large && called === undefined) {
      const why = 'large objects that rows of tables say';
      const refusal = notReplayable(why, 'Read the rows first, and give their values in the statement.');
      // What several rows store in one, their order says.
      if (durable.some((name) => durableEffect(name) === FILLS_LARGE_OBJECT)) throw refusal;
      return this.#locked(asker, statement, { varying, why, compared: undefined, refusal });
    }
    return called === undefined
      ? plan
      : { ...plan, effects: 'hidden', inPlace: 'rows', rule: `${called}(), which is volatile` };
  }

  async #utility(asker: CatalogAsker, statement: Statement, name: string): Promise<ReplayPlan> {
    const plan = sameText(this.#reasons.varying(statement), statement, 'not compared', name);
    if (name === 'TRUNCATE') {
      const { truncateTriggers } = await this.#catalog.facts(asker);
      return truncateTriggers === 'none' ? plan : { ...plan, effects: 'hidden' };
    }
    if (name !== 'SET CONSTRAINTS') return plan;
    // It fires what has waited.
    const { deferredTriggers } = await this.#catalog.facts(asker);
    return deferredTriggers === 'none' ? plan : { ...plan, effects: 'hidden' };
  }
}

const OF_SERVERS: ReadonlySet<string> = new Set(['information_schema', 'pg_catalog']);

/** All of it but where it stands in the text: what may be a parameter's value varies or does not, each time. */
function whatVaries(nondeterminism: readonly Nondeterminism[]): string {
  let key = '';
  for (const { kind, name, span, type, parameter, column } of nondeterminism) {
    key += `${kind}\t${name}\t${span === undefined ? '' : 'placed'}\t${type}\t${parameter}\n`;
    if (column !== undefined) key += `${column.columns?.join('\t')}\t${column.operators.join('\t')}\n`;
  }
  return key;
}

/** For one plan: where the catalog may not keep what it is told, nothing is asked twice all the same. */
function remembering(asker: CatalogAsker): CatalogAsker {
  if (asker.caching !== 'forbidden') return asker;
  const { scope, caching, own, settingsOfFunctions, snapshot, temporaries } = asker;
  const answers = new Map<string, Promise<Answer>>();
  const once = (key: string, ask: () => Promise<Answer>): Promise<Answer> => {
    const known = answers.get(key) ?? ask();
    answers.set(key, known);
    return known;
  };
  return {
    scope,
    caching,
    own,
    settingsOfFunctions,
    snapshot,
    temporaries,
    ask: (text) => once(text, () => asker.ask(text)),
    askOften: (question) => once(question.name, () => asker.askOften(question)),
  };
}

/** What the lead's time can stand in for. */
function replaceable(varying: readonly Nondeterminism[]): readonly Nondeterminism[] {
  return varying.filter(({ kind, span }) => kind === 'transaction time' && span !== undefined);
}

const TRIGGERS = 'triggers of its table';
const KEYLESS = 'Give its table a primary key, or the value in the statement.';
