/**
 * Sockets to servers, plain or encrypted (manual, "SSL Session Encryption").
 *
 *   dial ─► connected ─┬─► plain
 *                      ├─► SSLRequest ─► 'S' ─► TLS handshake ─► the server's certificate is checked ─► encrypted
 *                      │             └─► 'N': plain, or refused
 *                      └─► direct negotiation: TLS handshake at once
 */
import { X509Certificate } from 'node:crypto';
import { connect as openSocket, isIP, type Socket } from 'node:net';
import { connect as openTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { Tls } from '../config/config.ts';
import { assert } from '../lib/assert.ts';
import { encodeSslRequest } from '../wire/frontend.ts';
import { findNameMismatch } from './server-identity.ts';

export interface Address {
  /** The folder of a Unix socket where it begins with `/`. */
  readonly host: string;
  readonly port: number;
}

/** What encrypts a connection. */
export interface Encryption {
  /** `TLSv1.3`. */
  readonly protocol: string;
  /** The server's certificate, DER. */
  readonly certificate: Buffer;
}

/** A connected socket that nobody reads yet; the caller owns it. */
export interface Link {
  readonly socket: Socket;
  /** Undefined: plain. */
  readonly encryption: Encryption | undefined;
}

/** `TLS if offered` takes a plain connection where the server has no TLS. */
export type Protection = 'plain' | 'TLS if offered' | 'TLS';

/**
 * The server was reached, and TLS with it did not come about; the message is libpq's. After a `handshake` that failed,
 * a DSN that allows it may go on without TLS; where the answer to SSLRequest makes no sense, nothing more is said to that peer.
 */
export class TlsError extends Error {
  override readonly name = 'TlsError';
  readonly stage: 'negotiation' | 'handshake';
  constructor(stage: TlsError['stage'], message: string) {
    super(message);
    this.stage = stage;
  }
}

/** Set at start, kept by the DSN that they belong to: parsing certificates for each connection would cost more than the rest. */
const contexts = new WeakMap<Tls, SecureContext>();

const ALPN = 'postgresql';

/** Rejects with TlsError, with the system's error where the server cannot be reached, or with the reason of `signal`. */
export async function openLink(
  address: Address,
  protection: Protection,
  tls: Tls | undefined,
  signal: AbortSignal,
): Promise<Link> {
  const socket = dial(address);
  const giveUp = (): void => {
    socket.destroy();
  };
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    await connected(socket);
    socket.setNoDelay(true);
    if (protection === 'plain') return { socket, encryption: undefined };
    assert(tls !== undefined, 'TLS has its settings');
    if (tls.negotiation === 'postgres') {
      const answer = await askForTls(socket);
      if (answer === 'no' && protection === 'TLS') {
        throw new TlsError('negotiation', 'server does not support SSL, but SSL was required');
      }
      if (answer === 'no') return { socket, encryption: undefined };
    }
    return await encrypt(socket, tls);
  } catch (error) {
    socket.destroy();
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

export function dial(address: Address): Socket {
  return address.host.startsWith('/')
    ? openSocket({ path: `${address.host}/.s.PGSQL.${address.port}` })
    : openSocket({ host: address.host, port: address.port, autoSelectFamily: true });
}

/** What a socket failed of, for people: OpenSSL's errors carry places in its source, and a name with several addresses several errors. */
export function describeSocketError(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map(String).join('; ') || error.message;
  if ('library' in error && 'reason' in error) return `SSL error: ${String(error.reason)}`;
  return error.message;
}

function connected(socket: Socket): Promise<void> {
  return settle(socket, (resolve) => socket.once('connect', resolve));
}

/** Resolves as `begin` says; rejects where the socket fails or closes before. */
function settle<T>(
  socket: Socket,
  begin: (resolve: (value: T) => void, reject: (error: Error) => void) => void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error): void => end(() => reject(error));
    const closed = (): void => end(() => reject(new Error('server closed the connection unexpectedly')));
    const end = (act: () => void): void => {
      socket.off('close', closed);
      act();
    };
    // It stays: who comes next adds its own, and an error in between is followed by a close.
    socket.on('error', failed);
    socket.on('close', closed);
    begin((value) => end(() => resolve(value)), failed);
  });
}

