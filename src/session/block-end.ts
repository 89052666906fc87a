/** How a transaction block ends: committed, rolled back, failed by pprox, or lost with its servers. */
import { POISON } from '../backend/ledger.ts';
import { BackendLostError, type Lost } from '../backend/receiver.ts';
import { rollback } from '../commit/one-phase.ts';
import type { CommitLeg, SequencesUsed } from '../commit/coordinator.ts';
import { CHECK } from '../commit/decisions.ts';
import type { DefinitionAsker, Edition } from '../commit/definitions.ts';
import { ReplayLog } from '../fanout/replay-log.ts';
import { PproxError } from '../lib/errors.ts';
import { Completion, errorFrame } from './reply.ts';
import { BackendTag, TransactionStatus } from '../wire/tags.ts';
import type { FollowerLeg, LeadLeg, Legs } from './legs.ts';
import { fireEverywhere } from './fire-everywhere.ts';
import { compareDefined } from './compare-defined.ts';
import { commitSettings, loseSettings, settleCustom } from './setting-transfer.ts';
import { sameConfiguration } from './configuration.ts';
import { definitionAsker } from './definition-asker.ts';
import { agreedEdition, causeOf, sequencesNow, witness } from './editions.ts';
import { PlannedBy } from './planned-by.ts';
import { settlePins } from './pins.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { StatementRelay } from './relay.ts';
import { throwFailures } from './replay.ts';
import { untouched } from './touched.ts';
import { Trail } from './trail.ts';
import { callOffTrail, followersCaughtUp, takeBehind, undoOnFollowers } from './trailing.ts';

/** As POISON, where PostgreSQL would have got to running a Query: its portal is left. */
const POISON_OF_QUERY = 'EXECUTE "aborted by pprox"';

export function commitLeg(leg: FollowerLeg | LeadLeg): CommitLeg {
  return { node: leg.node, backend: leg.lease.backend };
}

function everyLeg(legs: Legs): CommitLeg[] {
  return [commitLeg(legs.lead), ...legs.begun.map(commitLeg)];
}

/** The block is over on every server: its legs go back, and what it changed in the catalog is forgotten. */
export async function leaveBlock(session: SessionState, block: WritersBlock): Promise<void> {
  session.block = { kind: 'none' };
  session.own.end();
  if (block.catalog === 'changed') session.services.catalog.forget();
  for (const leg of block.legs.leased) leg.block = 'leased';
  session.settings.rollback();
  await settleCustom(session, block.legs.lead.lease.backend);
  await settlePins(session, block.legs.lead.lease.backend);
  await session.giveBack(block.legs);
  await mendSequences(session, block);
}

/** What was set back on followers is not set back by their rollback; and others may have drawn from what was set anew. */
async function mendSequences(session: SessionState, { touched, catalog }: WritersBlock): Promise<void> {
  const names = [...touched.setBack];
  touched.setBack.clear();
  const { sequences } = session.services;
  // Others may have taken followers to be ahead before all of them were set back.
  if (catalog === 'changed' || names.length > 0) sequences.forget();
  // Before it is looked at where they stand: others are to know of it then.
  if (touched.sequencesSet === 'some') await recordSet(session, definitionAsker(session).ask);
  const placed = touched.placed === 'any' ? [] : [...touched.placed];
  if (touched.placed === 'any' || placed.length > 0)
    await withoutError(session, 'those that were set', sequences.afterSetval(session, placed));
  if (names.length > 0) await withoutError(session, names.join(', '), sequences.afterNextval(session, names));
}

/** For other processes, which may take their followers to be ahead of what was set. */
async function recordSet(session: SessionState, ask: DefinitionAsker['ask']): Promise<void> {
  if (session.followers === 'none') return;
  const { definitions } = session.services.coordinator;
  await withoutError(session, 'those that were set', definitions.recordSet(ask));
}

