/** A statement of ours that fires what has waited for the transaction's end, on every writer. */
import { CommitReceiver } from '../commit/commit-receiver.ts';
import { changes } from '../fanout/hidden-effects.ts';
import { compareHidden, NO_ROWS } from './compare-hidden.ts';
import { alignFollowers, look, reserveDrawn, seeEffects } from './hidden-effects.ts';
import { askLegs, throwFailures } from './replay.ts';
import { ServerError } from './reply.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { mayWait } from './touched.ts';

/** Throws ServerError where the lead refuses, PproxError where the followers do something else. */
export async function fireEverywhere(session: SessionState, block: WritersBlock, text: string): Promise<void> {
  const { lead, followers } = block.legs;
  const { backend } = lead.lease;
  const before = await look(backend, 'settings of values');
  const receiver = new CommitReceiver();
  backend.query(text, receiver);
  const { error, frames } = await session.cancellable(backend, receiver.reply);
  block.status = backend.status;
  for (const frame of frames) session.link.send(frame);
  if (error !== undefined) throw new ServerError(error);
  const seen = await seeEffects(
    session,
    block,
    { before, after: await look(backend, 'settings of values') },
    undefined,
    0,
  );
  // Whatever is only checked, followers check when they prepare. Sequences alone were moved by others. What has changed nothing here, triggers may do there.
  const { catalog } = session.services;
  if (changes(seen.lead).size === 0 && !(await mayWait(catalog, session, block.touched))) return;
  const aligned = await alignFollowers(session, block, seen, undefined, 'what the lead drew');
  const failures = await askLegs(followers, session.services.settings.followerTimeoutMs, () => text);
  throwFailures(block, failures);
  const { truncating } = await catalog.facts(session);
  const empties = truncating.size > 0 ? 'perhaps a table' : 'no table';
  throwFailures(block, await compareHidden(session, block, { ...seen, empties }, aligned, NO_ROWS, 'mended'));
  await reserveDrawn(session, seen, aligned);
}
