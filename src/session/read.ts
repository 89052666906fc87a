/** Statements that change nothing on the followers: on the reader where it may serve them, else on the lead. */
import type { Backend } from '../backend/backend.ts';
import type { Lease } from '../backend/pool.ts';
import { ReplayLog } from '../fanout/replay-log.ts';
import { BackendLostError } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';
import type { Route, Statement } from '../sql/statement.ts';
import { READ_ONLY, READER_REFUSALS, Relay, type RelayResult } from './relay.ts';
import type { Request } from './request.ts';
import { ServerError } from './reply.ts';
import { resolveRoute } from './route.ts';
import { learnSettings } from './setting-transfer.ts';
import { doubt, doubtAlone } from './doubts.ts';
import { notePins, settlePins } from './pins.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { TransactionStatus } from '../wire/tags.ts';
import { DONE, FAILED, type StatementEnd } from './statement-end.ts';
import { rememberPosition } from './position.ts';
import { PlannedBy } from './planned-by.ts';
import { untouched } from './touched.ts';
import { Trail } from './trail.ts';
import { writeStatement } from './write.ts';

/**
 * Forwards one query's reply from `backend`; a cancel of the client reaches it. `held`: its completion is not forwarded, and is
 * the result's.
 */
async function relay(
  session: SessionState,
  backend: Backend,
  request: Request,
  source: 'lead' | 'reader',
  completion: 'forwarded' | 'held' = 'forwarded',
): Promise<{ relay: Relay; result: RelayResult }> {
  await request.prepare(backend);
  const { message, replies } = request.encode(backend);
  const forward = new Relay(session.link, backend, {
    completion: completion === 'held' ? 'hold' : 'forward',
    refusals: source === 'reader' && session.block.kind === 'none' ? 'withhold' : undefined,
    replies,
  });
  backend.send(message, forward);
  try {
    const result = await session.cancellable(backend, forward.result);
    if (source === 'lead') session.told.note(backend);
    return { relay: forward, result };
  } catch (error) {
    if (error instanceof BackendLostError && backend.insideFrame) session.link.end();
    if (error instanceof BackendLostError && forward.forwarded === 'something') {
      throw new PproxError('read_lost', {
        message: `the connection to the ${source} ${error.lost.server} was lost: ${error.message}`,
      });
    }
    throw error;
  }
}

/** A lease of the reader where it may serve this session now; undefined: the lead reads. */
async function leaseReader(session: SessionState): Promise<Lease | undefined> {
  const { reader } = session.cluster;
  if (reader === undefined || session.pinsReads) return undefined;
  let lease: Lease;
  try {
    lease = await session.lease(reader);
  } catch (error) {
    if (!(error instanceof PproxError) || error.condition === 'cancelled') throw error;
    if (session.services.settings.readerFailure === 'error') throw error;
    session.log.debug('read on lead', { reason: error.message });
    return undefined;
  }
  if (session.position === undefined) return lease;
  if (session.cluster.positionSource.kind === 'none') {
    session.position = undefined;
    return lease;
  }
  try {
    if (session.position === 'to be asked') await rememberPosition(session);
    if (typeof session.position === 'bigint' && (await session.cluster.hasReplayed(session.position, lease))) {
      session.position = undefined;
      return lease;
    }
    // A reader that is not what it was is looked at anew with the next connection.
    lease.release(session.cluster.relation.kind === 'unknown' ? 'server session lost' : 'reuse');
  } catch (error) {
    lease.release('server disconnected');
    if (!(error instanceof BackendLostError)) throw error;
  }
  return undefined;
}

