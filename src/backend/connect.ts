/** Connections to servers as their DSNs ask for them: for sessions, for cancel requests, and to see whether a server lives. */
import { connect as openTls } from 'node:tls';
import type { Tls } from '../config/config.ts';
import { AssertionError, unreachable } from '../lib/assert.ts';
import { type Address, describeSocketError, dial, type Link, openLink, type Protection, TlsError } from '../net/tls.ts';
import { encodeCancelRequest, encodeSslRequest } from '../wire/frontend.ts';
import { Backend, type BackendOptions, label } from './backend.ts';
import type { HandshakeFailure } from './handshake.ts';

export class ConnectError extends Error {
  override readonly name = 'ConnectError';
  readonly failure: HandshakeFailure;
  constructor(failure: HandshakeFailure) {
    super(failureMessage(failure));
    this.failure = failure;
  }
}

function failureMessage(failure: HandshakeFailure): string {
  switch (failure.kind) {
    case 'refused':
      return failure.fields.message;
    case 'lost':
      return failure.lost.message;
    case 'unsupported':
    case 'no resources':
      return failure.message;
    default:
      return unreachable(failure);
  }
}

/** What is tried, in this order (manual, "SSL Mode Descriptions"). */
function protections({ host }: Address, tls: Tls | undefined): readonly [Protection, ...Protection[]] {
  if (tls === undefined || host.startsWith('/')) return ['plain'];
  switch (tls.mode) {
    case 'disable':
      return ['plain'];
    case 'allow':
      return ['plain', 'TLS'];
    case 'prefer':
      return ['TLS if offered', 'plain'];
    case 'require':
    case 'verify-ca':
    case 'verify-full':
      return ['TLS'];
    default:
      return unreachable(tls.mode);
  }
}

/** Connects and logs in within `timeoutMs`, all attempts together. Rejects with ConnectError. */
export async function connectBackend(options: BackendOptions, timeoutMs: number): Promise<Backend> {
  const [first, second] = protections(options.address, options.tls);
  const abort = new AbortController();
  const timer = setTimeout(() => {
    const server = label(options.address);
    const message = `no answer within ${timeoutMs} ms`;
    const lost = { server, reason: 'server start-up timed out', fatal: undefined, message } as const;
    abort.abort(new ConnectError({ kind: 'lost', lost }));
  }, timeoutMs);
  try {
    return await attempt(options, first, abort.signal);
  } catch (error) {
    if (second === undefined || !isWorthAnother(error, first)) throw connectErrorOf(error, options);
    try {
      return await attempt(options, second, abort.signal);
    } catch (another) {
      throw combine(error, another, first, options);
    }
  } finally {
    clearTimeout(timer);
  }
}

/** An attempt that failed, with what had been reached. */
class AttemptError extends Error {
  readonly failure: HandshakeFailure;
  readonly encrypted: 'encrypted' | 'plain';
  constructor(failure: HandshakeFailure, encrypted: 'encrypted' | 'plain') {
    super('attempt failed');
    this.failure = failure;
    this.encrypted = encrypted;
  }
}

/** Rejects with AttemptError, TlsError, the system's error, or the reason of `signal`. */
async function attempt(options: BackendOptions, protection: Protection, signal: AbortSignal): Promise<Backend> {
  const link = await openLink(options.address, protection, options.tls, signal);
  return start(link, options, signal);
}

function start(link: Link, options: BackendOptions, signal: AbortSignal): Promise<Backend> {
  return new Promise((resolve, reject) => {
    if (options.keepAliveMs !== undefined) link.socket.setKeepAlive(true, options.keepAliveMs);
    const backend = new Backend(link, options.address, options.tls);
    const settle = (act: () => void): void => {
      signal.removeEventListener('abort', abort);
      backend.onClosed = undefined;
      act();
    };
    const refuse = (error: unknown): void =>
      settle(() => {
        // First come first told: closing makes the handshake hear of a loss as well.
        reject(error);
        backend.close('server start-up failed');
      });
    const abort = (): void => refuse(signal.reason);
    const fail = (failure: HandshakeFailure): void =>
      refuse(new AttemptError(failure, link.encryption === undefined ? 'plain' : 'encrypted'));
    signal.addEventListener('abort', abort, { once: true });
    backend.onClosed = (lost) => fail({ kind: 'lost', lost });
    backend.start(options, () => settle(() => resolve(backend)), fail);
  });
}

/**
 * As libpq has it: TLS that did not come about, or a server that refused before it had authenticated. Not where the reason
 * is the server's state (53, 57), which no encryption changes.
 */
function isWorthAnother(error: unknown, first: Protection): boolean {
  if (error instanceof TlsError) return error.stage === 'handshake';
  if (!(error instanceof AttemptError) || error.failure.kind !== 'refused') return false;
  if (error.failure.stage === 'after authentication' || /^(53|57)/.test(error.failure.fields.code)) return false;
  return first === 'plain' || error.encrypted === 'encrypted';
}

