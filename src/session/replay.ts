/**
 * What the lead has done, on the followers of a block.
 *
 * The lead may show what another process's transaction has changed while a follower has it prepared only. A statement that
 * needs it then fails on the follower, or does something else. So a follower that disagrees is taken back to where the block's
 * log begins, waits until what is prepared there is over, and gets all of it once more: what is visible on the lead is prepared
 * on every follower at least, so that one replay is enough.
 */
import { guard } from '../backend/guard.ts';
import type { Backend } from '../backend/backend.ts';
import { type Answer, BackendLostError, Collector, rowsOf } from '../backend/receiver.ts';
import {
  type Effect,
  EffectReceiver,
  type FollowerFailure,
  beginTexts,
  followerError,
  judge,
  mayBeOfOthers,
} from '../fanout/follower.ts';
import type { ReplayPlan } from '../fanout/plan.ts';
import { type FollowerStatement, type ReplayedStatement, sendStatements } from '../fanout/replay-log.ts';
import type { RowReplay } from '../fanout/row-replay.ts';
import type { Node } from '../cluster/node.ts';
import { PproxError } from '../lib/errors.ts';
import type { Nondeterminism, Statement } from '../sql/statement.ts';
import { encodeQuery } from '../wire/frontend.ts';
import type { FollowerLeg } from './legs.ts';
import { ServerError } from './reply.ts';
import { type Addition, type Request, withAddition } from './request.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';

/**
 * Starts the followers' transactions, or ends the savepoint of ours, for what the log does not keep; the answers come in front
 * of the next statement's.
 */
export function beginFollowers(session: SessionState, block: WritersBlock): void {
  block.log.break();
  for (const leg of block.legs.followers) {
    const { backend } = leg.lease;
    if (leg.block === 'leased') backend.ahead('begin', openTexts(session, block));
    else if (leg.block === 'marked') backend.ahead('within', [unmarkText(leg)]);
    leg.block = 'begun';
  }
}

export function openTexts(session: SessionState, { savepoints }: WritersBlock): readonly string[] {
  return beginTexts(session.services.settings.followerLockTimeoutMs, savepoints);
}

/** Within a transaction: what goes wrong is told by the next statement, which is not done then. */
export function tell({ lease: { backend } }: FollowerLeg, ...texts: readonly string[]): void {
  backend.ahead('within', texts);
}

/** How long followers may take for what took the lead `elapsedMs`: the least deadline, and a slower server's due. */
export function followerDeadline(session: SessionState, elapsedMs: number): number {
  return session.services.settings.followerTimeoutMs + 4 * elapsedMs;
}

/**
 * Where the log begins. Beside the client's own savepoints, and gone before the next of them; it stands until the next of ours, of another
 * name: who goes back to one that could not be made must not find an older one.
 */
const MARKS = ['"pprox: statement"', '"pprox: another statement"'] as const;

/** Starts the followers' transactions where they have not begun, and the log where it has not. Nobody has to wait for it. */
export function beginLog(session: SessionState, block: WritersBlock): void {
  const { followers } = block.legs;
  if (session.services.coordinator.leadAhead === 'never') {
    beginFollowers(session, block);
    return;
  }
  const anew = followers.every((leg) => leg.block === 'leased');
  if (!anew && block.log.base !== 'unknown') return;
  for (const leg of followers) {
    const { backend } = leg.lease;
    if (leg.block === 'leased') backend.ahead('begin', openTexts(session, block));
    else if (leg.block === 'marked') backend.ahead('within', [unmarkText(leg)]);
    leg.block = 'begun';
    if (anew) continue;
    leg.mark = leg.mark === MARKS[0] ? MARKS[1] : MARKS[0];
    leg.block = 'marked';
    backend.ahead('within', [`SAVEPOINT ${leg.mark}`]);
  }
  block.log.startAt(anew ? 'begin' : 'savepoint');
}

