/**
 * Statements on followers: what is sent, what came back, and what it means when it is not what the lead did.
 */
import { BackendLostError, KeptReply, type Lost } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';
import { decodeCommandTag } from '../wire/backend.ts';
import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts';
import { Watch, type WatchTable, watchTable } from '../wire/frame-scan.ts';
import { BackendTag } from '../wire/tags.ts';
import { quoteEscaped } from '../sql/quote.ts';
import { RowDigest } from './row-digest.ts';

/** What one statement did: compared between the lead and each follower. */
export interface Effect {
  /** CommandComplete's, with its row count; of several statements `joinTags`; empty where it failed, undefined where it does not count. */
  readonly tag: string | undefined;
  /** Of the rows it returned; undefined where rows are not compared. */
  readonly rows: string | undefined;
}

export interface FollowerReply {
  readonly effect: Effect;
  readonly error: ErrorFields | undefined;
  readonly status: number;
}

export type FollowerFailure =
  | { readonly kind: 'error'; readonly label: string; readonly fields: ErrorFields }
  | { readonly kind: 'lost'; readonly label: string; readonly lost: Lost }
  /** Its draw from a sequence, inside a function or trigger, was not the lead's. */
  | { readonly kind: 'sequence'; readonly label: string; readonly sequence: string }
  /** A function, a trigger or an action of a foreign key did not change as many rows of another table as on the lead. */
  | {
      readonly kind: 'elsewhere';
      readonly label: string;
      readonly table: string;
      readonly expected: string;
      readonly found: string;
    }
  /** What a function or trigger has made of it, in its catalog or of the rows it had, is not what it has on the lead. */
  | { readonly kind: 'relation'; readonly label: string; readonly relation: string }
  /** It has made, changed or dropped others, or none: what the server's tables, by their names, have more or fewer of. */
  | { readonly kind: 'objects'; readonly label: string; readonly catalogs: readonly string[] }
  /** A setting of the session. */
  | { readonly kind: 'setting'; readonly label: string; readonly setting: string }
  | { readonly kind: 'different'; readonly label: string; readonly expected: Effect; readonly found: Effect };

const EFFECT: WatchTable = watchTable({
  [BackendTag.DataRow]: Watch.tap,
  [BackendTag.CommandComplete]: Watch.take,
  [BackendTag.CopyInResponse]: Watch.take,
});

/** Of statements in one message. */
export function joinTags(tags: readonly string[]): string {
  return tags.join('; ');
}

/** Takes a follower's reply in, row by row, and keeps its effect alone. */
export class EffectReceiver extends KeptReply<FollowerReply> {
  readonly watch = EFFECT;
  /** Resolves when the server waits for COPY data, rejects never: `reply` tells where it does not come to that. */
  readonly copyIn: Promise<'ready' | 'refused'>;
  readonly #digest = new RowDigest();
  readonly #tags: string[] = [];
  #error: ErrorFields | undefined;
  #copy!: (state: 'ready' | 'refused') => void;

  constructor() {
    super();
    this.copyIn = new Promise((resolve) => {
      this.#copy = resolve;
    });
  }