/** Behind a transaction's end nobody can be told of an error any more: what cannot be mended now, whoever draws next mends. */
async function withoutError({ log }: SessionState, sequences: string, mending: Promise<void>): Promise<void> {
  try {
    await mending;
  } catch (error) {
    if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
    log.warn('sequences left behind', { sequences, reason: error.message });
  }
}

/**
 * Commits on every writer and tells the client; of a refusal by the lead, too. `completion`: what an autocommit statement answers instead of COMMIT; `answered`: the client has all its completions.
 * Throws PproxError, with the block left, where the transaction is not committed for a reason of pprox's.
 */
export async function commitBlock(
  session: SessionState,
  block: WritersBlock,
  options: { chain: boolean; completion: Buffer | 'COMMIT' | 'answered'; refusal?: 'alone' | 'completed first' },
): Promise<'committed' | 'refused'> {
  const { link, cluster, services } = session;
  const { positionSource } = cluster;
  const lead = commitLeg(block.legs.lead);
  const writes = block.access === 'read write' && block.writes === 'possible' ? 'likely' : 'to be asked';
  let deferred: 'none' | 'possible';
  let behind: Awaited<ReturnType<typeof takeBehind>>;
  let configured: Promise<void> | undefined;
  try {
    // Where it has failed on a follower the lead has been told so, and answers nothing any more.
    block.trail.check();
    if (block.touched.drawnAlone === 'perhaps some') await session.sequences.afterTemporary(session);
    deferred = block.catalog === 'changed' || (await services.catalog.deferrable(session)) ? 'possible' : 'none';
    if (writes === 'likely' && deferred === 'possible') await fireDeferred(session, block);
    // Whatever is asked before the followers prepare is asked of what is done. Where there are several, what one has prepared
    // while another waits for a lock would be a wait that no server tells: it is nobody's session's.
    const alone = block.legs.leased.length === 1 && services.coordinator.leadAhead !== 'never';
    const together = alone && deferred === 'none' && writes === 'likely';
    configured = block.writes === 'possible' ? sameConfiguration(session, block) : undefined;
    configured?.catch(() => undefined);
    const trailed = !block.trail.empty;
    if (together) behind = await takeBehind(session, block);
    else await followersCaughtUp(session, block);
    if (trailed) block.plannedBy.ran = performance.now();
    if (block.touched.emptied === 'perhaps something')
      throwFailures(block, await compareDefined(session, block, 'not changed'));
    if (block.touched.made === 'objects') block.plannedBy.change('objects');
    await session.listening.join();
  } catch (error) {
    doubtCommit(session, block);
    await rollbackBlock(session, block);
    throw error instanceof PproxError ? await causeOf(session, block.plannedBy, error.ofTransaction()) : error;
  }
  // A cancel request that comes late would end the COMMIT of one server, and not of another.
  if (behind === undefined) block.stage = 'ending';
  await session.cancels.settled();
  const source = positionSource.kind === 'follower' ? block.legs.leased[positionSource.follower] : block.legs.lead;
  session.committing = { gid: undefined };
  const { definitions } = services.coordinator;
  const { changes } = block.plannedBy;
  const since = performance.now();
  let edition: Edition | undefined;
  const agree = async (): Promise<Edition | undefined> => {
    // Followers have done the rest of it with their PREPARE.
    if (behind !== undefined || deferred === 'possible') block.plannedBy.ran = performance.now();
    if (changes !== 'nothing') await witness(session, block);
    await configured;
    edition = await agreedEdition(session, block);
    return edition;
  };
  const commit = () =>
    services.coordinator.commit({
      lead,
      followers: block.legs.begun.map((leg) => ({ ...commitLeg(leg), behind })),
      chain: options.chain,
      leadCommit: block.isolation === 'serializable' || block.isolation === 'unknown' ? 'may fail' : 'certain',
      writes,
      deferred,
      definitions: { changes, sequences: sequencesUsed(block), agree },
      position:
        positionSource.kind === 'lead' || positionSource.kind === 'follower' ? source?.lease.backend : undefined,
      named: (gid) => {
        session.committing = { gid };
      },
    });
  const outcome = await (block.catalog === 'changed' ? services.catalog.changing(commit) : commit());
  session.committing = undefined;
  if (changes !== 'nothing') definitions.outdate();
  else if (outcome.kind === 'committed' && edition !== undefined)
    definitions.confirm(definitionAsker(session), edition, since);
  let answer = (): void => undefined;
  switch (outcome.kind) {
    case 'committed':
      // What it is answered holds.
      link.letGo();
      session.listening.committed();
      // COMMIT AND CHAIN leaves no room to ask: the next transaction has begun.
      if (outcome.position !== undefined) session.position = services.cluster.reachable(outcome.position);
      else if (positionSource.kind !== 'none') session.position = 'to be asked';
      // Counted with the decision.
      block.touched.sequencesSet = 'none';
      await noteSetMeanwhile(session, block, outcome.sequences);
      answer = () => {
        for (const frame of outcome.frames) if (frame[0] === BackendTag.NoticeResponse) link.send(frame);
        if (options.completion === 'COMMIT') link.send(outcome.completion);
        else if (options.completion !== 'answered') link.send(options.completion);
        for (const frame of outcome.frames) if (frame[0] !== BackendTag.NoticeResponse) link.defer(frame);
      };
      session.told.note(block.legs.lead.lease.backend);
      commitSettings(session, block);
      break;
    case 'refused by lead':
      doubtCommit(session, block);
      if (options.refusal === 'completed first' && Buffer.isBuffer(options.completion)) link.send(options.completion);
      for (const frame of outcome.frames) link.send(frame);
      break;
    default:
      if (outcome.kind === 'unknown') loseSettings(session, block);
      doubtCommit(session, block);
      await leaveBlock(session, block);
      throw outcome.kind === 'unknown' ? outcome.error : await causeOf(session, block.plannedBy, outcome.error);
  }
  try {
    // A COMMIT AND CHAIN that fails begins no other transaction.
    if (options.chain && outcome.kind === 'committed' && block.legs.alive) continueBlock(session, block);
    else await leaveBlock(session, block);
  } finally {
    // Behind the mending of sequences: what it has drawn, nobody gives out again.
    answer();
  }
  if (session.cursors === 'may draw') await followCursors(session);
  return outcome.kind === 'committed' ? 'committed' : 'refused';
}

