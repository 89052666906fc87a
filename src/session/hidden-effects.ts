/**
 * A statement that may do more than its text says, on the followers once the lead has run it:
 *
 *     every change can be told row by row, and       ─► direct: the lead's rows, on followers on which no trigger fires
 *     triggers may be turned off
 *     a function has changed other tables,           ─► the same text, rows and changes compared
 *     or the text has no rows of its own
 *     else                                           ─► the lead's rows, what triggers do compared
 */
import { isOfTheMoment } from '../fanout/follower.ts';
import type { Backend } from '../backend/backend.ts';
import type { OwnStatement } from '../backend/own-message.ts';
import { rowsOf } from '../backend/receiver.ts';
import { accessOf, accessText, sourceOf, tell as tellRows, type Told } from '../fanout/captured-rows.ts';
import {
  alignText,
  changes,
  compareGrowth,
  isOfObjects,
  type Look,
  type LookedAt,
  lookOf,
  type Looks,
  LOOKS,
  movedSequences,
  notSettableText,
  NOTHING,
} from '../fanout/hidden-effects.ts';
import type { RowPlan } from '../fanout/plan.ts';
import type { RowReplay } from '../fanout/row-replay.ts';
import type { FollowerLeg } from './legs.ts';
import { askLegs, beginFollowers, othersVisible, tell, throwFailures } from './replay.ts';
import { answerOf, within } from './own-questions.ts';
import { nameLocally } from './setting-transfer.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { findRows } from './found-rows.ts';
import type { Written } from './written.ts';
import { endQuiet, quieten, sendTold } from './told-rows.ts';
import { storedAtEnd, storedByLatest } from './table-ends.ts';
import { mayWait, place, storedByFirst, storedInAll, touch, touchSeen } from './touched.ts';

/** What is asked: something that is looked at, or a question of its own. */
type Question = LookedAt | OwnStatement;

/**
 * On one connection. `at`: more for statements that a follower may not have to run at all, or not with its triggers. `when`: `at once` behind a
 * statement that may be what begins the transaction, and whose failure makes the answer one for nobody.
 */
export async function look(
  backend: Backend,
  at: Question = 'nothing else',
  how: 'prepared' | 'as text' = 'prepared',
  when: 'in turn' | 'at once' = 'in turn',
): Promise<Look> {
  const asked = questionOf(at);
  return lookOf(await answerOf(backend, how === 'prepared' ? asked : asked.text, when));
}

/** The same, in front of what is sent next there. */
export async function lookAhead(backend: Backend, at: Question): Promise<Look> {
  const answer = await backend.askAhead(questionOf(at));
  rowsOf(answer);
  return lookOf(answer);
}

/** On each of these, whose transactions have begun. A follower that does not answer in time is given up. */
export async function looks(
  session: SessionState,
  legs: readonly FollowerLeg[],
  at: Question = 'nothing else',
): Promise<ReadonlyMap<FollowerLeg, Look>> {
  return within(
    session,
    legs,
    async (leg): Promise<[FollowerLeg, Look]> => [leg, await look(leg.lease.backend, at)],
  ).then((found) => new Map(found));
}

function questionOf(at: Question): OwnStatement {
  return typeof at === 'string' ? LOOKS[at] : at;
}

const READINGS = { small: 'whole', medium: 'its end first', large: 'its end' } as const;

/** The lead's side of a statement: what it has done. */
export interface HiddenEffects {
  readonly lead: Looks;
  /** Changed tables that can be looked through; asked for once, when somebody needs them. Rejects with PproxError. */
  written(): Promise<readonly Written[]>;
  /** Whether what was run may have emptied tables, those that the transaction had made or emptied before among them. */
  readonly empties: 'no table' | 'perhaps a table';
  /** Whether followers may be told rows in place of what has changed them. */
  readonly tellable: 'yes' | 'no';
  /** SessionState's, before. */
  readonly temporariesDiffer: 'no' | 'perhaps';
  /** Rows elsewhere than in the plan's own tables, each of which can be told; undefined where some cannot. */
  readonly told: readonly Told[] | undefined;
  readonly elsewhere: 'nothing' | 'something';
  /** Whether tables of `told` are shown to the session in part, or it may not do to them all that there is: followers may refuse their rows. */
  readonly partly: 'none' | 'some';
}

