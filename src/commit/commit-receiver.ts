/** The lead's reply to COMMIT, with the log position asked for behind it. */
import { KeptReply } from '../backend/receiver.ts';
import { type Lsn, parseLsn } from '../cluster/lsn.ts';
import { decodeCommandTag, decodeDataRow } from '../wire/backend.ts';
import { Watch, type WatchTable } from '../wire/frame-scan.ts';
import { BackendTag } from '../wire/tags.ts';

export interface CommitReply {
  /** COMMIT, or ROLLBACK where the transaction had failed; empty where COMMIT itself failed. */
  readonly tag: string;
  readonly completion: Buffer | undefined;
  /** ErrorResponse as it came. */
  readonly error: Buffer | undefined;
  /** Notices and notifications for the client, as they came. */
  readonly frames: readonly Buffer[];
  readonly position: Lsn | undefined;
}

const TAKE_ALL: WatchTable = new Uint8Array(256).fill(Watch.take);

export const COMMIT_WITH_POSITION = 'COMMIT; SELECT pg_current_wal_insert_lsn()';

export class CommitReceiver extends KeptReply<CommitReply> {
  readonly watch = TAKE_ALL;
  #tag = '';
  #completion: Buffer | undefined;
  #error: Buffer | undefined;
  readonly #frames: Buffer[] = [];
  #position: Lsn | undefined;

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    const frame = (): Buffer => Buffer.from(chunk.subarray(start, end));
    switch (tag) {
      case BackendTag.CommandComplete:
        if (this.#completion !== undefined) return; // the position's
        this.#tag = decodeCommandTag(chunk, start, end);
        this.#completion = frame();
        return;
      case BackendTag.DataRow: {
        const text = decodeDataRow(chunk, start, end)[0];
        if (text !== null && text !== undefined) this.#position = parseLsn(text.toString('latin1'));
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

  protected outcome(): CommitReply {
    return {
      tag: this.#tag,
      completion: this.#completion,
      error: this.#error,
      frames: this.#frames,
      position: this.#position,
    };
  }
}
