/** What the statements of a transaction were planned by (`commit/definitions.ts`), and what it changes of that itself. */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogMoment } from '../cluster/catalog-asker.ts';
import type { Coordinator } from '../commit/coordinator.ts';
import type { Edition } from '../commit/definitions.ts';
import type { ReplayPlan } from '../fanout/plan.ts';
import type { Changed, QualifiedName, Statement } from '../sql/statement.ts';

/** Plans that a transaction can have chosen, and have chosen anew: more are taken for others then. */
const LIMIT = 256;

interface Counters {
  readonly catalog: Catalog;
  readonly coordinator: Coordinator;
}

interface Chosen {
  readonly statement: Statement;
  readonly plan: ReplayPlan;
}

export class PlannedBy {
  /** When the transaction began, before it has seen anything. */
  readonly begun: CatalogMoment;
  readonly beginning: Edition | undefined;
  /** The first of them; undefined before it. */
  edition: Edition | undefined;
  changes: Changed = 'nothing';
  /** When the last of them was over on every server, those aside that trail; by performance.now(). */
  ran = 0;
  /** By which they were planned, all of them; `several`: it has changed in between. */
  scope: string | undefined;
  /** One statement for each plan, by the list that all statements of a shape share. */
  readonly #chosen = new Map<readonly QualifiedName[], Map<ReplayPlan, Chosen>>();
  #size = 0;

  constructor({ catalog, coordinator }: Counters) {
    this.begun = catalog.moment;
    this.beginning = coordinator.definitions.beginning;
  }

  /** `origin`: equal for executions of one shape that are planned alike. */
  note(chosen: Chosen, origin: ReplayPlan, edition: Edition, scope: string): void {
    this.edition ??= edition;
    this.scope ??= scope;
    if (this.scope !== scope) this.scope = 'several';
    const { statement } = chosen;
    // It has changed what it was planned by itself.
    if (statement.command.kind === 'definition') return;
    const ofShape = this.#chosen.get(statement.relations) ?? new Map<ReplayPlan, Chosen>();
    if (ofShape.has(origin)) return;
    this.#size++;
    if (this.#size > LIMIT) return;
    ofShape.set(origin, chosen);
    this.#chosen.set(statement.relations, ofShape);
  }

  /** All of them were over while it was this edition still: what comes next is planned by another. */
  settle(): void {
    this.edition = undefined;
    this.scope = undefined;
    this.#chosen.clear();
    this.#size = 0;
  }

  /** Undefined where they are too many. */
  get chosen(): readonly Chosen[] | undefined {
    return this.#size > LIMIT ? undefined : [...this.#chosen.values()].flatMap((plans) => [...plans.values()]);
  }

  change(what: Changed): void {
    if (this.changes === 'nothing' || what === 'objects') this.changes = what;
  }
}
