/** Statements with a durable effect: on the lead, then on every follower, compared, within one transaction. */
import { BackendLostError } from '../backend/receiver.ts';
import { type Effect, type FollowerFailure, joinTags, quietProof } from '../fanout/follower.ts';
import { changes, isOfObjects, type Look, type Looks, movedSequences } from '../fanout/hidden-effects.ts';
import { definitionChanged } from '../commit/definitions.ts';
import { locksOf, type ReplayPlan } from '../fanout/plan.ts';
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
import { compareHidden, deletedIn, NO_ROWS, type OwnRows } from './compare-hidden.ts';
import {
  accountsFor,
  type Aligned,
  alignFollowers,
  type HiddenEffects,
  look,
  replayDirectly,
  reserveDrawn,
  reserveMoved,
  seeEffects,
} from './hidden-effects.ts';
import { leaveDatabase } from './leave-database.ts';
import type { FollowerLeg } from './legs.ts';
import { Relay, type RelayResult } from './relay.ts';
import {
  additionOf,
  beginRows,
  prove,
  othersVisible,
  replayed,
  replayRows,
  replaySame,
  tell,
  throwLost,
  transactionTime,
  throwFailures,
} from './replay.ts';
import type { Request } from './request.ts';
import { replayByTables } from './replay-by-tables.ts';
import { refuseBeside, remake } from './remake.ts';
import { RowRelay } from './row-relay.ts';
import { currentEdition, noteChanges, plannedAlike } from './editions.ts';
import { notePosition } from './position.ts';
import { PlannedBy } from './planned-by.ts';
import { notePins } from './pins.ts';
import { replayAlone } from './read-back.ts';
import type { SessionState, WritersBlock } from './state.ts';
import { learnSettings } from './setting-transfer.ts';
import { lockTables, readsOlder } from './table-locks.ts';
import { refuseHidden } from './route.ts';
import { FAILED, type StatementEnd } from './statement-end.ts';
import { place, touch, touchUnseen, untouched } from './touched.ts';
import { quieten } from './told-rows.ts';
import { Trail, TRAIL_BYTES } from './trail.ts';
import { followersCaughtUp, letTrail, paceOf } from './trailing.ts';

