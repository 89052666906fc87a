/**
 * Followers' sequences are kept ahead of every value that the lead has given out, in blocks: a follower that becomes the
 * lead gives out no value twice. setval() is never undone, so a block that was reserved stays reserved whatever becomes
 * of the transaction.
 */
import { PproxError } from '../lib/errors.ts';
import { quoteEscaped } from '../sql/quote.ts';

/** Where statements for sequences run. Each rejects with PproxError or BackendLostError. */
export interface SequenceScope {
  /** Equal for sessions of one database. */
  readonly scope: string;
  /** Where there are none, nobody is to be ahead of anything. */
  readonly followers: 'none' | 'some';
  /** Values of these have been given out by the lead, and followers are kept ahead of them. */
  drew(sequences: Iterable<string>): void;
  /** What is known of followers holds at the moment that it answers, or has been forgotten by then; within a transaction that is found out at its end. */
  askDrawn(text: string): Promise<readonly (readonly (string | null)[])[]>;
  /** Runs on every follower, as the session's role or its login's; answers with the rows of each. */
  askFollowers(text: string, as: 'session' | 'login'): Promise<readonly (readonly (readonly (string | null)[])[])[]>;
}

interface Bound {
  readonly value: bigint;
  readonly direction: 'up' | 'down';
  /** When the followers said so, by performance.now(). */
  readonly since: number;
}