  override tap(_tag: number, chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#digest.tap(chunk, start, end, last);
  }

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    if (tag === BackendTag.CommandComplete) this.#tags.push(decodeCommandTag(chunk, start, end));
    else if (tag === BackendTag.CopyInResponse) this.#copy('ready');
    else if (tag === BackendTag.ErrorResponse) this.#error = decodeErrorFields(chunk, start, end);
  }

  protected outcome(status: number): FollowerReply {
    this.#copy('refused');
    return { effect: { tag: joinTags(this.#tags), rows: this.#digest.value }, error: this.#error, status };
  }

  override lost(lost: Lost): void {
    this.#copy('refused');
    super.lost(lost);
  }
}

/** Waits for a follower's reply and compares it with what the lead did. */
export async function judge(
  label: string,
  receiver: EffectReceiver,
  expected: Effect,
): Promise<FollowerFailure | undefined> {
  try {
    const { effect, error } = await receiver.reply;
    if (error !== undefined) return { kind: 'error', label, fields: error };
    const sameRows = expected.rows === undefined || expected.rows === effect.rows;
    const sameTag = expected.tag === undefined || expected.tag === effect.tag;
    return sameTag && sameRows ? undefined : { kind: 'different', label, expected, found: effect };
  } catch (error) {
    if (error instanceof BackendLostError) return { kind: 'lost', label, lost: error.lost };
    throw error;
  }
}

/**
 * Classes of SQLSTATE (manual, "PostgreSQL Error Codes") that do not come of rows or objects that are missing: states of the transaction and its
 * savepoints, rollback, resources, limits, locks and states, cancellation, the system.
 */
const NOT_OF_OTHERS: ReadonlySet<string> = new Set(['08', '25', '3B', '40', '53', '54', '55', '57', '58', 'XX']);

/** Whether what another process has prepared may have been missed. */
export function mayBeOfOthers(failure: FollowerFailure): boolean {
  if (failure.kind === 'error') return !NOT_OF_OTHERS.has(failure.fields.code.slice(0, 2));
  return failure.kind === 'different';
}

/** Whether it fails whatever is told instead: it is gone, has cancelled it, lets nobody wait any longer for a lock, or has no room. */
export function isOfTheMoment(failure: FollowerFailure): boolean {
  return failure.kind === 'lost' || (failure.kind === 'error' && /^(?:40|53|55P03|57|58)/.test(failure.fields.code));
}

/** Rows of a transaction on a follower may wait for a lock this long; the lead's own locks have ordered them already. */
export function beginTexts(lockTimeoutMs: number, savepoints: readonly string[]): readonly string[] {
  return [
    'BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE',
    `SET LOCAL lock_timeout = ${lockTimeoutMs}`,
    ...savepoints.map((name) => `SAVEPOINT ${name}`),
  ];
}

const FIRES = 'pprox: triggers fire';

/** Behind rows for which no trigger was to fire on a follower: fails where some have, ENABLE REPLICA or ENABLE ALWAYS, and says so. */
export function quietProof(tables: readonly string[]): string {
  const names = tables.map((name) => `${quoteEscaped(name)}::pg_catalog.regclass`).join(', ');
  return `SELECT CAST(CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid IN (${names}) AND NOT tgisinternal
    AND tgenabled IN ('R', 'A')) THEN '${FIRES}' ELSE '1' END AS pg_catalog.int4)`;
}

const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK_DETECTED = '40P01';

const FIRES_ANEW =
  ' Where a trigger or function stores a moment or a random value of its own, GRANT SET ON PARAMETER session_replication_role (PostgreSQL 15 and later) lets the role give followers the rows of the lead.';

/** What can be done about writers that have done different things. */
const ADVICE: Readonly<Partial<Record<FollowerFailure['kind'], string>>> = {
  relation: " Use a statement of its own for the definition: then followers get the lead's values.",
  elsewhere: FIRES_ANEW,
  different: FIRES_ANEW,
};

/** One error for the client out of what happened on each follower. `others`: writers where nothing went wrong. */
export function followerError(
  failures: readonly FollowerFailure[],
  others: readonly string[],
  fate: string,
): PproxError {
  const detail = [...failures.map(describeFailure), ...others.map((label) => `${label}: ${fate}`)].join('\n');
  const hint = 'Nothing of this was applied on any writer.';
  const first = failures.find((failure) => failure.kind === 'error') ?? failures[0];
  switch (first?.kind) {
    case 'error':
      if (first.fields.code === LOCK_NOT_AVAILABLE) {
        return new PproxError('follower_lock_timeout', {
          message: `could not serialize: ${first.label} waited for a lock that the lead did not have`,
          detail,
          hint: `${hint} The transaction may be tried again.`,
        });
      }
      if (first.fields.message.includes(FIRES)) {
        return new PproxError('triggers_fired', {
          message: `could not serialize: triggers that were not to fire have done so on ${first.label}`,
          detail,
          hint: `${hint} The transaction may be tried again.`,
        });
      }
      return new PproxError('follower_failed', {
        sqlstate: first.fields.code,
        message: first.fields.message,
        detail,
        hint: first.fields.code === DEADLOCK_DETECTED ? `${hint} The transaction may be tried again.` : hint,
      });
    case 'sequence':
      return new PproxError('sequence_contended', {
        message: `could not serialize: another session drew from sequence ${first.sequence} at the same time`,
        detail,
        hint: `${hint} The transaction may be tried again.`,
      });
    case 'lost':
      return new PproxError('follower_lost', { message: `the connection to ${first.label} was lost`, detail, hint });
    default:
      return new PproxError('writers_differ', {
        message: 'the statement did not have the same effect on every writer',
        detail,
        hint: `${hint}${first === undefined ? '' : (ADVICE[first.kind] ?? '')}`,
      });
  }
}

/** Without statements of ours around a client's. */
function shown(tag: string | undefined): string | undefined {
  const tags = tag?.split('; ') ?? [];
  return tags.length < 2 ? tag : tags.filter((one) => one !== 'SET' && one !== 'SELECT 1').join('; ');
}

/** For people, a line. */
export function describeFailure(failure: FollowerFailure): string {
  switch (failure.kind) {
    case 'error': {
      const { severity, code, message, detail } = failure.fields;
      return `${failure.label}: ${severity} ${code}: ${message}${detail === undefined ? '' : ` (${detail})`}`;
    }
    case 'sequence':
      return `${failure.label}: a function or trigger drew another value from ${failure.sequence}`;
    case 'elsewhere':
      return `${failure.label}: rows of ${failure.table}: ${failure.found}, where on the lead: ${failure.expected}`;
    case 'relation':
      return `${failure.label}: a function or trigger has made something else of ${failure.relation} than on the lead`;
    case 'objects':
      return `${failure.label}: a function or trigger has not made, changed or dropped the same objects as on the lead (${failure.catalogs.join(', ')})`;
    case 'setting':
      return `${failure.label}: a function or trigger has not left ${failure.setting} as on the lead`;
    case 'lost':
      return `${failure.label}: connection lost (${failure.lost.reason}: ${failure.lost.message})`;
    default: {
      const { expected, found } = failure;
      const what =
        expected.tag === found.tag
          ? `the rows differ from the lead's`
          : `${shown(found.tag)} where the lead did ${shown(expected.tag)}`;
      return `${failure.label}: ${what}`;
    }
  }
}
