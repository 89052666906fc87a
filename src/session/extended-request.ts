/** A statement of the extended query protocol: from the steps a client took to the messages a server is sent. */
import type { Backend } from '../backend/backend.ts';
import type { Node } from '../cluster/node.ts';
import { FIRST_NORMAL_OID, translateTypes } from '../cluster/type-names.ts';
import { assert, unreachable } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import { type Positions, positionsThrough, type Rewritten, samePositions } from '../sql/positions.ts';
import type { Statement } from '../sql/statement.ts';
import {
  BIND_COMPLETE,
  CLOSE_COMPLETE,
  ExtendedWriter,
  NO_DATA,
  PARSE_COMPLETE,
  PORTAL_SUSPENDED,
} from '../wire/extended.ts';
import { shownParameters, typesOnFollower, varyingParameters, withNamedObjects } from './bound-parameters.ts';
import { ClientStatement, Portal } from './client-statement.ts';
import { TransactionStatus } from '../wire/tags.ts';
import { describedPortal, ownDescription } from './own-descriptions.ts';
import { keepDescription, ReplyScript, sayDone } from './reply-script.ts';
import { formatsWith, mayNeedDescription, returnsRows } from './result-columns.ts';
import { RowLimit } from './row-limit.ts';
import { type Addition, type Execution, type Request, type Sending, withAddition } from './request.ts';
import type { SessionState } from './state.ts';
import { prepareOn } from './server-statement.ts';
import { statementOf, type Step } from './step.ts';

export class ExtendedRequest implements Request {
  readonly #session: SessionState;
  readonly #steps: readonly Step[];
  readonly #executed: Portal | undefined;
  /** Rows that the client asks for; 0: all. */
  readonly #limit: number;
  /** For each follower: types that the client declares by the lead's numbers. */
  readonly #translated = new Map<Node, ReadonlyMap<number, number>>();
  /**
   * `kept`: portals have to stand when the request is over; `passing`: those that it executes do not; `ending`: the
   * transaction is over with it, and all portals are.
   */
  readonly #portals: 'passing' | 'kept' | 'ending';

  /** The step that a server session could not be prepared for, once `prepare` has rejected. */
  refusedAt: number | undefined;

  #warning: Buffer | undefined;
  /** `simple`: the client has sent a Query, and is told of its rows alone. */
  readonly #protocol: 'extended' | 'simple';

  /** `steps` has one `execute` at most where the statement may write. */
  constructor(
    session: SessionState,
    steps: readonly Step[],
    portals: 'passing' | 'kept' | 'ending',
    protocol: 'extended' | 'simple' = 'extended',
  ) {
    this.#protocol = protocol;
    this.#session = session;
    this.#steps = steps;
    this.#portals = portals;
    const execute = steps.findLast((step) => step.kind === 'execute');
    this.#executed = execute?.portal;
    this.#limit = execute?.limit ?? 0;
  }

  /** Of a Query that is an EXECUTE. */
  static forQuery(session: SessionState, { statement, values }: Execution): ExtendedRequest {
    const portal = new Portal(statement, { portal: '', statement: statement.name, resultFormats: [], ...values });
    const steps: readonly Step[] = [
      { kind: 'bind', portal, namesake: undefined, done: nothing, refused: nothing, undone: nothing },
      { kind: 'describe portal', portal },
      { kind: 'execute', portal, limit: 0 },
    ];
    return new ExtendedRequest(session, steps, 'passing', 'simple');
  }

  /** What the client is told in front of what is executed, whether it fails or not. */
  warning(frame: Buffer): this {
    this.#warning = frame;
    return this;
  }

  executing({ statement, values }: Execution): this {
    this.#executed?.execute(statement, values);
    return this;
  }

  retold(told: Rewritten, analysed: Statement): this {
    const portal = this.#executed;
    if (portal === undefined) return this;
    if (portal.place !== undefined) {
      throw new PproxError('unsupported_feature', {
        message:
          'what pprox answers in place of a server is not told by a portal that was bound in front of a Flush or Sync',
        hint: 'Send Bind and Execute together.',
      });
    }
    const { name, types, hint, description } = portal.statement;
    const positions = positionsThrough(told.positions, portal.statement.positions);
    portal.retell(new ClientStatement(name, told.text, description?.types ?? types, analysed, hint, positions));
    return this;
  }

