/**
 * Sequences under statements whose effects cannot be seen in their text: functions, procedures, triggers that insert into
 * tables with serial columns. Followers' sequences run ahead, so such a statement would draw other values there. So it is
 * run between two looks at the lead's sequences: those that moved are set on the follower to where they stood before, and
 * the follower's draw must end where the lead's did.
 *
 * Another session that draws from the same sequence at the same time is found by that comparison: the statement fails and
 * may be tried again.
 */
import type { Answer } from '../backend/receiver.ts';
import { quoteLiteral } from '../sql/quote.ts';
import type { FollowerFailure } from './follower.ts';

/** By quoted, qualified name: the arguments of setval() that would bring it back there. */
export type SequenceStates = ReadonlyMap<string, string>;

/** Temporary sequences are their session's own. */
export const LOOK = `SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename),
  coalesce(last_value, start_value) || ', ' || (last_value IS NOT NULL)
  FROM pg_catalog.pg_sequences WHERE schemaname NOT LIKE 'pg\\_temp\\_%'`;

export function statesOf({ rows }: Answer): SequenceStates {
  return new Map(rows.map(([name, state]) => [name ?? '', state ?? '']));
}

/** Names of what stands elsewhere than before; a sequence that is new moved from nowhere and needs nothing. */
export function moved(before: SequenceStates, after: SequenceStates): readonly string[] {
  return [...before].filter(([name, state]) => after.has(name) && after.get(name) !== state).map(([name]) => name);
}

/** For a follower: brings the named sequences to where they stood. */
export function alignText(names: readonly string[], before: SequenceStates): string {
  const calls = names.map((name) => `pg_catalog.setval(${quoteLiteral(name)}::regclass, ${before.get(name)})`);
  return `SELECT ${calls.join(', ')}`;
}

/** A sequence that the follower drew from ends where the lead's does, or the draws were others. */
export function compareDraws(
  label: string,
  names: readonly string[],
  states: { readonly before: SequenceStates; readonly lead: SequenceStates; readonly follower: SequenceStates },
): FollowerFailure | undefined {
  for (const name of names) {
    const found = states.follower.get(name);
    if (found === undefined || found === states.before.get(name) || found === states.lead.get(name)) continue;
    return { kind: 'sequence', label, sequence: name };
  }
  return undefined;
}
