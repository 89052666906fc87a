/** What the lead and the followers are sent by every commit, one message each. */
import { OwnMessage, type OwnStatement } from '../backend/own-message.ts';
import type { PreparedNames } from '../backend/prepared.ts';
import type { Changed } from '../sql/statement.ts';
import { CHECK, DECISION, prepareText, ROLE_NONE, XID } from './decisions.ts';
import type { SequencesUsed } from './coordinator.ts';
import type { Edition } from './definitions.ts';

const STATEMENTS = {
  authorization: { name: 'pprox: authorization', text: DECISION.authorization },
  role: { name: 'pprox: role', text: ROLE_NONE },
  decision: { name: 'pprox: decision', text: DECISION.row },
  edition: { name: 'pprox: decision of an edition', text: DECISION.rowOfEdition },
  definition: { name: 'pprox: definition', text: DECISION.definition },
  sequences: { name: 'pprox: sequences', text: DECISION.sequences },
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
  /** Of the process that writes it, a UUID. */
  readonly process: string;
  /** It has to be this one still; undefined where that is known otherwise. */
  readonly edition: Edition | undefined;
  /** By the transaction itself. */
  readonly changes: Changed;
  readonly sequences: SequencesUsed;
  /** Asks for the log position behind the commit. Not with `commit and chain`: the next transaction has begun then. */
  readonly position: 'asked for' | 'not asked for';
}

/**
 * For the lead: row and COMMIT. Where the row fails the transaction stands, failed. Where values were drawn, the first row of the reply says what
 * others have counted of sequences.
 */
export function encodeDecision(prepared: PreparedNames, options: DecisionOptions): Buffer {
  const { id, process, edition, changes, sequences, end, position } = options;
  const message = new OwnMessage(prepared).run(STATEMENTS.authorization).run(STATEMENTS.role);
  const [relations, objects] = [changes === 'relations' ? 1n : 0n, changes === 'objects' ? 1n : 0n];
  const set = sequences.set === 'some' ? 1n : 0n;
  if (changes !== 'nothing' || sequences.set === 'some')
    message.run(STATEMENTS.definition, values(process, relations, objects, set));
  if (sequences.drawn === 'some') message.run(STATEMENTS.sequences, values(process));
  if (edition === undefined) message.run(STATEMENTS.decision, values(id));
  // What it has changed itself it sees too; of relations, those of others alone.
  else message.run(STATEMENTS.edition, values(id, process, edition.relations, BigInt(edition.objects) + objects));
  message.run(STATEMENTS[end]);
  if (position === 'asked for') message.run(STATEMENTS.position);
  return message.sync();
}

function values(...texts: readonly (string | bigint)[]): Buffer[] {
  return texts.map((text) => Buffer.from(String(text), 'latin1'));
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
