/**
 * What the lead has done, on the followers of a block.
 *
 * The lead may show what another process's transaction has changed while a follower has it prepared only. A statement that
 * needs it then fails on the follower, or does something else. So a follower that disagrees is taken back to where it stood
 * before the statement, waits until what is prepared there is over, and gets the statement once more: what is visible on the
 * lead is prepared on every follower at least, so that one replay is enough.
 */
import { guard } from '../backend/guard.ts';
import { BackendLostError } from '../backend/receiver.ts';
import {
  type Effect,
  EffectReceiver,
  type FollowerFailure,
  beginText,
  followerError,
  judge,
} from '../fanout/follower.ts';
import type { ReplayPlan } from '../fanout/plan.ts';
import type { RowReplay } from '../fanout/row-replay.ts';
import type { Node } from '../cluster/node.ts';
import { PproxError } from '../lib/errors.ts';
import type { Nondeterminism, Statement } from '../sql/statement.ts';
import type { FollowerLeg } from './legs.ts';
import { type Addition, type Request, withAddition } from './request.ts';
import type { SessionState, WritersBlock } from './state.ts';

/**
 * Starts the followers' transactions, or ends the savepoint of the statement before; the answers come in front of the next
 * statement's.
 */
export function beginFollowers(session: SessionState, block: WritersBlock): void {
  for (const leg of block.legs.followers) {
    const text = leg.block === 'leased' ? openText(session, block) : unmarkText(leg);
    leg.block = 'begun';
    if (text !== '') tell(leg, text);
  }
}

function openText(session: SessionState, { savepoints }: WritersBlock): string {
  return beginText(session.services.settings.followerLockTimeoutMs, savepoints);
}

/** What goes wrong is told by the next statement. */
function tell({ lease: { backend } }: FollowerLeg, text: string): void {
  void backend.ask(text).catch(() => undefined);
}

/** How long followers may take for what took the lead `elapsedMs`: the least deadline, and a slower server's due. */
export function followerDeadline(session: SessionState, elapsedMs: number): number {
  return session.services.settings.followerTimeoutMs + 4 * elapsedMs;
}

/** How each follower is taken back to where it stood before a statement. */
export type Marks = ReadonlyMap<FollowerLeg, 'begin anew' | 'savepoint'>;

export const NO_MARKS: Marks = new Map();

/**
 * Beside the client's own savepoints, and gone before the next of them. It stands until the next statement, so that one message
 * ends the old one and makes the new one.
 */
const MARK = '"pprox: statement"';

/** Starts the followers' transactions where they have not begun, and marks where each stands. Nobody has to wait for it. */
function markFollowers(session: SessionState, block: WritersBlock): Marks {
  const marks = new Map<FollowerLeg, 'begin anew' | 'savepoint'>();
  if (session.services.coordinator.leadAhead === 'never') {
    beginFollowers(session, block);
    return marks;
  }
  for (const leg of block.legs.followers) {
    const anew = leg.block === 'leased';
    marks.set(leg, anew ? 'begin anew' : 'savepoint');
    tell(leg, anew ? openText(session, block) : `${unmarkText(leg)}SAVEPOINT ${MARK}`);
    leg.block = anew ? 'begun' : 'marked';
  }
  return marks;
}

/** A statement with hidden effects has waited beforehand: what it has drawn from sequences cannot be taken back. */
export function marksFor(session: SessionState, block: WritersBlock, plan: ReplayPlan): Marks {
  if (plan.effects !== 'hidden') return markFollowers(session, block);
  beginFollowers(session, block);
  return NO_MARKS;
}

/** `run`: the statement on these followers. Answers with what is wrong after all. */
async function onceMore(
  session: SessionState,
  block: WritersBlock,
  marks: Marks,
  failures: readonly FollowerFailure[],
  run: (legs: readonly FollowerLeg[]) => Promise<readonly FollowerFailure[]>,
): Promise<readonly FollowerFailure[]> {
  const labels = new Set(failures.map(({ label }) => label));
  const again = [...marks.keys()].filter(({ node }) => labels.has(node.label));
  const hopeless = !failures.every(mayBeOfOthers) || again.length < labels.size;
  if (failures.length === 0 || hopeless) return failures;
  const lost = await goBack(session, block, marks, again);
  if (lost.length > 0) return lost;
  await othersVisible(session, again);
  const remaining = await run(again);
  session.log.debug('statement replayed', { remaining: remaining.length });
  return remaining;
}

/**
 * Classes of SQLSTATE (manual, "PostgreSQL Error Codes") that do not come of rows or objects that are missing: rollback,
 * resources, limits, locks and states, cancellation, the system.
 */
const NOT_OF_OTHERS: ReadonlySet<string> = new Set(['08', '40', '53', '54', '55', '57', '58', 'XX']);

