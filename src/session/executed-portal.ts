/** Execute of a portal whose statement has run: what it has left for the client, or nothing. */
import { PproxError } from '../lib/errors.ts';
import { encodeCommandComplete } from '../wire/backend.ts';
import { PORTAL_SUSPENDED } from '../wire/extended.ts';
import type { Portal } from './client-statement.ts';
import { shown } from './name-resolver.ts';
import { tagOfNothing } from './pipeline-rules.ts';
import { prepareSteps } from './preparation.ts';
import type { RowLimit } from './row-limit.ts';
import type { SessionState } from './state.ts';
import type { StatementEnd } from './statement-end.ts';
import type { Step } from './step.ts';

/** Rows that wait for the client: their statement has run already. */
export async function executeRest(
  session: SessionState,
  steps: readonly Step[],
  rest: RowLimit,
  limit: number,
): Promise<StatementEnd> {
  const before = steps.slice(0, -1);
  if (before.length > 0 && (await prepareSteps(session, before, 'goes on')) === 'failed') return { kind: 'failed' };
  const { rows, end } = rest.take(limit);
  for (const row of rows) session.link.send(row);
  return { kind: 'done', held: end === 'suspended' ? PORTAL_SUSPENDED : end };
}

/** A portal that has been run to its end: nothing more comes from a query, and nothing else runs twice. */
export async function executeAgain(
  session: SessionState,
  steps: readonly Step[],
  portal: Portal,
): Promise<StatementEnd> {
  const before = steps.slice(0, -1);
  if (before.length > 0 && (await prepareSteps(session, before, 'goes on')) === 'failed') return { kind: 'failed' };
  const tag = tagOfNothing(portal.statement.analysed);
  if (tag === undefined)
    throw new PproxError('portal_done', { message: `portal "${shown(portal.name)}" cannot be run` });
  session.link.send(encodeCommandComplete(tag));
  return { kind: 'done', held: undefined };
}
