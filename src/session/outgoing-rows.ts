/** Asks for the rows that a transaction has taken away (`fanout/outgoing-rows.ts`), on whichever server it runs. */
import { type Answer, BackendLostError, KeptReply } from '../backend/receiver.ts';
import type { Backend } from '../backend/backend.ts';
import type { Column, Table } from '../cluster/table.ts';
import {
  borrowText,
  OUTGOING_LIMIT,
  outgoingText,
  placesText,
  presentParts,
  removalPlan,
  seenText,
  stateText,
} from '../fanout/outgoing-rows.ts';
import { keepsOwn, type Source, sourceOf } from '../fanout/captured-rows.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import { quote, RowReplay } from '../fanout/row-replay.ts';
import { PproxError } from '../lib/errors.ts';
import { decodeDataRow } from '../wire/backend.ts';
import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts';
import { Watch, watchTable } from '../wire/frame-scan.ts';
import { BackendTag } from '../wire/tags.ts';
import type { Written } from './written.ts';
import type { FollowerLeg, LeadLeg } from './legs.ts';
import { answerOf, compareEach } from './own-questions.ts';
import { followerDeadline } from './replay.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';

/** The columns of a row's key, as the server writes them. */
type Key = readonly (Buffer | null)[];

/** Of one table. */
export interface Outgoing {
  /** Equal where the same rows are: how many, and the sum of their hashes. */
  readonly digest: string;
  readonly count: number;
  /** Among which they were found. */
  readonly source: Source;
  /** Of those that were deleted, or that have another key now; of all where a newer version cannot take its place. Empty where not asked for. */
  readonly gone: readonly Key[];
}

/** `which`: a digest alone; `keys`: what tells them as well, of a table with a key. */
type Wanted = 'which' | 'keys';

const NULL = Buffer.from('NULL');

/** Bytes of keys that are kept for a statement. */
const KEYS_BYTES = 16 * 1024 * 1024;

/** Keys that are looked for at once. */
const AT_ONCE = 2000;

/**
 * Undefined where it cannot be known: too many rows have been touched, the login may not read the table, or somebody keeps others from reading
 * it. Rejects with PproxError where the transaction itself is refused an answer, and is a failed one then; with BackendLostError where it is
 * lost.
 */
async function outgoingRows(
  session: SessionState,
  block: WritersBlock,
  { node, lease: { backend } }: LeadLeg | FollowerLeg,
  { name, table }: Written,
  source: Source,
  wanted: Wanted,
): Promise<Outgoing | undefined> {
  const key = wanted === 'keys' ? keyOf(table) : [];
  try {
    const level = block.savepoints.length === 0 ? 'transaction' : 'savepoint';
    const [own, lent, snapshot] =
      (await asked(backend, stateText(source, node.role === 'lead' ? level : 'follower'))).rows[0] ?? [];
    const found = await session.lookOn(node, async (onlooker) => {
      if (typeof lent !== 'string') return look();
      try {
        await answerOf(onlooker, borrowText(lent));
        return await look();
      } finally {
        // One that is lost meanwhile is nobody's any more.
        await onlooker.ask('ROLLBACK').catch(() => undefined);
      }

      /** Or why it cannot be known. */
      async function look(): Promise<Outgoing | string> {
        const [looked, ...touched] = (await answerOf(onlooker, placesText(source))).rows;
        if (looked?.[0] !== own) return 'it is another table to others';
        if (touched.length > OUTGOING_LIMIT) return 'too many rows have been touched';
        const storedBy = new Map(touched.map(([place, xmin]) => [place ?? '', xmin]));
        const places = [...storedBy.keys()];
        const seen = places.length === 0 ? [] : (await asked(backend, seenText(source, places))).rows;
        const visible = new Set(seen.map(([place]) => place));
        const unseen = places.filter((place) => !visible.has(place));
        if (unseen.length === 0) return { digest: digestOf([]), count: 0, source, gone: [] };
        const rows = new RawRows();
        onlooker.query(outgoingText(source, table, key, unseen, snapshot ?? undefined), rows);
        const { found, error } = await rows.reply;
        if (error !== undefined) return error.message;
        if (found === 'too much') return 'too many keys';
        const taken = found.filter(([, place, xmin]) => storedBy.get(textOf(place)) === textOf(xmin));
        if (taken.some(([hash]) => hash === null)) throw uncertain(name);
        const keys = taken.map(([, , , ...values]) => values);
        const present: ReadonlySet<number> =
          key.length === 0 || isReplaced(table) ? new Set() : await presentOf(session, backend, name, key, keys);
        const gone = key.length === 0 ? [] : keys.filter((_, index) => !present.has(index));
        const digest = digestOf(taken.map(([hash]) => BigInt(textOf(hash) || 0)));
        return { digest, count: taken.length, source, gone };
      }
    });
    return typeof found === 'string' ? unknown(found) : found;
  } catch (error) {
    if (!isOnlookers(error, backend)) throw error;
    return unknown(error.message);
  }

  function unknown(why: string): undefined {
    session.log.debug('rows taken away not known', { table: name, server: node.label, why });
  }
}