/** Triggers that wait for the commit may have drawn from sequences, and taken statements of ours with them. */
function doubtCommit(session: SessionState, { legs, writes }: WritersBlock): void {
  legs.doubtOwn();
  if (writes === 'possible' && legs.lead.lease.backend.open) session.pins.add('sequence value');
}

/** What it has drawn the decision tells others' changes of, where it sees what is committed. */
function sequencesUsed({ touched, isolation }: WritersBlock): SequencesUsed {
  const drawn = touched.drawn.size > 0 && isolation === 'read committed' ? 'some' : 'none';
  return { set: touched.sequencesSet, drawn };
}

/**
 * Another process may have set back what this transaction has drawn from, while followers were taken to be ahead of it. `sequences`: as the
 * decision has told.
 */
async function noteSetMeanwhile(
  session: SessionState,
  { touched }: WritersBlock,
  sequences: string | undefined,
): Promise<void> {
  if (touched.drawnAt === undefined) return;
  const { definitions } = session.services.coordinator;
  let told = sequences;
  if (told !== undefined) definitions.sequencesTold(definitionAsker(session).key, told);
  else {
    const asking = sequencesNow(session).then((now) => {
      told = now;
    });
    await withoutError(session, [...touched.drawn].join(', '), asking);
  }
  if (told === touched.drawnAt) return;
  for (const name of touched.drawn) touched.setBack.add(name);
}

/** Those that are held have been read to their ends by COMMIT; the others are gone. */
async function followCursors(session: SessionState): Promise<void> {
  if (session.pins.has('held cursor'))
    await withoutError(session, 'those of a held cursor', session.services.sequences.afterNextval(session, []));
  else session.cursors = 'draw nothing';
}

