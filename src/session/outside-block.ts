/** Statements that PostgreSQL does not allow in a transaction block. */
import { BackendLostError } from '../backend/receiver.ts';
import type { FollowerFailure } from '../fanout/follower.ts';
import { PproxError } from '../lib/errors.ts';
import type { Statement } from '../sql/statement.ts';
import { decodeCommandTag } from '../wire/backend.ts';
import { encodeNotice } from '../wire/error-fields.ts';
import type { DefinitionAsker } from '../commit/definitions.ts';
import type { FollowerLeg, Legs } from './legs.ts';
import { asLoginRole } from '../commit/decisions.ts';
import { answerOf } from './own-questions.ts';
import { Relay } from './relay.ts';
import type { Request } from './request.ts';
import { notePins } from './pins.ts';
import { notePosition } from './position.ts';
import type { SessionState } from './state.ts';
import { FAILED, type StatementEnd } from './statement-end.ts';
import { leaveDatabase } from './leave-database.ts';
import { allVisible, onFollowers } from './replay.ts';

/**
 * What PostgreSQL does not allow in a transaction block runs on the lead, then on each follower. It cannot be undone:
 * a failure behind the lead says where it ran and where not.
 */
export async function outsideBlock(
  session: SessionState,
  statement: Statement,
  request: Request,
): Promise<StatementEnd> {
  const leaves = await session.services.planner.leaves(session, statement);
  const legs = await session.leaseWriters();
  const { backend } = legs.lead.lease;
  // Whatever becomes of it.
  if (leaves === 'something') for (const one of legs.backends) one.remains = 'perhaps something';
  leaveDatabase(session, statement);
  let ran: 'not everywhere' | 'everywhere' = 'not everywhere';
  try {
    const started = performance.now();
    await request.prepare(backend);
    const { message, replies } = request.encode(backend);
    const relay = new Relay(session.link, backend, { completion: 'hold', replies });
    backend.send(message, relay);
    const result = await session.cancellable(backend, relay.result);
    session.told.note(backend);
    if (result.error !== undefined) {
      if (INDEXES.has(statement.node) && !result.error.code.startsWith(REFUSED))
        session.link.send(perhapsLeft(legs.lead.node.label, legs.followers.length));
      return FAILED;
    }
    session.services.catalog.forget();
    session.services.sequences.forget();
    const tag = result.held === undefined ? '' : decodeCommandTag(result.held, 0, result.held.length);
    await allVisible(session, legs.followers).catch((error: unknown) => {
      throw error instanceof PproxError ? leadAlone(legs.lead.node.label, legs.followers, error) : error;
    });
    const failures = await onFollowers(
      session,
      legs.followers,
      (node) => request.encodeFor(node, request.text),
      { tag, rows: undefined },
      performance.now() - started,
    );
    await countChanges(session, statement, legs);
    if (failures.length > 0) throw partly(legs.lead.node.label, legs.followers, failures);
    notePins(session, statement, 'not looked at');
    ran = 'everywhere';
    return { kind: 'done', held: result.held };
  } catch (error) {
    if (error instanceof BackendLostError) {
      throw new PproxError('partly_executed', {
        message: `the connection to ${legs.lead.node.label} was lost while it ran a statement that no transaction holds`,
        detail: `${legs.lead.node.label}: unknown\n${legs.followers.map(({ node }) => `${node.label}: not run`).join('\n')}`,
        hint: 'See on the lead what became of the statement, then run it again.',
      });
    }
    throw error;
  } finally {
    await session.giveBack(legs);
    if (ran === 'everywhere') await notePosition(session);
  }
}

/** "If a problem arises …, the CREATE INDEX command will fail but leave behind an invalid index" (manual, "Building Indexes Concurrently"). */
const INDEXES: ReadonlySet<string> = new Set(['IndexStmt', 'ReindexStmt']);
/** The class of SQLSTATEs of what has not been begun: syntax, names, rights. */
const REFUSED = '42';

function perhapsLeft(lead: string, followers: number): Buffer {
  return encodeNotice({
    severity: 'WARNING',
    code: '01000',
    message: `an invalid index may be left on ${lead}${followers > 0 ? ', and nowhere else' : ''}`,
    hint: `Remove it with DROP INDEX IF EXISTS${followers > 0 ? ', which passes over the other writers' : ''}.`,
  });
}

/** For transactions of other processes. It has been done, counted or not. */
async function countChanges(session: SessionState, { command }: Statement, { lead }: Legs): Promise<void> {
  if (command.kind !== 'definition') return;
  try {
    const ask = async (text: string): ReturnType<DefinitionAsker['ask']> => {
      const { rows } = await answerOf(lead.lease.backend, asLoginRole(text));
      return rows;
    };
    await session.services.coordinator.definitions.record(ask, command.changes);
  } catch (error) {
    if (!(error instanceof PproxError) && !(error instanceof BackendLostError)) throw error;
    session.log.warn('a change of definitions could not be counted: other processes notice it some seconds later', {
      reason: error.message,
    });
  }
}

function partly(lead: string, followers: readonly FollowerLeg[], failures: readonly FollowerFailure[]): PproxError {
  const failed = new Map(failures.map((failure) => [failure.label, failure]));
  const lines = followers.map(({ node }) => {
    const failure = failed.get(node.label);
    if (failure === undefined) return `${node.label}: done`;
    if (failure.kind !== 'error') return `${node.label}: unknown`;
    return `${node.label}: not done (${failure.fields.code}: ${failure.fields.message})`;
  });
  return doneOn(lead, lines);
}

function leadAlone(lead: string, followers: readonly FollowerLeg[], why: PproxError): PproxError {
  const lines = followers.map(({ node }) => `${node.label}: not run`);
  return doneOn(lead, [...lines, ...(why.detail === undefined ? [] : [why.detail])]);
}

function doneOn(lead: string, lines: readonly string[]): PproxError {
  return new PproxError('partly_executed', {
    message: `the statement was executed on ${lead}, but not on every writer`,
    detail: [`${lead}: done`, ...lines].join('\n'),
    hint: 'PostgreSQL does not allow this statement in a transaction, so it cannot be undone. Run it on the other writers when they can.',
  });
}
