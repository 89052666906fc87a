/** What clients do, and what followers are told to do after it. */

export type Operation =
  /** Fails where the key is there already, as a unique index has it. */
  | { readonly kind: 'insert'; readonly key: string }
  /** A row that refers to another, by a foreign key or as a row of a table does to its table. */
  | { readonly kind: 'insert child'; readonly key: string; readonly parent: string }
  | { readonly kind: 'update'; readonly key: string }
  | { readonly kind: 'delete'; readonly key: string }
  /** Of the lead alone: every key of those whose history has a length of that remainder. */
  | { readonly kind: 'update where'; readonly keys: readonly string[]; readonly modulus: number; readonly rest: number }
  /** Of followers: the rows that the lead has changed, by key and in the lead's order. */
  | { readonly kind: 'update rows'; readonly keys: readonly string[] }
  /** The client's own. */
  | { readonly kind: 'savepoint' }
  | { readonly kind: 'rollback to savepoint' }
  /** A constraint that speaks only at the end. */
  | { readonly kind: 'violate at the end' };

/** What a follower does so that it has the lead's effect. Undefined: there was none. */
export function replayOf(operation: Operation, changed: readonly string[]): Operation | undefined {
  switch (operation.kind) {
    case 'update where':
      return changed.length === 0 ? undefined : { kind: 'update rows', keys: changed };
    case 'violate at the end':
      return undefined;
    case 'savepoint':
    case 'rollback to savepoint':
      return operation;
    default:
      return changed.length === 0 ? undefined : operation;
  }
}

/** A reply to everything that was sent in one message. */
export interface Reply {
  /** Of the first statement that failed; what came after it did not run. */
  error?: string;
  /** Which of them that was. */
  failed?: Statement['kind'];
  /** Keys that the last operation has changed. */
  changed: readonly string[];
  /** Of COMMIT and PREPARE TRANSACTION. */
  tag?: 'done' | 'ROLLBACK';
  prepared?: readonly Listed[];
  /** Of a decision that was read. */
  decision?: 'commit' | 'abort';
  ids?: readonly string[];
  xid?: number;
  fate?: 'committed' | 'aborted' | 'in progress';
}

/** A line of pg_prepared_xacts. */
export interface Listed {
  /** Undefined: of another program. */
  readonly id: string | undefined;
  readonly xid: number;
  readonly preparedAt: number;
}

/** A client's own, and the one in front of every statement of a follower. */
export type SavepointName = 'client' | 'replay';

export type Statement =
  | { readonly kind: 'begin'; readonly id: string }
  | { readonly kind: 'savepoint'; readonly name: SavepointName }
  | { readonly kind: 'rollback to savepoint'; readonly name: SavepointName }
  | { readonly kind: 'operation'; readonly operation: Operation }
  | { readonly kind: 'check' }
  | { readonly kind: 'commit' }
  | { readonly kind: 'rollback' }
  | { readonly kind: 'xid' }
  | { readonly kind: 'status'; readonly xid: number }
  | { readonly kind: 'prepare'; readonly id: string }
  | { readonly kind: 'finish'; readonly id: string; readonly decision: 'commit' | 'abort' }
  | { readonly kind: 'list' }
  | { readonly kind: 'insert decision'; readonly id: string; readonly committed: boolean }
  | { readonly kind: 'read decision'; readonly id: string }
  /** Of fences that no transaction can need any more, by the oldest transaction that still runs. */
  | { readonly kind: 'delete fences'; readonly rule: 'older than every transaction' | 'all' }
  /** Ids of decisions to commit that were written before. */
  | { readonly kind: 'list commits'; readonly before: number }
  | { readonly kind: 'delete decisions'; readonly ids: readonly string[] };

/** Statements at which a crash or a stop is interesting. */
export function isOfACommit({ kind }: Statement): boolean {
  return kind === 'prepare' || kind === 'commit' || kind === 'finish' || kind === 'insert decision';
}
