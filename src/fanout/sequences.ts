/**
 * Followers' sequences are kept ahead of every value that the lead has given out, in blocks: a follower that becomes the
 * lead gives out no value twice. setval() is never undone, so a block that was reserved stays reserved whatever becomes
 * of the transaction.
 */
import { PproxError } from '../lib/errors.ts';
import { quoteEscaped, quoteLiteral } from '../sql/quote.ts';

/** Where statements for sequences run. Each rejects with PproxError or BackendLostError. */
export interface SequenceScope {
  /** Equal for sessions of one database. */
  readonly scope: string;
  askLead(text: string): Promise<readonly (readonly (string | null)[])[]>;
  /** Runs on every follower; answers with the rows of each. */
  askFollowers(text: string): Promise<readonly (readonly (readonly (string | null)[])[])[]>;
}

interface Bound {
  readonly value: bigint;
  readonly direction: 'up' | 'down';
}

export class SequenceKeeper {
  readonly #block: number;
  readonly #bounds = new Map<string, Bound>();
  /** Counts `forget`: a bound that was asked for before one is not known to hold after it. */
  #generation = 0;
  /** Reservations under way: one at a time for a sequence. */
  readonly #reserving = new Map<string, Promise<void>>();

  /** `block`: increments by which followers are kept ahead. */
  constructor(block: number) {
    this.#block = block;
  }

  /** Sequences were set, restarted or dropped: what was reserved holds no more, nor what is being reserved. */
  forget(): void {
    this.#bounds.clear();
    this.#generation++;
  }

  /** The lead has given out `value` of `sequence` (quoted, qualified): followers are ahead of it when this resolves. */
  async reserve(scope: SequenceScope, sequence: string, value: bigint): Promise<void> {
    const key = `${scope.scope}\0${sequence}`;
    while (!this.#covers(key, value)) {
      const running = this.#reserving.get(key);
      if (running !== undefined) {
        await running.catch(() => undefined);
        continue;
      }
      const own = this.#advance(scope, key, sequence, value);
      this.#reserving.set(key, own);
      try {
        await own;
      } finally {
        this.#reserving.delete(key);
      }
    }
  }

  /**
   * The lead has run nextval(): by name where the names are known, else any sequence may have moved. Names are as regclass
   * takes them. A temporary sequence is the lead session's own affair.
   */
  async afterNextval(scope: SequenceScope, names: readonly string[]): Promise<void> {
    const text =
      names.length > 0
        ? `SELECT oid::regclass::text,
             CASE WHEN pg_catalog.has_sequence_privilege(oid, 'USAGE, SELECT') THEN pg_catalog.pg_sequence_last_value(oid) END
           FROM pg_catalog.pg_class WHERE relkind = 'S' AND relpersistence <> 't'
             AND oid IN (${names.map((name) => `${quoteEscaped(name)}::regclass`).join(', ')})`
        : `SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename), last_value FROM pg_catalog.pg_sequences
           WHERE last_value IS NOT NULL AND schemaname NOT LIKE 'pg\\_temp\\_%'`;
    for (const [name, value] of await scope.askLead(text)) {
      if (name !== null && name !== undefined && value !== null && value !== undefined) {
        await this.reserve(scope, name, BigInt(value));
      }
    }
  }

  #covers(key: string, value: bigint): boolean {
    const bound = this.#bounds.get(key);
    if (bound === undefined) return false;
    return bound.direction === 'up' ? value <= bound.value : value >= bound.value;
  }

  async #advance(scope: SequenceScope, key: string, sequence: string, value: bigint): Promise<void> {
    const name = quoteLiteral(sequence);
    const generation = this.#generation;
    // In a subquery of its own: a scan in FROM keeps the sequence's page pinned while setval() waits for its lock, and whoever has that
    // lock may have to wait for the page, without an end that either would see (COMMIT PREPARED of ALTER SEQUENCE … RESTART).
    const last = `(SELECT last_value FROM ${sequence})`;
    const answers = await scope.askFollowers(`SELECT CASE
        WHEN q.seqincrement > 0 AND ${last} < t.target THEN setval(${name}::regclass, t.target)
        WHEN q.seqincrement < 0 AND ${last} > t.target THEN setval(${name}::regclass, t.target)
        ELSE ${last} END, q.seqincrement, t.target
      FROM pg_catalog.pg_sequence q, LATERAL (SELECT CASE WHEN q.seqincrement > 0
        THEN least(q.seqmax::numeric, ${value}::numeric + q.seqincrement::numeric * ${this.#block})
        ELSE greatest(q.seqmin::numeric, ${value}::numeric + q.seqincrement::numeric * ${this.#block}) END::bigint AS target) t
      WHERE q.seqrelid = ${name}::regclass`);
    const [first] = answers.map(([row]) => row);
    const [, increment, target] = first ?? [];
    if (increment === null || increment === undefined || target === null || target === undefined) {
      throw new PproxError('follower_failed', {
        message: `sequence ${sequence} could not be advanced on the followers`,
      });
    }
    if (generation !== this.#generation) return;
    this.#bounds.set(key, { value: BigInt(target), direction: BigInt(increment) > 0n ? 'up' : 'down' });
  }
}
