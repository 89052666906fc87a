/**
 * Where in a statement its function calls stand, as far as that decides whether something else may stand there: a call that
 * names a column which something refers to, or that is a table, cannot become a constant.
 */

import { namedBy } from './expressions.ts';
import { listOf, nodeOf, tagged, type Fields } from './tree.ts';

export class CallPlaces {
  /** Clock functions that must stay as they are. */
  readonly #fixed = new Set<Fields>();
  /** What expressions give their names to: a column or table that they are, or one that they are a part of. */
  readonly #names = new Map<Fields, 'itself' | 'something around it'>();
  /** Functions that stand for a table. */
  readonly #tables = new Set<Fields>();

  isFixed(call: Fields): boolean {
    return this.#fixed.has(call);
  }

  isTable(call: Fields): boolean {
    return this.#tables.has(call);
  }

  /** What has its name from this call. */
  namedBy(call: Fields): 'nothing' | 'itself' | 'something around it' {
    return this.#names.get(call) ?? 'nothing';
  }

  /** A function in FROM (a RangeFunction) stands where no constant may. */
  inFrom(fields: Fields): void {
    for (const entry of listOf(fields['functions'])) {
      for (const item of listOf(nodeOf(entry, 'List')?.['items'])) {
        const node = tagged(item);
        if (node === undefined) continue;
        this.#fixed.add(node.fields);
        this.#tables.add(node.fields);
        if (fields['is_rowsfrom'] === true) this.#names.set(node.fields, 'something around it');
        else if (fields['alias'] === undefined) {
          this.#names.set(node.fields, fields['ordinality'] === true ? 'something around it' : 'itself');
        }
      }
    }
  }

  /** `SELECT now()` in FROM or WITH makes a column `now`, which a constant would not. */
  namesReferredTo(targetList: unknown): void {
    for (const value of unnamed(targetList)) for (const part of namedBy(value)) this.#fixed.add(part);
  }

  /** Columns of a SELECT that have no other name than their expressions give them. */
  namesOfColumns(targetList: unknown): void {
    for (const value of unnamed(targetList)) {
      const whole = tagged(value)?.fields;
      for (const part of namedBy(value)) this.#names.set(part, part === whole ? 'itself' : 'something around it');
    }
  }
}

/** The expressions of a list of ResTargets that are given no name. */
function* unnamed(targetList: unknown): Generator {
  for (const item of listOf(targetList)) {
    const target = nodeOf(item, 'ResTarget');
    if (target !== undefined && target['name'] === undefined) yield target['val'];
  }
}
