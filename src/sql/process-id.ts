/**
 * pg_backend_pid() in a client's text. A session has many server sessions, each with a process id of its own, and its client
 * was told another number: the call is that number. Where server sessions are looked at or acted upon, it stays as it is.
 */
import { rewrite, type Rewritten } from './positions.ts';
import type { Analysis, Span, Statement } from './statement.ts';

/** As the analyser names it. */
const CALL = 'pg_backend_pid()';

/** Calls that take or tell a server's own process ids. */
const ABOUT_PROCESSES =
  /^pg_(blocking_pids|safe_snapshot_blocking_pids|cancel_backend|terminate_backend|log_backend_memory_contexts|isolation_test_session_is_blocked|lock_status|stat_.*|get_replication_slots|get_backend_memory_contexts)\(\)$/;

/** Views with a column of process ids. */
const OF_PROCESSES = /^(pg_locks|pg_replication_slots|pg_stat_.*)$/;

/** `text` with the client's own number in the calls' places; undefined where it stays as it is. */
export function withProcessId(text: Buffer, analysis: Analysis, processId: number): Rewritten | undefined {
  if (analysis.kind !== 'statements' || !analysis.statements.some(mentionsIt)) return undefined;
  const spans = analysis.statements.flatMap(calls);
  if (spans.length === 0) return undefined;
  // A query gives its only column's name to the expression that it is.
  const value = Buffer.from(`(SELECT ${processId}::pg_catalog.int4 AS pg_backend_pid)`);
  return rewrite(
    text,
    spans.map((span) => ({ span, by: value })),
  );
}

function mentionsIt({ nondeterminism }: Statement): boolean {
  return nondeterminism.some(({ name }) => name === CALL);
}

/** Statements in which a query may stand for a value, wherever they evaluate one. */
const NODES: ReadonlySet<string> = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
  'CreateTableAsStmt',
  'DeclareCursorStmt',
  'ExplainStmt',
]);

function calls({ node, command, relations, nondeterminism }: Statement): readonly Span[] {
  if (!NODES.has(node) && command.kind !== 'copy out') return [];
  if (nondeterminism.some(({ name }) => ABOUT_PROCESSES.test(name))) return [];
  if (relations.some(({ name }) => OF_PROCESSES.test(name))) return [];
  return nondeterminism.flatMap(({ name, span }) => (name === CALL && span !== undefined ? [span] : []));
}
