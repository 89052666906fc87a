/**
 * What one server stores: rows with their history, transactions that nobody else sees before they end, prepared ones, and
 * decisions. READ COMMITTED: each look sees what is committed at that moment.
 */
import { type Held, Locks, type Wait } from './locks.ts';
import type { Listed, SavepointName } from './operations.ts';

export interface Row {
  readonly live: boolean;
  /** Who has changed it, in order. */
  readonly history: readonly string[];
}

const NO_ROW: Row = { live: false, history: [] };

export interface Decision {
  readonly id: string;
  readonly committed: boolean;
  readonly xmin: number;
  readonly decidedAt: number;
}

/** A transaction that is open or prepared. */
export class Transaction {
  readonly id: string;
  readonly held: Held[] = [];
  waiting: Wait | undefined;
  /** Assigned with its first write. */
  xid: number | undefined;
  failed = false;
  /** A constraint that speaks at the end has something to say. */
  violates = false;
  readonly drafts = new Map<string, Row>();
  readonly decisions: Decision[] = [];
  /** How to take drafts back, newest last. */
  readonly undo: { readonly key: string; readonly before: Row | undefined }[] = [];
  /** The innermost last. */
  readonly savepoints: { readonly name: SavepointName; readonly undo: number; readonly held: number }[] = [];

  constructor(id: string) {
    this.id = id;
  }

  get label(): string {
    return this.id;
  }
}

interface Prepared {
  readonly transaction: Transaction;
  readonly listed: Listed;
  /** Who is ending it, unless that one has died over it. */
  endedBy: { readonly alive: boolean } | undefined;
}

export class Database {
  readonly locks = new Locks();
  readonly rows = new Map<string, Row>();
  readonly decisions = new Map<string, Decision>();
  /** By name. */
  readonly prepared = new Map<string, Prepared>();
  readonly fates = new Map<number, 'committed' | 'aborted'>();
  readonly #open = new Set<Transaction>();
  #nextXid = 1;

  get open(): number {
    return this.#open.size;
  }

  begin(id: string): Transaction {
    const transaction = new Transaction(id);
    this.#open.add(transaction);
    return transaction;
  }

  hasOpen(id: string): boolean {
    for (const open of this.#open) if (open.id === id) return true;
    return false;
  }

  /** What this transaction sees of a key. */
  look(transaction: Transaction, key: string): Row {
    return transaction.drafts.get(key) ?? this.rows.get(key) ?? NO_ROW;
  }

  change(transaction: Transaction, key: string, live: boolean): void {
    this.writeXid(transaction);
    const seen = this.look(transaction, key);
    transaction.undo.push({ key, before: transaction.drafts.get(key) });
    transaction.drafts.set(key, { live, history: [...seen.history, transaction.id] });
  }

  writeXid(transaction: Transaction): number {
    transaction.xid ??= this.#nextXid++;
    return transaction.xid;
  }

  /** One of that name that is the innermost is released first. */
  savepoint({ savepoints, undo, held }: Transaction, name: SavepointName): void {
    if (savepoints.at(-1)?.name === name) savepoints.pop();
    savepoints.push({ name, undo: undo.length, held: held.length });
  }

  /** Those inside of it are gone. */
  rollbackToSavepoint(transaction: Transaction, name: SavepointName | undefined): void {
    const { savepoints } = transaction;
    while (savepoints.length > 0 && savepoints.at(-1)?.name !== name) savepoints.pop();
    const savepoint = savepoints.at(-1);
    if (savepoint === undefined) return;
    while (transaction.undo.length > savepoint.undo) {
      const last = transaction.undo.pop();
      if (last === undefined) break;
      if (last.before === undefined) transaction.drafts.delete(last.key);
      else transaction.drafts.set(last.key, last.before);
    }
    transaction.failed = false;
    this.locks.release(transaction, savepoint.held);
  }

  /** A statement has failed: what came after the savepoint is undone at once, or everything where there is none. */
  fail(transaction: Transaction): void {
    const innermost = transaction.savepoints.at(-1);
    if (innermost === undefined) {
      transaction.drafts.clear();
      this.#end(transaction, 'aborted');
    } else this.rollbackToSavepoint(transaction, innermost.name);
    transaction.failed = true;
  }

  commit(transaction: Transaction): void {
    for (const [key, row] of transaction.drafts) this.rows.set(key, row);
    for (const decision of transaction.decisions) this.decisions.set(decision.id, decision);
    this.#end(transaction, 'committed');
  }

  rollback(transaction: Transaction): void {
    this.#end(transaction, 'aborted');
  }

  prepare(transaction: Transaction, name: string, id: string | undefined, now: number): void {
    const xid = this.writeXid(transaction);
    this.prepared.set(name, { transaction, listed: { id, xid, preparedAt: now }, endedBy: undefined });
    this.#open.delete(transaction);
  }

  /** What was prepared under that name, which is gone with this. */
  take(name: string): Transaction | undefined {
    const found = this.prepared.get(name);
    this.prepared.delete(name);
    return found?.transaction;
  }

  list(): readonly Listed[] {
    return [...this.prepared.values()].map(({ listed }) => listed);
  }

  fate(xid: number): 'committed' | 'aborted' | 'in progress' {
    return this.fates.get(xid) ?? 'in progress';
  }

  /** The oldest transaction that still runs and has written something, or else the next one: pg_snapshot_xmin. */
  snapshotXmin(): number {
    let oldest = this.#nextXid;
    for (const { xid } of this.#open) if (xid !== undefined && xid < oldest) oldest = xid;
    return oldest;
  }

  /** What was open is lost. What is committed or prepared stays. */
  crash(): void {
    for (const transaction of this.#open) this.rollback(transaction);
  }

  #end(transaction: Transaction, fate: 'committed' | 'aborted'): void {
    this.#open.delete(transaction);
    if (transaction.xid !== undefined) this.fates.set(transaction.xid, fate);
    this.locks.release(transaction, 0);
  }
}
