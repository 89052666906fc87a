/**
 * ALTER TABLE that gives the rows there are values which vary, on followers once they have run it too: defaults become what the lead's are,
 * and its rows the lead's. Nobody else sees the table before the transaction has ended.
 */
import { tell as tellRows, type Told } from '../fanout/captured-rows.ts';
import type { Effect, FollowerFailure } from '../fanout/follower.ts';
import type { Remade, SameTextPlan } from '../fanout/plan.ts';
import { PproxError } from '../lib/errors.ts';
import { qualified, quoteIdentifier, quoteLiteral } from '../sql/quote.ts';
import { answerOf } from './own-questions.ts';
import { askLegs, beginFollowers, prove, tell, throwFailures } from './replay.ts';
import type { SessionState, WritersBlock } from './state.ts';
import { quieten, sendTold } from './told-rows.ts';

/** Throws PproxError where that is not possible; the transaction is rolled back then. `started`: by performance.now(). */
export async function remake(
  session: SessionState,
  block: WritersBlock,
  { remade, proof }: SameTextPlan,
  effect: Effect,
  started: number,
): Promise<void> {
  if (remade === undefined) return;
  // What is asked from here on is about the table as it is now.
  block.catalog = 'changed';
  if (remade.defaults.length > 0) await restoreDefaults(session, block, remade);
  if (proof === undefined) return;
  const differ = remade.rows === 'told' ? [] : await prove(session, block, proof, effect);
  if (remade.rows !== 'told' && differ.length === 0) return;
  await tellTable(session, block, remade, differ, started);
  throwFailures(block, await prove(session, block, proof, effect));
}

/** The expressions, as the lead has kept them. */
async function restoreDefaults(session: SessionState, block: WritersBlock, { name, defaults }: Remade): Promise<void> {
  const table = qualified(name);
  const { rows } = await answerOf(
    block.legs.lead.lease.backend,
    `SELECT a.attname, pg_catalog.pg_get_expr(d.adbin, d.adrelid) FROM pg_catalog.pg_attribute a
      JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = to_regclass(${quoteLiteral(table)}) AND a.attname IN (${defaults.map(quoteLiteral).join(', ')})`,
  );
  const parts = rows.map(([column, text]) => `ALTER COLUMN ${quoteIdentifier(column ?? '')} SET DEFAULT ${text ?? ''}`);
  if (parts.length === 0) return;
  beginFollowers(session, block);
  const text = `ALTER TABLE ${table} ${parts.join(', ')}`;
  throwFailures(block, await askLegs(block.legs.followers, session.services.settings.followerTimeoutMs, () => text));
}

/** `differ`: what is thrown where the rows cannot be told. */
async function tellTable(
  session: SessionState,
  block: WritersBlock,
  remade: Remade,
  differ: readonly FollowerFailure[],
  started: number,
): Promise<void> {
  const told = await toldOf(session, remade);
  beginFollowers(session, block);
  const quiet = told === undefined ? undefined : await quieten(session, block, told, []);
  if (told === undefined || quiet === undefined) {
    throwFailures(block, differ);
    throw new PproxError('not_replayed', {
      message: `the rows of ${remade.name.name} cannot be told to the followers`,
      detail:
        'It has triggers that the session may not turn off on a follower, or foreign keys refer to it and it has no key that stays as it is.',
      hint: 'Add the column without the default, fill it by UPDATE, and set the default in a third statement.',
    });
  }
  if (quiet.begin !== '') for (const leg of block.legs.followers) tell(leg, quiet.begin);
  await sendTold(session, block, told, started);
  quiet.end();
}

/** Of each table that its rows stand in. All of them are new, on the lead and on followers: the table was written anew. */
async function toldOf(session: SessionState, { name, table: old }: Remade): Promise<readonly Told[] | undefined> {
  const { catalog } = session.services;
  const table = await catalog.table(session, name);
  const told: Told[] = [];
  for (const stored of table?.stored ?? []) {
    const now = await catalog.tableOf(session, stored);
    if (now === undefined) return undefined;
    // Of a partitioned table itself there are none.
    if (now.kind === 'p') continue;
    const types = new Map(now.columns.map((column) => [column.name, column.type]));
    const key = old.keys.find((names) =>
      names.every((one) => old.columns.some((column) => column.name === one && column.type === types.get(one))),
    );
    // By a key where rows may not go for a moment: others refer to them.
    const keys = now.referenced === 'no' || key === undefined ? [] : [key];
    const one = tellRows(stored, { ...now, keys }, 'rows are new');
    if (one === undefined || now.kind !== 'r') return undefined;
    told.push(one);
  }
  return told;
}
