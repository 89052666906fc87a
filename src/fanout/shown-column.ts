/** How the value of a column is asked for, so that the text that is shown of it is all of it. */
import type { Column } from '../cluster/table.ts';
import { quoteIdentifier } from '../sql/quote.ts';

/** `row`: the quoted name of its table's row; undefined where the column's own name is enough. */
export function shown({ name, shownAs }: Column, row?: string): string {
  const column = row === undefined ? quoteIdentifier(name) : `${row}.${quoteIdentifier(name)}`;
  return shownAs === 'JSON' ? `(pg_catalog.to_json(${column}) OPERATOR(pg_catalog.#>>) '{}')` : `${column}${shownAs}`;
}
