/** One transaction of a case, as a client runs it: alone, in a block, rolled back, behind a savepoint; and once more where it may be. */
import pg from 'pg';
import type { Random } from '../simulation/random.ts';
import type { Case, Command } from './case.ts';
import { copyIn } from '../support/copy-in.ts';

export type Ending =
  | { readonly kind: 'committed' }
  | { readonly kind: 'rolled back' }
  /** `origin`: `follower` where the lead had done it already. */
  | {
      readonly kind: 'error';
      readonly code: string;
      readonly origin: 'lead or pprox' | 'follower';
      readonly text: string;
    }
  /** The connection is of no use any more. */
  | { readonly kind: 'broken'; readonly text: string };

/** A transaction that lost to another one is tried so often. */
const ATTEMPTS = 4;
const TRY_AGAIN: ReadonlySet<string> = new Set(['40001', '40P01', '55P03']);

/** Each attempt's ending; the last one is the transaction's. */
export async function runTransaction(
  client: pg.Client,
  { wrapping = 'any', begin = 'BEGIN' }: Case,
  commands: readonly Command[],
  random: Random,
): Promise<readonly Ending[]> {
  const run = arrange(commands, random, wrapping, begin);
  const endings: Ending[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    const ending = await runOnce(client, run);
    endings.push(ending);
    if (ending.kind !== 'error' || !TRY_AGAIN.has(ending.code)) break;
  }
  return endings;
}

interface Run {
  readonly commands: readonly Command[];
  readonly ends: 'committed' | 'rolled back';
}

function arrange(commands: readonly Command[], random: Random, wrapping: 'any' | 'block' | 'own', begin: string): Run {
  const luck = random.next();
  if (wrapping === 'own') return { commands, ends: 'committed' };
  if (luck < 0.1) return { commands: [begin, ...commands, 'ROLLBACK'], ends: 'rolled back' };
  if (luck < 0.25) {
    const undone = [begin, 'SAVEPOINT s', ...commands, 'ROLLBACK TO s'];
    return { commands: [...undone, ...commands, 'COMMIT'], ends: 'committed' };
  }
  if (wrapping === 'any' && luck < 0.55) {
    if (commands.length === 1) return { commands, ends: 'committed' };
    const texts = commands.filter((command) => typeof command === 'string');
    if (texts.length === commands.length) return { commands: [texts.join('; ')], ends: 'committed' };
  }
  return { commands: [begin, ...commands, 'COMMIT'], ends: 'committed' };
}

async function runOnce(client: pg.Client, { commands, ends }: Run): Promise<Ending> {
  let current: Command = '';
  try {
    for (current of commands) {
      const tag = await runCommand(client, current);
      // PostgreSQL's answer to COMMIT of a transaction that has failed.
      if (current === 'COMMIT' && tag !== 'COMMIT') return { kind: 'broken', text: `COMMIT was answered with ${tag}` };
    }
    return { kind: ends };
  } catch (error) {
    const text = `${textOf(current).slice(0, 600)}: ${String(error)}`;
    if (!(error instanceof pg.DatabaseError) || error.code === undefined) return { kind: 'broken', text };
    const { code, detail, hint } = error;
    const whole = [code, text, ...(detail === undefined ? [] : [detail])].join(' ');
    const follower = hint?.includes('Nothing of this was applied on any writer.') === true && code !== '40002';
    const broken = await client.query('ROLLBACK').then(
      () => undefined,
      (second: unknown) => String(second),
    );
    if (broken !== undefined) return { kind: 'broken', text: `${whole}; then ROLLBACK: ${broken}` };
    return { kind: 'error', code, origin: follower ? 'follower' : 'lead or pprox', text: whole };
  }
}

function textOf(command: Command): string {
  if (typeof command === 'string') return command;
  return 'copy' in command ? command.copy : `${command.text} with ${JSON.stringify(command.values)}`;
}

/** Returns the word of the last CommandComplete. */
async function runCommand(client: pg.Client, command: Command): Promise<string> {
  if (typeof command !== 'string') {
    if ('copy' in command) await copyIn(client, command.copy, command.data);
    else await client.query({ ...command, values: [...command.values] });
    return '';
  }
  const result: unknown = await client.query(command);
  const last: unknown = Array.isArray(result) ? result.at(-1) : result;
  return last instanceof pg.Result && typeof last.command === 'string' ? last.command : '';
}