/** One byte answers: S or N. More than that was not sent by the server behind the TLS (CVE-2021-23222). */
function askForTls(socket: Socket): Promise<'yes' | 'no'> {
  return settle(socket, (resolve, reject) => {
    socket.once('data', (chunk: Buffer) => {
      // What comes from here on belongs to whoever takes the socket next.
      socket.pause();
      const answer = chunk.toString('latin1', 0, 1);
      // Not trusted, as the server has not been authenticated: its message is not read.
      if (answer === 'E') reject(new TlsError('negotiation', 'server sent an error response during SSL exchange'));
      else if (answer !== 'S' && answer !== 'N')
        reject(new TlsError('negotiation', 'received invalid response to SSL negotiation'));
      else if (chunk.length > 1) reject(new TlsError('negotiation', 'received unencrypted data after SSL response'));
      else resolve(answer === 'S' ? 'yes' : 'no');
    });
    socket.write(encodeSslRequest());
  });
}

async function encrypt(socket: Socket, tls: Tls): Promise<Link> {
  const verified = tls.roots === undefined ? 'not verified' : 'verified';
  assert(verified === 'verified' || !tls.mode.startsWith('verify'), 'what verifies has roots');
  const { hostName } = tls;
  const secure = openTls({
    socket,
    secureContext: contextOf(tls),
    ALPNProtocols: [ALPN],
    ...(tls.sni === 'sent' && hostName !== undefined && isIP(hostName) === 0 ? { servername: hostName } : {}),
    rejectUnauthorized: verified === 'verified',
    // Node's rules for names are those of HTTPS; libpq's are applied below, where it applies them.
    checkServerIdentity: () => undefined,
  });
  try {
    await settle<void>(secure, (resolve) => secure.once('secureConnect', resolve));
  } catch (error) {
    throw explain(error, secure, tls);
  }
  const certificate = check(secure, tls, verified);
  secure.disableRenegotiation();
  return { socket: secure, encryption: { protocol: secure.getProtocol() ?? 'TLS', certificate } };
}

function check(secure: TLSSocket, tls: Tls, verified: 'verified' | 'not verified'): Buffer {
  assert(secure.authorized || verified === 'not verified', 'a certificate that fails verification ends the handshake');
  if (secure.alpnProtocol !== ALPN && tls.negotiation === 'direct') {
    secure.destroy();
    throw new TlsError(
      'handshake',
      'direct SSL connection was established without ALPN protocol negotiation extension',
    );
  }
  const { raw } = secure.getPeerCertificate();
  const certificate = new X509Certificate(raw);
  if (tls.mode === 'verify-full') {
    const { hostName } = tls;
    assert(hostName !== undefined, 'verify-full has a host name');
    const mismatch = findNameMismatch(certificate, hostName);
    if (mismatch !== undefined) {
      secure.destroy();
      throw new TlsError('handshake', mismatch);
    }
  }
  return raw;
}

function contextOf(tls: Tls): SecureContext {
  const known = contexts.get(tls);
  if (known !== undefined) return known;
  const { roots, crl, certificate } = tls;
  const context = createSecureContext({
    minVersion: tls.minVersion,
    maxVersion: tls.maxVersion,
    ...(roots === undefined ? {} : { ca: [...(typeof roots === 'string' ? [roots] : roots)] }),
    ...(crl === undefined ? {} : { crl }),
    ...(certificate === undefined ? {} : { cert: certificate.chain, key: certificate.key }),
    ...(certificate?.passphrase === undefined ? {} : { passphrase: certificate.passphrase }),
  });
  contexts.set(tls, context);
  return context;
}

function explain(error: unknown, secure: TLSSocket, tls: Tls): unknown {
  if (!(error instanceof Error)) return error;
  // Node has it where verification ended the handshake; the declared type is of another time.
  const unverified: unknown = secure.authorizationError;
  if (unverified !== undefined && unverified !== null) {
    return new TlsError('handshake', `SSL error: certificate verify failed: ${error.message}`);
  }
  const text = describeSocketError(error);
  if (!text.startsWith('SSL error')) return new TlsError('handshake', `SSL SYSCALL error: ${text}`);
  if (!/protocol version|unsupported protocol|no protocols available/.test(text))
    return new TlsError('handshake', text);
  const range = `between ${tls.minVersion} and ${tls.maxVersion}`;
  return new TlsError('handshake', `${text} (the server may support no SSL protocol version ${range})`);
}
