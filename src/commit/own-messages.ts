/**
 * What the lead and the followers are sent by every commit, one message each. Its texts are prepared once on each connection,
 * under names of ours.
 */
import type { PreparedNames } from '../backend/prepared.ts';
import { ExtendedWriter } from '../wire/extended.ts';
import { CHECK, DECISION, prepareText, ROLE_NONE, XID } from './decisions.ts';

/** No client's statement has a name like these on a server. */
const STATEMENTS = {
  'pprox: authorization': DECISION.authorization,
  'pprox: role': ROLE_NONE,
  'pprox: decision': DECISION.row,
  'pprox: commit': 'COMMIT',
  'pprox: commit and chain': 'COMMIT AND CHAIN',
  'pprox: position': 'SELECT pg_catalog.pg_current_wal_insert_lsn()',
  'pprox: check': CHECK,
  'pprox: xid': XID,
} as const;
type Name = keyof typeof STATEMENTS;

const NO_VALUES = { formats: [], values: [], resultFormats: [] };

/** Statements of ours in a row, ending in one Sync: where one fails the rest is not reached (manual, "Extended Query"). */
class OwnMessage {
  readonly #writer = new ExtendedWriter();
  readonly #prepared: PreparedNames;

  /** `prepared`: of the connection that it is for. */
  constructor(prepared: PreparedNames) {
    this.#prepared = prepared;
  }

  run(name: Name, values: readonly Buffer[] = []): this {
    // One that is there unknown to us would be in the way.
    if (this.#prepared.addOwn(name)) {
      this.#writer.close('statement', name).parse(name, Buffer.from(STATEMENTS[name]), []);
    }
    this.#writer.bind('', name, { ...NO_VALUES, values }).execute('', 0);
    return this;
  }

  /** A text that is another one every time. */
  runOnce(text: string): this {
    this.#prepared.unnamed = undefined;
    this.#writer.parse('', Buffer.from(text), []).bind('', '', NO_VALUES).execute('', 0);
    return this;
  }

  sync(): Buffer {
    return this.#writer.sync();
  }
}

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
    .run('pprox: authorization')
    .run('pprox: role')
    .run('pprox: decision', [Buffer.from(id, 'latin1')])
    .run(`pprox: ${end}`);
  if (position === 'asked for') message.run('pprox: position');
  return message.sync();
}

/**
 * For a follower: its transaction's xid, by which it can be asked for later, and PREPARE, as the login role. `deferred`:
 * constraints that wait for the end speak before, as the client's role.
 */
export function encodePrepare(prepared: PreparedNames, gid: string, deferred: 'none' | 'possible'): Buffer {
  const message = new OwnMessage(prepared);
  if (deferred === 'possible') message.run('pprox: check');
  return message.run('pprox: role').run('pprox: xid').runOnce(prepareText(gid)).sync();
}
