/**
 * A reply whose last columns are ours: they go to a tap (row replay, or a digest), and the client sees its own columns
 * alone, or no rows where it asked for none.
 */
import type { Backend } from '../backend/backend.ts';
import type { RowTap } from '../fanout/row-replay.ts';
import { readFields } from '../wire/backend.ts';
import { Watch, type WatchTable, watchTable } from '../wire/frame-scan.ts';
import { MessageReader } from '../wire/reader.ts';
import { BackendTag, HEADER_BYTES } from '../wire/tags.ts';
import { MessageWriter } from '../wire/writer.ts';
import type { ClientLink } from './client-link.ts';
import { Relay, scripted } from './relay.ts';
import type { RowLimit } from './row-limit.ts';
import type { ReplyScript } from './reply-script.ts';
import { NO_DATA } from '../wire/extended.ts';

const ROWS: WatchTable = watchTable({
  [BackendTag.RowDescription]: Watch.take,
  [BackendTag.DataRow]: Watch.take,
  [BackendTag.CommandComplete]: Watch.take,
  [BackendTag.EmptyQueryResponse]: Watch.take,
  [BackendTag.CopyInResponse]: Watch.take,
  [BackendTag.NotificationResponse]: Watch.take,
});

const EXTENDED_ROWS: WatchTable = scripted(ROWS);

/** Bytes of a RowDescription field behind its name. */
const FIELD_BYTES = 18;

export class RowRelay extends Relay {
  override readonly watch: WatchTable;
  readonly #tap: RowTap;
  readonly #own: number;
  readonly #client: 'rows' | 'no rows';
  readonly #protocol: 'simple' | 'extended';

  /** `own`: how many columns at the end of each row are ours. `replies`: of an extended query. */
  constructor(
    client: ClientLink,
    source: Backend,
    tap: RowTap,
    { own, client: rows }: { readonly own: number; readonly client: 'rows' | 'no rows' },
    replies: ReplyScript | undefined,
    limit: RowLimit | undefined,
  ) {
    super(client, source, { completion: 'hold', replies, limit });
    this.#protocol = replies === undefined ? 'simple' : 'extended';
    this.watch = replies === undefined ? ROWS : EXTENDED_ROWS;
    this.#tap = tap;
    this.#own = own;
    this.#client = rows;
  }

  override take(tag: number, chunk: Buffer, start: number, end: number): void {
    if (tag === BackendTag.RowDescription && this.#protocol === 'simple') {
      if (this.#client === 'rows') this.#forward(this.#description(chunk, start, end));
    } else if (tag === BackendTag.DataRow) this.#row(chunk, start, end);
    else super.take(tag, chunk, start, end);
  }

  protected override describedPortal(chunk: Buffer, start: number, end: number): Buffer {
    return this.#client === 'rows' ? this.#description(chunk, start, end) : NO_DATA;
  }

  #forward(frame: Buffer): void {
    this.run(frame, 0, frame.length);
  }

  #description(chunk: Buffer, start: number, end: number): Buffer {
    const reader = new MessageReader(chunk, start + HEADER_BYTES, end);
    const count = reader.int16() - this.#own;
    const writer = new MessageWriter().begin(BackendTag.RowDescription).int16(count);
    for (let index = 0; index < count; index++) writer.cstring(reader.cstringBytes()).bytes(reader.bytes(FIELD_BYTES));
    return writer.end().finish();
  }

  #row(chunk: Buffer, start: number, end: number): void {
    const reader = new MessageReader(chunk, start + HEADER_BYTES, end);
    const count = reader.int16() - this.#own;
    const fieldsAt = start + HEADER_BYTES + 2;
    for (let index = 0; index < count; index++) skip(reader);
    const split = end - reader.remaining;
    if (this.#client === 'rows') {
      const fields = chunk.subarray(fieldsAt, split);
      const row = new MessageWriter().begin(BackendTag.DataRow).int16(count).bytes(fields).end().finish();
      this.row(row, 0, row.length);
    }
    this.#tap.add(readFields(reader, this.#own), chunk.subarray(start, end));
  }
}

function skip(reader: MessageReader): void {
  const size = reader.int32();
  if (size > 0) reader.bytes(size);
}
