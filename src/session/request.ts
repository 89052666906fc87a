/**
 * One statement as its client has asked for it: what a server is sent, and which part of the reply is the client's. What
 * runs statements (read, write, copy, outside-block) knows no protocol; this does.
 */
import type { Backend } from '../backend/backend.ts';
import type { Node } from '../cluster/node.ts';
import type { Positions, Rewritten } from '../sql/positions.ts';
import type { Statement } from '../sql/statement.ts';
import type { BindMessage } from '../wire/extended.ts';
import type { ClientStatement } from './client-statement.ts';
import type { ReplyScript } from './reply-script.ts';
import type { RowLimit } from './row-limit.ts';

/** Columns of ours that a statement returns in addition, behind the client's. */
export interface Addition {
  /** Behind the statement's text: RETURNING, or more of it. */
  readonly returning: string;
  readonly width: number;
  /** Whether the client's statement returns rows by itself. */
  readonly client: 'rows' | 'no rows';
}

/** What an EXECUTE runs, and with which values. */
export interface Execution {
  readonly statement: ClientStatement;
  readonly analysed: Statement;
  readonly values: Pick<BindMessage, 'formats' | 'values'>;
}

/** Messages that end in exactly one ReadyForQuery. */
export interface Sending {
  readonly message: Buffer;
  /** What becomes of the answers to Parse, Bind, Describe and Close; undefined for a simple query. */
  readonly replies: ReplyScript | undefined;
}

export interface Request {
  /** The statement's text: what the statement's spans count in. */
  readonly text: Buffer;
  /** In the client's text, of `text`. */
  readonly positions: Positions;
  /** What this execution is given beside its text, as far as it is text or a number. */
  values(): readonly string[];
  /** `several`: reads that are sent together; none of them can be told from the others. */
  readonly statements: 'one' | 'several';
  /**
   * Whatever must be so before `backend` can be sent this: prepared statements. Undefined where nothing is missing.
   * Rejects with BackendLostError, ServerError or PproxError.
   */
  prepare(backend: Backend, addition?: Addition): Promise<void> | undefined;
  /** For the lead or the reader. */
  encode(backend: Backend, addition?: Addition, rows?: 'as asked' | 'all rows'): Sending;
  /** For what is encoded with `all rows`: which of them the client gets now; undefined where it gets them all. */
  rowLimit(): RowLimit | undefined;
  /** What ends the reply for the client, once the statement is done everywhere. */
  completed(held: Buffer | undefined): Buffer | undefined;
  /** For a follower, once the lead has run it: `text` in place of the statement's own, the same parameters. */
  encodeFor(node: Node, text: Buffer, addition?: Addition): Buffer;
  /** Whether `prepareFollowers` has anything to ask. */
  readonly followerTypes: 'as on the lead' | 'to be asked';
  /** What `encodeFor` has to know of the followers. */
  prepareFollowers(nodes: readonly { readonly node: Node; readonly backend: Backend }[]): Promise<void> | undefined;
  /** As seen with this execution's parameters, which may vary where the text does not. */
  executed(statement: Statement): Statement;
  /** The same, for the statement that it names by EXECUTE. */
  executing(execution: Execution): Request;
  /** The same with another text, read as `analysed`. Throws PproxError where a server has the client's own by now. */
  retold(told: Rewritten, analysed: Statement): Request;
  /** Tells the client that everything in front of the statement's execution is done, where no server is asked. */
  say(): void;
}

/** The statement's text with something behind its end: RETURNING is the last clause of what has one. */
export function withAddition(text: Buffer, end: number, addition: Addition | undefined): Buffer {
  return addition === undefined ? text : Buffer.concat([text.subarray(0, end), Buffer.from(addition.returning)]);
}
