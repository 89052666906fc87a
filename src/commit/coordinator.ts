/**
 * How a transaction becomes durable on every writer or on none: the seam between the session, which knows what a client
 * asked for, and the protocol between the writers.
 */
import type { Backend } from '../backend/backend.ts';
import type { Lsn } from '../cluster/lsn.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import type { Node } from '../cluster/node.ts';
import type { PproxError } from '../lib/errors.ts';
import type { Changed } from '../sql/statement.ts';
import type { Definitions, Edition } from './definitions.ts';

/** What a commit needs of a server beside the backend of its transaction. */
export type CommitNode = Pick<Node, 'label' | 'identity' | 'login' | 'connect' | 'health'>;

export interface CommitLeg {
  readonly node: CommitNode;
  readonly backend: Backend;
}

/** A follower with a transaction of its own. */
export interface FollowerCommitLeg extends CommitLeg {
  /** What it is still to do in it before it can prepare; undefined where it has done all. */
  readonly behind?: Behind | undefined;
}

/** Statements of a transaction that a follower has not been sent: they go to it in one write with PREPARE. */
export interface Behind {
  /** Undefined, or resolves, when the follower shows what they have seen on the lead. Rejects with PproxError. */
  ready(): Promise<void> | undefined;
  /** Sends them. Resolves when they are answered, with what is wrong with the first that did not do what the lead did. */
  send(): Promise<FollowerFailure | undefined>;
  /** The same for the whole transaction, once it is rolled back there. */
  again(): Promise<FollowerFailure | undefined>;
}

/** A point in the order of this process's commits. */
export type Moment = number;

export interface CommitRequest {
  readonly lead: CommitLeg;
  readonly followers: readonly FollowerCommitLeg[];
  /** COMMIT AND CHAIN: the lead's next transaction begins with the same characteristics. */
  readonly chain: boolean;
  /** Whether the lead's COMMIT itself can still fail by the client's own doing (SERIALIZABLE). */
  readonly leadCommit: 'certain' | 'may fail';
  /** Where the lead has written nothing, followers have settings at most: there is nothing to decide. */
  readonly writes: 'likely' | 'to be asked';
  /** Whether constraints may be checked only at COMMIT: they are checked before the first server commits. */
  readonly deferred: 'none' | 'possible';
  /** The leg whose log position after its commit is wanted. */
  readonly position: Backend | undefined;
  readonly definitions: RequestDefinitions;
  /** Told by what name the transaction can be asked for later, where it gets one, before anything of it is durable. */
  readonly named?: (gid: string) => void;
}

/** What a transaction has done with sequences: said where they go on (setval, RESTART IDENTITY), and drawn values on the lead. */
export interface SequencesUsed {
  readonly set: 'none' | 'some';
  readonly drawn: 'none' | 'some';
}

/** Of a transaction: see `definitions.ts`. */
export interface RequestDefinitions {
  /** What it changes itself. */
  readonly changes: Changed;
  readonly sequences: SequencesUsed;
  /**
   * Once every server has run all of it: the edition that it is of, and has to be when it is decided; undefined where nothing was planned in
   * it, or nothing that changes from here on matters. Rejects with PproxError where it is of none, or BackendLostError where the lead's
   * connection is lost.
   */
  agree(): Promise<Edition | undefined>;
}

export type CommitOutcome =
  /** `frames`: what the lead said for the client (its COMMIT's completion, notices), as it came. */
  | {
      readonly kind: 'committed';
      readonly completion: Buffer;
      readonly frames: readonly Buffer[];
      readonly position: Lsn | undefined;
      /** As Edition has it, behind all that it has drawn; undefined where it has drawn nothing, or was not decided by a row. */
      readonly sequences: string | undefined;
    }
  /** Rolled back everywhere. `frame`: the lead's own ErrorResponse, or its ROLLBACK completion, as it came. */
  | { readonly kind: 'refused by lead'; readonly frames: readonly Buffer[] }
  | { readonly kind: 'rolled back'; readonly error: PproxError }
  /** Not known, or known to differ between writers: `error` says what is known of each. */
  | { readonly kind: 'unknown'; readonly error: PproxError };

/** Every leg is idle again when this resolves, or its connection is closed. Never rejects for what a server does. */
export interface Coordinator {
  commit(request: CommitRequest): Promise<CommitOutcome>;
  /**
   * Resolves when every follower shows what the lead showed then, now by default: a statement must not run on a follower before,
   * or it misses rows there that it has seen on the lead. Undefined where that is so already. Rejects with PproxError where it
   * takes longer than followers may.
   */
  visibleEverywhere(then?: Moment): Promise<void> | undefined;
  readonly moment: Moment;
  readonly definitions: Definitions;
  /** What the lead's own transaction has to write, at its end, for the followers to commit. */
  readonly decision: 'a row' | 'none';
  /** Whether the lead may show what a follower does not show yet. Only then may a follower be `behind` at its commit. */
  readonly leadAhead: 'never' | 'for a moment';
  /**
   * Resolves when what any process had prepared on the follower when this was called is over. Undefined where there is no such
   * thing. Rejects with PproxError where it takes longer than followers may, or cannot be found out.
   */
  othersVisible(follower: CommitLeg): Promise<void> | undefined;
}
