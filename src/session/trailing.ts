/** Which statements followers may be behind by, and where a session waits for them or calls off what is under way. */
import { POISON } from '../backend/ledger.ts';
import type { Behind } from '../commit/coordinator.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import { locksOf, type ReplayPlan } from '../fanout/plan.ts';
import { type ReplayedStatement, sendStatements } from '../fanout/replay-log.ts';
import { assert } from '../lib/assert.ts';
import type { Statement } from '../sql/statement.ts';
import { TransactionStatus } from '../wire/tags.ts';
import type { Request } from './request.ts';
import { askLegs, beginLog, followerDeadline, forFollower, openTexts, replaySame, throwFailures } from './replay.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { TRAIL_BYTES, type TrailFollowers, type Trailing } from './trail.ts';

/**
 * When the followers run the statement: `trailing`, behind the client's back; `at commit`, together with their PREPARE, where the
 * statement is a transaction of its own; `lockstep`, before the client is answered.
 */
export function paceOf(
  { services }: SessionState,
  block: WritersBlock,
  { command }: Statement,
  plan: ReplayPlan,
  request: Request,
  company: 'one' | 'many',
): 'trailing' | 'at commit' | 'lockstep' {
  if (command.kind !== 'modify' && command.kind !== 'insert') return 'lockstep';
  if (request.followerTypes === 'to be asked' || request.text.length >= TRAIL_BYTES) return 'lockstep';
  const pace = block.mode === 'implicit' ? 'at commit' : 'trailing';
  if (pace === 'trailing' && services.settings.followerPace === 'lockstep') return 'lockstep';
  if (pace === 'at commit' && (company === 'many' || services.coordinator.leadAhead === 'never')) return 'lockstep';
  // Rows that may turn out to be all that triggers have changed.
  const told = plan.kind === 'rows' && plan.direct !== undefined;
  return (plan.effects === 'in the text' || told) && locksOf(plan).length === 0 ? pace : 'lockstep';
}

/** How long a statement may wait for others to go to the followers with, in ms: about what a short one takes by itself. */
const PATIENCE_MS = 2;
/** The same where many transactions are under way: then fewer messages serve all of them more than haste serves one. */
const PATIENCE_IN_A_CROWD_MS = 50;
/** Connections to the lead in use: more of them than a server has processors to spare for a lone client's haste. */
const CROWD = 8;

/** The client has its answer; the followers come behind. */
export function letTrail(
  session: SessionState,
  block: WritersBlock,
  one: Trailing,
  pace: 'trailing' | 'at commit',
): void {
  const crowded = session.cluster.lead.pool.leased >= CROWD;
  const patienceMs = crowded ? PATIENCE_IN_A_CROWD_MS : PATIENCE_MS;
  const failed = (): void => letGoOfLead(session);
  block.trail.push(one, pace === 'at commit' ? undefined : patienceMs, { run: runBehind(session, block), failed });
}

function runBehind(session: SessionState, block: WritersBlock): TrailFollowers['run'] {
  return async (batch) => {
    try {
      throwFailures(block, await replayTrailing(session, block, batch));
    } catch (error) {
      // Its client may take long to hear of it: others need not wait for its locks there.
      await undoOnFollowers(session, block);
      throw error;
    }
  };
}

function replayTrailing(
  session: SessionState,
  block: WritersBlock,
  batch: readonly Trailing[],
): Promise<readonly FollowerFailure[]> {
  const statements = batch.map(({ statement }) => statement);
  return replaySame(session, block, statements, lastMoment(batch), { pace: 'trailing', kept: 'in the log' });
}

/** What all of them have seen on the lead had been committed by then. */
function lastMoment(batch: readonly Trailing[]): number {
  return batch.at(-1)?.moment ?? 0;
}

/**
 * At its commit: what the only follower has not been sent yet, for who prepares it. Undefined where there is nothing. What is
 * under way is over when this resolves. When the statements are answered the block's stage is `ending`, and no cancel request is
 * under way. Rejects as `followersCaughtUp`.
 */
