/** A condition that the operator can mend: the message is a whole sentence for them, printed without a stack. */
export class EmbeddedFailure extends Error {
  override readonly name = 'EmbeddedFailure';
}

/** The `code` of a system error (`ENOENT`, …), or undefined for anything else that was thrown. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
