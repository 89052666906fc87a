/** Conversations: exchanges that a script cannot express, because they break the protocol or come before it. */
import { query, startupMessage, terminate } from '../support/frontend-messages.ts';
import { RawClient, type Target } from '../support/raw-client.ts';
import { type Section, transcript } from '../support/transcript.ts';

export interface Conversation {
  readonly name: string;
  /** Drives the client up to the end of the connection. What it returns is compared like the transcript. */
  readonly hold: (client: RawClient, target: Target) => Promise<readonly string[] | void>;
}

/** Any conversation that lasts as long as its own `hold`; the client's end of the connection is dropped afterwards. */
export async function converse(conversation: Conversation, target: Target): Promise<Section[]> {
  const client = await RawClient.open(target);
  try {
    const extra = await conversation.hold(client, target);
    return [...transcript(client.messages, client.isClosed), ...(extra === undefined ? [] : [extra])];
  } finally {
    client.destroy();
  }
}

/** An ordinary StartupMessage for the target. */
export function ordinaryStartup(target: Target): Buffer {
  return startupMessage({ user: target.user, database: target.database });
}

/** Sends these bytes first on the connection; where that opens a session, uses it once and ends it. */
export function opens(name: string, bytes: (target: Target) => Buffer): Conversation {
  return {
    name,
    hold: async (client, target) => {
      client.send(bytes(target));
      await client.waitReady(1);
      await useAndEnd(client);
    },
  };
}

/** In a session: sends these bytes, then a Query and Terminate, whatever the bytes are answered with. */
export function sends(name: string, ...parts: readonly Buffer[]): Conversation {
  return {
    name,
    hold: async (client, target) => {
      client.send(ordinaryStartup(target));
      await client.waitReady(1);
      client.send(...parts, query("SELECT 'reached'"), terminate());
      await client.waitClosed();
    },
  };
}

/** In a session: sends these bytes and waits for the server to end the connection. */
export function isEndedBy(name: string, ...parts: readonly Buffer[]): Conversation {
  return {
    name,
    hold: async (client, target) => {
      client.send(ordinaryStartup(target));
      await client.waitReady(1);
      client.send(...parts);
      await client.waitClosed();
    },
  };
}

export async function useAndEnd(client: RawClient): Promise<void> {
  if (!client.isClosed) await client.query('SELECT current_user, current_database()');
  client.send(terminate());
  await client.waitClosed();
}

/** What a session of its own is answered, one Query after the other. */
export async function look(target: Target, ...queries: readonly string[]): Promise<readonly string[]> {
  const client = await RawClient.start(target);
  try {
    const from = client.messages.length;
    for (const sql of queries) await client.query(sql);
    return transcript(client.messages.slice(from), client.isClosed).flat();
  } finally {
    client.destroy();
  }
}
