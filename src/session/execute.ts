/**
 * EXECUTE: its arguments computed, once, as PostgreSQL computes them; then its statement, bound to the values, as if the
 * extended query protocol had asked for it.
 */
import type { Backend } from '../backend/backend.ts';
import { BackendLostError, KeptReply } from '../backend/receiver.ts';
import { PproxError } from '../lib/errors.ts';
import { FIRST_NORMAL_OID } from '../cluster/type-names.ts';
import { argumentsOfExecute } from '../sql/prepared-text.ts';
import { characters } from '../sql/bytes.ts';
import { type Positions, positionsThrough, shiftedPositions } from '../sql/positions.ts';
import type { Command, Span, Statement } from '../sql/statement.ts';
import { decodeDataRow } from '../wire/backend.ts';
import { encodeError, movePosition } from '../wire/error-fields.ts';
import { ExtendedWriter } from '../wire/extended.ts';
import { Watch, watchTable } from '../wire/frame-scan.ts';
import { BackendTag, TransactionStatus } from '../wire/tags.ts';
import { withServer } from './any-server.ts';
import { doubtAlone } from './doubts.ts';
import { statementKey, unknownStatement } from './prepare.ts';
import { followSequences, keep } from './read.ts';
import { ServerError } from './reply.ts';
import type { Execution, Request } from './request.ts';
import { raisedByCatalog, resolveRoute } from './route.ts';
import { describeOn } from './server-statement.ts';
import { closeStatements } from '../backend/statement-closing.ts';
import type { SessionState } from './state.ts';
import { openImplicit } from './write.ts';

/** What an EXECUTE in `text` runs, and with which values. Rejects with PproxError and ServerError. */
export async function execution(
  session: SessionState,
  execute: Statement,
  { text, positions }: Pick<Request, 'text' | 'positions'>,
): Promise<Execution> {
  const { command } = execute;
  if (command.kind !== 'execute') throw new TypeError('not an EXECUTE');
  const statement = session.statements.get(statementKey(command.name));
  if (statement === undefined) throw unknownStatement(command.name);
  const { analysed } = statement;
  if (analysed === undefined || !EXECUTABLE.has(analysed.command.kind)) {
    throw new PproxError('unsupported_feature', {
      message: `EXECUTE of a prepared statement that is ${analysed === undefined ? 'empty' : analysed.reason}`,
      hint: 'Run it by the protocol that has prepared it, or as it is.',
    });
  }
  const arguments_ = argumentsOfExecute(text, execute.span);
  if (statement.description === undefined)
    await withServer(session, (backend) => describeOn(session, backend, statement));
  // PostgreSQL does not look at arguments that nothing takes.
  if (statement.description?.types.length === 0) return { statement, analysed, values: NO_VALUES };
  // Whatever they do, they do on one server.
  if (execute.route === 'writers' || (await raisedByCatalog(session, execute)) === 'writers')
    throw writingArgument(execute);
  if (session.block.kind === 'none' && (await resolveRoute(session, analysed, statement.hint)) === 'writers')
    await openImplicit(session);
  const values = await withServer(session, async (backend) => {
    const { types } = await describeOn(session, backend, statement);
    if (types.length !== command.count) throw wrongCount(command.name, types.length, command.count);
    if (arguments_ === undefined || types.length === 0) return NO_VALUES;
    // What they leave there is not the session's anywhere else, and must not be another's.
    if (session.block.kind === 'reader' && (execute.pins.length > 0 || execute.settings.length > 0))
      session.block.after = 'session state not movable';
    let found: Execution['values'];
    try {
      found = await compute(session, backend, { text, positions }, arguments_, types);
    } catch (error) {
      if (!(error instanceof BackendLostError)) await doubtAlone(session, execute, backend);
      throw error;
    }
    await keep(session, execute, backend);
    return found;
  });
  await followSequences(session, execute);
  return { statement, analysed, values };
}

const NO_VALUES: Execution['values'] = { formats: [], values: [] };

/** What PREPARE takes, and what else a Parse may have prepared that ends no transaction and asks for no more messages. */
const EXECUTABLE: ReadonlySet<Command['kind']> = new Set<Command['kind']>([
  'read',
  'insert',
  'modify',
  'set',
  'definition',
  'listen',
  'unlisten',
  'utility',
]);

/**
 * Types that lose something when they are shown with some settings: float4, float8, dates, times, intervals, geometric types
 * and money, their arrays and ranges. Their binary form is exact.
 */
const EXACT_IN_BINARY: ReadonlySet<number> = new Set([
  700, 701, 1082, 1083, 1114, 1184, 1186, 1266, 600, 601, 602, 603, 604, 628, 718, 790, 1021, 1022, 1182, 1183, 1115,
  1185, 1187, 1270, 1017, 1018, 1019, 1020, 1027, 629, 719, 791, 3908, 3910, 3912, 3909, 3911, 3913,
]);

