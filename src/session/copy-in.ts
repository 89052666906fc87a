/**
 * COPY … FROM STDIN: the client's data goes to every writer as it comes.
 *
 *   client ─► part ─┬► lead
 *                   └► followers          the slowest of them brakes the client
 *
 * Where columns are left to defaults that vary, the lead alone takes the data, and followers are told the rows that it has stored.
 *
 * The lead accepts the COPY first, and ends it first. Whoever fails in the middle, the others are told CopyFail and the
 * transaction is rolled back; what the client still sends of it is dropped, as a server does.
 */
import { guard } from '../backend/guard.ts';
import type { Backend } from '../backend/backend.ts';
import { BackendLostError } from '../backend/receiver.ts';
import { EffectReceiver, type FollowerFailure, judge } from '../fanout/follower.ts';
import { CopyWords } from '../fanout/copy-words.ts';
import { isLeadAlone, type SameTextPlan } from '../fanout/plan.ts';
import type { Statement } from '../sql/statement.ts';
import { decodeCommandTag } from '../wire/backend.ts';
import { COPY_DONE, encodeCopyFail } from '../wire/frontend.ts';
import { FrontendStreamError } from '../wire/frontend-reader.ts';
import { MessageWriter } from '../wire/writer.ts';
import { FrontendTag } from '../wire/tags.ts';
import type { Node } from '../cluster/node.ts';
import { markCopy, replayTriggers } from './copy-triggers.ts';
import { look, looks } from './hidden-effects.ts';
import { Relay, type RelayResult } from './relay.ts';
import type { FollowerLeg } from './legs.ts';
import type { Request } from './request.ts';
import { replayAlone } from './read-back.ts';
import { doubting } from './doubts.ts';
import { currentEdition } from './editions.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { FAILED, type StatementEnd } from './statement-end.ts';
import { allVisible, beginFollowers, compareAnswers, followerDeadline, throwFailures } from './replay.ts';
import { QUERY_CANCELED } from '../wire/error-fields.ts';
import { touchUnseen } from './touched.ts';
import { followSequences } from './read.ts';
import { checkPlan, keep, openImplicit, openPlanned } from './write.ts';

/** How the client's data ended. `cut`: a server ended the COPY before the client did. */
type DataEnd = { readonly kind: 'done' | 'gone' | 'cut' } | { readonly kind: 'failed'; readonly raw: Buffer };

/** A follower's part in the COPY. */
interface Copier {
  readonly node: Node;
  readonly backend: Backend;
  readonly receiver: EffectReceiver;
}

export async function copyIn(
  session: SessionState,
  statement: Statement,
  request: Request,
  route: 'lead' | 'writers',
  company: 'one' | 'many',
): Promise<StatementEnd> {
  const { text } = request;
  request.say();
  if (route === 'lead' && session.block.kind === 'none' && company === 'one') {
    const legs = await session.leaseLead();
    let done: StatementEnd;
    try {
      const { backend } = legs.lead.lease;
      const copy = () => copyTo(session, statement, text, undefined, backend, [], undefined);
      done = await doubting(session, statement, () => [backend], copy);
    } finally {
      await session.giveBack(legs);
    }
    if (done.kind === 'done') await followSequences(session, statement);
    return done;
  }
  const { catalog, planner } = session.services;
  const edition = route === 'writers' ? await currentEdition(session, statement) : undefined;
  const planned = catalog.edition;
  const { chosen: plan, block } =
    route === 'writers'
      ? await openPlanned(session, statement)
      : { chosen: undefined, block: await openImplicit(session) };
  if (plan !== undefined && edition !== undefined)
    block.plannedBy.note({ statement, plan }, planner.origin(plan), edition, session.scope);
  if (route === 'writers') block.writes = 'possible';
  const same = plan?.kind === 'statement' ? plan : undefined;
  const takers = route !== 'writers' || (same !== undefined && isLeadAlone(same)) ? [] : block.legs.followers;
  const end = await doubting(
    session,
    statement,
    () => block.legs.backends,
    () => copyTo(session, statement, text, block, block.legs.lead.lease.backend, takers, same),
  );
  if (end.kind === 'done' && route === 'lead') await followSequences(session, statement);
  if (end.kind === 'done' && same !== undefined) await checkPlan(session, statement, same, planned);
  return end;
}

