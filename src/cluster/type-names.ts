/**
 * Types of the user's own have object identifiers that differ from server to server; their names do not. What a client
 * declares by the lead's number is declared to a follower by that follower's.
 */
import type { Backend } from '../backend/backend.ts';
import { PproxError } from '../lib/errors.ts';
import { quoteLiteral } from '../sql/quote.ts';

/** Object identifiers from here on are not the same on every server (transam.h, FirstNormalObjectId). */
export const FIRST_NORMAL_OID = 16384;

/** For each of `types`, as the lead numbers them, the follower's number. Rejects with PproxError where it has none. */
export async function translateTypes(
  lead: Backend,
  follower: Backend,
  types: readonly number[],
): Promise<ReadonlyMap<number, number>> {
  const named = await lead.ask(
    `SELECT t.oid, pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname) FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace WHERE t.oid IN (${types.join(', ')})`,
  );
  const found = new Map<number, number>();
  for (const [oid, name] of named.rows) {
    if (oid === null || oid === undefined || name === null || name === undefined) continue;
    const answer = await follower.ask(`SELECT pg_catalog.to_regtype(${quoteLiteral(name)})::oid`);
    const own = answer.rows[0]?.[0];
    if (own !== null && own !== undefined) found.set(Number(oid), Number(own));
  }
  if (types.every((type) => found.has(type))) return found;
  throw new PproxError('not_replayed', {
    message: 'a parameter has a type that not every writer knows',
    detail: named.rows.map(([, name]) => name).join(', '),
    hint: 'Create the type on every writer.',
  });
}
