/** DEALLOCATE of what the extended query protocol has prepared: a name of the client's that no server knows. */
import type { Statement } from '../sql/statement.ts';
import { encodeCommandComplete } from '../wire/backend.ts';
import type { Request } from './request.ts';
import type { SessionState } from './state.ts';
import { DONE, type StatementEnd } from './statement-end.ts';

/** Undefined where a server has something to do: names that SQL's PREPARE has given. */
export function deallocateOwn(
  session: SessionState,
  { command }: Statement,
  request: Request,
): StatementEnd | undefined {
  if (command.kind !== 'deallocate') return undefined;
  if (command.name === undefined) {
    session.statements.clear();
    return session.prepared.size > 0 ? undefined : complete(session, request, 'DEALLOCATE ALL');
  }
  const name = Buffer.from(command.name).toString('latin1');
  return session.statements.delete(name) ? complete(session, request, 'DEALLOCATE') : undefined;
}

function complete(session: SessionState, request: Request, tag: string): StatementEnd {
  request.say();
  session.link.send(encodeCommandComplete(tag));
  return DONE;
}
