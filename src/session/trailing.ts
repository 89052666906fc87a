/** Which statements followers may be behind by, and where a session waits for them or calls off what is under way. */
import type { ReplayPlan } from '../fanout/plan.ts';
import { unreachable } from '../lib/assert.ts';
import type { Statement } from '../sql/statement.ts';
import type { Request } from './request.ts';
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
