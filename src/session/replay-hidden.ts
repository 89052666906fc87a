/** A statement that may have done more than its text says, on the followers once the lead has run it: by which of the ways it is done there. */
import { type Effect, type FollowerFailure, joinTags, quietProof } from '../fanout/follower.ts';
import { changes, isOfObjects, movedSequences, storedIn } from '../fanout/hidden-effects.ts';
import { isLeadAlone } from '../fanout/plan.ts';
import { type ReplayedStatement } from '../fanout/replay-log.ts';
import { RowReplay } from '../fanout/row-replay.ts';
import { PproxError } from '../lib/errors.ts';
import type { Statement } from '../sql/statement.ts';
import { encodeQuery } from '../wire/frontend.ts';
import { compareHidden, deletedIn, NO_ROWS, type OwnRows } from './compare-hidden.ts';
import {
  accountsFor,
  type Aligned,
  alignFollowers,
  type HiddenEffects,
  replayDirectly,
  reserveDrawn,
  reserveMoved,
  seeEffects,
} from './hidden-effects.ts';
import { replayed, replayRows, replaySame, tell, transactionTime, throwFailures } from './replay.ts';
import type { Request } from './request.ts';
import { replayByTables } from './replay-by-tables.ts';
import { replayKeyed } from './replay-keyed.ts';
import type { Hidden } from './ran-on-lead.ts';
import { replayAlone } from './read-back.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { refuseHidden } from './route.ts';
import { quieten } from './told-rows.ts';
import { TRAIL_BYTES } from './trail.ts';
import { followersCaughtUp, paceOf } from './trailing.ts';

/**
 * On the followers, what the lead has done in the text and out of it; or what is left to do there, where they may be behind by it. At any
 * other `pace` than that they have caught up with what came before.
 */
export async function replayHidden(
  session: SessionState,
  block: WritersBlock,
  asked: Hidden,
  pace: ReturnType<typeof paceOf>,
): Promise<readonly ReplayedStatement[] | undefined> {
  const { statement, plan, request, started, looked, done } = asked;
  const { backend } = block.legs.lead.lease;
  if (isLeadAlone(plan)) {
    await replayAlone(session, block, plan, looked, storedByText(statement, done.effect), started);
    return undefined;
  }
  const keyed = plan.kind === 'statement' ? plan.keyed : undefined;
  if (keyed !== undefined && (await replayKeyed(session, block, asked, keyed)) === 'done') return undefined;
  const rows = plan.kind === 'rows' ? plan : undefined;
  if (
    looked.before.shown !== looked.after.shown &&
    rows?.columns.some(({ type }) => !SHOWN_ONE_WAY.test(type)) === true
  )
    throw shownOtherwise();
  const calls = await callsEmptying(session, statement, request);
  const by = rows !== undefined && calls === 'nothing' ? 'its own text' : 'any function';
  noteGiven(block, request);
  const seen = await seeEffects(session, block, looked, rows, done.replay?.total ?? 0, 'small tables', [], by);
  const text = rows === undefined || (rows.otherwise === 'same text' && seen.elsewhere === 'something');
  const { replay } = done;
  if (replay?.overflow === 'yes') {
    throw new PproxError('not_replayed', {
      message: 'too many rows at once for a statement that may do more than its text says',
      hint: 'Change them in smaller batches.',
    });
  }
  // Rows of a table without triggers are those of followers on which none fires. A text that has changed no rows may have done more.
  const told =
    rows === undefined
      ? (plan.kind === 'verified' || (plan.kind === 'statement' && plan.inPlace === 'rows')) &&
        seen.elsewhere === 'something'
      : rows.direct !== undefined || (rows.rows === 'not compared' && text);
  const stored = rows?.stored ?? [];
  const otherwise = text ? 'something else' : 'nothing';
  const fires = rows?.direct === undefined ? 'nothing' : 'triggers';
  if (pace !== 'lockstep') {
    const own = told && seen.told?.length === 0 && replay !== undefined;
    const left = own ? await quietRows(session, block, replay, stored, started) : undefined;
    if (left !== undefined) {
      await reserveMoved(session, seen);
      return left;
    }
    await followersCaughtUp(session, block);
  }
  const direct = { replay, stored, fires, started, otherwise } as const;
  if (told && (await replayDirectly(session, block, seen, direct)) === 'done') return undefined;
  if ((await replayByTables(session, block, seen, started)) === 'done') {
    await reserveMoved(session, seen);
    return undefined;
  }
  if (plan.kind === 'statement' && plan.inPlace === 'rows' && seen.elsewhere === 'nothing') {
    await readToo(session, block, asked, seen);
    return undefined;
  }
  // What it has made or altered, followers make by the same names.
  if ([...changes(seen.lead).keys()].some(isOfObjects)) refuseHidden(asked.hiding);
  const byRows = text ? undefined : replay;
  const aligned = await alignFollowers(session, block, seen, byRows, 'what the lead drew');
  if (byRows !== undefined) {
    byRows.release('as planned');
    throwFailures(block, contended(await replayRows(session, block, byRows), aligned));
  } else {
    const time = done.time ?? (plan.times.length > 0 ? transactionTime(backend) : undefined);
    const same = await replayed(block, plan, statement, request, done.effect, started, time);
    const { moment } = session.services.coordinator;
    const failures = await replaySame(session, block, [same], moment, { pace: 'lockstep', kept: 'not at all' });
    throwFailures(block, contended(failures, aligned));
  }
  const own = await ownRows(session, asked, seen, byRows);
  // Triggers may have done so as well.
  const empties = calls === 'nothing' ? seen.empties : 'perhaps a table';
  throwFailures(block, await compareHidden(session, block, { ...seen, empties }, aligned, own, 'mended'));
  await reserveDrawn(session, seen, aligned);
  return undefined;
}

