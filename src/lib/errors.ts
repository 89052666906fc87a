/**
 * Every condition that pprox itself reports to a client, in one table: its SQLSTATE (PostgreSQL, Appendix A), what became of
 * the work in hand, and when it comes; docs/reference/errors.md is made from it. A server's own ErrorResponse is not here: it
 * is data, forwarded as it came.
 */
import { assert } from './assert.ts';

/**
 * What became of what was in hand: a statement, or a COMMIT.
 * `not_sent`: no server has run it; a transaction that it stands in has failed, as with any error. `rolled_back`: nothing of it
 * stands on any server. `committed`: it stands on every writer. `unknown`: it may stand on some writers and not on others;
 * DETAIL says what is known of each. That is 08007, and nothing else is.
 */
export type Outcome = 'not_sent' | 'rolled_back' | 'committed' | 'unknown';

interface ConditionRow {
  readonly sqlstate: string;
  readonly outcome: Outcome;
  /** Of a sentence that begins with "when". */
  readonly when: string;
}

export const CONDITIONS = {
  too_many_clients: {
    sqlstate: '53300',
    outcome: 'not_sent',
    when: 'as many clients are connected as PPROX_MAX_CLIENTS allows',
  },
  pool_exhausted: {
    sqlstate: '53300',
    outcome: 'not_sent',
    when: 'no connection to a server was free within PPROX_POOL_WAIT, or too many sessions waited for one',
  },
  out_of_resources: {
    sqlstate: '53000',
    outcome: 'not_sent',
    when: 'the proxy itself cannot open another connection: it is out of file descriptors',
  },
  server_unreachable: {
    sqlstate: '08001',
    outcome: 'not_sent',
    when: 'a server that is needed cannot be reached; while it is down, without an attempt',
  },
  server_refused: {
    sqlstate: '08004',
    outcome: 'not_sent',
    when: 'a server refuses the connection (with its own SQLSTATE), or is not, or not any more, what it has to be',
  },
  server_lost: { sqlstate: '08006', outcome: 'rolled_back', when: 'the connection to a server was lost before COMMIT' },
  read_lost: {
    sqlstate: '08006',
    outcome: 'rolled_back',
    when: 'the connection was lost in the middle of the rows of a read',
  },
  notifications_unread: {
    sqlstate: '54000',
    outcome: 'rolled_back',
    when: 'a client does not read its notifications; its session ends',
  },
  session_lost: {
    sqlstate: '57P01',
    outcome: 'rolled_back',
    when: 'a connection is lost that had something of the session which cannot be had back; the session ends',
  },
  protocol_violation: { sqlstate: '08P01', outcome: 'not_sent', when: 'a client breaks the protocol' },
  unsupported_protocol: {
    sqlstate: '0A000',
    outcome: 'not_sent',
    when: 'a client asks for another version of the protocol',
  },
  unsupported_feature: {
    sqlstate: '0A000',
    outcome: 'not_sent',
    when: 'pprox does not serve it: `PREPARE TRANSACTION`, replication connections, a few forms of others',
  },
  unreadable_statement: {
    sqlstate: '0A000',
    outcome: 'not_sent',
    when: 'pprox cannot read a statement that the lead could',
  },
  statement_too_complex: {
    sqlstate: '54001',
    outcome: 'not_sent',
    when: 'a statement is nested too deeply, or is too long, to be read',
  },
  no_user: { sqlstate: '28000', outcome: 'not_sent', when: 'a client names no user' },
  wrong_database: {
    sqlstate: '3D000',
    outcome: 'not_sent',
    when: 'a client names another database than the one that is served',
  },
  failed_transaction: {
    sqlstate: '25P02',
    outcome: 'not_sent',
    when: 'a statement comes in a transaction that has failed',
  },
  no_transaction_block: {
    sqlstate: '25P01',
    outcome: 'not_sent',
    when: 'a statement for transaction blocks comes outside one',
  },
  unknown_statement: { sqlstate: '26000', outcome: 'not_sent', when: 'there is no prepared statement of that name' },
  duplicate_statement: { sqlstate: '42P05', outcome: 'not_sent', when: 'there is one of that name already' },
  duplicate_cursor: { sqlstate: '42P03', outcome: 'not_sent', when: 'there is a portal of that name already' },
  unknown_portal: { sqlstate: '34000', outcome: 'not_sent', when: 'there is no portal of that name' },
  portal_done: { sqlstate: '55000', outcome: 'not_sent', when: 'a portal has been run to its end' },
  too_many_rows: {
    sqlstate: '54000',
    outcome: 'rolled_back',
    when: 'a statement that writes has too many rows beyond its row limit',
  },
  too_many_objects: {
    sqlstate: '53400',
    outcome: 'not_sent',
    when: 'a session has too many prepared statements or portals',
  },
  wrong_argument_count: {
    sqlstate: '42601',
    outcome: 'not_sent',
    when: '`EXECUTE` gives another number of parameters',
  },
  several_statements: { sqlstate: '42601', outcome: 'not_sent', when: 'several statements are prepared as one' },
  result_type_changed: {
    sqlstate: '0A000',
    outcome: 'not_sent',
    when: 'a prepared statement has another result than its client was told',
  },
  settings_refused: {
    sqlstate: '58000',
    outcome: 'not_sent',
    when: "a server does not take the settings of the session (with the server's own SQLSTATE)",
  },
  settings_differ: {
    sqlstate: '58000',
    outcome: 'not_sent',
    when: 'a follower begins its sessions with another value of a setting than the lead, by `ALTER ROLE` or `ALTER DATABASE`',
  },
  settings_unread: {
    sqlstate: '58000',
    outcome: 'rolled_back',
    when: "a setting that a statement has made cannot be read back (with the server's own SQLSTATE)",
  },
  catalog_unreadable: {
    sqlstate: '58000',
    outcome: 'not_sent',
    when: "the lead's catalog cannot be read (with the server's own SQLSTATE)",
  },
  not_replayable: {
    sqlstate: '0A000',
    outcome: 'not_sent',
    when: 'a statement would not have the same effect on every writer',
  },
  not_replayed: { sqlstate: '0A000', outcome: 'rolled_back', when: 'that is found out when the lead has run it' },
  follower_lock_timeout: {
    sqlstate: '40001',
    outcome: 'rolled_back',
    when: 'a follower waited for a lock longer than PPROX_FOLLOWER_LOCK_TIMEOUT',
  },
  deadlock_between_servers: {
    sqlstate: '40P01',
    outcome: 'rolled_back',
    when: 'transactions wait for each other on different writers, and this one gives way',
  },
  removals_uncertain: {
    sqlstate: '40001',
    outcome: 'rolled_back',
    when: 'a function or trigger has deleted rows in a transaction that reads an older state behind a savepoint, and others under way may have stored some of them',
  },
  table_contended: {
    sqlstate: '40001',
    outcome: 'rolled_back',
    when: 'others write to tables that a statement would have had locked, and what it has changed cannot be told to the followers',
  },
  sequence_contended: {
    sqlstate: '40001',
    outcome: 'rolled_back',
    when: 'another session drew from a sequence at the same time',
  },
  follower_failed: {
    sqlstate: '40000',
    outcome: 'rolled_back',
    when: "a follower refuses what the lead has done, or PREPARE (with the follower's own SQLSTATE)",
  },
  follower_lost: {
    sqlstate: '08006',
    outcome: 'rolled_back',
    when: 'the connection to a follower was lost, or it does not answer',
  },
  cancelled: {
    sqlstate: '57014',
    outcome: 'rolled_back',
    when: 'the client cancels a statement while the proxy waits for its turn to prove it, or asks a server for what it needs to know',
  },
  definition_changed: {
    sqlstate: '40001',
    outcome: 'rolled_back',
    when: 'another transaction has changed a definition, a function among them, since the transaction was begun, or the lead reads its configuration anew, with other defaults; or a follower did not say whether it shows the same ones',
  },
  triggers_fired: {
    sqlstate: '40001',
    outcome: 'rolled_back',
    when: 'triggers that were not to fire on a follower have done so: they were set to ENABLE ALWAYS a moment ago',
  },
  writers_differ: {
    sqlstate: '40002',
    outcome: 'rolled_back',
    when: 'a statement has had another effect on a follower',
  },
  commit_unknown: {
    sqlstate: '08007',
    outcome: 'unknown',
    when: 'the lead is lost in its COMMIT and does not answer for PPROX_COMMIT_TIMEOUT; in one phase, or with a single writer: a server is lost in its COMMIT, or in a statement that commits by itself',
  },
  commit_unfinished: {
    sqlstate: '08007',
    outcome: 'unknown',
    when: 'the session ends while its COMMIT is under way: the proxy stops, or has an internal error',
  },
  commit_fenced: { sqlstate: '40001', outcome: 'rolled_back', when: 'recovery has taken a slow commit for given up' },
  not_initialised: {
    sqlstate: '55000',
    outcome: 'not_sent',
    when: 'schema pprox is missing on the lead, or closed to the role',
  },
  decision_refused: {
    sqlstate: '55000',
    outcome: 'rolled_back',
    when: 'the lead does not take the decision to commit',
  },
  two_phase_unavailable: {
    sqlstate: '55000',
    outcome: 'rolled_back',
    when: 'the lead does not tell its system identifier',
  },
  not_yet_visible: {
    sqlstate: '40001',
    outcome: 'rolled_back',
    when: 'a follower takes too long to show what the lead shows',
  },
  partly_executed: {
    sqlstate: '08007',
    outcome: 'unknown',
    when: 'a statement that PostgreSQL does not allow in a transaction has run on some writers, or may have',
  },
  shutting_down: { sqlstate: '57P01', outcome: 'rolled_back', when: 'the proxy stops' },
  internal: { sqlstate: 'XX000', outcome: 'rolled_back', when: 'pprox has a bug; the session ends' },
} as const satisfies Record<string, ConditionRow>;

export type Condition = keyof typeof CONDITIONS;

export interface ErrorText {
  readonly message: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  /** CONTEXT: where in the client's own message. */
  readonly where?: string | undefined;
  /** Overrides the condition's SQLSTATE where a server's own says more (a follower's 23514); never that of what is unknown. */
  readonly sqlstate?: string | undefined;
  /** Where what could not be sent was the end of more, and all of that is rolled back. */
  readonly outcome?: 'rolled_back' | undefined;
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
    const row = CONDITIONS[condition];
    assert(row.outcome !== 'unknown' || text.sqlstate === undefined, 'what is unknown is 08007');
    this.condition = condition;
    this.sqlstate = text.sqlstate ?? row.sqlstate;
    this.outcome = text.outcome ?? row.outcome;
    this.detail = text.detail;
    this.hint = text.hint;
    this.where = text.where;
  }
  /** The same, of a transaction that is rolled back for it. */
  ofTransaction(): PproxError {
    if (this.outcome !== 'not_sent') return this;
    const { message, detail, hint, where, sqlstate } = this;
    return new PproxError(this.condition, { message, detail, hint, where, sqlstate, outcome: 'rolled_back' });
  }
}
