/**
 * Commit in one phase: the followers first, all at once, then the lead. While both steps run nothing can make them fail
 * but the loss of a server or of this process; that window is the documented risk of this mode.
 *
 *   check     constraints immediate, everywhere          After a crash here: every server rolls back.
 *   followers COMMIT on each                             After a crash here: some followers may have committed alone.
 *   lead      COMMIT                                     After a crash here: the followers have committed, the lead perhaps.
 *
 * What is visible on the lead is therefore committed on every follower. Where the lead's COMMIT itself can fail by the
 * client's own doing (SERIALIZABLE), the lead goes before the followers instead.
 */
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import { BackendLostError } from '../backend/receiver.ts';
import type { Lsn } from '../cluster/lsn.ts';
import { type FollowerFailure, followerError } from '../fanout/follower.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { decodeErrorFields } from '../wire/error-fields.ts';
import { TransactionStatus } from '../wire/tags.ts';
import { COMMIT_WITH_POSITION, type CommitReply, CommitReceiver } from './commit-receiver.ts';
import type { CommitLeg, CommitOutcome, CommitRequest, Coordinator } from './coordinator.ts';
import { CountedHere } from './definitions.ts';

type LegFate = 'committed' | 'rolled back' | 'unknown';

interface LegResult {
  readonly leg: CommitLeg;
  readonly fate: LegFate;
  readonly reply: CommitReply | undefined;
  readonly failure: FollowerFailure | undefined;
}

const CHECK = 'SET CONSTRAINTS ALL IMMEDIATE';

export class OnePhase implements Coordinator {
  readonly #timeoutMs: number;
  readonly #log: Log;
  /** What is visible on the lead is committed on every follower. */
  readonly leadAhead = 'never';
  readonly decision = 'none';
  readonly definitions = new CountedHere();

  /** `timeoutMs`: a server that answers no step for so long is taken for lost. */
  constructor(timeoutMs: number, log: Log) {
    this.#timeoutMs = timeoutMs;
    this.#log = log;
  }

  async commit(request: CommitRequest): Promise<CommitOutcome> {
    const legs = [request.lead, ...request.followers];
    const { definitions } = request;
    try {
      await definitions.agree();
    } catch (error) {
      if (!(error instanceof PproxError)) throw error;
      await rollback(legs, this.#timeoutMs);
      return { kind: 'rolled back', error: error.ofTransaction() };
    }
    return this.definitions.changing(definitions.changes, () => this.#commit(request, legs));
  }

  async #commit(request: CommitRequest, legs: readonly CommitLeg[]): Promise<CommitOutcome> {
    const watchdog = guard(
      legs.map((leg) => leg.backend),
      this.#timeoutMs,
    );
    try {
      const unseen = await failedUnseen(request, legs);
      if (unseen !== undefined) {
        await rollback(legs, this.#timeoutMs);
        return { kind: 'rolled back', error: unseen };
      }
      if (request.deferred === 'possible' && request.followers.length > 0) {
        const refused = await this.#check(request);
        if (refused !== undefined) return refused;
      }
      return request.leadCommit === 'may fail' ? await this.#leadFirst(request) : await this.#followersFirst(request);
    } finally {
      watchdog.clear();
    }
  }

  readonly moment = 0;

  visibleEverywhere(): undefined {
    return undefined;
  }

  othersVisible(): undefined {
    return undefined;
  }

  async #followersFirst(request: CommitRequest): Promise<CommitOutcome> {
    const followers = await this.#commitFollowers(request);
    const position = followers.find(({ leg }) => leg.backend === request.position)?.reply?.position;
    if (followers.every(({ fate }) => fate === 'committed')) {
      const lead = await this.#commitLeg(
        request.lead,
        request.chain ? 'COMMIT AND CHAIN' : this.#text(request, request.lead),
      );
      return this.#settled(lead, followers, lead.reply?.position ?? position);
    }
    await rollback([request.lead], this.#timeoutMs);
    if (followers.every(({ fate }) => fate === 'rolled back')) {
      const failures = followers.flatMap(({ failure }) => failure ?? []);
      return { kind: 'rolled back', error: followerError(failures, [request.lead.node.label], 'rolled back') };
    }
    return this.#unknown([
      { leg: request.lead, fate: 'rolled back', reply: undefined, failure: undefined },
      ...followers,
    ]);
  }

  async #leadFirst(request: CommitRequest): Promise<CommitOutcome> {
    const lead = await this.#commitLeg(
      request.lead,
      request.chain ? 'COMMIT AND CHAIN' : this.#text(request, request.lead),
    );
    if (lead.fate !== 'committed') {
      await rollback(request.followers, this.#timeoutMs);
      const followers = request.followers.map(
        (leg): LegResult => ({ leg, fate: 'rolled back', reply: undefined, failure: undefined }),
      );
      return this.#settled(lead, followers, undefined);
    }
    const followers = await this.#commitFollowers(request);
    const position = followers.find(({ leg }) => leg.backend === request.position)?.reply?.position;
    return this.#settled(lead, followers, lead.reply?.position ?? position);
  }

  #settled(lead: LegResult, followers: readonly LegResult[], position: Lsn | undefined): CommitOutcome {
    const all = [lead, ...followers];
    const completion = lead.reply?.completion;
    if (all.every(({ fate }) => fate === 'committed') && completion !== undefined) {
      return { kind: 'committed', completion, frames: lead.reply?.frames ?? [], position, sequences: undefined };
    }
    if (all.every(({ fate }) => fate === 'rolled back') && lead.reply !== undefined) {
      const last = lead.reply.error ?? completion;
      return { kind: 'refused by lead', frames: [...lead.reply.frames, ...(last === undefined ? [] : [last])] };
    }
    return this.#unknown(all);
  }

  #text(request: CommitRequest, leg: CommitLeg): string {
    return request.position === leg.backend ? COMMIT_WITH_POSITION : 'COMMIT';
  }

  #commitFollowers(request: CommitRequest): Promise<LegResult[]> {
    return Promise.all(request.followers.map((leg) => this.#commitLeg(leg, this.#text(request, leg))));
  }

  async #commitLeg(leg: CommitLeg, text: string): Promise<LegResult> {
    const receiver = new CommitReceiver();
    leg.backend.query(text, receiver);
    try {
      const reply = await receiver.reply;
      // COMMIT of a failed transaction answers ROLLBACK, without an error.
      if (reply.tag === 'COMMIT') return { leg, fate: 'committed', reply, failure: undefined };
      return { leg, fate: 'rolled back', reply, failure: refusal(leg, reply) };
    } catch (error) {
      if (!(error instanceof BackendLostError)) throw error;
      return {
        leg,
        fate: 'unknown',
        reply: undefined,
        failure: { kind: 'lost', label: leg.node.label, lost: error.lost },
      };
    }
  }

  /** Deferred constraints speak before the first server commits. */
  async #check(request: CommitRequest): Promise<CommitOutcome | undefined> {
    const receiver = new CommitReceiver();
    request.lead.backend.query(CHECK, receiver);
    const asked = request.followers.map(async (leg): Promise<FollowerFailure | undefined> => {
      try {
        const { error } = await leg.backend.ask(CHECK);
        return error === undefined ? undefined : { kind: 'error', label: leg.node.label, fields: error };
      } catch (error) {
        if (!(error instanceof BackendLostError)) throw error;
        return { kind: 'lost', label: leg.node.label, lost: error.lost };
      }
    });
    const all = [request.lead, ...request.followers];
    try {
      const lead = await receiver.reply;
      const failures = (await Promise.all(asked)).flatMap((failure) => failure ?? []);
      if (lead.error !== undefined) {
        await rollback(all, this.#timeoutMs);
        return { kind: 'refused by lead', frames: [...lead.frames, lead.error] };
      }
      if (failures.length === 0) return undefined;
      await rollback(all, this.#timeoutMs);
      return { kind: 'rolled back', error: followerError(failures, [request.lead.node.label], 'rolled back') };
    } catch (error) {
      if (!(error instanceof BackendLostError)) throw error;
      await Promise.all(asked);
      await rollback(request.followers, this.#timeoutMs);
      return { kind: 'rolled back', error: leadLost(request.lead, error) };
    }
  }

  #unknown(results: readonly LegResult[]): CommitOutcome {
    const detail = results.map(({ leg, fate }) => `${leg.node.label}: ${fate}`).join('\n');
    this.#log.error('commit outcome differs or is unknown', { detail });
    const error = new PproxError('commit_unknown', {
      message: 'the outcome of the transaction is not known on every writer',
      detail,
      hint: 'A server was lost, or refused to commit, when another had committed. Compare the writers before writing to the same rows.',
    });
    return { kind: 'unknown', error };
  }
}

