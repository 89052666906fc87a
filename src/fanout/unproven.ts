/**
 * What functions, procedures and triggers have done on every writer by themselves, and cannot be compared: counted, named, and refused where
 * that is asked for.
 */
import type { Log } from '../lib/log.ts';
import { PproxError } from '../lib/errors.ts';
import { changes, isOfObjects, type Looks } from './hidden-effects.ts';

export type UnprovenPolicy = 'accept' | 'refuse';

/**
 * For people, one for each table. `compared`: tables all of whose new and changed rows were; `removed`: tables of which it is known that the
 * same rows are gone; `unknown`: of which it is not known which rows were changed.
 */
export function unprovenEffects(
  lead: Looks,
  { compared, removed, unknown }: Readonly<Record<'compared' | 'removed' | 'unknown', ReadonlySet<string>>>,
): readonly string[] {
  const found = [...changes(lead)].flatMap(([table, [, , deleted]]) => {
    if (isOfObjects(table)) return 'objects that it makes or changes';
    if (deleted > 0 && !removed.has(table)) return `rows deleted from ${table}`;
    if (unknown.has(table)) return `rows changed in ${table}`;
    return compared.has(table) ? [] : `rows of ${table}, which is too large or may not be read`;
  });
  return [...new Set(found)];
}

/** Different ones that are told in the log as warnings; the same again, and more of them, are not. */
const WARNINGS = 1000;

export class Unproven {
  readonly #policy: UnprovenPolicy;
  #total = 0;
  readonly #known = new Set<string>();

  constructor(policy: UnprovenPolicy) {
    this.#policy = policy;
  }

  /** Statements so far. */
  get total(): number {
    return this.#total;
  }

  /** Throws PproxError `not_replayed` where these are refused. */
  note(effects: readonly string[], log: Log): void {
    if (effects.length === 0) return;
    this.#total++;
    const what = effects.join(', ');
    if (this.#policy === 'accept') {
      const fields = { effects: what, total: this.#total };
      if (this.#known.has(what) || this.#known.size >= WARNINGS) log.debug('effects that cannot be compared', fields);
      else log.warn('effects that cannot be compared', fields);
      if (this.#known.size < WARNINGS) this.#known.add(what);
      return;
    }
    throw new PproxError('not_replayed', {
      message: `what a function or trigger has done cannot be compared: ${what}`,
      detail:
        'PPROX_UNPROVEN is set to refuse. As many rows were changed on every writer; that they are the same is not known.',
      hint: 'Use a statement of its own for it.',
    });
  }
}
