/** What the lead and the followers are sent by every commit, one message each. */
import { OwnMessage, type OwnStatement } from '../backend/own-message.ts';
import type { PreparedNames } from '../backend/prepared.ts';
import { CHECK, DECISION, prepareText, ROLE_NONE, XID } from './decisions.ts';

const STATEMENTS = {
  authorization: { name: 'pprox: authorization', text: DECISION.authorization },
  role: { name: 'pprox: role', text: ROLE_NONE },
  decision: { name: 'pprox: decision', text: DECISION.row },
  commit: { name: 'pprox: commit', text: 'COMMIT' },
  'commit and chain': { name: 'pprox: commit and chain', text: 'COMMIT AND CHAIN' },
  position: { name: 'pprox: position', text: 'SELECT pg_catalog.pg_current_wal_insert_lsn()' },
  check: { name: 'pprox: check', text: CHECK },
  xid: { name: 'pprox: xid', text: XID },
} as const satisfies Record<string, OwnStatement>;

export interface DecisionOptions {
  /** The transaction's, a UUID. */
  readonly id: string;
  readonly end: 'commit' | 'commit and chain';
  /** Asks for the log position behind the commit. Not with `commit and chain`: the next transaction has begun then. */
  readonly position: 'asked for' | 'not asked for';
}

/** For the lead: row and COMMIT. Where the row fails the transaction stands, failed. */
export function encodeDecision(prepared: PreparedNames, { id, end, position }: DecisionOptions): Buffer {
  const message = new OwnMessage(prepared)
    .run(STATEMENTS.authorization)
    .run(STATEMENTS.role)
    .run(STATEMENTS.decision, [Buffer.from(id, 'latin1')])
    .run(STATEMENTS[end]);
  if (position === 'asked for') message.run(STATEMENTS.position);
  return message.sync();
}

/**
 * For a follower: its transaction's xid, by which it can be asked for later, and PREPARE, as the login role. `deferred`:
 * constraints that wait for the end speak before, as the client's role.
 */
export function encodePrepare(prepared: PreparedNames, gid: string, deferred: 'none' | 'possible'): Buffer {
  const message = new OwnMessage(prepared);
  if (deferred === 'possible') message.run(STATEMENTS.check);
  return message.run(STATEMENTS.role).run(STATEMENTS.xid).runOnce(prepareText(gid)).sync();
}
