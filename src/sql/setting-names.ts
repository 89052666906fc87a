/** Names of settings: which of them can be read back and given to another server session, and set_config()'s. */

import type { SettingChange } from './statement.ts';
import { constantText, isFields, nodeOf } from './tree.ts';

/** Old names that servers still take (map_old_guc_names of guc.c). */
const renamed: Readonly<Record<string, string>> = {
  sort_mem: 'work_mem',
  vacuum_mem: 'maintenance_work_mem',
};

export function currentName(name: string): string {
  const lower = name.toLowerCase();
  return renamed[lower] ?? lower;
}

/**
 * `seed` cannot be read; the server's idle clock runs in one server session; the others are shown to superusers alone,
 * so that reading them back could fail.
 */
const untracked: ReadonlySet<string> = new Set([
  'seed',
  'idle_session_timeout',
  'dynamic_library_path',
  'extension_control_path',
  'local_preload_libraries',
  'session_preload_libraries',
]);

/** Settings of a transaction end with it. */
export function isOfTransaction(name: string): boolean {
  return name.startsWith('transaction_') && name !== 'transaction_timeout';
}

/** Whether what it was set to can be read back, and set in another server session. */
export function isTracked(name: string): boolean {
  return !untracked.has(name) && !isOfTransaction(name) && name !== 'transaction snapshot';
}

/** A setting with a dot in its name comes into being when it is first named, and does not go away again. */
export function isCustom(name: string): boolean {
  return name.includes('.');
}

/** Settings of the client's transactions on the lead: other servers' transactions are begun in so many words. */
export function isTransactionDefault(name: string): boolean {
  return name.startsWith('default_transaction_');
}

/**
 * Limits on how long the client's own work may take or rest. The lead's clock counts for them; a follower waits for the lead's
 * part of the work besides, and has deadlines of pprox.
 */
export function isTimeout(name: string): boolean {
  return TIMEOUTS.includes(name);
}

export const TIMEOUTS: readonly string[] = [
  'idle_in_transaction_session_timeout',
  'idle_session_timeout',
  'lock_timeout',
  'statement_timeout',
  'transaction_timeout',
];

/** What `set_config(name, value, is_local)` changes, by its arguments; undefined where its text does not tell, or it cannot be tracked. */
export function configChange(args: readonly unknown[]): SettingChange | undefined {
  const text = constantText(args[0]);
  const local = nodeOf(args[2], 'A_Const')?.['boolval'];
  if (text === undefined || !isFields(local)) return undefined;
  const scope = local['boolval'] === true ? 'local' : 'session';
  const name = currentName(text);
  if (scope === 'local') return { name, scope, how: 'set' };
  // On followers the statement runs as well, and what these decide there is not the client's.
  return isTracked(name) && !isTransactionDefault(name) ? { name, scope, how: 'set' } : undefined;
}
