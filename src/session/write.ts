/** Statements with a durable effect: on the lead, then on every follower, compared, within one transaction. */
import { BackendLostError } from '../backend/receiver.ts';
import { type Effect } from '../fanout/follower.ts';
import { definitionChanged } from '../commit/definitions.ts';
import type { OwnStatement } from '../backend/own-message.ts';
import { countsOfTables, type LookedAt } from '../fanout/hidden-effects.ts';
import { isLeadAlone, locksOf, type ReplayPlan } from '../fanout/plan.ts';
import { type ReplayedStatement, ReplayLog } from '../fanout/replay-log.ts';
import { RowDigest } from '../fanout/row-digest.ts';
import { changesKeys } from '../fanout/row-plan.ts';
import { RowReplay, type RowTap } from '../fanout/row-replay.ts';
import { PproxError } from '../lib/errors.ts';
import type { Statement } from '../sql/statement.ts';
import { qualified } from '../sql/quote.ts';
import { decodeCommandTag } from '../wire/backend.ts';
import { encodeQuery } from '../wire/frontend.ts';
import { TransactionStatus } from '../wire/tags.ts';
import { loseBlock } from './block-end.ts';
import { look, lookAhead } from './hidden-effects.ts';
import { leaveDatabase } from './leave-database.ts';
import type { FollowerLeg } from './legs.ts';
import { Relay } from './relay.ts';
import {
  additionOf,
  beginRows,
  prove,
  othersVisible,
  replayed,
  replayRows,
  replaySame,
  throwLost,
  transactionTimeAhead,
  throwFailures,
} from './replay.ts';
import type { Request } from './request.ts';
import { refuseBeside, remake } from './remake.ts';
import { RowRelay } from './row-relay.ts';
import { currentEdition, noteChanges, plannedAlike } from './editions.ts';
import type { Edition } from '../commit/definitions.ts';
import { notePosition } from './position.ts';
import { PlannedBy } from './planned-by.ts';
import { noteRun } from './runs.ts';
import { doubtAlone, doubting } from './doubts.ts';
import { notePins } from './pins.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { learnSettings, nameLocally, settleCustom } from './setting-transfer.ts';
import { behindLocks } from './table-locks.ts';
import { FAILED, type StatementEnd } from './statement-end.ts';
import { place, touch, touchUnseen, untouched } from './touched.ts';
import { Trail } from './trail.ts';
import { followersCaughtUp, letTrail, paceOf } from './trailing.ts';
import type { DoneOnLead } from './ran-on-lead.ts';
import { replayHidden } from './replay-hidden.ts';

/** Begins a transaction that the client has not asked for; it ends with the query in hand. */
export async function openImplicit(session: SessionState): Promise<WritersBlock> {
  const { block } = session;
  if (block.kind === 'writers') return block;
  session.link.keep();
  const legs = await session.leaseWriters('if up');
  legs.lead.lease.backend.ahead('begin', ['BEGIN']);
  const implicit: WritersBlock = {
    kind: 'writers',
    legs,
    mode: 'implicit',
    status: TransactionStatus.InBlock,
    savepoints: [],
    trail: new Trail(),
    log: new ReplayLog(),
    isolation: session.defaultIsolation(legs),
    access: session.defaultAccess(legs),
    stage: 'open',
    writes: 'none',
    catalog: 'unchanged',
    touched: untouched(),
    plannedBy: new PlannedBy(session.services),
  };
  session.block = implicit;
  return implicit;
}

/** In the server session that the transaction gets, names may mean something else than in the one that was asked before. */
export async function openPlanned(
  session: SessionState,
  statement: Statement,
): Promise<{ readonly chosen: ReplayPlan; readonly block: WritersBlock }> {
  const { planner } = session.services;
  const { scope } = session.logins;
  const first = await planner.plan(session, statement);
  const block = await openImplicit(session);
  const chosen = session.logins.scope === scope ? first : await planner.plan(session, statement);
  await noteRun(session, statement, chosen);
  // What pins by its own text does so when it has succeeded.
  if (chosen.leaves === 'something' && !statement.pins.includes('volatile function')) {
    session.pins.add('volatile function');
    session.own.begin('any');
  }
  return { block, chosen };
}

