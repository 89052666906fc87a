/**
 * What one client's session holds: where its transaction is, what pins it to a server session, what it has written.
 * The functions of this folder work on it; none keeps state of its own.
 */
import type { Backend } from '../backend/backend.ts';
import type { OwnStatement } from '../backend/own-message.ts';
import { guard } from '../backend/guard.ts';
import type { Lease } from '../backend/pool.ts';
import type { SettingSet } from '../backend/setting-set.ts';
import { type Answer, type Lost, rowsOf } from '../backend/receiver.ts';
import type { Catalog } from '../cluster/catalog.ts';
import type { CatalogAsker, CatalogMoment } from '../cluster/catalog-asker.ts';
import { OwnKnowledge } from '../cluster/own-knowledge.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Lsn } from '../cluster/lsn.ts';
import type { Node } from '../cluster/node.ts';
import type { Notifications } from '../cluster/notifications.ts';
import { LOOKING_ON, type Onlookers } from '../cluster/onlookers.ts';
import type { ProcessIds } from '../cluster/process-ids.ts';
import type { Coordinator } from '../commit/coordinator.ts';
import { asLoginRole, asLoginRoleWithin } from '../commit/decisions.ts';
import { askerKey } from '../commit/definitions.ts';
import type { Settings } from '../config/config.ts';
import type { Planner } from '../fanout/planner.ts';
import type { Unproven } from '../fanout/unproven.ts';
import type { SequenceKeeper, SequenceScope } from '../fanout/sequences.ts';
import type { CloseReason } from '../lib/close-reason.ts';
import type { Log } from '../lib/log.ts';
import { PproxError } from '../lib/errors.ts';
import type { Analyser } from '../sql/analyse.ts';
import type { LargeAnalyser } from '../sql/large-analyser.ts';
import type { Lexis, PinReason } from '../sql/statement.ts';
import { BackendTag, TransactionStatus } from '../wire/tags.ts';
import { type Block, isolationCalled, type WritersBlock } from './block.ts';
import { Cancels } from './cancels.ts';
import type { ClientLink } from './client-link.ts';
import type { ClientStatement, Portal } from './client-statement.ts';
import { type FollowerLeg, type LeadLeg, Legs } from './legs.ts';
import { Listening } from './listening.ts';
import { closeStatements } from '../backend/statement-closing.ts';
import { bring, leaseWith } from './setting-lease.ts';
import { SessionSettings } from './settings.ts';
import { type ClientIdentity, SessionLogins } from './logins.ts';
import { ToldSettings } from './told-settings.ts';

/** What all sessions share. */
export interface Services {
  readonly cluster: Cluster;
  readonly coordinator: Coordinator;
  readonly catalog: Catalog;
  readonly planner: Planner;
  readonly sequences: SequenceKeeper;
  readonly unproven: Unproven;
  readonly analyser: Analyser;
  readonly largeAnalyser: LargeAnalyser;
  readonly notifications: Notifications;
  readonly processIds: ProcessIds;
  readonly onlookers: Onlookers;
  readonly settings: Settings;
  readonly log: Log;
}

/** Encodings of clients alone whose characters may have the byte of a backslash in second place (manual, "Supported Character Sets"). */
const WITH_BACKSLASHES: ReadonlySet<string> = new Set([
  'BIG5',
  'GB18030',
  'GBK',
  'JOHAB',
  'SHIFT_JIS_2004',
  'SJIS',
  'UHC',
]);

/** Pins that live in the lead's session alone and do not change what a read on another server shows. */
const LEAD_ONLY_PINS: ReadonlySet<PinReason> = new Set<PinReason>(['sequence value', 'advisory lock', 'held cursor']);
const READ_NEUTRAL_PINS: ReadonlySet<PinReason> = new Set<PinReason>(['sequence value', 'advisory lock']);

/** Sessions that may see names of their own, or mean other things by them. */
const OWN_CATALOG_PINS: readonly PinReason[] = ['setting', 'temporary object'];

export interface Rerun {
  /** From sequences, in the session. */
  readonly drawnBefore: 'nothing' | 'something';
  /** What the run before has failed for. */
  failed: PproxError | undefined;
  /** How many statements that one had planned for the writers, and the run in hand has. */
  reached: number;
  planned: number;
}

