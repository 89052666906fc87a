/**
 * Tables that nobody else may write to until the transaction ends: what their session finds in them is the same on every writer.
 *
 *     nobody writes to them      ─► locked at once
 *     several are changed, have  ─► not locked: followers are told what the lead has done
 *     keys, and are small
 *     else                       ─► locked, once those that write to them have ended
 */
import { type Answer, Collector } from '../backend/receiver.ts';
import { accessOf, accessText } from '../fanout/captured-rows.ts';
import { type LeadAlonePlan, locksOf, type NotReplayable, notReplayable, type ReplayPlan } from '../fanout/plan.ts';
import { qualified, quoteLiteral } from '../sql/quote.ts';
import type { Statement } from '../sql/statement.ts';
import { ServerError } from './reply.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';

const SAVEPOINT = '"pprox: locks"';
const RELEASE = `RELEASE SAVEPOINT ${SAVEPOINT}`;
/** The locks are given back. */
const GO_BACK = `ROLLBACK TO SAVEPOINT ${SAVEPOINT}`;
/** Conflicts with every change of rows, and with itself. */
const MODE = 'IN SHARE ROW EXCLUSIVE MODE';
/**
 * How long the locks behind the first one are waited for, in milliseconds, round by round; then all of them are waited for as they come. All rounds of
 * several clients one behind the other should not last as long as deadlock_timeout, a second, behind which others are told of a deadlock.
 */
const PATIENCE_MS = [10, 10, 20, 20, 40, 40, 80, 80];
const LOCK_NOT_AVAILABLE = '55P03';

const HELD = notReplayable('its tables are written to by others');

/**
 * The plan that the statement goes by: as chosen, once the tables that it names are locked; or another one that needs no locks, where these would
 * not do or others hold them. Rejects with NotReplayable, and with ServerError as the lead refuses, a deadlock among its reasons. The client may
 * cancel the wait.
 */
export async function behindLocks(
  session: SessionState,
  block: WritersBlock,
  statement: Statement,
  chosen: ReplayPlan,
): Promise<ReplayPlan> {
  const names = locksOf(chosen);
  if (names.length === 0) return chosen;
  const { planner } = session.services;
  const older = await readsOlder(session, block);
  // A single change locks its rows in the order in which it finds them: that is better waited for.
  const useful = older !== undefined || statement.nested.length > 0;
  const alone = useful ? await planner.alone(session, statement, older ?? HELD) : undefined;
  if (older !== undefined && alone === undefined) throw older;
  if (older !== undefined && alone !== undefined) return alone;
  const tables = names.map(qualified);
  const all = `LOCK TABLE ${tables.join(', ')} ${MODE}`;
  if (tables.length === 1 && alone === undefined) {
    done(await asked(session, block, all));
    return chosen;
  }
  const atOnce = await asked(session, block, `SAVEPOINT ${SAVEPOINT}; ${all} NOWAIT; ${RELEASE}`);
  if (atOnce.answer.error?.code !== LOCK_NOT_AVAILABLE) {
    done(atOnce);
    return chosen;
  }
  await ask(session, block, GO_BACK);
  if (alone !== undefined && (await isQuick(session, block, alone))) {
    await ask(session, block, RELEASE);
    const insteadOfLocks: LeadAlonePlan = { ...alone, otherwise: 'locks' };
    return insteadOfLocks;
  }
  await lockInTurn(session, block, tables);
  return chosen;
}

/** Whether what it changes is soon found on the lead, and surely. */
async function isQuick(session: SessionState, block: WritersBlock, { runs, stored }: LeadAlonePlan): Promise<boolean> {
  if (runs !== 'nothing') return false;
  const tables = new Set(stored);
  // Rows that are gone are asked of a connection beside, which is the login role's.
  const [own, ...found] = (await ask(session, block, `SELECT current_user = session_user; ${accessText(stored)}`)).rows;
  if (own?.[0] !== 't' || found.length < tables.size) return false;
  return accessOf(found).every(
    ({ size, read, write }) => size === 'small' && read === 'allowed' && write === 'allowed',
  );
}

/**
 * On the lead, which every write passes first: resolves when those that were under way have ended there.
 *
 * Others who change two of the tables, one after the other, take them in any order. So while one lock is waited for no other is held for long: it is
 * given back, and the wait begins with the one that was not to be had.
 */
async function lockInTurn(session: SessionState, block: WritersBlock, tables: readonly string[]): Promise<void> {
  const { rows } = await ask(session, block, 'SHOW lock_timeout');
  const timeout = quoteLiteral(rows[0]?.[0] ?? '0');
  for (const [round, patience] of tables.length === 1 ? [] : PATIENCE_MS.entries()) {
    const [first = '', ...others] = [...tables.slice(round % tables.length), ...tables.slice(0, round % tables.length)];
    const text = [
      `LOCK TABLE ${first} ${MODE}`,
      `SET LOCAL lock_timeout = ${patience}`,
      `LOCK TABLE ${others.join(', ')} ${MODE}`,
      `SET LOCAL lock_timeout = ${timeout}`,
      RELEASE,
    ].join('; ');
    const locked = await asked(session, block, text);
    const { error, tags } = locked.answer;
    // The client's own lock_timeout is for the first one.
    if (error?.code !== LOCK_NOT_AVAILABLE || !tags.includes('SET')) return done(locked);
    await ask(session, block, GO_BACK);
  }
  return done(await asked(session, block, `LOCK TABLE ${tables.join(', ')} ${MODE}; ${RELEASE}`));
}

/** Why locks are of no use to the transaction: it reads an older state than the followers would. Undefined where it does not. */
async function readsOlder(session: SessionState, block: WritersBlock): Promise<NotReplayable | undefined> {
  // A SELECT would be the first query of a transaction that may still be told its isolation level.
  const { rows } = await ask(session, block, 'SHOW transaction_isolation');
  const isolation = rows[0]?.[0] ?? 'unknown';
  if (isolation === 'read committed' || isolation === 'read uncommitted') return undefined;
  return notReplayable(
    `what it finds has to be the newest, and its transaction is ${isolation.toUpperCase()}`,
    'Run it in a READ COMMITTED transaction, or give the table a primary key.',
  );
}

/** What the lead says to it; `frame`: its error as it came. */
interface Asked {
  readonly answer: Answer;
  readonly frame: Buffer | undefined;
}

async function asked(session: SessionState, block: WritersBlock, text: string): Promise<Asked> {
  const { backend } = block.legs.lead.lease;
  const collector = new Collector();
  backend.query(text, collector);
  const answer = await session.cancellable(backend, collector.reply);
  block.status = answer.status;
  return { answer, frame: collector.errorFrame };
}

/** Rejects with ServerError. */
async function ask(session: SessionState, block: WritersBlock, text: string): Promise<Answer> {
  const found = await asked(session, block, text);
  done(found);
  return found.answer;
}

/** Throws ServerError. */
function done({ frame }: Asked): void {
  if (frame !== undefined) throw new ServerError(frame);
}