/** A write needs them all: throws, before the lead has run anything, where a follower is down. */
export function allFollowers(block: WritersBlock): readonly FollowerLeg[] {
  return block.legs.followers;
}

/** `company`: whether the text or pipeline that it came in goes on behind it. */
export async function writeStatement(
  session: SessionState,
  asked: Statement,
  request: Request,
  company: 'one' | 'many',
): Promise<StatementEnd> {
  const statement = request.executed(asked);
  if (session.followers === 'none' && session.block.kind === 'none') return writeAlone(session, statement, request);
  const { catalog, planner } = session.services;
  const edition = await currentEdition(session, statement);
  const planned = catalog.edition;
  const { chosen, block } = await openPlanned(session, statement);
  if (edition !== undefined) {
    const { scope } = session;
    block.plannedBy.note({ statement, plan: chosen }, planner.origin(chosen), edition, scope);
  }
  const planning = { chosen, edition, planned };
  return doubting(
    session,
    statement,
    () => block.legs.backends,
    () => onWriters(session, block, statement, planning, request, company),
  );
}

/** `edition`: of the definitions that `chosen` was planned by, `planned` of what the catalog knew then; undefined where they were not known. */
async function onWriters(
  session: SessionState,
  block: WritersBlock,
  statement: Statement,
  {
    chosen,
    edition,
    planned,
  }: { readonly chosen: ReplayPlan; readonly edition: Edition | undefined; readonly planned: number | undefined },
  request: Request,
  company: 'one' | 'many',
): Promise<StatementEnd> {
  const { catalog, planner } = session.services;
  await throwLost(session, block, allFollowers(block));
  const pace = paceOf(session, block, statement, chosen, request, company);
  if (pace === 'lockstep') await followersCaughtUp(session, block);
  const plan = await behindLocks(session, block, statement, chosen);
  if (leavesSomething(statement)) block.writes = 'possible';
  leaveDatabase(session, statement);
  const mayDefine = session.pins.has('temporary object') && plan.effects === 'hidden';
  const hiding = mayDefine ? await catalog.hidingPermanent(session) : [];
  // Whatever becomes of it.
  if (plan.effects === 'hidden') nameLocally(session, block.legs, await planner.settings(session, statement));
  const started = performance.now();
  const done = await onLead(session, block, plan, request);
  const { result, effect, replay, time } = done;
  block.status = result.status;
  if (result.error !== undefined) return FAILED;
  const alone = isLeadAlone(plan);
  const seen = done.looks === undefined ? 'not looked at' : 'looked at';
  // A definition has changed what it was planned for by itself.
  if (edition !== undefined && statement.command.kind !== 'definition')
    await checkPlan(session, statement, chosen, planned);
  if (done.looks === undefined && leavesSomething(statement))
    touchUnseen(block.touched, await storedBy(session, statement, plan));
  const remade = plan.kind === 'statement' ? plan.remade : undefined;
  if (done.looks !== undefined && remade !== undefined)
    await refuseBeside(session, block, remade.name, await Promise.all(done.looks));
  if (done.looks !== undefined && remade === undefined) {
    const [before, after] = await Promise.all(done.looks);
    const { moment } = session.services.coordinator;
    const hidden = { statement, plan, request, started, looked: { before, after }, hiding, done };
    const left = await replayHidden(session, block, hidden, pace);
    if (pace !== 'lockstep' && left !== undefined) {
      await keep(session, block, statement, replay, seen);
      for (const one of left) letTrail(session, block, { statement: one, moment }, pace);
      return { kind: 'done', held: request.completed(result.held) };
    }
  }
  // A follower may find what another transaction has put there since: it is not told of a change that was none.
  else if (!alone && !changedNothing(statement, plan, effect)) {
    // What the lead has seen, it shows by now.
    const { moment } = session.services.coordinator;
    const stored = replay === undefined ? undefined : storedRows(block, replay, started);
    const same =
      replay === undefined ? [await replayed(block, plan, statement, request, effect, started, time)] : stored;
    if (pace !== 'lockstep' && same !== undefined) {
      await keep(session, block, statement, replay, seen);
      for (const one of same) letTrail(session, block, { statement: one, moment }, pace);
      return { kind: 'done', held: request.completed(result.held) };
    }
    if (locksOf(plan).length > 0) await othersVisible(session, block.legs.followers);
    if (same === undefined && replay !== undefined) throwFailures(block, await replayRows(session, block, replay));
    if (same !== undefined && same.length > 0)
      throwFailures(block, await replaySame(session, block, same, moment, { pace: 'lockstep', kept: 'in the log' }));
  }
  if (plan.kind === 'statement' && plan.remade !== undefined) await remake(session, block, plan, effect, started);
  else if (plan.kind === 'statement' && plan.proof !== undefined)
    throwFailures(block, await prove(session, block, plan.proof, effect));
  await keep(session, block, statement, replay, seen);
  return { kind: 'done', held: request.completed(result.held) };
}

