/**
 * Ends what a coordinator has left prepared: transactions handed over by this process's own coordinators, and those of
 * others found by looking at the followers, at start and ever again, since a PREPARE may arrive after everybody has given
 * its transaction up. Any number of processes do so side by side.
 */
import { guard } from '../backend/guard.ts';
import type { Backend } from '../backend/backend.ts';
import { type Answer, BackendLostError } from '../backend/receiver.ts';
import { unreachable } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { CommitNode } from './coordinator.ts';
import { type Account, connectForRecovery, type Decider } from './decider.ts';
import { finishText, INSUFFICIENT_PRIVILEGE, PREPARED, proofText, UNDEFINED_OBJECT } from './decisions.ts';
import { changesDefinitions, type Gid, type Home, parseGid } from './gid.ts';
import type { PendingSet } from './pending.ts';
import { notYetVisible } from './two-phase-errors.ts';
import { beginRecovery, type RecoveryEffect, type RecoveryEvent, stepRecovery } from './recovery-machine.ts';
import type { Decision } from './two-phase-machine.ts';

export interface OrphanPart {
  /** An index among the followers. */
  readonly follower: number;
  readonly gid: string;
  /** Who has prepared it, and where: nobody else may end it. */
  readonly account: Account;
  /** By which it can be asked for once it is not prepared any more. Undefined: it may never have been. */
  readonly xid: string | undefined;
}

/** A transaction without a coordinator. */
export interface Orphan {
  readonly home: Home;
  readonly id: string;
  /** At the lead. */
  readonly account: Account;
  readonly followers: readonly OrphanPart[];
  /** What the lead has decided, where that is known already. */
  readonly decision: Decision | undefined;
}

/** What is prepared on one follower and waits for the lead's decision to be carried out, as the last look has found it. */
export type InDoubt =
  | {
      readonly kind: 'seen';
      readonly server: string;
      readonly count: number;
      /** Of the oldest: normally a moment. 0 where there is none. */
      readonly ageMs: number;
      /** Transactions that have written there since the oldest: VACUUM cannot remove what they leave before it has ended. */
      readonly vacuumHold: number;
    }
  /** It did not answer the last look, or was not looked at yet: whatever was seen before may not hold any more. */
  | { readonly kind: 'unseen'; readonly server: string };

type Seen = ReadonlyMap<string, { readonly ageMs: number; readonly vacuumHold: number }>;

export interface RecoveryOptions {
  readonly lead: CommitNode;
  readonly followers: readonly CommitNode[];
  readonly decider: Decider;
  /** Who looks where a DSN names nobody. Undefined: nobody, until a client has logged in. */
  readonly account: Account | undefined;
  readonly pending: PendingSet;
  /** Whether this process made the id. */
  owns(id: string): boolean;
  readonly intervalMs: number;
  /** Another process's prepared transaction younger than this is left alone: its coordinator is at work. */
  readonly graceMs: number;
  /** One older than this is told the operator of. */
  readonly alarmMs: number;
  /** A server that answers no step for so long is taken for lost. */
  readonly timeoutMs: number;
  readonly log: Log;
}

/** Transactions without a coordinator that are kept in mind; the others are found again by looking. */
const KNOWN_LIMIT = 10_000;

/** Between two looks at what is being waited for: a COMMIT PREPARED takes about a millisecond. */
const FIRST_PAUSE_MS = 1;
const LONGEST_PAUSE_MS = 50;

/** On the connection that is there, and on the one that is opened when it has been lost. */
const SHARED_ATTEMPTS = 2;

export class Recovery {
  readonly #options: RecoveryOptions;
  /** Of this process's coordinators. */
  readonly #alive = new Set<string>();
  /** Handed over, and not yet ended. */
  readonly #orphans = new Map<string, Orphan>();
  /** Being ended now. */
  readonly #active = new Set<string>();
  /** Since when one could not be ended, until the operator is told. */
  readonly #failing = new Map<string, number | 'told'>();
  /** What the last look has found prepared, of ours, by its gid, with its vacuum hold; without those that did not answer. */
  readonly #seen = new Map<CommitNode, Seen>();
  /** A look's connection to each follower. */
  readonly #eyes = new Map<CommitNode, Backend>();
  readonly #opening = new Map<CommitNode, Promise<Backend | undefined>>();
  readonly #beat: NodeJS.Timeout;
  /** Who looks where a DSN names nobody. */
  #visitor: Account | undefined;
  #looking: Promise<void> | undefined;
  #closed: 'no' | 'yes' = 'no';