/**
 * `plan`: undefined where the statement has no rows of its own. `total`: how many it has. `size`: of the tables that are looked through;
 * `counted`: those which the statement's own text alone has changed, no function. `by`: what has changed tables beside them.
 */
export async function seeEffects(
  session: SessionState,
  block: WritersBlock,
  lead: Looks,
  plan: RowPlan | undefined,
  total: number,
  size: 'small tables' | 'all tables' = 'small tables',
  counted: readonly string[] = [],
  by: 'any function' | 'its own text' = plan === undefined ? 'any function' : 'its own text',
): Promise<HiddenEffects> {
  const changed = changes(lead);
  const { temporariesDiffer } = session;
  if (block.touched.objects === 'some') block.touched.emptied = 'perhaps something';
  const own = new Set(plan?.stored);
  const others = [...changed.keys()].filter((name) => !own.has(name));
  const empties = (await mayEmpty(session, [...own, ...changed.keys()])) ? 'perhaps a table' : 'no table';
  const tellable = await isTellable(session, block, lead, by, empties);
  const elsewhere = others.length === 0 && tellable === 'yes' ? 'nothing' : 'something';
  if (others.some(isOfObjects)) {
    block.touched.objects = 'some';
    block.touched.made = 'objects';
    session.own.begin('any');
    session.noteMade();
    // Perhaps temporary ones, which the server session is asked about when the transaction is over.
    session.pins.add('temporary object');
    session.doubtfulPins.add('temporary object');
  }
  // A trigger has made them: this server session is its client's own now, as where a function may have.
  if (lead.before.settings !== lead.after.settings) {
    session.pins.add('volatile function');
    session.view = 'perhaps its own';
    session.own.begin('any');
  }
  // So may it have drawn from them: lastval() is its client's.
  if (movedSequences(lead.before, lead.after).length > 0) session.pins.add('sequence value');
  await pinWhereBound(session, block, [...own, ...changed.keys()]);
  touch(block.touched, changed.keys());
  touchSeen(block.touched, lead, changed.keys());
  let asked: Promise<readonly Written[]> | undefined;
  const written = (): Promise<readonly Written[]> =>
    (asked ??= readWritten(session, block, lead, [...changed.keys()], size));
  const accounted = plan === undefined || accountsFor(plan, total, changed);
  if (!accounted || tellable === 'no')
    return { lead, written, empties, tellable, temporariesDiffer, told: undefined, elsewhere, partly: 'none' };
  const known = others.length === 0 ? [] : await written();
  const told: (Told | undefined)[] = [];
  for (const name of others) {
    const found = known.find((one) => one.name === name);
    const [inserted = 0, updated, deleted] = changed.get(name) ?? [];
    if (found === undefined || deleted !== 0 || found.table.deferred === 'some') told.push(undefined);
    else if (updated === 0)
      told.push(
        await newRows(session, block, found, lead.after, inserted, counted.includes(name) ? 'text' : 'function'),
      );
    else if (!isWhole(found)) told.push(newVersions(block, found, lead));
    else {
      // That no key has changed is seen by the table not growing: by how much it should, a subtransaction of a function would hide.
      const exact = inserted === 0 || (counted.includes(name) && found.table.triggers === 'none');
      const readable = exact && found.reading !== 'its end';
      told.push(readable ? tellRows(name, found.table, 'rows were changed', found.source) : undefined);
    }
  }
  return {
    lead,
    written,
    empties,
    tellable,
    temporariesDiffer,
    elsewhere,
    told: told.includes(undefined) ? undefined : told.flatMap((one) => one ?? []),
    partly: known.every((one) => isWhole(one) || !others.includes(one.name)) ? 'none' : 'some',
  };
}

/**
 * Triggers of these tables may have left something with the server session: it is its client's own now, as where it calls a function. What they have
 * set for the transaction alone leaves the setting, without a value.
 */
export async function pinWhereBound(
  session: SessionState,
  { legs }: WritersBlock,
  tables: readonly string[],
): Promise<void> {
  for (const name of tables) {
    if (session.pins.has('volatile function') && session.link.told) return;
    const table = isOfObjects(name) ? undefined : await session.services.catalog.tableOf(session, name);
    if (table?.binds === 'something') {
      session.pins.add('volatile function');
      session.link.letGo();
    }
    if (table !== undefined) nameLocally(session, legs, table.settings);
  }
}