/** As `beginLog`, at a place of its own, for rows that are sent while the lead still produces them. */
export function beginRows(session: SessionState, block: WritersBlock, plan: ReplayPlan): void {
  // What it draws from sequences cannot be taken back: it waits beforehand.
  if (plan.effects === 'hidden') return beginFollowers(session, block);
  block.log.break();
  return beginLog(session, block);
}

/** Back to where the log begins, then `run` on these followers. Answers with what is wrong after all. */
async function onceMore(
  session: SessionState,
  block: WritersBlock,
  failures: readonly FollowerFailure[],
  run: (legs: readonly FollowerLeg[]) => Promise<readonly FollowerFailure[]>,
): Promise<readonly FollowerFailure[]> {
  if (failures.length === 0 || block.log.base === 'unknown' || !failures.every(mayBeOfOthers)) return failures;
  const labels = new Set(failures.map(({ label }) => label));
  const again = block.legs.followers.filter(({ node }) => labels.has(node.label));
  const lost = await goBack(session, block, again);
  if (lost.length > 0) return lost;
  await othersVisible(session, again);
  const remaining = await run(again);
  session.log.debug('statements replayed', { remaining: remaining.length });
  return remaining;
}

/** A row replay, brought to its end. */
export async function replayRows(
  session: SessionState,
  block: WritersBlock,
  replay: RowReplay,
): Promise<readonly FollowerFailure[]> {
  const failures = await replay.finish();
  // Without all of its rows there is nothing to replay.
  if (!replay.repeatable) block.log.break();
  const remaining = await onceMore(session, block, failures, (legs) =>
    replay.again(new Set(legs.map(({ node }) => node.label))),
  );
  block.log.break();
  return remaining;
}

/**
 * In front of a savepoint of the client's, of the next of ours, and of what needs none: nothing may be inside the last, where a
 * COPY FREEZE would not find itself in the transaction that has made its table.
 */
export function unmarkText(leg: FollowerLeg): string {
  if (leg.block !== 'marked') return '';
  leg.block = 'begun';
  return `RELEASE SAVEPOINT ${leg.mark}`;
}

async function goBack(
  session: SessionState,
  block: WritersBlock,
  legs: readonly FollowerLeg[],
): Promise<readonly FollowerFailure[]> {
  const anew = ['ROLLBACK', ...openTexts(session, block)].join('; ');
  const { base } = block.log;
  return askLegs(legs, session.services.settings.followerTimeoutMs, ({ mark }) =>
    base === 'savepoint' ? `ROLLBACK TO SAVEPOINT ${mark}` : anew,
  );
}

/** Resolves when these followers show what the lead shows now, whoever has committed it. Rejects with PproxError. */
export async function allVisible(session: SessionState, legs: readonly FollowerLeg[]): Promise<void> {
  await session.services.coordinator.visibleEverywhere();
  await othersVisible(session, legs);
}

/** Resolves when what other processes have prepared on these followers is over. Rejects with PproxError. */
export async function othersVisible(session: SessionState, legs: readonly FollowerLeg[]): Promise<void> {
  const { coordinator } = session.services;
  await Promise.all(legs.flatMap(({ node, lease: { backend } }) => coordinator.othersVisible({ node, backend }) ?? []));
}

/** Throws where the connection to one of these is lost: nothing more of its transaction can be done there. */
export async function throwLost(
  session: SessionState,
  block: WritersBlock,
  legs: readonly FollowerLeg[],
): Promise<void> {
  const lost = legs.filter(({ lease }) => !lease.backend.open);
  // Whoever is asked by a lost connection is told how it was lost.
  if (lost.length > 0) throwFailures(block, await askLegs(lost, session.services.settings.followerTimeoutMs, () => ''));
}

