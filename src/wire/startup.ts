/** The first packet of a client, which carries no type byte (PostgreSQL, "Start-up", "SSLRequest", "CancelRequest"). */
import { MessageReader, ShortMessage } from './reader.ts';

/** PostgreSQL's MAX_STARTUP_PACKET_LENGTH. */
export const MAX_STARTUP_BYTES = 10_000;

const CANCEL_REQUEST = 80877102;
const SSL_REQUEST = 80877103;
const GSSENC_REQUEST = 80877104;
/** CancelRequest's key may have up to 256 bytes since protocol 3.2. */
const MAX_CANCEL_KEY_BYTES = 256;

export type StartupPacket =
  | { readonly kind: 'ssl request' }
  | { readonly kind: 'gssenc request' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: Buffer }
  | {
      readonly kind: 'startup';
      readonly major: number;
      readonly minor: number;
      readonly parameters: ReadonlyMap<string, string>;
    }
  /** `unsaid`: a server closes without a word. */
  | { readonly kind: 'invalid'; readonly message: string; readonly said: 'said' | 'unsaid' };

/** Whether `length`, the packet's own first field, can be a start-up packet's. */
export function isStartupLength(length: number): boolean {
  return length >= 8 && length <= MAX_STARTUP_BYTES;
}

/** `packet` begins with the length field and is complete. */
export function decodeStartup(packet: Buffer): StartupPacket {
  const reader = new MessageReader(packet, 4, packet.length);
  const code = reader.int32();
  if (code === SSL_REQUEST) return { kind: 'ssl request' };
  if (code === GSSENC_REQUEST) return { kind: 'gssenc request' };
  if (code === CANCEL_REQUEST) {
    if (reader.remaining < 8 || reader.remaining > 4 + MAX_CANCEL_KEY_BYTES) {
      return { kind: 'invalid', message: 'invalid length of query cancel packet', said: 'unsaid' };
    }
    return { kind: 'cancel', processId: reader.int32(), secretKey: Buffer.from(reader.rest()) };
  }
  const major = code >>> 16;
  const minor = code & 0xffff;
  const parameters = new Map<string, string>();
  if (major !== 3) return { kind: 'startup', major, minor, parameters };
  try {
    for (;;) {
      const name = reader.cstring();
      if (name === '') break;
      parameters.set(name, reader.cstring());
    }
  } catch (error) {
    if (!(error instanceof ShortMessage)) throw error;
    return {
      kind: 'invalid',
      message: 'invalid startup packet layout: expected terminator as last byte',
      said: 'said',
    };
  }
  if (reader.remaining > 0 || packet[packet.length - 1] !== 0) {
    return {
      kind: 'invalid',
      message: 'invalid startup packet layout: expected terminator as last byte',
      said: 'said',
    };
  }
  return { kind: 'startup', major, minor, parameters };
}
