/**
 * One client, from its StartupMessage to its end.
 *
 *   starting ─► serving ─► ended
 *
 * Messages are taken one by one; while one is worked on, what the client sends ahead waits in its link.
 */
import type { Socket } from 'node:net';
import { ServerRefusedError } from '../cluster/node.ts';
import type { OpenTransaction } from '../deadlock/detector.ts';
import type { CloseReason } from '../lib/close-reason.ts';
import { AssertionError } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { AUTHENTICATION_OK, encodeBackendKeyData, encodeNegotiateProtocolVersion } from '../wire/backend.ts';
import { ProtocolVersion } from '../wire/frontend.ts';
import { type FrontendMessage, FrontendStreamError } from '../wire/frontend-reader.ts';
import type { StartupPacket } from '../wire/startup.ts';
import { FrontendTag } from '../wire/tags.ts';
import { abandon, endWithServer } from './block-end.ts';
import { ClientLink } from './client-link.ts';
import { ExtendedProtocol } from './extended.ts';
import { letGoOfLead } from './trailing.ts';
import { runFunctionCall } from './function-call.ts';
import { openTransaction } from './open-transaction.ts';
import { report, runQuery } from './query.ts';
import type { CancelKey, CancelRegistry } from './registry.ts';
import { errorFrame } from './reply.ts';
import type { ClientIdentity } from './logins.ts';
import { type Services, SessionState } from './state.ts';

/** The newest minor version of protocol 3 that is served. */
const NEWEST_MINOR = 2;

/** The largest Query that is held in memory whole; larger data belongs into COPY. */
const MAX_MESSAGE_BYTES = 0x3fff_fffe;

export class Session {
  readonly #state: SessionState;
  readonly #link: ClientLink;
  readonly #registry: CancelRegistry;
  readonly #packet: StartupPacket & { kind: 'startup' };
  readonly #log: Log;
  readonly #extended: ExtendedProtocol;
  #closing: 'no' | 'when idle' = 'no';
  #reason: CloseReason = 'client disconnected';
  /** It ends with these words as soon as no query is in hand. */
  #ending: PproxError | undefined;

  constructor(
    services: Services,
    registry: CancelRegistry,
    socket: Socket,
    packet: StartupPacket & { kind: 'startup' },
    rest: Buffer,
    log: Log,
  ) {
    this.#link = new ClientLink(socket, rest, MAX_MESSAGE_BYTES);
    this.#registry = registry;
    this.#packet = packet;
    this.#log = log;
    const parameters = new Map(packet.parameters);
    const user = parameters.get('user') ?? '';
    const database = parameters.get('database') ?? user;
    for (const name of ['user', 'database']) parameters.delete(name);
    for (const name of parameters.keys()) if (name.startsWith('_pq_.')) parameters.delete(name);
    const client: ClientIdentity = { user, database, parameters };
    this.#state = new SessionState(services, client, this.#link, log);
    this.#extended = new ExtendedProtocol(this.#state);
  }

