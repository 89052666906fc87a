/** A server's front door on loopback that knows the steps of a commit by their queries, and can act at any of them. */
import { connect, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { after } from 'node:test';
import type { Server } from '../../src/embedded/server.ts';
import { HEADER_BYTES } from '../../src/wire/tags.ts';

/** A query of pprox's own, as it is on the wire. */
export type StepQuery = 'decision row' | 'PREPARE' | 'COMMIT' | 'COMMIT PREPARED';

/** Around the query, or around its reply: whoever is killed `before` has not seen it. */
export type Moment = 'before the query' | 'after the query' | 'before the reply' | 'after the reply';

export interface Step {
  readonly query: StepQuery;
  readonly moment: Moment;
}

export const MOMENTS: readonly Moment[] = [
  'before the query',
  'after the query',
  'before the reply',
  'after the reply',
];

const PATTERNS: Readonly<Record<Exclude<StepQuery, 'decision row'>, RegExp>> = {
  PREPARE: /PREPARE TRANSACTION/,
  COMMIT: /pprox: commit/,
  'COMMIT PREPARED': /COMMIT PREPARED/,
};

export interface StepRelay {
  readonly port: number;
  /** At the next such step, once: `act` runs in the middle of it. Resolves when it has come to that. */
  arm(step: Step, act: () => void): Promise<void>;
  disarm(): void;
}

export async function startStepRelay(server: Server): Promise<StepRelay> {
  let armed: { readonly step: Step; readonly act: () => void } | undefined;
  const sockets = new Set<Socket>();
  const strike = (query: StepQuery | undefined, moment: Moment): void => {
    if (armed === undefined || armed.step.query !== query || armed.step.moment !== moment) return;
    const { act } = armed;
    armed = undefined;
    act();
  };
  const listener = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: server.host, port: server.port, noDelay: true });
    /** The query whose reply comes next on this connection. */
    let asked: StepQuery | undefined;
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(one);
      one.on('error', () => undefined); // told by its close
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
    client.on('data', (chunk: Buffer) => {
      const found = queryIn(chunk);
      asked = found ?? asked;
      if (found === 'COMMIT') {
        // Row and COMMIT come in one message: this is the moment between them.
        const commit = chunk.lastIndexOf(BIND_COMMIT) - HEADER_BYTES;
        strike('decision row', 'before the query');
        upstream.write(chunk.subarray(0, commit));
        strike('decision row', 'after the query');
        strike(found, 'before the query');
        upstream.write(chunk.subarray(commit));
      } else {
        strike(found, 'before the query');
        upstream.write(chunk);
      }
      strike(found, 'after the query');
    });
    upstream.on('data', (chunk: Buffer) => {
      strike(asked, 'before the reply');
      client.write(chunk);
      strike(asked, 'after the reply');
      asked = undefined;
    });
  });
  after(() => {
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const address = listener.address();
  if (address === null || typeof address === 'string') throw new Error('listens on TCP');
  return {
    port: address.port,
    arm: (step, act) =>
      new Promise((resolve) => {
        armed = {
          step,
          act: () => {
            act();
            resolve();
          },
        };
      }),
    disarm: () => {
      armed = undefined;
    },
  };
}

/** The Bind of the unnamed portal to COMMIT, behind its tag and length (manual, "Message Formats"). */
const BIND_COMMIT = Buffer.from('\0pprox: commit\0');

/** The last one of them, as the order of a commit has it. */
function queryIn(chunk: Buffer): StepQuery | undefined {
  const text = chunk.toString('latin1');
  if (PATTERNS['COMMIT PREPARED'].test(text)) return 'COMMIT PREPARED';
  if (PATTERNS.PREPARE.test(text)) return 'PREPARE';
  return PATTERNS.COMMIT.test(text) ? 'COMMIT' : undefined;
}
