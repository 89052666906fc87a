/** What a case of the battery is: a schema, and transactions upon it that many clients run at once. */
import type { Random } from '../simulation/random.ts';

/** One Query of its own; or one of the extended protocol, `name`: prepared under it; or COPY FROM STDIN and what it is given. */
export type Command =
  | string
  | { readonly text: string; readonly values: readonly unknown[]; readonly name?: string }
  | { readonly copy: string; readonly data: string };

export interface Case {
  /** Letters, digits and blanks; unique. */
  readonly name: string;
  /** Statements that make what it needs, run as one Query through the proxy in a schema of the case's own. */
  readonly schema: string;
  /** What a client does after its connection: settings that the case is about. They are reset afterwards. */
  readonly session?: (client: number) => readonly string[];
  /** The commands of one transaction. `client` counts from 0, and so does `round`. */
  readonly step: (random: Random, client: number, round: number) => readonly Command[];
  /**
   * `any` (default): alone, in a block, in one Query, rolled back, behind a savepoint, as the harness draws it. `block`: as
   * `any`, and never outside BEGIN … COMMIT. `own`: the commands as they are, one after another.
   */
  readonly wrapping?: 'any' | 'block' | 'own';
  /** In place of `BEGIN`. */
  readonly begin?: string;
  /** The least major version of every writer. */
  readonly majors?: 15 | 17 | 18;
  /** SQLSTATEs that statements may well fail with, beside those that are allowed always. */
  readonly expects?: readonly string[];
  /** Whether some transaction has to be committed. Default yes; `no`: pprox refuses all of it. */
  readonly mustCommit?: 'yes' | 'no';
  /** The same text alone, replayed, makes writers differ or followers fail, each time it has been tried. */
  readonly bites?: true;
  /** What becomes of the server's large objects is compared too; they are removed afterwards. */
  readonly largeObjects?: 'compared';
  /** `free`: sequences that are set or go round, whose values may come again. */
  readonly sequences?: 'kept ahead' | 'free';
}
