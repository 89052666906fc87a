/**
 * A client's first packets, up to the StartupMessage or CancelRequest that ends them (PostgreSQL, "Start-up"):
 * SSLRequest and GSSENCRequest are answered `N`, once each.
 */
import type { Socket } from 'node:net';
import type { CloseReason } from '../lib/close-reason.ts';
import { PproxError } from '../lib/errors.ts';
import { decodeStartup, isStartupLength, type StartupPacket } from '../wire/startup.ts';

export type StartUp =
  | {
      readonly kind: 'startup';
      readonly packet: StartupPacket & { kind: 'startup' };
      /** Bytes behind the packet. */
      readonly rest: Buffer;
    }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: Buffer }
  /** `error`: what the client should be told; undefined where PostgreSQL says nothing. */
  | { readonly kind: 'refused'; readonly reason: CloseReason; readonly error: PproxError | undefined };

const NO = Buffer.from('N');

/** Reads until the start-up is decided or `timeoutMs` has passed. Leaves the socket paused and without listeners. */
export function readStartUp(socket: Socket, timeoutMs: number): Promise<StartUp> {
  return new Promise((resolve) => {
    let buffered: Buffer = Buffer.alloc(0);
    const asked = new Set<'ssl request' | 'gssenc request'>();
    const finish = (result: StartUp): void => {
      clearTimeout(timer);
      socket.pause();
      socket.removeAllListeners('data');
      socket.removeAllListeners('close');
      resolve(result);
    };
    const refuse = (message: string): void =>
      finish({
        kind: 'refused',
        reason: 'client start-up refused',
        error: new PproxError('protocol_violation', { message }),
      });
    const timer = setTimeout(() => {
      finish({ kind: 'refused', reason: 'client start-up timed out', error: undefined });
    }, timeoutMs);

    const step = (): void => {
      while (buffered.length >= 4) {
        const length = buffered.readInt32BE(0);
        if (!isStartupLength(length)) return refuse('invalid length of startup packet');
        if (buffered.length < length) return;
        const packet = decodeStartup(buffered.subarray(0, length));
        const rest = buffered.subarray(length);
        switch (packet.kind) {
          case 'ssl request':
          case 'gssenc request':
            if (asked.has(packet.kind))
              return refuse('unsupported frontend protocol 1234.5679: server supports 3.0 to 3.2');
            if (rest.length > 0) {
              // Bytes sent before our answer could have been injected before encryption (CVE-2021-23214).
              return refuse('received unencrypted data after SSL request');
            }
            asked.add(packet.kind);
            buffered = Buffer.alloc(0);
            socket.write(NO);
            return;
          case 'cancel':
            return finish({ kind: 'cancel', processId: packet.processId, secretKey: packet.secretKey });
          case 'invalid':
            return refuse(packet.message);
          default:
            if (packet.major !== 3) {
              const error = new PproxError('unsupported_protocol', {
                message: `unsupported frontend protocol ${packet.major}.${packet.minor}: server supports 3.0 to 3.2`,
              });
              return finish({ kind: 'refused', reason: 'client start-up refused', error });
            }
            return finish({ kind: 'startup', packet, rest: Buffer.from(rest) });
        }
      }
      return undefined;
    };
    socket.on('data', (chunk: Buffer) => {
      buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
      step();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => finish({ kind: 'refused', reason: 'client disconnected', error: undefined }));
  });
}
