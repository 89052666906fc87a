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
  const name = command.name === undefined ? undefined : Buffer.from(command.name).toString('latin1');
  const own = name === undefined ? session.prepared.size === 0 : session.statements.has(name);
  // The statement that says DEALLOCATE ALL may be a prepared one itself: it is there before it is gone.
  if (own) request.say();
  if (name === undefined) session.statements.clear();
  else session.statements.delete(name);
  if (!own) return undefined;
  session.link.send(encodeCommandComplete(name === undefined ? 'DEALLOCATE ALL' : 'DEALLOCATE'));
  return DONE;
}
