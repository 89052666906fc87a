/**
 * What a statement's text does not show and may be another thing on each server: what stable functions and casts of the
 * user's compute, what views and rules do, texts that are read as moments.
 */
import type { Catalog, CatalogAsker, Table } from '../cluster/catalog.ts';
import type { Analyser } from '../sql/analyse.ts';
import { qualified } from '../sql/quote.ts';
import type { Lexis, QualifiedName, Statement } from '../sql/statement.ts';

const LEXIS: Lexis = { encoding: 'UTF8', standardStrings: 'on' };

/** In front of a rule's action; a condition in front of that is not taken apart. */
const ACTION = /^CREATE RULE [^]*?\bDO (?:INSTEAD |ALSO )?/;

export class Variance {
  readonly #catalog: Catalog;
  readonly #analyser: Analyser;

  constructor(catalog: Catalog, analyser: Analyser) {
    this.#catalog = catalog;
    this.#analyser = analyser;
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
    const called = await this.#stable(asker, statement);
    if (called !== undefined) return called;
    const { casts } = await this.#catalog.facts(asker);
    if (makes === 'rows' && casts === 'stable') return 'a cast of the user\u2019s that is not immutable';
    // Its own columns of other types hold no words.
    const alone = statement.relations.length === 1;
    const wordless = new Set(
      alone ? table?.columns.flatMap((column) => (column.textual || !column.plain ? [] : column.name)) : [],
    );
    const read = statement.conversions.some((column) => column === undefined || !wordless.has(column));
    return read ? 'a text that is read as a moment' : undefined;
  }

  async #stable(asker: CatalogAsker, statement: Statement): Promise<string | undefined> {
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

  /** By name, a view among the relations, or a rule of theirs, that gives each server something else. */
  async view(
    asker: CatalogAsker,
    relations: readonly QualifiedName[],
    visited = new Set<string>(),
  ): Promise<string | undefined> {
    for (const name of relations) {
      const key = qualified(name);
      if (visited.has(key)) continue;
      visited.add(key);
      const table = await this.#catalog.table(asker, name);
      for (const action of table?.actions ?? []) {
        const varying = await this.#action(asker, action, visited);
        if (varying !== undefined) return `${name.name}, by ${varying}`;
      }
    }
    return undefined;
  }

  async #action(asker: CatalogAsker, rule: string, visited: Set<string>): Promise<string | undefined> {
    const text = rule.replace(ACTION, '').trim();
    if (/^NOTHING;?$/.test(text)) return undefined;
    const several = text.startsWith('(') && !rule.includes(' ON SELECT TO ');
    const analysis = this.#analyser.analyse(Buffer.from(several ? text.replace(/^\(|\);?$/g, '') : text), LEXIS);
    if (analysis.kind !== 'statements') return 'a rule that cannot be read';
    for (const statement of analysis.statements) {
      const [varying] = statement.nondeterminism.filter(({ column }) => column === undefined);
      if (varying !== undefined) return varying.name;
      if (statement.sequences.calls !== 'none') return 'a sequence';
      const { volatileFunctions } = await this.#catalog.facts(asker);
      const called = statement.functions.find(({ name }) => volatileFunctions.has(name));
      if (called !== undefined) return `${called.name}()`;
      const stable = await this.#stable(asker, statement);
      if (stable !== undefined) return stable;
      if (statement.command.kind === 'insert') {
        const target = await this.#catalog.table(asker, statement.command.target);
        const drawn = target?.columns.find(({ identity, sequence }) => identity !== '' || sequence !== null);
        if (drawn !== undefined) return `the default of column ${drawn.name}`;
      }
      const below = await this.view(asker, statement.relations, visited);
      if (below !== undefined) return below;
    }
    return undefined;
  }
}
