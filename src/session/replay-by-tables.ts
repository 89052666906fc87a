/**
 * What functions and triggers have done on the lead, told table by table to followers that run none of it: rows that are gone, by their keys;
 * then all rows that the transaction has written. It is all there is to a table, however the rows came to be so; what each follower
 * holds of it is compared.
 */
import { type FollowerFailure, isOfTheMoment } from '../fanout/follower.ts';
import { digestText, removalOfOwnText, storedColumns, tell as tellRows, type Told } from '../fanout/captured-rows.ts';
import { changes, isOfObjects } from '../fanout/hidden-effects.ts';
import type { HiddenEffects } from './hidden-effects.ts';
import type { Written } from './written.ts';
import { compareOutgoing, keyOf, type Outgoing, outgoingOnLead, sendRemovals } from './outgoing-rows.ts';
import { beginFollowers, compareAnswers, othersVisible, tell, throwFailures } from './replay.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { endQuiet, quieten, sendTold } from './told-rows.ts';
import type { Touched } from './touched.ts';

interface ToldTable {
  readonly written: Written;
  readonly told: Told;
  /** Whether rows of it may be gone. */
  readonly rows: 'new' | 'new or taken';
  /** Whether the transaction may have changed it before: what others see still, it may have taken then. */
  readonly before: 'none' | 'some';
}

/** Ours on followers, gone before the client can make another one. */
const MARK = '"pprox: tables"';

/**
 * Answers with `not possible`, and has left nothing on the followers then, where more than rows was changed, a table cannot be read or its rows
 * not be told by a key, or triggers cannot be turned off.
 */
export async function replayByTables(
  session: SessionState,
  block: WritersBlock,
  effects: HiddenEffects,
  started: number,
): Promise<'done' | 'not possible'> {
  const { followers } = block.legs;
  const tables = await toldTables(effects, block.touched);
  if (tables === undefined) return 'not possible';
  beginFollowers(session, block);
  const told = tables.map((one) => one.told);
  await othersVisible(session, followers);
  await session.services.coordinator.visibleEverywhere();
  const quiet = await quieten(session, block, told, [], 'asked for');
  if (quiet === undefined) return 'not possible';
  const outgoing = new Map<ToldTable, Outgoing>();
  for (const one of tables) {
    if (one.rows === 'new') continue;
    const found = await outgoingOnLead(session, block, one.written, 'keys');
    if (found === undefined) return 'not possible';
    outgoing.set(one, found);
  }
  for (const leg of followers) tell(leg, `SAVEPOINT ${MARK}`, ...(quiet.begin === '' ? [] : [quiet.begin]));
  // Whose place they took may be told after them.
  for (const [{ written, before }, { gone }] of outgoing) {
    if (gone.length === 0) continue;
    const refused = await sendRemovals(session, block, written.name, written.table, gone, before, started);
    if (refused.some(isOfTheMoment)) throwFailures(block, refused);
    if (refused.length > 0) return takeBack(session, block, refused);
  }
  const refused = await sendTold(session, block, told, started);
  if (refused.some(isOfTheMoment)) throwFailures(block, refused);
  if (refused.length > 0) return takeBack(session, block, refused);
  endQuiet(block, quiet);
  const text = tables.map(({ written: { source, table } }) => `(${digestText(source, storedColumns(table))})`);
  const differing = await compareAnswers(session, block, text.join(' UNION ALL '));
  if (differing.some(({ kind }) => kind === 'lost')) throwFailures(block, differing);
  if (differing.length > 0) return takeBack(session, block, differing);
  for (const [{ written, before }, known] of outgoing) {
    if (before === 'none') continue;
    const others = await compareOutgoing(session, block, written, known);
    if (others === 'not known') return takeBack(session, block, []);
    if (others.some(({ kind }) => kind === 'lost')) throwFailures(block, others);
    if (others.length > 0) return takeBack(session, block, others);
  }
  for (const leg of followers) tell(leg, `RELEASE SAVEPOINT ${MARK}`);
  return 'done';
}

function takeBack(session: SessionState, { legs }: WritersBlock, why: readonly FollowerFailure[]): 'not possible' {
  session.log.debug('tables not told', { followers: why.map(({ label, kind }) => `${label}: ${kind}`).join(', ') });
  for (const leg of legs.followers) tell(leg, `ROLLBACK TO SAVEPOINT ${MARK}`, `RELEASE SAVEPOINT ${MARK}`);
  return 'not possible';
}

/** Undefined where one of the changed tables cannot be told, or where rows are new and nothing else: they are told without this. */
async function toldTables(
  { lead, written, tellable }: HiddenEffects,
  { first: seen }: Touched,
): Promise<readonly ToldTable[] | undefined> {
  if (tellable === 'no') return undefined;
  const changed = [...changes(lead)];
  if (changed.every(([, [, updated, deleted]]) => updated === 0 && deleted === 0)) return undefined;
  const known = await written();
  const tables: ToldTable[] = [];
  for (const [name, [, updated, deleted]] of changed) {
    const found = isOfObjects(name) ? undefined : known.find((one) => one.name === name);
    if (
      found === undefined ||
      found.reading === 'its end' ||
      found.access.read !== 'allowed' ||
      found.access.write !== 'allowed' ||
      found.table.deferred === 'some'
    )
      return undefined;
    const rows = updated === 0 && deleted === 0 ? 'new' : 'new or taken';
    const told = tellRows(name, found.table, 'rows are new', found.source);
    if (told === undefined || (rows === 'new or taken' && keyOf(found.table).length === 0)) return undefined;
    const before = seen.get(name) === lead.before ? 'none' : 'some';
    // What it had written there may be gone by now, and nobody else has ever seen it; not where as many rows are there as it has stored.
    const gone = before === 'some' && found.taken === undefined;
    const first = told.first ?? (gone ? removalOfOwnText(found.source) : undefined);
    // What is removed may be referred to.
    const removes = rows === 'new or taken' || first !== undefined;
    const fires = removes && found.table.referenced === 'yes' ? 'perhaps something' : told.fires;
    tables.push({ written: found, told: { ...told, first, fires }, rows, before });
  }
  return tables;
}