function connectErrorOf(error: unknown, { address, tls }: BackendOptions): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof AttemptError) return new ConnectError(error.failure);
  if (error instanceof TlsError) {
    return new ConnectError({ kind: 'unsupported', message: `${error.message} (sslmode=${tls?.mode})` });
  }
  if (!(error instanceof Error) || error instanceof AssertionError) throw error;
  const message = describeSocketError(error);
  if (isOurLack(error)) return new ConnectError({ kind: 'no resources', message });
  const lost = { server: label(address), reason: 'server socket error', fatal: undefined, message } as const;
  return new ConnectError({ kind: 'lost', lost });
}

/** Of descriptors or memory, ours or the machine's. A name with several addresses has an error for each. */
function isOurLack(error: Error): boolean {
  const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
  return errors.some(
    (one) => one instanceof Error && 'code' in one && typeof one.code === 'string' && OUR_LACK.has(one.code),
  );
}

const OUR_LACK: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/**
 * Two refusals: the one that is not about the way of connecting says more (pg_hba.conf has no line for it: 28000), else
 * the first; the first too where the server has no TLS for another. Otherwise both are told.
 */
function combine(error: unknown, another: unknown, protection: Protection, options: BackendOptions): ConnectError {
  const [first, second] = [connectErrorOf(error, options), connectErrorOf(another, options)];
  const [one, other] = [first.failure, second.failure];
  if (one.kind === 'refused' && other.kind === 'refused') {
    return one.fields.code === '28000' && other.fields.code !== '28000' ? second : first;
  }
  if (one.kind === 'refused' && another instanceof TlsError && another.stage === 'negotiation') return first;
  if (other.kind === 'lost' && other.lost.reason === 'server start-up timed out') return second;
  const [how, otherwise] = protection === 'plain' ? ['not encrypted', 'over TLS'] : ['over TLS', 'not encrypted'];
  const words = (cause: unknown, told: ConnectError): string => (cause instanceof TlsError ? cause : told).message;
  const message = `${how}: ${words(error, first)}; ${otherwise}: ${words(another, second)}`;
  return new ConnectError({ kind: 'unsupported', message: `${message} (sslmode=${options.tls?.mode})` });
}

/**
 * Whether a server answers at all: any answer to an SSLRequest will do, or to the TLS handshake of direct negotiation. Needs
 * no login. A handshake that was begun is ended, unverified, or the server would log one that broke off. `not asked`: this
 * process cannot open a connection.
 */
export function answers(
  address: Address,
  tls: Tls | undefined,
  timeoutMs: number,
): Promise<'yes' | 'no' | 'not asked'> {
  return new Promise((resolve) => {
    const socket = dial(address);
    let answer: 'yes' | 'no' | 'not asked' = 'no';
    const done = (): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(done, timeoutMs);
    const shakeHands = (): void => {
      const secure = openTls({ socket, ALPNProtocols: ['postgresql'], rejectUnauthorized: false });
      secure.once('secureConnect', () => {
        answer = 'yes';
        // What is left of the handshake is sent before the end, and the server ends too.
        secure.end();
      });
      secure.once('error', done);
      secure.once('close', done);
      secure.resume();
    };
    if (tls?.negotiation === 'direct') socket.once('connect', shakeHands);
    else {
      socket.once('connect', () => socket.write(encodeSslRequest()));
      socket.once('data', (chunk: Buffer) => {
        answer = 'yes';
        if (chunk.toString('latin1') === 'S') shakeHands();
        else done();
      });
    }
    socket.once('close', done);
    socket.on('error', (error) => {
      if (answer === 'no' && isOurLack(error)) answer = 'not asked';
      done();
    });
  });
}

/**
 * Asks the server to cancel what `backend` runs (PostgreSQL, "Canceling Requests in Progress"), encrypted where that
 * connection is. Resolves when the server has acted, which it tells by closing: until then the backend must not change
 * hands, or the cancel could hit another. One that has not been seen to act by then may do so at any time: the backend is not for others then.
 */
export async function cancelBackend(backend: Backend, timeoutMs: number): Promise<void> {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  try {
    const protection = backend.encryption === undefined ? 'plain' : 'TLS';
    const { socket } = await openLink(backend.address, protection, backend.tls, abort.signal);
    const acted = await new Promise<'yes' | 'not seen'>((resolve) => {
      abort.signal.addEventListener('abort', () => socket.destroy(), { once: true });
      socket.once('end', () => resolve('yes'));
      socket.once('close', () => resolve('not seen'));
      socket.resume();
      socket.write(encodeCancelRequest(backend.processId, backend.secretKey));
    });
    if (acted === 'not seen') backend.cancelRequests = 'perhaps under way';
  } catch (error) {
    // What cannot be delivered has no effect, as with every client's cancel request; bugs are something else.
    if (!(error instanceof Error) || error instanceof AssertionError) throw error;
  } finally {
    clearTimeout(timer);
  }
}
