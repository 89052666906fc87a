/**
 * One transaction's commit in two phases on real servers: performs the effects of `two-phase-machine.ts`, and feeds it what
 * comes of them.
 */
import { guard } from '../backend/guard.ts';
import { type Answer, BackendLostError, Collector } from '../backend/receiver.ts';
import { type Lsn, parseLsn } from '../cluster/lsn.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import { assert, unreachable } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { quoteIdentifier } from '../sql/quote.ts';
import { encodeCommandComplete } from '../wire/backend.ts';
import type { ErrorFields } from '../wire/error-fields.ts';
import { COMMIT_WITH_POSITION, CommitReceiver } from './commit-receiver.ts';
import type { CommitLeg, CommitOutcome, CommitRequest } from './coordinator.ts';
import type { Decider } from './decider.ts';
import { decisionText, finishText, prepareText, proofText, ROLE, UNDEFINED_OBJECT, WRITTEN } from './decisions.ts';
import { formatGid, type Home } from './gid.ts';
import { leadLost } from './one-phase.ts';
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
  /** A server that answers no step for so long is taken for lost. */
  readonly timeoutMs: number;
  /** How long a client waits for an outcome in doubt. */
  readonly doubtMs: number;
  readonly log: Log;
}

const CHECK = 'SET CONSTRAINTS ALL IMMEDIATE';
const CHECK_FOLLOWER = `SAVEPOINT "pprox: check"; ${CHECK}; RELEASE SAVEPOINT "pprox: check"`;
const GO_BACK = 'ROLLBACK TO SAVEPOINT "pprox: check"';

const PREPARED_TAG = 'PREPARE TRANSACTION';

/** One transaction's commit. `run` once. */
export class TwoPhaseRun {
  readonly #options: RunOptions;
  readonly #request: CommitRequest;
  readonly #home: Home;
  readonly #id: string;
  readonly #gids: readonly string[];
  readonly #xids: (string | undefined)[];
  /** As each follower's session has it set outside the transaction; `none` where it has not. */
  readonly #roles: (string | undefined)[];
  readonly #failures: FollowerFailure[] = [];
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
  #rowRefusal: { readonly fields: ErrorFields; readonly frame: Buffer } | undefined;
  #leadLost: BackendLostError | undefined;

  constructor(options: RunOptions, request: CommitRequest, home: Home, id: string) {
    this.#options = options;
    this.#request = request;
    this.#home = home;
    this.#id = id;
    this.#gids = request.followers.map((_, follower) => formatGid({ home, id, follower }));
    this.#xids = request.followers.map(() => undefined);
    this.#roles = [...this.#xids];
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
    const { lead, position } = this.#request;
    switch (effect.kind) {
      case 'check':
        return this.#check();
      case 'write row':
        return this.#writeRow();
      case 'prepare':
        return this.#prepare(effect.follower);
      case 'join':
        this.#options.pending.join(this.#id);
        return undefined;
      case 'leave':
        this.#options.pending.leave(this.#id);
        return undefined;
      case 'decide': {
        const withPosition = position === lead.backend && !this.#request.chain;
        const text = this.#request.chain ? 'COMMIT AND CHAIN' : withPosition ? COMMIT_WITH_POSITION : 'COMMIT';
        return this.#onLead(text, ({ tag }) => (tag === 'COMMIT' ? 'committed' : 'refused'));
      }
      case 'ask':
        return this.#ask();
      case 'roll back lead':
        return this.#rollBackLead();
      case 'roll back':
        return this.#onFollower(effect.follower, 'ROLLBACK', () => 'finished');
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
      this.#onLead(CHECK, (reply) => (reply.error === undefined ? 'checked' : 'refused')),
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

  #follower(index: number): CommitLeg {
    const leg = this.#request.followers[index];
    assert(leg !== undefined, 'a follower of this commit');
    return leg;
  }

  #gid(index: number): string {
    return this.#gids[index] ?? '';
  }