/** What sets a sequence back past pprox, or through another process in one phase, is met after this time. */
const BOUND_MS = 5000;
/** Sequences that one question is about. */
const BATCH = 100;

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

  /** Knows nothing of what this one knows. */
  apart(): SequenceKeeper {
    return new SequenceKeeper(this.#block);
  }

  /** Sequences were set, restarted or dropped: what was reserved holds no more, nor what is being reserved. */
  forget(): void {
    this.#bounds.clear();
    this.#generation++;
  }

  /** The lead has given out `value` of `sequence` (quoted, qualified): followers are ahead of it when this resolves. */
  async reserve(scope: SequenceScope, sequence: string, value: bigint): Promise<void> {
    if (scope.followers === 'none') return;
    scope.drew([sequence]);
    if (!this.#covers(keyOf(scope, sequence), value)) await this.#reserveAll(scope, [{ sequence, value }]);
  }

  async #reserveAll(scope: SequenceScope, given: readonly Given[]): Promise<void> {
    const isOpen = ({ sequence, value }: Given): boolean => !this.#covers(keyOf(scope, sequence), value);
    for (let open = given.filter(isOpen); open.length > 0; open = open.filter(isOpen)) {
      const free = open.filter(({ sequence }) => !this.#reserving.has(keyOf(scope, sequence))).slice(0, BATCH);
      if (free.length === 0) {
        const running = open.flatMap(({ sequence }) => this.#reserving.get(keyOf(scope, sequence)) ?? []);
        await Promise.allSettled(running);
        continue;
      }
      const own = this.#advance(scope, free, 'not ahead');
      for (const { sequence } of free) this.#reserving.set(keyOf(scope, sequence), own);
      try {
        await own;
      } finally {
        for (const { sequence } of free) this.#reserving.delete(keyOf(scope, sequence));
      }
    }
  }

  /** The lead has run nextval(): of these, where the names are known, else any sequence may have moved. */
  async afterNextval(scope: SequenceScope, names: readonly string[]): Promise<void> {
    await this.#keepAhead(scope, names.length > 0 ? names : 'all that are free');
  }

  /** Defaults of temporary tables, and what else is the lead's alone, may have drawn from sequences that are not. */
  async afterTemporary(scope: SequenceScope): Promise<void> {
    await this.#keepAhead(scope, 'those of temporary objects');
  }

  async #keepAhead(scope: SequenceScope, which: Which): Promise<void> {
    if (scope.followers === 'none') return;
    const given = await lastOnLead(scope, which);
    scope.drew(given.map(({ sequence }) => sequence));
    await this.#reserveAll(scope, given);
  }

  /**
   * As `afterNextval`, where sequences were set: followers stand where they were set to, unless others have drawn from them meanwhile.
   */
  async afterSetval(scope: SequenceScope, names: readonly string[]): Promise<void> {
    this.forget();
    if (scope.followers === 'none') return;
    const given = await lastOnLead(scope, names.length > 0 ? names : 'all that are free');
    for (let at = 0; at < given.length; at += BATCH) await this.#advance(scope, given.slice(at, at + BATCH), 'behind');
  }

  #covers(key: string, value: bigint): boolean {
    const bound = this.#bounds.get(key);
    if (bound === undefined || performance.now() - bound.since > BOUND_MS) return false;
    return isPast(bound, value);
  }

  /** `which`: all that are not ahead by a block, or those alone that have not got to the lead's last value. */
  async #advance(scope: SequenceScope, given: readonly Given[], which: 'behind' | 'not ahead'): Promise<void> {
    const generation = this.#generation;
    const left = new Map(given.map((one) => [one.sequence, one]));
    const reached = new Map<string, Reached>();
    let since = performance.now();
    // An identity draws for a role that has no right to its sequence: the role that has logged in may have one.
    for (const as of ['session', 'login'] as const) {
      if (left.size === 0) break;
      const texts = [...left.values()].map((one) => this.#advanceText(one, which));
      const answers = await scope.askFollowers(texts.join('\nUNION ALL '), as);
      since = performance.now();
      for (const { sequence, value } of left.values()) {
        const states = answers.map((told) => stateIn(told, sequence));
        const [first] = states;
        if (first === undefined || states.some((state) => state === undefined || !isPast(state, value))) continue;
        left.delete(sequence);
        reached.set(sequence, first);
      }
    }
    for (const sequence of left.keys()) throw notAdvanced(sequence);
    for (const [sequence, first] of reached) {
      if (which === 'behind' || generation !== this.#generation) continue;
      this.#bounds.set(keyOf(scope, sequence), { value: first.target, direction: first.direction, since });
    }
  }

  #advanceText({ sequence, value }: Given, which: 'behind' | 'not ahead'): string {
    const name = quoteEscaped(sequence);
    const least = which === 'behind' ? `${value}::numeric` : 't.target';
    // A role that may use a sequence need not be one that may set it.
    return `SELECT ${name}, CASE
        WHEN NOT has_sequence_privilege(q.seqrelid, 'USAGE, UPDATE') THEN NULL
        WHEN CASE WHEN q.seqincrement > 0 THEN l.value < ${least} ELSE l.value > ${least} END IS FALSE THEN l.value
        WHEN has_sequence_privilege(q.seqrelid, 'UPDATE') AND has_sequence_privilege(q.seqrelid, 'USAGE, SELECT') THEN setval(q.seqrelid::regclass, t.target)
        ELSE (SELECT CASE WHEN q.seqincrement > 0 THEN max(v) ELSE min(v) END FROM (
          SELECT nextval(q.seqrelid::regclass) AS v
          FROM generate_series(1, (t.target::numeric - coalesce(l.value, q.seqstart - q.seqincrement)) / q.seqincrement)) drawn) END,
        q.seqincrement, t.target
      FROM pg_catalog.pg_sequence q, LATERAL (SELECT CASE WHEN q.seqincrement > 0
        THEN least(q.seqmax::numeric, ${value}::numeric + q.seqincrement::numeric * ${this.#block})
        ELSE greatest(q.seqmin::numeric, ${value}::numeric + q.seqincrement::numeric * ${this.#block}) END::bigint AS target) t,
        -- Not by a scan, which keeps the sequence's page pinned while setval() waits for its lock, and whoever has that lock may have to wait for
        -- the page, without an end that either would see (COMMIT PREPARED of ALTER SEQUENCE … RESTART). NULL where it was never drawn from.
        LATERAL (SELECT CASE WHEN has_sequence_privilege(q.seqrelid, 'USAGE, SELECT') THEN pg_catalog.pg_sequence_last_value(q.seqrelid) END AS value) l
      WHERE q.seqrelid = ${name}::regclass`;
  }
}

function notAdvanced(sequence: string): PproxError {
  return new PproxError('follower_failed', {
    sqlstate: '42501',
    message: `permission denied for sequence ${sequence}`,
    detail: 'What the lead has drawn from it, followers must not give out again: their sequences are advanced.',
    hint: `GRANT USAGE ON SEQUENCE ${sequence} TO the role, on every writer.`,
  });
}

