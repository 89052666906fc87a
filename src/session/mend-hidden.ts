/**
 * Rows that functions and triggers have stored on followers by themselves, and that are not the lead's (a moment, a random value of their own): they get the
 * lead's in their place, where no trigger fires for that.
 */
import { isOfTheMoment } from '../fanout/follower.ts';
import {
  digestText,
  removalOfOwnText,
  sourceOf,
  storedColumns,
  tell as tellRows,
  type Told,
} from '../fanout/captured-rows.ts';
import { changes, isOfObjects } from '../fanout/hidden-effects.ts';
import type { WritersBlock } from './block.ts';
import type { HiddenEffects } from './hidden-effects.ts';
import type { Written } from './written.ts';
import { compareOutgoing } from './outgoing-rows.ts';
import { answerOf, compareEach } from './own-questions.ts';
import { tell, throwFailures } from './replay.ts';
import type { SessionState } from './state.ts';
import { endQuiet, quieten, sendTold } from './told-rows.ts';

/** Ours on followers, gone before the client can make another one. */
const MARK = '"pprox: mended"';

/**
 * Whoever asks has compared how many rows were inserted, updated and deleted in each table, and compares once more what is there: this may have mended
 * nothing. Answers with `not possible` where a table cannot be, or other rows are gone on a follower: the transaction is to be rolled back then. Throws PproxError where a
 * follower is lost.
 */
export async function mendHidden(
  session: SessionState,
  block: WritersBlock,
  effects: HiddenEffects,
): Promise<'done' | 'not possible'> {
  const { followers } = block.legs;
  const differing = await differingTables(session, block, (await effects.written()).map(widened));
  if (differing === undefined) return 'not possible';
  const quiet = await quieten(session, block, differing.flatMap(toldOf), [], 'asked for');
  if (differing.length === 0 || quiet === undefined) return 'not possible';
  const told = differing.map((one) => inPlace(one, quiet.begin === '' ? 'checked' : 'not checked'));
  if (told.includes(undefined)) return 'not possible';
  for (const leg of followers) tell(leg, `SAVEPOINT ${MARK}`, ...(quiet.begin === '' ? [] : [quiet.begin]));
  const rows = told.flatMap((one) => one ?? []);
  const refused = await sendTold(session, block, rows, performance.now());
  if (refused.some(isOfTheMoment)) throwFailures(block, refused);
  if (refused.length > 0) {
    for (const leg of followers) tell(leg, `ROLLBACK TO SAVEPOINT ${MARK}`, `RELEASE SAVEPOINT ${MARK}`);
    return 'not possible';
  }
  endQuiet(block, quiet);
  for (const leg of followers) tell(leg, `RELEASE SAVEPOINT ${MARK}`);
  // A row that it has changed, and the lead has not, is gone with it.
  const changed = changes(effects.lead);
  for (const one of differing) {
    const [, updated = 0, deleted = 0] = changed.get(one.name) ?? [];
    if (updated + deleted === 0) continue;
    const others = await compareOutgoing(session, block, one);
    if (others === 'not known' || others.length > 0) return 'not possible';
  }
  return 'done';
}

/** Read whole where that is possible: what a follower has stored by itself may have other keys. */
function widened(written: Written): Written {
  if (written.access.size === 'large') return written;
  return { ...written, source: sourceOf(written.access), taken: undefined };
}

/** Of tables that the session is shown whole, those of which a follower has written other rows. Undefined where these may be elsewhere than they are looked for. */
async function differingTables(
  session: SessionState,
  { legs: { lead, followers } }: WritersBlock,
  written: readonly Written[],
): Promise<readonly Written[] | undefined> {
  const { backend } = lead.lease;
  const differing: Written[] = [];
  for (const one of written) {
    const { access, table, name, reading, source, taken } = one;
    if (isOfObjects(name) || access.read === 'in part' || access.write !== 'allowed') continue;
    if (reading === 'its end' || table.deferred === 'some') continue;
    const text = digestText(source, storedColumns(table));
    const [lead = []] = (await session.cancellable(backend, answerOf(backend, text))).rows;
    const expected = lead.join();
    const searched = taken === undefined ? 'everywhere' : 'among keys';
    const elsewhere: string[] = [];
    const found = await compareEach(session, followers, async ({ lease, node: { label } }) => {
      const [here = []] = (await answerOf(lease.backend, text)).rows;
      const rows = here.join();
      if (searched === 'among keys' && here[0] !== lead[0]) elsewhere.push(label);
      return rows === expected ? 'same' : { kind: 'elsewhere', label, table: name, expected, found: rows };
    });
    if (elsewhere.length > 0) return undefined;
    if (found !== 'not known' && found.length > 0) differing.push(one);
  }
  return differing;
}

function toldOf({ name, table }: Written): readonly Told[] {
  const told = tellRows(name, table, 'rows are new');
  return told === undefined ? [] : [{ ...told, fires: table.triggers === 'none' ? 'nothing' : 'perhaps something' }];
}

/**
 * All rows that the transaction has written to it, in place of the follower's own. `checked`: foreign keys are, so that rows which others refer to have to stay:
 * those of the same key get other values. Undefined where that is not possible.
 */
function inPlace({ name, table, access, source }: Written, references: 'checked' | 'not checked'): Told | undefined {
  const told = tellRows(name, table, 'rows are new', source);
  const stays = references === 'checked' && table.referenced === 'yes';
  if (told === undefined || (stays && (table.keys.length === 0 || access.whole !== undefined))) return undefined;
  if (stays) return { ...told, first: undefined };
  // Of a key that a partition has for itself nothing is known where it is reached as one.
  const plan = access.whole === undefined ? told.plan : { ...told.plan, suffix: '' };
  return { ...told, plan, first: removalOfOwnText(source) };
}