/**
 * The lead may have waited for a transaction that has changed what the plan was made for. `planned`: the catalog's edition before that. Throws
 * PproxError where another plan is due.
 */
export async function checkPlan(
  session: SessionState,
  statement: Statement,
  plan: ReplayPlan,
  planned: number | undefined,
): Promise<void> {
  const { catalog } = session.services;
  if (planned !== undefined && planned === catalog.edition) return;
  // A commit is under way: what was read may be of before it.
  if (catalog.edition === undefined) catalog.forget();
  if (!(await plannedAlike(session, statement, plan))) throw definitionChanged('while the statement waited for it');
}

/** Where the rows stand that a statement has changed whose effects are in its text; undefined where that is not known. */
async function storedBy(
  session: SessionState,
  { command, nested }: Statement,
  plan: ReplayPlan,
): Promise<readonly string[] | undefined> {
  if (command.kind !== 'insert' && command.kind !== 'modify') return plan.kind === 'rows' ? plan.stored : undefined;
  const { target } = command;
  if (target === undefined || nested.length > 0 || session.caching !== 'allowed') return undefined;
  const table = await session.services.catalog.table(session, target);
  if ((table?.kind !== 'r' && table?.kind !== 'p') || table.rules !== 'none') return undefined;
  // Foreign keys change the rows that refer to these, and nothing says so.
  const assigned = command.kind === 'insert' ? command.conflictColumns : (command.modification?.assigned ?? []);
  const changes = command.kind === 'insert' ? assigned.length > 0 : true;
  return table.referenced === 'yes' && changes && changesKeys(assigned, table) ? undefined : table.stored;
}

/**
 * By its tag: `UPDATE 0`, and `INSERT 0 0` of an ON CONFLICT. Where rules may have changed other rows in its place the tag does not say so:
 * they and views are behind locks, and ON CONFLICT is not for tables that have any (manual, "INSERT").
 */
function changedNothing({ command, nested, explains }: Statement, plan: ReplayPlan, { tag }: Effect): boolean {
  if (nested.length > 0 || explains || locksOf(plan).length > 0 || tag?.endsWith(' 0') !== true) return false;
  if (command.kind === 'insert') return command.onConflict !== 'error';
  return command.kind === 'modify' && command.modification !== undefined;
}

/** Rows that are few enough to be a statement like others; none where the lead has stored none. */
function storedRows(
  { legs }: WritersBlock,
  replay: RowReplay,
  started: number,
): readonly ReplayedStatement[] | undefined {
  const elapsedMs = performance.now() - started;
  return replay.takeUnsent('as planned')?.map(({ text, expected }) => {
    const messages = legs.followers.map(() => encodeQuery(text));
    return { messages, expected, leaves: 'nothing' as const, elapsedMs };
  });
}

/** Settings and locks end with their session or transaction; of a query with a function (set_config()) it is not known. */
function leavesSomething({ command: { kind }, node }: Statement): boolean {
  return kind !== 'set' && kind !== 'set transaction' && kind !== 'read' && node !== 'LockStmt';
}

/** Rows that are sent while the lead still produces them come behind what the followers are behind by. */
function streamGate(session: SessionState, block: WritersBlock, plan: ReplayPlan): () => Promise<void> | undefined {
  let begun: 'no' | 'yes' = 'no';
  const begin = async (): Promise<void> => {
    await followersCaughtUp(session, block);
    beginRows(session, block, plan);
    await session.services.coordinator.visibleEverywhere();
  };
  return () => {
    if (begun === 'yes') return session.services.coordinator.visibleEverywhere();
    begun = 'yes';
    return begin();
  };
}