/** Texts longer than that are data more than keys. */
const GIVEN_BYTES = 16 * 1024;

/** What functions have changed, they may have told by what the statement was given. */
function noteGiven({ touched: { likely } }: WritersBlock, request: Request): void {
  for (const value of request.values()) {
    likely.add(value);
    likely.addFrom(value);
  }
  likely.addFrom(request.text.toString('latin1', 0, GIVEN_BYTES));
}

/** Whether it calls a function that may TRUNCATE a table: by its source, or that of a DO block. */
async function callsEmptying(
  session: SessionState,
  { node, command, functions, shadowable, operators }: Statement,
  { text }: Request,
): Promise<'nothing' | 'perhaps one'> {
  if (node === 'DoStmt' && /truncate|execute/i.test(text.toString('latin1'))) return 'perhaps one';
  const { truncatingNames, volatileOperators } = await session.services.catalog.facts(session);
  if (truncatingNames.size === 0) return 'nothing';
  if (command.kind !== 'insert' && command.kind !== 'modify') return 'perhaps one';
  const called = [...functions.map(({ name }) => name), ...shadowable];
  const found =
    called.some((name) => truncatingNames.has(name)) || operators.some(({ name }) => volatileOperators.has(name));
  return found ? 'perhaps one' : 'nothing';
}

/** How many rows an INSERT has stored: its tag says so, where nothing below WITH stores others. */
function storedByText({ command, nested }: Statement, { tag }: Effect): number | undefined {
  const rows = command.kind === 'insert' && nested.length === 0 ? /^INSERT 0 (\d+)$/.exec(tag ?? '')?.[1] : undefined;
  return rows === undefined ? undefined : Number(rows);
}

/** Types whose values are shown in one way, whatever is set; encodings aside, which the lead tells the proxy of. */
const SHOWN_ONE_WAY = /^(smallint|integer|bigint|numeric.*|boolean|text|character.*|uuid|bytea|jsonb?|oid|name)$/;

/** The rows at hand are shown by other settings than followers read them by. */
function shownOtherwise(): PproxError {
  return new PproxError('not_replayed', {
    message:
      'a trigger or function has changed how values are shown, in the midst of a statement whose rows the followers are told',
    detail: 'One of client_encoding, DateStyle, extra_float_digits, IntervalStyle and lc_monetary is another one now.',
    hint: 'Give the function the setting as its own: ALTER FUNCTION … SET.',
  });
}

/**
 * Rows that are all that the statement has done, in one message for followers on which no trigger fires for them; none where there are none.
 * Undefined where they are too many to be behind by, or triggers of these tables would fire; nothing has been sent then.
 */
