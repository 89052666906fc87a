/**
 * Which definitions a transaction is planned by, and that they are the same until it commits. Otherwise the same text could have one effect on
 * the lead and another one on a follower, which runs it later, and nobody would be told: by a trigger that was made meanwhile, or a function
 * that was replaced.
 *
 *   relations   Tables, views, indexes, triggers … A statement that has run keeps them as they are, by its locks, on every writer until its
 *               transaction ends. So what it was planned by may be old, and shows to be so when it is planned once more.
 *   objects     Functions, types, operators, roles … Nobody's locks keep them: a transaction is of one edition from its first plan to its
 *               decision, or is rolled back.
 *
 * A transaction that reads an older state (REPEATABLE READ, SERIALIZABLE) may read old definitions, and runs by new ones: it is of one edition of
 * both, from its beginning.
 *
 * In two phases the lead counts both, for each pprox process, in the transaction that changes them: table pprox.definition. What is seen
 * there is seen on the lead; on the followers too when nothing is prepared there any more that was then. In one phase a process counts
 * for itself, and knows nothing of others.
 *
 * Who says where a sequence goes on (setval(), RESTART IDENTITY) is counted there too, and fails nobody: who has drawn values meanwhile finds out
 * at its end that followers may not be ahead of them any more.
 */
import { BackendLostError } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';
import type { Changed } from '../sql/statement.ts';
import { countText, readEditionText, readSequencesText } from './decisions.ts';

/** Counts, in decimal. Equal at two moments: nothing that they count has changed in between. */
export interface Edition {
  /** Of changes of relations through other processes: its own are met where they are made (`cluster/catalog.ts`). */
  readonly relations: string;
  readonly objects: string;
  /** Of relations through this process. */
  readonly own: string;
  /** Of sequences that other processes have set. Nothing is planned by them. */
  readonly sequences: string;
}

type Rows = readonly (readonly (string | null)[])[];

/** Equal for askers of one login, who are told the same. */
export function askerKey({ user, database }: DefinitionAsker['account']): string {
  return `${user}\0${database}`;
}

/** Who asks, and how: the lead, as the login role. All reject with PproxError or BackendLostError. */
export interface DefinitionAsker {
  /** By `askerKey`. */
  readonly key: string;
  readonly account: { readonly user: string; readonly database: string };
  /** Whether it has a transaction open, and with it locks and connections that others may wait for. */
  readonly place: 'outside' | 'in a transaction';
  /** In its own transaction where it has one. */
  ask(text: string): Promise<Rows>;
  /** For others: a cancel request of its client aborts the signal, and is what it rejects with. */
  wait<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Beside it. */
  askBeside(text: string): Promise<Rows>;
}

export interface Definitions {
  /**
   * What a transaction may be planned by: all that the catalog is asked for from here on is of this edition, or a later one. Rejects with
   * PproxError where a follower does not show what the lead does in time, or as the asker.
   */
  current(asker: DefinitionAsker): Edition | Promise<Edition>;
  /** Before a transaction has seen anything: what it is told of later, where nobody else could. */
  readonly beginning: Edition | undefined;
  /** As `current`, for a transaction that reads an older state, as of which it is. `beginning`: when it began. */
  ofSnapshot(asker: DefinitionAsker, beginning: Edition | undefined): Promise<Edition>;
  /**
   * For a transaction that is planned by one already, and may be prepared on followers: so it waits for nobody else who is. Rejects as the
   * asker.
   */
  known(asker: DefinitionAsker): Edition | Promise<Edition>;
  /** What the lead shows to everybody now. Rejects as the asker. */
  now(asker: DefinitionAsker): Promise<Edition>;
  /** It was still this one at a moment not before `since`, by performance.now(). */
  confirm(asker: DefinitionAsker, edition: Edition, since: number): void;
  /** By a transaction that is about to change some, in which the lead can be asked: what it is before. Rejects as the asker. */
  witness(asker: DefinitionAsker): Promise<void>;
  /** Whether it is known to have been this one at a moment not before `moment`: then what was over by then has met no other. */
  lasted(asker: DefinitionAsker, edition: Edition, moment: number, same: typeof sameEdition): boolean;
  /** As Edition has it, as far as this process has been told; empty where it has not. What is known of sequences is not older. `key`: an asker's. */
  sequencesSet(key: string): string;
  /** What the lead is asked for them, as the login role; undefined where it does not know. */
  readonly sequencesText: string | undefined;
  /** The lead has told what they are. */
  sequencesTold(key: string, sequences: string): void;
  /** Counts what no transaction can hold, once it is done. Rejects as `ask`. */
  record(ask: DefinitionAsker['ask'], changes: Changed): Promise<void>;
  /** The same of sequences that were set in a transaction that is rolled back, which does not take that back. */
  recordSet(ask: DefinitionAsker['ask']): Promise<void>;
  /** This process has changed some, or has met a transaction that is not of the edition that is known. */
  outdate(): void;
}

