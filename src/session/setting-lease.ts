/** A backend gets the settings of its session before its first use. */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import type { Login } from '../backend/login.ts';
import type { Lease } from '../backend/pool.ts';
import { BackendLostError } from '../backend/receiver.ts';
import { type SettingSet, UNCERTAIN } from '../backend/setting-set.ts';
import type { Node } from '../cluster/node.ts';
import { PproxError } from '../lib/errors.ts';

/** A lease whose backend has the settings `needs`. Rejects with PproxError, `cancelled` where `signal` has ended the wait for one. */
export async function leaseWith(
  node: Node,
  login: Login,
  needs: SettingSet,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Lease> {
  for (let attempt = 1; ; attempt++) {
    const lease = await node.lease(login, needs, signal);
    const { settings } = lease.backend;
    if (settings === needs) return lease;
    try {
      await bring(node, lease.backend, needs, timeoutMs);
      return lease;
    } catch (error) {
      lease.release('session state not movable');
      // Another's settings may have stood in the way, its statement_timeout for one. A fresh connection has none.
      if (!(error instanceof PproxError) || settings.values.size === 0 || attempt === ATTEMPTS) throw error;
    }
  }
}

/** Leftovers of others that are got out of the way at most. */
const ATTEMPTS = 8;

/** Sends the difference, in one statement. Rejects with PproxError, and the backend is not to be used then. */
export async function bring(node: Node, backend: Backend, needs: SettingSet, timeoutMs: number): Promise<void> {
  const has = backend.settings;
  const fitness = has.fitness(needs);
  if (fitness === 'unfit') throw refused(node, 'another session has left settings there', undefined);
  if (fitness === 'movable') {
    backend.settings = UNCERTAIN;
    const watchdog = guard([backend], timeoutMs);
    try {
      const { error } = await backend.ask(has.textTo(needs));
      if (error !== undefined) throw refused(node, error.message, error.code);
    } catch (error) {
      if (!(error instanceof BackendLostError)) throw error;
      throw new PproxError('server_unreachable', {
        message: `the connection to ${node.label} was lost: ${error.message}`,
      });
    } finally {
      watchdog.clear();
    }
  }
  backend.settings = needs;
}

function refused(node: Node, why: string, sqlstate: string | undefined): PproxError {
  return new PproxError('settings_refused', {
    sqlstate,
    message: `${node.label} does not take the settings of this session: ${why}`,
    detail: 'Nothing was run.',
    hint: 'RESET the setting, or connect anew.',
  });
}
