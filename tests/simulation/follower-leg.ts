/**
 * A follower's part in a client's transaction: the lead's effects in their order, each behind the barrier, and once more
 * where a commit of another process was in the way.
 */
import type { Connection, Holder } from './connection.ts';
import type { Operation, Reply, Statement } from './operations.ts';
import type { World } from './world.ts';

interface Work {
  readonly operation: Operation;
  /** What the lead has changed. */
  readonly changed: readonly string[];
  /** The barrier is open. */
  ready: boolean;
  readonly onDone: () => void;
}

/** `lost`: it may be prepared. */
export type PrepareAnswer = (what: 'prepared' | 'refused' | 'lost', xid: number | undefined) => void;

/** Errors that tell of others' locks, and nothing of the data. */
const CONTENTION: readonly string[] = ['55P03', '40P01'];

const POLL_MS = 20;

export class FollowerLeg {
  readonly connection: Connection;
  /** It has a transaction open. */
  begun = false;
  readonly #world: World;
  readonly #holder: Holder;
  readonly #id: string;
  readonly #onFailure: (why: string) => void;
  readonly #queue: Work[] = [];
  /** What it has done. */
  readonly #log: Work[] = [];
  /** It does nothing before it is asked to. */
  readonly #lazy: boolean;
  #state: 'waits' | 'works' | 'stopped' = 'waits';
  #onIdle: (() => void) | undefined;
  #onBehind: (() => void) | undefined;

  constructor(
    world: World,
    { holder, id, connection }: { readonly holder: Holder; readonly id: string; readonly connection: Connection },
    onFailure: (why: string) => void,
  ) {
    this.#world = world;
    this.#holder = holder;
    this.#id = id;
    this.connection = connection;
    this.#onFailure = onFailure;
    this.#lazy = world.config.together && world.random.chance(0.7);
  }

  /** Returns what opens the barrier for it. */
  follow(operation: Operation, changed: readonly string[], onDone: () => void): () => void {
    const work: Work = { operation, changed, ready: false, onDone };
    this.#queue.push(work);
    return () => {
      work.ready = true;
      this.#next();
      this.#readyToPrepare();
    };
  }

  /** Calls back when everything is done; never after a failure. */
  whenIdle(onIdle: () => void): void {
    this.#onIdle = onIdle;
    this.#next();
  }

