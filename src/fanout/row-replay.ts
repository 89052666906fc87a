/**
 * The lead's rows on their way to the followers: taken from its RETURNING as they arrive, made into statements of bounded
 * size by their plan (`row-plan.ts`), sent while the lead still produces; those of one batch alone are taken, and sent as any statement
 * is. Memory: one batch under construction, and in flight `OUTSTANDING_LIMIT` of them or `OUTSTANDING_BYTES`, whichever is less; beyond
 * that the lead is not read.
 */
import { guard } from '../backend/guard.ts';
import type { Backend } from '../backend/backend.ts';
import { LEDGER_LIMIT } from '../backend/ledger.ts';
import { assert } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import type { Channel } from '../net/channel.ts';
import { encodeDataRow } from '../wire/backend.ts';
import { type Effect, EffectReceiver, type FollowerFailure, judge } from './follower.ts';
import type { RowPlan } from './plan.ts';
import { RowDigest } from './row-digest.ts';

export interface RowTarget {
  readonly label: string;
  readonly backend: Backend;
}

/** When the followers get the rows: as they come, or when `release` says that the followers are ready for them. */
export type Sending = 'at once' | 'when released';

/** `direct`: no trigger fires there. */
export type Released = 'as planned' | 'direct';

/** With rows of the lead's; `expected`: what it does. */
export interface UnsentStatement {
  readonly text: Buffer;
  readonly expected: Effect;
}

/** A statement of ours with its rows; `direct`: in place of `text` where it is released so. */
interface Batch {
  readonly text: Buffer;
  readonly direct: Buffer | undefined;
  readonly expected: Effect;
}

/** Rows that wait for `release`. */
const HELD_BYTES = 64 * 1024 * 1024;

/** Rows that are kept for a replay. */
const KEPT_BYTES = 8 * 1024 * 1024;

const BATCH_BYTES = 256 * 1024;
/** Of a statement that has to have all rows: a server reads it whole, and takes many times as much memory for it. */
const STATEMENT_BYTES = 8 * 1024 * 1024;
const OUTSTANDING_LIMIT = 4;
/** The same where each row is a message of its own: what else a transaction is behind by goes out with them, BEGIN and PREPARE too. */
const OUTSTANDING_ROWS = LEDGER_LIMIT / 2;
/** Rows may be large, and are not cut: one is sent whatever its size. */
const OUTSTANDING_BYTES = 4 * 1024 * 1024;

const NULL = Buffer.from('NULL');
const QUOTE = 0x27;
const BACKSLASH = 0x5c;

/** Takes what the lead returns for us, row by row. */
export interface RowTap {
  /**
   * `values`: our columns, in text format, null for NULL; `whole`: the DataRow as it came, the client's columns in front. All of it is
   * valid during the call.
   */
  add(values: readonly (Buffer | null)[], whole: Buffer): void;
}

export class RowReplay implements RowTap {
  readonly #plan: RowPlan;
  #targets: readonly RowTarget[];
  readonly #source: Channel;
  readonly #backslashes: 'literal' | 'escape';
  readonly #timeoutMs: number;
  readonly #failures: FollowerFailure[] = [];
  readonly #settled = new Set<Promise<void>>();
  readonly #visible: () => Promise<void> | undefined;
  #sending: Sending;
  /** Whether anything has gone, or is about to go, to the followers from here. */
  #stream: 'not begun' | 'begun' = 'not begun';
  /** Whether a batch waits until the followers show what the lead has seen. */
  #gate: 'open' | 'waiting' = 'open';
  /** They do not within their time: nothing more is sent. */
  #refused: Error | undefined;
  /** Batches that have not been sent, in order. */
  #held: Batch[] = [];
  #heldBytes = 0;
  /** Of batches that are not held any more, and not answered. */
  #sentBytes = 0;
  /** What was sent, as long as it is little enough to be sent again. */
  #kept: Batch[] | 'too much' = [];
  #keptBytes = 0;
  /** More rows were to wait than memory is for: what is held is not all of them, and must not be sent. */
  overflow: 'no' | 'yes' = 'no';
  readonly #casts: readonly Buffer[];
  readonly #directCasts: readonly Buffer[];
  #released: Released = 'as planned';
  #parts: Buffer[] = [];
  /** The same for `direct`; empty where the plan has none. */
  #directParts: Buffer[] = [];
  #bytes = 0;
  #rows = 0;
  #digest = new RowDigest();
  /** Where defaults draw from unseen: the names of each (`Column.draws`). */
  readonly draws: readonly (readonly string[])[];
  /** Rows handed over in all. */
  total = 0;
  /** For each column that draws from a sequence: the largest and smallest value seen. */
  readonly drawn = new Map<string, { least: bigint; greatest: bigint }>();

