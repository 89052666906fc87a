/**
 * PREPARE and DEALLOCATE: statements of SQL's are the same to a session as those of the extended query protocol. A server
 * parses a PREPARE and forgets it: whoever runs the statement prepares it where it runs, under its shared name.
 */
import type { Backend } from '../backend/backend.ts';
import { PproxError } from '../lib/errors.ts';
import { characters } from '../sql/bytes.ts';
import { positionsThrough, shiftedPositions } from '../sql/positions.ts';
import { queryOfPrepare } from '../sql/prepared-text.ts';
import type { Statement } from '../sql/statement.ts';
import { encodeCommandComplete } from '../wire/backend.ts';
import { ExtendedWriter } from '../wire/extended.ts';
import { analyse } from './analysis.ts';
import { withServer } from './any-server.ts';
import { ClientStatement, NAMED_OBJECTS } from './client-statement.ts';
import { Relay } from './relay.ts';
import type { Request } from './request.ts';
import { askDescription } from './server-statement.ts';
import { closeStatements } from '../backend/statement-closing.ts';
import type { SessionState } from './state.ts';
import { FAILED, type StatementEnd } from './statement-end.ts';

/** As the session keeps it: bytes in the client's encoding. */
export function statementKey(name: string): string {
  return Buffer.from(name).toString('latin1');
}

export async function prepare(session: SessionState, statement: Statement, request: Request): Promise<StatementEnd> {
  const { command } = statement;
  if (command.kind !== 'prepare') throw new TypeError('not a PREPARE');
  const name = statementKey(command.name);
  if (session.statements.size >= NAMED_OBJECTS) throw tooManyStatements();
  // The server says so itself, in its turn: behind what else may be wrong.
  const taken = session.statements.has(name);
  return withServer(session, async (backend) => {
    // Others, or this one before it was deallocated, may stand there under its name.
    const lent = backend.prepared.takeLent();
    if (lent.length > 0) await closeStatements(backend, lent);
    if (taken) await occupy(session, backend, name);
    await request.prepare(backend);
    const { message, replies } = request.encode(backend);
    const relay = new Relay(session.link, backend, { completion: 'hold', replies });
    backend.send(message, relay);
    const { error, held } = await session.cancellable(backend, relay.result);
    if (error === undefined) await learn(session, backend, statement, name, request);
    else if (taken) await closeStatements(backend, [name]);
    return error === undefined ? { kind: 'done', held } : FAILED;
  });
}

async function occupy(session: SessionState, backend: Backend, name: string): Promise<void> {
  const writer = new ExtendedWriter().parse(name, Buffer.from('SELECT'), []).describe('statement', name);
  await askDescription(session, backend, writer);
}

async function learn(
  session: SessionState,
  backend: Backend,
  { span }: Statement,
  name: string,
  { text, positions: outer }: Request,
): Promise<void> {
  const writer = new ExtendedWriter().describe('statement', name).close('statement', name);
  const description = await askDescription(session, backend, writer);
  const { start, end } = queryOfPrepare(text, span);
  const { text: query, positions: own, analysis } = await analyse(session, text.subarray(start, end));
  const analysed = analysis.kind === 'statements' ? analysis.statements[0] : undefined;
  if (analysis.kind !== 'statements' || analysed === undefined) {
    throw new PproxError('internal', { message: 'a prepared statement cannot be read by itself' });
  }
  // Error positions are those of the client's whole text.
  const positions = positionsThrough(own, positionsThrough(shiftedPositions(characters(text, 0, start)), outer));
  const written = Buffer.from(text.subarray(span.start, span.end));
  const prepared = new ClientStatement(name, query, description.types, analysed, analysis.hint, positions, written);
  prepared.description = description;
  session.statements.set(name, prepared);
}

/** No server is asked: those that have the statement have it under a name that other clients share. */
export function deallocate(session: SessionState, { command }: Statement, request: Request): StatementEnd {
  if (command.kind !== 'deallocate') throw new TypeError('not a DEALLOCATE');
  // The statement that says DEALLOCATE may be a prepared one itself: it is there before it is gone.
  request.say();
  if (command.name === undefined) session.statements.clear();
  else if (!session.statements.delete(statementKey(command.name))) throw unknownStatement(command.name);
  return { kind: 'done', held: encodeCommandComplete(command.name === undefined ? 'DEALLOCATE ALL' : 'DEALLOCATE') };
}

export function unknownStatement(name: string): PproxError {
  return new PproxError('unknown_statement', { message: `prepared statement "${name}" does not exist` });
}

export function tooManyStatements(): PproxError {
  return new PproxError('too_many_objects', {
    message: `a session has ${NAMED_OBJECTS} prepared statements at most`,
    hint: 'Close those that are not needed.',
  });
}
