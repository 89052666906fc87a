/** Rows read back on the lead, on followers on which no trigger fires for them. */
import type { Backend } from '../backend/backend.ts';
import type { Table } from '../cluster/catalog.ts';
import { blocksText, latestText, ofCommand, rowsText, type Told } from '../fanout/captured-rows.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import { RowReplay } from '../fanout/row-replay.ts';
import { PproxError } from '../lib/errors.ts';
import { quoteEscaped } from '../sql/quote.ts';
import { encodeQuery } from '../wire/frontend.ts';
import { CapturedRows } from './captured-rows.ts';
import { answerOf, within } from './own-questions.ts';
import { followerDeadline, tell } from './replay.ts';
import type { SessionState, WritersBlock } from './state.ts';

const ROLE = 'session_replication_role';

/** Between `begin`, which each follower is sent in front of the rows, and `end`, no trigger fires. */
export interface Quiet {
  readonly begin: string;
  end(): void;
}

/**
 * Undefined where triggers may fire on a follower: those of the told tables may be turned off where the session may do so, and need not be
 * where there are none. `stored`: other tables whose rows are sent as well, and whose triggers would fire.
 */
export async function quieten(
  session: SessionState,
  block: WritersBlock,
  told: readonly Told[],
  stored: readonly string[],
): Promise<Quiet | undefined> {
  const { followers } = block.legs;
  const tables = [...stored, ...told.map(({ name }) => name)];
  const modes = await within(session, followers, ({ lease }) => triggerMode(lease.backend, tables));
  if (!modes.includes(undefined)) {
    const end = (): void => {
      for (const [index, leg] of followers.entries()) tell(leg, `SET LOCAL ${ROLE} = ${modes[index] ?? 'origin'}`);
    };
    return { begin: `SET LOCAL ${ROLE} = replica`, end };
  }
  const silent = stored.length === 0 && told.every(({ fires }) => fires === 'nothing');
  return silent ? { begin: '', end: () => undefined } : undefined;
}

/**
 * Which triggers fire there; undefined where some of these tables' would fire in spite of it, or where the session may not change it.
 * PostgreSQL 15 and later can grant the setting; before, it is a superuser's.
 */
async function triggerMode(backend: Backend, tables: readonly string[]): Promise<string | undefined> {
  const major = Number.parseInt(backend.parameters.get('server_version') ?? '', 10);
  const may =
    major >= 15 ? `pg_catalog.has_parameter_privilege('${ROLE}', 'SET')` : `current_setting('is_superuser') = 'on'`;
  // ENABLE REPLICA and ENABLE ALWAYS.
  const others = `SELECT FROM pg_catalog.pg_trigger WHERE NOT tgisinternal AND tgenabled IN ('R', 'A')
    AND tgrelid IN (${tables.map((name) => `to_regclass(${quoteEscaped(name)})`).join(', ')})`;
  const { rows } = await answerOf(backend, `SELECT current_setting('${ROLE}') WHERE ${may} AND NOT EXISTS (${others})`);
  return rows[0]?.[0] ?? undefined;
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
  for (const one of told) {
    const { plan, first } = one;
    if (first !== undefined) for (const leg of followers) tell(leg, first);
    const rows = new RowReplay(
      plan,
      followers.map(({ node, lease }) => ({ label: node.label, backend: lease.backend })),
      backend.channel,
      session.lexis.standardStrings === 'on' ? 'literal' : 'escape',
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
  }
  return [];
}

/** Blocks at a table's end that are looked at first: more than servers add at once. */
const TAIL_BLOCKS = 128;

/**
 * The rows that a COPY has stored, `count` of them, where they stand at the end of the table: what is older is not read then. Undefined
 * where they are not all of one command, as where triggers have changed them.
 */
export async function storedAtEnd(
  session: SessionState,
  backend: Backend,
  told: Told,
  table: Table,
  count: number,
): Promise<Told | undefined> {
  const [size] = (await session.cancellable(backend, answerOf(backend, blocksText(told.name)))).rows;
  const blocks = Number(size?.[0]);
  for (let tail = TAIL_BLOCKS; ; tail *= 8) {
    const from = Math.max(0, blocks - tail);
    const [latest] = (await session.cancellable(backend, answerOf(backend, latestText(told.name, from)))).rows;
    const [command, found] = latest ?? [];
    if (typeof command === 'string' && Number(found) === count) return ofCommand(told, table, command, from);
    if (from === 0) return undefined;
  }
}