async function copyTo(
  session: SessionState,
  statement: Statement,
  text: Buffer,
  block: WritersBlock | undefined,
  lead: Backend,
  legs: readonly FollowerLeg[],
  plan: SameTextPlan | undefined,
): Promise<StatementEnd> {
  const started = performance.now();
  const at =
    plan?.inPlace === 'rows beside temporary objects' ? 'all settings and permanent objects' : 'settings of values';
  const before = plan?.effects === 'hidden' ? await look(lead, at) : undefined;
  const { relay, response, ended } = await ask(session, lead, text);
  if (response === undefined) {
    const result = await ended;
    if (block !== undefined) block.status = result.status;
    return FAILED;
  }
  if (block !== undefined && legs.length > 0) {
    try {
      await allVisible(session, legs);
    } catch (error) {
      // The lead waits for data: nothing else can be said to it before that has ended.
      await abort(session, block, relay, lead, [], { kind: 'cut' });
      throw error;
    }
    beginFollowers(session, block);
  }
  const marked = before === undefined || legs.length === 0 ? 'no' : markCopy(legs, text);
  const fired = before === undefined ? undefined : { marked, looks: await looks(session, legs, 'settings of values') };
  const words =
    plan?.proof === undefined
      ? undefined
      : new CopyWords(statement.command.kind === 'copy in' ? statement.command.quotes : 'its own');
  const copiers = legs.map(({ node, lease }): Copier => {
    const receiver = new EffectReceiver();
    lease.backend.query(text, receiver);
    return { node, backend: lease.backend, receiver };
  });
  // Triggers are behind the data: nothing else of ours is sent before its end.
  if (plan?.leaves === 'something')
    for (const one of [lead, ...copiers.map(({ backend }) => backend)]) one.prepared.doubtOwn();
  const watchdog = guard(
    copiers.map(({ backend }) => backend),
    followerDeadline(session, performance.now() - started),
  );
  const ready = await Promise.all(copiers.map(({ receiver }) => receiver.copyIn));
  watchdog.clear();
  let end: DataEnd = { kind: 'cut' };
  if (!ready.includes('refused')) {
    session.link.send(response);
    // What the lead has said by now it says at the end.
    if (!lead.idle) {
      relay.speak();
      end = await pump(session, relay, lead, copiers, words);
    }
  }
  if (end.kind !== 'done') return abort(session, block, relay, lead, copiers, end);
  lead.sendCopy(COPY_DONE);
  const result = await ended;
  if (block !== undefined) block.status = result.status;
  if (result.error !== undefined) {
    await failCopiers(session, copiers);
    return FAILED;
  }
  const tag = result.held === undefined ? '' : decodeCommandTag(result.held, 0, result.held.length);
  // At its end a COPY looks for the rows that its foreign keys name.
  try {
    await allVisible(session, legs);
  } catch (error) {
    await failCopiers(session, copiers);
    throw error;
  }
  const patience = guard(
    copiers.map(({ backend }) => backend),
    followerDeadline(session, performance.now() - started),
  );
  for (const { backend } of copiers) backend.sendCopy(COPY_DONE);
  const found = await Promise.all(
    copiers.map(({ node, backend, receiver }) =>
      session.cancellable(backend, judge(node.label, receiver, { tag, rows: undefined })),
    ),
  );
  patience.clear();
  if (block !== undefined) {
    const copied = Number(tag.slice('COPY '.length));
    let failures: readonly FollowerFailure[] = found.flatMap((failure) => failure ?? []);
    // Each server has read such words by its own clock.
    if (failures.length === 0 && plan?.proof !== undefined && words?.found === 'a word')
      failures = await compareAnswers(session, block, plan.proof);
    if (plan === undefined || before === undefined || fired === undefined) {
      throwFailures(block, failures);
      touchUnseen(block.touched, plan?.stored);
    } else {
      const looked = { before, after: await look(lead, at) };
      if (isLeadAlone(plan)) await replayAlone(session, block, plan, looked, copied, started);
      else await replayTriggers(session, block, plan, looked, fired, copied, failures, started);
    }
    await keep(session, block, statement, undefined, 'not looked at');
  }
  return { kind: 'done', held: result.held };
}

/**
 * Starts the COPY on the lead: its CopyInResponse, behind which its errors are withheld, or undefined where it refuses, which the client has been
 * told.
 */
function ask(
  session: SessionState,
  lead: Backend,
  text: Buffer,
): Promise<{ relay: Relay; response: Buffer | undefined; ended: Promise<RelayResult> }> {
  return new Promise((resolve) => {
    const relay: Relay = new Relay(session.link, lead, {
      completion: 'hold',
      onCopyIn: (response) => {
        // Nor may an error come before it.
        relay.withhold();
        resolve({ relay, response, ended });
      },
    });
    const ended = session.cancellable(lead, relay.result);
    const refused = (): void => resolve({ relay, response: undefined, ended });
    ended.then(refused, refused);
    lead.query(text, relay);
  });
}