  /**
   * Where it is behind: calls back when nothing is under way and what is left may be sent, which `prepare` does; never after a
   * failure. Undefined where it is not, or has done what it could not do once more from the beginning.
   */
  whenBehind(): ((onReady: () => void) => void) | undefined {
    const all = [...this.#log, ...this.#queue];
    if (this.#queue.length === 0 || all.some(({ operation }) => isOfSavepoints(operation))) return undefined;
    return (onReady) => {
      this.#onBehind = onReady;
      this.#readyToPrepare();
    };
  }

  #readyToPrepare(): void {
    if (this.#state !== 'waits' || this.#queue.some(({ ready }) => !ready)) return;
    const onBehind = this.#onBehind;
    this.#onBehind = undefined;
    onBehind?.();
  }

  /** What is left, if anything, and PREPARE behind it without waiting. Answers once. */
  prepare(onAnswer: PrepareAnswer): void {
    this.#together(this.#queue.splice(0), 'at first', onAnswer);
  }

  #together(works: readonly Work[], when: 'at first' | 'kept', onAnswer: PrepareAnswer): void {
    let wrong: string | undefined;
    for (const { operation, changed } of works) {
      const opening = this.begun ? [] : [{ kind: 'begin', id: this.#id } as const];
      this.begun = true;
      this.connection.send([...opening, { kind: 'operation', operation }], (reply) => {
        if (reply === 'lost' || (reply.error === undefined && sameKeys(reply.changed, changed))) return;
        wrong ??= reply.error ?? `${reply.changed.length} rows instead of ${changed.length}`;
      });
    }
    this.connection.send([{ kind: 'xid' }, { kind: 'prepare', id: this.#id }], (reply) => {
      if (reply === 'lost') {
        onAnswer('lost', undefined);
        return;
      }
      const prepared = reply.error === undefined && reply.tag !== 'ROLLBACK';
      const overlooked = prepared && this.#world.bugs.has('PREPARE taken for the statements in front of it');
      if (wrong === undefined || overlooked) onAnswer(prepared ? 'prepared' : 'refused', reply.xid);
      else this.#undoPrepare(works, wrong, prepared ? 'prepared' : 'failed', when, onAnswer);
    });
  }

  #undoPrepare(
    works: readonly Work[],
    wrong: string,
    stands: 'prepared' | 'failed',
    when: 'at first' | 'kept',
    onAnswer: PrepareAnswer,
  ): void {
    const contention = CONTENTION.includes(wrong);
    if (!contention) this.#world.truth.difference(this.#holder, this.#id, this.connection.server, wrong, when);
    const undo =
      stands === 'prepared'
        ? ({ kind: 'finish', id: this.#id, decision: 'abort' } as const)
        : ({ kind: 'rollback' } as const);
    this.connection.send([undo], (undone) => {
      if (undone === 'lost' || undone.error !== undefined) {
        onAnswer('lost', undefined);
        return;
      }
      this.begun = false;
      if (contention || when === 'kept') onAnswer('refused', undefined);
      else {
        const again = (): void => this.#together([...this.#log, ...works], 'kept', onAnswer);
        this.#awaitOthers([], again, (why) => onAnswer(why === 'a follower is lost' ? 'lost' : 'refused', undefined));
      }
    });
  }

  /** A statement is under way. */
  get isBusy(): boolean {
    return this.#state === 'works';
  }

  /** What has not been sent is forgotten. What was sent still runs on the server. */
  stop(): void {
    this.#state = 'stopped';
    this.#queue.length = 0;
  }

  #next(): void {
    if (this.#state !== 'waits') return;
    const [work] = this.#queue;
    if (work === undefined) {
      const onIdle = this.#onIdle;
      this.#onIdle = undefined;
      onIdle?.();
      return;
    }
    // What frees locks on the lead has to free them here.
    const may = this.#lazy && !this.#queue.some(({ operation }) => isOfSavepoints(operation));
    if (!work.ready || (may && this.#onIdle === undefined)) return;
    this.#queue.shift();
    this.#state = 'works';
    const opening = this.begun ? [] : [{ kind: 'begin', id: this.#id } as const];
    this.begun = true;
    const { operation } = work;
    // A savepoint of one's own inside that of the client's would end with it.
    const savepoint = isOfSavepoints(operation) ? [] : [{ kind: 'savepoint', name: 'replay' } as const];
    this.connection.send([...opening, ...savepoint, { kind: 'operation', operation }], (reply) =>
      this.#judge(work, reply, 'at first'),
    );
  }

  #judge(work: Work, reply: Reply | 'lost', when: 'at first' | 'kept'): void {
    if (this.#state === 'stopped') return;
    if (reply === 'lost') {
      this.#fail('a follower is lost');
      return;
    }
    if (reply.error === undefined && sameKeys(reply.changed, work.changed)) {
      this.#state = 'waits';
      this.#log.push(work);
      work.onDone();
      this.#next();
      this.#readyToPrepare();
      return;
    }
    const what = reply.error ?? `${reply.changed.length} rows instead of ${work.changed.length}`;
    if (this.#world.bugs.has('no replay for other processes') && !CONTENTION.includes(what)) {
      this.#world.truth.difference(this.#holder, this.#id, this.connection.server, what, 'kept');
    }
    if (!CONTENTION.includes(what)) {
      this.#world.truth.difference(this.#holder, this.#id, this.connection.server, what, when);
    }
    if (when === 'kept') this.#fail(`a follower differs: ${what}`);
    else this.#replay(work);
  }

  /** Whatever the lead has shown is prepared here, if it is not committed: when all that is prepared now is gone, it shows. */
  #replay(work: Work): void {
    const again = (): void =>
      this.connection.send([{ kind: 'operation', operation: work.operation }], (reply) =>
        this.#judge(work, reply, 'kept'),
      );
    this.#awaitOthers([{ kind: 'rollback to savepoint', name: 'replay' }], again, (why) => this.#fail(why));
  }

  /** `first`: what goes back to before what has failed. */
  #awaitOthers(first: readonly Statement[], onGone: () => void, onFailure: (why: string) => void): void {
    const deadline = this.#world.now + this.#world.config.deadlineMs;
    this.connection.send([...first, { kind: 'list' }], (reply) => {
      if (this.#state === 'stopped') return;
      if (reply === 'lost') {
        onFailure('a follower is lost');
        return;
      }
      const awaited = new Set(reply.prepared?.flatMap(({ id }) => id ?? []));
      this.#await(awaited, deadline, onGone, onFailure);
    });
  }

  #await(awaited: ReadonlySet<string>, deadline: number, onGone: () => void, onFailure: (why: string) => void): void {
    if (awaited.size === 0) {
      onGone();
      return;
    }
    this.#world.after(POLL_MS, () => {
      if (this.#state === 'stopped' || !this.#holder.alive) return;
      if (this.#world.now > deadline) {
        this.#world.truth.deadlinePassed('commits of others do not end');
        onFailure('commits of others do not end');
        return;
      }
      this.connection.send([{ kind: 'list' }], (reply) => {
        if (this.#state === 'stopped') return;
        if (reply === 'lost') onFailure('a follower is lost');
        else {
          const still = new Set(reply.prepared?.flatMap(({ id }) => (id !== undefined && awaited.has(id) ? [id] : [])));
          this.#await(still, deadline, onGone, onFailure);
        }
      });
    });
  }

  #fail(why: string): void {
    this.stop();
    this.#onFailure(why);
  }
}

function isOfSavepoints({ kind }: Operation): boolean {
  return kind === 'savepoint' || kind === 'rollback to savepoint';
}

function sameKeys(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((key, index) => key === other[index]);
}
