/** Names of ours on servers, where a server's error speaks of them: the client hears of what it knows. */
import { BackendTag, HEADER_BYTES } from '../wire/tags.ts';
import { MessageWriter } from '../wire/writer.ts';

/** The unnamed portal where it has to outlive a simple query of ours, which would destroy it under its own name. */
export const UNNAMED_PORTAL = 'pprox_unnamed';

const IN_ERRORS = `portal "${UNNAMED_PORTAL}"`;
/** In CONTEXT, PostgreSQL has a word for it. */
const IN_CONTEXT = new RegExp(`${IN_ERRORS}(?= parameter | with parameters:)`, 'g');

/** Whether an ErrorResponse names the portal. */
export function namesUnnamed(chunk: Buffer, start: number, end: number): boolean {
  return chunk.subarray(start, end).includes(IN_ERRORS);
}

/** The same ErrorResponse, as it is for the unnamed portal. */
export function withoutOwnName(chunk: Buffer, start: number, end: number): Buffer {
  const written = chunk.toString('latin1', start + HEADER_BYTES, end);
  const fields = written.replaceAll(IN_CONTEXT, 'unnamed portal').replaceAll(IN_ERRORS, 'portal ""');
  return new MessageWriter().begin(BackendTag.ErrorResponse).bytes(Buffer.from(fields, 'latin1')).end().finish();
}