export async function takeBehind(session: SessionState, block: WritersBlock): Promise<Behind | undefined> {
  const batch = await waitFor(session, block, block.trail.takeWaiting());
  if (batch.length === 0) return undefined;
  // The log begins at the latest with these.
  const before = block.legs.begun.length === 0 ? [] : block.log.base === 'begin' ? block.log.statements : undefined;
  if (before === undefined) {
    // A savepoint to go back to does not outlive PREPARE.
    await waitFor(session, block, runBehind(session, block)(batch));
    return undefined;
  }
  const statements = batch.map(({ statement }) => statement);
  const moment = lastMoment(batch);
  const { coordinator } = session.services;
  const deadlineMs = followerDeadline(session, Math.max(...statements.map(({ elapsedMs }) => elapsedMs)));
  beginLog(session, block);
  const [leg] = block.legs.followers;
  assert(leg !== undefined && block.legs.followers.length === 1, 'one follower prepares by itself');
  const { backend } = leg.lease;
  const send = async (all: readonly ReplayedStatement[]): Promise<FollowerFailure | undefined> => {
    const sent = sendStatements(leg.node.label, backend, forFollower(block, all, leg), deadlineMs);
    const failure = await session.cancellable(backend, sent);
    // A cancel that comes late may hit PREPARE, and nothing behind it.
    block.stage = 'ending';
    await session.cancels.settled();
    return failure;
  };
  const again = async (all: readonly ReplayedStatement[]): Promise<FollowerFailure | undefined> => {
    backend.ahead('begin', openTexts(session, block));
    return send(all);
  };
  return {
    ready: () => coordinator.visibleEverywhere(moment),
    send: () => send(statements),
    again: () => again([...before, ...statements]),
  };
}

/**
 * Nor for those on the lead, while the client says nothing: they go as those of any failed transaction, back to its innermost
 * savepoint. The block is still told as it was: what has failed is told to the client's next statement.
 */
export function letGoOfLead({ work, block }: SessionState): void {
  if (work !== 'idle' || block.kind !== 'writers') return;
  if (block.trail.state !== 'failed' || block.status !== TransactionStatus.InBlock) return;
  // Its loss is met by what comes next.
  void block.legs.lead.lease.backend.ask(POISON).catch(() => undefined);
}

/** A transaction that has failed lets its locks on the followers go: back to the innermost savepoint, or to the beginning. */
export async function undoOnFollowers(session: SessionState, { savepoints, legs, log }: WritersBlock): Promise<void> {
  log.break();
  const innermost = savepoints.at(-1);
  const { begun } = legs;
  const text = innermost === undefined ? 'ROLLBACK' : `ROLLBACK TO SAVEPOINT ${innermost}`;
  const failed = await askLegs(begun, session.services.settings.followerTimeoutMs, () => text);
  for (const leg of begun) leg.block = 'begun'; // our savepoint was inside that one
  // What could not be undone ends with the block, or with its connection.
  const labels = new Set(failed.map(({ label }) => label));
  if (innermost === undefined) for (const leg of begun) if (!labels.has(leg.node.label)) leg.block = 'leased';
}

/** The followers have done all that the lead has. Rejects with what has gone wrong there; the client may cancel the wait. */
export async function followersCaughtUp(session: SessionState, block: WritersBlock): Promise<void> {
  const { trail } = block;
  if (trail.empty) {
    trail.check();
    return;
  }
  await waitFor(session, block, trail.caughtUp());
}

function waitFor<T>(session: SessionState, { legs }: WritersBlock, work: Promise<T>): Promise<T> {
  let waited = work;
  for (const { lease } of legs.leased) waited = session.cancellable(lease.backend, waited);
  return waited;
}

/** What followers are behind by is to be rolled back: it ends, and its locks do not wait for others' any more. */
export async function callOffTrail(session: SessionState, { trail, legs }: WritersBlock): Promise<void> {
  await trail.callOff(() => {
    for (const { lease } of legs.begun) if (!lease.backend.idle) session.cancels.request(lease.backend);
  });
  await session.cancels.settled();
}
