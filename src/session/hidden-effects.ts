/** A statement that may do more than its text says, between two looks on the lead and on every follower. */
import type { Backend } from '../backend/backend.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import {
  alignText,
  changes,
  compareChanges,
  compareDraws,
  LOOK,
  type Look,
  lookOf,
  type Looks,
  movedSequences,
  NOTHING,
} from '../fanout/hidden-effects.ts';
import type { RowPlan } from '../fanout/plan.ts';
import type { RowReplay } from '../fanout/row-replay.ts';
import { PproxError } from '../lib/errors.ts';
import type { FollowerLeg } from './legs.ts';
import { askLegs, beginFollowers, othersVisible, throwFailures } from './replay.ts';
import type { SessionState, WritersBlock } from './state.ts';

/** On one connection. */
export async function look(backend: Backend): Promise<Look> {
  const answer = await backend.ask(LOOK);
  if (answer.error !== undefined)
    throw new PproxError('catalog_unreadable', { sqlstate: answer.error.code, message: answer.error.message });
  return lookOf(answer);
}

/** Whether a function that the statement called has changed what its own rows do not bring along. */
export function changedElsewhere({ calls, stored }: RowPlan, lead: Looks): boolean {
  return calls !== 'none' && [...changes(lead).keys()].some((table) => !stored.includes(table));
}

/** The lead's side, and where the followers stood before they do the same. */
export interface HiddenEffects {
  readonly lead: Looks;
  /** Sequences that followers draw from as the lead did. */
  readonly drawn: readonly string[];
  readonly followers: ReadonlyMap<FollowerLeg, Look>;
}

/**
 * Once the lead has run it: followers draw from where the lead drew. `replay`: rows that bring their values along, undefined where
 * followers draw them all.
 */
export async function alignFollowers(
  session: SessionState,
  block: WritersBlock,
  lead: Looks,
  replay: RowReplay | undefined,
): Promise<HiddenEffects> {
  const { legs } = block;
  await othersVisible(session, legs.followers);
  // In the transaction at hand: before it, counts of earlier ones may be there that are told and taken off when it begins.
  beginFollowers(session, block);
  const looks = legs.followers.map(async (leg): Promise<[FollowerLeg, Look]> => {
    const { backend } = leg.lease;
    return [leg, await session.cancellable(backend, look(backend))];
  });
  const followers = new Map(await Promise.all(looks));
  const drawn = movedSequences(lead.before, lead.after).filter((name) => replay?.drawn.has(name) !== true);
  if (drawn.length > 0) {
    const text = alignText(drawn, lead.before);
    await session.services.coordinator.visibleEverywhere();
    session.services.sequences.forget();
    throwFailures(block, await askLegs(legs.followers, session.services.settings.followerTimeoutMs, () => text));
  }
  return { lead, drawn, followers };
}

/** Once the followers have done the same. `but`: tables whose rows are compared in another way. */
export async function compareHidden(
  session: SessionState,
  block: WritersBlock,
  { lead, drawn, followers }: HiddenEffects,
  but: ReadonlySet<string>,
): Promise<readonly FollowerFailure[]> {
  const found = await Promise.all(
    block.legs.followers.map(async (leg) => {
      const { label } = leg.node;
      const after = await session.cancellable(leg.lease.backend, look(leg.lease.backend));
      const before = followers.get(leg) ?? NOTHING;
      return compareDraws(label, drawn, lead, after) ?? compareChanges(label, lead, { before, after }, but);
    }),
  );
  return found.flatMap((failure) => failure ?? []);
}

/** Followers' sequences stay ahead of those that the lead has drawn from. */
export async function reserveDrawn(session: SessionState, { lead, drawn }: HiddenEffects): Promise<void> {
  for (const name of drawn) {
    const [value] = lead.after.sequences.get(name)?.split(',') ?? [];
    if (value !== undefined) await session.services.sequences.reserve(session, name, BigInt(value));
  }
}
