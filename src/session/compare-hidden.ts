/** What a statement has done out of sight on the lead, and followers by themselves: whether it is the same, as far as that can be seen. */
import type { Column } from '../cluster/table.ts';
import { alone, digestText, storedColumns } from '../fanout/captured-rows.ts';
import { describeFailure, type FollowerFailure } from '../fanout/follower.ts';
import {
  changes,
  changesObjects,
  compareChanges,
  compareDraws,
  compareObjects,
  compareSettings,
  type Look,
  type Looks,
  NOTHING,
  setBackOn,
  storedIn,
} from '../fanout/hidden-effects.ts';
import { unprovenEffects } from '../fanout/unproven.ts';
import { PproxError } from '../lib/errors.ts';
import { compareDefined } from './compare-defined.ts';
import { type Aligned, type HiddenEffects, look } from './hidden-effects.ts';
import type { Written } from './written.ts';
import { mendHidden } from './mend-hidden.ts';
import { compareOutgoing } from './outgoing-rows.ts';
import { answerOf, compareEach } from './own-questions.ts';
import { compareAnswers } from './replay.ts';
import type { WritersBlock } from './block.ts';
import type { FollowerLeg } from './legs.ts';
import type { SessionState } from './state.ts';
import { digestAtEnd } from './table-ends.ts';
import { storedByFirst, storedInAll } from './touched.ts';

/** What the statement's own text is about: the rest was done by functions and triggers. */
export interface OwnRows {
  /** Where its rows stand. */
  readonly tables: ReadonlySet<string>;
  /** Those of them whose rows are counted in another way. */
  readonly counted: ReadonlySet<string>;
  /** Whether followers have shown what they stored there: triggers may have made something else of it. */
  readonly shown: 'yes' | 'no';
  /** How many it has stored, changed and deleted there. */
  readonly stored: number;
  readonly deleted: number;
}

export const NO_ROWS: OwnRows = { tables: new Set(), counted: new Set(), shown: 'no', stored: 0, deleted: 0 };

/** As a look has it. */
const LARGE_OBJECTS = 'pg_catalog.pg_largeobject';

/** How many rows of it were changed or deleted. */
function replacedIn(changed: ReturnType<typeof changes>, name: string): number {
  const [, updated = 0, deleted = 0] = changed.get(name) ?? [];
  return updated + deleted;
}

/** How many rows of these tables. */
export function deletedIn(changed: ReturnType<typeof changes>, tables: Iterable<string>): number {
  let sum = 0;
  for (const name of tables) sum += changed.get(name)?.[2] ?? 0;
  return sum;
}

/**
 * Sequences, the number of rows changed in each table, and what the transaction has written to those that can be looked through. `rows`: whether
 * followers are given the lead's where theirs are others. Throws PproxError where something cannot be compared and that is refused.
 */
export async function compareHidden(
  session: SessionState,
  block: WritersBlock,
  effects: HiddenEffects,
  { drawn, apart, followers }: Aligned,
  own: OwnRows,
  rows: 'mended' | 'left',
): Promise<readonly FollowerFailure[]> {
  const { lead } = effects;
  const seen = new Map<FollowerLeg, Looks>();
  const counted = await compareEach(session, block.legs.followers, async (leg) => {
    const { label } = leg.node;
    const after = await look(leg.lease.backend, 'settings of values', 'as text');
    const follower = { before: followers.get(leg) ?? NOTHING, after };
    seen.set(leg, follower);
    // One that was set there does not go back with the transaction.
    for (const name of setBackOn(lead, follower)) block.touched.setBack.add(name);
    return (
      compareDraws(label, drawn, lead, after) ??
      compareChanges(label, lead, follower, own.counted) ??
      compareSettings(label, lead, follower) ??
      'same'
    );
  });
  if (counted !== 'not known' && counted.length > 0) return counted;
  const contents = (): Promise<readonly FollowerFailure[]> =>
    compareContents(session, block, effects, own, { apart, followers: seen });
  const differing = await contents();
  const mendable =
    rows === 'mended' && counted !== 'not known' && differing.length > 0 && differing.every(isOfContents);
  const left = mendable && (await mendHidden(session, block, effects)) === 'done' ? await contents() : differing;
  if (left.length > 0 && left.every(isOfContents) && apart.length > 0)
    refuseApart(apart, left.map(describeFailure).join('\n'));
  return left;
}

/** Followers have drawn other values than the lead, and what they have stored cannot be made the lead's. */
function refuseApart(sequences: readonly string[], detail: string): never {
  throw new PproxError('not_replayed', {
    sqlstate: '42501',
    message: `permission denied for sequence ${sequences.join(', ')}`,
    detail: `A function or trigger has drawn from it, and followers cannot be set to where the lead was.\n${detail}`,
    hint: `GRANT UPDATE ON SEQUENCE ${sequences.join(', ')} to the role. Nothing of this was applied on any writer.`,
  });
}

/** Of what is there, and no failure to find out. */
function isOfContents({ kind }: FollowerFailure): boolean {
  return kind === 'different' || kind === 'elsewhere' || kind === 'relation';
}

