/**
 * A follower's part in a client's transaction: the lead's effects in their order, each behind the barrier, and once more
 * where a commit of another process was in the way.
 */
import type { Connection, Holder } from './connection.ts';
import type { Operation, Reply } from './operations.ts';
import type { World } from './world.ts';

interface Work {
  readonly operation: Operation;
  /** What the lead has changed. */
  readonly changed: readonly string[];
  /** The barrier is open. */
  ready: boolean;
  readonly onDone: () => void;
}

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
  #state: 'waits' | 'works' | 'stopped' = 'waits';
  #onIdle: (() => void) | undefined;

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
  }

  /** Returns what opens the barrier for it. */
  follow(operation: Operation, changed: readonly string[], onDone: () => void): () => void {
    const work: Work = { operation, changed, ready: false, onDone };
    this.#queue.push(work);
    return () => {
      work.ready = true;
      this.#next();
    };
  }

  /** Calls back when everything is done; never after a failure. */
  whenIdle(onIdle: () => void): void {
    this.#onIdle = onIdle;
    this.#next();
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
    if (!work.ready) return;
    this.#queue.shift();
    this.#state = 'works';
    const opening = this.begun ? [] : [{ kind: 'begin', id: this.#id } as const];
    this.begun = true;
    const { operation } = work;
    // A savepoint of one's own inside that of the client's would end with it.
    const isOfSavepoints = operation.kind === 'savepoint' || operation.kind === 'rollback to savepoint';
    const savepoint = isOfSavepoints ? [] : [{ kind: 'savepoint', name: 'replay' } as const];
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
      work.onDone();
      this.#next();
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
    const deadline = this.#world.now + this.#world.config.deadlineMs;
    this.connection.send([{ kind: 'rollback to savepoint', name: 'replay' }, { kind: 'list' }], (reply) => {
      if (this.#state === 'stopped') return;
      if (reply === 'lost') {
        this.#fail('a follower is lost');
        return;
      }
      const awaited = new Set(reply.prepared?.flatMap(({ id }) => id ?? []));
      this.#await(awaited, deadline, () => {
        this.connection.send([{ kind: 'operation', operation: work.operation }], (again) =>
          this.#judge(work, again, 'kept'),
        );
      });
    });
  }

  #await(awaited: ReadonlySet<string>, deadline: number, onGone: () => void): void {
    if (awaited.size === 0) {
      onGone();
      return;
    }
    this.#world.after(POLL_MS, () => {
      if (this.#state === 'stopped' || !this.#holder.alive) return;
      if (this.#world.now > deadline) {
        this.#world.truth.deadlinePassed('commits of others do not end');
        this.#fail('commits of others do not end');
        return;
      }
      this.connection.send([{ kind: 'list' }], (reply) => {
        if (this.#state === 'stopped') return;
        if (reply === 'lost') this.#fail('a follower is lost');
        else {
          const still = new Set(reply.prepared?.flatMap(({ id }) => (id !== undefined && awaited.has(id) ? [id] : [])));
          this.#await(still, deadline, onGone);
        }
      });
    });
  }

  #fail(why: string): void {
    this.stop();
    this.#onFailure(why);
  }
}

function sameKeys(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((key, index) => key === other[index]);
}