/** Triggers that have waited for COMMIT may change rows: what they do is looked at while it can be. */
async function fireDeferred(session: SessionState, block: WritersBlock): Promise<void> {
  const { deferredTriggers } = await session.services.catalog.facts(session);
  if (deferredTriggers === 'none') return;
  await followersCaughtUp(session, block);
  await fireEverywhere(session, block, CHECK);
}

/** AND CHAIN: the lead is in its next transaction already; followers begin theirs when they are needed. */
export function continueBlock(session: SessionState, block: WritersBlock): void {
  session.listening.rolledBack();
  session.own.end();
  if (block.catalog === 'changed') session.services.catalog.forget();
  for (const leg of block.legs.leased) leg.block = 'leased';
  session.settings.rollback();
  session.block = {
    ...block,
    status: TransactionStatus.InBlock,
    savepoints: [],
    trail: new Trail(),
    log: new ReplayLog(),
    stage: 'open',
    catalog: 'unchanged',
    touched: { ...untouched(), setBack: block.touched.setBack, placed: block.touched.placed },
    plannedBy: new PlannedBy(session.services),
    writes: 'none',
  };
}

/** Rolls back everywhere, without a word to the client. */
export async function rollbackBlock(session: SessionState, block: WritersBlock): Promise<void> {
  block.stage = 'ending';
  await callOffTrail(session, block);
  await rollback(everyLeg(block.legs), session.services.settings.followerTimeoutMs);
  await leaveBlock(session, block);
}

/** The client's own ROLLBACK, or COMMIT of a failed block: the lead answers it. */
export async function rollbackByClient(
  session: SessionState,
  block: WritersBlock,
  text: Buffer,
  chain: boolean,
): Promise<void> {
  const { backend } = block.legs.lead.lease;
  block.stage = 'ending';
  await callOffTrail(session, block);
  if (!backend.open) {
    // Its server has rolled back by itself.
    session.link.send(Completion.rollback);
    return rollbackBlock(session, block);
  }
  const relay = new StatementRelay(session.link, backend);
  backend.query(text, relay);
  const [result] = await Promise.all([
    relay.result,
    rollback(block.legs.begun.map(commitLeg), session.services.settings.followerTimeoutMs),
  ]);
  session.told.note(backend);
  block.status = result.status;
  if (result.status === TransactionStatus.Idle) await leaveBlock(session, block);
  else if (chain && result.status === TransactionStatus.InBlock) {
    continueBlock(session, block);
    // What was set is not rolled back; beside the transaction that has begun, others see it at once.
    if (block.touched.sequencesSet === 'some') await recordSet(session, definitionAsker(session).askBeside);
  } else block.stage = 'open';
  return undefined;
}

/** After an error of pprox's own: an implicit transaction is rolled back, an explicit one becomes a failed block. */
export async function abortBlock(
  session: SessionState,
  leaving: 'no portal' | 'a portal' = 'no portal',
): Promise<void> {
  const text = leaving === 'no portal' ? POISON : POISON_OF_QUERY;
  const { block } = session;
  switch (block.kind) {
    case 'writers':
      block.legs.doubtOwn();
      if (block.mode === 'implicit') return rollbackBlock(session, block);
      if (block.status === TransactionStatus.InBlock) block.status = await poison(block.legs.lead.lease.backend, text);
      return undefined;
    case 'reader':
      if (block.status === TransactionStatus.InBlock) block.status = await poison(block.lease.backend, text);
      return undefined;
    case 'pending':
      session.block = { kind: 'lost' };
      return undefined;
    default:
      return undefined;
  }
}

/**
 * The lead's transaction has failed and has let its locks go: so do the followers, back to the innermost savepoint or the
 * beginning. Whoever has the lead's locks next need not wait for the client to say ROLLBACK.
 */
