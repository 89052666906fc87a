/** Statements with a durable effect: on the lead, then on every follower, compared, within one transaction. */
import { BackendLostError } from '../backend/receiver.ts';
import type { Effect, FollowerFailure } from '../fanout/follower.ts';
import type { ReplayPlan } from '../fanout/plan.ts';
import { type ReplayedStatement, ReplayLog } from '../fanout/replay-log.ts';
import { RowDigest } from '../fanout/row-digest.ts';
import { RowReplay } from '../fanout/row-replay.ts';
import { alignText, compareDraws, LOOK, moved, type SequenceStates, statesOf } from '../fanout/sequence-alignment.ts';
import { PproxError } from '../lib/errors.ts';
import type { Statement } from '../sql/statement.ts';
import { decodeCommandTag } from '../wire/backend.ts';
import { TransactionStatus } from '../wire/tags.ts';
import { loseBlock } from './block-end.ts';
import type { FollowerLeg } from './legs.ts';
import { Relay, type RelayResult } from './relay.ts';
import {
  additionOf,
  askLegs,
  beginFollowers,
  beginRows,
  othersVisible,
  replayed,
  replayRows,
  replaySame,
  throwLost,
  transactionTime,
  throwFailures,
} from './replay.ts';
import type { Request } from './request.ts';
import { RowRelay } from './row-relay.ts';
import { notePins } from './pins.ts';
import type { SessionState, WritersBlock } from './state.ts';
import { learnSettings } from './setting-transfer.ts';
import { FAILED, type StatementEnd } from './statement-end.ts';
import { Trail } from './trail.ts';
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
  };
  session.block = implicit;
  return implicit;
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
  const plan = await session.services.planner.plan(session, statement);
  const block = await openImplicit(session);
  await throwLost(session, block, allFollowers(block));
  const pace = paceOf(session, block, statement, plan, request, company);
  if (pace === 'lockstep') await followersCaughtUp(session, block);
  if (leavesSomething(statement)) block.writes = 'possible';
  const before = plan.effects === 'hidden' ? statesOf(await block.legs.lead.lease.backend.ask(LOOK)) : undefined;
  const started = performance.now();
  const { result, effect, replay, time } = await onLead(session, block, plan, request);
  block.status = result.status;
  if (result.error !== undefined) return FAILED;
  const { moment } = session.services.coordinator;
  const whole = replay === undefined ? undefined : storedRows(block, replay, started);
  const same = replay === undefined ? [await replayed(block, plan, statement, request, effect, started, time)] : whole;
  if (pace !== 'lockstep' && same !== undefined) {
    await keep(session, block, statement, replay);
    for (const one of same) letTrail(session, block, { statement: one, moment }, pace);
    return { kind: 'done', held: request.completed(result.held) };
  }
  if (plan.effects === 'hidden') await othersVisible(session, block.legs.followers);
  const draws = before === undefined ? undefined : await align(session, block, before, replay);
  const kept = plan.effects === 'hidden' ? 'not at all' : 'in the log';
  if (same === undefined && replay !== undefined) throwFailures(block, await replayRows(session, block, replay));
  if (same !== undefined && same.length > 0)
    throwFailures(block, await replaySame(session, block, same, moment, { pace: 'lockstep', kept }));
  if (draws !== undefined) throwFailures(block, await compare(block, draws));
  await keep(session, block, statement, replay);
  for (const name of draws?.names ?? []) {
    const [value] = draws?.lead.get(name)?.split(',') ?? [];
    if (value !== undefined) await session.services.sequences.reserve(session, name, BigInt(value));
  }
  return { kind: 'done', held: request.completed(result.held) };
}

/** Rows that are few enough to be a statement like others; none where the lead has stored none. */
function storedRows(
  { legs }: WritersBlock,
  replay: RowReplay,
  started: number,
): readonly ReplayedStatement[] | undefined {
  const elapsedMs = performance.now() - started;
  return replay
    .takeUnsent()
    ?.map(({ message, expected }) => ({ messages: legs.followers.map(() => message), expected, elapsedMs }));
}

/** Settings and locks end with their session or transaction; of a query with a function (set_config()) it is not known. */
function leavesSomething({ command: { kind }, node }: Statement): boolean {
  return kind !== 'set' && kind !== 'set transaction' && kind !== 'read' && node !== 'LockStmt';
}

