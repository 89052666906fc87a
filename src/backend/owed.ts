/**
 * What a server owes for what it was sent.
 *
 *     message       its reply ends in ReadyForQuery
 *     ahead         statements of the extended protocol in front of a message, without a Sync: their reply ends in their last CloseComplete.
 *                   Where one fails "the backend issues ErrorResponse, then reads and discards messages until a Sync is reached" (manual,
 *                   "Message Flow", "Extended Query"): what stands behind it, a Query as well, is not done and is not answered
 *     beginning     the same, and what stands behind it would be done outside of a transaction where it has failed
 */
import { watchTable } from '../wire/frame-scan.ts';
import { FrontendTag } from '../wire/tags.ts';
import type { Lost, Receiver } from './receiver.ts';

export interface Owed {
  readonly kind: 'message' | 'ahead' | 'beginning';
  readonly receiver: Receiver;
  /** Whether the server stops discarding messages behind it. */
  readonly end: 'Sync' | 'no Sync';
  /** CloseCompletes that are still to come of what is ahead. */
  closings: number;
  /** What is ahead, as it is sent once more where nothing stood behind it; undefined the second time. */
  readonly again: Ahead | undefined;
}

/** `closings`: as many as `message` has. */
export interface Ahead {
  readonly message: Buffer;
  readonly closings: number;
}

export function owedAhead(kind: 'ahead' | 'beginning', again: Ahead, receiver: Receiver = UNHEARD): Owed {
  return { kind, receiver, end: 'no Sync', closings: again.closings, again };
}

/** `message`: whole, of the simple or the extended protocol, or a function call. */
export function owedFor(message: Buffer, receiver: Receiver): Owed {
  const [tag] = message;
  const simple = tag === FrontendTag.Query || tag === FrontendTag.FunctionCall;
  return endingInReady(receiver, simple ? 'no Sync' : 'Sync');
}

export function endingInReady(receiver: Receiver, end: Owed['end']): Owed {
  return { kind: 'message', receiver, end, closings: 0, again: undefined };
}

/** For replies that nobody needs. */
export const UNHEARD: Receiver = {
  watch: watchTable({}),
  run: () => undefined,
  take: () => undefined,
  tap: () => undefined,
  flush: () => undefined,
  ready: () => undefined,
  lost: () => undefined,
};

/** All of these have failed by one error, which they have been told; what is left is how the reply ends. */
export class Refused implements Receiver {
  readonly watch = UNHEARD.watch;
  readonly #receivers: readonly Receiver[];
  readonly #ended: (status: number) => void;

  /** `ended`: with ReadyForQuery's status. */
  constructor(receivers: readonly Receiver[], ended: (status: number) => void) {
    this.#receivers = receivers;
    this.#ended = ended;
  }

  run(): void {
    return undefined;
  }

  take(): void {
    return undefined;
  }

  tap(): void {
    return undefined;
  }

  flush(): void {
    return undefined;
  }

  ready(status: number): void {
    this.#ended(status);
  }

  lost(lost: Lost): void {
    for (const receiver of this.#receivers) receiver.lost(lost);
  }
}
