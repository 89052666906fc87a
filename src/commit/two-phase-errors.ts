/** What a client is told of a commit in two phases that has not come about, or is not known to have. */
import { type FollowerFailure, followerError } from '../fanout/follower.ts';
import { PproxError } from '../lib/errors.ts';
import type { ErrorFields } from '../wire/error-fields.ts';
import type { CommitLeg } from './coordinator.ts';
import { UNIQUE_VIOLATION } from './decisions.ts';
import type { Home } from './gid.ts';

/**
 * Classes of SQLSTATE (manual, "PostgreSQL Error Codes") that say something of the transaction or the server, and not of our
 * table: rollback (a SERIALIZABLE transaction's failure), resources, limits, an operator's intervention, the system.
 */
export const OF_THE_TRANSACTION: ReadonlySet<string> = new Set(['40', '53', '54', '57', '58', 'XX']);

/** Of PREPARE TRANSACTION: what a prepared transaction cannot hold (manual, "PREPARE TRANSACTION", Notes). */
const FEATURE_NOT_SUPPORTED = '0A000';

/** read_only_sql_transaction. */
const READ_ONLY = '25006';

export function rowRefused({ node }: CommitLeg, error: ErrorFields | undefined): PproxError {
  if (error?.code === UNIQUE_VIOLATION) {
    return new PproxError('commit_fenced', {
      message: 'the transaction took so long to commit that recovery has rolled it back',
      hint: 'Nothing of this was applied on any writer. The transaction may be tried again.',
    });
  }
  const why =
    error?.code === READ_ONLY
      ? 'A transaction that has written cannot be made read only.'
      : '"pprox check" says what is missing on the lead.';
  return new PproxError('decision_refused', {
    message: `the decision to commit could not be recorded on ${node.label}: ${error?.message ?? 'no row was written'}`,
    detail: error?.detail,
    hint: `Nothing of this was applied on any writer. ${why}`,
  });
}

/** What the lead shows, and a follower does not: nothing may run there that could miss it. */
export function notYetVisible(detail: string): PproxError {
  return new PproxError('not_yet_visible', {
    message: 'could not serialize: a transaction that the lead has committed is not yet visible on a follower',
    detail,
    hint: 'Nothing of this was applied on any writer. The transaction may be tried again.',
  });
}

/** Of PREPARE TRANSACTION: "maximum number of prepared transactions reached" (twophase.c). */
const OUT_OF_MEMORY = '53200';

/** Followers have not prepared. */
export function followersRefused(failures: readonly FollowerFailure[], { node }: CommitLeg): PproxError {
  const told = followerError(failures, [node.label], 'rolled back');
  const hint = failures.map(remedy).find((one) => one !== undefined);
  if (hint === undefined) return told;
  return new PproxError('follower_failed', {
    sqlstate: told.sqlstate,
    message: told.message,
    detail: told.detail,
    hint: `Nothing of this was applied on any writer. ${hint}`,
  });
}

/** What helps where a follower cannot prepare. */
function remedy(failure: FollowerFailure): string | undefined {
  if (failure.kind !== 'error') return undefined;
  switch (failure.fields.code) {
    case FEATURE_NOT_SUPPORTED:
      return `Disable there the trigger that does so (nobody listens on ${failure.label}, and its temporary tables are nobody's), or set PPROX_COMMIT_MODE=one-phase.`;
    case OUT_OF_MEMORY:
      return `Raise max_prepared_transactions of ${failure.label}, or end what is prepared there: "pprox recover" and pg_prepared_xacts show it.`;
    default:
      return undefined;
  }
}

/** The lead was lost in its COMMIT, and does not answer. `gids`: of the followers, in order. */
export function inDoubt(lead: CommitLeg, followers: readonly CommitLeg[], gids: readonly string[]): PproxError {
  const lines = followers.map(({ node }, index) => `${node.label}: prepared as ${gids[index]}`);
  return new PproxError('commit_unknown', {
    message: `the connection to ${lead.node.label} was lost while it committed, and it does not answer`,
    detail: [`${lead.node.label}: unknown`, ...lines].join('\n'),
    hint: `Every writer will do as the lead did once it answers. Ask for it by SELECT pprox.outcome('${gids[0]}').`,
  });
}

/** An error where the lead does not tell who it is. */
export function homeOf({ node, backend }: CommitLeg): Home | PproxError {
  const systemIdentifier = node.identity?.systemIdentifier;
  if (systemIdentifier === undefined || backend.databaseOid === '') {
    return new PproxError('two_phase_unavailable', {
      message: `${node.label} does not tell its system identifier`,
      detail: 'The names of prepared transactions say whose they are.',
      hint: 'GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() TO the login role, or set PPROX_COMMIT_MODE=one-phase.',
    });
  }
  return { systemIdentifier, databaseOid: backend.databaseOid };
}
