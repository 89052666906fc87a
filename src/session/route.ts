/** A statement's route, once the catalog and the session have had their say. They can only raise it. */
import { BackendLostError } from '../backend/receiver.ts';
import type { DatabaseFacts } from '../cluster/database-facts.ts';
import { isOfTemporary, isOnTemporary, reachesPermanent } from '../fanout/temporary.ts';
import { READS_NAMED } from '../sql/function-effects.ts';
import { TEMPORARY } from '../sql/tree.ts';
import { isTimeout, isTransactionDefault } from '../sql/setting-names.ts';
import type { QualifiedName, Route, Statement } from '../sql/statement.ts';
import { readText } from './analysis.ts';
import type { SessionState } from './state.ts';
import { PproxError } from '../lib/errors.ts';
import { TransactionStatus } from '../wire/tags.ts';

export async function resolveRoute(
  session: SessionState,
  statement: Statement,
  hint: 'reader' | 'lead' | undefined,
): Promise<Route> {
  const { command } = statement;
  session.own.begin(isPlain(statement) ? 'plain' : 'any');
  if (statement.settings.length > 0) session.settings.name(statement.settings);
  // Outside a block these do nothing but warn: that is the lead's to say, not a transaction's to hold.
  if (command.kind === 'set transaction' && command.scope === 'transaction') return 'lead';
  // A snapshot is of one server.
  if (command.kind === 'set' && command.name === 'transaction snapshot') return 'lead';
  if (command.kind === 'set' || command.kind === 'set transaction') return setting(session, statement);
  if (command.kind === 'utility' && command.name === 'SET CONSTRAINTS' && session.block.kind === 'none') return 'lead';
  if (statement.node === 'FetchStmt') await lookBehindCursors(session);
  if (statement.node === 'DeclareCursorStmt' && statement.durable.length > 0 && session.followers === 'some')
    throw volatileCursor();
  let route = statement.route;
  if (route !== 'writers') {
    const raised = await raisedByCatalog(session, statement);
    if (raised === 'writers') {
      if (command.kind === 'utility' && session.followers === 'some') throw volatileCursor();
      session.pins.add('volatile function');
      session.own.begin('any');
    }
    if (raised !== 'reader' && command.kind !== 'utility') route = raised;
  }
  if (isOfTemporary(statement) && (await reachesPermanent(session.services.catalog, session, statement)))
    return 'writers';
  const named = route === 'lead' && statement.reason === TEMPORARY && command.kind !== 'definition';
  if ((route === 'writers' || named) && session.temporaries !== 'none' && session.followers === 'some') {
    const place = await placeOfTemporary(session, statement);
    if (place === undefined && (command.kind === 'definition' || statement.node === 'TruncateStmt'))
      refuseHidden(await session.services.catalog.hidingPermanent(session));
    route = place ?? route;
  }
  if (route === 'reader' && (hint === 'lead' || statement.needsSequenceState)) route = 'lead';
  if (route === 'lead' && hint === 'reader' && command.kind === 'read' && statement.pins.length === 0) route = 'reader';
  return route;
}

const OF_ROWS: ReadonlySet<Statement['command']['kind']> = new Set(['read', 'insert', 'modify', 'copy in', 'copy out']);

/** Whether it makes and drops nothing, but by what it sets off. */
function isPlain({ command, functions, pins, settings, executes, fills }: Statement): boolean {
  const calls = functions.length > 0 || executes !== undefined;
  const leaves = pins.length > 0 || settings.length > 0;
  return OF_ROWS.has(command.kind) && !calls && !leaves && fills === 'nothing';
}

/**
 * Outside a block the lead learns of it, and the other servers when they are used. In one every server that takes part has to
 * have it at this point, but for what the lead's transactions are by default and how long its work may take.
 */
function setting({ block }: SessionState, { command, pins, settings }: Statement): Route {
  const local = command.kind === 'set' && command.scope === 'local';
  if (block.kind === 'none') return local || (settings.length > 0 && pins.length === 0) ? 'lead' : 'writers';
  if (block.kind === 'writers' && !block.legs.complete) return 'lead';
  const ofTheLead = settings.every(({ name }) => isTransactionDefault(name) || isTimeout(name));
  return settings.length > 0 && ofTheLead ? 'lead' : 'writers';
}