/** Whether the session is shown all of its rows, and may do to it whatever there is to do. */
function isWhole({ access }: Written): boolean {
  return access.read === 'allowed' && access.write === 'allowed';
}

/** Of a table that may be shown in part. */
function newVersions({ touched }: WritersBlock, { name, table, access }: Written, lead: Looks): Told | undefined {
  if (access.read === 'as a partition') return undefined;
  const told = tellRows(name, table, 'rows were changed');
  const count = storedByFirst(touched, lead, name);
  return told === undefined || access.write !== 'allowed' || count === undefined ? undefined : { ...told, count };
}

/** `inserted`: how many the statement at hand has stored there, those that a function of it has taken back by itself among them. */
async function newRows(
  session: SessionState,
  { legs: { lead }, touched }: WritersBlock,
  written: Written,
  after: Look,
  inserted: number,
  by: 'text' | 'function',
): Promise<Told | undefined> {
  const { name, table, reading, access, source } = written;
  const told = tellRows(name, table, 'rows are new', source);
  const whole = isWhole(written);
  if (told === undefined || access.write === 'not allowed' || access.read === 'as a partition') return undefined;
  if (whole && reading === 'whole') return told;
  // Others run it too, and draw as the lead does.
  if (!whole && by === 'function' && table.columns.some(({ unseen }) => unseen)) return undefined;
  const inAll = storedInAll(touched, after, name);
  const { backend } = lead.lease;
  const search = async (): Promise<Told | undefined> => {
    const end = inAll === undefined ? undefined : await storedAtEnd(backend, told, table, inserted, inAll);
    if (end !== undefined || whole || by === 'function') return end;
    // Where policies hide all of the latest, those of an earlier command might be as many: followers have these, and their key says so.
    const certain = access.read === 'allowed' || table.keys.length > 0;
    return certain ? storedByLatest(backend, told, table, inserted) : undefined;
  };
  const end = await session.cancellable(backend, search());
  // Of others it has to be known that all are shown, and that they are new.
  return end ?? (whole && reading === 'its end first' ? told : undefined);
}

/**
 * Whether rows are all that there is to tell of a statement. Settings are not among them. Of a function that may have done anything neither
 * where the transaction
 *
 *     has changed objects before    TRUNCATE sets counts back, and changes no object where its table is of the same transaction
 *     has changed rows before       whose deferred triggers wait on followers, where a SET CONSTRAINTS in it has fired them on the lead
 *
 * Triggers of what its own text has changed may do either, where the source of one says so.
 */
async function isTellable(
  session: SessionState,
  { touched }: WritersBlock,
  { before, after }: Looks,
  by: 'any function' | 'its own text',
  empties: HiddenEffects['empties'],
): Promise<'yes' | 'no'> {
  if (before.settings !== after.settings) return 'no';
  const { catalog } = session.services;
  if (by === 'its own text') {
    if (touched.objects === 'some' && empties === 'perhaps a table') return 'no';
    const { settingConstraints } = await catalog.facts(session);
    return settingConstraints === 'some' && (await mayWait(catalog, session, touched)) ? 'no' : 'yes';
  }
  return touched.objects === 'some' || (await mayWait(catalog, session, touched)) ? 'no' : 'yes';
}

/** Whether triggers of these tables, or a function that they call, may TRUNCATE one. */
async function mayEmpty(session: SessionState, tables: Iterable<string>): Promise<boolean> {
  for (const name of tables) {
    const table = isOfObjects(name) ? undefined : await session.services.catalog.tableOf(session, name);
    if (table?.empties === 'perhaps something') return true;
  }
  return false;
}

/** Those of the changed tables that the session may read. `size`: of those which may be read whole. */
async function readWritten(
  session: SessionState,
  { legs, touched }: WritersBlock,
  lead: Looks,
  changed: readonly string[],
  size: 'small tables' | 'all tables',
): Promise<readonly Written[]> {
  const names = changed.filter((name) => !isOfObjects(name));
  if (names.length === 0) return [];
  const written: Written[] = [];
  const { backend } = legs.lead.lease;
  for (const one of accessOf((await answerOf(backend, accessText(names))).rows)) {
    if (one.read === 'not allowed') continue;
    const { catalog } = session.services;
    const table = await catalog.tableOf(session, one.table);
    // What the session may do with its columns.
    const reached = one.whole === undefined ? table : await catalog.tableOf(session, one.whole);
    const reading = size === 'all tables' ? 'whole' : READINGS[one.size];
    if (table === undefined || reached === undefined) continue;
    written.push({
      name: one.table,
      table: { ...table, columns: reached.columns },
      access: one,
      source: sourceOf(one),
      reading,
      taken: undefined,
    });
  }
  return session.cancellable(backend, findRows(backend, touched, lead, written));
}

