/**
 * One transaction's commit in two phases on real servers: performs the effects of `two-phase-machine.ts`, and feeds it what
 * comes of them.
 */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import { type Answer, BackendLostError, Collector } from '../backend/receiver.ts';
import { type Lsn, parseLsn } from '../cluster/lsn.ts';
import { type FollowerFailure, mayBeOfOthers } from '../fanout/follower.ts';
import { assert, unreachable } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { quoteIdentifier } from '../sql/quote.ts';
import { encodeCommandComplete } from '../wire/backend.ts';
import { decodeErrorFields, type ErrorFields } from '../wire/error-fields.ts';
import { encodeQuery } from '../wire/frontend.ts';
import { TransactionStatus } from '../wire/tags.ts';
import { type CommitReply, CommitReceiver } from './commit-receiver.ts';
import type { CommitLeg, CommitOutcome, CommitRequest, FollowerCommitLeg } from './coordinator.ts';
import type { Decider } from './decider.ts';
import {
  CHECK,
  DECIDED,
  finishText,
  INSUFFICIENT_PRIVILEGE,
  OLDER_STATE,
  OTHER_EDITION,
  proofText,
  ROLE,
  UNDEFINED_OBJECT,
} from './decisions.ts';
import { definitionChanged, type Edition } from './definitions.ts';
import { formatGid, type Home } from './gid.ts';
import { leadLost } from './one-phase.ts';
import { encodeDecision, encodePrepare } from './own-messages.ts';
import type { PendingSet } from './pending.ts';
import type { Recovery } from './recovery.ts';
import { followersRefused, inDoubt, OF_THE_TRANSACTION, rowRefused } from './two-phase-errors.ts';
import {
  begin,
  type Cause,
  type CommitEffect,
  type CommitEvent,
  type CommitState,
  type Decision,
  step,
} from './two-phase-machine.ts';

export interface RunOptions {
  readonly pending: PendingSet;
  readonly decider: Decider;
  readonly recovery: Recovery;
  /** This process, among those that commit to the lead. A UUID. */
  readonly process: string;
  /** A server that answers no step for so long is taken for lost. */
  readonly timeoutMs: number;
  /** How long a client waits for an outcome in doubt. */
  readonly doubtMs: number;
  readonly log: Log;
}

const CHECK_FOLLOWER = `SAVEPOINT "pprox: check"; ${CHECK}; RELEASE SAVEPOINT "pprox: check"`;
const GO_BACK = 'ROLLBACK TO SAVEPOINT "pprox: check"';

const PREPARED_TAG = 'PREPARE TRANSACTION';

const ROLLBACK = encodeQuery('ROLLBACK');

type PrepareAnswer =
  | { readonly what: 'prepared'; readonly xid: string | undefined }
  | { readonly what: 'refused' | 'lost'; readonly failure: FollowerFailure };

/** One transaction's commit. `run` once. */
export class TwoPhaseRun {
  readonly #options: RunOptions;
  readonly #request: CommitRequest;
  readonly #home: Home;
  readonly #id: string;
  readonly #gids: readonly string[];
  readonly #xids: (string | undefined)[];
  readonly #failures: FollowerFailure[] = [];
  /** What a follower would have missed of others' transactions. */
  #notVisible: PproxError | undefined;
  readonly #events: CommitEvent[] = [];
  #state: CommitState;
  #effects: readonly CommitEffect[];
  #working = 0;
  #answer: (CommitEffect & { kind: 'answer' }) | undefined;
  #wake: (() => void) | undefined;
  /** What the lead said for the client. */
  readonly #frames: Buffer[] = [];
  #completion: Buffer | undefined;
  #position: Lsn | undefined;
  #sequences: string | undefined;
  #rowRefusal: { readonly fields: ErrorFields; readonly frame: Buffer } | undefined;
  /** Why no row was written, where nobody has tried to. */
  #notDecided: PproxError | undefined;
  #leadLost: BackendLostError | undefined;

  constructor(options: RunOptions, request: CommitRequest, home: Home, id: string) {
    this.#options = options;
    this.#request = request;
    this.#home = home;
    this.#id = id;
    this.#gids = request.followers.map((_, follower) => formatGid({ home, id, follower }));
    this.#xids = request.followers.map(() => undefined);
    const { state, effects } = begin(request.followers.length, request.deferred);
    this.#state = state;
    this.#effects = effects;
  }