/** Hands the client's data to every backend until it ends, or until one of them has ended the COPY by itself. */
async function pump(
  session: SessionState,
  relay: Relay,
  lead: Backend,
  copiers: readonly Copier[],
  words: CopyWords | undefined,
): Promise<DataEnd> {
  const { link } = session;
  const backends = [lead, ...copiers.map(({ backend }) => backend)];
  let state: 'pumping' | 'cut' | 'ended' = 'pumping';
  const cut = (): void => {
    if (state !== 'pumping') return;
    state = 'cut';
    link.interrupt();
  };
  relay.result.then(cut, cut);
  for (const { receiver } of copiers) receiver.reply.then(cut, cut);
  const now = (): typeof state => state;
  link.beginCopy();
  try {
    while (now() === 'pumping') {
      let part: Awaited<ReturnType<typeof link.nextCopyPart>>;
      try {
        part = await link.nextCopyPart();
      } catch (error) {
        if (!(error instanceof FrontendStreamError)) throw error;
        return { kind: 'failed', raw: link.takeRest() };
      }
      if (part === 'interrupted') break;
      if (part === undefined) return { kind: 'gone' };
      if (part.kind === 'data') {
        words?.feed(part.bytes);
        for (const backend of backends) backend.sendCopy(part.bytes);
        await drained(session, backends);
        continue;
      }
      const { tag, body } = part.message;
      if (tag === FrontendTag.CopyDone) return { kind: 'done' };
      // Ignored inside COPY (PostgreSQL, "COPY Operations").
      if (tag === FrontendTag.Flush || tag === FrontendTag.Sync) continue;
      // CopyFail, or what has no place here: the lead says what is to be said of it.
      return { kind: 'failed', raw: new MessageWriter().begin(tag).bytes(body).end().finish() };
    }
    return { kind: 'cut' };
  } finally {
    state = 'ended';
  }
}

/** What a message still owes is made up by blanks as long as it is so much at most. */
const PADDING_LIMIT_BYTES = 1024 * 1024;

/**
 * A COPY that breaks off inside a CopyData message leaves its servers waiting for the rest, also those that have refused
 * the data already: they would take whatever comes next for it. Blanks end no row, so that none of them is read.
 */
function completeMessage(owedBytes: number, backends: readonly Backend[]): void {
  if (owedBytes === 0) return;
  for (const backend of backends) {
    if (owedBytes <= PADDING_LIMIT_BYTES) backend.sendCopy(Buffer.alloc(owedBytes, 0x20));
    else backend.close('session state not movable');
  }
}

/** The slowest writer brakes the client; one that takes nothing at all is given up. */
async function drained(session: SessionState, backends: readonly Backend[]): Promise<void> {
  const slow = backends.filter(({ channel }) => channel.congested);
  if (slow.length === 0) return;
  const watchdog = guard(slow, session.services.settings.followerTimeoutMs);
  await Promise.all(slow.map((backend) => backend.writable()));
  watchdog.clear();
}

/** The COPY fails: by the client's wish, its disappearance, or a server that gave up. */
async function abort(
  session: SessionState,
  block: WritersBlock | undefined,
  relay: Relay,
  lead: Backend,
  copiers: readonly Copier[],
  end: DataEnd,
): Promise<StatementEnd> {
  const ended = copiers.filter(({ backend }) => backend.idle || !backend.open);
  const followers = copiers.map(({ backend }) => backend);
  completeMessage(session.link.copyRemaining, end.kind === 'gone' ? followers : [lead, ...followers]);
  // The lead has been sent the same data: what is wrong with it, the lead says before it comes to the CopyFail.
  if (end.kind === 'cut') relay.withhold();
  if (end.kind === 'gone') lead.channel.endInput();
  else if (!lead.idle) lead.sendCopy(end.kind === 'failed' ? end.raw : encodeCopyFail(ABANDONED));
  const watchdog = guard([lead], session.services.settings.followerTimeoutMs);
  await failCopiers(session, copiers);
  let result: RelayResult | undefined;
  try {
    result = await relay.result.finally(() => watchdog.clear());
  } catch (error) {
    if (!(error instanceof BackendLostError)) throw error;
    if (end.kind !== 'cut' && error.lost.fatalFrame !== undefined) {
      // Out of step with its client, a server ends the connection.
      session.link.send(error.lost.fatalFrame);
      session.link.end();
    }
    if (ended.length === 0) throw error;
  }
  if (block !== undefined && result !== undefined) block.status = result.status;
  const own = result?.withheld;
  if (own !== undefined && !(result?.error?.code === QUERY_CANCELED && result.error.message.includes(ABANDONED))) {
    session.link.send(own);
    return FAILED;
  }
  if (result?.error !== undefined && own === undefined) return FAILED;
  if (block !== undefined && ended.length > 0) {
    const found = await Promise.all(
      ended.map(({ node, receiver }) => judge(node.label, receiver, { tag: 'COPY', rows: undefined })),
    );
    throwFailures(
      block,
      found.flatMap((failure) => failure ?? []),
    );
  }
  return FAILED;
}

/** What our CopyFail says; a server repeats it in its error. */
const ABANDONED = 'abandoned by pprox';

/** Ends the COPY of every follower that is still in it, and waits until it has. */
async function failCopiers(session: SessionState, copiers: readonly Copier[]): Promise<void> {
  const backends = copiers.map(({ backend }) => backend);
  for (const backend of backends) if (!backend.idle) backend.sendCopy(encodeCopyFail(ABANDONED));
  const watchdog = guard(backends, session.services.settings.followerTimeoutMs);
  await Promise.allSettled(copiers.map(({ receiver }) => receiver.reply));
  watchdog.clear();
}
