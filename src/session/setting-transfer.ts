/** What a statement has set is read back from the server that ran it, and known of every server session that has it. */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import { BackendLostError } from '../backend/receiver.ts';
import { OF_THE_VIEW, UNCERTAIN } from '../backend/setting-set.ts';
import { PproxError } from '../lib/errors.ts';
import { quoteEscaped, quoteIdentifier } from '../sql/quote.ts';
import { isCustom } from '../sql/setting-names.ts';
import type { Statement } from '../sql/statement.ts';
import type { Legs } from './legs.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';

/** After a statement has succeeded on `backend`, the lead's or a read-only block's reader's, and before that is given back. */
export async function learnSettings(session: SessionState, statement: Statement, backend: Backend): Promise<void> {
  const { settings, block } = session;
  if (statement.settings.length === 0) return;
  if (block.kind !== 'none') settings.begin();
  settings.name(statement.settings);
  settings.setLocally(statement.settings.flatMap(({ name, scope }) => (scope === 'local' ? [name] : [])));
  const names = new Set<string>();
  for (const { name, scope, how } of statement.settings) {
    if (scope === 'local') continue;
    if (name === 'all') settings.resetAll(statement.command.kind === 'discard' ? 'and authorization' : 'settings');
    else if (how === 'set' || isCustom(name)) names.add(name);
    else settings.reset(name);
  }
  // A SELECT would be the first query of a transaction that may still be told its isolation level.
  const how = statement.node === 'VariableSetStmt' ? 'by SHOW' : 'by function';
  await readBack(session, backend, names, how);
  if (how === 'by function') settings.doubt(names);
  if (block.kind === 'none') {
    backend.settings = settings.kept;
    await settleCustom(session, backend);
  } else if (block.kind === 'writers') {
    name(block.legs, settings.kept.custom);
    const own = statement.settings.some(({ scope, name }) => scope === 'local' && OF_THE_VIEW.includes(name));
    if (own && block.catalog === 'unchanged') block.catalog = 'own view';
  }
}

/** These of the user's own have had a value in the block, and exist from then on. */
export function nameLocally({ settings }: SessionState, legs: Legs, names: readonly string[]): void {
  if (names.length === 0) return;
  settings.name(names.map((one) => ({ name: one, scope: 'local', how: 'set' })));
  name(legs, settings.kept.custom);
}

function name({ lead, leased }: Legs, custom: ReadonlySet<string>): void {
  for (const { lease } of [lead, ...leased]) lease.backend.settings = lease.backend.settings.naming(custom);
}

async function readBack(
  session: SessionState,
  backend: Backend,
  names: ReadonlySet<string>,
  how: 'by SHOW' | 'by function',
): Promise<void> {
  if (names.size === 0) return;
  const list = [...names];
  const text =
    how === 'by SHOW'
      ? list.map((name) => `SHOW ${quoteIdentifier(name)}`).join('; ')
      : `SELECT ${list.map((name) => `pg_catalog.current_setting(${quoteEscaped(name)}, true)`).join(', ')}`;
  const outside = session.block.kind === 'none';
  if (outside) backend.settings = UNCERTAIN;
  const watchdog = guard([backend], session.services.settings.followerTimeoutMs);
  const { rows, error, status } = await backend.ask(text).finally(() => watchdog.clear());
  if ('status' in session.block) session.block.status = status;
  const values = how === 'by SHOW' ? rows.map((row) => row[0]) : (rows[0] ?? []);
  for (const [index, name] of list.entries()) {
    const value = values[index];
    if (error !== undefined || value === undefined || isGarbled(session, value)) {
      throw new PproxError('settings_unread', {
        sqlstate: error?.code,
        message: `the value of ${name} could not be read back: ${error?.message ?? 'it is not UTF-8'}`,
        detail: outside ? 'It is not in force.' : undefined,
      });
    }
    if (value !== null) session.settings.set(name, value);
  }
}

/** Whether its bytes were not what was read. */
function isGarbled(session: SessionState, value: string | null): boolean {
  if (value === null || /^[\x20-\x7e]*$/.test(value)) return false;
  const { encoding } = session.lexis;
  return value.includes('\ufffd') || (encoding !== 'UTF8' && encoding !== 'SQL_ASCII');
}

/**
 * Outside a block: a custom setting that was set for a transaction alone, or rolled back, exists from then on, with a value
 * that its server decides. `backend`: the lead's, which has the session's settings.
 */
export async function settleCustom(session: SessionState, backend: Backend): Promise<void> {
  const { unknown } = session.settings;
  if (unknown.length === 0 || !backend.idle) return;
  try {
    await readBack(session, backend, new Set(unknown), 'by function');
    backend.settings = session.settings.kept;
  } catch (error) {
    if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
    // Nothing of the client's depends on it, and the server session is not used again.
    session.log.debug('custom settings not read', { reason: error.message });
  }
}

/** The block is committed on every writer: what was set in it is in force on all that had begun. */
export function commitSettings(session: SessionState, { legs }: WritersBlock): void {
  const doubtful = session.settings.commit();
  if (doubtful === undefined) return;
  const { kept } = session.settings;
  legs.lead.lease.backend.settings = kept;
  for (const { lease } of legs.begun) lease.backend.settings = kept.onFollowers.unsure(doubtful);
}

/** Not every writer may have committed: which settings each has is not known. */
export function loseSettings(session: SessionState, { legs }: WritersBlock): void {
  if (session.settings.commit() === undefined) return;
  for (const { lease } of [legs.lead, ...legs.begun]) lease.backend.settings = UNCERTAIN;
}
