/**
 * What a client has set, as its transaction and savepoints stand: SET in a block that is rolled back never was, RELEASE
 * keeps, SET LOCAL is the transaction's own affair and is not here.
 *
 *   outside a block   changes are kept at once
 *   in a block        changes wait for its COMMIT; ROLLBACK TO goes back to its savepoint
 */
import { NOTHING_SET, OF_THE_READING, type SettingSet } from '../backend/setting-set.ts';
import { isCustom } from '../sql/setting-names.ts';
import type { SettingChange } from '../sql/statement.ts';

interface Open {
  now: SettingSet;
  /** Set by a function, which may have got another value on another server. */
  readonly doubtful: Set<string>;
  /** It has settings of its own for how constants are read. */
  ownReading: string | undefined;
  readonly savepoints: { readonly name: string; readonly before: SettingSet }[];
}

/** Blocks so far that read constants in their own way. */
let blocks = 0;

export class SessionSettings {
  #kept: SettingSet = NOTHING_SET;
  #open: Open | undefined;

  /** What its server sessions should have now; with what an open block has set. */
  get now(): SettingSet {
    return this.#open?.now ?? this.#kept;
  }

  /** The same without what an open block has set. */
  get kept(): SettingSet {
    return this.#kept;
  }

  /**
   * Equal for sessions in which a prepared statement means the same. What a block sets for itself is not known here, so
   * that in it nothing means what it means elsewhere.
   */
  get reading(): string {
    return this.#open?.ownReading ?? this.now.reading;
  }

  /** Custom settings that exist in the session and whose value is not known: they were set for a transaction, or rolled back. */
  get unknown(): readonly string[] {
    const { custom, values } = this.now;
    return custom.size === 0 ? [] : [...custom].filter((name) => !values.has(name));
  }

  /** From here on changes wait for `commit`. */
  begin(): void {
    this.#open ??= { now: this.#kept, doubtful: new Set(), ownReading: undefined, savepoints: [] };
  }

  /** A statement names these: custom ones exist from then on, whatever becomes of the statement. */
  name(changes: readonly SettingChange[]): void {
    const names = changes.map(({ name }) => name).filter(isCustom);
    if (names.length === 0) return;
    this.#kept = this.#kept.naming(names);
    if (this.#open !== undefined) this.#open.now = this.#open.now.naming(names);
  }

  /** Settings of the transaction alone, which ends with `commit` or `rollback`. */
  setLocally(names: readonly string[]): void {
    if (this.#open !== undefined && names.some((name) => OF_THE_READING.includes(name)))
      this.#open.ownReading ??= `block ${++blocks}`;
  }

  /** `value` as the server tells it. Who becomes another by authorization has no role. */
  set(name: string, value: string): void {
    const now = name === 'session_authorization' ? this.now.without('role') : this.now;
    this.#change(now.with(name, value));
  }

  reset(name: string): void {
    this.#change(name === 'session_authorization' ? this.now.without(name, 'role') : this.now.without(name));
  }

  /** RESET ALL leaves who one is; DISCARD ALL (`and authorization`) does not. */
  resetAll(scope: 'settings' | 'and authorization'): void {
    const kept = scope === 'settings' ? ['role', 'session_authorization'] : [];
    this.#change(this.now.without(...[...this.now.values.keys()].filter((name) => !kept.includes(name))));
  }

  savepoint(name: string): void {
    this.begin();
    this.#open?.savepoints.push({ name, before: this.now });
  }

  release(name: string): void {
    const savepoints = this.#open?.savepoints ?? [];
    const at = savepoints.findLastIndex((one) => one.name === name);
    if (at >= 0) savepoints.length = at;
  }

  rollbackTo(name: string): void {
    const open = this.#open;
    const at = open?.savepoints.findLastIndex((one) => one.name === name) ?? -1;
    const point = open?.savepoints[at];
    if (open === undefined || point === undefined) return;
    open.savepoints.length = at + 1;
    open.now = point.before.naming(this.#kept.custom);
  }

  /** Other servers than the lead may have got other values for these. */
  doubt(names: Iterable<string>): void {
    for (const name of names) this.#open?.doubtful.add(name);
  }

  /** Answers with the names that are in doubt on other servers; undefined where nothing may have changed. */
  commit(): ReadonlySet<string> | undefined {
    const open = this.#open;
    this.#kept = this.now;
    this.#open = undefined;
    return open?.doubtful;
  }

  /** Nothing where `commit` came before. */
  rollback(): void {
    this.#open = undefined;
  }

  #change(set: SettingSet): void {
    if (this.#open === undefined) this.#kept = set;
    else this.#open.now = set;
  }
}
