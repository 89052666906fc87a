/** Plays a script on a server and returns the transcript. */
import { startupMessage, terminate } from '../support/frontend-messages.ts';
import { RawClient, type Target } from '../support/raw-client.ts';
import { type Section, transcript } from '../support/transcript.ts';
import { queryMessage, type Script } from './script.ts';

/**
 * How the script's bytes reach the server; the answers must not depend on it.
 * `steps`: each request in one write, once the one before has been answered.
 * `cut`: the same, with the write that contains one of the offsets (of the whole stream) divided there.
 * `glued`: everything in one write, cut at the offsets.
 */
export type Delivery =
  | { readonly kind: 'steps' }
  | { readonly kind: 'cut' | 'glued'; readonly offsets: readonly number[] };

interface Write {
  readonly bytes: Buffer;
  /** What must have arrived before the next write. */
  readonly until: 'ready' | 'copy' | 'closed';
}

function writes(script: Script, target: Target): Write[] {
  const startup = startupMessage({ user: target.user, database: target.database, ...script.startup });
  const requests = script.steps.flatMap((step): Write[] =>
    step.copy.length === 0
      ? [{ bytes: queryMessage(step), until: 'ready' }]
      : [
          { bytes: queryMessage(step), until: 'copy' },
          { bytes: Buffer.concat(step.copy), until: 'ready' },
        ],
  );
  return [{ bytes: startup, until: 'ready' }, ...requests, { bytes: terminate(), until: 'closed' }];
}

/** Length of everything that the client sends in this script, the StartupMessage and Terminate included. */
export function streamLength(script: Script, target: Target): number {
  return writes(script, target).reduce((sum, write) => sum + write.bytes.length, 0);
}

async function inSteps(client: RawClient, list: readonly Write[], offsets: readonly number[]): Promise<void> {
  let ready = 0;
  let start = 0;
  for (const { bytes, until } of list) {
    const from = client.messages.length;
    const end = start + bytes.length;
    const inside = offsets.filter((offset) => offset > start && offset < end);
    const origin = start;
    await client.sendCut(
      bytes,
      inside.map((offset) => offset - origin),
    );
    if (until === 'copy') await client.waitFor(['CopyInResponse', 'ReadyForQuery'], from);
    if (until === 'ready') await client.waitReady(++ready);
    if (until === 'closed') await client.waitClosed();
    start = end;
  }
}

/** The connection is closed when this returns or throws. */
export async function play(script: Script, target: Target, delivery: Delivery = { kind: 'steps' }): Promise<Section[]> {
  const client = await RawClient.open(target);
  try {
    const list = writes(script, target);
    if (delivery.kind === 'glued') {
      await client.sendCut(Buffer.concat(list.map((write) => write.bytes)), delivery.offsets);
      await client.waitClosed();
    } else {
      await inSteps(client, list, delivery.kind === 'cut' ? delivery.offsets : []);
    }
    return transcript(client.messages, client.isClosed);
  } finally {
    client.destroy();
  }
}