  get statements(): 'one' | 'several' {
    return this.#steps.filter(({ kind }) => kind === 'execute').length > 1 ? 'several' : 'one';
  }

  get positions(): Positions {
    return this.#executed?.statement.positions ?? samePositions;
  }

  values(): readonly string[] {
    return this.#executed === undefined ? [] : shownParameters(this.#executed);
  }

  get text(): Buffer {
    return this.#executed?.statement.text ?? Buffer.alloc(0);
  }

  prepare(backend: Backend, addition?: Addition): Promise<void> | undefined {
    const missing = this.#missing(backend);
    const executed = this.#executed;
    // One format for all columns: how many of them are the client's has to be known.
    const [format = 0] = executed?.bind.resultFormats ?? [];
    const width = executed?.bind.resultFormats.length === 1 && format !== 0 ? executed.statement : undefined;
    const counted = addition !== undefined && width?.description === undefined ? width : undefined;
    if (counted !== undefined && !missing.has(counted)) missing.set(counted, this.#steps.length - 1);
    return missing.size === 0 ? undefined : this.#prepareAll(backend, missing);
  }

  /** The first step that `backend` has to be prepared for; undefined where nothing is missing there. */
  firstMissing(backend: Backend): number | undefined {
    const [first] = this.#missing(backend).values();
    return first;
  }

  #serverName(statement: ClientStatement): string {
    return statement.serverName(this.#session.settings.reading);
  }

  async #prepareAll(backend: Backend, statements: ReadonlyMap<ClientStatement, number>): Promise<void> {
    try {
      for (const [statement, at] of statements) {
        this.refusedAt = at;
        await prepareOn(this.#session, backend, statement);
      }
      this.refusedAt = undefined;
    } catch (error) {
      // PostgreSQL might have got to the request's own Parse before that.
      for (const step of this.#steps) if (step.kind === 'parse') step.refused();
      throw error;
    }
  }

  /**
   * Statements that are bound here and that the backend does not have, and the first step about each: all but those that the
   * request parses itself.
   */
  #missing(backend: Backend): Map<ClientStatement, number> {
    const missing = new Map<ClientStatement, number>();
    let unnamed = backend.prepared.unnamed;
    for (const [at, step] of this.#steps.entries()) {
      const add = (statement: ClientStatement): void => {
        if (!missing.has(statement)) missing.set(statement, at);
      };
      const called = statementOf(step)?.executes;
      if (called !== undefined) {
        const found = this.#session.statements.get(called);
        if (found !== undefined && found.description === undefined) add(found);
        continue;
      }
      if (step.kind === 'parse') unnamed = step.statement;
      const portal = step.kind === 'bind' || step.kind === 'execute' ? this.#boundAt(step) : undefined;
      const gone = step.kind === 'describe portal' && this.#isGone(step.portal) ? step.portal.statement : undefined;
      if (gone !== undefined && gone.description === undefined) add(gone);
      const statement = step.kind === 'describe statement' ? step.statement : portal?.statement;
      if (statement === undefined || statement === unnamed) continue;
      if (step.kind === 'describe statement' && this.#isKnownInFailure(statement)) continue;
      if (statement.description === undefined || !backend.prepared.has(this.#serverName(statement))) add(statement);
    }
    return missing;
  }

  /** In a failed block nothing can be prepared; one that returns no rows is described even there. */
  #isKnownInFailure({ description }: ClientStatement): boolean {
    return this.#inFailure && description?.columns.length === 0;
  }

  get #inFailure(): boolean {
    return this.#session.status === TransactionStatus.Failed;
  }

  /** No server has the portal any more, or none ever had. */
  #isGone(portal: Portal): boolean {
    return portal.state === 'done' && !this.#binds(portal);
  }

  /** The portal that a step has the server bind: a Bind its own, an Execute what has to be bound once more. */
  #boundAt({ kind, portal }: Step & { readonly kind: 'bind' | 'execute' }): Portal | undefined {
    const binds = this.#binds(portal);
    if (kind === 'bind') return binds ? portal : undefined;
    return binds || portal.place !== undefined ? undefined : portal;
  }

