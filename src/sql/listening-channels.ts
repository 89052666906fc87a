/**
 * pg_listening_channels() in a client's text: what a session listens to is heard on a connection that many share, so the calls
 * are replaced by its channels when the statement runs.
 */
import { type Replacement, rewrite, type Rewritten } from './positions.ts';
import { quoteEscaped, quoteLiteral } from './quote.ts';
import type { Statement } from './statement.ts';

/** As the analyser names it. */
const CALL = 'pg_listening_channels()';

export function asksForChannels({ nondeterminism }: Statement): boolean {
  return nondeterminism.some(({ name }) => name === CALL);
}

/**
 * `text` with the channels, in their order, in the calls' places; undefined where a call stands in a form that would make another
 * column of it. `own`: whether the server session may listen by itself, because a function of the user's has said so.
 */
export function withChannels(
  text: Buffer,
  { nondeterminism }: Statement,
  channels: readonly string[],
  own: 'nothing' | 'perhaps something',
): Rewritten | undefined {
  const list = channels.map((channel) =>
    (/^[\x20-\x5b\x5d-\x7e]*$/.test(channel) ? quoteLiteral : quoteEscaped)(channel),
  );
  const known = `ARRAY[${list.join(', ')}]::pg_catalog.text[]`;
  const all =
    own === 'nothing'
      ? known
      : `ARRAY(SELECT c FROM pg_catalog.pg_listening_channels() AS c WHERE c <> ALL (${known})) || ${known}`;
  const calls = nondeterminism.filter(({ name }) => name === CALL);
  const replacements: Replacement[] = [];
  for (const { span, type } of calls) {
    if (span === undefined) return undefined;
    const name = type === NAMED ? ' AS pg_listening_channels' : '';
    replacements.push({ span, by: Buffer.from(`pg_catalog.unnest(${all})${name}`) });
  }
  return rewrite(text, replacements);
}

/** The type of a call that gives its name to the column that it is, or to the table. */
export const NAMED = 'text AS pg_listening_channels';