export class SessionState implements CatalogAsker, SequenceScope {
  readonly services: Services;
  readonly client: ClientIdentity;
  readonly link: ClientLink;
  readonly log: Log;
  readonly listening: Listening;
  readonly cancels: Cancels;
  readonly told: ToldSettings;
  readonly logins: SessionLogins;
  /** What the client knows its session by: BackendKeyData's. */
  processId = 0;
  block: Block = { kind: 'none' };
  /** Why the session keeps its legs between transactions. */
  readonly pins = new Set<PinReason>();
  /** Those of them that may have nothing left: a server is asked when the block in hand is over. */
  readonly doubtfulPins = new Set<PinReason>();
  /**
   * What names mean in it and how values look. `perhaps its own`: something that the client has run may have changed that, and
   * has been seen to, or not been looked at.
   */
  view: 'as told' | 'perhaps its own' = 'as told';
  /** `may draw`: one that it has declared calls nextval(), wherever it is moved to, and at COMMIT where it is held. */
  cursors: 'draw nothing' | 'may draw' = 'draw nothing';
  /** What the client has set, in every server session that works for it. */
  readonly settings = new SessionSettings();
  /** Prepared statements, of PREPARE and of Parse, by the client's names in latin1; '' is the unnamed one. */
  readonly statements = new Map<string, ClientStatement>();
  /** Portals of the transaction in hand, by the client's names. */
  readonly portals = new Map<string, Portal>();
  /** A reader must have replayed this far before it serves this session. */
  position: Lsn | 'to be asked' | undefined;
  work: 'idle' | 'busy' = 'busy';
  /** Of the query in hand, where it may be run once more (`runs.ts`). */
  rerun: Rerun | undefined;
  /** A COMMIT is under way; by its name the transaction can be asked for, where it has one. */
  committing: { readonly gid: string | undefined } | undefined;
  /** Told when the server session of its block, or the one that it is pinned to, ends by itself while no query is in hand. */
  onServerLost: ((lost: Lost) => void) | undefined;
  #pinned: Legs | undefined;
  /** Reasons for it that the operator has been told of. */
  #reported = '';
  constructor(services: Services, client: ClientIdentity, link: ClientLink, log: Log) {
    this.services = services;
    this.client = client;
    this.link = link;
    this.log = log;
    this.cancels = new Cancels(services.settings.connectTimeoutMs);
    this.told = new ToldSettings(link);
    this.logins = new SessionLogins(services.cluster, client);
    this.listening = new Listening({
      notifications: services.notifications,
      link,
      loginFor: (encoding) => this.logins.shared('pprox: LISTEN', encoding),
      encodingOf: () => this.lexis.encoding,
      mayTell: () => this.work === 'idle' && this.block.kind === 'none',
    });
    link.onNotification = (frame) => this.listening.own(frame);
  }

  get cluster(): Cluster {
    return this.services.cluster;
  }

  /** ReadyForQuery's status as the client should see it now. */
  get status(): number {
    switch (this.block.kind) {
      case 'none':
        return TransactionStatus.Idle;
      case 'pending':
        return TransactionStatus.InBlock;
      case 'lost':
        return TransactionStatus.Failed;
      default:
        return this.block.status;
    }
  }

  get lexis(): Lexis {
    return this.told.lexis;
  }

  /**
   * How constants of ours have to be written for its followers. Throws PproxError where that is not known: the second byte of a character may
   * look like a backslash there.
   */
  get backslashes(): 'literal' | 'escape' {
    const { standardStrings, encoding } = this.lexis;
    if (standardStrings === 'on') return 'literal';
    if (!WITH_BACKSLASHES.has(encoding.toUpperCase())) return 'escape';
    throw new PproxError('not_replayed', {
      message: `rows cannot be told in client_encoding ${encoding} while standard_conforming_strings is off`,
      hint: 'SET standard_conforming_strings = on.',
    });
  }

  /** Whether a read elsewhere than in the pinned session would show something else. */
  get pinsReads(): boolean {
    for (const pin of this.pins) if (!READ_NEUTRAL_PINS.has(pin)) return true;
    // A standby has no serializable transactions, and elsewhere one would not be checked against the lead's.
    return this.settings.now.values.get('default_transaction_isolation') === 'serializable';
  }

