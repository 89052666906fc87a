/**
 * A client's first packets, up to the StartupMessage or CancelRequest that ends them (PostgreSQL, "Start-up"):
 * SSLRequest and GSSENCRequest are answered `N`, once each.
 */
import type { Socket } from 'node:net';
import type { CloseReason } from '../lib/close-reason.ts';
import { PproxError } from '../lib/errors.ts';
import { errorFrame } from './reply.ts';
import { decodeStartup, isStartupLength, type StartupPacket } from '../wire/startup.ts';

export type StartUp =
  | {
      readonly kind: 'startup';
      readonly packet: StartupPacket & { kind: 'startup' };
      /** Bytes behind the packet. */
      readonly rest: Buffer;
    }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: Buffer }
  /** `answer`: what the client is told, as bytes; undefined where PostgreSQL closes without a word. */
  | {
      readonly kind: 'refused';
      readonly reason: CloseReason;
      readonly message: string;
      readonly answer: Buffer | undefined;
    };

const NO = Buffer.from('N');

const MAN_IN_THE_MIDDLE =
  'This could be either a client-software bug or evidence of an attempted man-in-the-middle attack.';

/** Of the encryption requests: their codes as protocol versions, and PostgreSQL's name for them. */
const ENCRYPTION = {
  'ssl request': { version: '1234.5679', name: 'SSL request' },
  'gssenc request': { version: '1234.5680', name: 'GSSAPI encryption request' },
} as const;

/** Reads until the start-up is decided or `timeoutMs` has passed. Leaves the socket paused and without listeners of ours. */
export function readStartUp(socket: Socket, timeoutMs: number): Promise<StartUp> {
  return new Promise((resolve) => {
    let buffered: Buffer = Buffer.alloc(0);
    const asked = new Set<keyof typeof ENCRYPTION>();
    const finish = (result: StartUp): void => {
      clearTimeout(timer);
      socket.pause();
      socket.off('data', onData);
      socket.off('end', onClose);
      socket.off('close', onClose);
      resolve(result);
    };
    const refuse = (error: PproxError, answer = errorFrame(error, 'FATAL')): void =>
      finish({ kind: 'refused', reason: 'client start-up refused', message: error.message, answer });
    /** As PostgreSQL, where the peer is hardly a client of ours. */
    const hangUp = (message: string): void =>
      finish({ kind: 'refused', reason: 'client start-up refused', message, answer: undefined });

    const step = (): void => {
      if (buffered.length < 4) return;
      const length = buffered.readInt32BE(0);
      if (!isStartupLength(length)) return hangUp('invalid length of startup packet');
      if (buffered.length < length) return;
      const packet = decodeStartup(buffered.subarray(0, length));
      const rest = buffered.subarray(length);
      switch (packet.kind) {
        case 'ssl request':
        case 'gssenc request': {
          const { version, name } = ENCRYPTION[packet.kind];
          if (asked.has(packet.kind)) return refuse(unsupported(version));
          asked.add(packet.kind);
          buffered = Buffer.alloc(0);
          socket.write(NO);
          if (rest.length === 0) return;
          // Bytes sent before our answer could have been injected before encryption (CVE-2021-23214).
          return refuse(
            new PproxError('protocol_violation', {
              message: `received unencrypted data after ${name}`,
              detail: MAN_IN_THE_MIDDLE,
            }),
          );
        }
        case 'cancel':
          return finish({ kind: 'cancel', processId: packet.processId, secretKey: packet.secretKey });
        case 'invalid':
          if (packet.said === 'unsaid') return hangUp(packet.message);
          return refuse(new PproxError('protocol_violation', { message: packet.message }));
        default: {
          if (packet.major === 3) return finish({ kind: 'startup', packet, rest: Buffer.from(rest) });
          const error = unsupported(`${packet.major}.${packet.minor}`);
          const old = packet.major > 0 && packet.major < 3;
          return old ? refuse(error, oldError(error)) : refuse(error);
        }
      }
    };
    const onData = (chunk: Buffer): void => {
      buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
      step();
    };
    const onClose = (): void =>
      finish({
        kind: 'refused',
        reason: 'client disconnected',
        message: 'gone before its start-up',
        answer: undefined,
      });
    const timer = setTimeout(() => {
      const message = `no start-up within ${timeoutMs} ms`;
      finish({ kind: 'refused', reason: 'client start-up timed out', message, answer: undefined });
    }, timeoutMs);
    socket.on('data', onData);
    socket.on('end', onClose);
    socket.on('close', onClose);
  });
}

function unsupported(version: string): PproxError {
  const message = `unsupported frontend protocol ${version}: server supports 3.0 to 3.2`;
  return new PproxError('unsupported_protocol', { message });
}

/** ErrorResponse as protocol 2 had it: the text alone. Version 0.0 is a probe that gets the new form. */
function oldError(error: PproxError): Buffer {
  return Buffer.from(`EFATAL:  ${error.message}\n\0`);
}
