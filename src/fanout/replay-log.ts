/**
 * What a transaction has had its followers do, kept for as long as they may have to do it once more: everything since the
 * last place to which they can be taken back.
 *
 *   BEGIN ── s1 ── s2 ── s3 …        back to the beginning: no savepoint of ours, as long as all of it is kept
 *   … s17 ── SAVEPOINT ── s18 …      back to the savepoint, once what came before is not kept
 */
import { guard } from '../backend/guard.ts';
import type { Backend } from '../backend/backend.ts';
import { type Effect, EffectReceiver, type FollowerFailure, judge } from './follower.ts';

/** A statement for one follower, which holds all that it needs, and what it is to do. */
export interface FollowerStatement {
  /** Ends in one ReadyForQuery. */
  readonly message: Buffer;
  readonly expected: Effect;
  /** Whether it may take prepared statements of ours from the server session. */
  readonly leaves: 'nothing' | 'something';
}

/** The same for every follower, in their order. */
export interface ReplayedStatement {
  readonly messages: readonly Buffer[];
  readonly expected: Effect;
  readonly leaves: 'nothing' | 'something';
  /** What it took the lead, in ms. */
  readonly elapsedMs: number;
}

/** Beyond them a savepoint is cheaper than to do everything once more. */
const STATEMENTS = 16;
const BYTES = 1024 * 1024;

/** Where the statements that are kept begin; `unknown`: something was done since that is not kept. */
export type Base = 'begin' | 'savepoint' | 'unknown';

export class ReplayLog {
  #base: Base = 'unknown';
  #statements: ReplayedStatement[] = [];
  #bytes = 0;

  get base(): Base {
    return this.#base;
  }

  /** In the order in which they were done. */
  get statements(): readonly ReplayedStatement[] {
    return this.#statements;
  }

  /** Nothing has been done since this place. */
  startAt(base: Exclude<Base, 'unknown'>): void {
    this.#clear(base);
  }

  /** Something is done that is not kept: there is no way back to before it. */
  break(): void {
    this.#clear('unknown');
  }

  /** They were done. */
  add(statements: readonly ReplayedStatement[]): void {
    if (this.#base === 'unknown') return;
    for (const statement of statements) {
      this.#statements.push(statement);
      this.#bytes += bytesOf(statement);
    }
    if (this.#statements.length >= STATEMENTS || this.#bytes >= BYTES) this.break();
  }

  #clear(base: Base): void {
    this.#base = base;
    this.#statements = [];
    this.#bytes = 0;
  }
}

export function bytesOf({ messages }: ReplayedStatement): number {
  let bytes = 0;
  for (const { length } of messages) bytes += length;
  return bytes;
}

/**
 * Sends them in one write, in their order, and compares each with what it is to do. Resolves when all are answered, with what
 * is wrong with the first: behind an error the others fail as well. `timeoutMs`: between two answers; who takes longer is
 * taken for dead, and its connection closed.
 */
export async function sendStatements(
  label: string,
  backend: Backend,
  statements: readonly FollowerStatement[],
  timeoutMs: number,
): Promise<FollowerFailure | undefined> {
  const watchdog = guard([backend], timeoutMs);
  const judged = statements.map(({ message, expected, leaves }) => {
    const receiver = new EffectReceiver();
    backend.send(message, receiver);
    if (leaves === 'something') backend.prepared.doubtOwn();
    return judge(label, receiver, expected);
  });
  let first: FollowerFailure | undefined;
  for (const one of judged) {
    const failure = await one;
    first ??= failure;
    watchdog.refresh();
  }
  watchdog.clear();
  return first;
}
