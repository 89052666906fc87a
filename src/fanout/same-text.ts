/** Plans by which followers get the client's own text: as it is, or with the rows that it leaves behind compared. */
import type { Table } from '../cluster/table.ts';
import type { Nondeterminism, QualifiedName, Statement } from '../sql/statement.ts';
import { type Effects, notReplayable, type SameTextPlan, type VerifiedPlan } from './plan.ts';
import { returning } from './row-plan.ts';

/** The same text, the lead's time in place of each server's own. Throws PproxError `not_replayable` where more of it varies. */
export function sameText(
  varying: readonly Nondeterminism[],
  statement: Statement,
  rows: 'compared' | 'not compared',
  rule: string,
): SameTextPlan {
  const unsafe = unsafePart(varying);
  if (unsafe !== undefined) {
    const ddl = statement.command.kind === 'definition';
    throw notReplayable(
      unsafe.name,
      ddl ? 'Add the column without the default and set the default in a second statement.' : undefined,
    );
  }
  const { command, pins } = statement;
  // A query that the text alone would send to a reader, and the catalog or the reader itself did not.
  const surprising = (command.kind === 'read' || command.kind === 'copy out') && statement.route !== 'writers';
  const opaque = surprising || pins.includes('volatile function');
  return {
    kind: 'statement',
    rule,
    times: varying,
    rows: statement.explains ? 'not compared' : rows,
    effects: opaque ? 'hidden' : 'in the text',
    locks: [],
    proof: undefined,
    stored: [],
    inPlace: opaque ? 'rows' : 'nothing',
    keyed: undefined,
    text: undefined,
    remade: undefined,
  };
}

/** What no value of the lead's can stand in for. */
export function unsafePart(varying: readonly Nondeterminism[]): Nondeterminism | undefined {
  return varying.find(({ kind, span }) => kind !== 'transaction time' || span === undefined);
}

export interface Comparison {
  readonly target: QualifiedName | undefined;
  readonly alias: string | undefined;
  readonly hasReturning: boolean;
}

/**
 * What triggers and functions made of the rows is compared; what they did elsewhere is not. `why`: what has to be compared
 * whatever triggers there are.
 */
export function comparingRows(
  plan: SameTextPlan,
  statement: Statement,
  command: Comparison,
  table: Table,
  { why, effects }: { readonly why: string | undefined; readonly effects: Effects },
): SameTextPlan | VerifiedPlan {
  if (table.triggers === 'none' && why === undefined) return plan;
  const { target } = command;
  const columns = table.columns.filter(({ selectable }) => selectable);
  // A rule without a RETURNING of its own would be in its way, and a view has no columns of its own.
  const unreturnable = table.kind === 'v' || table.rules !== 'none' || statement.explains;
  if (unreturnable || target === undefined || columns.length === 0) {
    if (why !== undefined) throw notReplayable(`${why}, where the rows cannot be compared`);
    return { ...plan, effects: 'hidden' };
  }
  const { times, locks } = plan;
  return {
    kind: 'verified',
    rule: why ?? 'triggers of its table',
    times,
    locks,
    returning: returning(target, command, columns),
    width: columns.length,
    client: command.hasReturning ? 'rows' : 'no rows',
    effects: table.triggers === 'some' ? 'hidden' : effects,
  };
}