/** A read outside a block, or a statement of a read-only block that has no server yet or has the reader. */
export async function readAnywhere(
  session: SessionState,
  statement: Statement,
  request: Request,
  route: Route,
): Promise<StatementEnd> {
  const { block } = session;
  if (block.kind === 'writers') return readOnLead(session, statement, request);
  if (block.kind === 'pending') {
    await place(session, block.begin, route);
    return session.block.kind === 'reader'
      ? readAnywhere(session, statement, request, route)
      : readOnLead(session, statement, request);
  }
  if (block.kind === 'reader') {
    refuseOnReader(statement);
    const { backend } = block.lease;
    const { result } = await relay(session, backend, request, 'reader');
    block.status = result.status;
    // What it leaves there is not the session's anywhere else, and must not be another's.
    if (route === 'writers' || statement.pins.length > 0 || statement.settings.length > 0)
      block.after = 'session state not movable';
    if (block.after !== 'reuse') session.told.note(backend, 'reader');
    if (result.error === undefined) await learnSettings(session, statement, backend);
    return result.error === undefined ? DONE : FAILED;
  }
  const lease = await leaseReader(session);
  if (lease === undefined) return readOnLead(session, statement, request);
  let refusal: string;
  const { parametersVersion } = lease.backend;
  try {
    const { result, relay: forward } = await relay(session, lease.backend, request, 'reader');
    await session.cancels.settled(lease.backend);
    if (result.error === undefined) return DONE;
    if (!READER_REFUSALS.has(result.error.code) || forward.forwarded === 'something') return FAILED;
    refusal = result.error.code;
  } catch (error) {
    // Nothing has reached the client, and a read may be asked twice. A reader that is behind knows other tables and types
    // than the lead has told the client of: what is wrong with the statement, if anything, is the lead's to say.
    const behind =
      error instanceof ServerError || (error instanceof PproxError && error.condition === 'result_type_changed');
    if (behind) {
      session.log.debug('read on lead', { reason: 'the reader does not know the statement as the lead does' });
      return await readOnLead(session, statement, request);
    }
    if (!(error instanceof BackendLostError) || session.services.settings.readerFailure === 'error') throw error;
    session.log.warn('read on lead', { reason: error.message });
    return await readOnLead(session, statement, request);
  } finally {
    // A function has set something, and may have more that is not reported.
    lease.release(lease.backend.parametersVersion === parametersVersion ? 'reuse' : 'session state not movable');
  }
  if (refusal !== READ_ONLY) {
    session.log.debug('read on lead', { reason: 'the reader refused', sqlstate: refusal });
    return readOnLead(session, statement, request);
  }
  if (request.statements === 'several') {
    throw new PproxError('not_replayed', {
      message: 'a read of a pipeline turned out to write',
      detail: 'Nothing was changed.',
      hint: 'Send it with a Sync of its own.',
    });
  }
  session.log.info('a read turned out to write', { node: statement.node });
  session.pins.add('volatile function');
  return writeStatement(session, statement, request, 'many');
}

/** Channels are the lead's: a reader would hear nothing, or tell others than the client's. */
function refuseOnReader({ command, node, reason }: Statement): void {
  const about = command.kind === 'listen' || command.kind === 'unlisten' || node === 'NotifyStmt';
  if (!about && !reason.includes('pg_notify()')) return;
  throw new PproxError('unsupported_feature', {
    message: 'LISTEN, UNLISTEN and NOTIFY are not possible behind a read in a READ ONLY transaction',
    detail: 'The transaction reads from the reader, and channels are the lead’s.',
    hint: 'Put them first in the transaction, or outside it.',
  });
}

/** The first statement of a read-only block decides where the block is. */
async function place(session: SessionState, begin: Buffer, route: Route): Promise<void> {
  const lease = route === 'reader' ? await leaseReader(session) : undefined;
  if (lease !== undefined) {
    try {
      const answer = await lease.backend.ask(begin.toString('utf8'));
      if (answer.error === undefined) {
        session.block = { kind: 'reader', lease, status: answer.status, after: 'reuse' };
        return;
      }
    } catch (error) {
      if (!(error instanceof BackendLostError) || session.services.settings.readerFailure === 'error') throw error;
      session.log.warn('read on lead', { reason: error.message });
    } finally {
      if (session.block.kind !== 'reader') lease.release('reuse');
    }
  }
  await openPending(session, begin);
}

/** A read-only block goes to the lead, without a second BEGIN for the client. */
export async function openPending(session: SessionState, begin: Buffer): Promise<void> {
  const legs = await session.leaseWriters('if up');
  legs.lead.lease.backend.ahead('begin', [begin.toString('utf8')]);
  session.block = {
    kind: 'writers',
    legs,
    mode: 'explicit',
    status: TransactionStatus.InBlock,
    savepoints: [],
    trail: new Trail(),
    log: new ReplayLog(),
    isolation: 'unknown',
    access: 'read only or unknown',
    stage: 'open',
    writes: 'none',
    catalog: 'unchanged',
    touched: untouched(),
    plannedBy: new PlannedBy(session.services),
  };
}

