/** COPY … FROM STDIN for `pg`, which has none: the text, then all data at once. */
import type { Duplex } from 'node:stream';
import pg from 'pg';

/** What `pg` gives to the query that is under way. */
interface Wire {
  readonly stream: Duplex;
  query(text: string): void;
}

export function copyIn(client: pg.Client, text: string, data: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: Error | undefined;
    client.query({
      submit: (wire: Wire) => wire.query(text),
      handleCopyInResponse: (wire: Wire) => {
        wire.stream.write(Buffer.concat([frame('d', Buffer.from(data)), frame('c', Buffer.alloc(0))]));
      },
      handleRowDescription: () => undefined,
      handleDataRow: () => undefined,
      handleEmptyQuery: () => undefined,
      handlePortalSuspended: () => undefined,
      handleCommandComplete: () => undefined,
      handleError: (error: Error) => {
        failure = error;
        // A connection that is lost brings no ReadyForQuery.
        if (!(error instanceof pg.DatabaseError)) reject(error);
      },
      handleReadyForQuery: () => {
        if (failure === undefined) resolve();
        else reject(failure);
      },
    });
  });
}

function frame(tag: string, payload: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(tag);
  head.writeInt32BE(payload.length + 4, 1);
  return Buffer.concat([head, payload]);
}
