/**
 * One client's query that is run once more, where it has failed for a reason that no PostgreSQL server has.
 *
 *   first run ─► rolled back: a definition was changed meanwhile, a deadlock on a follower … ─► taken back ─► next run ─► answer
 *
 * It is a Query, or the one statement up to a Sync, that begins outside a block: whatever it was, it is whole in the proxy's hands. What it is
 * answered is kept in the client's link until its transaction has ended, a few kilobytes at most. What has left for the client is not run
 * again; nor is what a function may have left with its server session, or what stands behind a COMMIT: its answer is let go.
 */
import { draws } from '../fanout/leavings.ts';
import type { ReplayPlan } from '../fanout/plan.ts';
import { type Condition, PproxError } from '../lib/errors.ts';
import { OUTLASTING_FUNCTIONS } from '../sql/function-effects.ts';
import type { PinReason, Statement } from '../sql/statement.ts';
import { rollbackBlock } from './block-end.ts';
import { cancelled } from './cancels.ts';
import { causeOf } from './editions.ts';
import type { SessionState } from './state.ts';

/** In all. What comes between two runs is over when it is told; whoever meets it so often has a reason to know. */
const RUNS = 4;

/** What is rolled back on every writer, and is another transaction's doing that is over by then, or goes on by that. */
const OF_OTHERS: ReadonlySet<Condition> = new Set<Condition>([
  'definition_changed',
  'sequence_contended',
  'table_contended',
  'triggers_fired',
]);

/** serialization_failure, deadlock_detected: what waits for one another there does not on the lead. */
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
]);
/** So it is of these utilities; not where a cursor stands, or is closed. */
const UNDONE_NODES: ReadonlySet<string> = new Set(['ConstraintsSetStmt', 'LockStmt', 'NotifyStmt', 'TruncateStmt']);

/** A rollback does not take back locks of the session, or what was prepared. */
const LASTING: ReadonlySet<PinReason> = new Set<PinReason>(['advisory lock', 'setting', 'volatile function']);

function isUndone({ command, node, pins, unpins, sequences, nondeterminism, executes }: Statement): boolean {
  if (!UNDONE.has(command.kind) && !UNDONE_NODES.has(node)) return false;
  if (pins.some((pin) => LASTING.has(pin)) || unpins.includes('advisory lock')) return false;
  if (sequences.calls === 'setval' || executes !== undefined) return false;
  return !nondeterminism.some(({ name }) => OUTLASTING_FUNCTIONS.has(name.replace('()', '')));
}

/** By what a session has from before: a run moves it, and no rollback moves it back. */
function dependsOnSession(
  { pins, rerun, settings }: SessionState,
  { sequences, needsSequenceState }: Statement,
): boolean {
  if (pins.has('held cursor') || pins.has('setting') || settings.now.values.has('seed')) return true;
  return rerun?.drawnBefore === 'something' && (needsSequenceState || sequences.calls !== 'none');
}

export class Runs {
  readonly #session: SessionState;
  /** Requests for queries before. */
  readonly #cancels: number;
  #run = 1;

  constructor(session: SessionState) {
    this.#session = session;
    this.#cancels = session.cancels.received;
    const drawnBefore = session.pins.has('sequence value') ? 'something' : 'nothing';
    session.rerun = { drawnBefore, failed: undefined, reached: 0, planned: 0 };
  }

  /** Throws PproxError `cancelled` where a request has come between two runs and has found nothing to end. */
  check(): void {
    if (this.#run > 1 && this.#session.cancels.received !== this.#cancels) throw cancelled();
  }

  /** A run begins, outside a block, of these statements and nothing else. */
  begin(statements: readonly Statement[]): void {
    const repeatable = statements.every((one) => isUndone(one) && !dependsOnSession(this.#session, one));
    if (this.#run < RUNS && repeatable) this.#session.link.mayKeep();
  }

  /** Undefined where the query is to be run once more: nothing of this run is left then, on no server. Else the error that is to be reported. */
  async takeBack(error: unknown): Promise<unknown> {
    const session = this.#session;
    const { block, link } = session;
    if (!(error instanceof PproxError) || link.told || link.gone) return error;
    if (block.kind !== 'none' && block.kind !== 'writers') return error;
    const cause = block.kind === 'writers' ? await causeOf(session, block.plannedBy, error) : error;
    if (!isOfOthers(cause) || link.told) return error;
    link.takeBack();
    session.outdate(cause);
    const { rerun } = session;
    if (rerun !== undefined) {
      rerun.failed = cause;
      rerun.reached = rerun.planned;
      rerun.planned = 0;
    }
    session.log.info('run once more', { condition: cause.condition, sqlstate: cause.sqlstate, run: this.#run });
    this.#run++;
    if (block.kind === 'writers') {
      block.legs.doubtOwn();
      await rollbackBlock(session, block);
    }
    if (rerun?.drawnBefore === 'nothing') await session.forgetDrawn();
    return undefined;
  }
}

/**
 * Before what is planned so is run: where no rollback takes back all of it, the query is not run once more. Throws what the run before has failed
 * for, where that had got to it: it may have done it already, by what was defined meanwhile.
 */
export async function noteRun(session: SessionState, statement: Statement, plan: ReplayPlan): Promise<void> {
  const { link, rerun } = session;
  if (rerun === undefined || (link.told && rerun.failed === undefined)) return;
  rerun.planned++;
  if (await isUndoneByRollback(session, statement, plan)) return;
  link.letGo();
  if (rerun.failed !== undefined && rerun.planned <= rerun.reached) throw rerun.failed;
}

async function isUndoneByRollback(
  session: SessionState,
  statement: Statement,
  { leaves, effects }: ReplayPlan,
): Promise<boolean> {
  if (leaves === 'something') return false;
  const { catalog } = session.services;
  const drawn = session.rerun?.drawnBefore === 'something';
  if (effects !== 'hidden' && !drawn) return true;
  // They would be asked for anew, which takes longer than most statements.
  if (session.caching === 'forbidden') return false;
  const { outlasting, tellingPlaces } = await catalog.facts(session);
  if (effects === 'hidden' && outlasting !== 'nothing') return false;
  // What a session has drawn last may be told (currval, lastval); where it has drawn before, that cannot be had back.
  if (!drawn || tellingPlaces === 'none') return true;
  return effects !== 'hidden' && (await draws(catalog, session, statement)) === 'nothing';
}
