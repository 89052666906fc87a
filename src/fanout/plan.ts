/** What followers get for a statement of the lead's: its replay plan. `planner.ts` chooses it. */
import type { Column, Table } from '../cluster/table.ts';
import { PproxError } from '../lib/errors.ts';
import type { Nondeterminism, QualifiedName } from '../sql/statement.ts';

export type ReplayPlan = SameTextPlan | VerifiedPlan | RowPlan;

/** `hidden`: a function, procedure or trigger may do more than the text says, and draw from sequences. */
export type Effects = 'in the text' | 'hidden';

interface Common {
  /** Why this plan and no other one; for people. */
  readonly rule: string;
  readonly effects: Effects;
  /**
   * Where what it runs (functions, triggers, constraints, defaults, event triggers) may leave something with the server session: settings, locks;
   * or take prepared statements from it, ours among them.
   */
  readonly leaves?: 'something';
}

/** How the same text comes to have the same effect. */
interface SameText extends Common {
  /** Calls in it that stand for the lead's transaction time. */
  readonly times: readonly Nondeterminism[];
  /**
   * Tables that others may not write to from before the lead runs the statement to the transaction's end. What it finds there is
   * then the same on every writer, whatever it looks for.
   */
  readonly locks: readonly QualifiedName[];
}

/** The same text; `rows`: whether those that it returns to the client are compared. */
export interface SameTextPlan extends SameText {
  readonly kind: 'statement';
  readonly rows: 'compared' | 'not compared';
  /** A query whose one row says what has been made, equal on every writer; undefined where there is nothing to compare. */
  readonly proof: string | undefined;
  /** Quoted, qualified names of the tables that its own rows stand in, as far as they are known. */
  readonly stored: readonly string[];
  /**
   * Whether followers may get the rows that it has changed in its place, where that is all that it has done; `rows alone`: they get nothing
   * else; `rows beside temporary objects`: the same, and what it has done to these is not theirs to know.
   */
  readonly inPlace: 'rows' | 'rows alone' | 'rows beside temporary objects' | 'nothing';
  /** Where it has several parts, of which nothing but their numbers says which have found their row. */
  readonly keyed: Keyed | undefined;
  /** What followers get in place of the text; undefined: the text. */
  readonly text: string | undefined;
  /** What has to be done behind it, so that a table holds on followers what it holds on the lead. */
  readonly remade: Remade | undefined;
}

/** How many UPDATEs and DELETEs it has, each of one row at most, told by a key, and its targets: quoted, qualified names. */
export interface Keyed {
  readonly updates: number;
  readonly deletes: number;
  readonly tables: readonly string[];
}

/** For the lead alone. `runs`: whether functions or triggers may have changed more there than its text says. */
export type LeadAlonePlan = SameTextPlan & {
  readonly inPlace: 'rows alone' | 'rows beside temporary objects';
  readonly runs: 'functions' | 'nothing';
  /** `locks`: by which it could have been replayed, had others not held them. */
  readonly otherwise: 'nothing' | 'locks';
};

export function isLeadAlone(plan: ReplayPlan): plan is LeadAlonePlan {
  return (
    plan.kind === 'statement' && (plan.inPlace === 'rows alone' || plan.inPlace === 'rows beside temporary objects')
  );
}

/** A table that a definition gives values which vary. */
export interface Remade {
  readonly name: QualifiedName;
  /** As it was before; undefined where the lead alone makes it. */
  readonly table: Table | undefined;
  /** Columns whose default followers were given with the lead's time in it: it is to be what the lead's is. */
  readonly defaults: readonly string[];
  /** Whether followers are told its rows. */
  readonly rows: 'told' | 'told where they differ' | 'not told';
}

/** The same text, and the rows that it leaves behind compared: triggers may have made them differ. */
export interface VerifiedPlan extends SameText {
  readonly kind: 'verified';
  /** Appended to the statement on every writer. */
  readonly returning: string;
  /** How many columns `returning` adds. */
  readonly width: number;
  readonly client: 'rows' | 'no rows';
}

/** The rows that the lead has stored, changed or removed. */
export interface RowPlan extends Common {
  readonly kind: 'rows';
  /** Appended to the client's statement on the lead. */
  readonly returning: string;
  /** Columns of `returning`, in order. */
  readonly columns: readonly Column[];
  /** How many of them the followers are sent, from the first; the others are compared alone. */
  readonly sent: number;
  /** How many of those, from the first, tell which row is meant; the others are what it is given. */
  readonly keyed: number;
  /** What followers do, up to its rows: `INSERT INTO … VALUES `. */
  readonly prefix: string;
  /** Behind each value of a message's first row: the type that nothing else there tells. Empty where the place tells it. */
  readonly casts: readonly string[];
  /** Behind the rows. */
  readonly suffix: string;
  /** In front of the number of rows in the tag of what followers do; undefined where some of them may have been dealt with before. */
  readonly verb: 'INSERT 0' | 'UPDATE' | 'DELETE' | undefined;
  /** `one row` at a time, in the lead's order: what is unique in between depends on it. `all rows`: a constraint looks at all of them at once. */
  readonly batch: 'many rows' | 'one row' | 'all rows';
  /** Whether what a follower stored is compared with the lead's row: triggers may have changed it. */
  readonly rows: 'compared' | 'not compared';
  /** Whether the client's statement returns rows of its own, in front of ours. */
  readonly client: 'rows' | 'no rows';
  /** Quoted, qualified names of the tables whose rows these are. */
  readonly stored: readonly string[];
  /** The same for followers on which no trigger fires: all that the lead's triggers have made of the rows. */
  readonly direct: Pick<RowPlan, 'sent' | 'prefix' | 'casts' | 'suffix'> | undefined;
  /**
   * What followers get where functions or triggers have changed more than these rows, and that cannot be told row by row:
   * the `same text`, these times put into it, or these `rows`, so that their own functions and triggers do the rest.
   */
  readonly otherwise: 'rows' | 'same text';
  readonly times: readonly Nondeterminism[];
}

export function locksOf(plan: ReplayPlan): readonly QualifiedName[] {
  return plan.kind === 'rows' ? [] : plan.locks;
}

/** No plan is safe. */
export class NotReplayable extends PproxError {
  /** What stands in the way, for people. */
  readonly what: string;

  /** `hint`: what the client may do instead. */
  constructor(what: string, hint: string) {
    const message = `the statement would not have the same effect on every writer: ${what}`;
    super('not_replayable', { message, detail: 'Nothing was run.', hint });
    this.what = what;
  }
}

export function notReplayable(what: string, hint?: string): NotReplayable {
  return new NotReplayable(what, hint ?? 'Give the value in the statement instead of leaving it to each server.');
}
