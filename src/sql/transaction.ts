/** Transaction control and settings: BEGIN and its kin, SET, RESET. */

import type { Node, TransactionStmt, VariableSetStmt } from 'libpg-query';
import { currentName, isOfTransaction, isTracked } from './setting-names.ts';
import type { Command, PinReason, SettingChange, TransactionAction, TransactionModes } from './statement.ts';
import { booleanSetting, constantText } from './tree.ts';

const noModes: TransactionModes = { access: undefined, isolation: undefined, deferrable: undefined };

function isolationOf(value: unknown): TransactionModes['isolation'] {
  const text = constantText(value)?.toLowerCase();
  if (text === 'read uncommitted' || text === 'read committed') return text;
  return text === 'repeatable read' || text === 'serializable' ? text : undefined;
}

function accessOf(value: Node | undefined): TransactionModes['access'] {
  const readOnly = booleanSetting(value);
  return readOnly === undefined ? undefined : readOnly ? 'read only' : 'read write';
}

/** Modes from `transaction_…` and their values; a later one wins. */
function withMode(modes: TransactionModes, name: string | undefined, value: Node | undefined): TransactionModes {
  if (name === 'transaction_isolation') return { ...modes, isolation: isolationOf(value) };
  if (name === 'transaction_read_only') return { ...modes, access: accessOf(value) };
  return name === 'transaction_deferrable' ? { ...modes, deferrable: booleanSetting(value) } : modes;
}

function modesOf(options: readonly Node[] | undefined): TransactionModes {
  let modes = noModes;
  for (const option of options ?? []) {
    if (!('DefElem' in option)) continue;
    modes = withMode(modes, option.DefElem.defname, option.DefElem.arg);
  }
  return modes;
}

export interface Control {
  readonly command: Command;
  readonly reason: string;
  readonly block: 'allowed' | 'forbidden';
}

export function transactionControl(statement: TransactionStmt): Control {
  const action = actionOf(statement);
  const forbidden = action.action === 'commit prepared' || action.action === 'rollback prepared';
  return {
    command: { kind: 'transaction', ...action },
    reason: 'transaction control',
    block: forbidden ? 'forbidden' : 'allowed',
  };
}

function actionOf(statement: TransactionStmt): TransactionAction {
  const chain = statement.chain === true;
  const name = statement.savepoint_name ?? '';
  switch (statement.kind) {
    case 'TRANS_STMT_COMMIT':
      return { action: 'commit', chain };
    case 'TRANS_STMT_ROLLBACK':
      return { action: 'rollback', chain };
    case 'TRANS_STMT_SAVEPOINT':
      return { action: 'savepoint', name };
    case 'TRANS_STMT_RELEASE':
      return { action: 'release', name };
    case 'TRANS_STMT_ROLLBACK_TO':
      return { action: 'rollback to', name };
    case 'TRANS_STMT_PREPARE':
      return { action: 'prepare' };
    case 'TRANS_STMT_COMMIT_PREPARED':
      return { action: 'commit prepared' };
    case 'TRANS_STMT_ROLLBACK_PREPARED':
      return { action: 'rollback prepared' };
    default: {
      const words = statement.kind === 'TRANS_STMT_START' ? 'START TRANSACTION' : 'BEGIN';
      return { action: 'begin', modes: modesOf(statement.options), words };
    }
  }
}

export interface Setting {
  readonly command: Command;
  readonly reason: string;
  readonly pin: PinReason | undefined;
  readonly changes: readonly SettingChange[];
}

/** SET and RESET in all their forms. */
export function settingChange(statement: VariableSetStmt): Setting {
  const name = currentName(statement.name ?? '');
  if (statement.kind === 'VAR_SET_MULTI') return severalSettings(name, statement);
  const scope = statement.is_local === true ? 'local' : 'session';
  const sets = statement.kind === 'VAR_SET_VALUE' || statement.kind === 'VAR_SET_CURRENT';
  const reason = statement.kind?.startsWith('VAR_RESET') === true ? 'RESET' : 'SET';
  const all = statement.kind === 'VAR_RESET_ALL';
  const change: SettingChange = { name: all ? 'all' : name, scope, how: sets ? 'set' : 'reset' };
  const changes = isTracked(name) ? [change] : [];
  const pin = sets && scope === 'session' && !isTracked(name) && !isOfTransaction(name) ? 'setting' : undefined;
  const modes = statement.kind === 'VAR_SET_VALUE' ? modesBySetting(name, statement.args?.[0]) : undefined;
  if (modes !== undefined && (modes.scope === 'transaction' || scope === 'session')) {
    return { command: { kind: 'set transaction', ...modes }, reason, pin, changes };
  }
  return { command: { kind: 'set', scope, name: change.name }, reason, pin, changes };
}

/** `SET transaction_read_only = on` and the like say what SET TRANSACTION says; undefined for another setting. */
function modesBySetting(
  name: string,
  value: Node | undefined,
): { readonly scope: 'transaction' | 'session'; readonly modes: TransactionModes } | undefined {
  const scope = name.startsWith('default_transaction_') ? 'session' : 'transaction';
  const modes = withMode(noModes, scope === 'session' ? name.slice('default_'.length) : name, value);
  const understood = modes.access !== undefined || modes.isolation !== undefined || modes.deferrable !== undefined;
  return understood ? { scope, modes } : undefined;
}

function severalSettings(name: string, statement: VariableSetStmt): Setting {
  if (name === 'transaction snapshot') {
    const command: Command = { kind: 'set', scope: 'local', name };
    return { command, reason: 'SET TRANSACTION SNAPSHOT', pin: undefined, changes: [] };
  }
  const scope = name === 'transaction' ? 'transaction' : 'session';
  const named = (statement.args ?? []).flatMap((option) =>
    'DefElem' in option && option.DefElem.defname !== undefined ? [`default_${option.DefElem.defname}`] : [],
  );
  return {
    command: { kind: 'set transaction', scope, modes: modesOf(statement.args) },
    reason: scope === 'transaction' ? 'SET TRANSACTION' : 'SET SESSION CHARACTERISTICS',
    pin: undefined,
    changes: scope === 'transaction' ? [] : named.map((one) => ({ name: one, scope: 'session', how: 'set' })),
  };
}
