/** What pins a session to its server sessions: noted as statements make it, given up when a server says that nothing is left. */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import { BackendLostError } from '../backend/receiver.ts';
import type { PinReason, Statement } from '../sql/statement.ts';
import type { SessionState } from './state.ts';

/** Whether the server session still has something of the kind. */
const LEFT: Readonly<Partial<Record<PinReason, string>>> = {
  'advisory lock': `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks
    WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())`,
  'held cursor': 'SELECT EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)',
  'temporary object': `SELECT EXISTS (SELECT FROM pg_catalog.pg_depend
    WHERE refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid = pg_catalog.pg_my_temp_schema())`,
};

/**
 * After a statement has succeeded. What a block makes may be gone when it ends: rolled back, or dropped at its commit. `effects`: whether it was
 * seen what a function in it has done to the session's settings, and to objects.
 */
export function notePins(
  session: SessionState,
  { pins, unpins }: Statement,
  effects: 'looked at' | 'not looked at',
): void {
  if (effects === 'not looked at' && pins.includes('volatile function')) session.view = 'perhaps its own';
  for (const pin of pins) session.pins.add(pin);
  for (const pin of unpins) session.doubtfulPins.add(pin);
  if (session.block.kind !== 'none') for (const pin of pins) session.doubtfulPins.add(pin);
}

/** Outside a block: asks the lead's server session about what may be gone. */
export async function settlePins(session: SessionState, backend: Backend): Promise<void> {
  const { doubtfulPins, pins } = session;
  if (doubtfulPins.size === 0 || session.block.kind !== 'none' || !backend.open) return;
  const doubtful = [...doubtfulPins];
  doubtfulPins.clear();
  for (const pin of doubtful) {
    const text = LEFT[pin];
    if (text === undefined || !pins.has(pin)) continue;
    const watchdog = guard([backend], session.services.settings.followerTimeoutMs);
    try {
      const { rows } = await backend.ask(text);
      if (rows[0]?.[0] === 'f') pins.delete(pin);
    } catch (error) {
      // Whoever needs the server session next is told.
      if (!(error instanceof BackendLostError)) throw error;
    } finally {
      watchdog.clear();
    }
  }
}
