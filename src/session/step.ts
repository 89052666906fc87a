/** Messages of the extended query protocol, with the names in them resolved. */
import { unreachable } from '../lib/assert.ts';
import type { PproxError } from '../lib/errors.ts';
import type { Unreadable } from '../sql/statement.ts';
import type { ClientStatement, Portal } from './client-statement.ts';
import type { Refused } from './reply-script.ts';

/** What the client asked for, with its names resolved. */
export type Step =
  /**
   * `done` is called when the server has accepted the step, or we have for it; `refused` when it has not, or nobody knows; `undone` where it has
   * been accepted or not, and is to be taken for one that waits.
   */
  | {
      readonly kind: 'parse';
      readonly statement: ClientStatement;
      readonly done: () => void;
      readonly refused: () => void;
      readonly undone: () => void;
    }
  | { readonly kind: 'describe statement'; readonly statement: ClientStatement }
  /** `namesake`: the portal of that name, where there is one. */
  | {
      readonly kind: 'bind';
      readonly portal: Portal;
      readonly namesake: Portal | undefined;
      readonly done: () => void;
      readonly refused: Refused;
      readonly undone: () => void;
    }
  | { readonly kind: 'describe portal'; readonly portal: Portal }
  /** What no Bind has named may be a cursor of SQL, which a server knows as a portal. */
  | { readonly kind: 'describe cursor' | 'close cursor'; readonly name: string }
  | { readonly kind: 'execute cursor'; readonly name: string; readonly limit: number }
  | { readonly kind: 'close portal'; readonly portal: Portal; readonly done: () => void; readonly undone: () => void }
  | { readonly kind: 'close statement'; readonly done: () => void; readonly undone: () => void }
  | { readonly kind: 'execute'; readonly portal: Portal; readonly limit: number };

/** The statement that a step is about. */
export function statementOf(step: Step): ClientStatement | undefined {
  switch (step.kind) {
    case 'parse':
    case 'describe statement':
      return step.statement;
    case 'bind':
    case 'describe portal':
    case 'execute':
      return step.portal.statement;
    case 'describe cursor':
    case 'execute cursor':
    case 'close cursor':
    case 'close portal':
    case 'close statement':
      return undefined;
    default:
      return unreachable(step);
  }
}

export type Execute = Step & { readonly kind: 'execute' };

/** What is wrong with a message is said when its turn comes. */
export type Pending =
  | Step
  /** `unless`: a text with which something else is wrong first, if the server says so. */
  | {
      readonly kind: 'refuse';
      readonly error: PproxError;
      readonly unless?: Buffer | undefined;
      readonly refused?: (() => void) | undefined;
    }
  | { readonly kind: 'unreadable'; readonly name: string; readonly text: Buffer; readonly why: Unreadable };

export function isStep(step: Pending): step is Step {
  return step.kind !== 'refuse' && step.kind !== 'unreadable';
}

export function isExecute(step: Step): step is Execute {
  return step.kind === 'execute';
}
