/** What pprox says to a client for itself. */
import { type Condition, PproxError } from '../lib/errors.ts';
import { encodeCommandComplete } from '../wire/backend.ts';
import { encodeError, encodeNotice, type Severity } from '../wire/error-fields.ts';

export function errorFrame(error: PproxError, severity: Severity = 'ERROR'): Buffer {
  return encodeError({
    severity,
    code: error.sqlstate,
    message: error.message,
    detail: error.detail,
    hint: error.hint,
    routine: ROUTINES.get(error.condition),
    where: error.where,
  });
}

/** By this name of PostgreSQL's PgJDBC knows that it has to prepare the statement anew, which it then does by itself. */
const ROUTINES: ReadonlyMap<Condition, string> = new Map([['result_type_changed', 'RevalidateCachedQuery']]);

/** A server has refused something that the client will be told of as if it had asked for it itself. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  /** The ErrorResponse, as it came. */
  readonly frame: Buffer;
  constructor(frame: Buffer) {
    super('a server refused a statement');
    this.frame = frame;
  }
}

/** PostgreSQL's wording for statements in a failed block. */
export function failedBlock(): PproxError {
  return new PproxError('failed_transaction', {
    message: 'current transaction is aborted, commands ignored until end of transaction block',
  });
}

export const Completion = {
  BEGIN: encodeCommandComplete('BEGIN'),
  'START TRANSACTION': encodeCommandComplete('START TRANSACTION'),
  commit: encodeCommandComplete('COMMIT'),
  rollback: encodeCommandComplete('ROLLBACK'),
} as const;

/** PostgreSQL's warning for COMMIT and ROLLBACK outside a block. */
export const NO_TRANSACTION: Buffer = encodeNotice({
  severity: 'WARNING',
  code: '25P01',
  message: 'there is no transaction in progress',
});