async function onLead(
  session: SessionState,
  block: WritersBlock,
  plan: ReplayPlan,
  request: Request,
): Promise<DoneOnLead> {
  const { backend } = block.legs.lead.lease;
  let replay: RowReplay | undefined;
  let digest: RowDigest | undefined;
  let relay: Relay;
  const addition = additionOf(plan);
  await request.prepare(backend, addition);
  const { message, replies } = request.encode(backend, addition, 'all rows');
  const limit = request.rowLimit();
  if (plan.kind === 'rows') {
    const targets = block.legs.followers.map(({ node, lease }) => ({ label: node.label, backend: lease.backend }));
    const { backslashes } = session;
    replay = new RowReplay(
      plan,
      targets,
      backend.channel,
      backslashes,
      session.services.settings.followerTimeoutMs,
      plan.effects === 'hidden' ? 'when released' : 'at once',
      streamGate(session, block, plan),
    );
    if (plan.otherwise === 'same text') digest = new RowDigest();
  } else if (plan.kind === 'verified' || plan.rows === 'compared') digest = new RowDigest();
  const tap = replay !== undefined && digest !== undefined ? both(replay, digest) : (replay ?? digest);
  if (addition !== undefined && tap !== undefined) {
    relay = new RowRelay(session.link, backend, tap, { own: addition.width, client: addition.client }, replies, limit);
  } else relay = new Relay(session.link, backend, { completion: 'hold', digest, replies, limit });
  // Both go out with it, in one write: nobody waits for one of them alone. What stops the one in front is told as its own error.
  const at = lookedAt(plan);
  const before = plan.effects === 'hidden' ? unheard(lookAhead(backend, at)) : undefined;
  const time = plan.kind !== 'rows' && plan.times.length > 0 ? transactionTimeAhead(backend) : undefined;
  backend.send(message, relay);
  if (plan.leaves === 'something') backend.prepared.doubtOwn();
  // A text that a function puts together may have deallocated what was prepared: nobody has seen it.
  const how = plan.kind === 'statement' && plan.keyed === undefined ? 'as text' : 'prepared';
  const after = plan.effects === 'hidden' ? unheard(look(backend, at, how, 'at once')) : undefined;
  const result = await session.cancellable(backend, relay.result);
  limit?.check();
  session.told.note(backend);
  const tag = result.held === undefined ? '' : decodeCommandTag(result.held, 0, result.held.length);
  const looks = before === undefined || after === undefined ? undefined : ([before, after] as const);
  return { result, effect: { tag, rows: digest?.value }, replay, time, looks };
}

function lookedAt(plan: ReplayPlan): LookedAt | OwnStatement {
  if (plan.kind !== 'statement') return 'settings of values';
  if (plan.keyed !== undefined) return countsOfTables(plan.keyed.tables);
  return plan.inPlace === 'rows beside temporary objects' ? 'all settings and permanent objects' : 'all settings';
}

/** Where the statement fails nobody asks for it. */
function unheard<T>(answer: Promise<T>): Promise<T> {
  answer.catch(() => undefined);
  return answer;
}

function both(one: RowTap, other: RowTap): RowTap {
  return {
    add: (values, whole) => {
      one.add(values, whole);
      other.add(values, whole);
    },
  };
}

/** Utilities that change no objects by themselves: what is run in them is looked at. */
const SEEN: ReadonlySet<string> = new Set(['DoStmt', 'CallStmt', 'ConstraintsSetStmt', 'LockStmt']);

/** One that writes calls a function. */
function isQuery({ command: { kind } }: Statement): boolean {
  return kind === 'read' || kind === 'copy out';
}

