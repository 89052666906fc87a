/** A server's reply to COMMIT, or to a check before it, with what stands in front of it, and the log position asked for behind it. */
import { KeptReply } from '../backend/receiver.ts';
import { type Lsn, parseLsn } from '../cluster/lsn.ts';
import { decodeCommandTag, decodeDataRow } from '../wire/backend.ts';
import { Watch, type WatchTable } from '../wire/frame-scan.ts';
import { BackendTag } from '../wire/tags.ts';

export interface CommitReply {
  /** COMMIT, or ROLLBACK where the transaction had failed; empty where COMMIT itself failed, or was not reached. */
  readonly tag: string;
  /** Of what stands in front of COMMIT, in order. */
  readonly tagsBefore: readonly string[];
  /** First columns of the rows in front of COMMIT, in order. */
  readonly valuesBefore: readonly string[];
  readonly completion: Buffer | undefined;
  /** ErrorResponse as it came. */
  readonly error: Buffer | undefined;
  /** Notices and notifications for the client, as they came. */
  readonly frames: readonly Buffer[];
  readonly position: Lsn | undefined;
}

const TAKE_ALL: WatchTable = new Uint8Array(256).fill(Watch.take);

export const COMMIT_WITH_POSITION = 'COMMIT; SELECT pg_current_wal_insert_lsn()';

const ENDS: ReadonlySet<string> = new Set(['COMMIT', 'ROLLBACK']);

export class CommitReceiver extends KeptReply<CommitReply> {
  readonly watch = TAKE_ALL;
  readonly #before: string[] = [];
  readonly #values: string[] = [];
  #tag = '';
  #completion: Buffer | undefined;
  #error: Buffer | undefined;
  readonly #frames: Buffer[] = [];
  #position: Lsn | undefined;

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    const frame = (): Buffer => Buffer.from(chunk.subarray(start, end));
    switch (tag) {
      case BackendTag.CommandComplete:
        if (this.#completion === undefined) this.#completed(decodeCommandTag(chunk, start, end), frame);
        return; // else the position's
      case BackendTag.DataRow: {
        const text = decodeDataRow(chunk, start, end)[0]?.toString('latin1');
        if (this.#completion === undefined) this.#values.push(text ?? '');
        else if (text !== undefined) this.#position = parseLsn(text);
        return;
      }
      case BackendTag.ErrorResponse:
        // Once COMMIT has completed, an error is the position's alone.
        if (this.#completion === undefined) this.#error = frame();
        return;
      case BackendTag.NoticeResponse:
      case BackendTag.NotificationResponse:
        this.#frames.push(frame());
        return;
      default:
        return;
    }
  }

  #completed(tag: string, frame: () => Buffer): void {
    if (!ENDS.has(tag)) {
      this.#before.push(tag);
      return;
    }
    this.#tag = tag;
    this.#completion = frame();
  }

  protected outcome(): CommitReply {
    return {
      tag: this.#tag,
      tagsBefore: this.#before,
      valuesBefore: this.#values,
      completion: this.#completion,
      error: this.#error,
      frames: this.#frames,
      position: this.#position,
    };
  }
}
