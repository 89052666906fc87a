/** Who asks for what is in a catalog, and how the lead is asked. */
import type { OwnStatement } from '../backend/own-message.ts';
import { type Answer, rowsOf } from '../backend/receiver.ts';
import type { OwnKnowledge } from './own-knowledge.ts';

/** Who asks. Names mean what they mean in its session. */
export interface CatalogAsker {
  /** Equal for sessions in which equal names mean equal things. */
  readonly scope: string;
  /**
   * `forbidden`: its session or transaction sees a catalog of its own (uncommitted DDL, a search_path). `its own`: one with temporary objects, or with settings that
   * nobody knows, which it keeps for itself.
   */
  readonly caching: 'allowed' | 'its own' | 'forbidden';
  readonly own: OwnKnowledge;
  /** Whether its session may have temporary objects. */
  readonly temporaries: 'none' | 'perhaps some';
  /** `perhaps others`: a function of the user's may have changed settings on the lead out of sight. */
  readonly settingsOfFunctions: 'known' | 'perhaps others';
  /** What its transaction sees is of this moment, where that is not the newest; what it reads is kept as of then. */
  readonly snapshot: CatalogMoment | undefined;
  /** Runs on the lead. */
  ask(text: string): Promise<Answer>;
  /** The same of one that is asked again and again: it may be prepared there. */
  askOften(question: OwnStatement): Promise<Answer>;
}

/** `since`: by Date.now(). */
export interface CatalogMoment {
  readonly since: number;
  readonly generation: number;
}

const UNREADABLE = { context: 'the catalog of the lead could not be read' };

/** Its only row; empty where it has none. */
export async function row(asker: CatalogAsker, text: string): Promise<readonly (string | null)[]> {
  return rowsOf(await asker.ask(text), UNREADABLE)[0] ?? [];
}

/** The same of a question that may be prepared. */
export async function rowOften(asker: CatalogAsker, question: OwnStatement): Promise<readonly (string | null)[]> {
  return rowsOf(await asker.askOften(question), UNREADABLE)[0] ?? [];
}

/** Of a JSON list. */
export const namesOf = (list: string | null | undefined): string[] => JSON.parse(list ?? '[]') as string[];