/** What the lead has given out of a sequence (quoted, qualified). */
interface Given {
  readonly sequence: string;
  readonly value: bigint;
}

/** What a follower says of one: where it stands, and where it was to go. */
interface Reached {
  readonly value: bigint;
  readonly target: bigint;
  readonly direction: Bound['direction'];
}

function stateIn(told: readonly (readonly (string | null)[])[], sequence: string): Reached | undefined {
  const [, value, increment, target] = told.find(([name]) => name === sequence) ?? [];
  if (typeof value !== 'string' || typeof increment !== 'string' || typeof target !== 'string') return undefined;
  return { value: BigInt(value), target: BigInt(target), direction: BigInt(increment) > 0n ? 'up' : 'down' };
}

/** Whether it gives out nothing any more that the lead has given out. */
function isPast({ value, direction }: Pick<Reached, 'value' | 'direction'>, given: bigint): boolean {
  return direction === 'up' ? value >= given : value <= given;
}

function keyOf({ scope }: SequenceScope, sequence: string): string {
  return `${scope}\0${sequence}`;
}

/** Of names, as regclass takes them; or which others. */
type Which = readonly string[] | keyof typeof OTHERS;

/** Relations of the session's own that are temporary. */
const TEMPORARY = 't.relnamespace = pg_catalog.pg_my_temp_schema()';
const ON_SEQUENCES = "d.refclassid = 'pg_catalog.pg_class'::regclass";

const OTHERS = {
  // Who waits for what another transaction has locked would have to wait for its end.
  'all that are free': `has_sequence_privilege(c.oid, 'USAGE, UPDATE') AND c.oid NOT IN (
    SELECT l.relation FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database b ON b.oid = l.database AND b.datname = current_database()
    WHERE l.locktype = 'relation' AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
      AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))`,
  // Their defaults, their queries, and by name the functions of their triggers.
  'those of temporary objects': `(c.oid IN (
      SELECT d.refobjid FROM pg_catalog.pg_class t JOIN pg_catalog.pg_attrdef f ON f.adrelid = t.oid
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid WHERE ${TEMPORARY} AND ${ON_SEQUENCES}
      UNION ALL SELECT d.refobjid FROM pg_catalog.pg_class t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_type'::regclass AND d.objid = a.atttypid WHERE ${TEMPORARY} AND ${ON_SEQUENCES}
      UNION ALL SELECT d.refobjid FROM pg_catalog.pg_class t JOIN pg_catalog.pg_rewrite r ON r.ev_class = t.oid
        JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid WHERE ${TEMPORARY} AND ${ON_SEQUENCES})
    OR EXISTS (SELECT FROM pg_catalog.pg_class t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
      WHERE ${TEMPORARY} AND position(c.relname IN p.prosrc) > 0)
    OR EXISTS (SELECT FROM pg_catalog.pg_class t JOIN pg_catalog.pg_attrdef f ON f.adrelid = t.oid
      WHERE ${TEMPORARY} AND position(c.relname IN pg_catalog.pg_get_expr(f.adbin, f.adrelid)) > 0))`,
} as const;

/** Where they stand on the lead, as far as they were ever drawn from. A temporary sequence is the lead session's own affair. */
async function lastOnLead(scope: SequenceScope, which: Which): Promise<readonly Given[]> {
  const condition =
    typeof which === 'string'
      ? OTHERS[which]
      : `c.oid IN (${which.map((name) => `pg_catalog.to_regclass(${quoteEscaped(name)})`).join(', ')})`;
  const rows = await scope.askDrawn(`WITH c AS MATERIALIZED (
      SELECT oid, relname, relnamespace FROM pg_catalog.pg_class WHERE relkind = 'S' AND relpersistence <> 't')
    SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname),
      CASE WHEN has_schema_privilege(n.oid, 'USAGE') AND has_sequence_privilege(c.oid, 'USAGE, SELECT') THEN pg_catalog.pg_sequence_last_value(c.oid) END
    FROM c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE ${condition}`);
  return rows.flatMap(([sequence, value]) =>
    typeof sequence === 'string' && typeof value === 'string' ? { sequence, value: BigInt(value) } : [],
  );
}