/** Begins a transaction that the client has not asked for; it ends with the query in hand. */
export async function openImplicit(session: SessionState): Promise<WritersBlock> {
  const { block } = session;
  if (block.kind === 'writers') return block;
  const legs = await session.leaseWriters('if up');
  // Its answer comes before the statement's: nobody has to wait for it alone.
  void legs.lead.lease.backend.ask('BEGIN').catch(() => undefined);
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
  const chosen = await planner.plan(session, statement);
  const block = await openImplicit(session);
  return { block, chosen: session.logins.scope === scope ? chosen : await planner.plan(session, statement) };
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
  if (session.cluster.followers.length === 0 && session.block.kind === 'none')
    return writeAlone(session, statement, request);
  const { catalog, planner } = session.services;
  const edition = await currentEdition(session, statement);
  const planned = catalog.edition;
  const { chosen, block } = await openPlanned(session, statement);
  if (edition !== undefined) {
    const { scope } = session;
    block.plannedBy.note({ statement, plan: chosen }, planner.origin(chosen), edition, scope);
  }
  await throwLost(session, block, allFollowers(block));
  const pace = paceOf(session, block, statement, chosen, request, company);
  if (pace === 'lockstep') await followersCaughtUp(session, block);
  const older = locksOf(chosen).length > 0 ? await readsOlder(session, block) : undefined;
  const plan = older === undefined ? chosen : await planner.alone(session, statement, older);
  if (plan === undefined) throw older;
  const locks = locksOf(plan);
  if (locks.length > 0) await lockTables(session, block, locks);
  if (leavesSomething(statement)) block.writes = 'possible';
  leaveDatabase(session, statement);
  const mayDefine = session.pins.has('temporary object') && plan.effects === 'hidden';
  const hiding = mayDefine ? await catalog.hidingPermanent(session) : [];
  const started = performance.now();
  const done = await onLead(session, block, plan, request);
  const { result, effect, replay, time } = done;
  block.status = result.status;
  if (result.error !== undefined) return FAILED;
  const alone = plan.kind === 'statement' && plan.inPlace === 'rows alone';
  const seen = done.looks === undefined ? 'not looked at' : 'looked at';
  // A definition has changed what it was planned for by itself.
  if (edition !== undefined && statement.command.kind !== 'definition')
    await checkPlan(session, statement, chosen, planned);
  if (done.looks === undefined && leavesSomething(statement))
    touchUnseen(block.touched, await storedBy(session, statement, plan));
  const remade = plan.kind === 'statement' ? plan.remade : undefined;
  if (done.looks !== undefined && remade !== undefined) refuseBeside(remade.name, ...(await Promise.all(done.looks)));
  if (done.looks !== undefined && remade === undefined) {
    const [before, after] = await Promise.all(done.looks);
    const { moment } = session.services.coordinator;
    const hidden = { statement, plan, request, started, looked: { before, after }, hiding, done };
    const left = await hiddenToo(session, block, hidden, pace);
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
    if (locks.length > 0) await othersVisible(session, block.legs.followers);
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
  if (target === undefined || nested.length > 0 || session.caching === 'forbidden') return undefined;
  const table = await session.services.catalog.table(session, target);
  if ((table?.kind !== 'r' && table?.kind !== 'p') || table.rules === 'some') return undefined;
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

interface DoneOnLead {
  readonly result: RelayResult;
  /** Of the statement with our columns, where these are compared. */
  readonly effect: Effect;
  readonly replay: RowReplay | undefined;
  /** The transaction's, where the followers need it. */
  readonly time: Promise<string> | undefined;
  /** Before it and behind it, where it may do more than its text says. Each rejects with PproxError or BackendLostError. */
  readonly looks: readonly [Promise<Look>, Promise<Look>] | undefined;
}

/** A statement that may have done more than its text says. */
interface Hidden {
  readonly statement: Statement;
  readonly plan: ReplayPlan;
  readonly request: Request;
  readonly started: number;
  /** At the lead, around it. */
  readonly looked: Looks;
  /** Names that meant a temporary object before it, where followers have a permanent one. */
  readonly hiding: readonly string[];
  readonly done: DoneOnLead;
}

/**
 * On the followers, what the lead has done in the text and out of it; or what is left to do there, where they may be behind by it. At any
 * other `pace` than that they have caught up with what came before.
 */
async function hiddenToo(
  session: SessionState,
  block: WritersBlock,
  asked: Hidden,
  pace: ReturnType<typeof paceOf>,
): Promise<readonly ReplayedStatement[] | undefined> {
  const { statement, plan, request, started, looked, done } = asked;
  const { backend } = block.legs.lead.lease;
  if (plan.kind === 'statement' && plan.inPlace === 'rows alone') {
    await replayAlone(session, block, plan, looked, started);
    return undefined;
  }
  const rows = plan.kind === 'rows' ? plan : undefined;
  const seen = await seeEffects(session, block, looked, rows, done.replay?.total ?? 0);
  const text = rows === undefined || (rows.otherwise === 'same text' && seen.elsewhere === 'something');
  const { replay } = done;
  if (replay?.overflow === 'yes') {
    throw new PproxError('not_replayed', {
      message: 'too many rows at once for a statement that may do more than its text says',
      hint: 'Change them in smaller batches.',
    });
  }
  // Rows of a table without triggers are those of followers on which none fires. A text that has changed no rows may have done more.
  const told =
    rows === undefined
      ? (plan.kind === 'verified' || (plan.kind === 'statement' && plan.inPlace === 'rows')) &&
        seen.elsewhere === 'something'
      : rows.direct !== undefined || (rows.rows === 'not compared' && text);
  const stored = rows?.stored ?? [];
  const otherwise = text ? 'something else' : 'nothing';
  const fires = rows?.direct === undefined ? 'nothing' : 'triggers';
  if (pace !== 'lockstep') {
    const own = told && seen.told?.length === 0 && replay !== undefined;
    const left = own ? await quietRows(session, block, replay, stored, started) : undefined;
    if (left !== undefined) {
      await reserveMoved(session, seen);
      return left;
    }
    await followersCaughtUp(session, block);
  }
  const direct = { replay, stored, fires, started, otherwise } as const;
  if (told && (await replayDirectly(session, block, seen, direct)) === 'done') return undefined;
  if ((await replayByTables(session, block, seen, started)) === 'done') {
    await reserveMoved(session, seen);
    return undefined;
  }
  if (plan.kind === 'statement' && plan.inPlace === 'rows' && seen.elsewhere === 'nothing') {
    await readToo(session, block, asked, seen);
    return undefined;
  }
  // What it has made or altered, followers make by the same names.
  if ([...changes(seen.lead).keys()].some(isOfObjects)) refuseHidden(asked.hiding);
  const byRows = text ? undefined : replay;
  const aligned = await alignFollowers(session, block, seen, byRows, 'what the lead drew');
  if (byRows !== undefined) {
    byRows.release('as planned');
    throwFailures(block, contended(await replayRows(session, block, byRows), aligned));
  } else {
    const time = done.time ?? (plan.times.length > 0 ? transactionTime(backend) : undefined);
    const same = await replayed(block, plan, statement, request, done.effect, started, time);
    const { moment } = session.services.coordinator;
    const failures = await replaySame(session, block, [same], moment, { pace: 'lockstep', kept: 'not at all' });
    throwFailures(block, contended(failures, aligned));
  }
  const own = await ownRows(session, asked, seen, byRows === undefined ? 'with them' : 'otherwise');
  throwFailures(block, await compareHidden(session, block, seen, aligned, own));
  await reserveDrawn(session, seen, aligned);
  return undefined;
}

/**
 * Rows that are all that the statement has done, in one message for followers on which no trigger fires for them; none where there are none.
 * Undefined where they are too many to be behind by, or triggers of these tables would fire; nothing has been sent then.
 */
async function quietRows(
  session: SessionState,
  block: WritersBlock,
  replay: RowReplay,
  stored: readonly string[],
  started: number,
): Promise<readonly ReplayedStatement[] | undefined> {
  if (replay.total === 0) return [];
  const quiet = await quieten(session, block, [], stored, 'kept');
  const rows = quiet === undefined ? undefined : replay.takeUnsent('direct', TRAIL_BYTES);
  if (quiet === undefined || rows === undefined) return undefined;
  const messages = block.legs.followers.map((leg) => {
    // What is kept may be old: behind the rows their tables are locked against a change of it.
    const own = [quiet.begin, quietProof(stored), quiet.end(leg)].map((text) => Buffer.from(text));
    const texts = [...own.slice(0, 1), ...rows.map(({ text }) => text), ...own.slice(1)];
    return encodeQuery(Buffer.concat(texts.flatMap((text, index) => (index === 0 ? [text] : [SEPARATOR, text]))));
  });
  const tag = joinTags(['SET', ...rows.map(({ expected }) => expected.tag ?? ''), 'SELECT 1', 'SET']);
  return [{ messages, expected: { tag, rows: undefined }, elapsedMs: performance.now() - started }];
}

const SEPARATOR = Buffer.from('; ');

/** Where a value is taken that a follower has drawn from where its sequence was set back to, another session has drawn it meanwhile. */
function contended(failures: readonly FollowerFailure[], { drawn: [sequence] }: Aligned): readonly FollowerFailure[] {
  if (sequence === undefined) return failures;
  return failures.map((one) => {
    const taken = one.kind === 'error' && one.fields.code === UNIQUE_VIOLATION;
    return taken ? { kind: 'sequence', label: one.label, sequence } : one;
  });
}

const UNIQUE_VIOLATION = '23505';

/** `counted`: whether the numbers of its rows are compared with those of other tables. */
async function ownRows(
  session: SessionState,
  { statement, plan, done: { effect, replay } }: Hidden,
  { lead }: HiddenEffects,
  counted: 'with them' | 'otherwise',
): Promise<OwnRows> {
  const rows = plan.kind === 'rows' ? plan : undefined;
  const tables = new Set(rows?.stored ?? (await targetTables(session, statement)));
  const changed = changes(lead);
  // A row that moves to another partition is deleted as well.
  const all = rows !== undefined && accountsFor(rows, replay?.total ?? 0, changed);
  const deleted = all ? deletedIn(changed, tables) : Number(/^DELETE (\d+)$/.exec(effect.tag ?? '')?.[1] ?? 0);
  return { tables, counted: counted === 'with them' ? NO_ROWS.counted : tables, deleted };
}

/** Ours on followers, gone before the client can make another one. */
const READ = '"pprox: read"';

/**
 * What has changed nothing on the lead may have set something for its session, but is a read else: others may change what it reads, and draw
 * from sequences, in between. What it finds to do on a follower is taken back.
 */
async function readToo(
  session: SessionState,
  block: WritersBlock,
  { statement, plan, request, started, looked, done }: Hidden,
  seen: HiddenEffects,
): Promise<void> {
  const { followers } = block.legs;
  const aligned = await alignFollowers(session, block, seen, undefined, 'nothing');
  for (const leg of followers) tell(leg, `SAVEPOINT ${READ}`);
  const time = done.time ?? (plan.times.length > 0 ? transactionTime(block.legs.lead.lease.backend) : undefined);
  const any: Effect = { tag: undefined, rows: undefined };
  const same = await replayed(block, plan, statement, request, any, started, time);
  const { moment } = session.services.coordinator;
  const refused = await replaySame(session, block, [same], moment, { pace: 'lockstep', kept: 'not at all' });
  const failures = refused.length > 0 ? refused : await compareHidden(session, block, seen, aligned, NO_ROWS);
  if (failures.some(({ kind }) => kind === 'lost')) throwFailures(block, failures);
  const back = failures.length > 0 ? `ROLLBACK TO SAVEPOINT ${READ}; ` : '';
  for (const leg of followers) tell(leg, `${back}RELEASE SAVEPOINT ${READ}`);
  await reserveDrawn(session, seen, aligned, movedSequences(looked.before, looked.after));
}

/** Where the rows stand that the statement's own text is about. */
async function targetTables(session: SessionState, { command }: Statement): Promise<readonly string[]> {
  const target = command.kind === 'modify' || command.kind === 'insert' ? command.target : undefined;
  const table = target === undefined ? undefined : await session.services.catalog.table(session, target);
  return table?.stored ?? [];
}

/** Rows that are few enough to be a statement like others; none where the lead has stored none. */
function storedRows(
  { legs }: WritersBlock,
  replay: RowReplay,
  started: number,
): readonly ReplayedStatement[] | undefined {
  const elapsedMs = performance.now() - started;
  return replay
    .takeUnsent('as planned')
    ?.map(({ text, expected }) => ({ messages: legs.followers.map(() => encodeQuery(text)), expected, elapsedMs }));
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
  // Both go out with it, in one write: nobody waits for one of them alone.
  const settings = plan.kind === 'statement' ? 'all' : 'of values';
  const before = plan.effects === 'hidden' ? unheard(look(backend, settings)) : undefined;
  backend.send(message, relay);
  // A function may have deallocated what was prepared.
  const how = plan.kind === 'statement' ? 'as text' : 'prepared';
  const after = plan.effects === 'hidden' ? unheard(look(backend, settings, how)) : undefined;
  const time = plan.kind !== 'rows' && plan.times.length > 0 ? transactionTime(backend) : undefined;
  // A cancel request is for the statement.
  if (before !== undefined) await before.catch(() => undefined);
  const result = await session.cancellable(backend, relay.result);
  limit?.check();
  session.told.note(backend);
  const tag = result.held === undefined ? '' : decodeCommandTag(result.held, 0, result.held.length);
  const looks = before === undefined || after === undefined ? undefined : ([before, after] as const);
  return { result, effect: { tag, rows: digest?.value }, replay, time, looks };
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

/** They may have deallocated what was prepared, ours too. */
const RUNS_ANYTHING: ReadonlySet<string> = new Set(['DoStmt', 'CallStmt']);

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
  if (seen === 'not looked at' && isQuery(statement)) session.view = 'perhaps its own';
  if (RUNS_ANYTHING.has(statement.node))
    for (const { lease } of [block.legs.lead, ...block.legs.leased]) lease.backend.prepared.forgetOwn();
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
    block.plannedBy.change('relations');
    if (statement.sequences.calls === 'setval') place(block.touched, statement.sequences.names);
  }
  if (statement.sequences.calls === 'nextval') await sequences.afterNextval(session, statement.sequences.names);
  for (const names of replay?.draws ?? []) await sequences.afterNextval(session, names);
  for (const [sequence, { least, greatest }] of replay?.drawn ?? []) {
    await sequences.reserve(session, sequence, greatest);
    if (least !== greatest) await sequences.reserve(session, sequence, least);
    session.pins.add('sequence value');
  }
}

/** DDL, and what may contain any: a function, a procedure, a DO block. TRUNCATE may restart sequences. `made`: out of sight, so far. */
function changesCatalog({ command, pins, node }: Statement, made: 'nothing' | 'objects' | 'not seen'): boolean {
  if (!SEEN.has(node) && (command.kind === 'definition' || command.kind === 'utility')) return true;
  return made === 'not seen' ? SEEN.has(node) || pins.includes('volatile function') : made === 'objects';
}

/** With one writer there is nobody to agree with. */
async function writeAlone(session: SessionState, statement: Statement, request: Request): Promise<StatementEnd> {
  const legs = await session.leaseLead();
  const { backend } = legs.lead.lease;
  let answered: 'no' | 'yes' = 'no';
  try {
    await request.prepare(backend);
    const { message, replies } = request.encode(backend);
    const relay = new Relay(session.link, backend, { completion: 'forward', replies });
    backend.send(message, relay);
    const result = await session.cancellable(backend, relay.result).catch(async (error: unknown) => {
      if (!(error instanceof BackendLostError)) throw error;
      await loseBlock(session, error);
      throw unknownAlone(legs.lead.node.label, error);
    });
    session.told.note(backend);
    if (result.error !== undefined) return FAILED;
    notePins(session, statement, 'not looked at');
    if (isQuery(statement)) session.view = 'perhaps its own';
    await learnSettings(session, statement, backend);
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
