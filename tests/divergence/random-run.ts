/** Plays one random schema: makes it through a proxy, lets the clients run their transactions at the same time, compares all writers. */
import pg from 'pg';
import { Random } from '../simulation/random.ts';
import { sql } from '../support/cluster.ts';
import { differences, settled } from './compare.ts';
import { connect, type Field } from './harness.ts';
import { definitions, type Draft, tablesOf } from './random-schema.ts';
import { type Drawn, transaction } from './random-statements.ts';
import { type Ending, runTransaction } from './transaction.ts';

/** One transaction of one client; those of a client run one after another. */
export interface Turn {
  readonly client: number;
  readonly seed: number;
}

export interface World {
  readonly draft: Draft;
  readonly turns: readonly Turn[];
}

export interface Tally {
  schemas: number;
  transactions: number;
  committed: number;
  rolledBack: number;
  differing: number;
  /** Attempts that failed, by SQLSTATE, with `follower` behind it where a follower alone has failed. */
  readonly failed: Map<string, number>;
  /** One example of each. */
  readonly examples: Map<string, string>;
}

export function emptyTally(): Tally {
  return {
    schemas: 0,
    transactions: 0,
    committed: 0,
    rolledBack: 0,
    differing: 0,
    failed: new Map(),
    examples: new Map(),
  };
}

const DROP_MS = 5_000;

/** What the log says of effects that are not proven: shown beside a difference. */
const TOLD: ReadonlySet<string> = new Set([
  'effects that cannot be compared',
  'rows taken away not known',
  'tables not told',
]);

/** Lost to another transaction, pprox's own refusals, after an error. */
const ALLOWED: ReadonlySet<string> = new Set(['40001', '40P01', '40002', '0A000', '55P03', '25P02']);
/** What the lead may say of rows that meet twice, values, constraints and names. */
const LEADS_OWN = /^(21|22|23|42)...$/;

let schemas = 0;

/** What is wrong with the run: differences between the writers, errors that may not be, hangs. Adds to `tally`. */
export async function play(field: Field, world: World, major: number, tally: Tally): Promise<readonly string[]> {
  schemas += 1;
  const schema = `random_${schemas}`;
  tally.schemas += 1;
  const maker = await connect(field.dsns[0] ?? '');
  const logged = field.logs.map(({ length }) => length);
  try {
    const made = await make(maker, schema, world, major);
    if (made !== undefined) return [made];
    const wrong = await Promise.all(
      clientsOf(world).map(([index, turns]) => runClient(field, schema, { world, index, turns, major }, tally)),
    );
    await settled(field.writers);
    // What a statement that failed, or a row that met another one, has drawn is used up on the lead alone.
    const found = await differences(field.writers, schema, 'free');
    if (found.length > 0) tally.differing += 1;
    const told = field.logs.flatMap((lines, index) =>
      lines.slice(logged[index]).filter(({ event }) => TOLD.has(event)),
    );
    return [
      ...found,
      ...(found.length + wrong.flat().length > 0 ? told.map((line) => `logged: ${JSON.stringify(line)}`) : []),
      ...wrong.flat(),
    ];
  } finally {
    await maker.query(`SET lock_timeout = ${DROP_MS}; DROP SCHEMA ${schema} CASCADE`).catch(async () => {
      // Writers that differ may not do the same when they drop.
      for (const server of field.writers)
        await sql(server, `SET lock_timeout = ${DROP_MS}; DROP SCHEMA IF EXISTS ${schema} CASCADE`);
    });
    await maker.end();
  }
}

/** Why the schema could not be made. */
async function make(maker: pg.Client, schema: string, { draft }: World, major: number): Promise<string | undefined> {
  for (const text of [`CREATE SCHEMA ${schema}`, `SET search_path = ${schema}`, ...definitions(draft, major)]) {
    try {
      await maker.query(text);
    } catch (error) {
      return `${text}: ${codeOf(error)} ${String(error)}`;
    }
  }
  return undefined;
}

function codeOf(error: unknown): string {
  return error instanceof pg.DatabaseError ? (error.code ?? '') : '';
}

function clientsOf({ turns }: World): readonly (readonly [number, readonly Turn[]])[] {
  const byClient = new Map<number, Turn[]>();
  for (const turn of turns) byClient.set(turn.client, [...(byClient.get(turn.client) ?? []), turn]);
  return [...byClient];
}

interface Part {
  readonly world: World;
  readonly index: number;
  readonly turns: readonly Turn[];
  readonly major: number;
}

async function runClient(field: Field, schema: string, part: Part, tally: Tally): Promise<readonly string[]> {
  const { world, index, turns, major } = part;
  const client = await connect(field.dsns[index % field.dsns.length] ?? '');
  await client.query(`SET search_path = ${schema}`);
  const tables = tablesOf(world.draft);
  const wrong: string[] = [];
  for (const { seed } of turns) {
    const { commands, begin } = transaction(tables, seed, major);
    tally.transactions += 1;
    const played = { name: 'random', schema: '', step: () => commands, begin };
    const endings = await runTransaction(client, played, commands, new Random(seed + 1));
    wrong.push(...endings.flatMap((ending) => judge(ending, tally)));
    if (endings.at(-1)?.kind === 'broken') {
      client.end().catch(() => undefined);
      return wrong;
    }
  }
  await client.end();
  return wrong;
}

function judge(ending: Ending, tally: Tally): readonly string[] {
  if (ending.kind === 'broken') return [`broken: ${ending.text}`];
  if (ending.kind === 'error') return judgeError(ending, tally);
  if (ending.kind === 'committed') tally.committed += 1;
  else tally.rolledBack += 1;
  return [];
}

function judgeError({ code, origin, text }: Ending & { readonly kind: 'error' }, tally: Tally): readonly string[] {
  const name = origin === 'follower' ? `${code} follower` : code;
  tally.failed.set(name, (tally.failed.get(name) ?? 0) + 1);
  if (!tally.examples.has(name)) tally.examples.set(name, text);
  return ALLOWED.has(code) || LEADS_OWN.test(name) ? [] : [`not allowed from ${origin}: ${text}`];
}

/** All that the run does, as SQL with a comment in front of each transaction. */
export function script({ draft, turns }: World, major: number): readonly string[] {
  const tables = tablesOf(draft);
  const shown = ({ commands, begin }: Drawn): readonly string[] =>
    [begin, ...commands].map((command) => (typeof command === 'string' ? command : JSON.stringify(command)));
  return [
    ...definitions(draft, major),
    ...turns.flatMap(({ client, seed }) => [
      `-- client ${client}, ${seed}`,
      ...shown(transaction(tables, seed, major)),
    ]),
  ];
}

export function report(tally: Tally): string {
  const failed = [...tally.failed].map(([code, count]) => `${code}: ${count}`).toSorted();
  const { schemas: played, transactions, committed, rolledBack, differing } = tally;
  const counts = `${played} schemas, ${transactions} transactions: ${committed} committed, ${rolledBack} rolled back`;
  return `${counts}; attempts failed by ${failed.join(', ') || 'nothing'}; writers differ in ${differing}`;
}
