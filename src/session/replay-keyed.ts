/** Several changes in one statement, each of a row that is told by its key: the same text on followers, and the numbers of rows compared. */
import { changedIn, changes, compareChanges, countsOfTables, NOTHING } from '../fanout/hidden-effects.ts';
import type { Keyed } from '../fanout/plan.ts';
import type { WritersBlock } from './block.ts';
import { looks, pinWhereBound } from './hidden-effects.ts';
import { beginFollowers, othersVisible, replayed, replaySame, throwFailures } from './replay.ts';
import type { Hidden } from './ran-on-lead.ts';
import type { SessionState } from './state.ts';
import { touch, touchSeen, touchUnseen } from './touched.ts';

/**
 * Answers with `not possible`, and has done nothing, where a change has not found its row on the lead: it may find one on a follower.
 * Throws PproxError where a follower has changed other numbers of rows.
 */
export async function replayKeyed(
  session: SessionState,
  block: WritersBlock,
  { statement, plan, request, started, looked, done }: Hidden,
  { updates, deletes, tables }: Keyed,
): Promise<'done' | 'not possible'> {
  const names = [...changes(looked).keys()];
  if (names.length === 0) return 'done';
  touchSeen(block.touched, looked, names);
  // Actions of foreign keys have perhaps changed tables beside those that were looked at.
  const stored = await Promise.all(names.map((name) => session.services.catalog.tableOf(session, name)));
  if (stored.some((table) => table?.referenced !== 'no')) touchUnseen(block.touched, undefined);
  const { updated, deleted } = changedIn(looked);
  if (updated !== updates || deleted !== deletes) return 'not possible';
  const { legs } = block;
  await pinWhereBound(session, block, names);
  touch(block.touched, names);
  const { moment } = session.services.coordinator;
  await othersVisible(session, legs.followers);
  beginFollowers(session, block);
  const question = countsOfTables(tables);
  const before = await looks(session, legs.followers, question);
  const same = await replayed(block, plan, statement, request, done.effect, started, done.time);
  throwFailures(block, await replaySame(session, block, [same], moment, { pace: 'lockstep', kept: 'not at all' }));
  const after = await looks(session, legs.followers, question);
  const differing = legs.followers.flatMap((leg) => {
    const follower = { before: before.get(leg) ?? NOTHING, after: after.get(leg) ?? NOTHING };
    return compareChanges(leg.node.label, looked, follower, new Set()) ?? [];
  });
  throwFailures(block, differing);
  return 'done';
}
