/**
 * How a statement ended for the client.
 * `held`: its completion, which may be sent once its transaction is safe. `failed`: the client has been sent an error.
 */
export type StatementEnd = { readonly kind: 'done'; readonly held: Buffer | undefined } | { readonly kind: 'failed' };

export const DONE: StatementEnd = { kind: 'done', held: undefined };
export const FAILED: StatementEnd = { kind: 'failed' };