  constructor(options: RecoveryOptions) {
    this.#options = options;
    this.#visitor = options.account;
    this.#beat = setInterval(() => void this.look(), options.intervalMs);
    this.#beat.unref();
  }

  /** A coordinator of this process is at work on it. */
  alive(id: string): void {
    this.#alive.add(id);
  }

  over(id: string): void {
    this.#alive.delete(id);
  }

  /** Of each follower. */
  get inDoubt(): readonly InDoubt[] {
    return this.#options.followers.map((node) => {
      const seen = this.#seen.get(node);
      if (seen === undefined) return { kind: 'unseen', server: node.label };
      const all = [...seen.values()];
      return {
        kind: 'seen',
        server: node.label,
        count: all.length,
        ageMs: Math.max(0, ...all.map(({ ageMs }) => ageMs)),
        vacuumHold: Math.max(0, ...all.map(({ vacuumHold }) => vacuumHold)),
      };
    });
  }

  /** Transactions known to be without a coordinator. */
  get orphans(): number {
    return this.#orphans.size;
  }

  /** `orphan` is this class's now; it leaves the pending set when every follower has done as the lead did. */
  handOver(orphan: Orphan): void {
    this.#orphans.set(orphan.id, orphan);
    void this.#recover(orphan);
  }

  /** A client has logged in so: where no DSN names a user, recovery looks as it. */
  noteAccount(account: Account): void {
    this.#visitor = account;
  }

  /** Looks at every follower, and ends what nobody else will. Resolves when that is done or has been given up for now. */
  look(): Promise<void> {
    if (this.#closed === 'yes') return Promise.resolve();
    this.#looking ??= this.#lookOnce().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  /**
   * Resolves when what is prepared on the follower now is over. Rejects with PproxError where that takes longer than a server
   * may, or where the follower does not say: what is not known to be visible may be missed.
   */
  async preparedOver(node: CommitNode): Promise<void> {
    const deadline = Date.now() + this.#options.timeoutMs;
    const home = this.#options.lead.identity?.systemIdentifier;
    let left: ReadonlySet<string> | undefined;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const rows = await this.#prepared(node);
      if (rows !== undefined) {
        // What other clusters have prepared there is none of the lead's.
        const gids = rows.flatMap(([gid]) => gid ?? []);
        const now = new Set(gids.filter((gid) => parseGid(gid)?.home.systemIdentifier === home));
        left = left === undefined ? now : new Set([...left].filter((gid) => now.has(gid)));
        if (left.size === 0) return;
      }
      if (Date.now() > deadline || this.#closed === 'yes')
        throw left === undefined ? unanswered(node) : notYetVisible(preparedText(node, left));
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /**
   * Transactions that change definitions, and are prepared on any follower now, are over. `unknown`: one of them does not answer, or the signal has been aborted.
   * `account`: as `noteAccount` has it.
   * Rejects with PproxError where it takes longer than followers may.
   */
  async definitionsOver(account: Account, signal: AbortSignal): Promise<'over' | 'unknown'> {
    this.noteAccount(account);
    const deadline = Date.now() + this.#options.timeoutMs;
    const lead = this.#options.lead.identity?.systemIdentifier;
    let left: ReadonlySet<string> | undefined;
    for (let pause = FIRST_PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
      const prepared = await this.#preparedAnywhere(account);
      if (prepared === undefined) return 'unknown';
      const known = left;
      const waitedFor = prepared.filter(({ home, id }) =>
        known === undefined ? home.systemIdentifier === lead && changesDefinitions(id) : known.has(id),
      );
      left = new Set(waitedFor.map(({ id }) => id));
      if (left.size === 0) return 'over';
      if (signal.aborted) return 'unknown';
      if (Date.now() > deadline || this.#closed === 'yes')
        throw notYetVisible(`Prepared on a follower, with definitions: ${[...left].join(', ')}.`);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** Ids that are prepared on some follower now. Undefined where one of them does not answer. */
  async preparedAnywhere(): Promise<ReadonlySet<string> | undefined> {
    const prepared = await this.#preparedAnywhere();
    return prepared && new Set(prepared.map(({ id }) => id));
  }

  async #preparedAnywhere(account?: Account): Promise<readonly Gid[] | undefined> {
    const found = await Promise.all(this.#options.followers.map((node) => this.#prepared(node, account)));
    const gids: Gid[] = [];
    for (const rows of found) {
      if (rows === undefined) return undefined;
      gids.push(...rows.flatMap(([gid]) => parseGid(gid ?? '') ?? []));
    }
    return gids;
  }

  close(): void {
    this.#closed = 'yes';
    clearInterval(this.#beat);
    for (const eye of this.#eyes.values()) eye.close('shutdown');
    this.#eyes.clear();
  }

  async #lookOnce(): Promise<void> {
    const { followers } = this.#options;
    const found = await Promise.all(followers.map((node, follower) => this.#lookAt(node, follower)));
    const known = [...this.#orphans.values()];
    const fresh = group(found.flat());
    const present = new Set([...known, ...fresh].map(({ id }) => id));
    for (const id of this.#failing.keys()) if (!present.has(id)) this.#failing.delete(id);
    await Promise.all([...known, ...fresh].map((orphan) => this.#recover(orphan)));
  }

  /** What is prepared there, is ours to end, and has no coordinator. */
  async #lookAt(node: CommitNode, follower: number): Promise<readonly Orphan[]> {
    const rows = await this.#prepared(node);
    if (rows === undefined) {
      this.#seen.delete(node);
      return [];
    }
    const home = this.#options.lead.identity?.systemIdentifier;
    const own = rows.flatMap(([text, owner, database, age, xid, hold]) => {
      const gid = parseGid(text ?? '');
      const ours = gid !== undefined && gid.home.systemIdentifier === home && gid.follower === follower;
      return ours ? { gid, text: text ?? '', owner, database, ageMs: Number(age), xid, vacuumHold: Number(hold) } : [];
    });
    this.#seen.set(node, new Map(own.map((one) => [one.text, one])));
    return own.flatMap(({ gid, text, owner, database, ageMs, xid }) => {
      if (this.#alive.has(gid.id) || this.#orphans.has(gid.id) || this.#orphans.size >= KNOWN_LIMIT) return [];
      // What this process has made and does not know any more came to the follower late.
      if (!this.#options.owns(gid.id) && ageMs < this.#options.graceMs) return [];
      const account = { user: owner ?? '', database: database ?? '' };
      return {
        ...gid,
        account,
        followers: [{ follower, gid: text, account, xid: xid ?? undefined }],
        decision: undefined,
      };
    });
  }

  /** Undefined where the server does not answer. `account`: of a client's session, which has its database. */
  async #prepared(node: CommitNode, account = this.#visitor): Promise<Answer['rows'] | undefined> {
    for (let attempt = 1; attempt <= SHARED_ATTEMPTS; attempt++) {
      const found = await this.#askShared(node);
      if (found !== 'in vain') return found;
    }
    if (account === undefined) return undefined;
    const answer = await this.#askApart(node, account, PREPARED);
    return answer === 'lost' || answer.error !== undefined ? undefined : answer.rows;
  }

  /** `in vain`: the connection was ended, with its database or by an administrator, or was for a login that is no more; another one may do. */
  async #askShared(node: CommitNode): Promise<Answer['rows'] | 'in vain' | undefined> {
    try {
      const eye = await this.#eyeOn(node);
      if (eye === undefined) return undefined;
      const watchdog = guard([eye], this.#options.timeoutMs);
      const answer = await eye.ask(PREPARED).finally(() => watchdog.clear());
      return answer.error === undefined ? answer.rows : 'in vain';
    } catch (error) {
      if (error instanceof BackendLostError) return error.lost.reason === 'server too slow' ? undefined : 'in vain';
      if (!(error instanceof PproxError)) throw error;
      return node.health.kind === 'down' ? undefined : 'in vain';
    }
  }

  /** One connection for all who ask. Undefined where there is none to be had now. Rejects with PproxError. */
  async #eyeOn(node: CommitNode): Promise<Backend | undefined> {
    const eye = this.#eyes.get(node);
    if (eye?.open === true) return eye;
    if (this.#visitor === undefined) return undefined;
    const opening = this.#opening.get(node);
    // A server that was down may say nothing for long: one waits for it.
    if (opening !== undefined) return node.health.kind === 'down' ? undefined : opening;
    const opened = this.#openEye(node, this.#visitor).finally(() => this.#opening.delete(node));
    this.#opening.set(node, opened);
    return opened;
  }

  async #openEye(node: CommitNode, visitor: Account): Promise<Backend | undefined> {
    const eye = await connectForRecovery(node, visitor);
    if (this.#closed === 'yes') {
      eye.close('shutdown');
      return undefined;
    }
    this.#eyes.set(node, eye);
    return eye;
  }

  /** One at a time for a transaction. Never rejects for what a server does. */
  async #recover(orphan: Orphan): Promise<void> {
    if (this.#active.has(orphan.id) || this.#closed === 'yes') return;
    this.#active.add(orphan.id);
    const started = Date.now();
    try {
      let { state, effects } = beginRecovery(
        orphan.followers.map(({ follower }) => follower),
        orphan.decision,
      );
      while (effects.length > 0) {
        const events = await Promise.all(effects.map((effect) => this.#perform(orphan, effect)));
        effects = [];
        for (const event of events) {
          if (event === undefined) continue;
          const next = stepRecovery(state, event);
          ({ state } = next);
          effects = [...effects, ...next.effects];
        }
      }
      if (state.kind !== 'over' || state.result === 'left') {
        const known = this.#orphans.get(orphan.id);
        if (known !== undefined && 'decision' in state)
          this.#orphans.set(orphan.id, { ...known, decision: state.decision });
        this.#alarm(orphan);
        return;
      }
      this.#orphans.delete(orphan.id);
      this.#failing.delete(orphan.id);
      this.#options.pending.leave(orphan.id);
      const fields = { id: orphan.id, decision: state.decision, ms: Date.now() - started };
      this.#options.log.info('transaction recovered', fields);
    } finally {
      this.#active.delete(orphan.id);
    }
  }

  async #perform(orphan: Orphan, effect: RecoveryEffect): Promise<RecoveryEvent | undefined> {
    switch (effect.kind) {
      case 'ask': {
        const account = await this.#accountAtLead(orphan);
        const what =
          account === undefined
            ? 'unreachable'
            : await this.#options.decider.decide(this.#options.lead, account, orphan, this.#options.timeoutMs);
        return { from: 'fence', what };
      }
      case 'finish':
        return { from: 'follower', follower: effect.follower, what: await this.#finish(orphan, effect) };
      case 'prove':
        return { from: 'follower', follower: effect.follower, what: await this.#prove(orphan, effect.follower) };
      case 'report':
        this.#report(orphan, effect);
        return undefined;
      default:
        return unreachable(effect);
    }
  }

  /** One that was found on a follower names the lead's database by its oid alone. */
  async #accountAtLead(orphan: Orphan): Promise<Account | undefined> {
    const found = await this.#inItsDatabase(orphan, orphan.account);
    const other = this.#deputy(orphan.account);
    if (found !== undefined || other === undefined || this.#options.lead.health.kind === 'down') return found;
    return this.#inItsDatabase(orphan, other);
  }

  /** Undefined where nobody can log in so. */
  async #inItsDatabase({ home }: Orphan, account: Account): Promise<Account | undefined> {
    let backend: Backend | undefined;
    try {
      backend = await connectForRecovery(this.#options.lead, account);
      if (backend.databaseOid === home.databaseOid) return account;
      const watchdog = guard([backend], this.#options.timeoutMs);
      const asked = backend.ask(`SELECT datname FROM pg_catalog.pg_database WHERE oid = ${home.databaseOid}`);
      const database = (await asked.finally(() => watchdog.clear())).rows[0]?.[0];
      return database === null || database === undefined ? undefined : { ...account, database };
    } catch (error) {
      if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
      return undefined;
    } finally {
      backend?.close('idle');
    }
  }

  async #finish(
    orphan: Orphan,
    { follower, decision }: { follower: number; decision: Decision },
  ): Promise<'finished' | 'missing' | 'failed' | 'lost'> {
    const part = orphan.followers.find((one) => one.follower === follower);
    if (part === undefined) return 'failed';
    const answer = await this.#askFollower(part, finishText(part.gid, decision));
    if (answer === 'lost') return 'lost';
    if (answer.error === undefined) return 'finished';
    return answer.error.code === UNDEFINED_OBJECT ? 'missing' : 'failed';
  }

  /** An error says that the follower does not know the xid: it was restored from an older state, or is another server. */
  async #prove(orphan: Orphan, follower: number): Promise<'proved' | 'disproved' | 'unproved' | 'lost'> {
    const part = orphan.followers.find((one) => one.follower === follower);
    if (part?.xid === undefined) return 'unproved';
    const answer = await this.#askFollower(part, proofText(part.xid));
    if (answer === 'lost') return 'lost';
    const status = answer.rows[0]?.[0];
    return status === 'committed' ? 'proved' : status === 'aborted' ? 'disproved' : 'unproved';
  }

  #report(orphan: Orphan, { follower, found }: { readonly follower: number; readonly found: string }): void {
    this.#options.log.error('what the lead has committed is not on a writer: compare the writers', {
      gid: orphan.followers.find((one) => one.follower === follower)?.gid,
      server: this.#options.followers[follower]?.label,
      found,
    });
  }

  /** As who has prepared it; where that one may not log in any more, or is no more, as who may stand in for it: a superuser may. */
  async #askFollower({ follower, account }: OrphanPart, text: string): Promise<Answer | 'lost'> {
    const node = this.#options.followers[follower];
    if (node === undefined) return 'lost';
    const answer = await this.#askApart(node, account, text);
    const other = this.#deputy(account);
    if (other === undefined || node.health.kind === 'down' || (answer !== 'lost' && !isDenied(answer))) return answer;
    const second = await this.#askApart(node, other, text);
    return second === 'lost' || isDenied(second) ? answer : second;
  }

  /** Another user, who has logged in lately, in the same database. */
  #deputy({ user, database }: Account): Account | undefined {
    const other = this.#visitor;
    return other === undefined || other.user === user ? undefined : { user: other.user, database };
  }

  /** On a connection of its own. */
  async #askApart(node: CommitNode, account: Account, text: string): Promise<Answer | 'lost'> {
    let backend: Backend | undefined;
    try {
      backend = await connectForRecovery(node, account);
      const watchdog = guard([backend], this.#options.timeoutMs);
      return await backend.ask(text).finally(() => watchdog.clear());
    } catch (error) {
      if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
      return 'lost';
    } finally {
      backend?.close('idle');
    }
  }

  #alarm({ id, followers }: Orphan): void {
    const since = this.#failing.get(id);
    if (since === undefined && this.#failing.size < KNOWN_LIMIT) this.#failing.set(id, Date.now());
    if (since === undefined || since === 'told' || Date.now() - since < this.#options.alarmMs) return;
    this.#failing.set(id, 'told');
    const gids = followers.map(({ gid }) => gid).join(', ');
    const holds = followers.flatMap(({ follower, gid }) => {
      const node = this.#options.followers[follower];
      return (node && this.#seen.get(node)?.get(gid)?.vacuumHold) ?? [];
    });
    this.#options.log.error('a prepared transaction cannot be ended yet: it holds its locks, and back vacuum', {
      gids,
      // Not of a follower that does not answer.
      vacuumHold: holds.length === followers.length ? Math.max(...holds) : 'unknown',
    });
  }
}

function isDenied({ error }: Answer): boolean {
  return error?.code === INSUFFICIENT_PRIVILEGE;
}

function unanswered({ label }: CommitNode): PproxError {
  return new PproxError('follower_lost', {
    message: `${label} does not answer`,
    detail: 'What is prepared there is not known: a statement could miss it.',
    hint: 'Nothing of this was applied on any writer.',
  });
}

function preparedText({ label }: CommitNode, left: ReadonlySet<string>): string {
  return `Prepared on ${label}: ${[...left].slice(0, TOLD_GIDS).join(', ')}${left.size > TOLD_GIDS ? ', …' : ''}.`;
}

/** In one error. */
const TOLD_GIDS = 5;

/** Parts of one transaction on several followers belong together. */
function group(parts: readonly Orphan[]): readonly Orphan[] {
  const orphans = new Map<string, Orphan>();
  for (const part of parts) {
    const known = orphans.get(part.id);
    orphans.set(part.id, known === undefined ? part : { ...known, followers: [...known.followers, ...part.followers] });
  }
  return [...orphans.values()];
}
