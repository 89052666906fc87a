/** Of which edition of the definitions a transaction is, from its first plan to its end (`commit/definitions.ts`). */
import {
  definitionChanged,
  definitionsUnknown,
  type Edition,
  sameEdition,
  unchanged,
  UNKNOWN_EDITION,
} from '../commit/definitions.ts';
import { NotReplayable, type ReplayPlan } from '../fanout/plan.ts';
import { quoteLiteral } from '../sql/quote.ts';
import { type Condition, PproxError } from '../lib/errors.ts';
import type { Statement } from '../sql/statement.ts';
import { definitionAsker } from './definition-asker.ts';
import type { PlannedBy } from './planned-by.ts';
import { isolationCalled, type WritersBlock } from './block.ts';
import type { SessionState } from './state.ts';

/** What it changes of definitions for others: by its text, and out of sight as far as that has been seen. */
export async function noteChanges(
  session: SessionState,
  { plannedBy, touched, isolation }: WritersBlock,
  { command }: Statement,
): Promise<void> {
  if (touched.made === 'objects') plannedBy.change('objects');
  if (command.kind !== 'definition') return;
  const { changes, names } = command;
  // An older state does not show what others have made since.
  const hides =
    changes === 'relations' &&
    names.length > 0 &&
    (isolation !== 'read committed' || (await areElsewhere(session, names)));
  plannedBy.change(hides ? 'objects' : changes);
}

/** Whether another schema has a relation or type of such a name, which may have been meant by it before. */
async function areElsewhere(session: SessionState, names: readonly string[]): Promise<boolean> {
  const list = names.map(quoteLiteral).join(', ');
  const [row] = await session.askLead(`SELECT pg_catalog.bool_or(n > 1) FROM (
      SELECT pg_catalog.count(*) AS n FROM pg_catalog.pg_class WHERE relname IN (${list}) AND relpersistence <> 't' GROUP BY relname
      UNION ALL SELECT pg_catalog.count(*) FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid
        WHERE typname IN (${list}) AND relpersistence IS DISTINCT FROM 't' GROUP BY typname) found`);
  return row?.[0] === 't';
}

/** What a statement is to be planned by; undefined where there is nobody to agree with. Rejects with PproxError. */
export function currentEdition(session: SessionState, statement: Statement): Edition | undefined | Promise<Edition> {
  const { block } = session;
  const { command, node } = statement;
  if (session.followers === 'none' || OF_THE_SESSION.has(command.kind)) return undefined;
  if (saysWhoMay(statement)) return undefined;
  // Nothing has waited for it; and the question would be the first query of a transaction that may be told its isolation level.
  const written = block.kind === 'writers' && block.writes === 'possible';
  if (node === 'ConstraintsSetStmt' && !written) return undefined;
  const { definitions } = session.services.coordinator;
  if (block.kind !== 'writers') return orUnknown(definitions.current(definitionAsker(session)));
  if (block.isolation === 'unknown') return learnIsolation(session, block).then(() => ofBlock(session, block));
  return ofBlock(session, block);
}

function ofBlock(session: SessionState, block: WritersBlock): Edition | Promise<Edition> {
  const { definitions } = session.services.coordinator;
  const { edition, beginning } = block.plannedBy;
  if (block.isolation !== 'read committed')
    return edition ?? orUnknown(definitions.ofSnapshot(definitionAsker(session), beginning));
  const now = orUnknown(definitions.current(definitionAsker(session)));
  return now instanceof Promise ? now.then((found) => settled(session, block, found)) : settled(session, block, now);
}

const RIGHTS: ReadonlySet<string> = new Set([
  'AlterDefaultPrivilegesStmt',
  'AlterOwnerStmt',
  'CommentStmt',
  'GrantRoleStmt',
  'GrantStmt',
  'SecLabelStmt',
]);

/** What no definition but that of the object itself has a part in; by a name that means one object whatever else is defined. */
function saysWhoMay({ node, relations }: Statement): boolean {
  return RIGHTS.has(node) && relations.every(({ schema }) => schema !== undefined);
}

/** A transaction that reads the newest is not held to be one that does not. Takes no snapshot for it. */
async function learnIsolation(session: SessionState, block: WritersBlock): Promise<void> {
  const [row] = await session.askLead('SHOW transaction_isolation');
  block.isolation = isolationCalled(row?.[0] ?? 'unknown');
}

/** Whatever they do is their session's or transaction's alone. */
const OF_THE_SESSION: ReadonlySet<Statement['command']['kind']> = new Set([
  'deallocate',
  'discard',
  'listen',
  'prepare',
  'set',
  'set transaction',
  'transaction',
  'unlisten',
]);

/** SQLSTATEs of a lead that has no schema pprox, or none for the role. */
const CLOSED: ReadonlySet<string> = new Set(['3F000', '42501', '42P01']);

