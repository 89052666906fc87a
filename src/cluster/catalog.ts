/**
 * What pprox knows of a database's catalog: read from the lead (and what servers may differ in from followers) through the connection of
 * the session that needs it, kept for a while, and dropped when DDL passes through. What is unknown is taken for the worst.
 */
import type { Answer } from '../backend/receiver.ts';
import { partsOf, qualified, quoteLiteral } from '../sql/quote.ts';
import type { QualifiedName, Statement } from '../sql/statement.ts';
import { type CatalogAsker, type CatalogMoment, namesOf, row } from './catalog-asker.ts';
import { CatalogKeepers } from './catalog-keepers.ts';
import { actingText, EVENT_TRIGGERS, placedByNumbersText, triggerModeText } from './catalog-queries.ts';
import { type DatabaseFacts, DatabaseFactsReader } from './database-facts.ts';
import type { Entry } from './own-knowledge.ts';
import { readTable, type Table } from './table.ts';

export type Persistence = 'permanent' | 'temporary' | 'missing';

/** Of one server, for one session. */
export interface TriggerMode {
  /** The session's own session_replication_role, by which triggers fire. */
  readonly now: string;
  /** Whether the session may set it, so that none fires but those below. */
  readonly settable: boolean;
  /**
   * Tables with code of the user's that is run in spite of it: triggers that are ENABLE REPLICA or ENABLE ALWAYS, volatile functions of
   * constraints and policies. Quoted, qualified names.
   */
  readonly firing: ReadonlySet<string>;
}

/** DDL that passes through drops the knowledge at once; this bounds how long DDL run elsewhere stays unnoticed. */
export const TTL_MS = 5000;
/** Entries of all scopes together. */
const LIMIT = 10_000;

export class Catalog {
  readonly keepers = new CatalogKeepers();
  readonly #entries = new Map<string, Entry>();
  readonly #databases = new DatabaseFactsReader();
  /** Counts `forget`: what was read before one is not kept after it. */
  #generation = 0;
  /** Commits of definitions that are under way. */
  #changing = 0;

  /** Changes when everything may have. */
  get generation(): number {
    return this.#generation;
  }