/** Whether the statement's own rows are all that was changed where they stand: no trigger has changed others beside them. */
export function accountsFor(
  { stored, verb, direct }: RowPlan,
  total: number,
  changed: ReturnType<typeof changes>,
): boolean {
  let [inserted, updated, deleted] = [0, 0, 0];
  for (const name of stored) {
    const counts = changed.get(name) ?? [0, 0, 0];
    inserted += counts[0];
    updated += counts[1];
    deleted += counts[2];
  }
  // A row that moves to another partition is deleted there and inserted here.
  if (verb === 'UPDATE') return updated + inserted === total && inserted === deleted;
  if (verb === 'DELETE') return deleted === total && inserted + updated === 0;
  // A trigger may have changed the key of a row that ON CONFLICT has found.
  if (direct !== undefined && updated > 0) return false;
  return inserted + updated === total && deleted === 0;
}

/**
 * The lead's rows and those that were told, on followers on which no trigger fires: all that there is to do. Answers with
 * `not possible`, and has left nothing then, where they cannot be made so, or where the rows were not all. `stored`: the statement's own tables.
 */
export async function replayDirectly(
  session: SessionState,
  block: WritersBlock,
  effects: HiddenEffects,
  {
    replay,
    stored,
    fires,
    started,
    otherwise,
  }: {
    readonly replay: RowReplay | undefined;
    readonly stored: readonly string[];
    /** What the lead's rows set off there, triggers not being turned off. */
    readonly fires: 'nothing' | 'triggers';
    readonly started: number;
    /** Whether followers can be taken back and do something else, where what was told turns out not to be all. */
    readonly otherwise: 'something else' | 'nothing';
  },
): Promise<'done' | 'not possible'> {
  const { followers } = block.legs;
  if (effects.told === undefined || (effects.partly === 'some' && otherwise === 'nothing')) return 'not possible';
  beginFollowers(session, block);
  const { told } = effects;
  await othersVisible(session, followers);
  await session.services.coordinator.visibleEverywhere();
  const quiet = await quieten(session, block, told, fires === 'nothing' ? [] : stored, 'asked for');
  if (quiet === undefined) return 'not possible';
  const counted = told.filter(({ name, changed }) => changed === 'rows were changed' || stored.includes(name));
  const before = counted.length > 0 ? await looks(session, followers) : undefined;
  // Foreign keys are looked at, and two of them may refer to each other.
  const checked = quiet.begin === '' && told.length > 1;
  const refusable = counted.length > 0 || effects.partly === 'some' || checked;
  const marked = refusable && otherwise === 'something else' ? 'yes' : 'no';
  const begin = [marked === 'yes' ? `SAVEPOINT ${TOLD}` : [], quiet.begin === '' ? [] : quiet.begin].flat();
  if (begin.length > 0) for (const leg of followers) tell(leg, ...begin);
  replay?.release('direct');
  if (replay !== undefined) throwFailures(block, await replay.finish());
  // A row with another key may meet what its old one has left there.
  const refused = await sendTold(session, block, told, started);
  if (marked === 'no' || refused.some(isOfTheMoment)) throwFailures(block, refused);
  if (refused.length > 0) {
    takeBack(block);
    return 'not possible';
  }
  endQuiet(block, quiet);
  if (before !== undefined) {
    const after = await looks(session, followers);
    const grown = followers.flatMap((leg) => {
      const follower = { before: before.get(leg) ?? NOTHING, after: after.get(leg) ?? NOTHING };
      return counted.flatMap(({ name }) => compareGrowth(leg.node.label, name, effects.lead, follower) ?? []);
    });
    if (marked === 'no') throwFailures(block, grown);
    else if (grown.length > 0) {
      takeBack(block);
      return 'not possible';
    }
  }
  if (marked === 'yes') for (const leg of followers) tell(leg, `RELEASE SAVEPOINT ${TOLD}`);
  await reserveMoved(session, effects);
  return 'done';
}

