/** The plan of statements that the lead alone runs: followers are told what it has made of these tables. */
import type { Table } from '../cluster/table.ts';
import type { Statement } from '../sql/statement.ts';
import { storedColumns } from './captured-rows.ts';
import { type LeadAlonePlan, notReplayable } from './plan.ts';
import { sameText } from './same-text.ts';

export function readBack(
  reason: string,
  statement: Statement,
  stored: readonly string[],
  runs: LeadAlonePlan['runs'],
  inPlace: LeadAlonePlan['inPlace'] = 'rows alone',
): LeadAlonePlan {
  return {
    ...sameText([], statement, 'not compared', reason),
    effects: 'hidden',
    stored,
    runs,
    inPlace,
    otherwise: 'nothing',
  };
}

/** The lead refuses it; and should the role have got the right meanwhile, what it has done is told. */
export function refusedByLead(statement: Statement, { stored }: Table): LeadAlonePlan {
  return readBack('a target that its role may not change', statement, stored, 'functions');
}

/** Whether the session's role may not store rows, or neither UPDATE nor DELETE. */
export function isForbidden({ columns, lockable }: Table, what: 'insert' | 'change'): boolean {
  if (columns.length === 0) return false;
  return what === 'insert'
    ? !columns.some(({ insertable }) => insertable)
    : !lockable && !columns.some(({ updatable }) => updatable);
}

/** What rows do not bring along, and would be done on the lead alone. */
export function refuseDurable({ durable: [name] }: Statement, reason: string): void {
  if (name !== undefined) throw notReplayable(`${name}() beside ${reason}`, 'Use a statement of its own for the call.');
}

/** Whether the session is shown the whole of its rows. */
export function isSeen(table: Table): boolean {
  return storedColumns(table).every(({ exact, selectable }) => exact && selectable);
}

/** Rows that are read back have to be seen whole. */
export function refuseBlind(table: Table, what: string): void {
  const blind = storedColumns(table).find(({ exact, selectable }) => !exact || !selectable);
  if (blind === undefined) return;
  const why = blind.selectable ? 'whose values this session is shown in part' : 'which the session may not read';
  throw notReplayable(`${what}, and column ${blind.name}, ${why}`);
}