/** Whether it is no more than that nobody could look on. */
function isOnlookers(error: unknown, backend: Backend): error is PproxError | BackendLostError {
  if (error instanceof BackendLostError) return backend.open;
  return error instanceof PproxError && !(error instanceof OwnError) && error.condition !== 'cancelled';
}

/** Who was under way when the transaction began may have stored some of them in a subtransaction: then it has not seen them. */
function uncertain(table: string): OwnError {
  return new OwnError('removals_uncertain', {
    message: `could not serialize: which rows of ${table} are gone is not certain`,
    detail:
      'Behind a savepoint, a transaction that reads an older state cannot be compared with others that were under way when it began.',
    hint: 'The transaction may be tried again.',
  });
}

/** The transaction has failed with it. */
class OwnError extends PproxError {}

async function asked(backend: Backend, text: string): Promise<Answer> {
  const answer = await backend.ask(text);
  if (answer.error === undefined) return answer;
  throw new OwnError('not_replayed', { sqlstate: answer.error.code, message: answer.error.message });
}

/** Among those that were found first, if as many of them are gone as were counted. */
export async function outgoingOnLead(
  session: SessionState,
  block: WritersBlock,
  written: Written,
  wanted: Wanted,
): Promise<Outgoing | undefined> {
  const { lead } = block.legs;
  const look = (source: Source): Promise<Outgoing | undefined> =>
    session.cancellable(lead.lease.backend, outgoingRows(session, block, lead, written, source, wanted));
  const outgoing = await look(written.source);
  if (written.taken === undefined || outgoing?.count === written.taken) return outgoing;
  return written.access.size === 'large' ? undefined : look(sourceOf(written.access));
}

/** Rows that are gone, or have a newer version, have to be the same ones. `known`: the lead's. */
export async function compareOutgoing(
  session: SessionState,
  block: WritersBlock,
  written: Written,
  known?: Outgoing,
): Promise<readonly FollowerFailure[] | 'not known'> {
  const { followers } = block.legs;
  const there = known ?? (await outgoingOnLead(session, block, written, 'which'));
  if (there === undefined) return 'not known';
  return compareEach(session, followers, async (leg) => {
    const here = await outgoingRows(session, block, leg, written, there.source, 'which');
    if (here === undefined) return 'not known';
    if (here.digest === there.digest) return 'same';
    return {
      kind: 'elsewhere',
      label: leg.node.label,
      table: written.name,
      expected: `${there.digest} gone or changed`,
      found: `${here.digest} gone or changed`,
    };
  });
}