/** Whether what one was planned by is what the other is planned by, as far as locks do not see to it. */
export function sameEdition(one: Edition, other: Edition): boolean {
  return one.relations === other.relations && one.objects === other.objects;
}

/** Whether no definition has changed between them. */
export function unchanged(one: Edition, other: Edition): boolean {
  return sameEdition(one, other) && one.own === other.own;
}

export function definitionChanged(
  when: 'before it was committed' | 'while the statement waited for it' | 'before all writers had it',
  detail?: string,
): PproxError {
  return new PproxError('definition_changed', {
    message: `could not serialize: a definition was changed ${when}`,
    detail,
    hint: 'The transaction may be tried again.',
  });
}

/** Planned by what was not known to be the same on every writer. */
export function definitionsUnknown(): PproxError {
  return new PproxError('definition_changed', {
    message: 'could not serialize: it was not known whether every writer has the same definitions',
    detail: 'A writer did not say so in time, or another transaction was committing a change.',
    hint: 'The transaction may be tried again.',
  });
}

/** An edition that was confirmed so long ago at most is taken as it is; else a transaction asks once more before its first plan. */
const FRESH_MS = 20;
/** The lead's is never this one. */
export const UNKNOWN_EDITION: Edition = { relations: '-1', objects: '-1', own: '-1', sequences: '-1' };
/** Logins whose edition is kept. */
const LIMIT = 1000;
/** Editions, of one login, that it is kept of how long they lasted. */
const HISTORY = 8;

/** An edition, and the last moments at which it is known to have been that one, by performance.now(). */
interface Past {
  readonly edition: Edition;
  last: number;
  /** But for what this process itself has changed of relations. */
  lastOfOthers: number;
}

/** Of an edition that was read, or that a decision has found to be the same as far as its condition goes. */
function notePast(history: Past[], edition: Edition, moment: number, how: 'read' | 'decided by'): void {
  const known = history.find((one) => unchanged(one.edition, edition));
  const past = known ?? { edition, last: -Infinity, lastOfOthers: -Infinity };
  past.lastOfOthers = Math.max(past.lastOfOthers, moment);
  if (how === 'read') past.last = Math.max(past.last, moment);
  if (known === undefined && history.push(past) > HISTORY) history.shift();
}

function lasted(history: readonly Past[], edition: Edition, moment: number, same: typeof sameEdition): boolean {
  const all = same === unchanged;
  return history.some((one) => (all ? one.last : one.lastOfOthers) >= moment && same(one.edition, edition));
}

interface Known {
  readonly edition: Edition;
  /** When it was so, by performance.now(). */
  since: number;
  /** When it may have become another one, where that is known. */
  outdated: number;
}

export interface CountedOnLeadOptions {
  /** A UUID. */
  readonly process: string;
  /**
   * `over`: what was prepared on any follower. `unknown`: where one of them does not answer, or nobody waits any more. Rejects with
   * PproxError.
   */
  preparedOver(account: DefinitionAsker['account'], signal: AbortSignal): Promise<'over' | 'unknown'>;
  /** What was read of the catalog may be old; so may be where sequences stand. */
  forget(): void;
  /** The latter alone. */
  forgetSequences(): void;
}

export class CountedOnLead implements Definitions {
  /** The lead tells what it was. */
  readonly beginning = undefined;
  readonly #options: CountedOnLeadOptions;
  readonly #known = new Map<string, Known>();
  readonly #history = new Map<string, Past[]>();
  /** By which the catalog has been read. */
  readonly #lastRead = new Map<string, Edition>();
  readonly #sequences = new Map<string, string>();

  constructor(options: CountedOnLeadOptions) {
    this.#options = options;
  }

