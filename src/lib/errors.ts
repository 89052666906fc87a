/**
 * Every condition that pprox itself reports to a client, in one table: its SQLSTATE (PostgreSQL, Appendix A) and what
 * became of the statement or transaction in hand. A server's own ErrorResponse is not here: it is data, forwarded as it came.
 */

/**
 * What became of the client's work.
 * `not_sent`: no server saw it. `rolled_back`: nothing of it stands on any server. `committed`: it stands on every writer.
 * `unknown`: it may stand on some writers and not on others; DETAIL says what is known of each.
 */
export type Outcome = 'not_sent' | 'rolled_back' | 'committed' | 'unknown';

interface ConditionRow {
  readonly sqlstate: string;
  readonly outcome: Outcome;
}

export const CONDITIONS = {
  too_many_clients: { sqlstate: '53300', outcome: 'not_sent' },
  pool_exhausted: { sqlstate: '53300', outcome: 'not_sent' },
  out_of_resources: { sqlstate: '53000', outcome: 'not_sent' },
  server_unreachable: { sqlstate: '08001', outcome: 'not_sent' },
  server_refused: { sqlstate: '08004', outcome: 'not_sent' },
  server_lost: { sqlstate: '08006', outcome: 'rolled_back' },
  read_lost: { sqlstate: '08006', outcome: 'rolled_back' },
  notifications_unread: { sqlstate: '54000', outcome: 'rolled_back' },
  session_lost: { sqlstate: '57P01', outcome: 'rolled_back' },
  protocol_violation: { sqlstate: '08P01', outcome: 'not_sent' },
  server_protocol_violation: { sqlstate: '08P01', outcome: 'rolled_back' },
  unsupported_protocol: { sqlstate: '0A000', outcome: 'not_sent' },
  unsupported_feature: { sqlstate: '0A000', outcome: 'not_sent' },
  unreadable_statement: { sqlstate: '0A000', outcome: 'not_sent' },
  statement_too_complex: { sqlstate: '54001', outcome: 'not_sent' },
  no_user: { sqlstate: '28000', outcome: 'not_sent' },
  wrong_database: { sqlstate: '3D000', outcome: 'not_sent' },
  startup_timeout: { sqlstate: '57014', outcome: 'not_sent' },
  failed_transaction: { sqlstate: '25P02', outcome: 'not_sent' },
  no_transaction_block: { sqlstate: '25P01', outcome: 'not_sent' },
  unknown_statement: { sqlstate: '26000', outcome: 'not_sent' },
  duplicate_statement: { sqlstate: '42P05', outcome: 'not_sent' },
  duplicate_cursor: { sqlstate: '42P03', outcome: 'not_sent' },
  unknown_portal: { sqlstate: '34000', outcome: 'not_sent' },
  portal_done: { sqlstate: '55000', outcome: 'not_sent' },
  too_many_rows: { sqlstate: '54000', outcome: 'rolled_back' },
  too_many_objects: { sqlstate: '53400', outcome: 'not_sent' },
  wrong_argument_count: { sqlstate: '42601', outcome: 'not_sent' },
  several_statements: { sqlstate: '42601', outcome: 'not_sent' },
  result_type_changed: { sqlstate: '0A000', outcome: 'not_sent' },
  settings_refused: { sqlstate: '58000', outcome: 'not_sent' },
  catalog_unreadable: { sqlstate: '58000', outcome: 'not_sent' },
  not_replayable: { sqlstate: '0A000', outcome: 'not_sent' },
  follower_lock_timeout: { sqlstate: '40001', outcome: 'rolled_back' },
  deadlock_between_servers: { sqlstate: '40P01', outcome: 'rolled_back' },
  sequence_contended: { sqlstate: '40001', outcome: 'rolled_back' },
  follower_failed: { sqlstate: '40000', outcome: 'rolled_back' },
  follower_lost: { sqlstate: '08006', outcome: 'rolled_back' },
  writers_differ: { sqlstate: '40002', outcome: 'rolled_back' },
  commit_unknown: { sqlstate: '08007', outcome: 'unknown' },
  commit_fenced: { sqlstate: '40001', outcome: 'rolled_back' },
  not_initialised: { sqlstate: '55000', outcome: 'not_sent' },
  decision_refused: { sqlstate: '55000', outcome: 'rolled_back' },
  two_phase_unavailable: { sqlstate: '55000', outcome: 'rolled_back' },
  not_yet_visible: { sqlstate: '40001', outcome: 'rolled_back' },
  partly_executed: { sqlstate: '08007', outcome: 'unknown' },
  copy_refused: { sqlstate: '57014', outcome: 'rolled_back' },
  shutting_down: { sqlstate: '57P01', outcome: 'rolled_back' },
  internal: { sqlstate: 'XX000', outcome: 'rolled_back' },
} as const satisfies Record<string, ConditionRow>;

export type Condition = keyof typeof CONDITIONS;

export interface ErrorText {
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** CONTEXT: where in the client's own message. */
  readonly where?: string | undefined;
  /** Overrides the condition's SQLSTATE where a server's own says more (a follower's 23514). */
  readonly sqlstate?: string | undefined;
}

/** A condition with the words for the case at hand. */
export class PproxError extends Error {
  override readonly name = 'PproxError';
  readonly condition: Condition;
  readonly sqlstate: string;
  readonly outcome: Outcome;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly where: string | undefined;

  constructor(condition: Condition, text: ErrorText) {
    super(text.message);
    this.condition = condition;
    this.sqlstate = text.sqlstate ?? CONDITIONS[condition].sqlstate;
    this.outcome = CONDITIONS[condition].outcome;
    this.detail = text.detail;
    this.hint = text.hint;
    this.where = text.where;
  }
}
