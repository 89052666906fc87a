/** Changes below WITH: what stands against the same text for them. */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import type { Table } from '../cluster/table.ts';
import type { QualifiedName, Statement } from '../sql/statement.ts';
import { SPLIT } from './locks.ts';
import { type Keyed, notReplayable, type SameTextPlan } from './plan.ts';
import type { Reasons } from './reasons.ts';

const ASCII = /^[ -~]+$/;

/** Its own, and those below WITH. */
function targetsOf({ command, nested }: Statement): readonly QualifiedName[] {
  const main = 'target' in command && command.target !== undefined ? [command.target] : [];
  return [...main, ...nested.map(({ target }) => target)];
}

/** Whether rows that a statement stores in it, changes or deletes stand there, and nothing else is done for them. */
function isPlain(table: Table | undefined): boolean {
  if (table === undefined || (table.kind !== 'r' && table.kind !== 'p')) return false;
  return table.persistence === 'permanent' && table.rules === 'none';
}

export class NestedChanges {
  readonly #catalog: Catalog;
  readonly #reasons: Reasons;

  constructor(catalog: Catalog, reasons: Reasons) {
    this.#catalog = catalog;
    this.#reasons = reasons;
  }

  /**
   * The plan of a statement whose changes go by keys: its result need not say which of them have found their row. On a follower another client's row may be
   * there by then that the lead has not seen, so the numbers of rows are compared; and where not every change has found one, followers are told the rows.
   */
  async counted(asker: CatalogAsker, statement: Statement, plan: SameTextPlan): Promise<SameTextPlan> {
    return { ...plan, effects: 'hidden', inPlace: 'rows', keyed: await this.#keyed(asker, statement) };
  }

  async #keyed(asker: CatalogAsker, statement: Statement): Promise<Keyed | undefined> {
    const { command, nested } = statement;
    if (await this.#guarded(asker, statement)) return undefined;
    if ((await this.#reasons.fires(asker, statement)) === 'something') return undefined;
    if (command.kind === 'insert' && command.onConflict !== 'error') return undefined;
    if (nested.some(({ onConflict }) => onConflict !== 'error')) return undefined;
    const own = command.kind === 'modify' && command.modification !== undefined ? [command.statement] : [];
    const below = nested.flatMap(({ what, stores }) =>
      typeof what === 'string' ? [] : stores === 'nothing' ? 'delete' : 'update',
    );
    const kinds = [...own, ...below];
    const tables = await Promise.all(targetsOf(statement).map((name) => this.#catalog.table(asker, name)));
    // What is stored by way of a view or a rule stands elsewhere, and would not be counted.
    if (!tables.every(isPlain)) return undefined;
    const stored = [...new Set(tables.flatMap((table) => table?.stored.slice(0, 1) ?? []))];
    // As a parameter they would be in the client's encoding.
    if (!stored.every((name) => ASCII.test(name))) return undefined;
    return {
      updates: kinds.filter((kind) => kind === 'update').length,
      deletes: kinds.filter((kind) => kind === 'delete').length,
      tables: stored,
    };
  }

  /** Whether policies of a target, the statement's own one too, may look at more than the row at hand and settings. */
  async #guarded(asker: CatalogAsker, statement: Statement): Promise<boolean> {
    for (const name of targetsOf(statement)) {
      const policies = (await this.#catalog.table(asker, name))?.policies;
      if (policies === 'of the moment' || policies === 'of other rows') return true;
    }
    return false;
  }

  /** Why the same text may change other rows by one of them: undefined where all of them go by keys, or hold their rows. */
  async unproven(asker: CatalogAsker, statement: Statement): Promise<string | undefined> {
    const { nested, reads } = statement;
    if (nested.length === 0) return undefined;
    if (reads.length > 0) return 'several changes at once, and other rows that are read';
    if ((await this.#reasons.lookedAt(asker, statement)).length > 0)
      return 'several changes at once, and what rules look at';
    for (const { target, what } of nested) {
      if (what === 'rows') continue;
      if (what === 'other') return 'several changes at once';
      const table = await this.#catalog.table(asker, target);
      const beyond = table && (await this.#reasons.beyondKey(asker, what, table));
      if (beyond !== undefined) return `several changes at once, with ${beyond}`;
    }
    return undefined;
  }

  /** MERGE, and an INSERT below WITH, for which this rejects with `not_replayable`: which of their columns take defaults is not looked at, so none may vary. */
  async check(asker: CatalogAsker, statement: Statement): Promise<void> {
    for (const target of statement.inserts) {
      const varying = await this.#reasons.varyingColumn(asker, target);
      if (varying === undefined) continue;
      throw notReplayable(
        `an INSERT inside another statement into ${target.name}, whose column ${varying} has a default that varies`,
        'Use an INSERT of its own.',
      );
    }
    for (const { target, what } of statement.nested) {
      const table = typeof what === 'string' ? undefined : await this.#catalog.table(asker, target);
      const drawn =
        table === undefined || typeof what === 'string'
          ? undefined
          : await this.#reasons.varyingDefault(asker, what, table);
      if (drawn !== undefined) throw notReplayable(`${drawn}, inside another statement`, SPLIT);
    }
  }
}
