/** Statements that the lead alone runs: what they have stored is read back there, and told to the followers. */
import { besideTemporary, changes, type Looks, storedIn } from '../fanout/hidden-effects.ts';
import type { LeadAlonePlan } from '../fanout/plan.ts';
import type { Told } from '../fanout/captured-rows.ts';
import { PproxError } from '../lib/errors.ts';
import { type HiddenEffects, replayDirectly, reserveMoved, seeEffects } from './hidden-effects.ts';
import { replayByTables } from './replay-by-tables.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { storedByLatest } from './table-ends.ts';

/**
 * What the lead has done, told to followers that do not run it themselves. `rows`: how many it has stored by its own word; undefined where it says
 * nothing of them. Throws PproxError where that is not possible; the transaction is rolled back then.
 */
export async function replayAlone(
  session: SessionState,
  block: WritersBlock,
  { rule, stored, inPlace, runs, otherwise }: LeadAlonePlan,
  looked: Looks,
  rows: number | undefined,
  started: number,
): Promise<void> {
  // Of a temporary object: triggers and functions alone have changed any other.
  const temporary = inPlace === 'rows beside temporary objects';
  const looks = temporary ? besideTemporary(looked) : looked;
  // Where others are counted, a trigger has stored some, or taken some back.
  const alone = rows === undefined || rows === storedIn(looks, stored);
  const by = runs === 'functions' || !alone ? 'any function' : 'its own text';
  const counted = by === 'its own text' ? stored : [];
  const effects = await seeEffects(session, block, looks, undefined, 0, 'all tables', counted, by);
  const seen = await narrowed(session, block, effects, counted);
  const direct = { replay: undefined, stored, fires: 'nothing', started, otherwise: 'something else' } as const;
  if (seen.told?.length === 0) return reserveMoved(session, seen);
  if ((await replayDirectly(session, block, seen, direct)) === 'done') return;
  if ((await replayByTables(session, block, seen, started)) === 'done') return reserveMoved(session, seen);
  throw otherwise === 'locks' ? contended() : untold(rule);
}

function contended(): PproxError {
  return new PproxError('table_contended', {
    message: 'could not serialize: others write to the tables of the statement',
    detail: 'It was not locked against them, and what it has changed could not be told to the followers.',
    hint: 'The transaction may be tried again.',
  });
}

function untold(rule: string): PproxError {
  return new PproxError('not_replayed', {
    message: `what the statement has stored cannot be told to the followers: ${rule}`,
    detail:
      'It has triggers, or has changed rows of tables with triggers, which the session may not turn off on a follower, or which it may not read or write, or not see by their policies; or has made or changed more than rows.',
    hint: 'Give each column its value, or GRANT SET ON PARAMETER session_replication_role to the role (PostgreSQL 15 and later).',
  });
}

/**
 * The rows of these tables that the statement itself has stored, where they can be told from the transaction's others: by their number, which is not
 * known of what a function has stored and taken back.
 */
async function narrowed(
  session: SessionState,
  block: WritersBlock,
  seen: HiddenEffects,
  stored: readonly string[],
): Promise<HiddenEffects> {
  if (seen.told === undefined) return seen;
  const changed = changes(seen.lead);
  const written = await seen.written();
  const told: Told[] = [];
  for (const one of seen.told) {
    const added = one.changed === 'rows are new' && stored.includes(one.name);
    const table = added ? written.find(({ name }) => name === one.name)?.table : undefined;
    const [inserted = 0] = changed.get(one.name) ?? [];
    const { backend } = block.legs.lead.lease;
    const own =
      table === undefined
        ? undefined
        : await session.cancellable(backend, storedByLatest(backend, one, table, inserted));
    told.push(own ?? one);
  }
  return { ...seen, told };
}