/** A statement of our own on each of them. */
export async function askLegs(
  legs: readonly FollowerLeg[],
  timeoutMs: number,
  textFor: (leg: FollowerLeg) => string,
): Promise<readonly FollowerFailure[]> {
  const watchdog = guard(
    legs.map(({ lease }) => lease.backend),
    timeoutMs,
  );
  const found = await Promise.all(
    legs.map(async (leg): Promise<FollowerFailure | undefined> => {
      const { label } = leg.node;
      try {
        const { error } = await leg.lease.backend.ask(textFor(leg));
        return error === undefined ? undefined : { kind: 'error', label, fields: error };
      } catch (error) {
        if (error instanceof BackendLostError) return { kind: 'lost', label, lost: error.lost };
        throw error;
      }
    }),
  ).finally(() => watchdog.clear());
  return found.flatMap((failure) => failure ?? []);
}

/** The statement as the followers get it, once the lead has done it. `started`: on the lead, by performance.now(). */
export async function replayed(
  block: WritersBlock,
  plan: ReplayPlan,
  statement: Statement,
  request: Request,
  effect: Effect,
  started: number,
  time: Promise<string> | undefined,
): Promise<ReplayedStatement> {
  const elapsedMs = performance.now() - started;
  const addition = additionOf(plan);
  const inPlace = plan.kind === 'statement' ? plan.text : undefined;
  const whole = inPlace === undefined ? withAddition(request.text, statement.span.end, addition) : Buffer.from(inPlace);
  const own = time === undefined ? whole : substitute(whole, plan.times, await time);
  const { followers } = block.legs;
  await request.prepareFollowers(followers.map(({ node, lease }) => ({ node, backend: lease.backend })));
  const messages = followers.map(({ node }) => request.encodeFor(node, own, addition));
  return { messages, expected: effect, leaves: plan.leaves ?? 'nothing', elapsedMs };
}

/** `of`: one of the followers of the block. */
export function forFollower(
  { legs }: WritersBlock,
  statements: readonly ReplayedStatement[],
  of: FollowerLeg,
): readonly FollowerStatement[] {
  const index = legs.followers.indexOf(of);
  return statements.flatMap(({ messages, expected, leaves }) => {
    const message = messages[index];
    return message === undefined ? [] : [{ message, expected, leaves }];
  });
}

/**
 * Statements on every follower, behind what the lead showed at `moment`. `trailing`: the client may be at its next statement,
 * and a cancel of it is not for them. `unlogged`: what they do cannot be taken back.
 */
export async function replaySame(
  session: SessionState,
  block: WritersBlock,
  statements: readonly ReplayedStatement[],
  moment: number,
  { pace, kept }: { readonly pace: 'lockstep' | 'trailing'; readonly kept: 'in the log' | 'not at all' },
): Promise<readonly FollowerFailure[]> {
  await session.services.coordinator.visibleEverywhere(moment);
  if (kept === 'in the log') beginLog(session, block);
  else beginFollowers(session, block);
  const deadlineMs = followerDeadline(session, Math.max(...statements.map(({ elapsedMs }) => elapsedMs)));
  const send = async (legs: readonly FollowerLeg[], all: readonly ReplayedStatement[]) => {
    const found = await Promise.all(
      legs.map((leg) => {
        const { backend } = leg.lease;
        const sent = sendStatements(leg.node.label, backend, forFollower(block, all, leg), deadlineMs);
        return pace === 'trailing' ? sent : session.cancellable(backend, sent);
      }),
    );
    return found.flatMap((failure) => failure ?? []);
  };
  const failures = await onceMore(session, block, await send(block.legs.followers, statements), (legs) =>
    send(legs, [...block.log.statements, ...statements]),
  );
  if (failures.length === 0) block.log.add(statements);
  return failures;
}

/** The same statement on every follower at once: `encode` says what each is sent. */
export async function onFollowers(
  session: SessionState,
  legs: readonly FollowerLeg[],
  encode: (node: Node) => Buffer,
  expected: Effect,
  elapsedMs: number,
): Promise<readonly FollowerFailure[]> {
  const watchdog = guard(
    legs.map(({ lease }) => lease.backend),
    followerDeadline(session, elapsedMs),
  );
  try {
    const found = await Promise.all(
      legs.map(({ node, lease }) => {
        const receiver = new EffectReceiver();
        lease.backend.send(encode(node), receiver);
        return session.cancellable(lease.backend, judge(node.label, receiver, expected));
      }),
    );
    return found.flatMap((failure) => failure ?? []);
  } finally {
    watchdog.clear();
  }
}

