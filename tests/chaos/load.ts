/** Clients that write under contention through several proxies, and remember what they were told of each transaction. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';

/** What the client knows: `unknown` where its connection broke, or pprox has said so (08007). */
export type Told = 'committed' | 'rolled back' | 'unknown';

export const ACCOUNTS = 6;

export const TABLES = `
  CREATE TABLE account (id int PRIMARY KEY, n int NOT NULL);
  CREATE TABLE entry (id int PRIMARY KEY, account int NOT NULL REFERENCES account, kind text NOT NULL);
  INSERT INTO account SELECT g, 0 FROM generate_series(1, ${ACCOUNTS}) g`;

/** No answer for so long is a hang: far above every deadline of the proxies under test. */
const HANG_MS = 40_000;

/** Numbers of all loads: an entry stays. */
let transactions = 0;

export class Load {
  /** By the transaction's number: each stores one entry of that id. */
  readonly told = new Map<number, Told>();
  /** Errors by SQLSTATE, for the report. */
  readonly errors = new Map<string, number>();
  hung = 0;
  #state: 'running' | 'ending' = 'running';
  readonly #ports: () => readonly number[];
  readonly #clients: Promise<void>[];

  /** `ports`: of the proxies that run now. */
  constructor(clients: number, ports: () => readonly number[]) {
    this.#ports = ports;
    this.#clients = Array.from({ length: clients }, (_, index) => this.#client(index));
  }

  /** Every client ends its transaction first. */
  async end(): Promise<void> {
    this.#state = 'ending';
    await Promise.all(this.#clients);
  }

  async #client(index: number): Promise<void> {
    let client: pg.Client | undefined;
    while (this.#state === 'running') {
      if (client === undefined) {
        client = await this.#connect(index);
        if (client === undefined) {
          await sleep(20);
          continue;
        }
      }
      const number = ++transactions;
      const told = await this.#transaction(client, number);
      this.told.set(number, told.what);
      if (told.connection === 'broken') {
        client.end().catch(() => undefined);
        client = undefined;
      }
    }
    await client?.end().catch(() => undefined);
  }

  async #connect(index: number): Promise<pg.Client | undefined> {
    const ports = this.#ports();
    const port = ports[index % Math.max(ports.length, 1)];
    if (port === undefined) return undefined;
    const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres' });
    client.on('error', () => undefined); // a query in flight rejects by itself
    return client.connect().then(
      () => client,
      () => undefined,
    );
  }

  async #transaction(
    client: pg.Client,
    number: number,
  ): Promise<{ readonly what: Told; readonly connection: 'stands' | 'broken' }> {
    const account = 1 + (number % ACCOUNTS);
    const update = `UPDATE account SET n = n + 1 WHERE id = ${account}`;
    const insert = (kind: string): string => `INSERT INTO entry VALUES (${number}, ${account}, '${kind}')`;
    try {
      if (number % 3 === 0) await this.#ask(client, `${update}; ${insert('at once')}`);
      else {
        await this.#ask(client, 'BEGIN');
        await this.#ask(client, update);
        await this.#ask(client, insert('block'));
        const { command } = await this.#ask(client, 'COMMIT');
        if (command !== 'COMMIT') return { what: 'rolled back', connection: 'stands' };
      }
      return { what: 'committed', connection: 'stands' };
    } catch (error) {
      if (!(error instanceof pg.DatabaseError) || error.severity === 'FATAL') {
        return { what: 'unknown', connection: 'broken' };
      }
      const { code = '' } = error;
      this.errors.set(code, (this.errors.get(code) ?? 0) + 1);
      const ended = await this.#ask(client, 'ROLLBACK').then(
        () => 'stands' as const,
        () => 'broken' as const,
      );
      return { what: code === '08007' ? 'unknown' : 'rolled back', connection: ended };
    }
  }

  async #ask(client: pg.Client, text: string): Promise<pg.QueryResult> {
    const late = new AbortController();
    const deadline = sleep(HANG_MS, undefined, { signal: late.signal }).then(() => {
      this.hung++;
      throw new assert.AssertionError({ message: `no answer to ${text}` });
    });
    deadline.catch(() => undefined);
    try {
      const result = await Promise.race([client.query(text), deadline]);
      return Array.isArray(result) ? (result.at(-1) as pg.QueryResult) : result;
    } finally {
      late.abort();
    }
  }
}
