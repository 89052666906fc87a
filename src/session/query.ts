/**
 * One Query message: its statements in order, as one implicit transaction where no block is open (PostgreSQL, "Multiple
 * Statements in a Simple Query"), and the ReadyForQuery that ends it.
 */
import { BackendLostError } from '../backend/receiver.ts';
import { assert, unreachable } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import { characters } from '../sql/bytes.ts';
import { asksForChannels, withChannels } from '../sql/listening-channels.ts';
import { positionsThrough, samePositions, shiftedPositions } from '../sql/positions.ts';
import type { Statement, Unreadable } from '../sql/statement.ts';
import { EMPTY_QUERY_RESPONSE } from '../wire/backend.ts';
import { encodeParseSync } from '../wire/frontend.ts';
import { TransactionStatus } from '../wire/tags.ts';
import { Collector } from '../backend/receiver.ts';
import { analyse, readText } from './analysis.ts';
import { abortBlock, commitBlock, loseBlock, rollbackBlock, settleFailed } from './block-end.ts';
import { copyIn } from './copy-in.ts';
import { discard } from './discard.ts';
import { causeOf } from './editions.ts';
import { execution } from './execute.ts';
import { planLines, tellingText } from './explain.ts';
import { deallocate, prepare } from './prepare.ts';
import { control, noteModes } from './control.ts';
import { refuseReadOnly } from './read-only.ts';
import { openPending, readAnywhere, readOnLead, readWhole } from './read.ts';
import { errorFrame, failedBlock, ServerError } from './reply.ts';
import { withOwnStatements } from './own-statements.ts';
import type { Execution, Request } from './request.ts';
import { Runs } from './runs.ts';
import { SimpleRequest } from './simple-request.ts';
import { resolveRoute } from './route.ts';
import type { StatementEnd } from './statement-end.ts';
import { throwLost } from './replay.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { followersCaughtUp } from './trailing.ts';
import { outsideBlock } from './outside-block.ts';
import { openImplicit, writeStatement } from './write.ts';
import { encodeError, type ErrorFields } from '../wire/error-fields.ts';

/** Runs one query text and answers it whole, ReadyForQuery included. Throws only for bugs. */
export async function runQuery(session: SessionState, text: Buffer): Promise<void> {
  const runs = new Runs(session);
  while ((await run(session, text, runs)) === 'taken back');
  await settleFailed(session);
  if (!session.link.gone) session.ready();
}

async function run(session: SessionState, text: Buffer, runs: Runs): Promise<'answered' | 'taken back'> {
  try {
    await statements(session, text, runs);
  } catch (error) {
    const left = await runs.takeBack(error);
    if (left === undefined) return 'taken back';
    await report(session, left, 'a portal');
  } finally {
    session.link.positions = samePositions;
  }
  return 'answered';
}

async function statements(session: SessionState, written: Buffer, runs: Runs): Promise<void> {
  const { text, positions, analysis } = await analyse(session, written);
  if (analysis.kind === 'unreadable') return unreadable(session, text, analysis.why);
  const all = analysis.statements;
  const first = all[0];
  if (first === undefined) {
    session.link.send(EMPTY_QUERY_RESPONSE);
    return undefined;
  }
  session.link.positions = positions;
  const many = all.length > 1;
  runs.check();
  if (session.block.kind === 'none') runs.begin(all);
  if (many && (await readWhole(session, new SimpleRequest(session, text, text.length), all))) return undefined;
  // BEGIN may be answered before there is a transaction.
  if (many) session.link.keep();
  let held: Buffer | undefined;
  let counted = 0;
  let front = 0;
  for (const statement of all) {
    if (held !== undefined) session.link.send(held);
    held = undefined;
    const { start, end: stop } = statement.span;
    if (many) {
      front += characters(text, counted, start);
      session.link.positions = positionsThrough(shiftedPositions(front), positions);
      counted = start;
    }
    const end = many
      ? await runStatement(
          session,
          rebase(statement),
          new SimpleRequest(session, text.subarray(start, stop), stop - start),
          'many',
          analysis.hint,
        )
      : await runStatement(session, statement, new SimpleRequest(session, text, stop), 'one', analysis.hint);
    if (end.kind === 'failed') {
      await endImplicit(session, 'rollback');
      return undefined;
    }
    if (end.held !== undefined && session.block.kind === 'writers' && session.block.mode === 'implicit')
      held = end.held;
    else if (end.held !== undefined) session.link.send(end.held);
  }
  await endImplicit(session, 'commit', held);
  return undefined;
}