/**
 * What has failed somewhere while nobody was there to hear it: COMMIT would answer ROLLBACK there, when others have committed. A server is asked
 * where anything is under way, and is not the only one of a transaction that has not written: that goes out with its COMMIT.
 */
async function failedUnseen(
  { lead, followers, writes }: CommitRequest,
  legs: readonly CommitLeg[],
): Promise<PproxError | undefined> {
  const nothing = followers.length === 0 && writes === 'to be asked';
  if (nothing && lead.backend.status !== TransactionStatus.Failed) return undefined;
  const found = await Promise.all(
    legs.map(async ({ node: { label }, backend }): Promise<FollowerFailure | undefined> => {
      if (backend.idle && backend.status !== TransactionStatus.Failed) return undefined;
      try {
        const { error } = await backend.ask('SELECT');
        return error === undefined ? undefined : { kind: 'error', label, fields: backend.causeOf(error) };
      } catch (error) {
        if (!(error instanceof BackendLostError)) throw error;
        return { kind: 'lost', label, lost: error.lost };
      }
    }),
  );
  const failures = found.flatMap((failure) => failure ?? []);
  if (failures.length === 0) return undefined;
  const failed = new Set(failures.map(({ label }) => label));
  const others = legs.map(({ node }) => node.label).filter((label) => !failed.has(label));
  return followerError(failures, others, 'rolled back');
}

function refusal({ node: { label } }: CommitLeg, { error, tag }: CommitReply): FollowerFailure {
  if (error !== undefined) return { kind: 'error', label, fields: decodeErrorFields(error, 0, error.length) };
  const expected = { tag: 'COMMIT', rows: undefined };
  return { kind: 'different', label, expected, found: { tag, rows: undefined } };
}

export function leadLost(lead: CommitLeg, error: BackendLostError): PproxError {
  return new PproxError('server_lost', {
    message: `the connection to ${lead.node.label} was lost: ${error.message}`,
    hint: 'Nothing of this was applied on any writer.',
  });
}

/** Rolls back what is open; a connection that cannot is lost, and its server rolls back by itself. */
export async function rollback(legs: readonly { readonly backend: Backend }[], timeoutMs: number): Promise<void> {
  const watchdog = guard(
    legs.map(({ backend }) => backend),
    timeoutMs,
  );
  await Promise.all(
    legs.map(async ({ backend }) => {
      try {
        await backend.ask('ROLLBACK');
      } catch (error) {
        if (!(error instanceof BackendLostError)) throw error;
      }
    }),
  ).finally(() => watchdog.clear());
}
