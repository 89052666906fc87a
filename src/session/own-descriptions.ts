/** Descriptions of statements and portals that no server is asked about: BEGIN and its like, and EXECUTE as what it executes. */
import { encodeParameterDescription, NO_DATA, withFormats } from '../wire/extended.ts';
import type { ClientStatement, Portal } from './client-statement.ts';
import type { SessionState } from './state.ts';

/** `parameters`: ParameterDescription; `result`: RowDescription or NoData. */
export function ownDescription(
  session: SessionState,
  { executes, types, description }: ClientStatement,
): { readonly parameters: Buffer; readonly result: Buffer } {
  const called = executes === undefined ? description : session.statements.get(executes)?.description;
  const parameters = executes === undefined ? description?.parameters : undefined;
  return { parameters: parameters ?? encodeParameterDescription(types), result: called?.result ?? NO_DATA };
}

/** RowDescription in the portal's formats, or NoData. */
export function describedPortal(session: SessionState, { statement, bind, state }: Portal): Buffer {
  if (state === 'unfinished') return NO_DATA;
  return withFormats(ownDescription(session, statement).result, bind.resultFormats);
}