  /** Serves the client until it is gone. Never rejects. */
  async run(): Promise<CloseReason> {
    let key: CancelKey | undefined;
    // A client that vanishes in the middle of a query leaves nobody to answer: the query is cancelled.
    this.#link.onGone = () => this.#state.cancels.forsake();
    this.#state.onServerLost = (lost) => {
      // A query in hand hears of it by itself.
      if (this.#state.work === 'idle' && endWithServer(this.#state, lost) === 'ended')
        this.#reason = 'server session lost';
    };
    this.#state.listening.onEnd = (error) => {
      this.#ending = error;
      if (this.#state.work === 'idle') this.#terminate(error);
    };
    try {
      key = await this.#start();
      if (key !== undefined) await this.#serve();
    } catch (error) {
      this.#reason = 'internal error';
      const bug = error instanceof AssertionError ? 'assertion' : 'exception';
      this.#log.error('internal error', {
        bug,
        message: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
      const told = new PproxError('internal', { message: 'internal error of the proxy: the session ends here' });
      this.#link.send(errorFrame(this.#unfinished() ?? told, 'FATAL'));
    }
    if (key !== undefined) {
      this.#registry.unregister(key);
      this.#state.services.processIds.leave(this.#state.logins.shared('pprox: process ids'));
    }
    this.#link.end();
    this.#link.onGone = undefined;
    this.#state.cancels.calm();
    try {
      await abandon(this.#state);
    } catch (error) {
      this.#log.error('internal error', {
        message: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
      this.#state.dropPinned('internal error');
    }
    return this.#reason;
  }

  /** Its transaction, where it may wait for others on several writers. */
  get transaction(): OpenTransaction | undefined {
    return openTransaction(this.#state);
  }

  /** Whose statement or COMMIT is in hand is not idle, to the lead neither: followers may take their time. */
  keepAwake(now: number): void {
    const { work, block } = this.#state;
    if (work === 'busy' && block.kind === 'writers') block.legs.lead.lease.backend.stir(now);
  }

  /** The proxy is stopping: an idle session ends now, another with its transaction. */
  drain(): void {
    this.#closing = 'when idle';
    if (this.#state.work === 'idle' && this.#state.block.kind === 'none') this.#shutDown();
  }

  /** The proxy waits no longer. */
  cut(): void {
    this.#state.cancels.cancel();
    this.#shutDown();
  }

  async #start(): Promise<CancelKey | undefined> {
    const { client } = this.#state;
    const refusal = this.#refusal(client);
    if (refusal !== undefined) return this.#refuse(refusal);
    const unknown = [...this.#packet.parameters.keys()].filter((name) => name.startsWith('_pq_.'));
    if (this.#packet.minor > NEWEST_MINOR || unknown.length > 0) {
      const minor = Math.min(this.#packet.minor, NEWEST_MINOR);
      this.#link.send(encodeNegotiateProtocolVersion(ProtocolVersion.v30 | minor, unknown));
    }
    try {
      await this.#greet();
    } catch (error) {
      if (error instanceof ServerRefusedError) {
        this.#reason = 'client start-up refused';
        if (error.stage === 'after authentication') this.#link.send(AUTHENTICATION_OK);
        this.#link.send(error.frame);
        return undefined;
      }
      if (error instanceof PproxError) return this.#refuse(error);
      throw error;
    }
    const { processIds } = this.#state.services;
    const login = this.#state.logins.shared('pprox: process ids');
    await processIds.enter(login);
    const processId = processIds.next(login, (one) => this.#registry.has(one));
    const key = this.#registry.register(this.#state.cancels, this.#packet.minor >= 2 ? 'v32' : 'v30', processId);
    this.#state.processId = key.processId;
    this.#link.send(encodeBackendKeyData(key.processId, key.secretKey));
    this.#link.sendReady(this.#state.status);
    return key;
  }

  /** Authentication is trust: the servers' settings are told as the lead has them, or the reader while the lead is not to be had. */
  async #greet(): Promise<void> {
    const { cluster } = this.#state;
    const nodes = cluster.reader === undefined ? [cluster.lead] : [cluster.lead, cluster.reader];
    let first: unknown;
    for (const node of nodes) {
      try {
        const lease = await this.#state.lease(node);
        this.#link.send(AUTHENTICATION_OK);
        for (const notice of lease.backend.greetings) this.#link.send(notice);
        this.#state.told.tell(lease.backend);
        lease.release('reuse');
        return;
      } catch (error) {
        if (!(error instanceof PproxError)) throw error;
        // A refusal of this very client. Where the server has room for nobody, another may have.
        if (error instanceof ServerRefusedError && error.condition === 'server_refused') throw error;
        first ??= error;
      }
    }
    throw first;
  }

  #refusal(client: ClientIdentity): PproxError | undefined {
    if (client.user === '') {
      return new PproxError('no_user', { message: 'no PostgreSQL user name specified in startup packet' });
    }
    const replication = client.parameters.get('replication');
    const wanted = replication === undefined ? 'no' : replicationOf(replication);
    if (wanted === 'invalid') {
      return new PproxError('protocol_violation', {
        sqlstate: '22023',
        message: `invalid value for parameter "replication": "${replication}"`,
        hint: 'Valid values are: "false", 0, "true", 1, "database".',
      });
    }
    if (wanted === 'yes') {
      return new PproxError('unsupported_feature', {
        message: 'replication connections are not served by pprox',
        hint: `Connect to the server itself: ${this.#state.cluster.lead.label}.`,
      });
    }
    const { database } = this.#state.cluster.lead.dsn;
    if (database !== undefined && database !== client.database) {
      return new PproxError('wrong_database', {
        message: `database "${client.database}" does not exist`,
        detail: `This proxy serves the database "${database}" alone.`,
      });
    }
    return undefined;
  }

  #refuse(error: PproxError): undefined {
    this.#reason = 'client start-up refused';
    this.#state.fail(error);
    this.#link.send(errorFrame(error, 'FATAL'));
    return undefined;
  }

  async #serve(): Promise<void> {
    for (;;) {
      if (!this.#extended.inSegment) {
        this.#state.becomeIdle();
        letGoOfLead(this.#state);
      }
      if (this.#ending !== undefined) return this.#terminate(this.#ending);
      if (this.#closing === 'when idle' && this.#state.block.kind === 'none') return this.#shutDown();
      let message: FrontendMessage | undefined;
      try {
        message = await this.#link.next();
      } catch (error) {
        if (!(error instanceof FrontendStreamError)) throw error;
        // What came before it is answered before it.
        await this.#extended.yield();
        return this.#violation(error);
      }
      if (message === undefined) return undefined;
      this.#state.work = 'busy';
      const { tag, body } = message;
      if (tag === FrontendTag.Terminate) {
        this.#reason = 'client terminated';
        return undefined;
      }
      if (this.#extended.skipping && tag !== FrontendTag.Sync) continue;
      switch (tag) {
        case FrontendTag.Query:
          await this.#extended.yield();
          if (this.#extended.skipping) break;
          await this.#query(body);
          this.#extended.afterQuery();
          break;
        case FrontendTag.Sync:
          await this.#extended.sync(body);
          break;
        case FrontendTag.Flush:
          await this.#extended.flush(body);
          break;
        case FrontendTag.CopyData:
        case FrontendTag.CopyDone:
        case FrontendTag.CopyFail:
          break; // what is left of a COPY that has failed: dropped, as a server does
        case FrontendTag.FunctionCall:
          await this.#extended.yield();
          if (!this.#extended.skipping) await runFunctionCall(this.#state, body);
          break;
        default:
          await this.#extended.take(message);
      }
      if (this.#link.gone) return undefined;
    }
  }

  #violation({ message, said }: FrontendStreamError): undefined {
    this.#reason = 'client protocol violation';
    const error = new PproxError('protocol_violation', { message });
    this.#state.fail(error);
    if (said === 'said') this.#link.send(errorFrame(error, 'FATAL'));
    return undefined;
  }

  /** One string and nothing behind it. */
  async #query(body: Buffer): Promise<void> {
    const zero = body.indexOf(0);
    if (zero >= 0 && zero === body.length - 1) return runQuery(this.#state, body.subarray(0, zero));
    const message = zero < 0 ? 'invalid string in message' : 'invalid message format';
    await report(this.#state, new PproxError('protocol_violation', { message }));
    return this.#state.ready();
  }

  #terminate(error: PproxError): undefined {
    this.#reason = error.condition === 'notifications_unread' ? 'client too slow to be told' : 'server session lost';
    this.#state.fail(error);
    this.#link.send(errorFrame(error, 'FATAL'));
    this.#link.end();
    return undefined;
  }

  #shutDown(): undefined {
    this.#reason = 'shutdown';
    const error = new PproxError('shutting_down', { message: 'terminating connection due to administrator command' });
    this.#link.send(errorFrame(this.#unfinished() ?? error, 'FATAL'));
    this.#link.end();
    return undefined;
  }

  /** Nobody will tell the client what becomes of its COMMIT. */
  #unfinished(): PproxError | undefined {
    const { committing } = this.#state;
    if (committing === undefined) return undefined;
    const { gid } = committing;
    return new PproxError('commit_unfinished', {
      message: 'terminating connection while its transaction commits: the outcome is not known',
      detail: gid === undefined ? undefined : `The transaction is ${gid}.`,
      hint: gid === undefined ? undefined : `Ask for it by SELECT pprox.outcome('${gid}').`,
    });
  }
}

/** As PostgreSQL reads it: a Boolean, by any beginning of its words that is clear, or `database`. */
function replicationOf(value: string): 'yes' | 'no' | 'invalid' {
  const text = value.toLowerCase();
  const begins = (word: string, least: number): boolean => text.length >= least && word.startsWith(text);
  if (text === 'database' || text === '1' || text === 'on' || begins('true', 1) || begins('yes', 1)) return 'yes';
  return text === '0' || begins('off', 2) || begins('false', 1) || begins('no', 1) ? 'no' : 'invalid';
}
