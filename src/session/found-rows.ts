/**
 * Rows of larger tables that a transaction has changed out of sight, found without reading all of the table: by keys that are likely
 * (`fanout/likely-keys.ts`). As many as the server has counted are all of them: a row that is there was inserted or updated, so there are no more of
 * them than were counted, and where a row was so twice, fewer.
 */
import { mayBeKeys } from '../fanout/likely-keys.ts';
import { ownText, type Source, sourceOf } from '../fanout/captured-rows.ts';
import { countsOf, type Look, type Looks } from '../fanout/hidden-effects.ts';
import type { Backend } from '../backend/backend.ts';
import type { Written } from './written.ts';
import { answerOf } from './own-questions.ts';
import type { Touched } from './touched.ts';

/** Rows of one table: more of them are worth reading it. */
const LIMIT = 1000;

/** What was counted of a table since before the transaction changed it. */
interface Counted {
  readonly since: Look;
  /** Versions of rows that it has stored. */
  readonly stored: number;
  readonly deleted: number;
  /** Rows, or versions of its own, that it has taken away: deleted or given a newer version. */
  readonly taken: number;
}

/** These, with those of them `found` of which all rows are: read by their keys, and as small tables are. Rejects with PproxError. */
export async function findRows(
  backend: Backend,
  touched: Touched,
  { after }: Looks,
  written: readonly Written[],
): Promise<readonly Written[]> {
  const found = new Map<Written, Written>();
  const open = new Set(written.filter(isWorthwhile));
  if (open.size === 0) return written;
  for (const { access, source, table } of written) {
    const columns = mayBeKeys(table);
    if (access.size !== 'small' || access.read !== 'allowed' || columns.length === 0) continue;
    note(touched, (await answerOf(backend, ownText(source, columns, LIMIT))).rows);
  }
  // What one has stored may say which rows of another it was about.
  for (let known = -1; open.size > 0 && known !== touched.likely.size + found.size; ) {
    known = touched.likely.size + found.size;
    for (const one of open) {
      const narrow = await findIn(backend, touched, after, one);
      if (narrow === undefined) continue;
      found.set(one, narrow);
      // Which rows were deleted, others may say yet.
      if (countedIn(touched, after, one.name)?.deleted === 0) open.delete(one);
    }
  }
  return written.map((one) => found.get(one) ?? one);
}

/**
 * Told rows are given all columns but their key's. A row that others refer to would be locked against them for that, where the lead has not locked it so:
 * PostgreSQL goes by the unique columns that are named, whether or not their values change.
 */
function isWorthwhile({ access, table }: Written): boolean {
  const [key = []] = table.keys;
  if (table.referenced === 'yes' && table.constrained.some((name) => !key.includes(name))) return false;
  return access.size !== 'small' && access.read === 'allowed' && access.whole === undefined && table.keys.length > 0;
}

function countedIn({ first }: Touched, after: Look, name: string): Counted | undefined {
  const since = first.get(name) ?? 'not known';
  if (since === 'not known') return undefined;
  const [from, to] = [countsOf(since, name), countsOf(after, name)];
  const [inserted, updated, deleted] = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
  return { since, stored: inserted + updated, deleted, taken: updated + deleted };
}

/** Undefined where not all of its rows are found. */
async function findIn(backend: Backend, touched: Touched, after: Look, written: Written): Promise<Written | undefined> {
  const counted = countedIn(touched, after, written.name);
  if (counted === undefined || counted.stored > LIMIT || counted.taken > LIMIT) return undefined;
  const condition = touched.likely.condition(written.table, counted.since, after);
  if (condition === undefined) return undefined;
  const whole = sourceOf(written.access);
  const source: Source = { ...whole, where: `${whole.where} AND ${condition}` };
  const columns = mayBeKeys(written.table);
  const { rows } = await answerOf(backend, ownText(source, columns, counted.stored + 1));
  if (rows.length !== counted.stored) return undefined;
  note(touched, rows);
  return { ...written, source, reading: 'whole', taken: counted.taken };
}

/** Behind the place of each row, values of it. */
function note({ likely }: Touched, rows: readonly (readonly (string | null)[])[]): void {
  for (const value of rows.flatMap(([, ...values]) => values)) if (value !== null) likely.add(value);
}