async function quietRows(
  session: SessionState,
  block: WritersBlock,
  replay: RowReplay,
  stored: readonly string[],
  started: number,
): Promise<readonly ReplayedStatement[] | undefined> {
  if (replay.total === 0) return [];
  const quiet = await quieten(session, block, [], stored, 'kept');
  const rows = quiet === undefined ? undefined : replay.takeUnsent('direct', TRAIL_BYTES);
  if (quiet === undefined || rows === undefined) return undefined;
  const messages = block.legs.followers.map((leg) => {
    // What is kept may be old: behind the rows their tables are locked against a change of it.
    const own = [quiet.begin, quietProof(stored), quiet.end(leg)].map((text) => Buffer.from(text));
    const texts = [...own.slice(0, 1), ...rows.map(({ text }) => text), ...own.slice(1)];
    return encodeQuery(Buffer.concat(texts.flatMap((text, index) => (index === 0 ? [text] : [SEPARATOR, text]))));
  });
  const tag = joinTags(['SET', ...rows.map(({ expected }) => expected.tag ?? ''), 'SELECT 1', 'SET']);
  return [{ messages, expected: { tag, rows: undefined }, leaves: 'nothing', elapsedMs: performance.now() - started }];
}

const SEPARATOR = Buffer.from('; ');

/** Where a value is taken that a follower has drawn from where its sequence was set back to, another session has drawn it meanwhile. */
function contended(failures: readonly FollowerFailure[], { drawn, apart }: Aligned): readonly FollowerFailure[] {
  const [sequence] = [...drawn, ...apart];
  if (sequence === undefined) return failures;
  return failures.map((one) => {
    const taken = one.kind === 'error' && one.fields.code === UNIQUE_VIOLATION;
    return taken ? { kind: 'sequence', label: one.label, sequence } : one;
  });
}

const UNIQUE_VIOLATION = '23505';

/** `byRows`: what followers were told; undefined where they have run the text. */
async function ownRows(
  session: SessionState,
  { statement, plan, done: { effect, replay } }: Hidden,
  { lead }: HiddenEffects,
  byRows: RowReplay | undefined,
): Promise<OwnRows> {
  const rows = plan.kind === 'rows' ? plan : undefined;
  const tables = new Set(rows?.stored ?? (await targetTables(session, statement)));
  const changed = changes(lead);
  // A row that moves to another partition is deleted as well.
  const all = rows !== undefined && accountsFor(rows, replay?.total ?? 0, changed);
  const deleted = all ? deletedIn(changed, tables) : Number(/^DELETE (\d+)$/.exec(effect.tag ?? '')?.[1] ?? 0);
  const stored = all
    ? storedIn(lead, [...tables])
    : Number(/^(?:INSERT 0|UPDATE|MERGE) (\d+)$/.exec(effect.tag ?? '')?.[1] ?? 0);
  const shown = plan.kind === 'verified' || (byRows !== undefined && rows?.rows === 'compared') ? 'yes' : 'no';
  return { tables, counted: byRows === undefined ? NO_ROWS.counted : tables, shown, stored, deleted };
}

/** Ours on followers, gone before the client can make another one. */
const READ = '"pprox: read"';

/**
 * What has changed nothing on the lead may have set something for its session, but is a read else: others may change what it reads, and draw
 * from sequences, in between. What it finds to do on a follower is taken back.
 */
async function readToo(
  session: SessionState,
  block: WritersBlock,
  { statement, plan, request, started, looked, done }: Hidden,
  seen: HiddenEffects,
): Promise<void> {
  const { followers } = block.legs;
  const aligned = await alignFollowers(session, block, seen, undefined, 'nothing');
  for (const leg of followers) tell(leg, `SAVEPOINT ${READ}`);
  const time = done.time ?? (plan.times.length > 0 ? transactionTime(block.legs.lead.lease.backend) : undefined);
  const any: Effect = { tag: undefined, rows: undefined };
  const same = await replayed(block, plan, statement, request, any, started, time);
  const { moment } = session.services.coordinator;
  const refused = await replaySame(session, block, [same], moment, { pace: 'lockstep', kept: 'not at all' });
  const failures = refused.length > 0 ? refused : await compareHidden(session, block, seen, aligned, NO_ROWS, 'left');
  if (failures.some(({ kind }) => kind === 'lost')) throwFailures(block, failures);
  const back = failures.length > 0 ? [`ROLLBACK TO SAVEPOINT ${READ}`] : [];
  for (const leg of followers) tell(leg, ...back, `RELEASE SAVEPOINT ${READ}`);
  await reserveDrawn(session, seen, aligned, movedSequences(looked.before, looked.after));
}

/** Where the rows stand that the statement's own text is about. */
async function targetTables(session: SessionState, { command }: Statement): Promise<readonly string[]> {
  const target = command.kind === 'modify' || command.kind === 'insert' ? command.target : undefined;
  const table = target === undefined ? undefined : await session.services.catalog.table(session, target);
  return table?.stored ?? [];
}