  async #onLead(
    text: string,
    judge: (reply: { tag: string; error: Buffer | undefined }) => 'checked' | 'committed' | 'refused',
  ): Promise<CommitEvent> {
    const { backend } = this.#request.lead;
    const receiver = new CommitReceiver();
    const watchdog = guard([backend], this.#options.timeoutMs);
    backend.query(text, receiver);
    try {
      const reply = await receiver.reply;
      this.#frames.push(...reply.frames);
      const what = judge(reply);
      if (what === 'committed') {
        this.#completion = reply.completion;
        this.#position = reply.position;
      } else if (what === 'refused') {
        const last = reply.error ?? reply.completion;
        if (last !== undefined) this.#frames.push(last);
      }
      return { from: 'lead', what };
    } catch (error) {
      return this.#lostLead(error);
    } finally {
      watchdog.clear();
    }
  }

  #lostLead(error: unknown): CommitEvent {
    if (!(error instanceof BackendLostError)) throw error;
    this.#leadLost = error;
    return { from: 'lead', what: 'lost' };
  }

  async #writeRow(): Promise<CommitEvent> {
    const { backend } = this.#request.lead;
    const watchdog = guard([backend], this.#options.timeoutMs);
    const collector = new Collector();
    backend.query(decisionText(this.#id), collector);
    try {
      const { error, tags } = await collector.reply;
      const { errorFrame } = collector;
      if (error !== undefined && errorFrame !== undefined) this.#rowRefusal = { fields: error, frame: errorFrame };
      return { from: 'lead', what: error === undefined && tags.at(-1) === WRITTEN ? 'row written' : 'row refused' };
    } catch (error) {
      return this.#lostLead(error);
    } finally {
      watchdog.clear();
    }
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

  async #prepare(index: number): Promise<CommitEvent> {
    const leg = this.#follower(index);
    const asked = this.#onFollower(index, prepareText(this.#gid(index)), ({ error, tags, rows }) => {
      if (error !== undefined) {
        this.#failures.push({ kind: 'error', label: leg.node.label, fields: error });
        return 'refused';
      }
      const tag = tags.at(-1) ?? '';
      if (tag !== PREPARED_TAG) {
        const effect = (what: string) => ({ tag: what, rows: undefined });
        this.#failures.push({
          kind: 'different',
          label: leg.node.label,
          expected: effect(PREPARED_TAG),
          found: effect(tag),
        });
        return 'refused';
      }
      this.#xids[index] = rows[0]?.[0] ?? undefined;
      return 'prepared';
    });
    const [event, role] = await Promise.all([asked, leg.backend.ask(ROLE).catch(lossIsToldElsewhere)]);
    this.#roles[index] = role?.rows[0]?.[0] ?? undefined;
    return event;
  }

  async #finish(index: number, decision: 'commit' | 'abort'): Promise<CommitEvent> {
    const leg = this.#follower(index);
    const role = this.#roles[index] ?? 'none';
    if (role !== 'none') void leg.backend.ask('SET ROLE NONE').catch(lossIsToldElsewhere);
    const asked = this.#onFollower(index, finishText(this.#gid(index), decision), ({ error }) => {
      if (error === undefined) return 'finished';
      if (error.code === UNDEFINED_OBJECT) return 'missing';
      this.#options.log.warn('a prepared transaction could not be ended at once', {
        gid: this.#gid(index),
        sqlstate: error.code,
      });
      return 'failed';
    });
    if (role !== 'none') void this.#setRole(leg, role);
    // Behind COMMIT PREPARED, which takes no company in its Query.
    if (decision === 'commit' && this.#request.position === leg.backend) await this.#readPosition(leg);
    return asked;
  }

  /** The session's own role again. Without it the server session is nobody's. */
  async #setRole({ backend }: CommitLeg, role: string): Promise<void> {
    const answer = await backend.ask(`SET ROLE ${quoteIdentifier(role)}`).catch(lossIsToldElsewhere);
    if (answer?.error !== undefined) backend.close('session state not movable');
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

  #prove(index: number): Promise<CommitEvent> {
    const xid = this.#xids[index];
    if (xid === undefined) return Promise.resolve({ from: 'follower', follower: index, what: 'unproved' });
    return this.#onFollower(index, proofText(xid), ({ rows }) => {
      const status = rows[0]?.[0];
      return status === 'committed' ? 'proved' : status === 'aborted' ? 'disproved' : 'unproved';
    });
  }

  async #onFollower(
    index: number,
    text: string,
    judge: (answer: Answer) => (CommitEvent & { from: 'follower' })['what'],
  ): Promise<CommitEvent> {
    const { backend, node } = this.#follower(index);
    const watchdog = guard([backend], this.#options.timeoutMs);
    try {
      return { from: 'follower', follower: index, what: judge(await backend.ask(text)) };
    } catch (error) {
      if (!(error instanceof BackendLostError)) throw error;
      this.#failures.push({ kind: 'lost', label: node.label, lost: error.lost });
      return { from: 'follower', follower: index, what: 'lost' };
    } finally {
      watchdog.clear();
    }
  }

  async #ask(): Promise<CommitEvent> {
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
        const refusal = this.#rowRefusal;
        // What PostgreSQL would have said of the client's own COMMIT.
        if (refusal !== undefined && OF_THE_TRANSACTION.has(refusal.fields.code.slice(0, 2)))
          return { kind: 'refused by lead', frames: [...this.#frames, refusal.frame] };
        return { kind: 'rolled back', error: rowRefused(lead, refusal?.fields) };
      }
      case 'follower':
        return { kind: 'rolled back', error: followersRefused(this.#failures, lead) };
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