  get moment(): CatalogMoment {
    return { since: Date.now(), generation: this.#generation };
  }

  /** Equal at two moments between which nothing was changed through this process; undefined while something may be. */
  get edition(): number | undefined {
    return this.#changing === 0 ? this.#generation : undefined;
  }

  /** A commit of definitions: before anybody can see them, and until it is over. */
  async changing<T>(commit: () => Promise<T>): Promise<T> {
    this.#changing++;
    try {
      return await commit();
    } finally {
      this.#changing--;
      this.forget();
    }
  }

  /** Everything may have changed. */
  forget(): void {
    this.#entries.clear();
    this.#generation++;
  }

  facts(asker: CatalogAsker): Promise<DatabaseFacts> {
    return this.#cached(asker, 'facts', () => this.#databases.read(asker));
  }

  async deferrable(asker: CatalogAsker): Promise<boolean> {
    return (await this.facts(asker)).deferrable === 'some';
  }

  /** Undefined where the name means nothing: the server will say so. */
  table(asker: CatalogAsker, name: QualifiedName): Promise<Table | undefined> {
    const text = qualified(name);
    const found = `to_regclass(${quoteLiteral(text)})`;
    return this.#cached(asker, `table ${text}`, () => readTable(asker, found, () => this.facts(asker)));
  }

  /** The same by its name as catalogs write it, quoted where it has to be, and qualified: whether the session may use its schema or not. */
  tableOf(asker: CatalogAsker, text: string): Promise<Table | undefined> {
    const parts = partsOf(text);
    const found =
      parts === undefined
        ? `to_regclass(${quoteLiteral(text)})`
        : `(SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = ${quoteLiteral(parts.schema)} AND c.relname = ${quoteLiteral(parts.name)})`;
    return this.#cached(asker, `relation ${text}`, () => readTable(asker, found, () => this.facts(asker)));
  }

  /** What a column of a domain is given where nothing else says so; undefined where nothing is, or the name means nothing. */
  defaultOfType(asker: CatalogAsker, name: QualifiedName): Promise<string | undefined> {
    return this.#cached(asker, `type ${qualified(name)}`, async () => {
      const [found] = await row(
        asker,
        `SELECT typdefault FROM pg_catalog.pg_type WHERE oid = to_regtype(${quoteLiteral(qualified(name))})`,
      );
      return found ?? undefined;
    });
  }

  /** The function of this number on the lead; undefined where there is none. */
  function(
    asker: CatalogAsker,
    oid: number,
  ): Promise<(QualifiedName & { readonly volatility: 'volatile' | 'other' }) | undefined> {
    return this.#cached(asker, `function ${oid}`, async () => {
      const [schema, name, volatility] = await row(
        asker,
        `SELECT n.nspname, p.proname, p.provolatile FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = ${oid}`,
      );
      if (typeof schema !== 'string' || typeof name !== 'string') return undefined;
      return { schema, name, volatility: volatility === 'v' ? 'volatile' : 'other' };
    });
  }

  /** On the follower of this name, which `ask` asks. `undeclared`: see DatabaseFacts. PostgreSQL 15 and later can grant the setting; before, it is a superuser's. */
  triggerMode(
    asker: CatalogAsker,
    label: string,
    major: number,
    undeclared: ReadonlySet<string>,
    ask: (text: string) => Promise<Answer>,
  ): Promise<TriggerMode> {
    return this.#cached(asker, `triggers ${label}`, async () => {
      const { rows } = await ask(triggerModeText(major, [...undeclared]));
      const [now, settable, firing] = rows[0] ?? [];
      return {
        now: now ?? 'origin',
        settable: settable === 't',
        firing: new Set(JSON.parse(firing ?? '[]') as string[]),
      };
    });
  }

  /** Whether any of these is a table that keeps its rows so, or, with `partitions`, one of its partitions. */
  async placedByNumbers(
    asker: CatalogAsker,
    names: readonly QualifiedName[],
    which: 'tables' | 'partitions',
  ): Promise<boolean> {
    if (names.length === 0 || (await this.facts(asker)).placedByNumbers === 'none') return false;
    const oids = names.map((name) => `to_regclass(${quoteLiteral(qualified(name))})`);
    return (await row(asker, placedByNumbersText(oids, which)))[0] === 't';
  }

  /** Names of temporary relations and types of the session by which it would find permanent ones without them, as other servers do. Not kept. */
  async hidingPermanent(asker: CatalogAsker): Promise<readonly string[]> {
    const [found] = await row(
      asker,
      `WITH seen AS (SELECT n.oid FROM pg_catalog.pg_namespace n
           WHERE n.nspname = ANY (pg_catalog.current_schemas(false)) AND n.oid <> pg_catalog.pg_my_temp_schema())
       SELECT json_agg(DISTINCT name) FROM (
         SELECT t.relname AS name FROM pg_catalog.pg_class t JOIN pg_catalog.pg_class p ON p.relname = t.relname
         WHERE t.relnamespace = pg_catalog.pg_my_temp_schema() AND p.relnamespace IN (SELECT oid FROM seen)
         UNION SELECT t.typname FROM pg_catalog.pg_type t JOIN pg_catalog.pg_type p ON p.typname = t.typname
         WHERE t.typnamespace = pg_catalog.pg_my_temp_schema() AND t.typcategory <> 'A' AND p.typnamespace IN (SELECT oid FROM seen)) s`,
    );
    return namesOf(found);
  }

  /** Whether any of these is a table of the server's own. */
  async ofServer(asker: CatalogAsker, names: readonly QualifiedName[]): Promise<boolean> {
    const oids = names.map((name) => `to_regclass(${quoteLiteral(qualified(name))})`).join(', ');
    const text = `SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid IN (${oids}) AND oid < 16384 AND relkind = 'r')`;
    return this.#cached(asker, `of the server ${oids}`, async () => (await row(asker, text))[0] === 't');
  }

  /** As in `facts`, which are much more. */
  eventTriggers(asker: CatalogAsker): Promise<DatabaseFacts['eventTriggers']> {
    return this.#cached(asker, 'event triggers', async () =>
      (await row(asker, `SELECT ${EVENT_TRIGGERS}`))[0] === 't' ? 'some' : 'none',
    );
  }

  /**
   * Of a statement: whether temporary relations that it names, or functions and operators that it calls, may act on others; and whether any
   * relation is a view, or has policies, of which the text does not say what they call.
   */
  async actsBeyond(
    asker: CatalogAsker,
    statement: Pick<Statement, 'relations' | 'functions' | 'shadowable' | 'attributes' | 'operators'>,
  ): Promise<{ readonly acts: boolean; readonly views: boolean }> {
    const { relations, functions, shadowable, attributes, operators } = statement;
    const text = actingText(
      relations.map((name) => `to_regclass(${quoteLiteral(qualified(name))})`),
      [...functions.map(({ name }) => name), ...shadowable, ...attributes],
      operators.map(({ name }) => name),
    );
    return this.#cached(asker, text, async () => {
      const [acts, views] = await row(asker, text);
      return { acts: acts === 't', views: views === 't' };
    });
  }

  /** For each name; it matters only to sessions with temporary objects. */
  async persistence(asker: CatalogAsker, names: readonly QualifiedName[]): Promise<readonly Persistence[]> {
    const list = names.map((name) => `to_regclass(${quoteLiteral(qualified(name))})`).join(', ');
    return this.#cached(asker, `persistence ${list}`, async () => {
      const [found] = await row(
        asker,
        `SELECT json_agg(coalesce((SELECT CASE relpersistence WHEN 't' THEN 'temporary' ELSE 'permanent' END
         FROM pg_catalog.pg_class WHERE oid = o), 'missing') ORDER BY n)
       FROM unnest(ARRAY[${list}]) WITH ORDINALITY AS u (o, n)`,
      );
      return JSON.parse(found ?? '[]') as Persistence[];
    });
  }

  async #cached<T>(asker: CatalogAsker, what: string, load: () => Promise<T>): Promise<T> {
    if (asker.caching === 'forbidden') return load();
    const entries = asker.caching === 'its own' ? asker.own.entries : this.#entries;
    const key = `${asker.scope}\0${what}`;
    const known = entries.get(key);
    const valid = known?.generation === this.#generation && Date.now() - known.since < TTL_MS;
    if (known !== undefined && valid) return known.value as T;
    const { since, generation } = asker.snapshot ?? this.moment;
    const value = await load();
    if (generation !== this.#generation) return value;
    if (entries.size >= LIMIT) entries.clear();
    entries.set(key, { value, since, generation });
    return value;
  }
}