/** On the lead: in the block where there is one, else on its own. */
export async function readOnLead(session: SessionState, statement: Statement, request: Request): Promise<StatementEnd> {
  const { block } = session;
  if (block.kind === 'writers') {
    await followBefore(session, statement, block);
    const { backend } = block.legs.lead.lease;
    // The last of several statements is complete with their transaction.
    const completion = block.mode === 'implicit' ? 'held' : 'forwarded';
    const { result } = await relay(session, backend, request, 'lead', completion);
    block.status = result.status;
    if (result.error !== undefined) {
      doubt(session, statement, [backend]);
      return FAILED;
    }
    await keep(session, statement, backend);
    await followSequences(session, request.executed(statement));
    return { kind: 'done', held: result.held };
  }
  if (block.kind === 'reader') {
    // A failed read-only block: its own server says so.
    const { result } = await relay(session, block.lease.backend, request, 'reader');
    block.status = result.status;
    return result.error === undefined ? DONE : FAILED;
  }
  await session.listening.prepare(statement.command);
  const legs = await session.leaseLead();
  const { backend } = legs.lead.lease;
  const { parametersVersion } = backend;
  try {
    const { result } = await relay(session, backend, request, 'lead');
    if (result.error !== undefined) {
      await doubtAlone(session, statement, backend);
      return FAILED;
    }
    if (statement.route === 'reader' && backend.parametersVersion !== parametersVersion) {
      // A function has set something, and may have more that is not reported.
      session.pins.add('volatile function');
      session.view = 'perhaps its own';
    }
    await keep(session, statement, backend);
  } finally {
    await session.giveBack(legs, statement.route === 'reader' ? 'a read' : 'may have notified');
  }
  // Who asks the lead then does so on this connection, or on another: it must not wait for one that the session holds.
  await followSequences(session, request.executed(statement));
  return DONE;
}

/** What a successful statement leaves behind: pins and settings. */
export async function keep(session: SessionState, statement: Statement, backend: Backend): Promise<void> {
  notePins(session, statement, 'not looked at');
  await learnSettings(session, statement, backend);
  await settlePins(session, backend);
  const { command } = statement;
  session.listening.ran(command, session.block.kind === 'none' ? 'alone' : 'in a block');
  if (command.kind === 'set transaction' && session.block.kind === 'writers') {
    session.block.isolation = 'unknown';
    session.block.access = 'read only or unknown';
  }
  // What it sees from here on is of a moment that nobody here knows.
  if (command.kind === 'set' && command.name === 'transaction snapshot' && session.block.kind === 'writers')
    if (session.block.catalog === 'unchanged') session.block.catalog = 'own view';
  if (command.kind === 'discard' && command.what === 'all') backend.prepared.clear();
}

/** Followers' sequences stay ahead of the lead's. */
export async function followSequences(session: SessionState, statement: Statement): Promise<void> {
  const { sequences, node, command } = statement;
  const moved = node === 'FetchStmt' && session.cursors === 'may draw';
  // A default of a temporary table, its trigger, a temporary view.
  const acts = command.kind !== 'read' || session.pins.has('volatile function');
  const alone = acts && session.pins.has('temporary object') && statement.relations.length > 0;
  const drawn = sequences.calls === 'nextval' || moved;
  if (!drawn && !alone) return;
  if (node === 'DeclareCursorStmt') session.cursors = 'may draw';
  const { block } = session;
  // In a block it is asked for at its end.
  if (alone && block.kind === 'writers') block.touched.drawnAlone = 'perhaps some';
  try {
    if (alone && block.kind === 'none') await session.sequences.afterTemporary(session);
    if (drawn) await session.sequences.afterNextval(session, moved ? [] : sequences.names);
  } catch (error) {
    // Values that were drawn and are used by nobody are what a rollback leaves, too.
    throw error instanceof PproxError ? error.ofTransaction() : error;
  }
  if (block.kind === 'none') await rememberPosition(session);
}

/** What temporary objects have drawn from is not to be seen any more when they are gone. */
async function followBefore(session: SessionState, { command }: Statement, block: WritersBlock): Promise<void> {
  if (block.touched.drawnAlone === 'none' || block.status !== TransactionStatus.InBlock) return;
  if (command.kind !== 'definition' && command.kind !== 'discard') return;
  await session.sequences.afterTemporary(session);
}

/** Several statements that are all reads, in no block: one query on the reader, as PostgreSQL would run it. */
export async function readWhole(
  session: SessionState,
  request: Request,
  statements: readonly Statement[],
): Promise<boolean> {
  if (session.block.kind !== 'none' || session.pinsReads) return false;
  const first = statements[0];
  if (first === undefined) return false;
  for (const statement of statements) {
    if (statement.route !== 'reader' || (await resolveRoute(session, statement, undefined)) !== 'reader') return false;
  }
  await readAnywhere(session, first, request, 'reader');
  return true;
}
