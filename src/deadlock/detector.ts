/**
 * Ends transactions that wait for each other on different writers (docs/adr/0016-deadlock-detector.md).
 *
 *   a session owes its reply for long ─► announce ─► ask every writer who waits ─► a circle?
 *                                                        ─► a moment later still? ─► its victim gets 40P01
 *
 * While nothing waits for long, no server is asked for anything.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Backend } from '../backend/backend.ts';
import { guard } from '../backend/guard.ts';
import { BackendLostError } from '../backend/receiver.ts';
import type { Node } from '../cluster/node.ts';
import { PproxError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { ANNOUNCED, announceText, keysOf, partiesOf, withdrawText } from './announcement.ts';
import { type Circle, circleKey, findCircles, leadProcess, type Party, type Wait } from './wait-graph.ts';

/** A transaction of this process with a session on the lead and on a follower at least. */
export interface OpenTransaction {
  /** By their writers; 0 is the lead. */
  readonly backends: ReadonlyMap<number, Backend>;
  readonly stage: Party['stage'];
  /** Ends what it waits for on `writer` with `error`, unless it does not wait there any more. */
  giveWay(writer: number, error: PproxError): void;
}

export interface DetectorOptions {
  /** The lead first. */
  readonly writers: readonly Pick<Node, 'label' | 'login' | 'connect'>[];
  readonly transactions: () => Iterable<OpenTransaction>;
  /** A session that owes its reply for so long is looked at. */
  readonly waitMs: number;
  /** A server that answers no look for so long is done without. */
  readonly timeoutMs: number;
  readonly log: Log;
}

/** Waits that are about to end by themselves have ended by then; far longer than two looks take. */
const CONFIRM_MS = 100;

const PARAMETERS: ReadonlyMap<string, string> = new Map([
  ['application_name', 'pprox: deadlocks'],
  ['client_encoding', 'UTF8'],
  ['statement_timeout', '0'],
]);

/** A prepared transaction has no process (0): recovery sees to it. */
const WAITS = `SELECT w.pid, b.pid FROM (SELECT DISTINCT l.pid FROM pg_catalog.pg_locks l WHERE NOT l.granted) w,
  LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) AS b(pid) WHERE b.pid <> 0`;

export class DeadlockDetector {
  readonly #options: DetectorOptions;
  /** A connection to each writer, while something waits. */
  readonly #eyes = new Map<number, Backend>();
  /** Keys that the lead's connection holds. */
  #announced: ReadonlySet<string> = new Set();
  readonly #beat: NodeJS.Timeout;
  #looking: 'no' | 'yes' = 'no';
  #closed: 'no' | 'yes' = 'no';

  constructor(options: DetectorOptions) {
    this.#options = options;
    this.#beat = setInterval(() => void this.#tick(), options.waitMs);
    this.#beat.unref();
  }

