/** Plays a script on a server and returns the transcript. */
import { unreachable } from '../../src/lib/assert.ts';
import { startupMessage, terminate } from '../support/frontend-messages.ts';
import { RawClient, type Target } from '../support/raw-client.ts';
import { type Section, transcript } from '../support/transcript.ts';
import type { Answer, Script } from './script.ts';

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
  readonly until: Answer | { readonly kind: 'copy' | 'closed' };
}

function writes(script: Script, target: Target): Write[] {
  const startup = startupMessage({ user: target.user, database: target.database, ...script.startup });
  const requests = script.steps.flatMap((step): Write[] => {
    const bytes = Buffer.concat(step.messages);
    if (step.copy.length === 0) return [{ bytes, until: step.answer }];
    return [
      { bytes, until: { kind: 'copy' } },
      { bytes: Buffer.concat(step.copy), until: step.answer },
    ];
  });
  const opened: Write = { bytes: startup, until: { kind: 'ready', count: 1 } };
  return [opened, ...requests, { bytes: terminate(), until: { kind: 'closed' } }];
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
    switch (until.kind) {
      case 'ready':
        ready += until.count;
        await client.waitReady(ready);
        break;
      case 'messages':
        await client.waitMessages(from + until.count);
        break;
      case 'copy':
        await client.waitFor(['CopyInResponse', 'ReadyForQuery'], from);
        break;
      case 'closed':
        await client.waitClosed();
        break;
      default:
        unreachable(until);
    }
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
