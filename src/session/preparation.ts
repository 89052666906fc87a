/**
 * Messages without an Execute, answered by a server: Parse, Bind, Describe and Close, up to the statement that they are for or
 * the end of their segment.
 */
import type { Lease } from '../backend/pool.ts';
import { PproxError } from '../lib/errors.ts';
import { TransactionStatus } from '../wire/tags.ts';
import { leaseAny } from './any-server.ts';
import { abortBlock } from './block-end.ts';
import { ExtendedRequest } from './extended-request.ts';
import { unknownPortal } from './name-resolver.ts';
import { namesNoPortal, refusedInFailedBlock } from './pipeline-rules.ts';
import { endImplicit } from './query.ts';
import { openPending } from './read.ts';
import { Relay } from './relay.ts';
import { failedBlock, ServerError } from './reply.ts';
import { hasPortal } from './server-statement.ts';
import type { SessionState } from './state.ts';
import type { Step } from './step.ts';
import { openImplicit } from './write.ts';

/** Steps without an Execute: a server answers them, and no transaction has to last for it unless a portal is bound. */
export async function prepareSteps(
  session: SessionState,
  steps: readonly Step[],
  segment: 'ends' | 'goes on',
): Promise<'done' | 'failed'> {
  if (steps.length === 0) return 'done';
  const unknown = session.status === TransactionStatus.Failed ? -1 : steps.findIndex(namesNoPortal);
  if (unknown >= 0) {
    if ((await prepareSteps(session, steps.slice(0, unknown), segment)) === 'failed') return 'failed';
    throw unknownPortal('');
  }
  const binds = steps.some((step) => step.kind === 'bind' && step.portal.statement.executes === undefined);
  const lasting = binds && (segment === 'goes on' || session.block.kind !== 'none');
  if (session.block.kind === 'lost') throw failedBlock();
  if (lasting && (session.block.kind === 'none' || session.block.kind === 'pending')) await openImplicitly(session);
  if (session.status === TransactionStatus.Failed) {
    const at = steps.findIndex(refusedInFailedBlock);
    if (at >= 0) {
      if ((await prepareSteps(session, steps.slice(0, at), segment)) === 'failed') return 'failed';
      throw failedBlock();
    }
  }
  const rest = await answerFront(session, steps);
  if (rest === 'failed') return 'failed';
  const request = new ExtendedRequest(session, rest, lasting ? 'kept' : 'ending');
  try {
    return await relayAnywhere(session, request);
  } catch (error) {
    if ((await answerRefused(session, rest, request, error)) === 'failed') return 'failed';
    throw error;
  }
}

async function relayAnywhere(session: SessionState, request: ExtendedRequest): Promise<'done' | 'failed'> {
  const { block } = session;
  if (block.kind === 'writers' || block.kind === 'reader') {
    const lease = block.kind === 'writers' ? block.legs.lead.lease : block.lease;
    const { status, error } = await relay(session, lease, request);
    block.status = status;
    return error === undefined ? 'done' : 'failed';
  }
  const spare = await leaseAny(session);
  try {
    const { error } = await relay(session, spare.lease, request);
    if (error !== undefined && session.block.kind === 'pending') await abortBlock(session);
    return error === undefined ? 'done' : 'failed';
  } finally {
    await spare.giveBack();
  }
}

/**
 * What a server session of the block would have to be prepared for may be refused, and the block fails with it: what stands
 * in front is answered first. Answers with the rest of the steps.
 */
export async function answerFront(session: SessionState, steps: readonly Step[]): Promise<readonly Step[] | 'failed'> {
  const { block } = session;
  if (block.kind !== 'writers' && block.kind !== 'reader') return steps;
  const { backend } = block.kind === 'writers' ? block.legs.lead.lease : block.lease;
  const at = new ExtendedRequest(session, steps, 'passing').firstMissing(backend) ?? 0;
  if (at === 0) return steps;
  return (await prepareSteps(session, steps.slice(0, at), 'goes on')) === 'failed' ? 'failed' : steps.slice(at);
}

/** As `answerFront`, where there was no block and a server session could not be prepared for a step of the request. */
export async function answerRefused(
  session: SessionState,
  steps: readonly Step[],
  { refusedAt }: ExtendedRequest,
  error: unknown,
): Promise<'done' | 'failed'> {
  const refused = steps[refusedAt ?? 0];
  const changed = error instanceof PproxError && error.condition === 'result_type_changed';
  if (refusedAt === undefined || refused === undefined || !(changed || error instanceof ServerError)) return 'done';
  if (refusedAt > 0) {
    await endImplicit(session, 'rollback');
    if (session.block.kind !== 'none') return 'done';
    if ((await prepareSteps(session, steps.slice(0, refusedAt), 'goes on')) === 'failed') return 'failed';
  }
  // Describe tells a statement's parameters before it finds that the result has changed.
  if (changed && refused.kind === 'describe statement' && refused.statement.description !== undefined)
    session.link.send(refused.statement.description.parameters);
  return 'done';
}

/**
 * What a failed Query has left as the unnamed portal is not executed, to be refused: PostgreSQL looks at its statement for
 * that, which went with the Query, and the server may crash.
 */
export async function executeCursor(
  session: SessionState,
  steps: readonly Step[],
  name: string,
): Promise<'done' | 'failed'> {
  if (name !== '' || session.status !== TransactionStatus.Failed) return prepareSteps(session, steps, 'goes on');
  if ((await prepareSteps(session, steps.slice(0, -1), 'goes on')) === 'failed') return 'failed';
  const { block } = session;
  if (block.kind === 'writers' || block.kind === 'reader') {
    const { backend } = block.kind === 'writers' ? block.legs.lead.lease : block.lease;
    if (!(await hasPortal(session, backend, name))) throw unknownPortal(name);
  }
  throw failedBlock();
}

async function openImplicitly(session: SessionState): Promise<void> {
  if (session.block.kind === 'pending') await openPending(session, session.block.begin);
  else await openImplicit(session);
}

async function relay(session: SessionState, lease: Lease, request: ExtendedRequest): Promise<Relay['result']> {
  const { backend } = lease;
  await request.prepare(backend);
  const { message, replies } = request.encode(backend);
  const forward = new Relay(session.link, backend, { completion: 'forward', replies });
  backend.send(message, forward);
  return session.cancellable(backend, forward.result);
}