  /** Until every effect has ended: no leg owes anything then. */
  async run(): Promise<CommitOutcome> {
    for (;;) {
      for (const effect of this.#effects) this.#start(effect);
      const event = this.#events.shift();
      if (event !== undefined) {
        const { state, effects } = step(this.#state, event);
        this.#state = state;
        this.#effects = effects;
        continue;
      }
      this.#effects = [];
      if (this.#working === 0) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    assert(this.#state.kind === 'over' && this.#answer !== undefined, 'a commit that ends has an outcome');
    return this.#outcomeOf(this.#answer);
  }

  #start(effect: CommitEffect): void {
    const work = this.#perform(effect);
    if (work === undefined) return;
    this.#working++;
    // What a server does is an event; anything else is a bug, and recovery is safer than going on.
    void work.then((event) => {
      this.#working--;
      if (event !== undefined) this.#events.push(event);
      this.#wake?.();
    });
  }

  #perform(effect: CommitEffect): Promise<CommitEvent | undefined> | undefined {
    switch (effect.kind) {
      case 'check':
        return this.#check();
      case 'prepare':
        return this.#prepare(effect.follower);
      case 'join':
        this.#options.pending.join(this.#id);
        return undefined;
      case 'leave':
        this.#options.pending.leave(this.#id);
        return undefined;
      case 'decide':
        return this.#decide();
      case 'ask':
        return this.#askLead();
      case 'roll back lead':
        return this.#rollBackLead();
      case 'roll back':
        return this.#onFollower(effect.follower, ROLLBACK, () => 'finished');
      case 'finish':
        return this.#finish(effect.follower, effect.decision);
      case 'prove':
        return this.#prove(effect.follower);
      case 'answer':
        this.#answer = effect;
        return undefined;
      case 'report':
        this.#options.log.error('a writer has rolled back what the lead has committed: compare the writers', {
          gid: this.#gids[effect.follower],
          server: this.#follower(effect.follower).node.label,
        });
        return undefined;
      case 'hand over':
        this.#handOver(effect.decision);
        return undefined;
      default:
        return unreachable(effect);
    }
  }

