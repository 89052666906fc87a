/**
 * One client's query that is run once more, where it has failed for a reason that no PostgreSQL server has.
 *
 *   first run ─► rolled back: a definition was changed meanwhile, a deadlock between servers … ─► taken back ─► next run ─► answer
 *
 * It is a Query, or the one statement up to a Sync, that begins outside a block: whatever it was, it is whole in the proxy's hands. What it is
 * answered is kept in the client's link until its transaction has ended, a few kilobytes at most. What has left for the client is not run
 * again; nor is what a function may have left with its server session, or what stands behind a COMMIT: its answer is let go.
 */
import { PproxError } from '../lib/errors.ts';
import type { Condition } from '../lib/errors.ts';
import type { PinReason, Statement } from '../sql/statement.ts';
import { rollbackBlock } from './block-end.ts';
import { causeOf } from './editions.ts';
import type { SessionState } from './state.ts';

/** In all. What comes between two runs is over when it is told; whoever meets it so often has a reason to know. */
const RUNS = 4;

/** What is rolled back on every writer, and is another transaction's doing that is over by then, or goes on by that. */
const OF_OTHERS: ReadonlySet<Condition> = new Set<Condition>([
  'deadlock_between_servers',
  'definition_changed',
  'sequence_contended',
  'table_contended',
  'triggers_fired',
]);

/** serialization_failure, deadlock_detected. */
const OF_FOLLOWERS: ReadonlySet<string> = new Set(['40001', '40P01']);

function isOfOthers({ condition, sqlstate }: PproxError): boolean {
  return OF_OTHERS.has(condition) || (condition === 'follower_failed' && OF_FOLLOWERS.has(sqlstate));
}

/** All that they do is undone by a rollback, and their text is all that they take. */
const UNDONE: ReadonlySet<Statement['command']['kind']> = new Set([
  'definition',
  'insert',
  'modify',
  'read',
  'set',
  'transaction',
  'utility',
]);

/** A rollback does not take back locks of the session, or what was prepared. */
const LASTING: ReadonlySet<PinReason> = new Set<PinReason>(['advisory lock', 'setting', 'volatile function']);

function isUndone({ command, pins, unpins }: Statement): boolean {
  return UNDONE.has(command.kind) && !pins.some((pin) => LASTING.has(pin)) && !unpins.includes('advisory lock');
}

export class Runs {
  readonly #session: SessionState;
  #run = 1;

  constructor(session: SessionState) {
    this.#session = session;
  }

  /** A run begins, outside a block, of these statements and nothing else. */
  begin(statements: readonly Statement[]): void {
    if (this.#run < RUNS && statements.every(isUndone)) this.#session.link.mayKeep();
  }

  /** Whether the query is to be run once more: nothing of this run is left then, on no server. Else the error is to be reported. */
  async takenBack(error: unknown): Promise<boolean> {
    const session = this.#session;
    const { block, link } = session;
    if (!(error instanceof PproxError) || link.told || link.gone) return false;
    if (block.kind !== 'none' && block.kind !== 'writers') return false;
    const cause = block.kind === 'writers' ? await causeOf(session, block.plannedBy, error) : error;
    if (!isOfOthers(cause) || link.told) return false;
    link.takeBack();
    session.outdate(cause);
    session.log.info('run once more', { condition: cause.condition, sqlstate: cause.sqlstate, run: this.#run });
    this.#run++;
    if (block.kind === 'writers') {
      block.legs.doubtOwn();
      await rollbackBlock(session, block);
    }
    return true;
  }
}
