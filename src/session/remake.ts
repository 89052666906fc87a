/**
 * Definitions that give rows values which vary. ALTER TABLE, on followers once they have run it too: defaults become what the lead's are,
 * and its rows the lead's. CREATE TABLE AS: they get the table, and its rows. Nobody else sees it before the transaction has ended.
 */
import { tell as tellRows, type Told } from '../fanout/captured-rows.ts';
import type { Effect, FollowerFailure } from '../fanout/follower.ts';
import { changes, isOfObjects, type Look } from '../fanout/hidden-effects.ts';
import type { Remade, SameTextPlan } from '../fanout/plan.ts';
import { PproxError } from '../lib/errors.ts';
import { qualified, quoteLiteral } from '../sql/quote.ts';
import type { QualifiedName } from '../sql/statement.ts';
import { answerOf } from './own-questions.ts';
import { askLegs, beginFollowers, othersVisible, prove, tell, throwFailures } from './replay.ts';
import type { WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';
import { endQuiet, quieten, sendTold } from './told-rows.ts';

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
  if (remade.table === undefined) {
    // Nothing was made where it stood already.
    if (effect.tag?.startsWith('SELECT') !== true) return;
    await makeTable(session, block, remade);
  }
  const differ = remade.rows === 'told' ? [] : await prove(session, block, proof, effect);
  if (remade.rows !== 'told' && differ.length === 0) return;
  if (remade.rows === 'not told') throwFailures(block, differ);
  await tellTable(session, block, remade, differ, started);
  throwFailures(block, await prove(session, block, proof, effect));
}

/** Without its rows, as CREATE TABLE AS has made it on the lead. */
async function makeTable(session: SessionState, block: WritersBlock, { name }: Remade): Promise<void> {
  const { lead, followers } = block.legs;
  const { rows } = await answerOf(lead.lease.backend, definitionText(qualified(name)));
  const text = rows[0]?.[0];
  if (typeof text !== 'string')
    throw new PproxError('not_replayed', { message: `the table ${name.name} is not what it was made as` });
  await othersVisible(session, followers);
  beginFollowers(session, block);
  throwFailures(block, await askLegs(followers, session.services.settings.followerTimeoutMs, () => text));
}

/** Columns and their collations, storage parameters, method and tablespace: CREATE TABLE AS gives a table nothing else. */
function definitionText(table: string): string {
  return `SELECT pg_catalog.format('CREATE %s TABLE %s (%s) %s %s %s',
      CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED' ELSE '' END, ${quoteLiteral(table)},
      (SELECT string_agg(pg_catalog.format('%I %s%s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
          (SELECT pg_catalog.format(' COLLATE %I.%I', n.nspname, l.collname) FROM pg_catalog.pg_collation l
            JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace WHERE l.oid = a.attcollation AND l.collname <> 'default')), ', ' ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
      (SELECT pg_catalog.format('USING %I', amname) FROM pg_catalog.pg_am WHERE oid = c.relam),
      (SELECT pg_catalog.format('WITH (%s)', string_agg(o.prefix || pg_catalog.regexp_replace(o.option, '=(.*)$', '=''\\1'''), ', '))
        FROM (SELECT '' AS prefix, unnest(c.reloptions) AS option
          UNION ALL SELECT 'toast.', unnest(t.reloptions) FROM pg_catalog.pg_class t WHERE t.oid = c.reltoastrelid) o
        HAVING count(*) > 0),
      (SELECT pg_catalog.format('TABLESPACE %I', spcname) FROM pg_catalog.pg_tablespace WHERE oid = c.reltablespace))
    FROM pg_catalog.pg_class c WHERE c.oid = to_regclass(${quoteLiteral(table)})`;
}

/** The expressions, as the lead has kept them: of each table by itself, since one that inherits may have had its own. */
async function restoreDefaults(
  session: SessionState,
  block: WritersBlock,
  { name, table, defaults }: Remade,
): Promise<void> {
  const tables = (table?.stored ?? [qualified(name)]).map((one) => `to_regclass(${quoteLiteral(one)})`).join(', ');
  const { rows } = await answerOf(
    block.legs.lead.lease.backend,
    `SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(a.attname), pg_catalog.pg_get_expr(d.adbin, d.adrelid)
      FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE a.attrelid IN (${tables}) AND a.attname IN (${defaults.map(quoteLiteral).join(', ')})`,
  );
  if (rows.length === 0) return;
  beginFollowers(session, block);
  const text = rows
    .map(
      ([one, column, value]) => `ALTER TABLE ONLY ${one ?? ''} ALTER COLUMN ${column ?? ''} SET DEFAULT ${value ?? ''}`,
    )
    .join('; ');
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
  const quiet = told === undefined ? undefined : await quieten(session, block, told, [], 'asked for');
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
  throwFailures(block, await sendTold(session, block, told, started));
  endQuiet(block, quiet);
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
    const key = old?.keys.find((names) =>
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

/** Followers are told the rows of what the statement makes; what event triggers have written beside them, nobody compares then. */
export async function refuseBeside(
  session: SessionState,
  block: WritersBlock,
  name: QualifiedName,
  [before, after]: readonly [Look, Look],
): Promise<void> {
  // As it is now.
  block.catalog = 'changed';
  const own = (await session.services.catalog.table(session, name))?.stored ?? [];
  const [other] = [...changes({ before, after }).keys()].filter((table) => !isOfObjects(table) && !own.includes(table));
  if (other === undefined) return;
  throw new PproxError('not_replayed', {
    message: `event triggers have written to ${other} beside a table that is made of rows of the lead`,
    hint: 'Create the table first, and fill it by INSERT.',
  });
}
