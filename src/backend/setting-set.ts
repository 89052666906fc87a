/**
 * The settings that a server session has got since its start, beyond those it was started with; and the SQL that takes
 * it from one set to another. Values are as SHOW tells them, which set_config() reads back as the same.
 */
import { isCustom, isTimeout, isTransactionDefault } from '../sql/setting-names.ts';
import { quoteEscaped } from '../sql/quote.ts';

/** Who one is, which decides what may be set: given up first and taken on last, the session's before the role. */
const AUTHORIZATION = 'session_authorization';
const ROLE = 'role';

/** Settings by which equal names, or equal values, may mean or show something else, or other triggers fire. */
export const OF_THE_VIEW: readonly string[] = [
  'search_path',
  ROLE,
  AUTHORIZATION,
  'array_nulls',
  'extra_float_digits',
  'datestyle',
  'session_replication_role',
  'quote_all_identifiers',
];

/**
 * Settings by which a statement's constants are read when it is parsed, or become others before it is run: what was prepared
 * under one of them is not the same under another. Names and rights are looked at anew (plancache.c).
 */
export const OF_THE_READING: readonly string[] = [
  'array_nulls',
  'backslash_quote',
  'bytea_output',
  'client_encoding',
  'datestyle',
  'extra_float_digits',
  'intervalstyle',
  'lc_monetary',
  'lc_numeric',
  'standard_conforming_strings',
  'timezone',
  'timezone_abbreviations',
  'transform_null_equals',
  'xmlbinary',
  'xmloption',
];

/** A value that is none: the setting was changed, to what is not known. */
const UNSURE = '\0';

/** How well a server session suits: `movable`: after the difference is sent; `unfit`: it has what cannot be taken back. */
export type Fitness = 'same' | 'movable' | 'unfit';

/** Immutable. */
export class SettingSet {
  /** By name in lower case. */
  readonly values: ReadonlyMap<string, string>;
  /**
   * Custom settings (`a.b`) that were ever named. In a server session that has not named one it does not exist; once named
   * it does, be it empty, until that session ends.
   */
  readonly custom: ReadonlySet<string>;
  readonly #certainty: 'certain' | 'uncertain';
  #key: string | undefined;
  #view: string | undefined;
  #reading: string | undefined;
  #onReader: SettingSet | undefined;
  #onFollowers: SettingSet | undefined;

  constructor(
    values: ReadonlyMap<string, string>,
    custom: ReadonlySet<string>,
    certainty: 'certain' | 'uncertain' = 'certain',
  ) {
    this.values = values;
    this.custom = custom;
    this.#certainty = certainty;
  }

  /** Equal for sets of equal values. */
  get key(): string {
    this.#key ??= [...this.values]
      .map(([name, value]) => `${name}\0${value}`)
      .sort()
      .join('\0\0');
    return this.#key;
  }

  /** Equal for sets under which equal names mean equal things and values look alike; empty where none of it is set. */
  get view(): string {
    this.#view ??= this.#some(OF_THE_VIEW);
    return this.#view;
  }

  /** Equal for sets under which a prepared statement means the same; empty where nothing of it is set. */
  get reading(): string {
    this.#reading ??= this.#some(OF_THE_READING);
    return this.#reading;
  }

  /** What the reader is to have. There every transaction says for itself that it reads. */
  get onReader(): SettingSet {
    this.#onReader ??= this.#leaving(isTransactionDefault);
    return this.#onReader;
  }

  /** What followers are to have: the client must not keep their transactions from writing, nor its clocks end them. */
  get onFollowers(): SettingSet {
    this.#onFollowers ??= this.#leaving((name) => isTransactionDefault(name) || isTimeout(name));
    return this.#onFollowers;
  }

  #leaving(out: (name: string) => boolean): SettingSet {
    const kept = [...this.values].filter(([name]) => !out(name));
    return kept.length === this.values.size ? this : new SettingSet(new Map(kept), this.custom);
  }

  with(name: string, value: string): SettingSet {
    const custom = isCustom(name) && !this.custom.has(name) ? new Set([...this.custom, name]) : this.custom;
    return new SettingSet(new Map(this.values).set(name, value), custom);
  }

  /** The values of `names` are not known any more: whoever needs one sends it, and who does not takes it back. */
  unsure(names: Iterable<string>): SettingSet {
    return [...names].reduce<SettingSet>((set, name) => set.with(name, UNSURE), this);
  }

  without(...names: readonly string[]): SettingSet {
    if (!names.some((name) => this.values.has(name))) return this;
    const values = new Map(this.values);
    for (const name of names) values.delete(name);
    return values.size === 0 && this.custom.size === 0 ? NOTHING_SET : new SettingSet(values, this.custom);
  }

  /** The same values, with these names known. */
  naming(names: Iterable<string>): SettingSet {
    const added = [...names].filter((name) => !this.custom.has(name));
    return added.length === 0 ? this : new SettingSet(this.values, new Set([...this.custom, ...added]));
  }

  #some(names: readonly string[]): string {
    return names
      .flatMap((name) => {
        const value = this.values.get(name);
        return value === undefined ? [] : [`${name}\0${value}`];
      })
      .join('\0\0');
  }

  /** How a server session that has this suits one that needs `needs`. */
  fitness(needs: SettingSet): Fitness {
    if (this === needs) return 'same';
    if (this.#certainty === 'uncertain') return 'unfit';
    for (const name of this.custom) if (!needs.custom.has(name)) return 'unfit';
    return this.key === needs.key ? 'same' : 'movable';
  }

  /** A statement that makes a server session with this one with `needs`, in ASCII. It fails as a whole or not at all. */
  textTo(needs: SettingSet): string {
    const other = (name: string): boolean => this.values.get(name) !== needs.values.get(name);
    const plain = [...new Set([...this.values.keys(), ...needs.values.keys()])].filter(
      (name) => name !== AUTHORIZATION && name !== ROLE && other(name),
    );
    const identity = [AUTHORIZATION, ROLE];
    const someone = identity.some((name) => this.values.has(name));
    const resets = someone && (plain.length > 0 || identity.some(other));
    const takes = resets || identity.some(other) ? identity.filter((name) => needs.values.has(name)) : [];
    const calls = [
      ...(resets ? identity.map((name) => call(name, undefined)) : []),
      ...[...plain, ...takes].map((name) => call(name, needs.values.get(name))),
    ];
    return `SELECT ${calls.join(', ')}`;
  }
}

/** Its result is left out: it might not be sayable in the client's encoding. */
function call(name: string, value: string | undefined): string {
  const constant = value === undefined ? 'NULL' : quoteEscaped(value);
  return `pg_catalog.set_config(${quoteEscaped(name)}, ${constant}, false) IS NULL`;
}

export const NOTHING_SET = new SettingSet(new Map(), new Set());

/** Of a server session that is not to be used by anybody else: nobody can say what it has. */
export const UNCERTAIN = new SettingSet(new Map(), new Set(), 'uncertain');