  close(): void {
    this.#closed = 'yes';
    clearInterval(this.#beat);
    this.#rest('shutdown');
  }

  async #tick(): Promise<void> {
    if (this.#looking === 'yes') return;
    this.#looking = 'yes';
    try {
      const first = await this.#look();
      if (first.length === 0) return;
      await sleep(CONFIRM_MS);
      const before = new Set(first.map(({ waits }) => circleKey(waits)));
      for (const circle of await this.#look()) if (before.has(circleKey(circle.waits))) this.#end(circle);
    } finally {
      this.#looking = 'no';
    }
  }

  async #look(): Promise<readonly Circle[]> {
    const own = this.#waiting();
    const [first] = own.keys();
    if (first === undefined || this.#closed === 'yes') {
      this.#rest('idle');
      return [];
    }
    const asker = own.get(first)?.backends.get(0);
    if (asker === undefined) return [];
    await this.#announce(asker, [...own.keys()].flatMap(keysOf));
    const asked = this.#options.writers.map((_, writer) => this.#ask(writer, asker, WAITS));
    const [announced, ...answers] = await Promise.all([this.#ask(0, asker, ANNOUNCED), ...asked]);
    const waits = answers.flatMap((rows, writer) =>
      rows.map(([waiter, blocker]): Wait => ({ writer, waiter: Number(waiter), blocker: Number(blocker) })),
    );
    if (waits.length === 0) return [];
    const known = new Set([...own.keys()].map(leadProcess));
    const others = partiesOf(announced.flatMap(([key]) => key ?? [])).filter((party) => !known.has(leadProcess(party)));
    return findCircles([...own.keys(), ...others], waits);
  }

  /** Whose session on some writer has been silent for long. */
  #waiting(): ReadonlyMap<Party, OpenTransaction> {
    const found = new Map<Party, OpenTransaction>();
    const now = Date.now();
    for (const transaction of this.#options.transactions()) {
      const backends = [...transaction.backends];
      if (!backends.some(([, backend]) => backend.silentMs(now) >= this.#options.waitMs)) continue;
      const sessions = new Map(backends.map(([writer, { processId }]) => [writer, processId] as const));
      found.set({ sessions, stage: transaction.stage }, transaction);
    }
    return found;
  }

  async #announce(asker: Backend, keys: readonly string[]): Promise<void> {
    const wanted = new Set(keys);
    const fresh = keys.filter((key) => !this.#announced.has(key));
    const old = [...this.#announced].filter((key) => !wanted.has(key));
    const texts = [...(old.length > 0 ? [withdrawText(old)] : []), ...(fresh.length > 0 ? [announceText(fresh)] : [])];
    this.#announced = wanted;
    if (texts.length > 0) await this.#ask(0, asker, texts.join('; '));
  }

  /** Empty where the server does not answer. */
  async #ask(writer: number, asker: Backend, text: string): Promise<readonly (readonly (string | null)[])[]> {
    const { timeoutMs, log, writers } = this.#options;
    try {
      const eye = await this.#eye(writer, asker);
      if (eye === undefined) return [];
      const watchdog = guard([eye], timeoutMs);
      const answer = await eye.ask(text).finally(() => watchdog.clear());
      if (answer.error !== undefined)
        log.debug('waits not told', { server: writers[writer]?.label, sqlstate: answer.error.code });
      return answer.rows;
    } catch (error) {
      if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
      log.debug('waits not told', { server: writers[writer]?.label, reason: error.message });
      return [];
    }
  }

  /** As a client that waits, where the DSN does not say as whom. */
  async #eye(writer: number, { user, database }: Backend): Promise<Backend | undefined> {
    const known = this.#eyes.get(writer);
    if (known?.open === true) return known;
    // With its connection to the lead, the locks are gone.
    if (known !== undefined && writer === 0) this.#announced = new Set();
    const node = this.#options.writers[writer];
    if (node === undefined) return undefined;
    const eye = await node.connect(node.login({ user, database, parameters: PARAMETERS }));
    const raced = this.#eyes.get(writer);
    if (this.#closed === 'yes' || raced?.open === true) {
      eye.close(this.#closed === 'yes' ? 'shutdown' : 'idle');
      return raced;
    }
    this.#eyes.set(writer, eye);
    return eye;
  }

  #rest(reason: 'idle' | 'shutdown'): void {
    for (const eye of this.#eyes.values()) eye.close(reason);
    this.#eyes.clear();
    this.#announced = new Set();
  }

  /** A victim of another process is that process's to end. */
  #end({ waits, victim }: Circle): void {
    if (victim === undefined) return;
    const process = leadProcess(victim.party);
    for (const transaction of this.#options.transactions()) {
      if (transaction.backends.get(0)?.processId !== process) continue;
      const detail = waits.map((wait) => this.#describe(wait)).join('\n');
      this.#options.log.warn('deadlock between servers', { waits: detail, process });
      const message = 'deadlock detected: transactions wait for each other on different writers';
      const hint = 'The transaction may be tried again.';
      transaction.giveWay(victim.writer, new PproxError('deadlock_between_servers', { message, detail, hint }));
    }
  }

  #describe({ writer, waiter, blocker }: Wait): string {
    return `${this.#options.writers[writer]?.label}: process ${waiter} waits for process ${blocker}.`;
  }
}