/** The statement as if its text began with it. */
function rebase(statement: Statement): Statement {
  const { start, end } = statement.span;
  const nondeterminism = statement.nondeterminism.map((one) => ({
    ...one,
    span: one.span && { start: one.span.start - start, end: one.span.end - start },
  }));
  return { ...statement, span: { start: 0, end: end - start }, nondeterminism };
}

/**
 * Ends the transaction that the client did not begin, where there is one. `held`: its last completion. `completed first`:
 * where the lead refuses to commit, the completion comes in front of the error, as behind an Execute.
 */
export async function endImplicit(
  session: SessionState,
  how: 'commit' | 'rollback',
  held?: Buffer,
  refusal: 'alone' | 'completed first' = 'alone',
): Promise<void> {
  const block = session.block;
  if (block.kind !== 'writers' || block.mode !== 'implicit') {
    if (held !== undefined) session.link.send(held);
    return;
  }
  if (how === 'rollback') await rollbackBlock(session, block);
  else await commitBlock(session, block, { chain: false, completion: held ?? 'answered', refusal });
}

/** Runs one statement of either protocol. Throws PproxError, ServerError and BackendLostError, for `report`. */
export async function runStatement(
  session: SessionState,
  asked: Statement,
  by: Request,
  company: 'one' | 'many',
  hint: 'reader' | 'lead' | undefined,
): Promise<StatementEnd> {
  if (asked.command.kind === 'transaction') {
    by.say();
    return control(session, asked, by.text, company);
  }
  if (session.block.kind === 'lost') throw failedBlock();
  const failed = session.status === TransactionStatus.Failed;
  // In a failed block the lead says what PostgreSQL says; nothing else needs to know.
  if (failed) return readOnLead(session, asked, by);
  if (asked.command.kind === 'deallocate') return deallocate(session, asked, by);
  // Several statements in one text are one transaction, whatever they are.
  if (company === 'many' && session.block.kind === 'none') await openImplicit(session);
  if (asked.command.kind === 'prepare') return prepare(session, asked, by);
  if (asked.command.kind === 'execute' && !asked.explains) return execute(session, asked, by, company, hint);
  if (asked.planned !== undefined) return explainPlan(session, asked.planned, by);
  const told = asksForChannels(asked) ? await withOwnChannels(session, asked, by) : { statement: asked, request: by };
  const { statement, request } = withOwnStatements(session, told.statement, told.request);
  const { command } = statement;
  if (session.block.kind === 'writers') await settleTrail(session, session.block, statement);
  if (command.kind === 'set transaction') {
    if (command.scope === 'transaction') await refuseReadOnly(session, command.modes);
    noteModes(session, command.modes);
  }
  const route = await resolveRoute(session, statement, hint);
  if (session.block.kind === 'pending' || session.block.kind === 'reader')
    return readAnywhere(session, statement, request, route);
  if (command.kind === 'discard') return discard(session, statement, request);
  switch (route) {
    case 'reader':
      return readAnywhere(session, statement, request, route);
    case 'lead':
      if (command.kind === 'copy in' && command.source === 'stdin')
        return copyIn(session, statement, request, 'lead', company);
      return readOnLead(session, statement, request);
    case 'writers':
      if (statement.block === 'forbidden' && session.block.kind === 'none' && company === 'one') {
        return outsideBlock(session, statement, request);
      }
      if (command.kind === 'copy in' && command.source === 'stdin')
        return copyIn(session, statement, request, 'writers', company);
      return writeStatement(session, statement, request, company);
    default:
      return unreachable(route);
  }
}

/**
 * What has gone wrong behind the client's back is told now. All but reads and changes of rows wait for the followers; so does a
 * read that draws from a sequence, which goes to the followers when its client has the answer.
 */
async function settleTrail(session: SessionState, block: WritersBlock, statement: Statement): Promise<void> {
  const { command, sequences } = statement;
  block.trail.check();
  await throwLost(session, block, block.legs.begun);
  const changes = command.kind === 'modify' || command.kind === 'insert';
  const onLead = changes || (command.kind === 'read' && sequences.calls === 'none');
  if (!onLead || block.trail.full) await followersCaughtUp(session, block);
}

/** The channels of the session are told by what is run in the statement's place. */
async function withOwnChannels(
  session: SessionState,
  statement: Statement,
  request: Request,
): Promise<{ readonly statement: Statement; readonly request: Request }> {
  const { channels } = session.listening;
  if (channels.length === 0) return { statement, request };
  const own = session.pins.has('volatile function') ? 'perhaps something' : 'nothing';
  const told = withChannels(request.text, statement, channels, own);
  const analysis = told === undefined ? undefined : await readText(session, told.text);
  const [analysed] = analysis?.kind === 'statements' ? analysis.statements : [];
  if (told === undefined || analysed === undefined) {
    throw new PproxError('unsupported_feature', {
      message: 'pg_listening_channels() is not answered by pprox in this form while the session listens',
      hint: 'Give its column a name: SELECT … AS name, FROM pg_listening_channels() AS name.',
    });
  }
  return { statement: analysed, request: request.retold(told, analysed) };
}

