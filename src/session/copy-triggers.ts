/**
 * Triggers of a table that is copied into fire on every server by itself, while the data comes. What they have done is compared behind it; where
 * it is not the same (a serial of a table that they fill, now()), followers take it back and are told the lead's rows.
 */
import type { FollowerFailure } from '../fanout/follower.ts';
import { type Look, type Looks, movedSequences } from '../fanout/hidden-effects.ts';
import type { SameTextPlan } from '../fanout/plan.ts';
import { PproxError } from '../lib/errors.ts';
import { compareHidden, NO_ROWS } from './compare-hidden.ts';
import { type HiddenEffects, reserveDrawn, seeEffects } from './hidden-effects.ts';
import type { FollowerLeg } from './legs.ts';
import { replayAlone } from './read-back.ts';
import { tell, throwFailures } from './replay.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';

/** Ours on followers, gone before the client can make another one. */
const MARK = '"pprox: copy"';

/** FREEZE is for tables that were made or emptied in the transaction at hand, and not outside of a savepoint (manual, "COPY"). */
const FREEZES = /\bfreeze\b/i;

/** Of followers, before they copy. */
export interface Fired {
  /** Whether there is a savepoint to go back to. */
  readonly marked: 'yes' | 'no';
  readonly looks: ReadonlyMap<FollowerLeg, Look>;
}

/** Where they may be taken back to before the COPY. */
export function markCopy(legs: readonly FollowerLeg[], text: Buffer): Fired['marked'] {
  if (FREEZES.test(text.toString('latin1'))) return 'no';
  for (const { lease } of legs) lease.backend.ahead('within', [`SAVEPOINT ${MARK}`]);
  return 'yes';
}

/** The COPY is over: so many rows of its data. `failures`: its own, on followers. Throws PproxError where they are not what the lead is. */
export async function replayTriggers(
  session: SessionState,
  block: WritersBlock,
  plan: SameTextPlan,
  looked: Looks,
  fired: Fired,
  copied: number,
  failures: readonly FollowerFailure[],
  started: number,
): Promise<void> {
  const { followers } = block.legs;
  const seen = await seeEffects(session, block, looked, undefined, 0);
  const differing = failures.length > 0 ? failures : await compareTriggers(session, block, plan.stored, seen, fired);
  if (differing.length === 0) {
    if (fired.marked === 'yes') for (const leg of followers) tell(leg, `RELEASE SAVEPOINT ${MARK}`);
    return;
  }
  if (fired.marked === 'no' || differing.some(({ kind }) => kind === 'lost')) throwFailures(block, differing);
  for (const leg of followers) tell(leg, `ROLLBACK TO SAVEPOINT ${MARK}`, `RELEASE SAVEPOINT ${MARK}`);
  try {
    const told = { ...plan, runs: 'nothing', inPlace: 'rows alone', otherwise: 'nothing' } as const;
    await replayAlone(session, block, told, looked, copied, started);
  } catch (error) {
    // What was wrong at first says more than that it cannot be mended.
    if (error instanceof PproxError && error.condition === 'not_replayed') throwFailures(block, differing);
    throw error;
  }
}

/** What they have changed must be the same. */
async function compareTriggers(
  session: SessionState,
  block: WritersBlock,
  own: readonly string[],
  seen: HiddenEffects,
  { looks }: Fired,
): Promise<readonly FollowerFailure[]> {
  const aligned = { drawn: [], apart: [], followers: looks };
  const rows = { ...NO_ROWS, tables: new Set(own) };
  const differing = await compareHidden(session, block, seen, aligned, rows, 'left');
  if (differing.length > 0) return differing;
  // Others may have moved sequences meanwhile: what was drawn is in the tables that it has filled beside its own.
  const written = await seen.written();
  const filled = written.filter(({ name }) => !own.includes(name)).flatMap(({ table }) => table.columns);
  const drawn = movedSequences(seen.lead.before, seen.lead.after).filter((name) =>
    filled.some(({ sequence, draws }) => sequence === name || draws?.includes(name) === true || draws?.length === 0),
  );
  await reserveDrawn(session, seen, aligned, drawn);
  return [];
}