async function compareContents(
  session: SessionState,
  block: WritersBlock,
  effects: HiddenEffects,
  own: OwnRows,
  { apart, followers }: { readonly apart: Aligned['apart']; readonly followers: ReadonlyMap<FollowerLeg, Looks> },
): Promise<readonly FollowerFailure[]> {
  const { lead } = effects;
  const written = await effects.written();
  const changed = changes(lead);
  // What replaces rows is more than its text, where triggers have changed others there.
  const all = deletedIn(changed, own.tables) === own.deleted && storedIn(lead, [...own.tables]) === own.stored;
  const removed = new Set(all ? own.tables : []);
  const compared = new Set<string>();
  const whole: Written[] = [];
  for (const one of written) {
    const atEnd = one.reading === 'whole' ? 'not known' : await compareEnds(session, block, one, lead.after);
    if (atEnd !== 'not known' && atEnd.length > 0) return atEnd;
    if (atEnd === 'not known' && one.reading !== 'its end') whole.push(one);
    if (atEnd !== 'not known') compared.add(one.name);
  }
  // A row that was changed may have got another key, or have none: which one it was, its new version does not say.
  const unknown = new Set<string>();
  for (const one of whole) {
    const { name, access } = one;
    if (removed.has(name) || replacedIn(changed, name) === 0) continue;
    const differing = await compareOutgoing(session, block, one);
    if (differing === 'not known' && access.read !== 'in part') unknown.add(name);
    if (differing === 'not known') continue;
    if (differing.length > 0) return differing;
    removed.add(name);
  }
  // One that was made or emptied before may have been emptied again, without a trace.
  const again = block.touched.objects === 'some' && effects.empties === 'perhaps a table';
  const everywhere = [lead, ...followers.values()];
  if (everywhere.some(changesObjects) || again) {
    const { temporariesDiffer } = effects;
    const others = [...followers].flatMap(
      ([{ node }, one]) => compareObjects(node.label, lead, one, temporariesDiffer) ?? [],
    );
    if (others.length > 0) return others;
    const largeObjects = everywhere.some((looked) => changes(looked).has(LARGE_OBJECTS)) ? 'changed' : 'not changed';
    const differing = await compareDefined(session, block, largeObjects);
    if (differing.length > 0) return differing;
  }
  const inPart = whole.filter(({ access }) => access.read === 'in part');
  for (const { name, table } of inPart) {
    const { failures, rows } = await compareShown(session, block, name, storedColumns(table));
    if (failures.length > 0) return failures;
    if (rows === storedByFirst(block.touched, lead, name)) compared.add(name);
  }
  const plain = whole.filter(({ access }) => access.read !== 'in part');
  for (const { name } of plain) compared.add(name);
  if (own.shown === 'yes') for (const name of own.tables) compared.add(name);
  const unproven = unprovenEffects(lead, { compared, removed, unknown });
  if (apart.length > 0 && unproven.length > 0) refuseApart(apart, `Not to be compared: ${unproven.join(', ')}.`);
  session.services.unproven.note(unproven, session.log);
  if (plain.length === 0) return [];
  const text = plain.map(({ table, source }) => `(${digestText(source, storedColumns(table))})`).join(' UNION ALL ');
  return compareAnswers(session, block, text);
}

/** The transaction's rows of a table, as far as policies show them; `rows`: how many that are on the lead. */
async function compareShown(
  session: SessionState,
  { legs: { lead, followers } }: WritersBlock,
  name: string,
  columns: readonly Column[],
): Promise<{ readonly failures: readonly FollowerFailure[]; readonly rows: number }> {
  const text = digestText(alone(name), columns);
  const { backend } = lead.lease;
  const [shown = []] = (await session.cancellable(backend, answerOf(backend, text))).rows;
  const expected = shown.join(' of hash ');
  const failures = await compareEach(session, followers, async (leg) => {
    const found = (await answerOf(leg.lease.backend, text)).rows[0]?.join(' of hash ') ?? '';
    return found === expected ? 'same' : { kind: 'elsewhere', label: leg.node.label, table: name, expected, found };
  });
  return { failures: failures === 'not known' ? [] : failures, rows: Number(shown[0]) };
}

/** The transaction's rows of a table that it has stored some in, and done nothing else to. `after`: at the lead. */
async function compareEnds(
  session: SessionState,
  { legs: { lead, followers }, touched }: WritersBlock,
  { name, table, source }: Written,
  after: Look,
): Promise<readonly FollowerFailure[] | 'not known'> {
  const columns = storedColumns(table);
  const inAll = storedInAll(touched, after, name);
  const { backend } = lead.lease;
  if (inAll === undefined) return 'not known';
  const expected = await session.cancellable(backend, digestAtEnd(backend, source, columns, inAll));
  if (expected === undefined) return 'not known';
  return compareEach(session, followers, async (leg) => {
    const found = await digestAtEnd(leg.lease.backend, source, columns, inAll);
    if (found === undefined) return 'not known';
    return found === expected ? 'same' : { kind: 'elsewhere', label: leg.node.label, table: name, expected, found };
  });
}
