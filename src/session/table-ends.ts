/**
 * Rows that the transaction at hand has stored in a table which is not read whole for it: new ones mostly stand at its end. They are looked
 * for there, from further and further in front, until all of them are found: their number is known.
 */
import type { Backend } from '../backend/backend.ts';
import type { Column, Table } from '../cluster/table.ts';
import {
  alone,
  blocksText,
  commandsText,
  digestText,
  type OfCommands,
  ofCommands,
  type Source,
  type Told,
} from '../fanout/captured-rows.ts';
import { answerOf } from './own-questions.ts';

/** Blocks that are looked at first; servers add a few at once. */
const FIRST_BLOCKS = 16;
const FACTOR = 8;
/** Read for each statement where new rows fill gaps elsewhere: some hundredths of a second. */
const END_BYTES = 8 * 1024 * 1024;

/** Of rows that one has stored and not touched since, and others. */
interface Commands {
  /** Of each, its place in the transaction (cmin), and how many rows it has stored; the latest first. */
  readonly stored: readonly { readonly command: number; readonly rows: number }[];
  /** Whether cmin may not say which command has stored a row: one's own command has changed or locked it since. */
  readonly touched: 'none' | 'some';
}

/** Answers with what `found` makes of a part of the table that is large enough; undefined where none is. Rejects with PproxError. */
async function search<T>(
  backend: Backend,
  source: Source,
  part: 'end' | 'whole table',
  found: (commands: Commands, fromBlock: number) => T | undefined,
): Promise<T | undefined> {
  const [size] = (await answerOf(backend, blocksText(source))).rows;
  const [blocks, blockBytes] = [Number(size?.[0]), Number(size?.[1])];
  const limit = part === 'whole table' ? blocks : END_BYTES / blockBytes;
  for (let tail = FIRST_BLOCKS; ; tail *= FACTOR) {
    const from = Math.max(0, blocks - Math.min(tail, limit));
    const { rows } = await answerOf(backend, commandsText(source, from));
    const stored = rows.map(([command, count]) => ({ command: Number(command), rows: Number(count) }));
    const touched = rows.some(([, , some]) => some !== '0') ? 'some' : 'none';
    const answer = found({ stored, touched }, from);
    if (answer !== undefined || from === 0 || tail >= limit) return answer;
  }
}

/** The rows that the latest command has stored, `count` of them; nobody has touched any of what stands there since. */
export function storedByLatest(backend: Backend, told: Told, table: Table, count: number): Promise<Told | undefined> {
  return search(backend, alone(told.name), 'whole table', ({ stored: [latest], touched }, fromBlock) => {
    if (latest?.rows !== count || touched === 'some') return undefined;
    return ofCommands(told, table, { from: latest.command, fromBlock }, count);
  });
}

/**
 * The rows that the latest commands have stored, `count` of them, where the transaction has stored `inAll` and changed none of them since. So all
 * of its rows have been found, and none of an earlier command is taken for one of these.
 */
export function storedAtEnd(
  backend: Backend,
  told: Told,
  table: Table,
  count: number,
  inAll: number,
): Promise<Told | undefined> {
  return search(backend, alone(told.name), 'end', (commands, fromBlock) => {
    if (!isAll(commands, inAll)) return undefined;
    let rows = 0;
    for (const one of commands.stored) {
      rows += one.rows;
      if (rows === count) return ofCommands(told, table, { from: one.command, fromBlock }, count);
    }
    return undefined;
  });
}

/** Of all rows that the transaction has stored, `inAll` of them; undefined where they are not found. */
export async function digestAtEnd(
  backend: Backend,
  source: Source,
  columns: readonly Column[],
  inAll: number,
): Promise<string | undefined> {
  const part = await search(backend, source, 'end', (commands, fromBlock): OfCommands | undefined =>
    isAll(commands, inAll) ? { from: 0, fromBlock } : undefined,
  );
  if (part === undefined) return undefined;
  const [row] = (await answerOf(backend, digestText(source, columns, part.fromBlock))).rows;
  return row?.join(' of hash ');
}

function isAll({ stored, touched }: Commands, inAll: number): boolean {
  return touched === 'none' && stored.reduce((sum, { rows }) => sum + rows, 0) === inAll;
}
