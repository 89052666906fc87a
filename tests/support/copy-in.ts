/** COPY … FROM STDIN for `pg`, which has none: the text, then all data at once. */
import type { Duplex } from 'node:stream';
import type pg from 'pg';

/** What `pg` gives to the query that is under way. */
interface Wire {
  readonly stream: Duplex;
  query(text: string): void;
}

export function copyIn(client: pg.Client, text: string, data: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const query = {
      /** `pg` puts the end of its own time limit here. */
      callback: () => undefined,
      submit: (wire: Wire) => wire.query(text),
      handleCopyInResponse: (wire: Wire) => {
        wire.stream.write(Buffer.concat([frame('d', Buffer.from(data)), frame('c', Buffer.alloc(0))]));
      },
      handleRowDescription: () => undefined,
      handleDataRow: () => undefined,
      handleEmptyQuery: () => undefined,
      handlePortalSuspended: () => undefined,
      handleCommandComplete: () => undefined,
      // `pg` has let go of the query by then: no ReadyForQuery comes here.
      handleError: (error: Error) => {
        query.callback();
        reject(error);
      },
      handleReadyForQuery: () => {
        query.callback();
        resolve();
      },
    };
    client.query(query);
  });
}

function frame(tag: string, payload: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(tag);
  head.writeInt32BE(payload.length + 4, 1);
  return Buffer.concat([head, payload]);
}