/** Sequences that have moved on the lead while it ran a statement with hidden effects. */
interface Draws {
  readonly names: readonly string[];
  readonly before: SequenceStates;
  readonly lead: SequenceStates;
}

/** Followers draw from where the lead drew; those that a row replay fills itself are drawn from on the lead alone. */
async function align(
  session: SessionState,
  block: WritersBlock,
  before: SequenceStates,
  replay: RowReplay | undefined,
): Promise<Draws> {
  if (replay?.overflow === 'yes') {
    throw new PproxError('not_replayed', {
      message: 'too many rows at once for a table with triggers',
      hint: 'Insert them in smaller batches.',
    });
  }
  const lead = statesOf(await block.legs.lead.lease.backend.ask(LOOK));
  const names = moved(before, lead).filter((name) => replay?.drawn.has(name) !== true);
  if (names.length > 0) {
    beginFollowers(session, block);
    const text = alignText(names, before);
    await session.services.coordinator.visibleEverywhere();
    session.services.sequences.forget();
    throwFailures(block, await askLegs(block.legs.followers, session.services.settings.followerTimeoutMs, () => text));
  }
  replay?.release();
  return { names, before, lead };
}

async function compare(block: WritersBlock, draws: Draws): Promise<readonly FollowerFailure[]> {
  if (draws.names.length === 0) return [];
  const found = await Promise.all(
    block.legs.followers.map(async ({ node, lease }) => {
      const follower = statesOf(await lease.backend.ask(LOOK));
      return compareDraws(node.label, draws.names, { ...draws, follower });
    }),
  );
  return found.flatMap((failure) => failure ?? []);
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
): Promise<{
  result: RelayResult;
  effect: Effect;
  replay: RowReplay | undefined;
  /** The transaction's, where the followers need it. */
  time: Promise<string> | undefined;
}> {
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
    const backslashes = session.lexis.standardStrings === 'on' ? 'literal' : 'escape';
    replay = new RowReplay(
      plan,
      targets,
      backend.channel,
      backslashes,
      session.services.settings.followerTimeoutMs,
      plan.effects === 'hidden' ? 'when released' : 'at once',
      streamGate(session, block, plan),
    );
  } else if (plan.kind === 'verified' || plan.rows === 'compared') digest = new RowDigest();
  const tap = replay ?? digest;
  if (addition !== undefined && tap !== undefined) {
    relay = new RowRelay(session.link, backend, tap, { own: addition.width, client: addition.client }, replies, limit);
  } else relay = new Relay(session.link, backend, { completion: 'hold', digest, replies, limit });
  backend.send(message, relay);
  const time = plan.kind !== 'rows' && plan.times.length > 0 ? transactionTime(backend) : undefined;
  const result = await session.cancellable(backend, relay.result);
  limit?.check();
  session.noteParameters(backend);
  const tag = result.held === undefined ? '' : decodeCommandTag(result.held, 0, result.held.length);
  return { result, effect: { tag, rows: digest?.value }, replay, time };
}

/** What a statement leaves behind once every writer has it. */
export async function keep(
  session: SessionState,
  block: WritersBlock,
  statement: Statement,
  replay: RowReplay | undefined,
): Promise<void> {
  notePins(session, statement);
  await learnSettings(session, statement, block.legs.lead.lease.backend);
  if (changesCatalog(statement)) block.catalog = 'changed';
  const { sequences } = session.services;
  if (statement.sequences.calls === 'setval' || block.catalog === 'changed') sequences.forget();
  for (const [sequence, { least, greatest }] of replay?.drawn ?? []) {
    await sequences.reserve(session, sequence, greatest);
    if (least !== greatest) await sequences.reserve(session, sequence, least);
    session.pins.add('sequence value');
  }
}

/** DDL, and what may contain any: a function, a procedure, a DO block. TRUNCATE may restart sequences. */
function changesCatalog({ command, pins }: Statement): boolean {
  return command.kind === 'definition' || command.kind === 'utility' || pins.includes('volatile function');
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
    session.noteParameters(backend);
    if (result.error !== undefined) return FAILED;
    notePins(session, statement);
    await learnSettings(session, statement, backend);
    if (changesCatalog(statement)) session.services.catalog.forget();
    answered = 'yes';
    return { kind: 'done', held: undefined };
  } finally {
    await session.giveBack(legs);
    if (answered === 'yes') await session.notePosition();
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
