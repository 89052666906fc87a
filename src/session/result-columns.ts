/** What is known, and asked, of the columns that a statement returns. */
import type { ClientStatement } from './client-statement.ts';
import type { Addition } from './request.ts';

/** One that is used once, for a read, is not needed again: whoever does, asks. */
export function mayNeedDescription({ name, analysed }: ClientStatement): boolean {
  return name !== '' || analysed?.route !== 'reader';
}

export function returnsRows({ analysed }: ClientStatement): boolean {
  const command = analysed?.command;
  return command?.kind === 'read' || (command !== undefined && 'hasReturning' in command && command.hasReturning);
}

/** The client's result formats, and text for each of our columns. */
export function formatsWith(
  statement: ClientStatement,
  formats: readonly number[],
  { width }: Addition,
): readonly number[] {
  if (formats.length === 0 || (formats.length === 1 && formats[0] === 0)) return formats;
  const own = Array.from({ length: width }, () => 0);
  const [all] = formats;
  if (formats.length > 1 || all === undefined) return [...formats, ...own];
  const columns = statement.description?.columns.length ?? 0;
  return [...Array.from({ length: columns }, () => all), ...own];
}