  /** Of a transaction on these legs that does not say it itself. */
  defaultIsolation(legs: Legs): WritersBlock['isolation'] {
    const own = this.settings.now.values.get('default_transaction_isolation');
    if (this.pins.has('setting') || this.view === 'perhaps its own') return 'unknown';
    return isolationCalled(own ?? legs.lead.lease.backend.isolation);
  }

  /** Of a transaction that does not say it itself: default_transaction_read_only, which servers report. */
  defaultAccess({ lead }: Legs): WritersBlock['access'] {
    const set = lead.lease.backend.parameters.get('default_transaction_read_only');
    return set === 'off' ? 'read write' : 'read only or unknown';
  }

  /** A lease whose backend has the session's settings; a cancel request ends the wait for one. Rejects with PproxError. */
  async lease(node: Node): Promise<Lease> {
    const login = this.logins.at(node);
    const { followerTimeoutMs } = this.services.settings;
    const lease = await this.cancels.waiting((signal) =>
      leaseWith(node, login, this.#settingsAt(node), followerTimeoutMs, signal),
    );
    if (node.role === 'lead') this.#begun(this.logins.note(lease.backend));
    const lent = lease.backend.prepared.takeLent();
    if (lent.length > 0) void closeStatements(lease.backend, lent);
    return lease;
  }

  /** By other defaults a name may mean something else: what is being asked for now is of both. */
  #begun(how: 'as before' | 'otherwise'): void {
    if (how === 'otherwise') this.services.catalog.forget();
  }

