/** A client's prepared statement on a server session: described, prepared under its shared name, closed. */
import type { Backend } from '../backend/backend.ts';
import { KeptReply } from '../backend/receiver.ts';
import { closeStatements } from '../backend/statement-closing.ts';
import { assert } from '../lib/assert.ts';
import { PproxError } from '../lib/errors.ts';
import { type Positions, samePositions } from '../sql/positions.ts';
import { decodeErrorFields, type ErrorFields, movePosition } from '../wire/error-fields.ts';
import { ExtendedWriter } from '../wire/extended.ts';
import { Watch, watchTable } from '../wire/frame-scan.ts';
import { BackendTag } from '../wire/tags.ts';
import { type ClientStatement, describe, type Description, sameResult } from './client-statement.ts';
import { ServerError } from './reply.ts';
import type { SessionState } from './state.ts';

/** Asks a server about a statement: the answers to Parse and Describe, in front of a Sync. */
class DescriptionReceiver extends KeptReply<Description | Buffer> {
  readonly watch = watchTable({
    [BackendTag.ParameterDescription]: Watch.take,
    [BackendTag.RowDescription]: Watch.take,
    [BackendTag.NoData]: Watch.take,
    [BackendTag.ErrorResponse]: Watch.take,
  });
  #parameters: Buffer | undefined;
  #result: Buffer | undefined;
  #error: Buffer | undefined;

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    const frame = Buffer.from(chunk.subarray(start, end));
    if (tag === BackendTag.ErrorResponse) this.#error = frame;
    else if (tag === BackendTag.ParameterDescription) this.#parameters = frame;
    else if (tag === BackendTag.RowDescription || tag === BackendTag.NoData) this.#result = frame;
  }

  protected outcome(): Description | Buffer {
    if (this.#error !== undefined) return this.#error;
    assert(this.#parameters !== undefined && this.#result !== undefined, 'Describe is answered');
    return describe(this.#parameters, this.#result);
  }
}

/**
 * Sends `writer`'s messages, one Describe of a statement among them. Parse may wait for a lock, as long as the client likes.
 * Rejects with ServerError where the server refuses, and with BackendLostError.
 */
export async function askDescription(
  session: SessionState,
  backend: Backend,
  writer: ExtendedWriter,
  positions: Positions = samePositions,
): Promise<Description> {
  const receiver = new DescriptionReceiver();
  backend.send(writer.sync(), receiver);
  const found = await session.cancellable(backend, receiver.reply);
  if (Buffer.isBuffer(found)) throw new ServerError(movePosition(found, 0, found.length, positions));
  return found;
}

/** Has the server say what it makes of the statement, where nobody has needed to know yet. Rejects as `askDescription`. */
export async function describeOn(
  session: SessionState,
  backend: Backend,
  statement: ClientStatement,
): Promise<Description> {
  if (statement.description === undefined) {
    backend.prepared.unnamed = undefined;
    const writer = new ExtendedWriter().parse('', statement.text, statement.types).describe('statement', '');
    statement.description = await askDescription(session, backend, writer, statement.positions);
    backend.prepared.unnamed = statement;
  }
  return statement.description;
}

/** Whether the server session has that portal. In a failed block it says 25P02 of one with rows, and nothing of others. */
class PortalReceiver extends KeptReply<boolean> {
  readonly watch = watchTable({ [BackendTag.ErrorResponse]: Watch.take });
  #error: ErrorFields | undefined;

  take(_tag: number, chunk: Buffer, start: number, end: number): void {
    this.#error = decodeErrorFields(chunk, start, end);
  }

  protected outcome(): boolean {
    return this.#error?.code !== '34000';
  }
}

/** Rejects with BackendLostError. */
export async function hasPortal(session: SessionState, backend: Backend, name: string): Promise<boolean> {
  const receiver = new PortalReceiver();
  backend.send(new ExtendedWriter().describe('portal', name).sync(), receiver);
  return session.cancellable(backend, receiver.reply);
}

/**
 * Parses under the shared name, and looks whether the result is what the client was told: PostgreSQL says when it is not,
 * and a server session that has never had the statement cannot know.
 */
export async function prepareOn(session: SessionState, backend: Backend, statement: ClientStatement): Promise<void> {
  const told = await describeOn(session, backend, statement);
  const name = statement.serverName(session.settings.reading);
  if (backend.prepared.has(name)) return;
  const found = await askDescription(
    session,
    backend,
    new ExtendedWriter().parse(name, statement.text, told.types).describe('statement', name),
    statement.positions,
  );
  if (sameResult(found, told)) {
    const excess = backend.prepared.use(name, session.services.settings.preparedStatements);
    if (excess.length > 0) await closeStatements(backend, excess);
    return;
  }
  await closeStatements(backend, [name]);
  throw new PproxError('result_type_changed', { message: 'cached plan must not change result type' });
}
