/** What PostgreSQL's rules for pipelines, and ours, say of a statement by its kind. */
import type { Statement } from '../sql/statement.ts';
import type { ClientStatement, Portal } from './client-statement.ts';
import { type Pending, statementOf, type Step } from './step.ts';

export function isCopyIn({ statement }: Portal): boolean {
  const command = statement.analysed?.command;
  return command?.kind === 'copy in' && command.source === 'stdin';
}

export function changesNames({ statement }: Portal): boolean {
  const kind = statement.analysed?.command.kind;
  return kind === 'set' || kind === 'deallocate' || kind === 'discard' || kind === 'prepare';
}

export function transactional(statement: Statement): boolean {
  return statement.command.kind === 'transaction';
}

/** Their Parse, Bind and Describe are answered by pprox as well: those of other statements among them are not. */
export function answeredByUs(statement: Statement | undefined): boolean {
  const command = statement?.command;
  return (
    command === undefined ||
    command.kind === 'transaction' ||
    command.kind === 'deallocate' ||
    (command.kind === 'copy in' && command.source === 'stdin')
  );
}

/** What PostgreSQL commits at once (PreventInTransactionBlock): it may be the first of a pipeline. */
export function standsAlone(statement: Statement): boolean {
  return statement.block === 'forbidden' && !transactional(statement);
}

/** Those that commit in between themselves: to PostgreSQL, what is behind them is in the transaction that they begin last. */
const RESUMING: ReadonlySet<string> = new Set([
  'VacuumStmt',
  'IndexStmt',
  'DropStmt',
  'ReindexStmt',
  'ClusterStmt',
  'AlterTableStmt',
]);

/** Whether its transaction is over behind it, where no block is open. */
export function commitsAtOnce(statement: Statement): boolean {
  return transactional(statement) || (standsAlone(statement) && !RESUMING.has(statement.node));
}

/** Refused as the first of a pipeline (RequireTransactionBlock). */
export function needsBlock({ node, pins }: Statement): boolean {
  return node === 'LockStmt' || (node === 'DeclareCursorStmt' && !pins.includes('held cursor'));
}

/** Warned of as the first of a pipeline (WarnNoTransactionBlock). */
export function forBlocks({ command, node }: Statement): string | undefined {
  if (command.kind === 'set' && command.scope === 'local') return 'SET LOCAL';
  if (command.kind === 'set transaction' && command.scope === 'transaction') return 'SET TRANSACTION';
  return node === 'ConstraintsSetStmt' ? 'SET CONSTRAINTS' : undefined;
}

/** Whether no server is asked to bind it: EXECUTE binds what it executes. */
export function isOurs({ analysed, executes }: ClientStatement): boolean {
  return answeredByUs(analysed) || executes !== undefined;
}

/** Accepted in a failed block (PostgreSQL's IsTransactionExitStmt). */
export function endsTransaction({ command }: Statement): boolean {
  if (command.kind !== 'transaction') return false;
  const { action } = command;
  return action === 'commit' || action === 'rollback' || action === 'rollback to' || action === 'prepare';
}

/** What a query answers that has no more rows; undefined for what is no query. */
export function tagOfNothing(statement: Statement | undefined): string | undefined {
  const command = statement?.command;
  switch (command?.kind) {
    case 'read':
      return statement?.node === 'VariableShowStmt'
        ? 'SHOW'
        : statement?.node === 'ExplainStmt'
          ? 'EXPLAIN'
          : 'SELECT 0';
    case 'insert':
      return command.hasReturning ? 'INSERT 0 0' : undefined;
    case 'modify':
      return command.hasReturning ? `${command.statement.toUpperCase()} 0` : undefined;
    default:
      return undefined;
  }
}

/** The server says so of a Parse; what else it would have to be prepared for, it would refuse for the wrong reason. */
export function refusedInFailedBlock(step: Step): boolean {
  if (step.kind === 'parse') return step.statement.executes !== undefined;
  if (step.kind === 'describe statement') return (step.statement.description?.columns.length ?? 0) > 0;
  if (step.kind === 'describe portal' && (step.portal.state === 'done' || step.portal.boundBy === 'EXECUTE'))
    return (step.portal.statement.description?.columns.length ?? 0) > 0;
  if (step.kind !== 'bind') return false;
  const { analysed } = step.portal.statement;
  return analysed === undefined || !endsTransaction(analysed);
}

/**
 * Of the unnamed portal, where the client has none: on servers it may be one of ours. In a failed block, where nothing of
 * ours could run either, it is what the failed Query has left.
 */
export function namesNoPortal(step: Step): boolean {
  return (step.kind === 'describe cursor' || step.kind === 'execute cursor') && step.name === '';
}

/** One statement, and nothing behind it that could fail: it may be committed before the rest. */
export function isLone(pending: readonly Pending[]): boolean {
  const at = pending.findIndex(({ kind }) => kind === 'execute');
  const behind = pending.slice(at + 1);
  return at >= 0 && behind.every(({ kind }) => kind.startsWith('close '));
}

/** Where those steps begin that are about the portal's statement alone, at the end of all. */
export function ownFrom(steps: readonly Step[], { statement }: Portal): number {
  return steps.findLastIndex((step) => statementOf(step) !== statement) + 1;
}