/** A user's function or operator is a read only where the catalog says that it is not volatile; unknown means write. */
export async function raisedByCatalog(session: SessionState, statement: Statement): Promise<Route> {
  const { functions, operators, relations, shadowable, attributes, casts, reason } = statement;
  if (![functions, operators, relations, shadowable, attributes, casts].some((names) => names.length > 0))
    return 'reader';
  const { volatileFunctions, volatileOperators, volatileViews, sequences } = await facts(session);
  const writes =
    functions.some(({ name }) => volatileFunctions.has(name)) ||
    [...shadowable, ...attributes, ...casts].some((name) => volatileFunctions.has(name)) ||
    operators.some(({ name }) => volatileOperators.has(name)) ||
    relations.some(({ name }) => volatileViews.has(name)) ||
    (volatileViews.size > 0 && reason.endsWith(READS_NAMED));
  if (writes) return 'writers';
  // A standby shows a sequence up to 32 values ahead: that is how far the lead has logged it.
  const onLead = relations.some(
    (name) => sequences.has(name.name) || name.name === 'pg_sequences' || describesLead(session, name),
  );
  return onLead ? 'lead' : 'reader';
}

/** Object identifiers differ between servers, except between a primary and its physical standbys. */
function describesLead({ cluster }: SessionState, { schema, name }: QualifiedName): boolean {
  const { kind } = cluster.relation;
  if (kind === 'standby of the lead' || kind === 'the lead itself') return false;
  return schema === 'pg_catalog' || schema === 'information_schema' || (schema === undefined && name.startsWith('pg_'));
}

function volatileCursor(): PproxError {
  return new PproxError('not_replayable', {
    message: 'a cursor over a function that writes would do so on the lead alone',
    detail: 'Nothing was run.',
    hint: 'Call the function in a statement of its own.',
  });
}

/** In pg_cursors, what PL/pgSQL has opened: a client's own cursor was looked at when it was declared. */
const OF_FUNCTIONS = "SELECT statement FROM pg_catalog.pg_cursors WHERE statement !~* '^\\s*declare\\y'";

/** A function may have opened a cursor over what writes: it would do so on the lead alone. Throws PproxError. */
async function lookBehindCursors(session: SessionState): Promise<void> {
  const { block, followers, pins } = session;
  if (
    followers === 'none' ||
    block.kind !== 'writers' ||
    block.status !== TransactionStatus.InBlock ||
    !pins.has('volatile function')
  )
    return;
  for (const [text] of await session.askLead(OF_FUNCTIONS)) {
    const analysis = await readText(session, Buffer.from(text ?? ''));
    if (analysis.kind !== 'statements') throw volatileCursor();
    for (const statement of analysis.statements) {
      if (statement.sequences.calls === 'nextval') session.cursors = 'may draw';
      const writes = statement.durable.length > 0 || (await raisedByCatalog(session, statement)) === 'writers';
      if (writes) throw volatileCursor();
    }
  }
}

type RoutingFacts = Pick<DatabaseFacts, 'volatileFunctions' | 'volatileOperators' | 'volatileViews' | 'sequences'>;

const NOTHING: ReadonlySet<string> = new Set();

/** While the lead is down the catalog cannot be asked: what turns out to write is refused by the reader, which only reads. */
async function facts(session: SessionState): Promise<RoutingFacts> {
  try {
    return await session.services.catalog.facts(session);
  } catch (error) {
    const down =
      error instanceof BackendLostError
        ? session.block.kind !== 'writers' && session.pins.size === 0
        : error instanceof PproxError && error.condition === 'server_unreachable';
    if (!down || session.cluster.reader === undefined) throw error;
    return {
      volatileFunctions: NOTHING,
      volatileOperators: NOTHING,
      volatileViews: NOTHING,
      sequences: NOTHING,
    };
  }
}

/**
 * A definition names more than relations, and what it names is looked up on each server: there a temporary object hides none. Throws
 * PproxError.
 */
export function refuseHidden([name]: readonly string[]): void {
  if (name === undefined) return;
  throw new PproxError('not_replayed', {
    message: `the other writers might take a permanent "${name}" for the session's temporary one`,
    detail: 'A temporary object is on the lead alone, and hides the permanent one of its name there.',
    hint: 'Drop the temporary one first, or use another session for definitions.',
  });
}

/** Where a statement runs that is on temporary objects; undefined where it is not. Rejects with PproxError. */
export async function placeOfTemporary(session: SessionState, statement: Statement): Promise<Route | undefined> {
  const { catalog } = session.services;
  if (session.temporaries === 'none' || !(await isOnTemporary(catalog, session, statement))) return undefined;
  return (await reachesPermanent(catalog, session, statement)) ? 'writers' : 'lead';
}