  /** What EXECUTE has bound is answered for the client's Bind, and bound where it is executed: errors belong there. */
  #binds(portal: Portal): boolean {
    return portal.boundBy === 'client' && this.#steps.some((step) => step.kind === 'bind' && step.portal === portal);
  }

  encode(backend: Backend, addition?: Addition, rows: 'as asked' | 'all rows' = 'as asked'): Sending {
    const writer = new ExtendedWriter();
    const replies = new ReplyScript();
    let { unnamed } = backend.prepared;
    // What is parsed here is certain when the server has accepted it.
    if (addition !== undefined || this.#steps.some(({ kind }) => kind === 'parse'))
      backend.prepared.unnamed = undefined;
    const described = new Set<Step>();
    /** What the client has bound before: as it stands on this server, or has to stand for this request. */
    const standing = new Set<Portal>();
    const stand = (portal: Portal): void => {
      if (this.#binds(portal) || standing.has(portal)) return;
      standing.add(portal);
      if (addition !== undefined && portal === this.#executed)
        unnamed = this.#bindWith(backend, writer, replies, portal, addition, 'again');
      else if (portal.place === undefined) this.#bind(writer, backend, portal, unnamed, replies, { kind: 'swallow' });
      if (this.#lasts(portal)) portal.place = backend;
    };
    this.#steps.forEach((step, at) => {
      replies.about = statementOf(step)?.positions ?? samePositions;
      switch (step.kind) {
        case 'parse': {
          const { statement } = step;
          if (statement.executes !== undefined) {
            sayDone(replies, PARSE_COMPLETE, step.done);
            break;
          }
          writer.parse('', statement.text, statement.types);
          unnamed = statement;
          replies.add({
            kind: 'forward',
            after: () => {
              backend.prepared.unnamed = statement;
              step.done();
            },
            refused: step.refused,
          });
          const next = this.#steps[at + 1];
          const asked = next?.kind === 'describe statement' && next.statement === statement ? next : undefined;
          if (asked !== undefined) described.add(asked);
          if (asked !== undefined || (statement.description === undefined && mayNeedDescription(statement))) {
            writer.describe('statement', '');
            keepDescription(replies, statement, asked === undefined ? 'us' : 'both');
          }
          break;
        }
        case 'describe statement':
          if (described.has(step)) break;
          if (step.statement.executes !== undefined || this.#isKnownInFailure(step.statement)) {
            const { parameters, result } = ownDescription(this.#session, step.statement);
            replies.add({ kind: 'say', frame: () => Buffer.concat([parameters, result]) });
            break;
          }
          // What was bound since with columns of ours has taken its place.
          if (step.statement !== unnamed && !backend.prepared.has(this.#serverName(step.statement))) {
            writer.parse('', step.statement.text, step.statement.types);
            unnamed = step.statement;
            replies.add({ kind: 'swallow' });
          }
          writer.describe('statement', step.statement === unnamed ? '' : this.#serverName(step.statement));
          replies.add({ kind: 'forward' });
          replies.add({ kind: 'forward' });
          break;
        case 'bind':
          if (step.portal.statement.executes !== undefined || step.portal.boundBy === 'EXECUTE') {
            sayDone(replies, BIND_COMPLETE, step.done);
            break;
          }
          if (addition !== undefined && step.portal === this.#executed) {
            unnamed = this.#bindWith(backend, writer, replies, step.portal, addition, 'first', step.done);
          } else {
            const kind = this.#protocol === 'simple' ? 'swallow' : 'forward';
            this.#bind(writer, backend, step.portal, unnamed, replies, {
              kind,
              after: step.done,
              refused: step.refused,
            });
          }
          if (this.#lasts(step.portal)) step.portal.place = backend;
          break;
        case 'describe portal':
          if (
            this.#isGone(step.portal) ||
            step.portal.state === 'unfinished' ||
            step.portal.statement.executes !== undefined ||
            (step.portal.boundBy === 'EXECUTE' && (step.portal.place === undefined || this.#inFailure))
          ) {
            // No server has it any more, or none ever had: BEGIN and its like.
            replies.add({ kind: 'say', frame: () => describedPortal(this.#session, step.portal) });
            break;
          }
          stand(step.portal);
          writer.describe('portal', this.#nameOf(step.portal));
          if (step.portal !== this.#executed) replies.add({ kind: 'forward' });
          else replies.add({ kind: 'forward portal', told: this.#protocol === 'simple' ? 'with rows' : 'at once' });
          break;
        case 'describe cursor':
          writer.describe('portal', step.name);
          replies.add({ kind: 'forward' });
          break;
        case 'execute cursor':
          writer.execute(step.name, step.limit);
          replies.add({ kind: 'rows' });
          break;
        case 'close cursor':
          if (step.name === '' && this.#session.status !== TransactionStatus.Failed) {
            sayDone(replies, CLOSE_COMPLETE, () => undefined);
            break;
          }
          writer.close('portal', step.name);
          replies.add({ kind: 'forward' });
          break;
        case 'close portal':
          if (step.portal.place === backend || this.#binds(step.portal)) {
            writer.close('portal', this.#nameOf(step.portal));
            replies.add({ kind: 'forward', after: step.done });
          } else sayDone(replies, CLOSE_COMPLETE, step.done);
          // One that did not have to last is there under its own name.
          if (step.portal.name === '' && this.#session.status !== TransactionStatus.Idle) {
            writer.close('portal', '');
            replies.add({ kind: 'swallow' });
          }
          break;
        case 'close statement':
          sayDone(replies, CLOSE_COMPLETE, step.done);
          break;
        case 'execute':
          stand(step.portal);
          if (this.#warning !== undefined) sayDone(replies, this.#warning, () => undefined);
          writer.execute(this.#nameOf(step.portal), rows === 'as asked' ? step.limit : 0);
          replies.add({ kind: 'rows' });
          break;
        default:
          unreachable(step);
      }
    });
    return { message: writer.sync(), replies };
  }

  #bind(
    writer: ExtendedWriter,
    backend: Backend,
    portal: Portal,
    unnamed: object | undefined,
    replies: ReplyScript,
    fate: Parameters<ReplyScript['add']>[0],
  ): void {
    const { statement } = portal;
    this.#replace(writer, replies, portal);
    const name = statement === unnamed ? '' : this.#serverName(statement);
    if (name !== '') backend.prepared.use(name, Number.POSITIVE_INFINITY);
    writer.bind(this.#nameOf(portal), name, portal.bind);
    replies.add(fate);
  }

  /** Binds the statement with our columns behind its own. */
  #bindWith(
    backend: Backend,
    writer: ExtendedWriter,
    replies: ReplyScript,
    portal: Portal,
    addition: Addition,
    time: 'first' | 'again',
    bound?: () => void,
  ): undefined {
    const { statement, bind } = portal;
    const text = withAddition(statement.text, statement.analysed?.span.end ?? statement.text.length, addition);
    if (time === 'again' && portal.name !== '') {
      writer.close('portal', portal.name);
      replies.add({ kind: 'swallow' });
    } else this.#replace(writer, replies, portal);
    writer.parse('', text, statement.description?.types ?? statement.types);
    replies.add({
      kind: 'swallow',
      after: () => {
        // The client's own statement of the same request is not the unnamed one any more.
        backend.prepared.unnamed = undefined;
      },
    });
    writer.bind(this.#nameOf(portal), '', {
      ...bind,
      resultFormats: formatsWith(statement, bind.resultFormats, addition),
    });
    const told = time === 'first' && this.#protocol === 'extended';
    replies.add({ kind: told ? 'forward' : 'swallow', after: bound });
    return undefined;
  }

  /** The unnamed portal is replaced by the next of it; under a name of ours it has to be closed for that. */
  #replace(writer: ExtendedWriter, replies: ReplyScript, portal: Portal): void {
    if (portal.name !== '' || this.#nameOf(portal) === '') return;
    writer.close('portal', this.#nameOf(portal));
    replies.add({ kind: 'swallow' });
  }

  /** It has to stand when the request is over. */
  #lasts(portal: Portal): boolean {
    if (this.#portals !== 'passing') return this.#portals === 'kept';
    return !this.#steps.some((step) => step.kind === 'execute' && step.portal === portal);
  }

  #nameOf(portal: Portal): string {
    return this.#lasts(portal) || portal.place !== undefined ? portal.serverName : portal.name;
  }

  prepareFollowers(targets: readonly { readonly node: Node; readonly backend: Backend }[]): Promise<void> | undefined {
    const declared = this.#declared;
    return declared.length === 0 ? undefined : this.#translate(targets, declared);
  }

  get followerTypes(): 'as on the lead' | 'to be asked' {
    return this.#declared.length === 0 ? 'as on the lead' : 'to be asked';
  }

  /** Types of parameters that have another number on each server. */
  get #declared(): readonly number[] {
    return (this.#executed?.statement.types ?? []).filter((type) => type >= FIRST_NORMAL_OID);
  }

  async #translate(
    targets: readonly { readonly node: Node; readonly backend: Backend }[],
    types: readonly number[],
  ): Promise<void> {
    const { block } = this.#session;
    assert(block.kind === 'writers', 'followers are part of a block');
    for (const { node, backend } of targets) {
      this.#translated.set(node, await translateTypes(block.legs.lead.lease.backend, backend, types));
    }
  }

  encodeFor(node: Node, text: Buffer, addition?: Addition): Buffer {
    const portal = this.#executed;
    assert(portal !== undefined, 'a follower is sent what was executed');
    const { statement, bind } = portal;
    const resultFormats =
      addition === undefined ? bind.resultFormats : formatsWith(statement, bind.resultFormats, addition);
    return new ExtendedWriter()
      .parse('', text, typesOnFollower(statement, this.#translated.get(node)))
      .bind('', '', { ...bind, resultFormats })
      .execute('', 0)
      .sync();
  }

  rowLimit(): RowLimit | undefined {
    const portal = this.#executed;
    if (portal === undefined || this.#limit === 0 || !returnsRows(portal.statement)) return undefined;
    portal.rest = new RowLimit(this.#limit);
    return portal.rest;
  }

  completed(held: Buffer | undefined): Buffer | undefined {
    if (this.#executed === undefined) return held;
    // It has run on every writer: however its portal is executed again, it does not run again.
    this.#executed.state = 'done';
    const { rest } = this.#executed;
    if (rest === undefined) return held;
    rest.completion = held;
    return rest.suspended ? PORTAL_SUSPENDED : held;
  }

  executed(statement: Statement): Statement {
    const portal = this.#executed;
    if (portal === undefined) return statement;
    const varying = varyingParameters(portal);
    const named = withNamedObjects(statement, portal);
    return varying.length === 0 ? named : { ...named, nondeterminism: [...named.nondeterminism, ...varying] };
  }

  say(): void {
    const { link } = this.#session;
    for (const step of this.#steps) {
      switch (step.kind) {
        case 'parse':
          link.send(PARSE_COMPLETE);
          step.done();
          break;
        case 'describe statement': {
          const { parameters, result } = ownDescription(this.#session, step.statement);
          link.send(parameters);
          link.send(result);
          break;
        }
        case 'bind':
          link.send(BIND_COMPLETE);
          step.done();
          break;
        case 'describe portal':
          link.send(describedPortal(this.#session, step.portal));
          break;
        case 'describe cursor':
          link.send(NO_DATA);
          break;
        case 'close portal':
        case 'close statement':
          link.send(CLOSE_COMPLETE);
          step.done();
          break;
        case 'close cursor':
          link.send(CLOSE_COMPLETE);
          break;
        case 'execute':
        case 'execute cursor':
          break;
        default:
          unreachable(step);
      }
    }
  }
}

function nothing(): void {
  // The client has named nothing.
}