  current(asker: DefinitionAsker): Edition | Promise<Edition> {
    // Each for itself: who has connections can wait for nobody who may wait for one.
    return this.#fresh(asker) ?? this.#learn(asker);
  }

  async ofSnapshot(asker: DefinitionAsker): Promise<Edition> {
    const edition = editionOf(await asker.ask(this.#text));
    const last = this.#lastRead.get(asker.key);
    if (last === undefined || total(edition) > total(last)) this.#read(asker, edition);
    return this.#shown(asker, edition);
  }

  known(asker: DefinitionAsker): Edition | Promise<Edition> {
    return this.#fresh(asker) ?? this.#ask(asker).then((edition) => this.#read(asker, edition));
  }

  async witness(asker: DefinitionAsker): Promise<void> {
    await this.#ask(asker);
  }

  lasted({ key }: DefinitionAsker, edition: Edition, moment: number, same: typeof sameEdition): boolean {
    return lasted(this.#history.get(key) ?? [], edition, moment, same);
  }

  /** In a transaction of the asker's that sees what is committed. */
  async #ask(asker: DefinitionAsker): Promise<Edition> {
    const since = performance.now();
    const edition = editionOf(await asker.ask(this.#text));
    this.#note(asker, edition, since, 'read');
    this.sequencesTold(asker.key, edition.sequences);
    return edition;
  }

  get sequencesText(): string {
    return readSequencesText(this.#options.process);
  }

  sequencesSet(key: string): string {
    return this.#sequences.get(key) ?? '';
  }

  sequencesTold(key: string, sequences: string): void {
    if (this.#sequences.get(key) === sequences) return;
    if (this.#sequences.size >= LIMIT) this.#sequences.clear();
    this.#sequences.set(key, sequences);
    this.#options.forgetSequences();
  }

  #note({ key }: DefinitionAsker, edition: Edition, moment: number, how: 'read' | 'decided by'): void {
    const history = this.#history.get(key) ?? [];
    notePast(history, edition, moment, how);
    if (this.#history.size >= LIMIT) this.#history.clear();
    this.#history.set(key, history);
  }

  async now(asker: DefinitionAsker): Promise<Edition> {
    const since = performance.now();
    const edition = editionOf(await persistently(asker, this.#text));
    this.#note(asker, edition, since, 'read');
    this.sequencesTold(asker.key, edition.sequences);
    return edition;
  }

  confirm(asker: DefinitionAsker, edition: Edition, since: number): void {
    this.#note(asker, edition, since, 'decided by');
    const known = this.#known.get(asker.key);
    if (known === undefined || since < known.outdated || !sameEdition(known.edition, edition)) return;
    known.since = Math.max(known.since, since);
  }

  async record(ask: DefinitionAsker['ask'], changes: Changed): Promise<void> {
    if (changes === 'nothing') return;
    await ask(countText(this.#options.process, changes));
    this.outdate();
  }

  async recordSet(ask: DefinitionAsker['ask']): Promise<void> {
    await ask(countText(this.#options.process, 'sequences'));
  }

  outdate(): void {
    const outdated = performance.now();
    for (const known of this.#known.values()) known.outdated = outdated;
  }

  /** What the catalog is asked for from here on is of this edition, or a later one. */
  #read({ key }: DefinitionAsker, edition: Edition): Edition {
    const last = this.#lastRead.get(key);
    if (last === undefined || !sameEdition(last, edition)) this.#options.forget();
    if (this.#lastRead.size >= LIMIT) this.#lastRead.clear();
    this.#lastRead.set(key, edition);
    return edition;
  }

  #fresh({ key }: DefinitionAsker): Edition | undefined {
    const known = this.#known.get(key);
    if (known === undefined || known.since <= known.outdated) return undefined;
    return performance.now() - known.since < FRESH_MS ? known.edition : undefined;
  }

  async #learn(asker: DefinitionAsker): Promise<Edition> {
    const since = performance.now();
    const edition = await this.#ask(asker);
    if ((await this.#shown(asker, edition)) === UNKNOWN_EDITION) return UNKNOWN_EDITION;
    this.#read(asker, edition);
    // What has been outdated meanwhile is asked for once more.
    const outdated = this.#known.get(asker.key)?.outdated ?? -Infinity;
    if (this.#known.size >= LIMIT) this.#known.clear();
    this.#known.set(asker.key, { edition, since, outdated });
    return edition;
  }

  /** Once followers show it as well. Where one does not answer nothing is written, and what only reads goes on. */
  async #shown({ key, account, wait }: DefinitionAsker, edition: Edition): Promise<Edition> {
    const known = this.#known.get(key);
    if (known !== undefined && sameEdition(known.edition, edition)) return edition;
    const found = await wait((signal) => this.#options.preparedOver(account, signal));
    return found === 'over' ? edition : UNKNOWN_EDITION;
  }

  get #text(): string {
    return readEditionText(this.#options.process);
  }
}

function editionOf(rows: Rows): Edition {
  const [relations, objects, own, sequences] = rows[0] ?? [];
  if (
    typeof relations === 'string' &&
    typeof objects === 'string' &&
    typeof own === 'string' &&
    typeof sequences === 'string'
  )
    return { relations, objects, own, sequences };
  throw new PproxError('catalog_unreadable', { message: 'the lead does not tell of its definitions' });
}

/** Grows with every change, whoever counts it. */
function total({ relations, objects, own }: Edition): bigint {
  return BigInt(relations) + BigInt(objects) + BigInt(own);
}

/** Asks twice: a connection that was idle may have been ended meanwhile. Rejects with PproxError. */
async function persistently({ askBeside }: DefinitionAsker, text: string): Promise<Rows> {
  const again = (error: unknown): Promise<Rows> => {
    if (!(error instanceof BackendLostError)) throw error;
    return askBeside(text);
  };
  const lost = (error: unknown): never => {
    if (!(error instanceof BackendLostError)) throw error;
    throw new PproxError('catalog_unreadable', {
      sqlstate: '08006',
      message: `the definitions of the lead could not be read: ${error.message}`,
    });
  };
  return askBeside(text).catch(again).catch(lost);
}

/** In one phase. */
export class CountedHere implements Definitions {
  /** Changes whose commit has begun: of objects, and of relations. */
  #begun = 0;
  #own = 0;
  readonly #underWay = new Set<Promise<void>>();
  readonly #history: Past[] = [];

  /** One that begins while a change shows on some writer alone is of none. */
  get beginning(): Edition {
    return this.#underWay.size === 0 ? this.edition : UNKNOWN_EDITION;
  }

  /** None is planned meanwhile: who holds locks cannot wait for it either. */
  current(asker: DefinitionAsker): Edition | Promise<Edition> {
    if (this.#underWay.size === 0 || asker.place === 'in a transaction') return this.beginning;
    return Promise.all(this.#underWay).then(() => this.current(asker));
  }

  async ofSnapshot(_: DefinitionAsker, beginning: Edition | undefined): Promise<Edition> {
    return beginning ?? UNKNOWN_EDITION;
  }

  known(): Edition {
    return this.edition;
  }

  async now(): Promise<Edition> {
    return this.edition;
  }

  confirm(): void {
    // Nobody else counts.
  }

  readonly sequencesText = undefined;

  async recordSet(): Promise<void> {
    // Nobody else is known.
  }

  sequencesSet(): string {
    return this.edition.sequences;
  }

  sequencesTold(): void {
    // Nobody else is known.
  }

  async witness(): Promise<void> {
    // What comes next is counted as it begins.
  }

  lasted(_: DefinitionAsker, edition: Edition, moment: number, same: typeof sameEdition): boolean {
    return same(edition, this.edition) || lasted(this.#history, edition, moment, same);
  }

  async record(_: DefinitionAsker['ask'], changes: Changed): Promise<void> {
    this.#count(changes);
  }

  #count(changes: Changed): void {
    if (changes === 'nothing') return;
    notePast(this.#history, this.edition, performance.now(), 'read');
    if (changes === 'objects') this.#begun++;
    else this.#own++;
  }

  outdate(): void {
    // Known at any time.
  }

  get edition(): Edition {
    return { relations: '0', objects: String(this.#begun), own: String(this.#own), sequences: '0' };
  }

  /** `commit`: of a transaction that has changed such definitions. */
  async changing<T>(changes: Changed, commit: () => Promise<T>): Promise<T> {
    if (changes === 'nothing') return commit();
    this.#count(changes);
    let end = (): void => undefined;
    const over = new Promise<void>((resolve) => {
      end = resolve;
    });
    this.#underWay.add(over);
    try {
      return await commit();
    } finally {
      this.#underWay.delete(over);
      end();
    }
  }
}
