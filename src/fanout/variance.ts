/**
 * What a statement's text does not show and may be another thing on each server: what stable functions and casts of the
 * user's compute, texts that are read as moments. (What views and rules do: `rules.ts`.)
 */
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import type { Table } from '../cluster/table.ts';
import type { Statement } from '../sql/statement.ts';

export class Variance {
  readonly #catalog: Catalog;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /**
   * By name, what the statement calls or reads that need not be the same on another server; undefined: nothing.
   * `table`: its target, where that is known. `makes`: in front of rows there may be casts.
   */
  async mayVary(
    asker: CatalogAsker,
    statement: Statement,
    table: Table | undefined,
    makes: 'rows' | 'definitions' = 'rows',
  ): Promise<string | undefined> {
    const called = await this.stable(asker, statement);
    if (called !== undefined) return called;
    const { casts, typesOfNumbers, unbelieved } = await this.#catalog.facts(asker);
    if (makes === 'rows') {
      const own =
        statement.shadowable.find((name) => unbelieved.names.has(name)) ??
        statement.attributes.find((name) => unbelieved.attributes.has(name)) ??
        statement.casts.find((name) => unbelieved.casts.has(name));
      if (own !== undefined) return `${own}, which may be a function of the user's`;
    }
    const numbered =
      statement.casts.find((name) => typesOfNumbers.has(name)) ??
      table?.columns.find((column) => column.numbered && statement.columns.includes(column.name))?.name;
    if (makes === 'rows' && numbered !== undefined) return `${numbered}, which holds numbers of objects`;
    if (makes === 'rows' && casts === 'stable') return 'a cast of the user\u2019s that is not immutable';
    // Its own columns of other types hold no words.
    const alone = statement.relations.length === 1;
    const wordless = new Set(
      alone ? table?.columns.flatMap((column) => (column.textual || !column.plain ? [] : column.name)) : [],
    );
    const read = statement.conversions.some((column) => column === undefined || !wordless.has(column));
    return read ? 'a text that is read as a moment' : undefined;
  }

  /** What it calls that is not immutable. */
  async stable(asker: CatalogAsker, statement: Statement): Promise<string | undefined> {
    const { functions, shadowable, attributes, operators } = statement;
    if (functions.length + shadowable.length + attributes.length + operators.length === 0) return undefined;
    const facts = await this.#catalog.facts(asker);
    const called = [...functions.map(({ name }) => name), ...shadowable, ...attributes].find((name) =>
      facts.stableFunctions.has(name),
    );
    if (called !== undefined) return `${called}(), which is not immutable`;
    const operator = operators.find(({ name }) => facts.stableOperators.has(name) || facts.volatileOperators.has(name));
    return operator && `operator ${operator.name}, which is not immutable`;
  }
}