/** EXPLAIN (PPROX): a server is asked for no more than the rows that tell it. */
async function explainPlan(session: SessionState, planned: Statement, request: Request): Promise<StatementEnd> {
  const text = tellingText(await planLines(session, planned, request.text));
  const analysis = await readText(session, text);
  assert(analysis.kind === 'statements' && analysis.statements[0] !== undefined, 'the text of an answer can be read');
  const [analysed] = analysis.statements;
  return readAnywhere(session, analysed, request.retold({ text, positions: samePositions }, analysed), 'reader');
}

/** As whatever it executes, which cannot be another EXECUTE. */
async function execute(
  session: SessionState,
  statement: Statement,
  request: Request,
  company: 'one' | 'many',
  hint: 'reader' | 'lead' | undefined,
): Promise<StatementEnd> {
  let asked: Execution;
  try {
    asked = await execution(session, statement, request);
  } catch (error) {
    request.say();
    throw error;
  }
  return runStatement(session, asked.analysed, request.executing(asked), company, hint ?? asked.statement.hint);
}

/** An error becomes an ErrorResponse and, in a block, the failed block that PostgreSQL would leave. */
export async function report(
  session: SessionState,
  error: unknown,
  leaving: 'no portal' | 'a portal' = 'no portal',
): Promise<void> {
  if (error instanceof ServerError) {
    await abortBlock(session);
    session.link.send(error.frame);
    return;
  }
  const what = error instanceof BackendLostError ? await loseBlock(session, error) : error;
  if (!(what instanceof PproxError)) throw what;
  const { block } = session;
  const told = block.kind === 'writers' ? await causeOf(session, block.plannedBy, what) : what;
  session.fail(told);
  await abortBlock(session, leaving);
  session.link.send(errorFrame(told));
}

/** The lead parses a text, and runs nothing: its error where it refuses. The block of the session fails with it. */
export async function parseOnLead(session: SessionState, text: Buffer): Promise<Refusal | undefined> {
  const { block } = session;
  const legs = block.kind === 'writers' ? block.legs : await session.leaseLead();
  const { backend } = legs.lead.lease;
  const collector = new Collector();
  backend.prepared.unnamed = undefined;
  backend.send(encodeParseSync(text), collector);
  try {
    const { error, status } = await collector.reply;
    if (block.kind === 'writers') block.status = status;
    return error && { error, frame: collector.errorFrame ?? encodeError(error) };
  } finally {
    if (block.kind !== 'writers') await session.giveBack(legs);
  }
}

interface Refusal {
  readonly error: ErrorFields;
  readonly frame: Buffer;
}

/**
 * A text that pprox cannot read is never run: the lead parses it, which gives PostgreSQL's own syntax error where it is
 * one. What the lead could read and pprox could not is refused.
 */
export async function unreadable(session: SessionState, text: Buffer, why: Unreadable): Promise<void> {
  if (session.block.kind === 'lost') throw failedBlock();
  // It fails with what its server refuses.
  if (session.block.kind === 'pending') await openPending(session, session.block.begin);
  const refused = await parseOnLead(session, text);
  // Several statements in one text are refused by Parse itself, after they were read.
  const read = refused === undefined || (refused.error.code === '42601' && refused.error.position === undefined);
  if (read) throw refusal(why);
  session.link.send(refused.frame);
  if (session.block.kind === 'reader') await abortBlock(session);
}

function refusal(why: Unreadable): PproxError {
  switch (why) {
    case 'syntax':
      return new PproxError('unreadable_statement', {
        message: 'this statement is valid on the server, but not in the grammar of PostgreSQL 18 that pprox routes by',
        hint: 'Nothing was run. Rewrite the statement, or run it on the servers directly.',
      });
    case 'nesting':
      return new PproxError('statement_too_complex', {
        message: 'the statement is nested too deeply to be routed',
        hint: 'Nothing was run.',
      });
    case 'size':
      return new PproxError('statement_too_complex', {
        message: 'the statement is too long to be routed, constants aside',
        hint: 'Nothing was run. Use COPY or smaller statements.',
      });
    case 'lexis':
      return new PproxError('unreadable_statement', {
        message: 'the statement cannot be read with these settings of client_encoding and standard_conforming_strings',
        hint: 'Nothing was run. Use client_encoding UTF8 and standard_conforming_strings on.',
      });
    default:
      return unreachable(why);
  }
}
