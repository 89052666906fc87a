/**
 * By which keys the rows are likely to be found that functions and triggers have changed out of sight: values that the statement was given, values that
 * sequences gave out meanwhile, and values in rows that were found already. A guess: whether all of them were found is told by their number.
 */
import type { Column, Table } from '../cluster/table.ts';
import { quoteEscaped, quoteIdentifier } from '../sql/quote.ts';
import type { Look } from './hidden-effects.ts';

/** Values that are kept, of a transaction: a query for each table has them in it. */
const VALUES = 1000;
/** Characters of one: no key is longer that an index is good for. */
const LENGTH = 100;
/** Values that a sequence gave out meanwhile, to whomever: so many rows are read for it. */
const DRAWN = 100_000n;

/** What in a text may be a key: numbers, UUIDs, string constants. */
const TOKENS = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|'[^']{1,100}'|(?<![\w.])-?\d{1,19}(?![\w.])/gi;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const INTEGER = /^-?\d{1,19}$/;
/** Of PostgreSQL's integer types, by the names that a catalog writes: the greatest value. */
const GREATEST: Readonly<Record<string, bigint>> = {
  smallint: 32_767n,
  integer: 2_147_483_647n,
  bigint: 9_223_372_036_854_775_807n,
};
const TEXT = /^(?:text|character varying(?:\(\d+\))?)$/;
/** Means one thing in every encoding, whatever a server's and its client's are. */
const ASCII = /^[\x20-\x7e]+$/;

/** Of a transaction; bounded. */
export class LikelyValues {
  readonly #values = new Set<string>();

  get size(): number {
    return this.#values.size;
  }

  add(value: string): void {
    if (value.length <= LENGTH && this.#values.size < VALUES) this.#values.add(value);
  }

  /** Of a text that is SQL, JSON or an array. */
  addFrom(text: string): void {
    for (const [token] of text.matchAll(TOKENS)) {
      if (this.#values.size >= VALUES) return;
      this.add(token.startsWith("'") ? token.slice(1, -1) : token);
    }
  }

  /** Those which the type may hold, with the array that they make; undefined where there are none, or what the type holds is not known. */
  #ofType(base: string): string | undefined {
    const greatest = GREATEST[base];
    const fits = (value: string): boolean => {
      if (greatest !== undefined) return INTEGER.test(value) && BigInt(value) <= greatest && -BigInt(value) <= greatest;
      return base === 'uuid' ? UUID.test(value) : TEXT.test(base) && ASCII.test(value);
    };
    const values = [...this.#values].filter(fits);
    if (values.length === 0) return undefined;
    const type = greatest !== undefined || base === 'uuid' ? TYPES[base] : 'text';
    return `ARRAY[${values.map(quoteEscaped).join(', ')}]::pg_catalog.${type}[]`;
  }

  /**
   * A condition on rows of the table, as t, by keys that indexes find; undefined where no key of it may have such values. `since`, `now`: between
   * which sequences have given out values.
   */
  condition(table: Table, since: Look, now: Look): string | undefined {
    const keys = table.keys.map((names) => {
      const columns = names.map((name) => table.columns.find((column) => column.name === name));
      const parts = columns.map((column) =>
        column?.selectable === true ? this.#onColumn(column, since, now) : undefined,
      );
      return parts.includes(undefined) ? undefined : parts.join(' AND ');
    });
    const known = keys.filter((key) => key !== undefined);
    return known.length === 0 ? undefined : `(${known.map((key) => `(${key})`).join(' OR ')})`;
  }

  #onColumn({ name, base, sequence }: Column, since: Look, now: Look): string | undefined {
    const column = `t.${quoteIdentifier(name)}`;
    const values = this.#ofType(base);
    const drawn = sequence === null || GREATEST[base] === undefined ? undefined : drawnBetween(sequence, since, now);
    const parts = [
      values === undefined ? [] : `${column} OPERATOR(pg_catalog.=) ANY (${values})`,
      drawn === undefined ? [] : `${column} BETWEEN ${drawn.least} AND ${drawn.greatest}`,
    ].flat();
    return parts.length === 0 ? undefined : `(${parts.join(' OR ')})`;
  }
}

const TYPES: Readonly<Record<string, string>> = { smallint: 'int2', integer: 'int4', bigint: 'int8', uuid: 'uuid' };

/** Undefined where it gave out none, or too many. */
function drawnBetween(
  sequence: string,
  since: Look,
  now: Look,
): { readonly least: bigint; readonly greatest: bigint } | undefined {
  const [from, to] = [since, now].map(({ sequences }) => sequences.get(sequence)?.split(',')[0]);
  if (from === undefined || to === undefined) return undefined;
  const [a, b] = [BigInt(from), BigInt(to)];
  const [least, greatest] = a < b ? [a, b] : [b, a];
  return greatest - least > DRAWN ? undefined : { least, greatest };
}

/** Columns whose values may be keys of other rows. */
export function mayBeKeys({ columns }: Table): readonly Column[] {
  return columns.filter(({ base, selectable }) => selectable && (GREATEST[base] !== undefined || base === 'uuid'));
}
