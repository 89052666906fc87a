/** Rows read back on the lead, on followers on which no trigger fires for them. */
import type { OwnStatement } from '../backend/own-message.ts';
import type { Answer } from '../backend/receiver.ts';
import type { TriggerMode } from '../cluster/catalog.ts';
import type { CatalogAsker } from '../cluster/catalog-asker.ts';
import { assert } from '../lib/assert.ts';
import { inOrder, rowsText, type Told } from '../fanout/captured-rows.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import { RowReplay } from '../fanout/row-replay.ts';
import { PproxError } from '../lib/errors.ts';
import { encodeQuery } from '../wire/frontend.ts';
import { CapturedRows } from './captured-rows.ts';
import type { FollowerLeg } from './legs.ts';
import { answerOf, within } from './own-questions.ts';
import { followerDeadline, tell } from './replay.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { followersCaughtUp } from './trailing.ts';

const ROLE = 'session_replication_role';

/** In front of rows on a follower and behind them, so that no trigger fires for them; empty where there is nothing to do for it. */
export interface Quiet {
  readonly begin: string;
  end(leg: FollowerLeg): string;
}

/**
 * Undefined where triggers may fire on a follower: those of the told tables may be turned off where the session may do so, and need not be
 * where there are none. `stored`: other tables whose rows are sent as well, and whose triggers would fire. What is `kept` of the followers may be
 * some seconds old.
 */
export async function quieten(
  session: SessionState,
  block: WritersBlock,
  told: readonly Told[],
  stored: readonly string[],
  knowledge: 'asked for' | 'kept',
): Promise<Quiet | undefined> {
  const { followers } = block.legs;
  const tables = [...stored, ...told.map(({ name }) => name)];
  const modes = await Promise.all(followers.map((leg) => triggerMode(session, block, leg, knowledge)));
  if (modes.every(({ settable, firing }) => settable && !tables.some((name) => firing.has(name)))) {
    const before = new Map(modes.map(({ now }, index) => [followers[index], now]));
    return {
      begin: `SET LOCAL ${ROLE} = replica`,
      end: (leg) => `SET LOCAL ${ROLE} = ${before.get(leg) ?? 'origin'}`,
    };
  }
  const silent = stored.length === 0 && told.every(({ fires }) => fires === 'nothing');
  return silent ? { begin: '', end: () => '' } : undefined;
}

/** The rows have been sent: the next statement's triggers fire. */
export function endQuiet({ legs }: WritersBlock, { begin, end }: Quiet): void {
  if (begin !== '') for (const leg of legs.followers) tell(leg, end(leg));
}

async function triggerMode(
  session: SessionState,
  block: WritersBlock,
  leg: FollowerLeg,
  knowledge: 'asked for' | 'kept',
): Promise<TriggerMode> {
  const { backend } = leg.lease;
  const major = Number.parseInt(backend.parameters.get('server_version') ?? '', 10);
  const ask = async (text: string): Promise<Answer> => {
    // What it has to do yet has a deadline of its own.
    await followersCaughtUp(session, block);
    const [answer] = await within(session, [leg], () => answerOf(backend, text));
    assert(answer !== undefined, 'one is asked');
    return answer;
  };
  const askOften = (one: OwnStatement): Promise<Answer> => ask(one.text);
  const asker = knowledge === 'kept' ? session : { ...uncached(session), ask, askOften };
  const { catalog } = session.services;
  const { undeclaredNames } = await catalog.facts(session);
  return catalog.triggerMode(asker, leg.node.label, major, undeclaredNames, ask);
}

function uncached({
  scope,
  own,
  settingsOfFunctions,
  snapshot,
  temporaries,
}: CatalogAsker): Omit<CatalogAsker, 'ask' | 'askOften'> {
  return { scope, own, settingsOfFunctions, snapshot, temporaries, caching: 'forbidden' };
}

function miscounted(label: string, { name, count }: Told, found: number): FollowerFailure {
  return { kind: 'elsewhere', label, table: name, expected: `${count} stored`, found: `${found} shown` };
}

/** A role that draws by an identity alone is shown its values, and not where the sequence stands. */
async function reserveUnseen(session: SessionState, { plan }: Told, { drawn }: RowReplay): Promise<void> {
  for (const { sequence, unseen } of plan.columns) {
    const values = sequence === null || !unseen ? undefined : drawn.get(sequence);
    if (sequence === null || values === undefined) continue;
    for (const value of new Set([values.greatest, values.least]))
      await session.sequences.reserve(session, sequence, value);
  }
}

/**
 * Table by table, as the lead reads them out, up to the first that a follower does not take. Throws PproxError where the lead cannot read
 * one. `started`: by performance.now().
 */
export async function sendTold(
  session: SessionState,
  block: WritersBlock,
  told: readonly Told[],
  started: number,
): Promise<readonly FollowerFailure[]> {
  const { followers, lead } = block.legs;
  const { backend } = lead.lease;
  for (const one of inOrder(told)) {
    const { plan, first } = one;
    if (first !== undefined) for (const leg of followers) tell(leg, first);
    const rows = new RowReplay(
      plan,
      followers.map(({ node, lease }) => ({ label: node.label, backend: lease.backend })),
      backend.channel,
      session.backslashes,
      followerDeadline(session, performance.now() - started),
      'at once',
      () => undefined,
    );
    const captured = new CapturedRows(rows);
    backend.send(encodeQuery(rowsText(one)), captured);
    const { error, status } = await session.cancellable(backend, captured.reply);
    block.status = status;
    if (error !== undefined) throw new PproxError('not_replayed', { sqlstate: error.code, message: error.message });
    const failures = await rows.finish();
    if (failures.length > 0) return failures;
    if (one.count !== undefined && rows.total !== one.count)
      return followers.map(({ node: { label } }) => miscounted(label, one, rows.total));
    await reserveUnseen(session, one, rows);
  }
  return [];
}
