/** The rows of a query of ours on the lead, handed to a row replay as they come. */
import { KeptReply } from '../backend/receiver.ts';
import type { RowReplay } from '../fanout/row-replay.ts';
import { readFields } from '../wire/backend.ts';
import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts';
import { Watch, watchTable } from '../wire/frame-scan.ts';
import { MessageReader } from '../wire/reader.ts';
import { BackendTag, HEADER_BYTES } from '../wire/tags.ts';

interface Captured {
  readonly error: ErrorFields | undefined;
  readonly status: number;
}

export class CapturedRows extends KeptReply<Captured> {
  readonly watch = watchTable({ [BackendTag.DataRow]: Watch.take, [BackendTag.ErrorResponse]: Watch.take });
  readonly #replay: RowReplay;
  #error: ErrorFields | undefined;

  constructor(replay: RowReplay) {
    super();
    this.#replay = replay;
  }

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    if (tag === BackendTag.ErrorResponse) this.#error = decodeErrorFields(chunk, start, end);
    if (tag !== BackendTag.DataRow) return;
    const reader = new MessageReader(chunk, start + HEADER_BYTES, end);
    this.#replay.add(readFields(reader, reader.int16()));
  }

  protected outcome(status: number): Captured {
    return { error: this.#error, status };
  }
}