/** A query of ours that must answer the same on every writer. Throws PproxError where the lead refuses it. */
export async function compareAnswers(
  session: SessionState,
  block: WritersBlock,
  text: string,
): Promise<readonly FollowerFailure[]> {
  const { lead, followers } = block.legs;
  const message = encodeQuery(text);
  const started = performance.now();
  const receiver = new EffectReceiver();
  lead.lease.backend.send(message, receiver);
  const { effect, error, status } = await session.cancellable(lead.lease.backend, receiver.reply);
  block.status = status;
  if (error !== undefined) throw new PproxError('not_replayed', { sqlstate: error.code, message: error.message });
  return onFollowers(session, followers, () => message, effect, performance.now() - started);
}

/** What the statement has made holds the same rows on every writer: `text` is a query whose answer says so. */
export async function prove(
  session: SessionState,
  block: WritersBlock,
  text: string,
  { tag }: Effect,
): Promise<readonly FollowerFailure[]> {
  // Nothing was made where it stood already, or is to be filled later.
  if (tag === undefined || !/^(SELECT|REFRESH|ALTER)/.test(tag)) return [];
  return compareAnswers(session, block, text);
}

export function throwFailures(block: WritersBlock, failures: readonly FollowerFailure[]): void {
  if (failures.length === 0) return;
  const failed = new Set(failures.map(({ label }) => label));
  const caused = failures.map((failure) => {
    const leg = block.legs.leased.find(({ node }) => node.label === failure.label);
    return failure.kind !== 'error' || leg === undefined
      ? failure
      : { ...failure, fields: leg.lease.backend.causeOf(failure.fields) };
  });
  const others = [block.legs.lead, ...block.legs.leased]
    .map(({ node }) => node.label)
    .filter((label) => !failed.has(label));
  throw followerError(
    caused,
    others,
    block.mode === 'implicit' ? 'rolled back' : 'will be rolled back with the transaction',
  );
}

/** What the plan has the statement return in addition. */
export function additionOf(plan: ReplayPlan): Addition | undefined {
  if (plan.kind === 'statement') return undefined;
  const { returning, client } = plan;
  return { returning, client, width: plan.kind === 'rows' ? plan.columns.length : plan.width };
}

const TRANSACTION_TIME = `SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'`;

/** The lead's transaction time, with every digit and its offset, whatever the session's DateStyle. */
export async function transactionTime(backend: Backend): Promise<string> {
  const collector = new Collector();
  backend.query(TRANSACTION_TIME, collector);
  const answer = await collector.reply;
  if (collector.errorFrame !== undefined) throw new ServerError(collector.errorFrame);
  return timeOf(answer);
}

/** The same, in front of the statement that needs it; where that fails nobody waits for it. */
export function transactionTimeAhead(backend: Backend): Promise<string> {
  const time = backend.askAhead({ name: 'pprox: time', text: TRANSACTION_TIME }, 'anew').then((answer) => {
    rowsOf(answer);
    return timeOf(answer);
  });
  time.catch(() => undefined);
  return time;
}

function timeOf({ rows: [row] }: Answer): string {
  const time = row?.[0];
  if (time === null || time === undefined) {
    throw new PproxError('internal', { message: 'the lead did not tell its transaction time' });
  }
  return time;
}

function substitute(text: Buffer, times: readonly Nondeterminism[], time: string): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const { span, type } of [...times].sort((a, b) => (a.span?.start ?? 0) - (b.span?.start ?? 0))) {
    if (span === undefined) continue;
    const moment = `CAST('${time}' AS timestamptz)`;
    const value = type === undefined || type === 'timestamptz' ? moment : `CAST(${moment} AS ${type})`;
    parts.push(text.subarray(at, span.start), Buffer.from(value));
    at = span.end;
  }
  parts.push(text.subarray(at));
  return Buffer.concat(parts);
}
