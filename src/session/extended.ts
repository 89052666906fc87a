/**
 * The extended query protocol of one client (PostgreSQL, "Extended Query").
 *
 *   Parse, Bind, Describe, Close, Execute ─► steps, names resolved ─► Sync or Flush ─► requests
 *
 * What stands between two Syncs is a *segment*: one implicit transaction where no block is open. Steps wait until it is
 * clear what the segment is: reads alone go to the reader as they are, in one request; a lone statement runs as one of a
 * Query would; anything else runs statement by statement in an implicit block on the writers, which Sync commits.
 * Every request ends in a Sync of ours; where the client's transaction goes on behind it, an explicit block holds it.
 */
import { BackendLostError } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';
import type { Statement } from '../sql/statement.ts';
import { EMPTY_QUERY_RESPONSE } from '../wire/backend.ts';
import { encodeNotice } from '../wire/error-fields.ts';
import type { FrontendMessage } from '../wire/frontend-reader.ts';
import { TransactionStatus } from '../wire/tags.ts';
import { settleFailed } from './block-end.ts';
import type { Portal } from './client-statement.ts';
import { executeAgain, executeRest } from './executed-portal.ts';
import { ExtendedRequest } from './extended-request.ts';
import { NameResolver, shown, unknownPortal } from './name-resolver.ts';
import {
  answeredByUs,
  changesNames,
  commitsAtOnce,
  endsTransaction,
  forBlocks,
  isCopyIn,
  isLone,
  isOurs,
  needsBlock,
  ownFrom,
  standsAlone,
  transactional,
} from './pipeline-rules.ts';
import { settlePins } from './pins.ts';
import { answerFront, answerRefused, executeCursor, prepareSteps } from './preparation.ts';
import { statementKey, unknownStatement } from './prepare.ts';
import { endImplicit, parseOnLead, report, runStatement, unreadable } from './query.ts';
import { readAnywhere } from './read.ts';
import { failedBlock, ServerError } from './reply.ts';
import { resolveRoute } from './route.ts';
import { Runs } from './runs.ts';
import type { SessionState } from './state.ts';
import type { StatementEnd } from './statement-end.ts';
import { type Execute, isExecute, isStep, type Pending, type Step } from './step.ts';

/** What made the steps run. `full`: more of them than are kept waiting. */
type Cause = 'sync' | 'flush' | 'full' | 'copy' | 'other message';

/** Steps that wait for their Sync: beyond this they run, as parts of a transaction. */
const WAITING_BYTES = 4 * 1024 * 1024;
const WAITING_STEPS = 2000;

export class ExtendedProtocol {
  readonly #session: SessionState;
  #waiting: Pending[] = [];
  #waitingBytes = 0;
  readonly #names: NameResolver;
  /** After an error, everything up to Sync is skipped. */
  #mode: 'reading' | 'skipping to sync' = 'reading';
  /** Whether something of the segment has run already. */
  #segment: 'fresh' | 'begun' = 'fresh';
  /** Whether a statement of the transaction in hand has run, where the client has not begun it. */
  #ahead: 'nothing' | 'statements' = 'nothing';
  /** The completion of the segment's last statement, until it is committed. */
  #held: Buffer | undefined;

  constructor(session: SessionState) {
    this.#session = session;
    this.#names = new NameResolver(session);
  }

  /** Whether messages other than Sync are dropped. */
  get skipping(): boolean {
    return this.#mode === 'skipping to sync';
  }

  /** Between the first message of a segment and its Sync. */
  get inSegment(): boolean {
    return this.#segment === 'begun' || this.#waiting.length > 0 || this.skipping;
  }

