/** LISTEN and UNLISTEN of a transaction that is not over, and the savepoints between them (PostgreSQL, async.c). */

export type ListenAction =
  | { readonly kind: 'listen'; readonly channel: string }
  | { readonly kind: 'unlisten'; readonly channel: string | undefined };

type Entry = ListenAction | { readonly kind: 'savepoint'; readonly name: string };

export class ListenLedger {
  #entries: Entry[] = [];
  #actions = 0;

  /** Nothing to do at COMMIT. */
  get empty(): boolean {
    return this.#actions === 0;
  }

  note(action: ListenAction): void {
    this.#entries.push(action);
    this.#actions++;
  }

  savepoint(name: string): void {
    this.#entries.push({ kind: 'savepoint', name });
  }

  /** RELEASE: its actions belong to what is around it; savepoints inside it end too. */
  release(name: string): void {
    const at = this.#find(name);
    if (at < 0) return;
    const inside = this.#entries.slice(at).filter(({ kind }) => kind !== 'savepoint');
    this.#entries = [...this.#entries.slice(0, at), ...inside];
  }

  /** ROLLBACK TO: the savepoint stays, what came behind it does not. */
  rollbackTo(name: string): void {
    const at = this.#find(name);
    if (at < 0) return;
    this.#entries.length = at + 1;
    this.#actions = this.#entries.filter(({ kind }) => kind !== 'savepoint').length;
  }

  clear(): void {
    this.#entries = [];
    this.#actions = 0;
  }

  /** What is listened to once all of it stands. */
  applied(channels: ReadonlySet<string>): ReadonlySet<string> {
    const after = new Set(channels);
    for (const entry of this.#entries) {
      if (entry.kind === 'listen') after.add(entry.channel);
      else if (entry.kind === 'unlisten' && entry.channel !== undefined) after.delete(entry.channel);
      else if (entry.kind === 'unlisten') after.clear();
    }
    return after;
  }

  #find(name: string): number {
    return this.#entries.findLastIndex((entry) => entry.kind === 'savepoint' && entry.name === name);
  }
}
