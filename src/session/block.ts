/** The transaction of a session: on which servers it is, and what it has done there. */
import type { Lease } from '../backend/pool.ts';
import type { ReplayLog } from '../fanout/replay-log.ts';
import type { Legs } from './legs.ts';
import type { PlannedBy } from './planned-by.ts';
import type { Touched } from './touched.ts';
import type { Trail } from './trail.ts';

/** Of a transaction; `unknown`: its session may have another default than was seen. */
export type Isolation = 'read committed' | 'repeatable read' | 'serializable' | 'unknown';

/** A transaction on the writers. `implicit`: the client did not begin it; it ends with the query in hand. */
export interface WritersBlock {
  readonly kind: 'writers';
  readonly legs: Legs;
  readonly mode: 'explicit' | 'implicit';
  /** The lead's ReadyForQuery status: in a block, or failed. */
  status: number;
  /** Open savepoints in order, quoted, for followers that begin late. */
  savepoints: string[];
  /** What followers are behind the lead by. */
  readonly trail: Trail;
  /** What they have done, for as long as they may have to do it once more. */
  readonly log: ReplayLog;
  isolation: Isolation;
  access: 'read write' | 'read only or unknown';
  /** `ending`: its COMMIT or ROLLBACK is under way, which no cancel request may hit. */
  stage: 'open' | 'ending';
  /** Whether something has gone to the followers that is known to write. */
  writes: 'none' | 'possible';
  /**
   * `changed`: DDL has run in it; cached catalog knowledge is not to be used, and dropped at its end. `own view`: names
   * may mean other things in it, or values look different (SET LOCAL search_path); cached knowledge is not to be used.
   */
  catalog: 'unchanged' | 'own view' | 'changed';
  /** What its statements so far have changed, those that are taken back included. */
  readonly touched: Touched;
  /** And were planned by, and have changed of that. */
  readonly plannedBy: PlannedBy;
}

export type Block =
  | { readonly kind: 'none' }
  /** BEGIN READ ONLY that no server has seen yet: its first statement decides where it goes. */
  | { readonly kind: 'pending'; readonly begin: Buffer }
  /** `after`: what becomes of its server session then. */
  | { readonly kind: 'reader'; readonly lease: Lease; status: number; after: 'reuse' | 'session state not movable' }
  | WritersBlock
  /** Its servers are gone: nothing but its end is accepted, as in a failed block. */
  | { readonly kind: 'lost' };

/** As transaction_isolation and its default name it. */
export function isolationCalled(name: string): Isolation {
  if (name === 'read committed' || name === 'read uncommitted') return 'read committed';
  return name === 'repeatable read' || name === 'serializable' ? name : 'unknown';
}