  /**
   * `timeoutMs`: a follower that takes longer for one batch is taken for lost. `visible`: resolves when the followers show
   * what the lead shows when it is called; what it rejects with, `finish` does.
   */
  constructor(
    plan: RowPlan,
    targets: readonly RowTarget[],
    source: Channel,
    backslashes: 'literal' | 'escape',
    timeoutMs: number,
    sending: Sending,
    visible: () => Promise<void> | undefined,
  ) {
    this.#visible = visible;
    this.#sending = sending;
    this.#timeoutMs = timeoutMs;
    this.#plan = plan;
    this.draws = plan.columns.slice(plan.keyed, plan.sent).flatMap(({ draws }) => (draws === null ? [] : [draws]));
    this.#casts = plan.casts.map((cast) => Buffer.from(cast));
    this.#directCasts = plan.direct?.casts.map((cast) => Buffer.from(cast)) ?? [];
    this.#targets = targets;
    this.#source = source;
    this.#backslashes = backslashes;
  }

  /** `values`: text format, in the order of the plan's columns; null for NULL. Copied. */
  add(values: readonly (Buffer | null)[]): void {
    this.total++;
    this.#rows++;
    const { sent, keyed, direct, rows } = this.#plan;
    const literals = values.map((value) => (value === null ? NULL : quote(value, this.#backslashes)));
    this.#bytes += this.#row(this.#parts, literals, sent, this.#casts);
    if (direct !== undefined) this.#bytes += this.#row(this.#directParts, literals, direct.sent, this.#directCasts);
    for (let index = keyed; index < sent; index++) this.#draw(index, values[index] ?? null);
    if (rows === 'compared') {
      const wire = encodeDataRow(values);
      this.#digest.tap(wire, 0, wire.length, true);
    }
    if (this.#plan.batch === 'all rows') this.#limitStatement();
    else if (this.#bytes >= BATCH_BYTES || this.#plan.batch === 'one row') this.#endBatch();
  }

  #limitStatement(): void {
    if (this.#bytes < STATEMENT_BYTES) return;
    this.#refused ??= new PproxError('not_replayed', {
      message: 'too many rows at once for a table with a constraint that is checked when all of them are there',
      detail:
        'A foreign key of the table refers to itself, or a unique constraint of it is deferrable. The followers take such rows in one statement.',
      hint: 'Change them in smaller batches.',
    });
    this.#takeBatch();
  }

  /** Adds one row to `parts`; answers with its bytes. */
  #row(parts: Buffer[], literals: readonly Buffer[], sent: number, casts: readonly Buffer[]): number {
    let bytes = 2;
    parts.push(this.#rows === 1 ? OPEN : NEXT);
    for (let index = 0; index < sent; index++) {
      if (index > 0) parts.push(COMMA);
      const literal = literals[index] ?? NULL;
      parts.push(literal);
      bytes += literal.length + 1;
      const cast = this.#rows === 1 ? casts[index] : undefined;
      if (cast !== undefined) parts.push(cast);
    }
    parts.push(CLOSE);
    return bytes;
  }

  /**
   * All rows as statements for any follower, where none was sent yet; from here none will be. Undefined where some were, or all are more
   * than `limitBytes`: nothing has changed then.
   */
  takeUnsent(as: Released, limitBytes = Number.POSITIVE_INFINITY): readonly UnsentStatement[] | undefined {
    if (
      this.#stream === 'begun' ||
      this.overflow === 'yes' ||
      this.#refused !== undefined ||
      this.#heldBytes + this.#bytes > limitBytes
    )
      return undefined;
    const last = this.#takeBatch();
    const batches = last === undefined ? this.#held : [...this.#held, last];
    this.#held = [];
    return batches.map(({ text, direct, expected }) =>
      as === 'direct' && direct !== undefined ? { text: direct, expected: withoutRows(expected) } : { text, expected },
    );
  }

  /** Sends the rest and waits for every follower. Rejects where they could not be sent all of it. */
  async finish(): Promise<readonly FollowerFailure[]> {
    this.#endBatch();
    if (this.#sending === 'at once' && this.#held.length > 0) this.#begin();
    // A batch that has settled makes room for one that was held.
    while (this.#settled.size > 0) await Promise.all(this.#settled);
    if (this.#refused !== undefined) throw this.#refused;
    return this.#failures;
  }

  /** Whether everything that was sent is still at hand. */
  get repeatable(): boolean {
    return this.#kept !== 'too much';
  }

  /** After `finish`: sends everything once more, to these followers alone, which stand where they stood before. */
  async again(labels: ReadonlySet<string>): Promise<readonly FollowerFailure[]> {
    assert(this.#kept !== 'too much', 'rows that are sent again were kept');
    this.#targets = this.#targets.filter(({ label }) => labels.has(label));
    this.#failures.length = 0;
    this.#held = this.#kept;
    this.#kept = 'too much';
    this.#pump();
    return this.finish();
  }

  /** The followers are ready: what was held goes out, and all that comes. */
  release(as: Released): void {
    this.#released = as;
    this.#sending = 'at once';
    this.#pump();
  }

  #takeBatch(): Batch | undefined {
    if (this.#rows === 0) return undefined;
    const { direct, verb } = this.#plan;
    const text = Buffer.concat([Buffer.from(this.#plan.prefix), ...this.#parts, Buffer.from(this.#plan.suffix)]);
    const other =
      direct === undefined
        ? undefined
        : Buffer.concat([Buffer.from(direct.prefix), ...this.#directParts, Buffer.from(direct.suffix)]);
    const expected: Effect = {
      tag: verb === undefined ? undefined : `${verb} ${this.#rows}`,
      rows: this.#plan.rows === 'compared' ? this.#digest.value : undefined,
    };
    this.#parts = [];
    this.#directParts = [];
    this.#bytes = 0;
    this.#rows = 0;
    this.#digest = new RowDigest();
    return { text, direct: other, expected };
  }

  #endBatch(): void {
    const batch = this.#takeBatch();
    if (batch === undefined) return;
    if (this.#sending === 'when released') {
      this.#heldBytes += bytesOf(batch);
      if (this.#heldBytes > HELD_BYTES) this.overflow = 'yes';
      if (this.overflow === 'yes') this.#held = [];
      else this.#held.push(batch);
      return;
    }
    this.#held.push(batch);
    // A few rows by themselves are no stream yet.
    if (this.#plan.batch !== 'one row' || this.#stream === 'begun' || this.#full) this.#begin();
  }

  #begin(): void {
    this.#stream = 'begun';
    this.#pump();
    if (this.#full) this.#source.brake('row replay slow');
  }

  get #full(): boolean {
    if (this.#settled.size + this.#held.length >= this.#limit) return true;
    return this.#held.reduce((bytes, batch) => bytes + bytesOf(batch), this.#sentBytes) >= OUTSTANDING_BYTES;
  }

  get #room(): boolean {
    return this.#settled.size < this.#limit && this.#sentBytes < OUTSTANDING_BYTES;
  }

  /** Messages. */
  get #limit(): number {
    return this.#plan.batch === 'one row' ? OUTSTANDING_ROWS : OUTSTANDING_LIMIT;
  }

  /** What stands in a batch, the lead has seen before now. */
  #pump(): void {
    while (this.#room && this.#gate === 'open') {
      if (this.#refused !== undefined) this.#held = [];
      const batch = this.#held.shift();
      if (batch === undefined) return;
      this.#sentBytes += bytesOf(batch);
      const visible = this.#visible();
      if (visible === undefined) this.#dispatch(batch);
      else this.#wait(visible, batch);
    }
  }

  #wait(visible: Promise<void>, batch: Batch): void {
    this.#gate = 'waiting';
    const waited = visible
      .catch((error: Error) => {
        this.#refused = error;
      })
      .then(() => {
        this.#gate = 'open';
        this.#settled.delete(waited);
        if (this.#refused === undefined) this.#dispatch(batch);
        else this.#sentBytes -= bytesOf(batch);
        this.#pump();
        if (!this.#full) this.#source.release('row replay slow');
      });
    this.#settled.add(waited);
  }

  #keep(batch: Batch): void {
    if (this.#kept === 'too much') return;
    this.#keptBytes += bytesOf(batch);
    if (this.#keptBytes > KEPT_BYTES) this.#kept = 'too much';
    else this.#kept.push(batch);
  }

  #dispatch(batch: Batch): void {
    this.#keep(batch);
    const direct = this.#released === 'direct' ? batch.direct : undefined;
    const text = direct ?? batch.text;
    const expected = direct === undefined ? batch.expected : withoutRows(batch.expected);
    const watchdog = guard(
      this.#targets.map(({ backend }) => backend),
      this.#timeoutMs,
    );
    const sent = Promise.all(
      this.#targets.map(async ({ label, backend }) => {
        const receiver = new EffectReceiver();
        backend.query(text, receiver);
        const failure = await judge(label, receiver, expected);
        if (failure !== undefined && !this.#failures.some((known) => known.label === label))
          this.#failures.push(failure);
      }),
    ).then(() => {
      watchdog.clear();
      this.#settled.delete(sent);
      this.#sentBytes -= bytesOf(batch);
      this.#pump();
      if (!this.#full) this.#source.release('row replay slow');
    });
    this.#settled.add(sent);
  }

  #draw(index: number, value: Buffer | null): void {
    const sequence = this.#plan.columns[index]?.sequence;
    if (sequence === null || sequence === undefined || value === null) return;
    const text = value.toString('latin1');
    if (!/^-?\d{1,19}$/.test(text)) return;
    const drawn = BigInt(text);
    const known = this.drawn.get(sequence);
    if (known === undefined) this.drawn.set(sequence, { least: drawn, greatest: drawn });
    else if (drawn < known.least) known.least = drawn;
    else if (drawn > known.greatest) known.greatest = drawn;
  }
}

/** Without triggers there is nothing to compare, and nothing that is returned for it. */
function withoutRows({ tag }: Effect): Effect {
  return { tag, rows: undefined };
}

function bytesOf({ text, direct }: Batch): number {
  return text.length + (direct?.length ?? 0);
}

const OPEN = Buffer.from('(');
const NEXT = Buffer.from(', (');
const COMMA = Buffer.from(',');
const CLOSE = Buffer.from(')');

/** A string constant of the value's bytes, whatever the client's encoding: no trailing byte of any of them is a quote. */
export function quote(value: Buffer, backslashes: 'literal' | 'escape'): Buffer {
  const { length } = value;
  let doubled = 0;
  for (let index = 0; index < length; index++) if (isDoubled(value[index], backslashes)) doubled++;
  const literal = Buffer.allocUnsafe(length + doubled + 2);
  let at = 0;
  literal[at++] = QUOTE;
  if (doubled === 0) at += value.copy(literal, at);
  else {
    for (let index = 0; index < length; index++) {
      const byte = value[index] ?? 0;
      if (isDoubled(byte, backslashes)) literal[at++] = byte;
      literal[at++] = byte;
    }
  }
  literal[at] = QUOTE;
  return literal;
}

function isDoubled(byte: number | undefined, backslashes: 'literal' | 'escape'): boolean {
  return byte === QUOTE || (byte === BACKSLASH && backslashes === 'escape');
}