/** Whether what another process has prepared may have been missed. */
function mayBeOfOthers(failure: FollowerFailure): boolean {
  if (failure.kind === 'error') return !NOT_OF_OTHERS.has(failure.fields.code.slice(0, 2));
  return failure.kind === 'different';
}

/** A row replay, brought to its end. */
export async function replayRows(
  session: SessionState,
  block: WritersBlock,
  replay: RowReplay,
  marks: Marks,
): Promise<readonly FollowerFailure[]> {
  const failures = await replay.finish();
  // Without all of its rows there is nothing to replay.
  const usable = replay.repeatable ? marks : NO_MARKS;
  return onceMore(session, block, usable, failures, (legs) =>
    replay.again(new Set(legs.map(({ node }) => node.label))),
  );
}

/**
 * In front of a savepoint of the client's, of the next of ours, and of what needs none: nothing may be inside the last, where a
 * COPY FREEZE would not find itself in the transaction that has made its table.
 */
export function unmarkText(leg: FollowerLeg): string {
  if (leg.block !== 'marked') return '';
  leg.block = 'begun';
  return `RELEASE SAVEPOINT ${MARK}; `;
}

async function goBack(
  session: SessionState,
  block: WritersBlock,
  marks: Marks,
  legs: readonly FollowerLeg[],
): Promise<readonly FollowerFailure[]> {
  const { followerTimeoutMs, followerLockTimeoutMs } = session.services.settings;
  const anew = `ROLLBACK; ${beginText(followerLockTimeoutMs, block.savepoints)}`;
  return askLegs(legs, followerTimeoutMs, (leg) =>
    marks.get(leg) === 'savepoint' ? `ROLLBACK TO SAVEPOINT ${MARK}` : anew,
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

/** A statement that is ready for the followers. `bytes`: of the messages that it holds. */
export interface Replay {
  readonly bytes: number;
  run(): Promise<readonly FollowerFailure[]>;
}

/**
 * The statement itself, for every follower, behind what the lead shows now. `started`: on the lead, by performance.now().
 * `trailing`: it may be run when the client's next message is in hand, and holds all that it needs; a cancel of the client
 * is not for it.
 */
export async function replaySame(
  session: SessionState,
  block: WritersBlock,
  plan: ReplayPlan,
  statement: Statement,
  request: Request,
  effect: Effect,
  started: number,
  pace: 'lockstep' | 'trailing',
): Promise<Replay> {
  const elapsedMs = performance.now() - started;
  const times = plan.kind === 'rows' ? [] : plan.times;
  const addition = additionOf(plan);
  const whole = withAddition(request.text, statement.span.end, addition);
  const visible = session.services.coordinator.visibleEverywhere();
  // Who runs it waits for that, and may come later.
  visible?.catch(() => undefined);
  const own = times.length === 0 ? whole : substitute(whole, times, await transactionTime(block));
  const { followers } = block.legs;
  const encode = (node: Node): Buffer => request.encodeFor(node, own, addition);
  const messages = new Map(pace === 'trailing' ? followers.map(({ node }) => [node, encode(node)] as const) : []);
  let bytes = 0;
  for (const message of messages.values()) bytes += message.length;
  const once = async (legs: readonly FollowerLeg[]): Promise<readonly FollowerFailure[]> => {
    if (pace === 'lockstep')
      await request.prepareFollowers(legs.map(({ node, lease }) => ({ node, backend: lease.backend })));
    return onFollowers(session, legs, (node) => messages.get(node) ?? encode(node), effect, elapsedMs, pace);
  };
  const run = async (): Promise<readonly FollowerFailure[]> => {
    await visible;
    const marks = marksFor(session, block, plan);
    return onceMore(session, block, marks, await once(followers), once);
  };
  return { bytes, run };
}

/** The same statement on every follower at once: `encode` says what each is sent. */
export async function onFollowers(
  session: SessionState,
  legs: readonly FollowerLeg[],
  encode: (node: Node) => Buffer,
  expected: Effect,
  elapsedMs: number,
  pace: 'lockstep' | 'trailing' = 'lockstep',
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
        const judged = judge(node.label, receiver, expected);
        return pace === 'trailing' ? judged : session.cancellable(lease.backend, judged);
      }),
    );
    return found.flatMap((failure) => failure ?? []);
  } finally {
    watchdog.clear();
  }
}

export function throwFailures(block: WritersBlock, failures: readonly FollowerFailure[]): void {
  if (failures.length === 0) return;
  const failed = new Set(failures.map(({ label }) => label));
  const others = [block.legs.lead, ...block.legs.leased]
    .map(({ node }) => node.label)
    .filter((label) => !failed.has(label));
  throw followerError(
    failures,
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

/** The lead's transaction time, with every digit and its offset, whatever the session's DateStyle. */
async function transactionTime(block: WritersBlock): Promise<string> {
  const answer = await block.legs.lead.lease.backend.ask(
    `SELECT pg_catalog.to_char(pg_catalog.now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'`,
  );
  const time = answer.rows[0]?.[0];
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