  /** Parse, Bind, Describe, Close or Execute. */
  async take(message: FrontendMessage): Promise<void> {
    if (this.skipping) return;
    // A setting may change how the next text is to be read, and DEALLOCATE which names there are.
    if (this.#waiting.some((step) => step.kind === 'execute' && changesNames(step.portal))) await this.#run('full');
    if (this.skipping) return;
    const step = await this.#names.resolve(message);
    this.#waiting.push(step);
    this.#waitingBytes += message.body.length;
    if (step.kind === 'execute' && isCopyIn(step.portal)) await this.#run('copy');
    else if (this.#waitingBytes > WAITING_BYTES || this.#waiting.length >= WAITING_STEPS) await this.#run('full');
  }

  /** `body`: of the message, which should have none. */
  async flush(body: Buffer): Promise<void> {
    if (body.length > 0 && !this.skipping) this.#waiting.push({ kind: 'refuse', error: withBody() });
    if (!this.skipping) await this.#run('flush');
  }

  /** In front of a message of another protocol, which joins the transaction. */
  async yield(): Promise<void> {
    if (!this.skipping) await this.#run('other message');
  }

  /**
   * Behind a simple Query: the unnamed statement and portal are gone, and all portals with their transaction. In a failed
   * block there is an unnamed portal still, the old one or the Query's own, and neither can run.
   */
  afterQuery(): void {
    const { statements, portals, block, status } = this.#session;
    statements.delete('');
    if (status !== TransactionStatus.Failed) portals.delete('');
    if (block.kind === 'none') this.#endPortals();
    this.#segment = 'fresh';
    this.#ahead = 'nothing';
  }

  async sync(body: Buffer): Promise<void> {
    if (body.length > 0 && !this.skipping) this.#waiting.push({ kind: 'refuse', error: withBody() });
    const runs = new Runs(this.#session);
    const steps = this.#waiting;
    const lone = this.#begins && isLone(steps) ? steps.filter(isStep).find(isExecute)?.portal : undefined;
    for (;;) {
      if (lone?.statement.analysed !== undefined) runs.begin([lone.statement.analysed]);
      if ((await this.#finish(runs)) === 'over' || lone === undefined) break;
      this.#renew(lone, steps);
    }
    this.#mode = 'reading';
    this.#segment = 'fresh';
    this.#ahead = 'nothing';
    if (this.#session.block.kind === 'none') this.#endPortals();
    await this.#unpin();
    if (!this.#session.link.gone) this.#session.ready();
  }

  /** Whether nothing of the segment has run, and there is no block that it is in. */
  get #begins(): boolean {
    return !this.skipping && this.#session.block.kind === 'none' && this.#segment === 'fresh';
  }

  /** What waits, and its commit. */
  async #finish(runs: Runs): Promise<'over' | 'taken back'> {
    if (!this.skipping && (await this.#run('sync', runs)) === 'taken back') return 'taken back';
    const held = this.#held;
    this.#held = undefined;
    try {
      if (!this.skipping) await endImplicit(this.#session, 'commit', held, 'completed first');
    } catch (error) {
      const left = await runs.takeBack(error);
      if (left === undefined) return 'taken back';
      await report(this.#session, left);
    }
    return 'over';
  }

  /** Nothing is left of what one statement has done alone: it waits as before. */
  #renew(portal: Portal, steps: Pending[]): void {
    for (const step of steps.filter(isStep).toReversed()) if ('undone' in step) step.undone();
    portal.renew();
    this.#waiting = steps;
    this.#held = undefined;
    this.#segment = 'fresh';
    this.#ahead = 'nothing';
  }

  /** A cursor that was held may have been the last for which the session keeps its server session. */
  async #unpin(): Promise<void> {
    const session = this.#session;
    const closed = this.#names.cursors === 'closed' && session.pins.has('held cursor') && session.block.kind === 'none';
    this.#names.cursors = 'as they were';
    if (!closed) return;
    try {
      const legs = await session.leaseLead();
      try {
        session.doubtfulPins.add('held cursor');
        await settlePins(session, legs.lead.lease.backend);
      } finally {
        await session.giveBack(legs, 'a read');
      }
    } catch (error) {
      await report(session, error);
    }
  }

  /** Their transaction is over; steps that wait may speak of them still. */
  #endPortals(): void {
    const { portals } = this.#session;
    for (const portal of portals.values()) portal.state = 'ended';
    portals.clear();
  }

  async #run(cause: Cause, runs?: Runs): Promise<'over' | 'taken back'> {
    const steps = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (steps.length > 0) {
      try {
        runs?.check();
        const end = await this.#perform(steps, cause);
        if (end === 'failed') {
          this.#mode = 'skipping to sync';
          await endImplicit(this.#session, 'rollback');
        }
      } catch (error) {
        const left = runs === undefined ? error : await runs.takeBack(error);
        if (left === undefined) return 'taken back';
        this.#mode = 'skipping to sync';
        this.#held = undefined;
        await report(this.#session, left);
      }
      this.#segment = 'begun';
      await settleFailed(this.#session);
    }
    this.#names.clear();
    return 'over';
  }

  async #perform(pending: readonly Pending[], cause: Cause): Promise<'done' | 'failed'> {
    const session = this.#session;
    const steps = pending.filter(isStep);
    const executes = steps.filter(isExecute);
    const whole = session.block.kind === 'none' && this.#segment === 'fresh';
    if (whole && cause === 'sync' && steps.length === pending.length && (await this.#onReader(executes))) {
      const end = await this.#readTogether(steps, executes);
      if (end !== 'refused') return end;
    }
    const lone = whole && cause === 'sync' && isLone(pending);
    let unit: Step[] = [];
    for (const [at, step] of pending.entries()) {
      if (step.kind === 'bind' && this.#isTaken(step, unit)) {
        const message = `cursor "${shown(step.portal.name)}" already exists`;
        await this.#refuse(unit, { kind: 'refuse', error: new PproxError('duplicate_cursor', { message }) });
        return 'failed';
      }
      if (step.kind === 'describe portal' && step.portal.state === 'ended') {
        await this.#refuse(unit, { kind: 'refuse', error: unknownPortal(step.portal.name) });
        return 'failed';
      }
      if (isStep(step)) unit.push(step);
      if (isStep(step) && step.kind !== 'execute' && step.kind !== 'execute cursor') continue;
      this.#sendHeld();
      if (step.kind === 'execute cursor') {
        if ((await executeCursor(session, unit, step.name)) === 'failed') return 'failed';
        this.#ahead = 'statements';
        unit = [];
        continue;
      }
      const end = isStep(step)
        ? await this.#execute(unit, step, lone ? 'one' : 'many')
        : await this.#refuse(unit, step);
      unit = [];
      if (end.kind === 'failed') return 'failed';
      if (isStep(step)) this.#ahead = this.#aheadOf(step.portal);
      if (end.held === undefined) continue;
      if (cause === 'sync' && at === pending.length - 1) this.#held = end.held;
      else session.link.send(end.held);
    }
    if (unit.length === 0) return 'done';
    this.#sendHeld();
    return prepareSteps(session, unit, cause === 'sync' ? 'ends' : 'goes on');
  }

  /** What is behind a statement: COMMIT ends its transaction, and what cannot run in one commits at once. */
  #aheadOf({ statement: { analysed } }: Portal): 'nothing' | 'statements' {
    if (analysed === undefined) return this.#ahead;
    return this.#session.block.kind === 'none' && commitsAtOnce(analysed) ? 'nothing' : 'statements';
  }

  /** Whether its portal's name is another's already and no server would say so: one of the two, or both, are not there. */
  #isTaken({ portal, namesake }: Step & { readonly kind: 'bind' }, unit: readonly Step[]): boolean {
    if (portal.name === '' || namesake === undefined || namesake.state === 'ended') return false;
    const { analysed } = portal.statement;
    if (namesake.state === 'unfinished') return false;
    if (this.#session.status === TransactionStatus.Failed && !(analysed !== undefined && endsTransaction(analysed)))
      return false;
    if (isOurs(portal.statement) || isOurs(namesake.statement)) return true;
    return namesake.place === undefined && !unit.some((step) => step.kind === 'bind' && step.portal === namesake);
  }

  #sendHeld(): void {
    if (this.#held !== undefined) this.#session.link.send(this.#held);
    this.#held = undefined;
  }

  /** What is wrong with it, once everything in front of it is done. */
  async #refuse(unit: readonly Step[], step: Exclude<Pending, Step>): Promise<{ readonly kind: 'failed' }> {
    if (unit.length > 0 && (await prepareSteps(this.#session, unit, 'goes on')) === 'failed') return { kind: 'failed' };
    if (step.kind === 'refuse') {
      step.refused?.();
      const other = step.unless === undefined ? undefined : await parseOnLead(this.#session, step.unless);
      if (other !== undefined) throw new ServerError(other.frame);
      throw step.error;
    }
    if (step.name === '') this.#session.statements.delete('');
    await unreadable(this.#session, step.text, step.why);
    return { kind: 'failed' };
  }

  /** Whether all of it are reads that the reader may serve. */
  async #onReader(executes: readonly Execute[]): Promise<boolean> {
    if (executes.length === 0 || this.#session.pinsReads) return false;
    for (const { portal } of executes) {
      const { analysed, hint } = portal.statement;
      if (analysed === undefined || analysed.command.kind === 'transaction' || analysed.route !== 'reader')
        return false;
      if ((await resolveRoute(this.#session, analysed, hint)) !== 'reader') return false;
    }
    return true;
  }

  /** `refused`: a server could not be prepared for them, and the client has been told nothing yet. */
  async #readTogether(steps: readonly Step[], executes: readonly Execute[]): Promise<'done' | 'failed' | 'refused'> {
    const statement = executes[0]?.portal.statement.analysed;
    if (statement === undefined) return 'done';
    const request = new ExtendedRequest(this.#session, steps, 'passing');
    try {
      const { kind } = await readAnywhere(this.#session, statement, request, 'reader');
      return kind;
    } catch (error) {
      if (request.refusedAt === undefined || error instanceof BackendLostError) throw error;
      return 'refused';
    }
  }

  /** Steps up to an Execute. */
  async #execute(asked: readonly Step[], { portal, limit }: Execute, company: 'one' | 'many'): Promise<StatementEnd> {
    const session = this.#session;
    let steps = asked;
    const { analysed, hint } = portal.statement;
    if (portal.state === 'ended') {
      if ((await prepareSteps(this.#session, steps.slice(0, -1), 'goes on')) === 'failed') return { kind: 'failed' };
      throw unknownPortal(portal.name);
    }
    if (portal.state === 'unfinished') {
      if ((await prepareSteps(this.#session, steps.slice(0, -1), 'goes on')) === 'failed') return { kind: 'failed' };
      if (session.status !== TransactionStatus.Failed) throw unknownPortal(portal.name);
      // So PostgreSQL says of a portal whose statement has not got into it.
      session.link.send(EMPTY_QUERY_RESPONSE);
      return { kind: 'done', held: undefined };
    }
    if (analysed === undefined) {
      const failed = session.status === TransactionStatus.Failed;
      const own = failed ? steps.length - 1 : ownFrom(steps, portal);
      if ((await prepareSteps(this.#session, steps.slice(0, own), 'goes on')) === 'failed') return { kind: 'failed' };
      new ExtendedRequest(session, steps.slice(own), 'passing').say();
      portal.state = 'done';
      session.link.send(EMPTY_QUERY_RESPONSE);
      return { kind: 'done', held: undefined };
    }
    if (session.status === TransactionStatus.Failed && !endsTransaction(analysed)) {
      if ((await prepareSteps(this.#session, steps.slice(0, -1), 'goes on')) === 'failed') return { kind: 'failed' };
      throw failedBlock();
    }
    if (portal.rest !== undefined) return executeRest(session, steps, portal.rest, limit);
    if (portal.state === 'done') return executeAgain(session, steps, portal);
    // Behind others it would be a part of their transaction, and is refused.
    const first = session.block.kind === 'none' && this.#ahead === 'nothing';
    const own = first && (standsAlone(analysed) || needsBlock(analysed));
    const alone = own || (company === 'one' && session.block.kind === 'none');
    const kept = !alone && (limit > 0 || portal.name !== '');
    // PREPARE and EXECUTE ask for names as well, wherever they stand.
    if (isOurs(portal.statement) || analysed.command.kind === 'prepare' || analysed.executes !== undefined) {
      // DEALLOCATE asks for names: what is to be prepared in front of it has its name then.
      const all = analysed?.command.kind === 'deallocate';
      const at = all ? steps.length - 1 : ownFrom(steps, portal);
      const others = steps.slice(0, at);
      if (others.length > 0 && (await prepareSteps(this.#session, others, 'goes on')) === 'failed')
        return { kind: 'failed' };
      steps = steps.slice(at);
    }
    if (analysed.executes !== undefined && !session.statements.has(statementKey(analysed.executes))) {
      if ((await prepareSteps(this.#session, steps.slice(0, -1), 'goes on')) === 'failed') return { kind: 'failed' };
      throw unknownStatement(analysed.executes);
    }
    const rest = await answerFront(session, steps);
    if (rest === 'failed') return { kind: 'failed' };
    const request = new ExtendedRequest(session, rest, kept ? 'kept' : 'passing');
    const warning = first && !alone ? this.#warningOf(analysed) : undefined;
    if (warning !== undefined) request.warning(warning);
    let end: StatementEnd;
    try {
      const together = transactional(analysed) ? this.#company() : own ? 'one' : company;
      end = await runStatement(session, analysed, request, together, hint);
    } catch (error) {
      if ((await answerRefused(session, rest, request, error)) === 'failed') return { kind: 'failed' };
      throw error;
    }
    if (!kept || answeredByUs(analysed)) portal.ran();
    if (session.block.kind === 'none' && (own || !alone)) this.#endPortals();
    return end;
  }

  /** Of what is for blocks alone, to PostgreSQL; to the servers the pipeline is one. */
  #warningOf(statement: Statement): Buffer | undefined {
    const what = forBlocks(statement);
    if (what === undefined || this.#session.settings.now.values.get('client_min_messages') === 'error')
      return undefined;
    const message = `${what} can only be used in transaction blocks`;
    return encodeNotice({ severity: 'WARNING', code: '25P01', message });
  }

  /** BEGIN behind statements of its segment takes them into its block; COMMIT ends them. */
  #company(): 'one' | 'many' {
    const { block } = this.#session;
    return block.kind === 'writers' && block.mode === 'implicit' ? 'many' : 'one';
  }
}

function withBody(): PproxError {
  return new PproxError('protocol_violation', { message: 'invalid message format' });
}
