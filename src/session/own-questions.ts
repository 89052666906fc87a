/** Questions of pprox's own, on the connections of a block. */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import type { OwnStatement } from '../backend/own-message.ts';
import { type Answer, BackendLostError, rowsOf } from '../backend/receiver.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import type { FollowerLeg } from './legs.ts';
import type { SessionState } from './state.ts';

/** A statement of our own is prepared once. `when`: as Backend.ask has it. Rejects with PproxError where the server refuses. */
export async function answerOf(
  backend: Backend,
  question: string | OwnStatement,
  when: 'in turn' | 'at once' = 'in turn',
): Promise<Answer> {
  const answer = await (typeof question === 'string' ? backend.ask(question, when) : backend.askOwn(question, when));
  rowsOf(answer);
  return answer;
}

/** On each follower; it has its deadline and may be cancelled by the client. */
export async function within<T>(
  session: SessionState,
  legs: readonly FollowerLeg[],
  ask: (leg: FollowerLeg) => Promise<T>,
): Promise<readonly T[]> {
  const watchdog = guard(
    legs.map(({ lease }) => lease.backend),
    session.services.settings.followerTimeoutMs,
  );
  return Promise.all(legs.map((leg) => session.cancellable(leg.lease.backend, ask(leg)))).finally(() =>
    watchdog.clear(),
  );
}

/** As `within`, of what each follower is asked to compare: all failures there are, lost connections among them. */
export async function compareEach(
  session: SessionState,
  legs: readonly FollowerLeg[],
  compare: (leg: FollowerLeg) => Promise<FollowerFailure | 'same' | 'not known'>,
): Promise<readonly FollowerFailure[] | 'not known'> {
  const found = await within(session, legs, async (leg): Promise<FollowerFailure | 'same' | 'not known'> => {
    try {
      return await compare(leg);
    } catch (error) {
      if (error instanceof BackendLostError) return { kind: 'lost', label: leg.node.label, lost: error.lost };
      throw error;
    }
  });
  const failures = found.flatMap((one) => (typeof one === 'string' ? [] : one));
  return failures.length === 0 && found.includes('not known') ? 'not known' : failures;
}
