import assert from 'node:assert/strict';
import { Analyser, loadParser } from '../../../src/sql/analyse.ts';
import type { Lexis, Statement } from '../../../src/sql/statement.ts';

export const lexis: Lexis = { encoding: 'UTF8', standardStrings: 'on' };

await loadParser();
const analyser = new Analyser({ cacheSize: 1000, sizeLimitBytes: 64 * 1024 });

/** The statements of a text that must be readable. */
export function statementsOf(text: string): readonly Statement[] {
  const analysis = analyser.analyse(Buffer.from(text), lexis);
  assert.equal(analysis.kind, 'statements', `${text}: ${JSON.stringify(analysis)}`);
  assert(analysis.kind === 'statements');
  return analysis.statements;
}

/** The only statement of a text. */
export function statementOf(text: string): Statement {
  const [statement, ...others] = statementsOf(text);
  assert(statement !== undefined, `${text}: no statement`);
  assert.equal(others.length, 0, `${text}: ${others.length + 1} statements`);
  return statement;
}

/** The bytes of a span as text. */
export function cut(
  text: string,
  span: { readonly start: number; readonly end: number } | undefined,
): string | undefined {
  return span === undefined ? undefined : Buffer.from(text).toString('utf8', span.start, span.end);
}
