/** DISCARD: what the session keeps on its servers ends. */
import type { Statement } from '../sql/statement.ts';
import { readOnLead } from './read.ts';
import type { Request } from './request.ts';
import type { SessionState } from './state.ts';
import type { StatementEnd } from './statement-end.ts';

/**
 * DISCARD ALL leaves a session as it began: its server sessions are not needed any more, on any server. The other forms
 * are the lead session's affair; followers keep no plans, sequences or temporary objects of a client's.
 */
export async function discard(session: SessionState, statement: Statement, request: Request): Promise<StatementEnd> {
  const end = await readOnLead(session, statement, request);
  const { command } = statement;
  if (end.kind === 'done' && command.kind === 'discard' && command.what === 'all' && session.block.kind === 'none') {
    await session.unpin();
  }
  return end;
}