/** Where the role may not know it reads as ever; what it writes is refused when it is to be decided. */
function orUnknown(edition: Edition | Promise<Edition>): Edition | Promise<Edition> {
  if (!(edition instanceof Promise)) return edition;
  return edition.catch((error: unknown) => {
    if (error instanceof PproxError && CLOSED.has(error.sqlstate)) return UNKNOWN_EDITION;
    throw error;
  });
}

/** What is over in the transaction may be of an older edition than what comes next. */
function settled(session: SessionState, block: WritersBlock, now: Edition): Edition {
  const { plannedBy } = block;
  const { edition } = plannedBy;
  if (edition !== undefined && !sameEdition(now, edition) && isOver(session, block, edition)) {
    plannedBy.settle();
    // On no follower it is done once more, by what is defined now.
    block.log.break();
  }
  return now;
}

/** Whether all that the transaction has done, on every server, was over while it was this edition still. */
function isOver(session: SessionState, { isolation, trail, plannedBy }: WritersBlock, edition: Edition): boolean {
  if (!trail.empty) return false;
  const { definitions } = session.services.coordinator;
  const same = isolation === 'read committed' ? sameEdition : unchanged;
  return definitions.lasted(definitionAsker(session), edition, Math.max(plannedBy.ran, trail.ran), same);
}

/**
 * At the end of a transaction: the edition that it is of, as far as this process knows. Where relations have changed since its first plan it
 * is of the later one if all plans are the same by that. Rejects with PproxError `definition_changed`, or where the lead does not tell.
 */
export async function agreedEdition(session: SessionState, block: WritersBlock): Promise<Edition | undefined> {
  const { plannedBy } = block;
  const { edition, chosen } = plannedBy;
  if (edition === undefined) return undefined;
  if (block.isolation === 'unknown') await learnIsolation(session, block);
  if (isOver(session, block, edition)) return undefined;
  const { definitions } = session.services.coordinator;
  if (block.isolation !== 'read committed') {
    const latest = await orUnknown(definitions.now(definitionAsker(session)));
    if (latest === UNKNOWN_EDITION) return latest;
    if (edition === UNKNOWN_EDITION) throw definitionsUnknown();
    if (!unchanged(latest, edition)) throw definitionChanged('before it was committed');
    return undefined;
  }
  const now = await orUnknown(definitions.known(definitionAsker(session)));
  if (now === UNKNOWN_EDITION || sameEdition(now, edition)) return now;
  if (edition === UNKNOWN_EDITION) throw definitionsUnknown();
  if (now.objects !== edition.objects || chosen === undefined) throw definitionChanged('before it was committed');
  // What its names mean by now they may not have meant when it was planned.
  if (plannedBy.scope !== session.scope || session.caching !== 'allowed')
    throw definitionChanged('before it was committed');
  for (const { statement, plan } of chosen)
    if (!(await plannedAlike(session, statement, plan))) throw definitionChanged('before it was committed');
  // Who has drawn from them may have taken followers to be where they are not any more.
  for (const name of block.touched.drawn) block.touched.setBack.add(name);
  return now;
}

/** By a transaction that is about to change definitions: others may need to know until when they were what they had been. */
export async function witness(session: SessionState, block: WritersBlock): Promise<void> {
  if (block.isolation === 'unknown') await learnIsolation(session, block);
  if (block.isolation !== 'read committed') return;
  try {
    await session.services.coordinator.definitions.witness(definitionAsker(session));
  } catch (error) {
    // It is refused when it is to be decided.
    if (!(error instanceof PproxError && CLOSED.has(error.sqlstate))) throw error;
  }
}

/**
 * At the end of a transaction that has drawn from sequences: what was known of followers' before is known no more, where others have set some.
 * Answers with Edition's `sequences`. Rejects as the asker.
 */
export async function sequencesNow(session: SessionState): Promise<string> {
  const { definitions } = session.services.coordinator;
  return (await orUnknown(definitions.now(definitionAsker(session)))).sequences;
}

/** What is said of followers that have done something else than the lead, or refuse to. */
const OF_FOLLOWERS: ReadonlySet<Condition> = new Set<Condition>(['follower_failed', 'writers_differ']);

/** Where that may have come of a definition that was changed meanwhile the transaction may be tried again. */
export async function causeOf(session: SessionState, { edition }: PlannedBy, error: PproxError): Promise<PproxError> {
  if (edition === undefined || !OF_FOLLOWERS.has(error.condition)) return error;
  const { definitions } = session.services.coordinator;
  const now = await definitions.now(definitionAsker(session)).catch((refusal: unknown) => {
    if (!(refusal instanceof PproxError)) throw refusal;
    // Not known: it is the follower's word.
    return edition;
  });
  if (unchanged(now, edition)) return error;
  return definitionChanged('before all writers had it', [error.message, error.detail ?? []].flat().join('\n'));
}

/** Whether the statement, planned once more, gets this plan. */
export async function plannedAlike(session: SessionState, statement: Statement, plan: ReplayPlan): Promise<boolean> {
  try {
    return JSON.stringify(await session.services.planner.plan(session, statement)) === JSON.stringify(plan);
  } catch (error) {
    if (error instanceof NotReplayable) return false;
    throw error;
  }
}
