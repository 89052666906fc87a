/** BEGIN, COMMIT, ROLLBACK, SAVEPOINT and their kin: what they mean where the block is now. */
import { followerError } from '../fanout/follower.ts';
import { unreachable } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import { quoteIdentifier } from '../sql/quote.ts';
import type { Statement, TransactionAction, TransactionModes } from '../sql/statement.ts';
import { TransactionStatus } from '../wire/tags.ts';
import { commitBlock, rollbackBlock, rollbackByClient } from './block-end.ts';
import { refuseReadOnly } from './read-only.ts';
import { openPending, readOnLead } from './read.ts';
import { StatementRelay } from './relay.ts';
import { ReplayLog } from '../fanout/replay-log.ts';
import type { Legs } from './legs.ts';
import { askLegs, unmarkText } from './replay.ts';
import { SimpleRequest } from './simple-request.ts';
import { Completion, failedBlock, NO_TRANSACTION } from './reply.ts';
import { isolationCalled, type WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { DONE, FAILED, type StatementEnd } from './statement-end.ts';
import { PlannedBy } from './planned-by.ts';
import { untouched } from './touched.ts';
import { Trail } from './trail.ts';
import { callOffTrail, followersCaughtUp } from './trailing.ts';
import { openImplicit } from './write.ts';

export async function control(
  session: SessionState,
  statement: Statement,
  text: Buffer,
  company: 'one' | 'many',
): Promise<StatementEnd> {
  const { command } = statement;
  if (command.kind !== 'transaction') throw new TypeError('not a transaction statement');
  const { block } = session;
  switch (block.kind) {
    case 'none':
      if (command.action === 'begin') return begin(session, text, command);
      if (command.action === 'prepare' || command.action.endsWith('prepared')) throw preparedRefused();
      // Savepoints and ends outside a block: warnings and errors that are the lead's to say. Several statements in one
      // text are a block of their own to PostgreSQL, and give other words than a lone one.
      if (company === 'many' && (command.action === 'commit' || command.action === 'rollback'))
        return endNothing(session, command);
      if (company === 'many') return savepointOutside(command);
      return outside(session, statement, command, text);
    case 'pending':
      if (command.action === 'commit' || command.action === 'rollback') {
        if (!command.chain) session.block = { kind: 'none' };
        session.link.send(command.action === 'commit' ? Completion.commit : Completion.rollback);
        return DONE;
      }
      await openPending(session, block.begin);
      return control(session, statement, text, company);
    case 'reader':
      return onReader(session, text, command);
    case 'lost':
      if (command.action !== 'commit' && command.action !== 'rollback') throw failedBlock();
      session.block = { kind: 'none' };
      session.link.send(Completion.rollback);
      return DONE;
    case 'writers':
      return block.mode === 'implicit' ? inImplicit(session, block, command) : inBlock(session, block, text, command);
    default:
      return unreachable(block);
  }
}

/** A read-only block waits for its first statement; any other leases every writer before its first lock. */
async function begin(session: SessionState, text: Buffer, command: Beginning): Promise<StatementEnd> {
  const { modes, words } = command;
  const readable = session.cluster.reader !== undefined && !session.pinsReads;
  if (modes.access === 'read only' && modes.isolation !== 'serializable' && readable) {
    session.block = { kind: 'pending', begin: Buffer.from(text) };
    session.link.send(Completion[words]);
    return DONE;
  }
  return beginOnWriters(session, text, command);
}

type Beginning = TransactionAction & { readonly action: 'begin' };

async function beginOnWriters(session: SessionState, text: Buffer, { modes, words }: Beginning): Promise<StatementEnd> {
  const legs = await session.leaseWriters('if up');
  const begun = Object.values(modes).every((mode) => mode === undefined)
    ? beginWithNext(session, legs, words)
    : await beginNow(session, legs, text);
  if (begun === undefined) return FAILED;
  session.block = {
    kind: 'writers',
    legs,
    mode: 'explicit',
    status: begun.status,
    savepoints: [],
    trail: new Trail(),
    log: new ReplayLog(),
    isolation: isolationOf(modes, session.defaultIsolation(legs)),
    access: accessOf(modes, session.defaultAccess(legs)),
    stage: 'open',
    writes: 'none',
    catalog: 'unchanged',
    touched: untouched(),
    plannedBy: new PlannedBy(session.services),
  };
  return begun.end;
}

interface Begun {
  readonly status: number;
  readonly end: StatementEnd;
}

/** What is to be begun with characteristics of its own the lead may refuse: it is asked. Undefined: there is no block. */
async function beginNow(session: SessionState, legs: Legs, text: Buffer): Promise<Begun | undefined> {
  const { backend } = legs.lead.lease;
  const relay = new StatementRelay(session.link, backend);
  backend.query(text, relay);
  let result: Awaited<typeof relay.result>;
  try {
    result = await relay.result;
  } catch (error) {
    await session.giveBack(legs);
    throw error;
  }
  if (result.status === TransactionStatus.Idle) {
    await session.giveBack(legs);
    return undefined;
  }
  return { status: result.status, end: result.error === undefined ? DONE : FAILED };
}

/**
 * A plain BEGIN outside a transaction has one answer: the client gets it, and the lead its BEGIN in one write with what follows, or soon: its
 * transaction's now() and its idle time are the lead's.
 */
function beginWithNext(session: SessionState, { lead: { lease } }: Legs, words: Beginning['words']): Begun {
  lease.backend.ahead('begin', ['BEGIN']);
  session.link.send(Completion[words]);
  return { status: TransactionStatus.InBlock, end: DONE };
}

/** From the weakest on. */
const ISOLATION: readonly WritersBlock['isolation'][] = [
  'read committed',
  'repeatable read',
  'serializable',
  'unknown',
];

/** The client asks for characteristics in the course of its transaction; the lead may not grant them: the stricter ones count. */
export function noteModes({ block }: SessionState, modes: TransactionModes): void {
  if (block.kind !== 'writers') return;
  const isolation = isolationOf(modes, block.isolation);
  if (ISOLATION.indexOf(isolation) > ISOLATION.indexOf(block.isolation)) block.isolation = isolation;
  if (modes.access === 'read only') block.access = 'read only or unknown';
}

function accessOf({ access }: TransactionModes, otherwise: WritersBlock['access']): WritersBlock['access'] {
  if (access === undefined) return otherwise;
  return access === 'read only' ? 'read only or unknown' : 'read write';
}

function isolationOf(modes: TransactionModes, otherwise: WritersBlock['isolation']): WritersBlock['isolation'] {
  if (modes.isolation === undefined) return otherwise;
  return isolationCalled(modes.isolation);
}

async function onReader(session: SessionState, text: Buffer, command: TransactionAction): Promise<StatementEnd> {
  const { block, settings } = session;
  if (block.kind !== 'reader') return DONE;
  const commits = command.action === 'commit' && block.status === TransactionStatus.InBlock;
  const relay = new StatementRelay(session.link, block.lease.backend);
  block.lease.backend.query(text, relay);
  const result = await relay.result;
  block.status = result.status;
  if (block.after !== 'reuse') session.told.note(block.lease.backend, 'reader');
  if (result.error === undefined) {
    if (commits) settings.commit();
    else if (command.action === 'commit' || command.action === 'rollback') settings.rollback();
    else trackSavepoint(session, command);
  }
  if (result.status === TransactionStatus.Idle) {
    session.block = { kind: 'none' };
    await session.cancels.settled(block.lease.backend);
    block.lease.release(block.after);
  }
  return result.error === undefined ? DONE : FAILED;
}

/** What was set since goes with the savepoint. */
function trackSavepoint({ settings }: SessionState, command: TransactionAction): void {
  if (command.action === 'savepoint') settings.savepoint(command.name);
  else if (command.action === 'release') settings.release(command.name);
  else if (command.action === 'rollback to') settings.rollbackTo(command.name);
}

/** Alone outside a block. The end of nothing needs no server: while there is none, it is ended without the lead's words. */
async function outside(
  session: SessionState,
  statement: Statement,
  command: TransactionAction,
  text: Buffer,
): Promise<StatementEnd> {
  try {
    return await readOnLead(session, statement, new SimpleRequest(session, text, text.length));
  } catch (error) {
    const ends = (command.action === 'commit' || command.action === 'rollback') && !command.chain;
    if (!ends || !(error instanceof PproxError) || error.outcome !== 'not_sent') throw error;
    session.link.send(NO_TRANSACTION);
    session.link.send(command.action === 'commit' ? Completion.commit : Completion.rollback);
    return DONE;
  }
}

/** Inside one text of several statements, with no BEGIN: PostgreSQL's implicit block (xact.c, TBLOCK_IMPLICIT_INPROGRESS). */
async function inImplicit(
  session: SessionState,
  block: WritersBlock,
  command: TransactionAction,
): Promise<StatementEnd> {
  switch (command.action) {
    case 'begin': {
      const set = modesText(command.modes);
      if (set !== undefined) {
        const { backend } = block.legs.lead.lease;
        const relay = new StatementRelay(session.link, backend, 'drop completion');
        backend.query(set, relay);
        const { error, status } = await relay.result;
        block.status = status;
        if (error !== undefined) return FAILED;
      }
      session.block = {
        ...block,
        mode: 'explicit',
        isolation: isolationOf(command.modes, block.isolation),
        access: accessOf(command.modes, block.access),
      };
      session.link.send(Completion[command.words]);
      return DONE;
    }
    case 'commit':
    case 'rollback':
      if (command.chain) throw outsideOnly(`${command.action.toUpperCase()} AND CHAIN`);
      session.link.send(NO_TRANSACTION);
      if (command.action === 'commit') return commit(session, block, false);
      await rollbackBlock(session, block);
      session.link.send(Completion.rollback);
      return DONE;
    case 'prepare':
    case 'commit prepared':
    case 'rollback prepared':
      throw preparedRefused();
    default:
      return savepointOutside(command);
  }
}

async function inBlock(
  session: SessionState,
  block: WritersBlock,
  text: Buffer,
  command: TransactionAction,
): Promise<StatementEnd> {
  switch (command.action) {
    case 'commit':
      if (block.status === TransactionStatus.InBlock) return commit(session, block, command.chain);
      await rollbackByClient(session, block, text, command.chain);
      return DONE;
    case 'rollback':
      await rollbackByClient(session, block, text, command.chain);
      return DONE;
    case 'prepare':
    case 'commit prepared':
    case 'rollback prepared':
      throw preparedRefused();
    case 'begin':
      await refuseReadOnly(session, command.modes);
      noteModes(session, command.modes);
      return onLead(session, block, text);
    case 'rollback to':
      session.own.undo();
      if (!block.legs.alive) throw failedBlock();
      return savepoint(session, block, text, command);
    default:
      return savepoint(session, block, text, command);
  }
}

async function commit(session: SessionState, block: WritersBlock, chain: boolean): Promise<StatementEnd> {
  const end = await commitBlock(session, block, { chain, completion: 'COMMIT' });
  return end === 'committed' ? DONE : FAILED;
}

async function onLead(session: SessionState, block: WritersBlock, text: Buffer): Promise<StatementEnd> {
  const { backend } = block.legs.lead.lease;
  const relay = new StatementRelay(session.link, backend);
  backend.query(text, relay);
  const result = await relay.result;
  session.told.note(backend);
  block.status = result.status;
  return result.error === undefined ? DONE : FAILED;
}

/**
 * On the lead and on the followers that have begun; the others get the open savepoints when they begin. ROLLBACK TO frees locks,
 * on the lead last: who gets them there would wait on a follower that has them still, until this transaction ends.
 */
async function savepoint(
  session: SessionState,
  block: WritersBlock,
  text: Buffer,
  command: TransactionAction & { name: string },
): Promise<StatementEnd> {
  const name = quoteIdentifier(command.name);
  if (command.action === 'rollback to') {
    await callOffTrail(session, block);
    if (block.savepoints.includes(name)) await savepointOnFollowers(session, block, command.action, name);
  } else if (block.status === TransactionStatus.InBlock) await followersCaughtUp(session, block);
  const end = await onLead(session, block, text);
  if (end.kind === 'failed') return end;
  trackSavepoint(session, command);
  if (command.action === 'rollback to') {
    block.trail.restart();
    block.touched.ownSequences?.forget();
  } else await savepointOnFollowers(session, block, command.action, name);
  const { ledger } = session.listening;
  if (command.action === 'savepoint') ledger.savepoint(name);
  else if (command.action === 'release') ledger.release(name);
  else ledger.rollbackTo(name);
  const { savepoints } = block;
  const at = savepoints.lastIndexOf(name);
  if (command.action === 'savepoint') savepoints.push(name);
  else if (command.action === 'release') savepoints.length = Math.max(at, 0);
  else savepoints.length = at + 1;
  return DONE;
}

async function savepointOnFollowers(
  session: SessionState,
  { legs, log }: WritersBlock,
  action: string,
  name: string,
): Promise<void> {
  const text = `${action.toUpperCase()} ${name}`;
  log.break();
  const failed = await askLegs(legs.begun, session.services.settings.followerTimeoutMs, (leg) => {
    const unmark = unmarkText(leg);
    return unmark === '' ? text : `${unmark}; ${text}`;
  });
  if (failed.length > 0)
    throw followerError(failed, [legs.lead.node.label], 'will be rolled back with the transaction');
}

/** COMMIT or ROLLBACK as one of several statements, with nothing before it: a warning, then the completion. */
async function endNothing(session: SessionState, command: TransactionAction): Promise<StatementEnd> {
  const block = await openImplicit(session);
  return inImplicit(session, block, command);
}

function savepointOutside(command: TransactionAction): StatementEnd {
  const words: Partial<Record<TransactionAction['action'], string>> = {
    savepoint: 'SAVEPOINT',
    release: 'RELEASE SAVEPOINT',
    'rollback to': 'ROLLBACK TO SAVEPOINT',
  };
  throw outsideOnly(words[command.action] ?? command.action.toUpperCase());
}

function outsideOnly(what: string): PproxError {
  return new PproxError('no_transaction_block', { message: `${what} can only be used in transaction blocks` });
}

function preparedRefused(): PproxError {
  return new PproxError('unsupported_feature', {
    message: 'PREPARE TRANSACTION is not supported through pprox',
    detail: 'A prepared transaction would stand on the lead alone.',
    hint: 'Commit the transaction, or prepare it on a server directly.',
  });
}

function modesText(modes: TransactionModes): string | undefined {
  const parts: string[] = [];
  if (modes.isolation !== undefined) parts.push(`ISOLATION LEVEL ${modes.isolation.toUpperCase()}`);
  if (modes.access !== undefined) parts.push(modes.access.toUpperCase());
  if (modes.deferrable !== undefined) parts.push(modes.deferrable ? 'DEFERRABLE' : 'NOT DEFERRABLE');
  return parts.length === 0 ? undefined : `SET TRANSACTION ${parts.join(', ')}`;
}
