/** Changes below WITH: what stands against the same text for them. */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import type { Statement } from '../sql/statement.ts';
import { SPLIT } from './locks.ts';
import { notReplayable } from './plan.ts';
import type { Reasons } from './reasons.ts';

export class NestedChanges {
  readonly #catalog: Catalog;
  readonly #reasons: Reasons;

  constructor(catalog: Catalog, reasons: Reasons) {
    this.#catalog = catalog;
    this.#reasons = reasons;
  }

  /** Whether policies of a target, the statement's own one too, may look at more than the row at hand and settings. */
  async guarded(asker: CatalogAsker, { command, nested }: Statement): Promise<boolean> {
    const main = 'target' in command && command.target !== undefined ? [command.target] : [];
    for (const name of [...main, ...nested.map(({ target }) => target)]) {
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