export async function settleFailed(session: SessionState): Promise<void> {
  const { block } = session;
  if (block.kind !== 'writers' || block.status !== TransactionStatus.Failed || block.trail.state === 'called off')
    return;
  await callOffTrail(session, block);
  await undoOnFollowers(session, block);
}

async function poison(backend: Legs['lead']['lease']['backend'], text: string): Promise<number> {
  try {
    return (await backend.ask(text)).status;
  } catch (error) {
    if (error instanceof BackendLostError) return TransactionStatus.Failed;
    throw error;
  }
}

/**
 * A server session of the block is gone. What it had not committed its server rolls back; the others are told to. Answers
 * with what the client should hear. A session pinned to the lost server session ends here.
 */
export async function loseBlock(session: SessionState, error: BackendLostError): Promise<PproxError> {
  const { block } = session;
  session.listening.rolledBack();
  session.settings.rollback();
  const last = error.lost.fatal;
  const told = new PproxError('server_lost', {
    message: `the connection to ${error.lost.server} was lost: ${error.message}`,
    detail: last === undefined ? undefined : `${last.severity} ${last.code}: ${last.message}`,
    hint: 'The transaction was rolled back on every writer.',
  });
  if (block.kind === 'writers') {
    await callOffTrail(session, block);
    await rollback(
      everyLeg(block.legs).filter(({ backend }) => backend.open),
      session.services.settings.followerTimeoutMs,
    );
    session.block = block.mode === 'explicit' ? { kind: 'lost' } : { kind: 'none' };
    if (session.pins.size > 0) endWithServer(session, error.lost);
    // The pinned ones have been by now, where these are the pinned ones.
    block.legs.release(session.pins.size === 0 ? 'reuse' : 'server session lost');
    return told;
  }
  if (block.kind === 'reader') {
    session.block = { kind: 'lost' };
    block.lease.release('reuse');
  }
  if (session.pins.size > 0) endWithServer(session, error.lost);
  return told;
}

/** idle_in_transaction_session_timeout, transaction_timeout, idle_session_timeout. */
const CLOCKS: ReadonlySet<string> = new Set(['25P03', '25P04', '57P05']);

/**
 * A server session has ended between the client's queries. The client's ends with it where the server's clock has ended it,
 * and where the client had something there that cannot be had back. Else the next statement is told that the block is lost.
 */
export function endWithServer(session: SessionState, lost: Lost): 'ended' | 'goes on' {
  const said = lost.fatal !== undefined && CLOCKS.has(lost.fatal.code) ? lost.fatalFrame : undefined;
  if (said === undefined && session.pins.size === 0) return 'goes on';
  session.link.send(said ?? errorFrame(pinnedLost(session, lost), 'FATAL'));
  session.dropPinned('server session lost');
  session.link.end();
  return 'ended';
}

function pinnedLost({ pins }: SessionState, { message }: Lost): PproxError {
  return new PproxError('session_lost', {
    message: 'terminating connection: its server session was lost',
    detail: `The session was kept on one server session for: ${[...pins].join(', ')}. ${message}`,
  });
}

/** The client is gone: whatever it had open is rolled back, and its server sessions go back or end. */
export async function abandon(session: SessionState): Promise<void> {
  const { block } = session;
  session.block = { kind: 'none' };
  session.listening.leave();
  session.settings.rollback();
  if (block.kind === 'writers') {
    await callOffTrail(session, block);
    await rollback(everyLeg(block.legs), session.services.settings.followerTimeoutMs);
    for (const leg of block.legs.leased) leg.block = 'leased';
    await session.giveBack(block.legs);
    await mendSequences(session, block);
  } else if (block.kind === 'reader') {
    await rollback([{ backend: block.lease.backend }], session.services.settings.followerTimeoutMs);
    await session.cancels.settled(block.lease.backend);
    block.lease.release(block.after);
  }
  const pinned = session.takePinned();
  if (pinned === undefined) return;
  if (session.pins.size === 1 && session.pins.has('sequence value')) await session.releaseSequences(pinned);
  else pinned.release('session state not movable');
}
