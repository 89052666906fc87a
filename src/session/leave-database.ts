/** Connections of ours that would be in the way of a statement about a whole database. */
import type { Statement } from '../sql/statement.ts';
import type { SessionState } from './state.ts';

/** To PostgreSQL our idle connections are users like any other, of the database or of the template. It waits some seconds for them to go. */
export function leaveDatabase({ cluster, services }: SessionState, { command }: Statement): void {
  if (command.kind !== 'definition' || command.connections === 'any') return;
  for (const { pool } of cluster.writers) pool.closeIdle('in the way of a statement');
  services.onlookers.closeIdle('in the way of a statement');
}