  #settingsAt(node: Node): SettingSet {
    const { now } = this.settings;
    if (node.role === 'lead') return now;
    return node.role === 'reader' ? now.onReader : now.onFollowers;
  }

  /**
   * `ask` sees what is outside every transaction, as the login, in the client's encoding. Rejects with PproxError, `cancelled` where the
   * client has called it off, or as `ask`.
   */
  lookOn<T>(node: Node, ask: (onlooker: Backend) => Promise<T>): Promise<T> {
    const login = this.logins.beside(node, [...LOOKING_ON, ['client_encoding', this.lexis.encoding]]);
    return this.cancels.aborting((signal) => {
      const use = async (onlooker: Backend): Promise<T> => {
        try {
          return await this.cancellable(onlooker, ask(onlooker));
        } finally {
          await this.cancels.settled(onlooker);
        }
      };
      return this.services.onlookers.use(node, login, signal, use);
    });
  }

  /** Whether it keeps server sessions of its own between transactions. */
  get pinned(): boolean {
    return this.#pinned !== undefined;
  }

  /** The lead's leg: the pinned one, or a fresh lease. Rejects with PproxError. */
  async leaseLead(): Promise<Legs> {
    if (this.#pinned !== undefined) {
      this.#pinned.lead.lease.withdraw();
      this.#pinned.lead.lease.backend.channel.release('session busy');
      return this.#pinned;
    }
    const node = this.cluster.lead;
    const lease = await this.lease(node);
    this.told.note(lease.backend);
    this.services.notifications.leased(lease.backend, this.processId);
    return new Legs({ node, lease }, this.services.settings.writerDown);
  }

  /**
   * As `leaseLead`, with every follower: before the first lock. `if up`: a transaction that turns out to read alone goes on
   * while a follower is down.
   */
  async leaseWriters(need: 'all' | 'if up' = 'all'): Promise<Legs> {
    for (let attempt = 1; ; attempt++) {
      const legs = await this.leaseLead();
      let differing: PproxError | undefined;
      try {
        this.#begun(await this.logins.learn(legs.lead.lease.backend));
        await legs.leaseFollowers(this.cluster.followers, (node) => this.lease(node), need);
        // Those of a pinned session were leased before it made its latest settings.
        for (const leg of legs.leased) await this.#update(leg);
        differing = await this.#differing(legs);
        const replaceable = [...this.pins].every((pin) => pin === 'sequence value');
        if (differing !== undefined && (attempt > 1 || !replaceable)) throw differing;
      } catch (error) {
        await this.giveBack(legs);
        throw error;
      }
      if (differing === undefined) return legs;
      // ALTER ROLE or ALTER DATABASE has come in between: connections that begin now begin alike.
      this.#pinned = undefined;
      this.pins.delete('sequence value');
      this.#reportPins();
      legs.release('begun with other settings');
      for (const { pool } of this.cluster.writers) pool.closeIdle('begun with other settings');
    }
  }

  /** Where server sessions have begun with something that no later statement makes equal. */
  async #differing({ lead, leased }: Legs): Promise<PproxError | undefined> {
    for (const { node, lease } of leased) {
      const name = await this.logins.otherwise(lease.backend);
      if (name === undefined) continue;
      return new PproxError('settings_differ', {
        message: `the session began with another "${name}" on ${node.label} than on ${lead.node.label}`,
        detail: 'Nothing was run.',
        hint: 'Where ALTER ROLE … SET, ALTER DATABASE … SET and the configuration say the same of it on every writer, connect anew.',
      });
    }
    return undefined;
  }

  async #update({ node, lease: { backend } }: LeadLeg | FollowerLeg): Promise<void> {
    const needs = this.#settingsAt(node);
    if (backend.settings !== needs) await bring(node, backend, needs, this.services.settings.followerTimeoutMs);
  }

  /** Ends the use of legs outside a transaction: they go back to their pools, or stay where the session is pinned. */
  async giveBack(legs: Legs, what: 'may have notified' | 'a read' = 'may have notified'): Promise<void> {
    await this.cancels.settled();
    if (this.block.kind === 'none') await this.listening.over(legs.lead.lease.backend, what);
    this.#reportPins();
    if (this.pins.size > 0) {
      for (const { lease } of [legs.lead, ...legs.leased]) lease.keep(this.#reported);
      this.#pinned = legs;
      this.#listen(legs.lead.lease.backend);
      const leadOnly = [...this.pins].every((pin) => LEAD_ONLY_PINS.has(pin));
      if (leadOnly) legs.releaseFollowers('reuse');
      else for (const leg of legs.leased) leg.block = 'leased';
      if (this.pins.size === 1 && this.pins.has('sequence value'))
        legs.lead.lease.offer(() => void this.#reclaim(legs));
      return;
    }
    if (this.#pinned === legs) this.#pinned = undefined;
    legs.release('reuse');
  }

  /** The operator is told why a connection is one session's own. Sequences' values are given up where somebody waits. */
  #reportPins(): void {
    const reasons = [...this.pins].join(', ');
    if (reasons === this.#reported) return;
    const light = [reasons, this.#reported].every((one) => one === '' || one === 'sequence value');
    this.#reported = reasons;
    const fields = { reasons, server: this.cluster.lead.label };
    if (light) this.log.debug(reasons === '' ? 'session unpinned' : 'session pinned', fields);
    else this.log.info(reasons === '' ? 'session unpinned' : 'session pinned', fields);
  }

  /**
   * Somebody waits for a connection, and all that this session keeps its own for is currval() and lastval(). Without it
   * they answer as in a session that has not called nextval() yet, which is an error and never another's value.
   */
  async #reclaim(legs: Legs): Promise<void> {
    if (this.#pinned !== legs) return;
    this.#pinned = undefined;
    this.pins.delete('sequence value');
    this.#reportPins();
    await this.releaseSequences(legs);
  }

  /** It has drawn nothing yet, as far as it knows: whatever it has, in no block, was taken back. */
  async forgetDrawn(): Promise<void> {
    if (this.#pinned === undefined || !this.pins.has('sequence value')) return;
    const legs = await this.leaseLead();
    const { backend } = legs.lead.lease;
    const watchdog = guard([backend], this.services.settings.followerTimeoutMs);
    const answer = await backend.ask('DISCARD SEQUENCES').catch(() => undefined);
    watchdog.clear();
    if (answer !== undefined && answer.error === undefined) this.pins.delete('sequence value');
    await this.giveBack(legs, 'a read');
  }

  /** Gives back legs that carry no other state than the sequences' last values. */
  async releaseSequences(legs: Legs): Promise<void> {
    const answer = await legs.lead.lease.backend.ask('DISCARD SEQUENCES').catch(() => undefined);
    legs.release(answer !== undefined && answer.error === undefined ? 'reuse' : 'session state not movable');
  }

  /** Takes the pinned legs away from the session, which is about to end. */
  takePinned(): Legs | undefined {
    const legs = this.#pinned;
    this.#pinned = undefined;
    return legs;
  }

  /** The pinned server session is no more: nothing of it can be had back. */
  dropPinned(how: 'reuse' | CloseReason): void {
    this.#pinned?.release(how);
    this.#pinned = undefined;
  }

  /** The session carries nothing any more (DISCARD ALL). */
  async unpin(): Promise<void> {
    const known = [...this.pins].every((pin) => LEAD_ONLY_PINS.has(pin) || pin === 'temporary object');
    this.pins.clear();
    this.#madeBefore = 'nothing';
    this.view = 'as told';
    this.#reportPins();
    this.statements.clear();
    this.listening.leave();
    const legs = this.#pinned;
    this.#pinned = undefined;
    if (legs === undefined) return;
    legs.lead.lease.backend.listener = undefined;
    // DISCARD ALL leaves custom settings behind as empty placeholders: those of a function another client would see.
    legs.release(known ? 'reuse' : 'session state not movable');
  }

  /** Runs `work` while a cancel request reaches `backend`. */
  cancellable<T>(backend: Backend, work: Promise<T>): Promise<T> {
    return this.cancels.during(backend, work);
  }

  get scope(): string {
    const { scope } = this.logins;
    const { view } = this.settings.now;
    return view === '' ? scope : `${scope}\0\0\0${view}`;
  }

  get settingsOfFunctions(): 'known' | 'perhaps others' {
    return this.pins.has('volatile function') ? 'perhaps others' : 'known';
  }

  get snapshot(): CatalogMoment | undefined {
    const { block } = this;
    return block.kind === 'writers' && block.isolation !== 'read committed' ? block.plannedBy.begun : undefined;
  }

  get caching(): CatalogAsker['caching'] {
    const changed = this.block.kind === 'writers' && this.block.catalog !== 'unchanged';
    if (changed) return 'forbidden';
    const hides = this.view === 'perhaps its own' || OWN_CATALOG_PINS.some((pin) => this.pins.has(pin));
    if (!hides) return 'allowed';
    return this.own.holds ? 'its own' : 'forbidden';
  }

  readonly own = new OwnKnowledge();

  get temporaries(): 'none' | 'perhaps some' {
    return this.pins.has('temporary object') ? 'perhaps some' : 'none';
  }

  /**
   * Whether its server sessions may have other temporary objects than one another: the client's are on the lead alone, and what functions have made
   * everywhere (`PPROX_COMMIT_MODE=one-phase` lets them) it drops there alone.
   */
  get temporariesDiffer(): 'no' | 'perhaps' {
    return this.temporaries === 'perhaps some' || this.#madeBefore === 'objects' ? 'perhaps' : 'no';
  }

  #madeBefore: 'nothing' | 'objects' = 'nothing';

  /** By a function or trigger, on every writer: until the server sessions are others. */
  noteMade(): void {
    if (this.services.settings.commitMode === 'one-phase') this.#madeBefore = 'objects';
  }

  /** On the lead, in the session's own transaction where there is one; a cancel request reaches it, but for a COMMIT that is under way. */
  ask(text: string): Promise<Answer> {
    return this.#onLead((backend) => backend.ask(text));
  }

  askOften(question: OwnStatement): Promise<Answer> {
    const { keepers } = this.services.catalog;
    return this.#onLead((backend) =>
      keepers.mayKeep(backend) ? backend.askOwn(question) : backend.ask(question.text),
    );
  }

  async #onLead(ask: (backend: Backend) => Promise<Answer>): Promise<Answer> {
    const { block } = this;
    if (block.kind === 'writers') {
      const { backend } = block.legs.lead.lease;
      return block.stage === 'ending' ? ask(backend) : this.cancellable(backend, ask(backend));
    }
    const legs = await this.leaseLead();
    try {
      const { backend } = legs.lead.lease;
      return await this.cancellable(backend, ask(backend));
    } finally {
      await this.giveBack(legs, 'a read');
    }
  }

  /** Those of a transaction that has changed definitions hold in it alone. */
  get sequences(): SequenceKeeper {
    const { block, services } = this;
    if (block.kind !== 'writers' || block.catalog !== 'changed') return services.sequences;
    block.touched.ownSequences ??= services.sequences.apart();
    return block.touched.ownSequences;
  }

  drew(sequences: Iterable<string>): void {
    if (this.block.kind !== 'writers') return;
    const { touched } = this.block;
    touched.drawnAt ??= this.services.coordinator.definitions.sequencesSet(askerKey(this.logins.at(this.cluster.lead)));
    for (const sequence of sequences) touched.drawn.add(sequence);
  }

  async askLead(text: string): Promise<Answer['rows']> {
    return rowsOf(await this.ask(text));
  }

  async askDrawn(text: string): Promise<Answer['rows']> {
    const { definitions } = this.services.coordinator;
    const counted = definitions.sequencesText;
    if (this.block.kind !== 'none' || counted === undefined) return this.askLead(text);
    // In one message: as the client's role, then as the login role.
    const answer = await this.ask(`${text}; ${asLoginRole(counted)}`);
    // Where there is no schema pprox nothing is written either.
    if (answer.error !== undefined) return this.askLead(text);
    const [count] = answer.rows.at(-1) ?? [];
    definitions.sequencesTold(askerKey(this.logins.at(this.cluster.lead)), count ?? '');
    return answer.rows.slice(0, -1);
  }

  get followers(): 'none' | 'some' {
    return this.cluster.followers.length === 0 ? 'none' : 'some';
  }

  async askFollowers(text: string, as: 'session' | 'login'): Promise<readonly Answer['rows'][]> {
    if (this.block.kind === 'writers') await this.block.trail.caughtUp();
    await this.services.coordinator.visibleEverywhere();
    const open = this.block.kind === 'writers' && this.block.legs.followers.length > 0 ? this.block.legs : undefined;
    const legs = open ?? (await this.leaseWriters());
    const asked = ({ block }: FollowerLeg): string =>
      as === 'session' ? text : block === 'leased' ? asLoginRole(text) : asLoginRoleWithin(text);
    try {
      const watchdog = guard(
        legs.followers.map(({ lease }) => lease.backend),
        this.services.settings.followerTimeoutMs,
      );
      const answering = Promise.all(legs.followers.map((leg) => leg.lease.backend.ask(asked(leg))));
      const answers = await answering.finally(() => watchdog.clear());
      return answers.map((answer) => rowsOf(answer));
    } finally {
      if (open === undefined) await this.giveBack(legs, 'a read');
    }
  }

  fail(error: PproxError): void {
    this.outdate(error);
    this.log.warn('error', { sqlstate: error.sqlstate, condition: error.condition, outcome: error.outcome });
  }

  /** By what it has failed for, what is known is old. */
  outdate({ condition }: PproxError): void {
    if (condition === 'definition_changed' || condition === 'triggers_fired')
      this.services.coordinator.definitions.outdate();
    // No count tells of what somebody has changed at the servers.
    if (condition === 'triggers_fired') this.services.catalog.forget();
  }

  readonly #serverLost = (lost: Lost): void => this.onServerLost?.(lost);

  /** Between transactions a pinned server session speaks to its client, and ends with it. */
  #listen(backend: Backend): void {
    backend.onClosed = this.#serverLost;
    backend.listener = {
      asyncMessage: (tag, frame) => {
        if (tag === BackendTag.ParameterStatus) this.told.note(backend);
        else this.link.defer(frame);
        if (this.work === 'idle') this.#tell();
        // Else a reply of another server is on its way to the client, perhaps in the middle of a row.
        else if (this.link.overdue) backend.channel.brake('session busy');
      },
    };
  }

  /** The end of a query: what has come up meanwhile, then ReadyForQuery. */
  ready(): void {
    this.rerun = undefined;
    this.#tell();
    this.link.sendReady(this.status);
  }

  /** Between queries. */
  becomeIdle(): void {
    this.work = 'idle';
    const { block } = this;
    const backend =
      block.kind === 'writers'
        ? block.legs.lead.lease.backend
        : block.kind === 'reader'
          ? block.lease.backend
          : undefined;
    if (backend !== undefined) backend.onClosed = this.#serverLost;
    this.#tell();
    this.#pinned?.lead.lease.backend.channel.release('session busy');
  }

  #tell(): void {
    this.link.sendDeferred();
    if (this.block.kind === 'none') this.listening.tell();
    this.told.tellNoted();
  }
}