/** What a statement leaves behind once every writer has it. */
export async function keep(
  session: SessionState,
  block: WritersBlock,
  statement: Statement,
  replay: RowReplay | undefined,
  seen: 'looked at' | 'not looked at',
): Promise<void> {
  const { command } = statement;
  block.plannedBy.ran = performance.now();
  notePins(session, statement, seen);
  if (session.followers === 'none') {
    const { draws, settings } = await session.services.planner.leavings(session, statement);
    if (draws === 'something') session.pins.add('sequence value');
    nameLocally(session, block.legs, settings);
  }
  if (seen === 'not looked at' && isQuery(statement)) session.view = 'perhaps its own';
  await learnSettings(session, statement, block.legs.lead.lease.backend);
  const made = seen === 'looked at' ? block.touched.made : 'not seen';
  if (changesCatalog(statement, made)) block.catalog = 'changed';
  await noteChanges(session, block, statement);
  if ((command.kind === 'definition' || command.kind === 'utility') && !SEEN.has(statement.node))
    block.touched.objects = 'some';
  else if (leavesSomething(statement)) touch(block.touched, statement.relations.map(qualified));
  if (changesCatalog(statement, 'not seen')) session.services.sequences.forget();
  const { sequences } = session;
  if (statement.sequences.sets === 'some') {
    sequences.forget();
    block.touched.sequencesSet = 'some';
    if (statement.sequences.calls === 'setval') place(block.touched, statement.sequences.names);
  }
  if (statement.sequences.calls === 'nextval') await sequences.afterNextval(session, statement.sequences.names);
  for (const names of replay?.draws ?? []) await sequences.afterNextval(session, names);
  for (const [sequence, { least, greatest }] of replay?.drawn ?? []) {
    await sequences.reserve(session, sequence, greatest);
    if (least !== greatest) await sequences.reserve(session, sequence, least);
    session.pins.add('sequence value');
  }
  if (drawsUnseen(statement)) session.pins.add('sequence value');
}

/** Rows that conflict have drawn their keys; an ALTER TABLE may draw one for each row that there is. */
function drawsUnseen({ command, node, added }: Statement): boolean {
  return (
    (command.kind === 'insert' && command.onConflict !== 'error') || (node === 'AlterTableStmt' && added.length > 0)
  );
}

/** DDL, and what may contain any: a function, a procedure, a DO block. TRUNCATE may restart sequences. `made`: out of sight, so far. */
function changesCatalog({ command, pins, node }: Statement, made: 'nothing' | 'objects' | 'not seen'): boolean {
  if (!SEEN.has(node) && (command.kind === 'definition' || command.kind === 'utility')) return true;
  return made === 'not seen' ? SEEN.has(node) || pins.includes('volatile function') : made === 'objects';
}

/** With one writer there is nobody to agree with. */
async function writeAlone(session: SessionState, statement: Statement, request: Request): Promise<StatementEnd> {
  // Asked while no connection is held: there may be this one alone.
  const { binds, draws, settings } = await session.services.planner.leavings(session, statement);
  const legs = await session.leaseLead();
  const { backend } = legs.lead.lease;
  // Whatever becomes of it.
  nameLocally(session, legs, settings);
  let answered: 'no' | 'yes' = 'no';
  try {
    await request.prepare(backend);
    const { message, replies } = request.encode(backend);
    const relay = new Relay(session.link, backend, { completion: 'forward', replies });
    backend.send(message, relay);
    if (binds === 'something') backend.prepared.doubtOwn();
    const result = await session.cancellable(backend, relay.result).catch(async (error: unknown) => {
      if (!(error instanceof BackendLostError)) throw error;
      await loseBlock(session, error);
      throw unknownAlone(legs.lead.node.label, error);
    });
    session.told.note(backend);
    if (result.error !== undefined) {
      // A block or procedure may have committed what it has set, made and listens to.
      if (binds === 'something') session.pins.add('volatile function');
      await doubtAlone(session, statement, backend);
      return FAILED;
    }
    if (binds === 'something') session.pins.add('volatile function');
    if (draws === 'something') session.pins.add('sequence value');
    notePins(session, statement, 'not looked at');
    if (isQuery(statement)) session.view = 'perhaps its own';
    await learnSettings(session, statement, backend);
    await settleCustom(session, backend);
    if (changesCatalog(statement, 'not seen')) session.services.catalog.forget();
    answered = 'yes';
    return { kind: 'done', held: undefined };
  } finally {
    await session.giveBack(legs);
    if (answered === 'yes') await notePosition(session);
  }
}

/** A statement that commits by itself may have done so before its server was lost. */
function unknownAlone(label: string, { message }: BackendLostError): PproxError {
  return new PproxError('commit_unknown', {
    message: `the connection to ${label} was lost while it ran a statement that commits by itself: ${message}`,
    detail: `${label}: unknown`,
    hint: 'See there what became of it.',
  });
}
