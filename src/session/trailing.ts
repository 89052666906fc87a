/** Which statements followers may be behind by, and where a session waits for them or calls off what is under way. */
import type { ReplayPlan } from '../fanout/plan.ts';
import { unreachable } from '../lib/assert.ts';
import type { Statement } from '../sql/statement.ts';
import { TransactionStatus } from '../wire/tags.ts';
import type { Request } from './request.ts';
import { askLegs, type Replay, throwFailures } from './replay.ts';
import type { SessionState, WritersBlock } from './state.ts';
import { TRAIL_BYTES } from './trail.ts';

/** Whether the client is answered before the followers have run the statement. */
export function paceOf(
  { services: { settings } }: SessionState,
  block: WritersBlock,
  { command }: Statement,
  plan: ReplayPlan,
  request: Request,
): 'trailing' | 'lockstep' {
  if (settings.followerPace === 'lockstep' || block.mode === 'implicit') return 'lockstep';
  if (command.kind !== 'modify' || request.followerTypes === 'to be asked') return 'lockstep';
  if (request.text.length >= TRAIL_BYTES) return 'lockstep';
  switch (plan.kind) {
    case 'statement':
    case 'verified':
      return plan.effects === 'in the text' ? 'trailing' : 'lockstep';
    case 'rows':
      // Its rows are on their way to the followers while the lead runs it.
      return 'lockstep';
    default:
      return unreachable(plan);
  }
}

/** The client has its answer; the followers come behind. */
export function letTrail(session: SessionState, block: WritersBlock, { bytes, run }: Replay): void {
  const work = async (): Promise<void> => {
    try {
      throwFailures(block, await run());
    } catch (error) {
      // Its client may take long to hear of it: others need not wait for its locks there.
      await undoOnFollowers(session, block);
      throw error;
    }
  };
  block.trail.push(bytes, work, () => letGoOfLead(session));
}

/** Aborts a block on its server: any error does, and one of syntax is cheap and leaves no portal behind. */
export const POISON = 'ABORTED BY pprox';

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
export async function undoOnFollowers(session: SessionState, { savepoints, legs }: WritersBlock): Promise<void> {
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
export async function followersCaughtUp(session: SessionState, { trail, legs }: WritersBlock): Promise<void> {
  if (trail.empty) {
    trail.check();
    return;
  }
  let caughtUp = trail.caughtUp();
  for (const { lease } of legs.begun) caughtUp = session.cancellable(lease.backend, caughtUp);
  await caughtUp;
}

/** What followers are behind by is to be rolled back: it ends, and its locks do not wait for others' any more. */
export async function callOffTrail(session: SessionState, { trail, legs }: WritersBlock): Promise<void> {
  await trail.callOff(() => {
    for (const { lease } of legs.begun) if (!lease.backend.idle) session.cancels.request(lease.backend);
  });
  await session.cancels.settled();
}