  /** Everywhere at once: nothing of this transaction is prepared yet, so that nobody waits for it meanwhile. */
  async #check(): Promise<CommitEvent> {
    const [event] = await Promise.all([
      this.#onLead(encodeQuery(CHECK), (reply) => (reply.error === undefined ? 'checked' : 'refused')),
      ...this.#request.followers.map((leg) => this.#checkFollower(leg)),
    ]);
    return event;
  }

  /**
   * A follower that misses what another transaction has only prepared there checks again when that is over. What it says
   * then, it says in its PREPARE.
   */
  async #checkFollower({ node, backend }: CommitLeg): Promise<void> {
    const watchdog = guard([backend], this.#options.timeoutMs);
    try {
      const { error } = await backend.ask(CHECK_FOLLOWER);
      if (error === undefined) return;
      await backend.ask(GO_BACK);
    } catch (error) {
      // Its loss is met in the next step.
      if (!(error instanceof BackendLostError)) throw error;
      return;
    } finally {
      watchdog.clear();
    }
    await this.#options.recovery.preparedOver(node).catch((error: unknown) => {
      // What it misses still, its PREPARE says.
      if (!(error instanceof PproxError)) throw error;
    });
  }

  #follower(index: number): FollowerCommitLeg {
    const leg = this.#request.followers[index];
    assert(leg !== undefined, 'a follower of this commit');
    return leg;
  }

  #gid(index: number): string {
    return this.#gids[index] ?? '';
  }

  async #onLead(
    message: Buffer,
    judge: (reply: CommitReply) => 'checked' | 'row refused' | 'committed' | 'refused',
  ): Promise<CommitEvent> {
    const { backend } = this.#request.lead;
    const receiver = new CommitReceiver();
    const watchdog = guard([backend], this.#options.timeoutMs);
    backend.send(message, receiver);
    try {
      const reply = await receiver.reply;
      this.#frames.push(...reply.frames);
      const what = judge(reply);
      if (what === 'committed') {
        this.#completion = reply.completion;
        this.#position = reply.position;
        if (this.#request.definitions.sequences.drawn === 'some') [this.#sequences] = reply.valuesBefore;
      } else if (what === 'refused') {
        const last = reply.error ?? reply.completion;
        if (last !== undefined) this.#frames.push(last);
      }
      return { from: 'lead', what };
    } catch (error) {
      if (!(error instanceof BackendLostError)) throw error;
      this.#leadLost = error;
      return { from: 'lead', what: 'lost' };
    } finally {
      watchdog.clear();
    }
  }

  async #decide(): Promise<CommitEvent> {
    const { lead, position, chain } = this.#request;
    const { definitions } = this.#request;
    const { backend } = lead;
    let edition: Edition | undefined;
    try {
      edition = await definitions.agree();
    } catch (error) {
      if (error instanceof BackendLostError) {
        this.#leadLost = error;
        return { from: 'lead', what: 'gone' };
      }
      if (!(error instanceof PproxError)) throw error;
      this.#notDecided = error.ofTransaction();
      return { from: 'lead', what: 'row refused' };
    }
    const gone = !backend.open;
    const message = encodeDecision(backend.prepared, {
      id: this.#id,
      process: this.#options.process,
      edition,
      changes: definitions.changes,
      sequences: definitions.sequences,
      end: chain ? 'commit and chain' : 'commit',
      position: position === backend && !chain ? 'asked for' : 'not asked for',
    });
    const event = await this.#onLead(message, (reply) => this.#judgeDecision(reply));
    // What was lost before it was asked to commit has not.
    return gone ? { from: 'lead', what: 'gone' } : event;
  }

  #judgeDecision({ tag, tagsBefore, error }: CommitReply): 'row refused' | 'committed' | 'refused' {
    // What others have counted of sequences is told by a tag like it.
    const told = this.#request.definitions.sequences.drawn === 'some' ? [DECIDED, DECIDED] : [DECIDED];
    const written = told.every((one, place) => tagsBefore.at(place - told.length) === one);
    assert(written || tag !== 'COMMIT', 'what is committed has its decision');
    if (error !== undefined) {
      this.#request.lead.backend.prepared.doubtOwn();
      if (!written) this.#rowRefusal = { fields: decodeErrorFields(error, 0, error.length), frame: error };
    }
    if (!written) return 'row refused';
    return tag === 'COMMIT' ? 'committed' : 'refused';
  }

  async #rollBackLead(): Promise<CommitEvent> {
    const { backend } = this.#request.lead;
    const watchdog = guard([backend], this.#options.timeoutMs);
    try {
      await backend.ask('ROLLBACK');
      return { from: 'lead', what: 'rolled back' };
    } catch (error) {
      if (!(error instanceof BackendLostError)) throw error;
      return { from: 'lead', what: 'lost' };
    } finally {
      watchdog.clear();
    }
  }

  /** What the follower is behind by goes to it together with PREPARE; it counts first. */
  async #prepare(index: number): Promise<CommitEvent> {
    const { behind, node } = this.#follower(index);
    if (behind === undefined) return this.#prepared(index, await this.#askToPrepare(index));
    try {
      await behind.ready();
    } catch (error) {
      if (!(error instanceof PproxError)) throw error;
      return this.#refuse(index, error);
    }
    const failure = await this.#catchUp(index, behind.send());
    if (failure === undefined || 'from' in failure) return failure;
    if (!mayBeOfOthers(failure)) return this.#refuse(index, failure);
    try {
      await this.#options.recovery.preparedOver(node);
    } catch (error) {
      if (!(error instanceof PproxError)) throw error;
      return this.#refuse(index, error);
    }
    const remaining = await this.#catchUp(index, behind.again());
    return 'from' in remaining ? remaining : this.#refuse(index, remaining);
  }

  /** A statement that has failed: then there is no transaction any more. Else what became of PREPARE. */
  async #catchUp(
    index: number,
    sent: Promise<FollowerFailure | undefined>,
  ): Promise<FollowerFailure | (CommitEvent & { from: 'follower' })> {
    const { backend, node } = this.#follower(index);
    const [failure, answer] = await Promise.all([sent, this.#askToPrepare(index, sent)]);
    if (failure === undefined) return this.#prepared(index, answer);
    if (failure.kind === 'lost' || answer.what === 'lost') {
      this.#failures.push(failure);
      return { from: 'follower', follower: index, what: 'lost' };
    }
    let undone: Answer | undefined;
    // Where its transaction could not be begun, an empty one may be prepared, and a failed one have begun behind that.
    if (answer.what !== 'prepared' || backend.status !== TransactionStatus.Idle)
      undone = await this.#ask(backend, 'ROLLBACK');
    if (answer.what === 'prepared') undone = await this.#undoPrepared(index);
    if (undone !== undefined && undone.error === undefined) return failure;
    this.#failures.push(failure);
    if (undone !== undefined)
      this.#options.log.warn('what a follower had prepared could not be undone at once', { server: node.label });
    return { from: 'follower', follower: index, what: 'lost' };
  }

  async #undoPrepared(index: number): Promise<Answer | undefined> {
    const leg = this.#follower(index);
    const ask = (): Promise<Answer | undefined> => this.#ask(leg.backend, finishText(this.#gid(index), 'abort'));
    const undone = await ask();
    return undone?.error?.code === INSUFFICIENT_PRIVILEGE ? this.#asLoginRole(leg, ask) : undone;
  }

  /** `behind`: statements in front of it, which have their own deadlines. */
  async #askToPrepare(index: number, behind?: Promise<unknown>): Promise<PrepareAnswer> {
    const { node, backend } = this.#follower(index);
    const { label } = node;
    const collector = new Collector();
    const message = encodePrepare(backend.prepared, this.#gid(index), this.#request.deferred);
    if (behind === undefined) backend.send(message, collector);
    else backend.sendAtOnce(message, collector);
    await behind;
    const watchdog = guard([backend], this.#options.timeoutMs);
    try {
      const { error, tags, rows } = await collector.reply;
      if (error !== undefined) {
        backend.prepared.doubtOwn();
        return { what: 'refused', failure: { kind: 'error', label, fields: backend.causeOf(error) } };
      }
      const tag = tags.at(-1) ?? '';
      if (tag === PREPARED_TAG) return { what: 'prepared', xid: rows[0]?.[0] ?? undefined };
      const effect = (what: string) => ({ tag: what, rows: undefined });
      const failure = { kind: 'different', label, expected: effect(PREPARED_TAG), found: effect(tag) } as const;
      return { what: 'refused', failure };
    } catch (error) {
      if (!(error instanceof BackendLostError)) throw error;
      return { what: 'lost', failure: { kind: 'lost', label, lost: error.lost } };
    } finally {
      watchdog.clear();
    }
  }

  #prepared(index: number, answer: PrepareAnswer): CommitEvent & { from: 'follower' } {
    if (answer.what === 'prepared') this.#xids[index] = answer.xid;
    else this.#failures.push(answer.failure);
    return { from: 'follower', follower: index, what: answer.what };
  }

  #refuse(index: number, why: FollowerFailure | PproxError): CommitEvent {
    if (why instanceof PproxError) this.#notVisible ??= why;
    else this.#failures.push(why);
    return { from: 'follower', follower: index, what: 'refused' };
  }

  async #finish(index: number, decision: 'commit' | 'abort'): Promise<CommitEvent> {
    const leg = this.#follower(index);
    const text = encodeQuery(finishText(this.#gid(index), decision));
    let denied: 'no' | 'yes' = 'no';
    const judge = ({ error }: Answer): (CommitEvent & { from: 'follower' })['what'] => {
      if (error === undefined) return 'finished';
      if (error.code === UNDEFINED_OBJECT) return 'missing';
      if (error.code === INSUFFICIENT_PRIVILEGE && denied === 'no') denied = 'yes';
      else
        this.#options.log.warn('a prepared transaction could not be ended at once', {
          gid: this.#gid(index),
          sqlstate: error.code,
        });
      return 'failed';
    };
    const first = this.#onFollower(index, text, judge);
    // Behind COMMIT PREPARED, which takes no company in its Query.
    if (decision === 'commit' && this.#request.position === leg.backend) await this.#readPosition(leg);
    const event = await first;
    if (denied === 'no') return event;
    return this.#asLoginRole(leg, () => this.#onFollower(index, text, judge));
  }

  /** The client has set a role for its session, who may not end what the login role has prepared. */
  async #asLoginRole<T>({ backend }: CommitLeg, work: () => Promise<T>): Promise<T> {
    const role = (await this.#ask(backend, ROLE))?.rows[0]?.[0] ?? 'none';
    // Behind it, and lost with what is asked behind it.
    void backend.ask('SET ROLE NONE').catch(lossIsToldElsewhere);
    const done = await work();
    if (role === 'none') return done;
    const answer = await this.#ask(backend, `SET ROLE ${quoteIdentifier(role)}`);
    // Without it the server session is nobody's.
    if (answer?.error !== undefined) backend.close('session state not movable');
    return done;
  }

  async #readPosition({ backend }: CommitLeg): Promise<void> {
    const watchdog = guard([backend], this.#options.timeoutMs);
    try {
      const lsn = (await backend.ask('SELECT pg_catalog.pg_current_wal_insert_lsn()')).rows[0]?.[0];
      if (lsn !== null && lsn !== undefined) this.#position = parseLsn(lsn);
    } catch (error) {
      // Its COMMIT PREPARED is lost with it, which is told there.
      if (!(error instanceof BackendLostError)) throw error;
    } finally {
      watchdog.clear();
    }
  }

  /** A question of our own. Undefined where its connection is lost. */
  async #ask(backend: Backend, text: string): Promise<Answer | undefined> {
    const watchdog = guard([backend], this.#options.timeoutMs);
    return backend
      .ask(text)
      .catch(lossIsToldElsewhere)
      .finally(() => watchdog.clear());
  }

  #prove(index: number): Promise<CommitEvent> {
    const xid = this.#xids[index];
    if (xid === undefined) return Promise.resolve({ from: 'follower', follower: index, what: 'unproved' });
    return this.#onFollower(index, encodeQuery(proofText(xid)), ({ rows }) => {
      const status = rows[0]?.[0];
      return status === 'committed' ? 'proved' : status === 'aborted' ? 'disproved' : 'unproved';
    });
  }

  async #onFollower(
    index: number,
    message: Buffer,
    judge: (answer: Answer) => (CommitEvent & { from: 'follower' })['what'],
  ): Promise<CommitEvent> {
    const { backend, node } = this.#follower(index);
    const watchdog = guard([backend], this.#options.timeoutMs);
    const collector = new Collector();
    backend.send(message, collector);
    try {
      return { from: 'follower', follower: index, what: judge(await collector.reply) };
    } catch (error) {
      if (!(error instanceof BackendLostError)) throw error;
      this.#failures.push({ kind: 'lost', label: node.label, lost: error.lost });
      return { from: 'follower', follower: index, what: 'lost' };
    } finally {
      watchdog.clear();
    }
  }

  async #askLead(): Promise<CommitEvent> {
    const { lead } = this.#request;
    const account = { user: lead.backend.user, database: lead.backend.database };
    const what = await this.#options.decider.decide(
      lead.node,
      account,
      { home: this.#home, id: this.#id },
      this.#options.doubtMs,
    );
    return { from: 'fence', what };
  }

  #outcomeOf(effect: CommitEffect & { kind: 'answer' }): CommitOutcome {
    switch (effect.outcome) {
      case 'committed':
        // Where the lead was lost and asked again, its own words are lost too.
        return {
          kind: 'committed',
          completion: this.#completion ?? encodeCommandComplete('COMMIT'),
          frames: this.#frames,
          position: this.#position,
          sequences: this.#sequences,
        };
      case 'rolled back':
        return this.#rolledBack(effect.cause);
      case 'unknown':
        return { kind: 'unknown', error: inDoubt(this.#request.lead, this.#request.followers, this.#gids) };
      default:
        return unreachable(effect);
    }
  }

  #rolledBack(cause: Cause): CommitOutcome {
    const { lead } = this.#request;
    switch (cause.by) {
      case 'lead':
        if (cause.how === 'refused') return { kind: 'refused by lead', frames: this.#frames };
        assert(this.#leadLost !== undefined, 'a lead that was lost has said how');
        return { kind: 'rolled back', error: leadLost(lead, this.#leadLost) };
      case 'row': {
        if (this.#notDecided !== undefined) return { kind: 'rolled back', error: this.#notDecided };
        const refusal = this.#rowRefusal;
        if (refusal?.fields.code === OTHER_EDITION) {
          // It was taken for one that reads the newest: its server's default has changed since it was connected.
          if (refusal.fields.message.includes(OLDER_STATE)) lead.backend.isolation = 'unknown';
          return { kind: 'rolled back', error: definitionChanged('before it was committed') };
        }
        // What PostgreSQL would have said of the client's own COMMIT.
        if (refusal !== undefined && OF_THE_TRANSACTION.has(refusal.fields.code.slice(0, 2)))
          return { kind: 'refused by lead', frames: [...this.#frames, refusal.frame] };
        return { kind: 'rolled back', error: rowRefused(lead, refusal?.fields) };
      }
      case 'follower':
        return { kind: 'rolled back', error: this.#notVisible ?? followersRefused(this.#failures, lead) };
      default:
        return unreachable(cause);
    }
  }

  #handOver(decision: Decision | undefined): void {
    const { lead, followers } = this.#request;
    assert(this.#state.kind === 'over', 'what is handed over has no coordinator any more');
    const { followers: parts } = this.#state;
    this.#options.recovery.handOver({
      home: this.#home,
      id: this.#id,
      decision,
      account: { user: lead.backend.user, database: lead.backend.database },
      followers: followers.flatMap(({ backend: { user, database } }, follower) =>
        parts[follower] === 'left'
          ? [{ follower, gid: this.#gid(follower), account: { user, database }, xid: this.#xids[follower] }]
          : [],
      ),
    });
  }
}

/** What is asked beside a step of the commit is lost with it. */
function lossIsToldElsewhere(error: unknown): undefined {
  if (!(error instanceof BackendLostError)) throw error;
}
