/** Tables that a statement has changed out of sight. */
import type { Table } from '../cluster/table.ts';
import type { Access, Source } from '../fanout/captured-rows.ts';

/** A table that was changed out of sight, as far as the session may know it. */
export interface Written {
  readonly name: string;
  readonly table: Table;
  readonly access: Access;
  /** How its rows are reached: all of them, or those alone which have been found to be all that the transaction has changed. */
  readonly source: Source;
  /** How far that may be read to find what was written. */
  readonly reading: 'whole' | 'its end first' | 'its end';
  /** Of rows that were found: how many it has taken away, deleted or given a newer version. */
  readonly taken: number | undefined;
}