/** Followers' sequences stay ahead of all that the lead has drawn. */
export async function reserveMoved(session: SessionState, { lead }: HiddenEffects): Promise<void> {
  const moved = movedSequences(lead.before, lead.after);
  noteSetBack(session, lead, moved);
  for (const name of moved) await reserve(session, lead, name);
}

/** A function has said where a sequence goes on: setval() in it. One that counts down looks like that. */
function noteSetBack(session: SessionState, { before, after }: Looks, moved: readonly string[]): void {
  const at = ({ sequences }: Look, name: string): bigint => BigInt(sequences.get(name)?.split(',')[0] ?? 0);
  const back = moved.filter((name) => at(after, name) < at(before, name));
  if (session.block.kind !== 'writers' || back.length === 0) return;
  session.sequences.forget();
  place(session.block.touched, back);
  session.block.touched.sequencesSet = 'some';
}

/** Ours on followers, gone before the client can make another one. */
const TOLD = '"pprox: told"';

/** What followers were told. */
function takeBack({ legs }: WritersBlock): void {
  for (const leg of legs.followers) tell(leg, `ROLLBACK TO SAVEPOINT ${TOLD}`, `RELEASE SAVEPOINT ${TOLD}`);
}

/** Where the followers stand before they do the same, and the sequences that they draw from as the lead did. */
export interface Aligned {
  readonly drawn: readonly string[];
  /** Those that the role may not set, so that followers draw values of their own: wherever they are stored, the lead's have to take their place. */
  readonly apart: readonly string[];
  readonly followers: ReadonlyMap<FollowerLeg, Look>;
}

/** `replay`: rows that bring their values along, undefined where followers draw them all. */
export async function alignFollowers(
  session: SessionState,
  block: WritersBlock,
  { lead }: HiddenEffects,
  replay: RowReplay | undefined,
  draws: 'what the lead drew' | 'nothing',
): Promise<Aligned> {
  const { legs } = block;
  await othersVisible(session, legs.followers);
  // In the transaction at hand: before it, counts of earlier ones may be there that are told and taken off when it begins.
  beginFollowers(session, block);
  const followers = await looks(session, legs.followers, 'settings of values');
  const moved = draws === 'nothing' ? [] : movedSequences(lead.before, lead.after);
  const drawing = moved.filter((name) => replay?.drawn.has(name) !== true);
  const apart = drawing.length === 0 ? [] : await notSettable(session, block, drawing);
  const drawn = drawing.filter((name) => !apart.includes(name));
  if (drawn.length > 0) {
    const text = alignText(drawn, lead.before);
    await session.services.coordinator.visibleEverywhere();
    session.sequences.forget();
    for (const name of drawn) block.touched.setBack.add(name);
    throwFailures(block, await askLegs(legs.followers, session.services.settings.followerTimeoutMs, () => text));
  }
  return { drawn, apart, followers };
}

async function notSettable(
  session: SessionState,
  { legs: { lead } }: WritersBlock,
  names: readonly string[],
): Promise<readonly string[]> {
  const { backend } = lead.lease;
  const { rows } = await session.cancellable(backend, answerOf(backend, notSettableText(names)));
  return rows.flatMap(([name]) => name ?? []);
}

/** Followers' sequences stay ahead of these, which the lead has drawn from. */
export async function reserveDrawn(
  session: SessionState,
  { lead }: HiddenEffects,
  { drawn, apart }: Aligned,
  names: readonly string[] = [...drawn, ...apart],
): Promise<void> {
  // Between the setting back and now, somebody else may have taken their old places for reserved.
  if (drawn.length > 0) session.sequences.forget();
  noteSetBack(session, lead, names);
  for (const name of names) await reserve(session, lead, name);
  if (session.block.kind === 'writers') for (const name of drawn) session.block.touched.setBack.delete(name);
}

async function reserve(session: SessionState, { after }: Looks, name: string): Promise<void> {
  const [value] = after.sequences.get(name)?.split(',') ?? [];
  if (value !== undefined) await session.sequences.reserve(session, name, BigInt(value));
}
