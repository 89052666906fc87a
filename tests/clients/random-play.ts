/** Plays statements by several clients at once, alone or in blocks, and counts how each has ended. */
import pg from 'pg';
import { Random } from '../simulation/random.ts';

export interface Play {
  readonly dsn: string;
  readonly clients: number;
  readonly seed: number;
  readonly statements: readonly string[];
  /** Played in between, one now and then. */
  readonly feed: readonly string[];
}

export interface Tally {
  played: number;
  /** Of these, those that write. */
  writing: number;
  /** Writing statements that have succeeded, and the rows that these have changed. */
  succeeded: number;
  rows: number;
  committed: number;
  rolledBack: number;
  /** Errors by SQLSTATE; those of pprox itself have `pprox` in front. */
  readonly failed: Map<string, number>;
  /** What pprox refuses, by its message without names. */
  readonly refused: Map<string, number>;
  /** What may not be: pprox's own errors beyond refusals and lost races, lost connections, statements that are not answered. */
  readonly wrong: string[];
}

/** Beyond every deadline of the proxy: a statement without an answer for so long is one that hangs. */
const HANG_MS = 50_000;
/** SQLsmith's joins may take for ever. */
const STATEMENT_TIMEOUT = '1s';
/** A play that has gone wrong so often is not played to its end. */
const ENOUGH = 20;

/** Refused; lost to another transaction, and what comes after that in a block; too long or too deep to be read. */
const MAY_BE: ReadonlySet<string> = new Set(['0A000', '40001', '40P01', '25P02', '54001']);

/** Of SQLsmith's statements, which name the schema; what is fed in between does not, and is not counted. */
export function writes(text: string): boolean {
  return /^(insert into|update|delete from|merge into) public\./i.test(text);
}

export async function play(wanted: Play): Promise<Tally> {
  const tally: Tally = {
    played: 0,
    writing: 0,
    succeeded: 0,
    rows: 0,
    committed: 0,
    rolledBack: 0,
    failed: new Map(),
    refused: new Map(),
    wrong: [],
  };
  const { clients, seed, statements } = wanted;
  const playing = Array.from({ length: clients }, async (_, index) => {
    const own = statements.filter((_text, place) => place % clients === index);
    await new Player(wanted, new Random(seed * 100 + index), tally).play(own);
  });
  await Promise.all(playing);
  return tally;
}

class Player {
  readonly #wanted: Play;
  readonly #random: Random;
  readonly #tally: Tally;
  #client: pg.Client | undefined;

  constructor(wanted: Play, random: Random, tally: Tally) {
    this.#wanted = wanted;
    this.#random = random;
    this.#tally = tally;
  }

  async play(statements: readonly string[]): Promise<void> {
    let place = 0;
    while (place < statements.length && this.#tally.wrong.length < ENOUGH) {
      const some = statements.slice(place, place + this.#random.whole(1, 4));
      place += some.length;
      if (this.#random.chance(0.2)) some.unshift(this.#random.pick(this.#wanted.feed));
      if (this.#random.chance(0.4)) for (const text of some) await this.#alone(text);
      else await this.#block(some);
    }
    await this.#client?.end();
  }

  async #alone(text: string): Promise<void> {
    if ((await this.#run(text)) && writes(text)) this.#tally.committed += 1;
  }

  /** Each statement behind a savepoint, or the first error ends the block; one of five is rolled back as a whole. */
  async #block(some: readonly string[]): Promise<void> {
    const guard = this.#random.pick(['savepoints', 'savepoints', 'none'] as const);
    const end = this.#random.chance(0.2) ? 'ROLLBACK' : 'COMMIT';
    await this.#control('BEGIN');
    for (const text of some) {
      if (guard === 'savepoints') await this.#control('SAVEPOINT s');
      if (await this.#run(text)) {
        if (guard === 'savepoints' && this.#random.chance(0.1)) await this.#control('ROLLBACK TO s');
      } else if (guard === 'savepoints') {
        // pprox has rolled back everything where the transaction has lost a race: this fails then, and COMMIT rolls back.
        await this.#control('ROLLBACK TO s');
      } else break;
    }
    if ((await this.#control(end)) && end === 'COMMIT') this.#tally.committed += 1;
    else {
      this.#tally.rolledBack += 1;
      await this.#control('ROLLBACK');
    }
  }

  async #run(text: string): Promise<boolean> {
    this.#tally.played += 1;
    if (writes(text)) this.#tally.writing += 1;
    const query = this.#random.chance(0.5) ? { text } : { text, queryMode: 'extended' };
    const result = await this.#ask(query);
    if (result === undefined) return false;
    if (writes(text)) {
      this.#tally.succeeded += 1;
      this.#tally.rows += result.rowCount ?? 0;
    }
    return true;
  }

  async #control(text: string): Promise<boolean> {
    const result = await this.#ask({ text });
    return result !== undefined && result.command === text.split(' ')[0];
  }

  async #ask(query: pg.QueryConfig): Promise<pg.QueryResult | undefined> {
    try {
      this.#client ??= await this.#connect();
      return await this.#client.query(query);
    } catch (error) {
      await this.#note(query.text, error);
      return undefined;
    }
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#wanted.dsn, query_timeout: HANG_MS });
    client.on('error', () => undefined); // a query in flight rejects by itself
    await client.connect();
    await client.query(`SET statement_timeout = '${STATEMENT_TIMEOUT}'`);
    return client;
  }

  async #note(text: string, error: unknown): Promise<void> {
    const tally = this.#tally;
    if (!(error instanceof pg.DatabaseError) || error.code === undefined || error.severity !== 'ERROR') {
      tally.wrong.push(`${String(error)} after ${text}`);
      const lost = this.#client;
      this.#client = undefined;
      lost?.end().catch(() => undefined);
      return;
    }
    const { code, message, file, detail } = error;
    // A server's own errors name the place in PostgreSQL's source.
    if (file !== undefined) return count(tally.failed, code);
    count(tally.failed, `pprox ${code}`);
    if (code === '0A000') count(tally.refused, withoutNames(message));
    if (!MAY_BE.has(code)) tally.wrong.push(`${code} ${message}; ${detail ?? ''} after ${text}`);
  }
}

function withoutNames(message: string): string {
  return message.replaceAll(/\w+\(\)/g, '…()').replaceAll(/\b(into|column) \w+/g, '$1 …');
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

/** A line for the test's output, and one for each reason of a refusal. */
export function report({ failed, refused, ...tally }: Tally): readonly string[] {
  const { played, writing, succeeded, rows, committed, rolledBack } = tally;
  const total = `${played} statements, ${writing} of them write: ${succeeded} have, ${rows} rows; ${committed} transactions committed, ${rolledBack} rolled back`;
  const byNumber = (map: ReadonlyMap<string, number>): readonly string[] =>
    [...map].toSorted(([, one], [, other]) => other - one).map(([name, number]) => `${name}: ${number}`);
  return [total, byNumber(failed).join(', '), ...byNumber(refused).map((line) => `refused: ${line}`)];
}