/** On followers: rows with such keys go. `before`: whether some of them may have gone already. `started`: by performance.now(). */
export async function sendRemovals(
  session: SessionState,
  { legs }: WritersBlock,
  name: string,
  table: Table,
  keys: readonly Key[],
  before: 'none' | 'some',
  started: number,
): Promise<readonly FollowerFailure[]> {
  const rows = new RowReplay(
    removalPlan(name, keyOf(table), before),
    legs.followers.map(({ node, lease }) => ({ label: node.label, backend: lease.backend })),
    legs.lead.lease.backend.channel,
    session.backslashes,
    followerDeadline(session, performance.now() - started),
    'at once',
    () => undefined,
  );
  for (const key of keys) rows.add(key);
  return rows.finish();
}

/** The key that rows are told by; empty where the table has none that this session may read whole. */
export function keyOf({ keys, columns }: Table): readonly Column[] {
  const [names = []] = keys;
  const found = names.flatMap((name) => columns.find((column) => column.name === name) ?? []);
  return found.every(({ exact, selectable }) => exact && selectable) ? found : [];
}

/** Whether a newer version cannot simply take the place of the older one: its identity stays, or what is unique in it is still another row's. */
function isReplaced(table: Table): boolean {
  const [key = []] = table.keys;
  return keepsOwn(table) || table.ordered.some((name) => !key.includes(name));
}

function textOf(value: Buffer | null | undefined): string {
  return value?.toString('latin1') ?? '';
}

function digestOf(hashes: readonly bigint[]): string {
  return `${hashes.length} of hash ${BigInt.asUintN(
    64,
    hashes.reduce((sum, hash) => sum + hash, 0n),
  ).toString(16)}`;
}

/** The indices of those keys that a row has which the transaction sees: it has a newer version, or was put back. */
async function presentOf(
  session: SessionState,
  backend: Backend,
  name: string,
  key: readonly Column[],
  keys: readonly Key[],
): Promise<ReadonlySet<number>> {
  const { backslashes } = session;
  const { prefix, suffix } = presentParts(name, key);
  const present = new Set<number>();
  for (let from = 0; from < keys.length; from += AT_ONCE) {
    const rows = keys.slice(from, from + AT_ONCE).map((values, index) => {
      const constants = values.flatMap((value, place) => [
        Buffer.from(', '),
        value === null ? NULL : quote(value, backslashes),
        Buffer.from(`::${key[place]?.base ?? 'text'}`),
      ]);
      return Buffer.concat([Buffer.from(`${index === 0 ? '' : ', '}(${from + index}`), ...constants, Buffer.from(')')]);
    });
    const answer = new RawRows();
    backend.query(Buffer.concat([Buffer.from(prefix), ...rows, Buffer.from(suffix)]), answer);
    const { found, error } = await answer.reply;
    if (error !== undefined || found === 'too much')
      throw new OwnError('not_replayed', { message: error?.message ?? 'too many keys', ...codeOf(error) });
    for (const [number] of found) present.add(Number(textOf(number)));
  }
  return present;
}

function codeOf(error: ErrorFields | undefined): { readonly sqlstate?: string } {
  return error === undefined ? {} : { sqlstate: error.code };
}

interface Raw {
  readonly found: readonly (readonly (Buffer | null)[])[] | 'too much';
  readonly error: ErrorFields | undefined;
}

/** A bounded answer, in the bytes of the server: whatever its encoding, they are sent on as they are. */
class RawRows extends KeptReply<Raw> {
  readonly watch = watchTable({ [BackendTag.DataRow]: Watch.take, [BackendTag.ErrorResponse]: Watch.take });
  #found: (Buffer | null)[][] | 'too much' = [];
  #bytes = 0;
  #error: ErrorFields | undefined;

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    if (tag === BackendTag.ErrorResponse) this.#error = decodeErrorFields(chunk, start, end);
    if (tag !== BackendTag.DataRow || this.#found === 'too much') return;
    this.#bytes += end - start;
    if (this.#bytes > KEYS_BYTES) this.#found = 'too much';
    else this.#found.push(decodeDataRow(chunk, start, end));
  }

  protected outcome(): Raw {
    return { found: this.#found, error: this.#error };
  }
}
