/** Questions of pprox's own, on the connections of a block. */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import type { Answer } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';
import type { FollowerLeg } from './legs.ts';
import type { SessionState } from './state.ts';

/** Rejects with PproxError where the server refuses. */
export async function answerOf(backend: Backend, text: string): Promise<Answer> {
  const answer = await backend.ask(text);
  if (answer.error === undefined) return answer;
  throw new PproxError('catalog_unreadable', { sqlstate: answer.error.code, message: answer.error.message });
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