/**
 * Types of the user's own (domains, composite types, ranges, their arrays) may hold such types as well, and their binary form
 * has numbers of types, which differ between servers. Their text loses nothing with these settings, and is read with any.
 */
const SHOWING = [
  ['extra_float_digits', '1'],
  ['DateStyle', 'ISO'],
  ['IntervalStyle', 'postgres'],
] as const;

/**
 * Columns behind the values: what the settings were, and their change. Arguments are computed before, with the client's
 * settings; the row is shown after, when the server has all of it.
 */
const EXACTLY_SHOWN: readonly string[] = [
  ...SHOWING.map(([name]) => `pg_catalog.current_setting('${name}')`),
  ...SHOWING.map(([name, value]) => `pg_catalog.set_config('${name}', '${value}', true)`),
];
const NOTHING_ELSE: readonly string[] = [];

const NAME = 'a';
const EXECUTE = Buffer.from(`EXECUTE ${NAME}`);

/**
 * The server coerces arguments to parameters' types as for the client's own statement: they are executed with one that only
 * returns them. the span: from their parenthesis on.
 */
async function compute(
  session: SessionState,
  backend: Backend,
  { text, positions }: { readonly text: Buffer; readonly positions: Positions },
  { start, end }: Span,
  types: readonly number[],
): Promise<Execution['values']> {
  const formats = types.map((type) => (EXACT_IN_BINARY.has(type) ? 1 : 0));
  const shown = types.some((type) => type >= FIRST_NORMAL_OID) ? EXACTLY_SHOWN : NOTHING_ELSE;
  const list = [...types.map((_, index) => `$${index + 1}`), ...shown].join(', ');
  const receiver = new ValuesReceiver();
  backend.prepared.unnamed = undefined;
  backend.send(
    new ExtendedWriter()
      .close('statement', NAME)
      .parse(NAME, Buffer.from(`SELECT ${list}`), types)
      .parse('', Buffer.concat([EXECUTE, text.subarray(start, end)]), [])
      .bind('', '', { formats: [], values: [], resultFormats: [...formats, ...shown.map(() => 0)] })
      .execute('', 0)
      .close('statement', NAME)
      .sync(),
    receiver,
  );
  const found = await session.cancellable(backend, receiver.reply);
  if (!Buffer.isBuffer(found)) {
    const values = found.slice(0, types.length);
    // Outside a block they have ended with the Sync.
    if (shown.length > 0 && backend.status === TransactionStatus.InBlock)
      await restore(backend, found.slice(types.length));
    return { formats, values };
  }
  await closeStatements(backend, [NAME]);
  const own = shiftedPositions(characters(text, 0, start) - EXECUTE.length);
  throw new ServerError(movePosition(found, 0, found.length, positionsThrough(own, positions)));
}

/** The client's settings of output as they were before EXACTLY_SHOWN, for what comes next in its block. */
async function restore(backend: Backend, before: readonly (Buffer | null)[]): Promise<void> {
  const calls = SHOWING.map(([name], index) => {
    const value = before[index]?.toString() ?? '';
    return `pg_catalog.set_config('${name}', '${value}', true)`;
  });
  const { error } = await backend.ask(`SELECT ${calls.join(', ')}`);
  if (error !== undefined) throw new ServerError(encodeError(error));
}

/** The values of the only row, or the ErrorResponse in its place. */
class ValuesReceiver extends KeptReply<readonly (Buffer | null)[] | Buffer> {
  readonly watch = watchTable({ [BackendTag.DataRow]: Watch.take, [BackendTag.ErrorResponse]: Watch.take });
  #outcome: readonly (Buffer | null)[] | Buffer = [];

  take(tag: number, chunk: Buffer, start: number, end: number): void {
    // A ParameterStatus is taken as well, whoever watches.
    if (tag === BackendTag.ErrorResponse) this.#outcome = Buffer.from(chunk.subarray(start, end));
    else if (tag === BackendTag.DataRow) this.#outcome = decodeDataRow(chunk, start, end);
  }

  protected outcome(): readonly (Buffer | null)[] | Buffer {
    return this.#outcome;
  }
}

function wrongCount(name: string, expected: number, got: number): PproxError {
  return new PproxError('wrong_argument_count', {
    message: `wrong number of parameters for prepared statement "${name}"`,
    detail: `Expected ${expected} parameters but got ${got}.`,
  });
}

function writingArgument({ reason }: Statement): PproxError {
  return new PproxError('not_replayable', {
    message: `an argument of EXECUTE that writes: ${reason}`,
    detail: 'Nothing was run.',
    hint: 'Call the function in a statement of its own, and EXECUTE with its result.',
  });
}
