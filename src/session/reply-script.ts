/**
 * What becomes of the replies to extended-protocol messages in front of and between rows: an entry for each, in order.
 * The server answers Parse, Bind, Close and Describe one by one, so the script is the ledger of one request.
 */
import { type Positions, samePositions } from '../sql/positions.ts';
import { type ClientStatement, describe } from './client-statement.ts';

/** `code`: the error's SQLSTATE; undefined where nobody knows what became of the message. */
export type Refused = (code: string | undefined) => void;

export type Fate =
  /** The client's, as it comes. `refused`: the server says no to it, or may have. */
  | { readonly kind: 'forward'; readonly after?: (() => void) | undefined; readonly refused?: Refused | undefined }
  /**
   * The client's: a portal's description, from which columns of ours are taken out. `with rows`: as in the answer to a Query,
   * where it comes with the first row or the completion, and not at all where there are none to come.
   */
  | { readonly kind: 'forward portal'; readonly told: 'at once' | 'with rows' }
  /** An answer to a message of ours. */
  | { readonly kind: 'swallow'; readonly after?: (() => void) | undefined }
  /** A description that is needed here; the client's as well where it asked for it. */
  | { readonly kind: 'keep'; readonly for: 'us' | 'both'; readonly after: (frame: Buffer) => void }
  /** Rows, and what ends them: CommandComplete, EmptyQueryResponse or PortalSuspended. */
  | { readonly kind: 'rows' }
  /** Not from the server: an answer of ours, for a message that the server has not been sent. */
  | { readonly kind: 'say'; readonly frame: () => Buffer };

export class ReplyScript {
  readonly #fates: Fate[] = [];
  readonly #positions: Positions[] = [];
  #at = 0;
  /** Of the text that the replies to come are about. */
  about: Positions = samePositions;

  add(fate: Fate): void {
    this.#fates.push(fate);
    this.#positions.push(this.about);
  }

  /** What positions in an error or notice in place of the next reply are to the client. */
  get positions(): Positions {
    const at = this.#fates.findIndex((fate, index) => index >= this.#at && fate.kind !== 'say');
    return this.#positions[at] ?? samePositions;
  }

  /** The fate of the next reply; undefined where none is expected: the server and we are out of step. */
  next(): Exclude<Fate, { kind: 'say' }> | undefined {
    const fate = this.#fates[this.#at];
    if (fate === undefined || fate.kind === 'say') return undefined;
    this.#at++;
    return fate;
  }

  /** An error has come in place of the next reply: nothing behind it is run. */
  failed(code: string): void {
    let at = this.#at;
    while (this.#fates[at]?.kind === 'say') at++; // the server knows nothing of what we say
    refuse(this.#fates[at], code);
  }

  /** The server is gone: what it has done of the rest is not known. */
  lost(): void {
    for (const fate of this.#fates.slice(this.#at)) refuse(fate, undefined);
  }

  /** What is to be said before the next reply of the server. */
  sayings(): readonly Buffer[] {
    const frames: Buffer[] = [];
    for (let fate = this.#fates[this.#at]; fate?.kind === 'say'; fate = this.#fates[++this.#at])
      frames.push(fate.frame());
    return frames;
  }
}

function refuse(fate: Fate | undefined, code: string | undefined): void {
  if (fate?.kind === 'forward') fate.refused?.(code);
}

/** Describe of a statement is answered twice: its parameters, then its rows. */
export function keepDescription(replies: ReplyScript, statement: ClientStatement, whose: 'us' | 'both'): void {
  let parameters: Buffer | undefined;
  replies.add({
    kind: 'keep',
    for: whose,
    after: (frame) => {
      parameters = frame;
    },
  });
  replies.add({
    kind: 'keep',
    for: whose,
    after: (frame) => {
      if (parameters !== undefined) statement.description = describe(parameters, frame);
    },
  });
}

/** Of a message that no server is sent. */
export function sayDone(replies: ReplyScript, frame: Buffer, done: () => void): void {
  replies.add({
    kind: 'say',
    frame: () => {
      done();
      return frame;
    },
  });
}
