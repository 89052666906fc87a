/**
 * The client's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677; PostgreSQL, "SASL Authentication") as pure
 * steps: each takes the server's message and gives ours, with no I/O.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';

export const SCRAM_SHA_256 = 'SCRAM-SHA-256';
export const SCRAM_SHA_256_PLUS = 'SCRAM-SHA-256-PLUS';

/**
 * Whether the exchange is tied to the TLS connection that it runs in. `not offered`: we could and the server did not offer
 * it, which it contradicts if somebody between us took the offer away. `tls-server-end-point` (RFC 5929): `hash` is of the
 * server's certificate.
 */
export type ChannelBinding =
  | { readonly kind: 'none' | 'not offered' }
  | { readonly kind: 'tls-server-end-point'; readonly hash: Buffer };

export class ScramError extends Error {
  override readonly name = 'ScramError';
}

export type ScramState =
  | {
      readonly kind: 'first sent';
      readonly nonce: string;
      readonly clientFirstBare: string;
      /** What the second message repeats for the server to compare: the header, and the hash of its certificate. */
      readonly bound: Buffer;
      readonly message: string;
    }
  | { readonly kind: 'final sent'; readonly serverSignature: Buffer; readonly message: string }
  | { readonly kind: 'verified' };

/** A server that asks for more would hold the event loop for its own pleasure; PostgreSQL's default is 4096. */
const MAX_ITERATIONS = 1_000_000;

/** RFC 3454, table B.1: characters that SASLprep (RFC 4013) maps to nothing. */
const MAPPED_TO_NOTHING = /\u00ad|\u034f|\u1806|[\u180b-\u180d]|[\u200b-\u200d]|\u2060|[\ufe00-\ufe0f]|\ufeff/gu;

const hmac = (key: Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

/** PostgreSQL ignores the user name in the message and takes the start-up packet's. */
export function scramFirst(
  binding: ChannelBinding = { kind: 'none' },
  nonce = randomBytes(18).toString('base64'),
): ScramState & { kind: 'first sent' } {
  const clientFirstBare = `n=,r=${nonce}`;
  const header = binding.kind === 'none' ? 'n,,' : binding.kind === 'not offered' ? 'y,,' : `p=${binding.kind},,`;
  const hash = binding.kind === 'tls-server-end-point' ? binding.hash : Buffer.alloc(0);
  const bound = Buffer.concat([Buffer.from(header), hash]);
  return { kind: 'first sent', nonce, clientFirstBare, bound, message: `${header}${clientFirstBare}` };
}

export function scramFinal(
  state: ScramState & { kind: 'first sent' },
  serverFirst: string,
  password: string,
): ScramState & { kind: 'final sent' } {
  const fields = attributes(serverFirst);
  const nonce = fields.get('r') ?? '';
  const salt = fields.get('s');
  const iterations = Number(fields.get('i'));
  if (!nonce.startsWith(state.nonce) || nonce.length === state.nonce.length) {
    throw new ScramError('the server did not continue the nonce');
  }
  if (salt === undefined || !Number.isInteger(iterations) || iterations < 1 || iterations > MAX_ITERATIONS) {
    throw new ScramError('the server sent no usable salt and iteration count');
  }
  const salted = pbkdf2Sync(
    password.replaceAll(MAPPED_TO_NOTHING, '').normalize('NFKC'),
    Buffer.from(salt, 'base64'),
    iterations,
    32,
    'sha256',
  );
  const clientKey = hmac(salted, 'Client Key');
  const withoutProof = `c=${state.bound.toString('base64')},r=${nonce}`;
  const authMessage = `${state.clientFirstBare},${serverFirst},${withoutProof}`;
  const signature = hmac(sha256(clientKey), authMessage);
  const proof = Buffer.from(clientKey.map((byte, index) => byte ^ (signature[index] ?? 0)));
  return {
    kind: 'final sent',
    serverSignature: hmac(hmac(salted, 'Server Key'), authMessage),
    message: `${withoutProof},p=${proof.toString('base64')}`,
  };
}

/** Throws where the server does not know the password either: it is not the server that it says it is. */
export function scramVerify(state: ScramState & { kind: 'final sent' }, serverFinal: string): ScramState {
  const signature = Buffer.from(attributes(serverFinal).get('v') ?? '', 'base64');
  if (signature.length !== state.serverSignature.length || !timingSafeEqual(signature, state.serverSignature)) {
    throw new ScramError("the server's signature is wrong");
  }
  return { kind: 'verified' };
}

function attributes(message: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of message.split(',')) {
    const equals = part.indexOf('=');
    if (equals === 1) found.set(part.slice(0, 1), part.slice(2));
  }
  return found;
}
